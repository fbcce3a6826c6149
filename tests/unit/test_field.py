"""Prime fields: shapes, layouts, broadcasting, threads and every error."""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from veilsum import field, randomness
from veilsum.errors import BudgetExceeded
from veilsum.field import GOLDILOCKS, P31, P50, PrimeField, kernel_info

F13 = PrimeField(13)


def test_the_named_fields_have_room_for_transforms() -> None:
    assert P31.modulus == 2130706433 == 127 * 2**24 + 1
    assert P50.modulus == 1125899437080577
    assert P31.longest_transform == 2**24
    assert (P50.modulus - 1) % 2**24 == 0
    assert GOLDILOCKS.modulus == 2**64 - 2**32 + 1
    assert (GOLDILOCKS.modulus - 1) % 2**32 == 0


def test_fields_are_equal_when_their_moduli_are() -> None:
    assert PrimeField(13) == F13
    assert PrimeField(13) != PrimeField(17)
    assert len({F13, PrimeField(13), P50}) == 2


@pytest.mark.parametrize("modulus", [13.0, "13", None, True])
def test_a_modulus_that_is_no_integer_is_a_type_error(modulus: Any) -> None:
    with pytest.raises(TypeError, match="modulus: got"):
        PrimeField(modulus)


def test_limit_is_the_largest_magnitude_of_a_signed_integer() -> None:
    assert F13.limit == 6
    assert GOLDILOCKS.limit == 2**63 - 2**31


@pytest.mark.parametrize("operation", ["add", "sub", "mul"])
@pytest.mark.parametrize(
    ("left", "right", "shape"),
    [
        ((), (), ()),
        ((0,), (), (0,)),
        ((3,), (), (3,)),
        ((2, 1), (3,), (2, 3)),
        ((2, 3, 4), (1, 4), (2, 3, 4)),
        ((0, 3), (1, 3), (0, 3)),
    ],
)
def test_operands_broadcast_as_in_numpy(
    operation: str, left: tuple[int, ...], right: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 13, left), rng.integers(0, 13, right)
    got = getattr(F13, operation)(a, b)
    expected = {"add": a + b, "sub": a - b, "mul": a * b}[operation] % 13
    assert isinstance(got, np.ndarray)
    assert got.dtype == np.uint64
    assert got.shape == shape
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T]
)
def test_any_memory_order_is_read_right(layout: Callable[[Any], Any]) -> None:
    array = layout(np.arange(12, dtype=np.uint64).reshape(3, 4))
    np.testing.assert_array_equal(F13.add(array, 5), (array + 5) % 13)
    np.testing.assert_array_equal(F13.neg(array), (13 - array) % 13)
    np.testing.assert_array_equal(F13.power(array, 5), array**5 % 13)
    np.testing.assert_array_equal(F13.centre(F13.add(array, 0)), (array + 6) % 13 - 6.0)
    square = array @ array.T % 13
    np.testing.assert_array_equal(F13.matmul(array, array.T), square)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64", ">u8"])
def test_any_integer_dtype_holds_residues(dtype: str) -> None:
    np.testing.assert_array_equal(F13.add(np.array([0, 1], dtype), [12, 12]), [12, 0])


def test_results_are_new_arrays() -> None:
    a = np.array([1, 2, 3], np.uint64)
    for result in (F13.add(a, 0), F13.power(a, 1), F13.residues(a), F13.centre(a)):
        assert not np.shares_memory(result, a)


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: F13.add(bad, 1),
        lambda bad: F13.sub(bad, 1),
        lambda bad: F13.mul(bad, 1),
        lambda bad: F13.power(bad, 2),
        lambda bad: F13.inverse(bad),
        lambda bad: F13.matmul([[1, 1, 1]], bad),
        lambda bad: F13.matmul([bad], [[1], [1], [1]]),
        lambda bad: F13.centre(bad),
        lambda bad: F13.neg(bad),
    ],
)
@pytest.mark.parametrize("bad", [[1, 13, 99], [5, 2**64 - 1, 2**63], [-1, 1, -2], [-1, 13, 0]])
def test_numbers_outside_the_field_are_counted_and_refused(
    call: Callable[[Any], Any], bad: list[int]
) -> None:
    with pytest.raises(ValueError, match=r": 2 of 3 numbers are not in range\(13\)") as caught:
        call(bad)
    assert "99" not in str(caught.value)


def test_negative_numbers_do_not_wrap_into_a_wide_field() -> None:
    for negative in (-1, -(2**40), -(2**63)):
        with pytest.raises(ValueError, match="a: 1 of 1 numbers are not in range"):
            GOLDILOCKS.add([negative], 0)


def test_the_error_names_the_argument() -> None:
    with pytest.raises(ValueError, match=r"^b: 1 of 1"):
        F13.add(1, 13)
    with pytest.raises(ValueError, match=r"^weights: 1 of 1"):
        F13.matmul([[13]], [1])


@pytest.mark.parametrize("values", [1.0, [0.5], ["1"], [None], [2**64], [1j]])
def test_what_is_not_integer_is_a_type_error(values: Any) -> None:
    with pytest.raises(TypeError, match="a: got dtype"):
        F13.add(values, 1)


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        F13.add([1, 2], [1, 2, 3])


def test_zero_to_the_power_zero_is_one() -> None:
    assert F13.power([0, 5], 0).tolist() == [1, 1]


@pytest.mark.parametrize("exponent", [-1, 2**64])
def test_an_exponent_out_of_range_is_refused(exponent: int) -> None:
    with pytest.raises(ValueError, match="exponent: got"):
        F13.power([1], exponent)


