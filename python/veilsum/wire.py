"""The one binary format: a header, then a body of typed fields.

Layout, all integers little-endian::

    magic    4 bytes  b"VSUM"
    version  u8       1
    kind     u8       see `Kind`
    length   u64      of the body, which ends the message
    body     length bytes

    u8, u32, u64, i64   1, 4, 8, 8 bytes
    float64             8 bytes, IEEE 754, finite
    blob                u64 length, bytes
    text                blob of UTF-8
    integer             u8 sign (1: negative), u32 length, magnitude without leading zero bytes
    shape               u8 number of axes, u64 for each
    array               u8 dtype (1: uint8, 2: uint64, 3: int64, 4: uint32), shape, elements as in C

Each value has one encoding, and a reader refuses every other; 0.0 and -0.0 are two values. Lengths
are compared with a cap and with what is left of the message before anything is allocated.
"""

import hashlib
import math
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from veilsum.errors import DeserializationError

__all__ = [
    "MAGIC",
    "MAX_AXES",
    "MAX_BLOB_BYTES",
    "MAX_BODY_BYTES",
    "MAX_ELEMENTS",
    "MAX_INTEGER_BYTES",
    "MAX_TEXT_BYTES",
    "VERSION",
    "Kind",
    "Reader",
    "Writer",
    "length_prefixed",
]

MAGIC = b"VSUM"
VERSION = 1
MAX_BODY_BYTES = 1 << 34
MAX_BLOB_BYTES = 1 << 34
MAX_TEXT_BYTES = 1 << 16
MAX_INTEGER_BYTES = 1 << 13
MAX_ELEMENTS = 1 << 31
MAX_AXES = 32

_HEADER = struct.Struct("<4sBBQ")
_FLOAT64 = struct.Struct("<d")
_DTYPE_CODES = {
    np.dtype(np.uint8): 1,
    np.dtype(np.uint64): 2,
    np.dtype(np.int64): 3,
    np.dtype(np.uint32): 4,
}


class Kind(IntEnum):
    """What the body of a message holds."""

    PUBLIC_KEY = 1
    PRIVATE_KEY = 2
    CIPHER_ARRAY = 3
    SHARES = 4
    MESSAGE = 5
    PACKED_ARRAY = 6
    KEY_CERTIFICATE = 7
    PLAINTEXT_PROOF = 8
    PRIVATE_KEY_ENCRYPTED = 9
    VERIFIABLE_COMMITMENT = 10
    VERIFIABLE_SHARE = 11
    SIGNED_SHARE = 12
    SUM_COMMITMENT = 13
    SUM_OPENING = 14
    ANSWERS = 15
    MASKED_SHARES = 16
    THRESHOLD_KEY = 17
    KEY_SHARE = 18
    DECRYPTION_SHARE = 19
    IDENTITY = 21
    DIRECTORY = 22
    SESSION = 23
    SUSPENDED = 24


_KINDS = frozenset(Kind)


