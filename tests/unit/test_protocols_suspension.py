"""Parties as bytes between two messages: what comes back, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from veilsum import paillier
from veilsum.channel import KeyPair
from veilsum.errors import DecodingError, DeserializationError, ProtocolError
from veilsum.field import P31
from veilsum.protocols import (
    Masking,
    Message,
    Paillier,
    Party,
    Plain,
    Sharing,
    plain,
    resume,
    serverless,
    state,
    suspend,
)
from veilsum.protocols.masking import Masked, Relayed, Revealed
from veilsum.protocols.sharing import Confirmations
from veilsum.shamir import split
from veilsum.wire import Kind, Reader, Writer

AGGREGATOR = Plain()
SESSION = AGGREGATOR.open_session(range(3), length=2)
UPDATE = np.array([0.5, -1.25])


class Keeping(Party):
    """Keeps whatever it is told to, and waits for an update."""

    keeps = ("value",)
    hears = (plain.Update,)

    def __init__(self, value=None):
        super().__init__(SESSION, "server", parties()["server"].credentials)
        self.value = value
        self.each, self.then = self.take, self.end

    @state("combine")
    def begin(self):
        self.gather(plain.Update, SESSION.clients, each=self.each, then=self.then)
        return []

    def take(self, update):
        self.value = update

    @state("combine")
    def end(self):
        return []


def parties(aggregator=AGGREGATOR, session=SESSION, updates=None):
    updates = dict.fromkeys(range(3), UPDATE) if updates is None else updates
    return {party.name: party for party in aggregator.parties(session, updates)}


def again(party, aggregator, session, data=None):
    """Return a party in the place of another, which has been suspended."""
    fresh = parties(aggregator, session, dict.fromkeys(session.roster))[party.name]
    resume(fresh, suspend(party) if data is None else data)
    return fresh


def deliver(everybody, until=()):
    """Start all, deliver all but messages of a kind, and return these."""
    return carry(everybody, [one for party in everybody.values() for one in party.start()], until)


def carry(everybody, queue, until=()):
    """Deliver these messages and all that follow, but those of a kind, and return these."""
    held = []
    for message in queue:
        if isinstance(message, until):
            held.append(message)
        else:
            queue += everybody[message.recipient].receive(message)
    return held


def through_bytes(value):
    fresh = Keeping()
    resume(fresh, suspend(Keeping(value)))
    return fresh.value


# ---- Values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -(2**200),
        -0.0,
        "sérver",
        "",
        b"\0\1",
        (),
        (1, "two", (3.0, None)),
        [[], [b""], {"a": [True]}],
        {3: "three", "four": 4, 1: {}},
        {"c", "a", "b"},
        set(),
    ],
)
def test_values_come_back_as_they_were(value):
    came = through_bytes(value)
    assert (came, type(came), repr(came)) == (value, type(value), repr(came))
    if isinstance(value, dict):
        assert [*came] == [*value]


@pytest.mark.parametrize("dtype", ["?", "u1", "u4", "u8", "i8", "f8", "f4", "f2", "i2", ">i4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_arrays_come_back_as_they_were_and_may_be_written_to(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    came = through_bytes(array)
    assert came.dtype == np.dtype(dtype).newbyteorder("=")
    assert came.shape == shape
    assert came.flags.writeable
    assert came.tobytes() == array.astype(came.dtype).tobytes()


def test_arrays_that_lie_in_no_order_of_c_come_back():
    array = np.arange(24.0).reshape(4, 6).T[::2]
    assert np.array_equal(through_bytes(array), array)


def test_floats_that_are_no_numbers_come_back_in_arrays():
    assert (
        through_bytes(np.array([np.nan, -np.inf])).tobytes()
        == np.array([np.nan, -np.inf]).tobytes()
    )


def test_arrays_of_python_integers_come_back():
    array = np.array([[2**70, -1], [0, 3]], object)
    came = through_bytes(array)
    assert came.dtype == object
    assert came.tolist() == array.tolist()


def test_keys_shares_and_messages_come_back():
    pair = KeyPair.generate()
    assert through_bytes(pair).private_bytes() == pair.private_bytes()
    shares = split(np.array([3, -4]), shares=3, threshold=2, field=P31)
    assert through_bytes(shares).to_bytes() == shares.to_bytes()
    (update,) = parties()["client-1"].start()
    assert through_bytes(update).to_bytes() == update.to_bytes()
    assert through_bytes([update])[0].digest == update.digest


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.float64(1.0), "a value of type float64"),
        (1j, "a value of type complex"),
        (np.array(["text"]), "an array of dtype <U4"),
        (np.array([1j]), "an array of dtype complex128"),
        ({1, 2}, "a set that is not of strings"),
        ({(1, 2): 3}, "a dict whose keys are not all int or str"),
        ({True: 3}, "a dict whose keys are not all int or str"),
        ([[[[[[[[[[]]]]]]]]]], "at most 8 in each other"),
        (Keeping, "a value of type"),
    ],
)
def test_what_cannot_be_written_is_refused(value, match):
    with pytest.raises(TypeError, match=match):
        suspend(Keeping(value))


def test_a_message_of_a_class_that_is_not_heard_is_refused():
    masking = Masking()
    session = masking.open_session(range(3), length=2)
    (advertised,) = parties(masking, session)["client-0"].start()
    with pytest.raises(TypeError, match="Keeping does not say that it hears Advertise"):
        suspend(Keeping(advertised))


class Deaf(Keeping):
    """Waits for messages that it does not say it hears."""

    @state("combine")
    def begin(self):
        self.gather(Masked, SESSION.clients, each=self.take, then=self.end)
        return []


def test_a_party_that_waits_for_what_it_does_not_hear_is_refused():
    party = Deaf()
    party.start()
    with pytest.raises(TypeError, match="Deaf does not say that it hears Masked"):
        suspend(party)


@pytest.mark.parametrize("callback", [lambda *_: [], [].append, Keeping().take])
@pytest.mark.parametrize("place", ["each", "then"])
def test_a_party_that_goes_on_with_no_method_of_its_own_is_refused(place, callback):
    party = Keeping()
    setattr(party, place, callback)
    party.start()
    with pytest.raises(TypeError, match="expected a method of its own"):
        suspend(party)


def test_a_class_with_a_constructor_that_does_not_say_what_it_keeps_is_refused():
    class Silent(Keeping):
        def __init__(self):
            super().__init__()
            self.more = []

    with pytest.raises(TypeError, match="Silent does not say which of its attributes outlive"):
        suspend(Silent())


# ---- Parties


def masking_clients(**options):
    aggregator = Masking()
    session = aggregator.open_session(range(3), length=2, **options)
    return aggregator, session, parties(aggregator, session)


def test_what_a_fresh_party_drew_gives_way_to_what_the_suspended_one_had_drawn():
    aggregator, session, table = masking_clients()
    client = table["client-0"]
    fresh = again(client, aggregator, session)
    assert fresh._seed == client._seed
    for pair in ("_seal_pair", "_mask_pair"):
        assert getattr(fresh, pair).public == getattr(client, pair).public
    (sent,), (meant,) = fresh.start(), client.start()
    assert sent.to_bytes() == meant.to_bytes()


def test_a_message_that_was_taken_is_refused_after_resuming_too():
    table = parties()
    table["server"].start()
    (update,) = table["client-0"].start()
    table["server"].receive(update)
    server = again(table["server"], AGGREGATOR, SESSION)
    with pytest.raises(ProtocolError, match="has had 'plain/update' from 'client-0' already"):
        server.receive(update)
    assert server.late == ("client-1", "client-2")


def test_an_update_that_was_contributed_is_kept_until_it_is_used():
    aggregator, session, table = masking_clients()
    table["client-0"] = aggregator.client(session, 0, None, table["client-0"].credentials)
    table["client-0"].contribute(UPDATE, model_digest=b"model 7")
    relayed = deliver(table, until=Relayed)
    client = again(table["client-0"], aggregator, session)
    assert UPDATE.tobytes() in suspend(client)
    with pytest.raises(ProtocolError, match="has its update already"):
        client.contribute(UPDATE)
    client.receive(next(one for one in relayed if one.recipient == "client-0"))
    assert UPDATE.tobytes() not in suspend(client)
    with pytest.raises(ProtocolError, match="has its update already"):
        again(client, aggregator, session).contribute(UPDATE)


@pytest.mark.parametrize("aggregator", [Plain(), Sharing(), Sharing(holders=3)])
def test_an_update_is_not_kept_once_it_was_dealt(aggregator):
    session = aggregator.open_session(range(3), length=2)
    client = parties(aggregator, session)["client-0"]
    assert UPDATE.tobytes() in suspend(client)
    client.start()
    assert UPDATE.tobytes() not in suspend(client)


@pytest.mark.parametrize("model", [b"model 7", b"model 8"])
def test_a_model_that_was_bound_late_outlives_the_process(model):
    """With the others' model the masks cancel, with another they do not."""
    aggregator = Masking()
    session = aggregator.open_session(range(3), length=2)
    table = parties(aggregator, session, dict.fromkeys(range(3)))
    for client in range(3):
        digest = model if client == 2 else b"model 7"
        table[f"client-{client}"].contribute(UPDATE, model_digest=digest)
    relayed = deliver(table, until=Relayed)
    table = {name: again(party, aggregator, session) for name, party in table.items()}
    if model == b"model 8":
        with pytest.raises(DecodingError):
            carry(table, relayed)
    else:
        carry(table, relayed)
        assert np.array_equal(table["server"].outcome.sum, 3 * UPDATE)


