"""Keys as the compiled core takes them, and decryption with its random inputs.

Whatever is secret crosses as words that are wiped afterwards; Python's own integers cannot be.
"""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from veilsum import _core, randomness
from veilsum.errors import BudgetExceeded, FaultDetected
from veilsum.paillier.limbs import to_words, word_count

Core = TypeVar("Core")


class OfProcess(Generic[Core]):
    """A compiled key, made when it is first asked for, and anew in a process that was forked.

    Parent and child then share neither blinding nor a lock that another thread held at the fork.
    """

    __slots__ = ("_core", "_make", "_process")

    def __init__(self, make: Callable[[], Core]) -> None:
        self._make = make
        self._core: Core | None = None
        self._process = 0

    def get(self) -> Core:
        """Return this process' key."""
        core = self._core
        if core is None or self._process != os.getpid():
            core = self._make()
            self._core, self._process = core, os.getpid()
        return core


def public_core(n: int, h: int, *, exponent_bits: int) -> _core.PaillierPublicKey:
    """Hand over n and the base ``h_s = h**n mod n**2`` of the randomness."""
    words = word_count(n)
    h_s = gmpy2.powmod(h, n, mpz(n) ** 2)
    inverse = gmpy2.invert(h_s, n)
    return _core.PaillierPublicKey(
        to_words(n, words),
        to_words(int(h_s), 2 * words),
        to_words(int(inverse), words),
        exponent_bits,
    )


def private_core(p: int, q: int, h: int, *, exponent_bits: int) -> _core.PaillierPrivateKey:
    """Hand over the primes, what follows from them, and the base of the randomness."""
    words = max(word_count(p), word_count(q))
    halves = [_half(mpz(p), mpz(q), h, words), _half(mpz(q), mpz(p), h, words)]
    numbers = [
        *(column for pair in zip(*halves, strict=True) for column in pair),
        to_words(int(gmpy2.invert(q, p)), words),
        to_words(int(gmpy2.invert(mpz(p) ** 2, mpz(q) ** 2)), 2 * words),
    ]
    try:
        return _core.PaillierPrivateKey(exponent_bits, *numbers)
    finally:
        for number in numbers:
            randomness.wipe(number)


def _half(prime: mpz, other: mpz, h: int, words: int) -> list[NDArray[np.uint64]]:
    """Return a prime, 1 / -other modulo it, units for blinding, h_s modulo its square, 1 / h_s."""
    h_s = gmpy2.powmod_sec(h % prime**2, prime * other, prime**2)
    lanes = _core.kernel_info()["lanes"]
    units = [to_words(1 + randomness.random_below(int(prime) - 1), words) for _ in range(lanes)]
    return [
        to_words(int(prime), words),
        to_words(int(gmpy2.invert(-other, prime)), words),
        np.stack(units),
        to_words(int(h_s), 2 * words),
        to_words(int(gmpy2.invert(h_s, prime)), words),
    ]


def decrypt_rows(
    core: _core.PaillierPrivateKey,
    vector: _core.CipherVector,
    limit: NDArray[np.uint64],
    threads: int,
) -> NDArray[np.uint64]:
    """Decrypt into rows of words in two's complement, as many as `limit` has.

    Raises
    ------
    BudgetExceeded
        If a plaintext's magnitude is beyond `limit`.
    FaultDetected
        If the computation went wrong.
    """
    check = randomness.random_bytes(8 * core.check_words(len(vector))).view(np.uint64)
    try:
        status, rows = core.decrypt(vector, limit, check, threads)
    finally:
        randomness.wipe(check)
    if status == "fault":
        raise FaultDetected(
            "decryption: the computation went wrong and nothing is released, since a wrong answer "
            "could give the key away; try again, and distrust this machine"
        )
    if status != "good":
        raise beyond_limit()
    return rows


def beyond_limit() -> BudgetExceeded:
    """Say that a plaintext is not within the limit that its array states."""
    return BudgetExceeded(
        "ciphertexts: a plaintext is beyond the bound that the array states; "
        "the array was altered, or encrypted with another encoding"
    )
