"""Fields whose elements fill one word: arrays of uint64 residues."""


import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core
from veilsum.encoding import as_integers, require_within
from veilsum.randomness import random_residues
from veilsum.threads import thread_count

__all__ = ["GOLDILOCKS", "P50", "PrimeField", "kernel_info"]

_GOLDILOCKS_MODULUS = (1 << 64) - (1 << 32) + 1
_NO_RESIDUE = np.uint64((1 << 64) - 1)  # of any field

_Operation = Callable[[int, NDArray[np.uint64], NDArray[np.uint64]], NDArray[np.uint64]]


def kernel_info() -> dict[str, Any]:
    """Say which kernel runs on this processor, and why.

    Returns
    -------
    dict
        ``name`` (str) of the kernel, ``reason`` (str) for its choice, and the names of all
        ``available`` (list of str) kernels, the fastest first; then what the kernel says of itself.

    Examples
    --------
    >>> info = kernel_info()
    >>> info["name"] in info["available"]
    True
    """
    return dict(_core.kernel_info())


@dataclass(frozen=True)
class PrimeField:
    """The integers modulo a prime.

    Every argument that holds residues is an array of unsigned integers below the modulus, of any
    shape and memory order; a larger one is an error, never reduced. Results are new uint64 arrays.
    The arithmetic runs in time that depends on shapes and on the modulus alone.

    Parameters
    ----------
    modulus : int
        An odd prime below 2**63, or 2**64 - 2**32 + 1.

    Raises
    ------
    TypeError
        If `modulus` is not an integer.
    ValueError
        If `modulus` is not such a prime.

    Examples
    --------
    >>> field = PrimeField(13)
    >>> field.add([5, 12], [9, 1])
    array([1, 0], dtype=uint64)
    >>> field.centre(field.residues([-6, 6]))
    array([-6,  6])
    """

    modulus: int

    def __post_init__(self) -> None:
        if isinstance(self.modulus, bool) or not isinstance(self.modulus, int):
            raise TypeError(f"modulus: got {type(self.modulus).__name__}, expected int")
        narrow = 3 <= self.modulus < 1 << 63 and self.modulus % 2 == 1
        if not (narrow or self.modulus == _GOLDILOCKS_MODULUS) or not gmpy2.is_prime(self.modulus):
            raise ValueError(
                f"modulus: got {self.modulus}, expected an odd prime below 2**63 "
                "or 2**64 - 2**32 + 1"
            )

    @property
    def limit(self) -> int:
        """The largest magnitude of a signed integer: ``(modulus - 1) // 2``.

        Examples
        --------
        >>> PrimeField(13).limit
        6
        """
        return (self.modulus - 1) // 2

    def add(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Add residues.

        Parameters
        ----------
        a, b : array_like of uint64
            Residues that broadcast together.

        Returns
        -------
        NDArray[uint64]
            Of the shape that they broadcast to.

        Raises
        ------
        TypeError
            If an argument does not hold integers.
        ValueError
            If an argument holds a number outside ``range(modulus)``, or they do not broadcast.

        Examples
        --------
        >>> PrimeField(13).add([[5], [6]], [7, 8])
        array([[12,  0],
               [ 0,  1]], dtype=uint64)
        """
        return self._binary(_core.field_add, a, b)

    def sub(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Subtract residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> PrimeField(13).sub([5, 6], 6)
        array([12,  0], dtype=uint64)
        """
        return self._binary(_core.field_sub, a, b)

    def mul(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Multiply residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> PrimeField(13).mul([5, 6], 7)
        array([9, 3], dtype=uint64)
        """
        return self._binary(_core.field_mul, a, b)

    def neg(self, a: ArrayLike) -> NDArray[np.uint64]:
        """Negate residues; argument, result and errors as for `add`.

        Examples
        --------
        >>> PrimeField(13).neg([0, 5])
        array([0, 8], dtype=uint64)
        """
        return self.sub(np.uint64(0), a)

    def power(self, a: ArrayLike, exponent: int) -> NDArray[np.uint64]:
        """Raise residues to one public power.

        Parameters
        ----------
        a : array_like of uint64
            Residues.
        exponent : int
            From 0 to 2**64 - 1. The time depends on it. ``0**0`` is 1.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `a`.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if `exponent` is no integer or out of range.

        Examples
        --------
        >>> PrimeField(13).power([2, 3], 3)
        array([8, 1], dtype=uint64)
        """
        times = _public_exponent(exponent)
        residues = self._checked("a", a)
        powers = _core.field_power(self.modulus, residues.reshape(-1), times)
        return powers.reshape(residues.shape)

    def inverse(self, a: ArrayLike) -> NDArray[np.uint64]:
        """Invert residues.

        Parameters
        ----------
        a : array_like of uint64
            Residues other than 0.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `a`.

        Raises
        ------
        ZeroDivisionError
            If `a` holds a 0.
        TypeError, ValueError
            As for `add`.

        Examples
        --------
        >>> PrimeField(13).inverse([1, 2, 12])
        array([ 1,  7, 12], dtype=uint64)
        """
        residues = self._checked("a", a)
        zeros = residues.size - int(np.count_nonzero(residues))
        if zeros:
            raise ZeroDivisionError(f"a: {zeros} of {residues.size} residues are 0")
        return self.power(residues, self.modulus - 2)

    def matmul(
        self, weights: ArrayLike, values: ArrayLike, *, threads: int | None = None
    ) -> NDArray[np.uint64]:
        """Combine rows linearly: ``result[i] = sum(weights[i, j] * values[j])``.

        Parameters
        ----------
        weights : array_like of uint64
            Shape ``(r, c)``.
        values : array_like of uint64
            Shape ``(c, ...)``.
        threads : int, optional
            From 1 to 1024; None means all cores.

        Returns
        -------
        NDArray[uint64]
            Shape ``(r, ...)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if shapes or `threads` do not fit.

        Examples
        --------
        >>> PrimeField(13).matmul([[1, 1], [1, 12]], [[10], [4]])
        array([[1],
               [6]], dtype=uint64)
        """
        workers = thread_count(threads)
        left = self._checked("weights", weights)
        right = self._checked("values", values)
        if left.ndim != 2 or right.ndim == 0 or left.shape[1] != right.shape[0]:
            raise ValueError(
                f"weights, values: got shapes {left.shape} and {right.shape}, "
                "expected (r, c) and (c, ...)"
            )
        rows = right.reshape(right.shape[0], math.prod(right.shape[1:]))
        product = _core.field_matmul(self.modulus, left, rows, workers)
        return product.reshape(left.shape[0], *right.shape[1:])

    def residues(self, integers: ArrayLike) -> NDArray[np.uint64]:
        """Write signed integers as residues.

        Parameters
        ----------
        integers : array_like
            Of a boolean or integer dtype, each of magnitude at most `limit`.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `integers`.

        Raises
        ------
        BudgetExceeded
            If an integer is beyond `limit`.
        TypeError
            If `integers` are not integers.

        Examples
        --------
        >>> PrimeField(13).residues([-1, 0, 6])
        array([12,  0,  6], dtype=uint64)
        """
        array = as_integers("integers", integers)
        require_within("integers", array, self.limit)
        signed = array.astype(np.int64).reshape(-1)
        wrapped = signed.view(np.uint64)
        wrapped += (signed < 0) * np.uint64(self.modulus)
        return wrapped.reshape(array.shape)

    def centre(self, residues: ArrayLike) -> NDArray[np.int64]:
        """Read residues as the signed integers of smallest magnitude.

        Parameters
        ----------
        residues : array_like of uint64
            Residues.

        Returns
        -------
        NDArray[int64]
            Of the shape of `residues`, of magnitude at most `limit`.

        Raises
        ------
        TypeError, ValueError
            As for `add`.

        Examples
        --------
        >>> PrimeField(13).centre([12, 0, 6, 7])
        array([-1,  0,  6, -6])
        """
        array = self._checked("residues", residues)
        flat = array.reshape(-1)
        wrapped = flat - (flat > np.uint64(self.limit)) * np.uint64(self.modulus)
        return wrapped.view(np.int64).reshape(array.shape)

    def random(
        self, shape: int | tuple[int, ...], *, out: NDArray[np.uint64] | None = None
    ) -> NDArray[np.uint64]:
        """Draw uniform residues from the operating system's randomness.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the result.
        out : NDArray[uint64], optional
            A C-contiguous array of that shape to fill instead of a new one.

        Returns
        -------
        NDArray[uint64]
            Of shape `shape`.

        Raises
        ------
        ValueError
            If `out` does not fit.

        Examples
        --------
        >>> P50.random((2, 3)).shape
        (2, 3)
        """
        return random_residues(self.modulus, shape, out=out)

    def count_outside(self, values: NDArray[np.uint64]) -> int:
        """Count the elements of a uint64 array that are not residues.

        Parameters
        ----------
        values : NDArray[uint64]
            Of any shape.

        Returns
        -------
        int
            How many are `modulus` or more.

        Raises
        ------
        TypeError
            If `values` is not such an array.

        Examples
        --------
        >>> PrimeField(13).count_outside(np.array([12, 13, 14], np.uint64))
        2
        """
        if not isinstance(values, np.ndarray) or values.dtype != np.uint64:
            got = getattr(values, "dtype", type(values).__name__)
            raise TypeError(f"values: got {got}, expected an array of uint64")
        return _core.field_check(self.modulus, np.ascontiguousarray(values).reshape(-1))

    def _binary(self, operation: _Operation, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        left, right = np.broadcast_arrays(self._checked("a", a), self._checked("b", b))
        flat = [np.ascontiguousarray(side).reshape(-1) for side in (left, right)]
        return operation(self.modulus, *flat).reshape(left.shape)

    def _checked(self, name: str, values: ArrayLike) -> NDArray[np.uint64]:
        """Refuse what is not a residue; return a C-contiguous uint64 array."""
        array = as_integers(name, values)
        residues = array.astype(np.uint64, order="C", copy=False)
        if array.dtype.kind == "i":
            residues[array < 0] = _NO_RESIDUE
        outside = self.count_outside(residues)
        if outside:
            raise ValueError(
                f"{name}: {outside} of {array.size} numbers are not in range({self.modulus}); "
                "signed integers enter a field by `residues`"
            )
        return residues


def _public_exponent(exponent: int) -> int:
    """Refuse what the core would refuse with a print of its arguments, the residues included."""
    if isinstance(exponent, bool) or not isinstance(exponent, Integral):
        raise TypeError(f"exponent: got {type(exponent).__name__}, expected int")
    if not 0 <= exponent < 1 << 64:
        raise ValueError("exponent: got an integer out of range, expected 0 to 2**64 - 1")
    return int(exponent)


P50 = PrimeField(1125899437080577)
GOLDILOCKS = PrimeField(_GOLDILOCKS_MODULUS)
