"""Arrays of ciphertexts: shapes, sums, products, budgets, bytes, and every error."""

import copy
import operator
import pickle
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gmpy2
import numpy as np
import pytest

from veilsum import paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InvalidCiphertext,
    KeyMismatch,
    ScaleMismatch,
)
from veilsum.paillier import CipherArray, PrivateKey, PublicKey

Keys = tuple[PublicKey, PrivateKey]
Change = Callable[[CipherArray], Any]

MATRIX = np.arange(6).reshape(2, 3) - 2


class Stranger:
    """An object that nobody knows."""

    def __repr__(self) -> str:
        return "Stranger()"


STRANGERS = ["7", b"7", None, 1j, Decimal(2), Fraction(1, 2), [1, "2"], [None], {}, Stranger()]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def long_keys() -> Keys:
    return paillier.keygen(2048)


@pytest.fixture(scope="module")
def matrix(keys: Keys) -> CipherArray:
    return keys[0].encrypt(MATRIX)


@pytest.fixture(scope="module")
def decimals(keys: Keys) -> CipherArray:
    return keys[0].encrypt(MATRIX / 4)


def with_limit(pub: PublicKey, limit: int) -> CipherArray:
    """Encryptions of 1 and -1 whose budget is at that limit."""
    c = pub.encrypt([1, -1], bound=1)
    return CipherArray(pub, c.vector, shape=c.shape, scale=1, limit=limit)


def ciphertexts(array: CipherArray) -> list[int]:
    rows = array.vector.to_words(1).astype("<u8")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


class TestShape:
    @pytest.mark.parametrize(
        "key",
        [
            0,
            -1,
            (1, 2),
            slice(None, None, -1),
            (slice(None), 1),
            (..., 0),
            (slice(None), None, slice(1, 3)),
            [1, 0, 1],
            ([0, 1], [2, 0]),
            np.array([True, False]),
            MATRIX > 0,
            np.int64(1),
            (),
            ...,
            slice(5, 9),
            [],
        ],
        ids=str,
    )
    def test_indexing_is_numpys(self, keys: Keys, matrix: CipherArray, key: Any) -> None:
        index = np.asarray(key, int) if isinstance(key, list) else key
        expected = MATRIX[index]
        got = matrix[index]
        assert got.shape == expected.shape
        np.testing.assert_array_equal(keys[1].decrypt(got), expected)

    @pytest.mark.parametrize("key", [2, -3, (0, 3), (0, 0, 0), "a", 1.5])
    def test_an_index_that_does_not_exist_is_refused(self, matrix: CipherArray, key: Any) -> None:
        with pytest.raises(IndexError):
            matrix[key]

    def test_elements_cannot_be_assigned(self, matrix: CipherArray) -> None:
        with pytest.raises(TypeError, match="item assignment"):
            matrix[0] = 1  # type: ignore[index]

    @pytest.mark.parametrize("shape", [(6,), (3, 2), (-1,), (3, -1), (1, 6, 1), ((3, 2),)])
    def test_reshaping_is_numpys(self, keys: Keys, matrix: CipherArray, shape: Any) -> None:
        np.testing.assert_array_equal(
            keys[1].decrypt(matrix.reshape(*shape)), MATRIX.reshape(*shape)
        )

    def test_a_shape_of_another_size_is_refused(self, matrix: CipherArray) -> None:
        with pytest.raises(ValueError, match="cannot reshape"):
            matrix.reshape(4)

    def test_transposing_reverses_the_axes(self, keys: Keys, matrix: CipherArray) -> None:
        np.testing.assert_array_equal(keys[1].decrypt(matrix.T), MATRIX.T)
        cube = matrix.reshape(1, 2, 3)
        np.testing.assert_array_equal(keys[1].decrypt(cube.T), MATRIX.reshape(1, 2, 3).T)

    def test_iteration_goes_along_the_first_axis(self, keys: Keys, matrix: CipherArray) -> None:
        assert len(matrix) == 2
        for row, expected in zip(matrix, MATRIX, strict=True):
            np.testing.assert_array_equal(keys[1].decrypt(row), expected)
            assert [int(keys[1].decrypt(element)) for element in row] == expected.tolist()
        assert list(keys[0].encrypt(np.zeros((0, 3)))) == []

    def test_an_array_without_axes_has_no_length(self, keys: Keys) -> None:
        single = keys[0].encrypt(5)
        assert (single.shape, single.size, single.ndim) == ((), 1, 0)
        with pytest.raises(TypeError, match="len"):
            len(single)
        with pytest.raises(TypeError, match="without axes"):
            iter(single)

    def test_taking_keeps_the_ciphertexts(self, matrix: CipherArray) -> None:
        whole = ciphertexts(matrix)
        assert ciphertexts(matrix[1]) == whole[3:]
        assert ciphertexts(matrix.T) == whole[::3] + whole[1::3] + whole[2::3]
        assert (matrix[1].scale, matrix[1].limit) == (matrix.scale, matrix.limit)


