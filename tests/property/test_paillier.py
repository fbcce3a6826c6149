"""Laws of Paillier arrays: a homomorphism, and NumPy's shapes and values in every operation."""

import contextlib
import io
import math
import operator
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from veilsum import paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
)
from veilsum.paillier import CipherArray, PrivateKey, PublicKey

Keys = tuple[PublicKey, PrivateKey]
Array = NDArray[Any]

STEADY = settings(deadline=None, derandomize=True)
FEW = settings(STEADY, max_examples=10)
BOUND = 2.0**62
# With each of them a prime and its square take other numbers of digits, and so other registers.
LENGTHS = (128, 320, 1024, 2048, 3072)

dtypes = st.sampled_from([np.bool_, np.int8, np.uint8, np.int32, np.int64])
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
scalars = st.one_of(st.integers(-(2**70), 2**70), st.booleans())


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def longer_keys() -> Keys:
    return paillier.keygen(1024, insecure=True)


@pytest.fixture(scope="module", params=LENGTHS)
def any_keys(request: pytest.FixtureRequest) -> Keys:
    return paillier.keygen(request.param, insecure=True)


def whole(values: Array) -> Array:
    """Python integers, which do not wrap."""
    return np.asarray(values.astype(object))


def same(got: Array, expected: Any) -> None:
    expected = np.asarray(expected, object)
    assert got.shape == expected.shape
    assert got.tolist() == expected.tolist()


def encrypt(pub: PublicKey, values: Array) -> CipherArray:
    return pub.encrypt(values, bound=BOUND)


@st.composite
def integers(draw: st.DrawFn, shape: Any = shapes) -> Array:
    """Integer arrays of any dtype within the default bound, edges included."""
    dtype = draw(dtypes)
    elements = None
    if dtype == np.int64:
        elements = st.integers(-(2**62), 2**62)
    given_shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    array: Array = draw(hnp.arrays(dtype, given_shape, elements=elements))
    return array


@st.composite
def broadcast_pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    found = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=4, min_side=0)
    )
    left, right = found.input_shapes
    return draw(integers(left)), draw(integers(right))


@st.composite
def matrix_pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    rows, inner, columns = (draw(st.integers(0, 4)) for _ in range(3))
    left = (inner,) if draw(st.booleans()) else (rows, inner)
    right = (inner,) if draw(st.booleans()) else (inner, columns)
    return draw(integers(left)), draw(integers(right))


def matrix_product(a: Array, b: Array) -> Array:
    return np.asarray(np.matmul(whole(a), whole(b)))


