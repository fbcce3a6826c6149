"""Fields whose elements fill several words: for keys, seeds and scalars of curves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core
from veilsum.encoding import as_integer, as_integers
from veilsum.randomness import random_bytes, wipe
from veilsum.threads import thread_count

__all__ = ["P257", "WideField"]

_LEAST_BITS, _MOST_BITS = 65, 4096
_ALL_ONES = np.uint64((1 << 64) - 1)  # as every word: no residue of any field
_ALL_CORES = 0

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class WideField:
    """The integers modulo a prime of 65 to 4096 bits.

    An array of residues has `limbs` words for each, little-endian, along one more axis, the last.
    Arguments of another shape, and numbers that are not below the modulus, are errors; nothing is
    reduced. Results are new uint64 arrays. The arithmetic runs in time that depends on shapes and
    on the modulus alone; it does not on the way from and to Python integers.

    Parameters
    ----------
    modulus : int
        An odd prime of 65 to 4096 bits.

    Raises
    ------
    TypeError
        If `modulus` is not an integer.
    ValueError
        If `modulus` is not such a prime.

    Notes
    -----
    Montgomery, "Modular multiplication without trial division", Mathematics of Computation 44
    (1985), with as many residues side by side as the kernel has lanes.

    Examples
    --------
    >>> field = WideField(2**127 - 1)
    >>> residues = field.from_integers([2**126, 2])
    >>> residues.shape
    (2, 2)
    >>> field.to_integers(field.mul(residues, residues[1]))
    array([1, 4], dtype=object)
    """

    modulus: int
    _arithmetic: _core.WideField = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.modulus, bool) or not isinstance(self.modulus, int):
            raise TypeError(f"modulus: got {type(self.modulus).__name__}, expected int")
        bits = self.modulus.bit_length()
        wide = self.modulus > 0 and _LEAST_BITS <= bits <= _MOST_BITS
        if not wide or not gmpy2.is_prime(self.modulus):
            raise ValueError(
                f"modulus: got an integer of {bits} bits, "
                f"expected an odd prime of {_LEAST_BITS} to {_MOST_BITS} bits"
            )
        arithmetic = _core.WideField(_words_of([self.modulus], self.limbs)[0])
        object.__setattr__(self, "_arithmetic", arithmetic)

    def __reduce__(self) -> tuple[type["WideField"], tuple[int]]:
        return WideField, (self.modulus,)

    @property
    def limbs(self) -> int:
        """How many words hold a residue.

        Examples
        --------
        >>> P257.limbs
        5
        """
        return -(-self.modulus.bit_length() // 64)

    def from_integers(self, integers: Sequence[Any] | NDArray[Any] | int) -> Words:
        """Write Python integers as residues.

        Parameters
        ----------
        integers : int, or nested sequences or array of int
            Of ``range(modulus)``.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `integers`, and `limbs` words for each.

        Raises
        ------
        TypeError
            If they are not integers.
        ValueError
            If one is outside ``range(modulus)``.

        Examples
        --------
        >>> P257.from_integers([[3], [2**64 + 5]])
        array([[[3, 0, 0, 0, 0]],
        <BLANKLINE>
               [[5, 1, 0, 0, 0]]], dtype=uint64)
        """
        array = np.asarray(integers, object)
        numbers = list(array.flat)
        strangers = sum(not isinstance(number, Integral) for number in numbers)
        if strangers:
            raise TypeError(f"integers: {strangers} of {array.size} objects are not integers")
        outside = sum(not 0 <= number < self.modulus for number in numbers)
        if outside:
            raise ValueError(_outside("integers", outside, array.size, self.modulus))
        return _words_of(numbers, self.limbs).reshape(*array.shape, self.limbs)

    def to_integers(self, residues: ArrayLike) -> NDArray[Any]:
        """Read residues as Python integers, which cannot be wiped.

        Parameters
        ----------
        residues : array_like of uint64
            Shape ``(..., limbs)``.

        Returns
        -------
        NDArray[object]
            Of shape ``(...)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`.

        Examples
        --------
        >>> P257.to_integers([[5, 1, 0, 0, 0]]) == 2**64 + 5
        array([ True])
        """
        array = self._checked("residues", residues)
        data, width = array.astype("<u8", copy=False).tobytes(), 8 * self.limbs
        integers = np.empty(array.size // self.limbs, object)
        for place in range(integers.size):
            integers[place] = int.from_bytes(data[place * width : (place + 1) * width], "little")
        return integers.reshape(array.shape[:-1])

    def add(self, a: ArrayLike, b: ArrayLike) -> Words:
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
            If an argument holds a number outside ``range(modulus)`` or has another last axis than
            `limbs`, or they do not broadcast.

        Examples
        --------
        >>> field = WideField(2**127 - 1)
        >>> field.add(field.from_integers([1, 2**127 - 2]), field.from_integers(3))
        array([[4, 0],
               [2, 0]], dtype=uint64)
        """
        return self._binary(self._arithmetic.add, self._checked("a", a), self._checked("b", b))

    def sub(self, a: ArrayLike, b: ArrayLike) -> Words:
        """Subtract residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> int(P257.to_integers(P257.sub([3, 0, 0, 0, 0], [4, 0, 0, 0, 0]))) == 2**256 + 296
        True
        """
        return self._binary(self._arithmetic.sub, self._checked("a", a), self._checked("b", b))

    def mul(self, a: ArrayLike, b: ArrayLike) -> Words:
        """Multiply residues; arguments, result and errors as for `add`.

        Examples
        --------
        >>> P257.mul([3, 0, 0, 0, 0], [0, 2, 0, 0, 0])
        array([0, 6, 0, 0, 0], dtype=uint64)
        """
        return self._mul(self._checked("a", a), self._checked("b", b), _ALL_CORES)

    def neg(self, a: ArrayLike) -> Words:
        """Negate residues; argument, result and errors as for `add`.

        Examples
        --------
        >>> int(P257.to_integers(P257.neg([1, 0, 0, 0, 0]))) == 2**256 + 296
        True
        """
        return self.sub(np.zeros(self.limbs, np.uint64), a)

    def power(self, a: ArrayLike, exponent: int) -> Words:
        """Raise residues to one public power.

        Parameters
        ----------
        a : array_like of uint64
            Residues.
        exponent : int
            From 0. The time depends on its length. ``0**0`` is 1.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `a`.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if `exponent` is no integer or negative.

        Examples
        --------
        >>> P257.power([3, 0, 0, 0, 0], 4)
        array([81,  0,  0,  0,  0], dtype=uint64)
        """
        times = _public_exponent(exponent)
        residues = self._checked("a", a)
        words = _words_of([times], max(1, -(-times.bit_length() // 64)))[0]
        powers = self._arithmetic.power(self._rows(residues), words, _ALL_CORES)
        return powers.reshape(residues.shape)

    def inverse(self, a: ArrayLike) -> Words:
        """Invert residues, by Fermat's little theorem.

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
        >>> P257.mul([3, 0, 0, 0, 0], P257.inverse([3, 0, 0, 0, 0]))
        array([1, 0, 0, 0, 0], dtype=uint64)
        """
        residues = self._checked("a", a)
        nonzero = residues.any(axis=-1)
        zeros = nonzero.size - int(np.count_nonzero(nonzero))
        if zeros:
            raise ZeroDivisionError(f"a: {zeros} of {nonzero.size} residues are 0")
        return self.power(residues, self.modulus - 2)

    def dot(self, a: ArrayLike, b: ArrayLike) -> Words:
        """Add up the products along the last axis of elements.

        Parameters
        ----------
        a, b : array_like of uint64
            Residues of at least one axis of elements, that broadcast together.

        Returns
        -------
        NDArray[uint64]
            Of the shape that they broadcast to, without its last axis of elements.

        Raises
        ------
        TypeError, ValueError
            As for `add`.

        Examples
        --------
        >>> field = WideField(2**127 - 1)
        >>> field.dot(field.from_integers([2, 3]), field.from_integers([10, 100]))
        array([320,   0], dtype=uint64)
        """
        left, right = self._checked("a", a), self._checked("b", b)
        if min(left.ndim, right.ndim) < 2:
            raise ValueError(
                f"a, b: got shapes {left.shape} and {right.shape}, "
                f"expected (..., n, {self.limbs}) of each"
            )
        terms = self._mul(left, right, _ALL_CORES)
        while terms.shape[-2] > 1:
            half = terms.shape[-2] // 2
            pairs = self.add(terms[..., :half, :], terms[..., half : 2 * half, :])
            terms = np.concatenate([pairs, terms[..., 2 * half :, :]], axis=-2)
        total: Words = terms.sum(axis=-2)  # of one term, or none
        return total

    def matmul(self, weights: ArrayLike, values: ArrayLike, *, threads: int | None = None) -> Words:
        """Combine rows linearly: ``result[i] = sum(weights[i, j] * values[j])``.

        Parameters
        ----------
        weights : array_like of uint64
            Shape ``(r, c, limbs)``.
        values : array_like of uint64
            Shape ``(c, ..., limbs)``.
        threads : int, optional
            From 1 to 1024; None means all cores.

        Returns
        -------
        NDArray[uint64]
            Shape ``(r, ..., limbs)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if shapes or `threads` do not fit.

        Examples
        --------
        >>> field = WideField(2**127 - 1)
        >>> weights = field.from_integers([[1, 1], [2, 0]])
        >>> field.to_integers(field.matmul(weights, field.from_integers([10, 4])))
        array([14, 20], dtype=object)
        """
        workers = thread_count(threads)
        left, right = self._checked("weights", weights), self._checked("values", values)
        if left.ndim != 3 or right.ndim < 2 or left.shape[1] != right.shape[0]:
            raise ValueError(
                f"weights, values: got shapes {left.shape} and {right.shape}, "
                f"expected (r, c, {self.limbs}) and (c, ..., {self.limbs})"
            )
        rows = right.reshape(right.shape[0], math.prod(right.shape[1:-1]), self.limbs)
        product = self._arithmetic.matmul(left, rows, workers)
        return product.reshape(left.shape[0], *right.shape[1:])

    def evaluate(self, coefficients: ArrayLike, points: ArrayLike) -> Words:
        """Evaluate a polynomial, by Horner's rule.

        Parameters
        ----------
        coefficients : array_like of uint64
            Shape ``(k, limbs)``, the constant term first. None is the polynomial 0.
        points : array_like of uint64
            Shape ``(m, limbs)``.

        Returns
        -------
        NDArray[uint64]
            Its values, shape ``(m, limbs)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if the shapes do not fit.

        Examples
        --------
        >>> field = WideField(2**127 - 1)
        >>> values = field.evaluate(field.from_integers([7, 0, 1]), field.from_integers([1, 2, 3]))
        >>> field.to_integers(values)
        array([8, 11, 16], dtype=object)
        """
        terms, at = self._vector("coefficients", coefficients), self._vector("points", points)
        values = np.zeros_like(at)
        for term in terms[::-1]:
            values = self.add(self.mul(values, at), term)
        return values

    def interpolate(self, points: ArrayLike, values: ArrayLike) -> Words:
        """Find the polynomial of degree below ``k`` that takes ``k`` values.

        Parameters
        ----------
        points : array_like of uint64
            Shape ``(k, limbs)``, distinct and public.
        values : array_like of uint64
            Shape ``(k, limbs)``.

        Returns
        -------
        NDArray[uint64]
            Its coefficients, the constant term first, shape ``(k, limbs)``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if two points are equal or the shapes do not fit.

        Notes
        -----
        Lagrange's formula. The product of all ``X - points[i]`` is divided by each of them by
        Horner's rule, for all of them at once: ``k**2`` multiplications and ``k`` inversions.

        Examples
        --------
        >>> field = WideField(2**127 - 1)
        >>> points, values = field.from_integers([[1, 2, 3], [8, 11, 16]])
        >>> field.to_integers(field.interpolate(points, values))
        array([7, 0, 1], dtype=object)
        """
        at, taken = self._vector("points", points), self._vector("values", values)
        if at.shape != taken.shape:
            raise ValueError(f"points, values: got {len(at)} and {len(taken)}, expected as many")
        if len(np.unique(at, axis=0)) != len(at):
            raise ValueError("points: got two that are equal, expected distinct ones")
        nodal = self._product_of_factors(at)
        slopes = self.evaluate(self._derivative(nodal), at)
        scales = self.mul(taken, self.inverse(slopes))
        coefficients = np.empty_like(taken)
        quotients = np.broadcast_to(self.from_integers(1), at.shape)
        for place in reversed(range(len(at))):
            coefficients[place] = self.dot(scales, quotients)
            quotients = self.add(self.mul(quotients, at), nodal[place])
        return coefficients

    def ntt(self, values: ArrayLike, *, axis: int = -1, threads: int | None = None) -> Words:
        """Evaluate polynomials at all powers of a root of unity of order ``n``.

        Parameters
        ----------
        values : array_like of uint64
            Residues, ``n`` along `axis`, the constant terms first; ``n`` is a power of two that
            divides ``modulus - 1``.
        axis : int
            Of elements: the axis of words is not counted.
        threads : int, optional
            From 1 to 1024; None means all cores.

        Returns
        -------
        NDArray[uint64]
            Of the shape of `values`: along `axis` at place ``i`` the value at ``w**i``, where ``w``
            is the smallest quadratic non-residue to the power ``(modulus - 1) / n``.

        Raises
        ------
        TypeError, ValueError
            As for `add`, and if there is no such axis, root or number of threads.

        Notes
        -----
        Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series",
        Mathematics of Computation 19 (1965), with radix 2.

        Examples
        --------
        >>> P257.to_integers(P257.ntt(P257.from_integers([5, 0, 0, 0])))
        array([5, 5, 5, 5], dtype=object)
        """
        return self._transform(values, axis, thread_count(threads), inverse=False)

    def intt(self, values: ArrayLike, *, axis: int = -1, threads: int | None = None) -> Words:
        """Undo `ntt`; arguments, result and errors as there.

        Examples
        --------
        >>> P257.to_integers(P257.intt(P257.ntt(P257.from_integers([5, 6, 7, 8]))))
        array([5, 6, 7, 8], dtype=object)
        """
        return self._transform(values, axis, thread_count(threads), inverse=True)

    def random(self, shape: int | tuple[int, ...], *, out: Words | None = None) -> Words:
        """Draw uniform residues from the operating system's randomness.

        Numbers of the modulus's length that are not below it are drawn again. The time tells how
        many those were, which is independent of the residues returned.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the result, without the axis of words.
        out : NDArray[uint64], optional
            A C-contiguous array of shape ``(*shape, limbs)`` to fill instead of a new one.

        Returns
        -------
        NDArray[uint64]
            Of shape ``(*shape, limbs)``.

        Raises
        ------
        ValueError
            If `out` does not fit.

        Examples
        --------
        >>> P257.random((2, 3)).shape
        (2, 3, 5)
        """
        elements = (shape,) if isinstance(shape, int) else tuple(shape)
        expected = (*elements, self.limbs)
        drawn = np.empty(expected, np.uint64) if out is None else out
        if drawn.shape != expected or drawn.dtype != np.uint64 or not drawn.flags.c_contiguous:
            raise ValueError(
                f"out: got {drawn.dtype} of shape {drawn.shape}, "
                f"expected C-contiguous uint64 of shape {expected}"
            )
        rows = drawn.reshape(-1, self.limbs)
        missing = np.arange(len(rows))
        while missing.size:
            numbers = self._random_numbers(missing.size)
            rows[missing] = numbers
            missing = missing[self._arithmetic.mark_outside(numbers) != 0]
            wipe(numbers)
        return drawn

    def count_outside(self, values: Words) -> int:
        """Count the numbers of a uint64 array that are not residues.

        Parameters
        ----------
        values : NDArray[uint64]
            Of shape ``(..., limbs)``.

        Returns
        -------
        int
            How many are `modulus` or more.

        Raises
        ------
        TypeError
            If `values` is not an array of uint64.
        ValueError
            If its last axis is not `limbs` long.

        Examples
        --------
        >>> P257.count_outside(np.array([[297, 0, 0, 0, 1], [296, 0, 0, 0, 1]], np.uint64))
        1
        """
        if not isinstance(values, np.ndarray) or values.dtype != np.uint64:
            got = getattr(values, "dtype", type(values).__name__)
            raise TypeError(f"values: got {got}, expected an array of uint64")
        self._require_limbs("values", values)
        return int(np.count_nonzero(self._arithmetic.mark_outside(self._rows(values))))

    def _checked(self, name: str, values: ArrayLike) -> Words:
        """Refuse what is not a residue; return a C-contiguous uint64 array."""
        array = as_integers(name, values)
        self._require_limbs(name, array)
        residues = array.astype(np.uint64, order="C", copy=False)
        if array.dtype.kind == "i":
            residues[(array < 0).any(axis=-1)] = _ALL_ONES
        outside = self.count_outside(residues)
        if outside:
            raise ValueError(_outside(name, outside, residues.size // self.limbs, self.modulus))
        return residues

    def _require_limbs(self, name: str, array: NDArray[Any]) -> None:
        if array.shape[-1:] != (self.limbs,):
            raise ValueError(
                f"{name}: got shape {array.shape}, expected (..., {self.limbs}), the words of "
                "each residue; Python integers enter a field by `from_integers`"
            )

    def _vector(self, name: str, values: ArrayLike) -> Words:
        array = self._checked(name, values)
        if array.ndim != 2:
            raise ValueError(f"{name}: got shape {array.shape}, expected (n, {self.limbs})")
        return array

    def _rows(self, residues: Words) -> Words:
        return np.ascontiguousarray(residues).reshape(-1, self.limbs)

    def _binary(self, operation: Callable[[Words, Words], Words], a: Words, b: Words) -> Words:
        left, right = np.broadcast_arrays(a, b)
        return operation(self._rows(left), self._rows(right)).reshape(left.shape)

    def _mul(self, a: Words, b: Words, workers: int) -> Words:
        return self._binary(lambda x, y: self._arithmetic.mul(x, y, workers), a, b)

    def _random_numbers(self, count: int) -> Words:
        """Draw numbers below the power of two that covers the modulus."""
        numbers = random_bytes(8 * self.limbs * count).view("<u8").astype(np.uint64, copy=False)
        numbers = numbers.reshape(count, self.limbs)
        spare = 64 * self.limbs - self.modulus.bit_length()
        numbers[:, -1] >>= np.uint64(spare)
        return numbers

    def _product_of_factors(self, points: Words) -> Words:
        """Multiply all ``X - points[i]``: their coefficients, the constant term first."""
        zero = np.zeros((1, self.limbs), np.uint64)
        product = self.from_integers([1])
        for point in points:
            raised = np.concatenate([zero, product])
            product = self.sub(raised, np.concatenate([self.mul(product, point), zero]))
        return product

    def _derivative(self, coefficients: Words) -> Words:
        orders = range(1, len(coefficients))
        return self.mul(coefficients[1:], self.from_integers(orders))

    def _transform(self, values: ArrayLike, axis: int, workers: int, *, inverse: bool) -> Words:
        array = self._checked("values", values)
        place = _axis(axis, array.ndim - 1)
        rows = np.moveaxis(array, place, 0)
        size, *rest = rows.shape
        powers = self._root_powers(size, inverse=inverse)
        rows = rows[_bit_reversed(size)]
        half = 1
        while half < size:
            pairs = rows.reshape(size // (2 * half), 2, half, *rest)
            factors = powers[:: size // (2 * half)].reshape(half, *[1] * (len(rest) - 1), -1)
            even, odd = pairs[:, 0], self._mul(pairs[:, 1], factors, workers)
            rows = np.stack([self.add(even, odd), self.sub(even, odd)], axis=1)
            half *= 2
        rows = rows.reshape(size, *rest)
        if inverse:
            rows = self._mul(rows, self.from_integers(pow(size, -1, self.modulus)), workers)
        return np.ascontiguousarray(np.moveaxis(rows, 0, place))

    def _root_powers(self, size: int, *, inverse: bool) -> Words:
        """Give the first half of the powers of the root of unity of that order, or of 1 / root."""
        p = self.modulus
        longest = (p - 1) & (1 - p)
        if size == 0 or longest % size:
            raise ValueError(
                f"values: got {size} along the axis, expected a power of two up to {longest}"
            )
        non_residue = next(h for h in range(2, p) if gmpy2.legendre(h, p) == -1)
        root = pow(non_residue, (p - 1) // size, p)
        step = pow(root, -1, p) if inverse else root
        powers = [1]
        while len(powers) < size // 2:
            powers.append(powers[-1] * step % p)
        return self.from_integers(powers)


def _words_of(numbers: Sequence[int], limbs: int) -> Words:
    """Write non-negative integers as rows of words, little-endian."""
    data = b"".join(int(number).to_bytes(8 * limbs, "little") for number in numbers)
    return np.frombuffer(data, "<u8").astype(np.uint64).reshape(len(numbers), limbs)


def _outside(name: str, outside: int, size: int, modulus: int) -> str:
    return f"{name}: {outside} of {size} numbers are not in range({modulus})"


def _public_exponent(exponent: int) -> int:
    exponent = as_integer("exponent", exponent)
    if exponent < 0:
        raise ValueError("exponent: got a negative integer, expected at least 0")
    return exponent


def _axis(axis: int, axes: int) -> int:
    axis = as_integer("axis", axis)
    if not -axes <= axis < axes:
        raise ValueError(f"axis: got {axis}, where the elements have {axes} axes")
    return axis % axes


def _bit_reversed(size: int) -> NDArray[np.intp]:
    """Order ``range(size)`` by the reversed bits; `size` is a power of two."""
    order = np.zeros(1, np.intp)
    while len(order) < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


P257 = WideField((1 << 256) + 297)
