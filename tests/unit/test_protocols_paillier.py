"""Paillier: the aggregator adds what it cannot read, the key holder opens one sum a session."""

from dataclasses import replace
from types import NoneType

import numpy as np
import pytest

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    InsecureKeyWarning,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
    ProtocolError,
)
from veilsum.protocols import InMemoryTransport, Paillier
from veilsum.protocols.paillier import Combined, Encrypted, Opened

ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.0]])


@pytest.fixture(scope="module")
def aggregator():
    return Paillier(key_bits=512, insecure=True)


@pytest.fixture(scope="module")
def stranger():
    return Paillier(key_bits=512, insecure=True)


@pytest.fixture
def table(aggregator):
    return seat(aggregator)


class Table:
    """The parties of one session, started, and what the clients would send."""

    def __init__(self, aggregator, updates):
        self.session = aggregator.open_session(range(3), length=updates.shape[1], encoding=ENCODING)
        parties = aggregator.parties(self.session, dict(enumerate(updates)))
        self.combiner, self.key_holder, *clients = parties
        self.by_name = {party.name: party for party in parties}
        assert self.combiner.start() == self.key_holder.start() == []
        self.encrypted = [message for client in clients for message in client.start()]

    def signed(self, message):
        """The message as its sender would sign it: a malicious party's."""
        return self.by_name[message.sender].sign(message)

    def combined(self):
        for message in self.encrypted[:-1]:
            assert self.combiner.receive(message) == []
        (combined,) = self.combiner.receive(self.encrypted[-1])
        return combined


def seat(aggregator, updates=UPDATES):
    return Table(aggregator, updates)


def reencrypted(message, public_key, values, *, bound=2**18, additions=3, used=1):
    """The message with other values, packed as those of `ENCODING` and three clients are."""
    ciphertexts = used * public_key.encrypt_packed(values, bound=bound, additions=additions)
    return replace(message, ciphertexts=ciphertexts.to_bytes())


def test_three_rounds_lead_to_the_sum(table):
    combined = table.combined()
    assert combined.clients == (0, 1, 2)
    (opened,) = table.key_holder.receive(combined)
    assert opened.digit_sums.tolist() == (256 * UPDATES.sum(axis=0)).tolist()
    assert table.combiner.receive(opened) == []
    assert np.array_equal(table.combiner.outcome.sum, UPDATES.sum(axis=0))
    assert table.combiner.outcome.survivors == (0, 1, 2)


def test_keys_last_from_round_to_round(aggregator):
    results = [aggregator.aggregate(UPDATES * scale, round=scale) for scale in (1, 2)]
    assert np.array_equal(2 * results[0].sum, results[1].sum)
    assert results[0].session_id != results[1].session_id


def test_a_session_binds_the_fingerprint_of_the_key(aggregator, stranger):
    sessions = [
        replace(each.open_session(range(3), length=2), nonce=bytes(16))
        for each in (aggregator, stranger)
    ]
    assert sessions[0].parameters == (("key", aggregator.public_key.fingerprint),)
    assert sessions[0].id != sessions[1].id


def test_a_given_pair_of_keys_is_used():
    keys = paillier.keygen(512, insecure=True)
    assert Paillier(keys=keys).public_key is keys[0]


def test_two_keys_that_are_no_pair_are_refused(aggregator):
    _, private = paillier.keygen(512, insecure=True)
    with pytest.raises(KeyMismatch, match="pass a pair"):
        Paillier(keys=(aggregator.public_key, private))


def test_short_keys_are_made_only_on_request():
    with pytest.raises(InvalidKey):
        Paillier(key_bits=1024)
    with pytest.warns(InsecureKeyWarning):
        Paillier(key_bits=512, insecure=True)


# ---- Dropouts


def test_any_client_may_vanish_down_to_the_threshold(aggregator):
    for gone in [(), (0,), (1,), (2,)]:
        left = [client for client in range(3) if client not in gone]
        result = aggregator.aggregate(UPDATES, encoding=ENCODING, dropped=gone)
        assert result.survivors == tuple(left)
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))
    with pytest.raises(ProtocolError, match=r"aggregator needs 2 messages .* has 1"):
        aggregator.aggregate(UPDATES, dropped=[0, 1])


