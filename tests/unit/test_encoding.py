"""Fixed point and digits: exact examples, every error."""

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from veilsum.encoding import Digits, FixedPoint, as_integers, exact_array, require_within
from veilsum.errors import BudgetExceeded


def integers_of(array: Any) -> list[int]:
    return [int(value) for value in array.flat]


class TestFixedPoint:
    def test_scale_and_bound_are_fixed_in_advance(self) -> None:
        encoding = FixedPoint.binary()
        assert (encoding.scale, encoding.bound, encoding.limit) == (2**32, 2.0**20, 2**52)
        assert FixedPoint.decimal(3, bound=2).limit == 2000
        with pytest.raises(dataclasses.FrozenInstanceError):
            encoding.scale = 3  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([0.5, 1.5, 2.5, -0.5, -1.5], [0, 2, 2, 0, -2]),
            ([0.49999999999999994, -2.4999999999999996], [0, -2]),
            ([], []),
        ],
    )
    def test_halves_round_to_even(self, values: list[float], expected: list[int]) -> None:
        assert FixedPoint.binary(0).quantise(values).tolist() == expected

    def test_decimals_round_by_the_exact_value_not_by_a_rounded_product(self) -> None:
        nearly_half = 0.0005
        assert nearly_half * 1000 == 0.5
        assert Fraction(nearly_half) * 1000 > Fraction(1, 2)
        assert int(FixedPoint.decimal(3).quantise(nearly_half)) == 1

    @pytest.mark.parametrize(
        "encoding",
        [
            FixedPoint.decimal(3, bound=2.0**51),
            FixedPoint.decimal(25, bound=1.0),
            FixedPoint(scale=3**30, bound=1000.0),
            FixedPoint.binary(60, bound=2.0**40),
            FixedPoint.binary(40, bound=2.0**21),
        ],
        ids=str,
    )
    def test_wide_scales_are_exact(self, encoding: FixedPoint) -> None:
        rng = np.random.default_rng(7)
        wide = rng.uniform(-encoding.bound, encoding.bound, 500)
        few_units = rng.uniform(-(2.0**51), 2.0**51, 500) / encoding.scale
        values = np.concatenate([wide, few_units, [encoding.bound]])
        expected = [round(Fraction(float(value)) * encoding.scale) for value in values]
        assert integers_of(encoding.quantise(values)) == expected
        assert integers_of(encoding.quantise(values.astype(object))) == expected

    def test_dtype_depends_on_the_limit_alone(self) -> None:
        narrow = FixedPoint.binary(32, bound=2.0**30 - 1)
        wide = FixedPoint.binary(32, bound=2.0**30)
        assert narrow.quantise([0.0]).dtype == np.int64
        assert wide.quantise([0.0]).dtype == object
        assert wide.quantise(np.array([3], np.int8)).tolist() == [3 << 32]
        assert wide.quantise(np.array([0.25], object)).dtype == object
        assert type(wide.quantise(0.5).item()) is int

    @pytest.mark.parametrize(("scale", "bound"), [(1, 0.75), (3, 0.7), (10, 0.25), (1000, 0.7)])
    def test_no_accepted_value_exceeds_the_limit(self, scale: int, bound: float) -> None:
        encoding = FixedPoint(scale=scale, bound=bound)
        assert integers_of(encoding.quantise([bound, -bound])) == [encoding.limit, -encoding.limit]

    def test_shape_is_kept(self) -> None:
        encoding = FixedPoint.binary(4)
        for shape in [(), (0,), (2, 0, 3), (2, 3)]:
            integers = encoding.quantise(np.zeros(shape))
            assert isinstance(integers, np.ndarray)
            assert integers.shape == shape
            assert encoding.dequantise(integers).shape == shape

    @pytest.mark.parametrize("dtype", ["int8", "uint64", "int64", "bool", "float16", "float32"])
    def test_narrow_and_integer_inputs_are_read_exactly(self, dtype: str) -> None:
        values = np.array([0, 1, 1], dtype)
        assert FixedPoint.decimal(2).quantise(values).tolist() == [0, 100, 100]

    def test_integers_beyond_float64_are_read_exactly(self) -> None:
        encoding = FixedPoint(scale=1, bound=2.0**60)
        assert encoding.quantise(np.array([2**53 + 1])).tolist() == [2**53 + 1]

    @pytest.mark.parametrize("second", [2**63 + 1, 2**64 - 1, 2**64 + 1, 10**30 + 1])
    @pytest.mark.parametrize("first", [1, -1])
    def test_lists_of_integers_that_numpy_reads_as_floats_are_read_exactly(
        self, first: int, second: int
    ) -> None:
        encoding = FixedPoint(scale=2, bound=2.0**100)
        assert encoding.quantise([first, second]).tolist() == [2 * first, 2 * second]
        exact = FixedPoint(scale=1, bound=1.0).dequantise([first, second])  # type: ignore[arg-type]
        assert exact.tolist() == [float(first), float(second)]

    @pytest.mark.parametrize(
        "encoding",
        [
            FixedPoint.decimal(3, bound=2.0**51),
            FixedPoint.decimal(15, bound=4000.0),
            FixedPoint(scale=3, bound=2.0**60),
            FixedPoint(scale=2**53 - 1, bound=500.0),
        ],
        ids=str,
    )
    def test_floats_at_a_scale_of_53_bits_are_rounded_without_python(
        self, encoding: FixedPoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(11)
        halves = (rng.integers(-(2**51), 2**51, 900) + 0.5) / encoding.scale
        small = halves[np.abs(halves) <= encoding.bound]
        values = np.concatenate([small, rng.uniform(-encoding.bound, encoding.bound, 900)])
        values = np.concatenate([values, np.nextafter(values, 0), [0.0, 5e-324]])
        expected = [round(Fraction(float(value)) * encoding.scale) for value in values]
        monkeypatch.delattr(FixedPoint, "_round")
        assert encoding.quantise(values).tolist() == expected

    def test_objects_that_are_real_numbers_are_read_exactly(self) -> None:
        values = np.array([Fraction(1, 3), 2, np.float32(0.5), np.int16(-1), True], object)
        assert FixedPoint.decimal(2).quantise(values).tolist() == [33, 200, 50, -100, 100]

    @pytest.mark.parametrize(
        "values",
        [
            [float("nan")],
            [float("inf")],
            [-float("inf")],
            [8.000000000000002],
            np.array([9], np.uint64),
            np.array([2**64 - 1], np.uint64),
            np.array([-(2**63)], np.int64),
            np.array([float("nan")], object),
            np.array([Fraction(81, 10)], object),
            np.array([np.inf], np.float32),
            np.array([1e300], np.longdouble) ** 2,
        ],
    )
    def test_what_is_not_within_the_bound_is_refused(self, values: Any) -> None:
        with pytest.raises(BudgetExceeded, match="values: 1 of 1 are not within"):
            FixedPoint.binary(4, bound=8.0).quantise(values)

    def test_the_error_counts_and_does_not_show_the_values(self) -> None:
        with pytest.raises(BudgetExceeded, match="values: 2 of 3") as caught:
            FixedPoint.binary(4, bound=8.0).quantise([1.0, 1234.5, -1234.5])
        assert "1234" not in str(caught.value)

    @pytest.mark.parametrize(
        "values",
        ["text", [1j], np.array(["1"], object), np.array([None]), np.datetime64(0, "s"), [b"1"]],
    )
    def test_what_is_not_a_real_number_is_a_type_error(self, values: Any) -> None:
        with pytest.raises(TypeError, match="values: "):
            FixedPoint.binary().quantise(values)

    @pytest.mark.parametrize("scale", [1, 2**32, 1000, 10**20, 2**70])
    def test_dequantise_rounds_once(self, scale: int) -> None:
        encoding = FixedPoint(scale=scale, bound=1.0)
        integers = [0, 1, -1, 2**53 - 1, 2**53 + 1, -(2**62) - 3, 10**17 + 1]
        expected = [n / scale for n in integers]
        assert encoding.dequantise(np.array(integers, np.int64)).tolist() == expected
        assert encoding.dequantise(np.array(integers, object)).tolist() == expected

    @pytest.mark.parametrize("scale", [1, 2**32, 2**70, 1000, 2**53 - 1, 2**53 + 1, 10**20])
    @pytest.mark.parametrize("limit", [0, 2**40, 2**53, 2**53 + 1, 2**63, 10**30])
    def test_a_limit_changes_no_bit(self, scale: int, limit: int) -> None:
        encoding = FixedPoint(scale=scale, bound=1.0)
        integers = [0, limit, -limit, limit // 3, -(limit // 7)]
        expected = [n / scale for n in integers]
        array = np.array(integers, object)
        assert encoding.dequantise(array, limit=limit).tolist() == expected
        if limit < 2**63:
            narrow = array.astype(np.int64)
            assert encoding.dequantise(narrow, limit=limit).tolist() == expected
            assert encoding.dequantise(narrow).tolist() == expected

    @pytest.mark.parametrize("value", [0, 2**53 - 1, 2**62])
    @pytest.mark.parametrize(
        ("encoding", "dtype", "limit", "in_floats"),
        [
            (FixedPoint.decimal(3), np.int64, 2**62, False),
            (FixedPoint.decimal(3), np.int64, None, False),
            (FixedPoint.decimal(3), np.uint64, None, False),
            (FixedPoint.decimal(3), object, None, False),
            (FixedPoint.decimal(20, bound=1.0), np.int32, None, False),
            (FixedPoint.decimal(3), np.int64, 2**53, True),
            (FixedPoint.decimal(3), np.int32, None, True),
            (FixedPoint.decimal(3), bool, None, True),
            (FixedPoint.decimal(3), object, 2**53, True),
            (FixedPoint.binary(), np.int64, None, True),
            (FixedPoint.binary(), object, None, False),
        ],
    )
    def test_the_way_of_decoding_does_not_depend_on_the_values(
        self,
        monkeypatch: pytest.MonkeyPatch,
        encoding: FixedPoint,
        dtype: Any,
        limit: int | None,
        in_floats: bool,
        value: int,
    ) -> None:
        ways: list[bool] = []
        inner = FixedPoint._divides_in_floats

        def remember(self: FixedPoint, largest: int | None) -> bool:
            ways.append(inner(self, largest))
            return ways[-1]

        monkeypatch.setattr(FixedPoint, "_divides_in_floats", remember)
        widest = 1 if np.dtype(dtype).itemsize < 8 else 2**62
        allowed = min(value, widest if limit is None else limit)
        encoding.dequantise(np.array([allowed], dtype), limit=limit)
        assert ways == [in_floats]

    @pytest.mark.parametrize("dtype", [np.int64, object])
    def test_integers_beyond_the_stated_limit_are_not_decoded(self, dtype: Any) -> None:
        with pytest.raises(BudgetExceeded, match="integers: 2 of 3 are not within 9") as caught:
            FixedPoint.decimal(2).dequantise(np.array([9, 12345, -12345], dtype), limit=9)
        assert "12345" not in str(caught.value)

    @pytest.mark.parametrize(
        ("limit", "error", "message"),
        [
            (-1, ValueError, "limit: got -1, expected at least 0"),
            (1.0, TypeError, "limit: got float, expected int"),
            (True, TypeError, "limit: got bool, expected int"),
        ],
    )
    def test_a_bad_limit_is_refused(self, limit: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            FixedPoint.decimal(2).dequantise(np.array([1]), limit=limit)

    def test_dequantise_refuses_what_is_not_integer(self) -> None:
        with pytest.raises(TypeError, match="integers: got dtype float64"):
            FixedPoint.binary().dequantise(np.array([1.0]))
        with pytest.raises(TypeError, match="integers: 1 of 2 objects"):
            FixedPoint.binary().dequantise(np.array([1, 1.5], object))

    def test_dequantise_says_when_a_sum_is_beyond_floats(self) -> None:
        with pytest.raises(OverflowError):
            FixedPoint.binary(0).dequantise(np.array([10**400], object))

    @pytest.mark.parametrize(
        ("scale", "bound", "error", "message"),
        [
            (0, 1.0, ValueError, "scale: got"),
            (-2, 1.0, ValueError, "scale: got"),
            (2**1000, 1.0, ValueError, "scale: got an integer of 1001 bits"),
            (1.5, 1.0, TypeError, "scale: got float"),
            (True, 1.0, TypeError, "scale: got bool"),
            (1, 0.0, ValueError, "bound: got 0.0"),
            (1, -1.0, ValueError, "bound: got"),
            (1, float("nan"), ValueError, "bound: got nan"),
            (1, float("inf"), ValueError, "bound: got inf"),
            (2**900, 2.0**101, ValueError, "bound: got"),
        ],
    )
    def test_bad_parameters_are_refused(
        self, scale: Any, bound: float, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            FixedPoint(scale=scale, bound=bound)

    def test_negative_precision_is_refused(self) -> None:
        with pytest.raises(ValueError, match="fraction_bits: got -1"):
            FixedPoint.binary(-1)
        with pytest.raises(ValueError, match="digits: got -1"):
            FixedPoint.decimal(-1)


class TestDigits:
    def test_one_digit_is_the_identity(self) -> None:
        digits = Digits.for_sum(limit=1000, summands=8, capacity=8000)
        assert (digits.count, digits.digit_limit) == (1, 1000)
        integers = np.array([[1000, -1000], [0, 3]])
        assert digits.split(integers).tolist() == [[[1000], [-1000]], [[0], [3]]]
        assert digits.join(digits.split(integers)).tolist() == integers.tolist()

    def test_one_wide_digit_stays_a_python_integer(self) -> None:
        digits = Digits.for_sum(limit=2**100, summands=2, capacity=2**200)
        assert digits.count == 1
        parts = digits.split(np.array([2**100, -1], object))
        assert parts.dtype == object
        assert digits.join(2 * parts).tolist() == [2**101, -2]

    def test_one_unit_less_of_capacity_takes_a_second_digit(self) -> None:
        assert Digits.for_sum(limit=1000, summands=8, capacity=7999).count == 2

    @pytest.mark.parametrize("limit", [1, 2, 3, 100, 2**52, 2**62, 2**63, 10**40])
    @pytest.mark.parametrize(("summands", "capacity"), [(1, 1), (3, 4), (7, 2**49), (8, 2**62)])
    def test_extreme_sums_stay_within_the_capacity(
        self, limit: int, summands: int, capacity: int
    ) -> None:
        digits = Digits.for_sum(limit=limit, summands=summands, capacity=capacity)
        extremes = np.array([limit, -limit, 0, limit // 2, -(limit // 3)], object)
        parts = digits.split(extremes)
        sums = parts.astype(object) * summands
        assert max(abs(int(d)) for d in sums.flat) <= min(capacity, digits.digit_limit * summands)
        assert digits.join(sums).tolist() == (extremes * summands).tolist()
        assert parts.dtype == np.int64

    def test_fewer_digits_would_not_do(self) -> None:
        digits = Digits.for_sum(limit=10**30, summands=5, capacity=2**40)
        reach = sum(digits.digit_limit << digits.width * i for i in range(digits.count - 1))
        assert reach < 10**30

    def test_sums_of_python_integers_and_of_int64_agree(self) -> None:
        digits = Digits.for_sum(limit=2**52, summands=100, capacity=2**49)
        integers = np.array([2**52, -(2**52), 12345678901])
        narrow, wide = digits.split(integers), digits.split(integers.astype(object))
        assert narrow.tolist() == wide.tolist()
        assert narrow.dtype == wide.dtype == np.int64

    def test_join_is_int64_when_every_sum_fits_62_bits(self) -> None:
        narrow = Digits.for_sum(limit=2**40, summands=4, capacity=2**30)
        wide = Digits.for_sum(limit=2**60, summands=4, capacity=2**30)
        assert narrow.join(narrow.split(np.array([5]))).dtype == np.int64
        assert wide.join(wide.split(np.array([5]))).dtype == object

    @pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
    def test_shape_is_kept(self, shape: tuple[int, ...]) -> None:
        digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        parts = digits.split(np.zeros(shape, int))
        assert parts.shape == (*shape, digits.count)
        joined = digits.join(parts)
        assert isinstance(joined, np.ndarray)
        assert joined.shape == shape

    def test_integers_beyond_the_limit_are_refused(self) -> None:
        digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        for integers in (np.array([1001, -1001]), np.array([1001, -(10**30)], object)):
            with pytest.raises(BudgetExceeded, match="integers: 2 of 2"):
                digits.split(integers)

    def test_sums_beyond_what_the_summands_give_are_refused(self) -> None:
        digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        limit = digits.digit_limit * 4
        assert digits.join(np.array([0, 0, -limit])).item() == -limit << 10
        with pytest.raises(BudgetExceeded, match="digit_sums: 1 of 3"):
            digits.join(np.array([0, 0, limit + 1]))

    def test_what_is_not_integer_is_refused(self) -> None:
        digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        with pytest.raises(TypeError, match="integers: got dtype float64"):
            digits.split(np.array([1.0]))
        with pytest.raises(TypeError, match="digit_sums: got dtype float64"):
            digits.join(np.array([1.0, 0.0, 0.0]))

    @pytest.mark.parametrize("shape", [(), (2,), (3, 4)])
    def test_another_number_of_digits_is_refused(self, shape: tuple[int, ...]) -> None:
        digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        with pytest.raises(ValueError, match="digit_sums: got shape"):
            digits.join(np.zeros(shape, int))

    def test_a_capacity_below_the_summands_is_impossible(self) -> None:
        with pytest.raises(BudgetExceeded, match="capacity: got 6, expected at least the 7"):
            Digits.for_sum(limit=5, summands=7, capacity=6)

    @pytest.mark.parametrize(("limit", "summands"), [(0, 1), (1, 0), (-1, 2)])
    def test_sums_of_nothing_are_refused(self, limit: int, summands: int) -> None:
        with pytest.raises(ValueError, match="limit, summands"):
            Digits.for_sum(limit=limit, summands=summands, capacity=100)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"limit": 0}, ValueError, "limit: got 0"),
            ({"summands": -1}, ValueError, "summands: got -1"),
            ({"width": 0}, ValueError, "width: got 0"),
            ({"count": 0}, ValueError, "count: got 0"),
            ({"count": 2}, ValueError, "count: got 2, expected 3"),
            ({"count": 4}, ValueError, "count: got 4, expected 3"),
            ({"width": 63, "count": 2}, ValueError, "width: got 63"),
            ({"width": 5.0}, TypeError, "width: got float"),
            ({"count": True}, TypeError, "count: got bool"),
        ],
    )
    def test_bad_parameters_are_refused(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        good = {"limit": 1000, "summands": 4, "width": 5, "count": 3}
        assert Digits(**good) == Digits.for_sum(limit=1000, summands=4, capacity=100)
        with pytest.raises(error, match=message):
            Digits(**good | change)


class TestIntegers:
    @pytest.mark.parametrize("values", [[], [[]], [2**63, 1], [2**64 - 1], [True], 5, [-1, 2]])
    def test_lists_of_integers_stay_exact(self, values: Any) -> None:
        array = as_integers("values", values)
        assert array.dtype.kind in "biu"
        assert array.tolist() == values

    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            ([1, 2**63 + 1], np.uint64),
            ([[True], [2**63 + 1]], np.uint64),
            ([np.uint64(2**63 + 1), 1], np.uint64),
            ([-1, 2**63 + 1], object),
            ([2**70, 1], object),
            (2**70, object),
            ([np.uint64(2**63 + 1), np.int8(-1)], object),
            (np.array([np.int8(3), 4], object), object),
            ([1, 2], np.int64),
            ([True, False], np.bool_),
            (np.array([5], np.uint8), np.uint8),
            ([0.5, 2], np.float64),
            ([], np.float64),
            (0.5, np.float64),
        ],
    )
    def test_numbers_are_read_without_rounding(self, values: Any, dtype: Any) -> None:
        array = exact_array(values)
        assert array.dtype == dtype
        assert array.tolist() == np.asarray(values, object).tolist()
        if dtype is object:
            assert all(type(value) is int for value in array.flat)

    def test_objects_that_are_not_all_integers_stay_as_they_are(self) -> None:
        values = np.array([Fraction(1, 3), 2], object)
        assert exact_array(values) is values
        assert exact_array(np.array([None, 1])).tolist() == [None, 1]

    @pytest.mark.parametrize("values", [1.0, [1.5], [2**63, -1], [2**64], "1", [None]])
    def test_what_no_integer_dtype_holds_is_refused(self, values: Any) -> None:
        with pytest.raises(TypeError, match="values: got dtype"):
            as_integers("values", values)

    @pytest.mark.parametrize(
        ("array", "limit"),
        [
            (np.array([-128], np.int8), 127),
            (np.array([-(2**63)]), 2**63 - 1),
            (np.array([2**64 - 1], np.uint64), 2**64 - 2),
            (np.array([True]), 0),
            (np.array([-(10**30)], object), 10**30 - 1),
        ],
    )
    def test_magnitudes_are_compared_at_the_edge_of_every_dtype(
        self, array: Any, limit: int
    ) -> None:
        require_within("values", array, limit + 1)
        with pytest.raises(BudgetExceeded, match="values: 1 of 1"):
            require_within("values", array, limit)


def test_stochastic_rounding_gives_one_of_the_two_units_around_the_value():
    encoding = FixedPoint.decimal(2, bound=4.0)
    values = np.random.default_rng(3).uniform(-4, 4, 5000)
    drawn = encoding.quantise(values, rounding="stochastic")
    assert drawn.dtype == np.int64
    assert np.all(np.abs(drawn - values * 100) < 1)
    assert np.abs(drawn - encoding.quantise(values)).max() == 1


def test_stochastic_rounding_leaves_whole_units_and_the_bound_alone():
    encoding = FixedPoint(scale=3, bound=0.5)  # the bound is a unit and a half: two when rounded
    edges = np.tile([0.5, -0.5, 0.1], 200)
    drawn = encoding.quantise(edges, rounding="stochastic")
    assert np.abs(drawn).max() <= encoding.limit
    whole = np.array([-2, 0, 1, 7])
    eight = FixedPoint.binary(3, bound=64.0)
    assert (eight.quantise(whole / 8, rounding="stochastic") == whole).all()


def test_stochastic_rounding_takes_integers_and_keeps_the_shape():
    encoding = FixedPoint.binary(2, bound=8.0)
    assert encoding.quantise([[1, -2]], rounding="stochastic").tolist() == [[4, -8]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 8.1])
