"""Paillier keys: generation, validation, encryption, decryption, export, and every error."""

import copy
import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import gmpy2
import numpy as np
import pytest

from veilsum import paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InsecureKeyWarning,
    InvalidKey,
    KeyMismatch,
)
from veilsum.paillier import CipherArray, PrivateKey, PublicKey, limbs

Keys = tuple[PublicKey, PrivateKey]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def long_keys() -> Keys:
    return paillier.keygen(2048)


@contextmanager
def fixed_randomness(byte: int = 0x5A) -> Iterator[None]:
    with randomness._test_source(lambda count: bytes([byte]) * count):
        yield


class TestKeygen:
    @pytest.mark.parametrize("bits", [128, 192, 256, 512, 1024])
    def test_keys_have_the_length_asked_for_and_decrypt_what_they_encrypt(self, bits: int) -> None:
        pub, priv = paillier.keygen(bits, insecure=True)
        assert pub.bits == pub.n.bit_length() == bits
        assert priv.public_key == pub
        messages = [0, 1, -1, 2**30, -(2**30)]
        assert priv.decrypt(pub.encrypt(messages)).tolist() == messages

    def test_primes_fit_the_randomness_of_the_scheme(self) -> None:
        for _ in range(5):
            pub, priv = paillier.keygen(256, insecure=True)
            p, q = priv._p, priv._q
            assert p * q == pub.n
            assert p.bit_length() == q.bit_length() == 128
            assert p % 4 == q % 4 == 3
            assert gmpy2.is_prime(p)
            assert gmpy2.is_prime(q)
            assert math.gcd(p - 1, q - 1) == 2
            assert math.gcd(pub.n, (p - 1) * (q - 1)) == 1
            assert abs(p - q) > 2**28

    def test_the_base_is_the_negative_of_a_square(self, keys: Keys) -> None:
        pub, priv = keys
        for prime in (priv._p, priv._q):
            assert gmpy2.legendre(-pub.h, prime) == 1
            assert pow(pub.h, 2, prime) != 1
        assert not gmpy2.is_square(pub.n - pub.h)  # of a number that is not small

    def test_a_key_of_2048_bits_needs_no_permission_and_does_not_warn(
        self, long_keys: Keys
    ) -> None:
        pub, priv = long_keys
        assert pub.bits == 2048
        values = np.array([0.5, -1.25, 2.0**20])
        np.testing.assert_array_equal(priv.decrypt(pub.encrypt(values)), values)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert PublicKey.from_bytes(pub.to_bytes()) == pub
            assert PrivateKey.from_bytes(priv.to_bytes()).public_key == pub

    def test_the_default_length_gives_128_bit_strength(self) -> None:
        assert paillier.keygen.__defaults__ == (3072,)

    def test_two_keys_differ(self) -> None:
        first, second = (paillier.keygen(128, insecure=True)[0] for _ in range(2))
        assert first != second
        assert first.fingerprint != second.fingerprint
        assert hash(first) != hash(second)

    def test_a_short_key_warns_once(self) -> None:
        with pytest.warns(InsecureKeyWarning, match="a 128-bit .* protects nothing") as caught:
            paillier.keygen(128, insecure=True)
        assert len(caught) == 1

    @pytest.mark.parametrize("bits", [128, 512, 1024, 1984])
    def test_a_short_key_is_refused_without_insecure(self, bits: int) -> None:
        with pytest.raises(InvalidKey, match=f"got {bits}, expected at least 2048; pass insecure"):
            paillier.keygen(bits)

    @pytest.mark.parametrize("bits", [-64, 0, 64, 127, 2047, 2049, 2080, 8256])
    def test_a_length_out_of_range_is_refused(self, bits: int) -> None:
        with pytest.raises(InvalidKey, match=f"bits: got {bits}, expected a multiple of 64"):
            paillier.keygen(bits, insecure=True)