def test_a_server_keeps_the_model_that_was_bound_late():
    """It needs it for the masks that survivors have in common with a client that vanished."""
    aggregator = Masking(corrupt=0)
    session = aggregator.open_session(range(4), length=2)
    table = parties(aggregator, session, dict.fromkeys(range(4)))
    for client in range(3):
        table[f"client-{client}"].contribute(UPDATE, model_digest=b"model 7")
    relayed = deliver(table, until=Relayed)
    table["server"].bind_model(b"model 7")
    table["server"] = server = again(table["server"], aggregator, session)
    carry(table, [message for message in relayed if message.recipient != "client-3"])
    carry(table, server.deadline())
    assert server.outcome.survivors == (0, 1, 2)
    assert np.array_equal(server.outcome.sum, 3 * UPDATE)


def test_a_peer_remembers_who_lied():
    aggregator = Sharing(threshold=2, max_errors=1)
    session = aggregator.open_session(range(4), length=2)
    table = parties(aggregator, session, dict.fromkeys(range(4), UPDATE))
    revealed = deliver(table, until=serverless.Revealed)
    for_peer = sorted(
        (one for one in revealed if one.recipient == "client-0"), key=lambda one: one.sender
    )
    lie = table["client-1"].sign(replace(for_peer[0], nonce=bytes(32)))
    table["client-0"].receive(lie)
    peer = again(table["client-0"], aggregator, session)
    for message in for_peer[1:]:
        peer.receive(message)
    assert peer.outcome.liars == ("client-1",)
    assert np.array_equal(peer.outcome.sum, 4 * UPDATE)


