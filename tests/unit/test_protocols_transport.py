"""The in-memory transport counts what it carries; the driver knows when a round is over."""

import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from veilsum import protocols
from veilsum.channel import Directory, Identity
from veilsum.errors import DeserializationError, ProtocolError
from veilsum.protocols import (
    Credentials,
    InMemoryTransport,
    Message,
    Paillier,
    Party,
    Plain,
    Sharing,
    drive,
    state,
)
from veilsum.protocols.committee import Dealing, Heard
from veilsum.protocols.plain import Update
from veilsum.protocols.serverless import Committed, Revealed
from veilsum.protocols.sharing import Confirmations, Confirmed, Summed, Survivors

UPDATES = [[0.5, 1.0, -3.0], [0.25, 2.0, 0.0], [4.0, 4.0, 1.0], [-8.0, 8.0, 0.125]]


@pytest.fixture(scope="module")
def paillier():
    return Paillier(key_bits=512, insecure=True)


@pytest.fixture(params=["plain", "paillier", "clients", "holders"])
def aggregator(request):
    if request.param == "paillier":
        return request.getfixturevalue("paillier")
    return {
        "plain": Plain(),
        "clients": Sharing(threshold=2),
        "holders": Sharing(holders=5, threshold=2),
    }[request.param]


class Recorder:
    """Carries like the transport it wraps, and keeps what it saw."""

    def __init__(self, transport):
        self.transport = transport
        self.log = []

    @property
    def carried(self):
        return self.transport.carried

    def send(self, message):
        return self.transport.send(message)

    def carry(self, message):
        data = self.transport.carry(message)
        self.log.append((message, data))
        return data


def update(sender="client-0", recipient="server", digits=(1, 2, 3)):
    return Update(session_id=bytes(32), sender=sender, recipient=recipient, digits=np.array(digits))


def test_bytes_of_every_link_are_the_lengths_of_its_encoded_messages(aggregator):
    recorder = Recorder(InMemoryTransport())
    result = aggregator.aggregate(UPDATES, dropped=[1], transport=recorder)
    expected = Counter()
    for message, data in recorder.log:
        assert data == message.to_bytes()
        expected[message.sender, message.recipient, message.phase] += len(data)
    assert result.bytes == expected
    assert min(result.bytes.values()) > 0
    assert {message.phase for message, _ in recorder.log} <= {"protect", "combine", "open"}


def test_every_message_that_is_carried_decodes_to_what_was_sent(aggregator):
    recorder = Recorder(InMemoryTransport())
    aggregator.aggregate(UPDATES, transport=recorder)
    assert {type(message) for message, _ in recorder.log} <= set(aggregator.messages)
    for message, data in recorder.log:
        assert type(message).from_bytes(data).to_bytes() == data


def test_a_plain_update_costs_eight_bytes_a_coordinate_and_a_constant():
    costs = [
        Plain().aggregate(np.ones((1, width))).bytes["client-0", "server", "protect"]
        for width in (1, 2, 1000)
    ]
    assert costs[1] - costs[0] == 8
    assert costs[2] - costs[0] == 8 * 999


def test_one_transport_serves_many_rounds_and_each_result_has_its_own_bytes():
    transport = InMemoryTransport()
    first = Plain().aggregate(UPDATES, transport=transport)
    second = Plain().aggregate(UPDATES[:2], transport=transport)
    assert second.bytes.keys() < first.bytes.keys()
    assert transport.carried == Counter(first.bytes) + Counter(second.bytes)


def test_what_is_lost_is_not_counted():
    transport = InMemoryTransport(drop=lambda message: message.sender == "client-1")
    assert transport.carry(update("client-1")) is None
    assert transport.carry(update("client-0")) == update("client-0").to_bytes()
    assert transport.carried.keys() == {("client-0", "server", "protect")}


def test_what_is_altered_is_counted_as_it_is_carried():
    transport = InMemoryTransport(tamper=lambda _, data: data + b"more")
    data = transport.carry(update())
    assert data == update().to_bytes() + b"more"
    assert transport.carried.total() == len(data)


