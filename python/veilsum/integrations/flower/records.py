"""What veilsum adds to Flower's messages: requests to nodes, and their answers.

Letters, which are the bytes of `veilsum.protocols` messages, travel as arrays, since Flower cuts
those into chunks; everything else stands in one record of settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from veilsum.errors import ProtocolError
from veilsum.protocols import Phase
from veilsum.wire import length_prefixed

__all__ = ["TRAINING", "Answer", "Request", "introduction", "split"]

_REQUEST, _ANSWER, _LETTERS = "veilsum.request", "veilsum.answer", "veilsum.letters"
_PHASES: tuple[Phase, ...] = ("protect", "combine", "open")
TRAINING = "train"
_HELLO = b"veilsum/flower/introduction/v1"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the server asks of one node.

    Parameters
    ----------
    sessions : tuple of bytes
        Proposals of sessions that the node is to join.
    letters : tuple of bytes
        Messages for the node, of any of its sessions.
    trains : bytes
        Id of the session for whose sum the node is to train on the rest of the message; empty when
        it is not to train.
    nonce : bytes
        What the node is to sign with its name; empty when it is not to introduce itself.
    """

    sessions: tuple[bytes, ...] = ()
    letters: tuple[bytes, ...] = ()
    trains: bytes = b""
    nonce: bytes = b""

    def added_to(self, content: RecordDict | None = None) -> RecordDict:
        """Return the records of a message with this request among them."""
        settings = ConfigRecord(
            {"sessions": [*self.sessions], "trains": self.trains, "nonce": self.nonce}
        )
        records = {} if content is None else dict(content.items())
        records |= {_REQUEST: settings, _LETTERS: _letters_record(self.letters)}
        return RecordDict(records)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a node answers.

    Parameters
    ----------
    letters : tuple of bytes
        What its parties send.
    seconds : mapping of str to float
        What it has spent, by phase, and on training.
    name, signature : str, bytes
        Its introduction, when it was asked for one.
    """

    letters: tuple[bytes, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    signature: bytes = b""

    @property
    def phases(self) -> dict[Phase, float]:
        """The seconds of the protocol."""
        return {phase: self.seconds[phase] for phase in _PHASES if phase in self.seconds}

    @property
    def training(self) -> float:
        """The seconds of training."""
        return self.seconds.get(TRAINING, 0.0)

    def records(self) -> RecordDict:
        """Return the records of the reply."""
        settings = ConfigRecord({"name": self.name, "signature": self.signature})
        for work, spent in self.seconds.items():
            settings[f"seconds.{work}"] = spent
        return RecordDict({_ANSWER: settings, _LETTERS: _letters_record(self.letters)})

    @classmethod
    def of(cls, content: RecordDict) -> Answer:
        """Return the answer that a reply holds.

        Raises
        ------
        ProtocolError
            When it holds none.
        """
        settings = content.get(_ANSWER)
        if not isinstance(settings, ConfigRecord):
            raise ProtocolError(
                "the node's reply is none of veilsum's; give its ClientApp the same Protection's "
                "mod: ClientApp(mods=[protection.mod])"
            )
        works = (*_PHASES, TRAINING)
        seconds = {work: settings.get(f"seconds.{work}", 0.0) for work in works}
        return cls(
            letters=_letters(content),
            seconds={work: _typed(float, spent) for work, spent in seconds.items() if spent},
            name=_typed(str, settings.get("name", "")),
            signature=_typed(bytes, settings.get("signature", b"")),
        )


def split(content: RecordDict) -> tuple[Request | None, RecordDict]:
    """Return the request that a message holds, if any, and its other records.

    Raises
    ------
    ProtocolError
        When the request is malformed.
    """
    settings = content.get(_REQUEST)
    if settings is None:
        return None, content
    if not isinstance(settings, ConfigRecord):
        raise ProtocolError(f"{_REQUEST}: expected a ConfigRecord")
    sessions = _typed(list, settings.get("sessions", []))
    request = Request(
        sessions=tuple(_typed(bytes, session) for session in sessions),
        letters=_letters(content),
        trains=_typed(bytes, settings.get("trains", b"")),
        nonce=_typed(bytes, settings.get("nonce", b"")),
    )
    others = {name: r for name, r in content.items() if name not in (_REQUEST, _LETTERS)}
    return request, RecordDict(others)


def introduction(nonce: bytes, *, run: int, node: int, name: str) -> bytes:
    """Return what a node signs to say whose it is: in this run, when asked with this nonce."""
    numbers = (run.to_bytes(8, "little"), node.to_bytes(8, "little"))
    return length_prefixed(_HELLO, nonce, *numbers, name.encode())


def _letters_record(letters: Iterable[bytes]) -> ArrayRecord:
    return ArrayRecord(
        {
            str(place): Array(dtype="uint8", shape=(len(letter),), stype="bytes", data=letter)
            for place, letter in enumerate(letters)
        }
    )


def _letters(content: RecordDict) -> tuple[bytes, ...]:
    record = content.get(_LETTERS, ArrayRecord())
    if not isinstance(record, ArrayRecord):
        raise ProtocolError(f"{_LETTERS}: expected an ArrayRecord")
    return tuple(array.data for array in record.values())


def _typed(kind: type[Any], value: object) -> Any:
    if not isinstance(value, kind):
        raise ProtocolError(f"record: got {type(value).__name__}, expected {kind.__name__}")
    return value
