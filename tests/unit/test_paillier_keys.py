"""Paillier keys: generation, validation, encryption, decryption, export, and every error."""

import copy
import hashlib
import math
import os
import pickle
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import gmpy2
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from gmpy2 import mpz

from veilsum import paillier, randomness
from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InsecureKeyWarning,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
)
from veilsum.paillier import CipherArray, PrivateKey, PublicKey, limbs
from veilsum.paillier import keys as keys_module

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

    @pytest.mark.parametrize("bits", [3072, 4096])
    def test_longer_keys_work_without_permission(self, bits: int) -> None:
        pub, priv = paillier.keygen(bits)
        assert pub.bits == bits
        again = PrivateKey.from_bytes(priv.to_bytes())
        assert again.decrypt(pub.encrypt([2**52, -1])).tolist() == [2**52, -1]

    def test_primes_drawn_pass_the_check_of_primes_imported(self) -> None:
        for _ in range(200):
            p, q = keys_module._random_primes(64)
            assert keys_module._checked_primes(p, q) == (p, q)

    def test_every_prime_of_the_right_form_is_as_likely(self) -> None:
        with randomness._test_source(random.Random(5).randbytes):
            drawn = Counter(keys_module._random_prime(16) for _ in range(20_000))
        primes = [n for n in range(3 << 14, 1 << 16) if n % 4 == 3 and gmpy2.is_prime(n)]
        expected = 20_000 / len(primes)
        assert set(drawn) <= set(primes)
        # Taking the next prime after a random number gives hundreds of times this.
        chi_square = sum((drawn[prime] - expected) ** 2 / expected for prime in primes)
        assert abs(chi_square - len(primes)) < 5 * math.sqrt(2 * len(primes))

    def test_the_second_prime_shares_no_factor_with_the_first(self) -> None:
        half = 3 * 5 * 7 * 11 * 13
        drawn = [keys_module._random_prime(64, half=half) for _ in range(50)]
        assert all(math.gcd((prime - 1) // 2, half) == 1 for prime in drawn)

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
        with pytest.raises(DeserializationError, match=r"kind: got 2 \(PRIVATE_KEY\), expected 1"):
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
            (lambda p, q: (p, q - 1), "not prime"),
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
            slice(1),
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


class TestFromPrimes:
    def test_each_call_draws_another_base_for_the_same_modulus(self, keys: Keys) -> None:
        pub, priv = keys
        made = [PrivateKey.from_primes(priv._p, priv._q, insecure=True) for _ in range(2)]
        assert {key.public_key.n for key in made} == {pub.n}
        assert len({pub.h, *(key.public_key.h for key in made)}) == 3
        for key in made:
            assert key.decrypt(key.encrypt([3, -4])).tolist() == [3, -4]
            again = PrivateKey.from_bytes(key.to_bytes(), insecure=True)
            assert again.public_key == key.public_key

    def test_the_base_is_the_negative_of_a_square(self, keys: Keys) -> None:
        _, priv = keys
        for _ in range(20):
            h = PrivateKey.from_primes(priv._p, priv._q, insecure=True).public_key.h
            assert all(gmpy2.legendre(-h, prime) == 1 for prime in (priv._p, priv._q))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda p, _: (p, p), "equal"),
            (lambda p, q: (p, q >> 64 | 1), "different lengths|got 448 bits"),
            (lambda p, q: (p, q - 1), "not prime"),
            (lambda p, q: (p - 1, q), "not prime"),
            (lambda p, _: (p, int(gmpy2.next_prime(p))), "3 modulo 4|close|factor"),
            (lambda _, q: (one_modulo_four(256), q), "3 modulo 4"),
            (lambda p, q: (-p, q), "not positive"),
            (lambda p, q: (p << 32, q << 31), "got 575 bits"),
        ],
    )
    def test_wrong_primes_are_refused(
        self, keys: Keys, change: Callable[[int, int], tuple[int, int]], says: str
    ) -> None:
        p, q = change(keys[1]._p, keys[1]._q)
        with pytest.raises(InvalidKey, match=says):
            PrivateKey.from_primes(p, q, insecure=True)

    def test_a_short_key_needs_permission_and_warns_once(self, keys: Keys) -> None:
        p, q = keys[1]._p, keys[1]._q
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            PrivateKey.from_primes(p, q)
        with pytest.warns(InsecureKeyWarning) as caught:
            PrivateKey.from_primes(p, q, insecure=True)
        assert len(caught) == 1


