"""Wide fields: shapes, broadcasting, transforms and every error."""

import copy
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from veilsum import _core, randomness
from veilsum.field import P257, WideField

P = P257.modulus
M127 = WideField(2**127 - 1)


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    """The same random residues in every run."""
    with randomness._test_source(random.Random(1).randbytes):
        yield


def pickled(field: WideField) -> Any:
    return pickle.loads(pickle.dumps(field))  # noqa: S301 (our own)


def words(*integers: int) -> Any:
    return P257.from_integers(list(integers))


def test_every_string_of_32_bytes_is_a_residue() -> None:
    assert P == 2**256 + 297
    assert P257.to_integers(words(2**256 - 1, 0)).tolist() == [2**256 - 1, 0]


def test_fields_are_equal_when_their_moduli_are() -> None:
    assert WideField(P) == P257
    assert hash(WideField(P)) == hash(P257)
    assert P257 != M127
    assert repr(M127) == f"WideField(modulus={2**127 - 1})"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copied_field_works(duplicate: Callable[[Any], Any]) -> None:
    copied = duplicate(M127)
    assert copied == M127
    assert copied.to_integers(copied.mul([3, 0], [5, 0])) == 15


@pytest.mark.parametrize("modulus", [13.0, "13", None, True])
def test_a_modulus_that_is_no_integer_is_a_type_error(modulus: Any) -> None:
    with pytest.raises(TypeError, match="modulus: got"):
        WideField(modulus)


@pytest.mark.parametrize(
    "modulus", [0, 13, -(2**127 - 1), 2**63 - 25, 2**64 - 59, 2**127, 2**127 + 1, 2**4096 + 1761]
)
def test_a_modulus_that_is_no_wide_odd_prime_is_refused(modulus: int) -> None:
    with pytest.raises(ValueError, match=r"modulus: got an integer of .* bits, expected an odd"):
        WideField(modulus)


def test_the_shortest_and_long_moduli_work() -> None:
    for modulus in (2**64 + 13, 2**1279 - 1, 2**2203 - 1):
        field = WideField(modulus)
        assert field.limbs == -(-modulus.bit_length() // 64)
        minus_one = field.neg(field.from_integers(1))
        assert field.to_integers(field.mul(minus_one, minus_one)) == 1
        assert field.to_integers(field.inverse(minus_one)) == modulus - 1


class TestIntegers:
    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 1, 2)])
    def test_arrays_of_any_shape_come_back(self, shape: tuple[int, ...]) -> None:
        integers = np.empty(shape, object)
        integers[...] = P - 1
        residues = P257.from_integers(integers)
        assert residues.shape == (*shape, 5)
        assert residues.dtype == np.uint64
        again = P257.to_integers(residues)
        assert again.shape == shape
        assert again.tolist() == integers.tolist()

    def test_nested_lists_and_numpy_integers_are_read(self) -> None:
        assert P257.to_integers(P257.from_integers([[1, np.int8(2)], (3, 4)])).tolist() == [
            [1, 2],
            [3, 4],
        ]

    @pytest.mark.parametrize("integers", [-1, P, [5, 2**300, -7], np.array([-1])])
    def test_what_is_outside_the_field_is_refused_and_not_reduced(self, integers: Any) -> None:
        with pytest.raises(ValueError, match=r"integers: [12] of [13] numbers are not in range\("):
            P257.from_integers(integers)

    @pytest.mark.parametrize("integers", [1.0, "7", [1, None], [[1, 2], [3]], {1, 2}])
    def test_what_is_no_integer_is_a_type_error(self, integers: Any) -> None:
        with pytest.raises((TypeError, ValueError), match=r"not integers|inhomogeneous"):
            P257.from_integers(integers)


OPERATIONS: list[Callable[[Any], Any]] = [
    lambda bad: P257.add(bad, words(1)),
    lambda bad: P257.sub(words(1), bad),
    lambda bad: P257.mul(bad, words(1)),
    lambda bad: P257.neg(bad),
    lambda bad: P257.power(bad, 2),
    lambda bad: P257.inverse(bad),
    lambda bad: P257.dot(bad, words(1)),
    lambda bad: P257.matmul([bad], words(1, 1)),
    lambda bad: P257.matmul(words(1, 1).reshape(1, 2, 5), bad),
    lambda bad: P257.evaluate(bad, words(1)),
    lambda bad: P257.evaluate(words(1), bad),
    lambda bad: P257.interpolate(bad, words(1, 2)),
    lambda bad: P257.interpolate(words(1, 2), bad),
    lambda bad: P257.ntt(bad),
    lambda bad: P257.intt(bad),
    lambda bad: P257.to_integers(bad),
]


