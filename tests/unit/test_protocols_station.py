"""A station holds back what comes early, waits no longer than it may, and never sees a clock."""

import ast
import gc
import inspect
import math
import time
import weakref
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from veilsum.channel import Directory, Identity
from veilsum.errors import AuthenticationError, DecodingError, DeserializationError, ProtocolError
from veilsum.protocols import Credentials, Heartbeat, Masking, Party, Plain, Refusal, Station, state
from veilsum.protocols import station as station_module
from veilsum.protocols.plain import Update

NAMES = ("client-0", "client-1", "client-2", "stranger")
IDENTITIES = {name: Identity.generate() for name in NAMES}
DIRECTORY = Directory({name: identity.public for name, identity in IDENTITIES.items()})
SESSION = Plain().open_session(range(3), length=1, directory=DIRECTORY)


class First(Update):
    label: ClassVar[str] = "test/first"


class Second(Update):
    label: ClassVar[str] = "test/second"


KINDS = (First, Second)


class Talker(Party):
    """Hears the others twice, and ends with the sum of what they said the second time."""

    def __init__(self, name="client-0", *, least=1):
        super().__init__(SESSION, name, Credentials(IDENTITIES[name], DIRECTORY))
        self.least = least
        self.total = np.zeros(1, np.int64)

    @state("protect")
    def begin(self):
        others = [name for name in SESSION.clients if name != self.name]
        self.gather(First, others, each=lambda _: None, then=self.more, least=self.least)
        return [message(First, self.name, to=other, signed=False) for other in others]

    @state("combine")
    def more(self):
        self.gather(Second, self.heard, each=self.add, then=self.close, least=self.least)
        return [message(Second, self.name, to=other, signed=False) for other in self.heard]

    def add(self, heard):
        if heard.digits[0] < 0:
            raise ProtocolError("below zero")
        self.total += heard.digits

    @state("open")
    def close(self):
        if self.total[0] == 666:
            raise DecodingError("the sums disagree")
        self.conclude(self.total, SESSION.survivors([*self.heard, self.name]))
        return []


def message(kind, sender, *, to="client-0", value=1, signed=True, by=None, of=SESSION):
    unsigned = kind(session_id=of.id, sender=sender, recipient=to, digits=np.array([value]))
    if not signed:
        return unsigned
    signer = IDENTITIES[by or sender]
    return replace(unsigned, signature=signer.sign(unsigned.signed))


def beat(sender, number, *, to="client-0", by=None, of=SESSION):
    unsigned = Heartbeat(session_id=of.id, sender=sender, recipient=to, beat=number)
    return replace(unsigned, signature=IDENTITIES[by or sender].sign(unsigned.signed)).to_bytes()


def started(now=0.0, *, least=1, **options):
    one = Station(Talker(least=least), KINDS, **options)
    assert len(one.start(now)) == 2
    return one


def give(one, kind, sender, now=0.0, **changes):
    return one.receive(message(kind, sender, **changes).to_bytes(), now)


def reasons(one):
    return [str(refusal.reason) for refusal in one.refusals]


# ---- Early messages


def test_a_message_of_a_later_round_is_held_back_until_that_round():
    one = started()
    assert give(one, Second, "client-1", value=5) == []
    assert give(one, First, "client-1") == []
    assert one.party.awaits is First
    sent = give(one, First, "client-2")
    assert [type(answer) for answer in sent] == [Second, Second]
    assert one.party.late == ("client-2",)
    give(one, Second, "client-2", value=7)
    assert one.party.outcome.sum.tolist() == [12 / 2**32]
    assert one.refusals == []


def test_when_all_has_come_early_the_last_message_ends_the_round():
    one = started()
    for sender in ("client-1", "client-2"):
        give(one, Second, sender)
    for sender in ("client-1", "client-2"):
        give(one, First, sender)
    assert one.party.outcome.integers.tolist() == [2]


def test_what_comes_before_the_start_is_held_back_too():
    one = Station(Talker(), KINDS)
    for kind in (Second, First):
        for sender in ("client-1", "client-2"):
            assert give(one, kind, sender) == []
    sent = one.start(0.0)
    assert [type(answer) for answer in sent] == [First, First, Second, Second]
    assert one.party.outcome.integers.tolist() == [2]
    assert one.refusals == []


def test_what_was_held_back_for_two_rounds_is_taken_round_by_round():
    one = Station(Talker(), KINDS)
    for kind in (Second, First):
        give(one, kind, "client-1", value=3)
    assert len(one.start(0.0)) == 2
    assert one.party.late == ("client-2",)
    one.close(1.0)
    assert one.party.outcome.integers.tolist() == [3]


