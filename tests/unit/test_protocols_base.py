"""Sessions, messages and the once-only states of a party."""

from dataclasses import replace

import numpy as np
import pytest

from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DecodingError,
    DeserializationError,
    InconsistentShares,
    InvalidCiphertext,
    ProtocolError,
)
from veilsum.protocols import Plain, Session
from veilsum.protocols.base import (
    blaming,
    client_name,
    decode,
    read_clients,
    require_clients,
    require_survivors,
    write_clients,
)
from veilsum.protocols.plain import Client, Server, Update
from veilsum.protocols.sharing import Heard, Survivors
from veilsum.wire import Kind, Reader, Writer

ENCODING = FixedPoint.binary(8, bound=100.0)


def session(**changes):
    fields = {
        "protocol": "plain",
        "roster": (0, 2, 5),
        "threshold": 1,
        "min_survivors": 2,
        "round": 3,
        "length": 4,
        "encoding": ENCODING,
        "digits": Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**62 - 1),
        "model_digest": b"model",
        "parameters": (("field", b"x"), ("key", b"y")),
        "nonce": bytes(16),
    }
    return Session(**(fields | changes))


def update(of=None, **changes):
    of = of or session()
    fields = {
        "session_id": of.id,
        "sender": "client-2",
        "recipient": "server",
        "digits": np.array([1, -2, 3, 4]),
    }
    return Update(**(fields | changes))


def started_server(of=None):
    server = Server(of or session())
    assert server.start() == []
    return server


def test_equal_contents_give_one_session_id():
    assert session().id == session().id
    assert len(session().id) == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "sharing"},
        {"roster": (0, 2, 6)},
        {"roster": (0, 2)},
        {"threshold": 2},
        {"min_survivors": 1},
        {"round": 4},
        {"length": 5},
        {"encoding": FixedPoint.binary(9, bound=100.0)},
        {"encoding": FixedPoint.binary(8, bound=101.0)},
        {"digits": Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**12)},
        {"digits": Digits.for_sum(limit=ENCODING.limit, summands=4, capacity=2**62 - 1)},
        {"model_digest": b"another model"},
        {"parameters": (("field", b"x"),)},
        {"parameters": (("field", b"xkey"), ("key", b"y"))},
        {"parameters": (("field", b"x"), ("kez", b"y"))},
        {"nonce": bytes(15) + b"\1"},
    ],
    ids=str,
)
def test_whatever_changes_the_session_changes_its_id(changes):
    assert session(**changes).id != session().id


def test_length_prefixes_keep_neighbouring_fields_apart():
    moved = session(parameters=(("field", b""), ("key", b"xy")))
    assert moved.id != session(parameters=(("field", b"x"), ("key", b"y"))).id
    assert session(roster=(1, 23)).id != session(roster=(1, 2, 3)).id


def test_two_sessions_with_equal_contents_differ_by_a_fresh_nonce():
    first, second = (
        Plain().open_session([0, 1], length=2, encoding=ENCODING, round=1) for _ in range(2)
    )
    assert first.id != second.id
    assert replace(first, nonce=second.nonce).id == second.id


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"roster": ()}, "roster"),
        ({"roster": (1, 1)}, "roster"),
        ({"roster": (2, 1)}, "roster"),
        ({"roster": (-1, 1)}, "roster"),
        ({"threshold": 0}, "threshold: got 0, expected at least 1"),
        ({"min_survivors": 0}, "min_survivors: got 0, expected at least 1"),
        ({"min_survivors": 4}, "min_survivors: got 4, expected at most 3, the whole roster"),
        ({"round": -1}, "round: got -1, expected at least 0"),
        ({"length": 0}, "length: got 0, expected at least 1"),
        ({"parameters": (("b", b""), ("a", b""))}, "parameters"),
        ({"parameters": (("a", b""), ("a", b""))}, "parameters"),
    ],
    ids=str,
)
def test_impossible_sessions_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        session(**changes)


def test_a_session_that_is_what_a_client_knows_is_accepted():
    session().require()
    session().require(
        model_digest=b"model",
        min_threshold=1,
        min_survivors=2,
        max_bound=100.0,
        parameters={"key": b"y"},
    )


