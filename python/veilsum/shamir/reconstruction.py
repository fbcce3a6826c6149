"""Rebuilding secrets from shares, by Lagrange's or Newton's interpolation.

Both methods give the same bits. Shares beyond the threshold are redundancy: all of them have to lie
on the same polynomials of degree below the threshold, or nothing is returned.
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from veilsum.errors import DecodingError, InsufficientShares
from veilsum.field import PrimeField
from veilsum.shamir.sharing import Shares
from veilsum.threads import thread_count

__all__ = ["reconstruct"]

_BLOCK = 1 << 18  # values worked on at a time, so that they stay in the cache

Words = NDArray[np.uint64]
_Rebuild = Callable[[Words], tuple[Words, NDArray[np.bool_]]]


def reconstruct(
    shares: Shares,
    *,
    method: Literal["lagrange", "newton"] = "lagrange",
    check: bool = True,
    threads: int | None = None,
) -> NDArray[Any]:
    """Rebuild the secret from the shares of at least `threshold` holders.

    Of ``m`` shares up to ``m - threshold`` altered ones are detected, whatever the alteration. With
    exactly `threshold` shares there is no redundancy, and only a result that the secret's bound or
    dtype rules out betrays an alteration.

    Parameters
    ----------
    shares : Shares
        Of at least ``shares.threshold`` holders, in any order.
    method : {"lagrange", "newton"}
        ``"lagrange"`` combines the shares by one matrix; ``"newton"`` builds the table of divided
        differences. The results are the same, bit for bit.
    check : bool
        False rebuilds from the first `threshold` shares, looks at no other and believes whatever
        comes out, in int64: for experiments on what altered shares do.
    threads : int, optional
        From 1 to 1024; None means all cores. Newton's method runs on one.

    Returns
    -------
    NDArray
        The secret, with its shape and dtype; residues are centred.

    Raises
    ------
    InsufficientShares
        If there are fewer shares than the threshold.
    DecodingError
        If the shares do not lie on polynomials of degree below the threshold, or the result is
        beyond the secret's bound or dtype.
    TypeError
        If `shares` are no `Shares`, or `threads` is not an integer.
    ValueError
        If `method` or `threads` is out of range.

    Notes
    -----
    Lagrange: Shamir 1979. Newton: divided differences of order `threshold` vanish exactly where the
    points lie on a polynomial of smaller degree.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split(np.array([[-3, 4]], np.int8), shares=5, threshold=3)
    >>> shamir.reconstruct(s[2:], method="newton")
    array([[-3,  4]], dtype=int8)
    """
    if not isinstance(shares, Shares):
        raise TypeError(
            f"shares: got {type(shares).__name__}, expected Shares, as shamir.split deals them; "
            "put the rows of several holders together with Shares.join"
        )
    if method not in _METHODS:
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(_METHODS)}")
    thread_count(threads)
    if len(shares) < shares.threshold:
        raise InsufficientShares(
            f"shares: got {len(shares)}, expected at least the threshold {shares.threshold}; "
            "ask more holders"
        )
    used = shares if check else shares[: shares.threshold]
    rebuild = _METHODS[method](used.field, used.points, used.threshold, threads)
    rows = used.values.reshape(len(used), math.prod(used.shape))
    secrets = np.empty(rows.shape[1], np.uint64)
    wrong = 0
    width = max(1, _BLOCK // len(used))
    for start in range(0, secrets.size, width):
        block = slice(start, start + width)
        secrets[block], disagree = rebuild(rows[:, block])
        wrong += int(np.count_nonzero(disagree))
    if wrong:
        raise DecodingError(
            f"shares: the {len(used)} shares disagree in {wrong} of {secrets.size} elements, "
            "so at least one was altered; ask other holders, or drop those you distrust"
        )
    integers = used.field.centre(secrets).reshape(used.shape)
    return _believed(integers, used) if check else integers


def _lagrange(field: PrimeField, points: Words, threshold: int, threads: int | None) -> _Rebuild:
    known, extra = points[:threshold], points[threshold:]
    weights = _lagrange_weights(field, known, np.concatenate([[np.uint64(0)], extra]))

    def rebuild(rows: Words) -> tuple[Words, NDArray[np.bool_]]:
        at_zero, *at_extra = field.matmul(weights, rows[:threshold], threads=threads)
        disagree = np.zeros(len(at_zero), np.bool_)
        for expected, got in zip(at_extra, rows[threshold:], strict=True):
            disagree |= expected != got
        return at_zero, disagree

    return rebuild


def _lagrange_weights(field: PrimeField, known: Words, wanted: Words) -> Words:
    """Weights that turn values at the known points into values at the wanted ones (r, c).

    No wanted point may be a known one.
    """
    gaps = field.sub(known[:, np.newaxis], known)
    np.fill_diagonal(gaps, 1)
    distances = field.sub(wanted[:, np.newaxis], known)
    nodal = reduce(field.mul, distances.T)
    denominators = field.mul(distances, reduce(field.mul, gaps.T))
    return field.mul(nodal[:, np.newaxis], field.inverse(denominators))


def _newton(field: PrimeField, points: Words, threshold: int, _threads: int | None) -> _Rebuild:
    orders = range(1, min(threshold + 1, len(points)))
    inverse_gaps = [field.inverse(field.sub(points[order:], points[:-order])) for order in orders]
    minus_points = field.neg(points)

    def rebuild(rows: Words) -> tuple[Words, NDArray[np.bool_]]:
        differences = rows
        leading = [rows[0]]
        for inverse_gap in inverse_gaps:
            steps = field.sub(differences[1:], differences[:-1])
            differences = field.mul(steps, inverse_gap[:, np.newaxis])
            leading.append(differences[0])
        value = leading[threshold - 1]
        for place in reversed(range(threshold - 1)):
            value = field.add(field.mul(value, minus_points[place]), leading[place])
        too_high = differences if len(points) > threshold else differences[:0]
        return value, np.asarray(too_high.any(axis=0))

    return rebuild


_METHODS = {"lagrange": _lagrange, "newton": _newton}


def _believed(integers: NDArray[np.int64], shares: Shares) -> NDArray[Any]:
    """Return the secret in its dtype, unless its public bound or its dtype rules it out."""
    flag = shares.dtype.kind == "b"
    low, high = (0, 1) if flag else (np.iinfo(shares.dtype).min, np.iinfo(shares.dtype).max)
    fits = (integers >= max(low, -shares.bound)) & (integers <= min(high, shares.bound))
    wrong = integers.size - int(np.count_nonzero(fits))
    if wrong:
        raise DecodingError(
            f"shares: {wrong} of {integers.size} elements are beyond the secret's bound "
            f"{shares.bound} or dtype {shares.dtype}, so at least one share was altered; "
            "ask other holders"
        )
    return integers.astype(shares.dtype)
