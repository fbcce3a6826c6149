"""The vectors of certificates and proofs: good ones give the same bytes, bad ones are refused."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veilsum import randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import DeserializationError, InvalidKey, ProtocolError
from veilsum.paillier import (
    CipherArray,
    KeyCertificate,
    PlaintextProof,
    PrivateKey,
    PublicKey,
    certify,
    encrypt_with_proof,
)

PATH = Path(__file__).resolve().parents[1] / "vectors" / "v1" / "proofs.json"
VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="ascii"))


def each(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def hexed(case: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(case[name])


def public_key(case: dict[str, Any]) -> PublicKey:
    return PublicKey.from_bytes(hexed(case, "public_bytes"), insecure=case["bits"] < 2048)


def test_the_vectors_are_of_the_version_that_this_reader_knows() -> None:
    assert VECTORS["version"] == 1


class TestCertificates:
    every_certificate = pytest.mark.parametrize("case", VECTORS["certificates"])

    @every_certificate
    def test_certifying_this_key_gives_these_bytes(self, case: dict[str, Any]) -> None:
        priv = PrivateKey.from_bytes(hexed(case, "private_bytes"), insecure=case["bits"] < 2048)
        certificate = certify(priv, context=hexed(case, "context"))
        assert certificate.to_bytes().hex() == case["bytes"]

    @every_certificate
    def test_these_bytes_certify_the_key(self, case: dict[str, Any]) -> None:
        certificate = KeyCertificate.from_bytes(hexed(case, "bytes"))
        certificate.verify(public_key(case), context=hexed(case, "context"))
        with pytest.raises(InvalidKey, match="another key or context"):
            certificate.verify(public_key(case), context=b"somewhere else")

    @each(VECTORS["bad_keys"])
    def test_a_modulus_that_is_no_key_gets_no_certificate(self, case: dict[str, Any]) -> None:
        key = PublicKey(case["n"], case["h"], insecure=True)
        with pytest.raises(InvalidKey, match=f"its {case['says']} do not fit"):
            KeyCertificate.from_bytes(hexed(case, "bytes")).verify(
                key, context=hexed(case, "context")
            )

    @each(VECTORS["bad_certificates"]["changes"])
    def test_another_number_in_the_place_of_a_root_is_refused(self, case: dict[str, Any]) -> None:
        whole = VECTORS["bad_certificates"]
        good = KeyCertificate.from_bytes(hexed(whole, "bytes"))
        roots = [*good.nth_roots, *good.fourth_roots]
        assert roots[case["at"]] != case["number"]
        roots[case["at"]] = case["number"]
        with pytest.raises(InvalidKey, match="certificate: "):
            KeyCertificate(tuple(roots[:7]), tuple(roots[7:])).verify(public_key(whole))

    @each(VECTORS["bad_certificate_bytes"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(DeserializationError):
            KeyCertificate.from_bytes(hexed(case, "bytes"))


class TestProofs:
    @each(VECTORS["proofs"])
    def test_proving_with_these_draws_gives_these_bytes(self, case: dict[str, Any]) -> None:
        bits, scale = case["bits"], case["scale"]
        values = np.array(case["messages"], object)
        if scale != 1:
            values = values.astype(np.float64) / scale
        draws = b"".join(x.to_bytes(bits // 16, "little") for x in case["exponents"])
        # What is drawn beyond the length of a mask is not used.
        draws += case["a"].to_bytes(bits // 8 + 16, "little") + b"\xff" * 16
        draws += case["y"].to_bytes(bits // 16 + 40, "little") + b"\xff" * 8
        source = io.BytesIO(draws)
        with randomness._test_source(source.read):
            ciphertexts, proof = encrypt_with_proof(
                public_key(case),
                values,
                context=hexed(case, "context"),
                encoding=FixedPoint(scale=scale, bound=case["limit"] / scale),
            )
        assert source.read() == b""
        assert ciphertexts.to_bytes().hex() == case["array"]
        assert proof.to_bytes().hex() == case["bytes"]

    @each(VECTORS["proofs"])
    def test_these_bytes_prove_these_ciphertexts(self, case: dict[str, Any]) -> None:
        ciphertexts = CipherArray.from_bytes(hexed(case, "array"), public_key(case))
        proof = PlaintextProof.from_bytes(hexed(case, "bytes"))
        assert [
            proof.commitment,
            proof.plaintext_response,
            proof.randomness_response,
        ] == case["numbers"]
        proof.verify(ciphertexts, context=hexed(case, "context"))

    @each(VECTORS["bad_proofs"])
    def test_bad_proofs_are_refused(self, case: dict[str, Any]) -> None:
        key = public_key(VECTORS["proofs"][0])
        ciphertexts = CipherArray.from_bytes(hexed(case, "array"), key)
        with pytest.raises((ProtocolError, DeserializationError), match=r"proof: |integer: "):
            PlaintextProof.from_bytes(hexed(case, "bytes")).verify(
                ciphertexts, context=hexed(case, "context")
            )

    @each(VECTORS["bad_proof_bytes"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(DeserializationError):
            PlaintextProof.from_bytes(hexed(case, "bytes"))
