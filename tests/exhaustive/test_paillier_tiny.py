"""Paillier over n = 77 = 7 * 11: every message, exponent, base, ciphertext, sum and power.

Both primes are 3 modulo 4, so the randomness is the powers of one base. Keys this short exist
below the Python interface alone.
"""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core
from veilsum.errors import BudgetExceeded
from veilsum.paillier.compiled import decrypt_rows, private_core, public_core

P, Q = 7, 11
N = P * Q
SQUARE = N * N
LIMIT = (N - 1) // 2
MESSAGES = range(-LIMIT, LIMIT + 1)
HALF_LENGTH = 4  # bits of the exponents that the scheme draws: half of n's seven
ALL_CORES = 0

UNITS = [x for x in range(1, N) if math.gcd(x, N) == 1]
BASES = sorted({-x * x % N for x in UNITS if math.gcd(x**4 - 1, N) == 1})


def public_key(h: int, exponent_bits: int) -> _core.PaillierPublicKey:
    return public_core(N, h, exponent_bits=exponent_bits)


def private_key(
    p: int = P, q: int = Q, *, h: int = BASES[0], exponent_bits: int = HALF_LENGTH
) -> _core.PaillierPrivateKey:
    return private_core(p, q, h, exponent_bits=exponent_bits)


def rows(numbers: list[int]) -> NDArray[np.uint64]:
    return np.array(numbers, np.int64).view(np.uint64).reshape(-1, 1)


def integers(vector: _core.CipherVector) -> list[int]:
    words = vector.to_words(ALL_CORES)
    assert not words[:, 1].any()
    return [int(word) for word in words[:, 0]]


def read(numbers: list[int]) -> _core.CipherVector:
    words = np.zeros((len(numbers), 2), np.uint64)
    words[:, 0] = numbers
    return public_key(BASES[0], HALF_LENGTH).from_words(words, ALL_CORES)


def decrypt(vector: _core.CipherVector, key: _core.PaillierPrivateKey | None = None) -> list[int]:
    limit = np.array([LIMIT], np.uint64)
    decrypted = decrypt_rows(key or private_key(), vector, limit, ALL_CORES)
    signed: list[int] = decrypted[:, 0].view(np.int64).tolist()
    return signed


def centred(m: int) -> int:
    return (m + LIMIT) % N - LIMIT


