"""Attacks on the messages of a protocol, tried on every message of a round and counted.

They are those of whoever carries the bytes and of parties that speak in another's name; all must be
refused, by every protocol, and must change nothing. What a party may claim in its own name, such as
a wrong share, is the protocol's own business and not tried here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from veilsum.channel import Identity
from veilsum.errors import ProtocolError
from veilsum.protocols import Aggregator, Message, Session, Station
from veilsum.wire import length_prefixed

__all__ = ["Attempts", "attacks"]

_HEADER_BYTES = 14
_LENGTH_BYTES = 8
_PLACES = 12


@dataclass(frozen=True)
class Attempts:
    """How often one attack was tried in a round, and how often it was refused.

    Parameters
    ----------
    attack : str
        What was done.
    tried : int
        How many messages were made for it.
    refused : int
        How many of them their recipient refused, staying as it was.
    labels : tuple of str
        Of the classes of messages that it was tried on, sorted.
    """

    attack: str
    tried: int
    refused: int
    labels: tuple[str, ...]


def attacks(aggregator: Aggregator, updates: Sequence[ArrayLike]) -> tuple[Attempts, ...]:
    """Run one round in which every message is attacked in every way, and count what was refused.

    Before a message reaches its recipient, forgeries of it do; afterwards it is sent once more, and
    again when the round is over.

    Parameters
    ----------
    aggregator : Aggregator
        The protocol.
    updates : sequence of array_like
        The clients' updates, at least two, as for `Aggregator.aggregate`.

    Returns
    -------
    tuple of Attempts
        One for each attack.

    Raises
    ------
    ProtocolError
        When all was refused, and yet the round does not end with the sum of all updates.

    Examples
    --------
    >>> from veilsum.protocols import Plain
    >>> for row in attacks(Plain(), [[0.5, 1.0], [0.25, -1.0]]):
    ...     print(f"{row.attack:22} {row.refused} of {row.tried} refused")
    unsigned               2 of 2 refused
    altered signature      2 of 2 refused
    altered body           24 of 24 refused
    altered label          2 of 2 refused
    wrong sender           12 of 12 refused
    wrong recipient        8 of 8 refused
    another session        4 of 4 refused
    another round          4 of 4 refused
    replay                 4 of 4 refused
    """
    arrays = dict(enumerate(map(np.asarray, updates)))
    siege = _Siege(aggregator, arrays)
    siege.run()
    rows = siege.rows()
    if all(row.refused == row.tried for row in rows):
        siege.require_sum(arrays)
    return rows


class _Siege:
    """The parties of one session, and an attacker on every link between them."""

    def __init__(self, aggregator: Aggregator, updates: Mapping[int, ArrayLike]) -> None:
        length = np.asarray(updates[0]).size
        self._session, parallel, later = (
            aggregator.open_session(sorted(updates), length=length, round=number)
            for number in (0, 0, 1)
        )
        parties = aggregator.parties(self._session, updates)
        self._stations = {party.name: Station(party, aggregator.messages) for party in parties}
        self._labels = [*(kind.label for kind in aggregator.messages), "another protocol's"]
        self._elsewhere = {"another session": parallel, "another round": later}
        self._stranger = Identity.generate()
        self._delivered: list[Message] = []
        self._tried: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._labels_of: dict[str, set[str]] = {}

    def run(self) -> None:
        """Carry all messages, each with all that follows from it before the next."""
        for station in self._stations.values():
            pending = station.start(0.0)[::-1]
            while pending:
                pending.extend(reversed(self._hand_over(pending.pop())))
        for message in self._delivered:
            self._try("replay", message, message.recipient, message.to_bytes())

    def rows(self) -> tuple[Attempts, ...]:
        """Return what was counted."""
        return tuple(
            Attempts(attack, tried, self._refused[attack], tuple(sorted(self._labels_of[attack])))
            for attack, tried in self._tried.items()
        )

    def require_sum(self, updates: Mapping[int, ArrayLike]) -> None:
        """Refuse an end that is not the one of a round without attacks."""
        ends = [station.party.outcome for station in self._stations.values()]
        outcome = next((end for end in ends if end is not None), None)
        if outcome is None:
            raise ProtocolError("the attacked round did not end with a sum")
        encoding = self._session.encoding
        expected = sum(encoding.quantise(np.ravel(update)) for update in updates.values())
        if not np.array_equal(outcome.integers, expected):
            raise ProtocolError("the attacked round ended with another sum than that of all")

    def _hand_over(self, message: Message) -> list[Message]:
        for attack, recipient, data in self._forgeries(message):
            self._try(attack, message, recipient, data)
        answers = self._stations[message.recipient].receive(message.to_bytes(), 0.0)
        self._delivered.append(message)
        self._try("replay", message, message.recipient, message.to_bytes())
        return answers

    def _try(self, attack: str, message: Message, recipient: str, data: bytes) -> None:
        station = self._stations[recipient]
        station.refusals.clear()
        before = _state(station)
        answers = station.receive(data, 0.0)
        self._tried[attack] += 1
        self._refused[attack] += (
            bool(station.refusals) and not answers and _state(station) == before
        )
        self._labels_of.setdefault(attack, set()).add(message.label)

    def _forgeries(self, message: Message) -> Iterator[tuple[str, str, bytes]]:
        """Yield the attack, whom it reaches, and the bytes."""
        here = message.recipient
        yield "unsigned", here, replace(message, signature=b"").to_bytes()
        yield "altered signature", here, _flipped(message.to_bytes(), -1)
        for data in self._altered_bodies(message):
            yield "altered body", here, data
        for label in self._labels:
            if label != message.label:
                yield "altered label", here, _relabelled(message, label)
        for forged in self._false_senders(message):
            yield "wrong sender", here, forged.to_bytes()
        for other in self._stations:
            if other != here:
                yield "wrong recipient", other, message.to_bytes()
                yield "wrong recipient", other, replace(message, recipient=other).to_bytes()
        for attack, session in self._elsewhere.items():
            theirs = self._signed_in(session, message)
            yield attack, here, theirs.to_bytes()
            yield attack, here, replace(theirs, session_id=message.session_id).to_bytes()

    def _altered_bodies(self, message: Message) -> Iterator[bytes]:
        data = message.to_bytes()
        end = len(data) - len(message.signature) - _LENGTH_BYTES
        for place in np.linspace(_HEADER_BYTES, end - 1, _PLACES).astype(int).tolist():
            yield _flipped(data, place)

    def _false_senders(self, message: Message) -> Iterator[Message]:
        """Yield the message in others' names, and signed by others in its sender's name."""
        yield self._signed_by(self._stranger.sign, message)
        yield self._signed_by(self._stranger.sign, replace(message, sender="stranger"))
        for name, station in self._stations.items():
            if name != message.sender:
                yield self._signed_by(station.party.credentials.identity.sign, message)
                yield replace(message, sender=name)

    def _signed_in(self, session: Session, message: Message) -> Message:
        sender = self._stations[message.sender].party.credentials.identity
        return self._signed_by(sender.sign, replace(message, session_id=session.id))

    @staticmethod
    def _signed_by(sign: Callable[[bytes], bytes], message: Message) -> Message:
        return replace(message, signature=sign(message.signed))


def _state(station: Station) -> tuple[object, ...]:
    party = station.party
    return party.awaits, party.late, party.heard, party.outcome, station.failure


def _flipped(data: bytes, place: int) -> bytes:
    altered = bytearray(data)
    altered[place] ^= 1
    return bytes(altered)


def _relabelled(message: Message, label: str) -> bytes:
    data = message.to_bytes()
    rest = data[_HEADER_BYTES + _LENGTH_BYTES + len(message.label.encode()) :]
    body = length_prefixed(label.encode()) + rest
    return (
        data[: _HEADER_BYTES - _LENGTH_BYTES] + len(body).to_bytes(_LENGTH_BYTES, "little") + body
    )
