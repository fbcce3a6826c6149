"""The Paillier vectors: good ones give the same bytes, bad ones raise the error they name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veilsum import errors, paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import DeserializationError, InsecureKeyWarning, InvalidKey
from veilsum.paillier import CipherArray, PrivateKey, PublicKey

PATH = Path(__file__).resolve().parents[1] / "vectors" / "v1" / "paillier.json"
VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="ascii"))
ARRAYS = [(key, array) for key in VECTORS["keys"] for array in key["arrays"]]

every_key = pytest.mark.parametrize("key", VECTORS["keys"], ids=lambda key: str(key["bits"]))
every_array = pytest.mark.parametrize(
    ("key", "array"), ARRAYS, ids=[array["name"] for _, array in ARRAYS]
)


def by_name(cases: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[cases], ids=lambda case: case["name"])


def public_key(key: dict[str, Any]) -> PublicKey:
    return PublicKey.from_bytes(bytes.fromhex(key["public_bytes"]), insecure=key["bits"] < 2048)


def private_key(key: dict[str, Any]) -> PrivateKey:
    return PrivateKey.from_bytes(bytes.fromhex(key["private_bytes"]), insecure=key["bits"] < 2048)


def read(key: dict[str, Any], array: dict[str, Any]) -> CipherArray:
    return CipherArray.from_bytes(bytes.fromhex(array["bytes"]), public_key(key))


def ciphertexts(array: CipherArray) -> list[int]:
    rows = array.vector.to_words(1).astype("<u8")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def test_the_vectors_are_of_the_version_that_this_reader_knows() -> None:
    assert VECTORS["version"] == 1
    assert [key["bits"] for key in VECTORS["keys"]] == [1024, 2048]


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
    def test_encrypting_with_these_exponents_gives_these_ciphertexts(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        words = -(-key["bits"] // 128)
        draws = b"".join(e.to_bytes(8 * words, "little") for e in array["exponents"])
        encoding = FixedPoint(scale=array["scale"], bound=array["limit"] / array["scale"])
        values = np.array(array["messages"], object)
        if array["scale"] != 1:
            values = values.astype(np.float64) / array["scale"]
        asked: list[int] = []

        def source(count: int) -> bytes:
            asked.append(count)
            return draws

        with randomness._test_source(source):
            got = public_key(key).encrypt(values, encoding=encoding)
        assert asked == [len(draws)]
        assert ciphertexts(got) == array["ciphertexts"]
        assert got.to_bytes().hex() == array["bytes"]

    @every_array
    def test_these_bytes_decrypt_to_the_messages(
        self, key: dict[str, Any], array: dict[str, Any]
    ) -> None:
        c = read(key, array)
        assert (c.scale, c.limit) == (array["scale"], array["limit"])
        assert ciphertexts(c) == array["ciphertexts"]
        assert c.to_bytes().hex() == array["bytes"]
        expected = [message / array["scale"] for message in array["messages"]]
        if array["scale"] == 1:
            expected = array["messages"]
        assert private_key(key).decrypt(c).tolist() == expected

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
        factors = np.array([factor for factor, _ in array["products"]])[:, np.newaxis]
        together = [number for _, expected in array["products"] for number in expected]
        assert ciphertexts(factors * c) == together

    @by_name("bad_arrays")
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        key = public_key(VECTORS["keys"][0])
        with pytest.raises(getattr(errors, case["error"])) as caught:
            paillier.CipherArray.from_bytes(bytes.fromhex(case["bytes"]), key)
        assert type(caught.value).__name__ == case["error"]
