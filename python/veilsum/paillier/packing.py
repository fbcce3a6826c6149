"""Packed arrays: many small numbers in one ciphertext; and sums of a stream of arrays.

A plaintext has room for thousands of bits and a value needs a few dozen. So a `PackedArray` puts
its values, in C order, into slots: a ciphertext encrypts ``sum(v[i] * 2**(slot_bits * i))``, whose
terms are signed. Sums of ciphertexts are sums slot by slot, as long as no slot overflows: how much
may be added is fixed when an array is encrypted, and counted by every operation.

Bytes follow the header of `veilsum.wire`: the key's fingerprint, shape, bits (u8; 0 where the
values are integers), bound (float64), additions and how many of them are used (u64 each), then one
row of ``2 * bits / 64`` words of the key's bits for each ciphertext.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Number, Real
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core, randomness
from veilsum.encoding import exact_array, require_within
from veilsum.errors import (
    BudgetExceeded,
    InvalidCiphertext,
    KeyMismatch,
    ScaleMismatch,
    VeilsumError,
)
from veilsum.paillier.arrays import CipherArray, _checked_vector, require_public_key
from veilsum.threads import thread_count
from veilsum.wire import MAGIC, MAX_ELEMENTS, VERSION, Kind, Reader, Writer

if TYPE_CHECKING:
    from veilsum.paillier.keys import PublicKey

__all__ = ["PackedArray", "Packing", "aggregate"]

_ALL_CORES = 0
_FLOAT_BITS = 53
_LARGEST_SLOT = 63  # so that a slot is an int64, and so is every step of reading it
_LARGEST_BOUND = 2.0**900  # sums of as many values as a slot holds are finite floats
_SMALLEST_BOUND = 2.0**-900
_ADDEND = "PackedArray; encrypt_packed it alike, or add it after decryption"
_FACTOR = "one integer; multiply by other numbers after decryption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How values become slots of plaintexts: public, and fixed before there are values.

    Floats are rounded to multiples of `unit`, half to even. The unit is a power of two, so that the
    rounding is exact and a value is off by half a unit at most. Integers are kept whole: their unit
    is 1, and no float is between them and the slots.

    Parameters
    ----------
    bits : int
        Bits of a value besides its sign, from 1 to 53: the unit is ``2**-bits`` of the bound, or
        of the next power of two above a bound that is none. Of integers it is 0, whatever is given.
    bound : float
        The largest magnitude of a value, from 2**-900 to 2**900; of integers at least 1.
    additions : int
        How many values of that magnitude a slot can sum, at least 1.
    key_bits : int
        The length of the key.
    whole : bool
        Whether the values are integers.

    Raises
    ------
    BudgetExceeded
        If a slot needs more than 63 bits.
    TypeError
        If a parameter is not a number of its kind.
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> packing = Packing(bits=24, bound=8.0, additions=100, key_bits=2048)
    >>> packing.slot_bits, packing.slots
    (32, 63)
    >>> packing.unit == 8.0 / 2**24
    True
    """

    bits: int
    bound: float
    additions: int
    key_bits: int
    whole: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.bound, bool) or not isinstance(self.bound, Real):
            raise TypeError(f"bound: got {type(self.bound).__name__}, expected a real number")
        for name, read in (
            ("bits", operator.index),
            ("bound", float),
            ("additions", operator.index),
        ):
            object.__setattr__(self, name, read(getattr(self, name)))
        if self.whole:
            object.__setattr__(self, "bits", 0)
        elif not 1 <= self.bits <= _FLOAT_BITS:
            raise ValueError(f"bits: got {self.bits}, expected 1 to {_FLOAT_BITS}")
        if not _SMALLEST_BOUND <= self.bound <= _LARGEST_BOUND:
            raise ValueError(f"bound: got {self.bound}, expected 2**-900 to 2**900")
        if self.whole and self.bound < 1:
            raise ValueError(f"bound: got {self.bound}, expected at least 1 for integers")
        if self.additions < 1:
            raise ValueError(f"additions: got {self.additions}, expected at least 1")
        if self.slot_bits > _LARGEST_SLOT:
            raise BudgetExceeded(
                f"additions: a slot for the sum of {self.additions} values needs "
                f"{self.slot_bits} bits, at most {_LARGEST_SLOT} are allowed; "
                f"use {'a lower bound' if self.whole else 'fewer bits'} or fewer additions"
            )

    @property
    def unit(self) -> float:
        """What values are multiples of: a power of two."""
        if self.whole:
            return 1.0
        mantissa, exponent = math.frexp(self.bound)
        return math.ldexp(1.0, exponent - (mantissa == 0.5) - self.bits)

    @property
    def limit(self) -> int:
        """The largest magnitude of a value in units.

        It is the bound, rounded as values are: ``2**bits`` where the bound is a power of two.
        """
        return math.floor(self.bound) if self.whole else round(self.bound / self.unit)

    @property
    def slot_bits(self) -> int:
        """Bits of a slot: those of the largest sum, and a sign."""
        return (self.limit * self.additions).bit_length() + 1

    @property
    def slots(self) -> int:
        """Slots of a ciphertext: as many as every key of that length holds."""
        return (self.key_bits - 1) // self.slot_bits

    @property
    def limbs(self) -> int:
        """Words of a plaintext."""
        return self.key_bits // 64

    def ciphertexts(self, size: int) -> int:
        """How many ciphertexts hold `size` values."""
        return -(-size // self.slots)

    def budget(self, used: int) -> int:
        """Bound the magnitude of a plaintext that sums `used` arrays."""
        ones = ((1 << self.slots * self.slot_bits) - 1) // ((1 << self.slot_bits) - 1)
        return used * self.limit * ones

    def pack(self, values: NDArray[Any], threads: int | None) -> NDArray[np.uint64]:
        """Put values into plaintexts: floats rounded, integers as they are.

        Parameters
        ----------
        values : NDArray
            Real numbers of any shape; integers where they are kept whole.
        threads : int or None
            All cores unless given.

        Returns
        -------
        NDArray[uint64]
            Shape ``(ciphertexts(size), limbs)``, in two's complement.

        Raises
        ------
        BudgetExceeded
            If a value is NaN, infinite or beyond the bound.
        """
        units = self._whole_units(values) if self.whole else self._rounded_units(values)
        return _core.pack_slots(
            units.reshape(-1), self.slots, self.slot_bits, self.limbs, thread_count(threads)
        )

    def _whole_units(self, values: NDArray[Any]) -> NDArray[np.int64]:
        require_within("array", values, self.limit)
        return values.astype(np.int64)

    def _rounded_units(self, values: NDArray[Any]) -> NDArray[np.int64]:
        values = np.asarray(values, np.float64)
        outside = values.size - int(np.count_nonzero(np.abs(values) <= self.bound))
        if outside:
            raise BudgetExceeded(
                f"array: {outside} of {values.size} are not within the bound {self.bound} "
                "(NaN never is); clip them, replace NaN, or fix a larger bound= in advance"
            )
        units = np.asarray(values * (1 / self.unit))
        return np.rint(units, out=units).astype(np.int64)

    def unpack(
        self, rows: NDArray[np.uint64], size: int, *, used: int, threads: int | None
    ) -> NDArray[Any]:
        """Take values out of plaintexts: floats correctly rounded, integers as they are.

        Parameters
        ----------
        rows : NDArray[uint64]
            Shape ``(ciphertexts(size), limbs)``, in two's complement.
        size : int
            How many values there are.
        used : int
            How many arrays they may sum.
        threads : int or None
            All cores unless given.

        Returns
        -------
        NDArray[float64], or NDArray[int64] where the values are integers
            Shape ``(size,)``.

        Raises
        ------
        BudgetExceeded
            If a slot holds more than so many arrays sum to, or anything where no value belongs.
        """
        integers = _core.unpack_slots(
            rows, size, self.slots, self.slot_bits, used * self.limit, thread_count(threads)
        )
        if integers is None:
            raise BudgetExceeded(
                "ciphertexts: a slot is beyond the bound that the array states; "
                "the array was altered, or packed in another way"
            )
        return integers if self.whole else np.asarray(integers * self.unit)


class PackedArray:
    """An array of numbers, many to a ciphertext; made by ``encrypt_packed`` or `from_bytes`.

    It adds to and subtracts from arrays of the same key, shape and packing, and takes integer
    factors. Each operation is counted: the sum of two arrays uses what both have used, a product
    with k uses abs(k) times as much, and what would use more than `additions` is refused before it
    runs. Values share ciphertexts, so that there is no indexing, no broadcasting and no sum along
    axes; `CipherArray` has them. Sums and products reveal to a holder of their operands how they
    were made, and a product with 0 is trivial: `rerandomize` before they are sent.

    Attributes
    ----------
    public_key : PublicKey
    shape : tuple of int
    bits, bound, additions : int, float, int
        As given to ``encrypt_packed``; `bits` is 0 where the values are integers.
    used : int
        How much of `additions` is used; 1 after encryption.
    slots, slot_bits : int
        Values of a ciphertext, and bits of each.
    """

    __slots__ = ("_ciphertexts", "_packing", "shape")
    _ciphertexts: CipherArray
    _packing: Packing
    shape: tuple[int, ...]

    __array_ufunc__ = None  # NumPy leaves the operators to us

    def __init__(
        self,
        public_key: "PublicKey",
        vector: _core.CipherVector,
        packing: Packing,
        *,
        shape: tuple[int, ...],
        used: int,
    ) -> None:
        ciphertexts = CipherArray(
            public_key, vector, shape=(len(vector),), scale=1, limit=packing.budget(used)
        )
        # The budget holds only as long as nobody can assign to it.
        object.__setattr__(self, "_ciphertexts", ciphertexts)
        object.__setattr__(self, "_packing", packing)
        object.__setattr__(self, "shape", shape)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: an array of ciphertexts does not change; make another one")

    @property
    def public_key(self) -> "PublicKey":
        """Under which the values are encrypted."""
        return self._ciphertexts.public_key

    @property
    def vector(self) -> _core.CipherVector:
        """The ciphertexts."""
        return self._ciphertexts.vector

    @property
    def bits(self) -> int:
        """Bits of a value besides its sign; 0 where the values are integers, kept whole."""
        return self._packing.bits

    @property
    def bound(self) -> float:
        """The largest magnitude of an encrypted value."""
        return self._packing.bound

    @property
    def additions(self) -> int:
        """How many encrypted arrays this one can sum in all."""
        return self._packing.additions

    @property
    def used(self) -> int:
        """How many encrypted arrays this one sums, a factor k counted abs(k) times."""
        return self._ciphertexts.limit // self._packing.budget(1)

    @property
    def slots(self) -> int:
        """Values of a ciphertext."""
        return self._packing.slots

    @property
    def slot_bits(self) -> int:
        """Bits of each value in a plaintext."""
        return self._packing.slot_bits

    # ---- Encryption and decryption, on behalf of the keys

    @classmethod
    def _encrypt(
        cls,
        values: NDArray[Any],
        packing: Packing,
        public_key: "PublicKey",
        encrypt_rows: Callable[[NDArray[np.uint64]], _core.CipherVector],
        threads: int | None,
    ) -> Self:
        rows = packing.pack(values, threads)
        try:
            vector = encrypt_rows(rows)
        finally:
            randomness.wipe(rows)
        return cls(public_key, vector, packing, shape=values.shape, used=1)

    def _values(self, rows: NDArray[np.uint64], threads: int | None) -> NDArray[Any]:
        size = math.prod(self.shape)
        values = self._packing.unpack(rows, size, used=self.used, threads=threads)
        return values.reshape(self.shape)

    # ---- Arithmetic

    def __add__(self, other: Any) -> Self:
        if not isinstance(other, PackedArray):
            _refuse_numbers(other, _ADDEND)
            return NotImplemented
        return self._plus(other)

    def __radd__(self, other: Any) -> Self:
        # sum() starts with 0.
        return self if isinstance(other, int) and other == 0 else self.__add__(other)

    def __neg__(self) -> Self:
        return self._with(-self._ciphertexts)

    def __sub__(self, other: Any) -> Self:
        return self.__add__(-other if isinstance(other, PackedArray) else other)

    def __rsub__(self, other: Any) -> Self:
        _refuse_numbers(other, _ADDEND)
        return NotImplemented

    def __mul__(self, other: Any) -> Self:
        if isinstance(other, np.ndarray) or not hasattr(other, "__index__"):
            _refuse_numbers(other, _FACTOR)
            return NotImplemented
        factor = operator.index(other)
        self._require_budget(self.used * abs(factor))
        signed = -self._ciphertexts if factor < 0 else self._ciphertexts
        return self._with(signed * abs(factor))

    __rmul__ = __mul__

    def _plus(self, other: "PackedArray", workers: int = _ALL_CORES) -> Self:
        _require_same_key(self, other)
        if (other._packing, other.shape) != (self._packing, self.shape):
            raise ScaleMismatch(
                f"operands are packed in different ways: {self._description} and "
                f"{other._description}; encrypt both alike"
            )
        self._require_budget(self.used + other.used)
        return self._with(_sum(self._ciphertexts, other._ciphertexts, workers))

    def _require_budget(self, used: int) -> None:
        if used > self.additions:
            raise BudgetExceeded(
                f"additions: the result would use {used}, the arrays were encrypted for "
                f"{self.additions}; encrypt with more additions, or sum fewer arrays"
            )

    def _with(self, ciphertexts: CipherArray) -> Self:
        used = ciphertexts.limit // self._packing.budget(1)
        return type(self)(
            self.public_key, ciphertexts.vector, self._packing, shape=self.shape, used=used
        )

    # ---- Randomness and bytes

    def rerandomize(self, *, threads: int | None = None) -> Self:
        """Encrypt anew: the same plaintexts, and ciphertexts that cannot be linked to these.

        Parameters
        ----------
        threads : int, optional
            All cores unless given.
        """
        return self._with(self._ciphertexts.rerandomize(threads=threads))

    def is_trivial(self) -> bool:
        """Tell whether a ciphertext lacks randomness, so that anyone reads its values.

        Protocols refuse them.
        """
        return self._ciphertexts.is_trivial()

    def to_bytes(self) -> bytes:
        """Write the ciphertexts with their shape, packing and budget, and the key's fingerprint."""
        writer = Writer(Kind.PACKED_ARRAY)
        writer.blob(self.public_key.fingerprint)
        writer.shape(self.shape)
        writer.u8(self.bits)
        writer.float64(self.bound)
        writer.u64(self.additions)
        writer.u64(self.used)
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
            The most values accepted.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        KeyMismatch
            If they are under another key.
        InvalidCiphertext
            If a number is not between 0 and n**2 or not coprime to n, or if there is no such
            packing, or it gives another number of ciphertexts.
        BudgetExceeded
            If more is used than the additions stated.
        """
        require_public_key(public_key)
        reader = Reader(data, Kind.PACKED_ARRAY)
        if reader.blob(max_bytes=32) != public_key.fingerprint:
            raise KeyMismatch("data: it is under another key; use the key that encrypted it")
        shape = reader.shape(max_size=max_size)
        bits, bound = reader.u8(), reader.float64()
        additions, used = reader.u64(), reader.u64()
        packing = _stated_packing(bits, bound, additions, public_key.bits)
        expected = (packing.ciphertexts(math.prod(shape)), 2 * public_key.bits // 64)
        rows = reader.array("uint64", max_axes=2, max_size=max(expected[0], 1) * expected[1])
        reader.finish()
        if rows.shape != expected:
            raise InvalidCiphertext(
                f"data: got rows {rows.shape} for shape {shape} and {packing.slots} slots, "
                f"expected {expected}"
            )
        if used > additions:
            raise BudgetExceeded(f"data: it states {used} used of {additions} additions")
        vector = _checked_vector(public_key, rows)
        return cls(public_key, vector, packing, shape=shape, used=used)

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("ciphertexts cannot be compared: equal plaintexts look different; decrypt")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise TypeError("an array of ciphertexts is neither true nor false; decrypt it")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("an array of ciphertexts is no array of numbers; decrypt it")

    def __getitem__(self, key: object) -> NoReturn:
        raise TypeError(
            "values of a packed array share ciphertexts: take them after decryption, or use "
            "encrypt(), which does not pack"
        )

    def __repr__(self) -> str:
        return f"PackedArray({self._description}, used={self.used}, {self.public_key.bits}-bit key)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(), self.public_key)

    @property
    def _description(self) -> str:
        return (
            f"shape={self.shape}, bits={self.bits}, bound={self.bound}, additions={self.additions}"
        )


def aggregate(
    updates: Iterable["PackedArray | CipherArray | bytes"],
    public_key: "PublicKey | None" = None,
    *,
    threads: int | None = None,
) -> PackedArray | CipherArray:
    """Add up arrays of one kind, one at a time.

    Nothing of an update is kept once it is added, so that a generator of updates needs the memory
    of one and of the sum.

    Parameters
    ----------
    updates : iterable of PackedArray, CipherArray or bytes
        Of the same key, kind and shape, and of the same packing or scale. Bytes may be hostile:
        they are validated as by ``from_bytes``.
    public_key : PublicKey, optional
        Of the updates; bytes need it.
    threads : int, optional
        For the additions; all cores unless given.

    Returns
    -------
    PackedArray or CipherArray
        The sum. It is not randomized anew: whoever holds all updates recognises it.

    Raises
    ------
    BudgetExceeded
        If the sum may be larger than the updates' budget, or than the key holds.
    DeserializationError, InvalidCiphertext
        If bytes are not the bytes of an array.
    KeyMismatch
        If an update is under another key.
    ScaleMismatch
        If an update differs from the first in kind, shape, packing or scale.
    TypeError
        If an update is none, or `public_key` is missing.
    ValueError
        If there are no updates.

    Each error about an update begins with its position, as in ``updates[2]: ...``.

    Examples
    --------
    >>> from veilsum import paillier
    >>> pub, priv = paillier.keygen(2048)
    >>> def updates():
    ...     for client in range(4):
    ...         yield pub.encrypt_packed([0.5, -client], bound=4.0, additions=4).to_bytes()
    >>> priv.decrypt(paillier.aggregate(updates(), pub))
    array([ 2., -6.])
    """
    workers = thread_count(threads)
    total: PackedArray | CipherArray | None = None
    positions = itertools.count()  # enumerate() would hold on to an update until it has the next
    for update in updates:
        total = _total_with(total, update, next(positions), public_key, workers)
        del update
    if total is None:
        raise ValueError("updates: there are none; give at least one")
    return total


def _total_with(
    total: PackedArray | CipherArray | None,
    update: object,
    position: int,
    public_key: "PublicKey | None",
    workers: int,
) -> PackedArray | CipherArray:
    try:
        array = _read(update, public_key)
        return array if total is None else _added(total, array, workers)
    except (VeilsumError, TypeError) as error:
        raise type(error)(f"updates[{position}]: {error}") from error


def _read(update: object, public_key: "PublicKey | None") -> PackedArray | CipherArray:
    if isinstance(update, PackedArray | CipherArray):
        if public_key is not None and update.public_key != public_key:
            raise KeyMismatch("it is under another key than public_key")
        return update
    if not isinstance(update, bytes | bytearray | memoryview):
        raise TypeError(f"got {type(update).__name__}, expected PackedArray, CipherArray or bytes")
    if public_key is None:
        raise TypeError("it is bytes, which are read with a key; pass public_key")
    data = bytes(update)
    packed = data.startswith(MAGIC + bytes([VERSION, Kind.PACKED_ARRAY]))
    return (PackedArray if packed else CipherArray).from_bytes(data, public_key)


def _added(
    total: PackedArray | CipherArray, array: PackedArray | CipherArray, workers: int
) -> PackedArray | CipherArray:
    if isinstance(total, PackedArray) and isinstance(array, PackedArray):
        return total._plus(array, workers)
    if isinstance(total, CipherArray) and isinstance(array, CipherArray):
        _require_same_key(total, array)
        if (array.shape, array.scale) != (total.shape, total.scale):
            raise ScaleMismatch(
                f"it has shape {array.shape} and scale {array.scale}, "
                f"those before have {total.shape} and {total.scale}"
            )
        return _sum(total, array, workers)
    raise ScaleMismatch(f"it is a {type(array).__name__}, those before are {type(total).__name__}")


def _require_same_key(left: PackedArray | CipherArray, right: PackedArray | CipherArray) -> None:
    if left.public_key != right.public_key:
        raise KeyMismatch("operands are under different keys; encrypt both under one key")


def _sum(left: CipherArray, right: CipherArray, workers: int) -> CipherArray:
    """Add two arrays of one key, shape and scale."""
    limit = left._require_limit(left.limit + right.limit)
    return left._with(left.vector.multiply(right.vector, workers), limit=limit)


def _refuse_numbers(other: object, expected: str) -> None:
    """Say what to do where somebody must have meant a number; strangers are left to Python."""
    if isinstance(other, Number | np.ndarray | CipherArray | PackedArray | list | tuple):
        raise TypeError(f"operand: got {type(other).__name__}, expected {expected}")


def _stated_packing(bits: int, bound: float, additions: int, key_bits: int) -> Packing:
    try:
        return Packing(
            bits=bits, bound=bound, additions=additions, key_bits=key_bits, whole=bits == 0
        )
    except ValueError as error:
        raise InvalidCiphertext(f"data: there is no such packing: {error}") from None


def _real_array(values: ArrayLike) -> NDArray[Any]:
    """Read real numbers: as float64, unless all of them are integers."""
    array = exact_array(values)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float64, copy=False)
    if not _is_whole(array):
        raise TypeError(f"array: got dtype {array.dtype}, expected real numbers")
    return array


def _is_whole(array: NDArray[Any]) -> bool:
    """Whether an array that `exact_array` read holds integers."""
    return array.dtype.kind in "biu" or (
        array.dtype.kind == "O" and all(isinstance(value, int) for value in array.flat)
    )
