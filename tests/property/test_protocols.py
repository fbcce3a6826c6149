"""All protocols give the same integers; every dropout, and every flipped byte, ends well."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError, VeilsumError
from veilsum.field import GOLDILOCKS, P31, P50, PrimeField
from veilsum.paillier import PackedArray
from veilsum.protocols import InMemoryTransport, Masking, Paillier, Plain, Sharing
from veilsum.protocols.committee import Dealing, Heard
from veilsum.protocols.serverless import Committed, Revealed
from veilsum.protocols.sharing import Confirmed, Summed


@pytest.fixture(scope="module")
def paillier():
    return Paillier(key_bits=512, insecure=True, min_survivors=1, threads=1)


encodings = st.builds(
    FixedPoint.binary, st.integers(0, 70), bound=st.sampled_from([1.0, 1000.0, 2.0**20])
) | st.builds(FixedPoint.decimal, st.integers(0, 12), bound=st.sampled_from([1.0, 1000.0]))


@st.composite
def rounds(draw):
    """An encoding, updates within its bound, and who of the clients is lost (not all)."""
    encoding = draw(encodings)
    clients = draw(st.integers(1, 5))
    length = draw(st.integers(1, 6))
    value = st.floats(-encoding.bound, encoding.bound)
    updates = draw(
        st.lists(
            st.lists(value, min_size=length, max_size=length), min_size=clients, max_size=clients
        )
    )
    dropped = draw(st.sets(st.integers(0, clients - 1), max_size=clients - 1))
    return encoding, np.array(updates), dropped


@given(
    one=rounds(),
    holders=st.integers(1, 5),
    field=st.sampled_from([None, P31, P50, GOLDILOCKS, PrimeField(2**61 - 1), PrimeField(65537)]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_all_protocols_give_the_same_integers(paillier, one, holders, field, data):
    encoding, updates, dropped = one
    left = [client for client in range(len(updates)) if client not in dropped]
    expected = sum(encoding.quantise(updates[client]).astype(object) for client in left)
    few = data.draw(st.integers(1, len(left)))
    threshold = data.draw(st.integers(1, holders))
    packed = data.draw(st.integers(1, max(1, threshold - 1)))
    peers = {"threshold": few, "quorum": few, "min_survivors": 1, "field": field, "threads": 1}
    apart = {"holders": holders, "min_survivors": 1, "field": field, "threads": 1}
    for aggregator in (
        Plain(min_survivors=1),
        paillier,
        Sharing(**peers),
        Sharing(**peers, check=False),
        Sharing(**peers, packed=max(1, few - 1)),
        Sharing(**apart),
        Sharing(**apart, threshold=threshold, packed=packed),
        *([Masking(threads=1)] if 3 * len(left) > 2 * len(updates) else []),
    ):
        result = aggregator.aggregate(updates, encoding=encoding, dropped=dropped)
        assert result.integers.tolist() == expected.tolist()
        assert result.survivors == tuple(left)
        narrow = len(updates) * encoding.limit < 2**63
        assert result.integers.dtype == (np.int64 if narrow else object)
        assert np.array_equal(result.sum, encoding.dequantise(result.integers))


@given(encoding=encodings, clients=st.integers(1, 3000), signs=st.lists(st.sampled_from([-1, 1])))
@settings(max_examples=60, deadline=None)
def test_digits_of_any_encoding_and_roster_are_packed_whole(paillier, encoding, clients, signs):
    update = encoding.bound * np.array([1, *signs])
    session = paillier.open_session(range(clients), length=update.size, encoding=encoding)
    _, _, client = paillier.parties(session, {0: update})
    (encrypted,) = client.start()
    packed = PackedArray.from_bytes(encrypted.ciphertexts, paillier.public_key)
    digits = paillier._private_key.decrypt(packed)
    assert digits.dtype == np.int64
    assert digits.tolist() == session.encode(update).tolist()
    assert (packed.additions, packed.used) == (clients, 1)


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5])
def test_every_dropout_subset_gives_the_survivors_sum_or_a_clear_error(paillier, clients):
    updates = 2.0 ** np.arange(clients)[:, np.newaxis]
    for threshold in range(1, clients + 1):
        aggregators = (
            Plain(min_survivors=threshold),
            Paillier(keys=(paillier.public_key, paillier._private_key), min_survivors=threshold),
            Sharing(threshold=threshold, quorum=threshold, min_survivors=threshold),
        )
        for size in range(clients + 1):
            for dropped in combinations(range(clients), size):
                left = [client for client in range(clients) if client not in dropped]
                for aggregator in aggregators:
                    if len(left) < threshold:
                        with pytest.raises(ProtocolError, match=r"needs \d .* missing|fell silent"):
                            aggregator.aggregate(updates, dropped=dropped)
                    else:
                        result = aggregator.aggregate(updates, dropped=dropped)
                        assert result.sum.tolist() == [sum(2.0**client for client in left)]
                        assert result.survivors == tuple(left)


LIVES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 4, 4]), min_size=5, max_size=5)


@given(lives=LIVES, threshold=st.integers(2, 5), data=st.data())
@settings(max_examples=80, deadline=None)
def test_peers_may_vanish_after_any_round(lives, threshold, data):
    """Peer ``i`` says and hears nothing after the first ``lives[i]`` of the four rounds."""
    kinds = (Dealing, Heard, Committed, Revealed)
    quorum = data.draw(st.integers(threshold, 5))

    def drop(message):
        ends = [int(name.removeprefix("client-")) for name in (message.sender, message.recipient)]
        return any(kinds.index(type(message)) >= lives[peer] for peer in ends)

    dealt = [peer for peer in range(5) if lives[peer] > 0]
    there = [sum(life > stage for life in lives) for stage in range(4)]
    updates = 2.0 ** np.arange(5)[:, np.newaxis]
    aggregator = Sharing(threshold=threshold, quorum=quorum, threads=1)
    transport = InMemoryTransport(drop=drop)
    if len(dealt) < threshold or there[2] < quorum or there[3] < threshold:
        with pytest.raises(ProtocolError):
            aggregator.aggregate(updates, transport=transport)
        return
    result = aggregator.aggregate(updates, transport=transport)
    assert result.survivors == tuple(dealt)
    assert result.sum.tolist() == [sum(2.0**client for client in dealt)]


@given(
    lives=st.lists(st.sampled_from([0, 1, 2, 3, 3, 3]), min_size=6, max_size=6),
    threshold=st.integers(1, 6),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_holders_may_fall_silent_after_any_message(lives, threshold, data):
    """Holder ``i`` sends the first ``lives[i]`` of its three messages."""
    kinds = (Heard, Confirmed, Summed)
    quorum = data.draw(st.integers(threshold, 6))

    def drop(message):
        if type(message) not in kinds:
            return False
        return kinds.index(type(message)) >= lives[int(message.sender.removeprefix("holder-")) - 1]

    confirmed = sum(life > 1 for life in lives)
    summed = sum(life > 2 for life in lives)
    updates = 2.0 ** np.arange(3)[:, np.newaxis]
    aggregator = Sharing(holders=6, threshold=threshold, quorum=quorum, threads=1)
    transport = InMemoryTransport(drop=drop)
    if confirmed < quorum or summed < threshold:
        with pytest.raises(ProtocolError, match=r"needs \d+ messages"):
            aggregator.aggregate(updates, transport=transport)
        return
    assert aggregator.aggregate(updates, transport=transport).sum.tolist() == [7.0]


@given(
    holders=st.integers(1, 9),
    field=st.sampled_from([P31, P50, GOLDILOCKS, PrimeField(2**61 - 1), PrimeField(65537)]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_liars_and_vanished_holders_within_the_redundancy_change_nothing(holders, field, data):
    threshold = data.draw(st.integers(1, holders))
    errors = data.draw(st.integers(0, (holders - threshold) // 2))
    names = [f"holder-{number}" for number in range(1, holders + 1)]
    order = data.draw(st.permutations(names))
    liars = order[: data.draw(st.integers(0, errors))]
    vanish = data.draw(st.integers(0, holders - threshold - 2 * errors))
    gone = order[len(liars) : len(liars) + vanish]
    updates = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -8.0]])
    result = Sharing(
        holders=holders, threshold=threshold, max_errors=errors, field=field, threads=1
    ).aggregate(
        updates,
        encoding=FixedPoint.binary(1, bound=10.0),
        transport=InMemoryTransport(
            drop=lambda message: isinstance(message, Summed) and message.sender in gone,
            lie=lambda message: _lie(message, liars, data),
        ),
    )
    assert result.sum.tolist() == [1.5, 2.0, -5.0]
    assert result.liars == tuple(name for name in names if name in liars)


def _lie(message, liars, data):
    if not isinstance(message, Summed) or message.sender not in liars:
        return message
    shares = message.shares
    row, place = shares.values.copy(), data.draw(st.integers(0, 2))
    by = data.draw(st.integers(1, shares.field.modulus - 1))
    row[0, place] = (int(row[0, place]) + by) % shares.field.modulus
    return replace(message, shares=shares.with_values(row))


def one_flip(index, place, mask):
    """A tamper hook: in the message with this number one byte is altered."""
    seen = iter(range(10_000))

    def tamper(_, data):
        if next(seen) != index:
            return data
        altered = bytearray(data)
        altered[place % len(data)] ^= mask
        return bytes(altered)

    return InMemoryTransport(tamper=tamper)


@given(
    index=st.integers(0, 47),
    place=st.integers(0, 600),
    mask=st.integers(1, 255),
    peers=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_a_flipped_byte_in_sharing_is_refused_or_changes_no_sum(index, place, mask, peers):
    updates = 2.0 ** np.arange(4)[:, np.newaxis]
    aggregator = Sharing(threshold=2, holders="clients" if peers else 4)
    try:
        result = aggregator.aggregate(updates, transport=one_flip(index, place, mask))
    except VeilsumError:
        return
    assert result.sum.tolist() == [sum(2.0**client for client in result.survivors)]


@given(index=st.integers(0, 4), place=st.integers(0, 600), mask=st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_a_flipped_byte_under_paillier_is_refused_whatever_message_it_is_in(
    paillier, index, place, mask
):
    updates = 2.0 ** np.arange(3)[:, np.newaxis]
    transport = one_flip(index, place, mask)
    if index > 2:  # the encrypted sum, or the opened one
        with pytest.raises(VeilsumError):
            paillier.aggregate(updates, transport=transport)
        return
    result = paillier.aggregate(updates, transport=transport)
    assert result.survivors == tuple(client for client in range(3) if client != index)
    assert result.sum.tolist() == [7.0 - 2.0**index]
    assert [refusal.party for refusal in result.refusals] == ["aggregator"]


@given(index=st.integers(0, 2), place=st.integers(0, 300), mask=st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_a_flipped_byte_costs_its_sender_alone_even_in_the_clear(index, place, mask):
    updates = 2.0 ** np.arange(3)[:, np.newaxis]
    result = Plain().aggregate(updates, transport=one_flip(index, place, mask))
    assert result.survivors == tuple(client for client in range(3) if client != index)
    assert result.sum.tolist() == [7.0 - 2.0**index]
    assert [refusal.party for refusal in result.refusals] == ["server"]
