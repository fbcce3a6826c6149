"""The Paillier vectors: good ones give the same bytes, bad ones raise the error they name."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import errors, paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import DeserializationError, InsecureKeyWarning, InvalidKey
from veilsum.paillier import CipherArray, PackedArray, PrivateKey, PublicKey, classic

DIRECTORY = Path(__file__).resolve().parents[1] / "vectors" / "v1"


def load(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((DIRECTORY / name).read_text(encoding="ascii"))
    assert vectors["version"] == 1
    return vectors


VECTORS, PRODUCTS = load("paillier.json"), load("products.json")
PACKING, CLASSIC, SEALED = load("packing.json"), load("classic.json"), load("sealed_keys.json")
ARRAYS = [(key, array) for key in VECTORS["keys"] for array in key["arrays"]]

every_key = pytest.mark.parametrize("key", VECTORS["keys"], ids=lambda key: str(key["bits"]))
every_array = pytest.mark.parametrize(
    ("key", "array"), ARRAYS, ids=[array["name"] for _, array in ARRAYS]
)


def each(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def by_name(cases: str) -> pytest.MarkDecorator:
    return each(VECTORS[cases])


def public_key(key: dict[str, Any]) -> PublicKey:
    return PublicKey.from_bytes(bytes.fromhex(key["public_bytes"]), insecure=key["bits"] < 2048)


def private_key(key: dict[str, Any]) -> PrivateKey:
    return PrivateKey.from_bytes(bytes.fromhex(key["private_bytes"]), insecure=key["bits"] < 2048)


def read(key: dict[str, Any], array: dict[str, Any]) -> CipherArray:
    return CipherArray.from_bytes(bytes.fromhex(array["bytes"]), public_key(key))


def ciphertexts(array: CipherArray | PackedArray) -> list[int]:
    rows = array.vector.to_words(1).astype("<u8")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def drawn(key: dict[str, Any], exponents: list[int]) -> bytes:
    """What the source of randomness gives where these exponents are drawn."""
    return b"".join(e.to_bytes(key["bits"] // 16, "little") for e in exponents)


@contextmanager
def raises(name: str) -> Iterator[None]:
    """Expect this very error, none derived from it."""
    kind: type[Exception] = ValueError if name == "ValueError" else getattr(errors, name)
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind


def test_the_vectors_cover_the_lengths_of_real_keys() -> None:
    assert [key["bits"] for key in VECTORS["keys"]] == [1024, 2048]
    assert [key["bits"] for key in PRODUCTS["keys"]] == [512, 2048, 3072]
    assert set(PACKING["keys"]) == {"512", "2048", "3072"}
    assert {(key["p"] * key["q"]).bit_length() for key in CLASSIC["keys"]} >= {2048, 3072}


class TestKeys:
    @every_key
    def test_reading_the_bytes_gives_the_numbers(self, key: dict[str, Any]) -> None:
        pub = public_key(key)
        assert (pub.n, pub.h, pub.bits) == (key["n"], key["h"], key["bits"])
        assert pub.fingerprint.hex() == key["fingerprint"]
        assert private_key(key).public_key == pub

    @every_key
    def test_writing_the_numbers_gives_the_bytes(self, key: dict[str, Any]) -> None:
        insecure = key["bits"] < 2048
        priv = PrivateKey(key["p"], key["q"], key["h"], insecure=insecure)
        assert priv.to_bytes().hex() == key["private_bytes"]
        assert priv.public_key.to_bytes().hex() == key["public_bytes"]
        assert PublicKey(key["n"], key["h"], insecure=insecure) == priv.public_key

    @by_name("bad_public_keys")
    def test_bad_public_keys_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(InvalidKey, match=case["says"]):
            PublicKey(case["n"], case["h"], insecure=True)

    @by_name("bad_private_keys")
    def test_bad_private_keys_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(InvalidKey, match=case["says"]):
            PrivateKey(case["p"], case["q"], case["h"], insecure=True)

    @by_name("bad_public_bytes")
    def test_bad_bytes_of_public_keys_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(DeserializationError):
            PublicKey.from_bytes(bytes.fromhex(case["bytes"]), insecure=True)

    @by_name("bad_private_bytes")
    def test_bad_bytes_of_private_keys_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(DeserializationError):
            PrivateKey.from_bytes(bytes.fromhex(case["bytes"]), insecure=True)

    def test_short_keys_are_refused_without_insecure_and_warn_with_it(self) -> None:
        key = VECTORS["keys"][0]
        for read_key, name in ((PublicKey, "public_bytes"), (PrivateKey, "private_bytes")):
            data = bytes.fromhex(key[name])
            with pytest.raises(InvalidKey, match="got 1024, expected at least 2048"):
                read_key.from_bytes(data)
            with pytest.warns(InsecureKeyWarning, match="a 1024-bit Paillier key") as caught:
                read_key.from_bytes(data, insecure=True)
            assert len(caught) == 1


class TestArrays:
    @every_array
    @pytest.mark.parametrize("owner", [False, True], ids=["public", "private"])
    def test_encrypting_with_these_exponents_gives_these_ciphertexts(
        self, key: dict[str, Any], array: dict[str, Any], owner: bool
    ) -> None:
        encryptor = private_key(key) if owner else public_key(key)
        source = io.BytesIO(drawn(key, array["exponents"]))
        with randomness._test_source(source.read):
            got = encryptor.encrypt(messages(array), encoding=encoding(array))
        assert source.read() == b""
        assert ciphertexts(got) == array["ciphertexts"]
        assert got.to_bytes().hex() == array["bytes"]

    @every_array
    def test_precomputing_with_these_exponents_gives_these_ciphertexts(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        pub, exponents = public_key(key), array["exponents"] or [1]
        with randomness._test_source(io.BytesIO(drawn(key, exponents)).read):
            pool = pub.precompute(len(exponents))
        got = pub.encrypt(messages(array), encoding=encoding(array), randomness=pool)
        assert ciphertexts(got) == array["ciphertexts"]

    @every_array
    def test_these_bytes_decrypt_to_the_messages(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        c = read(key, array)
        assert (c.scale, c.limit) == (array["scale"], array["limit"])
        assert ciphertexts(c) == array["ciphertexts"]
        assert c.to_bytes().hex() == array["bytes"]
        assert private_key(key).decrypt(c).tolist() == messages(array).tolist()

    @every_array
    def test_sums_are_products_of_ciphertexts(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        c = read(key, array)
        left = [i for i, _, _ in array["sums"]]
        right = [j for _, j, _ in array["sums"]]
        assert ciphertexts(c[left] + c[right]) == [total for _, _, total in array["sums"]]
        for addend, expected in array["plain_sums"]:
            assert ciphertexts(c + addend) == expected
            assert ciphertexts(addend + c) == expected
            assert ciphertexts(c - -addend) == expected

    @every_array
    def test_products_are_powers_of_ciphertexts(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        c = read(key, array)
        assert ciphertexts(-c) == array["negations"]
        for factor, expected in array["products"]:
            assert ciphertexts(c * factor) == expected
        factors: Any = np.array([factor for factor, _ in array["products"]])[:, np.newaxis]
        together = [number for _, expected in array["products"] for number in expected]
        assert ciphertexts(factors * c) == together

    @by_name("bad_arrays")
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        key = public_key(VECTORS["keys"][0])
        with raises(case["error"]):
            CipherArray.from_bytes(bytes.fromhex(case["bytes"]), key)


def messages(array: dict[str, Any]) -> NDArray[Any]:
    values = np.array(array["messages"], object)
    return values if array["scale"] == 1 else values.astype(np.float64) / array["scale"]


def encoding(array: dict[str, Any]) -> FixedPoint:
    return FixedPoint(scale=array["scale"], bound=array["limit"] / array["scale"])


class TestProducts:
    every_key = pytest.mark.parametrize("key", PRODUCTS["keys"], ids=lambda key: str(key["bits"]))

    @staticmethod
    def array(key: dict[str, Any]) -> CipherArray:
        return CipherArray.from_integers(public_key(key), key["ciphertexts"], limit=2**62)

    @every_key
    def test_encrypting_with_these_exponents_gives_these_ciphertexts(
        self, key: dict[str, Any]
    ) -> None:
        for encryptor in (public_key(key), private_key(key)):
            with randomness._test_source(io.BytesIO(drawn(key, key["exponents"])).read):
                got = encryptor.encrypt(key["messages"], bound=2.0**62)
            assert ciphertexts(got) == key["ciphertexts"]

    @every_key
    def test_integers_come_and_go_unchanged(self, key: dict[str, Any]) -> None:
        c = self.array(key)
        assert c.to_integers().tolist() == key["ciphertexts"] == ciphertexts(c)
        assert private_key(key).decrypt(c).tolist() == key["messages"]

    @every_key
    def test_powers_by_8_to_64_bits_of_either_sign(self, key: dict[str, Any]) -> None:
        c = self.array(key)[:1]
        for factor, expected in key["powers"]:
            assert ciphertexts(c * factor) == [expected]
        factors = np.array([factor for factor, _ in key["powers"]], object)
        assert ciphertexts(c * factors) == [expected for _, expected in key["powers"]]

    @every_key
    def test_weighted_sums(self, key: dict[str, Any]) -> None:
        c, priv = self.array(key), private_key(key)
        for case in key["weighted"]:
            weights: Any = np.array(case["weights"], object)
            terms = c[np.arange(len(weights)) % len(c)]
            for total in (terms @ weights, weights @ terms):
                assert ciphertexts(total) == [case["ciphertext"]], case["name"]
                assert priv.decrypt(total).tolist() == case["plaintext"]

    @every_key
    def test_sums_are_products(self, key: dict[str, Any]) -> None:
        c = self.array(key)
        assert ciphertexts(c.sum()) == [key["total"]]
        assert ciphertexts(c.reshape(2, -1).sum(axis=0).sum()) == [key["total"]]

    @every_key
    def test_matrix_products_from_either_side(self, key: dict[str, Any]) -> None:
        c = self.array(key).reshape(-1, 2)
        weights: Any = np.array(key["matrix"]["weights"])
        product = np.array(key["matrix"]["product"], object)
        assert (weights @ c).to_integers().tolist() == product.tolist()
        assert (c.T @ weights.T).to_integers().tolist() == product.T.tolist()

    @each(PRODUCTS["bad_integers"])
    def test_bad_integers_are_refused(self, case: dict[str, Any]) -> None:
        key = public_key(PRODUCTS["keys"][0])
        with raises(case["error"]):
            CipherArray.from_integers(key, case["integers"], limit=case["limit"])


class TestPacking:
    every_array = each(PACKING["good"])

    @every_array
    @pytest.mark.parametrize("owner", [False, True], ids=["public", "private"])
    def test_packing_with_these_exponents_gives_these_ciphertexts(
        self, case: dict[str, Any], owner: bool
    ) -> None:
        key = PACKING["keys"][case["key"]]
        encryptor = private_key(key) if owner else public_key(key)
        values = np.array(case["values"], dtype(case)).reshape(case["extents"])
        source = io.BytesIO(drawn(key, case["exponents"]))
        with randomness._test_source(source.read):
            got = encryptor.encrypt_packed(values, **parameters(case))
        assert source.read() == b""
        assert (got.slot_bits, got.slots) == (case["slot_bits"], case["slots"])
        assert ciphertexts(got) == case["ciphertexts"]
        assert got.to_bytes().hex() == case["bytes"]

    @every_array
    def test_plaintexts_are_slots_side_by_side(self, case: dict[str, Any]) -> None:
        key = PACKING["keys"][case["key"]]
        pub = public_key(key)
        c = CipherArray.from_integers(pub, case["ciphertexts"], limit=pub.plaintext_limit)
        assert private_key(key).decrypt(c).tolist() == case["plaintexts"]

    @every_array
    def test_these_bytes_decrypt_to_multiples_of_the_unit(self, case: dict[str, Any]) -> None:
        key = PACKING["keys"][case["key"]]
        priv = private_key(key)
        array = PackedArray.from_bytes(bytes.fromhex(case["bytes"]), priv.public_key)
        assert array.to_bytes().hex() == case["bytes"]
        for multiple in case["multiples"]:
            got = array * multiple["factor"]
            assert ciphertexts(got) == multiple["ciphertexts"]
            assert got.used == abs(multiple["factor"])
            opened = priv.decrypt(got)
            assert opened.shape == tuple(case["extents"])
            assert opened.dtype == dtype(case)
            assert opened.reshape(-1).tolist() == multiple["values"]

    @every_array
    def test_sums_are_products_of_ciphertexts(self, case: dict[str, Any]) -> None:
        pub = public_key(PACKING["keys"][case["key"]])
        array = PackedArray.from_bytes(bytes.fromhex(case["bytes"]), pub)
        squares = [c * c % pub.n**2 for c in case["ciphertexts"]]
        for total in (array + array, paillier.aggregate([bytes.fromhex(case["bytes"])] * 2, pub)):
            assert ciphertexts(total) == squares
        assert ciphertexts(array - array) == [1] * len(squares)
        assert (array - array).is_trivial() is bool(squares)

    @each(PACKING["bad_values"])
    def test_bad_values_and_packings_are_refused(self, case: dict[str, Any]) -> None:
        pub = public_key(PACKING["keys"]["512"])
        with raises(case["error"]):
            pub.encrypt_packed(
                [float(value) if isinstance(value, str) else value for value in case["values"]],
                **parameters(case),
            )

    @each(PACKING["bad_operands"])
    def test_arrays_that_do_not_fit_are_not_added(self, case: dict[str, Any]) -> None:
        good = PACKING["good"][0]
        pub = public_key(PACKING["keys"][good["key"]])
        other = PublicKey.from_bytes(bytes.fromhex(case["public_bytes"]), insecure=True)
        array = PackedArray.from_bytes(bytes.fromhex(good["bytes"]), pub)
        addend = PackedArray.from_bytes(bytes.fromhex(case["bytes"]), other)
        ways: list[Callable[[], object]] = [
            lambda: array + addend,
            lambda: addend - array,
            lambda: paillier.aggregate([array, addend]),
        ]
        for add in ways:
            with raises(case["error"]):
                add()

    @each(PACKING["bad_plaintexts"])
    def test_plaintexts_beyond_what_is_stated_are_not_released(self, case: dict[str, Any]) -> None:
        key = PACKING["keys"]["512"]
        array = PackedArray.from_bytes(bytes.fromhex(case["bytes"]), public_key(key))
        with raises("BudgetExceeded"):
            private_key(key).decrypt(array)

    @each(PACKING["bad_bytes"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        pub = public_key(PACKING["keys"]["512"])
        with raises(case["error"]):
            PackedArray.from_bytes(bytes.fromhex(case["bytes"]), pub)


def parameters(case: dict[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("bits", "bound", "additions")}


def dtype(case: dict[str, Any]) -> type[np.generic]:
    """What the values are: integers have no bits."""
    return np.float64 if case["bits"] else np.int64


class TestClassic:
    every_key = pytest.mark.parametrize(
        "key", CLASSIC["keys"], ids=lambda key: str((key["p"] * key["q"]).bit_length())
    )

    @every_key
    def test_encrypting_with_this_r_gives_this_ciphertext(self, key: dict[str, Any]) -> None:
        private = classic.PrivateKey(key["p"], key["q"])
        public = private.public_key
        for m, r, c in key["encryptions"]:
            assert public.encrypt(m, r) == c
            assert private.decrypt(c) == m % public.n
        assert public.encrypt(key["encryptions"][3][0], 1) == key["with_r_1"]

    @every_key
    def test_sums_and_products(self, key: dict[str, Any]) -> None:
        public = classic.PublicKey(key["p"] * key["q"])
        for a, b, total in key["sums"]:
            assert public.add(a, b) == public.add(b, a) == total
        for c, m, total in key["plain_sums"]:
            assert public.add_plain(c, m) == total
        for c, factor, product in key["products"]:
            assert public.multiply(c, factor) == product

    @every_key
    def test_arrays_take_these_ciphertexts(self, key: dict[str, Any]) -> None:
        n = key["p"] * key["q"]
        if n.bit_length() < 128:
            with pytest.raises(InvalidKey):
                PrivateKey.from_primes(key["p"], key["q"], insecure=True)
            return
        priv = PrivateKey.from_primes(key["p"], key["q"], insecure=True)
        integers = [c for _, _, c in key["encryptions"]]
        limit = priv.public_key.plaintext_limit
        c = CipherArray.from_integers(priv.public_key, integers, limit=limit)
        assert [m % n for m in priv.decrypt(c)] == [m % n for m, _, _ in key["encryptions"]]

    @pytest.mark.parametrize("n", CLASSIC["bad_moduli"])
    def test_bad_moduli_are_refused(self, n: int) -> None:
        with raises("InvalidKey"):
            classic.PublicKey(n)

    @pytest.mark.parametrize(("p", "q"), CLASSIC["bad_primes"])
    def test_bad_primes_are_refused(self, p: int, q: int) -> None:
        with raises("InvalidKey"):
            classic.PrivateKey(p, q)

    @pytest.mark.parametrize(("n", "r"), CLASSIC["bad_units"])
    def test_an_r_that_is_no_unit_is_refused(self, n: int, r: int) -> None:
        with raises("ValueError"):
            classic.PublicKey(n).encrypt(1, r)

    @pytest.mark.parametrize(("p", "q", "c"), CLASSIC["bad_ciphertexts"])
    def test_what_is_no_ciphertext_is_not_decrypted(self, p: int, q: int, c: int) -> None:
        with raises("InvalidCiphertext"):
            classic.PrivateKey(p, q).decrypt(c)
        with raises("InvalidCiphertext"):
            classic.PublicKey(p * q).multiply(c, -1)

    @pytest.mark.parametrize(("p", "q", "c"), CLASSIC["outside"])
    def test_numbers_outside_the_group_are_not_computed_with(self, p: int, q: int, c: int) -> None:
        public = classic.PublicKey(p * q)
        ways: list[Callable[[], int]] = [
            lambda: public.add(c, 4),
            lambda: public.add(4, c),
            lambda: public.add_plain(c, 1),
            lambda: public.multiply(c, 2),
            lambda: public.rerandomize(c),
        ]
        for compute in ways:
            with raises("InvalidCiphertext"):
                compute()


class TestSealedKeys:
    every_key = pytest.mark.parametrize("case", SEALED["good"], ids=lambda case: str(case["bits"]))

    @every_key
    def test_sealing_with_this_salt_and_nonce_gives_these_bytes(self, case: dict[str, Any]) -> None:
        data = bytes.fromhex(case["private_bytes"])
        priv = PrivateKey.from_bytes(data, insecure=case["bits"] < 2048)
        source = io.BytesIO(bytes.fromhex(case["salt"] + case["nonce"]))
        with randomness._test_source(source.read):
            sealed = priv.to_bytes(bytes.fromhex(case["password"]))
        assert sealed.hex() == case["bytes"]

    @every_key
    def test_the_password_opens_these_bytes(self, case: dict[str, Any]) -> None:
        priv = PrivateKey.from_bytes(
            bytes.fromhex(case["bytes"]),
            bytes.fromhex(case["password"]),
            insecure=case["bits"] < 2048,
        )
        assert priv.to_bytes().hex() == case["private_bytes"]

    @each(SEALED["bad"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        data, password = bytes.fromhex(case["bytes"]), bytes.fromhex(case["password"])
        with raises(case["error"]):
            PrivateKey.from_bytes(data, password, insecure=True)

    @every_key
    def test_bytes_that_are_sealed_ask_for_the_password(self, case: dict[str, Any]) -> None:
        with pytest.raises(DeserializationError, match="pass its password"):
            PrivateKey.from_bytes(bytes.fromhex(case["bytes"]), insecure=True)