def test_the_key_holder_opens_the_update_of_one_client_only_on_request(aggregator):
    keys = (aggregator.public_key, aggregator._private_key)
    lenient = Paillier(keys=keys, min_survivors=1)
    assert np.array_equal(lenient.aggregate(UPDATES, dropped=[0, 1]).sum, UPDATES[2])
    assert np.array_equal(aggregator.aggregate(UPDATES[:1]).sum, UPDATES[0])
    strict = Paillier(keys=keys, min_survivors=3)
    with pytest.raises(ProtocolError, match=r"aggregator needs 3 messages .* has 2"):
        strict.aggregate(UPDATES, dropped=[0])
    with pytest.raises(ValueError, match="min_survivors: got 3, expected 1 to 2"):
        strict.aggregate(UPDATES[:2])


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Combined, "key-holder needs 1 .* missing are aggregator"),
        (Opened, "aggregator needs 1 .* missing are key-holder"),
    ],
)
def test_without_the_key_holder_there_is_no_sum(aggregator, kind, match):
    transport = InMemoryTransport(drop=lambda message: isinstance(message, kind))
    with pytest.raises(ProtocolError, match=match):
        aggregator.aggregate(UPDATES, transport=transport)


# ---- The key holder


def test_the_key_holder_answers_once_a_session(table):
    combined = table.combined()
    assert len(table.key_holder.receive(combined)) == 1
    with pytest.raises(ProtocolError, match="waits for nothing"):
        table.key_holder.receive(combined)
    with pytest.raises(ProtocolError, match="open"):
        table.key_holder.open()


def test_a_key_holder_that_starts_again_remembers_what_it_answered(aggregator, table):
    combined = table.combined()
    table.key_holder.receive(combined)
    _, again = aggregator.parties(table.session, {})
    again.start()
    with pytest.raises(ProtocolError, match="answers once a session"):
        again.receive(combined)


def test_a_key_holder_that_refused_may_still_answer(table):
    combined = table.combined()
    with pytest.raises(ProtocolError, match="survivors: got 1"):
        table.key_holder.receive(table.signed(replace(combined, clients=(0,))))
    assert len(table.key_holder.receive(combined)) == 1


@pytest.mark.parametrize(
    ("clients", "match"),
    [
        ((), "survivors: got 0, expected at least 2"),
        ((0,), "survivors: got 1, expected at least 2"),
        ((0, 7), r"the clients \[7\] are not known"),
        ((0, 0), "ascending"),
        ((1, 0), "ascending"),
        ((0, 1), r"262144.0, 3, 3\), expected .* 262144.0, 3, 2\) in this session"),
    ],
    ids=str,
)
def test_the_key_holder_refuses_survivors_that_do_not_fit(table, clients, match):
    combined = table.combined()
    with pytest.raises(ProtocolError, match=match):
        table.key_holder.receive(table.signed(replace(combined, clients=clients)))


@pytest.mark.parametrize("plaintext", [0, 7])
def test_one_trivial_ciphertext_among_others_is_refused(aggregator, plaintext):
    table = seat(aggregator, np.tile(UPDATES, 15))  # two ciphertexts each
    size = 2 * 512 // 8
    trivial = (1 + plaintext * aggregator.public_key.n).to_bytes(size, "little")

    def altered(message):
        return table.signed(replace(message, ciphertexts=message.ciphertexts[:-size] + trivial))

    with pytest.raises(ProtocolError, match=r"aggregator refuses .* got a 1") as caught:
        table.combiner.receive(altered(table.encrypted[0]))
    assert isinstance(caught.value.__cause__, InvalidCiphertext)
    with pytest.raises(ProtocolError, match=r"key-holder refuses .* got a 1"):
        table.key_holder.receive(altered(table.combined()))


def test_the_key_holder_refuses_a_foreign_key(stranger, table):
    combined = table.combined()
    with pytest.raises(ProtocolError, match=r"key-holder refuses .* from 'aggregator': .* key"):
        table.key_holder.receive(
            table.signed(reencrypted(combined, stranger.public_key, [1, 2], used=3))
        )


def test_the_aggregator_refuses_a_sum_beyond_the_survivors_bound(aggregator, table):
    combined = table.combined()
    message = reencrypted(combined, aggregator.public_key, [2**18, 0], used=3)
    (opened,) = table.key_holder.receive(table.signed(message))
    assert opened.digit_sums.tolist() == [3 * 2**18, 0]
    with pytest.raises(ProtocolError, match="beyond what the survivors can have sent"):
        table.combiner.receive(opened)


