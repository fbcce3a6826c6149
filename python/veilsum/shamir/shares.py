"""What holders have: shares, and what can be done with them: select, add, scale, store, join."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from numbers import Integral
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from veilsum.encoding import as_integer, as_integers
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    DuplicateShare,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.field import PrimeField
from veilsum.shamir.geometry import (
    LAYOUTS,
    Layout,
    holder_numbers,
    require_geometry,
)
from veilsum.wire import Kind, Reader, Writer

__all__ = ["DEALING_BITS", "Shares", "integer_dtype", "require_bound", "row_shape", "sealed"]

DEALING_BITS = 128
_GEOMETRY = ("threshold", "shares", "layout", "packed", "field", "shape")
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Shares:
    """Shares of one array, one row for each holder present. They are secret.

    Made by `split`. ``s[i]``, ``s[1:]`` and ``s[[0, 2]]`` select holders by position and keep the
    axis of holders; ``len(s)`` counts them. ``s + t``, ``s - t``, ``-s``, ``s * 3`` and
    ``sum([s, t])`` work row by row, so that every holder computes on its own rows; the results
    rebuild to int64. The static `bound` follows every operation and is checked before it.

    Parameters
    ----------
    values : NDArray[uint64]
        Residues of `field`, one row for each holder. Read-only. Shape ``(holders, *shape)``; with
        several secrets a polynomial ``(holders, ceil(size / packed))``, where column ``c`` holds
        the secrets ``c``, ``c + columns``, ``c + 2 * columns``, ... of the flattened array.
    points : NDArray[uint64]
        Shape ``(holders,)``, distinct, of those that the layout gives to `shares` holders: 1 to
        `shares`, or roots of unity. Read-only.
    threshold : int
        How many shares rebuild the secret; any `privacy` of them learn nothing about it.
    shares : int
        How many were dealt.
    shape : tuple of int
        That of the secret.
    field : PrimeField
        Where the polynomials live.
    dtype : dtype
        That of the secret.
    bound : int
        Public bound on the magnitude of the secret.
    dealing : int
        Tag of 128 random bits that all shares of one dealing carry. Tags are added and multiplied
        along with the shares, modulo 2**128, so that holders who combined the same dealings in the
        same way have the same tag. It tells mistakes, not attacks.
    layout : {"integers", "roots", "additive"}
        Where the holders' points lie; additive shares have none and simply add up.
    packed : int
        How many secrets share a polynomial.

    Raises
    ------
    InvalidShare
        If a point is 0 modulo the modulus or none of the layout's, or a value is not a residue.
    DuplicateShare
        If two points are equal modulo the modulus.
    BudgetExceeded
        If `bound` is beyond ``field.limit``.
    TypeError, ValueError
        If another parameter is out of its range.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split([1, 2], shares=3, threshold=2)
    >>> t = shamir.split([10, 20], shares=3, threshold=2)
    >>> shamir.reconstruct((s + 3 * t)[[0, 2]])
    array([31, 62])
    """

    values: NDArray[np.uint64]
    points: NDArray[np.uint64]
    threshold: int
    shares: int
    shape: tuple[int, ...]
    field: PrimeField
    dtype: np.dtype[Any]
    bound: int
    dealing: int
    layout: Layout = "integers"
    packed: int = 1

    __array_ufunc__ = None

    def __post_init__(self) -> None:
        for name in ("threshold", "shares", "bound", "dealing", "packed"):
            object.__setattr__(self, name, as_integer(name, getattr(self, name)))
        require_geometry(self.field, self.layout, self.shares, self.threshold, self.packed)
        require_bound(self.bound, self.field)
        if not 0 <= self.dealing < 1 << DEALING_BITS:
            raise ValueError(f"dealing: expected an integer from 0 to 2**{DEALING_BITS} - 1")
        object.__setattr__(self, "dtype", integer_dtype(self.dtype))
        object.__setattr__(self, "values", _own(_words("values", self.values)))
        object.__setattr__(self, "points", _own(_words("points", self.points)))
        object.__setattr__(self, "shape", _sides(self.shape))
        expected = (self.points.size, *row_shape(self.shape, self.packed))
        if self.points.ndim != 1 or self.values.shape != expected:
            raise ValueError(
                f"values, points: got shapes {self.values.shape} and {self.points.shape}, "
                f"expected {expected} and (holders,)"
            )
        self._require_points()
        outside = self.field.count_outside(self.values)
        if outside:
            raise InvalidShare(
                f"values: {outside} of {self.values.size} are not below the modulus "
                f"{self.field.modulus}; this holder's share was altered or is of another field"
            )

    @property
    def privacy(self) -> int:
        """How many holders together still learn nothing: ``threshold - packed``.

        Examples
        --------
        >>> from veilsum import shamir
        >>> shamir.split(range(12), shares=9, threshold=6, packed=4).privacy
        2
        """
        return self.threshold - self.packed

    @property
    def holders(self) -> tuple[int, ...]:
        """The holders' numbers, from 1 to `shares`, in the order of the rows.

        Examples
        --------
        >>> from veilsum import shamir
        >>> shamir.split([7], shares=4, threshold=2, points="roots")[[3, 0]].holders
        (4, 1)
        """
        numbers = holder_numbers(self.field, self.layout, self.shares, self.points)
        return tuple(numbers.tolist())

    def with_values(self, values: ArrayLike) -> Self:
        """Replace the values, for tests and attacks.

        Parameters
        ----------
        values : array_like of uint64
            Residues of the shape that ``self.values`` has.

        Returns
        -------
        Shares
            Alike but for the values.

        Raises
        ------
        InvalidShare
            If a value is not a residue.
        TypeError
            If `values` are not integers.
        ValueError
            If `values` have another shape or a negative element.

        Examples
        --------
        >>> from veilsum import shamir
        >>> s = shamir.split([7], shares=3, threshold=2)
        >>> shamir.reconstruct(s.with_values(s.field.add(s.values, [[0], [0], [1]])))
        Traceback (most recent call last):
            ...
        veilsum.errors.DecodingError: shares: the 3 shares disagree in 1 of 1 elements, ...
        """
        replaced = _words("values", values)
        if replaced.shape != self.values.shape:
            raise ValueError(
                f"values: got shape {replaced.shape}, expected {self.values.shape}, "
                "one row for each holder"
            )
        return replace(self, values=replaced)

    @classmethod
    def join(cls, parts: Iterable["Shares"]) -> "Shares":
        """Put the rows of several holders together.

        Parameters
        ----------
        parts : iterable of Shares
            At least one; each with the rows of other holders.

        Returns
        -------
        Shares
            All rows, in the order given.

        Raises
        ------
        InsufficientShares
            If there are no parts.
        InconsistentShares
            If they differ in threshold, number of shares dealt, field, dealing, shape, dtype or
            bound.
        DuplicateShare
            If two have the same point.
        TypeError
            If one of them is no `Shares`.

        Examples
        --------
        >>> from veilsum import shamir
        >>> s = shamir.split([5, 6], shares=4, threshold=2)
        >>> len(Shares.join([s[3], s[:2]]))
        3
        """
        parts = tuple(parts)
        if not parts:
            raise InsufficientShares("parts: got none, expected the rows of at least one holder")
        for part in parts:
            if not isinstance(part, Shares):
                raise TypeError(
                    f"parts: got {type(part).__name__} among them, expected a sequence of Shares"
                )
        first = parts[0]
        for part in parts[1:]:
            first.require_same_dealing(part)
        return replace(
            first,
            values=sealed(np.concatenate([part.values for part in parts])),
            points=sealed(np.concatenate([part.points for part in parts])),
        )

    @classmethod
    def sum(cls, parts: Iterable["Shares"]) -> "Shares":
        """Add the rows of the same holders of many dealings, faster than one after the other.

        Parameters
        ----------
        parts : iterable of Shares
            At least one.

        Returns
        -------
        Shares
            What ``sum(parts)`` is, of dtype int64.

        Raises
        ------
        InsufficientShares
            If there are no parts.
        InconsistentShares
            If they differ in geometry, field, shape, or in the holders and their order.
        BudgetExceeded
            If the bound of the sum is beyond ``field.limit``.

        Examples
        --------
        >>> from veilsum import shamir
        >>> dealt = [shamir.split([number], shares=3, threshold=2) for number in (5, 6, -7)]
        >>> shamir.reconstruct(shamir.Shares.sum(dealt))
        array([4])
        """
        parts = tuple(parts)
        if not parts:
            raise InsufficientShares("parts: got none, expected the shares of at least one secret")
        first, *others = parts
        for part in others:
            first._require_alike(part, *_GEOMETRY)
            first._require_same_holders(part)
        bound = sum(part.bound for part in parts)
        _require_budget(bound, first.field)
        total = _added(first.field, [part.values for part in parts])
        return first._combined(total, bound, sum(part.dealing for part in parts))

    @property
    def rows(self) -> NDArray[np.uint64]:
        """The values, one row a holder and one column a polynomial; read-only.

        Examples
        --------
        >>> from veilsum import shamir
        >>> shamir.split(np.zeros((2, 3), int), shares=4, threshold=2).rows.shape
        (4, 6)
        """
        return self.values.reshape(len(self), math.prod(self.values.shape[1:]))

    def require_same_dealing(self, other: "Shares") -> None:
        """Refuse shares that do not rebuild together with these.

        Parameters
        ----------
        other : Shares
            Of any holders.

        Raises
        ------
        InconsistentShares
            If they differ in geometry, field, shape, dtype, bound or dealing.

        Examples
        --------
        >>> from veilsum import shamir
        >>> s = shamir.split([5, 6], shares=4, threshold=2)
        >>> s[0].require_same_dealing(s[1])
        """
        self._require_alike(other, *_GEOMETRY, "dealing", "dtype", "bound")

    def require_same_rows(self, other: "Shares") -> None:
        """Refuse shares of other holders, or of secrets of another kind.

        Parameters
        ----------
        other : Shares
            Of any dealing.

        Raises
        ------
        InconsistentShares
            If they differ in geometry, field, shape, dtype, bound, or in the holders and their
            order.

        Examples
        --------
        >>> from veilsum import shamir
        >>> s, t = (shamir.split([number], shares=4, threshold=2) for number in (5, 6))
        >>> s[:2].require_same_rows(t[:2])
        """
        self._require_alike(other, *_GEOMETRY, "dtype", "bound")
        self._require_same_holders(other)

    def to_bytes(self) -> bytes:
        """Write the shares, which stay secret.

        The body, in the fields of `veilsum.wire` (kind SHARES): modulus u64, threshold u64, shares
        u64, layout u8 (0: integers, 1: roots, 2: additive), packed u64, dtype u8 (0: bool, 1 to 4:
        int8 to int64, 5 to 8: uint8 to uint64), bound integer, dealing (16 bytes little-endian)
        blob, shape, points array of uint64, values array of uint32 where the modulus is below
        2**32, else of uint64.

        Returns
        -------
        bytes
            Python cannot wipe them.

        Examples
        --------
        >>> from veilsum import shamir
        >>> s = shamir.split([5, 6], shares=4, threshold=2)
        >>> bool((Shares.from_bytes(s.to_bytes()).values == s.values).all())
        True
        """
        writer = Writer(Kind.SHARES)
        writer.u64(self.field.modulus)
        writer.u64(self.threshold)
        writer.u64(self.shares)
        writer.u8(LAYOUTS.index(self.layout))
        writer.u64(self.packed)
        writer.u8(_DTYPES.index(self.dtype.name))
        writer.integer(self.bound)
        writer.blob(self.dealing.to_bytes(DEALING_BITS // 8, "little"))
        writer.shape(self.shape)
        writer.array(self.points)
        writer.array(self.values.astype(_word(self.field.modulus), copy=False))
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        Shares

        Raises
        ------
        DeserializationError
            If the bytes are malformed, or a public parameter is out of its range.
        InvalidShare, DuplicateShare
            If a point or a value is one that no dealing gives.

        Examples
        --------
        >>> Shares.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.SHARES)
        modulus, threshold, shares = reader.u64(), reader.u64(), reader.u64()
        layout = LAYOUTS[reader.u8(max_value=len(LAYOUTS) - 1)]
        packed = reader.u64()
        dtype = np.dtype(_DTYPES[reader.u8(max_value=len(_DTYPES) - 1)])
        bound = reader.integer(max_bytes=8)
        dealing = reader.blob(max_bytes=DEALING_BITS // 8)
        if len(dealing) != DEALING_BITS // 8:
            raise DeserializationError(f"dealing: got {len(dealing)} bytes, expected 16")
        shape = reader.shape()
        points = reader.array(np.uint64, max_axes=1)
        values = reader.view(_word(modulus)).astype(np.uint64)
        reader.finish()
        try:
            return cls(
                values=sealed(values),
                points=sealed(points),
                threshold=threshold,
                shares=shares,
                shape=shape,
                layout=layout,
                packed=packed,
                field=PrimeField(modulus),
                dtype=dtype,
                bound=bound,
                dealing=int.from_bytes(dealing, "little"),
            )
        except (InvalidShare, DuplicateShare):
            raise
        except ValueError as error:
            raise DeserializationError(f"shares: {error}") from None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, holders: int | slice | Sequence[int] | NDArray[Any]) -> Self:
        chosen = holders if isinstance(holders, slice) else _positions(holders)
        points, values = self.points[chosen], self.values[chosen]
        if np.unique(points).size != points.size:
            raise DuplicateShare("holders: got one of them twice")
        return self._with(points=sealed(points), values=sealed(values))

    def __iter__(self) -> Iterator[Self]:
        return (self[position] for position in range(len(self)))

    def __add__(self, other: object) -> Self:
        if isinstance(other, Integral) and other == 0:
            return self  # where the built-in sum starts
        if not isinstance(other, Shares):
            return NotImplemented
        self._require_addable(other)
        values = self.field.add(self.values, other.values)
        return self._combined(values, self.bound + other.bound, self.dealing + other.dealing)

    __radd__ = __add__

    def __sub__(self, other: object) -> Self:
        if not isinstance(other, Shares):
            return NotImplemented
        self._require_addable(other)
        values = self.field.sub(self.values, other.values)
        return self._combined(values, self.bound + other.bound, self.dealing - other.dealing)

    def __neg__(self) -> Self:
        return self._combined(self.field.neg(self.values), self.bound, -self.dealing)

    def __mul__(self, factor: object) -> Self:
        if not isinstance(factor, Integral):
            return NotImplemented
        times = int(factor)
        bound = self.bound * abs(times)
        _require_budget(bound, self.field)
        values = self.field.mul(self.values, np.uint64(times % self.field.modulus))
        return self._combined(values, bound, self.dealing * times)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return (
            f"Shares(points={self.points.tolist()}, shape={self.shape}, "
            f"threshold={self.threshold}, shares={self.shares}, layout={self.layout!r}, "
            f"packed={self.packed}, field={self.field}, "
            f"dtype={self.dtype}, bound={self.bound}, values=<redacted>)"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("Shares are secret and do not pickle; export them by to_bytes()")

    def _require_addable(self, other: "Shares") -> None:
        self._require_alike(other, *_GEOMETRY)
        self._require_same_holders(other)
        _require_budget(self.bound + other.bound, self.field)

    def _require_same_holders(self, other: "Shares") -> None:
        if not np.array_equal(self.points, other.points):
            raise InconsistentShares(
                f"points: got {self.points.tolist()} and {other.points.tolist()}, "
                "expected the same holders in the same order"
            )

    def _require_points(self) -> None:
        modulus, points = np.uint64(self.field.modulus), self.points
        reduced = points % modulus
        if not reduced.all():
            raise InvalidShare("points: got 0 modulo the field's modulus, where the secret lies")
        if np.unique(reduced).size != reduced.size:
            raise DuplicateShare("points: got two that are equal modulo the field's modulus")
        foreign = holder_numbers(self.field, self.layout, self.shares, points) == 0
        if foreign.any():
            raise InvalidShare(
                f"points: got {points[foreign][0]}, expected those of the {self.shares} dealt"
            )

    def _require_alike(self, other: "Shares", *names: str) -> None:
        for name in names:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                seen = "two dealings" if name == "dealing" else f"{ours} and {theirs}"
                raise InconsistentShares(
                    f"{name}: got {seen}, expected the same; combine shares of one dealing, "
                    "or sums of the same dealings"
                )

    def _with(self, **changes: Any) -> Self:
        """Copy with parts that were made here and need no checks."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__ | changes)
        return made

    @classmethod
    def _dealt(cls, **parts: Any) -> "Shares":
        """Make shares of what was computed here and needs no checks."""
        made = object.__new__(cls)
        made.__dict__.update(parts | {name: sealed(parts[name]) for name in ("values", "points")})
        return made

    def _combined(self, values: NDArray[np.uint64], bound: int, dealing: int) -> Self:
        # Every centred residue fits int64, so the widened dtype always holds the result.
        return self._with(
            values=sealed(values),
            dtype=np.dtype(np.int64),
            bound=bound,
            dealing=dealing % (1 << DEALING_BITS),
        )