def test_a_key_holder_that_has_answered_answers_no_more():
    aggregator = Paillier(keys=paillier.keygen(bits=1024, insecure=True))
    session = aggregator.open_session(range(3), length=2)
    table = parties(aggregator, session)
    deliver(table)
    holder = again(table["key-holder"], aggregator, session)
    assert holder.awaits is None
    with pytest.raises(ProtocolError, match="waits for nothing now"):
        holder.receive(combined(table))
    with pytest.raises(ProtocolError, match="has been in the state"):
        holder.start()


def combined(table):
    """Return what the aggregator asks of the key holder."""
    aggregator = table["aggregator"]
    aggregator._entered.discard("combine")
    (message,) = aggregator.combine()
    return aggregator.sign(message)


def test_a_sum_outlives_the_process():
    aggregator = Sharing()
    session = aggregator.open_session(range(3), length=2)
    table = parties(aggregator, session)
    deliver(table)
    outcome = table["client-1"].outcome
    came = again(table["client-1"], aggregator, session).outcome
    assert came.sum.tobytes() == outcome.sum.tobytes()
    assert came.integers.dtype == outcome.integers.dtype
    assert came.integers.tolist() == outcome.integers.tolist()
    assert (came.survivors, came.liars) == (outcome.survivors, outcome.liars)


