"""Carrying messages within one process: every byte counted, every second measured.

`InMemoryTransport` encodes each message, counts its bytes by link and may lose or alter it;
`drive` runs the parties of a session over it until they are done.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

from veilsum.errors import ProtocolError
from veilsum.protocols.base import Message, Party, Phase, blaming, decode

__all__ = ["InMemoryTransport", "Link", "Transport", "Work", "drive"]

Link = tuple[str, str, Phase]
Work = tuple[str, Phase]


class Transport(Protocol):
    """What `drive` needs of whoever carries the messages."""

    @property
    def carried(self) -> Counter[Link]:
        """Bytes carried so far, by (sender, recipient, phase)."""
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
    tamper : callable, optional
        Takes a message and its bytes, and returns the bytes that are carried instead.

    Examples
    --------
    >>> from veilsum import protocols
    >>> transport = protocols.InMemoryTransport(drop=lambda message: message.sender == "client-1")
    >>> protocols.aggregate([[1.0], [2.0], [4.0]], protocol="plain", transport=transport).survivors
    (0, 2)
    """

    def __init__(
        self,
        *,
        drop: Callable[[Message], bool] | None = None,
        tamper: Callable[[Message, bytes], bytes] | None = None,
    ) -> None:
        self._drop = drop
        self._tamper = tamper
        self._carried: Counter[Link] = Counter()

    @property
    def carried(self) -> Counter[Link]:
        """Bytes carried so far, by (sender, recipient, phase); a copy."""
        return self._carried.copy()

    def carry(self, message: Message) -> bytes | None:
        """Return the bytes that arrive, or None when the message is lost."""
        if self._drop is not None and self._drop(message):
            return None
        data = message.to_bytes()
        if self._tamper is not None:
            data = self._tamper(message, data)
        self._carried[message.sender, message.recipient, message.phase] += len(data)
        return data


class _Stage:
    """The parties of one session, while messages are carried among them."""

    def __init__(
        self, parties: Sequence[Party], kinds: Sequence[type[Message]], transport: Transport
    ) -> None:
        self.seconds: defaultdict[Work, float] = defaultdict(float)
        self._parties = {party.name: party for party in parties}
        self._kinds = kinds
        self._transport = transport
        self._early: dict[str, list[Message]] = {name: [] for name in self._parties}
        self._failures: dict[str, ProtocolError] = {}

    def start(self) -> None:
        """Start one party after the other, and carry what it sends before the next.

        So the messages of many clients never wait in memory together. What is sent to a party
        that has not started yet is kept for it.
        """
        for name, party in self._parties.items():
            with self._timed(party):
                messages = party.start()
            self._deliver([*self._early.pop(name), *messages])

    def close_rounds(self) -> None:
        """While somebody waits, let the deadline of the earliest awaited round pass."""
        while waiting := [party.awaits for party in self._parties.values() if party.awaits]:
            earliest = min(waiting, key=self._kinds.index)
            late = [party for party in self._parties.values() if party.awaits is earliest]
            self._deliver([message for party in late for message in self._go_on_without(party)])

    def require_outcome(self) -> None:
        """Raise what kept the first party from going on, unless somebody has the sum."""
        if not any(party.outcome for party in self._parties.values()):
            raise next(
                (self._failures[name] for name in self._parties if name in self._failures),
                ProtocolError("the parties fell silent before any of them had the sum"),
            )

    def _go_on_without(self, party: Party) -> list[Message]:
        try:
            with self._timed(party):
                return party.deadline()
        except ProtocolError as failure:
            self._failures[party.name] = failure
            return []

    def _deliver(self, messages: Sequence[Message]) -> None:
        queue = deque(messages)
        while queue:
            message = queue.popleft()
            if message.recipient in self._early:
                self._early[message.recipient].append(message)
            else:
                queue.extend(self._hand_over(message))

    def _hand_over(self, message: Message) -> list[Message]:
        begin = perf_counter()
        data = self._transport.carry(message)
        self.seconds[message.sender, message.phase] += perf_counter() - begin
        recipient = self._parties.get(message.recipient)
        if data is None or recipient is None:
            return []
        with self._timed(recipient):
            with blaming(f"{recipient.name} cannot read {message.label!r} of {message.sender!r}"):
                arrived = decode(data, self._kinds)
            return recipient.receive(arrived)

    @contextmanager
    def _timed(self, party: Party) -> Iterator[None]:
        begin = perf_counter()
        yield
        if party.phase is not None:
            self.seconds[party.name, party.phase] += perf_counter() - begin


def drive(
    parties: Sequence[Party], *, kinds: Sequence[type[Message]], transport: Transport
) -> dict[Work, float]:
    """Run the parties of one session until one of them has the sum and nobody waits.

    Messages are carried until all is quiet; then the deadline of the earliest round that anybody
    still waits in has passed. A message to somebody who is not among the parties is lost, as on a
    network; one that its recipient refuses ends the run with the recipient's error.

    Parameters
    ----------
    parties : sequence of Party
        Those who take part, in the order in which they start. When nobody reaches the sum, the
        error of the first of them that had to give up is raised.
    kinds : sequence of type
        The protocol's message classes, in the order of its rounds.
    transport : Transport
        Who carries the messages.

    Returns
    -------
    dict
        Seconds by (party, phase). Encoding a message counts for its sender, decoding it for its
        recipient.

    Raises
    ------
    ProtocolError
        When a message is refused, the bytes that arrive are not a message, or too few parties are
        left.
    DecodingError
        When holders' sums disagree.
    """
    stage = _Stage(parties, kinds, transport)
    stage.start()
    stage.close_rounds()
    stage.require_outcome()
    return dict(stage.seconds)
