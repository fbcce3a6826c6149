"""Textbook Paillier on single integers: the definition, randomness, key generation, every error."""

import copy
import math
import os
import pickle
from collections.abc import Callable
from typing import Any

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpz

from veilsum import randomness
from veilsum.errors import InvalidCiphertext, InvalidKey
from veilsum.paillier import classic
from veilsum.paillier.classic import PrivateKey, PublicKey, random_primes

P, Q = random_primes(512)
N = P * Q
SQUARE = N * N


@pytest.fixture(scope="module")
def public() -> PublicKey:
    return PublicKey(N)


@pytest.fixture(scope="module")
def private() -> PrivateKey:
    return PrivateKey(P, Q)


def decrypted_by_definition(c: int) -> int:
    """L(c**lambda mod n**2) / L((1 + n)**lambda mod n**2) mod n, without remainders."""
    carmichael = math.lcm(P - 1, Q - 1)
    numerator, denominator = ((pow(base, carmichael, SQUARE) - 1) // N for base in (c, 1 + N))
    return numerator * pow(denominator, -1, N) % N


class TestScheme:
    @pytest.mark.parametrize("m", [0, 1, 12345, N // 2, N - 1])
    def test_encryption_and_decryption_follow_the_definition(
        self, public: PublicKey, private: PrivateKey, m: int
    ) -> None:
        assert public.encrypt(m, 77) == (1 + m * N) * pow(77, N, SQUARE) % SQUARE
        c = public.encrypt(m)
        assert decrypted_by_definition(c) == private.decrypt(c) == m

    @pytest.mark.parametrize("m", [-1, -12345, N, N + 3, 10 * N])
    def test_messages_are_taken_modulo_n(
        self, public: PublicKey, private: PrivateKey, m: int
    ) -> None:
        assert private.decrypt(public.encrypt(m)) == m % N
        assert private.decrypt(public.add_plain(public.encrypt(5), m)) == (m + 5) % N

    def test_a_key_from_its_primes_in_either_order_decrypts(self, public: PublicKey) -> None:
        c = public.encrypt(1234)
        assert PrivateKey(P, Q).decrypt(c) == PrivateKey(Q, P).decrypt(c) == 1234

    @pytest.mark.parametrize("primes", [(3, 7), (5, 7), (293, 433), (3, 2**127 - 1)])
    def test_tiny_and_uneven_primes_serve(self, primes: tuple[int, int]) -> None:
        key = PrivateKey(*primes)
        for m in range(min(key.public_key.n, 50)):
            c = key.public_key.multiply(key.public_key.encrypt(m), -3)
            assert key.decrypt(c) == -3 * m % key.public_key.n

    def test_numbers_come_back_as_python_integers(
        self, public: PublicKey, private: PrivateKey
    ) -> None:
        c = public.encrypt(mpz(5), mpz(77))
        results = [
            c,
            public.n,
            public.add(mpz(c), c),
            public.add_plain(mpz(c), np.int64(3)),
            public.multiply(mpz(c), mpz(-3)),
            public.rerandomize(mpz(c)),
            public.random_unit(),
            private.decrypt(mpz(c)),
        ]
        assert {type(result) for result in results} == {int}
        assert PublicKey(mpz(N)).n == PrivateKey(mpz(P), mpz(Q)).public_key.n == N

    @pytest.mark.parametrize("c", [0, -1, SQUARE, SQUARE + 1, 2 * SQUARE])
    def test_numbers_outside_of_the_group_are_refused(
        self, public: PublicKey, private: PrivateKey, c: int
    ) -> None:
        operations: list[Callable[[], int]] = [
            lambda: public.add(c, 1),
            lambda: public.add(1, c),
            lambda: public.add_plain(c, 1),
            lambda: public.multiply(c, 2),
            lambda: public.rerandomize(c),
            lambda: private.decrypt(c),
        ]
        for operation in operations:
            with pytest.raises(InvalidCiphertext, match=r"not between 0 and n\*\*2"):
                operation()

    @pytest.mark.parametrize("c", [P, Q, N, P * P, Q * N])
    def test_multiples_of_a_prime_are_refused_where_they_would_leak_it(
        self, public: PublicKey, private: PrivateKey, c: int
    ) -> None:
        with pytest.raises(InvalidCiphertext, match="not coprime") as decrypting:
            private.decrypt(c)
        with pytest.raises(InvalidCiphertext, match="not coprime") as inverting:
            public.multiply(c, -1)
        for error in (decrypting, inverting):
            assert not any(str(number) in str(error.value) for number in (P, Q, c))

    @pytest.mark.parametrize("junk", [1.0, "1", b"1", np.float64(1), 1j, [1]])
    def test_what_is_no_integer_is_refused(
        self, public: PublicKey, private: PrivateKey, junk: Any
    ) -> None:
        operations: list[Callable[[], Any]] = [
            lambda: PublicKey(junk),
            lambda: PrivateKey(junk, 7),
            lambda: PrivateKey(7, junk),
            lambda: random_primes(junk),
            lambda: public.encrypt(junk),
            lambda: public.encrypt(1, junk),
            lambda: public.add(1, junk),
            lambda: public.add_plain(1, junk),
            lambda: public.multiply(1, junk),
            lambda: public.rerandomize(junk),
            lambda: private.decrypt(junk),
        ]
        for operation in operations:
            with pytest.raises(TypeError):
                operation()


class TestRandomness:
    def test_every_encryption_is_another_ciphertext(self, public: PublicKey) -> None:
        assert len({public.encrypt(7) for _ in range(50)}) == 50
        c = public.encrypt(7)
        assert len({public.rerandomize(c) for _ in range(50)} | {c}) == 51

    def test_an_r_that_is_no_unit_is_refused_without_being_shown(self, public: PublicKey) -> None:
        for r in (0, P, 3 * Q, N):
            with pytest.raises(ValueError, match=r"^r: it has a factor") as refused:
                public.encrypt(7, r)
            assert r == 0 or str(r) not in str(refused.value)

    def test_units_are_drawn_uniformly_and_nothing_else(self) -> None:
        public = PublicKey(35)
        drawn = [public.random_unit() for _ in range(4800)]
        counts = {r: drawn.count(r) for r in range(35)}
        units = [r for r in range(35) if math.gcd(r, 35) == 1]
        assert {r for r in counts if counts[r]} == set(units)
        # 200 each are expected, with a standard deviation below 14: six of them.
        assert all(abs(counts[r] - 200) < 84 for r in units)

    def test_randomness_comes_from_the_one_source(self, public: PublicKey) -> None:
        with randomness._test_source(lambda count: bytes([0x5A]) * count):
            c, r = PublicKey(public.n).encrypt(7), public.random_unit()
        assert c == public.encrypt(7, r)

    def test_randomness_is_used_once(self, public: PublicKey) -> None:
        assert len({public.encrypt(0) for _ in range(40)}) == 40

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_process_makes_its_own_randomness(self) -> None:
        public = PublicKey(math.prod(random_primes(256)))
        public.encrypt(0)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, public.encrypt(0).to_bytes(64, "big"))
            os._exit(0)
        theirs = int.from_bytes(os.read(reading, 64), "big")
        os.waitpid(child, 0)
        assert theirs not in {public.encrypt(0) for _ in range(20)}

    def test_secrets_are_raised_to_powers_in_constant_time_only(
        self, public: PublicKey, private: PrivateKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("the time of this function depends on its arguments")

        monkeypatch.setattr(gmpy2, "powmod", refuse)
        c = public.rerandomize(public.encrypt(7))
        assert private.decrypt(c) == 7
        with pytest.raises(AssertionError):
            public.multiply(c, 3)


class TestKeys:
    @pytest.mark.parametrize("n", [-35, 0, 1, 2, 4, 36, N + 1])
    def test_moduli_that_are_even_or_below_three_are_refused(self, n: int) -> None:
        with pytest.raises(InvalidKey, match=r"^n: it is even or below 3"):
            PublicKey(n)

    def test_equal_primes_are_refused(self) -> None:
        with pytest.raises(InvalidKey, match=r"^p, q: they are equal"):
            PrivateKey(P, P)

    @pytest.mark.parametrize(
        ("p", "q"),
        [(2, 5), (5, 2), (1, 35), (35, 1), (-5, -7), (9, 35), (P, 561), (P * P, Q), (0, 7)],
    )
    def test_numbers_that_are_no_odd_primes_are_refused(self, p: int, q: int) -> None:
        with pytest.raises(InvalidKey, match=r"^p, q: one is not an odd prime"):
            PrivateKey(p, q)

    def test_private_keys_show_and_pickle_nothing(self, private: PrivateKey) -> None:
        assert repr(private) == "PrivateKey(<redacted>, of PublicKey(512 bits))"
        for copying in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="does not pickle"):
                copying(private)

    def test_public_keys_pickle(self, public: PublicKey, private: PrivateKey) -> None:
        again = pickle.loads(pickle.dumps(public))  # noqa: S301
        assert again.n == N
        assert private.decrypt(again.encrypt(7)) == 7


class TestRandomPrimes:
    @pytest.mark.parametrize("bits", [*range(6, 40), 64, 127, 128, 255, 256])
    def test_the_product_has_the_length_asked_for(self, bits: int) -> None:
        for _ in range(3):
            p, q = random_primes(bits)
            assert (p * q).bit_length() == bits
            assert p != q
            assert p.bit_length() - q.bit_length() == bits % 2
            assert all(gmpy2.is_prime(prime) for prime in (p, q))
            assert math.gcd(p * q, (p - 1) * (q - 1)) == 1

    @pytest.mark.parametrize("bits", [-1, 0, 1, 4, 5])
    def test_lengths_without_a_key_are_refused(self, bits: int) -> None:
        with pytest.raises(ValueError, match=f"^bits: got {bits}, expected at least 6"):
            random_primes(bits)

    def test_primes_come_from_the_one_source(self) -> None:
        def repeatable() -> tuple[int, int]:
            counter = iter(range(10**6))
            with randomness._test_source(
                lambda count: bytes((next(counter) * 151 + i * 89) % 256 for i in range(count))
            ):
                return classic.random_primes(64)

        assert repeatable() == repeatable()
        assert len({random_primes(64) for _ in range(20)}) == 20
