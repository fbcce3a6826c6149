"""State machines that play sessions of any aggregator, as badly as a network and a server can.

`aggregator_machine` turns an aggregator into a hypothesis state machine. It holds all parties of a
session and the messages that are under way, and hypothesis chooses what happens to them: they
arrive in any order, are lost, come again, are moved to another party or from another session, are
altered on the way; parties vanish, or stop waiting, or are suspended and resume as others; the
parties that are said to be malicious sign lies. Then the network comes to rest and every deadline
passes. When something is found, hypothesis shows the shortest course of events that it knows.

What is demanded, of every protocol:

exact
    A party that ends with a sum names survivors of the roster, ascending, at least
    `Session.min_survivors` of them, each of which took part and was heard; its integers are the sum
    of exactly their quantised updates.
agreement
    All parties that end with a sum have the same survivors and integers.
refusal
    What is altered, moved or sent again is refused, and leaves its recipient waiting as before.
suspension
    A party that is written down and read back (`suspend`, `resume`) stands where it stood. Parties
    that cannot be written down are left alone.
once
    A party sends one message of a class to a recipient, and no second one whatever it is sent.
progress
    A session without a lost message, a lie or a deadline before its time gives a sum, of all
    clients that stayed at least, unless one of the staff has vanished, or more clients than it
    `tolerates`.
clear failure
    Nothing but a `VeilsumError` ends a party.

Once a lie has been sent, *exact* is demanded of the survivors' names and number alone, and of the
sums only where they are `verified`; *agreement* and *progress* are not demanded at all, since a
malicious party can always spoil a sum. *Refusal* still is, and *once*, which is what keeps an
honest party from opening two sums of one session. What else honest parties must never do under the
lies of a server, such as to give out both secrets of one peer, only the protocol knows: `audit`
looks for it.

What is not seen here: the distribution of what is sent, such as that a mask is uniform, and attacks
with a plan. A malicious party signs false messages of its own kind, but between them it goes on as
its honest code does; whoever has to collect several false messages and forward them needs a test
that is written for it.

Examples
--------
A server of one's own, which names the whole roster as survivors, whoever came:

>>> from veilsum.protocols import Plain, plain, state
>>> class Careless(plain.Server):
...     @state("combine")
...     def close(self):
...         roster = self.session.roster
...         self.conclude(self.session.decode(self._total, summands=len(roster)), roster)
...         return []
>>> class MyProtocol(Plain):
...     def server(self, session, name, credentials):
...         return Careless(session, credentials)

A round in which nothing goes wrong does not tell, and the machine does:

>>> MyProtocol().aggregate([[0.5], [0.25]]).sum
array([0.75])
>>> from hypothesis import Phase, settings
>>> from hypothesis.stateful import run_state_machine_as_test
>>> steady = settings(
...     derandomize=True,
...     database=None,
...     deadline=None,
...     max_examples=40,
...     stateful_step_count=20,
...     phases=[Phase.generate],  # with Phase.shrink the shortest course of events is looked for
... )
>>> try:
...     run_state_machine_as_test(aggregator_machine(MyProtocol), settings=steady)
... except AssertionError as found:
...     print(found)
server names survivors of whom nothing came: ['client-...']

The notes of the error tell the course of events, at its shortest such as ::

    Draw 1 (roster): (0, 1, 2)
    Draw 2 (updates): {0: array([0.]), 1: array([0.]), 2: array([0.])}
    Draw 3 (absent): {0}
    Draw 4 (misfortunes): 0
    state.open_session(data=data(...), seed=0)
    state.teardown()

Nothing is found in the server that names who came:

>>> run_state_machine_as_test(aggregator_machine(Plain), settings=steady)

In a module of tests it is ``TestMyProtocol = aggregator_machine(MyProtocol).TestCase``, which
pytest finds, with ``TestMyProtocol.settings = settings(...)``.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from numpy.typing import NDArray

from veilsum.encoding import FixedPoint
from veilsum.protocols import (
    Aggregator,
    InMemoryTransport,
    Message,
    Outcome,
    Party,
    Session,
    Station,
    drive,
    resume,
    suspend,
)
from veilsum.protocols.session import client_name
from veilsum.randomness import _test_source
from veilsum.testing import strategies

__all__ = ["AggregatorMachine", "aggregator_machine"]

Audit = Callable[[Mapping[str, Party], Sequence[Message]], None]
Lie = Callable[[Message], st.SearchStrategy[Message]]


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """What is played, and what is demanded."""

    make: Callable[[], Aggregator]
    clients: tuple[int, int]
    length: int
    encoding: FixedPoint
    tolerates: Callable[[Session], int]
    malicious: frozenset[str]
    lie: Lie
    verified: bool
    audit: Audit


class _Letter:
    """A message under way, and its bytes."""

    def __init__(self, message: Message, data: bytes) -> None:
        self.message = message
        self.data = data

    def __repr__(self) -> str:
        message = self.message
        return f"<{message.label} from {message.sender} to {message.recipient}>"


class AggregatorMachine(RuleBasedStateMachine):
    """What `aggregator_machine` makes subclasses of: rules for everything that may happen."""

    terms: ClassVar[_Terms]

    def __init__(self) -> None:
        super().__init__()
        self._intact = False  # until the session is open, and no more once a demand has failed
        self._spoilt = False  # something happened after which there may be no sum
        self._lied = False
        self._misfortunes = 0  # still to come; too many would end most sessions early
        self._stations: dict[str, Station] = {}
        self._vanished: set[str] = set()
        self._pending: list[_Letter] = []
        self._arrived: list[_Letter] = []
        self._sent: dict[tuple[str, str, str], Message] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._foreign: list[_Letter] = []

    @initialize(data=st.data(), seed=st.integers(0, 2**32 - 1))
    def open_session(self, data: st.DataObject, seed: int) -> None:
        """Invite clients, of which some may never come, and start the parties that are there."""
        self._data = data  # parties that lie when they send decide then
        terms = self.terms
        least, most = terms.clients
        roster = data.draw(strategies.rosters(least=least, most=most), "roster")
        self._updates = data.draw(self._updates_of(roster), "updates")
        absent = data.draw(strategies.dropouts(roster, most=len(roster) // 2), "absent")
        self._misfortunes = data.draw(st.integers(0, 3), "misfortunes")
        self._random = random.Random(seed)  # noqa: S311 (predictable on purpose)
        with self._course():
            self._aggregator = terms.make()
            self._staff = self._aggregator.staff(roster)
            self._session = self._open(roster)
            present = {client: self._updates[client] for client in roster if client not in absent}
            parties = self._aggregator.parties(self._session, present)
        self._stations = {
            party.name: Station(party, self._aggregator.messages) for party in parties
        }
        self._vanished = {client_name(client) for client in absent}
        for name in self._stations:
            self._act(name, lambda station: station.start(0.0))

    @precondition(lambda self: self._pending)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Let any of the messages under way arrive: the network does not keep their order."""
        self._deliver(data.draw(st.sampled_from(self._pending), "message"))

    @precondition(lambda self: self._pending)
    @rule()
    def deliver_all(self) -> None:
        """Let everything under way arrive; what is sent in answer is under way then."""
        for letter in [*self._pending]:
            self._deliver(letter)

    @precondition(lambda self: self._misfortunes and self._pending)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Lose messages of one sender: some recipients get what others do not."""
        senders = dict.fromkeys(letter.message.sender for letter in self._pending)
        self._misfortunes -= 1
        self._spoilt = True
        self._lose_some(data, data.draw(st.sampled_from([*senders]), "sender"))

    @precondition(lambda self: self._misfortunes and self._present())
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """Let a party vanish for good, perhaps in the middle of sending."""
        name = data.draw(st.sampled_from(self._present()), "party")
        self._misfortunes -= 1
        self._spoilt |= name in self._staff
        self._vanished.add(name)
        self._lose_some(data, name)

    @precondition(lambda self: not self._pending and self._waiting())
    @rule()
    def pass_deadline(self) -> None:
        """Let the earliest round that anybody waits in end, now that the network is quiet."""
        for name in self._earliest():
            self._act(name, lambda station: station.close(0.0))

    @precondition(lambda self: self._misfortunes and self._waiting())
    @rule(data=st.data())
    def lose_patience(self, data: st.DataObject) -> None:
        """Let a party's deadline pass while messages are under way."""
        name = data.draw(st.sampled_from(self._waiting()), "party")
        self._misfortunes -= 1
        self._spoilt = True
        self._act(name, lambda station: station.close(0.0))

    @precondition(lambda self: self._present())
    @rule(data=st.data())
    def suspend(self, data: st.DataObject) -> None:
        """Let a party end as a process, and another go on in its place."""
        name = data.draw(st.sampled_from(self._present()), "party")
        station = self._stations[name]
        with self._course():
            try:
                written = suspend(station.party)
            except TypeError:  # not every class of parties says what it keeps
                return
            again = self._made_again(name)
            resume(again, written)
            left, station.party = station.party, again
            _demand(
                _standing(again) == _standing(left) and suspend(again) == written,
                f"{name} does not resume where it was suspended",
            )

    @precondition(lambda self: self._honest_arrivals())
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Let a message arrive that has arrived before."""
        letter = data.draw(st.sampled_from(self._honest_arrivals()), "message")
        self._refuse(letter.message.recipient, letter.data)

    @precondition(lambda self: len(self._stations) > 1 and (self._pending or self._arrived))
    @rule(data=st.data())
    def misdirect(self, data: st.DataObject) -> None:
        """Let a message arrive at somebody whom it is not for."""
        letter = data.draw(st.sampled_from(self._pending + self._arrived), "message")
        others = [name for name in self._stations if name != letter.message.recipient]
        self._refuse(data.draw(st.sampled_from(others), "to"), letter.data)

    @rule(data=st.data())
    def send_from_another_session(self, data: st.DataObject) -> None:
        """Let a message arrive that was sent in another session of the same parties."""
        if not self._foreign:
            self._foreign = self._play_another_session()
        letter = data.draw(st.sampled_from(self._foreign), "message")
        self._refuse(letter.message.recipient, letter.data)

    @precondition(lambda self: self._pending or self._arrived)
    @rule(data=st.data())
    def alter(self, data: st.DataObject) -> None:
        """Let a message arrive whose bytes, or whose fields, were altered on the way."""
        letter = data.draw(st.sampled_from(self._pending + self._arrived), "message")
        altered = data.draw(self._alterations(letter), "altered")
        self._refuse(letter.message.recipient, altered)

    @precondition(lambda self: self._malicious_letters())
    @rule(data=st.data())
    def lie(self, data: st.DataObject) -> None:
        """Let a malicious party send one more message, to anybody, that it should not."""
        letter = data.draw(st.sampled_from(self._malicious_letters()), "after")
        anybody = st.sampled_from([*self._stations])
        recipient = data.draw(st.just(letter.message.recipient) | anybody, "to")
        self._pending.append(self._lie_after(letter.message, data, recipient))

    def teardown(self) -> None:
        """Let everything arrive and every deadline pass; then demand a sum, if one is due."""
        if not self._intact:
            return
        while self._pending or self._waiting():
            self.deliver_all() if self._pending else self.pass_deadline()
        gone = len(self._session.roster) - len(self._staying_clients())
        if self._spoilt or self._lied or gone > self.terms.tolerates(self._session):
            return
        with self._course():
            _demand(bool(self._outcomes), f"nobody has a sum, and only {gone} clients vanished")
            for name, outcome in self._outcomes.items():
                left_out = set(self._staying_clients()) - set(outcome.survivors)
                _demand(not left_out, f"{name} leaves out {sorted(left_out)}, who stayed")

    def _updates_of(
        self, roster: Sequence[int]
    ) -> st.SearchStrategy[dict[int, NDArray[np.float64]]]:
        return strategies.updates(roster, encoding=self.terms.encoding, length=self.terms.length)

    def _open(self, roster: Sequence[int]) -> Session:
        return self._aggregator.open_session(
            roster, length=self.terms.length, encoding=self.terms.encoding
        )

    def _play_another_session(self) -> list[_Letter]:
        """Return all messages of an honest session before this one."""
        letters: list[_Letter] = []

        def note(message: Message, data: bytes) -> bytes:
            letters.append(_Letter(message, data))
            return data

        with self._course():
            parties = self._aggregator.parties(self._open(self._session.roster), self._updates)
            transport = InMemoryTransport(tamper=note)
            drive(parties, kinds=self._aggregator.messages, transport=transport)
        return letters

    def _made_again(self, name: str) -> Party:
        """Return a party of this session as another process makes it: without an update."""
        parties = self._aggregator.parties(self._session, dict.fromkeys(self._session.roster))
        return next(party for party in parties if party.name == name)

    def _lose_some(self, data: st.DataObject, sender: str) -> None:
        for letter in [letter for letter in self._pending if letter.message.sender == sender]:
            if data.draw(st.booleans(), f"{letter} is lost"):
                self._pending.remove(letter)

    def _present(self) -> list[str]:
        return [name for name in self._stations if name not in self._vanished]

    def _staying_clients(self) -> list[int]:
        present = frozenset(self._present())
        return [client for client in self._session.roster if client_name(client) in present]

    def _waiting(self) -> list[str]:
        return [name for name in self._present() if self._stations[name].party.awaits]

    def _earliest(self) -> list[str]:
        """Return who waits in the earliest round in which anybody waits."""
        kinds = self._aggregator.messages
        rounds = {
            name: kinds.index(awaited)
            for name in self._waiting()
            if (awaited := self._stations[name].party.awaits)
        }
        return [name for name, number in rounds.items() if number == min(rounds.values())]

    def _honest_arrivals(self) -> list[_Letter]:
        """Return what has arrived of those who never send two messages for one place."""
        malicious = self.terms.malicious
        return [letter for letter in self._arrived if letter.message.sender not in malicious]

    def _malicious_letters(self) -> list[_Letter]:
        malicious = self.terms.malicious.intersection(self._present())
        letters = self._pending + self._arrived
        return [letter for letter in letters if letter.message.sender in malicious]

    def _alterations(self, letter: _Letter) -> st.SearchStrategy[bytes]:
        """Draw bytes that are not the message's own, though its signature may be in them."""
        message = letter.message
        fields = strategies.lies(message).map(lambda lie: replace(lie, signature=message.signature))
        senders = st.sampled_from([*self._session.clients, *self._staff])
        forged = fields | senders.map(lambda name: replace(message, sender=name))
        altered = strategies.damaged(letter.data) | forged.map(lambda other: other.to_bytes())
        return altered.filter(lambda data: data != letter.data)

    def _deliver(self, letter: _Letter) -> None:
        self._pending.remove(letter)
        recipient = letter.message.recipient
        if recipient not in self._present():
            return
        self._arrived.append(letter)
        self._act(recipient, lambda station: station.receive(letter.data, 0.0))

    def _refuse(self, name: str, data: bytes) -> None:
        """Let bytes arrive that must be refused, and change nothing."""
        if name not in self._present():
            return
        station = self._stations[name]
        known, before = len(station.refusals), _stance(station)
        self._act(name, lambda station: station.receive(data, 0.0))
        with self._course():
            refused = len(station.refusals) > known and _stance(station) == before
            _demand(refused, f"{name} takes, or is changed by, what it must refuse")

    def _act(self, name: str, move: Callable[[Station], list[Message]]) -> None:
        """Let a party move, send what it sends, and look at what it does."""
        station = self._stations[name]
        with self._course():
            for message in move(station):
                self._post(message)
            if name in self.terms.malicious and self._lied:
                return
            if station.party.outcome is not None and name not in self._outcomes:
                self._outcomes[name] = station.party.outcome
                self._judge(name, station.party.outcome)
            honest = {
                name: station.party
                for name, station in self._stations.items()
                if name not in self.terms.malicious
            }
            self.terms.audit(honest, [*self._sent.values()])

    def _post(self, message: Message) -> None:
        letter = _Letter(message, message.to_bytes())
        if message.sender in self.terms.malicious:
            if self._data.draw(st.booleans(), f"{letter} becomes a lie"):
                letter = self._lie_after(message, self._data, message.recipient)
        else:
            place = message.sender, message.label, message.recipient
            _demand(place not in self._sent, f"{letter} is sent a second time")
            self._sent[place] = message
        self._pending.append(letter)

    def _lie_after(self, message: Message, data: st.DataObject, recipient: str) -> _Letter:
        """Return a message that its malicious sender signs after the likeness of this one."""
        self._lied = True
        lie = replace(data.draw(self.terms.lie(message), "lie"), recipient=recipient)
        signed = self._stations[message.sender].party.sign(lie)
        return _Letter(signed, signed.to_bytes())

    def _judge(self, name: str, outcome: Outcome) -> None:
        """Demand what every outcome owes."""
        survivors, session = outcome.survivors, self._session
        _demand(
            list(survivors) == sorted(set(survivors)) and set(survivors) <= set(session.roster),
            f"{name} names the survivors {survivors} of the roster {session.roster}",
        )
        _demand(
            len(survivors) >= session.min_survivors,
            f"{name} ends with {len(survivors)} survivors, fewer than {session.min_survivors}",
        )
        silent = {client_name(client) for client in survivors} - self._heard() - {name}
        _demand(not silent, f"{name} names survivors of whom nothing came: {sorted(silent)}")
        if self._lied and not self.terms.verified:
            return
        _demand(
            outcome.integers.tolist() == self._exact(survivors),
            f"{name} ends with another sum than that of the survivors that it names, {survivors}",
        )
        if self._lied:
            return
        for other, earlier in self._outcomes.items():
            _demand(
                earlier.survivors == survivors,
                f"{other} ends with the survivors {earlier.survivors}, {name} with {survivors}",
            )

    def _heard(self) -> set[str]:
        """Return those of whom at least one message has arrived anywhere."""
        return {letter.message.sender for letter in self._arrived}

    def _exact(self, survivors: Sequence[int]) -> list[int]:
        quantise = self._session.encoding.quantise
        rows = [quantise(self._updates[client]).tolist() for client in survivors]
        return [sum(column) for column in zip(*rows, strict=True)]

    @contextmanager
    def _course(self) -> Iterator[None]:
        """Let the library draw what hypothesis controls, and remember when something is wrong."""
        self._intact = False
        with _test_source(self._random.randbytes):
            yield
        self._intact = True


