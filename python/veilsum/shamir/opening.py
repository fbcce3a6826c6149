"""What the ways of rebuilding share: secrets out of rows, and the verdict on them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veilsum.errors import DecodingError
from veilsum.field import PrimeField
from veilsum.shamir.geometry import (
    lagrange_weights,
    power_rows,
    secret_points,
    share_points,
    transform_length,
)
from veilsum.shamir.shares import Shares

__all__ = [
    "Opened",
    "by_lagrange",
    "by_newton",
    "by_transform",
    "judge",
    "newton_basis",
    "newton_weights",
    "open_basis",
    "settle",
    "take_difference",
]

_BLOCK = 1 << 17  # words of Newton's coefficients at a time, so that they stay in the cache

Words = NDArray[np.uint64]


@dataclass(frozen=True, repr=False)
class Opened:
    """Centred secrets, flat, and what speaks against them."""

    integers: NDArray[np.int64]
    disagreeing: int  # columns in which the redundant shares are not what the others make them
    outside: int  # secrets beyond the bound or the dtype


def by_lagrange(shares: Shares, places: list[int], threads: int) -> Opened:
    """Open the rows at some places by one matrix; compare the redundant ones with what it gives."""
    field, k = shares.field, shares.threshold
    chosen = np.array(places)
    points = shares.points[chosen]
    if shares.layout == "additive":
        weights = np.ones((1, k), np.uint64)
    else:
        wanted = np.concatenate([_secrets(shares), points[k:]])
        weights = lagrange_weights(field, points[:k], wanted)
    return Opened(
        *field.core.open(
            weights, shares.rows, chosen[:k], chosen[k:], math.prod(shares.shape),
            *_limits(shares), threads,
        )
    )  # fmt: skip


def by_newton(shares: Shares) -> Opened:
    """Open by divided differences, one share after the other."""
    field, rows = shares.field, shares.rows
    at = shares.points.tolist()
    known = at[: shares.threshold]
    steps = [newton_weights(field, known[:place], point) for place, point in enumerate(at)]
    basis = newton_basis(field, known, _secrets(shares))
    integers = np.empty((shares.packed, rows.shape[1]), np.int64)
    disagreeing = 0
    width = max(1, _BLOCK // len(shares))
    for start in range(0, rows.shape[1], width):
        block = rows[:, start : start + width]
        differences = np.empty((shares.threshold + 1, block.shape[1]), np.uint64)
        marks = np.zeros(block.shape[1], np.uint64)
        for row, step in zip(block, steps, strict=True):
            take_difference(field, differences, step, row, threads=1)
            if len(step) > shares.threshold:
                marks |= differences[-1]
        disagreeing += int(np.count_nonzero(marks))
        found = open_basis(field, basis, differences[:-1])
        integers[:, start : start + width] = found
    return judge(integers, disagreeing, shares)


def by_transform(shares: Shares, threads: int) -> Opened:
    """Open by a transform at the roots of unity, absent shares as erasures."""
    field = shares.field
    n = transform_length(shares.shares)
    present = np.array(shares.holders) - 1
    absent = np.delete(np.arange(n), present)
    locator = _vanishing(field, share_points(field, "roots", n)[absent])
    secrets = _secrets(shares)
    shifts = field.inverse(field.evaluate(locator, secrets))
    degree = shares.threshold + absent.size
    terms = degree if shares.packed > 1 else 1  # one secret is the constant coefficient
    weights = field.mul(power_rows(field, secrets, terms), shifts[:, np.newaxis])
    scales = field.ntt(np.append(locator, np.zeros(n - locator.size, np.uint64)))[present]
    return Opened(
        *field.core.open_at_roots(
            weights, shares.rows, present, scales, n, degree,
            math.prod(shares.shape), *_limits(shares), threads,
        )
    )  # fmt: skip


def newton_weights(field: PrimeField, known: list[int], point: int) -> Words:
    """Weights that turn the differences at the known points and a value into the next difference.

    With ``N_j`` the product of ``X - x_i`` over ``i < j``, the polynomial is ``sum(c_j N_j)``, so
    that ``c_m = (y_m - sum(c_j N_j(x_m))) / N_m(x_m)``.
    """
    nodal = _nodal(field, known, point)
    shift = pow(nodal[-1], -1, field.modulus)
    return np.array([-n * shift % field.modulus for n in nodal[:-1]] + [shift], np.uint64)


def newton_basis(field: PrimeField, known: list[int], wanted: Words) -> Words:
    """Values of Newton's polynomials ``N_j`` at the wanted points, one row a point."""
    return np.array([_nodal(field, known[:-1], point) for point in wanted.tolist()], np.uint64)


