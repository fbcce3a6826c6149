"""Laws of the drop-in for python-paillier: exact sums, noticed overflow, and the answers of phe."""

import functools
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum.integrations.phe.paillier import (
    EncodedNumber,
    EncryptedNumber,
    PaillierPrivateKey,
    PaillierPublicKey,
    generate_paillier_keypair,
)

Keys = tuple[PaillierPublicKey, PaillierPrivateKey]
Number = int | float

STEADY = settings(deadline=None, derandomize=True)
BITS = 512

small_integers = st.integers(-(2**100), 2**100)
small_floats = st.floats(-(2.0**60), 2.0**60).filter(lambda x: x == 0 or abs(x) > 2.0**-60)
small_numbers = st.one_of(small_integers, st.booleans(), small_floats)
any_numbers = st.one_of(
    st.integers(), st.integers(-(2**520), 2**520), st.booleans(), st.floats(allow_nan=False)
)
exponents = st.integers(-30, 10)
precisions = st.one_of(
    st.floats(1e-30, 1e10),
    st.builds(lambda base, k: float(base) ** k, st.sampled_from([2, 10, 16]), st.integers(-30, 10)),
)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return generate_paillier_keypair(n_length=BITS)


@pytest.fixture(scope="module")
def real() -> ModuleType:
    """The phe package itself."""
    module: ModuleType = pytest.importorskip("phe")
    return module


def same(got: Number, exact: Fraction) -> None:
    """Require an exact integer, or the nearest float."""
    assert got == type(got)(exact)


def in_the_open(number: EncodedNumber) -> Fraction:
    """What an encoded number stands for, exactly."""
    n = number.public_key.n
    mantissa = number.encoding if number.encoding <= n // 2 else number.encoding - n
    return mantissa * Fraction(number.BASE) ** number.exponent


class TestEncoding:
    @STEADY
    @given(x=small_numbers)
    def test_decoding_undoes_encoding(self, keys: Keys, x: Number) -> None:
        number = EncodedNumber.encode(keys[0], x)
        assert in_the_open(number) == x
        assert number.decode() == x
        assert isinstance(x, float) or number.exponent == 0

    @STEADY
    @given(x=small_numbers, precision=precisions, most=st.none() | exponents)
    def test_rounding_stays_within_half_the_precision(
        self, keys: Keys, x: Number, precision: float, most: int | None
    ) -> None:
        number = EncodedNumber.encode(keys[0], x, precision=precision, max_exponent=most)
        assert abs(in_the_open(number) - Fraction(x)) <= Fraction(precision) / 2
        assert most is None or number.exponent <= most

    @STEADY
    @given(x=small_numbers, lower=st.integers(0, 40))
    def test_a_lower_exponent_changes_nothing_else(self, keys: Keys, x: Number, lower: int) -> None:
        public_key, private_key = keys
        number = EncodedNumber.encode(public_key, x)
        target = number.exponent - lower
        lowered = number.decrease_exponent_to(target)
        encrypted = public_key.encrypt(number).decrease_exponent_to(target)
        assert in_the_open(lowered) == in_the_open(number)
        assert lowered.exponent == encrypted.exponent == target
        assert private_key.decrypt_encoded(encrypted).encoding == lowered.encoding

    @STEADY
    @given(x=st.integers())
    def test_every_integer_within_max_int_is_encoded_and_no_other(self, x: int) -> None:
        key = PaillierPublicKey(12345)
        if abs(x) <= key.max_int:
            assert EncodedNumber.encode(key, x).decode() == x
        else:
            with pytest.raises(ValueError):
                EncodedNumber.encode(key, x)