def test_a_holder_keeps_its_shares_and_the_list_that_it_confirmed():
    aggregator = Sharing(holders=3)
    session = aggregator.open_session(range(3), length=2)
    table = parties(aggregator, session)
    (held, *_) = deliver(table, until=Confirmations)
    holder = again(table[held.recipient], aggregator, session)
    (summed,) = holder.receive(held)
    (meant,) = table[held.recipient].receive(held)
    assert summed.to_bytes() == meant.to_bytes()


# ---- Refusals


def test_a_started_party_does_not_resume():
    data = suspend(parties()["server"])
    server = parties()["server"]
    server.start()
    with pytest.raises(ProtocolError, match="server has been started and cannot resume"):
        resume(server, data)


def test_a_party_that_has_resumed_as_a_started_one_does_not_resume_again():
    server = parties()["server"]
    server.start()
    data = suspend(server)
    fresh = again(server, AGGREGATOR, SESSION)
    with pytest.raises(ProtocolError, match="has been started"):
        resume(fresh, data)


class Other(plain.Client):
    """A client of another class."""


def test_the_bytes_of_another_party_are_refused():
    client = parties()["client-0"]
    data = suspend(client)
    other = AGGREGATOR.open_session(range(3), length=2)
    for fresh, what in [
        (parties()["client-1"], "name"),
        (parties(session=other)["client-0"], "session"),
        (Other(SESSION, 0, None, client.credentials), "class"),
    ]:
        with pytest.raises(DeserializationError, match=f"it has another {what} than"):
            resume(fresh, data)
        assert not fresh.started


def altered(change):
    """Return the bytes of a server, one of whose attributes is written otherwise."""
    reader = Reader(suspend(parties()["server"]), Kind.SUSPENDED)
    writer = Writer(Kind.SUSPENDED)
    for _ in range(3):
        writer.blob(reader.blob())
    change(writer)
    return writer.finish()


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ([], "body: a field needs"),
        ([("text", "heard")], "another attribute"),
        ([("text", "phase"), ("u8", 0)], "it lacks phase"),
        ([("text", "phase"), ("u8", 2)], "u8: got 2"),
        ([("text", "phase"), ("u8", 1), ("u8", 99)], "u8: got 99"),
        (
            [("text", "phase"), ("u8", 1), ("u8", 0), ("text", "heard"), ("u8", 1), ("u8", 0)],
            "another type of heard",
        ),
        (
            [("text", "phase"), ("u8", 1), *[("u8", 7), ("u64", 1)] * 10],
            "too deep in each other",
        ),
        ([("text", "phase"), ("u8", 1), ("u8", 7), ("u64", 2**64 - 1)], "body: a field needs"),
        (
            [("text", "phase"), ("u8", 1), ("u8", 8), ("u64", 1), ("u8", 0)],
            "a set is not one of strings",
        ),
        (
            [("text", "phase"), ("u8", 1), ("u8", 9), ("u64", 1), ("u8", 0)],
            "the keys of a dict",
        ),
        (
            [("text", "phase"), ("u8", 1), ("u8", 10), ("u8", 0), ("shape", (2**30,)), ("u64", 0)],
            "another size than its shape",
        ),
        (
            [("text", "phase"), ("u8", 1), ("u8", 10), ("u8", 1), ("shape", (1,)), ("blob", b"\2")],
            "a flag is neither 0 nor 1",
        ),
        ([("text", "phase"), ("u8", 1), ("u8", 14), ("u64", 0)], "its outcome is none"),
        ([("text", "phase"), ("u8", 1), ("u8", 15), ("u64", 0)], "what it waits for is none"),
    ],
)
def test_bytes_that_are_no_suspended_party_are_refused(written, match):
    def change(writer):
        for field, value in written:
            getattr(writer, field)(value)

    server = parties()["server"]
    before = suspend(server)
    with pytest.raises(DeserializationError, match=match):
        resume(server, altered(change))
    assert suspend(server) == before


