"""Where polynomials are read: the points of holders and of secrets, and the weights between them.

There are three layouts. "integers": holder ``i`` has the point ``i``, and the secrets of a
polynomial stand at 0, -1, -2, ... "roots": holder ``i`` has ``w**(i - 1)``, where ``w`` is the
field's root of unity of the smallest power of two that is no less than the number of shares; the
first secret stands at 0, the others at ``c, c w, c w**2, ...`` with ``c`` the smallest integer that
is no such root. "additive": there are no polynomials, the shares add up to the secret; they are
numbered like integers.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from veilsum.field import PrimeField

__all__ = [
    "LAYOUTS",
    "Layout",
    "holder_numbers",
    "lagrange_weights",
    "power_rows",
    "require_geometry",
    "secret_points",
    "share_points",
    "transform_length",
]

Layout = Literal["integers", "roots", "additive"]
LAYOUTS: tuple[Layout, ...] = ("integers", "roots", "additive")

Words = NDArray[np.uint64]

_BLOCK = 1 << 16  # words of differences of points at a time: they stay in the cache


def transform_length(shares: int) -> int:
    """Return the smallest power of two that is no less than the number of shares."""
    return 1 << (shares - 1).bit_length()


def share_points(field: PrimeField, layout: Layout, shares: int) -> Words:
    """Return the points of all holders."""
    if layout == "roots":
        return _powers(field, field.root(transform_length(shares)), shares)
    return np.arange(1, shares + 1, dtype=np.uint64)


def holder_numbers(field: PrimeField, layout: Layout, shares: int, points: Words) -> NDArray[Any]:
    """Return the numbers of the holders at these points, 1 to `shares`; 0 where there is none.

    At roots of unity the number is a discrete logarithm, found bit by bit.
    """
    if layout != "roots":
        return np.where(points > np.uint64(shares), 0, points)
    order = transform_length(shares)
    rest, logarithms = points % np.uint64(field.modulus), np.zeros(points.shape, np.uint64)
    step, left = field.root(order), order
    bit = 1
    while left > 1:
        left //= 2
        odd = field.power(rest, left) != 1
        logarithms[odd] += np.uint64(bit)
        rest[odd] = field.mul(rest[odd], np.uint64(pow(step, -bit, field.modulus)))
        bit *= 2
    none = (rest != 1) | (logarithms >= np.uint64(shares)) | (points >= np.uint64(field.modulus))
    return np.where(none, 0, logarithms + np.uint64(1))


def require_geometry(
    field: PrimeField, layout: Layout, shares: int, threshold: int, packed: int
) -> None:
    """Refuse numbers of shares that the field or the layout has no room for, or without privacy.

    Raises
    ------
    TypeError
        If `field` is no `PrimeField`.
    ValueError
        If one of the numbers is out of its range.
    """
    if not isinstance(field, PrimeField):
        raise TypeError(f"field: got {type(field).__name__}, expected PrimeField")
    if layout not in LAYOUTS:
        raise ValueError(f"layout: got {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if not 1 <= threshold <= shares < field.modulus:
        raise ValueError(
            f"threshold, shares: got {threshold} and {shares}, "
            f"expected 1 <= threshold <= shares < {field.modulus}"
        )
    most = max(1, threshold - 1)
    if not 1 <= packed <= most:
        raise ValueError(
            f"packed: got {packed}, expected 1 to {most} for the threshold {threshold}; "
            "threshold - packed holders together learn nothing, and that has to be one at least"
        )
    if layout == "additive" and (threshold != shares or packed != 1):
        raise ValueError(
            f"threshold, packed: got {threshold} and {packed}, expected {shares} and 1, "
            "because additive shares rebuild only all together and hold one secret each"
        )
    if layout == "roots":
        _require_roots(field, shares, packed)
    elif shares + packed > field.modulus:
        raise ValueError(
            f"packed, shares: got {packed} and {shares}, expected a sum of at most "
            f"{field.modulus}, the field's modulus"
        )


def secret_points(field: PrimeField, layout: Layout, shares: int, packed: int) -> Words:
    """Return the points of the secrets of one polynomial; none is a holder's."""
    points = np.zeros(packed, np.uint64)
    if layout != "roots":
        points[1:] = field.neg(np.arange(1, packed, dtype=np.uint64))
    elif packed > 1:
        order = transform_length(shares)
        offset = next(c for c in range(2, field.modulus) if pow(c, order, field.modulus) != 1)
        coset = _powers(field, field.root(order), packed - 1)
        points[1:] = field.mul(coset, np.uint64(offset))
    return points


def lagrange_weights(field: PrimeField, known: Words, wanted: Words) -> Words:
    """Weights that turn values at the known points into values at the wanted ones.

    Parameters
    ----------
    field : PrimeField
        Where the points are.
    known : NDArray[uint64]
        Shape ``(c,)``, distinct.
    wanted : NDArray[uint64]
        Shape ``(r,)``, none of them known.

    Returns
    -------
    NDArray[uint64]
        Shape ``(r, c)``. Beside them only a few hundred thousand words are in use at a time.
    """
    slopes = np.empty_like(known)
    weights = np.empty((wanted.size, known.size), np.uint64)
    width = max(1, _BLOCK // known.size)
    for start in range(0, known.size, width):
        block = slice(start, start + width)
        gaps = field.sub(known[block], known[:, np.newaxis])
        np.fill_diagonal(gaps[start:], 1)
        slopes[block] = _product(field, gaps)
    for start in range(0, wanted.size, width):
        block = slice(start, start + width)
        distances = field.sub(wanted[block], known[:, np.newaxis])
        denominators = field.mul(distances, slopes[:, np.newaxis])
        weights[block] = field.mul(_product(field, distances), field.inverse(denominators)).T
    return weights


def power_rows(field: PrimeField, points: Words, count: int) -> Words:
    """Raise each point to the powers 0 to ``count - 1``, one row a point."""
    powers = np.ones((points.size, count), np.uint64)
    for exponent in range(1, count):
        powers[:, exponent] = field.mul(powers[:, exponent - 1], points)
    return powers


def _product(field: PrimeField, rows: Words) -> Words:
    """Multiply all rows together, half of them by the other half while there are two."""
    while len(rows) > 1:
        half = len(rows) // 2
        products = field.mul(rows[:half], rows[half : 2 * half])
        rows = np.concatenate([products, rows[2 * half :]]) if len(rows) % 2 else products
    return rows.reshape(-1)


def _require_roots(field: PrimeField, shares: int, packed: int) -> None:
    order = transform_length(shares)
    if (field.modulus - 1) % order:
        raise ValueError(
            f"shares: got {shares}, expected at most {field.longest_transform} at roots of unity "
            f"modulo {field.modulus}; use integer points or another field"
        )
    if packed > 1 and order == field.modulus - 1:
        raise ValueError(
            f"packed: got {packed}, expected 1 where the points of {shares} shares at roots of "
            "unity leave no other elements in the field; use integer points or a larger field"
        )


def _powers(field: PrimeField, base: int, count: int) -> Words:
    """Return the first powers of a base, from the 0th on."""
    powers = np.ones(count, np.uint64)
    done = 1
    while done < count:
        step = np.uint64(pow(base, done, field.modulus))
        more = min(done, count - done)
        powers[done : done + more] = field.mul(powers[:more], step)
        done += more
    return powers