class TestHomomorphism:
    @STEADY
    @given(data=st.data())
    def test_any_integer_that_the_key_holds_comes_back(self, keys: Keys, data: Any) -> None:
        pub, priv = keys
        bits = data.draw(st.integers(1, 509))
        limit = data.draw(st.integers(2 ** (bits - 1), 2**bits - 1))
        values = data.draw(st.lists(st.integers(-limit, limit), min_size=1, max_size=9))
        values += [limit, -limit, 0]
        c = pub.encrypt(values, bound=2.0**bits)
        same(priv.decrypt(c), values)

    @STEADY
    @given(a=st.integers(-(2**300), 2**300), b=st.integers(-(2**300), 2**300))
    def test_a_product_of_ciphertexts_is_a_sum_and_a_power_a_product(
        self, keys: Keys, a: int, b: int
    ) -> None:
        pub, priv = keys
        left, right = (pub.encrypt([x], bound=2.0**300) for x in (a, b))
        assert number(left + right) == number(left) * number(right) % pub.n**2
        assert priv.decrypt(left + right).tolist() == [a + b]
        assert priv.decrypt(left - right).tolist() == [a - b]
        factor = b >> 150
        assert number(left * factor) == gmpy2.powmod(number(left), factor, pub.n**2)
        assert priv.decrypt(left * factor).tolist() == [a * factor]

    @STEADY
    @given(m=st.integers(-(2**999), 2**999), factor=st.integers(-7, 7), exponent=st.binary())
    def test_decryption_by_remainders_is_decryption_by_definition(
        self, longer_keys: Keys, m: int, factor: int, exponent: bytes
    ) -> None:
        pub, priv = longer_keys
        with randomness._test_source(lambda count: exponent[:count].ljust(count, b"\xa5")):
            c = pub.encrypt([m], bound=2.0**999) * factor
        assert priv.decrypt(c).tolist() == [m * factor] == [by_definition(pub, priv, number(c))]

    @STEADY
    @given(exponents=st.binary(min_size=32 * 4, max_size=32 * 4))
    def test_ciphertexts_are_those_of_python_integers(self, keys: Keys, exponents: bytes) -> None:
        pub, _ = keys
        messages = [0, 1, -1, 2**53]
        with randomness._test_source(lambda _: exponents):
            c = pub.encrypt(messages)
        h_s = gmpy2.powmod(pub.h, pub.n, pub.n**2)
        for position, m in enumerate(messages):
            r = int.from_bytes(exponents[32 * position : 32 * position + 32], "little")
            expected = (1 + m * pub.n) * gmpy2.powmod(h_s, r, pub.n**2) % pub.n**2
            assert number(c[[position]]) == expected

    @STEADY
    @given(values=integers())
    def test_rerandomizing_changes_ciphertexts_and_no_plaintext(
        self, keys: Keys, values: Array
    ) -> None:
        pub, priv = keys
        c = encrypt(pub, values)
        fresh = c.rerandomize()
        same(priv.decrypt(fresh), whole(values))
        old, new = c.vector.to_words(1), fresh.vector.to_words(1)
        assert (old != new).any(axis=1).all()

    @STEADY
    @given(values=integers())
    def test_bytes_and_pickle_keep_everything(self, keys: Keys, values: Array) -> None:
        pub, priv = keys
        c = encrypt(pub, values)
        for again in (
            CipherArray.from_bytes(c.to_bytes(), pub),
            pickle.loads(pickle.dumps(c)),  # noqa: S301
        ):
            assert again.to_bytes() == c.to_bytes()
            same(priv.decrypt(again), whole(values))


def number(c: CipherArray) -> int:
    return int.from_bytes(c.vector.to_words(1)[0].astype("<u8").tobytes(), "little")


def by_definition(pub: PublicKey, priv: PrivateKey, c: int) -> int:
    """Paillier 1999, section 4: one exponentiation modulo n**2, without remainders."""
    square = pub.n**2
    carmichael = math.lcm(priv._p - 1, priv._q - 1)
    numerator, denominator = (
        (gmpy2.powmod(base, carmichael, square) - 1) // pub.n for base in (c, 1 + pub.n)
    )
    m = int(numerator * gmpy2.invert(denominator, pub.n) % pub.n)
    return m if m <= pub.plaintext_limit else m - pub.n


def encrypt_with(
    key: PublicKey | PrivateKey, messages: list[int], exponents: list[int], limit: int
) -> CipherArray:
    """Encrypt under these exponents of h_s, drawn in this order."""
    with drawing(key, exponents):
        vector = key._encrypt_integers(np.array(messages, object), limit, threads=1)
    return CipherArray(key._public, vector, shape=(len(messages),), scale=1, limit=limit)


def drawing(
    key: PublicKey | PrivateKey, exponents: list[int]
) -> contextlib.AbstractContextManager[None]:
    width = 8 * key._public._core.exponent_words
    draws = b"".join(r.to_bytes(width, "little") for r in exponents)
    return randomness._test_source(io.BytesIO(draws).read)


def messages_within(limit: int) -> st.SearchStrategy[list[int]]:
    edges = st.sampled_from([limit, -limit, 1, -1, 0])
    return st.lists(edges | st.integers(-limit, limit), min_size=1, max_size=9)