def test_what_is_sent_is_signed_whichever_message_set_it_off():
    one = started()
    give(one, First, "client-1")
    for sent in give(one, First, "client-2"):
        DIRECTORY["client-0"].verify(sent.signature, sent.signed)


@pytest.mark.parametrize("early", [True, False])
def test_a_duplicate_is_refused_whether_it_was_held_back_or_taken(early):
    one = started()
    kind = Second if early else First
    give(one, kind, "client-1", value=5)
    give(one, kind, "client-1", value=9)
    assert reasons(one) == [f"client-0 has had {kind.label!r} from 'client-1' already"]
    give(one, First, "client-2")
    if early:
        give(one, First, "client-1")
        give(one, Second, "client-1", value=9)
        assert reasons(one)[1:] == ["client-0 has had 'test/second' from 'client-1' already"]
        assert one.party.total.tolist() == [5]


FORGERIES = {
    "unsigned": ({"signed": False}, "it is not the named signer's"),
    "signed by another": ({"by": "client-2"}, "it is not the named signer's"),
    "for another recipient": ({"to": "client-2"}, "a message to 'client-2'"),
    "of another session": ({"of": replace(SESSION, round=1)}, "a message of a foreign session"),
}


@pytest.mark.parametrize("kind", [First, Second])
@pytest.mark.parametrize(("changes", "match"), FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_refused_at_once_and_takes_nobody_s_place(kind, changes, match):
    one = started()
    give(one, kind, "client-1", value=9, **changes)
    (reason,) = reasons(one)
    assert match in reason
    for genuine in KINDS:
        for sender in ("client-1", "client-2"):
            give(one, genuine, sender)
    assert one.party.outcome.integers.tolist() == [2]
    assert len(one.refusals) == 1
    assert one.failure is None


def test_an_early_message_in_the_name_of_nobody_is_refused():
    one = started()
    forged = replace(message(Second, "client-1"), sender="client-9")
    one.receive(forged.to_bytes(), 0.0)
    assert reasons(one) == ["client-0 knows nobody called 'client-9'"]


def test_an_early_message_of_who_has_no_say_is_refused_in_its_round():
    one = started()
    give(one, Second, "stranger")
    assert one.refusals == []
    give(one, First, "client-1")
    give(one, First, "client-2")
    assert reasons(one) == ["client-0 expects no 'test/second' of 'stranger'"]
    assert one.party.late == ("client-1", "client-2")


def test_an_early_message_that_does_not_fit_is_refused_in_its_round():
    one = started()
    give(one, Second, "client-1", value=-1)
    give(one, First, "client-1")
    give(one, First, "client-2")
    assert reasons(one) == ["below zero"]
    give(one, Second, "client-1", value=3)
    give(one, Second, "client-2", value=4)
    assert one.party.outcome.integers.tolist() == [7]


def test_a_message_of_an_earlier_round_is_refused():
    one = started(seconds=1.0)
    give(one, First, "client-1")
    one.tick(1.0)
    give(one, First, "client-2", now=1.5)
    assert reasons(one) == [
        "client-0 waits for 'test/second' now; 'test/first' is of another round"
    ]


def test_nothing_is_held_back_for_who_waits_for_nothing_any_more():
    one = started()
    for kind in KINDS:
        for sender in ("client-1", "client-2"):
            give(one, kind, sender)
    give(one, Second, "client-1")
    assert reasons(one) == ["client-0 waits for nothing now; 'test/second' is of another round"]


# ---- Bytes


@pytest.mark.parametrize("junk", [b"", b"junk", bytes(100)])
def test_bytes_that_are_no_message_are_refused(junk):
    one = started()
    assert one.receive(junk, 0.0) == []
    (refusal,) = one.refusals
    assert refusal == Refusal("client-0", refusal.reason)
    assert isinstance(refusal.reason, DeserializationError)


def test_a_message_of_another_protocol_is_refused():
    one = started()
    give(one, Update, "client-1")
    assert (
        "has the label 'plain/update'; known are test/first, test/second, hear" in reasons(one)[0]
    )


def test_refused_messages_do_not_stay_in_memory():
    one = started()
    alive = []

    def watched(heard):
        alive.append(weakref.ref(heard))
        raise ProtocolError("no")

    one.party._gathering.each = watched
    give(one, First, "client-1")
    gc.collect()
    assert [reference() for reference in alive] == [None]
    assert reasons(one) == ["no"]


def test_the_cause_of_a_refusal_stays():
    one = started()
    give(one, First, "client-1", by="client-2")
    (refusal,) = one.refusals
    assert isinstance(refusal.reason.__cause__, AuthenticationError)


def test_a_flood_is_not_noted_without_end():
    one = started()
    for _ in range(station_module.MAX_REFUSALS + 5):
        one.receive(b"", 0.0)
    assert len(one.refusals) == station_module.MAX_REFUSALS
    for kind in KINDS:
        for sender in ("client-1", "client-2"):
            give(one, kind, sender)
    assert one.party.outcome.integers.tolist() == [2]


# ---- Deadlines


def test_a_deadline_passes_for_the_late_alone():
    one = started(100.0, seconds=60.0)
    give(one, First, "client-1", now=110.0)
    assert one.tick(159.9) == []
    assert one.party.awaits is First
    (sent,) = one.tick(160.0)
    assert (type(sent), sent.recipient) == (Second, "client-1")
    give(one, Second, "client-1", now=161.0, value=4)
    assert one.party.outcome.survivors == (0, 1)


def test_each_round_has_a_deadline_of_its_own_from_where_it_began():
    one = started(seconds={"test/first": 10.0, "test/second": 100.0})
    give(one, First, "client-1", now=4.0)
    give(one, First, "client-2", now=5.0)
    give(one, Second, "client-1", now=6.0)
    one.tick(104.9)
    assert one.party.awaits is Second
    one.tick(105.0)
    assert one.party.outcome.survivors == (0, 1)


def test_a_round_without_a_deadline_waits_for_ever():
    one = started(seconds={"test/first": 10.0})
    give(one, First, "client-1")
    one.tick(10.0)
    one.tick(1e12)
    assert one.party.awaits is Second


def test_there_is_no_deadline_unless_one_is_set():
    one = started()
    give(one, First, "client-1")
    assert one.tick(1e300) == []
    assert one.party.awaits is First


def test_ticks_before_the_start_and_after_the_end_do_nothing():
    waiting = Station(Talker(), KINDS, seconds=1.0)
    assert waiting.tick(5.0) == []
    assert waiting.late(5.0) == {}
    assert len(waiting.start(5.0)) == 2
    one = started(seconds=1.0)
    for kind in KINDS:
        for sender in ("client-1", "client-2"):
            give(one, kind, sender)
    assert one.tick(50.0) == []
    assert one.failure is None


def test_too_few_at_the_deadline_end_the_party_and_nobody_else():
    one = started(seconds=10.0, least=2)
    give(one, First, "client-1")
    assert one.tick(10.0) == []
    assert "needs 2 messages 'test/first' to go on and has 1; missing are client-2" in str(
        one.failure
    )
    assert isinstance(one.failure, ProtocolError)
    assert one.refusals == []
    assert one.party.outcome is None
    give(one, First, "client-2", now=11.0)
    assert reasons(one) == ["client-0 waits for nothing now; 'test/first' is of another round"]


def test_who_is_late_is_told_with_how_long_the_round_has_lasted():
    one = started(100.0)
    assert one.late(130.0) == {"client-1": 30.0, "client-2": 30.0}
    give(one, First, "client-1", now=131.0)
    assert one.late(140.0) == {"client-2": 40.0}
    give(one, First, "client-2", now=150.0)
    assert one.late(151.0) == {"client-1": 1.0, "client-2": 1.0}


def test_a_monitor_may_let_the_round_go_on_at_any_time():
    one = started()
    give(one, First, "client-1", now=1.0)
    assert one.late(2.0) == {"client-2": 2.0}
    (sent,) = one.close(2.0)
    assert sent.recipient == "client-1"
    assert one.late(3.0) == {"client-1": 1.0}
    give(one, Second, "client-1", now=3.0)
    assert one.party.outcome.survivors == (0, 1)
    assert one.close(4.0) == []


def test_a_round_that_goes_on_takes_what_was_held_back_for_the_next():
    one = started()
    give(one, Second, "client-1", value=5)
    give(one, First, "client-1")
    one.close(1.0)
    assert one.party.outcome.integers.tolist() == [5]


# ---- Heartbeats and patience


def test_who_gives_no_sign_of_life_is_not_waited_for():
    one = started(seconds=1000.0, patience=20.0)
    give(one, First, "client-1", now=1.0)
    one.tick(20.0)
    assert one.silent(20.0) == ()
    assert one.party.awaits is First
    assert one.silent(20.1) == ("client-2",)
    one.tick(20.1)
    assert one.party.awaits is Second


def test_a_heartbeat_is_a_sign_of_life_until_the_deadline():
    one = started(seconds=100.0, patience=20.0)
    give(one, First, "client-1", now=1.0)
    for number, now in enumerate((15.0, 30.0, 45.0, 60.0, 75.0, 90.0), 1):
        assert one.receive(beat("client-2", number), now) == []
        one.tick(now + 5.0)
        assert one.party.awaits is First
    one.tick(100.0)
    assert one.party.awaits is Second
    assert one.refusals == []


def test_patience_alone_does_not_go_on_with_too_few():
    one = started(seconds=1000.0, patience=20.0, least=2)
    give(one, First, "client-1", now=1.0)
    one.tick(500.0)
    assert one.silent(500.0) == ("client-2",)
    assert one.failure is None
    assert one.party.awaits is First
    give(one, First, "client-2", now=501.0)
    assert one.party.awaits is Second


def test_one_who_shows_life_is_waited_for_though_another_is_silent():
    one = started(patience=20.0, least=0)
    one.receive(beat("client-2", 1), 25.0)
    one.tick(45.0)
    assert one.silent(45.0) == ("client-1",)
    assert one.party.awaits is First
    one.tick(46.0)
    assert one.party.outcome.survivors == (0,)


def test_a_message_that_is_held_back_is_a_sign_of_life():
    one = started(patience=20.0)
    give(one, Second, "client-2", now=15.0)
    assert one.silent(30.0) == ("client-1",)
    assert set(one.silent(36.0)) == {"client-1", "client-2"}


def test_patience_begins_anew_with_every_round():
    one = started(patience=20.0)
    give(one, First, "client-1", now=0.0)
    give(one, First, "client-2", now=15.0)
    assert one.silent(34.0) == ()
    assert one.silent(36.0) == ("client-1", "client-2")


BEATS = {
    "the same once more": (lambda: beat("client-2", 5), "has had this heartbeat of 'client-2'"),
    "an older one": (lambda: beat("client-2", 4), "has had this heartbeat of 'client-2'"),
    "number 0": (lambda: beat("client-1", 0), "has had this heartbeat of 'client-1'"),
    "another's signature": (lambda: beat("client-2", 6, by="client-1"), "not the named signer's"),
    "another recipient": (lambda: beat("client-2", 6, to="client-1"), "a heartbeat to 'client-1'"),
    "another session": (
        lambda: beat("client-2", 6, of=replace(SESSION, round=1)),
        "foreign session",
    ),
    "nobody's": (lambda: beat("client-9", 6, by="client-2"), "knows nobody called 'client-9'"),
}


@pytest.mark.parametrize(("forge", "match"), BEATS.values(), ids=BEATS)
def test_a_heartbeat_that_is_refused_is_no_sign_of_life(forge, match):
    one = started(patience=20.0)
    one.receive(beat("client-2", 5), 1.0)
    assert one.refusals == []
    one.receive(forge(), 15.0)
    assert match in reasons(one)[0]
    assert set(one.silent(30.0)) == {"client-1", "client-2"}


def test_heartbeats_are_counted_by_sender():
    one = started()
    one.receive(beat("client-1", 7), 1.0)
    one.receive(beat("client-2", 1), 1.0)
    one.receive(beat("client-2", 9), 1.0)
    assert one.refusals == []


def test_a_party_sends_signed_heartbeats_at_its_interval():
    one = started(watchers=["client-1", "client-2"], interval=10.0)
    sent = [one.tick(now) for now in (0.0, 5.0, 9.9, 10.0, 35.0, 40.0)]
    assert [len(each) for each in sent] == [2, 0, 0, 2, 2, 0]
    beats = [sign for each in sent for sign in each]
    assert [sign.recipient for sign in beats] == ["client-1", "client-2"] * 3
    assert [sign.beat for sign in beats] == [1, 1, 2, 2, 3, 3]
    other = Station(Talker("client-1"), KINDS)
    other.start(0.0)
    for sign in beats[::2]:
        assert other.receive(sign.to_bytes(), 1.0) == []
    assert other.refusals == []


def test_there_are_no_heartbeats_unless_they_are_asked_for():
    assert started(watchers=["client-1"]).tick(1e9)[1:] == []
    assert started(interval=1.0).tick(1e9) == []


def test_who_has_left_the_session_shows_no_life():
    one = started(seconds=10.0, watchers=["client-1"], interval=1.0)
    assert len(one.tick(1.0)) == 1
    one.tick(10.0)
    assert one.failure is not None
    assert one.tick(20.0) == []


def test_heartbeats_come_along_with_what_a_deadline_sets_off():
    one = started(seconds=10.0, watchers=["stranger"], interval=10.0)
    give(one, First, "client-1")
    assert [type(sent) for sent in one.tick(10.0)] == [Heartbeat, Second]


# ---- Failure and refusal


def test_a_refusal_leaves_the_party_where_it_was():
    one = started()
    give(one, First, "client-1", to="client-2")
    assert one.failure is None
    assert one.party.late == ("client-1", "client-2")


def test_what_cannot_go_on_has_failed():
    one = started()
    for sender in ("client-1", "client-2"):
        give(one, First, sender)
    give(one, Second, "client-1", value=600)
    give(one, Second, "client-2", value=66)
    assert isinstance(one.failure, DecodingError)
    assert one.refusals == []
    assert one.party.awaits is None
    assert one.party.outcome is None


def test_what_cannot_go_on_at_a_deadline_has_failed_too():
    one = started(seconds=10.0)
    give(one, First, "client-1")
    one.tick(10.0)
    give(one, First, "client-2", now=11.0)
    give(one, Second, "client-1", now=12.0, value=666)
    assert isinstance(one.failure, DecodingError)
    assert len(one.refusals) == 1


# ---- Time


def test_the_module_imports_no_clock():
    tree = ast.parse(inspect.getsource(station_module))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names.isdisjoint({"time", "datetime", "perf_counter", "monotonic", "threading"})


@pytest.mark.parametrize("origin", [0.0, -1e6, 1.7e9])
def test_only_differences_of_the_given_times_count(origin, monkeypatch):
    def no_clock(*_):
        raise AssertionError("a clock was read")

    for name in ("time", "monotonic", "perf_counter", "time_ns"):
        monkeypatch.setattr(time, name, no_clock)
    one = started(origin, seconds=60.0, patience=30.0, watchers=["client-1"], interval=20.0)
    give(one, First, "client-1", now=origin + 1.0)
    one.receive(beat("client-2", 1), origin + 20.0)
    assert len(one.tick(origin + 49.0)) == 1
    assert one.party.awaits is First
    assert [type(sent) for sent in one.tick(origin + 51.0)] == [Second]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"seconds": -1.0}, "seconds: got -1.0, expected a number of seconds from 0"),
        ({"seconds": math.nan}, "seconds: got nan"),
        ({"seconds": {"test/first": -1.0}}, "test/first: got -1.0"),
        ({"seconds": {"test/unknown": 1.0}}, "seconds: got the labels .*test/unknown"),
        ({"patience": -1.0}, "patience: got -1.0"),
        ({"patience": math.nan}, "patience: got nan"),
        ({"interval": -1.0}, "interval: got -1.0"),
    ],
    ids=str,
)
def test_times_that_are_none_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Station(Talker(), KINDS, **options)


