"""Rebuilding secrets from shares: by Lagrange's or Newton's interpolation, or by a transform.

All methods give the same bits. Shares beyond the threshold are redundancy: all of them have to lie
on the same polynomials of degree below the threshold, or nothing is returned, unless `max_errors`
allows some of them to lie.
"""

from typing import Any, Literal

from numpy.typing import NDArray

from veilsum.encoding import as_integer
from veilsum.errors import InsufficientShares
from veilsum.shamir.decoding import find_liars as liars_among
from veilsum.shamir.geometry import transform_length
from veilsum.shamir.opening import Opened, by_lagrange, by_newton, by_transform, settle
from veilsum.shamir.shares import Shares
from veilsum.threads import thread_count

__all__ = ["find_liars", "reconstruct"]

Method = Literal["auto", "lagrange", "newton", "fft"]
_METHODS = ("auto", "lagrange", "newton", "fft")
# What costs as much as how many multiplications of a column's shares, measured on one thread:
_BUTTERFLY = 3.5  # of a column's transform
_WEIGHT = 50  # a gap between two chosen points, and about a fifth of a weight
_LOCATOR = 800  # of the transforms that make the polynomial of the absent shares


def reconstruct(
    shares: Shares,
    *,
    method: Method = "auto",
    max_errors: int = 0,
    interleaved: bool = False,
    check: bool = True,
    threads: int | None = None,
) -> NDArray[Any]:
    """Rebuild the secret from the shares of at least `threshold` holders.

    Of ``m`` shares up to ``m - threshold`` altered ones are detected, whatever the alteration. With
    exactly `threshold` shares there is no redundancy, and only a result that the secret's bound or
    dtype rules out betrays an alteration. With `max_errors` altered shares are found and left out
    instead.

    Parameters
    ----------
    shares : Shares
        Of at least ``shares.threshold`` holders, in any order; of additive shares all.
    method : {"auto", "lagrange", "newton", "fft"}
        ``"lagrange"`` combines the shares by one matrix; ``"newton"`` takes one share after the
        other, as `NewtonReconstruction` does; ``"fft"`` interpolates by a transform, absent shares
        as erasures, and needs shares at roots of unity. ``"auto"`` takes the fastest. The results
        are the same, bit for bit.
    max_errors : int
        How many holders may lie, at most: twice as many shares beyond the threshold are needed.
        They are found as `find_liars` finds them, with its guarantees.
    interleaved : bool
        Find more liars than that, if they do not collude: see `find_liars`. Needs `max_errors`.
    check : bool
        False rebuilds from the first `threshold` shares, looks at no other and believes whatever
        comes out, in int64: for experiments on what altered shares do. Without `max_errors`.
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
        If the shares do not lie on polynomials of degree below the threshold, more of them were
        altered than can be found, or the result is beyond the secret's bound or dtype.
    TypeError
        If `shares` are no `Shares`, or `max_errors` or `threads` is not an integer.
    ValueError
        If `method`, `max_errors` or `threads` is out of range or does not fit the shares, or
        `interleaved` or ``check=False`` contradicts `max_errors`.

    Notes
    -----
    Lagrange: Shamir 1979. Newton: divided differences of order `threshold` vanish exactly where the
    points lie on a polynomial of smaller degree. Transform: with ``E`` the polynomial that vanishes
    at the absent roots, the shares times its values are those of ``f E``, whose degree is below the
    number of roots; Soro and Lacan, "FNT-based Reed-Solomon erasure codes", CCNC 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from veilsum import shamir
    >>> s = shamir.split(np.array([[-3, 4]], np.int8), shares=5, threshold=3)
    >>> shamir.reconstruct(s[2:], method="newton")
    array([[-3,  4]], dtype=int8)
    """
    _require_shares(shares)
    _require_method(method, shares)
    workers = thread_count(threads)
    _require_enough(shares)
    places = list(range(len(shares) if check else shares.threshold))
    limit = as_integer("max_errors", max_errors)
    _require_consistent(limit, interleaved=interleaved, check=check)
    if limit:
        # The honest rows agree: any of them will do.
        liars = find_liars(shares, max_errors=limit, interleaved=interleaved, threads=threads)
        honest = [place for place, holder in enumerate(shares.holders) if holder not in liars]
        places = honest[: shares.threshold]
    opened = _open(shares, places, method, workers)
    return settle(opened, shares) if check else opened.integers.reshape(shares.shape)


