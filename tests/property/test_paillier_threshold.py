"""Laws of shared keys: any few holders open any sum, and no altered answer passes."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.errors import InsufficientShares, VeilsumError
from veilsum.paillier import (
    CipherArray,
    DecryptionShare,
    KeyShare,
    ThresholdKey,
    deal_key,
    threshold,
)
from veilsum.paillier.limbs import to_words

Dealt = tuple[ThresholdKey, tuple[KeyShare, ...]]

# Safe primes, just below a power of two and seven eighths of it.
PRIMES = (2**128 - 15449, 7 * 2**125 - 3741)
CONTEXT = b"context"
STEADY = settings(deadline=None, derandomize=True, max_examples=40)

dealings = st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 2), (5, 3), (7, 2)])


@pytest.fixture(scope="module")
def keys() -> dict[tuple[int, int], Dealt]:
    return {
        (holders, few): deal_key(holders=holders, threshold=few, primes=PRIMES, insecure=True)
        for holders, few in [(1, 1), (2, 1), (2, 2), (3, 2), (5, 3), (7, 2)]
    }


@pytest.fixture(scope="module")
def answered(keys: dict[tuple[int, int], Dealt]) -> tuple[CipherArray, bytes]:
    # Made once: the bytes that are damaged below must not change between examples.
    key, shares = keys[3, 2]
    ciphertexts = key.public_key.encrypt([1, -2])
    return ciphertexts, shares[1].decrypt(ciphertexts, context=CONTEXT).to_bytes()


@STEADY
@given(data=st.data(), dealing=dealings, values=st.lists(st.integers(-(2**40), 2**40), max_size=20))
def test_any_few_holders_open_any_sum_and_product(
    keys: dict[tuple[int, int], Dealt],
    data: st.DataObject,
    dealing: tuple[int, int],
    values: list[int],
) -> None:
    key, shares = keys[dealing]
    few = data.draw(st.integers(dealing[1], dealing[0]))
    chosen = data.draw(st.permutations(shares))[:few]
    factor = data.draw(st.integers(-9, 9))
    array = np.array(values, np.int64)
    c = factor * key.public_key.encrypt(array) + array
    answers = [share.decrypt(c, context=CONTEXT) for share in chosen]
    opened, liars = key.combine(c, answers, context=CONTEXT)
    assert opened.tolist() == [(factor + 1) * value for value in values]
    assert liars == ()


@STEADY
@given(data=st.data(), dealing=dealings)
def test_liars_are_named_and_never_change_what_is_opened(
    keys: dict[tuple[int, int], Dealt], data: st.DataObject, dealing: tuple[int, int]
) -> None:
    key, shares = keys[dealing]
    square = key.public_key.n**2
    c = key.public_key.encrypt([7, -8, 9])
    lying = data.draw(st.sets(st.integers(1, dealing[0])))
    answers = []
    for share in shares:
        answer = share.decrypt(c, context=CONTEXT)
        if share.holder in lying:
            words = answer._vector.to_words(1)
            at = data.draw(st.integers(0, 2))
            words[at] = to_words(data.draw(st.integers(1, 2**60)) ** 2 % square, words.shape[1])
            vector = key.public_key._core.from_words(words, 1)
            claim = threshold._Claim.of(key, share.holder, c, vector, CONTEXT)
            proof = claim.prove(share._exponent)
            answer = DecryptionShare(key.fingerprint, share.holder, vector, *proof)
        answers.append(answer)
    if dealing[0] - len(lying) < dealing[1]:
        with pytest.raises(InsufficientShares):
            key.combine(c, answers, context=CONTEXT)
        return
    opened, liars = key.combine(c, answers, context=CONTEXT)
    assert opened.tolist() == [7, -8, 9]
    assert liars == tuple(sorted(lying))


@STEADY
@given(holders=st.integers(1, 40), data=st.data())
def test_weights_are_those_of_lagrange(holders: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(1, holders), min_size=1, unique=True))
    weights, scale = threshold._lagrange_at_zero(places, holders)
    assert math.factorial(holders) % scale == 0
    for weight, i in zip(weights, places, strict=True):
        others = [Fraction(j, j - i) for j in places if j != i]
        assert Fraction(weight, scale) == math.prod(others, start=Fraction(1))


@STEADY
@given(data=st.data())
def test_any_flipped_bit_of_an_answer_is_refused(
    keys: dict[tuple[int, int], Dealt],
    answered: tuple[CipherArray, bytes],
    data: st.DataObject,
) -> None:
    key, _ = keys[3, 2]
    ciphertexts, sent = answered
    changed = bytearray(sent)
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VeilsumError):
        DecryptionShare.from_bytes(bytes(changed), key).verify(ciphertexts, key, context=CONTEXT)


def test_fewer_holders_fit_every_exponent(keys: dict[tuple[int, int], Dealt]) -> None:
    """Two of the shares of three belong to a polynomial whatever its value at zero."""
    _, shares = keys[5, 3]
    n, m = math.prod(PRIMES), math.prod(prime // 2 for prime in PRIMES)
    group = n * m
    for pair in itertools.combinations(shares, 2):
        known = {s.holder: int.from_bytes(s._exponent.tobytes(), "little") for s in pair}
        for secret in (0, 1, 2**200, group - 1):
            points = {0: secret} | known
            coefficients = _interpolated(points, group)
            for x, y in points.items():
                assert threshold._evaluate(coefficients, x) % group == y


def _interpolated(points: dict[int, int], modulus: int) -> list[int]:
    """Coefficients of the polynomial through the points; differences have to be units."""
    total = [0] * len(points)
    for x, y in points.items():
        basis = [y]
        for other in points:
            if other != x:
                inverse = pow(x - other, -1, modulus)
                shifted = [0, *basis]
                basis = [
                    (a - other * b) * inverse for a, b in zip(shifted, [*basis, 0], strict=True)
                ]
        total = [(a + b) % modulus for a, b in zip(total, basis, strict=True)]
    return total
