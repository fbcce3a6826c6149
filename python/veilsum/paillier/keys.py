"""Paillier keys: generation, validation, encryption and decryption of arrays.

Sources: Paillier, "Public-key cryptosystems based on composite degree residuosity classes", 1999
(scheme; section 7: decryption by the Chinese remainder theorem). Damgard, Jurik, Nielsen, "A
generalization of Paillier's public-key system with applications to electronic voting", 2010,
section 4.2 (randomness ``h_s**r`` with an exponent of half the modulus' length).

Encryption is semantically secure under two assumptions: decisional composite residuosity, and that
``h_s**r`` with half-length ``r`` cannot be told from a random n-th residue (Goldreich and Rosen,
2003). Bytes of keys follow the header of `veilsum.wire`: a public key is n, h; a private key is
p, q, h, each an integer.
"""

import functools
import hashlib
import operator
import warnings
from typing import Any, NoReturn, Self

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core, randomness
from veilsum.encoding import FixedPoint, exact_array
from veilsum.errors import (
    BudgetExceeded,
    InsecureKeyWarning,
    InvalidKey,
    KeyMismatch,
)
from veilsum.paillier.arrays import CipherArray
from veilsum.paillier.limbs import (
    from_rows,
    signed_limbs,
    to_rows,
    to_words,
)
from veilsum.threads import thread_count
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = ["PrivateKey", "PublicKey", "keygen"]

_SECURE_BITS = 2048
_SMALLEST_BITS = 128
_LARGEST_BITS = 8192
_SMALL_FACTORS = 1 << 20
_PRIMALITY_ROUNDS = 64
_INTEGER_BOUND = 2.0**53
_FLOAT_BOUND = 2.0**20


