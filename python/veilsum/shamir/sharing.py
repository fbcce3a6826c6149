"""Dealing: secrets become shares, and shares become other shares of the same secrets."""

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core
from veilsum.encoding import as_integer, as_integers, require_within
from veilsum.errors import DuplicateShare, InconsistentShares, InsufficientShares
from veilsum.field import P50, PrimeField
from veilsum.randomness import ResidueStream, random_bits, wipe
from veilsum.shamir.geometry import (
    Layout,
    lagrange_weights,
    power_rows,
    require_geometry,
    secret_points,
    share_points,
    transform_length,
)
from veilsum.shamir.shares import (
    DEALING_BITS,
    Shares,
    integer_dtype,
    require_bound,
    row_shape,
    sealed,
)
from veilsum.threads import in_ranges, thread_count
from veilsum.wire import length_prefixed

__all__ = [
    "deal_zeros",
    "join_reshared",
    "refresh",
    "reshare",
    "split",
    "split_additive",
]

_PART_TAG = struct.Struct("<4I")
_DEFAULT_BOUND = 1 << 32
_SCRATCH = 1 << 16  # words of secrets and randomness at a time: they stay in the cache
_GRAIN = 64  # columns; rows begin at cache lines

Words = NDArray[np.uint64]
_Fill = Callable[[Words, int, int], None]


def split(
    values: ArrayLike,
    *,
    shares: int,
    threshold: int,
    packed: int = 1,
    points: Literal["integers", "roots"] = "integers",
    field: PrimeField = P50,
    bound: int | None = None,
    threads: int | None = None,
) -> Shares:
    """Share an array of integers.

    Parameters
    ----------
    values : array_like
        Secrets of a boolean or integer dtype, of any shape, each of magnitude at most `bound`.
    shares : int
        How many shares to deal, below the field's modulus.
    threshold : int
        How many rebuild the secrets, from 1 to `shares`. With 1 every share is the secret.
    packed : int
        How many secrets share a polynomial, 1 or below `threshold`: the shares shrink by that
        factor, and so does privacy, from ``threshold - 1`` holders who together learn nothing to
        ``threshold - packed``.
    points : {"integers", "roots"}
        Where the holders' points lie: 1 to `shares`, or at roots of unity, where a transform deals
        and rebuilds in time ``n log n``: the faster choice for many holders.
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
        One row a holder. Any ``threshold - packed`` rows are uniform and independent of the
        secrets; shapes, dtype and `bound` are public.

    Raises
    ------
    BudgetExceeded
        If a secret is beyond `bound`, or `bound` beyond ``field.limit``.
    TypeError
        If `values` are not integers, or another argument is not of its type.
    ValueError
        If `shares`, `threshold`, `packed`, `points`, `bound` or `threads` is out of range.

    Notes
    -----
    Shamir 1979; several secrets a polynomial: Franklin and Yung, "Communication complexity of
    secure computation", STOC 1992. The polynomial is uniform among those that have the secrets at
    their points. At integer points the first ``threshold - packed`` shares are drawn and the others
    follow from them and the secrets; at roots of unity the upper coefficients are drawn. Nothing
    is forced to be non-zero, which would leak. What was drawn is wiped, but for the shares.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split(np.arange(10), shares=5, threshold=3)
    >>> s.values.shape
    (5, 10)
    >>> shamir.reconstruct(s[[0, 2, 4]])
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> shamir.split(np.arange(10), shares=8, threshold=6, packed=4, points="roots").values.shape
    (8, 3)
    """
    if points not in ("integers", "roots"):
        raise ValueError(f"points: got {points!r}, expected 'integers' or 'roots'")
    return _split(
        values, points, shares=shares, threshold=threshold, packed=packed, field=field, bound=bound,
        threads=threads,
    )  # fmt: skip


def split_additive(
    values: ArrayLike,
    *,
    shares: int,
    field: PrimeField = P50,
    bound: int | None = None,
    threads: int | None = None,
) -> Shares:
    """Share an array of integers as summands: all shares together rebuild, any fewer tell nothing.

    Parameters
    ----------
    values, field, bound, threads
        As for `split`.
    shares : int
        How many shares to deal, at least 1.

    Returns
    -------
    Shares
        Of layout ``"additive"``: the rows add up to the secrets.

    Raises
    ------
    BudgetExceeded, TypeError, ValueError
        As for `split`.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split_additive([5, -6], shares=3)
    >>> s.field.centre(s.field.matmul([[1, 1, 1]], s.values))
    array([[ 5, -6]])
    >>> shamir.reconstruct(s)
    array([ 5, -6])
    """
    return _split(
        values, "additive", shares=shares, threshold=shares, packed=1, field=field, bound=bound,
        threads=threads,
    )  # fmt: skip