class TestRefusals:
    @pytest.mark.parametrize("call", OPERATIONS)
    @pytest.mark.parametrize(
        "bad",
        [[[297, 0, 0, 0, 1], [0, 0, 0, 0, 1]], [[9, 0, 0, 0, 2], [1, 1, 1, 1, 0]]],
    )
    def test_numbers_outside_the_field_are_counted(
        self, call: Callable[[Any], Any], bad: Any
    ) -> None:
        with pytest.raises(ValueError, match=r"^[a-z]+: 1 of 2 numbers are not in range\("):
            call(bad)

    @pytest.mark.parametrize("call", OPERATIONS)
    @pytest.mark.parametrize("bad", [7, [1, 2], np.zeros((2, 4), np.uint64), []])
    def test_another_number_of_words_is_refused(self, call: Callable[[Any], Any], bad: Any) -> None:
        with pytest.raises(ValueError, match=r"^[a-z]+: got shape .*, expected \(\.\.\., 5\)"):
            call(bad)

    @pytest.mark.parametrize("call", OPERATIONS)
    def test_floats_are_a_type_error(self, call: Callable[[Any], Any]) -> None:
        with pytest.raises(TypeError, match=r"^[a-z]+: got dtype float64"):
            call(np.ones((2, 5)))

    def test_negative_words_do_not_wrap(self) -> None:
        with pytest.raises(ValueError, match=r"^a: 1 of 2 numbers are not in range"):
            P257.add([[-1, 0, 0, 0, 0], [1, 0, 0, 0, 0]], words(0))

    def test_the_refusal_shows_no_number(self) -> None:
        with pytest.raises(ValueError, match="1 of 1") as caught:
            P257.add([[987654321, 0, 0, 0, 7]], words(0))
        assert "987654321" not in str(caught.value)

    def test_shapes_that_do_not_broadcast_are_refused(self) -> None:
        with pytest.raises(ValueError, match="shape"):
            P257.add(words(1, 2), words(1, 2, 3))


@pytest.mark.parametrize(
    ("left", "right", "shape"),
    [
        ((), (), ()),
        ((0,), (), (0,)),
        ((3,), (), (3,)),
        ((2, 1), (3,), (2, 3)),
        ((9, 1), (9, 9), (9, 9)),
    ],
)
def test_elements_broadcast_as_in_numpy(
    left: tuple[int, ...], right: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    a, b = P257.random(left), P257.random(right)
    x, y = P257.to_integers(a), P257.to_integers(b)
    for operation, expected in [(P257.add, x + y), (P257.sub, x - y), (P257.mul, x * y)]:
        got = operation(a, b)
        assert got.shape == (*shape, 5)
        np.testing.assert_array_equal(P257.to_integers(got), np.asarray(expected % P, object))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2]])
def test_any_memory_order_is_read_right(layout: Callable[[Any], Any]) -> None:
    array = layout(P257.random((3, 4)))
    integers = P257.to_integers(array)
    np.testing.assert_array_equal(P257.to_integers(P257.mul(array, array)), integers**2 % P)
    np.testing.assert_array_equal(P257.to_integers(P257.power(array, 3)), integers**3 % P)


def test_results_are_new_arrays() -> None:
    a = words(1, 2)
    for result in (P257.add(a, words(0)), P257.power(a, 1), P257.ntt(a), P257.ntt(a[:1])):
        assert not np.shares_memory(result, a)


class TestPowers:
    def test_zero_to_the_power_zero_is_one(self) -> None:
        assert P257.to_integers(P257.power(words(0, 5), 0)).tolist() == [1, 1]

    @pytest.mark.parametrize("exponent", [1, 2**64 - 1, 2**64, P - 1, 2**1000 + 7])
    def test_exponents_of_any_size(self, exponent: int) -> None:
        got = P257.to_integers(P257.power(words(3, P - 5), exponent))
        assert got.tolist() == [pow(3, exponent, P), pow(P - 5, exponent, P)]

    @pytest.mark.parametrize("exponent", [1.5, "2", None, True, -1])
    def test_another_exponent_is_refused_without_a_residue(self, exponent: Any) -> None:
        with pytest.raises((TypeError, ValueError), match=r"^exponent: got") as caught:
            P257.power(words(987654321), exponent)
        assert "987654321" not in str(caught.value)

    def test_zero_has_no_inverse(self) -> None:
        with pytest.raises(ZeroDivisionError, match="a: 2 of 3 residues are 0"):
            P257.inverse(words(0, 1, 0))

    def test_a_residue_with_zero_words_has_one(self) -> None:
        assert P257.to_integers(P257.inverse(words(2**64))) == pow(2**64, -1, P)


