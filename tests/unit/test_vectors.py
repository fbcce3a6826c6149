"""The versioned vectors: good ones give the same bytes, bad ones raise the error they name."""

import ast
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veilsum import errors, randomness, shamir
from veilsum.errors import BudgetExceeded, DeserializationError
from veilsum.field import PrimeField
from veilsum.shamir import Shares
from veilsum.wire import Kind, Reader, Writer

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def load(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((VECTORS / "v1" / name).read_text(encoding="ascii"))
    assert vectors["version"] == 1
    return vectors


FIELD, SHAMIR, WIRE = load("field.json"), load("shamir.json"), load("wire.json")


def words(numbers: Any) -> Any:
    return np.array(numbers, np.uint64)


def by_name(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def test_generating_the_vectors_again_gives_the_same_bytes(tmp_path: Path) -> None:
    generator = runpy.run_path(str(VECTORS / "generate.py"))
    generator["generate"](tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written.keys() == set(generator["FILES"])
    for name, content in written.items():
        assert content == (VECTORS / "v1" / name).read_bytes(), name


def test_the_oracle_imports_the_standard_library_alone() -> None:
    tree = ast.parse((VECTORS / "generate.py").read_text(encoding="utf-8"))
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    origins = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in plain for alias in node.names}
    names |= {str(node.module) for node in origins}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
    assert names


class TestField:
    every_field = pytest.mark.parametrize("case", FIELD["fields"], ids=lambda c: str(c["modulus"]))

    @every_field
    @pytest.mark.parametrize("operation", ["add", "sub", "mul"])
    def test_binary_operations(self, case: dict[str, Any], operation: str) -> None:
        a, b, expected = words(case[operation]).T
        got = getattr(PrimeField(case["modulus"]), operation)(a, b)
        np.testing.assert_array_equal(got, expected)

    @every_field
    @pytest.mark.parametrize("operation", ["neg", "inverse"])
    def test_unary_operations(self, case: dict[str, Any], operation: str) -> None:
        a, expected = words(case[operation]).T
        got = getattr(PrimeField(case["modulus"]), operation)(a)
        np.testing.assert_array_equal(got, expected)

    @every_field
    def test_power(self, case: dict[str, Any]) -> None:
        field = PrimeField(case["modulus"])
        for base, exponent, expected in case["power"]:
            assert int(field.power(words(base), exponent)) == expected

    @every_field
    def test_matmul(self, case: dict[str, Any]) -> None:
        field = PrimeField(case["modulus"])
        for product in case["matmul"]:
            got = field.matmul(words(product["weights"]), words(product["values"]))
            np.testing.assert_array_equal(got, words(product["product"]))

    @every_field
    def test_residues_and_back(self, case: dict[str, Any]) -> None:
        field = PrimeField(case["modulus"])
        integers = np.array([integer for integer, _ in case["residues"]], np.int64)
        residues = words([residue for _, residue in case["residues"]])
        np.testing.assert_array_equal(field.residues(integers), residues)
        np.testing.assert_array_equal(field.centre(residues), integers)

    @by_name(FIELD["bad_moduli"])
    def test_bad_moduli_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"modulus: got .* expected an odd prime"):
            PrimeField(case["modulus"])

    @pytest.mark.parametrize("case", FIELD["bad_elements"], ids=str)
    def test_elements_outside_the_field_are_refused(self, case: dict[str, Any]) -> None:
        field = PrimeField(case["modulus"])
        with pytest.raises(ValueError, match="a: 1 of 2 numbers are not in range"):
            field.add([0, case["element"]], 0)

    @pytest.mark.parametrize("case", FIELD["bad_integers"], ids=str)
    def test_integers_beyond_the_limit_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(BudgetExceeded, match="integers: 1 of 1"):
            PrimeField(case["modulus"]).residues([case["integer"]])


class TestShamir:
    @by_name(SHAMIR["good"])
    def test_dealing_with_these_coefficients_gives_these_shares(self, case: dict[str, Any]) -> None:
        draws = words(case["coefficients"]).astype("<u8").tobytes()
        draws += case["dealing"].to_bytes(16, "little")
        with randomness._test_source(io.BytesIO(draws).read):
            shares = shamir.split(
                np.array(case["secret"], case["dtype"]),
                shares=case["shares"],
                threshold=case["threshold"],
                field=PrimeField(case["modulus"]),
                bound=case["bound"],
            )
        np.testing.assert_array_equal(shares.values, words(case["values"]))
        np.testing.assert_array_equal(shares.points, case["points"])
        assert shares.to_bytes().hex() == case["bytes"]

    @by_name(SHAMIR["good"])
    @pytest.mark.parametrize("method", ["lagrange", "newton"])
    def test_these_bytes_rebuild_the_secret(self, case: dict[str, Any], method: Any) -> None:
        shares = Shares.from_bytes(bytes.fromhex(case["bytes"]))
        for chosen in (shares, shares[: case["threshold"]], shares[-case["threshold"] :]):
            secret = shamir.reconstruct(chosen, method=method)
            assert secret.dtype.name == case["dtype"]
            np.testing.assert_array_equal(secret, np.array(case["secret"], case["dtype"]))

    @by_name(SHAMIR["bad_shares"])
    @pytest.mark.parametrize("method", ["lagrange", "newton"])
    def test_bad_shares_are_refused(self, case: dict[str, Any], method: Any) -> None:
        with pytest.raises(getattr(errors, case["error"])) as caught:
            shamir.reconstruct(
                Shares(
                    values=words(case["values"]).reshape(len(case["points"]), 1),
                    points=words(case["points"]),
                    threshold=case["threshold"],
                    shares=case["shares"],
                    field=PrimeField(case["modulus"]),
                    dtype=np.dtype(np.int64),
                    bound=case["bound"],
                    dealing=1,
                ),
                method=method,
            )
        assert type(caught.value).__name__ == case["error"]

    @by_name(SHAMIR["bad_bytes"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        with pytest.raises(getattr(errors, case["error"])) as caught:
            Shares.from_bytes(bytes.fromhex(case["bytes"]))
        assert type(caught.value).__name__ == case["error"]


class TestWire:
    @pytest.mark.parametrize("case", WIRE["good"])
    def test_writing_these_fields_gives_these_bytes(self, case: dict[str, Any]) -> None:
        writer = Writer(Kind(case["kind"]))
        for name, value in case["fields"]:
            getattr(writer, name)(native(name, value))
        assert writer.finish().hex() == case["bytes"]

    @pytest.mark.parametrize("case", WIRE["good"])
    def test_reading_these_bytes_gives_these_fields(self, case: dict[str, Any]) -> None:
        reader = Reader(bytes.fromhex(case["bytes"]), Kind(case["kind"]))
        for name, value in case["fields"]:
            expected = native(name, value)
            if name == "array":
                got = reader.array(expected.dtype)
                np.testing.assert_array_equal(got, expected, strict=True)
            else:
                got = getattr(reader, name)()
                assert repr(got) == repr(expected)
        reader.finish()

    @by_name(WIRE["bad"])
    def test_bad_bytes_are_refused(self, case: dict[str, Any]) -> None:
        def read() -> None:
            reader = Reader(bytes.fromhex(case["bytes"]), Kind.MESSAGE)
            arguments = (np.uint64,) if case["field"] == "array" else ()
            getattr(reader, case["field"])(*arguments, **case["caps"])
            reader.finish()

        with pytest.raises(DeserializationError):
            read()


def native(name: str, value: Any) -> Any:
    if name == "blob":
        return bytes.fromhex(value)
    if name == "shape":
        return tuple(value)
    if name == "array":
        dtype, shape, elements = value
        return np.array(elements, dtype).reshape(shape)
    return value
