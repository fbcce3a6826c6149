"""Time Paillier, a ciphertext, against phe and against textbook Paillier on gmpy2.

Every side encrypts the same signed integers under keys of the same length. The textbook code draws
r and computes (1 + m n) r^n modulo n^2, and decrypts by the Chinese remainder theorem.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gmpy2
import numpy as np
import phe
from gmpy2 import mpz
from harness import Bench, Side, arguments
from numpy.typing import NDArray

from veilsum import paillier


@dataclass(frozen=True)
class Textbook:
    """Paillier as it is taught, on GMP integers."""

    p: mpz
    q: mpz

    @cached_property
    def n(self) -> mpz:
        """Return the modulus."""
        return self.p * self.q

    @cached_property
    def n_squared(self) -> mpz:
        """Return the modulus of the ciphertexts."""
        return self.n**2

    def encrypt(self, message: int) -> mpz:
        """Encrypt one signed integer."""
        r = mpz(secrets.randbelow(int(self.n)))
        return (1 + message * self.n) * gmpy2.powmod(r, self.n, self.n_squared) % self.n_squared

    def decrypt(self, ciphertext: mpz) -> int:
        """Decrypt one signed integer."""
        m_p, m_q = (self._modulo(prime, ciphertext) for prime in (self.p, self.q))
        message = m_q + self.q * ((m_p - m_q) * gmpy2.invert(self.q, self.p) % self.p)
        return int(message - self.n if message > self.n // 2 else message)

    def add(self, a: mpz, b: mpz) -> mpz:
        """Add under encryption."""
        return a * b % self.n_squared

    def multiply(self, a: mpz, scalar: int) -> mpz:
        """Multiply a ciphertext by a signed integer."""
        return gmpy2.powmod(a, scalar, self.n_squared)

    def _modulo(self, prime: mpz, ciphertext: mpz) -> mpz:
        return self._log(prime, ciphertext) * self._scales[prime] % prime

    def _log(self, prime: mpz, ciphertext: mpz) -> mpz:
        return (gmpy2.powmod(ciphertext, prime - 1, prime**2) - 1) // prime

    @cached_property
    def _scales(self) -> dict[mpz, mpz]:
        return {
            prime: gmpy2.invert(self._log(prime, 1 + self.n), prime) for prime in (self.p, self.q)
        }


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library that works on one ciphertext at a time."""

    name: str
    encrypt: Callable[[int], Any]
    decrypt: Callable[[Any], int]
    add: Callable[[Any, Any], Any]
    multiply: Callable[[Any, int], Any]
    bytes: Callable[[Any], int]

    def opened(self, ciphertexts: Sequence[Any]) -> list[int]:
        """Return what the ciphertexts hold."""
        return [int(self.decrypt(ciphertext)) for ciphertext in ciphertexts]


def peers(bits: int) -> list[Peer]:
    """Return phe and the textbook code under one fresh pair of primes."""
    public, private = phe.generate_paillier_keypair(n_length=bits)
    textbook = Textbook(mpz(private.p), mpz(private.q))
    return [
        Peer(
            name="phe",
            encrypt=public.encrypt,
            decrypt=private.decrypt,
            add=lambda a, b: a + b,
            multiply=lambda a, scalar: a * scalar,
            bytes=lambda a: (a.ciphertext(be_secure=False).bit_length() + 7) // 8,
        ),
        Peer(
            name="gmpy2",
            encrypt=textbook.encrypt,
            decrypt=textbook.decrypt,
            add=textbook.add,
            multiply=textbook.multiply,
            bytes=lambda a: (a.bit_length() + 7) // 8,
        ),
    ]


def signed_words(count: int) -> NDArray[np.int64]:
    """Return random signed 32-bit integers."""
    generator = np.random.default_rng(20240917)
    return generator.integers(-(2**31), 2**31, count, dtype=np.int64)


def our_sides(
    public: paillier.PublicKey,
    private: paillier.PrivateKey,
    values: NDArray[np.int64],
    scalars: NDArray[np.int64],
    threads: int,
) -> dict[str, Side[Any]]:
    """Return what veilsum does, by operation."""
    cipher = public.encrypt(values, bound=2.0**31)

    def side(run: Callable[[], paillier.CipherArray], expected: NDArray[np.int64]) -> Side[Any]:
        return Side(
            name="veilsum",
            run=run,
            verify=lambda answer: np.array_equal(private.decrypt(answer), expected),
            items=values.size,
        )

    return {
        "encrypt": side(lambda: public.encrypt(values, bound=2.0**31, threads=threads), values),
        "decrypt": Side(
            name="veilsum",
            run=lambda: private.decrypt(cipher, threads=threads),
            verify=lambda opened: np.array_equal(opened, values),
            items=values.size,
        ),
        "add": side(lambda: cipher + cipher, 2 * values),
        "multiply by 32 bits": side(lambda: cipher * scalars, values * scalars),
    }


def peer_sides(peer: Peer, values: list[int], scalars: list[int]) -> dict[str, Side[Any]]:
    """Return what a peer does, by operation."""
    cipher = list(map(peer.encrypt, values))

    def side(run: Callable[[], list[Any]], expected: list[int]) -> Side[Any]:
        return Side(
            name=peer.name,
            run=run,
            verify=lambda answer: peer.opened(answer) == expected,
            items=len(values),
        )

    return {
        "encrypt": side(lambda: list(map(peer.encrypt, values)), values),
        "decrypt": Side(
            name=peer.name,
            run=lambda: peer.opened(cipher),
            verify=lambda opened: opened == values,
            items=len(values),
        ),
        "add": side(lambda: list(map(peer.add, cipher, cipher)), [2 * value for value in values]),
        "multiply by 32 bits": side(
            lambda: list(map(peer.multiply, cipher, scalars)),
            list(map(int.__mul__, values, scalars)),
        ),
    }


def bench_bytes(
    bench: Bench,
    public: paillier.PublicKey,
    private: paillier.PrivateKey,
    values: NDArray[np.int64],
    peer: Peer,
) -> None:
    """Compare the bytes of a ciphertext."""
    blob = public.encrypt(values, bound=2.0**31).to_bytes()
    opened = private.decrypt(paillier.CipherArray.from_bytes(blob, public))
    bench.record(
        f"a ciphertext, {public.bits} bits",
        "bytes",
        len(blob) / values.size,
        peer.name,
        peer.bytes(peer.encrypt(1)),
        verified=np.array_equal(opened, values),
    )


def bench_keys(bench: Bench, bits: int, count: int, peer_count: int) -> None:
    """Time every operation under keys of one length."""
    values, scalars = signed_words(2 * count).reshape(2, count)
    public, private = paillier.keygen(bits=bits)
    ours = our_sides(public, private, values, scalars, bench.threads)
    for peer in peers(bits):
        theirs = peer_sides(peer, values[:peer_count].tolist(), scalars[:peer_count].tolist())
        for operation, side in ours.items():
            bench.time(f"{operation}, {bits} bits", side, theirs[operation])
        bench_bytes(bench, public, private, values, peer)


def main() -> None:
    """Run the bench."""
    bench = Bench(arguments(__doc__), peers=("phe",))
    for bits in (2048,) if bench.quick else (2048, 3072):
        bench_keys(bench, bits, *((64, 4) if bench.quick else (1024, 16)))
    bench.finish()


if __name__ == "__main__":
    main()