class Writer:
    """Writes one message, field by field.

    Parameters
    ----------
    kind : Kind
        What the body holds.

    Examples
    --------
    >>> writer = Writer(Kind.MESSAGE)
    >>> writer.u8(7)
    >>> writer.text("holder-2")
    >>> message = writer.finish()
    >>> reader = Reader(message, Kind.MESSAGE)
    >>> reader.u8(), reader.text()
    (7, 'holder-2')
    >>> reader.finish()
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = Kind(kind)
        self._parts: list[bytes | memoryview] = []

    def u8(self, value: int) -> None:
        """Write an integer of ``range(2**8)``; raises ValueError beyond it."""
        self._fixed(value, 1, signed=False)

    def u32(self, value: int) -> None:
        """Write an integer of ``range(2**32)``; raises ValueError beyond it."""
        self._fixed(value, 4, signed=False)

    def u64(self, value: int) -> None:
        """Write an integer of ``range(2**64)``; raises ValueError beyond it."""
        self._fixed(value, 8, signed=False)

    def i64(self, value: int) -> None:
        """Write an integer of ``range(-2**63, 2**63)``; raises ValueError beyond it."""
        self._fixed(value, 8, signed=True)

    def float64(self, value: float) -> None:
        """Write a finite float; raises ValueError for NaN and infinities."""
        if not math.isfinite(value):
            raise ValueError("value: got NaN or an infinity, expected a finite float")
        self._parts.append(_FLOAT64.pack(value))

    def integer(self, value: int) -> None:
        """Write an integer of any size up to `MAX_INTEGER_BYTES`; raises ValueError beyond it."""
        count = (value.bit_length() + 7) // 8
        if count > MAX_INTEGER_BYTES:
            raise ValueError(f"value: got {count} bytes, expected at most {MAX_INTEGER_BYTES}")
        self.u8(value < 0)
        self.u32(count)
        self._parts.append(abs(value).to_bytes(count, "little"))

    def blob(self, value: bytes) -> None:
        """Write bytes."""
        self.u64(len(value))
        self._parts.append(bytes(value))

    def text(self, value: str) -> None:
        """Write a string."""
        self.blob(value.encode())

    def shape(self, value: Sequence[int]) -> None:
        """Write the shape of an array; raises ValueError beyond `MAX_AXES` axes."""
        if len(value) > MAX_AXES:
            raise ValueError(f"value: got {len(value)} axes, expected at most {MAX_AXES}")
        self.u8(len(value))
        for extent in value:
            self.u64(extent)

    def array(self, value: NDArray[Any]) -> None:
        """Write an array of dtype uint8, uint32, uint64 or int64; raises TypeError for others.

        It is read when the message is finished: until then it must not change.
        """
        code = _DTYPE_CODES.get(value.dtype.newbyteorder("="))
        if code is None:
            raise TypeError(
                f"value: got dtype {value.dtype}, expected {', '.join(map(str, _DTYPE_CODES))}"
            )
        self.u8(code)
        self.shape(value.shape)
        elements = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        self._parts.append(elements.reshape(-1).view(np.uint8).data)

    def digest(self) -> bytes:
        """Hash what was written so far: 32 bytes, as `Reader.digest` of the same fields."""
        hashed = hashlib.sha256()
        for part in self._parts:
            hashed.update(part)
        return hashed.digest()

    def finish(self) -> bytes:
        """Return the message; raises ValueError when its body exceeds `MAX_BODY_BYTES`."""
        length = sum(len(part) for part in self._parts)
        if length > MAX_BODY_BYTES:
            raise ValueError(f"body: got {length} bytes, expected at most {MAX_BODY_BYTES}")
        return b"".join([_HEADER.pack(MAGIC, VERSION, self._kind, length), *self._parts])

    def _fixed(self, value: int, count: int, *, signed: bool) -> None:
        try:
            self._parts.append(int(value).to_bytes(count, "little", signed=signed))
        except OverflowError:
            name = f"{'i' if signed else 'u'}{8 * count}"
            raise ValueError(f"value: got an integer that does not fit {name}") from None


class Reader:
    """Reads one message, field by field, in the order in which it was written.

    Every method raises `DeserializationError` when the bytes are not what it expects.

    Parameters
    ----------
    data : bytes, bytearray or memoryview
        The whole message. It may be hostile.
    kind : Kind
        What the body must hold.
    max_bytes : int
        The longest body accepted.

    Raises
    ------
    DeserializationError
        If the header is truncated, its magic, version or kind is another, or the length that it
        states is above `max_bytes` or is not the length of what follows.
    """

    def __init__(
        self, data: bytes | bytearray | memoryview, kind: Kind, *, max_bytes: int = MAX_BODY_BYTES
    ) -> None:
        view = memoryview(data).cast("B")
        if len(view) < _HEADER.size:
            raise DeserializationError(
                f"header: got {len(view)} bytes, expected at least {_HEADER.size}"
            )
        magic, version, got_kind, length = _HEADER.unpack_from(view)
        if magic != MAGIC:
            raise DeserializationError(f"magic: the message does not begin with {MAGIC!r}")
        if version != VERSION:
            raise DeserializationError(f"version: got {version}, expected {VERSION}")
        if got_kind != kind:
            got_name = f" ({Kind(got_kind).name})" if got_kind in _KINDS else ""
            raise DeserializationError(
                f"kind: got {got_kind}{got_name}, expected {kind:d} ({kind.name})"
            )
        _check_cap("body length", length, max_bytes)
        body = view[_HEADER.size :]
        if len(body) != length:
            raise DeserializationError(f"body: got {len(body)} bytes, the header states {length}")
        self._body = body
        self._at = 0

    def u8(self, *, max_value: int = (1 << 8) - 1) -> int:
        """Read an integer of ``range(2**8)``, at most `max_value`."""
        return self._unsigned(1, max_value)

    def u32(self, *, max_value: int = (1 << 32) - 1) -> int:
        """Read an integer of ``range(2**32)``, at most `max_value`."""
        return self._unsigned(4, max_value)

    def u64(self, *, max_value: int = (1 << 64) - 1) -> int:
        """Read an integer of ``range(2**64)``, at most `max_value`."""
        return self._unsigned(8, max_value)

    def i64(self) -> int:
        """Read an integer of ``range(-2**63, 2**63)``."""
        return int.from_bytes(self._take(8), "little", signed=True)

    def float64(self) -> float:
        """Read a finite float."""
        value: float = _FLOAT64.unpack(self._take(8))[0]
        if not math.isfinite(value):
            raise DeserializationError("float64: got NaN or an infinity, expected a finite float")
        return value

    def integer(self, *, max_bytes: int = MAX_INTEGER_BYTES) -> int:
        """Read an integer whose magnitude has at most `max_bytes` bytes."""
        sign = self.u8(max_value=1)
        count = self.u32()
        _check_cap("integer length", count, max_bytes)
        magnitude = self._take(count)
        if count and magnitude[-1] == 0:
            raise DeserializationError("integer: its magnitude begins with a zero byte")
        if sign and not count:
            raise DeserializationError("integer: got a negative zero")
        value = int.from_bytes(magnitude, "little")
        return -value if sign else value

    def blob(self, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """Read at most `max_bytes` bytes."""
        count = self.u64()
        _check_cap("blob length", count, max_bytes)
        return bytes(self._take(count))

    def exactly(self, count: int) -> bytes:
        """Read a blob of exactly that many bytes."""
        value = self.blob(max_bytes=count)
        if len(value) != count:
            raise DeserializationError(f"blob: got {len(value)} bytes, expected {count}")
        return value

    def text(self, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
        """Read a string of at most `max_bytes` bytes of UTF-8."""
        try:
            return self.blob(max_bytes=max_bytes).decode()
        except UnicodeDecodeError:
            raise DeserializationError("text: the bytes are not UTF-8") from None

    def shape(self, *, max_axes: int = MAX_AXES, max_size: int = MAX_ELEMENTS) -> tuple[int, ...]:
        """Read a shape of at most `max_axes` axes and `max_size` elements."""
        axes = self.u8()
        _check_cap("number of axes", axes, max_axes)
        shape = tuple(self.u64() for _ in range(axes))
        # An empty array may not hide a wide axis behind its zero.
        _check_cap("number of elements", math.prod(max(extent, 1) for extent in shape), max_size)
        return shape

    def array(
        self, dtype: DTypeLike, *, max_axes: int = MAX_AXES, max_size: int = MAX_ELEMENTS
    ) -> NDArray[Any]:
        """Read an array of that dtype into new, writable memory."""
        return self.view(dtype, max_axes=max_axes, max_size=max_size).astype(dtype)

    def view(
        self, dtype: DTypeLike, *, max_axes: int = MAX_AXES, max_size: int = MAX_ELEMENTS
    ) -> NDArray[Any]:
        """Read an array of that dtype where it lies: read-only, little-endian, any alignment."""
        expected = np.dtype(dtype)
        code = self.u8()
        if code != _DTYPE_CODES[expected]:
            raise DeserializationError(f"array: got dtype code {code}, expected {expected}")
        shape = self.shape(max_axes=max_axes, max_size=max_size)
        elements = self._take(math.prod(shape) * expected.itemsize)
        stored = np.frombuffer(elements.toreadonly(), expected.newbyteorder("<"))
        return stored.reshape(shape)

    def digest(self) -> bytes:
        """Hash what was read so far: 32 bytes."""
        return hashlib.sha256(self._body[: self._at]).digest()

    def finish(self) -> None:
        """Refuse bytes after the last field."""
        left = len(self._body) - self._at
        if left:
            raise DeserializationError(f"body: got {left} bytes after its last field")

    def _unsigned(self, count: int, max_value: int) -> int:
        value = int.from_bytes(self._take(count), "little")
        _check_cap(f"u{8 * count}", value, max_value)
        return value

    def _take(self, count: int) -> memoryview:
        left = len(self._body) - self._at
        if count > left:
            raise DeserializationError(f"body: a field needs {count} bytes, {left} are left")
        taken = self._body[self._at : self._at + count]
        self._at += count
        return taken


def length_prefixed(*parts: bytes) -> bytes:
    """Join byte strings so that no two sequences of them give the same bytes.

    Meant as the input of a hash.

    Parameters
    ----------
    *parts : bytes
        In order.

    Returns
    -------
    bytes
        For each part its length as u64 little-endian, then the part.

    Examples
    --------
    >>> length_prefixed(b"ab", b"c") == length_prefixed(b"a", b"bc")
    False
    """
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _check_cap(name: str, value: int, cap: int) -> None:
    if value > cap:
        raise DeserializationError(f"{name}: got {value}, expected at most {cap}")