class TestSums:
    @pytest.mark.parametrize(
        "addend",
        [
            5,
            -5,
            0,
            True,
            2**300,
            -(2**63),
            2**64 - 1,
            3.0,
            np.int8(-128),
            np.uint64(2**64 - 1),
            np.float64(-2.0),
            [1, 2, 3],
            [[1], [-2]],
            [1, 2**63 + 1, -1],
            [2**400, -(2**400), 0],
            np.array([True, False, True]),
            np.arange(3, dtype=np.uint64),
            np.arange(24).reshape(4, 2, 3),
            np.array(7),
        ],
        ids=repr,
    )
    def test_plain_addends_on_either_side(
        self, keys: Keys, matrix: CipherArray, addend: Any
    ) -> None:
        priv = keys[1]
        # NumPy would wrap, and reads some lists as floats.
        whole = MATRIX.astype(object)
        plain = as_integers(addend)
        for got, expected in (
            (matrix + addend, whole + plain),
            (addend + matrix, plain + whole),
            (matrix - addend, whole - plain),
            (addend - matrix, plain - whole),
        ):
            assert got.shape == expected.shape
            assert priv.decrypt(got).tolist() == expected.tolist()

    def test_ciphertexts_add_and_subtract(self, keys: Keys, matrix: CipherArray) -> None:
        pub, priv = keys
        other = pub.encrypt([[10], [-20]])
        column = np.array([[10], [-20]])
        np.testing.assert_array_equal(priv.decrypt(matrix + other), MATRIX + column)
        np.testing.assert_array_equal(priv.decrypt(matrix - other), MATRIX - column)
        np.testing.assert_array_equal(priv.decrypt(other - matrix), column - MATRIX)
        np.testing.assert_array_equal(priv.decrypt(-matrix), -MATRIX)
        np.testing.assert_array_equal(priv.decrypt(matrix - matrix), np.zeros((2, 3)))

    def test_fractions_add_at_the_scale_of_the_array(
        self, keys: Keys, decimals: CipherArray
    ) -> None:
        priv = keys[1]
        assert priv.decrypt(decimals + 0.1)[0, 2] == round(0.1 * 2**32) / 2**32
        for addend in (0.25, -3, np.float32(0.5), [0.5, 1, -2.25], np.uint8(200)):
            plain = np.asarray(addend, float)
            np.testing.assert_array_equal(priv.decrypt(decimals + addend), MATRIX / 4 + plain)
            np.testing.assert_array_equal(priv.decrypt(addend - decimals), plain - MATRIX / 4)

    def test_operands_stay_as_they_were(self, matrix: CipherArray) -> None:
        before = matrix.to_bytes()
        plain = np.array([1, 2, 3])
        _ = matrix + plain, matrix - matrix, -matrix, matrix * plain, plain @ matrix.T
        _ = matrix.sum(axis=0), matrix.rerandomize()
        assert matrix.to_bytes() == before
        assert plain.tolist() == [1, 2, 3]

    def test_in_place_operators_make_new_arrays(self, keys: Keys, matrix: CipherArray) -> None:
        total = matrix
        total += 1
        total -= matrix
        total *= 3
        np.testing.assert_array_equal(keys[1].decrypt(total), np.full((2, 3), 3))
        np.testing.assert_array_equal(keys[1].decrypt(matrix), MATRIX)

    def test_pythons_sum_adds_a_list(self, keys: Keys) -> None:
        pub, priv = keys
        parts = [pub.encrypt([i, -i], bound=100) for i in range(5)]
        total = sum(parts)
        assert isinstance(total, CipherArray)
        assert priv.decrypt(total).tolist() == [10, -10]
        assert total.limit == 500

    @pytest.mark.parametrize(
        "axis", [None, 0, 1, 2, -1, -3, (0, 2), (2, 0), (-1, 1), (0, 1, 2), ()]
    )
    @pytest.mark.parametrize("shape", [(2, 3, 5), (1, 1, 1), (3, 0, 2), (0, 4, 0), (4, 9, 1)])
    def test_sums_along_axes_are_numpys(
        self, keys: Keys, shape: tuple[int, ...], axis: int | tuple[int, ...] | None
    ) -> None:
        pub, priv = keys
        values = np.arange(np.prod(shape)).reshape(shape) - 7
        expected = values.sum(axis=axis)
        got = pub.encrypt(values, bound=10**4).sum(axis)
        assert got.shape == expected.shape
        np.testing.assert_array_equal(priv.decrypt(got), expected)

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65])
    def test_sums_of_every_length_use_every_element_once(self, keys: Keys, count: int) -> None:
        pub, priv = keys
        values = 2 ** np.arange(count, dtype=object) % (2**40 + 7)
        assert int(priv.decrypt(pub.encrypt(values).sum())) == values.sum()

    def test_the_sum_of_an_array_without_axes_is_itself(self, keys: Keys) -> None:
        pub, priv = keys
        assert priv.decrypt(pub.encrypt(5).sum()).tolist() == 5

    @pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, 0), (1, -1)])
    def test_an_axis_that_does_not_exist_or_comes_twice_is_refused(
        self, matrix: CipherArray, axis: Any
    ) -> None:
        with pytest.raises(ValueError, match="axis"):
            matrix.sum(axis)

    def test_shapes_that_do_not_broadcast_are_refused(
        self, keys: Keys, matrix: CipherArray
    ) -> None:
        for other in ([1, 2], keys[0].encrypt([1, 2]), np.zeros((3, 3), int)):
            with pytest.raises(ValueError, match="shape mismatch"):
                matrix + other
            with pytest.raises(ValueError, match="shape mismatch"):
                matrix - other
        with pytest.raises(ValueError, match="shape mismatch"):
            matrix * [1, 2]

    def test_another_key_is_refused(self, matrix: CipherArray) -> None:
        stranger = paillier.keygen(512, insecure=True)[0].encrypt(MATRIX)
        for operation in (operator.add, operator.sub):
            with pytest.raises(KeyMismatch, match="operands are under different keys"):
                operation(matrix, stranger)

    def test_another_scale_is_refused(self, matrix: CipherArray, decimals: CipherArray) -> None:
        whole, fractions, finer = "1 (integers)", "2**32", "2**64"
        for left, right, stated in (
            (matrix, decimals, f"scales {whole} and {fractions}"),
            (decimals, matrix, f"scales {fractions} and {whole}"),
            (decimals, decimals * 0.5, f"scales {fractions} and {finer}"),
        ):
            for operation in (operator.add, operator.sub):
                with pytest.raises(ScaleMismatch, match=re.escape(stated)):
                    operation(left, right)

    def test_the_advice_about_scales_helps(self, keys: Keys, decimals: CipherArray) -> None:
        halved = decimals * 0.5 + decimals * 1.0
        assert np.array_equal(keys[1].decrypt(halved), 1.5 * keys[1].decrypt(decimals))

    @pytest.mark.parametrize("fraction", [0.5, [1.0, 2.0, 0.25], np.float32(1e-3)])
    def test_fractions_are_refused_by_integers(self, matrix: CipherArray, fraction: Any) -> None:
        for operation in (operator.add, operator.sub):
            with pytest.raises(ScaleMismatch, match="a fraction cannot be added"):
                operation(matrix, fraction)
        with pytest.raises(ScaleMismatch, match="a fraction cannot be added"):
            fraction - matrix