def test_stochastic_rounding_refuses_what_the_nearest_does(bad):
    with pytest.raises(BudgetExceeded):
        FixedPoint.binary(2, bound=8.0).quantise([bad], rounding="stochastic")


def test_stochastic_rounding_of_wide_numbers_is_refused():
    with pytest.raises(ValueError, match="smaller scale or bound"):
        FixedPoint.binary(50, bound=8.0).quantise([0.5], rounding="stochastic")


def test_an_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match="rounding: got 'up'"):
        FixedPoint.binary(2, bound=8.0).quantise([0.5], rounding="up")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_floats_of_any_width_are_compared_with_the_exact_bound_and_quantised_alike(dtype):
    edge = dtype(0.1)  # not 0.1, in any of these
    inside = FixedPoint.decimal(20, bound=float(edge))
    assert inside.admit(np.array([edge, -edge])).size == 2
    below = FixedPoint.decimal(3, bound=float(np.nextafter(np.float64(edge), 0)))
    for values in ([edge], [-edge], [dtype(0), dtype(np.nan)], [dtype(np.inf)]):
        with pytest.raises(BudgetExceeded, match=r"values: 1 of"):
            below.admit(np.array(values))
        with pytest.raises(BudgetExceeded):
            below.quantise(np.array(values))
    values = np.array([0.5, -2.25, 3.0], dtype)
    encoding = FixedPoint.binary(20, bound=8.0)
    assert encoding.quantise(values).tolist() == encoding.quantise(values.tolist()).tolist()


