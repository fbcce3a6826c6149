"""Hypothesis strategies: fields, polynomials, secrets, shares and encodings; rounds and liars.

For whoever shares secrets there are `shares`, `holders` and `error_patterns`. For authors of
protocols there are `rosters`, `updates` and `dropouts` of a round, the `lies` that a party signs in
place of its message, and what a network makes of bytes, `damaged`; `veilsum.testing.machines` plays
whole sessions with them.

Shares are dealt from draws that hypothesis controls, so that a failing example is found again and
shrinks. They must never be used outside tests: such shares are predictable.

Examples
--------
A law of a decoder: as long as at most half of the shares beyond the threshold are altered, exactly
the holders who altered theirs are named.

>>> from hypothesis import HealthCheck, given, settings
>>> from veilsum import shamir
>>> @settings(
...     max_examples=10,
...     database=None,
...     deadline=None,  # times are those of a busy machine
...     suppress_health_check=[HealthCheck.too_slow],
... )
... @given(st.data())
... def test_liars_are_named(data):
...     s = data.draw(shares(layouts=("integers", "roots"), max_packed=2)).shares
...     radius = (len(s) - s.threshold) // 2
...     columns = s.rows.shape[1]
...     errors = data.draw(error_patterns(s.field, len(s), most=radius, columns=columns))
...     liars = shamir.find_liars(errors.alter(s), max_errors=radius)
...     assert liars == tuple(s.holders[position] for position in errors.liars)
>>> test_liars_are_named()
"""

import math
import random
from collections.abc import Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from veilsum.encoding import FixedPoint
from veilsum.field import GOLDILOCKS, MERSENNE61, P50, P257, PrimeField, WideField
from veilsum.protocols import Message
from veilsum.randomness import _test_source
from veilsum.shamir import Shares, split, split_additive
from veilsum.shamir.geometry import Layout, require_geometry

__all__ = [
    "Dealing",
    "ErrorPattern",
    "altered",
    "damaged",
    "dropouts",
    "encodings",
    "error_patterns",
    "fields",
    "fixed_point_arrays",
    "holders",
    "lies",
    "polynomials",
    "rosters",
    "secrets",
    "shapes",
    "shares",
    "updates",
    "wide_fields",
]

_FIELDS = (
    PrimeField(13), PrimeField(65537), MERSENNE61, PrimeField(2**63 - 25), P50, GOLDILOCKS,
)  # fmt: skip
_WIDE_FIELDS = (
    WideField(2**64 + 13),
    WideField(2**127 - 1),
    WideField(2**252 + 27742317777372353535851937790883648493),
    P257,
    WideField(2**521 - 1),
)
_ADDRESS = {"session_id", "sender", "recipient", "signature"}


class Dealing(NamedTuple):
    """A secret and the shares of it."""

    secret: NDArray[Any]
    shares: Shares


class ErrorPattern(NamedTuple):
    """Which holders lie, and by what.

    Parameters
    ----------
    liars : tuple of int
        Positions of the holders who lie, ascending.
    offsets : NDArray[uint64]
        What is added to the rows, shape ``(holders, columns)``: in a liar's row at least one
        residue that is not 0, in an honest holder's zeros.

    Examples
    --------
    >>> ErrorPattern((1,), np.array([[0], [5], [0]], np.uint64)).liars
    (1,)
    """

    liars: tuple[int, ...]
    offsets: NDArray[np.uint64]

    def alter(self, shares: Shares) -> Shares:
        """Return the shares that these holders hand in.

        Parameters
        ----------
        shares : Shares
            Honest ones, as many and as long as the offsets.

        Returns
        -------
        Shares
            Alike but for the liars' values.

        Raises
        ------
        ValueError
            If the offsets have another shape, or are not of the field.

        Examples
        --------
        >>> s = split([7, 8], shares=3, threshold=2)
        >>> t = ErrorPattern((0,), np.array([[0, 1], [0, 0], [0, 0]], np.uint64)).alter(s)
        >>> (t.values != s.values).any(axis=1)
        array([ True, False, False])
        """
        if self.offsets.shape != shares.rows.shape:
            raise ValueError(
                f"shares: got rows of shape {shares.rows.shape}, expected {self.offsets.shape}"
            )
        return shares.with_values(
            shares.field.add(shares.rows, self.offsets).reshape(shares.values.shape)
        )


