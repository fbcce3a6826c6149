"""Messages, their signatures, and the once-only states of a party."""

from dataclasses import replace

import numpy as np
import pytest

from veilsum.channel import Directory, Identity
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    AuthenticationError,
    BudgetExceeded,
    DecodingError,
    DeserializationError,
    InconsistentShares,
    InvalidCiphertext,
    ProtocolError,
)
from veilsum.protocols import Credentials, Plain
from veilsum.protocols.base import blaming, decode
from veilsum.protocols.plain import Client, Server, Update
from veilsum.protocols.session import client_name
from veilsum.protocols.sharing import Heard, Survivors
from veilsum.wire import Kind, Writer

ENCODING = FixedPoint.binary(8, bound=100.0)
NAMES = ("client-0", "client-1", "client-2", "client-5", "server")
IDENTITIES = {name: Identity.generate() for name in NAMES}
DIRECTORY = Directory({name: identity.public for name, identity in IDENTITIES.items()})
SESSION = Plain().open_session((0, 2, 5), length=4, encoding=ENCODING, round=3, directory=DIRECTORY)


def credentials(name):
    return Credentials(IDENTITIES[name], DIRECTORY)


def signed(message, by=None):
    """The message with the signature of its sender, or of somebody else."""
    return replace(message, signature=IDENTITIES[by or message.sender].sign(message.signed))


def update(**changes):
    fields = {
        "session_id": SESSION.id,
        "sender": "client-2",
        "recipient": "server",
        "digits": np.array([1, -2, 3, 4]),
    }
    return signed(Update(**(fields | changes)))


def started_server():
    server = Server(SESSION, credentials("server"))
    assert server.start() == []
    return server


def test_a_message_survives_the_wire():
    message = Update.from_bytes(update().to_bytes())
    assert (message.session_id, message.sender, message.recipient) == (
        SESSION.id,
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
    writer.blob(SESSION.id)
    writer.text("client-2")
    writer.text("server")
    writer.array(np.array([1, -2, 3, 4]))
    writer.blob(update().signature)
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
    for place in ("sender", "recipient"):
        data = replace(update(), **{place: "x" * 65}).to_bytes()
        with pytest.raises(DeserializationError, match="blob length: got 65"):
            Update.from_bytes(data)


def test_a_signature_of_absurd_length_is_refused():
    with pytest.raises(DeserializationError, match="blob length: got 65"):
        Update.from_bytes(replace(update(), signature=bytes(65)).to_bytes())


# ---- Signatures


FORGERIES = {
    "unsigned": lambda honest: replace(honest, signature=b""),
    "an altered signature": lambda honest: replace(
        honest, signature=bytes([honest.signature[0] ^ 1]) + honest.signature[1:]
    ),
    "a signature cut short": lambda honest: replace(honest, signature=honest.signature[:63]),
    "a signature of zeros": lambda honest: replace(honest, signature=bytes(64)),
    "an altered field": lambda honest: replace(honest, digits=honest.digits + 1),
    "signed by another client": lambda honest: signed(honest, by="client-0"),
    "signed by the recipient": lambda honest: signed(honest, by="server"),
    "in another's name": lambda honest: replace(honest, sender="client-5"),
    "signed for another recipient": lambda honest: replace(
        honest, signature=update(recipient="client-0").signature
    ),
    "signed in another session": lambda honest: replace(
        honest, signature=update(session_id=replace(SESSION, round=4).id).signature
    ),
    "signed as another class": lambda honest: replace(
        honest, signature=signed(Relabelled(**fields_of(honest))).signature
    ),
    "the digest alone signed": lambda honest: replace(
        honest, signature=IDENTITIES["client-2"].sign(honest.digest)
    ),
}


class Relabelled(Update):
    label = "plain/relabelled"


def fields_of(message):
    names = ("session_id", "sender", "recipient", "digits")
    return {name: getattr(message, name) for name in names}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_what_its_sender_did_not_sign_is_refused_and_changes_nothing(forge):
    server = started_server()
    with pytest.raises(ProtocolError, match="it is not the named signer's") as caught:
        server.receive(forge(update()))
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert server.late == SESSION.clients
    assert server.heard == ()
    for client in SESSION.clients:
        server.receive(update(sender=client))
    assert server.outcome.integers.tolist() == [3, -6, 9, 12]


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_refused_after_the_wire_too(forge):
    server = started_server()
    with pytest.raises(ProtocolError, match="it is not the named signer's"):
        server.receive(decode(forge(update()).to_bytes(), (Update,)))


def test_a_party_signs_all_that_it_sends():
    (sent,) = Client(SESSION, 2, np.zeros(4), credentials("client-2")).start()
    DIRECTORY["client-2"].verify(sent.signature, sent.signed)
    assert sent.signed == b"veilsum/message/v1" + sent.digest


def test_a_party_has_the_identity_that_the_bound_directory_gives_its_name():
    stranger = Identity.generate()
    wider = Directory({**DIRECTORY, "client-7": stranger.public})
    for client, own, match in [
        (2, Credentials(stranger, DIRECTORY), "another identity for client-2, or none"),
        (2, credentials("client-0"), "another identity for client-2, or none"),
        (2, Credentials(IDENTITIES["client-2"], wider), "client-2 knows another directory than"),
        (7, Credentials(stranger, DIRECTORY), "another identity for client-7, or none"),
    ]:
        with pytest.raises(ProtocolError, match=match):
            Client(SESSION, client, np.zeros(4), own)


def test_credentials_show_no_secret():
    own = credentials("server")
    for shown in (repr(own), str(own)):
        for secret in (own.identity._signer.private_bytes_raw(), own.identity.to_bytes()):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


# ---- Forwarded messages


def test_a_forwarded_message_is_verified_by_whoever_reads_it_in_the_end():
    reader = Client(SESSION, 0, np.zeros(4), credentials("client-0"))
    inner = update(sender="client-5", recipient="server")
    reader.verify(inner)
    reader.verify(Update.from_bytes(inner.to_bytes()))


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_message_within_another_is_refused(forge):
    reader = Client(SESSION, 0, np.zeros(4), credentials("client-0"))
    with pytest.raises(ProtocolError, match="client-0 refuses 'plain/update' from 'client-"):
        reader.verify(forge(update()))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"session_id": bytes(32)}, "client-0 refuses a message of a foreign session"),
        ({"sender": "client-9"}, "client-0 knows nobody called 'client-9'"),
        ({"sender": ""}, "client-0 knows nobody called ''"),
    ],
    ids=str,
)
def test_a_forwarded_message_of_elsewhere_is_refused(changes, match):
    reader = Client(SESSION, 0, np.zeros(4), credentials("client-0"))
    with pytest.raises(ProtocolError, match=match):
        reader.verify(replace(update(), **changes))