def as_integers(plain: Any) -> Any:
    """Python integers, whatever NumPy would make of a list of them."""
    exact = np.asarray(plain, object)
    return np.array([int(value) for value in exact.flat], object).reshape(exact.shape)


class TestProducts:
    @pytest.mark.parametrize(
        "factor",
        [
            0,
            1,
            -1,
            7,
            True,
            2**300,
            -(2**63),
            2**64 - 1,
            np.int64(-(2**63)),
            np.uint64(2**64 - 1),
            [1, 0, -1],
            [[3], [-(2**70)]],
            [1, 2**63 + 1, -1],
            np.array([True, False, True]),
            np.array([-128, 127, 0], np.int8),
            np.array([2**64 - 1, 1, 0], np.uint64),
            np.arange(24).reshape(4, 2, 3) - 12,
        ],
        ids=repr,
    )
    def test_integer_factors_keep_the_scale(
        self, keys: Keys, matrix: CipherArray, factor: Any
    ) -> None:
        expected = MATRIX.astype(object) * as_integers(factor)
        for got in (matrix * factor, factor * matrix, matrix.multiply(factor)):
            assert got.scale == 1
            assert got.shape == expected.shape
            assert keys[1].decrypt(got).tolist() == expected.tolist()

    @pytest.mark.parametrize(
        "factor", [0.5, -0.25, 3.0, np.float32(1.5), [0.5, -2.0, 0.0], 2.0**-32]
    )
    def test_real_factors_multiply_the_scale(
        self, keys: Keys, matrix: CipherArray, decimals: CipherArray, factor: Any
    ) -> None:
        plain = np.asarray(factor, float)
        for c, values in ((matrix, MATRIX), (decimals, MATRIX / 4)):
            for got in (c * factor, factor * c):
                assert got.scale == c.scale * 2**32
                np.testing.assert_array_equal(keys[1].decrypt(got), values * plain)

    def test_real_factors_are_rounded_half_to_even_at_their_bits(
        self, keys: Keys, matrix: CipherArray
    ) -> None:
        got = matrix.multiply([0.625, 0.375, 0.3], weight_bits=2)
        assert got.scale == 4
        np.testing.assert_array_equal(keys[1].decrypt(got), MATRIX * [0.5, 0.5, 0.25])
        assert matrix.multiply(0.6, weight_bits=0).scale == 1
        np.testing.assert_array_equal(keys[1].decrypt(matrix.multiply(0.6, weight_bits=0)), MATRIX)

    def test_products_of_products_add_where_their_scales_agree(
        self, keys: Keys, decimals: CipherArray
    ) -> None:
        got = decimals * 0.5 * 0.25 + (decimals * 2.0) * 4.0 - 1.5
        np.testing.assert_array_equal(keys[1].decrypt(got), MATRIX / 4 * 8.125 - 1.5)

    def test_multiplying_is_repeated_adding(self, matrix: CipherArray) -> None:
        total = matrix
        for factor in range(2, 20):
            total = total + matrix
            assert ciphertexts(total) == ciphertexts(matrix * factor)

    def test_multiplying_by_minus_one_is_negating(self, matrix: CipherArray) -> None:
        assert ciphertexts(matrix * -1) == ciphertexts(-matrix)

    @pytest.mark.parametrize("negative", [-1, np.nan])
    def test_bits_of_weights_must_not_be_negative(
        self, matrix: CipherArray, negative: float
    ) -> None:
        with pytest.raises(ValueError, match="weight_bits: got -1"):
            matrix.multiply(negative, weight_bits=-1)

    @pytest.mark.parametrize("factors", STRANGERS, ids=repr)
    def test_multiply_names_what_it_was_given(self, matrix: CipherArray, factors: Any) -> None:
        with pytest.raises(TypeError, match=f"factors: got {type(factors).__name__}"):
            matrix.multiply(factors)

    def test_ciphertexts_cannot_be_multiplied_with_each_other(self, matrix: CipherArray) -> None:
        with pytest.raises(TypeError, match="factors: got CipherArray"):
            matrix.multiply(matrix)  # type: ignore[arg-type]
        for operation in (operator.mul, operator.matmul):
            with pytest.raises(TypeError, match="unsupported operand"):
                operation(matrix, matrix)

    @pytest.mark.parametrize(
        ("left", "right"),
        [
            ((2, 3), (3,)),
            ((2, 3), (3, 4)),
            ((2, 3), (3, 1)),
            ((3,), (3,)),
            ((3,), (3, 2)),
            ((1, 1), (1, 1)),
            ((2, 0), (0, 3)),
            ((0,), (0,)),
            ((2, 3), (3, 0)),
            ((0, 3), (3, 2)),
            ((9, 10), (10, 3)),
        ],
    )
    def test_matrix_products_are_numpys(
        self, keys: Keys, left: tuple[int, ...], right: tuple[int, ...]
    ) -> None:
        pub, priv = keys
        a = (np.arange(np.prod(left)) * 7 % 11 - 5).reshape(left).astype(int)
        b = (np.arange(np.prod(right)) * 5 % 13 - 6).reshape(right).astype(int)
        expected = np.asarray(a @ b)
        for got in (pub.encrypt(a, bound=5) @ b, a @ pub.encrypt(b, bound=6)):
            assert got.shape == expected.shape
            assert got.scale == 1
            np.testing.assert_array_equal(priv.decrypt(got), expected)
        got = pub.encrypt(a, bound=5) @ (b / 4)
        assert got.scale == 2**32
        np.testing.assert_array_equal(priv.decrypt(got), expected / 4)

    def test_lists_are_matrices_too(self, keys: Keys, matrix: CipherArray) -> None:
        np.testing.assert_array_equal(keys[1].decrypt([1, -1] @ matrix), [1, -1] @ MATRIX)

    @pytest.mark.parametrize("plain", [3, np.array(2.0), np.zeros((2, 3, 2)), np.zeros((1, 2, 2))])
    def test_matrix_products_take_one_or_two_axes(self, matrix: CipherArray, plain: Any) -> None:
        for product in (lambda: matrix @ plain, lambda: plain @ matrix):
            with pytest.raises(ValueError, match=r"@: got .* axes, expected 1 or 2"):
                product()
        with pytest.raises(ValueError, match="@: got 3 and 1 axes"):
            matrix.reshape(1, 2, 3) @ np.zeros(3)
        with pytest.raises(ValueError, match="@: got 0 and 1 axes"):
            matrix[0, 0] @ np.zeros(3)

    def test_inner_axes_must_be_equal(self, matrix: CipherArray) -> None:
        with pytest.raises(ValueError, match="@: got inner axes of 3 and 2"):
            matrix @ [1, 2]
        with pytest.raises(ValueError, match="@: got inner axes of 2 and 3"):
            [1, 2, 3] @ matrix


