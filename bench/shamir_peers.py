"""The libraries that bench_shamir.py compares, each by the fastest calls that it documents.

A library that is not installed is left out. FLINT shares nothing by itself: only its matrix product
is timed, with points and coefficients ready, in its favour. Every other peer draws its own
coefficients. NumPy works modulo 2^31 - 1 and galois modulo 2^31 - 2^27 + 1, because they multiply
in 64 bits: smaller and faster fields than veilsum's.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from veilsum.field import P50

DISTRIBUTIONS = ("python-flint", "galois", "mpyc", "shamirs")
GALOIS_MODULUS = 2**31 - 2**27 + 1

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]
Rows = Sequence[Sequence[int]]


# ---- Plain Python, which also judges the others


def lagrange_at_zero(points: Sequence[int], modulus: int) -> list[int]:
    """Return the weights that turn values at the points into the value at 0."""
    weights = []
    for x in points:
        top, bottom = 1, 1
        for other in points:
            if other != x:
                top = top * other % modulus
                bottom = bottom * (other - x) % modulus
        weights.append(top * pow(bottom, -1, modulus) % modulus)
    return weights


def combined(weights: Sequence[int], rows: Rows, modulus: int) -> list[int]:
    """Return the weighted sum of the rows."""
    columns = zip(*rows, strict=True)
    return [sum(map(int.__mul__, weights, column)) % modulus for column in columns]


def horner(coefficients: Sequence[int], point: int, modulus: int) -> int:
    """Return the value of a polynomial, the constant coefficient first."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % modulus
    return value


def python_split(values: Sequence[int], shares: int, threshold: int) -> list[list[int]]:
    """Share by Horner's rule, holders at 1, 2, 3, ..."""
    modulus = P50.modulus
    dealt: list[list[int]] = [[] for _ in range(shares)]
    for value in values:
        tail = [secrets.randbelow(modulus) for _ in range(threshold - 1)]
        for x, row in enumerate(dealt, start=1):
            y = 0
            for coefficient in tail:
                y = (y + coefficient) * x % modulus
            row.append((y + value) % modulus)
    return dealt


def python_open(rows: Rows) -> list[int]:
    """Rebuild from the first holders' rows, weights computed once."""
    weights = lagrange_at_zero(range(1, len(rows) + 1), P50.modulus)
    return combined(weights, rows, P50.modulus)


# ---- Sharing


class Sharer(ABC):
    """Shamir's sharing as one library offers it, holders at 1, 2, 3, ...

    Attributes
    ----------
    name : str
    count : int
        As many secrets are enough for a steady time.
    modulus : int
    """

    name: str
    count: int
    modulus = P50.modulus

    @abstractmethod
    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], Any]:
        """Prepare, and return the call that is timed."""

    @abstractmethod
    def opener(self, dealt: Any, threshold: int) -> Callable[[], Any]:
        """Prepare, and return the call that rebuilds from the first holders' shares."""

    @abstractmethod
    def rows(self, dealt: Any, holders: Iterable[int], count: int) -> Rows:
        """Return some holders' shares of the first secrets, to verify them."""

    def integers(self, opened: Any) -> list[int]:
        """Return rebuilt secrets, to verify them."""
        return list(map(int, opened))


class Python(Sharer):
    """Python's integers."""

    name = "Python"
    count = 1000

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], list[Any]]:
        """Share a list."""
        return partial(python_split, values.tolist(), shares, threshold)

    def opener(self, dealt: list[Any], threshold: int) -> Callable[[], list[Any]]:
        """Rebuild a list."""
        return partial(python_open, dealt[:threshold])

    def rows(self, dealt: list[Any], holders: Iterable[int], count: int) -> Rows:
        """Cut the lists."""
        return [list(map(int, dealt[holder - 1][:count])) for holder in holders]


class Gmpy2(Python):
    """The same rule on GMP's integers."""

    name = "gmpy2"

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], list[Any]]:
        """Share by Horner's rule."""
        modulus, whole = mpz(self.modulus), list(map(mpz, values.tolist()))

        def deal() -> list[Any]:
            dealt: list[list[mpz]] = [[] for _ in range(shares)]
            for value in whole:
                tail = [mpz(secrets.randbelow(self.modulus)) for _ in range(threshold - 1)]
                for x, row in enumerate(dealt, start=1):
                    y = mpz(0)
                    for coefficient in tail:
                        y = (y + coefficient) * x % modulus
                    row.append((y + value) % modulus)
            return dealt

        return deal

    def opener(self, dealt: list[Any], threshold: int) -> Callable[[], list[Any]]:
        """Interpolate, with weights computed once."""
        modulus = mpz(self.modulus)
        weights = list(map(mpz, lagrange_at_zero(range(1, threshold + 1), self.modulus)))
        rows = dealt[:threshold]

        def rebuild() -> list[Any]:
            columns = zip(*rows, strict=True)
            return [sum(map(gmpy2.mul, weights, column)) % modulus for column in columns]

        return rebuild


