"""Laws of the wire format: what was written is read, and no other bytes are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from veilsum.errors import DeserializationError
from veilsum.wire import Kind, Reader, Writer, length_prefixed

STEADY = settings(deadline=None, derandomize=True)

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = st.sampled_from(["uint8", "uint32", "uint64", "int64"]).flatmap(
    lambda dtype: hnp.arrays(dtype, shapes)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "u8": st.integers(0, 2**8 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "integer": st.integers() | st.integers(-(2**200), 2**200),
    "blob": st.binary(max_size=40),
    "text": st.text("a \0\x7f\u00e9\u2260\U0001f511", max_size=9),
    "shape": shapes,
    "array": arrays,
}
Fields = list[tuple[str, Any]]
field_lists = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda name: VALUES[name].map(lambda value: (name, value))
    ),
    max_size=6,
)
kinds = st.sampled_from(Kind)


def write(kind: Kind, fields: Fields) -> bytes:
    writer = Writer(kind)
    for name, value in fields:
        getattr(writer, name)(value)
    return writer.finish()


def read(data: bytes, kind: Kind, fields: Fields) -> Fields:
    """Read fields of the same names and, for arrays, dtypes."""
    reader = Reader(data, kind)
    got = []
    for name, value in fields:
        arguments = (value.dtype,) if name == "array" else ()
        got.append((name, getattr(reader, name)(*arguments)))
    reader.finish()
    return got


@STEADY
@given(kinds, field_lists)
def test_what_was_written_is_read(kind: Kind, fields: Fields) -> None:
    for (_, got), (name, value) in zip(
        read(write(kind, fields), kind, fields), fields, strict=True
    ):
        if name == "array":
            np.testing.assert_array_equal(got, value, strict=True)
        else:
            assert repr(got) == repr(value)


@STEADY
@given(kinds, field_lists, st.data())
def test_every_truncation_is_refused(kind: Kind, fields: Fields, data: Any) -> None:
    message = write(kind, fields)
    with pytest.raises(DeserializationError):
        read(message[: data.draw(st.integers(0, len(message) - 1))], kind, fields)


@STEADY
@given(kinds, field_lists, st.binary(min_size=1, max_size=9))
def test_trailing_bytes_are_refused(kind: Kind, fields: Fields, extra: bytes) -> None:
    message = write(kind, fields)
    with pytest.raises(DeserializationError, match="the header states"):
        read(message + extra, kind, fields)
    longer = write(kind, fields)[14:] + extra
    with pytest.raises(DeserializationError, match="after its last field"):
        read(message[:6] + len(longer).to_bytes(8, "little") + longer, kind, fields)


@STEADY
@given(kinds, kinds, field_lists)
def test_another_kind_is_refused(kind: Kind, other: Kind, fields: Fields) -> None:
    assume(kind != other)
    with pytest.raises(DeserializationError, match="kind: got"):
        read(write(kind, fields), other, fields)


@STEADY
@given(kinds, field_lists, st.data())
def test_altered_bytes_give_an_error_or_another_message(
    kind: Kind, fields: Fields, data: Any
) -> None:
    message = bytearray(write(kind, fields))
    position = data.draw(st.integers(0, len(message) - 1))
    message[position] ^= data.draw(st.integers(1, 255))
    try:
        got = read(bytes(message), kind, fields)
    except DeserializationError:
        return
    assert write(kind, got) == message


@STEADY
@given(st.binary(max_size=60), st.sampled_from(sorted(VALUES)))
def test_hostile_bodies_read_back_to_themselves_or_are_refused(body: bytes, name: str) -> None:
    message = b"VSUM\x01\x05" + len(body).to_bytes(8, "little") + body
    reader = Reader(message, Kind.MESSAGE)
    try:
        value = reader.array(np.uint64) if name == "array" else getattr(reader, name)()
        reader.finish()
    except DeserializationError:
        return
    assert write(Kind.MESSAGE, [(name, value)]) == message


@STEADY
@given(st.binary(max_size=40))
def test_hostile_headers_are_refused(data: bytes) -> None:
    assume(not data.startswith(b"VSUM"))
    with pytest.raises(DeserializationError):
        Reader(data, Kind.MESSAGE)


parts = st.lists(st.binary(max_size=12), max_size=4)


@STEADY
@given(parts, parts)
def test_length_prefixing_tells_lists_of_parts_apart(left: list[bytes], right: list[bytes]) -> None:
    assert (length_prefixed(*left) == length_prefixed(*right)) == (left == right)