def test_an_altered_ciphertext_decrypts_out_of_range(table):
    combined = table.combined()
    altered = bytearray(combined.ciphertexts)
    altered[-100] ^= 1
    with pytest.raises(ProtocolError) as caught:
        table.key_holder.receive(table.signed(replace(combined, ciphertexts=bytes(altered))))
    assert isinstance(caught.value.__cause__, BudgetExceeded | InvalidCiphertext)


@pytest.mark.parametrize(
    "addend",
    [3 * 2**18, 3 * 2**18 << 21, 1 << 2 * 21, 2**500],
    ids=["first slot", "second slot", "no coordinate's slot", "beyond all slots"],
)
def test_a_sum_that_decrypts_beyond_its_limit_is_the_aggregators_fault(aggregator, table, addend):
    combined = table.combined()
    public = aggregator.public_key
    sums = paillier.PackedArray.from_bytes(combined.ciphertexts, public)
    assert (sums.slot_bits, len(sums.vector)) == (21, 1)
    vector = sums.vector.multiply(public.encrypt([addend], bound=2.0**500).vector, 1)
    forged = paillier.PackedArray(public, vector, sums._packing, shape=(2,), used=3)
    message = table.signed(replace(combined, ciphertexts=forged.to_bytes()))
    with pytest.raises(ProtocolError, match="key-holder cannot go on with what came") as caught:
        table.key_holder.receive(message)
    assert isinstance(caught.value.__cause__, BudgetExceeded)
    with pytest.raises(ProtocolError, match="waits for nothing"):
        table.key_holder.receive(combined)


def test_only_the_aggregator_asks_the_key_holder(table):
    combined = table.combined()
    for sender in ("client-0", "key-holder", "server"):
        with pytest.raises(ProtocolError, match="expects no"):
            table.key_holder.receive(replace(combined, sender=sender))


# ---- The aggregator


def test_the_aggregator_refuses_what_is_no_update_and_changes_nothing(aggregator, stranger, table):
    first = table.encrypted[0]
    public = aggregator.public_key
    unpacked = public.encrypt([1, 2], bound=2.0**18)
    for message, cause, match in [
        (replace(first, ciphertexts=b""), DeserializationError, "header"),
        (replace(first, ciphertexts=first.ciphertexts[:-1]), DeserializationError, "body"),
        (replace(first, ciphertexts=unpacked.to_bytes()), DeserializationError, "kind"),
        (reencrypted(first, stranger.public_key, [1, 2]), KeyMismatch, "another key"),
        (reencrypted(first, public, [1]), NoneType, r"\(1,\)"),
        (reencrypted(first, public, [[1, 2]]), NoneType, r"\(1, 2\)"),
        (reencrypted(first, public, [1, 2, 3]), DeserializationError, "elements"),
        (reencrypted(first, public, [0.5, 1.0]), NoneType, "got .* 24, 262144.0, 3, 1"),
        (reencrypted(first, public, [1, 2], bound=2**19), NoneType, "got .* 0, 524288.0, 3, 1"),
        (reencrypted(first, public, [1, 2], additions=4), NoneType, "got .* 262144.0, 4, 1"),
        (reencrypted(first, public, [1, 2], used=2), NoneType, "got .* 262144.0, 3, 2"),
        (reencrypted(first, public, [1, 2], used=0), NoneType, "got .* 262144.0, 3, 0"),
        (replace(first, session_id=bytes(32)), NoneType, "foreign session"),
        (replace(first, sender="client-3"), NoneType, "expects no"),
        (replace(first, recipient="key-holder"), NoneType, "key-holder"),
    ]:
        with pytest.raises(ProtocolError, match=match) as caught:
            table.combiner.receive(
                table.signed(message) if message.sender in table.by_name else message
            )
        assert type(caught.value.__cause__) is cause
    (opened,) = table.key_holder.receive(table.combined())
    table.combiner.receive(opened)
    assert np.array_equal(table.combiner.outcome.sum, UPDATES.sum(axis=0))


def test_ciphertexts_that_their_client_did_not_sign_are_refused(table):
    first, second, _ = table.encrypted
    for forged in (
        replace(first, ciphertexts=second.ciphertexts),
        replace(first, signature=second.signature),
        replace(first, signature=b""),
    ):
        with pytest.raises(ProtocolError, match="it is not the named signer's"):
            table.combiner.receive(forged)
    assert table.combiner.late == ("client-0", "client-1", "client-2")


