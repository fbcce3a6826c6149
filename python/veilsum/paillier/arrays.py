"""Arrays of ciphertexts with the arithmetic of NumPy.

A `CipherArray` is an opaque handle to ciphertexts that stay in the kernel's memory, a shape, and
the public encoding of what they hold: ``scale`` (units per 1.0) and ``limit`` (the largest
magnitude of the integers, a static budget). Every operation computes the new limit before it runs
and refuses to pass what the key can hold. Plain operands and factors are public: their size moves
the limit.

Bytes follow the header of `veilsum.wire`: the key's fingerprint, shape, scale, limit, then one row
of ``2 * bits / 64`` words for each ciphertext.
"""

import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core
from veilsum.encoding import FixedPoint, exact_array
from veilsum.errors import BudgetExceeded, InvalidCiphertext, KeyMismatch, ScaleMismatch
from veilsum.paillier.limbs import (
    from_words,
    signed_limbs,
    to_rows,
    to_words,
)
from veilsum.threads import thread_count
from veilsum.wire import MAX_ELEMENTS, Kind, Reader, Writer

if TYPE_CHECKING:
    from veilsum.paillier.keys import PublicKey

__all__ = ["CipherArray"]

_WEIGHT_BITS = 32
_MAX_SCALE_BITS = 1000
_ALL_CORES = 0