def fields(*, least: int = 3, longest_transform: int = 1) -> st.SearchStrategy[PrimeField]:
    """Prime fields of one word: the tiny GF(13), the named ones, and the edges of the range.

    Parameters
    ----------
    least : int
        The smallest modulus wanted, at most 2**63.
    longest_transform : int
        How long the field's transforms must get, at most 2**26.

    Returns
    -------
    SearchStrategy[PrimeField]

    Raises
    ------
    ValueError
        If there is no such field.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(fields(least=2**40, longest_transform=8), lambda field: True)
    PrimeField(modulus=1125899437080577)
    """
    if least > 1 << 63:
        raise ValueError(f"least: got {least}, expected at most 2**63")
    if longest_transform > 1 << 26:
        raise ValueError(f"longest_transform: got {longest_transform}, expected at most 2**26")
    return st.sampled_from(
        [
            field
            for field in _FIELDS
            if field.modulus >= least and field.longest_transform >= longest_transform
        ]
    )


def wide_fields() -> st.SearchStrategy[WideField]:
    """Prime fields of two to nine words, `P257` and a field of scalars of a curve among them.

    Returns
    -------
    SearchStrategy[WideField]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(wide_fields(), lambda field: field.limbs > 4) == P257
    True
    """
    return st.sampled_from(_WIDE_FIELDS)