def draw_exponents(data: Any, pub: PublicKey, count: int) -> list[int]:
    most = 2 ** (pub.bits // 2) - 1
    edges = st.sampled_from([0, 1, most])
    drawn: list[int] = data.draw(
        st.lists(edges | st.integers(0, most), min_size=count, max_size=count)
    )
    return drawn


class TestEveryLength:
    @FEW
    @given(data=st.data())
    def test_both_keys_encrypt_as_python_integers_do_and_decrypt(
        self, any_keys: Keys, data: Any
    ) -> None:
        pub, priv = any_keys
        messages = data.draw(messages_within(pub.plaintext_limit))
        exponents = draw_exponents(data, pub, len(messages))
        n, square = pub.n, pub.n**2
        h_s = gmpy2.powmod(pub.h, n, square)
        expected = [
            (1 + m * n) * gmpy2.powmod(h_s, r, square) % square
            for m, r in zip(messages, exponents, strict=True)
        ]
        for key in any_keys:
            c = encrypt_with(key, messages, exponents, pub.plaintext_limit)
            assert c.to_integers().tolist() == expected
            assert priv.decrypt(c).tolist() == messages

    @FEW
    @given(data=st.data())
    def test_precomputed_randomness_gives_the_ciphertexts_of_fresh_randomness(
        self, any_keys: Keys, data: Any
    ) -> None:
        pub, priv = any_keys
        messages = data.draw(messages_within(2**53))
        exponents = draw_exponents(data, pub, len(messages))
        maker, user = (data.draw(st.sampled_from(any_keys)) for _ in range(2))
        with drawing(pub, exponents):
            pool = maker.precompute(len(messages))
        c = user.encrypt(messages, randomness=pool)
        fresh = encrypt_with(pub, messages, exponents, c.limit)
        assert c.to_integers().tolist() == fresh.to_integers().tolist()
        assert priv.decrypt(c).tolist() == messages

    @FEW
    @given(data=st.data(), bits=st.sampled_from([8, 32, 64]))
    def test_products_and_weighted_sums_are_products_of_powers(
        self, any_keys: Keys, data: Any, bits: int
    ) -> None:
        pub, priv = any_keys
        messages = data.draw(messages_within(2**31))
        count, square = len(messages), pub.n**2
        weights = data.draw(hnp.arrays(object, (2, count), elements=weights_of(bits)))
        c = data.draw(st.sampled_from(any_keys)).encrypt(messages, bound=2.0**31)
        powers = [
            [gmpy2.powmod(base, w, square) for base, w in zip(c.to_integers(), row, strict=True)]
            for row in weights
        ]
        sums = [math.prod(row) % square for row in powers]
        products = c * weights
        assert products.to_integers().tolist() == powers
        same(priv.decrypt(products), weights * np.array(messages, object))
        totals: list[Any] = [weights @ c, c @ weights.T, products.sum(axis=1)]
        for total in totals:
            assert total.to_integers().tolist() == sums
            same(priv.decrypt(total), weights @ np.array(messages, object))

    @FEW
    @given(data=st.data())
    def test_sums_and_differences_of_signed_edges(self, any_keys: Keys, data: Any) -> None:
        pub, priv = any_keys
        half = pub.plaintext_limit // 2
        pairs = data.draw(messages_within(half).flatmap(lambda a: paired(a, half)))
        left, right = ([pair[i] for pair in pairs] for i in range(2))
        c, d = (
            encrypt_with(
                data.draw(st.sampled_from(any_keys)),
                side,
                draw_exponents(data, pub, len(side)),
                half,
            )
            for side in (left, right)
        )
        products = c.to_integers() * d.to_integers() % pub.n**2
        assert (c + d).to_integers().tolist() == products.tolist()
        assert priv.decrypt(c + d).tolist() == [a + b for a, b in pairs]
        assert priv.decrypt(c - d).tolist() == [a - b for a, b in pairs]
        assert priv.decrypt(-c).tolist() == [-a for a in left]

    @FEW
    @given(data=st.data())
    def test_rerandomizing_changes_every_ciphertext_and_no_plaintext(
        self, any_keys: Keys, data: Any
    ) -> None:
        pub, priv = any_keys
        messages = data.draw(messages_within(2**53))
        c = pub.encrypt(messages)
        fresh = c.rerandomize()
        assert not set(fresh.to_integers()) & set(c.to_integers())
        assert priv.decrypt(fresh).tolist() == messages

    @FEW
    @given(data=st.data(), factor=st.integers(-5, 5))
    def test_packed_sums_are_sums_of_what_was_packed(
        self, any_keys: Keys, data: Any, factor: int
    ) -> None:
        _, priv = any_keys
        units = data.draw(
            hnp.arrays(np.int64, (3, data.draw(st.integers(0, 300))), elements=st.integers(-99, 99))
        )
        a, b, c = (
            data.draw(st.sampled_from(any_keys)).encrypt_packed(
                row / 128, bits=7, bound=1.0, additions=9
            )
            for row in units
        )
        total = a * factor + b - c
        assert (priv.decrypt(total) * 128).tolist() == (
            units[0] * factor + units[1] - units[2]
        ).tolist()
        assert priv.decrypt(total.rerandomize()).tolist() == priv.decrypt(total).tolist()


def weights_of(bits: int) -> st.SearchStrategy[int]:
    most = 2**bits - 1
    return st.sampled_from([0, 1, -1, most, -most]) | st.integers(-most, most)


def paired(left: list[int], limit: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Give each integer a partner, its own negative and the edges among them."""
    partners = [st.sampled_from([a, -a, limit, -limit]) | st.integers(-limit, limit) for a in left]
    return st.tuples(*partners).map(lambda right: list(zip(left, right, strict=True)))


class TestNumpy:
    @STEADY
    @given(pair=broadcast_pairs(), operation=st.sampled_from([operator.add, operator.sub]))
    def test_sums_of_ciphertexts_broadcast(
        self, keys: Keys, pair: tuple[Array, Array], operation: Callable[[Any, Any], Any]
    ) -> None:
        pub, priv = keys
        a, b = pair
        expected = operation(whole(a), whole(b))
        got = operation(encrypt(pub, a), encrypt(pub, b))
        same(priv.decrypt(got), expected)

    @STEADY
    @given(
        pair=broadcast_pairs(),
        operation=st.sampled_from([operator.add, operator.sub, operator.mul]),
    )
    def test_plain_arrays_broadcast_on_either_side(
        self, keys: Keys, pair: tuple[Array, Array], operation: Callable[[Any, Any], Any]
    ) -> None:
        pub, priv = keys
        a, b = pair
        expected = operation(whole(a), whole(b))
        same(priv.decrypt(operation(encrypt(pub, a), b)), expected)
        same(priv.decrypt(operation(a, encrypt(pub, b))), expected)

    @STEADY
    @given(
        values=integers(),
        scalar=scalars,
        operation=st.sampled_from([operator.add, operator.sub, operator.mul]),
    )
    def test_scalars_of_any_size(
        self, keys: Keys, values: Array, scalar: int, operation: Callable[[Any, Any], Any]
    ) -> None:
        pub, priv = keys
        c = encrypt(pub, values)
        same(priv.decrypt(operation(c, scalar)), operation(whole(values), int(scalar)))
        same(priv.decrypt(operation(scalar, c)), operation(int(scalar), whole(values)))

    @STEADY
    @given(values=integers())
    def test_negation(self, keys: Keys, values: Array) -> None:
        pub, priv = keys
        same(priv.decrypt(-encrypt(pub, values)), -whole(values))

    @STEADY
    @given(pair=matrix_pairs())
    def test_matrix_products(self, keys: Keys, pair: tuple[Array, Array]) -> None:
        pub, priv = keys
        a, b = pair
        expected = matrix_product(a, b)
        same(priv.decrypt(encrypt(pub, a) @ b), expected)
        same(priv.decrypt(a @ encrypt(pub, b)), expected)

    @STEADY
    @given(values=integers(), data=st.data())
    def test_sums_along_any_axes(self, keys: Keys, values: Array, data: Any) -> None:
        pub, priv = keys
        axes = st.integers(-values.ndim, values.ndim - 1) if values.ndim else st.none()
        axis = data.draw(st.one_of(st.none(), axes, hnp.valid_tuple_axes(values.ndim)))
        expected = np.asarray(whole(values).sum(axis=axis))
        same(priv.decrypt(encrypt(pub, values).sum(axis)), expected)

    @STEADY
    @given(values=integers(), data=st.data())
    def test_basic_and_advanced_indexing(self, keys: Keys, values: Array, data: Any) -> None:
        pub, priv = keys
        indices = [
            hnp.basic_indices(values.shape, allow_newaxis=True, allow_ellipsis=True),
            hnp.arrays(bool, values.shape),
        ]
        if values.ndim and values.size:
            indices.append(hnp.integer_array_indices(values.shape))
        index = data.draw(st.one_of(indices))
        same(priv.decrypt(encrypt(pub, values)[index]), whole(values)[index])

    @STEADY
    @given(values=integers(), data=st.data())
    def test_reshaping_and_transposing(self, keys: Keys, values: Array, data: Any) -> None:
        pub, priv = keys
        c = encrypt(pub, values)
        same(priv.decrypt(c.T), whole(values).T)
        sides = [side for side in range(1, values.size + 1) if values.size % side == 0] or [0]
        side = data.draw(st.sampled_from(sides))
        rest = values.size // side if side else 3
        same(priv.decrypt(c.reshape(side, rest)), values.reshape(side, rest))
        same(priv.decrypt(c.reshape(side, rest).T), values.reshape(side, rest).T)

    @STEADY
    @given(values=integers(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
    def test_iteration(self, keys: Keys, values: Array) -> None:
        pub, priv = keys
        parts = list(encrypt(pub, values))
        assert len(parts) == len(values) == len(encrypt(pub, values))
        for part, expected in zip(parts, values, strict=True):
            same(priv.decrypt(part), whole(np.asarray(expected)))


class TestFloats:
    reals = hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        shapes,
        elements=st.floats(-(2.0**20), 2.0**20, width=32),
    )

    @STEADY
    @given(values=reals, fraction_bits=st.integers(1, 60))
    def test_floats_come_back_rounded_as_their_encoding_says(
        self, keys: Keys, values: Array, fraction_bits: int
    ) -> None:
        pub, priv = keys
        encoding = FixedPoint.binary(fraction_bits)
        expected = encoding.dequantise(encoding.quantise(values))
        got = priv.decrypt(pub.encrypt(values, fraction_bits=fraction_bits))
        np.testing.assert_array_equal(got, expected, strict=True)

    @STEADY
    @given(
        values=reals,
        addend=st.floats(-(2.0**20), 2.0**20, width=32),
        factor=st.floats(-(2.0**10), 2.0**10, width=32),
        weight_bits=st.integers(0, 60),
    )
    def test_sums_and_products_are_exact_in_the_fixed_point(
        self, keys: Keys, values: Array, addend: float, factor: float, weight_bits: int
    ) -> None:
        pub, priv = keys
        scale = 2**32
        weight = round(Fraction(factor) * 2**weight_bits)
        units = FixedPoint.binary(32).quantise(values)
        got = priv.decrypt((pub.encrypt(values) + addend).multiply(factor, weight_bits=weight_bits))
        expected = [
            (int(unit) + round(Fraction(addend) * scale)) * weight / (scale << weight_bits)
            for unit in units.flat
        ]
        assert got.reshape(-1).tolist() == expected


def draw_step(data: Any, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """One operation that works on ciphertexts and on the integers that they hold."""
    small = data.draw(integers(shape)).astype(object)
    axis = data.draw(st.integers(0, len(shape) - 1))
    steps: list[Callable[[Any], Any]] = [
        lambda x: x + small,
        lambda x: small - x,
        lambda x: x * (small % 2**20 - 2**19),
        lambda x: x + x,
        lambda x: x - x[::-1],
        lambda x: -x,
        lambda x: x.T.reshape(*shape),
        lambda x: x[::-1],
        lambda x: x.sum(axis) + x,
        lambda x: np.arange(shape[0] ** 2).reshape(shape[0], -1) @ x,
    ]
    return steps[data.draw(st.integers(0, len(steps) - 1))]


@STEADY
@given(data=st.data(), side=st.integers(1, 3), steps=st.integers(1, 12))
def test_any_program_gives_numpys_integers_within_its_limit_or_is_refused(
    keys: Keys, data: Any, side: int, steps: int
) -> None:
    pub, priv = keys
    plain = data.draw(integers((side, side))).astype(object)
    c = pub.encrypt(plain, bound=BOUND)
    for _ in range(steps):
        step = draw_step(data, (side, side))
        try:
            following = step(c)
        except BudgetExceeded:
            assert c.limit.bit_length() > pub.bits - 2 - 64
            break
        c, plain = following, np.asarray(step(plain))
        assert max(abs(value) for value in plain.flat) <= c.limit <= pub.plaintext_limit
    same(priv.decrypt(c), plain)


@STEADY
@given(data=st.data())
def test_the_limit_is_checked_before_the_operation_and_to_the_unit(keys: Keys, data: Any) -> None:
    pub, _ = keys
    largest = pub.plaintext_limit
    limit = data.draw(st.integers(1, largest))
    one = pub.encrypt([1, -1], bound=1)
    c = CipherArray(pub, one.vector, shape=(2,), scale=1, limit=limit)
    room = largest - limit
    assert (c + room).limit == largest
    with pytest.raises(BudgetExceeded):
        c + (room + 1)
    factor = largest // limit
    assert (c * factor).limit <= largest
    with pytest.raises(BudgetExceeded):
        c * (factor + 1)
    count = data.draw(st.integers(2, 40))
    tiled = c[np.zeros(count, int)]
    if limit * count <= largest:
        assert tiled.sum().limit == limit * count
    else:
        with pytest.raises(BudgetExceeded):
            tiled.sum()


def damaged(data: Any, good: bytes) -> bytes:
    """Bytes replaced, left out and put in at a few places."""
    hostile = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, len(hostile)), st.integers(0, 80)))
        cut = data.draw(st.integers(0, 9))
        hostile[at : at + cut] = data.draw(
            st.one_of(st.binary(min_size=cut, max_size=cut), st.binary(max_size=9))
        )
    return bytes(hostile)


class TestHostileBytes:
    @STEADY
    @given(data=st.data())
    def test_an_array_is_read_or_refused_and_has_one_encoding(self, keys: Keys, data: Any) -> None:
        pub, _ = keys
        given_bytes = damaged(data, pub.encrypt([[1, 2], [3, 4]]).to_bytes())
        try:
            read = CipherArray.from_bytes(given_bytes, pub)
        except (DeserializationError, InvalidCiphertext, KeyMismatch, BudgetExceeded):
            return
        assert read.to_bytes() == given_bytes

    @STEADY
    @given(data=st.data())
    def test_a_public_key_is_read_or_refused_and_has_one_encoding(
        self, keys: Keys, data: Any
    ) -> None:
        given_bytes = damaged(data, keys[0].to_bytes())
        try:
            read = PublicKey.from_bytes(given_bytes, insecure=True)
        except (DeserializationError, InvalidKey):
            return
        assert read.to_bytes() == given_bytes

    @STEADY
    @given(data=st.data())
    def test_a_private_key_is_read_or_refused_and_has_one_encoding(
        self, keys: Keys, data: Any
    ) -> None:
        given_bytes = damaged(data, keys[1].to_bytes())
        try:
            read = PrivateKey.from_bytes(given_bytes, insecure=True)
        except (DeserializationError, InvalidKey):
            return
        assert read.to_bytes() == given_bytes