def test_a_sum_that_its_party_did_not_sign_is_refused(table):
    combined = table.combined()
    with pytest.raises(ProtocolError, match="it is not the named signer's"):
        table.key_holder.receive(replace(combined, clients=(0, 1)))
    (opened,) = table.key_holder.receive(combined)
    with pytest.raises(ProtocolError, match="it is not the named signer's"):
        table.combiner.receive(replace(opened, digit_sums=opened.digit_sums + 1))
    assert table.combiner.receive(opened) == []


def test_the_aggregator_refuses_duplicates_and_replays_of_another_session(aggregator, table):
    table.combiner.receive(table.encrypted[0])
    with pytest.raises(ProtocolError, match="already"):
        table.combiner.receive(table.encrypted[0])
    with pytest.raises(ProtocolError, match="foreign session"):
        table.combiner.receive(seat(aggregator).encrypted[1])


def test_the_aggregator_takes_the_sum_from_the_key_holder_alone(table):
    (opened,) = table.key_holder.receive(table.combined())
    with pytest.raises(ProtocolError, match="of 'client-0'"):
        table.combiner.receive(replace(opened, sender="client-0"))
    for wrong in ([1], [1, 2, 3], [2**60, 0]):
        with pytest.raises(ProtocolError, match="beyond what the survivors can have sent"):
            table.combiner.receive(table.signed(replace(opened, digit_sums=np.array(wrong))))
    assert table.combiner.outcome is None


# ---- What is sent


def test_an_update_is_not_in_what_the_client_sends(aggregator):
    sent = [seat(aggregator).encrypted[0] for _ in range(2)]
    assert sent[0].ciphertexts != sent[1].ciphertexts
    assert "ciphertexts" not in repr(sent[0])


def test_many_digits_share_a_ciphertext_of_twice_the_key(aggregator):
    def sent(width):
        result = aggregator.aggregate(np.ones((2, width)))
        return result.bytes["client-0", "aggregator", "protect"]

    # Two digits of 2**52 and a sign are 55 bits: nine of them are in a plaintext.
    assert sent(9) == sent(1)
    assert sent(10) - sent(9) == 2 * 512 // 8
    assert sent(91) - sent(1) == 10 * 2 * 512 // 8


def test_opened_sums_survive_the_wire():
    digit_sums = np.array([1, -(2**62), 2**62])
    opened = Opened(
        session_id=bytes(32), sender="key-holder", recipient="aggregator", digit_sums=digit_sums
    )
    arrived = Opened.from_bytes(opened.to_bytes())
    assert arrived.digit_sums.dtype == digit_sums.dtype
    assert arrived.digit_sums.tolist() == digit_sums.tolist()


@pytest.mark.parametrize(
    ("clients", "bound"),
    [(1, 2.0**61), (2, 2.0**60), (3, 1.33 * 2.0**59), (8, 2.0**58), (9, 1.77 * 2.0**57)],
)
def test_the_widest_digits_fill_a_slot_and_add_up_exactly(aggregator, clients, bound):
    encoding = FixedPoint(scale=1, bound=bound)
    session = aggregator.open_session(range(clients), length=3, encoding=encoding)
    assert session.digits.count == 1
    odd = int(bound) - 1 if clients == 1 else 2**53 - 1
    updates = np.array([[int(bound), -int(bound), odd]] * clients)
    result = aggregator.aggregate(updates, encoding=encoding)
    assert result.integers.tolist() == [clients * x for x in (int(bound), -int(bound), odd)]


def test_wide_coordinates_take_several_slots(aggregator):
    encoding = FixedPoint.binary(100, bound=2.0**20)
    session = aggregator.open_session(range(3), length=2, encoding=encoding)
    assert session.digits.count == 3
    result = aggregator.aggregate(UPDATES, encoding=encoding)
    assert result.integers.tolist() == [int(x * 2**100) for x in UPDATES.sum(axis=0)]


def test_coordinates_may_be_wider_than_the_key(aggregator):
    encoding = FixedPoint.binary(600, bound=2.0**20)
    assert aggregator.open_session(range(3), length=2, encoding=encoding).digits.count > 9
    result = aggregator.aggregate(UPDATES, encoding=encoding)
    assert result.integers.tolist() == [int(x * 4) * 2**598 for x in UPDATES.sum(axis=0)]


def test_messages_know_their_phases():
    assert [kind.phase for kind in Paillier.messages] == ["protect", "combine", "open"]
    assert Paillier.messages == (Encrypted, Combined, Opened)
