"""A party in real time: what comes too early is held back, and the late are not waited for.

A `Station` stands between one party and whoever carries bytes. It reads what arrives, keeps what
belongs to a later round until that round is there, counts what was refused, listens for heartbeats
and lets a round go on when its deadline has passed. It never looks at a clock: the time comes in as
an argument, in seconds of any clock that does not run backwards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from veilsum.errors import ProtocolError, VeilsumError
from veilsum.protocols.base import Message, Party, Phase, decode
from veilsum.wire import Reader, Writer

__all__ = ["Heartbeat", "Refusal", "Station"]

MAX_REFUSALS = 1000
"""How many refusals a station notes: whoever sends more shall not fill its memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Heartbeat(Message):
    """A sign of life, of whoever has nothing else to say.

    Parameters
    ----------
    beat : int
        Counts up from 1, so that no old one can be sent again.
    """

    beat: int

    label: ClassVar[str] = "heartbeat"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the count."""
        writer.u64(self.beat)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the count."""
        return {"beat": reader.u64()}


@dataclass(frozen=True)
class Refusal:
    """A message that a party did not take, and why.

    Parameters
    ----------
    party : str
        Who refused it.
    reason : VeilsumError
        Why.
    """

    party: str
    reason: VeilsumError


@dataclass(frozen=True)
class _Held:
    """A message that came too early, and its size in bytes."""

    message: Message
    size: int