class TestPublicKey:
    def test_a_factor_just_above_the_small_ones_cannot_be_seen(self) -> None:
        largest_refused, smallest_allowed = 1048573, 1048583
        other = int(gmpy2.next_prime(3 << 490))
        allowed = smallest_allowed * other
        h = pow(3, 200, allowed)
        assert PublicKey(allowed, h, insecure=True).n == allowed
        refused = largest_refused * int(gmpy2.next_prime(7 << 489))
        assert allowed.bit_length() == refused.bit_length() == 512
        with pytest.raises(InvalidKey, match=r"factor below 2\*\*20"):
            PublicKey(refused, h, insecure=True)

    def test_equality_is_that_of_both_numbers(self, keys: Keys) -> None:
        pub, _ = keys
        same = PublicKey(pub.n, pub.h, insecure=True)
        other = PublicKey(pub.n, pow(pub.h, 3, pub.n), insecure=True)
        assert same == pub
        assert hash(same) == hash(pub)
        assert same.fingerprint == pub.fingerprint
        assert other != pub
        assert other.fingerprint != pub.fingerprint
        assert pub != pub.n
        assert pub != "key"

    def test_bytes_and_pickle_keep_the_key(self, keys: Keys, long_keys: Keys) -> None:
        for pub, _ in (keys, long_keys):
            insecure = pub.bits < 2048
            copies = [
                PublicKey.from_bytes(pub.to_bytes(), insecure=insecure),
                pickle.loads(pickle.dumps(pub)),  # noqa: S301
                copy.deepcopy(pub),
            ]
            assert copies == [pub] * 3
            assert all(again.fingerprint == pub.fingerprint for again in copies)

    def test_a_copy_encrypts_under_the_same_key(self, keys: Keys) -> None:
        pub, priv = keys
        again = PublicKey.from_bytes(pub.to_bytes(), insecure=True)
        with fixed_randomness():
            first, second = pub.encrypt([3, -4]), again.encrypt([3, -4])
        assert first.to_bytes() == second.to_bytes()
        assert priv.decrypt(first + second).tolist() == [6, -8]

    def test_reading_a_short_key_needs_permission(self, keys: Keys) -> None:
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            PublicKey.from_bytes(keys[0].to_bytes())

    def test_every_truncation_is_refused(self, keys: Keys) -> None:
        data = keys[0].to_bytes()
        for length in range(len(data)):
            with pytest.raises(DeserializationError):
                PublicKey.from_bytes(data[:length], insecure=True)

    def test_bytes_of_a_private_key_are_refused(self, keys: Keys) -> None:
        with pytest.raises(DeserializationError, match="kind: got 2, expected 1"):
            PublicKey.from_bytes(keys[1].to_bytes(), insecure=True)

    def test_repr_tells_length_and_fingerprint(self, keys: Keys) -> None:
        pub, _ = keys
        assert repr(pub) == f"PublicKey(512 bits, fingerprint {pub.fingerprint.hex()[:16]})"