def take_difference(
    field: PrimeField, differences: Words, step: Words, row: Words, *, threads: int
) -> None:
    """Put the difference that a row adds behind those before, as many as `step` has weights for."""
    place = len(step) - 1
    differences[place] = row
    differences[place] = field.core.matmul(step[np.newaxis], differences[: place + 1], threads)


def open_basis(field: PrimeField, basis: Words, differences: Words) -> NDArray[np.int64]:
    """Open the secrets of some columns from their differences: one row a secret, centred."""
    places = np.arange(len(differences))
    size = basis.shape[0] * differences.shape[1]
    limits = (-field.limit, field.limit)
    opened = Opened(*field.core.open(basis, differences, places, places[:0], size, *limits, 1))
    return opened.integers.reshape(basis.shape[0], -1)


def judge(integers: NDArray[np.int64], disagreeing: int, shares: Shares) -> Opened:
    """Cut what fills the last columns up, and count what the bound or the dtype rules out."""
    secrets = integers.reshape(-1)[: math.prod(shares.shape)]
    low, high = _limits(shares)
    return Opened(secrets, disagreeing, int(np.count_nonzero((secrets < low) | (secrets > high))))


def settle(opened: Opened, shares: Shares) -> NDArray[Any]:
    """Return the secret in its shape and dtype.

    Raises
    ------
    DecodingError
        If the shares disagree, or the secret is beyond its bound or dtype.
    """
    columns = shares.rows.shape[1]
    if opened.disagreeing:
        raise DecodingError(
            f"shares: the {len(shares)} shares disagree in {opened.disagreeing} of {columns} "
            "elements, so at least one was altered; ask other holders, drop those you distrust, "
            "or allow max_errors"
        )
    if opened.outside:
        raise DecodingError(
            f"shares: {opened.outside} of {opened.integers.size} elements are beyond the secret's "
            f"bound {shares.bound} or dtype {shares.dtype}, so at least one share was altered; "
            "ask other holders"
        )
    return opened.integers.reshape(shares.shape).astype(shares.dtype, copy=False)


def _secrets(shares: Shares) -> Words:
    return secret_points(shares.field, shares.layout, shares.shares, shares.packed)


def _limits(shares: Shares) -> tuple[int, int]:
    """Return the least and the largest secret that bound and dtype allow."""
    flag = shares.dtype.kind == "b"
    low, high = (0, 1) if flag else (np.iinfo(shares.dtype).min, np.iinfo(shares.dtype).max)
    return max(int(low), -shares.bound), min(int(high), shares.bound)


def _nodal(field: PrimeField, known: list[int], point: int) -> list[int]:
    """Return the products of ``point - x`` over the first 0, 1, ... known points."""
    products = [1]
    for x in known:
        products.append(products[-1] * (point - x) % field.modulus)
    return products


def _vanishing(field: PrimeField, points: Words) -> Words:
    """Return the coefficients of the product of ``X - x``: X**m takes minus the rest's values."""
    rest = field.interpolate(points, field.neg(field.power(points, points.size)))
    return np.append(rest, np.uint64(1))
