"""The in-memory transport counts what it carries; the driver knows when a round is over."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from veilsum.errors import DeserializationError, ProtocolError
from veilsum.protocols import (
    InMemoryTransport,
    Message,
    Paillier,
    Party,
    Plain,
    Sharing,
    drive,
    state,
)
from veilsum.protocols.plain import Update
from veilsum.protocols.sharing import Dealing, Heard, Summed, Survivors

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
        "clients": Sharing(threshold=3),
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
    assert {type(message) for message, _ in recorder.log} == set(aggregator.messages)
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


def test_a_hook_sees_a_message_and_its_bytes_and_may_send_another():
    def doubled(message, data):
        assert data == message.to_bytes()
        return replace(message, digits=2 * message.digits).to_bytes()

    transport = InMemoryTransport(tamper=doubled)
    result = Plain().aggregate([[0.5], [0.25]], transport=transport)
    assert result.sum.tolist() == [1.5]


@pytest.mark.parametrize("cut", [0, 1, 13, 20, 60, -1])
def test_cut_bytes_end_the_round_with_an_error(aggregator, cut):
    transport = InMemoryTransport(tamper=lambda _, data: data[:cut])
    with pytest.raises(ProtocolError, match=r"cannot read .* of 'client-0'") as caught:
        aggregator.aggregate(UPDATES, transport=transport)
    assert isinstance(caught.value.__cause__, DeserializationError)


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
    peers = {(f"client-{client}", "combine") for client in range(4)}
    assert work(Sharing()) == clients | peers | server


# ---- A protocol without a server: everybody commits, then reveals, and all end with the sum.


@dataclass(frozen=True, kw_only=True, eq=False)
class Commit(Update):
    label: ClassVar[str] = "test/commit"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reveal(Update):
    label: ClassVar[str] = "test/reveal"


class Gossip(Party):
    """Commits, then reveals to those that committed."""

    def __init__(self, session, name, value):
        super().__init__(session, name)
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


def gossip(drop=None, absent=()):
    session = Plain().open_session(range(4), length=1)
    parties = [
        Gossip(session, name, 10**position)
        for position, name in enumerate(session.clients)
        if name not in absent
    ]
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


def test_a_silent_network_is_an_error_that_says_who_is_missing():
    with pytest.raises(ProtocolError, match=r"client-0 needs 1 .* missing are client-1, client-2"):
        gossip(drop=lambda _: True)


class Mute(Party):
    @state("protect")
    def begin(self):
        return []


def test_parties_that_fall_silent_are_an_error():
    session = Plain().open_session([0], length=1)
    with pytest.raises(ProtocolError, match="fell silent"):
        drive([Mute(session, "client-0")], kinds=(Update,), transport=InMemoryTransport())


def test_a_refused_message_ends_the_run_with_the_error_of_its_recipient():
    first, second = (Plain().open_session([0], length=1) for _ in range(2))
    (server, _), (_, client) = (Plain().parties(session, {0: [1.0]}) for session in (first, second))
    with pytest.raises(ProtocolError, match="server refuses a message of a foreign session"):
        drive([server, client], kinds=(Update,), transport=InMemoryTransport())


def test_the_classes_of_a_protocol_are_listed_in_the_order_of_its_rounds():
    assert Sharing.messages == (Dealing, Heard, Survivors, Summed)
    assert all(issubclass(kind, Message) for kind in Sharing.messages)