class TestArithmetic:
    @STEADY
    @given(x=small_numbers, precision=st.none() | precisions)
    def test_decryption_undoes_encryption(
        self, keys: Keys, x: Number, precision: float | None
    ) -> None:
        public_key, private_key = keys
        encoded = EncodedNumber.encode(public_key, x, precision)
        opened = private_key.decrypt(public_key.encrypt(x, precision))
        assert opened == encoded.decode()
        assert type(opened) is type(encoded.decode())

    @STEADY
    @given(a=small_numbers, b=small_numbers, kind=st.sampled_from(["plain", "encoded", "cipher"]))
    @pytest.mark.parametrize("operate", [operator.add, operator.sub])
    def test_sums_and_differences_are_exact_whatever_the_exponents(
        self, keys: Keys, operate: Callable[[Any, Any], Any], a: Number, b: Number, kind: str
    ) -> None:
        public_key, private_key = keys
        operands: dict[str, Callable[[], Any]] = {
            "plain": lambda: b,
            "encoded": lambda: EncodedNumber.encode(public_key, b),
            "cipher": lambda: public_key.encrypt(b),
        }
        encrypted, operand = public_key.encrypt(a), operands[kind]()
        same(private_key.decrypt(operate(encrypted, operand)), operate(Fraction(a), Fraction(b)))
        same(private_key.decrypt(operate(operand, encrypted)), operate(Fraction(b), Fraction(a)))

    @STEADY
    @given(a=small_numbers, k=small_numbers)
    def test_products_are_exact(self, keys: Keys, a: Number, k: Number) -> None:
        public_key, private_key = keys
        for factor in (k, EncodedNumber.encode(public_key, k)):
            product = public_key.encrypt(a) * factor
            same(private_key.decrypt(product), Fraction(a) * Fraction(k))

    @STEADY
    @given(a=small_numbers)
    def test_the_opposite_and_itself_cancel(self, keys: Keys, a: Number) -> None:
        public_key, private_key = keys
        x = public_key.encrypt(a)
        assert private_key.decrypt(-x) == -a
        assert private_key.decrypt(x + -x) == private_key.decrypt(x - x) == 0

    @STEADY
    @given(a=small_numbers, k=small_numbers.filter(bool))
    def test_a_quotient_is_the_product_with_the_rounded_inverse(
        self, keys: Keys, a: Number, k: Number
    ) -> None:
        public_key, private_key = keys
        same(private_key.decrypt(public_key.encrypt(a) / k), Fraction(a) * Fraction(1 / k))

    @STEADY
    @given(numbers=st.lists(small_numbers, min_size=1, max_size=8), data=st.data())
    def test_weighted_sums_are_exact(
        self, keys: Keys, numbers: list[Number], data: st.DataObject
    ) -> None:
        public_key, private_key = keys
        weights = data.draw(st.lists(small_numbers, min_size=len(numbers), max_size=len(numbers)))
        encrypted: Any = [public_key.encrypt(x) for x in numbers]
        exact = sum(
            (Fraction(x) * Fraction(w) for x, w in zip(numbers, weights, strict=True)), Fraction(0)
        )
        added = sum(x * w for x, w in zip(encrypted, weights, strict=True))
        assert isinstance(added, EncryptedNumber)
        for total in (added, np.dot(np.array(encrypted), np.array(weights, object))):
            same(private_key.decrypt(total), exact)

    @STEADY
    @given(a=small_numbers, b=small_numbers)
    def test_obfuscation_keeps_the_number_and_hides_where_it_came_from(
        self, keys: Keys, a: Number, b: Number
    ) -> None:
        public_key, private_key = keys
        total = public_key.encrypt(a) + b
        inside, opened = total.ciphertext(be_secure=False), private_key.decrypt(total)
        assert total.ciphertext() != inside
        assert private_key.decrypt(total) == opened

    @STEADY
    @given(data=st.data())
    @pytest.mark.parametrize("operate", [operator.add, operator.sub])
    def test_a_sum_is_right_or_its_overflow_is_noticed(
        self, keys: Keys, operate: Callable[[Any, Any], Any], data: st.DataObject
    ) -> None:
        public_key, private_key = keys
        most = public_key.max_int
        near_the_edge = st.one_of(
            st.integers(-most, most), st.integers(most - 5, most), st.integers(-most, 5 - most)
        )
        a, b = data.draw(near_the_edge), data.draw(near_the_edge)
        total = operate(public_key.encrypt(a), public_key.encrypt(b))
        if abs(operate(a, b)) <= most:
            assert private_key.decrypt(total) == operate(a, b)
        else:
            with pytest.raises(OverflowError):
                private_key.decrypt(total)


