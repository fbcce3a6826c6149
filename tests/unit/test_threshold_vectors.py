"""The vectors of shared keys: their bytes are read and written again, and answers are the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from veilsum import randomness
from veilsum.paillier import CipherArray, DecryptionShare, KeyShare, ThresholdKey
from veilsum.paillier.limbs import from_words

PATH = Path(__file__).resolve().parents[1] / "vectors" / "v1" / "threshold.json"
VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="ascii"))

every_key = pytest.mark.parametrize("case", VECTORS["keys"])


def hexed(case: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(case[name])


def threshold_key(case: dict[str, Any]) -> ThresholdKey:
    return ThresholdKey.from_bytes(hexed(case, "bytes"), insecure=True)


def test_the_vectors_are_of_the_version_that_this_reader_knows() -> None:
    assert VECTORS["version"] == 1


@every_key
def test_these_bytes_are_the_key(case: dict[str, Any]) -> None:
    key = threshold_key(case)
    assert key.to_bytes().hex() == case["bytes"]
    assert key.fingerprint.hex() == case["fingerprint"]
    assert (key.threshold, key.holders) == (case["threshold"], len(case["exponents"]))


@every_key
def test_these_bytes_are_the_key_shares(case: dict[str, Any]) -> None:
    key = threshold_key(case)
    for place, (exponent, data) in enumerate(
        zip(case["exponents"], case["key_shares"], strict=True), 1
    ):
        share = KeyShare.from_bytes(bytes.fromhex(data), key)
        assert share.to_bytes().hex() == data
        assert (share.holder, from_words(share._exponent)) == (place, exponent)


@every_key
def test_a_holder_with_these_draws_answers_with_these_bytes(case: dict[str, Any]) -> None:
    key = threshold_key(case)
    asked = CipherArray.from_bytes(hexed(case, "array"), key.public_key)
    for data, answer in zip(case["key_shares"], case["answers"], strict=True):
        share = KeyShare.from_bytes(bytes.fromhex(data), key)
        with randomness._test_source(lambda count, y=answer["y"]: y.to_bytes(count, "little")):
            made = share.decrypt(asked, context=hexed(case, "context"))
        assert [from_words(row) for row in made._vector.to_words(1)] == answer["shares"]
        assert made.to_bytes().hex() == answer["bytes"]


@every_key
def test_these_answers_open_to_the_messages(case: dict[str, Any]) -> None:
    key = threshold_key(case)
    asked = CipherArray.from_bytes(hexed(case, "array"), key.public_key)
    answers = [DecryptionShare.from_bytes(hexed(each, "bytes"), key) for each in case["answers"]]
    for few in (answers[: key.threshold], answers[-key.threshold :], answers):
        values, liars = key.combine(asked, few, context=hexed(case, "context"))
        assert values.tolist() == case["messages"]
        assert liars == ()
