"""Laws of threshold Paillier: the integers of every protocol, whoever falls silent or lies."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError, VeilsumError
from veilsum.protocols import InMemoryTransport, Plain, ThresholdPaillier
from veilsum.protocols.threshold_paillier import Decrypted

# Safe primes, just below a power of two and seven eighths of it.
PRIMES = (2**128 - 15449, 7 * 2**125 - 3741)


@pytest.fixture(scope="module")
def keys():
    return {
        (holders, few): paillier.deal_key(
            holders=holders, threshold=few, primes=PRIMES, insecure=True
        )
        for holders in range(1, 5)
        for few in range(1, holders + 1)
    }


def lied(message, key):
    """The answer with one number of its share doubled."""
    share = paillier.DecryptionShare.from_bytes(message.share, key)
    doubled = share._vector.multiply(share._vector, 1)
    return replace(message, share=replace(share, _vector=doubled).to_bytes())


def disturbed(key, *, gone, liars):
    return InMemoryTransport(
        drop=lambda message: message.sender in gone,
        lie=lambda message: (
            lied(message, key)
            if isinstance(message, Decrypted) and message.sender in liars
            else message
        ),
    )


@given(
    data=st.data(),
    bits=st.integers(0, 40),
    clients=st.integers(1, 4),
    dealing=st.sampled_from([(1, 1), (2, 2), (3, 2), (4, 2), (4, 3)]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_it_gives_the_integers_of_the_plain_sum(keys, data, bits, clients, dealing):
    encoding = FixedPoint.binary(bits, bound=1000.0)
    value = st.floats(-1000.0, 1000.0)
    rows = st.lists(value, min_size=3, max_size=3)
    updates = np.array(data.draw(st.lists(rows, min_size=clients, max_size=clients)))
    dropped = data.draw(st.sets(st.integers(0, clients - 1), max_size=clients - 1))
    names = [f"holder-{number}" for number in range(1, dealing[0] + 1)]
    order = data.draw(st.permutations(names))
    lost = data.draw(st.integers(0, dealing[0] - dealing[1]))
    split = data.draw(st.integers(0, lost))
    gone, liars = order[:split], order[split:lost]
    expected = Plain(min_survivors=1).aggregate(updates, encoding=encoding, dropped=dropped)
    got = ThresholdPaillier(keys=keys[dealing], min_survivors=1, threads=1).aggregate(
        updates,
        encoding=encoding,
        dropped=dropped,
        transport=disturbed(keys[dealing][0], gone=gone, liars=liars),
    )
    assert got.integers.tolist() == expected.integers.tolist()
    assert got.survivors == expected.survivors
    assert got.liars == tuple(sorted(liars))


@pytest.mark.parametrize("clients", [1, 2, 3, 4])
def test_every_dropout_subset_of_clients_gives_the_survivors_sum_or_a_clear_error(keys, clients):
    updates = 2.0 ** np.arange(clients)[:, np.newaxis]
    for least in range(1, clients + 1):
        aggregator = ThresholdPaillier(keys=keys[2, 2], min_survivors=least, threads=1)
        for size in range(clients + 1):
            for dropped in combinations(range(clients), size):
                left = [client for client in range(clients) if client not in dropped]
                if len(left) < least:
                    with pytest.raises(ProtocolError, match=f"needs {least} .* missing"):
                        aggregator.aggregate(updates, dropped=dropped)
                else:
                    result = aggregator.aggregate(updates, dropped=dropped)
                    assert result.sum.tolist() == [sum(2.0**client for client in left)]
                    assert result.survivors == tuple(left)


@pytest.mark.parametrize("holders", [1, 2, 3, 4])
def test_every_fate_of_the_holders_gives_the_sum_or_a_clear_error(keys, holders):
    """Each holder answers, falls silent or lies."""
    updates = np.array([[1.0, -2.0], [4.0, 8.0]])
    names = [f"holder-{number}" for number in range(1, holders + 1)]
    for few in range(1, holders + 1):
        aggregator = ThresholdPaillier(keys=keys[holders, few], threads=1)
        for number in range(3**holders):
            fates = [number // 3**place % 3 for place in range(holders)]
            gone, liars = (
                [name for name, fate in zip(names, fates, strict=True) if fate == wanted]
                for wanted in (1, 2)
            )
            transport = disturbed(keys[holders, few][0], gone=gone, liars=liars)
            if fates.count(0) < few:
                with pytest.raises(
                    ProtocolError, match=rf"needs {few} messages|of the {few} needed; those of"
                ):
                    aggregator.aggregate(updates, transport=transport)
            else:
                result = aggregator.aggregate(updates, transport=transport)
                assert result.sum.tolist() == [5.0, 6.0]
                assert result.liars == tuple(liars)


@given(index=st.integers(0, 8), place=st.integers(0, 900), mask=st.integers(1, 255))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_flipped_byte_is_refused_or_changes_no_sum(keys, index, place, mask):
    seen = iter(range(1000))

    def tamper(message, data):  # noqa: ARG001
        if next(seen) != index:
            return data
        altered = bytearray(data)
        altered[place % len(data)] ^= mask
        return bytes(altered)

    updates = 2.0 ** np.arange(3)[:, np.newaxis]
    transport = InMemoryTransport(tamper=tamper)
    try:
        result = ThresholdPaillier(keys=keys[3, 2], threads=1).aggregate(
            updates, transport=transport
        )
    except VeilsumError:
        return
    assert result.sum.tolist() == [sum(2.0**client for client in result.survivors)]
