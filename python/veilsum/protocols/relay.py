"""Rounds by requests and answers, where parties elsewhere speak only when they are asked.

An engine of federated learning lets its server send a request to each node and take one answer
from it. A `Relay` has the parties that run beside the server, keeps what is for all others until
they are asked, and passes on what these write to each other: it is signed, so that the relay cannot
alter it, and sealed where it is private. `visit` is the other end: a party that takes in all the
mail of one request.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from veilsum.channel import MAX_NAME_BYTES, Directory
from veilsum.errors import AuthenticationError, ProtocolError, VeilsumError
from veilsum.protocols.aggregator import Aggregate
from veilsum.protocols.base import (
    Address,
    Message,
    Outcome,
    Party,
    Phase,
    address_of,
    decode,
)
from veilsum.protocols.session import (
    Session,
    read_clients,
    require_survivors,
    write_clients,
)
from veilsum.protocols.station import MAX_REFUSALS, Refusal, Station
from veilsum.protocols.transport import Link, Work
from veilsum.wire import MAX_ELEMENTS, Kind, Reader, Writer

__all__ = ["RELAY", "Opened", "Relay", "Visit", "visit"]

RELAY = "relay"
"""To whom a party elsewhere reports the sum that it has learnt."""

MAX_LIARS = 1 << 16
_MAX_INTEGER_BYTES = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened(Message):
    """A party that learns the sum, to the relay: the sum.

    Parameters
    ----------
    integers : ndarray of int64 or of Python ints
        The exact sum.
    survivors : tuple of int
        Whose updates are in it.
    liars : tuple of str
        Whose messages were left out.
    """

    integers: NDArray[Any]
    survivors: tuple[int, ...]
    liars: tuple[str, ...] = ()

    label: ClassVar[str] = "relay/opened"
    phase: ClassVar[Phase] = "open"

    def write(self, writer: Writer) -> None:
        """Append sum, survivors and liars."""
        wide = self.integers.dtype == object
        writer.u8(wide)
        if wide:
            writer.u64(self.integers.size)
            for integer in self.integers:
                writer.integer(integer)
        else:
            writer.array(self.integers)
        write_clients(writer, self.survivors)
        writer.u32(len(self.liars))
        for name in self.liars:
            writer.text(name)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return sum, survivors and liars."""
        integers: NDArray[Any]
        if reader.u8(max_value=1):
            size = reader.u64(max_value=MAX_ELEMENTS)
            values = [reader.integer(max_bytes=_MAX_INTEGER_BYTES) for _ in range(size)]
            integers = np.array(values, object)
        else:
            integers = reader.array(np.int64, max_axes=1)
        survivors = read_clients(reader)
        count = reader.u32(max_value=MAX_LIARS)
        liars = tuple(reader.text(max_bytes=MAX_NAME_BYTES) for _ in range(count))
        return {"integers": integers, "survivors": survivors, "liars": liars}


