"""Paillier keys: generation, validation, encryption and decryption of arrays.

Sources: Paillier, "Public-key cryptosystems based on composite degree residuosity classes", 1999
(scheme; section 7: decryption by the Chinese remainder theorem). Damgard, Jurik, Nielsen, "A
generalization of Paillier's public-key system with applications to electronic voting", 2010,
section 4.2 (randomness ``h_s**r`` with an exponent of half the modulus' length).

Encryption is semantically secure under two assumptions: decisional composite residuosity, and that
``h_s**r`` with half-length ``r`` cannot be told from a random n-th residue (Goldreich and Rosen,
2003). Bytes of keys follow the header of `veilsum.wire`: a public key is n, h; a private key is
p, q, h, each an integer. A private key under a password is the binary logarithm of Scrypt's cost
(u8; its block size is 8, its parallelism 1), a salt and a nonce (blobs of 16 and 12 bytes), and a
blob of AES-256-GCM that holds the bytes of the key and authenticates all that precedes it.
"""

import functools
import hashlib
import operator
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn, Self

import gmpy2
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from numpy.typing import ArrayLike, NDArray

from veilsum import _core, randomness
from veilsum.encoding import FixedPoint, exact_array
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InsecureKeyWarning,
    InvalidKey,
    KeyMismatch,
)
from veilsum.paillier.arrays import CipherArray
from veilsum.paillier.compiled import OfProcess, decrypt_rows, private_core, public_core
from veilsum.paillier.limbs import (
    from_rows,
    signed_limbs,
    to_rows,
    to_words,
)
from veilsum.paillier.packing import PackedArray, Packing, _is_whole, _real_array
from veilsum.paillier.precomputed import RandomnessPool
from veilsum.threads import thread_count
from veilsum.wire import MAGIC, VERSION, Kind, Reader, Writer, length_prefixed

__all__ = ["PrivateKey", "PublicKey", "keygen"]

_SECURE_BITS = 2048
_SMALLEST_BITS = 128
_LARGEST_BITS = 8192
_SMALL_FACTORS = 1 << 20
_SIEVED_FACTORS = 1 << 14  # looking for larger ones takes longer than it saves
_PRIMALITY_ROUNDS = 64
_INTEGER_BOUND = 2.0**53
_FLOAT_BOUND = 2.0**20

_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_SCRYPT_COST = 17  # 2**17 blocks of 1 KiB: 128 MiB
_LARGEST_SCRYPT_COST = 20  # bytes that ask for more memory than 1 GiB are refused
_LARGEST_SEALED_KEY = 1 << 12