@pytest.mark.parametrize(
    ("policy", "match"),
    [
        ({"model_digest": b"another"}, "another model"),
        ({"model_digest": b""}, "another model"),
        ({"min_threshold": 2}, "threshold is 1, this client asks for 2"),
        ({"min_survivors": 3}, "min_survivors is 2, this client asks for 3"),
        ({"max_bound": 99.5}, "the bound is 100.0, this client allows 99.5"),
        ({"max_bound": float("nan")}, "the bound is 100.0"),
        ({"parameters": {"key": b"z"}}, "'key' is not what"),
        ({"parameters": {"prime": b"y"}}, "'prime' is not what"),
    ],
    ids=str,
)
def test_a_session_that_is_not_what_a_client_knows_is_refused(policy, match):
    with pytest.raises(ProtocolError, match=match):
        session().require(**policy)


def test_a_server_that_hands_different_models_to_clients_is_caught_by_those_that_compare():
    handed = {client: b"model of %d" % client for client in (0, 2, 5)}
    proposed = session(model_digest=handed[0])
    proposed.require(model_digest=handed[0])
    for client in (2, 5):
        with pytest.raises(ProtocolError, match="another model"):
            proposed.require(model_digest=handed[client])


def test_an_update_is_encoded_and_its_sum_decoded_through_digits():
    narrow = session(digits=Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**9))
    assert narrow.digits.count > 1
    digits = narrow.encode([[1.5, -2.0], [0.25, 100.0]])
    assert digits.shape == (narrow.width,)
    assert narrow.admits(digits)
    sums = narrow.decode(3 * digits, summands=3)
    assert sums.dtype == np.int64
    assert sums.tolist() == [3 * 384, -3 * 512, 3 * 64, 3 * 25600]


def test_integers_are_python_ints_only_where_the_roster_could_exceed_int64():
    wide = FixedPoint.binary(50, bound=2.0**20)
    digits = Digits.for_sum(limit=wide.limit, summands=3, capacity=2**40)
    of = session(encoding=wide, digits=digits)
    sums = of.decode(of.encode([2.0**20, -(2.0**20), 0.5, 0.0]), summands=1)
    assert sums.dtype == object
    assert sums.tolist() == [2**70, -(2**70), 2**49, 0]


def test_an_update_of_another_length_is_refused():
    with pytest.raises(ValueError, match="update: got 3 coordinates, expected 4"):
        session().encode([1.0, 2.0, 3.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 100.01])
def test_an_update_beyond_the_bound_is_refused(value):
    with pytest.raises(BudgetExceeded):
        session().encode([value, 0.0, 0.0, 0.0])


def test_vectors_that_no_honest_client_writes_are_told():
    limit = ENCODING.limit
    assert session().admits(np.array([limit, -limit, 0, 0]))
    assert not session().admits(np.array([limit + 1, 0, 0, 0]))
    assert not session().admits(np.array([0, 0, 0, -limit - 1]))
    assert not session().admits(np.array([0, 0, 0]))
    assert session().admits(np.array([2 * limit, 0, 0, 0]), summands=2)


def test_a_sum_beyond_what_its_summands_give_is_refused():
    limit = ENCODING.limit
    sums = np.array([2 * limit, 0, 0, 0])
    assert session().decode(sums, summands=2).tolist() == sums.tolist()
    with pytest.raises(BudgetExceeded, match="the most that 2 clients give"):
        session().decode(sums + np.array([1, 0, 0, 0]), summands=2)
    with pytest.raises(BudgetExceeded, match="the most that 2 clients give"):
        session().decode(-sums - np.array([1, 0, 0, 0]), summands=2)


def test_survivors_are_listed_in_the_order_of_the_roster():
    assert session().survivors(["client-5", "client-0", "client-9"]) == (0, 5)


def test_a_message_survives_the_wire():
    message = Update.from_bytes(update().to_bytes())
    assert (message.session_id, message.sender, message.recipient) == (
        session().id,
        "client-2",
        "server",
    )
    assert message.digits.dtype == np.int64
    assert message.digits.tolist() == [1, -2, 3, 4]
    assert message.to_bytes() == update().to_bytes()


def test_a_message_is_known_by_its_label_among_the_classes_of_its_protocol():
    heard = Heard(session_id=bytes(32), sender="holder-1", recipient="server", clients=(1, 4))
    arrived = decode(heard.to_bytes(), (Survivors, Heard))
    assert type(arrived) is Heard
    assert arrived.clients == (1, 4)


def test_a_message_of_another_protocol_is_refused():
    with pytest.raises(DeserializationError, match="plain/update"):
        decode(update().to_bytes(), (Survivors, Heard))


