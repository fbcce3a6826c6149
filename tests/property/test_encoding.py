"""Laws of fixed point and digits, against exact fractions."""

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum.encoding import Digits, FixedPoint, exact_array
from veilsum.errors import BudgetExceeded
from veilsum.testing import strategies

STEADY = settings(deadline=None, derandomize=True)

every_encoding = strategies.encodings() | strategies.encodings(
    max_fraction_bits=80, max_digits=30, max_bound=2.0**60
)


def integers_of(array: Any) -> list[int]:
    return [int(value) for value in array.flat]


@STEADY
@given(st.data(), every_encoding)
def test_quantising_is_exact_rounding_half_to_even(data: Any, encoding: FixedPoint) -> None:
    values = data.draw(strategies.fixed_point_arrays(encoding))
    integers = encoding.quantise(values)
    expected = [round(Fraction(value) * encoding.scale) for value in values.ravel().tolist()]
    assert integers_of(integers) == expected
    assert integers.shape == values.shape
    assert all(abs(integer) <= encoding.limit for integer in expected)
    assert integers.dtype == (np.int64 if encoding.limit < 2**62 else object)


@STEADY
@given(st.data(), every_encoding)
def test_floats_and_objects_quantise_alike(data: Any, encoding: FixedPoint) -> None:
    values = data.draw(strategies.fixed_point_arrays(encoding))
    assert integers_of(encoding.quantise(values)) == integers_of(
        encoding.quantise(values.astype(object))
    )


@STEADY
@given(st.data(), every_encoding)
def test_decoding_is_the_nearest_float_of_the_exact_quotient(
    data: Any, encoding: FixedPoint
) -> None:
    values = data.draw(strategies.fixed_point_arrays(encoding, shape=(4,)))
    integers = encoding.quantise(values)
    expected = [float(Fraction(integer, encoding.scale)) for integer in integers_of(integers)]
    assert encoding.dequantise(integers).tolist() == expected


@STEADY
@given(st.data(), every_encoding)
def test_a_public_limit_changes_no_decoded_bit(data: Any, encoding: FixedPoint) -> None:
    integers = encoding.quantise(data.draw(strategies.fixed_point_arrays(encoding, shape=(4,))))
    limit = encoding.limit + data.draw(st.integers(0, 2**60))
    with_limit = encoding.dequantise(integers, limit=limit)
    assert with_limit.tolist() == encoding.dequantise(integers).tolist()


@STEADY
@given(st.integers(1, 2**53), st.integers(0, 2**53), st.booleans(), st.integers(-2, 2))
def test_products_next_to_a_half_round_by_their_exact_value(
    scale: int, whole: int, negative: bool, steps: int
) -> None:
    value = np.float64((whole + 0.5) / scale) * (-1 if negative else 1)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.inf if steps > 0 else -np.inf)
    encoding = FixedPoint(scale=scale, bound=2.0**61 / scale)
    assume(encoding.limit < 2**62 and abs(value) <= encoding.bound)
    assert int(encoding.quantise(value)) == round(Fraction(float(value)) * scale)


@STEADY
@given(st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 2**64 - 1), min_size=1))
def test_lists_of_integers_are_read_exactly(integers: list[int]) -> None:
    assert exact_array(integers).tolist() == integers


@STEADY
@given(st.data(), every_encoding)
def test_a_round_trip_moves_a_value_by_at_most_half_a_unit(data: Any, encoding: FixedPoint) -> None:
    values = data.draw(strategies.fixed_point_arrays(encoding, shape=(4,)))
    for value, integer in zip(values, integers_of(encoding.quantise(values)), strict=True):
        moved = abs(Fraction(float(value)) - Fraction(integer, encoding.scale))
        assert moved <= Fraction(1, 2 * encoding.scale)


@STEADY
@given(st.data(), every_encoding)
def test_quantising_is_odd_and_monotone(data: Any, encoding: FixedPoint) -> None:
    values = np.sort(data.draw(strategies.fixed_point_arrays(encoding, shape=(6,))))
    integers = integers_of(encoding.quantise(values))
    assert integers == sorted(integers)
    assert integers_of(encoding.quantise(-values)) == [-integer for integer in integers]


@STEADY
@given(every_encoding, st.floats())
def test_a_float_is_accepted_exactly_when_it_is_within_the_bound(
    encoding: FixedPoint, value: float
) -> None:
    try:
        encoding.quantise(value)
    except BudgetExceeded:
        assert not abs(value) <= encoding.bound
    else:
        assert abs(value) <= encoding.bound


@STEADY
@given(st.data(), strategies.encodings())
def test_integers_quantise_to_multiples_of_the_scale(data: Any, encoding: FixedPoint) -> None:
    integers = data.draw(strategies.secrets(bound=int(encoding.bound)))
    expected = [int(value) * encoding.scale for value in integers.flat]
    assert integers_of(encoding.quantise(integers)) == expected


@st.composite
def digit_sums(draw: st.DrawFn) -> tuple[Digits, list[list[int]], int]:
    """Digits with as many vectors as they allow."""
    summands = draw(st.integers(1, 6))
    limit = draw(st.integers(1, 2**70) | st.integers(1, 100))
    capacity = draw(st.integers(summands, 2**66) | st.integers(summands, 50))
    digits = Digits.for_sum(limit=limit, summands=summands, capacity=capacity)
    integers = st.integers(-limit, limit) | st.sampled_from([-limit, limit])
    vectors = draw(
        st.lists(st.lists(integers, min_size=3, max_size=3), min_size=summands, max_size=summands)
    )
    return digits, vectors, capacity


def as_array(integers: list[int], digits: Digits) -> Any:
    return np.array(integers, np.int64 if digits.limit < 2**62 else object)


@STEADY
@given(digit_sums())
def test_sums_of_digits_are_digits_of_sums(case: tuple[Digits, list[list[int]], int]) -> None:
    digits, vectors, capacity = case
    parts = [digits.split(as_array(vector, digits)).astype(object) for vector in vectors]
    total = sum(parts[1:], parts[0])
    assert max(abs(int(digit)) for digit in total.flat) <= capacity
    expected = [sum(column) for column in zip(*vectors, strict=True)]
    assert integers_of(digits.join(total)) == expected


@STEADY
@given(digit_sums())
def test_digits_are_within_their_limit_and_join_again(
    case: tuple[Digits, list[list[int]], int],
) -> None:
    digits, vectors, _ = case
    for vector in vectors:
        parts = digits.split(as_array(vector, digits))
        assert parts.shape == (3, digits.count)
        assert max(abs(int(digit)) for digit in parts.flat) <= digits.digit_limit
        assert integers_of(digits.join(parts)) == vector


@STEADY
@given(digit_sums(), st.integers(1, 2**80))
def test_integers_beyond_the_limit_are_always_refused(
    case: tuple[Digits, list[list[int]], int], excess: int
) -> None:
    digits, _, _ = case
    for integer in (digits.limit + excess, -digits.limit - excess):
        try:
            digits.split(np.array([integer], object))
        except BudgetExceeded:
            continue
        raise AssertionError


@STEADY
@given(digit_sums())
def test_one_digit_is_used_exactly_when_the_sum_fits(
    case: tuple[Digits, list[list[int]], int],
) -> None:
    digits, _, capacity = case
    assume(digits.limit > 1)
    assert (digits.count == 1) == (digits.limit * digits.summands <= capacity)
