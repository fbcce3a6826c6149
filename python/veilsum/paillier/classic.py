"""Textbook Paillier on single integers, for programs and libraries that speak it.

Source: Paillier, "Public-key cryptosystems based on composite degree residuosity classes", 1999:
scheme 1 with the base ``g = 1 + n``, and section 7 for decryption by the Chinese remainder theorem.
The ciphertext of m is ``(1 + m n) r**n mod n**2`` for a uniform unit r modulo n: no base has to
travel with the key, and the only assumption is decisional composite residuosity.

Exponentiations that see a secret run in the compiled core, in time that depends on lengths alone;
what is around them, in GMP and in Python, does not promise that. The core raises several numbers at
once for the price of one, so randomness for a few encryptions is made together and used once each,
by the process that made it. Arrays are encrypted many times faster by
`veilsum.paillier.PublicKey`.

Everything takes Python integers, or what converts to them exactly (gmpy2's mpz, NumPy's integers),
and returns Python integers.
"""

import operator
import os
from collections.abc import Sequence
from typing import Any, NoReturn, SupportsIndex

import gmpy2
import numpy as np
from gmpy2 import mpz

from veilsum import _core, randomness
from veilsum.errors import InvalidCiphertext, InvalidKey
from veilsum.paillier.compiled import OfProcess, decrypt_rows, private_core, public_core
from veilsum.paillier.limbs import from_signed_words, from_words, to_words, word_count

__all__ = ["PrivateKey", "PublicKey", "random_primes"]

_SHORTEST_BITS = 6  # 35 = 5 * 7 is the least modulus without a factor in common with its totient
_PRIMALITY_ROUNDS = 25


class PublicKey:
    """Encrypts integers modulo n, and computes with what was encrypted.

    Parameters
    ----------
    n : int
        The modulus: odd, at least 3, of any length. That it is a product of two large primes is for
        the caller to know.

    Raises
    ------
    InvalidKey
        If n is even or below 3.

    Examples
    --------
    >>> private = PrivateKey(293, 433)
    >>> public = PublicKey(293 * 433)
    >>> c = public.add(public.encrypt(1000), public.encrypt(337))
    >>> private.decrypt(public.multiply(c, 2))
    2674
    """

    __slots__ = ("_compiled", "_n", "_process", "_residues", "_square")

    def __init__(self, n: SupportsIndex) -> None:
        modulus = mpz(operator.index(n))
        if modulus < 3 or modulus % 2 == 0:
            raise InvalidKey("n: it is even or below 3; expected a product of two odd primes")
        self._n = modulus
        self._square = modulus * modulus
        self._compiled = OfProcess(lambda: public_core(int(modulus), 1, exponent_bits=1))
        self._residues: list[mpz] = []
        self._process = os.getpid()

    @property
    def _core(self) -> _core.PaillierPublicKey:
        return self._compiled.get()

    @property
    def n(self) -> int:
        """The modulus."""
        return int(self._n)

    def encrypt(self, m: SupportsIndex, r: SupportsIndex | None = None) -> int:
        """Encrypt one integer.

        Parameters
        ----------
        m : int
            Taken modulo n.
        r : int, optional
            A unit modulo n, for tests and other libraries' vectors. Whoever knows it decrypts, and
            to use it twice tells the difference of two plaintexts. Drawn afresh unless given.

        Raises
        ------
        ValueError
            If r has a factor in common with n.
        """
        residue = self._fresh_residue() if r is None else self._residue(mpz(operator.index(r)))
        return int(self._encode(m) * residue % self._square)

    def rerandomize(self, c: SupportsIndex) -> int:
        """Encrypt anew: the same plaintext, and a ciphertext that cannot be linked to `c`.

        Raises
        ------
        InvalidCiphertext
            If `c` is not between 0 and n**2.
        """
        return int(self._group_element(c) * self._fresh_residue() % self._square)

    def add(self, a: SupportsIndex, b: SupportsIndex) -> int:
        """Encrypt the sum of what two ciphertexts hold, without fresh randomness.

        Raises
        ------
        InvalidCiphertext
            If one is not between 0 and n**2.
        """
        return int(self._group_element(a) * self._group_element(b) % self._square)

    def add_plain(self, c: SupportsIndex, m: SupportsIndex) -> int:
        """Add an integer to what a ciphertext holds, without fresh randomness.

        Parameters
        ----------
        c : int
            A ciphertext; 1 is one of zero, so ``add_plain(1, m)`` is m in the open.
        m : int
            Taken modulo n.

        Raises
        ------
        InvalidCiphertext
            If `c` is not between 0 and n**2.
        """
        return int(self._group_element(c) * self._encode(m) % self._square)

    def multiply(self, c: SupportsIndex, k: SupportsIndex) -> int:
        """Multiply what a ciphertext holds by a public integer, without fresh randomness.

        Parameters
        ----------
        c : int
            A ciphertext.
        k : int
            Of any sign; the time depends on it.

        Raises
        ------
        InvalidCiphertext
            If `c` is not between 0 and n**2, or k is negative and `c` is not coprime to n.
        """
        base, factor = self._group_element(c), operator.index(k)
        if factor < 0:
            base, factor = self._inverse(base), -factor
        return int(gmpy2.powmod(base, factor, self._square))

    def random_unit(self) -> int:
        """Draw a unit modulo n, uniformly: what `encrypt` takes for r."""
        return int(self._random_unit())

    def _encode(self, m: SupportsIndex) -> mpz:
        return 1 + operator.index(m) % self._n * self._n

    def _fresh_residue(self) -> mpz:
        if self._process != os.getpid():
            # The process that this one was forked from may use what it made.
            self._residues, self._process = [], os.getpid()
        try:
            return self._residues.pop()
        except IndexError:
            lanes = _core.kernel_info()["lanes"]
            made = self._powers([self._random_unit() for _ in range(lanes)])
            fresh = made.pop()
            self._residues.extend(made)
            return fresh

    def _powers(self, roots: Sequence[mpz]) -> list[mpz]:
        """Raise to the n-th power, in time that depends on lengths alone."""
        words = word_count(int(self._n))
        rows = np.stack([to_words(int(root), words) for root in roots])
        residues = self._core.residues(rows, 1).to_words(1)
        try:
            return [mpz(from_words(row)) for row in residues]
        finally:
            randomness.wipe(rows)
            randomness.wipe(residues)

    def _random_unit(self) -> mpz:
        while True:
            r = mpz(randomness.random_below(int(self._n)))
            # The time of Euclid's algorithm depends on its input: it sees r under a mask only.
            mask = randomness.random_below(int(self._n))
            if gmpy2.gcd(r * mask % self._n, self._n) == 1:
                return r

    def _residue(self, r: mpz) -> mpz:
        if gmpy2.gcd(r, self._n) != 1:
            raise ValueError("r: it has a factor in common with n; leave it out to have one drawn")
        return self._powers([r % self._n])[0]

    def _group_element(self, c: SupportsIndex) -> mpz:
        element = mpz(operator.index(c))
        if not 0 < element < self._square:
            raise InvalidCiphertext(
                "ciphertext: it is not between 0 and n**2; use the key that it was made with"
            )
        return element

    def _inverse(self, element: mpz) -> mpz:
        try:
            return gmpy2.invert(element, self._square)
        except ZeroDivisionError:
            raise InvalidCiphertext("ciphertext: it is not coprime to n") from None

    def __repr__(self) -> str:
        return f"PublicKey({self._n.bit_length()} bits)"

    def __reduce__(self) -> tuple[Any, ...]:
        return PublicKey, (self.n,)


