"""Laws of finding liars, over large fields."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from veilsum import _core
from veilsum.errors import DecodingError
from veilsum.field import GOLDILOCKS, P50, PrimeField
from veilsum.shamir.decoding import find_liars

STEADY = settings(deadline=None, derandomize=True)
FIELDS = st.sampled_from([P50, PrimeField(2**61 - 1), GOLDILOCKS])
WIDTHS = st.sampled_from([1, 2, 3, 50, 1500])

Words = NDArray[np.uint64]


class Rows(NamedTuple):
    """What holders hand in: honest rows, and how to alter them."""

    field: PrimeField
    points: Words
    values: Words
    threshold: int
    rng: np.random.Generator

    @property
    def redundancy(self) -> int:
        return self.points.size - self.threshold

    def altered(self, liars: list[int], *, one_element: bool) -> Words:
        """Let each liar alter one element, or all."""
        rows = self.values.copy()
        for liar in liars:
            chosen = self.rng.integers(rows.shape[1]) if one_element else slice(None)
            offset = self.rng.integers(
                1, self.field.modulus, np.shape(rows[liar, chosen]), np.uint64
            )
            rows[liar, chosen] = self.field.add(rows[liar, chosen], offset)
        return rows

    def some(self, count: int) -> list[int]:
        return sorted(self.rng.permutation(self.points.size)[:count].tolist())


def evaluated(field: PrimeField, points: Words, coefficients: Words) -> Words:
    """Values of polynomials, whose coefficients stand in columns."""
    values = np.zeros((points.size, coefficients.shape[1]), np.uint64)
    for row in coefficients[::-1]:
        values = field.add(field.mul(values, points[:, np.newaxis]), row)
    return values


@st.composite
def honest_rows(draw: st.DrawFn, *, columns: st.SearchStrategy[int] = WIDTHS) -> Rows:
    """Values of random polynomials at random points."""
    field = draw(FIELDS)
    count = draw(st.integers(2, 24))
    threshold = draw(st.integers(1, count - 1))
    width = draw(columns)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = np.unique(rng.integers(0, field.modulus, 2 * count, np.uint64))
    points = rng.permutation(points)[:count]
    coefficients = rng.integers(0, field.modulus, (threshold, width), np.uint64)
    return Rows(field, points, evaluated(field, points, coefficients), threshold, rng)


@STEADY
@given(honest_rows(), st.data(), st.booleans())
def test_liars_within_the_radius_are_found(
    given_rows: Rows, data: st.DataObject, one: bool
) -> None:
    field, points, _, threshold, _ = given_rows
    radius = data.draw(st.integers(0, given_rows.redundancy // 2))
    liars = given_rows.some(data.draw(st.integers(0, radius)))
    rows = given_rows.altered(liars, one_element=one)
    assert find_liars(field, points, rows, threshold, max_errors=radius) == tuple(liars)


@STEADY
@given(honest_rows(), st.data(), st.booleans())
def test_more_liars_than_the_radius_are_an_error_not_a_guess(
    given_rows: Rows, data: st.DataObject, one: bool
) -> None:
    field, points, _, threshold, _ = given_rows
    redundancy = given_rows.redundancy
    radius = data.draw(st.integers(0, (redundancy - 1) // 2))
    liars = given_rows.some(data.draw(st.integers(radius + 1, redundancy - radius)))
    rows = given_rows.altered(liars, one_element=one)
    with pytest.raises(DecodingError, match=f"more than {radius} of the {points.size}"):
        find_liars(field, points, rows, threshold, max_errors=radius)


@STEADY
@given(honest_rows(columns=st.sampled_from([30, 100])), st.data())
def test_independent_liars_beyond_half_the_redundancy_are_found_together(
    given_rows: Rows, data: st.DataObject
) -> None:
    field, points, _, threshold, _ = given_rows
    radius = data.draw(st.integers(0, max(0, given_rows.redundancy - 1)))
    liars = given_rows.some(data.draw(st.integers(0, radius)))
    rows = given_rows.altered(liars, one_element=False)
    found = find_liars(field, points, rows, threshold, max_errors=radius, interleaved=True)
    assert found == tuple(liars)


@STEADY
@given(honest_rows(), st.data())
def test_liars_within_the_radius_are_found_together_even_if_they_collude(
    given_rows: Rows, data: st.DataObject
) -> None:
    field, points, values, threshold, rng = given_rows
    radius = given_rows.redundancy // 2
    liars = given_rows.some(data.draw(st.integers(0, radius)))
    forged = rng.integers(1, field.modulus, (threshold, 1), np.uint64)
    rows = values.copy()
    rows[liars] = field.add(rows[liars], evaluated(field, points, forged)[liars])
    altered = tuple(np.flatnonzero((rows != values).any(axis=1)))
    found = find_liars(field, points, rows, threshold, max_errors=radius, interleaved=True)
    assert found == altered


class Polynomials:
    """Polynomials over a prime field as lists of Python integers, the constant first."""

    def __init__(self, p: int) -> None:
        self.p = p

    def trimmed(self, a: list[int]) -> list[int]:
        while a and a[-1] == 0:
            a = a[:-1]
        return a

    def add(self, a: list[int], b: list[int], times: int = 1) -> list[int]:
        size = max(len(a), len(b))
        a, b = a + [0] * (size - len(a)), b + [0] * (size - len(b))
        return self.trimmed([(x + times * y) % self.p for x, y in zip(a, b, strict=True)])

    def multiply(self, a: list[int], b: list[int]) -> list[int]:
        product = [0] * (len(a) + len(b))
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                product[i + j] = (product[i + j] + x * y) % self.p
        return self.trimmed(product)

    def divide(self, a: list[int], b: list[int]) -> tuple[list[int], list[int]]:
        quotient: list[int] = []
        while len(a) >= len(b):
            term = [0] * (len(a) - len(b)) + [a[-1] * pow(b[-1], -1, self.p) % self.p]
            quotient = self.add(quotient, term)
            a = self.add(a, self.multiply(term, b), -1)
        return quotient, a

    def at(self, a: list[int], x: int) -> int:
        return sum(c * pow(x, i, self.p) for i, c in enumerate(a)) % self.p


def gao(
    p: int, points: list[int], word: list[int], threshold: int, radius: int
) -> list[int] | None:
    """Gao, "A new algorithm for decoding Reed-Solomon codes", 2003, algorithm 1.

    Shares nothing with the decoder under test.
    """
    ring = Polynomials(p)
    nodal, interpolated = [1], [0] * 0
    for x, y in zip(points, word, strict=True):  # Newton's way
        step = (y - ring.at(interpolated, x)) * pow(ring.at(nodal, x), -1, p) % p
        interpolated = ring.add(interpolated, nodal, step)
        nodal = ring.multiply(nodal, [-x % p, 1])
    old, new = nodal, interpolated
    old_factor, factor = [0] * 0, [1]
    while 2 * (len(new) - 1) >= len(points) + threshold:
        quotient, rest = ring.divide(old, new)
        old, new = new, rest
        old_factor, factor = factor, ring.add(old_factor, ring.multiply(quotient, factor), -1)
    message, rest = ring.divide(new, factor)
    if rest or len(message) > threshold:
        return None
    wrong = [
        i for i, (x, y) in enumerate(zip(points, word, strict=True)) if ring.at(message, x) != y
    ]
    return wrong if len(wrong) <= radius else None


@STEADY
@given(honest_rows(columns=st.just(6)), st.data())
def test_words_are_decoded_as_by_gaos_algorithm(given_rows: Rows, data: st.DataObject) -> None:
    field, points, values, threshold, rng = given_rows
    radius = data.draw(st.integers(0, given_rows.redundancy // 2))
    for column in values.T:  # changed in place, by any number of errors
        wrong = rng.permutation(points.size)[: rng.integers(radius + 3)]
        column[wrong] = rng.integers(0, field.modulus, wrong.size, np.uint64)
    errors, decoded = _core.decode_columns(field.modulus, points, values, threshold, radius, 1)
    for marks, flag, word in zip(errors, decoded, values.T, strict=True):
        expected = gao(field.modulus, points.tolist(), word.tolist(), threshold, radius)
        assert (np.flatnonzero(marks).tolist() if flag else None) == expected


@STEADY
@given(FIELDS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 40), st.data())
def test_inner_products_are_a_matrix_product(
    field: PrimeField, rows: int, vectors: int, columns: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    first = data.draw(st.integers(0, 9))
    threads = data.draw(st.integers(1, 3))
    left = rng.integers(0, field.modulus, (rows, first + columns + 3), np.uint64)
    right = rng.integers(0, field.modulus, (vectors, columns), np.uint64)
    part = np.ascontiguousarray(left[:, first : first + columns])
    np.testing.assert_array_equal(
        field.core.inner_products(left, right, first, threads),
        field.matmul(part, np.ascontiguousarray(right.T)),
    )
