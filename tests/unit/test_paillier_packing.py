"""Packed arrays and sums of streams: packing, arithmetic, budgets, bytes, and every error."""

import copy
import math
import operator
import pickle
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gmpy2
import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core, paillier
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InsufficientRandomness,
    InvalidCiphertext,
    KeyMismatch,
    ScaleMismatch,
)
from veilsum.paillier import CipherArray, PackedArray, PrivateKey, PublicKey
from veilsum.paillier.packing import Packing
from veilsum.wire import Kind, Writer

Keys = tuple[PublicKey, PrivateKey]

VALUES = np.array([[0.5, -1.25, 8.0], [-8.0, 0.0, 3.0]])


class Stranger:
    """An object that nobody knows."""

    def __repr__(self) -> str:
        return "Stranger()"


STRANGERS = ["7", b"7", None, {}, Stranger()]
HUGE = 2.0**900


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def other_keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def packed(keys: Keys) -> PackedArray:
    return keys[0].encrypt_packed(VALUES, bits=12, bound=8.0, additions=10)


def with_used(array: PackedArray, used: int) -> PackedArray:
    return PackedArray(array.public_key, array.vector, array._packing, shape=array.shape, used=used)


def with_plaintexts(pub: PublicKey, like: PackedArray, plaintexts: list[int]) -> PackedArray:
    """An array that claims the packing of another, around plaintexts of one's choice."""
    vector = pub.encrypt(np.array(plaintexts, object), bound=2.0**509).vector
    return PackedArray(pub, vector, like._packing, shape=like.shape, used=like.used)