class PrivateKey:
    """Decrypts integers; redacted in repr, refuses to pickle.

    Parameters
    ----------
    p, q : int
        Different odd primes.

    Raises
    ------
    InvalidKey
        If they are equal, or one is even or not prime.
    """

    __slots__ = ("_compiled", "public_key")

    def __init__(self, p: SupportsIndex, q: SupportsIndex) -> None:
        first, second = mpz(operator.index(p)), mpz(operator.index(q))
        if first == second:
            raise InvalidKey("p, q: they are equal; expected two different primes")
        for prime in (first, second):
            if prime < 3 or not gmpy2.is_prime(prime, _PRIMALITY_ROUNDS):
                raise InvalidKey("p, q: one is not an odd prime")
        self.public_key = PublicKey(first * second)
        self._compiled = OfProcess(
            lambda: private_core(int(first), int(second), 1, exponent_bits=1)
        )

    def decrypt(self, c: SupportsIndex) -> int:
        """Decrypt one ciphertext.

        Returns
        -------
        int
            From 0 to n - 1.

        Raises
        ------
        InvalidCiphertext
            If `c` is not between 0 and n**2 or not coprime to n.
        FaultDetected
            If the computation went wrong.
        """
        public = self.public_key
        element = public._group_element(c)
        if gmpy2.gcd(element, public._n) != 1:
            raise InvalidCiphertext("ciphertext: it is not coprime to n")
        words = word_count(public.n)
        row = to_words(int(element), 2 * words).reshape(1, -1)
        # Two's complement has room for every plaintext in one word more.
        limit = to_words(public.n, words + 1)
        opened = decrypt_rows(self._compiled.get(), public._core.from_words(row, 1), limit, 1)
        try:
            return from_signed_words(opened[0]) % public.n
        finally:
            randomness.wipe(opened)

    def __repr__(self) -> str:
        return f"PrivateKey(<redacted>, of {self.public_key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not pickle; store its primes, and keep them secret")


def random_primes(bits: SupportsIndex) -> tuple[int, int]:
    """Draw the primes of a key.

    Each is the first prime from a random start on: the incremental search of Brandt and Damgard,
    "On generation of probable primes by incremental search", 1992.

    Parameters
    ----------
    bits : int
        Length of their product, at least 6; 3072 gives 128-bit strength, 2048 gives 112.

    Returns
    -------
    tuple of int
        Different, of half the length each, without a factor in common with ``(p-1)(q-1)``.

    Raises
    ------
    ValueError
        If `bits` is below 6.

    Examples
    --------
    >>> p, q = random_primes(128)
    >>> (p * q).bit_length()
    128
    """
    length = operator.index(bits)
    if length < _SHORTEST_BITS:
        raise ValueError(f"bits: got {length}, expected at least {_SHORTEST_BITS}")
    half = length // 2
    while True:
        start_p, start_q = randomness.random_bits(length - half), randomness.random_bits(half)
        # No search for primes from where the product would be too short.
        if (start_p * start_q).bit_length() != length:
            continue
        p, q = gmpy2.next_prime(start_p - 1), gmpy2.next_prime(start_q - 1)
        lengths_hold = p.bit_length() == length - half and q.bit_length() == half
        if lengths_hold and p != q and gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1:
            return int(p), int(q)