class NumPy(Sharer):
    """Whole arrays modulo 2^31 - 1, whose products fit into 64 bits."""

    name = "NumPy mod 2^31-1"
    count = 100_000
    modulus = 2**31 - 1

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], Words]:
        """Share by Horner's rule."""
        whole, modulus = values.astype(np.uint64), np.uint64(self.modulus)

        def deal() -> Words:
            generator = np.random.Generator(np.random.PCG64(secrets.randbits(128)))
            size = (threshold - 1, whole.size)
            tail = generator.integers(0, self.modulus, size, dtype=np.uint64)
            dealt = np.zeros((shares, whole.size), dtype=np.uint64)
            for x, row in enumerate(dealt, start=1):
                for coefficients in tail:
                    row += coefficients
                    row *= np.uint64(x)
                    row %= modulus
                row += whole
                row %= modulus
            return dealt

        return deal

    def opener(self, dealt: Words, threshold: int) -> Callable[[], Words]:
        """Interpolate, with weights computed once."""
        weights = lagrange_at_zero(range(1, threshold + 1), self.modulus)
        rows, modulus = dealt[:threshold], np.uint64(self.modulus)

        def rebuild() -> Words:
            total = np.zeros(rows.shape[1], dtype=np.uint64)
            for weight, row in zip(weights, rows, strict=True):
                total += row * np.uint64(weight) % modulus
            return total % modulus

        return rebuild

    def rows(self, dealt: Words, holders: Iterable[int], count: int) -> Rows:
        """Cut the array."""
        rows: Rows = [dealt[holder - 1, :count].tolist() for holder in holders]
        return rows


class Flint(Sharer):
    """FLINT's product of matrices modulo the same prime: no randomness, no ranges, one thread."""

    name = "FLINT, product alone"
    count = 100_000

    def __init__(self) -> None:
        self._flint = importlib.import_module("flint")

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], Any]:
        """Multiply the points' powers with coefficients."""
        powers = [[pow(x, e, self.modulus) for e in range(threshold)] for x in range(1, shares + 1)]
        coefficients = P50.random((threshold, values.size))
        coefficients[0] = values
        left, right = self._matrix(powers), self._matrix(coefficients.tolist())
        return lambda: left * right

    def opener(self, dealt: Any, threshold: int) -> Callable[[], Any]:
        """Multiply the weights with shares."""
        weights = lagrange_at_zero(range(1, threshold + 1), self.modulus)
        left, right = self._matrix([weights]), self._matrix(dealt.tolist()[:threshold])
        return lambda: left * right

    def rows(self, dealt: Any, holders: Iterable[int], count: int) -> Rows:
        """Read entries."""
        return [[int(dealt[holder - 1, c]) for c in range(count)] for holder in holders]

    def integers(self, opened: Any) -> list[int]:
        """Read entries."""
        return list(map(int, opened.entries()))

    def _matrix(self, rows: Any) -> Any:
        return self._flint.nmod_mat(rows, self.modulus)


class Mpyc(Sharer):
    """MPyC's sharing of lists, and its rebuilding of lists or arrays, whichever is faster."""

    name = "mpyc"
    count = 1000
    _ARRAYS_FROM = 4  # shares

    def __init__(self) -> None:
        self._thresha = importlib.import_module("mpyc.thresha")
        self._field = importlib.import_module("mpyc.finfields").GF(self.modulus)

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], list[Any]]:
        """Share a list."""
        whole, split = values.tolist(), self._thresha.random_split
        return lambda: split(self._field, whole, threshold - 1, shares)

    def opener(self, dealt: list[Any], threshold: int) -> Callable[[], Any]:
        """Recombine; the library keeps the weights."""
        if threshold < self._ARRAYS_FROM:
            points = list(enumerate(dealt[:threshold], start=1))
            return lambda: self._thresha.recombine(self._field, points)
        arrays = list(enumerate(map(np.array, dealt[:threshold]), start=1))
        return lambda: self._thresha.np_recombine(self._field, arrays)

    def rows(self, dealt: list[Any], holders: Iterable[int], count: int) -> Rows:
        """Cut the lists."""
        return [dealt[holder - 1][:count] for holder in holders]

    def integers(self, opened: Any) -> list[int]:
        """Reduce, which `recombine` leaves to its caller."""
        return [int(value) % self.modulus for value in opened]