class Relay:
    """One session at the server: its parties here, and the mail for those elsewhere.

    Ask everybody whom `collect` names, `take` in what they answer, and call `settle` when all have
    answered or their time is over; again and again, until there is an `outcome`.

    Parameters
    ----------
    session : Session
        What the parties agreed on.
    parties : sequence of Party
        Those that run here.
    kinds : sequence of type
        The protocol's message classes, in the order of its rounds.
    directory : Directory
        Everybody's public identities.

    Attributes
    ----------
    refusals : list of Refusal
        What was not taken here, in order of arrival; the first 1000.

    Examples
    --------
    >>> from veilsum.protocols import Plain
    >>> plain = Plain()
    >>> session = plain.open_session(range(2), length=1)
    >>> server, *clients = plain.parties(session, {0: [1.5], 1: [2.0]})
    >>> relay = Relay(session, [server], plain.messages, server.credentials.directory)
    >>> relay.start()
    >>> for client in clients:
    ...     answer = visit(client, [], kinds=plain.messages, fresh=True)
    ...     relay.take(client.name, [message.to_bytes() for message in answer.messages])
    >>> relay.settle()
    >>> relay.outcome.sum
    array([3.5])
    """

    def __init__(
        self,
        session: Session,
        parties: Sequence[Party],
        kinds: Sequence[type[Message]],
        directory: Directory,
    ) -> None:
        self.session = session
        self.refusals: list[Refusal] = []
        self._directory = directory
        self._kinds = kinds
        self._stations = {party.name: Station(party, kinds) for party in parties}
        self._mail: defaultdict[str, list[bytes]] = defaultdict(list)
        self._collected = 0
        self._reports: dict[str, Opened] = {}
        self._elected: Outcome | None = None
        self._carried: Counter[Link] = Counter()
        self._seconds: defaultdict[Work, float] = defaultdict(float)

    def start(self) -> None:
        """Start the parties that are here."""
        for station in self._stations.values():
            with _Clock(self._seconds, station):
                messages = station.start(0.0)
            self._post(messages)

    def bind_model(self, model_digest: bytes) -> None:
        """Say which model the updates belong to, of a session that was opened before it was known.

        Raises
        ------
        ProtocolError
            When another is bound already, or a party here cannot bind one late.
        """
        for station in self._stations.values():
            bind = getattr(station.party, "bind_model", None)
            if bind is None:
                raise ProtocolError(f"{station.party.name} knows no model that is bound late")
            bind(model_digest)

    def collect(self) -> dict[str, tuple[bytes, ...]]:
        """Return what waits for each party elsewhere, by its name, and keep none of it.

        Raises
        ------
        ProtocolError
            When there was mail as often as the protocol has classes of messages. Parties who follow
            it send those of a class in answer to one request; liars could write to each other, or
            to themselves, without end, and nobody's deadline would pass.
        """
        if not self._mail:
            return {}
        if self._collected == len(self._kinds):
            names = ", ".join(sorted(self._mail))
            raise ProtocolError(f"the relay has mail for {names} beyond the rounds of the protocol")
        self._collected += 1
        mail = {name: tuple(letters) for name, letters in self._mail.items()}
        self._mail.clear()
        return mail

    def take(
        self,
        sender: str,
        letters: Iterable[bytes],
        *,
        seconds: Mapping[Phase, float] | None = None,
    ) -> None:
        """Take in what a party elsewhere has answered.

        What is not from it, or of another session, is refused and noted.

        Parameters
        ----------
        sender : str
            Who was asked.
        letters : iterable of bytes
            Its messages.
        seconds : mapping of phase to float, optional
            What it says that it has spent.
        """
        for phase, spent in (seconds or {}).items():
            self._seconds[sender, phase] += spent
        for letter in letters:
            try:
                address = address_of(letter)
                if address.sender != sender or address.session_id != self.session.id:
                    raise ProtocolError(
                        f"the relay refuses a letter of {sender}: it is of "
                        f"{address.sender!r}, or of another session"
                    )
                self._forward(letter, address)
            except VeilsumError as error:
                self._refuse(RELAY, error)

    def settle(self) -> None:
        """Let the deadline of those here pass, unless somebody elsewhere has mail to answer."""
        while not self._mail:
            waiting = [s for s in self._stations.values() if s.party.awaits is not None]
            if not waiting:
                return
            earliest = min(map(self._awaited, waiting))
            for station in waiting:
                if self._awaited(station) == earliest:
                    with _Clock(self._seconds, station):
                        messages = station.close(0.0)
                    self._post(messages)

    @property
    def awaits(self) -> type[Message] | None:
        """The class of the messages that a party here waits for; of the first that waits."""
        waiting = (station.party.awaits for station in self._stations.values())
        return next((kind for kind in waiting if kind is not None), None)

    @property
    def failure(self) -> VeilsumError | None:
        """Why a party that runs here has left the session, if one has."""
        failures = (station.failure for station in self._stations.values())
        return next((failure for failure in failures if failure is not None), None)

    @property
    def outcome(self) -> Outcome | None:
        """The sum, once it is known: from a party here, or from as many elsewhere as open one."""
        ends = (station.party.outcome for station in self._stations.values())
        return next((end for end in ends if end is not None), None) or self._elected

    def aggregate(self) -> Aggregate:
        """Return the outcome with what it cost, as far as is known here.

        Raises
        ------
        VeilsumError
            When there is no outcome: the first thing that went wrong.
        """
        outcome = self.outcome
        refusals = [*self.refusals]
        for station in self._stations.values():
            refusals += station.refusals
        if outcome is None:
            silence = ProtocolError("the parties fell silent before the sum was known")
            raise self.failure or next((refusal.reason for refusal in refusals), silence)
        return Aggregate(
            sum=outcome.sum,
            integers=outcome.integers,
            survivors=outcome.survivors,
            seconds=dict(self._seconds),
            bytes=dict(self._carried),
            session_id=self.session.id,
            liars=outcome.liars,
            refusals=tuple(refusals),
        )

    def _awaited(self, station: Station) -> int:
        awaited = station.party.awaits
        return len(self._kinds) if awaited is None else self._kinds.index(awaited)

    def _post(self, messages: Iterable[Message]) -> None:
        for message in messages:
            letter = message.to_bytes()
            self._forward(letter, address_of(letter))

    def _forward(self, letter: bytes, address: Address) -> None:
        self._carried[address.sender, address.recipient, self._phase(address.label)] += len(letter)
        station = self._stations.get(address.recipient)
        if station is not None:
            with _Clock(self._seconds, station):
                messages = station.receive(letter, 0.0)
            self._post(messages)
        elif address.recipient == RELAY:
            self._note(decode(letter, (Opened,)))
        else:
            self._mail[address.recipient].append(letter)

    def _phase(self, label: str) -> Phase:
        kinds: list[type[Message]] = [*self._kinds, Opened]
        kind = next((kind for kind in kinds if kind.label == label), None)
        if kind is None:
            raise ProtocolError(f"the relay knows no messages {label!r} in this protocol")
        return kind.phase

    def _note(self, opened: Opened) -> None:
        known = self._directory.get(opened.sender)
        if known is None or opened.sender not in self.session.clients:
            raise ProtocolError(f"{opened.sender!r} learns no sum in this session")
        try:
            known.verify(opened.signature, opened.signed)
        except AuthenticationError as error:
            raise ProtocolError(f"the relay refuses a sum of {opened.sender}: {error}") from error
        if opened.integers.shape != (self.session.length,):
            raise ProtocolError(f"the sum of {opened.sender} has not the length of an update")
        require_survivors(opened.survivors, self.session, self.session.roster)
        self._reports[opened.sender] = opened
        self._elect()

    def _elect(self) -> None:
        """Believe the sum that most of those who learn it report, if as many do as open one."""
        votes: defaultdict[bytes, list[Opened]] = defaultdict(list)
        for opened in self._reports.values():
            votes[_ballot(opened)].append(opened)
        agreeing = max(votes.values(), key=len)
        self._elected = None
        if len(agreeing) < max(self.session.threshold, len(self._reports) // 2 + 1):
            return
        named = Counter(liar for opened in agreeing for liar in opened.liars)
        first = agreeing[0]
        self._elected = Outcome(
            sum=self.session.encoding.dequantise(first.integers),
            integers=first.integers,
            survivors=first.survivors,
            liars=tuple(sorted(name for name, n in named.items() if 2 * n > len(agreeing))),
        )

    def _refuse(self, party: str, reason: VeilsumError) -> None:
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(Refusal(party, reason.with_traceback(None)))


def _ballot(opened: Opened) -> bytes:
    """Return what stands for a sum and its survivors, and not for who was named as a liar."""
    writer = Writer(Kind.MESSAGE)
    replace(opened, liars=()).write(writer)
    return writer.digest()


class _Clock:
    """Counts the seconds of a block to the party of a station, and the phase that it is in then."""

    def __init__(self, seconds: defaultdict[Work, float], station: Station) -> None:
        self._seconds, self._party = seconds, station.party

    def __enter__(self) -> None:
        self._begin = perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._party.phase is not None:
            self._seconds[self._party.name, self._party.phase] += perf_counter() - self._begin


@dataclass(frozen=True, eq=False)
class Visit:
    """What a party says to the mail of one request.

    Attributes
    ----------
    messages : list of Message
        What it sends.
    refusals : list of VeilsumError
        What it did not take, in order.
    """

    messages: list[Message]
    refusals: list[VeilsumError]


def visit(
    party: Party, letters: Iterable[bytes], *, kinds: Sequence[type[Message]], fresh: bool
) -> Visit:
    """Hand a party all the mail of one request, and return what it answers.

    Whoever asks has handed over all that there is, so a party that lacks messages of a round of
    which some came goes on without them, if it can.

    Parameters
    ----------
    party : Party
        Who is asked.
    letters : iterable of bytes
        Messages, in any order.
    kinds : sequence of type
        The protocol's message classes, in the order of its rounds.
    fresh : bool
        Whether the party has still to be started.

    Raises
    ------
    VeilsumError
        When the party cannot begin, such as for an update out of bounds. What others sent raises
        nothing: see `Visit.refusals`.
    """
    messages = party.start() if fresh else []
    refusals: list[VeilsumError] = []
    mail: list[Message] = []
    for letter in letters:
        try:
            mail.append(decode(letter, kinds))
        except VeilsumError as error:
            refusals.append(error)
    for message in sorted(mail, key=lambda each: kinds.index(type(each))):
        try:
            messages = messages + party.receive(message)
        except VeilsumError as error:
            refusals.append(error)
    if party.awaits in {type(message) for message in mail}:
        try:
            messages = messages + party.deadline()
        except VeilsumError as error:
            refusals.append(error)
    if party.outcome is not None:
        messages = [*messages, _report(party, party.outcome)]
    return Visit(messages, refusals)


def _report(party: Party, outcome: Outcome) -> Message:
    opened = Opened(
        session_id=party.session.id,
        sender=party.name,
        recipient=RELAY,
        integers=outcome.integers,
        survivors=outcome.survivors,
        liars=outcome.liars,
    )
    return party.sign(opened)
