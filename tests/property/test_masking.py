"""Laws of masking: whatever is lost or altered, a sum that comes out is the survivors'."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.encoding import FixedPoint
from veilsum.errors import DecodingError, ProtocolError
from veilsum.field import P50
from veilsum.protocols import InMemoryTransport, Masking
from veilsum.protocols.masking import Revealed
from veilsum.protocols.masks import add_masks
from veilsum.protocols.neighbours import Neighbourhoods
from veilsum.protocols.seeds import rebuild_seeds, share_seeds

ENCODING = FixedPoint.binary(8, bound=4096.0)
SPARSE = {"corrupt": 0.0, "dropout": 0.3, "security_bits": 1}


@st.composite
def graphs(draw):
    """The number of clients, and the options of a graph that suits them."""
    clients = draw(st.integers(1, 12))
    degrees = range(6, clients - 1, 2)
    degree = draw(st.sampled_from([None, *degrees]))
    return clients, {} if degree is None else {"degree": degree, **SPARSE}


links = st.tuples(st.sampled_from([kind.label for kind in Masking.messages]), st.integers(0, 11))


def is_among(lost, message):
    client = message.recipient if message.sender == "server" else message.sender
    return (message.label, int(client.removeprefix("client-"))) in lost


@given(graph=graphs(), lost=st.sets(links, max_size=4))
@settings(max_examples=40, deadline=None)
def test_whatever_is_lost_a_sum_is_that_of_the_survivors(graph, lost):
    clients, options = graph
    updates = 2.0 ** np.arange(clients)[:, np.newaxis] - 3
    answers = Counter()

    def drop(message):
        answers[message.sender] += isinstance(message, Revealed)
        return is_among(lost, message)

    aggregator = Masking(**options)
    try:
        transport = InMemoryTransport(drop=drop)
        result = aggregator.aggregate(updates, encoding=ENCODING, transport=transport)
    except ProtocolError:
        assert lost
    else:
        left = [*result.survivors]
        assert result.sum.tolist() == updates[left].sum(axis=0).tolist()
        assert len(left) >= aggregator.min_survivors_for(range(clients))
        assert result.liars == ()
    assert max(answers.values()) <= 1


@given(
    graph=graphs(),
    lost=st.sets(links, max_size=2),
    lying=st.sets(st.integers(0, 11), max_size=2),
    seeds=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_whatever_is_revealed_falsely_a_sum_is_right_and_names_only_liars(
    graph, lost, lying, seeds
):
    clients, options = graph
    updates = 2.0 ** np.arange(clients)[:, np.newaxis] - 3
    names = {f"client-{client}" for client in lying}

    def lie(message):
        if not isinstance(message, Revealed) or message.sender not in names:
            return message
        fields = {name: getattr(message, name) for name in ("session_id", "sender", "recipient")}
        return Revealed(
            **fields,
            seed=bytes(32) if seeds else message.seed,
            whose=message.whose,
            rows=P50.random(message.rows.shape),
        )

    transport = InMemoryTransport(drop=lambda message: is_among(lost, message), lie=lie)
    try:
        result = Masking(**options).aggregate(updates, encoding=ENCODING, transport=transport)
    except ProtocolError:
        assert lost or lying
    except DecodingError:
        assert lying
    else:
        assert result.sum.tolist() == updates[[*result.survivors]].sum(axis=0).tolist()
        assert set(result.liars) <= names


@given(
    clients=st.integers(2, 40),
    half=st.integers(1, 20),
    seed=st.binary(min_size=32, max_size=32),
    data=st.data(),
)
def test_neighbours_are_mutual_and_as_many_as_the_degree_says(clients, half, seed, data):
    ring = Neighbourhoods(clients, 2 * half, seed)
    rank = data.draw(st.integers(0, clients - 1))
    assert len(ring.of(rank)) == min(2 * half, clients - 1)
    assert all(rank in ring.of(other) for other in ring.of(rank))
    assert ring.hold_together(np.ones(clients, np.bool_))


@given(
    size=st.integers(0, 300),
    wide=st.booleans(),
    keys=st.lists(st.binary(min_size=32, max_size=32), max_size=6),
    data=st.data(),
)
def test_what_is_added_in_any_order_and_subtracted_again_leaves_nothing(size, wide, keys, data):
    words = np.arange(size, dtype=np.uint64 if wide else np.uint32)
    plain, cut = words.copy(), data.draw(st.integers(0, len(keys)))
    add_masks(words, added=keys[:cut], subtracted=keys[cut:])
    add_masks(words, added=data.draw(st.permutations(keys[cut:])), subtracted=keys[:cut])
    np.testing.assert_array_equal(words, plain)


@given(
    seeds=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4),
    shares=st.integers(1, 12),
    data=st.data(),
)
def test_seeds_are_rebuilt_from_any_threshold_of_shares(seeds, shares, data):
    threshold = data.draw(st.integers(1, shares))
    rows = share_seeds(seeds, shares=shares, threshold=threshold)
    held = data.draw(st.permutations(range(shares)))[:threshold]
    assert rebuild_seeds(rows[held], positions=held, shares=shares, threshold=threshold) == seeds