def test_a_hook_sees_a_message_and_its_bytes_and_may_send_other_bytes():
    seen = []

    def copied(message, data):
        assert data == message.to_bytes()
        seen.append(message.sender)
        return Update.from_bytes(data).to_bytes()

    result = Plain().aggregate([[0.5], [0.25]], transport=InMemoryTransport(tamper=copied))
    assert result.sum.tolist() == [0.75]
    assert seen == ["client-0", "client-1"]
    assert result.refusals == ()


def doubled(message):
    return replace(message, digits=2 * message.digits)


def test_a_lie_is_signed_by_the_liar_and_counts_as_what_it_says():
    def lie(message):
        return doubled(message) if message.sender == "client-0" else message

    result = Plain().aggregate([[0.5], [0.25]], transport=InMemoryTransport(lie=lie))
    assert result.sum.tolist() == [1.25]
    assert result.refusals == ()


def test_what_the_network_changes_is_refused_however_it_is_written():
    def tamper(message, data):
        return doubled(message).to_bytes() if message.sender == "client-0" else data

    transport = InMemoryTransport(tamper=tamper)
    result = Plain().aggregate([[0.5], [0.25], [4.0]], transport=transport)
    assert result.sum.tolist() == [4.25]
    assert result.survivors == (1, 2)
    (refusal,) = result.refusals
    assert refusal.party == "server"
    assert "'plain/update' from 'client-0'" in str(refusal.reason)
    with pytest.raises(ProtocolError, match="signature: it is not the named signer's"):
        Plain(min_survivors=3).aggregate([[0.5], [0.25], [4.0]], transport=transport)


def test_a_liar_cannot_speak_as_somebody_else():
    def lie(message):
        changed = {"client-0": "client-1"}.get(message.sender)
        return message if changed is None else replace(message, sender=changed)

    result = Plain().aggregate([[0.5], [0.25], [4.0]], transport=InMemoryTransport(lie=lie))
    assert result.survivors == (1, 2)
    assert result.sum.tolist() == [4.25]
    (refusal,) = result.refusals
    assert "signature: it is not the named signer's" in str(refusal.reason)


def test_a_lie_to_nobody_is_lost():
    def lie(message):
        lost = message.sender == "client-0"
        return replace(message, recipient="client-9") if lost else message

    result = Plain().aggregate([[0.5], [0.25], [4.0]], transport=InMemoryTransport(lie=lie))
    assert result.survivors == (1, 2)
    assert result.refusals == ()


@pytest.mark.parametrize("cut", [0, 1, 13, 20, 60, -1])
def test_cut_bytes_are_refused_and_without_any_others_there_is_no_sum(aggregator, cut):
    transport = InMemoryTransport(tamper=lambda _, data: data[:cut])
    with pytest.raises(DeserializationError):
        aggregator.aggregate(UPDATES, transport=transport)


@pytest.mark.parametrize("cut", [0, 1, 13, 20, 60, -1])
def test_the_cut_bytes_of_one_client_cost_its_own_update_alone(cut):
    def tamper(message, data):
        return data[:cut] if message.sender == "client-0" else data

    result = Plain().aggregate(UPDATES, transport=InMemoryTransport(tamper=tamper))
    assert result.survivors == (1, 2, 3)
    (refusal,) = result.refusals
    assert refusal.party == "server"
    assert isinstance(refusal.reason, DeserializationError)


def test_counts_handed_out_do_not_follow_later_messages():
    transport = InMemoryTransport()
    before = transport.carried
    transport.carry(update())
    assert before.total() == 0


def test_seconds_are_measured_by_party_and_phase(paillier):
    def work(aggregator):
        seconds = aggregator.aggregate(UPDATES).seconds
        assert all(value >= 0 for value in seconds.values())
        return set(seconds)

    clients = {(f"client-{client}", "protect") for client in range(4)}
    assert work(Plain()) == clients | {("server", "combine")}
    assert work(paillier) == clients | {
        ("aggregator", "combine"),
        ("aggregator", "open"),
        ("key-holder", "combine"),
        ("key-holder", "open"),
    }
    holders = {(f"holder-{number}", "combine") for number in range(1, 4)}
    server = {("server", "combine"), ("server", "open")}
    assert work(Sharing(holders=3)) == clients | holders | server
    peers = {(f"client-{client}", phase) for client in range(4) for phase in ("combine", "open")}
    assert work(Sharing()) == clients | peers


