"""Textbook Paillier over n = 35 = 5 * 7: every message, unit, ciphertext, sum and product.

As 35 has no factor in common with its totient, 24, every unit modulo 35**2 is the ciphertext of
exactly one message under exactly one unit.
"""

import itertools
import math

import pytest

from veilsum.errors import InvalidCiphertext
from veilsum.paillier.classic import PrivateKey, PublicKey

P, Q = 5, 7
N = P * Q
SQUARE = N * N
MESSAGES = range(N)
UNITS = [r for r in range(1, N) if math.gcd(r, N) == 1]
GROUP = [c for c in range(1, SQUARE) if math.gcd(c, N) == 1]

PUBLIC = PublicKey(N)
PLAINTEXTS = {
    (1 + m * N) * pow(r, N, SQUARE) % SQUARE: m for m, r in itertools.product(MESSAGES, UNITS)
}


def test_the_definition_makes_every_unit_a_ciphertext_of_one_message() -> None:
    assert sorted(PLAINTEXTS) == GROUP
    assert len(GROUP) == N * len(UNITS)


def test_every_message_and_unit_encrypts_by_the_definition() -> None:
    for m, r in itertools.product(range(-N, 2 * N), UNITS):
        assert PUBLIC.encrypt(m, r) == (1 + m * N) * pow(r, N, SQUARE) % SQUARE


@pytest.mark.parametrize("r", [r for r in range(-1, 2 * N) if math.gcd(r, N) != 1])
def test_no_message_is_encrypted_with_what_is_no_unit(r: int) -> None:
    for m in MESSAGES:
        with pytest.raises(ValueError, match="factor in common with n"):
            PUBLIC.encrypt(m, r)


@pytest.mark.parametrize("private", [PrivateKey(P, Q), PrivateKey(Q, P)])
def test_every_ciphertext_decrypts_to_its_message(private: PrivateKey) -> None:
    assert {c: private.decrypt(c) for c in GROUP} == PLAINTEXTS


def test_every_number_that_is_no_ciphertext_is_refused() -> None:
    private = PrivateKey(P, Q)
    for c in set(range(-SQUARE, 2 * SQUARE)) - set(GROUP):
        with pytest.raises(InvalidCiphertext):
            private.decrypt(c)


def test_every_pair_of_ciphertexts_adds_up() -> None:
    for a, b in itertools.combinations_with_replacement(GROUP, 2):
        total = PUBLIC.add(a, b)
        assert total == a * b % SQUARE
        assert PLAINTEXTS[total] == (PLAINTEXTS[a] + PLAINTEXTS[b]) % N


def test_every_ciphertext_takes_every_summand_and_factor() -> None:
    for c, k in itertools.product(GROUP, range(-N, N + 1)):
        assert PUBLIC.add_plain(c, k) == c * (1 + k * N) % SQUARE
        assert PLAINTEXTS[PUBLIC.add_plain(c, k)] == (PLAINTEXTS[c] + k) % N
        assert PUBLIC.multiply(c, k) == pow(c, k, SQUARE)
        assert PLAINTEXTS[PUBLIC.multiply(c, k)] == PLAINTEXTS[c] * k % N


def test_every_message_reaches_every_one_of_its_ciphertexts() -> None:
    for m in MESSAGES:
        expected = {c for c, plaintext in PLAINTEXTS.items() if plaintext == m}
        encrypted = {PUBLIC.encrypt(m) for _ in range(800)}
        rerandomized = {PUBLIC.rerandomize(PUBLIC.add_plain(1, m)) for _ in range(800)}
        # One of 24 is missed with probability below 1e-9, in any of 35 messages.
        assert encrypted == rerandomized == expected