def decrypted_by_definition(c: int) -> int:
    """L(c**lambda mod n**2) / L((1 + n)**lambda mod n**2) mod n, without remainders."""
    carmichael = math.lcm(P - 1, Q - 1)
    numerator, denominator = ((pow(base, carmichael, SQUARE) - 1) // N for base in (c, 1 + N))
    return centred(numerator * pow(denominator, -1, N))


def world(exponents: range) -> tuple[list[int], list[int]]:
    pairs = list(itertools.product(MESSAGES, exponents))
    return [m for m, _ in pairs], [r for _, r in pairs]


def encrypt(
    key: _core.PaillierPublicKey, messages: list[int], exponents: list[int]
) -> _core.CipherVector:
    return key.encrypt(rows(messages), rows(exponents), ALL_CORES)


def test_there_are_bases_to_try() -> None:
    assert len(BASES) == 8
    assert all(pow(h, 2, p) != 1 for h in BASES for p in (P, Q))


@pytest.mark.parametrize("h", BASES)
@pytest.mark.parametrize("exponent_bits", [HALF_LENGTH, 7])
def test_every_message_and_exponent_encrypts_as_python_integers_do(
    h: int, exponent_bits: int
) -> None:
    messages, exponents = world(range(1 << exponent_bits))
    got = encrypt(public_key(h, exponent_bits), messages, exponents)
    h_s = pow(h, N, SQUARE)
    powers = [pow(h_s, r, SQUARE) for r in range(1 << exponent_bits)]
    expected = [(1 + m * N) * powers[r] % SQUARE for m, r in zip(messages, exponents, strict=True)]
    assert integers(got) == expected
    assert decrypt(got) == messages

    by_primes = private_key(h=h, exponent_bits=exponent_bits).encrypt(
        public_key(h, exponent_bits), rows(messages), rows(exponents), ALL_CORES
    )
    assert integers(by_primes) == expected


def test_exponents_of_full_length_reach_every_randomness_of_the_group() -> None:
    # The base generates the numbers of Jacobi symbol 1: half of the units.
    reached = {h: {pow(h, r, N) for r in range(1 << 7)} for h in BASES}
    assert max(map(len, reached.values())) == len(UNITS) // 2


@pytest.mark.parametrize("exponent_bits", [1, 2, 3, 4, 5, 6])
def test_bits_beyond_the_exponents_length_are_ignored(exponent_bits: int) -> None:
    key = public_key(BASES[0], exponent_bits)
    every = list(range(1 << 7))
    cut = [r % (1 << exponent_bits) for r in every]
    messages = [5] * len(every)
    assert integers(encrypt(key, messages, every)) == integers(encrypt(key, messages, cut))


def test_every_ciphertext_of_the_group_decrypts_by_the_definition() -> None:
    group = [c for c in range(1, SQUARE) if math.gcd(c, N) == 1]
    assert len(group) == N * len(UNITS)
    expected = [decrypted_by_definition(c) for c in group]
    for key in (private_key(P, Q), private_key(Q, P)):
        assert decrypt(read(group), key) == expected
    assert set(expected) == set(MESSAGES)


def test_every_number_is_read_and_written_as_it_is() -> None:
    every = list(range(1, SQUARE))
    assert integers(read(every)) == every
    for outside in (0, SQUARE, SQUARE + 1, 2**64 - 1):
        with pytest.raises(ValueError, match=r"not between 0 and n\^2"):
            read([1, outside])


def test_every_encoding_of_a_public_plaintext() -> None:
    got = public_key(BASES[0], HALF_LENGTH).encode(rows(list(MESSAGES)), ALL_CORES)
    assert integers(got) == [(1 + m * N) % SQUARE for m in MESSAGES]
    assert decrypt(got) == list(MESSAGES)


def test_every_pair_of_messages_sums_under_every_exponent() -> None:
    key = public_key(BASES[0], HALF_LENGTH)
    size = len(MESSAGES)
    left = [a for a in MESSAGES for _ in MESSAGES]
    right = list(MESSAGES) * size
    expected = [centred(a + b) for a, b in zip(left, right, strict=True)]
    for r in range(1 << HALF_LENGTH):
        a = encrypt(key, left, [r] * len(left))
        b = encrypt(key, right, [(5 * r + 3) % (1 << HALF_LENGTH)] * len(right))
        total = a.multiply(b, ALL_CORES)
        assert decrypt(total) == expected
        assert integers(total) == [
            x * y % SQUARE for x, y in zip(integers(a), integers(b), strict=True)
        ]


def test_every_message_times_every_factor() -> None:
    messages = [m for m in MESSAGES for _ in range(N)]
    factors = list(range(N)) * len(MESSAGES)
    c = encrypt(public_key(BASES[0], HALF_LENGTH), messages, [m % 16 for m in messages])
    product = c.power(rows(factors), N.bit_length(), ALL_CORES)
    numbers = integers(c)
    assert integers(product) == [pow(x, k, SQUARE) for x, k in zip(numbers, factors, strict=True)]
    assert decrypt(product) == [centred(m * k) for m, k in zip(messages, factors, strict=True)]


def test_every_ciphertext_has_its_inverse() -> None:
    messages, exponents = world(range(1 << HALF_LENGTH))
    c = encrypt(public_key(BASES[0], HALF_LENGTH), messages, exponents)
    products = c.lane_products()[:, 0]
    inverses = np.zeros((len(products), 2), np.uint64)
    inverses[:, 0] = [pow(int(product), -1, SQUARE) for product in products]
    inverted = c.invert(inverses)
    assert integers(inverted) == [pow(x, -1, SQUARE) for x in integers(c)]
    assert decrypt(inverted) == [-m for m in messages]


@pytest.mark.parametrize("limit", range(LIMIT + 1))
def test_every_limit_tells_the_messages_beyond_it(limit: int) -> None:
    public = public_key(BASES[0], HALF_LENGTH)
    stated = np.array([limit], np.uint64)
    inside = [m for m in MESSAGES if abs(m) <= limit]
    c = encrypt(public, inside, [m % 16 for m in inside])
    key = private_key()
    decrypted = decrypt_rows(key, c, stated, ALL_CORES)
    assert decrypted[:, 0].view(np.int64).tolist() == inside
    for beyond in (m for m in MESSAGES if abs(m) > limit):
        c = encrypt(public, [*inside, beyond], [m % 16 for m in [*inside, beyond]])
        with pytest.raises(BudgetExceeded):
            decrypt_rows(key, c, stated, ALL_CORES)
