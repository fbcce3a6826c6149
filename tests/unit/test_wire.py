"""The wire format: what writers refuse, and that caps act before memory is taken."""

import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from veilsum import wire
from veilsum.errors import DeserializationError
from veilsum.wire import Kind, Reader, Writer, length_prefixed


def message(*fields: tuple[str, Any]) -> bytes:
    writer = Writer(Kind.MESSAGE)
    for name, value in fields:
        getattr(writer, name)(value)
    return writer.finish()


def test_the_header_is_magic_version_kind_and_length() -> None:
    assert message(("u8", 9)) == b"VSUM\x01\x05\x01\x00\x00\x00\x00\x00\x00\x00\x09"


def test_kinds_keep_their_numbers() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        "PUBLIC_KEY": 1,
        "PRIVATE_KEY": 2,
        "CIPHER_ARRAY": 3,
        "SHARES": 4,
        "MESSAGE": 5,
        "PACKED_ARRAY": 6,
        "KEY_CERTIFICATE": 7,
        "PLAINTEXT_PROOF": 8,
        "PRIVATE_KEY_ENCRYPTED": 9,
        "VERIFIABLE_COMMITMENT": 10,
        "VERIFIABLE_SHARE": 11,
        "SIGNED_SHARE": 12,
        "SUM_COMMITMENT": 13,
        "SUM_OPENING": 14,
        "ANSWERS": 15,
        "MASKED_SHARES": 16,
        "THRESHOLD_KEY": 17,
        "KEY_SHARE": 18,
        "DECRYPTION_SHARE": 19,
        "IDENTITY": 21,
        "DIRECTORY": 22,
        "SESSION": 23,
        "SUSPENDED": 24,
    }


def test_an_unknown_kind_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="99 is not a valid Kind"):
        Writer(99)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "stated"),
    [
        ("u8", 256, "does not fit u8"),
        ("u8", -1, "does not fit u8"),
        ("u32", 2**32, "does not fit u32"),
        ("u64", 2**64, "does not fit u64"),
        ("u64", -1, "does not fit u64"),
        ("i64", 2**63, "does not fit i64"),
        ("i64", -(2**63) - 1, "does not fit i64"),
        ("float64", float("nan"), "NaN or an infinity"),
        ("float64", float("inf"), "NaN or an infinity"),
        ("shape", (1,) * 33, "got 33 axes"),
        ("shape", (-1,), "does not fit u64"),
    ],
)
def test_values_out_of_range_cannot_be_written(name: str, value: Any, stated: str) -> None:
    with pytest.raises(ValueError, match=stated):
        message((name, value))


def test_integers_above_their_cap_cannot_be_written() -> None:
    largest = (1 << 8 * wire.MAX_INTEGER_BYTES) - 1
    assert Reader(message(("integer", -largest)), Kind.MESSAGE).integer() == -largest
    with pytest.raises(ValueError, match="value: got 8193 bytes, expected at most 8192"):
        message(("integer", largest + 1))


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool", "object", "complex128"])
def test_arrays_of_another_dtype_cannot_be_written(dtype: str) -> None:
    with pytest.raises(TypeError, match="value: got dtype"):
        message(("array", np.zeros(2, dtype)))


def test_a_body_above_its_cap_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 10)
    message(("blob", b"ab"))
    with pytest.raises(ValueError, match="body: got 11 bytes, expected at most 10"):
        message(("blob", b"abc"))


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(">i8")]
)
def test_arrays_of_any_layout_are_written_in_c_order(layout: Callable[[Any], Any]) -> None:
    array = layout(np.arange(-3, 3).reshape(2, 3))
    reader = Reader(message(("array", array)), Kind.MESSAGE)
    np.testing.assert_array_equal(reader.array(np.int64), array)


def test_arrays_are_read_into_new_writable_memory() -> None:
    data = bytearray(message(("array", np.arange(4, dtype=np.uint64))))
    array = Reader(data, Kind.MESSAGE).array(np.uint64)
    array[0] = 7
    data[-32:] = bytes(32)
    assert array.tolist() == [7, 1, 2, 3]


def test_a_view_is_read_where_it_lies_and_cannot_be_written() -> None:
    data = bytearray(message(("u8", 1), ("array", np.arange(4, dtype=np.uint32))))
    reader = Reader(data, Kind.MESSAGE)
    reader.u8()
    view = reader.view(np.uint32)
    reader.finish()
    assert view.dtype == np.uint32
    assert view.tolist() == [0, 1, 2, 3]
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 7
    data[-1] = 1
    assert view.tolist() == [0, 1, 2, 3 + 2**24]


def test_a_view_is_capped_as_an_array_is() -> None:
    data = message(("array", np.arange(4, dtype=np.uint32)))
    for read in (Reader.view, Reader.array):
        with pytest.raises(DeserializationError, match="number of elements: got 4"):
            read(Reader(data, Kind.MESSAGE), np.uint32, max_size=3)
        with pytest.raises(DeserializationError, match="number of axes: got 1"):
            read(Reader(data, Kind.MESSAGE), np.uint32, max_axes=0)
        with pytest.raises(DeserializationError, match="dtype code 4, expected uint64"):
            read(Reader(data, Kind.MESSAGE), np.uint64)