class PublicKey:
    """Encrypts arrays.

    Parameters
    ----------
    n : int
        The modulus, a product of two primes, of 2048 to 8192 bits in multiples of 64.
    h : int
        The base of the randomness, ``-x**2 mod n`` for a random x; ``h**n mod n**2`` is recomputed,
        never accepted.
    insecure : bool
        Accept a modulus from 128 bits, with an `InsecureKeyWarning`.

    Raises
    ------
    InvalidKey
        If n is even, prime, a perfect power, of another length or has a factor below 2**20, or if
        h is not a unit of Jacobi symbol 1 whose square differs from 1 modulo both primes. That n
        has exactly two prime factors cannot be seen from n.

    Notes
    -----
    Making the first ciphertext builds a table of powers of h of 4 MB (2048 bits) to 9 MB (3072).
    """

    __slots__ = ("_core_key", "fingerprint", "h", "n")

    n: int
    h: int
    fingerprint: bytes
    _core_key: "_core.PaillierPublicKey | None"

    def __init__(self, n: int, h: int, *, insecure: bool = False) -> None:
        n, h = operator.index(n), operator.index(h)
        _check_length(n)
        _check_strength(n, insecure=insecure)
        _check_modulus(n)
        _check_base(n, h)
        numbers = length_prefixed(b"veilsum/v1 paillier public key", _magnitude(n), _magnitude(h))
        _set(self, n=n, h=h, fingerprint=hashlib.sha256(numbers).digest(), _core_key=None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a key does not change; make another one")

    @property
    def bits(self) -> int:
        """The length of n in bits."""
        return self.n.bit_length()

    @property
    def plaintext_limit(self) -> int:
        """The largest magnitude of a plaintext integer, ``(n - 1) // 2``."""
        return (self.n - 1) // 2

    def encrypt(
        self,
        values: ArrayLike,
        *,
        encoding: FixedPoint | None = None,
        fraction_bits: int = 32,
        bound: float | None = None,
        threads: int | None = None,
    ) -> CipherArray:
        """Encrypt an array.

        The compiled part runs in time that does not depend on the values; turning numbers into
        integers before it, in NumPy and Python, does not promise that.

        Parameters
        ----------
        values : array_like
            Real numbers of any shape. Integers are kept whole (scale 1); floats become multiples of
            ``2**-fraction_bits``, rounded half to even.
        encoding : FixedPoint, optional
            Scale and bound, instead of `fraction_bits` and `bound`.
        fraction_bits : int
            For floats; 32 unless given.
        bound : float, optional
            The largest magnitude accepted, public: 2**53 for integers and 2**20 for floats unless
            given. It starts the budget that every operation on the ciphertexts draws on.
        threads : int, optional
            All cores unless given.

        Returns
        -------
        CipherArray
            Of the shape of `values`. Shape, scale and bound are public.

        Raises
        ------
        BudgetExceeded
            If a value is NaN, infinite or beyond the bound, or the bound is beyond the key.
        TypeError
            If `values` are not real numbers.
        """
        array = exact_array(values)
        if encoding is None:
            encoding = _default_encoding(array, fraction_bits, bound)
        integers = encoding.quantise(array)
        limit = self._require_capacity(encoding.limit)
        vector = self._encrypt_integers(integers, limit, threads)
        return CipherArray(self, vector, shape=array.shape, scale=encoding.scale, limit=limit)

    def _encrypt_integers(
        self, integers: NDArray[Any], limit: int, threads: int | None
    ) -> "_core.CipherVector":
        workers = thread_count(threads)
        words = self._core.exponent_words
        exponents = randomness.random_bytes(8 * words * integers.size)
        rows = to_rows(integers, signed_limbs(limit))
        try:
            return self._core.encrypt(
                rows, exponents.view(np.uint64).reshape(integers.size, words), workers
            )
        finally:
            randomness.wipe(exponents)
            randomness.wipe(rows)

    def _require_capacity(self, limit: int) -> int:
        if limit > self.plaintext_limit:
            raise BudgetExceeded(
                f"bound: needs {limit.bit_length()} bits, the {self.bits}-bit key holds "
                f"{self.bits - 2}; lower the bound or the scale, or use a longer key"
            )
        return limit

    @property
    def _core(self) -> "_core.PaillierPublicKey":
        if self._core_key is None:
            count = _word_count(self.n)
            n_squared = gmpy2.mpz(self.n) ** 2
            h_s = int(gmpy2.powmod(self.h, self.n, n_squared))
            core = _core.PaillierPublicKey(
                to_words(self.n, count), to_words(h_s, 2 * count), (self.bits + 1) // 2
            )
            _set(self, _core_key=core)
            return core
        return self._core_key

    def to_bytes(self) -> bytes:
        """Write n and h."""
        writer = Writer(Kind.PUBLIC_KEY)
        writer.integer(self.n)
        writer.integer(self.h)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes, *, insecure: bool = False) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidKey
            If the numbers are no key, as for the class.
        """
        reader = Reader(data, Kind.PUBLIC_KEY)
        n = reader.integer(max_bytes=_LARGEST_BITS // 8)
        h = reader.integer(max_bytes=_LARGEST_BITS // 8)
        reader.finish()
        return cls(n, h, insecure=insecure)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicKey):
            return NotImplemented
        return self.n == other.n and self.h == other.h

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"PublicKey({self.bits} bits, fingerprint {self.fingerprint.hex()[:16]})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_public_key, (self.to_bytes(), self.bits < _SECURE_BITS)


class PrivateKey:
    """Decrypts arrays; made by `keygen` or `from_bytes`, redacted in repr, refuses to pickle.

    Parameters
    ----------
    p, q : int
        Different primes of the same length, both 3 modulo 4.
    h : int
        Of the public key.
    insecure : bool
        As for `PublicKey`.

    Raises
    ------
    InvalidKey
        If p or q is not prime (64 rounds and a Lucas test) or not 3 modulo 4, if they are equal, of
        different length or closer than ``2**(bits/2 - 100)``, or if gcd(p-1, q-1) != 2 or
        gcd(n, (p-1)(q-1)) != 1; and as for `PublicKey`.
    """

    __slots__ = ("_core_key", "_p", "_q", "public_key")

    public_key: PublicKey
    _p: int
    _q: int
    _core_key: _core.PaillierPrivateKey

    def __init__(self, p: int, q: int, h: int, *, insecure: bool = False) -> None:
        p, q = operator.index(p), operator.index(q)
        _check_length(p * q)
        _check_primes(p, q)
        public_key = PublicKey(p * q, h, insecure=insecure)
        _set(self, public_key=public_key, _p=p, _q=q, _core_key=_core_private_key(p, q))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a key does not change; make another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # A key is one object: tools that copy their parameters need no second copy of a secret.
        return self

    def decrypt(self, ciphertexts: CipherArray, *, threads: int | None = None) -> NDArray[Any]:
        """Decrypt an array.

        The compiled part runs in time that depends on sizes and the limit only; turning integers
        wider than 64 bits into floats after it, in Python, does not promise that.

        Parameters
        ----------
        ciphertexts : CipherArray
            Under this key.
        threads : int, optional
            All cores unless given.

        Returns
        -------
        NDArray
            Of the shape of `ciphertexts`. With scale 1: int64, or Python integers (dtype object)
            where the limit is 2**63 or more. Else float64, correctly rounded.

        Raises
        ------
        KeyMismatch
            If they are under another key.
        BudgetExceeded
            If a plaintext is beyond the bound that the array states: it was not made by these
            operations, or was altered. Nothing of the array is returned.
        OverflowError
            If the scale is not 1 and a result is beyond float64.
        """
        if not isinstance(ciphertexts, CipherArray):
            raise TypeError(f"ciphertexts: got {type(ciphertexts).__name__}, expected CipherArray")
        if ciphertexts.public_key != self.public_key:
            raise KeyMismatch("ciphertexts: they are under another key; use the key that made them")
        limit = ciphertexts.limit
        rows = self._core_key.decrypt(
            ciphertexts.vector, to_words(limit, signed_limbs(limit)), thread_count(threads)
        )
        if rows is None:
            raise BudgetExceeded(
                "ciphertexts: a plaintext is beyond the bound that the array states; "
                "the array was altered, or encrypted with another encoding"
            )
        integers = from_rows(rows, limit).reshape(ciphertexts.shape)
        if ciphertexts.scale == 1:
            return integers
        return FixedPoint(scale=ciphertexts.scale, bound=1.0).dequantise(integers, limit=limit)

    def to_bytes(self) -> bytes:
        """Export the secret primes. Keep the bytes secret: Python cannot wipe them."""
        writer = Writer(Kind.PRIVATE_KEY)
        for part in (self._p, self._q, self.public_key.h):
            writer.integer(part)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes, *, insecure: bool = False) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidKey
            If the numbers are no key, as for the class.
        """
        reader = Reader(data, Kind.PRIVATE_KEY)
        p = reader.integer(max_bytes=_LARGEST_BITS // 16)
        q = reader.integer(max_bytes=_LARGEST_BITS // 16)
        h = reader.integer(max_bytes=_LARGEST_BITS // 8)
        reader.finish()
        return cls(p, q, h, insecure=insecure)

    def __repr__(self) -> str:
        return f"PrivateKey(<redacted>, of {self.public_key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not pickle; export it with to_bytes()")


def keygen(bits: int = 3072, *, insecure: bool = False) -> tuple[PublicKey, PrivateKey]:
    """Make a key pair from the operating system's randomness.

    Parameters
    ----------
    bits : int
        Length of the modulus, a multiple of 64; 3072 gives 128-bit strength, 2048 gives 112.
    insecure : bool
        Allow less than 2048 bits, from 128, for tests; warns.

    Returns
    -------
    tuple of PublicKey and PrivateKey
        Primes are 3 modulo 4 with gcd(p-1, q-1) = 2, so that ``-x**2`` generates the quadratic
        residues up to sign (Damgard, Jurik, Nielsen 2010).

    Raises
    ------
    InvalidKey
        If `bits` is out of range.

    Examples
    --------
    >>> pub, priv = keygen(2048)
    >>> pub.bits
    2048
    >>> priv.decrypt(pub.encrypt([1, -2]) + pub.encrypt([10, 20]))
    array([11, 18])
    """
    bits = operator.index(bits)
    if bits % 64 != 0 or not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
        raise InvalidKey(
            f"bits: got {bits}, expected a multiple of 64 from {_SMALLEST_BITS} to {_LARGEST_BITS}"
        )
    if bits < _SECURE_BITS and not insecure:
        raise InvalidKey(_too_short(bits))
    while True:
        p, q = _random_prime(bits // 2), _random_prime(bits // 2)
        try:
            _check_primes(p, q)
        except InvalidKey:
            continue
        break
    n = p * q
    x = randomness.random_below(n)
    while gmpy2.gcd(x, n) != 1 or gmpy2.gcd(x**4 - 1, n) != 1:
        x = randomness.random_below(n)
    private = PrivateKey(p, q, -x * x % n, insecure=insecure)
    return private.public_key, private


def _set(instance: object, **attributes: object) -> None:
    """Give an object that refuses assignment its attributes."""
    for name, value in attributes.items():
        object.__setattr__(instance, name, value)


def _core_private_key(p: int, q: int) -> _core.PaillierPrivateKey:
    numbers = (p, q, gmpy2.invert(-q, p), gmpy2.invert(-p, q), gmpy2.invert(q, p))
    rows = [to_words(int(number), _word_count(p)) for number in numbers]
    try:
        return _core.PaillierPrivateKey(*rows)
    finally:
        for row in rows:
            randomness.wipe(row)


def _restore_public_key(data: bytes, insecure: bool) -> PublicKey:
    return PublicKey.from_bytes(data, insecure=insecure)


def _default_encoding(array: NDArray[Any], fraction_bits: int, bound: float | None) -> FixedPoint:
    whole = array.dtype.kind in "biu" or (
        array.dtype.kind == "O" and all(isinstance(value, int) for value in array.flat)
    )
    if whole:
        return FixedPoint(scale=1, bound=_INTEGER_BOUND if bound is None else bound)
    return FixedPoint.binary(fraction_bits, bound=_FLOAT_BOUND if bound is None else bound)


def _random_prime(bits: int) -> int:
    """Draw a prime with both top bits set (so that a product has full length), 3 modulo 4."""
    top = 3 << (bits - 2)
    while True:
        candidate = randomness.random_bits(bits) | top | 3
        if gmpy2.is_prime(candidate, _PRIMALITY_ROUNDS):
            return candidate


def _check_length(n: int) -> None:
    if n < 1:
        raise InvalidKey("n: it is not positive")
    bits = n.bit_length()
    bits = operator.index(bits)
    if bits % 64 != 0 or not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
        raise InvalidKey(
            f"n: got {bits} bits, expected a multiple of 64 from {_SECURE_BITS} to {_LARGEST_BITS}"
        )


def _check_strength(n: int, *, insecure: bool) -> None:
    bits = n.bit_length()
    if bits >= _SECURE_BITS:
        return
    if not insecure:
        raise InvalidKey(_too_short(bits))
    warnings.warn(
        f"a {bits}-bit Paillier key protects nothing; use it for tests only",
        InsecureKeyWarning,
        stacklevel=3,
    )


def _too_short(bits: int) -> str:
    return (
        f"bits: got {bits}, expected at least {_SECURE_BITS}; "
        "pass insecure=True where nothing needs protection"
    )


def _check_modulus(n: int) -> None:
    if n % 2 == 0:
        raise InvalidKey("n: it is even")
    if gmpy2.gcd(_small_primes() % n, n) != 1:
        raise InvalidKey("n: it has a factor below 2**20")
    if gmpy2.is_power(n):
        raise InvalidKey("n: it is a perfect power")
    # What passes the first test is refused: a hostile prime is not worth the time of more rounds.
    if gmpy2.is_prime(n, 1):
        raise InvalidKey("n: it is prime")


@functools.cache
def _small_primes() -> gmpy2.mpz:
    return gmpy2.primorial(_SMALL_FACTORS)


def _check_base(n: int, h: int) -> None:
    if not 1 < h < n - 1 or gmpy2.jacobi(h, n) != 1 or gmpy2.gcd(h * h - 1, n) != 1:
        raise InvalidKey("h: it is not the negative of a random square modulo n")


def _check_primes(p: int, q: int) -> None:
    bits = (p * q).bit_length()
    if p == q:
        raise InvalidKey("p, q: they are equal")
    if p.bit_length() != q.bit_length():
        raise InvalidKey("p, q: they have different lengths")
    for prime in (p, q):
        if not gmpy2.is_prime(prime, _PRIMALITY_ROUNDS) or not gmpy2.is_strong_selfridge_prp(prime):
            raise InvalidKey("p, q: one is not prime")
        if prime % 4 != 3:
            raise InvalidKey("p, q: one is not 3 modulo 4")
    if abs(p - q) <= 1 << max(bits // 2 - 100, 0):
        raise InvalidKey("p, q: they are too close to each other")
    phi = (p - 1) * (q - 1)
    if gmpy2.gcd(p - 1, q - 1) != 2 or gmpy2.gcd(p * q, phi) != 1:
        raise InvalidKey("p, q: p-1 and q-1 share a factor, or one divides the other prime less 1")


def _word_count(integer: int) -> int:
    return -(-integer.bit_length() // 64)


def _magnitude(integer: int) -> bytes:
    return integer.to_bytes(-(-integer.bit_length() // 8), "little")
