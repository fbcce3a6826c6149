"""Altered bytes are refused by a documented error, or are exactly the bytes of something else.

The same parsers run under coverage-guided fuzzing in ``tests/fuzz``.
"""

import runpy
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

CATALOGUE = runpy.run_path(str(Path(__file__).parents[1] / "fuzz" / "parsers.py"))
PARSERS = CATALOGUE["parsers"]()
HEADER = 14
# What is allocated whatever the bytes state: errors, exact integers, headers of arrays.
LEAST_MEMORY = 1 << 18
MEMORY_PER_BYTE = 32

STATED = [0, 1, 2, 3, 32, 33, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
Edit = tuple[str, int, int, bytes]
edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "delete", "truncate", "state", "copy", "swap"]),
        st.integers(0, 2**16),
        st.integers(0, 2**16),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from(STATED).map(lambda n: n.to_bytes(8, "little")),
    ),
    min_size=1,
    max_size=3,
)


def altered(data: bytes, edit: Edit) -> bytes:
    name, first, second, inserted = edit
    at = first % (len(data) + 1)
    length = second % 40
    before, taken, after = data[:at], data[at : at + length], data[at + length :]
    match name:
        case "flip":
            place = first % max(len(data), 1)
            flipped = bytes([byte ^ (1 << second % 8) for byte in data[place : place + 1]])
            return data[:place] + flipped + data[place + 1 :]
        case "insert":
            return before + inserted + taken + after
        case "delete":
            return before + after
        case "truncate":
            return before
        case "state":
            return before + inserted + data[at + len(inserted) :]
        case "copy":
            return before + taken + taken + after
        case _:
            return before + taken[::-1] + after


def with_stated_length(data: bytes) -> bytes:
    """The same body behind a header that states its length, so that its fields are looked at."""
    body = data[HEADER:]
    return data[: HEADER - 8] + len(body).to_bytes(8, "little") + body


def memory_to_read(parser: Any, data: bytes) -> int:
    tracemalloc.start()
    try:
        parser.accepts(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def messages() -> list[Any]:
    return [CATALOGUE["decode"](seed, CATALOGUE["MESSAGES"]) for seed in PARSERS["message"].seeds]


def test_every_class_of_messages_is_among_the_bytes_to_start_from() -> None:
    assert {type(message) for message in messages()} == set(CATALOGUE["MESSAGES"])


def test_the_digest_that_reading_keeps_is_the_one_that_writing_gives() -> None:
    for message in messages():
        assert "digest" in vars(message)
        assert message.digest == replace(message).digest


@pytest.mark.parametrize("name", PARSERS)
def test_the_bytes_to_start_from_are_read(name: str) -> None:
    assert all(PARSERS[name].accepts(seed) for seed in PARSERS[name].seeds)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_altered_bytes_are_refused_or_are_those_of_something_else(name: str, data: Any) -> None:
    parser = PARSERS[name]
    message = data.draw(st.sampled_from(parser.seeds))
    for edit in data.draw(edits):
        message = altered(message, edit)
    if data.draw(st.booleans()):
        message = with_stated_length(message)
    allowed = LEAST_MEMORY + MEMORY_PER_BYTE * len(message)
    assert memory_to_read(parser, message) <= allowed


@pytest.mark.parametrize("name", PARSERS)
def test_every_field_may_state_any_size(name: str) -> None:
    parser = PARSERS[name]
    message = parser.seeds[0]
    for at in range(HEADER, min(len(message), HEADER + 160)):
        for stated in STATED:
            edited = message[:at] + stated.to_bytes(8, "little") + message[at + 8 :]
            parser.accepts(with_stated_length(edited))


@pytest.mark.parametrize("name", PARSERS)
def test_every_truncation_is_refused(name: str) -> None:
    parser = PARSERS[name]
    for seed in parser.seeds:
        for end in range(0, len(seed), -(-len(seed) // 400)):
            assert not parser.accepts(seed[:end])
            if end > HEADER:
                assert not parser.accepts(with_stated_length(seed[:end]))


def planted(data: bytes) -> bytes:
    """A parser that forgets what its bytes said, and the length of a field."""
    return data[:HEADER] + bytes([data[HEADER] & 0x7F]) + data[HEADER + 1 :]


def test_planted_faults_of_a_parser_are_found() -> None:
    parser = CATALOGUE["Parser"](planted, (ValueError,), ())
    assert parser.accepts(bytes(20))
    with pytest.raises(AssertionError, match="is written as"):
        parser.accepts(b"\xff" * 20)
    with pytest.raises(IndexError):
        parser.accepts(b"short")


def test_a_planted_allocation_is_found() -> None:
    parser = CATALOGUE["Parser"](lambda data: bytes(1 << 22) and data, (), ())
    assert memory_to_read(parser, b"short") > LEAST_MEMORY + MEMORY_PER_BYTE * len(b"short")