def test_a_message_cut_anywhere_is_refused():
    data = update().to_bytes()
    for length in range(len(data)):
        with pytest.raises(DeserializationError):
            Update.from_bytes(data[:length])


def test_bytes_after_a_message_are_refused():
    with pytest.raises(DeserializationError):
        Update.from_bytes(update().to_bytes() + b"\0")


def test_a_field_too_many_is_refused():
    writer = Writer(Kind.MESSAGE)
    writer.text(Update.label)
    writer.blob(session().id)
    writer.text("client-2")
    writer.text("server")
    writer.array(np.array([1, -2, 3, 4]))
    assert writer.finish() == update().to_bytes()
    writer.u8(0)
    with pytest.raises(DeserializationError, match="after its last field"):
        Update.from_bytes(writer.finish())


def test_a_message_of_another_kind_is_refused():
    writer = Writer(Kind.SHARES)
    writer.text(Update.label)
    with pytest.raises(DeserializationError, match="kind"):
        Update.from_bytes(writer.finish())


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_session_id_of_another_length_is_refused(length):
    data = update(session_id=bytes(length)).to_bytes()
    with pytest.raises(DeserializationError):
        Update.from_bytes(data)


def test_a_name_of_absurd_length_is_refused():
    with pytest.raises(DeserializationError):
        Update.from_bytes(update(sender="x" * 65).to_bytes())


def test_lists_of_clients_survive_the_wire():
    for clients in [(), (0,), (3, 70_000, 2**40)]:
        writer = Writer(Kind.MESSAGE)
        write_clients(writer, clients)
        assert read_clients(Reader(writer.finish(), Kind.MESSAGE)) == clients


@pytest.mark.parametrize("clients", [(1, 0), (0, 0), (0, 7)])
def test_lists_of_clients_that_repeat_or_name_strangers_are_refused(clients):
    require_clients((0, 1), (0, 1, 2))
    with pytest.raises(ProtocolError):
        require_clients(clients, (0, 1, 2))


@pytest.mark.parametrize("clients", [(), (0,), (0, 7), (1, 0), (0, 0)], ids=str)
def test_survivors_that_are_too_few_or_no_list_of_known_clients_are_refused(clients):
    require_survivors((0, 2), session(), (0, 2, 5))
    with pytest.raises(ProtocolError):
        require_survivors(clients, session(), (0, 2, 5))


def test_a_party_starts_once():
    client = Client(session(), 2, np.zeros(4))
    assert [message.recipient for message in client.start()] == ["server"]
    with pytest.raises(ProtocolError, match="client-2 has been in the state 'begin'"):
        client.start()


def test_a_state_is_entered_once():
    server = started_server()
    for client in session().clients:
        server.receive(update(sender=client))
    outcome = server.outcome
    with pytest.raises(ProtocolError, match="close"):
        server.close()
    assert server.outcome is outcome


def test_a_party_that_has_not_started_takes_no_message():
    with pytest.raises(ProtocolError, match="waits for nothing"):
        Server(session()).receive(update())


ATTACKS = {
    "a foreign session": ({"session_id": bytes(32)}, "foreign session"),
    "an earlier round": ({"session_id": session(round=2).id}, "foreign session"),
    "another recipient": ({"recipient": "client-0"}, "to 'client-0'"),
    "a sender outside the roster": ({"sender": "client-1"}, "of 'client-1'"),
    "a sender that is no client": ({"sender": "server"}, "of 'server'"),
    "digits out of range": ({"digits": np.full(4, ENCODING.limit + 1)}, "digits"),
    "digits of another length": ({"digits": np.zeros(3, np.int64)}, "digits"),
    "digits without end": ({"digits": np.zeros(0, np.int64)}, "digits"),
}


@pytest.mark.parametrize(("changes", "match"), ATTACKS.values(), ids=ATTACKS)
def test_refused_messages_leave_the_party_as_it_was(changes, match):
    server = started_server()
    with pytest.raises(ProtocolError, match=match):
        server.receive(update(**changes))
    assert server.late == session().clients
    for client in session().clients:
        server.receive(update(sender=client))
    assert server.outcome.integers.tolist() == [3, -6, 9, 12]
    assert server.outcome.survivors == (0, 2, 5)