def deal_zeros(like: Shares, *, threads: int | None = None) -> Shares:
    """Deal shares of zeros that fit other shares, for `refresh`.

    Parameters
    ----------
    like : Shares
        Whose geometry, shape and dtype the zeros get; the values do not matter.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Returns
    -------
    Shares
        One row for each of ``like.shares`` holders, of bound 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its type or out of its range.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split([7, 8], shares=4, threshold=2)
    >>> shamir.reconstruct(shamir.deal_zeros(s))
    array([0, 0])
    """
    _require_shares("like", like)
    dealer = _Dealer.like(like)
    rows = dealer.deal(
        math.prod(row_shape(like.shape, like.packed)), _fill_zeros, thread_count(threads)
    )
    return _dealt(
        dealer,
        rows,
        shape=like.shape,
        dtype=like.dtype,
        bound=0,
        dealing=random_bits(DEALING_BITS),
    )


def refresh(shares: Shares, zeros: Sequence[Shares]) -> Shares:
    """Renew shares without opening them, so that old and new ones do not combine.

    Every holder deals zeros (`deal_zeros`), gives each holder its row of them, adds the rows that
    it got to its own, and erases the old row and the zeros. What an attacker learnt of old rows
    then tells nothing together with new ones, as long as it saw at most ``shares.privacy`` rows of
    each generation and the zeros of one dealer were dealt honestly and out of its sight.

    Parameters
    ----------
    shares : Shares
        The rows of one or more holders.
    zeros : sequence of Shares
        The rows of the same holders of each dealing of zeros, at least one.

    Returns
    -------
    Shares
        The new rows, of the same secrets.

    Raises
    ------
    InconsistentShares
        If the rows differ in geometry or holders, or a dealing is not of zeros by its bound.
    InsufficientShares
        If there are no zeros.
    TypeError
        If one of the arguments is no `Shares`.

    Notes
    -----
    Herzberg, Jarecki, Krawczyk and Yung, "Proactive secret sharing", CRYPTO 1995, section 3.2.
    Only for holders who follow the protocol: the bound of 0 is what a dealer of zeros says. One who
    deals something else, even on polynomials of the right degree, changes the secret unnoticed. A
    signature tells who dealt, and a check of the degree that there are polynomials: neither shows
    that they hold zeros.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split([7, 8], shares=4, threshold=2)
    >>> z = [shamir.deal_zeros(s) for _ in range(len(s))]
    >>> renewed = shamir.refresh(s, z)
    >>> shamir.reconstruct(renewed[1:3])
    array([7, 8])
    """
    _require_shares("shares", shares)
    if not zeros:
        raise InsufficientShares("zeros: got none, expected at least one dealing of zeros")
    renewed = shares
    for zero in zeros:
        _require_shares("zeros", zero)
        if zero.bound:
            raise InconsistentShares(f"zeros: got a dealing of bound {zero.bound}, expected 0")
        renewed = renewed + zero
    return replace(renewed, dtype=shares.dtype)