# ---- Digests


def test_the_digest_that_decoding_keeps_is_the_one_that_writing_gives():
    arrived = Update.from_bytes(update().to_bytes())
    assert "digest" in vars(arrived)
    assert arrived.digest == replace(arrived).digest == update().digest


def test_a_digest_covers_every_field_but_the_signature():
    honest = update()
    assert replace(honest, signature=b"").digest == honest.digest
    for changes in (
        {"session_id": bytes(32)},
        {"sender": "client-0"},
        {"recipient": "client-0"},
        {"digits": honest.digits[::-1].copy()},
    ):
        assert replace(honest, **changes).digest != honest.digest
    assert Relabelled(**fields_of(honest)).digest != honest.digest


def test_a_changed_message_does_not_keep_the_digest_of_what_it_was():
    arrived = Update.from_bytes(update().to_bytes())
    assert "digest" not in vars(replace(arrived, digits=arrived.digits + 1))


def test_signing_keeps_the_digest():
    client = Client(SESSION, 2, np.zeros(4), credentials("client-2"))
    own = client.sign(replace(update(), signature=b""))
    assert own.to_bytes() == update().to_bytes()
    assert own.digest == replace(own).digest


# ---- States


def test_a_party_starts_once():
    client = Client(SESSION, 2, np.zeros(4), credentials("client-2"))
    assert [message.recipient for message in client.start()] == ["server"]
    with pytest.raises(ProtocolError, match="client-2 has been in the state 'begin'"):
        client.start()


def test_a_state_is_entered_once():
    server = started_server()
    for client in SESSION.clients:
        server.receive(update(sender=client))
    outcome = server.outcome
    with pytest.raises(ProtocolError, match="close"):
        server.close()
    assert server.outcome is outcome


def test_a_party_that_has_not_started_takes_no_message():
    with pytest.raises(ProtocolError, match="waits for nothing"):
        Server(SESSION, credentials("server")).receive(update())


ATTACKS = {
    "a foreign session": ({"session_id": bytes(32)}, "foreign session"),
    "an earlier round": ({"session_id": replace(SESSION, round=2).id}, "foreign session"),
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
    assert server.late == SESSION.clients
    for client in SESSION.clients:
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
    for client in SESSION.clients:
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
    heard = Heard(session_id=SESSION.id, sender="client-0", recipient="server", clients=(0,))
    with pytest.raises(ProtocolError, match="waits for 'plain/update' now; 'sharing/heard'"):
        started_server().receive(heard)


def test_a_message_of_a_class_derived_from_the_awaited_is_of_another_round():
    derived = signed(Relabelled(**fields_of(update())))
    with pytest.raises(ProtocolError, match="'plain/relabelled' is of another round"):
        started_server().receive(derived)


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
    client = Client(SESSION, 2, np.zeros(4), credentials("client-2"))
    client.start()
    assert client.deadline() == []


class Fussy(Client):
    """A party whose callback, next state or first state finds fault."""

    def __init__(self, error, where):
        super().__init__(SESSION, 0, np.zeros(4), credentials("client-0"))
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
        Client(SESSION, 0, np.full(4, 101.0), credentials("client-0")).start()
    with pytest.raises(InconsistentShares):
        Fussy(InconsistentShares("x"), "begin").start()


def test_errors_that_are_none_of_the_library_s_are_bugs_and_stay():
    with pytest.raises(KeyError), blaming("client-0"):
        raise KeyError("x")
