"""Carrying messages within one process: every byte counted, every second measured.

`InMemoryTransport` encodes each message, counts its bytes by link and may lose or alter it;
`drive` runs the parties of a session over it until they are done.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from veilsum.errors import ProtocolError, VeilsumError
from veilsum.protocols.base import Message, Party, Phase
from veilsum.protocols.station import Refusal, Station

__all__ = ["Drive", "InMemoryTransport", "Link", "Transport", "Work", "drive"]

Link = tuple[str, str, Phase]
Work = tuple[str, Phase]


class Transport(Protocol):
    """What `drive` needs of whoever carries the messages."""

    @property
    def carried(self) -> Counter[Link]:
        """Bytes carried so far, by (sender, recipient, phase)."""
        ...

    def send(self, message: Message) -> Message:
        """Return what the sender signs: the message, unless the sender lies."""
        ...

    def carry(self, message: Message) -> bytes | None:
        """Return the bytes that arrive, or None when the message is lost."""
        ...


class InMemoryTransport:
    """Carries messages as bytes, and counts them.

    Parameters
    ----------
    drop : callable, optional
        Takes a message and says whether it is lost on the way. A client that vanishes after it
        has reached two holders of five is a hook that is true for the other three. What is lost
        is not counted.
    lie : callable, optional
        Takes a message and returns the one that its sender signs in its place: a malicious party.
    tamper : callable, optional
        Takes a message and its bytes, and returns the bytes that are carried instead: a malicious
        network.

    Examples
    --------
    >>> from veilsum import protocols
    >>> transport = protocols.InMemoryTransport(drop=lambda message: message.sender == "client-1")
    >>> protocols.aggregate([[1.0], [2.0], [4.0]], protocol="plain", transport=transport).survivors
    (0, 2)

    A holder that lies:

    >>> from dataclasses import replace
    >>> def lie(message):
    ...     if message.label == "sharing/summed" and message.sender == "holder-1":
    ...         altered = message.shares.with_values(message.shares.values // 2)
    ...         return replace(message, shares=altered)
    ...     return message
    >>> sharing = protocols.Sharing(holders=5, threshold=3, max_errors=1)
    >>> transport = protocols.InMemoryTransport(lie=lie)
    >>> sharing.aggregate([[1.0], [2.0]], transport=transport).liars
    ('holder-1',)
    """

    def __init__(
        self,
        *,
        drop: Callable[[Message], bool] | None = None,
        lie: Callable[[Message], Message] | None = None,
        tamper: Callable[[Message, bytes], bytes] | None = None,
    ) -> None:
        self._drop = drop
        self._lie = lie
        self._tamper = tamper
        self._carried: Counter[Link] = Counter()

    @property
    def carried(self) -> Counter[Link]:
        """Bytes carried so far, by (sender, recipient, phase); a copy."""
        return self._carried.copy()

    def send(self, message: Message) -> Message:
        """Return what the sender signs: the message, unless the sender lies."""
        sent = message if self._lie is None else self._lie(message)
        if not isinstance(sent, Message):
            raise TypeError(
                f"lie: got {type(sent).__name__}, expected a Message; lose messages by drop="
            )
        return sent

    def carry(self, message: Message) -> bytes | None:
        """Return the bytes that arrive, or None when the message is lost."""
        if self._drop is not None and self._drop(message):
            return None
        data = message.to_bytes()
        if self._tamper is not None:
            data = self._tamper(message, data)
            if not isinstance(data, bytes):
                raise TypeError(f"tamper: got {type(data).__name__}, expected bytes")
        self._carried[message.sender, message.recipient, message.phase] += len(data)
        return data


@dataclass(frozen=True, eq=False)
class Drive:
    """What running a session's parties cost, and what they did not take.

    Parameters
    ----------
    seconds : dict of (party, phase) to float
        Encoding a message counts for its sender, decoding it for its recipient.
    refusals : tuple of Refusal
        The messages that were refused.
    """

    seconds: dict[Work, float]
    refusals: tuple[Refusal, ...]


class _Stage:
    """The parties of one session, while messages are carried among them."""

    def __init__(
        self, parties: Sequence[Party], kinds: Sequence[type[Message]], transport: Transport
    ) -> None:
        self.seconds: defaultdict[Work, float] = defaultdict(float)
        self._stations = {party.name: Station(party, kinds) for party in parties}
        self._kinds = kinds
        self._transport = transport
        self._problems: list[VeilsumError] = []
        self._round = 0.0

    def start(self) -> None:
        """Start one party after the other, and carry what it sends before the next."""
        for station in self._stations.values():
            with self._timed(station):
                messages = station.start(self._round)
            self._deliver(messages)

    def close_rounds(self) -> None:
        """While somebody waits, let the deadline of the earliest awaited round pass."""
        while waiting := [station for station in self._stations.values() if station.party.awaits]:
            self._round += 1
            earliest = min(map(self._awaited, waiting))
            late = [station for station in waiting if self._awaited(station) == earliest]
            self._deliver([message for station in late for message in self._go_on(station)])

    def refusals(self) -> tuple[Refusal, ...]:
        """Return what was refused, party by party."""
        return tuple(refusal for station in self._stations.values() for refusal in station.refusals)

    def require_outcome(self) -> None:
        """Raise what went wrong first, unless somebody has the sum."""
        if not any(station.party.outcome for station in self._stations.values()):
            silence = ProtocolError("the parties fell silent before any of them had the sum")
            raise next(iter(self._problems), silence)

    def _awaited(self, station: Station) -> int:
        awaited = station.party.awaits
        return len(self._kinds) if awaited is None else self._kinds.index(awaited)

    def _go_on(self, station: Station) -> list[Message]:
        with self._timed(station):
            return station.close(self._round)

    def _deliver(self, messages: Sequence[Message]) -> None:
        """Carry messages, each with all that follows from it before the next.

        So the messages of many parties never wait in memory together.
        """
        pending = [*reversed(messages)]
        while pending:
            pending.extend(reversed(self._hand_over(pending.pop())))

    def _hand_over(self, message: Message) -> list[Message]:
        begin = perf_counter()
        sent = self._transport.send(message)
        if sent is not message:
            sent = self._stations[message.sender].party.sign(sent)
        if type(sent) not in self._kinds:
            known = ", ".join(kind.__name__ for kind in self._kinds)
            raise ValueError(f"messages: {type(sent).__name__} is not among them; got {known}")
        data = self._transport.carry(sent)
        self.seconds[message.sender, message.phase] += perf_counter() - begin
        recipient = self._stations.get(sent.recipient)
        if data is None or recipient is None:
            return []
        with self._timed(recipient):
            return recipient.receive(data, self._round)

    @contextmanager
    def _timed(self, station: Station) -> Iterator[None]:
        known, failure = len(station.refusals), station.failure
        begin = perf_counter()
        yield
        spent = perf_counter() - begin
        if station.party.phase is not None:
            self.seconds[station.party.name, station.party.phase] += spent
        self._problems += [refusal.reason for refusal in station.refusals[known:]]
        if station.failure is not None and station.failure is not failure:
            self._problems.append(station.failure)


def drive(
    parties: Sequence[Party], *, kinds: Sequence[type[Message]], transport: Transport
) -> Drive:
    """Run the parties of one session until one of them has the sum and nobody waits.

    Messages are carried until all is quiet; then the deadline of the earliest round that anybody
    still waits in has passed. A message to somebody who is not among the parties is lost, as on a
    network; one that its recipient refuses is lost too, and noted.

    Parameters
    ----------
    parties : sequence of Party
        Those who take part, in the order in which they start.
    kinds : sequence of type
        The protocol's message classes, in the order of its rounds.
    transport : Transport
        Who carries the messages.

    Returns
    -------
    Drive
        Seconds by (party, phase), and what was refused.

    Raises
    ------
    VeilsumError
        When nobody reaches the sum: the first thing that went wrong. It is a `ProtocolError` when a
        message was refused or too few parties were left, a `DecodingError` when holders' sums
        disagree.
    """
    stage = _Stage(parties, kinds, transport)
    stage.start()
    stage.close_rounds()
    stage.require_outcome()
    return Drive(dict(stage.seconds), stage.refusals())