def reshare(
    row: Shares,
    *,
    among: Sequence[int],
    shares: int,
    threshold: int,
    points: Literal["integers", "roots"] = "integers",
    threads: int | None = None,
) -> Shares:
    """Deal one holder's row on to other holders, without opening the secret.

    The old holders agree on ``row.threshold`` of them who take part, and each of those deals its
    row on; every new holder puts what it got from all of them together with `join_reshared`.

    Parameters
    ----------
    row : Shares
        The row of one holder.
    among : sequence of int
        The numbers of the old holders who take part, ``row.threshold`` of them, in any order; the
        same for all.
    shares, threshold : int
        How many new shares there are, and how many of them rebuild.
    points : {"integers", "roots"}
        Where the new holders' points lie.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Returns
    -------
    Shares
        One row for each new holder, of this holder's part of the secret: of no use alone. As many
        secrets share a polynomial as before. Its tag says whose part of how many it is.

    Raises
    ------
    InsufficientShares
        If too few or too many old holders take part.
    InconsistentShares
        If the holder is not among them, or one of them is named twice.
    TypeError, ValueError
        If an argument is not of its type or out of its range.

    Notes
    -----
    Desmedt and Jajodia, "Redistributing secret shares to new access structures and its
    applications", 1997: the secret is a public linear combination of the old shares, so shares of
    the products of each old share and its weight add up to shares of the secret.

    Only for holders who follow the protocol: an old holder who deals on another row than it has
    shifts the secret by what it likes, and nothing shows it, because as many rows as the threshold
    have no redundancy. Against liars the old rows have to be authenticated, and the dealings
    checked against them. Old holders have to erase their rows afterwards.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split([7, -8], shares=3, threshold=2)
    >>> parts = [shamir.reshare(s[i], among=(1, 3), shares=5, threshold=4) for i in (0, 2)]
    >>> rows = [shamir.join_reshared([part[j] for part in parts]) for j in range(5)]
    >>> shamir.reconstruct(shamir.Shares.join(rows[1:]))
    array([ 7, -8])
    """
    _require_shares("row", row)
    if points not in ("integers", "roots"):
        raise ValueError(f"points: got {points!r}, expected 'integers' or 'roots'")
    among = [as_integer("among", number) for number in among]
    weights = _own_weights(row, among)
    dealer = _Dealer(
        row.field,
        points,
        as_integer("shares", shares),
        as_integer("threshold", threshold),
        row.packed,
    )
    values = row.values.reshape(1, -1)

    def fill(known: Words, start: int, stop: int) -> None:
        known[:] = row.field.mul(weights, values[:, start:stop])

    rows = dealer.deal(values.shape[1], fill, thread_count(threads))
    tag = _reshared_tag(row, sorted(among), dealer)
    return _dealt(dealer, rows, shape=row.shape, dtype=row.dtype, bound=row.bound, dealing=tag)