def _positions(holders: ArrayLike) -> NDArray[Any]:
    positions = np.atleast_1d(as_integers("holders", holders))
    if positions.ndim != 1:
        raise IndexError(f"holders: got an index of {positions.ndim} axes, expected one")
    return positions if positions.size else positions.astype(np.intp)


def row_shape(shape: tuple[int, ...], packed: int) -> tuple[int, ...]:
    """Return the shape of one holder's values for a secret of that shape."""
    return shape if packed == 1 else (-(-math.prod(shape) // packed),)


def require_bound(bound: int, field: PrimeField) -> None:
    """Refuse a bound that no field element carries; raise ValueError or BudgetExceeded."""
    if bound < 0:
        raise ValueError(f"bound: got {bound}, expected at least 0")
    _require_budget(bound, field)


def _require_budget(bound: int, field: PrimeField) -> None:
    if bound > field.limit:
        raise BudgetExceeded(
            f"bound: got {bound}, expected at most {field.limit} in this field; "
            "split with a smaller bound or in a larger field"
        )


def integer_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return a boolean or integer dtype in the machine's byte order, or raise TypeError."""
    name = np.dtype(dtype).name
    if name not in _DTYPES:
        raise TypeError(f"dtype: got {name}, expected one of {', '.join(_DTYPES)}")
    return np.dtype(name)


def _sides(shape: Sequence[int]) -> tuple[int, ...]:
    sides = tuple(as_integer("shape", side) for side in shape)
    if any(side < 0 for side in sides):
        raise ValueError(f"shape: got {sides}, expected no negative side")
    return sides


def _word(modulus: int) -> type[np.uint32] | type[np.uint64]:
    """Return the type of a residue on the wire."""
    return np.uint32 if modulus < 1 << 32 else np.uint64


def _added(field: PrimeField, terms: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Add residues, and reduce no more often than words of 64 bits ask for."""
    room = (1 << 64) // field.modulus  # how many residues a word holds the sum of
    if room == 1:
        return reduce(field.add, terms)
    total, held = terms[0].copy(), 1
    for term in terms[1:]:
        if held == room:
            _reduce(total, field.modulus, held)
            held = 1
        total += term
        held += 1
    _reduce(total, field.modulus, held)
    return total


def _reduce(total: NDArray[np.uint64], modulus: int, terms: int) -> None:
    """Reduce sums of that many residues where they lie, without branch or division."""
    for step in reversed(range((terms - 1).bit_length())):
        # Below the multiple that is taken off, the difference wraps and is the larger one.
        np.minimum(total, total - np.uint64(modulus << step), out=total)


def _words(name: str, values: ArrayLike) -> NDArray[np.uint64]:
    array = as_integers(name, values)
    if array.dtype.kind == "i" and (array < 0).any():
        raise ValueError(f"{name}: got a negative number, expected residues")
    return array.astype(np.uint64, copy=False)


def _own(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Copy an array whose memory somebody else could still write, or whose rows have gaps."""
    layers = list(_layers(array))
    safe = layers[-1].flags.owndata and not any(layer.flags.writeable for layer in layers)
    whole = array.flags.aligned and np.atleast_1d(array)[:1].flags.c_contiguous
    return array if safe and whole else sealed(array.copy())


def sealed(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Make an array that nobody else holds read-only, and those that it is a view of."""
    for layer in _layers(array):
        layer.flags.writeable = False
    return array


def _layers(array: NDArray[np.uint64]) -> Iterator[NDArray[Any]]:
    """Walk from an array down to the one that owns its memory, unless that is no array."""
    layer: object = array
    while isinstance(layer, np.ndarray):
        yield layer
        layer = layer.base