class TestPrivateKey:
    def test_bytes_keep_the_key(self, keys: Keys) -> None:
        pub, priv = keys
        again = PrivateKey.from_bytes(priv.to_bytes(), insecure=True)
        assert again.public_key == pub
        assert again.to_bytes() == priv.to_bytes()
        assert again.decrypt(pub.encrypt([7, -7])).tolist() == [7, -7]

    def test_primes_in_the_other_order_make_the_same_key(self, keys: Keys) -> None:
        pub, priv = keys
        swapped = PrivateKey(priv._q, priv._p, pub.h, insecure=True)
        edge = pub.encrypt([1, -1], bound=1) * pub.plaintext_limit
        assert swapped.decrypt(edge).tolist() == [pub.plaintext_limit, -pub.plaintext_limit]

    def test_reading_a_short_key_needs_permission(self, keys: Keys) -> None:
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            PrivateKey.from_bytes(keys[1].to_bytes())

    def test_every_truncation_is_refused(self, keys: Keys) -> None:
        data = keys[1].to_bytes()
        for length in range(len(data)):
            with pytest.raises(DeserializationError):
                PrivateKey.from_bytes(data[:length], insecure=True)

    def test_it_refuses_to_pickle_and_names_the_export(self, keys: Keys) -> None:
        with pytest.raises(TypeError, match=r"does not pickle; export it with to_bytes\(\)"):
            pickle.dumps(keys[1])

    @pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
    def test_a_copy_is_the_same_object(self, keys: Keys, copying: Callable[[Any], Any]) -> None:
        assert copying(keys[1]) is keys[1]

    @pytest.mark.parametrize("name", ["public_key", "_p", "other"])
    def test_nobody_can_assign_to_it(self, keys: Keys, name: str) -> None:
        for key in keys:
            with pytest.raises(AttributeError, match=f"{name}: a key does not change"):
                setattr(key, name, 0)

    def test_no_text_shows_a_secret(self, keys: Keys) -> None:
        pub, priv = keys
        shown = [repr(priv), str(priv), f"{priv}", repr([priv])]
        with pytest.raises(InvalidKey) as caught:
            PrivateKey(priv._p, priv._p, pub.h, insecure=True)
        shown.append(str(caught.value))
        assert "<redacted>" in repr(priv)
        assert pub.fingerprint.hex()[:16] in repr(priv)
        for text in shown:
            for secret in (priv._p, priv._q):
                assert str(secret)[:12] not in text
                assert f"{secret:x}"[:12] not in text

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda p, _: (p, p), "equal"),
            (lambda p, q: (p, q >> 64 | 1), "different lengths"),
            (lambda p, q: (p, q + 2), "not prime"),
        ],
    )
    def test_wrong_primes_are_refused(
        self,
        keys: Keys,
        change: Callable[[int, int], tuple[int, int]],
        says: str,
    ) -> None:
        pub, priv = keys
        p, q = change(priv._p, priv._q)
        with pytest.raises(InvalidKey, match=says):
            PrivateKey(p, q, pub.h, insecure=True)

    def test_carmichael_numbers_are_not_taken_for_primes(self, keys: Keys) -> None:
        # (6k+1)(12k+1)(18k+1) passes Fermat's test to every coprime base.
        k = int(gmpy2.iroot((15 << 252) // 1296, 3)[0])
        while not all(gmpy2.is_prime(factor * k + 1) for factor in (6, 12, 18)):
            k += 1
        carmichael = (6 * k + 1) * (12 * k + 1) * (18 * k + 1)
        assert carmichael.bit_length() == 256
        assert all(pow(base, carmichael - 1, carmichael) == 1 for base in (2, 3, 5, 7))
        prime = int(gmpy2.next_prime(3 << 254))
        with pytest.raises(InvalidKey, match="not prime"):
            PrivateKey(carmichael, prime, keys[0].h, insecure=True)

    def test_decryption_refuses_other_objects(self, keys: Keys) -> None:
        for stranger in (np.zeros(3), 5, None, keys[0]):
            with pytest.raises(TypeError, match=r"ciphertexts: got .*, expected CipherArray"):
                keys[1].decrypt(stranger)  # type: ignore[arg-type]

    def test_decryption_refuses_another_key(self, keys: Keys) -> None:
        stranger, _ = paillier.keygen(512, insecure=True)
        with pytest.raises(KeyMismatch, match="ciphertexts: they are under another key"):
            keys[1].decrypt(stranger.encrypt([1]))

    def test_decryption_refuses_another_base_of_the_same_modulus(self, keys: Keys) -> None:
        pub, priv = keys
        other = PublicKey(pub.n, pow(pub.h, 3, pub.n), insecure=True)
        with pytest.raises(KeyMismatch):
            priv.decrypt(other.encrypt([1]))

    def test_a_plaintext_beyond_the_stated_bound_is_an_error_not_a_value(self, keys: Keys) -> None:
        pub, priv = keys
        for messages in ([5, 6, 7], [5, -6, -5], [2**40, 0, 0], [0] * 20 + [6]):
            c = pub.encrypt(messages)
            lying = CipherArray(pub, c.vector, shape=c.shape, scale=1, limit=5)
            with pytest.raises(BudgetExceeded, match="a plaintext is beyond the bound"):
                priv.decrypt(lying)
        edge = pub.encrypt([5, -5, 0])
        honest = CipherArray(pub, edge.vector, shape=(3,), scale=1, limit=5)
        assert priv.decrypt(honest).tolist() == [5, -5, 0]

    def test_an_altered_ciphertext_does_not_decrypt_to_a_small_integer(self, keys: Keys) -> None:
        pub, priv = keys
        data = bytearray(pub.encrypt([1, 2, 3]).to_bytes())
        data[-10] ^= 1
        with pytest.raises(BudgetExceeded):
            priv.decrypt(CipherArray.from_bytes(bytes(data), pub))

    def test_a_result_beyond_float64_is_an_error(self) -> None:
        pub, priv = paillier.keygen(1280, insecure=True)
        wide = pub.encrypt([1.0], fraction_bits=1, bound=1.0) * 2**1024
        with pytest.raises(OverflowError):
            priv.decrypt(wide)


class TestDecryptedTypes:
    def test_small_integers_are_int64_and_wide_ones_python_integers(self, keys: Keys) -> None:
        pub, priv = keys
        small = pub.encrypt([2**62, -(2**62)], bound=2**62)
        assert priv.decrypt(small).dtype == np.int64
        below = small + (2**62 - 1)
        assert below.limit == 2**63 - 1
        decrypted = priv.decrypt(below)
        assert decrypted.dtype == np.int64
        assert decrypted.tolist() == [2**63 - 1, -1]
        above = small + np.array([2**62, -(2**62)])
        assert above.limit == 2**63
        decrypted = priv.decrypt(above)
        assert decrypted.dtype == object
        assert decrypted.tolist() == [2**63, -(2**63)]
        assert all(type(value) is int for value in decrypted)

    @pytest.mark.parametrize("bits", [62, 63, 64, 65, 126, 127, 128, 129, 191, 192, 300])
    def test_every_width_of_words_keeps_both_edges(self, keys: Keys, bits: int) -> None:
        pub, priv = keys
        limit = 2**bits - 1
        edges = pub.encrypt([1, -1, 0], bound=1) * limit
        assert edges.limit == limit
        assert priv.decrypt(edges).tolist() == [limit, -limit, 0]

    def test_the_key_holds_every_integer_up_to_half_its_modulus(self, keys: Keys) -> None:
        pub, priv = keys
        largest = (pub.n - 1) // 2
        assert pub.plaintext_limit == largest
        edges = pub.encrypt([1, -1], bound=1) * largest
        assert edges.limit == largest
        assert priv.decrypt(edges).tolist() == [largest, -largest]

    def test_floats_come_back_as_float64(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.array([0.1, -0.1, 2.0**20, -(2.0**20), 2.0**-32, 2.0**-33, 3 * 2.0**-33])
        decrypted = priv.decrypt(pub.encrypt(values))
        assert decrypted.dtype == np.float64
        np.testing.assert_array_equal(decrypted, np.rint(values * 2.0**32) / 2.0**32)

    def test_floats_without_fraction_bits_come_back_as_integers(self, keys: Keys) -> None:
        pub, priv = keys
        decrypted = priv.decrypt(pub.encrypt([0.5, 1.5, -2.75], fraction_bits=0))
        assert decrypted.dtype == np.int64
        assert decrypted.tolist() == [0, 2, -3]

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
    def test_every_width_of_floats_is_read(self, keys: Keys, dtype: type) -> None:
        pub, priv = keys
        values = np.array([1.5, -0.25, 1000.0], dtype)
        assert priv.decrypt(pub.encrypt(values)).tolist() == [1.5, -0.25, 1000.0]

    @pytest.mark.parametrize(
        "dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    )
    def test_every_width_of_integers_is_read_to_its_edges(self, keys: Keys, dtype: str) -> None:
        pub, priv = keys
        edges = [False, True] if dtype == "bool" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
        c = pub.encrypt(np.array(edges, dtype), bound=2.0**64)
        assert c.scale == 1
        assert priv.decrypt(c).tolist() == [int(edge) for edge in edges]

    def test_python_integers_beyond_int64_are_read(self, keys: Keys) -> None:
        pub, priv = keys
        wide = [2**400, -(2**400), 1]
        assert priv.decrypt(pub.encrypt(wide, bound=2.0**400)).tolist() == wide
        array = np.array(wide, object).reshape(3, 1)
        assert priv.decrypt(pub.encrypt(array, bound=2.0**400)).tolist() == [[w] for w in wide]

    @pytest.mark.parametrize("wide", [[1, 2**63 + 1], [-1, 2**63 + 1], [[1], [2**64 - 1]]])
    def test_lists_that_numpy_reads_as_floats_keep_every_bit(
        self, keys: Keys, wide: list[Any]
    ) -> None:
        pub, priv = keys
        c = pub.encrypt(wide, bound=2.0**64)
        assert c.scale == 1
        assert priv.decrypt(c).tolist() == wide

    def test_numpy_integers_in_an_object_array_are_integers(self, keys: Keys) -> None:
        pub, priv = keys
        c = pub.encrypt(np.array([np.int64(3), 4], object))
        assert c.scale == 1
        assert priv.decrypt(c).tolist() == [3, 4]

    def test_exact_fractions_are_rounded_once(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.array([Fraction(1, 3), 2, 0.5], object)
        decrypted = priv.decrypt(pub.encrypt(values, fraction_bits=8))
        assert decrypted.tolist() == [85 / 256, 2.0, 0.5]

    @pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (2, 3), (2, 1, 4)])
    @pytest.mark.parametrize("dtype", [np.int64, np.float64])
    def test_every_shape_comes_back(self, keys: Keys, shape: tuple[int, ...], dtype: type) -> None:
        pub, priv = keys
        values = np.arange(math.prod(shape), dtype=dtype).reshape(shape)
        c = pub.encrypt(values)
        assert (c.shape, c.size, c.ndim) == (shape, values.size, values.ndim)
        np.testing.assert_array_equal(priv.decrypt(c), values, strict=True)


class TestEncryption:
    def test_defaults_are_2_to_the_62_for_integers_and_2_to_the_20_for_floats(
        self, keys: Keys
    ) -> None:
        pub, _ = keys
        whole, real = pub.encrypt([1]), pub.encrypt([1.0])
        assert (whole.scale, whole.limit) == (1, 2**53)
        assert (real.scale, real.limit) == (2**32, 2**52)

    def test_fraction_bits_bound_and_encoding_set_scale_and_limit(self, keys: Keys) -> None:
        pub, priv = keys
        c = pub.encrypt([0.1], fraction_bits=10, bound=2.0)
        assert (c.scale, c.limit) == (1024, 2048)
        decimal = pub.encrypt([0.125, 3], encoding=FixedPoint.decimal(2, bound=10.0))
        assert (decimal.scale, decimal.limit) == (100, 1000)
        assert priv.decrypt(decimal).tolist() == [0.12, 3.0]

    @pytest.mark.parametrize("bound", [1, 5, 1000, 2.0**62, 2.0**100])
    def test_integers_exactly_at_the_bound_pass_and_one_beyond_fails(
        self, keys: Keys, bound: float
    ) -> None:
        pub, priv = keys
        edge = int(bound)
        at = np.array([edge, -edge], object)
        assert priv.decrypt(pub.encrypt(at, bound=bound)).tolist() == [edge, -edge]
        for beyond in (edge + 1, -edge - 1):
            with pytest.raises(BudgetExceeded, match="values: 1 of 2 are not within the bound"):
                pub.encrypt(np.array([0, beyond], object), bound=bound)

    @pytest.mark.parametrize("bound", [1.0, 0.3, 2.0**20])
    def test_floats_exactly_at_the_bound_pass_and_the_next_fails(
        self, keys: Keys, bound: float
    ) -> None:
        pub, priv = keys
        decrypted = priv.decrypt(pub.encrypt([bound, -bound], bound=bound))
        np.testing.assert_allclose(decrypted, [bound, -bound], atol=2.0**-33, rtol=0)
        for beyond in (np.nextafter(bound, np.inf), np.nextafter(-bound, -np.inf)):
            with pytest.raises(BudgetExceeded, match="values: 1 of 1"):
                pub.encrypt([beyond], bound=bound)

    def test_uint64_beyond_the_default_bound_is_refused(self, keys: Keys) -> None:
        with pytest.raises(BudgetExceeded, match="values: 1 of 1"):
            keys[0].encrypt(np.array([2**53 + 1], np.uint64))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, object])
    def test_nan_and_infinities_are_refused(self, keys: Keys, value: float, dtype: type) -> None:
        with pytest.raises(BudgetExceeded, match="values: 1 of 3 are not within the bound"):
            keys[0].encrypt(np.array([1.0, value, 2.0], dtype))

    @pytest.mark.parametrize(
        "values",
        [
            "7",
            b"7",
            ["1", "2"],
            1j,
            None,
            [1, None],
            [Decimal(1)],
            {"a": 1},
            object(),
            np.array(["2024-01-01"], "datetime64[D]"),
            np.zeros(2, [("a", int)]),
        ],
        ids=repr,
    )
    def test_what_is_no_real_number_is_refused(self, keys: Keys, values: Any) -> None:
        with pytest.raises(TypeError, match="values: "):
            keys[0].encrypt(values)

    def test_ciphertexts_are_refused_as_plaintexts(self, keys: Keys) -> None:
        pub, _ = keys
        with pytest.raises(TypeError, match="is no array of numbers; decrypt it"):
            pub.encrypt(pub.encrypt(3))

    def test_ragged_lists_are_refused(self, keys: Keys) -> None:
        with pytest.raises(ValueError, match="inhomogeneous"):
            keys[0].encrypt([[1], [2, 3]])  # type: ignore[list-item]

    @pytest.mark.parametrize("bound", [0, -1.0, math.nan, math.inf])
    def test_a_bound_that_is_no_positive_number_is_refused(self, keys: Keys, bound: float) -> None:
        with pytest.raises(ValueError, match="bound: got"):
            keys[0].encrypt([1], bound=bound)

    def test_negative_fraction_bits_are_refused(self, keys: Keys) -> None:
        with pytest.raises(ValueError, match="fraction_bits: got -1"):
            keys[0].encrypt([1.0], fraction_bits=-1)

    def test_a_bound_beyond_the_key_is_refused_before_anything_is_encrypted(
        self, keys: Keys
    ) -> None:
        pub, priv = keys
        fits = pub.encrypt([2**510, -1], bound=2.0**510)
        assert priv.decrypt(fits).tolist() == [2**510, -1]
        for values, bound in (([1], 2.0**511), ([1.0], 2.0**479)):
            with pytest.raises(BudgetExceeded, match="bound: needs 512 bits, the 512-bit key"):
                pub.encrypt(values, bound=bound)

    @pytest.mark.parametrize("threads", [0, -1, 2**70])
    def test_a_number_of_threads_out_of_range_is_refused(self, keys: Keys, threads: int) -> None:
        pub, priv = keys
        c = pub.encrypt([1])
        for call in (pub.encrypt, priv.decrypt):
            argument: Any = c if call == priv.decrypt else [1]
            with pytest.raises(ValueError, match=f"threads: got {threads}, expected at least 1"):
                call(argument, threads=threads)
        with pytest.raises(ValueError, match=f"threads: got {threads}"):
            c.rerandomize(threads=threads)

    @pytest.mark.parametrize("threads", [1.5, "2", True, [1]])
    def test_errors_about_threads_do_not_show_plaintexts(self, keys: Keys, threads: Any) -> None:
        pub, priv = keys
        secret = 987654321
        with pytest.raises(TypeError, match=r"threads: got .*, expected int or None") as caught:
            pub.encrypt([secret], threads=threads)
        assert str(secret) not in str(caught.value)
        with pytest.raises(TypeError, match="threads: got"):
            priv.decrypt(pub.encrypt([secret]), threads=threads)

    def test_the_number_of_threads_does_not_change_the_result(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.arange(-50, 51)
        made = []
        for threads in (None, 1, 2, 3, np.int64(7), 1000):
            with fixed_randomness():
                made.append(pub.encrypt(values, threads=threads))
            np.testing.assert_array_equal(priv.decrypt(made[0], threads=threads), values)
        assert len({c.to_bytes() for c in made}) == 1

    @pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64, object])
    def test_the_callers_array_is_left_alone(self, keys: Keys, dtype: type) -> None:
        values = np.array([3, 1, 2], dtype)
        before = values.copy()
        keys[0].encrypt(values, bound=100)
        np.testing.assert_array_equal(values, before, strict=True)

    def test_views_and_orders_of_memory_are_read_by_index(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.arange(24).reshape(4, 6)
        for view in (values.T, values[::2, ::-3], np.asfortranarray(values), values[1:2]):
            np.testing.assert_array_equal(priv.decrypt(pub.encrypt(view)), view)
        swapped = values.astype(">i8")
        np.testing.assert_array_equal(priv.decrypt(pub.encrypt(swapped)), values)
        frozen = np.arange(3)
        frozen.flags.writeable = False
        np.testing.assert_array_equal(priv.decrypt(pub.encrypt(frozen)), frozen)

    def test_encrypting_twice_gives_different_ciphertexts(self, keys: Keys) -> None:
        pub, _ = keys
        c = pub.encrypt(np.zeros(40, int))
        rows = {row.tobytes() for row in c.vector.to_words(1)}
        rows |= {row.tobytes() for row in pub.encrypt(np.zeros(40, int)).vector.to_words(1)}
        assert len(rows) == 80

    def test_the_draw_is_one_exponent_of_half_the_length_for_each_plaintext(
        self, keys: Keys
    ) -> None:
        asked: list[int] = []

        def source(count: int) -> bytes:
            asked.append(count)
            return os.urandom(count)

        with randomness._test_source(source):
            keys[0].encrypt(np.zeros((3, 5)))
        assert asked == [15 * 512 // 2 // 8]

    @pytest.mark.parametrize("bound", [2.0**30, 2.0**200])
    def test_exponents_and_rows_of_plaintexts_are_wiped(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch, bound: float
    ) -> None:
        kept: list[np.ndarray] = []

        def keeping(make: Callable[..., Any]) -> Callable[..., Any]:
            def made(*arguments: Any) -> Any:
                kept.append(make(*arguments))
                assert kept[-1].any()
                return kept[-1]

            return made

        monkeypatch.setattr(randomness, "random_bytes", keeping(randomness.random_bytes))
        monkeypatch.setattr("veilsum.paillier.keys.to_rows", keeping(limbs.to_rows))
        keys[0].encrypt([5, -6, 7], bound=bound)
        assert len(kept) == 2
        assert not any(array.any() for array in kept)

    def test_drawn_bits_beyond_the_exponents_length_are_ignored(self) -> None:
        pub, _ = paillier.keygen(192, insecure=True)  # 96 bits of exponent in two words

        def encrypted_with(draw: bytes) -> bytes:
            with randomness._test_source(lambda _: draw):
                return pub.encrypt([5]).to_bytes()

        low = bytes(range(12))
        assert encrypted_with(low + bytes(4)) == encrypted_with(low + b"\xff" * 4)
        assert encrypted_with(low + bytes(4)) != encrypted_with(low[:-1] + b"\x80" + bytes(4))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_parent_and_child_encrypt_with_different_randomness(self, keys: Keys) -> None:
        pub, priv = keys
        values = np.arange(20)
        pub.encrypt(values, threads=2)
        theirs = in_a_child(lambda: pub.encrypt(values, threads=2).to_bytes())
        ours = pub.encrypt(values).to_bytes()
        read = CipherArray.from_bytes(theirs, pub)
        np.testing.assert_array_equal(priv.decrypt(read), values)
        rows = read.vector.to_words(1), CipherArray.from_bytes(ours, pub).vector.to_words(1)
        assert not (rows[0] == rows[1]).all(axis=1).any()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_children_rerandomize_differently(self, keys: Keys) -> None:
        pub, _ = keys
        c = pub.encrypt([1, 2])
        made = [in_a_child(lambda: c.rerandomize().to_bytes()) for _ in range(2)]
        made += [c.rerandomize().to_bytes(), c.to_bytes()]
        assert len(set(made)) == 4


def in_a_child(work: Callable[[], bytes]) -> bytes:
    """What a forked child computes; empty if it fails."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions warn of any thread, even of a joined one
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def test_fingerprints_are_of_32_bytes_and_bind_the_order_of_the_numbers() -> None:
    pubs = [paillier.keygen(128, insecure=True)[0] for _ in range(3)]
    assert all(len(pub.fingerprint) == 32 for pub in pubs)
    assert all(a.fingerprint != b.fingerprint for a, b in pairwise(pubs))