class TestSums:
    @pytest.mark.parametrize("terms", [0, 1, 2, 7, 64])
    def test_dot_adds_up_products(self, terms: int) -> None:
        a, b = P257.random((2, terms)), P257.random(terms)
        expected = (P257.to_integers(a) * P257.to_integers(b)).sum(axis=1) % P
        got = P257.dot(a, b)
        assert got.shape == (2, 5)
        assert P257.to_integers(got).tolist() == expected.tolist()

    def test_dot_needs_an_axis_of_elements(self) -> None:
        with pytest.raises(ValueError, match=r"a, b: got shapes \(5,\) and \(1, 5\)"):
            P257.dot(words(1)[0], words(1))

    @pytest.mark.parametrize("threads", [1, 2, None])
    def test_matmul_keeps_the_shape_of_the_values(self, threads: int | None) -> None:
        weights, values = P257.random((3, 2)), P257.random((2, 4, 3))
        got = P257.matmul(weights, values, threads=threads)
        w, v = P257.to_integers(weights), P257.to_integers(values)
        expected = np.tensordot(w, v, axes=1) % P
        assert P257.to_integers(got).tolist() == expected.tolist()
        assert P257.matmul(weights, values[:, :0]).shape == (3, 0, 3, 5)
        assert not P257.matmul(weights[:, :0], values[:0]).any()

    @pytest.mark.parametrize(
        ("weights", "values"), [((2,), (2,)), ((1, 2), (3,)), ((1, 1), ()), ((1, 1, 1), (1,))]
    )
    def test_matmul_refuses_shapes_that_do_not_fit(
        self, weights: tuple[int, ...], values: tuple[int, ...]
    ) -> None:
        with pytest.raises(ValueError, match="weights, values: got shapes"):
            P257.matmul(P257.random(weights), P257.random(values))

    def test_threads_are_checked(self) -> None:
        for call in (
            lambda: P257.matmul([words(1)], words(1), threads=0),
            lambda: P257.ntt(words(1), threads=0),
        ):
            with pytest.raises(ValueError, match="threads: got 0"):
                call()


class TestPolynomials:
    def test_no_coefficients_are_the_polynomial_zero(self) -> None:
        assert P257.to_integers(P257.evaluate(words(), words(4, 5))).tolist() == [0, 0]
        assert P257.interpolate(words(), words()).shape == (0, 5)

    def test_interpolation_finds_what_was_evaluated(self) -> None:
        coefficients, points = P257.random(20), words(*range(20))
        values = P257.evaluate(coefficients, points)
        assert (P257.interpolate(points, values) == coefficients).all()

    def test_equal_points_are_refused(self) -> None:
        with pytest.raises(ValueError, match="points: got two that are equal"):
            P257.interpolate(words(1, 2, 1), words(1, 2, 1))

    def test_points_and_values_are_as_many(self) -> None:
        with pytest.raises(ValueError, match="points, values: got 2 and 1"):
            P257.interpolate(words(1, 2), words(1))

    def test_one_axis_of_elements_is_expected(self) -> None:
        for call in (P257.evaluate, P257.interpolate):
            with pytest.raises(ValueError, match=r"got shape \(1, 1, 5\), expected \(n, 5\)"):
                call(words(1), [words(1)])