# ---- A protocol without a server: everybody commits, then reveals, and all end with the sum.


@dataclass(frozen=True, kw_only=True, eq=False)
class Commit(Update):
    label: ClassVar[str] = "test/commit"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reveal(Update):
    label: ClassVar[str] = "test/reveal"


class Gossip(Party):
    """Commits, then reveals to those that committed."""

    def __init__(self, session, name, credentials, value):
        super().__init__(session, name, credentials)
        self.value = np.array([value])
        self.total = self.value.copy()

    def others(self):
        return [name for name in self.session.clients if name != self.name]

    def send(self, kind, recipients):
        return [
            kind(session_id=self.session.id, sender=self.name, recipient=name, digits=self.value)
            for name in recipients
        ]

    @state("protect")
    def begin(self):
        self.gather(Commit, self.others(), each=lambda _: None, then=self.reveal)
        return self.send(Commit, self.others())

    @state("combine")
    def reveal(self):
        self.gather(Reveal, self.heard, each=self.add, then=self.close)
        return self.send(Reveal, self.heard)

    def add(self, message):
        self.total += message.digits

    @state("open")
    def close(self):
        survivors = self.session.survivors([*self.heard, self.name])
        self.conclude(self.total, survivors)
        return []


IDENTITIES = {f"client-{client}": Identity.generate() for client in range(4)}
DIRECTORY = Directory({name: identity.public for name, identity in IDENTITIES.items()})


def peers(absent=()):
    session = Plain().open_session(range(4), length=1, directory=DIRECTORY)
    return [
        Gossip(session, name, Credentials(IDENTITIES[name], DIRECTORY), 10**position)
        for position, name in enumerate(session.clients)
        if name not in absent
    ]


def gossip(drop=None, absent=()):
    parties = peers(absent)
    drive(parties, kinds=(Commit, Reveal), transport=InMemoryTransport(drop=drop))
    return [int(party.outcome.integers[0]) for party in parties]


def test_peers_without_a_server_all_end_with_the_sum():
    assert gossip() == [1111] * 4


def test_the_deadline_of_a_round_passes_for_all_before_the_next_round_is_carried():
    assert gossip(absent=["client-2"]) == [1011] * 3


def test_the_deadline_of_an_earlier_round_passes_first():
    def drop(message):
        return message.sender == "client-1" and isinstance(message, Reveal)

    assert gossip(drop=drop) == [1101, 1111, 1101, 1101]


def test_the_waiting_is_bounded_whatever_is_lost(monkeypatch):
    waited = Counter()
    whole = Gossip.deadline

    def counted(party):
        waited[party.name] += 1
        return whole(party)

    monkeypatch.setattr(Gossip, "deadline", counted)
    for lost in (
        lambda _: True,
        lambda message: message.sender == "client-1",
        lambda message: isinstance(message, Reveal),
        lambda message: message.recipient == "client-2",
    ):
        waited.clear()
        try:
            drive(peers(), kinds=(Commit, Reveal), transport=InMemoryTransport(drop=lost))
        except ProtocolError:
            assert waited
        assert max(waited.values()) <= 2  # once a round


def test_a_refused_message_counts_as_lost_on_its_link_alone():
    def tamper(message, data):
        cut = (message.sender, message.recipient) == ("client-1", "client-3")
        return data[:-1] if cut else data

    parties = peers()
    done = drive(parties, kinds=(Commit, Reveal), transport=InMemoryTransport(tamper=tamper))
    # client-3 has no commitment of client-1, so it takes nothing of it and reveals nothing to it.
    assert [int(party.outcome.integers[0]) for party in parties] == [1111, 111, 1111, 1101]
    assert {refusal.party for refusal in done.refusals} == {"client-3"}


# ---- In which order


class Asker(Gossip):
    """Commits to all at once, and waits for what each of them reveals."""

    @state("protect")
    def begin(self):
        self.gather(Reveal, self.others(), each=self.add, then=self.close)
        return self.send(Commit, self.others())