def test_early_messages_beyond_the_allowed_bytes_are_refused():
    aggregator = Masking()
    session = aggregator.open_session(range(3), length=100)
    server, *clients = aggregator.parties(session, {client: np.zeros(100) for client in range(3)})
    early = [message.to_bytes() for client in clients for message in client.start()]
    station = Station(server, aggregator.messages, most_held=sum(map(len, early)) - 1)
    for data in early:  # the server has not started yet
        assert station.receive(data, 0.0) == []
    assert len(station.refusals) == 1
    assert "early messages at most" in str(station.refusals[0].reason)
    assert station.start(1.0) == []
    assert station.late(2.0) == {"client-2": 1.0}


def test_a_party_that_is_done_sends_no_heartbeats():
    aggregator = Plain()
    session = aggregator.open_session(range(2), length=1)
    server, client, _ = aggregator.parties(session, {0: [1.0], 1: [2.0]})
    station = Station(client, aggregator.messages, watchers=["server"], interval=1.0)
    (update,) = station.start(0.0)
    assert station.tick(10.0) == []
    waiting = Station(server, aggregator.messages, watchers=["client-0"], interval=1.0)
    waiting.start(0.0)
    waiting.receive(update.to_bytes(), 1.0)
    assert len(waiting.tick(10.0)) == 1


def test_one_name_is_no_sequence_of_watchers():
    aggregator = Plain()
    session = aggregator.open_session(range(2), length=1)
    (server, *_) = aggregator.parties(session, {0: [1.0]})
    with pytest.raises(TypeError, match="watchers: got a str"):
        Station(server, aggregator.messages, watchers="server", interval=1.0)