def test_an_array_of_uint32_takes_four_bytes_an_element() -> None:
    lengths = [len(message(("array", np.zeros(count, np.uint32)))) for count in (0, 1, 1000)]
    assert lengths[1] - lengths[0] == 4
    assert lengths[2] - lengths[0] == 4000


def test_a_digest_is_the_sha256_of_the_fields_so_far() -> None:
    writer = Writer(Kind.MESSAGE)
    assert writer.digest() == hashlib.sha256(b"").digest()
    writer.text("holder-2")
    writer.array(np.arange(3, dtype=np.int64))
    first = writer.digest()
    body = writer.finish()[14:]
    assert first == hashlib.sha256(body).digest()
    writer.u8(9)
    assert writer.digest() == hashlib.sha256(body + b"\x09").digest()
    reader = Reader(writer.finish(), Kind.MESSAGE)
    reader.text()
    reader.array(np.int64)
    assert reader.digest() == first
    reader.u8()
    assert reader.digest() == writer.digest()


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_any_buffer_of_bytes_can_be_read(container: Callable[[bytes], Any]) -> None:
    assert Reader(container(message(("text", "abc"))), Kind.MESSAGE).text() == "abc"


def test_what_is_no_buffer_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Reader("VSUM", Kind.MESSAGE)  # type: ignore[arg-type]


def test_the_reader_can_lower_the_cap_of_the_body() -> None:
    data = message(("blob", b"abc"))
    Reader(data, Kind.MESSAGE, max_bytes=11).blob()
    with pytest.raises(DeserializationError, match="body length: got 11, expected at most 10"):
        Reader(data, Kind.MESSAGE, max_bytes=10)


@pytest.mark.parametrize(
    ("name", "arguments", "body"),
    [
        ("blob", (), (2**30).to_bytes(8, "little")),
        ("text", (), (2**16).to_bytes(8, "little")),
        ("integer", (), b"\x00" + (2**13).to_bytes(4, "little")),
        ("array", (np.uint64,), b"\x02\x01" + (2**30).to_bytes(8, "little")),
        ("array", (np.uint64,), b"\x02\x01" + (2**60).to_bytes(8, "little")),
    ],
)
def test_lengths_are_checked_before_memory_is_taken(
    name: str, arguments: tuple[Any, ...], body: bytes
) -> None:
    header = b"VSUM\x01\x05" + len(body).to_bytes(8, "little")
    reader = Reader(header + body, Kind.MESSAGE)
    tracemalloc.start()
    with pytest.raises(DeserializationError):
        getattr(reader, name)(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_zeros_of_both_signs_are_two_values() -> None:
    positive, negative = (message(("float64", zero)) for zero in (0.0, -0.0))
    assert positive != negative
    assert [str(Reader(data, Kind.MESSAGE).float64()) for data in (positive, negative)] == [
        "0.0",
        "-0.0",
    ]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("integer", b"\x00\x02\x00\x00\x00\x07\x00"),
        ("integer", b"\x01\x00\x00\x00\x00"),
        ("integer", b"\x02\x01\x00\x00\x00\x07"),
        ("text", b"\x02" + bytes(7) + b"\xc1\xa1"),
        ("text", b"\x03" + bytes(7) + b"\xed\xa0\x80"),
    ],
)
def test_a_second_encoding_of_a_value_is_refused(name: str, body: bytes) -> None:
    header = b"VSUM\x01\x05" + len(body).to_bytes(8, "little")
    with pytest.raises(DeserializationError, match=r"integer|u8|text"):
        getattr(Reader(header + body, Kind.MESSAGE), name)()


def test_errors_say_what_was_got_and_what_is_allowed() -> None:
    data = bytearray(message(("u8", 1)))
    data[4] = 9
    with pytest.raises(DeserializationError, match="version: got 9, expected 1"):
        Reader(bytes(data), Kind.MESSAGE)
    with pytest.raises(
        DeserializationError, match=r"kind: got 5 \(MESSAGE\), expected 4 \(SHARES\)"
    ):
        Reader(message(), Kind.SHARES)
    with pytest.raises(DeserializationError, match="body: got 2 bytes after its last field"):
        Reader(message(("u8", 1), ("u8", 1)), Kind.MESSAGE).finish()


def test_length_prefixed_parts_cannot_be_shifted() -> None:
    assert length_prefixed() == b""
    assert length_prefixed(b"ab") == b"\x02\x00\x00\x00\x00\x00\x00\x00ab"
    joined = {
        length_prefixed(b"ab", b"c"),
        length_prefixed(b"a", b"bc"),
        length_prefixed(b"abc"),
        length_prefixed(b"abc", b""),
        length_prefixed(b"", b"abc"),
    }
    assert len(joined) == 5