class CipherArray:
    """An array of Paillier ciphertexts; made by ``PublicKey.encrypt`` or `from_bytes`.

    Operators follow NumPy's rules of broadcasting. ``+`` and ``-`` take ciphertexts of the same key
    and scale, or plain numbers, which are encoded at this array's scale. ``*`` and ``@`` take plain
    numbers: integers keep the scale, floats are encoded with 32 fraction bits (`multiply` takes
    others) and the scales multiply. The time of a product depends on the largest factor, not on
    the others. A product with 0 is the trivial encryption of 0, and sums and products reveal to a
    holder of their operands how they were made: `rerandomize` before they are sent.

    Attributes
    ----------
    public_key : PublicKey
    shape : tuple of int
    scale : int
        Units per 1.0.
    limit : int
        The largest magnitude of the integers encrypted.
    """

    __slots__ = ("limit", "public_key", "scale", "shape", "vector")
    public_key: "PublicKey"
    vector: _core.CipherVector
    shape: tuple[int, ...]
    scale: int
    limit: int

    __array_ufunc__ = None  # NumPy leaves the operators to us

    def __init__(
        self,
        public_key: "PublicKey",
        vector: _core.CipherVector,
        *,
        shape: tuple[int, ...],
        scale: int,
        limit: int,
    ) -> None:
        # The budget holds only as long as nobody can assign to it.
        for name, value in (
            ("public_key", public_key),
            ("vector", vector),
            ("shape", shape),
            ("scale", scale),
            ("limit", limit),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: an array of ciphertexts does not change; make another one")

    # ---- Shape

    @property
    def size(self) -> int:
        """How many ciphertexts there are."""
        return len(self.vector)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def T(self) -> Self:  # noqa: N802
        """The transposed array."""
        return self._take(self._indices().T)

    def reshape(self, *shape: int) -> Self:
        """Give the same ciphertexts another shape, as ``numpy.reshape``; -1 stands for the rest."""
        return self._take(self._indices().reshape(*shape))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        len(self)  # refuses an array without axes
        return (self._take(np.asarray(row)) for row in self._indices())

    def __getitem__(self, key: Any) -> Self:
        return self._take(np.asarray(self._indices()[key]))

    def _indices(self) -> NDArray[np.int64]:
        return np.arange(self.size, dtype=np.int64).reshape(self.shape)

    def _take(self, indices: NDArray[np.int64]) -> Self:
        flat = np.ascontiguousarray(indices.reshape(-1))
        unmoved = np.array_equal(flat, np.arange(self.size))
        vector = self.vector if unmoved else self.vector.gather(flat)
        return self._with(vector, shape=indices.shape)

    def _broadcast(self, shape: tuple[int, ...]) -> Self:
        if shape == self.shape:
            return self
        return self._take(np.broadcast_to(self._indices(), shape))

    def _with(self, vector: _core.CipherVector, **changes: Any) -> Self:
        kept: dict[str, Any] = {"shape": self.shape, "scale": self.scale, "limit": self.limit}
        return type(self)(self.public_key, vector, **(kept | changes))

    # ---- Sums

    def __add__(self, other: Any) -> Self:
        addend = self._operand(other)
        if addend is None:
            return NotImplemented
        limit = self._require_limit(self.limit + addend.limit)
        shape = np.broadcast_shapes(self.shape, addend.shape)
        left, right = self._broadcast(shape), addend._broadcast(shape)
        vector = left.vector.multiply(right.vector, _ALL_CORES)
        return self._with(vector, shape=shape, limit=limit)

    __radd__ = __add__

    def __neg__(self) -> Self:
        return self._with(self._inverse())

    def __sub__(self, other: Any) -> Self:
        if isinstance(other, CipherArray):
            return self.__add__(-other)
        plain = _plain(other)
        return NotImplemented if plain is None else self + _negated(plain)

    def __rsub__(self, other: Any) -> Self:
        return (-self).__add__(other)

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Self:
        """Add up the elements along one axis, several, or all of them.

        Raises
        ------
        BudgetExceeded
            If the number of summands times the limit is beyond the key.
        ValueError
            If an axis does not exist.
        """
        indices = self._indices()
        axes = tuple(range(self.ndim)) if axis is None else np.atleast_1d(axis)
        kept = np.sum(indices, axis=tuple(axes), keepdims=False).shape  # refuses impossible axes
        summed = np.unique([int(a) % self.ndim for a in axes])
        rest = [a for a in range(self.ndim) if a not in summed]
        columns = math.prod(self.shape[a] for a in summed)
        rows = indices.transpose(*rest, *summed).reshape(math.prod(kept), columns)
        limit = self._require_limit(self.limit * max(rows.shape[1], 1))
        ones = np.ones((columns, 1), np.uint64)
        vector = self._take(rows).vector.weigh(len(rows), ones, 1, 1, _ALL_CORES)
        return self._with(vector, shape=kept, limit=limit)

    # ---- Products

    def multiply(self, factors: ArrayLike, *, weight_bits: int = _WEIGHT_BITS) -> Self:
        """Multiply by plain numbers, with broadcasting.

        Parameters
        ----------
        factors : array_like
            Real numbers, public. Integers keep the scale; floats are rounded to multiples of
            ``2**-weight_bits``, and the scale grows by that factor.
        weight_bits : int
            For floats, at least 0.

        Raises
        ------
        BudgetExceeded
            If the limit times the largest factor is beyond the key; if a factor is NaN or infinite.
        TypeError
            If `factors` are not real numbers.
        ValueError
            If `weight_bits` is negative, or shapes do not broadcast.
        """
        weight_bits = operator.index(weight_bits)
        if weight_bits < 0:
            raise ValueError(f"weight_bits: got {weight_bits}, expected at least 0")
        plain = _plain(factors)
        if plain is None:
            raise TypeError(f"factors: got {type(factors).__name__}, expected real numbers")
        weights, weight_scale = _weights(plain, weight_bits)
        limit = self._require_limit(self.limit * _largest(weights))
        scale = self._require_scale(self.scale * weight_scale)
        shape = np.broadcast_shapes(self.shape, weights.shape)
        vector = self._broadcast(shape)._power(np.broadcast_to(weights, shape))
        return self._with(vector, shape=shape, scale=scale, limit=limit)

    def __mul__(self, other: Any) -> Self:
        return NotImplemented if _plain(other) is None else self.multiply(other)

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> Self:
        plain = _plain(other)
        return NotImplemented if plain is None else self._matmul(plain)

    def __rmatmul__(self, other: Any) -> Self:
        plain = _plain(other)
        return NotImplemented if plain is None else self.T._matmul(plain.T).T

    def _matmul(self, plain: NDArray[Any]) -> Self:
        if not (1 <= self.ndim <= 2 and 1 <= plain.ndim <= 2):
            raise ValueError(
                f"@: got {self.ndim} and {plain.ndim} axes, expected 1 or 2; loop over the others"
            )
        if self.shape[-1] != plain.shape[0]:
            raise ValueError(
                f"@: got inner axes of {self.shape[-1]} and {plain.shape[0]}, expected equal ones"
            )
        shape = self.shape[:-1] + plain.shape[1:]
        rows = self.reshape(math.prod(self.shape[:-1]), plain.shape[0])
        columns = plain.reshape(plain.shape[0], math.prod(plain.shape[1:]))
        weights, weight_scale = _weights(columns, _WEIGHT_BITS)
        limit = self._require_limit(
            self.limit * max((sum(abs(int(w)) for w in column) for column in weights.T), default=0)
        )
        scale = self._require_scale(self.scale * weight_scale)
        vector = rows._weigh(np.maximum(weights, 0))
        if (weights < 0).any():
            # One inversion for all, however many weights are negative.
            subtrahend = self._with(rows._weigh(np.maximum(-weights, 0)))
            vector = vector.multiply(subtrahend._inverse(), _ALL_CORES)
        return self._with(vector, shape=shape, scale=scale, limit=limit)

    def _weigh(self, weights: NDArray[Any]) -> _core.CipherVector:
        """Multiply a matrix of ciphertexts by one of non-negative integers."""
        if weights.shape[1] == 0:
            return self.vector.gather(np.zeros(0, np.int64))
        bits = max(_largest(weights).bit_length(), 1)
        rows = to_rows(weights, signed_limbs((1 << bits) - 1))
        return self.vector.weigh(len(self), rows, weights.shape[1], bits, _ALL_CORES)

    def _power(self, weights: NDArray[Any]) -> _core.CipherVector:
        """Raise each ciphertext to its weight, in time that depends on the largest weight only."""
        flat = weights.reshape(-1)
        base = self.vector
        negative = flat < 0
        if negative.any():
            masks = np.where(negative, np.uint64(2**64 - 1), np.uint64(0))
            base = base.select(np.ascontiguousarray(masks), self._inverse())
        magnitudes = np.abs(flat)
        bits = _largest(flat).bit_length()
        rows = to_rows(magnitudes, signed_limbs((1 << bits) - 1))
        return base.power(rows, bits, _ALL_CORES)

    # ---- Randomness and bytes

    def rerandomize(self, *, threads: int | None = None) -> Self:
        """Encrypt anew: the same plaintexts, and ciphertexts that cannot be linked to these.

        Parameters
        ----------
        threads : int, optional
            All cores unless given.
        """
        zeros = self.public_key._encrypt_integers(np.zeros(self.size, np.int64), 0, threads)
        return self._with(self.vector.multiply(zeros, thread_count(threads)))

    def is_trivial(self) -> bool:
        """Tell whether a ciphertext lacks randomness, so that anyone reads its plaintext m.

        Such a ciphertext is ``1 + m n``. Protocols refuse them.
        """
        rows = self.vector.to_words(_ALL_CORES)
        return any(from_words(row) % self.public_key.n == 1 for row in rows)

    def to_bytes(self) -> bytes:
        """Write the ciphertexts with their shape, scale and limit, and the key's fingerprint."""
        writer = Writer(Kind.CIPHER_ARRAY)
        writer.blob(self.public_key.fingerprint)
        writer.shape(self.shape)
        writer.integer(self.scale)
        writer.integer(self.limit)
        writer.array(self.vector.to_words(_ALL_CORES))
        return writer.finish()

    @classmethod
    def from_bytes(
        cls, data: bytes, public_key: "PublicKey", *, max_size: int = MAX_ELEMENTS
    ) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Parameters
        ----------
        data : bytes
            They may be hostile.
        public_key : PublicKey
            Under which they were encrypted.
        max_size : int
            The most ciphertexts accepted.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        KeyMismatch
            If they are under another key.
        InvalidCiphertext
            If a number is not between 0 and n**2 or not coprime to n.
        BudgetExceeded
            If the stated limit is beyond the key.
        """
        require_public_key(public_key)
        reader = Reader(data, Kind.CIPHER_ARRAY)
        if reader.blob(max_bytes=32) != public_key.fingerprint:
            raise KeyMismatch("data: it is under another key; use the key that encrypted it")
        shape = reader.shape(max_size=max_size)
        scale = reader.integer(max_bytes=-(-_MAX_SCALE_BITS // 8))
        limit = reader.integer(max_bytes=public_key.bits // 8)
        width = 2 * public_key.bits // 64
        size = int(np.prod(shape, dtype=object))
        rows = reader.array("uint64", max_axes=2, max_size=max(size, 1) * width)
        reader.finish()
        if scale < 1 or limit < 0 or rows.shape != (size, width):
            raise InvalidCiphertext(
                f"data: got scale, limit and rows {rows.shape} that do not belong together; "
                f"expected a scale from 1, a limit from 0 and rows {(size, width)}"
            )
        public_key._require_capacity(limit)
        vector = _checked_vector(public_key, rows)
        return cls(public_key, vector, shape=shape, scale=scale, limit=limit)

    def to_integers(self) -> NDArray[Any]:
        """Hand out the ciphertexts for other libraries.

        Returns
        -------
        NDArray[object]
            Python integers below ``n**2``, in the shape of this array. They carry neither scale nor
            limit, and link to how they were made: `rerandomize` before they are sent.

        Examples
        --------
        >>> from veilsum import paillier
        >>> pub, priv = paillier.keygen(2048)
        >>> integers = pub.encrypt([3, -4]).to_integers()
        >>> squares = integers**2 % pub.n**2
        >>> priv.decrypt(paillier.CipherArray.from_integers(pub, squares, limit=8))
        array([ 6, -8])
        """
        integers = [from_words(row) for row in self.vector.to_words(_ALL_CORES)]
        return np.array(integers, object).reshape(self.shape)

    @classmethod
    def from_integers(
        cls, public_key: "PublicKey", integers: ArrayLike, *, limit: int, scale: int = 1
    ) -> Self:
        """Take ciphertexts that another library made under the same n, and validate them.

        Parameters
        ----------
        public_key : PublicKey
            Of that n.
        integers : array_like
            Ciphertexts under the scheme with generator ``1 + n``, whose negative plaintexts are
            those beyond ``n / 2``, in any shape.
        limit : int
            The largest magnitude of the integers encrypted. Decryption checks it.
        scale : int
            Units per 1.0.

        Raises
        ------
        BudgetExceeded
            If `limit` is beyond the key.
        InvalidCiphertext
            If a number is not between 0 and n**2 or not coprime to n.
        TypeError
            If `integers` are not integers.
        ValueError
            If `limit` is negative, or `scale` is below 1 or too long.
        """
        require_public_key(public_key)
        limit, scale = operator.index(limit), operator.index(scale)
        if limit < 0:
            raise ValueError("limit: got a negative number, expected at least 0")
        if scale < 1 or scale.bit_length() > _MAX_SCALE_BITS:
            raise ValueError(
                f"scale: got an integer of {scale.bit_length()} bits, "
                f"expected 1 to 2**{_MAX_SCALE_BITS} - 1"
            )
        public_key._require_capacity(limit)
        array = _plain(integers)
        if array is None or (array.size and array.dtype.kind not in "iuO"):
            raise TypeError(f"integers: got {type(integers).__name__}, expected integers")
        numbers = [int(number) for number in array.flat]
        n_squared = public_key.n**2
        if not all(0 < number < n_squared for number in numbers):
            raise InvalidCiphertext("integers: one is not between 0 and n**2")
        width = 2 * public_key.bits // 64
        rows = np.array([to_words(number, width) for number in numbers], np.uint64)
        vector = _checked_vector(public_key, rows.reshape(-1, width), name="integers")
        return cls(public_key, vector, shape=array.shape, scale=scale, limit=limit)

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("ciphertexts cannot be compared: equal plaintexts look different; decrypt")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise TypeError("an array of ciphertexts is neither true nor false; decrypt it")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("an array of ciphertexts is no array of numbers; decrypt it")

    def __repr__(self) -> str:
        return (
            f"CipherArray(shape={self.shape}, scale={self.scale}, "
            f"limit of {self.limit.bit_length()} bits, {self.public_key.bits}-bit key)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(), self.public_key)

    # ---- Helpers

    def _operand(self, other: Any) -> Self | None:
        """Read the other operand of a sum as ciphertexts of this scale; None for strangers."""
        if isinstance(other, CipherArray):
            if other.public_key != self.public_key:
                raise KeyMismatch("operands are under different keys; encrypt both under one key")
            if other.scale != self.scale:
                raise ScaleMismatch(
                    f"operands have scales {_scale_name(self.scale)} and "
                    f"{_scale_name(other.scale)}; a float factor adds {_WEIGHT_BITS} fraction "
                    "bits: multiply the other by 1.0 too, or encrypt it with as many fraction_bits"
                )
            return self._with(other.vector, shape=other.shape, limit=other.limit)
        plain = _plain(other)
        if plain is None:
            return None
        if self.scale == 1 and _has_fractions(plain):
            raise ScaleMismatch(
                "a fraction cannot be added to encrypted integers; encrypt floats instead"
            )
        integers = _exact(plain, self.scale)
        return self._encode(integers, limit=_largest(integers))

    def _encode(self, integers: NDArray[Any], *, limit: int) -> Self:
        self._require_limit(limit)
        rows = to_rows(integers, signed_limbs(limit))
        vector = self.public_key._core.encode(rows, _ALL_CORES)
        return self._with(vector, shape=integers.shape, limit=limit)

    def _inverse(self) -> _core.CipherVector:
        """Negate every plaintext: one inversion for each lane, by Montgomery's trick."""
        n_squared = gmpy2.mpz(self.public_key.n) ** 2
        products = self.vector.lane_products()
        count = products.shape[1]
        inverses = [
            to_words(int(gmpy2.invert(from_words(product), n_squared)), count)
            for product in products
        ]
        return self.vector.invert(np.stack(inverses))

    def _require_limit(self, limit: int) -> int:
        if limit > self.public_key.plaintext_limit:
            raise BudgetExceeded(
                f"the result may need {limit.bit_length()} bits, the key holds "
                f"{self.public_key.bits - 2}; encrypt with a smaller bound, or use smaller factors"
            )
        return limit

    def _require_scale(self, scale: int) -> int:
        if scale.bit_length() > _MAX_SCALE_BITS:
            raise BudgetExceeded(
                f"the result's scale would have {scale.bit_length()} bits, at most "
                f"{_MAX_SCALE_BITS} are allowed; use fewer fraction bits or factors"
            )
        return scale


def require_public_key(key: object) -> None:
    """Refuse what is no public key, such as the private one in its place."""
    if not hasattr(key, "fingerprint"):
        raise TypeError(
            f"public_key: got {type(key).__name__}, expected PublicKey; "
            "a private key has one as its public_key"
        )


def _plain(other: Any) -> NDArray[Any] | None:
    """Read a plain operand as an array of real numbers; None for anything else."""
    if isinstance(other, CipherArray):
        return None
    array = exact_array(other)
    if array.dtype.kind in "biuf":
        return array
    whole = array.dtype.kind == "O" and all(isinstance(value, int) for value in array.flat)
    return array if whole else None


def _scale_name(scale: int) -> str:
    if scale == 1:
        return "1 (integers)"
    exponent = scale.bit_length() - 1
    return f"2**{exponent}" if scale == 1 << exponent else str(scale)


def _has_fractions(plain: NDArray[Any]) -> bool:
    if plain.dtype.kind != "f":
        return False
    return bool((np.isfinite(plain) & (plain != np.rint(plain))).any())


def _negated(plain: NDArray[Any]) -> NDArray[Any]:
    # Booleans and unsigned integers have no negative.
    return -plain.astype(object) if plain.dtype.kind in "biu" else -plain


def _exact(plain: NDArray[Any], scale: int) -> NDArray[Any]:
    """Units of 1 / scale as Python integers."""
    if plain.dtype.kind != "f":
        return np.asarray(plain.astype(object) * scale, object)
    bound = float(np.max(np.abs(plain), initial=0.0))
    if not np.isfinite(bound):
        raise BudgetExceeded("operand: it holds NaN or an infinity, expected finite numbers")
    try:
        encoding = FixedPoint(scale=scale, bound=bound or 1.0)
    except ValueError:
        raise BudgetExceeded(
            f"operand: its largest number has {int(bound).bit_length()} bits, too many "
            f"at a scale of {scale.bit_length()} bits; use smaller numbers"
        ) from None
    return encoding.quantise(plain).astype(object)


def _weights(plain: NDArray[Any], weight_bits: int) -> tuple[NDArray[Any], int]:
    """Factors as Python integers, and the scale that they bring."""
    scale = 1 << weight_bits if plain.dtype.kind == "f" else 1
    return _exact(plain, scale), scale


def _largest(integers: NDArray[Any]) -> int:
    return max((abs(int(value)) for value in integers.flat), default=0)


def _checked_vector(
    public_key: "PublicKey", rows: NDArray[np.uint64], *, name: str = "data"
) -> _core.CipherVector:
    try:
        vector = public_key._core.from_words(rows, _ALL_CORES)
    except ValueError as error:
        raise InvalidCiphertext(f"{name}: {error}") from None
    # A product is coprime to n when every factor is.
    products = map(from_words, vector.lane_products())
    if any(gmpy2.gcd(product, public_key.n) != 1 for product in products):
        raise InvalidCiphertext(f"{name}: a ciphertext is not coprime to n")
    return vector