def find_liars(
    shares: Shares,
    *,
    max_errors: int,
    interleaved: bool = False,
    threads: int | None = None,
) -> tuple[int, ...]:
    """Name the holders whose shares do not lie on the polynomials that the others' lie on.

    With ``m`` shares, up to ``c = max_errors`` liars are named where ``2 * c <= m - threshold``,
    whatever they do and however they collude. More than `max_errors` but at most ``m - threshold -
    c`` raise `DecodingError`. Beyond that nothing is promised: so many liars can pass for honest.

    Parameters
    ----------
    shares : Shares
        Of at least ``shares.threshold + 2 * max_errors`` holders, in any order.
    max_errors : int
        How many holders lie, at most.
    interleaved : bool
        Find up to ``min(d, c) * (m - threshold) // (min(d, c) + 1)`` liars in ``d`` columns of
        values, which are ``m - threshold - 1`` in long rows, provided that their errors are random
        and independent of each other and of the sharing. Liars who collude above
        ``(m - threshold) // 2`` force a wrong answer by adding multiples of one codeword: never
        against adversaries.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Returns
    -------
    tuple of int
        The liars' numbers (`Shares.holders`), ascending.

    Raises
    ------
    DecodingError
        If more holders lie than `max_errors`.
    InsufficientShares
        If there are fewer shares than the threshold.
    TypeError, ValueError
        If an argument is not of its type, or there are too few shares for so many errors.

    Notes
    -----
    See `veilsum.shamir.decoding`: a lying holder is looked for in random linear combinations of all
    coordinates, so that it is missed with a probability of about 2**-80.

    Examples
    --------
    >>> import numpy as np
    >>> from veilsum import shamir
    >>> s = shamir.split(np.arange(10), shares=5, threshold=3)
    >>> lying = s.values.copy()
    >>> lying[1] = s.field.random(10)
    >>> shamir.find_liars(s.with_values(lying), max_errors=1)
    (2,)
    """
    _require_shares(shares)
    _require_enough(shares)
    if shares.layout == "additive":
        raise ValueError(
            "shares: additive shares have no redundancy to find liars by; use shamir.split"
        )
    places = liars_among(
        shares.field,
        shares.points,
        shares.rows,
        shares.threshold,
        max_errors=max_errors,
        interleaved=interleaved,
        threads=threads,
    )
    numbers = shares.holders
    return tuple(sorted(numbers[place] for place in places))


def _open(shares: Shares, places: list[int], method: Method, threads: int) -> Opened:
    if method == "auto":
        method = "fft" if _transform_is_faster(shares, len(places)) else "lagrange"
    if method == "lagrange":
        return by_lagrange(shares, places, threads)
    used = shares if len(places) == len(shares) else shares[places]
    return by_newton(used) if method == "newton" else by_transform(used, threads)


def _transform_is_faster(shares: Shares, count: int) -> bool:
    if shares.layout != "roots":
        return False
    n = transform_length(shares.shares)
    columns: int = shares.rows.shape[1]
    weights = shares.threshold * (count - shares.threshold + shares.packed)
    by_matrix = columns * weights + _WEIGHT * (shares.threshold**2 + 5 * weights)
    by_transform = n * n.bit_length() * (columns * _BUTTERFLY + _LOCATOR)
    return by_transform < by_matrix


def _require_method(method: str, shares: Shares) -> None:
    if method not in _METHODS:
        raise ValueError(f"method: got {method!r}, expected one of {', '.join(_METHODS)}")
    if method == "fft" and shares.layout != "roots":
        raise ValueError(
            f"method: got 'fft' for shares at {shares.layout}, expected shares at roots of unity; "
            "deal them with points='roots', or use another method"
        )
    if method == "newton" and shares.layout == "additive":
        raise ValueError("method: got 'newton' for additive shares, which have no polynomials")


def _require_consistent(max_errors: int, *, interleaved: bool, check: bool) -> None:
    if interleaved and not max_errors:
        raise ValueError("interleaved: got True without max_errors, expected how many may lie")
    if max_errors and not check:
        raise ValueError(
            f"max_errors: got {max_errors} with check=False, which believes every share; "
            "leave one of them out"
        )


def _require_shares(shares: object) -> None:
    if not isinstance(shares, Shares):
        raise TypeError(
            f"shares: got {type(shares).__name__}, expected Shares, as shamir.split deals them; "
            "put the rows of several holders together with Shares.join"
        )


def _require_enough(shares: Shares) -> None:
    if len(shares) < shares.threshold:
        raise InsufficientShares(
            f"shares: got {len(shares)}, expected at least the threshold {shares.threshold}; "
            "ask more holders"
        )