def transformed(field: WideField, integers: list[int]) -> list[int]:
    """By the definition."""
    p, size = field.modulus, len(integers)
    h = next(h for h in range(2, p) if pow(h, (p - 1) // 2, p) == p - 1)
    root = pow(h, (p - 1) // size, p)
    return [sum(x * pow(root, i * j, p) for j, x in enumerate(integers)) % p for i in range(size)]


class TestTransforms:
    TALL = WideField(3 * 2**189 + 1)

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    def test_agree_with_the_definition(self, size: int) -> None:
        values = P257.random(size)
        integers = P257.to_integers(values).tolist()
        assert P257.to_integers(P257.ntt(values)).tolist() == transformed(P257, integers)
        assert (P257.intt(P257.ntt(values)) == values).all()

    def test_are_long_where_the_field_allows(self) -> None:
        values = self.TALL.random(64)
        integers = self.TALL.to_integers(values).tolist()
        got = self.TALL.ntt(values)
        assert self.TALL.to_integers(got).tolist() == transformed(self.TALL, integers)
        assert (self.TALL.intt(got) == values).all()

    @pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
    def test_run_along_any_axis_of_elements(self, axis: int) -> None:
        values = P257.random((2, 8, 4))
        got = P257.ntt(values, axis=axis, threads=1)
        expected = np.apply_along_axis(
            lambda line: np.array(transformed(P257, line.tolist()), object),
            axis,
            P257.to_integers(values),
        )
        assert P257.to_integers(got).tolist() == expected.tolist()
        assert (P257.intt(got, axis=axis) == values).all()

    def test_other_axes_may_be_empty(self) -> None:
        assert P257.ntt(P257.random((0, 4))).shape == (0, 4, 5)

    @pytest.mark.parametrize("size", [0, 3, 16])
    def test_a_length_without_a_root_is_refused(self, size: int) -> None:
        for call in (P257.ntt, P257.intt):
            with pytest.raises(ValueError, match=rf"got {size} along .* a power of two up to 8"):
                call(P257.random(size))

    @pytest.mark.parametrize("axis", [1, -2, 5])
    def test_an_axis_that_is_not_there_is_refused(self, axis: int) -> None:
        with pytest.raises(ValueError, match=f"axis: got {axis}, where the elements have 1 axes"):
            P257.ntt(words(1, 2), axis=axis)

    @pytest.mark.parametrize("axis", [None, 0.0, True])
    def test_an_axis_is_an_integer(self, axis: Any) -> None:
        with pytest.raises(TypeError, match="axis: got"):
            P257.ntt(words(1, 2), axis=axis)

    def test_a_single_element_has_no_axis(self) -> None:
        with pytest.raises(ValueError, match="axis: got -1, where the elements have 0 axes"):
            P257.ntt(words(1)[0])


class TestRandom:
    def test_residues_come_from_the_one_source(self) -> None:
        drawn = []

        def source(count: int) -> bytes:
            drawn.append(count)
            return bytes(40) if len(drawn) > 1 else b"\xff" * (count - 40) + b"\1" * 40

        with randomness._test_source(source):
            residues = P257.random(2)
        # The first number was beyond the modulus, and so was drawn again.
        assert drawn == [80, 40]
        # Of the last word the topmost bit counts, because the modulus has 257 bits.
        expected = [0, int.from_bytes(b"\1" * 32, "little")]
        assert P257.to_integers(residues).tolist() == expected

    def test_an_array_is_filled(self) -> None:
        given = np.zeros((2, 3, 5), np.uint64)
        assert P257.random((2, 3), out=given) is given
        assert given.any(axis=-1).all()
        assert not P257.count_outside(given)

    @pytest.mark.parametrize(
        "out",
        [np.zeros((3, 5), np.uint64), np.zeros((2, 5)), np.zeros((2, 10), np.uint64)[:, ::2]],
    )
    def test_an_array_that_does_not_fit_is_refused(self, out: Any) -> None:
        with pytest.raises(ValueError, match=r"out: got .*, expected C-contiguous uint64"):
            P257.random(2, out=out)

    def test_all_bits_of_a_residue_vary(self) -> None:
        residues = WideField(2**127 - 1).random(400)
        spread = np.bitwise_or.reduce(residues) & ~np.bitwise_and.reduce(residues)
        assert spread.tolist() == [2**64 - 1, 2**63 - 1]


class TestCounting:
    def test_counts_what_is_not_below_the_modulus(self) -> None:
        values = np.array([[[297, 0, 0, 0, 1]], [[296, 0, 0, 0, 1]], [[0, 0, 0, 0, 2]]], np.uint64)
        assert P257.count_outside(values) == 2
        assert P257.count_outside(values[:0]) == 0

    def test_reads_words_of_the_right_number_alone(self) -> None:
        for strange in ([[1, 0, 0, 0, 0]], np.ones((1, 5))):
            with pytest.raises(TypeError, match=r"values: got .*, expected an array of uint64"):
                P257.count_outside(strange)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="values: got shape"):
            P257.count_outside(np.ones((5, 1), np.uint64))


def array(*shape: int) -> Any:
    return np.zeros(shape, np.uint64)


@pytest.mark.parametrize(
    "call",
    [
        lambda core: core.add(array(1, 2), array(1, 3)),
        lambda core: core.sub(array(1, 2), array(2, 2)),
        lambda core: core.mul(array(2), array(2), 1),
        lambda core: core.power(array(1, 2), array(0), 1),
        lambda core: core.power(array(1, 2), array(1, 1), 1),
        lambda core: core.matmul(array(1, 2, 2), array(1, 2, 2), 1),
        lambda core: core.matmul(array(1, 1, 3), array(1, 2, 2), 1),
        lambda core: core.mark_outside(array(1, 3)),
        lambda _: _core.WideField(array(2)),
        lambda _: _core.WideField(np.array([1], np.uint64)),
        lambda _: _core.WideField(np.array([1, 0], np.uint64)),
        lambda _: _core.WideField(np.ones(65, np.uint64)),
        lambda _: _core.WideField(np.ones((1, 1), np.uint64)),
    ],
)
def test_the_core_checks_its_buffers(call: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        call(_core.WideField(np.array([2**64 - 1, 2**63 - 1], np.uint64)))
