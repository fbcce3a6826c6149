"""Laws of packed arrays: whatever the packing, they are sums of quantised integers."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from veilsum import _core, paillier
from veilsum.errors import BudgetExceeded, InvalidCiphertext, VeilsumError
from veilsum.paillier import CipherArray, PackedArray, PrivateKey, PublicKey
from veilsum.paillier.packing import Packing

Keys = tuple[PublicKey, PrivateKey]
Array = NDArray[Any]

STEADY = settings(deadline=None, derandomize=True)
KEY_BITS = 256

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(KEY_BITS, insecure=True)


@st.composite
def packings(draw: st.DrawFn, *, least_additions: int = 1) -> Packing:
    """Any packing that exists: widths up to 63 bits, bounds of any size."""
    bits = draw(st.integers(1, 53))
    mantissa = draw(st.just(0.5) | st.floats(0.5, 1.0, exclude_max=True))
    bound = math.ldexp(mantissa, draw(st.integers(-899, 900) | st.integers(-3, 4)))
    most = (2**62 - 1) >> bits
    additions = draw(st.integers(least_additions, 8) | st.integers(least_additions, most))
    return Packing(bits=bits, bound=bound, additions=additions, key_bits=KEY_BITS)


@st.composite
def values(draw: st.DrawFn, packing: Packing, shape: tuple[int, ...]) -> Array:
    """Values within the bound, its edges and halves of units among them."""
    bound, unit = packing.bound, packing.unit
    halves = st.integers(-packing.limit, packing.limit - 1).map(lambda i: (i + 0.5) * unit)
    elements = (
        st.sampled_from([bound, -bound, 0.0, -0.0, math.nextafter(bound, 0)])
        | st.floats(-bound, bound)
        | halves.filter(lambda value: abs(value) <= bound)
    )
    array: Array = draw(hnp.arrays(np.float64, shape, elements=elements))
    return array


def encrypt(key: PublicKey | PrivateKey, array: Array, packing: Packing) -> PackedArray:
    return key.encrypt_packed(
        array, bits=packing.bits, bound=packing.bound, additions=packing.additions
    )


def quantised(array: Array, packing: Packing) -> Array:
    """Units as Python integers, by fractions: Python rounds them half to even."""
    unit = Fraction(packing.unit)
    units = [round(Fraction(float(value)) / unit) for value in array.flat]
    return np.array(units, object).reshape(array.shape)


def same(got: Array, units: Any, packing: Packing) -> None:
    """Results are those numbers of units, rounded once."""
    units = np.asarray(units, object)
    assert got.dtype == np.float64
    assert got.shape == units.shape
    unit = Fraction(packing.unit)
    assert got.reshape(-1).tolist() == [float(int(count) * unit) for count in units.flat]


@STEADY
@given(data=st.data())
def test_what_is_decrypted_is_the_nearest_multiple_of_the_unit(keys: Keys, data: Any) -> None:
    pub, priv = keys
    packing = data.draw(packings())
    array = data.draw(values(packing, data.draw(shapes)))
    got = priv.decrypt(encrypt(data.draw(st.sampled_from([pub, priv])), array, packing))
    same(got, quantised(array, packing), packing)
    for read, value in zip(got.flat, array.flat, strict=True):
        assert 2 * abs(Fraction(float(read)) - Fraction(float(value))) <= Fraction(packing.unit)


@STEADY
@given(data=st.data())
def test_weighted_sums_are_those_of_quantised_integers(keys: Keys, data: Any) -> None:
    pub, priv = keys
    packing = data.draw(packings(least_additions=3))
    shape = data.draw(shapes)
    arrays = [data.draw(values(packing, shape)) for _ in range(3)]
    a, b, c = (encrypt(pub, array, packing) for array in arrays)
    left = packing.additions - 2
    factor = data.draw(st.integers(-left, left))
    got = a * factor + b - c
    assert got.used == abs(factor) + 2
    x, y, z = (quantised(array, packing) for array in arrays)
    same(priv.decrypt(got), x * factor + y - z, packing)
    same(priv.decrypt(c - (factor * a + b)), z - (x * factor + y), packing)


@STEADY
@given(data=st.data())
def test_weighted_sums_of_integers_are_pythons(keys: Keys, data: Any) -> None:
    pub, priv = keys
    bound = data.draw(st.integers(1, 8) | st.integers(1, 2**59).map(lambda i: int(float(i))))
    most = (2**62 - 1) // bound
    additions = data.draw(st.integers(3, 8) | st.integers(3, most))
    elements = st.integers(-bound, bound) | st.sampled_from([bound, -bound])
    shape = data.draw(shapes)
    arrays = [data.draw(hnp.arrays(np.int64, shape, elements=elements)) for _ in range(3)]
    a, b, c = (pub.encrypt_packed(x, bound=bound, additions=additions) for x in arrays)
    factor = data.draw(st.integers(2 - additions, additions - 2))
    got = priv.decrypt(PackedArray.from_bytes((a * factor + b - c).to_bytes(), pub))
    x, y, z = (array.astype(object) for array in arrays)
    assert got.dtype == np.int64
    assert got.tolist() == np.asarray(x * factor + y - z).tolist()


@STEADY
@given(data=st.data())
def test_aggregating_is_adding_one_after_the_other(keys: Keys, data: Any) -> None:
    pub, priv = keys
    count = data.draw(st.integers(1, 5))
    packing = data.draw(packings(least_additions=count))
    shape = data.draw(shapes)
    arrays = [data.draw(values(packing, shape)) for _ in range(count)]
    updates = [encrypt(pub, array, packing) for array in arrays]
    as_bytes = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    stream = (u.to_bytes() if b else u for u, b in zip(updates, as_bytes, strict=True))
    total = paillier.aggregate(stream, pub)
    assert isinstance(total, PackedArray)
    assert total.to_bytes() == sum(updates).to_bytes()  # type: ignore[union-attr]
    units = sum((quantised(array, packing) for array in arrays), np.zeros(shape, object))
    same(priv.decrypt(total), units, packing)


@STEADY
@given(data=st.data())
def test_values_at_the_bound_use_up_the_budget_and_not_more(keys: Keys, data: Any) -> None:
    pub, priv = keys
    packing = data.draw(packings())
    signs = data.draw(hnp.arrays(np.int8, (40,), elements=st.sampled_from([1, -1])))
    array = encrypt(pub, signs * packing.bound, packing)
    sign = data.draw(st.sampled_from([1, -1]))
    full = array * (sign * packing.additions)
    limit = packing.limit * packing.additions
    same(priv.decrypt(full), signs.astype(object) * (sign * limit), packing)
    with pytest.raises(BudgetExceeded, match=f"would use {packing.additions + 1},"):
        full + array


@STEADY
@given(data=st.data())
def test_plaintexts_are_sums_of_shifted_integers(keys: Keys, data: Any) -> None:
    pub, priv = keys
    packing = data.draw(packings())
    array = data.draw(values(packing, (data.draw(st.integers(1, 3 * packing.slots)),)))
    c = encrypt(pub, array, packing)
    rows = CipherArray(pub, c.vector, shape=(len(c.vector),), scale=1, limit=pub.plaintext_limit)
    units = quantised(array, packing).tolist()
    expected = [
        sum(u << packing.slot_bits * i for i, u in enumerate(units[start : start + c.slots]))
        for start in range(0, len(units), c.slots)
    ]
    assert priv.decrypt(rows).tolist() == expected
    assert all(abs(plaintext) <= packing.budget(1) for plaintext in expected)


@STEADY
@given(
    slot_bits=st.integers(2, 63),
    limbs=st.integers(1, 5),
    spare=st.integers(0, 3),
    threads=st.integers(0, 3),
    data=st.data(),
)
def test_slots_come_back_from_rows_and_rows_are_pythons_integers(
    slot_bits: int, limbs: int, spare: int, threads: int, data: Any
) -> None:
    slots = max(64 * limbs // slot_bits - spare, 1)
    limit = 2 ** (slot_bits - 1) - 1
    elements = st.integers(-limit, limit) | st.sampled_from([limit, -limit, -1, 0])
    numbers = data.draw(hnp.arrays(np.int64, st.integers(0, 3 * slots), elements=elements))
    rows = _core.pack_slots(numbers, slots, slot_bits, limbs, threads)
    assert rows.shape == (-(-numbers.size // slots), limbs)
    for row, start in zip(rows, range(0, numbers.size, slots), strict=True):
        terms = enumerate(numbers[start : start + slots].tolist())
        expected = sum(number << slot_bits * i for i, number in terms)
        assert int.from_bytes(row.astype("<u8").tobytes(), "little", signed=True) == expected
    got = _core.unpack_slots(rows, numbers.size, slots, slot_bits, limit, threads)
    np.testing.assert_array_equal(got, numbers)


@STEADY
@given(data=st.data())
def test_rows_are_refused_exactly_when_no_slots_within_the_limit_give_them(data: Any) -> None:
    slot_bits, count = data.draw(st.integers(2, 20)), data.draw(st.integers(1, 3))
    limit = data.draw(st.integers(0, 2 ** (slot_bits - 1) - 1))
    half = 2 ** (slot_bits - 1)
    number = sum(data.draw(st.integers(-half - 1, half + 1)) << slot_bits * i for i in range(count))
    number += data.draw(st.sampled_from([0, 0, 0, 1, -1])) << slot_bits * count
    row = np.frombuffer(number.to_bytes(8, "little", signed=True), "<u8").astype(np.uint64)
    got = _core.unpack_slots(row.reshape(1, 1), count, 3, slot_bits, limit, 1)
    rest, digits = number, []
    for _ in range(count):
        digits.append((rest + half) % 2**slot_bits - half)
        rest = (rest - digits[-1]) >> slot_bits
    if rest == 0 and all(abs(digit) <= limit for digit in digits):
        assert got.tolist() == digits
    else:
        assert got is None


@STEADY
@given(data=st.data())
def test_bytes_are_canonical(keys: Keys, data: Any) -> None:
    pub, _ = keys
    packing = data.draw(packings())
    array = encrypt(pub, data.draw(values(packing, data.draw(shapes))), packing)
    array *= data.draw(st.integers(-packing.additions, packing.additions))
    written = array.to_bytes()
    read = PackedArray.from_bytes(written, pub)
    assert read.to_bytes() == written
    assert repr(read) == repr(array)


@STEADY
@given(position=st.integers(0, 400), bit=st.integers(0, 7), data=st.data())
def test_bytes_with_a_flipped_bit_are_refused_or_read_as_written(
    keys: Keys, position: int, bit: int, data: Any
) -> None:
    pub, priv = keys
    packing = data.draw(packings())
    written = bytearray(encrypt(pub, np.zeros(3), packing).to_bytes())
    position %= len(written)
    written[position] ^= 1 << bit
    try:
        read = PackedArray.from_bytes(bytes(written), pub)
    except VeilsumError:
        return
    assert read.to_bytes() == written
    # A ciphertext that somebody altered decrypts to nothing, or within what it states.
    try:
        got = priv.decrypt(read)
    except (BudgetExceeded, InvalidCiphertext):
        return
    largest = read.used * read._packing.limit * read._packing.unit
    assert (np.abs(got) <= largest).all()
