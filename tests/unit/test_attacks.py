"""Every protocol refuses every attack on its messages, and the count of it can be trusted."""

import pytest

from veilsum import protocols
from veilsum.errors import ProtocolError
from veilsum.protocols import Message, Party, Plain, Session, Sharing, Station
from veilsum.testing import attacks

UPDATES = [[0.5, -1.0], [0.25, 2.0], [4.0, 4.0], [-8.0, 0.125]]
ATTACKS = (
    "unsigned",
    "altered signature",
    "altered body",
    "altered label",
    "wrong sender",
    "wrong recipient",
    "another session",
    "another round",
    "replay",
)
CHEAP = {
    "paillier": [{"key_bits": 1024, "insecure": True}],
    "threshold_paillier": [{"key_bits": 512, "insecure": True}],
    "sharing": [{}, {"holders": 3}, {"holders": 5, "threshold": 3, "max_errors": 1}],
}
"""Options with which a protocol costs little; its defaults where there are none."""


@pytest.fixture(scope="module")
def tables():
    """The counts of each protocol, for each of its options."""
    return {
        kind.name: [attacks(kind(**options), UPDATES) for options in CHEAP.get(kind.name, [{}])]
        for kind in protocols._AGGREGATORS
    }


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", protocols._AGGREGATORS, ids=lambda kind: kind.name)
def test_every_protocol_refuses(tables, kind, attack):
    for table in tables[kind.name]:
        (row,) = [row for row in table if row.attack == attack]
        assert row.tried >= len(UPDATES)
        assert row.refused == row.tried


@pytest.mark.parametrize("kind", protocols._AGGREGATORS, ids=lambda kind: kind.name)
def test_every_class_of_messages_is_attacked_in_every_way(tables, kind):
    attacked = {}
    for row in (row for table in tables[kind.name] for row in table):
        attacked.setdefault(row.attack, set()).update(row.labels)
    assert tuple(attacked) == ATTACKS
    expected = {message.label for message in kind.messages}
    assert all(labels == expected for labels in attacked.values())


def suffered(aggregator=None):
    """The attacks that were not always refused."""
    rows = attacks(aggregator or Plain(), UPDATES)
    return {row.attack for row in rows if row.refused < row.tried}


def test_a_party_that_does_not_verify_is_found_out(monkeypatch):
    monkeypatch.setattr(Party, "verify", lambda *_: None)
    assert "unsigned" in suffered()


def test_a_signature_that_does_not_cover_the_contents_is_found_out(monkeypatch):
    monkeypatch.setattr(Message, "signed", property(lambda message: message.label.encode()))
    assert "altered body" in suffered()


def test_a_signature_that_does_not_cover_the_session_is_found_out(monkeypatch):
    monkeypatch.setattr(Session, "id", bytes(32))
    assert "another session" in suffered()


def test_a_party_that_takes_messages_twice_is_found_out(monkeypatch):
    whole = Party._admit

    def forgetful(party, message):
        if party._gathering is not None:
            party._gathering.missing.add(message.sender)
        return whole(party, message)

    monkeypatch.setattr(Party, "_admit", forgetful)
    assert "replay" in suffered()


def test_a_party_that_does_not_read_the_recipient_is_found_out(monkeypatch):
    whole = Party.receive

    def careless(party, message):
        party.name = message.recipient
        return whole(party, message)

    monkeypatch.setattr(Party, "receive", careless)
    assert "wrong recipient" in suffered(Sharing(holders=3))


def test_a_party_that_a_refusal_puts_out_is_found_out(monkeypatch):
    whole = Station._refuse

    def touchy(station, reason):
        whole(station, reason)
        station.party._gathering = None

    monkeypatch.setattr(Station, "_refuse", touchy)
    assert "unsigned" in suffered()


def test_a_round_that_ends_with_another_sum_is_an_error(monkeypatch):
    whole = Session.decode
    monkeypatch.setattr(Session, "decode", lambda *given, **named: whole(*given, **named) + 1)
    with pytest.raises(ProtocolError, match="ended with another sum than that of all"):
        attacks(Plain(), UPDATES)


def test_a_round_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(Party, "conclude", lambda *_: None)
    with pytest.raises(ProtocolError, match="did not end with a sum"):
        attacks(Plain(), UPDATES)