class TestStrangers:
    OPERATIONS = (operator.add, operator.sub, operator.mul, operator.matmul)

    @pytest.mark.parametrize("stranger", STRANGERS, ids=repr)
    def test_operators_leave_strangers_to_python(self, matrix: CipherArray, stranger: Any) -> None:
        for name in ("add", "radd", "sub", "rsub", "mul", "rmul", "matmul", "rmatmul"):
            assert getattr(matrix, f"__{name}__")(stranger) is NotImplemented
        for operation in self.OPERATIONS:
            with pytest.raises(TypeError):
                operation(matrix, stranger)
            with pytest.raises(TypeError):
                operation(stranger, matrix)

    def test_a_stranger_that_knows_us_is_asked(self, matrix: CipherArray) -> None:
        class Knows:
            def __radd__(self, other: object) -> object:
                return self if other is matrix else None

        knows = Knows()
        assert matrix + knows is knows  # type: ignore[operator]

    @pytest.mark.parametrize(
        "operation",
        [operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.and_],
    )
    def test_operators_that_ciphertexts_do_not_have(
        self, matrix: CipherArray, operation: Callable[[Any, Any], Any]
    ) -> None:
        with pytest.raises(TypeError, match="unsupported operand"):
            operation(matrix, 2)

    def test_numpy_leaves_its_operators_to_ciphertexts(
        self, keys: Keys, matrix: CipherArray
    ) -> None:
        assert CipherArray.__array_ufunc__ is None
        for scalar in (np.int64(3), np.float64(2.0), np.bool_(True), np.array(4), np.arange(3)):
            for operation in (operator.add, operator.sub, operator.mul):
                got = operation(scalar, matrix)
                assert isinstance(got, CipherArray)
                expected = operation(np.asarray(scalar, float), MATRIX)
                np.testing.assert_array_equal(keys[1].decrypt(got), expected)
        assert isinstance(np.ones((4, 2), int) @ matrix, CipherArray)
        with pytest.raises(TypeError, match="does not support ufuncs"):
            np.add(np.arange(3), matrix)


