"""The messages of masking, in the order of its rounds; see `veilsum.protocols.masking`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from veilsum.channel import KEY_BYTES, SIGNATURE_BYTES
from veilsum.errors import DeserializationError, ProtocolError
from veilsum.protocols.base import Message, Phase
from veilsum.protocols.masks import Words
from veilsum.protocols.merkle import NODE_BYTES
from veilsum.protocols.seeds import LIMBS, SEED_BYTES
from veilsum.protocols.session import DIGEST_BYTES, Session
from veilsum.wire import Reader, Writer

__all__ = [
    "ENTRY_BYTES",
    "SEALED_BYTES",
    "SERVER",
    "Advertise",
    "Confirmations",
    "Confirmed",
    "Flags",
    "Masked",
    "Relayed",
    "Revealed",
    "Roster",
    "Shared",
    "Survivors",
    "pack",
    "unpack",
]

SERVER = "server"
SEALED_BYTES = 2 * LIMBS * 8 + 16
ENTRY_BYTES = 3 * KEY_BYTES + SIGNATURE_BYTES
_MAX_FLAG_BYTES = 1 << 21
_MAX_PATH_BYTES = 64 * NODE_BYTES
_WORD_DTYPES = {4: np.uint32, 8: np.uint64}

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Advertise(Message):
    """Round 1, client to server, and on to the neighbours: what others need to know of the client.

    Parameters
    ----------
    seal_key, mask_key : bytes
        X25519, fresh for this session.
    commitment : bytes
        SHA-256 of the self seed.
    """

    seal_key: bytes
    mask_key: bytes
    commitment: bytes

    label: ClassVar[str] = "masking/advertise"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the keys and the commitment."""
        for part in (self.seal_key, self.mask_key, self.commitment):
            writer.blob(part)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the keys and the commitment."""
        names = ("seal_key", "mask_key", "commitment")
        return {name: reader.exactly(KEY_BYTES) for name in names}

    @property
    def entry(self) -> bytes:
        """All but the address, for a roster."""
        return self.seal_key + self.mask_key + self.commitment + self.signature

    @classmethod
    def from_entry(cls, session: Session, client: str, entry: bytes) -> "Advertise":
        """Return what a client advertised, from a roster's entry."""
        return cls(
            session_id=session.id,
            sender=client,
            recipient=SERVER,
            seal_key=entry[:KEY_BYTES],
            mask_key=entry[KEY_BYTES : 2 * KEY_BYTES],
            commitment=entry[2 * KEY_BYTES : 3 * KEY_BYTES],
            signature=entry[3 * KEY_BYTES :],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Roster(Message):
    """Round 1, server to client: who advertised, and what its neighbours did.

    Parameters
    ----------
    present : bytes
        One bit for each client of the session's roster, the first in the lowest.
    root : bytes
        The Merkle root over the digests of all that was advertised, in order.
    entries : ndarray of uint8, shape (members, 160)
        `Advertise.entry` of the neighbours and the client itself, in the order of their ranks.
    paths : tuple of bytes
        The Merkle path of each.
    """

    present: bytes
    root: bytes
    entries: NDArray[np.uint8]
    paths: tuple[bytes, ...]

    label: ClassVar[str] = "masking/roster"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append all fields."""
        writer.blob(self.present)
        writer.blob(self.root)
        writer.array(self.entries)
        for path in self.paths:
            writer.blob(path)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return all fields."""
        present = reader.blob(max_bytes=_MAX_FLAG_BYTES)
        root = reader.exactly(DIGEST_BYTES)
        entries = _read_rows(reader, np.uint8, ENTRY_BYTES)
        paths = tuple(reader.blob(max_bytes=_MAX_PATH_BYTES) for _ in range(len(entries)))
        return {"present": present, "root": root, "entries": entries, "paths": paths}


@dataclass(frozen=True, kw_only=True, eq=False)
class Shared(Message):
    """Round 2, client to server: its shares of both seeds, sealed for each neighbour.

    Parameters
    ----------
    sealed : ndarray of uint8, shape (neighbours, 112)
        In the order of the neighbours' ranks.
    """

    sealed: NDArray[np.uint8]

    label: ClassVar[str] = "masking/shared"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the shares."""
        writer.array(self.sealed)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the shares."""
        return {"sealed": _read_rows(reader, np.uint8, SEALED_BYTES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class _OfNeighbours(Message):
    """A message with one row for each of some neighbours.

    Parameters
    ----------
    whose : bytes
        One bit for each of the client's neighbours, in the order of their ranks.
    rows : ndarray, shape (bits that are set, ...)
        In the same order.
    """

    whose: bytes
    rows: NDArray[Any] = field(repr=False)

    row_dtype: ClassVar[type[np.generic]] = np.uint8
    row_length: ClassVar[int]

    def write(self, writer: Writer) -> None:
        """Append the bits and the rows."""
        writer.blob(self.whose)
        writer.array(self.rows)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the bits and the rows."""
        whose = reader.blob(max_bytes=_MAX_FLAG_BYTES)
        return {"whose": whose, "rows": _read_rows(reader, cls.row_dtype, cls.row_length)}

    def by_neighbour(self, neighbours: Sequence[int]) -> dict[int, NDArray[Any]]:
        """Return the rows by the neighbours' ranks.

        Raises
        ------
        ProtocolError
            When bits, rows and neighbours do not fit together.
        """
        flags = unpack(self.whose, len(neighbours))
        whose = [neighbour for neighbour, flag in zip(neighbours, flags, strict=True) if flag]
        if len(whose) != len(self.rows):
            raise ProtocolError(f"{len(self.rows)} rows came for {len(whose)} neighbours")
        return dict(zip(whose, self.rows, strict=True))


class Relayed(_OfNeighbours):
    """Round 2, server to client: what its neighbours sealed for it."""

    label: ClassVar[str] = "masking/relayed"
    phase: ClassVar[Phase] = "protect"
    row_length: ClassVar[int] = SEALED_BYTES


@dataclass(frozen=True, kw_only=True, eq=False)
class Masked(Message):
    """Round 3, client to server: the masked digits.

    Parameters
    ----------
    words : ndarray of uint32 or uint64, shape (width,)
        Modulo 2**32 where the sum of all clients' digits fits, else modulo 2**64.
    """

    words: Words

    label: ClassVar[str] = "masking/masked"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the bytes of a word, and the words."""
        writer.u8(self.words.itemsize)
        writer.array(self.words)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the words, as a view of the message."""
        dtype = _WORD_DTYPES.get(reader.u8())
        if dtype is None:
            raise DeserializationError("words: they have neither four nor eight bytes")
        return {"words": reader.view(dtype, max_axes=1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Survivors(Message):
    """Round 3, server to client: whose masked digits came.

    Parameters
    ----------
    alive : bytes
        One bit for each rank.
    """

    alive: bytes

    label: ClassVar[str] = "masking/survivors"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the bits."""
        writer.blob(self.alive)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the bits."""
        return {"alive": reader.blob(max_bytes=_MAX_FLAG_BYTES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmed(Message):
    """Round 4, client to server, and on to the neighbours: which survivors it was shown.

    Parameters
    ----------
    agreed : bytes
        `Roll.agreement` on them.
    """

    agreed: bytes

    label: ClassVar[str] = "masking/confirmed"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the digest."""
        writer.blob(self.agreed)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the digest."""
        return {"agreed": reader.exactly(DIGEST_BYTES)}


class Confirmations(_OfNeighbours):
    """Round 4, server to client: its neighbours' signatures under the same list."""

    label: ClassVar[str] = "masking/confirmations"
    phase: ClassVar[Phase] = "combine"
    row_length: ClassVar[int] = SIGNATURE_BYTES


@dataclass(frozen=True, kw_only=True, eq=False)
class Revealed(_OfNeighbours):
    """Round 5, client to server: its self seed, and one share for each neighbour that shared.

    The share is of the self seed of a survivor, and of the mask key of any other.

    Parameters
    ----------
    seed : bytes
        32 bytes.
    """

    seed: bytes = field(repr=False)

    label: ClassVar[str] = "masking/revealed"
    phase: ClassVar[Phase] = "open"
    row_dtype: ClassVar[type[np.generic]] = np.uint64
    row_length: ClassVar[int] = LIMBS

    def write(self, writer: Writer) -> None:
        """Append the seed, the bits and the rows."""
        writer.blob(self.seed)
        super().write(writer)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the seed, the bits and the rows."""
        return {"seed": reader.exactly(SEED_BYTES), **super().read(reader)}


def pack(flags: Flags) -> bytes:
    """Return flags as bits, the first in the lowest."""
    return np.packbits(flags, bitorder="little").tobytes()


def unpack(data: bytes, count: int) -> Flags:
    """Return so many flags.

    Raises
    ------
    ProtocolError
        When there are not exactly as many.
    """
    if len(data) != -(-count // 8):
        raise ProtocolError(f"flags: got {len(data)} bytes for {count}")
    flags = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.bool_)
    if flags[count:].any():
        raise ProtocolError(f"flags: more are set than the {count} that there are")
    return flags[:count]


def _read_rows(reader: Reader, dtype: type[np.generic], length: int) -> NDArray[Any]:
    rows = reader.array(dtype, max_axes=2)
    if rows.ndim != 2 or rows.shape[1] != length:
        raise DeserializationError(f"rows: got shape {rows.shape}, expected {length} columns")
    return rows