class Station:
    """One party, the messages that it cannot take yet, and its deadlines.

    Parameters
    ----------
    party : Party
        What the messages are for.
    kinds : sequence of type
        The protocol's message classes, in the order of its rounds.
    seconds : float or mapping of str to float
        How long the party waits in a round before it goes on without the late; by the label of the
        awaited messages where it depends on the round. Without end by default. Give clients
        clearly more than the server, or no end: the server answers only after its own deadline, and
        a client that has stopped waiting by then is lost.
    patience : float
        How long somebody may be silent, no message and no heartbeat, before he counts as lost. A
        round whose late are all lost goes on before its deadline, if enough have come. Without end
        by default.
    watchers : sequence of str
        To whom the party sends heartbeats.
    interval : float
        Seconds between two heartbeats.
    most_held : int
        How many bytes of early messages are held back at most; those beyond are refused.

    Attributes
    ----------
    refusals : list of Refusal
        What was not taken, in order of arrival; the first 1000.
    failure : VeilsumError or None
        Why the party has left the session, if it has.

    Raises
    ------
    ValueError
        When a time is negative or no number, or `seconds` names a label that no class has.

    Examples
    --------
    >>> from veilsum.protocols import Plain
    >>> plain = Plain()
    >>> session = plain.open_session(range(3), length=1)
    >>> server, *clients = plain.parties(session, {0: [1.5], 1: [2.0], 2: [4.0]})
    >>> station = Station(server, plain.messages, seconds=60.0)
    >>> station.start(0.0)
    []
    >>> for client in clients[:2]:
    ...     (update,) = client.start()
    ...     station.receive(update.to_bytes(), 1.0)
    []
    []
    >>> station.late(30.0)
    {'client-2': 30.0}
    >>> station.tick(60.0)
    []
    >>> server.outcome.sum, server.outcome.survivors
    (array([3.5]), (0, 1))
    """

    def __init__(
        self,
        party: Party,
        kinds: Sequence[type[Message]],
        *,
        seconds: float | Mapping[str, float] = math.inf,
        patience: float = math.inf,
        watchers: Sequence[str] = (),
        interval: float = math.inf,
        most_held: int = 1 << 28,
    ) -> None:
        if isinstance(watchers, str):
            raise TypeError("watchers: got a str, expected a sequence of names")
        limits = seconds if isinstance(seconds, Mapping) else {"seconds": seconds}
        for name, value in {**limits, "patience": patience, "interval": interval}.items():
            if not value >= 0:
                raise ValueError(f"{name}: got {value}, expected a number of seconds from 0")
        if isinstance(seconds, Mapping):
            _refuse_strange_labels(seconds, kinds)
        self.party = party
        self.refusals: list[Refusal] = []
        self.failure: VeilsumError | None = None
        self._kinds: tuple[type[Message], ...] = (*kinds, Heartbeat)
        self._seconds = seconds
        self._patience = patience
        self._watchers = tuple(watchers)
        self._interval = interval
        self._started = False
        self._most_held = most_held
        self._held_bytes = 0
        self._held: dict[type[Message], dict[str, _Held]] = {kind: {} for kind in kinds}
        self._awaited: type[Message] | None = None
        self._opened = 0.0
        self._beat = 0
        self._last_beat = -math.inf
        self._beats: dict[str, int] = {}
        self._last_heard: dict[str, float] = {}

    def start(self, now: float) -> list[Message]:
        """Start the party, and return what it sends."""
        self._started = True
        return self._settled(self.party.start(), now)

    def receive(self, data: bytes, now: float) -> list[Message]:
        """Take bytes in, and return what is sent in answer.

        What is refused changes nothing and is noted in `refusals`; what comes too early is held
        back; an error that ends the party is noted in `failure`.
        """
        try:
            message = decode(data, self._kinds)
            if isinstance(message, Heartbeat):
                self._note_beat(message)
            elif self._is_early(type(message)):
                self._hold(message, len(data))
            else:
                return self._settled(self._taken(message), now)
        except VeilsumError as error:
            self._refuse(error)
            return []
        self._last_heard[message.sender] = now
        return []

    def tick(self, now: float) -> list[Message]:
        """Let time pass: send a heartbeat when one is due, and do not wait for the late."""
        beats = self._due_beats(now)
        if self.party.awaits is None or not self._is_over(now):
            return beats
        return [*beats, *self.close(now)]

    def close(self, now: float) -> list[Message]:
        """Go on without the late at once, and return what is sent."""
        try:
            messages = self.party.deadline()
        except VeilsumError as error:
            self.failure = _without_frames(error)
            return []
        return self._settled(messages, now)

    def late(self, now: float) -> dict[str, float]:
        """Return for how many seconds each of the awaited has been waited for in this round."""
        return dict.fromkeys(self.party.late, now - self._opened)

    def silent(self, now: float) -> tuple[str, ...]:
        """Return who is awaited and has not given a sign of life for longer than `patience`."""
        return tuple(
            name
            for name in self.party.late
            if now - max(self._last_heard.get(name, -math.inf), self._opened) > self._patience
        )

    def _is_over(self, now: float) -> bool:
        limit = self._seconds
        awaited = self.party.awaits
        if isinstance(limit, Mapping):
            limit = math.inf if awaited is None else limit.get(awaited.label, math.inf)
        if now - self._opened >= limit:
            return True
        return self.party.ready and len(self.silent(now)) == len(self.party.late)

    def _due_beats(self, now: float) -> list[Message]:
        done = self._started and self.party.awaits is None
        if done or now - self._last_beat < self._interval:
            return []
        self._last_beat = now
        self._beat += 1
        return [
            self.party.sign(
                Heartbeat(
                    session_id=self.party.session.id,
                    sender=self.party.name,
                    recipient=watcher,
                    beat=self._beat,
                )
            )
            for watcher in self._watchers
        ]

    def _note_beat(self, beat: Heartbeat) -> None:
        if beat.recipient != self.party.name:
            raise ProtocolError(f"{self.party.name} refuses a heartbeat to {beat.recipient!r}")
        self.party.verify(beat)
        if beat.beat <= self._beats.get(beat.sender, 0):
            raise ProtocolError(f"{self.party.name} has had this heartbeat of {beat.sender!r}")
        self._beats[beat.sender] = beat.beat

    def _is_early(self, kind: type[Message]) -> bool:
        awaited = self.party.awaits
        if awaited is None:
            return not self._started
        return self._kinds.index(kind) > self._kinds.index(awaited)

    def _hold(self, message: Message, size: int) -> None:
        """Keep a message for its round: one a sender and class, and only what is signed."""
        if message.recipient != self.party.name:
            raise ProtocolError(f"{self.party.name} refuses a message to {message.recipient!r}")
        self.party.verify(message)
        held = self._held[type(message)]
        if message.sender in held:
            raise ProtocolError(
                f"{self.party.name} has had {message.label!r} from {message.sender!r} already"
            )
        if size + self._held_bytes > self._most_held:
            raise ProtocolError(
                f"{self.party.name} holds {self._most_held} bytes of early messages at most"
            )
        held[message.sender] = _Held(message, size)
        self._held_bytes += size

    def _taken(self, message: Message) -> list[Message]:
        before = self.party.awaits
        try:
            return self.party.receive(message)
        except VeilsumError as error:
            if before is not None and self.party.awaits is None:
                self.failure = _without_frames(error)
            else:
                self._refuse(error)
            return []

    def _settled(self, messages: list[Message], now: float) -> list[Message]:
        """Take in what was held back for the rounds that are reached by now."""
        while True:
            if self.party.awaits is not self._awaited:
                self._awaited, self._opened = self.party.awaits, now
            ripe = [kept for kind, kept in self._held.items() if kept and not self._is_early(kind)]
            if not ripe:
                return messages
            sender = next(iter(ripe[0]))
            held = ripe[0].pop(sender)
            self._held_bytes -= held.size
            messages = messages + self._taken(held.message)

    def _refuse(self, reason: VeilsumError) -> None:
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(Refusal(self.party.name, _without_frames(reason)))


def _refuse_strange_labels(seconds: Mapping[str, float], kinds: Sequence[type[Message]]) -> None:
    strange = sorted(set(seconds).difference(kind.label for kind in kinds))
    if strange:
        raise ValueError(
            f"seconds: got the labels {strange}, expected some of {[kind.label for kind in kinds]}"
        )


def _without_frames(error: VeilsumError) -> VeilsumError:
    """Forget where an error and its causes came from: their frames hold the refused message."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
