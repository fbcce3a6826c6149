"""Threshold Paillier: any few key holders open the sum, and who lies is left out and named."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    DecodingError,
    DeserializationError,
    InsecureKeyWarning,
    InsufficientShares,
    InvalidKey,
    KeyMismatch,
    ProtocolError,
)
from veilsum.paillier.limbs import from_words, to_words
from veilsum.protocols import (
    InMemoryTransport,
    Paillier,
    Policy,
    ThresholdPaillier,
    aggregate,
    resolve,
)
from veilsum.protocols.paillier import Combined, Encrypted
from veilsum.protocols.threshold_paillier import Decrypted

# Safe primes, just below a power of two and seven eighths of it.
PRIMES = (2**256 - 36113, 7 * 2**253 - 48021)
ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.0]])
SUM = UPDATES.sum(axis=0)


def deal(holders, threshold):
    return paillier.deal_key(holders=holders, threshold=threshold, primes=PRIMES, insecure=True)


@pytest.fixture(scope="module")
def keys():
    return deal(5, 3)


@pytest.fixture(scope="module")
def strange_keys():
    return deal(5, 3)


@pytest.fixture
def aggregator(keys):
    return ThresholdPaillier(keys=keys)


class Table:
    """The parties of one session, started, and what was sent until the holders were asked."""

    def __init__(self, aggregator, updates=UPDATES):
        self.session = aggregator.open_session(range(3), length=updates.shape[1], encoding=ENCODING)
        parties = aggregator.parties(self.session, dict(enumerate(updates)))
        self.aggregator, *rest = parties
        self.holders, self.clients = rest[:5], rest[5:]
        assert [party.start() for party in (self.aggregator, *self.holders)] == [[]] * 6
        self.encrypted = [message for client in self.clients for message in client.start()]
        for message in self.encrypted[:-1]:
            assert self.aggregator.receive(message) == []
        self.asked = self.aggregator.receive(self.encrypted[-1])

    def answers(self):
        pairs = zip(self.holders, self.asked, strict=True)
        return [message for holder, asked in pairs for message in holder.receive(asked)]


@pytest.fixture
def table(aggregator):
    return Table(aggregator)


def lying(holders, how):
    """Let these holders sign what `how` makes of their answer."""

    def lie(message):
        if not isinstance(message, Decrypted) or message.sender not in holders:
            return message
        return replace(message, share=how(message.share))

    return InMemoryTransport(lie=lie)


def silent(holders):
    return InMemoryTransport(drop=lambda message: message.sender in holders)


@pytest.fixture
def wrong_proof(keys):
    def change(data):
        share = paillier.DecryptionShare.from_bytes(data, keys[0])
        return replace(share, response=share.response + 1).to_bytes()

    return change


# ---- The rounds


def test_three_rounds_lead_to_the_sum(table):
    assert [asked.recipient for asked in table.asked] == [holder.name for holder in table.holders]
    assert {asked.ciphertexts for asked in table.asked} == {table.asked[0].ciphertexts}
    for answer in table.answers():
        assert table.aggregator.receive(answer) == []
    outcome = table.aggregator.outcome
    assert np.array_equal(outcome.sum, SUM)
    assert (outcome.survivors, outcome.liars) == ((0, 1, 2), ())


def test_a_dealt_key_lasts_from_round_to_round(aggregator):
    results = [aggregator.aggregate(UPDATES * scale, round=scale) for scale in (1, 2)]
    assert np.array_equal(2 * results[0].sum, results[1].sum)


def test_without_keys_the_aggregator_deals_one():
    with pytest.warns(InsecureKeyWarning):
        fresh = ThresholdPaillier(key_bits=256, insecure=True)
    assert (fresh.key.holders, fresh.key.threshold, fresh.key.public_key.bits) == (3, 2, 256)
    result = fresh.aggregate(UPDATES)
    assert np.array_equal(result.sum, SUM)
    with pytest.raises(InvalidKey, match="expected at least 2048"):
        ThresholdPaillier(key_bits=512)


@pytest.mark.parametrize(("holders", "threshold"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_of_the_holders_opens_unless_told_otherwise(holders, threshold):
    dealt = ThresholdPaillier(holders=holders, key_bits=128, insecure=True)
    assert dealt.key.threshold == threshold
    assert dealt.open_session(range(2), length=1).threshold == threshold


def test_it_has_a_name_and_its_options():
    options = {"holders": 4, "threshold": 2, "key_bits": 256, "insecure": True}
    made = resolve("threshold_paillier", **options)
    assert isinstance(made, ThresholdPaillier)
    assert (made.key.holders, made.key.threshold) == (4, 2)
    result = aggregate(UPDATES, protocol="threshold_paillier", **options, dropped=[1])
    assert result.survivors == (0, 2)
    assert np.array_equal(result.sum, UPDATES[[0, 2]].sum(axis=0))


# ---- What a session binds


def test_a_session_binds_the_threshold_key_its_holders_and_threshold(keys, strange_keys):
    fewer = paillier.ThresholdKey(keys[0].public_key, 2, keys[0].base, keys[0].verification)
    sessions = [
        replace(ThresholdPaillier(keys=(key, ())).open_session(range(3), length=2), nonce=bytes(16))
        for key in (keys[0], strange_keys[0], fewer)
    ]
    assert [session.threshold for session in sessions] == [3, 3, 2]
    for session, key in zip(sessions, (keys[0], strange_keys[0], fewer), strict=True):
        bound = dict(session.parameters)
        assert bound["key"] == key.fingerprint
        assert b"holder-5" in bound["holders"]
        assert b"holder-6" not in bound["holders"]
    assert len({session.id for session in sessions}) == 3


def test_a_client_may_insist_on_a_threshold_key(aggregator, strange_keys):
    session = aggregator.open_session(range(3), length=2)
    Policy(parameters={"key": aggregator.key.fingerprint}, min_threshold=3).check(session)
    with pytest.raises(ProtocolError, match="'key' is not what this client knows"):
        Policy(parameters={"key": strange_keys[0].fingerprint}).check(session)
    with pytest.raises(ProtocolError, match="threshold is 3, this client asks for 4"):
        Policy(min_threshold=4).check(session)


def test_keys_that_do_not_fit_are_refused(keys, strange_keys):
    key, shares = keys
    with pytest.raises(KeyMismatch, match="a share is of another threshold key"):
        ThresholdPaillier(keys=(key, [*shares[:4], strange_keys[1][4]]))
    with pytest.raises(ValueError, match="holders: got 4, the key was dealt with 5"):
        ThresholdPaillier(keys=keys, holders=4)
    with pytest.raises(ValueError, match="threshold: got 2, the key was dealt with 3"):
        ThresholdPaillier(keys=keys, threshold=2)
    assert ThresholdPaillier(keys=keys, holders=5, threshold=3).key is key
    with pytest.raises(ValueError, match="holders: got 0, expected 1 to 255"):
        ThresholdPaillier(holders=0, key_bits=256, insecure=True)
    with pytest.raises(ValueError, match="threshold: got 4, expected 1 to the 3 holders"):
        ThresholdPaillier(threshold=4, key_bits=256, insecure=True)


def test_each_party_needs_its_own_share_alone(keys):
    key, shares = keys
    mine = ThresholdPaillier(keys=(key, shares[1:2]))
    session = mine.open_session(range(3), length=2)
    credentials = mine._credentials(session.roster)
    assert mine.server(session, "holder-2", credentials["holder-2"]).name == "holder-2"
    assert mine.server(session, "aggregator", credentials["aggregator"]).name == "aggregator"
    with pytest.raises(ValueError, match="the key share of holder-1 is not here"):
        mine.server(session, "holder-1", credentials["holder-1"])


# ---- Dropouts and lies


def test_every_set_of_silent_holders_is_survived_or_a_clear_error(aggregator):
    names = [f"holder-{number}" for number in range(1, 6)]
    for size in range(6):
        for gone in combinations(names, size):
            if size <= 2:
                result = aggregator.aggregate(UPDATES, transport=silent(gone))
                assert np.array_equal(result.sum, SUM)
                assert result.liars == ()
            else:
                missing = ", ".join(gone)
                with pytest.raises(
                    ProtocolError,
                    match=rf"aggregator needs 3 .* has {5 - size}; missing are {missing}",
                ):
                    aggregator.aggregate(UPDATES, transport=silent(gone))


def test_every_set_of_lying_holders_is_named_or_a_clear_error(aggregator, wrong_proof):
    names = [f"holder-{number}" for number in range(1, 6)]
    for size in range(1, 6):
        for liars in combinations(names, size):
            transport = lying(liars, wrong_proof)
            if size <= 2:
                result = aggregator.aggregate(UPDATES, transport=transport)
                assert np.array_equal(result.sum, SUM)
                assert result.liars == liars
            else:
                numbers = ", ".join(name.removeprefix("holder-") for name in liars)
                with pytest.raises(
                    ProtocolError, match=rf"those of holders \[{numbers}\] do not hold"
                ) as caught:
                    aggregator.aggregate(UPDATES, transport=transport)
                assert isinstance(caught.value.__cause__, InsufficientShares)


def test_an_altered_share_is_named(keys, aggregator):
    key, _ = keys

    def altered(data):
        share = paillier.DecryptionShare.from_bytes(data, key)
        words = share._vector.to_words(1)
        words[0] = to_words(2 * from_words(words[0]) % key.public_key.n**2, words.shape[1])
        return replace(share, _vector=key.public_key._core.from_words(words, 1)).to_bytes()

    result = aggregator.aggregate(UPDATES, transport=lying({"holder-4"}, altered))
    assert np.array_equal(result.sum, SUM)
    assert result.liars == ("holder-4",)


def test_the_answer_of_another_round_is_named(aggregator):
    kept = []

    def keep(message):
        if isinstance(message, Decrypted) and message.sender == "holder-1":
            kept.append(message.share)
        return message

    aggregator.aggregate(UPDATES, transport=InMemoryTransport(lie=keep))
    result = aggregator.aggregate(UPDATES, transport=lying({"holder-1"}, lambda _: kept[0]))
    assert np.array_equal(result.sum, SUM)
    assert result.liars == ("holder-1",)


def test_an_answer_that_is_no_share_is_refused_and_its_sender_lost(keys, strange_keys, aggregator):
    foreign = strange_keys[1][1].decrypt(
        strange_keys[0].public_key.encrypt([1]), context=b"elsewhere"
    )
    for share, cause in [
        (b"", DeserializationError),
        (keys[0].to_bytes(), DeserializationError),
        (foreign.to_bytes(), KeyMismatch),
    ]:
        result = aggregator.aggregate(
            UPDATES, transport=lying({"holder-2"}, lambda _, share=share: share)
        )
        assert np.array_equal(result.sum, SUM)
        assert result.liars == ()
        (refusal,) = result.refusals
        assert "refuses 'threshold_paillier/decrypted' from 'holder-2'" in str(refusal.reason)
        assert isinstance(refusal.reason.__cause__, cause)


def test_a_holder_cannot_answer_in_the_name_of_another(table):
    answers = table.answers()
    stolen = table.holders[1].sign(replace(answers[1], share=answers[0].share))
    with pytest.raises(ProtocolError, match="the share is that of holder-1"):
        table.aggregator.receive(stolen)
    forged = table.holders[1].sign(replace(answers[0], sender="holder-1"))
    with pytest.raises(ProtocolError, match=r"refuses .* from 'holder-1'"):
        table.aggregator.receive(forged)
    for answer in answers:
        table.aggregator.receive(answer)
    assert table.aggregator.outcome.liars == ()


def test_a_crooked_dealer_is_no_liar_among_the_holders(keys):
    key, shares = keys
    exponents = [from_words(share._exponent) for share in shares]
    exponents[2] += 1
    square = key.public_key.n**2
    powers = tuple(pow(key.base, exponent, square) for exponent in exponents)
    crooked = paillier.ThresholdKey(key.public_key, 3, key.base, powers)
    width = shares[0]._exponent.size
    dealt = [
        paillier.KeyShare(crooked, place, to_words(exponent, width))
        for place, exponent in enumerate(exponents, 1)
    ]
    with pytest.raises(DecodingError, match="do not fit together"):
        ThresholdPaillier(keys=(crooked, dealt)).aggregate(UPDATES)


def test_any_client_may_vanish_down_to_the_fewest_survivors(aggregator):
    for size in (0, 1):
        for gone in combinations(range(3), size):
            left = [client for client in range(3) if client not in gone]
            result = aggregator.aggregate(UPDATES, dropped=gone)
            assert result.survivors == tuple(left)
            assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))
    with pytest.raises(ProtocolError, match=r"aggregator needs 2 messages .* has 1"):
        aggregator.aggregate(UPDATES, dropped=[0, 1])


# ---- The key holders


def test_a_key_holder_answers_once_a_session(aggregator, table):
    (first,) = table.holders[0].receive(table.asked[0])
    with pytest.raises(ProtocolError, match="waits for nothing"):
        table.holders[0].receive(table.asked[0])
    again = aggregator.parties(table.session, {})[1]
    again.start()
    with pytest.raises(ProtocolError, match="answers once a session"):
        again.receive(table.asked[0])
    other = aggregator.parties(table.session, {})[2]
    other.start()
    assert len(other.receive(table.asked[1])) == 1
    assert first.sender == "holder-1"


@pytest.mark.parametrize(
    ("clients", "match"),
    [
        ((), "survivors: got 0, expected at least 2"),
        ((0,), "survivors: got 1, expected at least 2"),
        ((0, 7), r"the clients \[7\] are not known"),
        ((1, 0), "ascending"),
        ((0, 1), r"262144.0, 3, 3\), expected .* 262144.0, 3, 2\) in this session"),
    ],
    ids=str,
)
def test_a_key_holder_refuses_survivors_that_do_not_fit(table, clients, match):
    asked = table.aggregator.sign(replace(table.asked[0], clients=clients))
    with pytest.raises(ProtocolError, match=match):
        table.holders[0].receive(asked)
    assert len(table.holders[0].receive(table.asked[0])) == 1


def test_a_key_holder_refuses_one_clients_ciphertexts_as_they_are(table):
    asked = replace(table.asked[0], ciphertexts=table.encrypted[0].ciphertexts)
    with pytest.raises(ProtocolError, match=r"3, 1\), expected .* 3, 3\) in this session"):
        table.holders[0].receive(table.aggregator.sign(asked))


def test_only_the_aggregator_asks_a_key_holder(table):
    with pytest.raises(ProtocolError, match="expects no"):
        table.holders[0].receive(table.holders[1].sign(replace(table.asked[0], sender="holder-2")))
    with pytest.raises(ProtocolError, match="'holder-2'"):
        table.holders[0].receive(table.asked[1])


def test_fewer_answers_than_the_threshold_open_nothing(keys, table):
    answers = table.answers()
    total = paillier.PackedArray.from_bytes(table.asked[0].ciphertexts, keys[0].public_key)
    few = [paillier.DecryptionShare.from_bytes(answer.share, keys[0]) for answer in answers[:2]]
    with pytest.raises(InsufficientShares, match="got 2 valid ones of the 3 needed"):
        keys[0].combine(total, few, context=table.session.id)


# ---- What is sent


def test_messages_survive_the_wire_and_hide_their_contents(table):
    (answer,) = table.holders[0].receive(table.asked[0])
    arrived = Decrypted.from_bytes(answer.to_bytes())
    assert arrived.share == answer.share
    assert "share" not in repr(answer)
    assert Combined.from_bytes(table.asked[0].to_bytes()).clients == (0, 1, 2)
    assert Encrypted.from_bytes(table.encrypted[0].to_bytes()).sender == "client-0"


def test_it_gives_the_integers_that_one_key_gives(keys, aggregator):
    public = keys[0].public_key
    private = paillier.PrivateKey(*PRIMES, public.h, insecure=True)
    one = Paillier(keys=(public, private))
    for encoding in (ENCODING, FixedPoint.binary(100, bound=2.0**20), FixedPoint.decimal(3)):
        results = [each.aggregate(UPDATES, encoding=encoding) for each in (one, aggregator)]
        assert results[0].integers.tolist() == results[1].integers.tolist()
        assert results[0].integers.dtype == results[1].integers.dtype