class Answerer(Gossip):
    """Reveals to the one that commits."""

    @state("protect")
    def begin(self):
        self.gather(Commit, ["client-0"], each=lambda _: None, then=self.answer)
        return []

    @state("combine")
    def answer(self):
        return self.send(Reveal, self.heard)


def test_what_follows_from_a_message_is_carried_before_the_next():
    session = Plain().open_session(range(4), length=1, directory=DIRECTORY)
    asker, *answerers = (
        kind(session, name, Credentials(IDENTITIES[name], DIRECTORY), 1)
        for kind, name in zip([Asker, *[Answerer] * 3], session.clients, strict=True)
    )
    recorder = Recorder(InMemoryTransport())
    drive([*answerers, asker], kinds=(Commit, Reveal), transport=recorder)
    assert asker.outcome.integers.tolist() == [4]
    assert [(message.sender, message.recipient) for message, _ in recorder.log] == [
        link
        for name in ("client-1", "client-2", "client-3")
        for link in (("client-0", name), (name, "client-0"))
    ]


def test_the_messages_of_many_clients_do_not_wait_in_memory_together():
    alive = weakref.WeakSet()
    most = 0

    def watch(message):
        nonlocal most
        alive.add(message)
        most = max(most, len(alive))
        return False

    Plain().aggregate(np.ones((30, 2)), transport=InMemoryTransport(drop=watch))
    assert most <= 4


def test_a_silent_network_is_an_error_that_says_who_is_missing():
    with pytest.raises(ProtocolError, match=r"client-0 needs 1 .* missing are client-1, client-2"):
        gossip(drop=lambda _: True)


class Mute(Party):
    @state("protect")
    def begin(self):
        return []


def test_parties_that_fall_silent_are_an_error():
    session = Plain().open_session([0], length=1, directory=DIRECTORY)
    mute = Mute(session, "client-0", Credentials(IDENTITIES["client-0"], DIRECTORY))
    with pytest.raises(ProtocolError, match="fell silent"):
        drive([mute], kinds=(Update,), transport=InMemoryTransport())


def test_a_run_that_cannot_go_on_ends_with_the_first_refusal():
    plain = Plain()
    first, second = (plain.open_session([0], length=1) for _ in range(2))
    (server, _), (_, client) = (plain.parties(session, {0: [1.0]}) for session in (first, second))
    with pytest.raises(ProtocolError, match="server refuses a message of a foreign session"):
        drive([server, client], kinds=(Update,), transport=InMemoryTransport())


def test_the_classes_of_a_protocol_are_listed_in_the_order_of_its_rounds():
    with_server = (Dealing, Heard, Survivors, Confirmed, Confirmations, Summed)
    without = (Dealing, Heard, Committed, Revealed)
    for form in (with_server, without):
        assert tuple(kind for kind in Sharing.messages if kind in form) == form
    assert set(Sharing.messages) == {*with_server, *without}
    assert all(issubclass(kind, Message) for kind in Sharing.messages)


def test_a_lie_that_is_no_message_is_refused():
    transport = protocols.InMemoryTransport(lie=lambda _: None)
    with pytest.raises(TypeError, match="lie: got NoneType, expected a Message"):
        protocols.aggregate([[1.0], [2.0]], protocol="plain", transport=transport)


def test_tampering_that_gives_no_bytes_is_refused():
    transport = protocols.InMemoryTransport(tamper=lambda *_: None)
    with pytest.raises(TypeError, match="tamper: got NoneType, expected bytes"):
        protocols.aggregate([[1.0], [2.0]], protocol="plain", transport=transport)


def test_a_message_class_that_the_protocol_does_not_name_is_said():
    class Nameless(protocols.Plain):
        messages = (protocols.Heartbeat,)

    with pytest.raises(ValueError, match="messages: Update is not among them; got Heartbeat"):
        Nameless().aggregate([[1.0], [2.0]])


def test_many_missing_parties_are_counted_and_not_listed():
    with pytest.raises(ProtocolError, match=r"client-4 and 15 more\Z"):
        protocols.aggregate([[1.0]] * 20, protocol="plain", dropped=range(20))