def aggregator_machine(
    make: Callable[[], Aggregator],
    *,
    clients: tuple[int, int] = (2, 4),
    length: int = 1,
    encoding: FixedPoint | None = None,
    tolerates: Callable[[Session], int] | None = None,
    malicious: Collection[str] = (),
    lie: Lie = strategies.lies,
    verified: bool = False,
    audit: Audit | None = None,
) -> type[AggregatorMachine]:
    """Return a state machine that plays sessions of an aggregator.

    `veilsum.testing.machines` says what it demands and what it cannot see. A search with a few
    hundred examples and ``phases=[Phase.generate]`` takes seconds; making what it has found as
    short as can be, which hypothesis does by default, may take minutes.

    Parameters
    ----------
    make : callable
        Takes nothing and returns an aggregator: a fresh one for every course of events. What is
        slow to make and keeps no state, such as a pair of keys, it may share.
    clients : tuple of int
        The fewest and the most clients of a roster.
    length : int
        Coordinates of an update.
    encoding : FixedPoint, optional
        ``FixedPoint.binary()`` by default.
    tolerates : callable, optional
        Takes the session and returns how many of its clients may vanish, whenever they do, such
        that there still is a sum; none by default: a protocol that survives nothing passes then.
    malicious : collection of str
        Names of the parties that may lie, such as ``["server"]``.
    lie : callable, optional
        Takes a message of a malicious party and returns a strategy of what it signs in its place;
        `strategies.lies` by default.
    verified : bool
        Whether honest parties notice every wrong sum: then a sum must be exact whatever the
        malicious have signed. No protocol can promise that while clients lie about their updates.
    audit : callable, optional
        Takes the honest parties by name and all messages that honest parties have sent so far,
        after every event, and raises an AssertionError when it finds what must not be.

    Returns
    -------
    type
        Of a state machine: its `TestCase` is for pytest, or give it to
        `hypothesis.stateful.run_state_machine_as_test`.

    Raises
    ------
    TypeError
        When `make` is no callable.
    ValueError
        When no party has the name of a malicious one, or `clients` is no range.

    Examples
    --------
    >>> from veilsum.protocols import Sharing
    >>> def spare(session):
    ...     return len(session.roster) - session.min_survivors
    >>> machine = aggregator_machine(
    ...     lambda: Sharing(holders=3, threshold=2),
    ...     clients=(2, 4),
    ...     tolerates=spare,
    ...     malicious=["server"],
    ... )
    >>> TestSharing = machine.TestCase
    """
    if not callable(make):
        raise TypeError(f"make: got {type(make).__name__}, expected a callable, such as a lambda")
    if not (isinstance(clients, tuple) and len(clients) == 2 and 1 <= clients[0] <= clients[1]):
        raise ValueError(f"clients: got {clients}, expected (fewest, most), from 1")
    _require_parties(malicious, make().staff(range(clients[1])))
    terms = _Terms(
        make=make,
        clients=clients,
        length=length,
        encoding=FixedPoint.binary() if encoding is None else encoding,
        tolerates=(lambda _: 0) if tolerates is None else tolerates,
        malicious=frozenset(malicious),
        lie=lie,
        verified=verified,
        audit=(lambda _, __: None) if audit is None else audit,
    )
    return type("AggregatorMachine", (AggregatorMachine,), {"terms": terms})


def _require_parties(malicious: Collection[str], staff: Collection[str]) -> None:
    strangers = [name for name in malicious if name not in staff and not name.startswith("client-")]
    if strangers:
        known = ", ".join((*staff, "client-0 and so on"))
        raise ValueError(f"malicious: got {strangers}, which are no parties; expected {known}")


def _stance(station: Station) -> tuple[object, ...]:
    """Return all that a party shows of where it stands."""
    return *_standing(station.party), id(station.party.outcome), station.failure


def _standing(party: Party) -> tuple[object, ...]:
    """Return what a party shows, but for its sum."""
    return party.phase, party.awaits, party.late, party.ready, party.heard, party.started


def _demand(met: bool, otherwise: str) -> None:
    if not met:
        raise AssertionError(otherwise)