class _Encryptor(ABC):
    """What both keys do: encrypt arrays, and prepare to."""

    __slots__ = ()

    @property
    @abstractmethod
    def _public(self) -> "PublicKey":
        """The key that the ciphertexts are under."""

    def encrypt(
        self,
        values: ArrayLike,
        *,
        encoding: FixedPoint | None = None,
        fraction_bits: int = 32,
        bound: float | None = None,
        randomness: RandomnessPool | None = None,
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
        randomness : RandomnessPool, optional
            What `precompute` returned, to be used up instead of computing as much now.
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
        InsufficientRandomness
            If `randomness` has fewer elements left than `values`, or is of another process.
        KeyMismatch
            If `randomness` was precomputed for another key.
        TypeError
            If `values` are not real numbers, or `randomness` did not come from `precompute`.
        """
        array = exact_array(values)
        if encoding is None:
            encoding = _default_encoding(array, fraction_bits, bound)
        integers = encoding.quantise(array)
        limit = self._public._require_capacity(encoding.limit)
        vector = self._encrypt_integers(integers, limit, threads, randomness)
        return CipherArray(
            self._public, vector, shape=array.shape, scale=encoding.scale, limit=limit
        )

    def encrypt_packed(
        self,
        array: ArrayLike,
        *,
        bits: int = 24,
        bound: float,
        additions: int = 1,
        randomness: RandomnessPool | None = None,
        threads: int | None = None,
    ) -> PackedArray:
        """Encrypt an array with many values to a ciphertext, for sums of such arrays.

        Parameters
        ----------
        array : array_like
            Real numbers of any shape. Integers are kept whole. Floats are read as float64 and
            rounded half to even, to multiples of ``2**-bits`` times `bound`, or times the next
            power of two above a bound that is none; so one is off by half of that at most.
        bits : int
            For floats; from 1 to 53, 24 unless given.
        bound : float
            The largest magnitude accepted, public, from 2**-900 to 2**900; for integers at least 1.
        additions : int
            How many arrays may be summed in all, an array times k counting as abs(k) of them. A
            value takes the bits of the largest sum, and a sign: with 24 bits, a bound that is a
            power of two and 100 additions these are 32, and 63 values share a 2048-bit key's
            ciphertext. So do integers with a bound of 2**24.
        randomness : RandomnessPool, optional
            What `precompute` returned, to be used up instead of computing as much now.
        threads : int, optional
            All cores unless given.

        Returns
        -------
        PackedArray
            Of the shape of `array`. Shape and all parameters are public.

        Raises
        ------
        BudgetExceeded
            If a value is NaN, infinite or beyond the bound, or if a value and its additions take
            more than 63 bits, the sign included.
        InsufficientRandomness
            If `randomness` has fewer elements left than there are ciphertexts, or is of another
            process.
        KeyMismatch
            If `randomness` was precomputed for another key.
        TypeError
            If `array` or a parameter is not of numbers of its kind.
        ValueError
            If a parameter is out of range.

        Examples
        --------
        >>> pub, priv = keygen(2048)
        >>> a, b = (pub.encrypt_packed(x, bound=8.0, additions=5) for x in ([1.5, -8], [0.25, 7]))
        >>> priv.decrypt(a - 4 * b)
        array([  0.5, -36. ])
        >>> a, b = (pub.encrypt_packed(x, bound=2**60, additions=2) for x in ([2**60, 3], [1, -5]))
        >>> priv.decrypt(a + b)
        array([1152921504606846977,                  -2])
        """
        public = self._public
        values = _real_array(array)
        packing = Packing(
            bits=bits,
            bound=bound,
            additions=additions,
            key_bits=public.bits,
            whole=_is_whole(values),
        )
        return PackedArray._encrypt(
            values,
            packing,
            public,
            lambda rows: self._encrypt_rows(rows, threads, randomness),
            threads,
        )

    def precompute(self, count: int, *, threads: int | None = None) -> RandomnessPool:
        """Prepare the slow part of encryption, which needs no plaintexts.

        Parameters
        ----------
        count : int
            How many plaintexts it will serve, at least 1.
        threads : int, optional
            All cores unless given.

        Returns
        -------
        RandomnessPool
            For ``encrypt(..., randomness=...)``, which then takes one multiplication for each
            plaintext. It needs the memory of `count` ciphertexts.

        Raises
        ------
        ValueError
            If `count` is below 1.

        Examples
        --------
        >>> pub, priv = keygen(2048)
        >>> pool = pub.precompute(100)
        >>> c = pub.encrypt([3, -4], randomness=pool)
        >>> len(pool)
        98
        >>> priv.decrypt(c)
        array([ 3, -4])
        """
        count = operator.index(count)
        if count < 1:
            raise ValueError(f"count: got {count}, expected at least 1")
        zeros = self._encrypt_integers(np.zeros(count, np.int64), 0, threads)
        return RandomnessPool(self._public, zeros)

    def _encrypt_integers(
        self,
        integers: NDArray[Any],
        limit: int,
        threads: int | None,
        pool: RandomnessPool | None = None,
    ) -> "_core.CipherVector":
        rows = to_rows(integers, signed_limbs(limit))
        try:
            return self._encrypt_rows(rows, threads, pool)
        finally:
            randomness.wipe(rows)

    def _encrypt_rows(
        self, rows: NDArray[np.uint64], threads: int | None, pool: RandomnessPool | None
    ) -> "_core.CipherVector":
        """Encrypt rows of words; every plaintext is hidden here, by randomness used once."""
        workers = thread_count(threads)
        if pool is None:
            return self._encrypt_afresh(rows, workers)
        if not isinstance(pool, RandomnessPool):
            raise TypeError(
                f"randomness: got {type(pool).__name__}, expected what precompute() returned"
            )
        zeros = pool._take(len(rows), self._public)
        return self._public._core.encode(rows, workers).multiply(zeros, workers)

    def _encrypt_afresh(self, rows: NDArray[np.uint64], workers: int) -> "_core.CipherVector":
        words = self._public._core.exponent_words
        exponents = randomness.random_bytes(8 * words * len(rows))
        try:
            return self._encrypt_with(
                rows, exponents.view(np.uint64).reshape(len(rows), words), workers
            )
        finally:
            randomness.wipe(exponents)

    @abstractmethod
    def _encrypt_with(
        self, rows: NDArray[np.uint64], exponents: NDArray[np.uint64], workers: int
    ) -> "_core.CipherVector":
        """Encrypt rows of words under these exponents of h_s, the key's fastest way."""


class PublicKey(_Encryptor):
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
    The first encryption builds a table of powers of h: 5 MB for 2048 bits and 12 MB for 3072 where
    the processor has AVX-512 IFMA, a third of that elsewhere.
    """

    __slots__ = ("_compiled", "fingerprint", "h", "n")

    n: int
    h: int
    fingerprint: bytes
    _compiled: "OfProcess[_core.PaillierPublicKey]"

    def __init__(self, n: int, h: int, *, insecure: bool = False) -> None:
        n, h = operator.index(n), operator.index(h)
        _check_length(n)
        _check_strength(n, insecure=insecure)
        _check_modulus(n)
        _check_base(n, h)
        numbers = length_prefixed(b"veilsum/v1 paillier public key", _magnitude(n), _magnitude(h))
        compiled = OfProcess(lambda: public_core(n, h, exponent_bits=_exponent_bits(n)))
        _set(self, n=n, h=h, fingerprint=hashlib.sha256(numbers).digest(), _compiled=compiled)

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

    @property
    def _public(self) -> "PublicKey":
        return self

    def _encrypt_with(
        self, rows: NDArray[np.uint64], exponents: NDArray[np.uint64], workers: int
    ) -> "_core.CipherVector":
        return self._core.encrypt(rows, exponents, workers)

    def _require_capacity(self, limit: int) -> int:
        if limit > self.plaintext_limit:
            raise BudgetExceeded(
                f"bound: needs {limit.bit_length()} bits, the {self.bits}-bit key holds "
                f"{self.bits - 2}; lower the bound or the scale, or use a longer key"
            )
        return limit

    @property
    def _core(self) -> "_core.PaillierPublicKey":
        return self._compiled.get()

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


class PrivateKey(_Encryptor):
    """Decrypts arrays, and encrypts them as its public key does.

    Made by `keygen`, `from_primes` or `from_bytes`; redacted in repr, refuses to pickle.

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

    __slots__ = ("_compiled", "_p", "_q", "public_key")

    public_key: PublicKey
    _p: int
    _q: int
    _compiled: OfProcess[_core.PaillierPrivateKey]

    def __init__(self, p: int, q: int, h: int, *, insecure: bool = False) -> None:
        p, q = _checked_primes(p, q)
        self._assemble(p, q, h, insecure=insecure)

    def _assemble(self, p: int, q: int, h: int, *, insecure: bool) -> None:
        """Become the key of primes that were checked, or made to pass the check."""
        public_key = PublicKey(p * q, h, insecure=insecure)
        compiled = OfProcess(lambda: private_core(p, q, h, exponent_bits=_exponent_bits(p * q)))
        _set(self, public_key=public_key, _p=p, _q=q, _compiled=compiled)

    @property
    def _core_key(self) -> _core.PaillierPrivateKey:
        return self._compiled.get()

    @classmethod
    def _with_random_base(cls, p: int, q: int, *, insecure: bool) -> Self:
        key = cls.__new__(cls)
        key._assemble(p, q, _random_base(p * q), insecure=insecure)
        return key

    @classmethod
    def from_primes(cls, p: int, q: int, *, insecure: bool = False) -> Self:
        """Make a key from the primes of a textbook key, which has no h.

        Parameters
        ----------
        p, q : int
            As for the class.
        insecure : bool
            As for `PublicKey`.

        Returns
        -------
        PrivateKey
            With an h drawn afresh, so that each call makes another public key, of the same n. It
            reads what was encrypted elsewhere under n by `CipherArray.from_integers`.

        Raises
        ------
        InvalidKey
            As for the class. Textbook keys may have primes that are 1 modulo 4: their arrays have
            to be encrypted anew, under another key.

        Examples
        --------
        >>> priv = PrivateKey.from_primes(2**1024 - 105, 3 * 2**1022 + 2087)
        >>> priv.public_key.n == (2**1024 - 105) * (3 * 2**1022 + 2087)
        True
        """
        p, q = _checked_primes(p, q)
        return cls._with_random_base(p, q, insecure=insecure)

    @property
    def _public(self) -> PublicKey:
        return self.public_key

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a key does not change; make another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # A key is one object: tools that copy their parameters need no second copy of a secret.
        return self

    def decrypt(
        self, ciphertexts: CipherArray | PackedArray, *, threads: int | None = None
    ) -> NDArray[Any]:
        """Decrypt an array.

        The compiled part runs in time that depends on sizes, the limit and fresh random weights
        only; turning integers wider than 64 bits into floats after it, in Python, does not promise
        that.

        Parameters
        ----------
        ciphertexts : CipherArray or PackedArray
            Under this key.
        threads : int, optional
            All cores unless given.

        Returns
        -------
        NDArray
            Of the shape of `ciphertexts`. Of a `CipherArray` with scale 1: int64, or Python
            integers (dtype object) where the limit is 2**63 or more. Of a `PackedArray` of
            integers: int64. Else float64, correctly rounded.

        Raises
        ------
        KeyMismatch
            If they are under another key.
        BudgetExceeded
            If a plaintext is beyond the bound that the array states: it was not made by these
            operations, or was altered. Nothing of the array is returned.
        FaultDetected
            If the computation went wrong, by accident or by somebody's doing. Nothing is returned.
        OverflowError
            If the scale is not 1 and a result is beyond float64.
        """
        return _opened(ciphertexts, lambda c, limbs: self._decrypt_rows(c, limbs, threads), threads)

    def _decrypt_rows(
        self, ciphertexts: CipherArray, limbs: int, threads: int | None
    ) -> NDArray[np.uint64]:
        """Decrypt into rows of words, if all of them keep to the stated limit."""
        if ciphertexts.public_key != self.public_key:
            raise KeyMismatch("ciphertexts: they are under another key; use the key that made them")
        limit = to_words(ciphertexts.limit, limbs)
        return decrypt_rows(self._core_key, ciphertexts.vector, limit, thread_count(threads))

    def _encrypt_with(
        self, rows: NDArray[np.uint64], exponents: NDArray[np.uint64], workers: int
    ) -> _core.CipherVector:
        return self._core_key.encrypt(self.public_key._core, rows, exponents, workers)

    def to_bytes(self, password: bytes | None = None) -> bytes:
        """Export the secret primes. Keep the bytes secret: Python cannot wipe them.

        Parameters
        ----------
        password : bytes, optional
            Encrypts them, by AES-256-GCM under a key that Scrypt makes of it, in 128 MiB of memory.
            It is guessed as fast as Scrypt runs: take a long one.

        Raises
        ------
        TypeError
            If `password` is not bytes.
        ValueError
            If `password` is empty.
        """
        if password is not None:
            _check_password(password)
        writer = Writer(Kind.PRIVATE_KEY)
        for part in (self._p, self._q, self.public_key.h):
            writer.integer(part)
        exported = writer.finish()
        return exported if password is None else _seal(exported, password)

    @classmethod
    def from_bytes(
        cls, data: bytes, password: bytes | None = None, *, insecure: bool = False
    ) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Parameters
        ----------
        data : bytes
            They may be hostile: no more than 1 GiB of memory is spent on a password.
        password : bytes, optional
            The one given to `to_bytes`. Bytes that are not encrypted are refused with one.
        insecure : bool
            As for `PublicKey`.

        Raises
        ------
        DeserializationError
            If the bytes are malformed or encrypted, or if `password` does not open them: it is
            another, or they were altered.
        InvalidKey
            If the numbers are no key, as for the class.
        TypeError
            If `password` is not bytes.
        ValueError
            If `password` is empty.

        Examples
        --------
        >>> _, priv = keygen(2048)
        >>> sealed = priv.to_bytes(b"correct horse battery staple")
        >>> again = PrivateKey.from_bytes(sealed, b"correct horse battery staple")
        >>> again.public_key == priv.public_key
        True
        """
        if password is not None:
            _check_password(password)
            if not _is_sealed(data):
                raise DeserializationError(
                    "data: they are no key under a password; leave the password out if the key is "
                    "in the open"
                )
            data = _unseal(data, password)
        elif _is_sealed(data):
            raise DeserializationError("data: the key is encrypted; pass its password")
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
    bits = _checked_bits(bits, insecure=insecure)
    private = PrivateKey._with_random_base(*_random_primes(bits // 2), insecure=insecure)
    return private.public_key, private


def _opened(
    ciphertexts: CipherArray | PackedArray,
    open_rows: Callable[[CipherArray, int], NDArray[np.uint64]],
    threads: int | None,
) -> NDArray[Any]:
    """Decode what `open_rows` decrypts: rows of so many words, none beyond the array's limit."""
    if isinstance(ciphertexts, PackedArray):
        rows = open_rows(ciphertexts._ciphertexts, ciphertexts._packing.limbs)
        return ciphertexts._values(rows, threads)
    if not isinstance(ciphertexts, CipherArray):
        raise TypeError(
            f"ciphertexts: got {type(ciphertexts).__name__}, expected CipherArray or PackedArray"
        )
    limit = ciphertexts.limit
    rows = open_rows(ciphertexts, signed_limbs(limit))
    integers = from_rows(rows, limit).reshape(ciphertexts.shape)
    if ciphertexts.scale == 1:
        return integers
    return FixedPoint(scale=ciphertexts.scale, bound=1.0).dequantise(integers, limit=limit)


def _set(instance: object, **attributes: object) -> None:
    """Give an object that refuses assignment its attributes."""
    for name, value in attributes.items():
        object.__setattr__(instance, name, value)


def _exponent_bits(n: int) -> int:
    """Count the bits of the exponents of h_s: half of the modulus' (Goldreich and Rosen)."""
    return (n.bit_length() + 1) // 2


def _restore_public_key(data: bytes, insecure: bool) -> PublicKey:
    return PublicKey.from_bytes(data, insecure=insecure)


def _default_encoding(array: NDArray[Any], fraction_bits: int, bound: float | None) -> FixedPoint:
    if _is_whole(array):
        return FixedPoint(scale=1, bound=_INTEGER_BOUND if bound is None else bound)
    return FixedPoint.binary(fraction_bits, bound=_FLOAT_BOUND if bound is None else bound)


def _random_primes(bits: int) -> tuple[int, int]:
    """Draw two primes that `_checked_primes` passes."""
    p = _random_prime(bits)
    while True:
        q = _random_prime(bits, half=p >> 1)
        if _are_far_apart(p, q) and _fit_together(p, q):
            return p, q


def _random_prime(bits: int, *, half: int = 1) -> int:
    """Draw a prime with both top bits set (so that a product has full length), 3 modulo 4.

    ``(prime - 1) / 2`` is coprime to `half`. Candidates are drawn independently of each other, so
    that every such prime is equally likely; the cheap tests, which reject most, come first.
    """
    top = 3 << (bits - 2)
    small = _primorial(_SIEVED_FACTORS)
    while True:
        candidate = randomness.random_bits(bits) | top | 3
        if gmpy2.gcd(small % candidate, candidate) != 1 or gmpy2.gcd(candidate >> 1, half) != 1:
            continue
        if _is_prime(candidate):
            return candidate


def _random_base(n: int) -> int:
    """Draw the negative of a square of full order modulo both primes."""
    while True:
        x = randomness.random_below(n)
        if gmpy2.gcd(x, n) == 1 and gmpy2.gcd(x**4 - 1, n) == 1:
            return -x * x % n


def _checked_bits(bits: int, *, insecure: bool) -> int:
    bits = operator.index(bits)
    if bits % 64 != 0 or not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
        raise InvalidKey(
            f"bits: got {bits}, expected a multiple of 64 from {_SMALLEST_BITS} to {_LARGEST_BITS}"
        )
    if bits < _SECURE_BITS and not insecure:
        raise InvalidKey(_too_short(bits))
    return bits


def _check_length(n: int) -> None:
    if n < 1:
        raise InvalidKey("n: it is not positive")
    bits = n.bit_length()
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
    if gmpy2.gcd(_primorial(_SMALL_FACTORS) % n, n) != 1:
        raise InvalidKey("n: it has a factor below 2**20")
    if gmpy2.is_power(n):
        raise InvalidKey("n: it is a perfect power")
    # What passes the first test is refused: a hostile prime is not worth the time of more rounds.
    if gmpy2.is_prime(n, 1):
        raise InvalidKey("n: it is prime")


@functools.cache
def _primorial(bound: int) -> gmpy2.mpz:
    return gmpy2.primorial(bound)


def _check_base(n: int, h: int) -> None:
    if not 1 < h < n - 1 or gmpy2.jacobi(h, n) != 1 or gmpy2.gcd(h * h - 1, n) != 1:
        raise InvalidKey("h: it is not the negative of a random square modulo n")


def _checked_primes(p: int, q: int) -> tuple[int, int]:
    p, q = operator.index(p), operator.index(q)
    _check_length(p * q)
    if p == q:
        raise InvalidKey("p, q: they are equal")
    if p.bit_length() != q.bit_length():
        raise InvalidKey("p, q: they have different lengths")
    for prime in (p, q):
        if not _is_prime(prime):
            raise InvalidKey("p, q: one is not prime")
        if prime % 4 != 3:
            raise InvalidKey("p, q: one is not 3 modulo 4")
    if not _are_far_apart(p, q):
        raise InvalidKey("p, q: they are too close to each other")
    if not _fit_together(p, q):
        raise InvalidKey("p, q: p-1 and q-1 share a factor, or one divides the other prime less 1")
    return p, q


def _is_prime(candidate: int) -> bool:
    return bool(
        gmpy2.is_prime(candidate, _PRIMALITY_ROUNDS) and gmpy2.is_strong_selfridge_prp(candidate)
    )


def _are_far_apart(p: int, q: int) -> bool:
    return abs(p - q) > 1 << max((p * q).bit_length() // 2 - 100, 0)


def _fit_together(p: int, q: int) -> bool:
    """Whether squares modulo n form a cycle, and raising to the power n permutes."""
    return bool(gmpy2.gcd(p - 1, q - 1) == 2 and gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1)


def _check_password(password: bytes) -> None:
    if not isinstance(password, bytes):
        raise TypeError(
            f"password: got {type(password).__name__}, expected bytes; encode a text by "
            "password.encode()"
        )
    if not password:
        raise ValueError("password: it is empty; leave it out to export without encryption")


def _seal(exported: bytes, password: bytes) -> bytes:
    """Encrypt the bytes of a key; all that precedes the result is authenticated with it."""
    salt = randomness.random_bytes(_SALT_BYTES).tobytes()
    nonce = randomness.random_bytes(_NONCE_BYTES).tobytes()
    size = len(exported) + _TAG_BYTES
    writer = Writer(Kind.PRIVATE_KEY_ENCRYPTED)
    writer.u8(_SCRYPT_COST)
    for part in (salt, nonce, bytes(size)):
        writer.blob(part)
    header = writer.finish()[:-size]
    return header + _password_cipher(password, salt, _SCRYPT_COST).encrypt(nonce, exported, header)


def _unseal(data: bytes, password: bytes) -> bytes:
    reader = Reader(data, Kind.PRIVATE_KEY_ENCRYPTED)
    cost = reader.u8(max_value=_LARGEST_SCRYPT_COST)
    salt, nonce = reader.blob(max_bytes=_SALT_BYTES), reader.blob(max_bytes=_NONCE_BYTES)
    sealed = reader.blob(max_bytes=_LARGEST_SEALED_KEY)
    reader.finish()
    if cost < _SCRYPT_COST or (len(salt), len(nonce)) != (_SALT_BYTES, _NONCE_BYTES):
        raise DeserializationError(
            f"data: got a cost of 2**{cost}, a salt of {len(salt)} and a nonce of {len(nonce)} "
            f"bytes, expected at least 2**{_SCRYPT_COST}, {_SALT_BYTES} and {_NONCE_BYTES}"
        )
    header = bytes(data[: len(data) - len(sealed)])
    try:
        return _password_cipher(password, salt, cost).decrypt(nonce, sealed, header)
    except InvalidTag:
        raise DeserializationError("password: it is another, or the data were altered") from None


def _is_sealed(data: bytes) -> bool:
    return bytes(data[:6]) == MAGIC + bytes([VERSION, Kind.PRIVATE_KEY_ENCRYPTED])


def _password_cipher(password: bytes, salt: bytes, cost: int) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=1 << cost, r=8, p=1).derive(password))


def _magnitude(integer: int) -> bytes:
    return integer.to_bytes(-(-integer.bit_length() // 8), "little")