def test_a_duplicate_is_refused():
    server = started_server()
    server.receive(update())
    with pytest.raises(ProtocolError, match="already"):
        server.receive(update(digits=np.zeros(4, np.int64)))


def test_a_replay_after_the_end_is_refused():
    server = started_server()
    for client in session().clients:
        server.receive(update(sender=client))
    with pytest.raises(ProtocolError, match="another round"):
        server.receive(update())


def test_a_message_after_the_deadline_is_refused():
    server = started_server()
    server.receive(update(sender="client-0"))
    server.receive(update(sender="client-5"))
    server.deadline()
    assert server.outcome.survivors == (0, 5)
    with pytest.raises(ProtocolError, match="another round"):
        server.receive(update(sender="client-2"))


def test_a_message_of_another_round_is_refused():
    heard = Heard(session_id=session().id, sender="client-0", recipient="server", clients=(0,))
    with pytest.raises(ProtocolError, match="waits for 'plain/update' now; 'sharing/heard'"):
        started_server().receive(heard)


def test_a_party_tells_what_it_awaits_and_who_is_late():
    server = started_server()
    server.receive(update())
    assert server.awaits is Update
    assert server.late == ("client-0", "client-5")
    server.receive(update(sender="client-0"))
    server.receive(update(sender="client-5"))
    assert server.awaits is None
    assert server.late == ()


def test_too_few_at_the_deadline_is_an_error_that_names_the_missing():
    server = started_server()
    server.receive(update())
    with pytest.raises(ProtocolError, match=r"needs 2 .* has 1; missing are client-0, client-5"):
        server.deadline()
    assert server.outcome is None
    with pytest.raises(ProtocolError, match="waits for nothing"):
        server.receive(update(sender=client_name(0)))


def test_a_deadline_means_nothing_to_who_waits_for_nothing():
    client = Client(session(), 2, np.zeros(4))
    client.start()
    assert client.deadline() == []


class Fussy(Client):
    """A party whose callback, next state or first state finds fault."""

    def __init__(self, error, where):
        super().__init__(session(), 0, np.zeros(4))
        self.error = error
        self.where = where

    def fail(self, where):
        if self.where == where:
            raise self.error
        return []

    def begin(self):
        self.gather(Update, ["client-2"], each=lambda _: self.fail("each"), then=self.end)
        return self.fail("begin")

    def end(self):
        return self.fail("then")


@pytest.mark.parametrize("error", [BudgetExceeded("x"), InvalidCiphertext("x")], ids=repr)
@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("each", "client-0 refuses 'plain/update' from 'client-2': x"),
        ("then", "client-0 cannot go on with what came: x"),
    ],
)
def test_what_others_sent_is_never_an_error_about_an_argument(error, where, match):
    party = Fussy(error, where)
    party.start()
    with pytest.raises(ProtocolError, match=match) as caught:
        party.receive(update(recipient="client-0"))
    assert not isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is error


def test_a_state_that_fails_at_the_deadline_is_a_protocol_error_too():
    server = started_server()
    for client in ("client-0", "client-2"):
        server.receive(update(sender=client))
    server.session = replace(server.session, encoding=FixedPoint.binary(0, bound=1.0))
    with pytest.raises(ProtocolError, match="cannot go on with what came: sum: got a coordinate"):
        server.deadline()


@pytest.mark.parametrize("where", ["each", "then"])
@pytest.mark.parametrize("error", [DecodingError("x"), ProtocolError("x")], ids=repr)
def test_errors_that_say_enough_stay_as_they_are(where, error):
    party = Fussy(error, where)
    party.start()
    with pytest.raises(type(error), match=r"^x$") as caught:
        party.receive(update(recipient="client-0"))
    assert caught.value is error


def test_a_partys_own_input_keeps_its_own_error():
    with pytest.raises(BudgetExceeded):
        Client(session(), 0, np.full(4, 101.0)).start()
    with pytest.raises(InconsistentShares):
        Fussy(InconsistentShares("x"), "begin").start()


def test_errors_that_are_none_of_the_library_s_are_bugs_and_stay():
    with pytest.raises(KeyError), blaming("client-0"):
        raise KeyError("x")


def test_a_list_of_clients_has_one_encoding():
    writer = Writer(Kind.MESSAGE)
    writer.array(np.array(4, np.uint64))
    with pytest.raises(DeserializationError, match="got a single number, expected a list"):
        read_clients(Reader(writer.finish(), Kind.MESSAGE))
