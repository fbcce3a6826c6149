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
from veilsum.field import PrimeField, WideField
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


def field_of(modulus: int) -> PrimeField | WideField:
    return PrimeField(modulus) if modulus < 2**64 else WideField(modulus)


def transform_name(case: dict[str, Any]) -> str:
    return f"{case['modulus']}-{len(case['values'])}"


def by_name(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


METHODS = {
    "integers": ("auto", "lagrange", "newton"),
    "roots": ("auto", "lagrange", "newton", "fft"),
    "additive": ("auto", "lagrange"),
}


def by_method(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Every case with every method of its layout."""
    pairs = [(case, method) for case in cases for method in METHODS[case["layout"]]]
    names = [f"{case['name']}-{method}" for case, method in pairs]
    return pytest.mark.parametrize(("case", "method"), pairs, ids=names)


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

    @pytest.mark.parametrize("case", FIELD["transforms"], ids=transform_name)
    def test_transforms(self, case: dict[str, Any]) -> None:
        field = field_of(case["modulus"])
        coefficients = field.from_integers(case["coefficients"])
        values = field.from_integers(case["values"])
        np.testing.assert_array_equal(field.ntt(coefficients), values)
        np.testing.assert_array_equal(field.intt(values), coefficients)
        if isinstance(field, PrimeField):
            assert field.root(len(values)) == case["root"]

    @pytest.mark.parametrize("case", FIELD["polynomials"], ids=transform_name)
    def test_polynomials(self, case: dict[str, Any]) -> None:
        field = field_of(case["modulus"])
        points, coefficients, values = (
            field.from_integers(case[name]) for name in ("points", "coefficients", "values")
        )
        np.testing.assert_array_equal(field.evaluate(coefficients, points), values)
        np.testing.assert_array_equal(field.interpolate(points, values), coefficients)

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
    def test_dealing_with_these_draws_gives_these_shares(self, case: dict[str, Any]) -> None:
        draws = words(case["draws"]).astype("<u8").tobytes()
        draws += case["dealing"].to_bytes(16, "little")
        source = io.BytesIO(draws)
        with randomness._test_source(source.read):
            shares = deal(case)
        assert not source.read()
        np.testing.assert_array_equal(shares.rows, rows(case))
        np.testing.assert_array_equal(shares.points, case["points"])
        assert shares.to_bytes().hex() == case["bytes"]

    @by_method(SHAMIR["good"])
    def test_these_bytes_rebuild_the_secret(self, case: dict[str, Any], method: Any) -> None:
        shares = Shares.from_bytes(bytes.fromhex(case["bytes"]))
        expected = np.array(case["secret"], case["dtype"]).reshape(case["extents"])
        for chosen in (shares, shares[: case["threshold"]], shares[-case["threshold"] :]):
            secret = shamir.reconstruct(chosen, method=method)
            np.testing.assert_array_equal(secret, expected, strict=True)

    @by_method(SHAMIR["bad_shares"])
    def test_bad_shares_are_refused(self, case: dict[str, Any], method: Any) -> None:
        with pytest.raises(getattr(errors, case["error"])) as caught:
            shamir.reconstruct(
                Shares(
                    values=rows(case),
                    points=words(case["points"]),
                    threshold=case["threshold"],
                    shares=case["shares"],
                    shape=tuple(case["extents"]),
                    layout=case["layout"],
                    packed=case["packed"],
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


def deal(case: dict[str, Any]) -> Shares:
    secret = np.array(case["secret"], case["dtype"]).reshape(case["extents"])
    field, bound = PrimeField(case["modulus"]), case["bound"]
    if case["layout"] == "additive":
        return shamir.split_additive(secret, shares=case["shares"], field=field, bound=bound)
    return shamir.split(
        secret,
        shares=case["shares"],
        threshold=case["threshold"],
        packed=case["packed"],
        points=case["layout"],
        field=field,
        bound=bound,
    )


def rows(case: dict[str, Any]) -> Any:
    """One row a holder, one column a polynomial."""
    columns = len(case["values"][0]) if case["values"] else 1
    return words(case["values"]).reshape(len(case["points"]), columns)


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