def test_admitted_arrays_are_not_copied():
    values = np.ones(3, np.float32)
    assert FixedPoint.binary(4).admit(values) is values


ENCODINGS = [
    FixedPoint.binary(18, bound=8.0),
    FixedPoint.decimal(4, bound=8.0),
    FixedPoint.binary(0, bound=9.0),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8])
@pytest.mark.parametrize("wide", [np.int32, np.int64])
def test_integers_are_written_where_they_belong(encoding, dtype, wide):
    values = np.array([[0.5, -2.25, 3.0], [7.999, -8.0, 0.1]]).astype(dtype)
    out = np.full(values.shape, 99, wide)
    assert encoding.quantise(values, out=out) is out
    assert out.tolist() == encoding.quantise(values).tolist()
    assert out.tolist() == encoding.quantise(values.astype(object)).tolist()


def test_integers_written_into_memory_are_rounded_stochastically_too():
    out = np.zeros(1000, np.int32)
    FixedPoint.binary(0).quantise(np.full(1000, 0.5), rounding="stochastic", out=out)
    assert set(out.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.zeros(2, np.uint32), TypeError, "uint32"),
        (np.zeros(2), TypeError, "float64"),
        ([0, 0], TypeError, "list"),
        (np.zeros(3, np.int32), ValueError, "shape"),
        (np.zeros((2, 1), np.int32), ValueError, "shape"),
    ],
)
def test_memory_that_does_not_fit_is_refused(out, error, match):
    with pytest.raises(error, match=match):
        FixedPoint.binary(4, bound=8.0).quantise([1.0, 2.0], out=out)


def test_memory_without_room_for_the_limit_is_refused():
    with pytest.raises(ValueError, match="33 bits"):
        FixedPoint.binary(28, bound=8.0).quantise([1.0], out=np.zeros(1, np.int32))
    out = np.zeros(1, np.int64)
    FixedPoint.binary(59, bound=8.0).quantise([-8.0], out=out)
    assert out.tolist() == [-(2**62)]


def test_memory_stays_as_it_is_when_a_value_is_refused():
    out = np.full(2, 7, np.int32)
    with pytest.raises(BudgetExceeded):
        FixedPoint.binary(4, bound=8.0).quantise([1.0, 9.0], out=out)
    assert out.tolist() == [7, 7]
