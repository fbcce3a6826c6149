"""Laws of wide fields, against Python integers."""

import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from veilsum import randomness
from veilsum.field import P257, WideField

STEADY = settings(deadline=None, derandomize=True, max_examples=60)

FIELDS = (
    P257,
    WideField(2**64 + 13),
    WideField(2**128 - 159),
    WideField(2**252 + 27742317777372353535851937790883648493),
    WideField(2**521 - 1),
)
fields = st.sampled_from(FIELDS)


@st.composite
def operands(draw: st.DrawFn, count: int) -> tuple[WideField, list[Any]]:
    """A field and object arrays of its residues, edges included, whose shapes broadcast."""
    field = draw(fields)
    p = field.modulus
    edges = [0, 1, 2**64 - 1, 2**64, p // 2, p - 2**64, p - 1]
    residues = st.integers(0, p - 1) | st.sampled_from([edge for edge in edges if 0 <= edge < p])
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=4))
    arrays = []
    for shape in shapes.input_shapes:
        integers = np.empty(shape, object)
        size = integers.size
        integers.flat = draw(st.lists(residues, min_size=size, max_size=size))
        arrays.append(integers)
    return field, arrays


seeds = st.integers(0, 2**32 - 1)


def drawn(field: WideField, seed: int, *shapes: Any) -> list[Any]:
    with randomness._test_source(random.Random(seed).randbytes):
        return [field.random(shape) for shape in shapes]


def same(field: WideField, residues: Any, integers: Any) -> None:
    expected = np.asarray(integers % field.modulus, object)
    np.testing.assert_array_equal(field.to_integers(residues), expected, strict=True)


@STEADY
@given(operands(2))
def test_operations_agree_with_python_integers(case: tuple[WideField, list[Any]]) -> None:
    field, (x, y) = case
    a, b = field.from_integers(x), field.from_integers(y)
    same(field, field.add(a, b), x + y)
    same(field, field.sub(a, b), x - y)
    same(field, field.mul(a, b), x * y)
    same(field, field.neg(a), -x)


@STEADY
@given(operands(1), st.integers(0, 2**600) | st.integers(0, 5))
def test_powers_agree_with_python_integers(
    case: tuple[WideField, list[Any]], exponent: int
) -> None:
    field, (x,) = case
    got = field.to_integers(field.power(field.from_integers(x), exponent))
    assert got.ravel().tolist() == [pow(base, exponent, field.modulus) for base in x.flat]


@STEADY
@given(operands(1))
def test_every_residue_but_zero_has_an_inverse(case: tuple[WideField, list[Any]]) -> None:
    field, (x,) = case
    units = field.from_integers([integer for integer in x.flat if integer])
    same(field, field.mul(units, field.inverse(units)), np.ones(len(units), object))


@STEADY
@given(fields, seeds, st.data())
def test_matmul_agrees_with_python_integers(field: WideField, seed: int, data: Any) -> None:
    rows, terms, columns = (data.draw(st.integers(0, most)) for most in (12, 9, 20))
    weights, values = drawn(field, seed, (rows, terms), (terms, columns))
    expected = field.to_integers(weights) @ field.to_integers(values) if terms else 0
    expected = np.zeros((rows, columns), object) + expected
    threads = data.draw(st.sampled_from([1, 2, None]))
    same(field, field.matmul(weights, values, threads=threads), expected)


@STEADY
@given(fields, seeds, st.integers(0, 12))
def test_dot_is_a_product_of_matrices(field: WideField, seed: int, terms: int) -> None:
    a, b = drawn(field, seed, terms, terms)
    assert (field.dot(a, b) == field.matmul(a[np.newaxis], b)[0]).all()


@STEADY
@given(fields, seeds, st.sets(st.integers(0, 2**64), max_size=9))
def test_a_polynomial_is_found_from_its_values(
    field: WideField, seed: int, points: set[int]
) -> None:
    at = field.from_integers(list(points))
    (coefficients,) = drawn(field, seed, len(points))
    values = field.evaluate(coefficients, at)
    np.testing.assert_array_equal(field.interpolate(at, values), coefficients)
    for point, value in zip(points, field.to_integers(values), strict=True):
        terms = enumerate(field.to_integers(coefficients))
        assert sum(term * point**degree for degree, term in terms) % field.modulus == value


@STEADY
@given(st.integers(0, 3), seeds)
def test_transforms_turn_cyclic_convolutions_into_products(order: int, seed: int) -> None:
    size = 2**order
    a, b, scale = drawn(P257, seed, size, size, ())
    x, y = P257.to_integers(a), P257.to_integers(b)
    products = P257.mul(P257.ntt(a), P257.ntt(b))
    expected = [sum(x[j] * y[i - j] for j in range(size)) % P257.modulus for i in range(size)]
    assert P257.to_integers(P257.intt(products)).tolist() == expected
    assert (P257.ntt(P257.mul(a, scale)) == P257.mul(P257.ntt(a), scale)).all()