class Shamirs(Sharer):
    """shamirs: one object a share."""

    name = "shamirs"
    count = 20

    def __init__(self) -> None:
        self._shamirs = importlib.import_module("shamirs")

    def dealer(self, values: Integers, shares: int, threshold: int) -> Callable[[], list[Any]]:
        """Share one secret after the other."""
        split, whole = self._shamirs.shares, values.tolist()
        return lambda: [
            split(value, shares, self.modulus, threshold, compact=True) for value in whole
        ]

    def opener(self, dealt: list[Any], threshold: int) -> Callable[[], list[int]]:
        """Interpolate one secret after the other."""
        interpolate, some = self._shamirs.interpolate, [one[:threshold] for one in dealt]
        return lambda: [interpolate(one, self.modulus) for one in some]

    def rows(self, dealt: list[Any], holders: Iterable[int], count: int) -> Rows:
        """Read the shares' values."""
        return [[one[holder - 1].value for one in dealt[:count]] for holder in holders]


def sharers() -> list[Sharer]:
    """Return all that is installed, the fastest first."""
    found: list[Sharer] = [NumPy()]
    if find_spec("flint"):
        found.insert(0, Flint())
    if find_spec("mpyc"):
        found.append(Mpyc())
    found += [Gmpy2(), Python()]
    if find_spec("shamirs"):
        found.append(Shamirs())
    return found


# ---- Transforms and codes


class Galois:
    """galois's transforms and Reed-Solomon codes modulo its largest convenient prime."""

    name = "galois mod 2^31-2^27+1"
    modulus = GALOIS_MODULUS

    def __init__(self) -> None:
        self._galois = importlib.import_module("galois")
        self._field = self._galois.GF(self.modulus)

    def array(self, values: Any) -> Any:
        """Return its kind of array."""
        return self._field(values)

    def root(self, order: int) -> int:
        """Return the root of unity that its transforms use."""
        return int(self._field.primitive_root_of_unity(order))

    def transform(self, array: Any) -> Any:
        """Transform one array; it takes no batches."""
        return self._galois.ntt(array)

    def noisy_word(self, length: int, threshold: int, errors: int) -> tuple[Any, Any, Any]:
        """Return a code, a message, and its codeword with errors."""
        code = self._galois.ReedSolomon(length, threshold, field=self._field)
        message = self._field.Random(threshold)
        word = code.encode(message)
        word[:errors] += self._field(7)
        return code, message, word


def galois() -> Galois | None:
    """Return galois if it is installed."""
    return Galois() if find_spec("galois") else None


# ---- Polynomials


class FlintPolynomials:
    """FLINT's functions for one polynomial at many points, which python-flint does not offer.

    They are called in the library that python-flint brings.
    """

    name = "FLINT"
    _STRUCT = 16  # words, more than an nmod_poly_t has

    def __init__(self, library: ctypes.CDLL, modulus: int, length: int) -> None:
        self._library = library
        self._poly = (ctypes.c_uint64 * self._STRUCT)()
        self._length = ctypes.c_int64(length)
        library.nmod_poly_get_coeff_ui.restype = ctypes.c_uint64
        library.nmod_poly_init2(self._poly, ctypes.c_uint64(modulus), self._length)

    @staticmethod
    def library() -> ctypes.CDLL | None:
        """Find FLINT among the files of python-flint."""
        if not find_spec("flint"):
            return None
        importlib.import_module("flint")  # it loads what FLINT needs
        files = importlib.metadata.files("python-flint") or []
        paths = [str(file.locate()) for file in files if file.name.startswith("libflint")]
        return ctypes.CDLL(paths[0]) if paths else None

    def interpolate(self, points: Words, values: Words) -> None:
        """Set the polynomial to the one through these points."""
        self._library.nmod_poly_interpolate_nmod_vec(
            self._poly, _pointer(points), _pointer(values), self._length
        )

    def evaluate(self, points: Words) -> Words:
        """Return the polynomial's values."""
        values = np.empty_like(points)
        self._library.nmod_poly_evaluate_nmod_vec(
            _pointer(values), self._poly, _pointer(points), ctypes.c_int64(points.size)
        )
        return values

    def coefficients(self) -> list[int]:
        """Read the polynomial."""
        read, length = self._library.nmod_poly_get_coeff_ui, self._length.value
        return [read(self._poly, ctypes.c_int64(index)) for index in range(length)]


def _pointer(array: Words) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