def join_reshared(parts: Iterable[Shares]) -> Shares:
    """Put together what new holders got from all old ones who took part in `reshare`.

    Parameters
    ----------
    parts : iterable of Shares
        One from each old holder taking part, in any order, with the rows of the same new holders.

    Returns
    -------
    Shares
        The new holders' rows of the secret. They combine with those of other new holders who put
        the same parts together, and with no others.

    Raises
    ------
    DuplicateShare
        If two parts come from one old holder.
    InconsistentShares
        If the parts come from different dealings, choices of old holders or geometries, hold the
        rows of different new holders, or were not made by `reshare`.
    InsufficientShares
        If the part of an old holder is missing.
    TypeError
        If one of them is no `Shares`.

    Examples
    --------
    See `reshare`.
    """
    parts = tuple(parts)
    if not parts:
        raise InsufficientShares("parts: got none, expected one from each old holder taking part")
    for part in parts:
        _require_shares("parts", part)
    first = parts[0]
    for part in parts[1:]:
        first.require_same_rows(part)
    _require_complete([_PartTag.read(part.dealing) for part in parts])
    total = reduce(first.field.add, [part.values for part in parts])
    tags = sorted(part.dealing.to_bytes(DEALING_BITS // 8, "little") for part in parts)
    joined = _short_digest(b"veilsum reshared", *tags)
    return replace(first, values=sealed(np.array(total)), dealing=int.from_bytes(joined, "little"))


def _split(
    values: ArrayLike,
    layout: Layout,
    *,
    shares: int,
    threshold: int,
    packed: int,
    field: PrimeField,
    bound: int | None,
    threads: int | None,
) -> Shares:
    workers = thread_count(threads)
    secrets = as_integers("values", values)
    dealer = _Dealer(
        field,
        layout,
        as_integer("shares", shares),
        as_integer("threshold", threshold),
        as_integer("packed", packed),
    )
    limit = min(_DEFAULT_BOUND, field.limit) if bound is None else as_integer("bound", bound)
    require_bound(limit, field)
    require_within("values", secrets, limit)
    columns = math.prod(row_shape(secrets.shape, dealer.packed))
    flat = np.ascontiguousarray(secrets).reshape(-1)

    def fill(known: Words, start: int, stop: int) -> None:
        for place, row in enumerate(known):
            here = flat[
                place * columns + start : min(place * columns + stop, (place + 1) * columns)
            ]
            _write_residues(field, here, row)

    rows = dealer.deal(columns, fill, workers)
    return _dealt(
        dealer,
        rows,
        shape=secrets.shape,
        dtype=integer_dtype(secrets.dtype),
        bound=limit,
        dealing=random_bits(DEALING_BITS),
    )


@dataclass(frozen=True)
class _Dealer:
    """Turns residues into rows of values, a block of columns at a time."""

    field: PrimeField
    layout: Layout
    shares: int
    threshold: int
    packed: int

    def __post_init__(self) -> None:
        require_geometry(self.field, self.layout, self.shares, self.threshold, self.packed)

    @classmethod
    def like(cls, shares: Shares) -> "_Dealer":
        return cls(shares.field, shares.layout, shares.shares, shares.threshold, shares.packed)

    @cached_property
    def secret_points(self) -> Words:
        return secret_points(self.field, self.layout, self.shares, self.packed)

    @cached_property
    def weights(self) -> _core.Weights:
        """What turns the secrets and what was drawn into the other shares or coefficients."""
        return self.field.core.prepare(np.ascontiguousarray(self._matrix()))

    def _matrix(self) -> Words:
        drawn = self.threshold - self.packed
        if self.layout == "additive":
            return np.array([[1] + [self.field.modulus - 1] * drawn], np.uint64)
        if self.layout == "roots" and self.packed == 1:
            return np.ones((1, 1), np.uint64)  # a secret at 0 is the constant coefficient
        if self.layout == "roots":
            return self._low_coefficients()
        points = share_points(self.field, self.layout, self.shares)
        known = np.concatenate([self.secret_points, points[:drawn]])
        return lagrange_weights(self.field, known, points[drawn:])

    def deal(self, columns: int, fill: _Fill, threads: int) -> Words:
        """Return one row for each holder; `fill` writes the secrets' residues of some columns."""
        rows = _aligned(self.shares, columns)
        width = max(_GRAIN, _SCRATCH // self.threshold // _GRAIN * _GRAIN)
        self.weights  # noqa: B018 (made once, before there are threads)
        in_ranges(lambda a, b: self._deal_range(rows, fill, a, b, width), columns, width, threads)
        return rows[:, :columns]

    def _deal_range(self, rows: Words, fill: _Fill, begin: int, end: int, width: int) -> None:
        stream = ResidueStream(self.field.modulus)
        known = np.empty(self.threshold * min(width, end - begin), np.uint64)
        try:
            for start in range(begin, end, width):
                stop = min(start + width, end)
                block = known[: self.threshold * (stop - start)].reshape(self.threshold, -1)
                fill(block[: self.packed], start, stop)
                stream.fill(block[self.packed :])
                self._deal_block(rows, block, start)
        finally:
            wipe(known)

    def _deal_block(self, rows: Words, known: Words, start: int) -> None:
        core = self.field.core
        if self.layout == "roots":
            core.deal_at_roots(self.weights, known, rows, start, transform_length(self.shares))
        else:
            core.deal(self.weights, known, rows, start)

    def _low_coefficients(self) -> Words:
        """Weights that give the `packed` lowest coefficients from the secrets and the upper ones.

        With V the powers of the secrets' points: ``secrets = V_low low + V_high high``.
        """
        field, at = self.field, self.secret_points
        units = np.eye(self.packed, dtype=np.uint64)
        inverse = np.stack([field.interpolate(at, unit) for unit in units], axis=1)
        high = power_rows(field, at, self.threshold)[:, self.packed :]
        return np.concatenate([inverse, field.neg(field.matmul(inverse, high))], axis=1)


def _dealt(
    dealer: _Dealer,
    rows: Words,
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    bound: int,
    dealing: int,
) -> Shares:
    return Shares._dealt(
        values=rows.reshape(dealer.shares, *row_shape(shape, dealer.packed)),
        points=share_points(dealer.field, dealer.layout, dealer.shares),
        threshold=dealer.threshold,
        shares=dealer.shares,
        shape=shape,
        field=dealer.field,
        dtype=dtype,
        bound=bound,
        dealing=dealing,
        layout=dealer.layout,
        packed=dealer.packed,
    )


def _own_weights(row: Shares, among: list[int]) -> Words:
    """Return the weights of one old holder's share in each secret of a polynomial, (packed, 1)."""
    if len(row) != 1:
        raise InconsistentShares(f"row: got the rows of {len(row)} holders, expected one")
    if len(among) != row.threshold:
        raise InsufficientShares(
            f"among: got {len(among)} holders, expected the threshold {row.threshold}"
        )
    if len(set(among)) != len(among) or row.holders[0] not in among:
        raise InconsistentShares(
            f"among: got {among}, expected different holders, {row.holders[0]} one of them"
        )
    if min(among) < 1 or max(among) > row.shares:
        raise InconsistentShares(f"among: got {among}, expected numbers from 1 to {row.shares}")
    if row.layout == "additive":
        return np.ones((1, 1), np.uint64)
    dealt = share_points(row.field, row.layout, row.shares)
    wanted = secret_points(row.field, row.layout, row.shares, row.packed)
    weights = lagrange_weights(row.field, dealt[np.array(among) - 1], wanted)
    place = among.index(row.holders[0])
    return weights[:, place : place + 1]


class _PartTag(NamedTuple):
    """The tag of one old holder's part in `reshare`, in place of a dealing's 128 random bits."""

    run: int  # what all old holders taking part agree on: dealing, choice and new geometry
    salt: int  # drawn, so that no two dealings of one row have the same tag
    holders: int  # how many take part
    place: int  # whose part it is, in the order of the old holders' numbers

    @classmethod
    def read(cls, dealing: int) -> "_PartTag":
        return cls(*_PART_TAG.unpack(dealing.to_bytes(_PART_TAG.size, "little")))

    def dealing(self) -> int:
        return int.from_bytes(_PART_TAG.pack(*self), "little")


def _reshared_tag(row: Shares, among: list[int], dealer: _Dealer) -> int:
    """Return the tag of one old holder's part, `among` ascending."""
    numbers = (row.dealing, row.shares, dealer.shares, dealer.threshold, *among)
    texts = [str(item).encode() for item in (row.layout, dealer.layout, *numbers)]
    run = int.from_bytes(_short_digest(b"veilsum reshare", *texts)[:4], "little")
    place = among.index(row.holders[0])
    return _PartTag(run, random_bits(32), len(among), place).dealing()


def _require_complete(tags: list[_PartTag]) -> None:
    """Refuse parts that are not one from each old holder who takes part in one resharing."""
    first = tags[0]
    places = {tag.place for tag in tags}
    if any(tag.run != first.run or tag.holders != first.holders for tag in tags):
        raise InconsistentShares(
            "parts: got those of two resharings, expected the same dealing, `among`, shares, "
            "threshold and points for all"
        )
    if max(places) >= first.holders:
        raise InconsistentShares("parts: got other shares, expected what reshare returned")
    if len(places) < len(tags):
        raise DuplicateShare("parts: got two from one old holder, expected one from each")
    if len(places) < first.holders:
        raise InsufficientShares(
            f"parts: got {len(places)}, expected one from each of the {first.holders} old holders "
            "taking part"
        )


def _short_digest(*fields: bytes) -> bytes:
    return hashlib.sha256(length_prefixed(*fields)).digest()[: DEALING_BITS // 8]


def _write_residues(field: PrimeField, integers: NDArray[np.generic], out: Words) -> None:
    """Write signed integers of magnitude at most ``field.limit`` as residues; pad with zeros."""
    signed = out[: integers.size].view(np.int64)
    signed[:] = integers
    wrapped = (signed >> 63).view(np.uint64)  # all bits where negative
    wrapped &= np.uint64(field.modulus)
    out[: integers.size] += wrapped
    out[integers.size :] = 0


def _fill_zeros(known: Words, _start: int, _stop: int) -> None:
    known[:] = 0


def _padded(columns: int) -> int:
    return -(-columns // _GRAIN) * _GRAIN


def _aligned(rows: int, columns: int) -> Words:
    """Return new memory whose rows begin at cache lines, columns padded to whole grains."""
    width = _padded(columns)
    memory = np.empty(rows * width + 8, np.uint64)
    offset = -memory.ctypes.data // 8 % 8
    return memory[offset : offset + rows * width].reshape(rows, width)


def _require_shares(name: str, shares: object) -> None:
    if not isinstance(shares, Shares):
        raise TypeError(f"{name}: got {type(shares).__name__}, expected Shares")