class TestAgainstPhe:
    """Compared with the package itself, as a black box."""

    @STEADY
    @given(
        x=any_numbers,
        precision=st.none() | precisions,
        most=st.none() | exponents,
        base=st.sampled_from([2, 3, 10, 16, 64]),
    )
    def test_numbers_are_encoded_and_decoded_alike(
        self,
        real: ModuleType,
        keys: Keys,
        x: Number,
        precision: float | None,
        most: int | None,
        base: int,
    ) -> None:
        bases = {"BASE": base, "LOG2_BASE": math.log2(base)}

        def read(parent: Any, key: Any) -> Any:
            subclass: Any = type("Number", (parent,), bases)
            number = subclass.encode(key, x, precision, most)
            return number.encoding, number.exponent, number.decode()

        assert outcome(lambda: read(EncodedNumber, keys[0])) == outcome(
            lambda: read(real.EncodedNumber, real.PaillierPublicKey(keys[0].n))
        )

    @STEADY
    @given(position=st.floats(0, 1), near=st.integers(-3, 3), exponent=st.integers(-300, 300))
    def test_any_integer_below_n_is_decoded_alike(
        self, real: ModuleType, keys: Keys, position: float, near: int, exponent: int
    ) -> None:
        n, most = keys[0].n, keys[0].max_int
        for encoded in (int(position * n), most + near, n - most + near, near % n):
            assume(0 <= encoded < n)
            ours = EncodedNumber(keys[0], encoded, exponent)
            theirs = real.EncodedNumber(real.PaillierPublicKey(n), encoded, exponent)
            assert outcome(ours.decode) == outcome(theirs.decode)

    @STEADY
    @given(a=any_numbers, b=any_numbers)
    @pytest.mark.parametrize(
        "operate",
        [
            operator.add,
            operator.sub,
            operator.mul,
            operator.truediv,
            lambda x, y: y + x,
            lambda x, y: y - x,
            lambda x, y: y * x,
        ],
    )
    def test_operators_with_plain_numbers_give_the_same_ciphertext(
        self,
        real: ModuleType,
        keys: Keys,
        operate: Callable[[Any, Any], Any],
        a: Number,
        b: Number,
    ) -> None:
        ours, theirs = both(real, keys, a)
        assert outcome(lambda: shown(operate(ours, b))) == outcome(
            lambda: shown(operate(theirs, b))
        )

    @STEADY
    @given(a=any_numbers, b=any_numbers)
    @pytest.mark.parametrize("operate", [operator.add, operator.sub])
    def test_operators_with_encrypted_numbers_give_the_same_ciphertext(
        self,
        real: ModuleType,
        keys: Keys,
        operate: Callable[[Any, Any], Any],
        a: Number,
        b: Number,
    ) -> None:
        (ours, theirs), (our_other, their_other) = both(real, keys, a), both(real, keys, b)
        assert outcome(lambda: shown(operate(ours, our_other))) == outcome(
            lambda: shown(operate(theirs, their_other))
        )

    @STEADY
    @given(terms=st.lists(st.tuples(small_numbers, small_numbers), min_size=1, max_size=5))
    def test_programs_decrypt_alike(
        self, real: ModuleType, keys: Keys, terms: list[tuple[Number, Number]]
    ) -> None:
        public_key, private_key = keys
        their_key = real.PaillierPublicKey(public_key.n)
        their_private = real.PaillierPrivateKey(their_key, private_key.p, private_key.q)

        def program(key: Any, private: Any) -> Any:
            total = functools.reduce(
                operator.add, (key.encrypt(x) * w - w / 7 for x, w in terms), key.encrypt(0)
            )
            return private.decrypt(total), total.exponent

        ours, theirs = program(public_key, private_key), program(their_key, their_private)
        assert ours == theirs
        assert type(ours[0]) is type(theirs[0])


def both(real: ModuleType, keys: Keys, a: Number) -> tuple[Any, Any]:
    """One ciphertext, in our hands and in theirs."""
    try:
        ours = keys[0].encrypt(a)
    except (ValueError, OverflowError):
        assume(False)
    theirs = real.EncryptedNumber(
        real.PaillierPublicKey(keys[0].n), ours.ciphertext(), ours.exponent
    )
    return ours, theirs


def shown(number: Any) -> tuple[int, int]:
    return number.ciphertext(be_secure=False), number.exponent


def outcome(action: Callable[[], Any]) -> Any:
    """What an action returns, with types, or the documented error that it raises."""
    try:
        result = action()
    except (ValueError, OverflowError, TypeError, ZeroDivisionError) as error:
        documented = (ValueError, OverflowError, TypeError, ZeroDivisionError)
        return next(kind for kind in documented if isinstance(error, kind))
    parts = result if isinstance(result, tuple) else (result,)
    return [(type(part), part) for part in parts]