class TestBudget:
    def test_sums_add_their_limits(self, keys: Keys) -> None:
        pub, _ = keys
        a, b = pub.encrypt([1, 2], bound=100), pub.encrypt([3, 4], bound=11)
        assert (a + b).limit == (a - b).limit == 111
        assert (a + 5).limit == (5 - a).limit == (a - [1, -5]).limit == 105
        assert (-a).limit == a[0].limit == a.T.limit == a.rerandomize().limit == 100
        assert a.sum().limit == 200
        assert a.reshape(2, 1).sum(axis=1).limit == 100
        assert pub.encrypt(np.zeros((0, 3)), bound=2.0).sum().limit == 2**33

    def test_products_multiply_by_the_largest_factor(self, keys: Keys) -> None:
        pub, _ = keys
        a = pub.encrypt([1, 2], bound=100)
        assert (a * 3).limit == (a * -3).limit == (a * [1, -3]).limit == 300
        assert (a * 0).limit == 0
        assert (a * 0.5).limit == 100 * 2**31
        assert (a @ [3, -4]).limit == 700
        assert (a @ [[3, 1], [-4, 1]]).limit == 700

    def test_a_sum_may_reach_the_limit_of_the_key_and_not_pass_it(self, keys: Keys) -> None:
        pub, priv = keys
        largest = pub.plaintext_limit
        almost = with_limit(pub, largest - 1)
        one = pub.encrypt([1, -1], bound=1)
        two = pub.encrypt([1, -1], bound=2)
        for fits in (almost + one, almost - one, almost + 1, almost - 1, 1 - almost):
            assert fits.limit == largest
            priv.decrypt(fits)
        for beyond in (
            lambda: almost + two,
            lambda: almost - two,
            lambda: almost + 2,
            lambda: almost - 2,
            lambda: 2 - almost,
            lambda: almost + np.array([0, -2]),
        ):
            with pytest.raises(BudgetExceeded, match="the result may need 511 bits, the key"):
                beyond()

    def test_the_largest_plain_addend_is_half_the_modulus(self, keys: Keys) -> None:
        pub, priv = keys
        zero = with_limit(pub, 0) * 0
        largest = pub.plaintext_limit
        edges = np.array([largest, -largest], object)
        assert priv.decrypt(zero + edges).tolist() == edges.tolist()
        with pytest.raises(BudgetExceeded):
            zero + (largest + 1)

    def test_a_product_may_reach_the_limit_of_the_key_and_not_pass_it(self, keys: Keys) -> None:
        pub, priv = keys
        largest = pub.plaintext_limit
        one = pub.encrypt([1, -1], bound=1)
        for factor in (largest, -largest):
            assert priv.decrypt(one * factor).tolist() == [factor, -factor]
            with pytest.raises(BudgetExceeded, match="the key holds 510"):
                one * (factor + (1 if factor > 0 else -1))
        third = with_limit(pub, largest // 3)
        assert (third * 3).limit == largest // 3 * 3
        with pytest.raises(BudgetExceeded):
            third * 4
        with pytest.raises(BudgetExceeded):
            third.multiply([0, -4])

    def test_a_tree_of_summands_may_reach_the_limit_and_not_pass_it(self, keys: Keys) -> None:
        pub, priv = keys
        half = with_limit(pub, pub.plaintext_limit // 2)
        assert half.sum().limit == pub.plaintext_limit // 2 * 2
        assert priv.decrypt(half.sum()) == 0
        over = with_limit(pub, pub.plaintext_limit // 2 + 1)
        with pytest.raises(BudgetExceeded):
            over.sum()

    def test_a_matrix_product_may_reach_the_limit_and_not_pass_it(self, keys: Keys) -> None:
        pub, priv = keys
        third = with_limit(pub, pub.plaintext_limit // 3)
        assert priv.decrypt(third @ [2, -1]).tolist() == 3
        with pytest.raises(BudgetExceeded):
            third @ [2, -2]
        with pytest.raises(BudgetExceeded):
            third @ [[1, 2], [1, 2]]
        with pytest.raises(BudgetExceeded):
            [[1, 1], [2, 2]] @ third

    def test_the_scale_may_grow_to_1000_bits_and_not_beyond(self, long_keys: Keys) -> None:
        pub, priv = long_keys
        c = pub.encrypt([1, -1], bound=1).multiply(0.5, weight_bits=999)
        assert c.scale == 2**999
        assert priv.decrypt(c).tolist() == [0.5, -0.5]
        for product in (
            lambda: c * 0.5,
            lambda: c.multiply(1.0, weight_bits=1),
            lambda: c @ [0.5, 1.0],
        ):
            with pytest.raises(BudgetExceeded, match="the result's scale would have"):
                product()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("wrap", [float, np.float32, lambda v: [1.0, v, 0.5], np.longdouble])
    def test_nan_and_infinities_are_refused(
        self,
        matrix: CipherArray,
        decimals: CipherArray,
        value: float,
        wrap: Callable[[float], Any],
    ) -> None:
        operand = wrap(value)
        for c in (matrix, decimals) if not isinstance(operand, list) else (decimals,):
            for operation in (operator.add, operator.sub, operator.mul):
                for pair in ((c, operand), (operand, c)):
                    with pytest.raises(BudgetExceeded, match="NaN or an infinity"):
                        operation(*pair)
        with pytest.raises(BudgetExceeded, match="NaN or an infinity"):
            matrix @ np.array([1.0, value, 2.0])

    @pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
    def test_floats_too_large_for_any_key_are_refused(
        self, decimals: CipherArray, operation: Callable[[Any, Any], Any]
    ) -> None:
        for large in (1e300, -1e300, [0.0, 1e308, 1.0], np.finfo(float).max):
            with pytest.raises(BudgetExceeded):
                operation(decimals, large)
            with pytest.raises(BudgetExceeded):
                operation(large, decimals)

    @pytest.mark.parametrize("small", [5e-324, -5e-324, 1e-300, 0.0, -0.0])
    def test_floats_too_small_for_the_scale_count_as_zero(
        self, keys: Keys, decimals: CipherArray, small: float
    ) -> None:
        np.testing.assert_array_equal(keys[1].decrypt(decimals + small), MATRIX / 4)
        np.testing.assert_array_equal(keys[1].decrypt(decimals * small), np.zeros((2, 3)))

    def test_refused_operations_never_reach_the_ciphertexts(self, keys: Keys) -> None:
        pub, _ = keys
        full = with_limit(pub, pub.plaintext_limit)
        huge = CipherArray(pub, full.vector, shape=(2**40,), scale=1, limit=full.limit)
        # Were the vector touched, its two elements would not fit this shape.
        with pytest.raises(BudgetExceeded):
            huge * 2
        with pytest.raises(BudgetExceeded):
            huge + 1


class TestTrivial:
    def test_what_anyone_can_make_is_trivial_until_rerandomized(self, keys: Keys) -> None:
        pub, priv = keys
        c = pub.encrypt([4, 0, -4])
        assert not c.is_trivial()
        for trivial in (c * 0, c - c, c * [1, 0, 1], pub.encrypt(np.zeros((3, 0))).sum(axis=1)):
            assert trivial.is_trivial()
            fresh = trivial.rerandomize()
            assert not fresh.is_trivial()
            np.testing.assert_array_equal(priv.decrypt(fresh), priv.decrypt(trivial))

    def test_every_position_is_looked_at(self, keys: Keys) -> None:
        c = keys[0].encrypt(np.arange(20))
        for position in range(20):
            assert (c * (np.arange(20) != position)).is_trivial()

    @pytest.mark.parametrize("plain", [1, -5, 2**40])
    def test_a_plaintext_without_randomness_is_trivial(self, keys: Keys, plain: int) -> None:
        c = keys[0].encrypt([3])
        assert (c - c + plain).is_trivial()
        assert not (c + plain).is_trivial()

    def test_an_encryption_of_zero_is_not_trivial(self, keys: Keys) -> None:
        assert not keys[0].encrypt(np.zeros(50, int)).is_trivial()
        assert not keys[0].encrypt([]).is_trivial()

    def test_an_exponent_of_zero_hides_nothing_and_is_seen(self, keys: Keys) -> None:
        with randomness._test_source(lambda count: bytes(count)):
            assert keys[0].encrypt([0]).is_trivial()

    def test_rerandomizing_changes_every_ciphertext_and_no_plaintext(
        self, keys: Keys, decimals: CipherArray
    ) -> None:
        seen = set(ciphertexts(decimals))
        for threads in (None, 1, 2):
            fresh = decimals.rerandomize(threads=threads)
            assert (fresh.shape, fresh.scale, fresh.limit) == (
                decimals.shape,
                decimals.scale,
                decimals.limit,
            )
            assert seen.isdisjoint(ciphertexts(fresh))
            seen |= set(ciphertexts(fresh))
            np.testing.assert_array_equal(keys[1].decrypt(fresh), MATRIX / 4)


class TestBytes:
    @pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 0, 3), (1,) * 32])
    def test_bytes_and_pickle_keep_everything(self, keys: Keys, shape: tuple[int, ...]) -> None:
        pub, priv = keys
        c = pub.encrypt(np.arange(np.prod(shape, dtype=int)).reshape(shape) / 8) * 0.5
        copies = [
            CipherArray.from_bytes(c.to_bytes(), pub),
            pickle.loads(pickle.dumps(c)),  # noqa: S301
            copy.deepcopy(c),
        ]
        for again in copies:
            assert (again.shape, again.scale, again.limit) == (c.shape, c.scale, c.limit)
            assert again.to_bytes() == c.to_bytes()
            assert again.public_key == pub
            np.testing.assert_array_equal(priv.decrypt(again), priv.decrypt(c))

    def test_what_was_read_computes_with_what_was_not(self, keys: Keys) -> None:
        pub, priv = keys
        c = pub.encrypt([1, -2, 3])
        read = CipherArray.from_bytes(
            c.to_bytes(), PublicKey.from_bytes(pub.to_bytes(), insecure=True)
        )
        for total in (c + read, read + c):
            assert priv.decrypt(total).tolist() == [2, -4, 6]
        assert priv.decrypt(read - c).tolist() == [0, 0, 0]

    def test_every_truncation_is_refused(self, keys: Keys) -> None:
        pub, _ = keys
        data = pub.encrypt([1]).to_bytes()
        for length in range(len(data)):
            with pytest.raises(DeserializationError):
                CipherArray.from_bytes(data[:length], pub)
        with pytest.raises(DeserializationError):
            CipherArray.from_bytes(data + b"\0", pub)

    def test_more_ciphertexts_than_allowed_are_refused(self, keys: Keys) -> None:
        pub, _ = keys
        data = pub.encrypt(np.zeros((3, 2))).to_bytes()
        assert CipherArray.from_bytes(data, pub, max_size=6).size == 6
        with pytest.raises(DeserializationError, match="number of elements: got 6, expected at"):
            CipherArray.from_bytes(data, pub, max_size=5)

    def test_another_key_is_refused(self, keys: Keys, matrix: CipherArray) -> None:
        pub, _ = keys
        strangers = [
            paillier.keygen(512, insecure=True)[0],
            PublicKey(pub.n, pow(pub.h, 3, pub.n), insecure=True),
        ]
        for stranger in strangers:
            with pytest.raises(KeyMismatch, match="data: it is under another key"):
                CipherArray.from_bytes(matrix.to_bytes(), stranger)

    @pytest.mark.parametrize("position", [0, 7, 8, 19])
    @pytest.mark.parametrize(
        "kind", ["zero", "n squared", "above n squared", "p", "n", "q squared"]
    )
    def test_one_bad_ciphertext_among_good_ones_is_refused(
        self, keys: Keys, kind: str, position: int
    ) -> None:
        pub, priv = keys
        square = pub.n**2
        bad = {
            "zero": 0,
            "n squared": square,
            "above n squared": square + 1,
            "p": priv._p,
            "n": pub.n,
            "q squared": priv._q**2,
        }[kind]
        with pytest.raises(InvalidCiphertext, match="data: a ciphertext is not"):
            CipherArray.from_bytes(replaced(pub, position, bad), pub)

    @pytest.mark.parametrize("position", [0, 19])
    def test_the_edges_of_the_group_are_accepted(self, keys: Keys, position: int) -> None:
        pub, _ = keys
        for edge in (1, 2, 2**64 + 1, pub.n - 1, pub.n + 1, pub.n**2 - 1):
            read = CipherArray.from_bytes(replaced(pub, position, edge), pub)
            assert ciphertexts(read)[position] == edge
            assert read.is_trivial() == (edge % pub.n == 1)

    def test_a_limit_exactly_at_the_key_is_accepted(self, keys: Keys) -> None:
        pub, _ = keys
        full = with_limit(pub, pub.plaintext_limit)
        assert CipherArray.from_bytes(full.to_bytes(), pub).limit == pub.plaintext_limit
        beyond = with_limit(pub, pub.plaintext_limit + 1)
        with pytest.raises(BudgetExceeded, match="the 512-bit key holds 510"):
            CipherArray.from_bytes(beyond.to_bytes(), pub)

    @pytest.mark.parametrize(
        "change", [{"scale": 0}, {"limit": -1}, {"shape": (3,)}, {"shape": (2, 2)}], ids=str
    )
    def test_parts_that_do_not_belong_together_are_refused(
        self, keys: Keys, change: dict[str, Any]
    ) -> None:
        pub, _ = keys
        c = pub.encrypt([1, 2])
        kept = {"shape": c.shape, "scale": 1, "limit": c.limit} | change
        data = CipherArray(pub, c.vector, **kept).to_bytes()
        with pytest.raises(InvalidCiphertext, match="do not belong together"):
            CipherArray.from_bytes(data, pub)


def replaced(pub: PublicKey, position: int, number: int) -> bytes:
    """Twenty ciphertexts, one of them replaced."""
    data = bytearray(pub.encrypt(np.arange(20)).to_bytes())
    width = 2 * pub.bits // 8
    start = len(data) - (20 - position) * width
    data[start : start + width] = number.to_bytes(width, "little")
    return bytes(data)


@pytest.mark.parametrize("name", ["limit", "scale", "shape", "vector", "public_key", "other"])
def test_nobody_can_assign_to_the_budget_or_another_attribute(
    matrix: CipherArray, name: str
) -> None:
    with pytest.raises(AttributeError, match=f"{name}: an array of ciphertexts does not change"):
        setattr(matrix, name, getattr(matrix, name, 0))


def test_what_only_plaintexts_could_answer_is_refused(matrix: CipherArray) -> None:
    questions: list[Callable[[], object]] = [
        lambda: matrix == matrix,
        lambda: matrix != 1,
        lambda: bool(matrix),
        lambda: matrix in [matrix + 0],
        lambda: np.array(matrix),
        lambda: np.concatenate([matrix, matrix]),
        lambda: hash(matrix),
    ]
    for question in questions:
        with pytest.raises(TypeError):
            question()


def test_repr_shows_the_shape_and_no_number(matrix: CipherArray) -> None:
    expected = "CipherArray(shape=(2, 3), scale=1, limit of 54 bits, 512-bit key)"
    assert repr(matrix) == str(matrix) == expected


def test_the_decryption_of_a_long_key_agrees_with_a_short_one(keys: Keys, long_keys: Keys) -> None:
    values = np.linspace(-1, 1, 21).reshape(3, 7)
    results = []
    for pub, priv in (keys, long_keys):
        c = pub.encrypt(values, encoding=FixedPoint.decimal(6, bound=1.0))
        results.append(priv.decrypt(3 * (c @ np.arange(7.0)) - 1.0 * c[:, 0]))
    np.testing.assert_array_equal(*results)


def test_ciphertexts_are_units_modulo_n_squared(keys: Keys) -> None:
    pub, _ = keys
    for number in ciphertexts(pub.encrypt(np.arange(-20, 20))):
        assert 0 < number < pub.n**2
        assert gmpy2.gcd(number, pub.n) == 1


@pytest.mark.parametrize("size", [*range(18), 127, 128, 129, 131])
def test_arrays_of_every_size_are_negated_whoever_encrypted_them(keys: Keys, size: int) -> None:
    values = np.arange(size) - size // 2
    for encryptor in keys:
        c = encryptor.encrypt(values)
        assert np.array_equal(keys[1].decrypt(-c), -values)
        assert np.array_equal(keys[1].decrypt(c - 2 * c), -values)
        weights = np.arange(size) - 3
        assert keys[1].decrypt(c @ weights) == values @ weights


def test_more_results_than_memory_holds_are_refused(keys: Keys) -> None:
    c = keys[0].encrypt(np.zeros((1 << 57, 0), np.int8))
    with pytest.raises((ValueError, MemoryError)):
        c @ np.zeros((0, 16), np.int8)


def test_a_private_key_in_place_of_the_public_one_is_refused(keys: Keys) -> None:
    c = keys[0].encrypt([1, 2])
    for read in (
        lambda key: CipherArray.from_bytes(c.to_bytes(), key),
        lambda key: CipherArray.from_integers(key, c.to_integers(), limit=2),
        lambda key: paillier.aggregate([c.to_bytes()], key),
    ):
        with pytest.raises(TypeError, match="expected PublicKey; a private key has one as its"):
            read(keys[1])
        assert keys[1].decrypt(read(keys[0])).tolist() == [1, 2]
