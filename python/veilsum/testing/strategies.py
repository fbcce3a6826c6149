"""Hypothesis strategies for fields, secrets, shares, subsets of holders and fixed-point arrays.

Shares are dealt from draws that hypothesis controls, so that a failing example is found again and
shrinks. They must never be used outside tests: such shares are predictable.

Examples
--------
>>> from hypothesis import given, settings
>>> from veilsum import shamir
>>> @settings(max_examples=10, database=None)
... @given(dealing=shares())
... def test_all_holders_rebuild_the_secret(dealing):
...     assert (shamir.reconstruct(dealing.shares) == dealing.secret).all()
>>> test_all_holders_rebuild_the_secret()
"""

import math
import random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from veilsum.encoding import FixedPoint
from veilsum.field import GOLDILOCKS, P50, PrimeField
from veilsum.randomness import _test_source
from veilsum.shamir import Shares, split

__all__ = [
    "Dealing",
    "altered",
    "encodings",
    "fields",
    "fixed_point_arrays",
    "holders",
    "secrets",
    "shapes",
    "shares",
]

_FIELDS = tuple(PrimeField(p) for p in (13, 65537, 2**61 - 1, 2**63 - 25))


class Dealing(NamedTuple):
    """A secret and the shares of it."""

    secret: NDArray[Any]
    shares: Shares


def fields(*, least: int = 3) -> st.SearchStrategy[PrimeField]:
    """Prime fields: the tiny GF(13), both named fields, and the edges of the supported range.

    Parameters
    ----------
    least : int
        The smallest modulus wanted, at most 2**63.

    Returns
    -------
    SearchStrategy[PrimeField]

    Raises
    ------
    ValueError
        If `least` is above 2**63.

    Examples
    --------
    >>> strategy = fields(least=2**40)
    """
    if least > 1 << 63:
        raise ValueError(f"least: got {least}, expected at most 2**63")
    chosen = [field for field in (*_FIELDS, P50, GOLDILOCKS) if field.modulus >= least]
    return st.sampled_from(chosen)


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
    >>> strategy = shapes(max_dims=1)
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
    >>> strategy = secrets(bound=100, dtype="int16")
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
) -> Dealing:
    """Secrets with the shares dealt of them.

    Parameters
    ----------
    secret : NDArray, optional
        By default any of `secrets`.
    field : PrimeField, optional
        By default any of `fields` that has room for the shares.
    max_shares : int
        The most shares, at least 1.
    max_threshold : int, optional
        The largest threshold; by default the number of shares.
    bound : int, optional
        Public bound of the secret; by default any that the field allows.

    Returns
    -------
    SearchStrategy[Dealing]
        Pairs ``(secret, shares)``.

    Examples
    --------
    >>> strategy = shares(field=P50, max_shares=5)
    """
    chosen = draw(fields(least=max_shares + 1)) if field is None else field
    count = draw(st.integers(1, max_shares))
    threshold = draw(st.integers(1, min(count, max_threshold or count)))
    limit = draw(st.integers(0, chosen.limit)) if bound is None else bound
    hidden = draw(secrets(bound=limit)) if secret is None else secret
    if bound is None and hidden.size:
        limit = max(limit, *(abs(int(value)) for value in hidden.flat))
    seed = draw(st.integers(0, 2**32 - 1))
    with _test_source(random.Random(seed).randbytes):  # noqa: S311 (predictable on purpose)
        dealt = split(hidden, shares=count, threshold=threshold, field=chosen, bound=limit)
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
    >>> strategy = holders(5, least=3)
    """
    size = draw(st.integers(least, count if most is None else most))
    return draw(st.permutations(range(count)))[:size]


@st.composite
def altered(draw: st.DrawFn, shares: Shares, *, most: int) -> Shares:
    """Shares of which some holders altered their rows.

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
    >>> strategy = altered(split([1, 2], shares=5, threshold=3), most=2)
    """
    if not shares.values.size:
        raise ValueError("shares: got an empty secret, expected at least one element")
    rows = shares.values.reshape(len(shares), -1).copy()
    for liar in draw(holders(len(shares), least=1, most=most)):
        columns = draw(st.sets(st.integers(0, rows.shape[1] - 1), min_size=1))
        for column in columns:
            offset = draw(st.integers(1, shares.field.modulus - 1))
            rows[liar, column] = (int(rows[liar, column]) + offset) % shares.field.modulus
    return shares.with_values(rows.reshape(shares.values.shape))


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
    >>> strategy = encodings(max_bound=8.0)
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
    >>> strategy = fixed_point_arrays(FixedPoint.binary(16, bound=8.0), shape=(3,))
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
