"""Laws of prime fields, against Python integers."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from veilsum import randomness
from veilsum.field import PrimeField
from veilsum.testing import strategies

STEADY = settings(deadline=None, derandomize=True)

fields = strategies.fields()


@st.composite
def operands(draw: st.DrawFn, count: int) -> tuple[PrimeField, list[Any]]:
    """A field and arrays of its residues, edges included, whose shapes broadcast."""
    field = draw(fields)
    p = field.modulus
    residues = st.integers(0, p - 1) | st.sampled_from([0, 1, p // 2, p // 2 + 1, p - 2, p - 1])
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=4))
    arrays = []
    for shape in shapes.input_shapes:
        size = int(np.prod(shape))
        flat = draw(st.lists(residues, min_size=size, max_size=size))
        arrays.append(np.array(flat, np.uint64).reshape(shape))
    return field, arrays


def exact(array: Any) -> Any:
    return array.astype(object)


@STEADY
@given(operands(2))
def test_operations_agree_with_python_integers(case: tuple[PrimeField, list[Any]]) -> None:
    field, (a, b) = case
    p = field.modulus
    np.testing.assert_array_equal(field.add(a, b), (exact(a) + exact(b)) % p)
    np.testing.assert_array_equal(field.sub(a, b), (exact(a) - exact(b)) % p)
    np.testing.assert_array_equal(field.mul(a, b), (exact(a) * exact(b)) % p)
    np.testing.assert_array_equal(field.neg(a), -exact(a) % p)


@STEADY
@given(operands(3))
def test_the_laws_of_a_field_hold(case: tuple[PrimeField, list[Any]]) -> None:
    field, (a, b, c) = case
    same = np.testing.assert_array_equal
    same(field.add(a, b), field.add(b, a))
    same(field.mul(a, b), field.mul(b, a))
    same(field.add(field.add(a, b), c), field.add(a, field.add(b, c)))
    same(field.mul(field.mul(a, b), c), field.mul(a, field.mul(b, c)))
    same(field.mul(a, field.add(b, c)), field.add(field.mul(a, b), field.mul(a, c)))
    same(field.sub(field.add(a, b), b), field.add(a, field.mul(b, 0)))


@STEADY
@given(operands(1), st.integers(0, 2**64 - 1))
def test_powers_agree_with_python_integers(
    case: tuple[PrimeField, list[Any]], exponent: int
) -> None:
    field, (a,) = case
    expected = [pow(int(base), exponent, field.modulus) for base in a.flat]
    assert field.power(a, exponent).ravel().tolist() == expected


@STEADY
@given(operands(1))
def test_every_residue_but_zero_has_an_inverse(case: tuple[PrimeField, list[Any]]) -> None:
    field, (a,) = case
    units = a[a != 0]
    assert (field.mul(units, field.inverse(units)) == 1).all()


@STEADY
@given(fields, st.data())
def test_matmul_agrees_with_python_integers(field: PrimeField, data: Any) -> None:
    rows, terms, columns = (data.draw(st.integers(0, most)) for most in (4, 9, 20))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, field.modulus, (rows, terms), np.uint64)
    values = rng.integers(0, field.modulus, (terms, columns), np.uint64)
    expected = np.zeros((rows, columns), object)
    for term in range(terms):
        expected += np.outer(exact(weights[:, term]), exact(values[term]))
    product = field.matmul(weights, values, threads=data.draw(st.sampled_from([1, 2, None])))
    np.testing.assert_array_equal(product, expected % field.modulus)


@STEADY
@given(fields, st.data())
def test_signed_integers_come_back(field: PrimeField, data: Any) -> None:
    integers = data.draw(strategies.secrets(bound=field.limit))
    residues = field.residues(integers)
    expected = [int(value) % field.modulus for value in integers.flat]
    assert residues.ravel().tolist() == expected
    assert field.centre(residues).tolist() == integers.tolist()


@STEADY
@given(operands(1))
def test_residues_come_back_from_signed_integers(case: tuple[PrimeField, list[Any]]) -> None:
    field, (a,) = case
    centred = field.centre(a)
    assert np.abs(centred).max(initial=0) <= field.limit
    np.testing.assert_array_equal(field.residues(centred), a)


@STEADY
@given(operands(1), st.data())
def test_numbers_outside_the_field_are_counted(
    case: tuple[PrimeField, list[Any]], data: Any
) -> None:
    field, (a,) = case
    flat = a.ravel().copy()
    places = data.draw(st.sets(st.integers(0, flat.size - 1))) if flat.size else set()
    for place in places:
        flat[place] = data.draw(st.integers(field.modulus, 2**64 - 1))
    assert field.count_outside(flat) == len(places)
    if places:
        with pytest.raises(ValueError, match=f"a: {len(places)} of {flat.size} numbers"):
            field.add(flat, 0)


@STEADY
@given(fields, strategies.shapes())
def test_random_residues_are_residues(field: PrimeField, shape: tuple[int, ...]) -> None:
    drawn = field.random(shape)
    assert drawn.shape == shape
    assert field.count_outside(drawn) == 0


@STEADY
@given(st.integers(1, 2**64), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_rejection_keeps_what_is_below_the_modulus(modulus: int, words: list[int]) -> None:
    mask = (1 << (modulus - 1).bit_length()) - 1
    below = [word & mask for word in words if word & mask < modulus]
    stream = np.array([*words, *[0] * len(words)], "<u8").tobytes()
    with randomness._test_source(io.BytesIO(stream).read):
        drawn = randomness.random_residues(modulus, len(words))
    assert sorted(drawn.tolist()) == sorted([*below, *[0] * (len(words) - len(below))])
