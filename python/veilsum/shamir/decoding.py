"""Finding the holders that lie, by Reed-Solomon decoding.

The shares of one secret are the values of a polynomial of degree below the threshold, and what
liars hand in instead are errors in that Reed-Solomon word: among at least ``threshold + 2 * c``
shares up to ``c`` liars are found without a guess (McEliece and Sarwate, "On sharing secrets and
Reed-Solomon codes", Communications of the ACM 24(9), 1981).
"""

import numpy as np
from numpy.typing import NDArray

from veilsum import _core
from veilsum.encoding import as_integer
from veilsum.errors import DecodingError, DuplicateShare, InsufficientShares
from veilsum.field import PrimeField
from veilsum.randomness import wipe
from veilsum.threads import thread_count

__all__ = ["find_liars"]

_SECURITY_BITS = 80  # an altered row stays unseen with a chance of at most 2**-80
_BLOCK = 1 << 17  # random factors drawn at a time: they stay in the cache

Words = NDArray[np.uint64]


def find_liars(
    field: PrimeField,
    points: Words,
    rows: Words,
    threshold: int,
    *,
    max_errors: int,
    interleaved: bool = False,
    threads: int | None = None,
) -> tuple[int, ...]:
    """Find the rows that were altered.

    A holder lies or does not: a row counts as altered if any of its elements is. Of ``m`` rows up
    to `max_errors` altered ones are found, and more, up to ``m - threshold - max_errors``, raise.
    Beyond that nothing is promised: honest rows may be named.

    Parameters
    ----------
    field : PrimeField
        Where the polynomials live.
    points : NDArray[uint64]
        The holders' evaluation points, shape ``(m,)``: residues, all different.
    rows : NDArray[uint64]
        One row of residues a holder, shape ``(m, d)``. Numbers that are no residues have to be
        refused before, as `Shares` does.
    threshold : int
        How many rows determine all, from 1 to ``m``.
    max_errors : int
        How many altered rows to correct: ``threshold + 2 * max_errors <= m``. With 0 they are only
        detected.
    interleaved : bool
        True looks at the errors of all elements together, which finds as many as
        ``min(d, max_errors) * (m - threshold) // (min(d, max_errors) + 1)`` altered rows, so that
        `max_errors` may be up to ``m - threshold - 1``. **Only for errors that are independent of
        each other and of the polynomials**, such as those of faulty machines: more than
        ``(m - threshold) // 2`` holders who collude can add multiples of one polynomial's values,
        and then honest rows are named, and theirs are not.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Returns
    -------
    tuple of int
        Positions of the altered rows, in ascending order.

    Raises
    ------
    DecodingError
        If more rows than `max_errors` were altered.
    DuplicateShare
        If two points are equal.
    InsufficientShares
        If there are fewer rows than the threshold.
    TypeError
        If an argument is not of its type.
    ValueError
        If an argument is out of range or the shapes do not fit.

    Notes
    -----
    Long rows are combined by random vectors, drawn when the rows are in hand, into ``s`` elements
    each (interleaved, into no fewer than `max_errors`), so that an altered row stays unseen with
    probability ``modulus**-s``, at most 2**-80, and the answer is wrong with at most ``m`` times
    that. Rows of up to ``s`` elements are decoded as they are, without any such probability.

    Random combination: Bellare, Garay and Rabin, "Fast batch verification for modular
    exponentiation and digital signatures", EUROCRYPT 1998. Decoding: Massey,
    "Shift-register synthesis and BCH decoding", 1969. Interleaved: Schmidt, Sidorenko and Bossert,
    "Collaborative decoding of interleaved Reed-Solomon codes and concatenated code designs", 2009,
    with the algorithm of Feng and Tzeng, 1991.

    Examples
    --------
    >>> from veilsum.field import P50
    >>> points = np.arange(1, 6, dtype=np.uint64)
    >>> rows = np.array([[7, 2], [8, 4], [9, 6], [1, 1], [11, 10]], np.uint64)  # 6 + x and 2x
    >>> find_liars(P50, points, rows, 2, max_errors=1)
    (3,)
    """
    workers = thread_count(threads)
    threshold, limit = as_integer("threshold", threshold), as_integer("max_errors", max_errors)
    _require_field_and_points(field, points)
    _require_words("rows", rows, 2)
    if rows.shape[0] != points.size:
        raise ValueError(
            f"rows: got {rows.shape[0]} for {points.size} points, expected one row a point"
        )
    _require_sizes(points.size, threshold, limit, interleaved)
    count = _combinations(field, limit if interleaved else 0)
    combined = count < rows.shape[1]
    received = rows if combined and rows.strides[1] == rows.itemsize else np.ascontiguousarray(rows)
    words = _combined(field, received, count, workers) if combined else received
    decode = _core.decode_together if interleaved else _core.decode_columns
    try:
        errors, decoded = decode(
            field.modulus, np.ascontiguousarray(points), words, threshold, limit, workers
        )
    finally:
        if combined:
            wipe(words)
    liars = np.flatnonzero(errors.reshape(-1, points.size).any(axis=0))
    if not np.all(decoded) or liars.size > limit:
        raise DecodingError(
            f"shares: more than {limit} of the {points.size} were altered, beyond what can be "
            "corrected; ask other holders, or drop those you distrust"
        )
    return tuple(liars.tolist())


def _combinations(field: PrimeField, least: int) -> int:
    """Count the random combinations in which a lie stays unseen with a chance of 2**-80 at most."""
    count = 1
    while field.modulus**count < 1 << _SECURITY_BITS:
        count += 1
    return max(count, least)


def _combined(field: PrimeField, rows: Words, count: int, workers: int) -> Words:
    """Multiply the rows by uniform vectors, drawn when the rows can no longer depend on them."""
    total = np.zeros((len(rows), count), np.uint64)
    width = max(1, _BLOCK // count)
    for start in range(0, rows.shape[1], width):
        vectors = field.random((count, min(width, rows.shape[1] - start)))
        part = field.core.inner_products(rows, vectors, start, workers)
        before, total = total, field.add(total, part)
        wipe(before)
        wipe(part)
    return total


def _require_sizes(shares: int, threshold: int, limit: int, interleaved: bool) -> None:
    if threshold < 1:
        raise ValueError(f"threshold: got {threshold}, expected at least 1")
    if shares < threshold:
        raise InsufficientShares(
            f"shares: got {shares}, expected at least the threshold {threshold}; ask more holders"
        )
    if limit < 0:
        raise ValueError(f"max_errors: got {limit}, expected at least 0")
    redundancy = (limit + 1 if limit else 0) if interleaved else 2 * limit
    needed = threshold + redundancy
    if shares < needed:
        raise ValueError(
            f"max_errors: to correct {limit} takes {needed} shares with threshold {threshold}, "
            f"got {shares}; ask {needed - shares} more holders or correct fewer errors"
        )


def _require_field_and_points(field: PrimeField, points: Words) -> None:
    if not isinstance(field, PrimeField):
        raise TypeError(f"field: got {type(field).__name__}, expected PrimeField")
    _require_words("points", points, 1)
    if field.count_outside(points):
        raise ValueError(f"points: got some that are not in range({field.modulus})")
    if np.unique(points).size != points.size:
        raise DuplicateShare("points: got two that are equal")


def _require_words(name: str, array: Words, axes: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint64:
        got = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name}: got {got}, expected an array of uint64")
    if array.ndim != axes:
        raise ValueError(f"{name}: got {array.ndim} axes, expected {axes}")
