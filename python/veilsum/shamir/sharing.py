"""Dealing shares, and what holders do with them: select, add, scale, store, put together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from veilsum.encoding import as_integers, require_within
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    DuplicateShare,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.field import P50, PrimeField
from veilsum.randomness import random_bits, wipe
from veilsum.threads import thread_count
from veilsum.wire import Kind, Reader, Writer

__all__ = ["Shares", "split"]

_DEALING_BITS = 128
_DEFAULT_BOUND = 1 << 32
_BLOCK = 1 << 18  # coefficients held at a time: they stay in the cache and are wiped there
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def split(
    values: ArrayLike,
    *,
    shares: int,
    threshold: int,
    field: PrimeField = P50,
    bound: int | None = None,
    threads: int | None = None,
) -> "Shares":
    """Share an array of integers.

    Parameters
    ----------
    values : array_like
        Secrets of a boolean or integer dtype, of any shape, each of magnitude at most `bound`.
    shares : int
        How many shares to deal, below the field's modulus; their points are 1 to `shares`.
    threshold : int
        How many rebuild the secrets, from 1 to `shares`. With 1 every share is the secret.
    field : PrimeField
        Where the polynomials live.
    bound : int, optional
        Public bound on the magnitude of every secret, fixed in advance; sums and multiples of
        shares have to stay within ``field.limit``. By default 2**32, or ``field.limit`` if smaller.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Returns
    -------
    Shares
        One row a holder. Fewer than `threshold` rows are uniform and independent of the secrets;
        shapes, dtype and `bound` are public.

    Raises
    ------
    BudgetExceeded
        If a secret is beyond `bound`, or `bound` beyond ``field.limit``.
    TypeError
        If `values` are not integers, or another argument is not of its type.
    ValueError
        If `shares`, `threshold`, `bound` or `threads` is out of range.

    Notes
    -----
    Shamir 1979. All coefficients are uniform, the leading one included: forcing it to be non-zero
    would leak. They are wiped after use.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split(np.arange(10), shares=5, threshold=3)
    >>> s.values.shape
    (5, 10)
    >>> shamir.reconstruct(s[[0, 2, 4]])
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    thread_count(threads)
    secrets = as_integers("values", values)
    threshold, shares = _integer("threshold", threshold), _integer("shares", shares)
    _require_sizes(threshold, shares, field)
    limit = min(_DEFAULT_BOUND, field.limit) if bound is None else _integer("bound", bound)
    _require_bound(limit, field)
    require_within("values", secrets, limit)
    points = np.arange(1, shares + 1, dtype=np.uint64)
    rows = np.empty((shares, secrets.size), np.uint64)
    powers = _powers(field, points, threshold)
    residues = field.residues(secrets).reshape(-1)
    width = max(1, _BLOCK // threshold)
    try:
        for start in range(0, secrets.size, width):
            block = slice(start, start + width)
            rows[:, block] = _deal(field, powers, residues[block], threads)
    finally:
        wipe(residues)
    return Shares(
        values=_sealed(rows.reshape(shares, *secrets.shape)),
        points=_sealed(points),
        threshold=threshold,
        shares=shares,
        field=field,
        dtype=secrets.dtype,
        bound=limit,
        dealing=random_bits(_DEALING_BITS),
    )


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
        Shape ``(holders, *shape)``, residues of `field`. Read-only.
    points : NDArray[uint64]
        Shape ``(holders,)``, distinct, from 1 to `shares`. Read-only.
    threshold : int
        How many shares rebuild the secret.
    shares : int
        How many were dealt.
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

    Raises
    ------
    InvalidShare
        If a point is 0 modulo the modulus or beyond `shares`, or a value is not a residue.
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
    field: PrimeField
    dtype: np.dtype[Any]
    bound: int
    dealing: int

    __array_ufunc__ = None

    def __post_init__(self) -> None:
        for name in ("threshold", "shares", "bound", "dealing"):
            object.__setattr__(self, name, _integer(name, getattr(self, name)))
        _require_sizes(self.threshold, self.shares, self.field)
        _require_bound(self.bound, self.field)
        if not 0 <= self.dealing < 1 << _DEALING_BITS:
            raise ValueError(f"dealing: expected an integer from 0 to 2**{_DEALING_BITS} - 1")
        object.__setattr__(self, "dtype", _integer_dtype(self.dtype))
        object.__setattr__(self, "values", _own(_words("values", self.values)))
        object.__setattr__(self, "points", _own(_words("points", self.points)))
        if self.points.ndim != 1 or self.values.shape[:1] != self.points.shape:
            raise ValueError(
                f"values, points: got shapes {self.values.shape} and {self.points.shape}, "
                "expected (holders, ...) and (holders,)"
            )
        _require_points(self.points, self.shares, self.field)
        outside = self.field.count_outside(self.values)
        if outside:
            raise InvalidShare(
                f"values: {outside} of {self.values.size} are not below the modulus "
                f"{self.field.modulus}; this holder's share was altered or is of another field"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the secret.

        Examples
        --------
        >>> split(np.zeros((2, 3), int), shares=4, threshold=2).shape
        (2, 3)
        """
        return self.values.shape[1:]

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
    def join(cls, parts: Sequence["Shares"]) -> "Shares":
        """Put the rows of several holders together.

        Parameters
        ----------
        parts : sequence of Shares
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
        >>> s = split([5, 6], shares=4, threshold=2)
        >>> len(Shares.join([s[3], s[:2]]))
        3
        """
        if not parts:
            raise InsufficientShares("parts: got none, expected the rows of at least one holder")
        for part in parts:
            if not isinstance(part, Shares):
                raise TypeError(
                    f"parts: got {type(part).__name__} among them, expected a sequence of Shares"
                )
        first = parts[0]
        for part in parts[1:]:
            first._require_alike(
                part, "threshold", "shares", "field", "dealing", "shape", "dtype", "bound"
            )
        return replace(
            first,
            values=_sealed(np.concatenate([part.values for part in parts])),
            points=_sealed(np.concatenate([part.points for part in parts])),
        )

    def to_bytes(self) -> bytes:
        """Write the shares, which stay secret.

        The body, in the fields of `veilsum.wire` (kind SHARES): modulus u64, threshold u64, shares
        u64, dtype u8 (0: bool, 1 to 4: int8 to int64, 5 to 8: uint8 to uint64), bound integer,
        dealing (16 bytes little-endian) blob, points array of uint64, values array of uint64.

        Returns
        -------
        bytes
            Python cannot wipe them.

        Examples
        --------
        >>> s = split([5, 6], shares=4, threshold=2)
        >>> bool((Shares.from_bytes(s.to_bytes()).values == s.values).all())
        True
        """
        writer = Writer(Kind.SHARES)
        writer.u64(self.field.modulus)
        writer.u64(self.threshold)
        writer.u64(self.shares)
        writer.u8(_DTYPES.index(self.dtype.name))
        writer.integer(self.bound)
        writer.blob(self.dealing.to_bytes(_DEALING_BITS // 8, "little"))
        writer.array(self.points)
        writer.array(self.values)
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
        dtype = np.dtype(_DTYPES[reader.u8(max_value=len(_DTYPES) - 1)])
        bound = reader.integer(max_bytes=8)
        dealing = reader.blob(max_bytes=_DEALING_BITS // 8)
        if len(dealing) != _DEALING_BITS // 8:
            raise DeserializationError(f"dealing: got {len(dealing)} bytes, expected 16")
        points = reader.array(np.uint64, max_axes=1)
        values = reader.array(np.uint64)
        reader.finish()
        try:
            return cls(
                values=_sealed(values),
                points=_sealed(points),
                threshold=threshold,
                shares=shares,
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
        points, values = _sealed(self.points[chosen]), _sealed(self.values[chosen])
        return replace(self, points=points, values=values)

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
            f"threshold={self.threshold}, shares={self.shares}, field={self.field}, "
            f"dtype={self.dtype}, bound={self.bound}, values=<redacted>)"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("Shares are secret and do not pickle; export them by to_bytes()")

    def _require_addable(self, other: "Shares") -> None:
        self._require_alike(other, "threshold", "shares", "field", "shape")
        if not np.array_equal(self.points, other.points):
            raise InconsistentShares(
                f"points: got {self.points.tolist()} and {other.points.tolist()}, "
                "expected the same holders in the same order"
            )
        _require_budget(self.bound + other.bound, self.field)

    def _require_alike(self, other: "Shares", *names: str) -> None:
        for name in names:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                seen = "two dealings" if name == "dealing" else f"{ours} and {theirs}"
                raise InconsistentShares(
                    f"{name}: got {seen}, expected the same; combine shares of one dealing, "
                    "or sums of the same dealings"
                )

    def _combined(self, values: NDArray[np.uint64], bound: int, dealing: int) -> Self:
        # Every centred residue fits int64, so the widened dtype always holds the result.
        return replace(
            self,
            values=_sealed(values),
            dtype=np.dtype(np.int64),
            bound=bound,
            dealing=dealing % (1 << _DEALING_BITS),
        )


def _deal(
    field: PrimeField,
    powers: NDArray[np.uint64],
    secrets: NDArray[np.uint64],
    threads: int | None,
) -> NDArray[np.uint64]:
    """Evaluate fresh polynomials with these constant terms at every point."""
    coefficients = np.empty((powers.shape[1], secrets.size), np.uint64)
    try:
        coefficients[0] = secrets
        field.random((len(coefficients) - 1, secrets.size), out=coefficients[1:])
        return field.matmul(powers, coefficients, threads=threads)
    finally:
        wipe(coefficients)


def _powers(field: PrimeField, points: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Raise each point to the powers 0 to ``count - 1``, one row for each point."""
    columns = [np.ones_like(points)]
    for _ in range(count - 1):
        columns.append(field.mul(columns[-1], points))
    return np.stack(columns, axis=1)


def _positions(holders: ArrayLike) -> NDArray[Any]:
    positions = np.atleast_1d(as_integers("holders", holders))
    if positions.ndim != 1:
        raise IndexError(f"holders: got an index of {positions.ndim} axes, expected one")
    return positions if positions.size else positions.astype(np.intp)


def _integer(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"{name}: got {type(number).__name__}, expected int")
    return int(number)


def _require_sizes(threshold: int, shares: int, field: PrimeField) -> None:
    if not 1 <= threshold <= shares < field.modulus:
        raise ValueError(
            f"threshold, shares: got {threshold} and {shares}, "
            f"expected 1 <= threshold <= shares < {field.modulus}"
        )


def _require_bound(bound: int, field: PrimeField) -> None:
    if bound < 0:
        raise ValueError(f"bound: got {bound}, expected at least 0")
    _require_budget(bound, field)


def _require_budget(bound: int, field: PrimeField) -> None:
    if bound > field.limit:
        raise BudgetExceeded(
            f"bound: got {bound}, expected at most {field.limit} in this field; "
            "split with a smaller bound or in a larger field"
        )


def _require_points(points: NDArray[np.uint64], shares: int, field: PrimeField) -> None:
    reduced = points % np.uint64(field.modulus)
    if not reduced.all():
        raise InvalidShare("points: got 0 modulo the field's modulus, where the secret lies")
    if np.unique(reduced).size != reduced.size:
        raise DuplicateShare("points: got two that are equal modulo the field's modulus")
    if (points > np.uint64(shares)).any():
        raise InvalidShare(f"points: got {points.max()}, expected at most the {shares} dealt")


def _integer_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    name = np.dtype(dtype).name
    if name not in _DTYPES:
        raise TypeError(f"dtype: got {name}, expected one of {', '.join(_DTYPES)}")
    return np.dtype(name)


def _words(name: str, values: ArrayLike) -> NDArray[np.uint64]:
    array = as_integers(name, values)
    if (array < 0).any():
        raise ValueError(f"{name}: got a negative number, expected residues")
    return array.astype(np.uint64, copy=False)


def _own(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Copy an array whose memory somebody else could still write."""
    layers = list(_layers(array))
    writable = any(layer.flags.writeable for layer in layers)
    return array if layers[-1].flags.owndata and not writable else _sealed(array.copy())


def _sealed(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
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
