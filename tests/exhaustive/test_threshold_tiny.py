"""Shared Paillier keys over n = 77 = 7 * 11 and n = 517 = 11 * 47, whose primes are safe.

Every message, ciphertext and set of holders, and every polynomial. Keys this short exist below the
Python interface alone, and their proofs show little: here they have to be accepted.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from veilsum.errors import InsufficientShares
from veilsum.paillier import CipherArray, KeyShare, PublicKey, ThresholdKey, threshold
from veilsum.paillier.compiled import OfProcess, public_core
from veilsum.paillier.keys import _set
from veilsum.paillier.limbs import from_words

CONTEXT = b"tiny"
# Holders' numbers and their differences have to be units modulo p' and q': 3 and 5, or 5 and 23.
WORLDS = [
    (p, q, holders, few)
    for p, q, most in ((7, 11, 2), (11, 47, 4))
    for holders in range(1, most + 1)
    for few in range(1, holders + 1)
]


def public_key(n: int) -> PublicKey:
    """Make a key that the class would refuse for its length."""
    h = next(-x * x % n for x in range(2, n) if math.gcd(x * (x**4 - 1), n) == 1)
    key = PublicKey.__new__(PublicKey)
    compiled = OfProcess(lambda: public_core(n, h, exponent_bits=4))
    _set(key, n=n, h=h, fingerprint=n.to_bytes(32, "little"), _compiled=compiled)
    return key


def read(key: PublicKey, integers: list[int]) -> CipherArray:
    rows = np.zeros((len(integers), 2), np.uint64)
    rows[:, 0] = integers
    vector = key._core.from_words(rows, 1)
    return CipherArray(key, vector, shape=(len(integers),), scale=1, limit=key.plaintext_limit)


def opened_by(key: ThresholdKey, shares: tuple[KeyShare, ...], c: CipherArray) -> list[int]:
    answers = [share.decrypt(c, context=CONTEXT, threads=1) for share in shares]
    values, liars = key.combine(c, answers, context=CONTEXT)
    assert liars == ()
    integers: list[int] = values.tolist()
    return integers


def decrypted_by_definition(c: int, p: int, q: int) -> int:
    n = p * q
    carmichael = math.lcm(p - 1, q - 1)
    numerator, denominator = ((pow(x, carmichael, n * n) - 1) // n for x in (c, 1 + n))
    m = numerator * pow(denominator, -1, n) % n
    return m if m <= n // 2 else m - n


@pytest.mark.parametrize(("p", "q", "holders", "few"), WORLDS)
def test_every_message_opens_to_every_set_of_enough_holders(
    p: int, q: int, holders: int, few: int
) -> None:
    n = p * q
    key, shares = threshold._deal(public_key(n), p, q, holders, few)
    messages = list(range(-(n // 2), n // 2 + 1))
    h_s = pow(key.public_key.h, n, n * n)
    numbers = [(1 + m * n) * pow(h_s, m % 13 + 1, n * n) % (n * n) for m in messages]
    c = read(key.public_key, numbers)
    for size in range(few, holders + 1):
        for chosen in itertools.combinations(shares, size):
            assert opened_by(key, chosen, c) == messages
    for chosen in itertools.combinations(shares, few - 1):
        with pytest.raises(InsufficientShares):
            opened_by(key, chosen, c)


def test_every_ciphertext_of_the_group_opens_by_the_definition() -> None:
    p, q, n = 7, 11, 77
    key, shares = threshold._deal(public_key(n), p, q, 2, 2)
    group = [c for c in range(1, n * n) if math.gcd(c, n) == 1]
    assert opened_by(key, shares, read(key.public_key, group)) == [
        decrypted_by_definition(c, p, q) for c in group
    ]


@pytest.mark.parametrize(("p", "q", "holders", "few"), WORLDS)
def test_every_share_of_every_ciphertext_is_a_power_of_python_integers(
    p: int, q: int, holders: int, few: int
) -> None:
    n = p * q
    key, shares = threshold._deal(public_key(n), p, q, holders, few)
    group = [c for c in range(1, 5929) if math.gcd(c, n) == 1]
    for share in shares:
        answer = share.decrypt(read(key.public_key, group), context=CONTEXT)
        exponent = 2 * from_words(share._exponent)
        got = [from_words(row) for row in answer._vector.to_words(1)]
        assert got == [pow(c, exponent, n * n) for c in group]


@pytest.mark.parametrize("n", range(1, 8))
def test_weights_of_every_set_of_holders_give_the_value_at_zero(n: int) -> None:
    for size in range(1, n + 1):
        for places in itertools.combinations(range(1, n + 1), size):
            weights, scale = threshold._lagrange_at_zero(places, n)
            assert math.gcd(scale, *weights) == 1
            for degree in range(size):
                expected = scale if degree == 0 else 0
                got = sum(w * i**degree for w, i in zip(weights, places, strict=True))
                assert got == expected


def test_one_holder_of_two_sees_each_share_alike_often_whatever_the_secret() -> None:
    group = 77 * 15
    for secret in (0, 1, 15 * 36 % group, group - 1):
        for holder in (1, 2):
            seen = Counter(
                2 * threshold._evaluate([secret, slope], holder) % group for slope in range(group)
            )
            assert len(seen) == group
            assert set(seen.values()) == {1}


def test_two_holders_of_three_or_more_see_each_pair_of_shares_once_whatever_the_secret() -> None:
    # Modulo each prime factor of n m, which decide by the Chinese remainder theorem.
    for prime in (5, 11, 23):
        for secret in range(prime):
            for pair in itertools.combinations(range(1, 5), 2):
                seen = {
                    tuple(threshold._evaluate([secret, b, c], i) % prime for i in pair)
                    for b in range(prime)
                    for c in range(prime)
                }
                assert len(seen) == prime**2


@pytest.mark.parametrize(("p", "q"), [(7, 11), (11, 47)])
def test_every_base_drawn_generates_the_squares(p: int, q: int) -> None:
    n, m = p * q, (p // 2) * (q // 2)
    squares = {pow(x, 2, n * n) for x in range(1, n * n) if math.gcd(x, n) == 1}
    assert len(squares) == n * m
    for _ in range(50):
        base = threshold._generator_of_squares(p, q)
        assert base in squares
        assert all(pow(base, n * m // r, n * n) != 1 for r in (p, q, p // 2, q // 2))