def one_modulo_four(bits: int) -> int:
    """A prime of that length with which no key can be made."""
    prime = gmpy2.next_prime(7 << (bits - 3))
    while prime % 4 != 1:
        prime = gmpy2.next_prime(prime)
    return int(prime)


class TestImportedLengths:
    @pytest.mark.parametrize("bits", [2040, 2049, 2080, 3000, 4095])
    def test_a_length_that_is_no_multiple_of_64_is_refused(self, bits: int) -> None:
        n = (1 << bits) - 1
        with pytest.raises(InvalidKey, match=f"n: got {bits} bits, expected a multiple of 64"):
            PublicKey(n, 4)
        with pytest.raises(InvalidKey, match=f"n: got {bits} bits, expected a multiple of 64"):
            PrivateKey(n, 1, 4)


class TestPassword:
    PASSWORD = "Gänsefüßchen & 7 Zwerge".encode()

    @pytest.fixture
    def cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Scrypt run in a few kilobytes."""
        monkeypatch.setattr(keys_module, "_SCRYPT_COST", 4)

    def test_the_right_password_opens_it(self, keys: Keys) -> None:
        pub, priv = keys
        again = PrivateKey.from_bytes(priv.to_bytes(self.PASSWORD), self.PASSWORD, insecure=True)
        assert again.public_key == pub
        assert again.to_bytes() == priv.to_bytes()

    def test_the_bytes_are_laid_out_as_documented(self, keys: Keys) -> None:
        data = keys[1].to_bytes(password=self.PASSWORD)
        assert data[:6] == b"VSUM\x01\x09"
        assert int.from_bytes(data[6:14], "little") == len(data) - 14
        assert data[14] == 17
        assert data[15:23] == (16).to_bytes(8, "little")
        assert data[39:47] == (12).to_bytes(8, "little")
        sealed = data[67:]
        assert data[59:67] == len(sealed).to_bytes(8, "little")
        key = hashlib.scrypt(
            self.PASSWORD, salt=data[23:39], n=2**17, r=8, p=1, dklen=32, maxmem=1 << 28
        )
        assert AESGCM(key).decrypt(data[47:59], sealed, data[:67]) == keys[1].to_bytes()

    def test_what_an_earlier_release_wrote_is_read(self) -> None:
        data = bytes.fromhex(
            "5653554d0109820000000000000011100000000000000036818428bb49b79b39e3b2c17bb00c3d"
            "0c000000000000000c5d709557fd810e100011684d00000000000000b28f7cfd32a9607de6034f"
            "4a94e649d8c02e2f2337618348c10bb840fbffe1026e0209dbd1fbea993f0cdcb76bed78f2a83a"
            "9ecdb9711a3b0eb571a333547fb01b3ac24463b8d3a600e87eba98"
        )
        priv = PrivateKey.from_bytes(data, b"an old password", insecure=True)
        assert (priv._p, priv._q) == (17134352605858387931, 17930533665037595167)
        assert priv.public_key.h == 264538976578629309481162117002559514879

    @pytest.mark.usefixtures("cheap")
    def test_two_exports_share_neither_salt_nor_nonce(self, keys: Keys) -> None:
        first, second = (keys[1].to_bytes(self.PASSWORD) for _ in range(2))
        assert first[23:39] != second[23:39]
        assert first[47:59] != second[47:59]
        assert first[67:] != second[67:]

    @pytest.mark.usefixtures("cheap")
    def test_no_secret_is_readable(self, keys: Keys) -> None:
        _, priv = keys
        data = priv.to_bytes(self.PASSWORD)
        for prime in (priv._p, priv._q):
            assert prime.to_bytes(32, "little") not in data
        assert self.PASSWORD not in data

    @pytest.mark.usefixtures("cheap")
    @pytest.mark.parametrize("wrong", [b"x", PASSWORD + b"!", PASSWORD[:-1], PASSWORD.upper()])
    def test_another_password_is_refused_without_showing_either(
        self, keys: Keys, wrong: bytes
    ) -> None:
        data = keys[1].to_bytes(self.PASSWORD)
        with pytest.raises(DeserializationError) as caught:
            PrivateKey.from_bytes(data, wrong, insecure=True)
        assert str(caught.value) == "password: it is another, or the data were altered"
        assert caught.value.__suppress_context__

    @pytest.mark.usefixtures("cheap")
    def test_every_altered_byte_is_refused(self, keys: Keys) -> None:
        data = keys[1].to_bytes(self.PASSWORD)
        for place in range(len(data)):
            altered = bytearray(data)
            altered[place] ^= 1
            with pytest.raises(DeserializationError):
                PrivateKey.from_bytes(bytes(altered), self.PASSWORD, insecure=True)

    def test_malformed_bytes_are_refused_before_scrypt_runs(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(keys_module, "_SCRYPT_COST", 4)
            cheap = keys[1].to_bytes(self.PASSWORD)
        good = cheap[:14] + b"\x11" + cheap[15:]

        def scrypt(**arguments: Any) -> Any:
            raise AssertionError(f"Scrypt ran with {arguments}")

        monkeypatch.setattr(keys_module, "Scrypt", scrypt)
        hostile = [good[:length] for length in range(len(good))]
        hostile += [good + b"\0", keys[1].to_bytes(), keys[0].to_bytes()]
        hostile += [good[:14] + bytes([cost]) + good[15:] for cost in (0, 4, 16, 21, 40, 63, 255)]
        hostile += [sealed_parts(17, b"s" * 15, b"n" * 12), sealed_parts(17, b"s" * 16, b"n" * 11)]
        hostile += [sealed_parts(17, b"s" * 17, b"n" * 12), sealed_parts(17, b"s" * 16, b"n" * 13)]
        hostile += [sealed_parts(17, b"s" * 16, b"n" * 12, b"c" * 4097)]
        for data in hostile:
            with pytest.raises(DeserializationError):
                PrivateKey.from_bytes(data, self.PASSWORD, insecure=True)
        with pytest.raises(AssertionError, match="'n': 131072, 'r': 8, 'p': 1"):
            PrivateKey.from_bytes(good, self.PASSWORD, insecure=True)

    @pytest.mark.usefixtures("cheap")
    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17])
    def test_too_short_an_encryption_is_refused(self, size: int) -> None:
        data = sealed_parts(17, b"s" * 16, b"n" * 12, bytes(size))
        data = data[:14] + b"\x04" + data[15:]
        with pytest.raises(DeserializationError, match="password: it is another, or the data"):
            PrivateKey.from_bytes(data, self.PASSWORD)

    @pytest.mark.usefixtures("cheap")
    def test_encrypted_bytes_ask_for_the_password(self, keys: Keys) -> None:
        with pytest.raises(DeserializationError, match="the key is encrypted; pass its password"):
            PrivateKey.from_bytes(keys[1].to_bytes(self.PASSWORD), insecure=True)

    def test_a_password_for_bytes_without_one_is_refused(self, keys: Keys) -> None:
        with pytest.raises(DeserializationError, match="they are no key under a password"):
            PrivateKey.from_bytes(keys[1].to_bytes(), self.PASSWORD, insecure=True)

    @pytest.mark.usefixtures("cheap")
    def test_what_is_inside_is_validated(self, keys: Keys) -> None:
        priv = keys[1]
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            PrivateKey.from_bytes(priv.to_bytes(self.PASSWORD), self.PASSWORD)
        bad = keys_module._seal(keys[0].to_bytes(), self.PASSWORD)
        with pytest.raises(DeserializationError, match=r"kind: got 1 \(PUBLIC_KEY\), expected 2"):
            PrivateKey.from_bytes(bad, self.PASSWORD, insecure=True)

    @pytest.mark.parametrize("password", ["secret-text", 987654321, bytearray(b"secret"), [1]])
    def test_a_password_that_is_not_bytes_is_refused_unseen(
        self, keys: Keys, password: Any
    ) -> None:
        priv = keys[1]
        for call in (priv.to_bytes, lambda given: PrivateKey.from_bytes(b"", given)):
            with pytest.raises(TypeError, match=r"expected bytes; .* password.encode") as caught:
                call(password)
            assert str(password) not in str(caught.value)
            assert type(password).__name__ in str(caught.value)

    def test_an_empty_password_is_refused(self, keys: Keys) -> None:
        priv = keys[1]
        for call in (priv.to_bytes, lambda given: PrivateKey.from_bytes(priv.to_bytes(), given)):
            with pytest.raises(ValueError, match="password: it is empty; leave it out"):
                call(b"")


def sealed_parts(cost: int, salt: bytes, nonce: bytes, sealed: bytes = b"c" * 64) -> bytes:
    """The bytes of an encrypted private key, part by part."""
    body = bytes([cost])
    for part in (salt, nonce, sealed):
        body += len(part).to_bytes(8, "little") + part
    return b"VSUM\x01\x09" + len(body).to_bytes(8, "little") + body


class TestPrivateEncryption:
    def test_it_takes_what_the_public_key_takes(self, keys: Keys) -> None:
        _, priv = keys
        values = np.array([[0.5, -1.25], [3.0, 2.0]])
        c = priv.encrypt(values, fraction_bits=8, bound=16.0, threads=1)
        assert (c.scale, c.limit, c.shape) == (256, 4096, (2, 2))
        np.testing.assert_array_equal(priv.decrypt(c), values)
        encoding = FixedPoint.decimal(2, bound=10.0)
        assert priv.encrypt([1.25], encoding=encoding).scale == 100

    def test_its_ciphertexts_are_under_the_public_key(self, keys: Keys) -> None:
        pub, priv = keys
        c = priv.encrypt([1, 2])
        assert c.public_key is pub
        assert priv.decrypt(c + pub.encrypt([10, 20])).tolist() == [11, 22]
        read = CipherArray.from_bytes(c.to_bytes(), pub)
        assert priv.decrypt(read).tolist() == [1, 2]

    def test_the_same_draws_give_the_same_ciphertexts(self, keys: Keys) -> None:
        pub, priv = keys
        values = [0, 1, -1, 2**52, -(2**52), 5]
        made = []
        for key in (pub, priv):
            with randomness._test_source(random.Random(3).randbytes):
                made.append(key.encrypt(values).to_bytes())
        assert made[0] == made[1]

    def test_it_refuses_what_the_public_key_refuses(self, keys: Keys) -> None:
        _, priv = keys
        with pytest.raises(BudgetExceeded):
            priv.encrypt([np.nan])
        with pytest.raises(BudgetExceeded, match="bound: needs 512 bits"):
            priv.encrypt([1], bound=2.0**511)
        with pytest.raises(TypeError):
            priv.encrypt(["1"])
        with pytest.raises(ValueError, match="threads: got 0"):
            priv.encrypt([1], threads=0)


class TestIntegersForOtherLibraries:
    def test_ciphertexts_are_handed_out_and_taken_back(self, keys: Keys) -> None:
        pub, priv = keys
        for values in (7, [1, -2, 3], np.arange(6).reshape(2, 3), [0.5, -2.0], np.zeros((0, 2))):
            c = pub.encrypt(values)
            integers = c.to_integers()
            assert integers.shape == c.shape
            assert integers.dtype == object
            assert all(type(i) is int and 0 < i < pub.n**2 for i in integers.flat)
            again = CipherArray.from_integers(pub, integers, scale=c.scale, limit=c.limit)
            assert again.to_bytes() == c.to_bytes()
            np.testing.assert_array_equal(priv.decrypt(again), values)

    @pytest.mark.parametrize("kind", [int, mpz])
    def test_textbook_ciphertexts_of_any_integer_type_decrypt(
        self, keys: Keys, kind: Callable[[int], Any]
    ) -> None:
        pub, priv = keys
        n, messages = pub.n, [0, 1, -1, 5, -(2**60)]
        textbook = [
            kind((1 + m % n * n) * pow(12345 + i, n, n**2) % n**2) for i, m in enumerate(messages)
        ]
        c = CipherArray.from_integers(pub, textbook, limit=kind(2**60))
        assert type(c.limit) is int
        assert priv.decrypt(c + c).tolist() == [2 * m for m in messages]
        one = CipherArray.from_integers(pub, textbook[3], limit=5, scale=kind(2))
        assert priv.decrypt(one) == 2.5

    def test_small_integers_of_numpy_are_taken(self, keys: Keys) -> None:
        trivial = CipherArray.from_integers(keys[0], np.array([[1], [1]], np.uint8), limit=0)
        assert trivial.shape == (2, 1)
        assert trivial.is_trivial()
        assert CipherArray.from_integers(keys[0], [], limit=0).shape == (0,)

    @pytest.mark.parametrize(
        "bad",
        [
            lambda *_: 0,
            lambda *_: -1,
            lambda n, _: -(n**2) + 1,
            lambda n, _: n**2,
            lambda n, _: n**2 + 1,
            lambda n, _: 2 ** (4 * n.bit_length()),
            lambda n, _: n,
            lambda _, p: p,
            lambda n, _: 5 * n,
            lambda n, p: n**2 - p,
        ],
    )
    def test_numbers_outside_the_group_are_refused(
        self, keys: Keys, bad: Callable[[int, int], int]
    ) -> None:
        pub, priv = keys
        number = bad(pub.n, priv._p)
        good = int(pub.encrypt(1).to_integers()[()])
        for integers in (number, [good, number], [number] * 9, mpz(number)):
            with pytest.raises(InvalidCiphertext, match="integers: "):
                CipherArray.from_integers(pub, integers, limit=1)

    @pytest.mark.parametrize("stranger", [1.0, [1.5], "1", None, [True], ["1"], [None], 1j])
    def test_what_is_no_integer_is_refused(self, keys: Keys, stranger: Any) -> None:
        with pytest.raises(TypeError, match=r"integers: got .*, expected integers"):
            CipherArray.from_integers(keys[0], stranger, limit=1)

    def test_a_wrong_limit_or_scale_is_refused(self, keys: Keys) -> None:
        pub, _ = keys
        with pytest.raises(ValueError, match="limit: got a negative number"):
            CipherArray.from_integers(pub, [1], limit=-1)
        with pytest.raises(BudgetExceeded):
            CipherArray.from_integers(pub, [1], limit=pub.plaintext_limit + 1)
        for scale in (0, -1, 2**1000):
            with pytest.raises(ValueError, match="scale: got an integer of"):
                CipherArray.from_integers(pub, [1], limit=1, scale=scale)
        for wrong in ({"limit": 1.0}, {"limit": 1, "scale": 1.0}):
            with pytest.raises(TypeError):
                CipherArray.from_integers(pub, [1], **wrong)  # type: ignore[arg-type]

    def test_a_plaintext_beyond_the_stated_limit_is_an_error(self, keys: Keys) -> None:
        pub, priv = keys
        integers = pub.encrypt([5, -6]).to_integers()
        with pytest.raises(BudgetExceeded, match="beyond the bound that the array states"):
            priv.decrypt(CipherArray.from_integers(pub, integers, limit=5))


class TestIntegersOfGmpy2:
    def test_keys_are_made_of_them_and_hand_out_python_integers(self, keys: Keys) -> None:
        pub, priv = keys
        same = PublicKey(mpz(pub.n), mpz(pub.h), insecure=True)
        assert same == pub
        assert type(same.n) is type(same.h) is int
        again = PrivateKey(mpz(priv._p), mpz(priv._q), mpz(pub.h), insecure=True)
        assert again.public_key == pub
        assert PrivateKey.from_primes(mpz(priv._p), mpz(priv._q), insecure=True).public_key.n == (
            pub.n
        )
        assert paillier.keygen(mpz(128), insecure=True)[0].bits == 128

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (mpz(7), 7),
            ([mpz(3), mpz(-4)], [3, -4]),
            ([mpz(3), -4], [3, -4]),
            ([[mpz(1)], [2]], [[1], [2]]),
            (np.array([mpz(5), mpz(-6)], object), [5, -6]),
            ([mpz(2**100), mpz(-(2**100))], [2**100, -(2**100)]),
            ([mpz(2**63), 1], [2**63, 1]),
        ],
    )
    def test_they_are_encrypted_as_integers(self, keys: Keys, values: Any, expected: Any) -> None:
        pub, priv = keys
        c = pub.encrypt(values, bound=mpz(2**100))
        assert c.scale == 1
        assert priv.decrypt(c).tolist() == expected

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (lambda c: c + mpz(2), [5, -2]),
            (lambda c: mpz(2) + c, [5, -2]),
            (lambda c: c - mpz(2), [1, -6]),
            (lambda c: mpz(2) - c, [-1, 6]),
            (lambda c: c * mpz(-3), [-9, 12]),
            (lambda c: mpz(2**70) * c, [3 * 2**70, -4 * 2**70]),
            (lambda c: c * [mpz(2), mpz(3)], [6, -12]),
            (lambda c: c.multiply(np.array([mpz(2), 3], object)), [6, -12]),
            (lambda c: c @ [mpz(2), mpz(3)], -6),
            (lambda c: [mpz(2), mpz(3)] @ c, -6),
            (lambda c: np.array([[mpz(2), mpz(3)]], object) @ c, [-6]),
            (lambda c: c.multiply([0.5, 1.0], weight_bits=mpz(4)), [1.5, -4.0]),
            (lambda c: c.sum(axis=mpz(0)), -1),
            (lambda c: c[mpz(1)], -4),
            (lambda c: c.reshape(mpz(2), mpz(1)), [[3], [-4]]),
        ],
    )
    def test_they_are_operands_as_integers(
        self, keys: Keys, operation: Callable[[CipherArray], CipherArray], expected: Any
    ) -> None:
        pub, priv = keys
        result = operation(pub.encrypt([3, -4]))
        assert type(result.scale) is type(result.limit) is int
        assert priv.decrypt(result).tolist() == expected

    def test_they_are_scales_bounds_and_counts(self, keys: Keys) -> None:
        pub, priv = keys
        encoding = FixedPoint(scale=mpz(4), bound=mpz(9))
        assert type(encoding.scale) is int
        assert type(FixedPoint.binary(mpz(3)).scale) is int
        assert type(FixedPoint.decimal(mpz(3)).scale) is int
        digits = Digits(limit=mpz(9), summands=mpz(2), width=mpz(5), count=mpz(1))
        assert digits == Digits(limit=9, summands=2, width=5, count=1)
        assert type(digits.limit) is int
        c = pub.encrypt([1.5], encoding=encoding, threads=mpz(1))
        assert priv.decrypt(c).tolist() == [1.5]
        c = pub.encrypt([0.5], fraction_bits=mpz(3), bound=mpz(4))
        assert (c.scale, c.limit) == (8, 32)


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_compiled_keys_of_its_own() -> None:
    pub, priv = paillier.keygen(256, insecure=True)
    c = priv.encrypt([1, -2, 3])
    parents = (id(pub._core), id(priv._core_key))
    child = os.fork()
    if child == 0:
        renewed = id(pub._core) != parents[0] and id(priv._core_key) != parents[1]
        right = priv.decrypt(c + pub.encrypt([1, 1, 1])).tolist() == [2, -1, 4]
        os._exit(0 if right and renewed else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (id(pub._core), id(priv._core_key)) == parents
    assert priv.decrypt(c).tolist() == [1, -2, 3]