class TestPacking:
    @pytest.mark.parametrize(
        ("key_bits", "bits", "bound", "additions", "slot_bits", "slots"),
        [
            (2048, 24, 8.0, 100, 32, 63),
            (3072, 24, 8.0, 100, 32, 95),
            (2048, 25, 1.0, 100, 33, 62),
            (2048, 24, 1.0, 1, 26, 78),
            (2048, 24, 1.0, 127, 32, 63),
            (2048, 24, 1.0, 128, 33, 62),  # 128 times the bound is one more than 32 bits hold
            (2048, 24, 10.0, 100, 31, 66),  # 10 of 16 parts of the power of two above it
            (128, 53, 1.0, 2**8, 63, 2),
            (128, 1, 0.75, 1, 3, 42),
        ],
    )
    def test_slots_are_as_narrow_as_the_largest_sum_allows(
        self, key_bits: int, bits: int, bound: float, additions: int, slot_bits: int, slots: int
    ) -> None:
        packing = Packing(bits=bits, bound=bound, additions=additions, key_bits=key_bits)
        assert (packing.slot_bits, packing.slots) == (slot_bits, slots)
        largest = packing.limit * additions
        assert largest < 2 ** (slot_bits - 1) <= 2 * largest
        # The shortest modulus of that length, and not one slot more.
        assert packing.budget(additions) <= (2 ** (key_bits - 1) + 1 - 1) // 2
        assert (slots + 1) * slot_bits > key_bits - 1

    @pytest.mark.parametrize("bound", [2.0**-900, 1e-9, 0.3, 0.5, 1.0, 1.5, 7, 8.0, 1e6, HUGE])
    @pytest.mark.parametrize("bits", [1, 24, 53])
    def test_the_unit_is_a_power_of_two_that_gives_the_bound_its_bits(
        self, bits: int, bound: float
    ) -> None:
        packing = Packing(bits=bits, bound=bound, additions=1, key_bits=512)
        assert math.frexp(packing.unit)[0] == 0.5
        assert Fraction(bound) <= Fraction(packing.unit) * 2**bits < 2 * Fraction(bound)
        assert abs(packing.limit * Fraction(packing.unit) - Fraction(bound)) * 2 <= packing.unit

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"bits": 0}, ValueError, "bits: got 0, expected 1 to 53"),
            ({"bits": 54}, ValueError, "bits: got 54, expected 1 to 53"),
            ({"bits": 24.0}, TypeError, "float"),
            ({"additions": 0}, ValueError, "additions: got 0, expected at least 1"),
            ({"additions": -3}, ValueError, "additions: got -3"),
            ({"additions": 2.0}, TypeError, "float"),
            ({"bound": 0.0}, ValueError, "bound: got 0.0, expected 2"),
            ({"bound": -1.0}, ValueError, "bound: got -1.0"),
            ({"bound": math.nan}, ValueError, "bound: got nan"),
            ({"bound": math.inf}, ValueError, "bound: got inf"),
            ({"bound": math.nextafter(HUGE, math.inf)}, ValueError, "bound: got 8.45"),
            ({"bound": math.nextafter(1 / HUGE, 0)}, ValueError, "bound: got 1.18"),
            ({"bound": "8"}, TypeError, "bound: got str, expected a real number"),
            ({"bound": True}, TypeError, "bound: got bool, expected a real number"),
            ({"bound": [8.0]}, TypeError, "bound: got list"),
            ({"additions": 2**38}, BudgetExceeded, "needs 64 bits, at most 63 are allowed"),
            ({"additions": 10**100}, BudgetExceeded, "use fewer bits or fewer additions"),
        ],
        ids=str,
    )
    def test_parameters_out_of_range_are_refused(
        self, keys: Keys, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            keys[0].encrypt_packed([1.0], **({"bound": 1.0} | change))

    def test_a_slot_of_63_bits_is_the_widest(self, keys: Keys) -> None:
        pub, priv = keys
        widest = pub.encrypt_packed([1.0, -1.0], bound=1.0, additions=2**38 - 1)
        assert widest.slot_bits == 63
        assert priv.decrypt(widest * (2**38 - 1)).tolist() == [2**38 - 1, 1 - 2**38]

    def test_gmpy2s_integers_and_numpys_numbers_are_taken_as_pythons(self, keys: Keys) -> None:
        parameters: dict[str, Any] = {
            "bits": gmpy2.mpz(20),
            "bound": np.float32(2),
            "additions": np.int64(7),
        }
        array = keys[0].encrypt_packed([1.0], **parameters)
        assert (array.bits, array.bound, array.additions) == (20, 2.0, 7)
        assert [type(x) for x in (array.bits, array.bound, array.additions)] == [int, float, int]


class TestEncryption:
    @pytest.mark.parametrize(
        "values",
        [
            VALUES,
            VALUES[:, ::2],
            VALUES.T,
            VALUES.astype(np.float32),
            VALUES.astype(">f8"),
            VALUES.astype(np.longdouble),
            VALUES.astype(np.float16),
            VALUES.tolist(),
            -0.5,
            [],
            np.zeros((2, 0, 3)),
            np.full((1,) * 32, 7.0),
            np.arange(200).reshape(2, 4, 25) / 32,
        ],
        ids=lambda values: str(np.shape(values)),
    )
    def test_what_is_encrypted_is_decrypted(self, keys: Keys, values: Any) -> None:
        pub, priv = keys
        array = pub.encrypt_packed(values, bound=8.0)
        got = priv.decrypt(array)
        assert got.dtype == np.float64
        assert got.shape == np.shape(values) == array.shape
        np.testing.assert_array_equal(got, np.asarray(values, float))

    def test_many_values_share_a_ciphertext(self, keys: Keys) -> None:
        pub, _ = keys
        for size, ciphertexts in ((0, 0), (1, 1), (15, 1), (16, 2), (30, 2), (31, 3)):
            array = pub.encrypt_packed(np.zeros(size), bound=1.0, additions=100)
            assert (array.slot_bits, array.slots, len(array.vector)) == (32, 15, ciphertexts)

    def test_values_are_rounded_half_to_even_at_the_unit(self, keys: Keys) -> None:
        pub, priv = keys
        values = [0.125, 0.375, -0.125, -0.375, 0.126, 0.3, -0.5, 0.7, -0.7]
        # Two bits of a bound of 1 are quarters, and of 0.7 too: the power of two above it is 1.
        quarters = [0.0, 0.5, 0.0, -0.5, 0.25, 0.25, -0.5, 0.75, -0.75]
        for bound in (1.0, 0.7):
            assert (
                priv.decrypt(pub.encrypt_packed(values, bits=2, bound=bound)).tolist() == quarters
            )

    @pytest.mark.parametrize("bound", [HUGE, 1 / HUGE])
    def test_the_largest_and_smallest_bounds_sum_to_finite_floats(
        self, keys: Keys, bound: float
    ) -> None:
        pub, priv = keys
        array = pub.encrypt_packed([bound, -bound, 0], bits=53, bound=bound, additions=255)
        assert priv.decrypt(array * 255).tolist() == [255 * bound, -255 * bound, 0]

    @pytest.mark.parametrize(
        "value", [math.nan, math.inf, -math.inf, 8.000001, -9, 10**300, np.longdouble(10) ** 400]
    )
    def test_values_beyond_the_bound_are_counted_and_refused(self, keys: Keys, value: Any) -> None:
        values = np.array([1, value, 2], np.longdouble)
        with pytest.raises(BudgetExceeded, match=r"array: 1 of 3 are not within the bound 8\.0"):
            keys[0].encrypt_packed(values, bound=8)

    @pytest.mark.parametrize(
        "values",
        ["1", [1j], [None], [1, None], [Decimal(1)], np.array(["a"]), np.zeros(1, "M8[s]")],
    )
    def test_what_is_no_array_of_real_numbers_is_refused(self, keys: Keys, values: Any) -> None:
        with pytest.raises(TypeError, match=r"array: got dtype .*, expected real numbers"):
            keys[0].encrypt_packed(values, bound=8.0)

    def test_ciphertexts_are_no_values(self, keys: Keys, packed: PackedArray) -> None:
        with pytest.raises(TypeError, match="no array of numbers"):
            keys[0].encrypt_packed(packed, bound=8.0)

    def test_the_same_values_give_other_ciphertexts(self, keys: Keys) -> None:
        pub, priv = keys
        arrays = [key.encrypt_packed(VALUES, bound=8.0) for key in (pub, pub, priv)]
        assert len({array.to_bytes() for array in arrays}) == 3
        for array in arrays:
            assert not array.is_trivial()
            np.testing.assert_array_equal(priv.decrypt(array), VALUES)

    def test_any_number_of_threads_gives_the_same_values(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.linspace(-8, 8, 1025)
        for threads in (1, 3, None):
            array = pub.encrypt_packed(values, bits=53, bound=8.0, threads=threads)
            np.testing.assert_allclose(priv.decrypt(array, threads=threads), values, rtol=1e-15)

    def test_precomputed_randomness_is_used_up_by_ciphertexts(self, keys: Keys) -> None:
        pub, priv = keys
        pool = pub.precompute(3)
        array = pub.encrypt_packed(np.arange(20.0), bound=32.0, additions=100, randomness=pool)
        assert (len(array.vector), len(pool)) == (2, 1)
        np.testing.assert_array_equal(priv.decrypt(array), np.arange(20))
        with pytest.raises(InsufficientRandomness, match="1 of the 2 needed"):
            pub.encrypt_packed(np.arange(20.0), bound=32.0, additions=100, randomness=pool)

    def test_plaintexts_are_signed_sums_of_slots(self, keys: Keys, packed: PackedArray) -> None:
        pub, priv = keys
        inner = CipherArray(pub, packed.vector, shape=(1,), scale=1, limit=pub.plaintext_limit)
        units = [round(value * 2**9) for value in VALUES.flat]
        plaintext = sum(unit << packed.slot_bits * i for i, unit in enumerate(units))
        assert priv.decrypt(inner).tolist() == [plaintext]


class TestIntegers:
    @pytest.mark.parametrize(
        "values",
        [
            np.array([[5, -1, 8], [-8, 0, 3]]),
            np.array([[5, -1, 8], [-8, 0, 3]]).T,
            np.array([5, -1, 8], np.int8),
            np.array([5, 1, 8], ">u2"),
            np.array([5, 1, 8], np.uint64),
            np.array([5, -1, 8], object),
            VALUES > 0,
            [[5, -1], [gmpy2.mpz(8), -8]],
            3,
            True,
            np.zeros((2, 0, 3), int),
            np.zeros(0, object),
            np.arange(-100, 100).reshape(2, 4, 25) % 17 - 8,
        ],
        ids=str,
    )
    def test_integers_are_decrypted_as_integers(self, keys: Keys, values: Any) -> None:
        pub, priv = keys
        array = pub.encrypt_packed(values, bound=8)
        got = priv.decrypt(array)
        assert got.dtype == np.int64
        assert got.shape == np.shape(values) == array.shape
        np.testing.assert_array_equal(got, np.asarray(values, int))

    @pytest.mark.parametrize(
        ("bound", "additions", "slot_bits"),
        [
            (2**20, 100, 28),
            (1, 1, 2),
            (1.99, 3, 3),  # no integer is between 1 and 1.99
            (2**61, 1, 63),
            (2**60, 2, 63),
            (1, 2**62 - 1, 63),
        ],
    )
    def test_slots_are_as_wide_as_the_bound_and_the_additions_need(
        self, keys: Keys, bound: float, additions: int, slot_bits: int
    ) -> None:
        pub, priv = keys
        values = np.array([1, -1] * 9) * int(bound)
        array = pub.encrypt_packed(values, bits=24, bound=bound, additions=additions)
        assert (array.bits, array.bound, array.slot_bits) == (0, bound, slot_bits)
        for factor in (additions, -additions):
            assert priv.decrypt(factor * array).tolist() == (values * factor).tolist()
        assert array.slots == 511 // slot_bits

    def test_sums_beyond_what_floats_hold_are_exact(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.array([2**59 - 1, 1 - 2**59, 2**53 + 1, 1])
        a, b = (pub.encrypt_packed(x, bound=2**59, additions=7) for x in (values, values[::-1]))
        exact = 4 * values - 3 * values[::-1]
        assert priv.decrypt(a * 4 - b * 3).tolist() == exact.tolist()
        assert not np.array_equal(exact, exact.astype(float).astype(int))

    @pytest.mark.parametrize("value", [9, -9, -(2**63), 2**63, 2**64 - 1, 2**70, -(10**400)])
    def test_integers_beyond_the_bound_are_counted_and_refused(
        self, keys: Keys, value: int
    ) -> None:
        with pytest.raises(BudgetExceeded, match="array: 1 of 2 are not within 8 in magnitude"):
            keys[0].encrypt_packed([value, 8], bound=8.9)

    @pytest.mark.parametrize(
        ("bound", "additions", "error", "message"),
        [
            (0.99, 1, ValueError, r"bound: got 0\.99, expected at least 1 for integers"),
            (0, 1, ValueError, "bound: got 0.0"),
            (2**62, 1, BudgetExceeded, "needs 64 bits.*use a lower bound or fewer additions"),
            (1, 2**62, BudgetExceeded, "needs 64 bits"),
            (2.0**900, 1, BudgetExceeded, "needs 902 bits"),
        ],
    )
    def test_bounds_that_integers_cannot_have_are_refused(
        self, keys: Keys, bound: float, additions: int, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            keys[0].encrypt_packed([1], bound=bound, additions=additions)

    def test_bits_are_for_floats_alone(self, keys: Keys) -> None:
        for bits in (0, 24, 99):
            assert keys[0].encrypt_packed([1, 2], bits=bits, bound=8.0).bits == 0
        with pytest.raises(ValueError, match="bits: got 0, expected 1 to 53"):
            keys[0].encrypt_packed([1.0, 2.0], bits=0, bound=8.0)

    def test_integers_and_floats_do_not_mix(self, keys: Keys) -> None:
        pub, _ = keys
        whole, real = (pub.encrypt_packed(x, bits=3, bound=8.0) for x in ([1, 2], [1.0, 2.0]))
        with pytest.raises(ScaleMismatch, match=r"packed in different ways.*bits=0.*bits=3"):
            whole + real

    def test_bytes_and_aggregation_keep_them_whole(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.arange(40) + 2**53
        updates = [pub.encrypt_packed(values, bound=2**54, additions=3) for _ in range(3)]
        total = paillier.aggregate((update.to_bytes() for update in updates), pub)
        assert isinstance(total, PackedArray)
        again = PackedArray.from_bytes(total.to_bytes(), pub)
        assert priv.decrypt(again).tolist() == (3 * values).tolist()
        assert repr(again).startswith("PackedArray(shape=(40,), bits=0, bound=1.8014")

    @pytest.mark.parametrize("excess", [1, -1])
    def test_a_slot_beyond_what_was_added_is_refused(self, keys: Keys, excess: int) -> None:
        pub, priv = keys
        array = pub.encrypt_packed([5, -5], bound=5, additions=3)
        most = 5 * excess << array.slot_bits
        assert priv.decrypt(with_plaintexts(pub, array, [most])).tolist() == [0, 5 * excess]
        with pytest.raises(BudgetExceeded, match="a slot is beyond the bound"):
            priv.decrypt(with_plaintexts(pub, array, [most + (excess << array.slot_bits)]))


class TestDecryption:
    def test_another_key_is_refused(self, packed: PackedArray, other_keys: Keys) -> None:
        with pytest.raises(KeyMismatch, match="ciphertexts: they are under another key"):
            other_keys[1].decrypt(packed)

    def test_what_is_not_encrypted_is_refused(self, keys: Keys) -> None:
        with pytest.raises(TypeError, match="got ndarray, expected CipherArray or PackedArray"):
            keys[1].decrypt(VALUES)  # type: ignore[arg-type]

    @pytest.mark.parametrize("slot", range(6))
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_slot_beyond_what_was_added_is_refused(
        self, keys: Keys, packed: PackedArray, slot: int, sign: int
    ) -> None:
        pub, priv = keys
        at_limit = with_plaintexts(pub, packed, [sign * 2**12 << packed.slot_bits * slot])
        expected = [0.0] * 6
        expected[slot] = sign * 8.0
        assert priv.decrypt(at_limit).reshape(-1).tolist() == expected
        beyond = with_plaintexts(pub, packed, [sign * (2**12 + 1) << packed.slot_bits * slot])
        with pytest.raises(BudgetExceeded, match="a slot is beyond the bound"):
            priv.decrypt(beyond)
        assert priv.decrypt(with_used(beyond, 2)).reshape(-1)[slot] == sign * (8 + 2**-9)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_slot_beyond_the_last_value_is_refused(
        self, keys: Keys, packed: PackedArray, sign: int
    ) -> None:
        altered = with_plaintexts(keys[0], packed, [sign << 6 * packed.slot_bits])
        with pytest.raises(BudgetExceeded, match="a slot is beyond the bound"):
            keys[1].decrypt(altered)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_plaintext_beyond_all_slots_is_refused(
        self, keys: Keys, packed: PackedArray, sign: int
    ) -> None:
        altered = with_plaintexts(keys[0], packed, [sign * (packed._packing.budget(1) + 1)])
        with pytest.raises(BudgetExceeded, match="a plaintext is beyond the bound"):
            keys[1].decrypt(altered)

    def test_a_sum_that_states_too_little_use_is_refused(self, keys: Keys) -> None:
        pub, priv = keys
        array = pub.encrypt_packed([1.0, -1.0], bound=1.0, additions=4)
        honest = 3 * array
        for used in (0, 1, 2):
            with pytest.raises(BudgetExceeded):
                priv.decrypt(with_used(honest, used))


class TestArithmetic:
    def test_sums_and_differences_are_numpys(self, keys: Keys, packed: PackedArray) -> None:
        pub, priv = keys
        other = pub.encrypt_packed(VALUES[::-1], bits=12, bound=8.0, additions=10)
        for got, expected, used in (
            (packed + other, VALUES + VALUES[::-1], 2),
            (packed - other, VALUES - VALUES[::-1], 2),
            (packed + packed - other, 2 * VALUES - VALUES[::-1], 3),
            (-packed, -VALUES, 1),
            (packed - packed, 0 * VALUES, 2),
        ):
            np.testing.assert_array_equal(priv.decrypt(got), expected)
            assert got.used == used

    @pytest.mark.parametrize(
        "factor", [0, 1, -1, 7, -10, 10, True, np.int8(-3), np.uint64(4), gmpy2.mpz(-2)], ids=repr
    )
    def test_integer_factors_multiply_values_and_use(
        self, keys: Keys, packed: PackedArray, factor: Any
    ) -> None:
        for got in (packed * factor, factor * packed):
            np.testing.assert_array_equal(keys[1].decrypt(got), VALUES * int(factor))
            assert got.used == abs(int(factor))

    def test_pythons_sum_adds_a_list(self, keys: Keys) -> None:
        pub, priv = keys
        arrays = [pub.encrypt_packed([i, -i], bound=16.0, additions=5) for i in range(5)]
        total = sum(arrays)
        assert isinstance(total, PackedArray)
        assert priv.decrypt(total).tolist() == [10, -10]
        assert total.used == 5
        assert sum([arrays[3]]) is arrays[3]

    def test_in_place_operators_make_new_arrays(self, keys: Keys, packed: PackedArray) -> None:
        total = packed
        total += packed
        total *= 3
        total -= packed
        np.testing.assert_array_equal(keys[1].decrypt(total), 5 * VALUES)
        assert (total.used, packed.used) == (7, 1)
        np.testing.assert_array_equal(keys[1].decrypt(packed), VALUES)

    def test_empty_arrays_compute(self, keys: Keys) -> None:
        pub, priv = keys
        empty = pub.encrypt_packed(np.zeros((2, 0)), bound=1.0, additions=9)
        for array in (empty + empty, -empty, empty * -3, empty * 0, empty.rerandomize()):
            assert priv.decrypt(array).shape == (2, 0)

    @pytest.mark.parametrize(
        ("operation", "used"),
        [
            (lambda a: a * 11, 11),
            (lambda a: a * -11, 11),
            (lambda a: a * 10 + a, 11),
            (lambda a: a * 5 - a * 6, 11),
            (lambda a: a * 4 * 3, 12),
            (lambda a: a * 10**100, 10**100),
            (lambda a: sum([a] * 12), 11),
        ],
    )
    def test_what_would_use_more_than_the_additions_is_refused(
        self, packed: PackedArray, operation: Callable[[PackedArray], Any], used: int
    ) -> None:
        message = f"the result would use {used}, the arrays were encrypted for 10"
        with pytest.raises(BudgetExceeded, match=message):
            operation(packed)

    def test_the_budget_can_be_used_up_by_values_at_the_bound(self, keys: Keys) -> None:
        pub, priv = keys
        signs = np.array([1, -1] * 31)
        for bound in (1.0, 0.3, 5.0):
            for additions in (1, 2, 3, 4, 7, 8):
                array = pub.encrypt_packed(signs * bound, bits=2, bound=bound, additions=additions)
                exact = round(bound / array._packing.unit) * array._packing.unit
                for factor in (additions, -additions):
                    got = priv.decrypt(array * factor)
                    np.testing.assert_array_equal(got, signs * exact * factor)

    @pytest.mark.parametrize(
        "change",
        [{"bits": 13}, {"bound": 7.0}, {"bound": 16.0}, {"additions": 9}, {"additions": 11}],
        ids=str,
    )
    def test_another_packing_is_refused(
        self, keys: Keys, packed: PackedArray, change: dict[str, Any]
    ) -> None:
        parameters: dict[str, Any] = {"bits": 12, "bound": 8.0, "additions": 10} | change
        other = keys[0].encrypt_packed(VALUES / 2, **parameters)
        ((name, value),) = change.items()
        for operation in (operator.add, operator.sub):
            with pytest.raises(ScaleMismatch, match=f"packed in different ways.*{name}={value}"):
                operation(packed, other)

    @pytest.mark.parametrize("shape", [(6,), (3, 2), (1, 3), (3,), (), (2, 3, 1)])
    def test_another_shape_is_refused(
        self, keys: Keys, packed: PackedArray, shape: tuple[int, ...]
    ) -> None:
        other = keys[0].encrypt_packed(np.ones(shape), bits=12, bound=8.0, additions=10)
        for left, right in ((packed, other), (other, packed)):
            with pytest.raises(ScaleMismatch, match="encrypt both alike"):
                left + right

    def test_another_key_is_refused(self, packed: PackedArray, other_keys: Keys) -> None:
        other = other_keys[0].encrypt_packed(VALUES, bits=12, bound=8.0, additions=10)
        for operation in (operator.add, operator.sub):
            with pytest.raises(KeyMismatch, match="operands are under different keys"):
                operation(packed, other)

    @pytest.mark.parametrize(
        "addend", [1, -0.5, True, np.float64(2), VALUES, [1, 2], Fraction(1, 2)], ids=repr
    )
    def test_plain_addends_are_refused_with_a_way_out(
        self, packed: PackedArray, addend: Any
    ) -> None:
        operations: list[Callable[[], object]] = [
            lambda: packed + addend,
            lambda: addend + packed,
            lambda: packed - addend,
            lambda: addend - packed,
        ]
        for operation in operations:
            with pytest.raises(TypeError, match="expected PackedArray; encrypt_packed it alike"):
                operation()

    def test_zero_is_added_on_the_left_alone_as_sum_does(self, packed: PackedArray) -> None:
        assert 0 + packed is packed
        for operation in (lambda: packed + 0, lambda: packed - 0, lambda: 0 - packed):
            with pytest.raises(TypeError, match="expected PackedArray"):
                operation()

    @pytest.mark.parametrize(
        "factor", [0.5, 2.0, np.float64(1), VALUES, np.array(3), [1, 2], Fraction(2)], ids=repr
    )
    def test_factors_other_than_one_integer_are_refused_with_a_way_out(
        self, packed: PackedArray, factor: Any
    ) -> None:
        for operation in (lambda: packed * factor, lambda: factor * packed):
            with pytest.raises(TypeError, match="expected one integer; multiply by other numbers"):
                operation()

    def test_ciphertexts_multiply_with_nothing_encrypted(
        self, keys: Keys, packed: PackedArray
    ) -> None:
        for other in (packed, keys[0].encrypt(VALUES)):
            with pytest.raises(TypeError, match="expected one integer"):
                packed * other
        with pytest.raises(TypeError):
            keys[0].encrypt(VALUES) + packed

    @pytest.mark.parametrize("stranger", STRANGERS, ids=repr)
    def test_strangers_are_left_to_python(self, packed: PackedArray, stranger: Any) -> None:
        for operation in (operator.add, operator.sub, operator.mul, operator.matmul):
            with pytest.raises(TypeError, match=r"unsupported operand|can't multiply|concat"):
                operation(packed, stranger)
            with pytest.raises(TypeError):
                operation(stranger, packed)

    def test_a_stranger_may_define_the_operation(self, packed: PackedArray) -> None:
        class Stranger:
            def __radd__(self, other: object) -> str:
                return "mine"

            __rsub__ = __rmul__ = __add__ = __sub__ = __mul__ = __radd__

        stranger = Stranger()
        for operation in (operator.add, operator.sub, operator.mul):
            assert operation(packed, stranger) == operation(stranger, packed) == "mine"


class TestRandomness:
    def test_rerandomizing_changes_every_ciphertext_and_no_value(self, keys: Keys) -> None:
        pub, priv = keys
        array = pub.encrypt_packed(np.arange(40) - 20, bound=32.0, additions=3) * 2
        again = array.rerandomize(threads=1)
        pairs = zip(array.vector.to_words(1), again.vector.to_words(1), strict=True)
        assert all((left != right).any() for left, right in pairs)
        np.testing.assert_array_equal(priv.decrypt(again), priv.decrypt(array))
        assert (again.used, again.shape) == (2, (40,))

    def test_what_anyone_can_make_is_trivial_until_rerandomized(self, packed: PackedArray) -> None:
        zero = packed * 0
        assert zero.is_trivial()
        assert zero.used == 0
        assert not zero.rerandomize().is_trivial()
        assert not packed.is_trivial()


class TestBytes:
    @pytest.mark.parametrize("shape", [(), (0,), (5,), (31,), (2, 3), (2, 0, 3), (1,) * 32])
    def test_bytes_and_pickle_keep_everything(self, keys: Keys, shape: tuple[int, ...]) -> None:
        pub, priv = keys
        values = np.arange(np.prod(shape, dtype=int)).reshape(shape) / 8
        array = pub.encrypt_packed(values, bits=20, bound=10.0, additions=6) * -3
        copies = [
            PackedArray.from_bytes(array.to_bytes(), pub),
            pickle.loads(pickle.dumps(array)),  # noqa: S301
            copy.deepcopy(array),
        ]
        for again in copies:
            assert again.to_bytes() == array.to_bytes()
            assert again.public_key == pub
            assert repr(again) == repr(array)
            assert (again.used, again.slots, again.slot_bits) == (3, array.slots, array.slot_bits)
            np.testing.assert_array_equal(priv.decrypt(again + array), -6 * values)

    def test_the_layout_is_the_documented_one(self, keys: Keys) -> None:
        pub, _ = keys
        array = pub.encrypt_packed([1.0, 2.0], bits=20, bound=10.0, additions=5) * 3
        body = (
            (32).to_bytes(8, "little") + pub.fingerprint
            + b"\x01" + (2).to_bytes(8, "little")
            + b"\x14" + np.float64(10.0).tobytes()
            + (5).to_bytes(8, "little") + (3).to_bytes(8, "little")
            + b"\x02\x02" + (1).to_bytes(8, "little") + (16).to_bytes(8, "little")
            + array.vector.to_words(1).tobytes()
        )  # fmt: skip
        assert array.to_bytes() == b"VSUM\x01\x06" + len(body).to_bytes(8, "little") + body

    def test_a_value_takes_about_8_bytes_at_2048_bits(self) -> None:
        packing = Packing(bits=24, bound=1.0, additions=100, key_bits=2048)
        assert 8.12 < 512 * packing.ciphertexts(10**6) / 10**6 < 8.13

    def test_every_truncation_and_trailing_bytes_are_refused(self, keys: Keys) -> None:
        pub, _ = keys
        data = pub.encrypt_packed([1.0], bound=1.0).to_bytes()
        for length in range(len(data)):
            with pytest.raises(DeserializationError):
                PackedArray.from_bytes(data[:length], pub)
        with pytest.raises(DeserializationError):
            PackedArray.from_bytes(data + b"\0", pub)

    def test_another_kind_is_refused(self, keys: Keys, packed: PackedArray) -> None:
        pub, _ = keys
        with pytest.raises(DeserializationError, match=r"kind: got 3 \(CIPHER_ARRAY\), expected 6"):
            PackedArray.from_bytes(pub.encrypt([1]).to_bytes(), pub)
        with pytest.raises(DeserializationError, match=r"kind: got 6 \(PACKED_ARRAY\), expected 3"):
            CipherArray.from_bytes(packed.to_bytes(), pub)

    def test_another_key_is_refused(
        self, keys: Keys, packed: PackedArray, other_keys: Keys
    ) -> None:
        same_n = PublicKey(keys[0].n, pow(keys[0].h, 3, keys[0].n), insecure=True)
        for stranger in (other_keys[0], same_n):
            with pytest.raises(KeyMismatch, match="data: it is under another key"):
                PackedArray.from_bytes(packed.to_bytes(), stranger)

    def test_more_values_than_allowed_are_refused(self, keys: Keys, packed: PackedArray) -> None:
        data = packed.to_bytes()
        assert PackedArray.from_bytes(data, keys[0], max_size=6).shape == (2, 3)
        with pytest.raises(DeserializationError, match="number of elements: got 6, expected at"):
            PackedArray.from_bytes(data, keys[0], max_size=5)

    @pytest.mark.parametrize("shape", [(2**31 + 1,), (2**63,), (2**64 - 1, 0), (2**16,) * 32])
    def test_a_huge_shape_is_refused_before_memory_is_taken(
        self, keys: Keys, packed: PackedArray, shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(DeserializationError, match="number of elements"):
            PackedArray.from_bytes(written(packed, shape=shape), keys[0])

    @pytest.mark.parametrize(
        "change",
        [
            {"shape": ()},
            {"shape": (29,)},
            {"shape": (64,)},
            {"shape": (2**31,)},
            {"shape": (0,)},
            {"bits": 40},  # wider slots: more ciphertexts
            {"additions": 2**40},
            {"rows": np.ones((4, 16), np.uint64)},
            {"rows": np.ones((2, 16), np.uint64)},
            {"rows": np.ones((6, 8), np.uint64)},
            {"rows": np.ones((48,), np.uint64)},
        ],
        ids=lambda change: str({k: np.shape(v) if k == "rows" else v for k, v in change.items()}),
    )
    def test_slots_that_do_not_belong_to_the_ciphertexts_are_refused(
        self, keys: Keys, change: dict[str, Any]
    ) -> None:
        array = keys[0].encrypt_packed(np.ones(60), bits=20, bound=1.0, additions=5)
        assert (array.slots, len(array.vector)) == (21, 3)
        with pytest.raises((InvalidCiphertext, DeserializationError), match=r"rows|number of el"):
            PackedArray.from_bytes(written(array, **change), keys[0])

    @pytest.mark.parametrize(
        "change",
        [
            {"bits": 0, "bound": 0.5},
            {"bits": 0, "bound": 2.0**62},
            {"bits": 54},
            {"bits": 255},
            {"bound": 0.0},
            {"bound": -0.0},
            {"bound": -8.0},
            {"bound": 1e300},
            {"additions": 0, "used": 0},
            {"additions": 2**60},
            {"additions": 2**64 - 1},
        ],
        ids=str,
    )
    def test_a_packing_that_cannot_be_is_refused(
        self, keys: Keys, packed: PackedArray, change: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidCiphertext, match="data: there is no such packing"):
            PackedArray.from_bytes(written(packed, **change), keys[0])

    def test_a_bound_that_is_no_number_is_refused(self, keys: Keys, packed: PackedArray) -> None:
        data = packed.to_bytes()
        for bound in (math.nan, math.inf):
            altered = data.replace(np.float64(8.0).tobytes(), np.float64(bound).tobytes(), 1)
            assert altered != data
            with pytest.raises(DeserializationError, match="float64"):
                PackedArray.from_bytes(altered, keys[0])

    @pytest.mark.parametrize("used", [11, 12, 2**64 - 1])
    def test_more_used_than_there_are_additions_is_refused(
        self, keys: Keys, packed: PackedArray, used: int
    ) -> None:
        assert PackedArray.from_bytes(written(packed, used=10), keys[0]).used == 10
        with pytest.raises(BudgetExceeded, match=f"data: it states {used} used of 10 additions"):
            PackedArray.from_bytes(written(packed, used=used), keys[0])

    @pytest.mark.parametrize("position", [0, 7, 8, 19])
    @pytest.mark.parametrize(
        "kind", ["zero", "n squared", "above n squared", "p", "n", "q squared"]
    )
    def test_one_bad_ciphertext_among_good_ones_is_refused(
        self, keys: Keys, kind: str, position: int
    ) -> None:
        pub, priv = keys
        array = pub.encrypt_packed(np.zeros(300), bound=1.0, additions=100)
        bad = {
            "zero": 0,
            "n squared": pub.n**2,
            "above n squared": pub.n**2 + 1,
            "p": priv._p,
            "n": pub.n,
            "q squared": priv._q**2,
        }[kind]
        rows = array.vector.to_words(1)
        assert len(rows) == 20
        rows[position] = np.frombuffer(bad.to_bytes(128, "little"), "<u8")
        with pytest.raises(InvalidCiphertext, match="data: a ciphertext is not"):
            PackedArray.from_bytes(written(array, rows=rows), pub)


def written(array: PackedArray, **changes: Any) -> bytes:
    """The bytes of an array, with fields of one's choice."""
    fields: dict[str, Any] = {
        "shape": array.shape,
        "bits": array.bits,
        "bound": array.bound,
        "additions": array.additions,
        "used": array.used,
        "rows": array.vector.to_words(1),
    } | changes
    writer = Writer(Kind.PACKED_ARRAY)
    writer.blob(array.public_key.fingerprint)
    writer.shape(fields["shape"])
    writer.u8(fields["bits"])
    writer.float64(fields["bound"])
    writer.u64(fields["additions"])
    writer.u64(fields["used"])
    writer.array(fields["rows"])
    return writer.finish()


def test_unaltered_fields_are_what_is_written(packed: PackedArray) -> None:
    assert written(packed) == packed.to_bytes()


class TestAggregate:
    def test_sums_arrays_and_their_bytes_in_any_mix(self, keys: Keys) -> None:
        pub, priv = keys
        arrays = [pub.encrypt_packed(VALUES * i, bound=32.0, additions=4) for i in range(4)]
        streams: list[Any] = [
            arrays,
            tuple(array.to_bytes() for array in arrays),
            (array.to_bytes() if i % 2 else array for i, array in enumerate(arrays)),
            [bytearray(arrays[0].to_bytes()), memoryview(arrays[1].to_bytes()), *arrays[2:]],
        ]
        for stream in streams:
            total = paillier.aggregate(stream, pub, threads=1)
            assert isinstance(total, PackedArray)
            assert total.used == 4
            assert total.to_bytes() == (arrays[0] + arrays[1] + arrays[2] + arrays[3]).to_bytes()
            np.testing.assert_array_equal(priv.decrypt(total), 6 * VALUES)
        assert paillier.aggregate(arrays).shape == (2, 3)

    def test_sums_arrays_that_are_not_packed(self, keys: Keys) -> None:
        pub, priv = keys
        arrays = [pub.encrypt([i, -i], bound=100) for i in range(5)]
        total = paillier.aggregate((array.to_bytes() for array in arrays), pub)
        assert isinstance(total, CipherArray)
        assert priv.decrypt(total).tolist() == [10, -10]
        assert total.limit == 500

    def test_one_update_is_its_own_sum(self, packed: PackedArray) -> None:
        assert paillier.aggregate([packed]) is packed

    def test_nothing_is_kept_of_an_update_when_the_next_one_is_made(self, keys: Keys) -> None:
        pub, priv = keys
        kept = []

        def updates(make: Callable[[PackedArray], Any]) -> Iterator[Any]:
            for _ in range(4):
                update = make(pub.encrypt_packed(VALUES, bound=8.0, additions=4))
                yield update
                kept.append(sys.getrefcount(update) - 2)  # this name, and the argument

        for make in (lambda array: array, lambda array: array.to_bytes()):
            kept.clear()
            total = paillier.aggregate(updates(make), pub)
            np.testing.assert_array_equal(priv.decrypt(total), 4 * VALUES)
            # Until there is a second, the first is the sum.
            assert kept[1:] == [0, 0, 0]

    def test_no_updates_are_refused(self, keys: Keys) -> None:
        nothing: list[Any] = [[], iter(()), b""]
        for updates in nothing:
            with pytest.raises(ValueError, match="updates: there are none"):
                paillier.aggregate(updates, keys[0])

    def test_every_error_names_the_update(
        self, keys: Keys, other_keys: Keys, packed: PackedArray
    ) -> None:
        pub, _ = keys
        same: dict[str, Any] = {"bits": 12, "bound": 8.0, "additions": 10}
        data = packed.to_bytes()
        foreign = other_keys[0].encrypt_packed(VALUES, **same)
        bad: list[tuple[Any, type[Exception], str]] = [
            (pub.encrypt_packed(VALUES, **(same | {"bits": 13})), ScaleMismatch, "different ways"),
            (pub.encrypt_packed(VALUES[0], **same), ScaleMismatch, "different ways"),
            (pub.encrypt(VALUES), ScaleMismatch, "it is a CipherArray, those before are Packed"),
            (pub.encrypt(VALUES).to_bytes(), ScaleMismatch, "it is a CipherArray"),
            (foreign, KeyMismatch, "it is under another key than public_key"),
            (foreign.to_bytes(), KeyMismatch, "data: it is under another key"),
            (packed * 9, BudgetExceeded, "would use 11"),
            (data[:-1], DeserializationError, "body: got"),
            (b"", DeserializationError, "header: got 0 bytes"),
            (pub.to_bytes(), DeserializationError, "kind: got 1"),
            (written(packed, used=11), BudgetExceeded, "states 11 used"),
            (written(packed, bits=54), InvalidCiphertext, "no such packing"),
            (written(packed, bits=0), ScaleMismatch, "different ways"),
            ("text", TypeError, "got str, expected PackedArray, CipherArray or bytes"),
            (None, TypeError, "got NoneType"),
            (VALUES, TypeError, "got ndarray"),
        ]
        for update, error, message in bad:
            with pytest.raises(error, match=rf"^updates\[2\]: .*{message}"):
                paillier.aggregate(iter([packed, data, update, packed]), pub)

    def test_the_first_update_is_checked_as_the_others(self, keys: Keys, other_keys: Keys) -> None:
        foreign = other_keys[0].encrypt_packed(VALUES, bound=8.0)
        with pytest.raises(KeyMismatch, match=r"updates\[0\]: it is under another key"):
            paillier.aggregate([foreign], keys[0])

    def test_unpacked_updates_must_agree_in_key_shape_and_scale(
        self, keys: Keys, other_keys: Keys, packed: PackedArray
    ) -> None:
        pub, _ = keys
        first = pub.encrypt([1, 2])
        bad: list[tuple[PackedArray | CipherArray, type[Exception], str]] = [
            (pub.encrypt([1]), ScaleMismatch, r"it has shape \(1,\) and scale 1"),
            (pub.encrypt([[1, 2]]), ScaleMismatch, r"it has shape \(1, 2\)"),
            (pub.encrypt([1.0, 2.0]), ScaleMismatch, "and scale 4294967296"),
            (packed, ScaleMismatch, "it is a PackedArray, those before are CipherArray"),
            (other_keys[0].encrypt([1, 2]), KeyMismatch, "under different keys"),
        ]
        for update, error, message in bad:
            with pytest.raises(error, match=rf"updates\[1\]: .*{message}"):
                paillier.aggregate([first, update])
        large = pub.encrypt([1, 2], bound=2.0**510)
        with pytest.raises(BudgetExceeded, match=r"updates\[1\]: the result may need"):
            paillier.aggregate([large, large])

    def test_bytes_without_a_key_are_refused(self, packed: PackedArray) -> None:
        with pytest.raises(TypeError, match=r"updates\[1\]: it is bytes.*pass public_key"):
            paillier.aggregate([packed, packed.to_bytes()])

    def test_threads_are_checked_before_any_update_is_taken(self) -> None:
        def updates() -> Iterator[PackedArray]:
            raise AssertionError("taken")
            yield

        with pytest.raises(ValueError, match=r"^threads: got 0"):
            paillier.aggregate(updates(), threads=0)


class TestCore:
    """The compiled part refuses what Python never passes."""

    @pytest.mark.parametrize(
        ("slots", "slot_bits", "limbs", "message"),
        [
            (1, 1, 1, "slot_bits must be from 2 to 63"),
            (1, 64, 1, "slot_bits must be from 2 to 63"),
            (0, 32, 1, "a row must hold from 1 slot to its bits"),
            (3, 32, 1, "a row must hold from 1 slot to its bits"),
            (1, 32, 0, "a row must hold from 1 slot to its bits"),
        ],
    )
    def test_impossible_layouts_are_refused(
        self, slots: int, slot_bits: int, limbs: int, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            _core.pack_slots(np.zeros(1, np.int64), slots, slot_bits, limbs, 1)
        with pytest.raises(ValueError, match=message):
            _core.unpack_slots(np.zeros((1, limbs), np.uint64), 1, slots, slot_bits, 1, 1)

    @pytest.mark.parametrize("count", [0, 3, 2**63, 2**64 - 1])
    def test_rows_that_do_not_fit_the_count_are_refused(self, count: int) -> None:
        with pytest.raises(ValueError, match="rows must be as many as the values fill"):
            _core.unpack_slots(np.zeros((1, 1), np.uint64), count, 2, 32, 1, 1)

    @pytest.mark.parametrize("limit", [-1, 2**62])
    def test_limits_beyond_a_slot_are_refused(self, limit: int) -> None:
        with pytest.raises(ValueError, match="limit must be from 0"):
            _core.unpack_slots(np.zeros((1, 1), np.uint64), 1, 2, 32, limit, 1)

    def test_other_dtypes_and_shapes_are_refused(self) -> None:
        values: list[NDArray[Any]] = [np.zeros(2), np.zeros(4, np.int64)[::2]]
        for value in values:
            with pytest.raises(TypeError):
                _core.pack_slots(value, 2, 32, 1, 1)
        with pytest.raises(ValueError, match="values must have 1 dimensions"):
            _core.pack_slots(np.zeros((2, 2), np.int64), 2, 32, 1, 1)
        with pytest.raises(ValueError, match="rows must have 2 dimensions"):
            _core.unpack_slots(np.zeros(2, np.uint64), 2, 2, 32, 1, 1)


@pytest.mark.parametrize(
    "name", ["shape", "bits", "bound", "additions", "used", "vector", "public_key", "other"]
)
def test_nobody_can_assign_to_the_budget_or_another_attribute(
    packed: PackedArray, name: str
) -> None:
    with pytest.raises(AttributeError, match=f"{name}: an array of ciphertexts does not change"):
        setattr(packed, name, getattr(packed, name, 0))


def test_what_only_plaintexts_could_answer_is_refused(packed: PackedArray) -> None:
    questions: list[Callable[[], object]] = [
        lambda: packed == packed,
        lambda: packed != 1,
        lambda: bool(packed),
        lambda: np.array(packed),
        lambda: hash(packed),
        lambda: len(packed),  # type: ignore[arg-type]
    ]
    for question in questions:
        with pytest.raises(TypeError):
            question()


def test_taking_values_is_refused_with_a_way_out(packed: PackedArray) -> None:
    questions: list[Callable[[], object]] = [
        lambda: packed[0],
        lambda: packed[:, 1],
        lambda: list(packed),  # type: ignore[call-overload]
        lambda: 1.0 in packed,  # type: ignore[operator]
    ]
    for question in questions:
        with pytest.raises(TypeError, match=r"share ciphertexts: take them after decryption"):
            question()


def test_repr_shows_the_packing_and_no_number(packed: PackedArray) -> None:
    expected = "PackedArray(shape=(2, 3), bits=12, bound=8.0, additions=10, used=3, 512-bit key)"
    assert repr(3 * packed) == str(packed * -3) == expected
