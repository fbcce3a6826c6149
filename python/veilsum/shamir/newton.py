"""Rebuilding while shares come in: Newton's interpolation, one holder after the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veilsum.errors import DecodingError, DuplicateShare, InsufficientShares
from veilsum.randomness import wipe
from veilsum.shamir.geometry import secret_points
from veilsum.shamir.opening import (
    judge,
    newton_basis,
    newton_weights,
    open_basis,
    settle,
    take_difference,
)
from veilsum.shamir.shares import Shares

__all__ = ["NewtonReconstruction"]


class NewtonReconstruction:
    """Takes shares one at a time, and says when they are enough.

    The work on a share is done when it comes in, in time proportional to the number of shares so
    far, so that nothing is left to do when the last one arrives. Shares beyond the threshold are
    checked against the polynomials that are known by then.

    Parameters
    ----------
    like : Shares, optional
        Any rows of the dealing that is expected. By default the first row that comes says which
        one it is, and a false first row has the honest ones refused.

    Raises
    ------
    TypeError
        If `like` is no `Shares`.
    ValueError
        If `like` is additive.

    Notes
    -----
    Newton's form with divided differences, which a further point extends by one term. What is kept
    are as many words as the threshold times the size of a row; they are secret.

    Examples
    --------
    >>> from veilsum import shamir
    >>> s = shamir.split([7, -8], shares=5, threshold=3)
    >>> newton = shamir.NewtonReconstruction()
    >>> [newton.add(row) for row in s[[4, 0, 2]]]
    [False, False, True]
    >>> newton.secret()
    array([ 7, -8])
    >>> newton.add(s[1])  # one more agrees
    True
    """

    def __init__(self, *, like: Shares | None = None) -> None:
        self._like: Shares | None = None
        self._points: list[int] = []
        self._differences = np.empty((0, 0), np.uint64)
        if like is not None:
            _require_polynomials("like", like)
            self._like = like[:0]

    @property
    def done(self) -> bool:
        """Whether there are enough shares to rebuild the secret.

        Examples
        --------
        >>> NewtonReconstruction().done
        False
        """
        return self._like is not None and len(self._points) >= self._like.threshold

    @property
    def missing(self) -> int | None:
        """How many more shares are needed; None while no share has said so.

        Examples
        --------
        >>> from veilsum import shamir
        >>> newton = NewtonReconstruction()
        >>> newton.add(shamir.split([7], shares=5, threshold=3)[0])
        False
        >>> newton.missing
        2
        """
        if self._like is None:
            return None
        return max(0, self._like.threshold - len(self._points))

    def add(self, shares: Shares) -> bool:
        """Take the rows of one or more further holders.

        Parameters
        ----------
        shares : Shares
            Of the same dealing as those before.

        Returns
        -------
        bool
            Whether there are enough now.

        Raises
        ------
        DecodingError
            If a share beyond the threshold does not lie on the polynomials of those before: one of
            them was altered. It is not taken.
        DuplicateShare
            If a holder's row was taken already.
        InconsistentShares
            If the shares belong to another dealing.
        TypeError
            If `shares` are no `Shares`.
        ValueError
            If they are additive, which have no polynomials.

        Examples
        --------
        >>> from veilsum import shamir
        >>> NewtonReconstruction().add(shamir.split([7], shares=3, threshold=1))
        True
        """
        _require_polynomials("shares", shares)
        like = shares[:0] if self._like is None else self._like
        like.require_same_dealing(shares)
        if not self._points:
            self._differences = np.empty((1, shares.rows.shape[1]), np.uint64)
        for point, row in zip(shares.points.tolist(), shares.rows, strict=True):
            self._take(like, point, row)
        return self.done

    def secret(self) -> NDArray[Any]:
        """Return the secret, with its shape and dtype.

        Raises
        ------
        InsufficientShares
            If there are fewer shares than the threshold.
        DecodingError
            If the result is beyond the secret's bound or dtype.

        Examples
        --------
        >>> from veilsum import shamir
        >>> newton = NewtonReconstruction()
        >>> newton.add(shamir.split([7], shares=3, threshold=2)[1:])
        True
        >>> newton.secret()
        array([7])
        """
        like = self._like
        if like is None or not self.done:
            raise InsufficientShares(
                f"shares: got {len(self._points)}, expected as many as the threshold"
                + ("" if like is None else f" {like.threshold}")
                + "; add further ones"
            )
        wanted = secret_points(like.field, like.layout, like.shares, like.packed)
        basis = newton_basis(like.field, self._points[: like.threshold], wanted)
        integers = open_basis(like.field, basis, self._differences[: like.threshold])
        return settle(judge(integers, 0, like), like)

    def _take(self, like: Shares, point: int, row: NDArray[np.uint64]) -> None:
        field, threshold = like.field, like.threshold
        if point in self._points:
            raise DuplicateShare(f"shares: the row of point {point} was taken already")
        known = self._points[:threshold]
        self._make_room(len(known) + 1)
        step = newton_weights(field, known, point)
        take_difference(field, self._differences, step, row, threads=0)
        if len(known) == threshold and self._differences[threshold].any():
            raise DecodingError(
                f"shares: the row of point {point} disagrees with those before, so at least one "
                "was altered; ask other holders, or keep the rows, join them and let "
                "reconstruct find the liars by max_errors"
            )
        self._points.append(point)
        self._like = like  # last, so that a row that was refused says nothing

    def _make_room(self, rows: int) -> None:
        """Grow with the shares that come, whatever threshold they state."""
        have, columns = self._differences.shape
        if rows > have:
            larger = np.empty((2 * have, columns), np.uint64)
            larger[:have] = self._differences
            wipe(self._differences)
            self._differences = larger

    def __repr__(self) -> str:
        return f"NewtonReconstruction(points={self._points}, done={self.done})"


def _require_polynomials(name: str, shares: Shares) -> None:
    if not isinstance(shares, Shares):
        raise TypeError(f"{name}: got {type(shares).__name__}, expected Shares")
    if shares.layout == "additive":
        raise ValueError(f"{name}: got additive ones, which simply add up; use reconstruct")