@st.composite
def polynomials(
    draw: st.DrawFn, field: PrimeField | WideField, *, max_degree: int
) -> NDArray[np.uint64]:
    """Coefficients of polynomials, the constant first.

    Parameters
    ----------
    field : PrimeField or WideField
        Where the coefficients lie.
    max_degree : int
        The largest degree, at least 0. Leading coefficients may be 0.

    Returns
    -------
    SearchStrategy[NDArray[uint64]]
        Shape ``(terms,)``, and ``(terms, limbs)`` in a wide field, of 1 to ``max_degree + 1``
        terms.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(polynomials(P50, max_degree=3), lambda coefficients: len(coefficients) == 3)
    array([0, 0, 0], dtype=uint64)
    """
    p = field.modulus
    residues = st.integers(0, p - 1) | st.sampled_from([1, p // 2, p - 1])
    return field.from_integers(draw(st.lists(residues, min_size=1, max_size=max_degree + 1)))


def shapes(*, max_dims: int = 3, max_side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of small arrays, scalars and empty arrays included.

    Parameters
    ----------
    max_dims : int
        The most axes.
    max_side : int
        The longest axis.

    Returns
    -------
    SearchStrategy[tuple of int]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(shapes(max_dims=2), lambda shape: len(shape) == 2 and 0 not in shape)
    (1, 1)
    """
    return hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side)


@st.composite
def secrets(
    draw: st.DrawFn,
    *,
    bound: int,
    shape: tuple[int, ...] | None = None,
    dtype: str | None = None,
) -> NDArray[Any]:
    """Arrays of integers of magnitude at most `bound`.

    Parameters
    ----------
    bound : int
        From 0.
    shape : tuple of int, optional
        By default any of `shapes`.
    dtype : str, optional
        A boolean or integer dtype; by default any, wide ones being cut to `bound`.

    Returns
    -------
    SearchStrategy[NDArray]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(secrets(bound=100, dtype="int16"), lambda secret: secret.size and secret.min() > 7)
    array(8, dtype=int16)
    """
    names = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    chosen = np.dtype(draw(st.sampled_from(names)) if dtype is None else dtype)
    low, high = (0, 1) if chosen.kind == "b" else (np.iinfo(chosen).min, np.iinfo(chosen).max)
    elements = st.integers(max(int(low), -bound), min(int(high), bound))
    wanted = draw(shapes()) if shape is None else shape
    flat = draw(st.lists(elements, min_size=math.prod(wanted), max_size=math.prod(wanted)))
    return np.array(flat, chosen).reshape(wanted)


@st.composite
def shares(
    draw: st.DrawFn,
    *,
    secret: NDArray[Any] | None = None,
    field: PrimeField | None = None,
    max_shares: int = 7,
    max_threshold: int | None = None,
    bound: int | None = None,
    layouts: Sequence[Layout] = ("integers",),
    max_packed: int = 1,
) -> Dealing:
    """Secrets with the shares dealt of them.

    Parameters
    ----------
    secret : NDArray, optional
        By default any of `secrets`.
    field : PrimeField, optional
        By default any of `fields` that has room for the shares.
    max_shares : int
        The most shares, at least 1; fewer where the field has no room for as many.
    max_threshold : int, optional
        The largest threshold; by default the number of shares.
    bound : int, optional
        Public bound of the secret; by default any that the field allows.
    layouts : sequence of {"integers", "roots", "additive"}
        Where holders' points may lie; additive shares need all holders.
    max_packed : int
        The most secrets a polynomial.

    Returns
    -------
    SearchStrategy[Dealing]
        Pairs ``(secret, shares)``.

    Examples
    --------
    >>> from hypothesis import find
    >>> strategy = shares(max_shares=5, layouts=("integers", "roots"), max_packed=3)
    >>> found = find(strategy, lambda dealing: dealing.shares.packed > 1)
    >>> found.shares.threshold, found.shares.layout
    (3, 'integers')
    """
    candidates = _FIELDS if field is None else (field,)
    layout = draw(st.sampled_from(layouts))
    most = max_shares if max_threshold is None else min(max_shares, max_threshold)
    counts = range(1, (most if layout == "additive" else max_shares) + 1)
    count = draw(st.sampled_from([n for n in counts if _with_room(candidates, layout, n, n, 1)]))
    threshold = count if layout == "additive" else draw(st.integers(1, min(count, most)))
    packings = range(1, max(1, min(threshold - 1, max_packed)) + 1)
    packed = draw(
        st.sampled_from(
            [q for q in packings if _with_room(candidates, layout, count, threshold, q)]
        )
    )
    chosen = draw(st.sampled_from(_with_room(candidates, layout, count, threshold, packed)))
    limit = draw(st.integers(0, chosen.limit)) if bound is None else bound
    hidden = draw(secrets(bound=limit)) if secret is None else secret
    if bound is None and hidden.size:
        limit = max(limit, *(abs(int(value)) for value in hidden.flat))
    seed = draw(st.integers(0, 2**32 - 1))
    with _test_source(random.Random(seed).randbytes):  # noqa: S311 (predictable on purpose)
        if layout == "additive":
            dealt = split_additive(hidden, shares=count, field=chosen, bound=limit)
        else:
            dealt = split(
                hidden, shares=count, threshold=threshold, packed=packed, points=layout,
                field=chosen, bound=limit,
            )  # fmt: skip
    return Dealing(hidden, dealt)


@st.composite
def holders(draw: st.DrawFn, count: int, *, least: int = 0, most: int | None = None) -> list[int]:
    """Subsets of holders, by position, in any order.

    Parameters
    ----------
    count : int
        How many holders there are.
    least, most : int, optional
        The smallest and the largest subset; by default 0 and `count`.

    Returns
    -------
    SearchStrategy[list of int]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(holders(5, least=2), lambda chosen: chosen[0] > chosen[1])
    [1, 0]
    """
    size = draw(st.integers(least, count if most is None else most))
    return draw(st.permutations(range(count)))[:size]


@st.composite
def error_patterns(
    draw: st.DrawFn, field: PrimeField, count: int, *, most: int, least: int = 0, columns: int = 1
) -> ErrorPattern:
    """Errors in the rows that holders hand in.

    Parameters
    ----------
    field : PrimeField
        Where the shares lie.
    count : int
        How many holders there are.
    most, least : int
        How many of them lie, at most and at least.
    columns : int
        How many elements a row has. Nobody can lie about none.

    Returns
    -------
    SearchStrategy[ErrorPattern]

    Raises
    ------
    ValueError
        If holders have to lie about no element.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(error_patterns(P50, 3, most=2, columns=2), lambda errors: len(errors.liars) == 2)
    ErrorPattern(liars=(0, 1), offsets=array([[1, 0],
           [1, 0],
           [0, 0]], dtype=uint64))
    """
    if least and not columns:
        raise ValueError("columns: got 0, expected at least one element to lie about")
    liars = sorted(draw(holders(count, least=least, most=most if columns else 0)))
    offsets = np.zeros((count, columns), np.uint64)
    for liar in liars:
        for column in draw(st.sets(st.integers(0, columns - 1), min_size=1)):
            offsets[liar, column] = draw(st.integers(1, field.modulus - 1))
    return ErrorPattern(tuple(liars), offsets)


def altered(shares: Shares, *, most: int) -> st.SearchStrategy[Shares]:
    """Shares of which some holders altered their rows, by `error_patterns`.

    Parameters
    ----------
    shares : Shares
        Honest ones, of a secret with at least one element.
    most : int
        How many holders alter their rows at most; at least one does.

    Returns
    -------
    SearchStrategy[Shares]
        At least one element of each altered row differs.

    Raises
    ------
    ValueError
        If the secret is empty: there is nothing to alter.

    Examples
    --------
    >>> from hypothesis import find
    >>> s = split([1, 2], shares=3, threshold=2)
    >>> t = find(altered(s, most=1), lambda altered: True)
    >>> (t.values != s.values).sum()
    np.int64(1)
    """
    if not shares.values.size:
        raise ValueError("shares: got an empty secret, expected at least one element")
    columns = shares.rows.shape[1]
    errors = error_patterns(shares.field, len(shares), least=1, most=most, columns=columns)
    return errors.map(lambda pattern: pattern.alter(shares))


def encodings(
    *, max_fraction_bits: int = 40, max_digits: int = 12, max_bound: float = 2.0**20
) -> st.SearchStrategy[FixedPoint]:
    """Binary and decimal fixed-point encodings.

    Parameters
    ----------
    max_fraction_bits : int
        The finest binary scale.
    max_digits : int
        The finest decimal scale.
    max_bound : float
        The largest bound; the smallest is 2**-10.

    Returns
    -------
    SearchStrategy[FixedPoint]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(encodings(max_bound=8.0), lambda encoding: encoding.scale == 100).bound <= 8.0
    True
    """
    bounds = st.floats(2.0**-10, max_bound)
    binary = st.builds(FixedPoint.binary, st.integers(0, max_fraction_bits), bound=bounds)
    decimal = st.builds(FixedPoint.decimal, st.integers(0, max_digits), bound=bounds)
    return binary | decimal


@st.composite
def fixed_point_arrays(
    draw: st.DrawFn, encoding: FixedPoint, *, shape: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Float arrays that an encoding accepts: any, ties between two units, and the bound itself.

    Parameters
    ----------
    encoding : FixedPoint
        Whose bound the values respect.
    shape : tuple of int, optional
        By default any of `shapes`.

    Returns
    -------
    SearchStrategy[NDArray[float64]]

    Examples
    --------
    >>> from hypothesis import find
    >>> strategy = fixed_point_arrays(FixedPoint.binary(16, bound=8.0), shape=(3,))
    >>> find(strategy, lambda array: array.max() > 2)
    array([0., 0., 3.])
    """
    units = st.integers(-2 * encoding.limit, 2 * encoding.limit)
    halves = units.map(lambda n: n / (2 * encoding.scale))
    elements = st.floats(-encoding.bound, encoding.bound) | halves.filter(
        lambda x: abs(x) <= encoding.bound
    )
    wanted = draw(shapes()) if shape is None else shape
    size = math.prod(wanted)
    flat = draw(st.lists(elements, min_size=size, max_size=size))
    return np.array(flat, np.float64).reshape(wanted)


@st.composite
def rosters(draw: st.DrawFn, *, least: int = 1, most: int = 5) -> tuple[int, ...]:
    """Draw indices of invited clients: ascending, and not always 0, 1, 2 and so on.

    Parameters
    ----------
    least, most : int
        The smallest and the largest roster.

    Returns
    -------
    SearchStrategy[tuple of int]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(rosters(least=2), lambda roster: roster[0] > 3)
    (4, 5)
    """
    gaps = draw(st.lists(st.just(0) | st.integers(0, 7), min_size=least, max_size=most))
    indices = np.cumsum(np.array(gaps, np.int64) + 1) - 1
    return tuple(indices.tolist())


def updates(
    roster: Sequence[int], *, encoding: FixedPoint, length: int
) -> st.SearchStrategy[dict[int, NDArray[np.float64]]]:
    """Draw updates of clients, each within the bound of the encoding.

    Parameters
    ----------
    roster : sequence of int
        The clients' indices.
    encoding : FixedPoint
        The encoding of the round.
    length : int
        Coordinates of an update.

    Returns
    -------
    SearchStrategy[dict of int to NDArray[float64]]

    Examples
    --------
    >>> from hypothesis import find
    >>> drawn = updates((0, 2), encoding=FixedPoint.binary(), length=1)
    >>> find(drawn, lambda found: found[2] > 1)
    {0: array([0.]), 2: array([2.])}
    """
    update = fixed_point_arrays(encoding, shape=(length,))
    return st.fixed_dictionaries(dict.fromkeys(roster, update))


def dropouts(roster: Sequence[int], *, most: int | None = None) -> st.SearchStrategy[set[int]]:
    """Draw sets of clients that vanish.

    Parameters
    ----------
    roster : sequence of int
        The clients' indices.
    most : int, optional
        How many vanish at most; by default all may.

    Returns
    -------
    SearchStrategy[set of int]

    Examples
    --------
    >>> from hypothesis import find
    >>> find(dropouts((0, 4, 9)), lambda gone: len(gone) == 2) == {0, 4}
    True
    """
    return st.sets(st.sampled_from(roster), max_size=len(roster) if most is None else most)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that a network has altered: one byte is another, the end is lost, or more follow.

    Parameters
    ----------
    data : bytes
        What was sent, at least one byte.

    Returns
    -------
    SearchStrategy[bytes]
        Never `data` itself.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(damaged(b"abc"), lambda found: len(found) == 3 and found[:2] == b"ab")
    b'abb'
    """
    place = draw(st.integers(0, len(data) - 1))
    how = draw(st.sampled_from(["alter", "cut", "append"]))
    if how == "cut":
        return data[:place]
    if how == "append":
        return data + draw(st.binary(min_size=1, max_size=8))
    return data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]


@st.composite
def lies(draw: st.DrawFn, message: Message) -> Message:
    """Messages that a malicious sender may sign in place of one, whatever protocol it is of.

    One of the message's own fields is another, and still of its type: a list, such as one of
    clients, lacks entries, has them in another order or twice or, if it is of numbers, has others;
    numbers, arrays, shares and bytes are off. What has no such field is not altered.

    Parameters
    ----------
    message : Message
        What an honest sender would send.

    Returns
    -------
    SearchStrategy[Message]
        Without a signature; see `Party.sign`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from veilsum.protocols.paillier import Combined
    >>> names = {"sender": "aggregator", "recipient": "key-holder"}
    >>> honest = Combined(session_id=bytes(32), **names, clients=(0, 1, 2), ciphertexts=b"")
    >>> find(lies(honest), lambda lie: len(lie.clients) < 3).clients
    ()
    """
    own = {
        field.name: getattr(message, field.name)
        for field in fields_of(message)
        if field.name not in _ADDRESS
    }
    alterable = [name for name, value in own.items() if _is_alterable(value)]
    if not alterable:
        return replace(message, signature=b"")
    name = draw(st.sampled_from(alterable))
    return replace(message, signature=b"", **{name: draw(_another(own[name]))})


def _is_alterable(value: object) -> bool:
    if isinstance(value, Shares):
        return bool(value.values.size)
    if isinstance(value, np.ndarray):
        return bool(value.size) and value.dtype.kind in "iu"
    return isinstance(value, int) or (isinstance(value, tuple | bytes) and bool(value))


def _another(value: Any) -> st.SearchStrategy[Any]:
    """Draw a value like this one."""
    match value:
        case Shares():
            return altered(value, most=1)
        case np.ndarray():
            return _another_array(value)
        case bytes():
            return damaged(value)
        case tuple():
            return _another_list(value)
    return st.just(not value) if isinstance(value, bool) else st.integers(0, 255)


@st.composite
def _another_array(draw: st.DrawFn, array: NDArray[Any]) -> NDArray[Any]:
    place = draw(st.integers(0, array.size - 1))
    most = int(np.iinfo(array.dtype).max)
    offset = draw(st.integers(1, most) | st.integers(most // 2, most))
    flat = array.reshape(-1).copy()
    flat[place : place + 1] += np.array([offset], array.dtype)  # wraps around, as arrays do
    return flat.reshape(array.shape)


@st.composite
def _another_list(draw: st.DrawFn, entries: tuple[Any, ...]) -> tuple[Any, ...]:
    kept = [entry for entry in entries if draw(st.booleans())]
    how = draw(st.sampled_from(["fewer", "shuffled", "twice", "more"]))
    if how == "shuffled":
        return tuple(draw(st.permutations(entries)))
    if how == "twice":
        return (*entries, draw(st.sampled_from(entries)))
    if how == "more" and all(isinstance(entry, int) for entry in entries):
        return tuple(sorted({*kept, draw(st.integers(0, 63))}))
    return tuple(kept)


def _with_room(
    candidates: Sequence[PrimeField], layout: Layout, shares: int, threshold: int, packed: int
) -> list[PrimeField]:
    """Keep the fields in which so many shares can be dealt."""
    return [
        field
        for field in candidates
        if _fits(field, layout=layout, shares=shares, threshold=threshold, packed=packed)
    ]


def _fits(field: PrimeField, *, layout: Layout, shares: int, threshold: int, packed: int) -> bool:
    try:
        require_geometry(field, layout, shares, threshold, packed)
    except ValueError:
        return False
    return True
