"""Fields whose elements fill one word: arrays of uint64 residues."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core
from veilsum.encoding import as_integer, as_integers, require_within
from veilsum.randomness import random_residues
from veilsum.threads import thread_count

__all__ = ["GOLDILOCKS", "MERSENNE61", "P31", "P50", "PrimeField", "kernel_info"]

_GOLDILOCKS_MODULUS = (1 << 64) - (1 << 32) + 1
_NO_RESIDUE = np.uint64((1 << 64) - 1)  # of any field

_Operation = Callable[[NDArray[np.uint64], NDArray[np.uint64]], NDArray[np.uint64]]


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
    def core(self) -> _core.Field:
        """The compiled arithmetic of this field, for veilsum's own modules.

        Examples
        --------
        >>> PrimeField(13).core.modulus
        13
        """
        return _compiled(self.modulus)

    @property
    def limit(self) -> int:
        """The largest magnitude of a signed integer: ``(modulus - 1) // 2``.

        Examples
        --------
        >>> PrimeField(13).limit
        6
        """
        return (self.modulus - 1) // 2

    @property
    def longest_transform(self) -> int:
        """The largest power of two that divides ``modulus - 1``: the longest `ntt`.

        Examples
        --------
        >>> PrimeField(13).longest_transform
        4
        """
        return (self.modulus - 1) & -(self.modulus - 1)

    def root(self, order: int) -> int:
        """Return the root of unity that transforms of this length use.

        Parameters
        ----------
        order : int
            A power of two, at most `longest_transform`.

        Returns
        -------
        int
            ``h**((modulus - 1) // order)`` modulo the modulus, of exactly that order, where ``h``
            is the smallest quadratic non-residue. The square of the root of order ``2 * n`` is that
            of order ``n``.

        Raises
        ------
        TypeError
            If `order` is not an integer.
        ValueError
            If there is no such root.

        Examples
        --------
        >>> field = PrimeField(13)
        >>> field.root(4), field.power([field.root(4)], 4)
        (8, array([1], dtype=uint64))
        """
        order = as_integer("order", order)
        if order < 1 or order & (order - 1) or order > self.longest_transform:
            raise ValueError(
                f"order: got {order}, expected a power of two up to {self.longest_transform}"
            )
        generator = next(h for h in range(2, self.modulus) if gmpy2.jacobi(h, self.modulus) < 0)
        return pow(generator, (self.modulus - 1) // order, self.modulus)

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
        return self._binary(self.core.add, a, b)

    def sub(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Subtract residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> PrimeField(13).sub([5, 6], 6)
        array([12,  0], dtype=uint64)
        """
        return self._binary(self.core.sub, a, b)

    def mul(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Multiply residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> PrimeField(13).mul([5, 6], 7)
        array([9, 3], dtype=uint64)
        """
        return self._binary(self.core.mul, a, b)

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
        powers = self.core.power(residues.reshape(-1), times)
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
        return self.core.invert(residues.reshape(-1)).reshape(residues.shape)

    def dot(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        """Sum the products of residues along the last axis.

        Parameters
        ----------
        a, b : array_like of uint64
            Residues of shapes ``(..., n)`` that broadcast together.

        Returns
        -------
        NDArray[uint64]
            Shape ``(...)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if an argument has no axis.

        Examples
        --------
        >>> PrimeField(13).dot([[1, 2], [3, 4]], [5, 6])
        array([4, 0], dtype=uint64)
        """
        left, right = np.broadcast_arrays(self._checked("a", a), self._checked("b", b))
        if left.ndim == 0:
            raise ValueError("a, b: got scalars, expected arrays with a last axis to sum along")
        rows = zip(_rows(left), _rows(right), strict=True)
        sums = [self.core.dot(*map(np.ascontiguousarray, pair)) for pair in rows]
        return np.array(sums, np.uint64).reshape(left.shape[:-1])

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
        product = self.core.matmul(left, rows, workers)
        return product.reshape(left.shape[0], *right.shape[1:])

    def ntt(
        self, values: ArrayLike, *, axis: int = -1, threads: int | None = None
    ) -> NDArray[np.uint64]:
        """Evaluate polynomials at all roots of unity: the number-theoretic transform.

        Parameters
        ----------
        values : array_like of uint64
            Coefficients along `axis`, whose length ``n`` is a power of two, at most
            `longest_transform`; the other axes count polynomials.
        axis : int
            The axis of coefficients.
        threads : int, optional
            From 1 to 1024; None means all cores. A single transform runs on one.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `values`; along `axis`
            ``result[i] = sum(values[j] * root(n)**(i * j))``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if the length, `axis` or `threads` does not fit.

        Notes
        -----
        Cooley and Tukey 1965; Pollard, "The fast Fourier transform in a finite field", Mathematics
        of Computation 25, 1971. Butterflies with delayed reduction: Harvey, "Faster arithmetic for
        number-theoretic transforms", Journal of Symbolic Computation 60, 2014.

        Examples
        --------
        >>> field = PrimeField(13)
        >>> field.ntt([1, 1, 0, 0])
        array([2, 9, 0, 6], dtype=uint64)
        >>> field.intt(field.ntt([1, 2, 3, 4]))
        array([1, 2, 3, 4], dtype=uint64)
        """
        return self._transformed(values, axis, threads, inverse=False)

    def intt(
        self, values: ArrayLike, *, axis: int = -1, threads: int | None = None
    ) -> NDArray[np.uint64]:
        """Interpolate polynomials from all roots of unity: the inverse of `ntt`.

        Arguments, result and errors as for `ntt`.

        Examples
        --------
        >>> PrimeField(13).intt([2, 9, 0, 6])
        array([1, 1, 0, 0], dtype=uint64)
        """
        return self._transformed(values, axis, threads, inverse=True)

    def evaluate(self, coefficients: ArrayLike, points: ArrayLike) -> NDArray[np.uint64]:
        """Evaluate one polynomial at arbitrary points.

        Parameters
        ----------
        coefficients : array_like of uint64
            Shape ``(k,)``, the constant first.
        points : array_like of uint64
            Shape ``(m,)``.

        Returns
        -------
        NDArray[uint64]
            Shape ``(m,)``: ``result[i] = sum(coefficients[j] * points[i]**j)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if an argument has not one axis.

        Notes
        -----
        For many points by a subproduct tree, in time ``n log(n)**2`` where the field has
        transforms that are long enough: Bernstein, "Scaled remainder trees", 2004; Bostan, Lecerf
        and Schost, "Tellegen's principle into practice", ISSAC 2003. Else by Horner's rule.

        Examples
        --------
        >>> PrimeField(13).evaluate([1, 0, 1], [0, 1, 5])
        array([1, 2, 0], dtype=uint64)
        """
        along, at = self._vector("coefficients", coefficients), self._vector("points", points)
        return self.core.evaluate(along, at)

    def interpolate(self, points: ArrayLike, values: ArrayLike) -> NDArray[np.uint64]:
        """Find the polynomial of smallest degree that has given values at given points.

        Parameters
        ----------
        points : array_like of uint64
            Shape ``(k,)``, distinct. The time may tell whether they are.
        values : array_like of uint64
            Shape ``(k,)``.

        Returns
        -------
        NDArray[uint64]
            Shape ``(k,)``: its coefficients, the constant first.

        Raises
        ------
        TypeError, ValueError
            As for `add`, if two points are equal, or if an argument has not one axis or another
            length.

        Notes
        -----
        Lagrange's formula; for many points by a subproduct tree, as for `evaluate`.

        Examples
        --------
        >>> PrimeField(13).interpolate([0, 1, 5], [1, 2, 0])
        array([1, 0, 1], dtype=uint64)
        """
        at, wanted = self._vector("points", points), self._vector("values", values)
        if at.shape != wanted.shape:
            raise ValueError(
                f"points, values: got {at.size} and {wanted.size}, expected equally many"
            )
        return self.core.interpolate(at, wanted)

    def from_integers(self, integers: ArrayLike) -> NDArray[np.uint64]:
        """Write Python integers that are residues already as an array.

        Parameters
        ----------
        integers : int, or nested sequences or array of int
            Each in ``range(modulus)``.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `integers`.

        Raises
        ------
        TypeError
            If they are not integers.
        ValueError
            If one is outside ``range(modulus)``.

        Examples
        --------
        >>> PrimeField(13).from_integers([[1, 12]])
        array([[ 1, 12]], dtype=uint64)
        """
        if not isinstance(integers, np.ndarray) or integers.dtype.kind == "O":
            integers = self._words_of(np.asarray(integers, object))
        return np.array(self._checked("integers", integers))

    def to_integers(self, residues: ArrayLike) -> NDArray[Any]:
        """Read residues as Python integers.

        Parameters
        ----------
        residues : array_like of uint64
            Residues.

        Returns
        -------
        NDArray[object]
            Of the shape of `residues`.

        Raises
        ------
        TypeError, ValueError
            As for `add`.

        Examples
        --------
        >>> PrimeField(13).to_integers([1, 12])
        array([1, 12], dtype=object)
        """
        return self._checked("residues", residues).astype(object)

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
        return self.core.count_outside(np.ascontiguousarray(values).reshape(-1))

    def _binary(self, operation: _Operation, a: ArrayLike, b: ArrayLike) -> NDArray[np.uint64]:
        left, right = np.broadcast_arrays(self._checked("a", a), self._checked("b", b))
        flat = [np.ascontiguousarray(side).reshape(-1) for side in (left, right)]
        return operation(*flat).reshape(left.shape)

    def _transformed(
        self, values: ArrayLike, axis: int, threads: int | None, *, inverse: bool
    ) -> NDArray[np.uint64]:
        workers = thread_count(threads)
        along = self._checked("values", values)
        axis = as_integer("axis", axis)
        if not -along.ndim <= axis < along.ndim:
            raise ValueError(f"axis: got {axis}, expected one of the {along.ndim} axes of values")
        rows = np.ascontiguousarray(np.moveaxis(along, axis, -1))
        length = rows.shape[-1]
        if length < 1 or length & (length - 1) or length > self.longest_transform:
            raise ValueError(
                f"values: got {length} along the axis, "
                f"expected a power of two up to {self.longest_transform}"
            )
        done = self.core.transform(rows.reshape(-1, length), inverse, workers)
        return np.ascontiguousarray(np.moveaxis(done.reshape(rows.shape), -1, int(axis)))

    def _vector(self, name: str, values: ArrayLike) -> NDArray[np.uint64]:
        array = self._checked(name, values)
        if array.ndim != 1:
            raise ValueError(f"{name}: got {array.ndim} axes, expected one")
        return array

    def _checked(self, name: str, values: ArrayLike) -> NDArray[np.uint64]:
        """Refuse what is not a residue; return a C-contiguous uint64 array."""
        array = as_integers(name, values)
        residues = array.astype(np.uint64, order="C", copy=False)
        if array.dtype.kind == "i":
            residues[array < 0] = _NO_RESIDUE
        outside = self.count_outside(residues)
        if outside:
            raise ValueError(self._outside(name, outside, array.size))
        return residues

    def _words_of(self, integers: NDArray[Any]) -> NDArray[np.uint64]:
        """Write Python integers, of any number of bits, as words."""
        strangers = sum(not isinstance(integer, Integral) for integer in integers.flat)
        if strangers:
            raise TypeError(f"integers: {strangers} of {integers.size} objects are not integers")
        outside = sum(not 0 <= integer < self.modulus for integer in integers.flat)
        if outside:
            raise ValueError(self._outside("integers", outside, integers.size))
        return integers.astype(np.uint64)

    def _outside(self, name: str, outside: int, size: int) -> str:
        return (
            f"{name}: {outside} of {size} numbers are not in range({self.modulus}); "
            "signed integers enter a field by `residues`"
        )


@lru_cache(maxsize=32)
def _compiled(modulus: int) -> _core.Field:
    return _core.Field(modulus)


def _rows(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _public_exponent(exponent: int) -> int:
    """Refuse what the core would refuse with a print of its arguments, the residues included."""
    exponent = as_integer("exponent", exponent)
    if not 0 <= exponent < 1 << 64:
        raise ValueError("exponent: got an integer out of range, expected 0 to 2**64 - 1")
    return exponent


P31 = PrimeField((1 << 31) - (1 << 24) + 1)  # so close to 2**31 that draws are seldom rejected
P50 = PrimeField(1125899437080577)
MERSENNE61 = PrimeField((1 << 61) - 1)
GOLDILOCKS = PrimeField(_GOLDILOCKS_MODULUS)