@pytest.mark.parametrize("exponent", [1.5, 2.0, np.float64(2), "2", None, True, [1], 2**70])
def test_the_refusal_of_an_exponent_shows_no_residue(exponent: Any) -> None:
    secret = 987654321987
    with pytest.raises((TypeError, ValueError), match=r"^exponent: got") as caught:
        P50.power([secret], exponent)
    assert str(secret) not in str(caught.value)


def test_numpy_integers_are_exponents() -> None:
    exponent: Any = np.uint64(2**64 - 1)
    assert F13.power([2], exponent).tolist() == [pow(2, 2**64 - 1, 13)]


def test_zero_has_no_inverse() -> None:
    for residues, zeros in [([0, 1, 0], 2), ([1, 0, 2], 1)]:
        with pytest.raises(ZeroDivisionError, match=f"a: {zeros} of 3 residues are 0"):
            F13.inverse(residues)


@pytest.mark.parametrize("modulus", [3, 13, P50.modulus, 2**63 - 25, GOLDILOCKS.modulus])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 130, 5), (2, 0, 3), (0, 2, 3), (4, 3, 0)])
def test_matmul_of_extreme_residues_does_not_overflow(
    modulus: int, sizes: tuple[int, int, int]
) -> None:
    rows, terms, columns = sizes
    weights = np.full((rows, terms), modulus - 1, np.uint64)
    values = np.full((terms, columns), modulus - 1, np.uint64)
    product = PrimeField(modulus).matmul(weights, values)
    np.testing.assert_array_equal(product, np.full((rows, columns), terms % modulus))


def test_matmul_keeps_the_shape_of_the_values() -> None:
    values = np.arange(12).reshape(2, 3, 2)
    product = F13.matmul([[1, 2], [0, 1], [1, 0]], values)
    np.testing.assert_array_equal(product[0], (values[0] + 2 * values[1]) % 13)
    np.testing.assert_array_equal(product[1:], values[::-1])
    assert F13.matmul([[1, 2]], [3, 4]).tolist() == [11]


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_threads_do_not_change_the_product(threads: int | None) -> None:
    rng = np.random.default_rng(3)
    weights, values = rng.integers(0, P50.modulus, (4, 7)), rng.integers(0, P50.modulus, (7, 5000))
    expected = (weights.astype(object) @ values.astype(object)) % P50.modulus
    np.testing.assert_array_equal(P50.matmul(weights, values, threads=threads), expected)


@pytest.mark.parametrize(
    ("weights", "values"), [([1], [1]), ([[1]], [1, 2]), ([[1]], 1), ([[[1]]], [1])]
)
def test_matmul_refuses_shapes_that_do_not_fit(weights: Any, values: Any) -> None:
    with pytest.raises(ValueError, match="weights, values: got shapes"):
        F13.matmul(weights, values)


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="threads: got"):
        F13.matmul([[1]], [1], threads=threads)


@pytest.mark.parametrize("modulus", [13, P50.modulus, 2**63 - 25, GOLDILOCKS.modulus])
@pytest.mark.parametrize("shape", [(), (2,), (1, 2)])
def test_signed_integers_come_back_without_a_warning(modulus: int, shape: tuple[int, ...]) -> None:
    prime = PrimeField(modulus)
    for integer in (-prime.limit, -1, 0, 1, prime.limit):
        integers = np.full(shape, integer, np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            residues = prime.residues(integers)
            centred = prime.centre(residues)
        assert residues.dtype == np.uint64
        assert centred.dtype == np.int64
        np.testing.assert_array_equal(residues, np.full(shape, integer % modulus, np.uint64))
        np.testing.assert_array_equal(centred, integers)
        assert residues.shape == centred.shape == shape


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "uint32", "int64", "uint64"])
def test_residues_read_every_integer_dtype(dtype: str) -> None:
    assert F13.residues(np.array([0, 1], dtype)).tolist() == [0, 1]


def test_residues_beyond_the_limit_are_refused() -> None:
    with pytest.raises(BudgetExceeded, match="integers: 3 of 4 are not within 6"):
        F13.residues([7, -7, 6, 100])
    with pytest.raises(BudgetExceeded, match="integers: 1 of 1"):
        GOLDILOCKS.residues(np.array([2**64 - 1], np.uint64))
    with pytest.raises(TypeError, match=r"encoding\.FixedPoint"):
        F13.residues([0.5])


def test_random_residues_come_from_the_one_source() -> None:
    with randomness._test_source(lambda count: bytes(range(count))):
        assert P50.random(1).item() == 0x0706050403020100 % 2**50
    given = np.zeros((2, 3), np.uint64)
    assert GOLDILOCKS.random((2, 3), out=given) is given
    assert given.all()


def test_counting_what_lies_outside() -> None:
    values = np.array([[0, 12, 13], [14, 2**64 - 1, 1]], np.uint64)
    assert F13.count_outside(values) == 3
    assert F13.count_outside(values.T) == 3
    assert F13.count_outside(values[:, :0]) == 0


@pytest.mark.parametrize(
    "values", [[987.5], np.array([987.5]), np.array([987]), 987, np.array([987], ">u8")]
)
def test_only_words_are_counted_and_the_refusal_shows_none(values: Any) -> None:
    with pytest.raises(TypeError, match=r"values: got .*, expected an array of uint64") as caught:
        P50.count_outside(values)
    assert "987" not in str(caught.value)


def test_the_kernel_says_who_it_is_and_why() -> None:
    info = kernel_info()
    assert info["name"] in info["available"]
    assert "portable" in info["available"]
    assert info["reason"]


def test_several_threads_may_use_one_field() -> None:
    rng = np.random.default_rng(5)
    a = rng.integers(0, P50.modulus, 20_000)
    expected = field.P50.mul(a, a)
    results: list[Any] = [None] * 4

    def work(position: int) -> None:
        results[position] = P50.mul(a, a)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)