@pytest.mark.parametrize("name", ["__init__", "name", "nothing", "phase"])
def test_a_party_goes_on_with_a_method_of_its_class_alone(name):
    server = parties()["server"]
    server.start()
    data = suspend(server)
    place = data.index(b"close")
    assert data.count(b"close") == 1
    size = len(name) - len("close")
    data = (
        data[:6]
        + (len(data) - 14 + size).to_bytes(8, "little")
        + data[14 : place - 8]
        + len(name).to_bytes(8, "little")
        + name.encode()
        + data[place + 5 :]
    )
    with pytest.raises(DeserializationError, match="goes on with no method of its class"):
        resume(parties()["server"], data)


def test_truncated_bytes_and_bytes_at_the_end_are_refused():
    data = suspend(parties()["server"])
    for wrong in (data[:-1], data + b"\0", b"", data[:20]):
        with pytest.raises(DeserializationError):
            resume(parties()["server"], wrong)


def test_parts_that_do_not_fit_the_party_leave_it_as_it_was():
    """The ciphertexts are read by a property, after other attributes have been set."""
    keys = [paillier.keygen(bits=1024, insecure=True) for _ in "12"]
    first, second = (Paillier(keys=pair) for pair in keys)
    session = first.open_session(range(3), length=2)
    table = parties(first, session)
    table["aggregator"].start()
    table["aggregator"].receive(table["client-0"].start()[0])
    foreign = second.server(session, "aggregator", table["aggregator"].credentials)
    before = suspend(foreign)
    with pytest.raises(DeserializationError, match="suspended party: "):
        resume(foreign, suspend(table["aggregator"]))
    assert suspend(foreign) == before
    assert not foreign.started


def test_no_secret_is_in_the_message_of_an_error():
    aggregator, session, table = masking_clients()
    client = table["client-0"]
    data = suspend(client)
    place = data.index(client._seed)
    cut = data[: place - 9] + b"\x04" + data[place - 8 :]  # the seed is read as text
    with pytest.raises(DeserializationError) as caught:
        again(client, aggregator, session, cut)
    assert client._seed.hex() not in str(caught.value)
    assert str(client._seed) not in str(caught.value)


def test_a_resumed_client_gives_out_its_secrets_once():
    aggregator, session, table = masking_clients()
    revealed = deliver(table, until=Revealed)
    assert len(revealed) == 3
    client = again(table["client-0"], aggregator, session)
    assert client.awaits is None
    assert client._shares == {}


def test_messages_that_are_kept_are_those_that_came():
    aggregator, session, table = masking_clients()
    relayed = deliver(table, until=Relayed)
    assert len(relayed) == 3
    client = table["client-1"]
    fresh = again(client, aggregator, session)
    assert all(isinstance(peer, Message) for peer in fresh._peers.values())
    for rank, peer in client._peers.items():
        assert fresh._peers[rank].to_bytes() == peer.to_bytes()
        assert replace(fresh._peers[rank]).digest == peer.digest
