"""Rounds by requests and answers: every protocol, every node lost at every request."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pytest

from veilsum import paillier, protocols
from veilsum.channel import Directory, Identity
from veilsum.errors import ProtocolError, VeilsumError
from veilsum.protocols import Aggregator, Party, Session, masking
from veilsum.protocols.base import address_of
from veilsum.protocols.relay import Opened, Relay, Visit, visit

LENGTH = 7
CLIENTS = 5
HERE = ("server", "aggregator")
UPDATES = {client: np.arange(LENGTH) * 0.5 - client for client in range(CLIENTS)}


@pytest.fixture(scope="module")
def aggregators() -> dict[str, Aggregator]:
    key, shares = paillier.deal_key(holders=3, threshold=2, bits=1024, insecure=True)
    return {
        "plain": protocols.Plain(),
        "paillier": protocols.Paillier(key_bits=1024, insecure=True, threads=1),
        "threshold_paillier": protocols.ThresholdPaillier(keys=(key, shares), threads=1),
        "masking": protocols.Masking(threads=1),
        "sharing": protocols.Sharing(holders=5, threshold=3, threads=1),
        "serverless": protocols.Sharing(threshold=3, threads=1),
    }


PROTOCOLS = ("plain", "paillier", "threshold_paillier", "masking", "sharing", "serverless")
REQUESTS = {"plain": 1, "paillier": 2, "threshold_paillier": 2, "masking": 5, "sharing": 4}


class Round:
    """A session of an aggregator whose parties elsewhere are asked one after the other."""

    def __init__(
        self,
        aggregator: Aggregator,
        *,
        lost: Callable[[str, int], bool] = lambda *_: False,
        alter: Callable[[str, list[bytes]], list[bytes]] = lambda _, letters: letters,
    ) -> None:
        self.aggregator, self.lost, self.alter = aggregator, lost, alter
        self.session = aggregator.open_session(range(CLIENTS), length=LENGTH)
        parties = {party.name: party for party in aggregator.parties(self.session, UPDATES)}
        self.here = [party for party in parties.values() if party.name in HERE]
        self.elsewhere = {n: party for n, party in parties.items() if n not in HERE}
        self.directory = next(iter(parties.values())).credentials.directory
        self.relay = self.fresh_relay()
        self.requests = 0
        self.refusals: list[VeilsumError] = []
        self._started: set[str] = set()

    def fresh_relay(self) -> Relay:
        return Relay(self.session, self.here, self.aggregator.messages, self.directory)

    def run(self) -> protocols.Aggregate:
        self.relay.start()
        mail: dict[str, Sequence[bytes]] = {
            name: () for name in self.elsewhere if name.startswith("client")
        }
        while mail and self.relay.outcome is None:
            self.requests += 1
            for name, letters in mail.items():
                if not self.lost(name, self.requests):
                    self.ask(name, letters)
            self.relay.settle()
            mail = {**self.relay.collect()}
        return self.relay.aggregate()

    def ask(self, name: str, letters: Sequence[bytes]) -> None:
        answer = self.visit(self.elsewhere[name], self.alter(name, [*letters]))
        self.refusals += answer.refusals
        self.relay.take(name, [message.to_bytes() for message in answer.messages])

    def visit(self, party: Party, letters: Sequence[bytes]) -> Visit:
        fresh = party.name not in self._started
        self._started.add(party.name)
        return visit(party, letters, kinds=self.aggregator.messages, fresh=fresh)


def exact(survivors: Collection[int]) -> np.ndarray:
    return np.sum([UPDATES[client] for client in survivors], axis=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_round_by_requests_opens_the_integers_of_a_round_in_one_process(
    aggregators: dict[str, Aggregator], protocol: str
) -> None:
    result = Round(aggregators[protocol]).run()
    expected = aggregators[protocol].aggregate(UPDATES)
    assert np.array_equal(result.integers, expected.integers)
    assert result.integers.dtype == expected.integers.dtype
    assert np.array_equal(result.sum, expected.sum)
    assert result.survivors == expected.survivors == tuple(range(CLIENTS))
    assert result.refusals == ()
    assert all(size > 0 for size in result.bytes.values())


@pytest.mark.parametrize(("protocol", "requests"), REQUESTS.items())
def test_a_round_takes_as_few_requests_as_the_protocol_has_rounds(
    aggregators: dict[str, Aggregator], protocol: str, requests: int
) -> None:
    round_ = Round(aggregators[protocol])
    round_.run()
    assert round_.requests == requests


@pytest.mark.parametrize("request_number", range(1, 6))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_lost_at_any_request_costs_at_most_its_own_update(
    aggregators: dict[str, Aggregator], protocol: str, request_number: int
) -> None:
    round_ = Round(
        aggregators[protocol],
        lost=lambda name, request: name == "client-2" and request >= request_number,
    )
    result = round_.run()
    assert set(result.survivors) in (set(range(CLIENTS)), set(range(CLIENTS)) - {2})
    assert np.array_equal(result.sum, exact(result.survivors))
    if request_number == 1:
        assert 2 not in result.survivors


@pytest.mark.parametrize("protocol", ["sharing", "threshold_paillier"])
def test_a_lost_holder_costs_nothing(aggregators: dict[str, Aggregator], protocol: str) -> None:
    result = Round(aggregators[protocol], lost=lambda name, _: name == "holder-3").run()
    assert np.array_equal(result.sum, exact(range(CLIENTS)))


def test_too_few_survivors_end_a_round_with_the_reason(aggregators: dict[str, Aggregator]) -> None:
    round_ = Round(aggregators["plain"], lost=lambda name, _: name != "client-0")
    with pytest.raises(ProtocolError, match="needs 2 messages"):
        round_.run()


def test_silence_ends_a_round_without_staff(aggregators: dict[str, Aggregator]) -> None:
    round_ = Round(aggregators["serverless"], lost=lambda _, request: request == 2)
    with pytest.raises(ProtocolError, match="fell silent"):
        round_.run()


@pytest.mark.parametrize("protocol", ["plain", "paillier", "masking"])
def test_a_party_that_writes_to_itself_without_end_ends_the_round(
    aggregators: dict[str, Aggregator], protocol: str
) -> None:
    class Liar(Round):
        def ask(self, name: str, letters: Sequence[bytes]) -> None:
            if name == "client-2":
                opened = Opened(
                    session_id=self.session.id,
                    sender=name,
                    recipient=name,
                    integers=np.zeros(LENGTH, np.int64),
                    survivors=(),
                )
                self.relay.take(name, [opened.to_bytes()])
            else:
                super().ask(name, letters)

    round_ = Liar(aggregators[protocol])
    with pytest.raises(ProtocolError, match="mail for client-2 beyond the rounds"):
        round_.run()
    assert round_.requests == len(aggregators[protocol].messages) + 1


def test_letters_altered_by_the_relay_are_refused_by_those_who_get_them(
    aggregators: dict[str, Aggregator],
) -> None:
    def alter(_: str, letters: list[bytes]) -> list[bytes]:
        return [letter[:-1] + bytes([letter[-1] ^ 1]) for letter in letters]

    round_ = Round(aggregators["masking"], alter=alter)
    with pytest.raises(ProtocolError):
        round_.run()
    assert sum("signature" in str(refusal) for refusal in round_.refusals) == CLIENTS


def test_a_letter_of_another_sender_or_session_is_refused_and_noted(
    aggregators: dict[str, Aggregator],
) -> None:
    plain = aggregators["plain"]
    one, other = Round(plain), Round(plain)
    (letter,) = (m.to_bytes() for m in one.visit(one.elsewhere["client-1"], []).messages)
    one.relay.start()
    one.relay.take("client-2", [letter])
    other.relay.start()
    other.relay.take("client-1", [letter, b"no letter"])
    reasons = [str(refusal.reason) for refusal in one.relay.refusals + other.relay.refusals]
    assert len(reasons) == 3
    assert "it is of 'client-1'" in reasons[0]
    assert "another session" in reasons[1]


def test_the_relay_keeps_the_mail_of_each_party_once(aggregators: dict[str, Aggregator]) -> None:
    round_ = Round(aggregators["sharing"])
    round_.relay.start()
    round_.ask("client-0", ())
    mail = round_.relay.collect()
    assert set(mail) == {f"holder-{number}" for number in range(1, 6)}
    assert [address_of(letter).recipient for letter in mail["holder-1"]] == ["holder-1"]
    assert round_.relay.collect() == {}


def opened(round_: Round, client: int, value: int, *, signer: Identity | None = None) -> bytes:
    party = round_.elsewhere[f"client-{client}"]
    message = Opened(
        session_id=round_.session.id,
        sender=party.name,
        recipient="relay",
        integers=np.full(LENGTH, value),
        survivors=tuple(range(CLIENTS)),
    )
    if signer is None:
        return party.sign(message).to_bytes()
    signature = signer.sign(message.signed)
    return Opened(**{**vars_of(message), "signature": signature}).to_bytes()


def vars_of(message: Opened) -> dict[str, object]:
    names = ("session_id", "sender", "recipient", "integers", "survivors", "liars")
    return {name: getattr(message, name) for name in names}


def test_a_sum_without_staff_is_believed_when_a_threshold_and_a_majority_report_it(
    aggregators: dict[str, Aggregator],
) -> None:
    round_ = Round(aggregators["serverless"])
    for client, value in enumerate([4, 5, 5]):
        round_.relay.take(f"client-{client}", [opened(round_, client, value)])
        assert round_.relay.outcome is None
    round_.relay.take("client-3", [opened(round_, 3, 5)])
    outcome = round_.relay.outcome
    assert outcome is not None
    assert outcome.integers.tolist() == [5] * LENGTH


def test_a_reported_sum_needs_the_signature_of_a_client_and_the_length_of_an_update(
    aggregators: dict[str, Aggregator],
) -> None:
    round_ = Round(aggregators["serverless"])
    round_.relay.take("client-0", [opened(round_, 0, 5, signer=Identity.generate())])
    stranger = Relay(round_.session, [], aggregators["serverless"].messages, Directory({}))
    stranger.take("client-1", [opened(round_, 1, 5)])
    reasons = [str(r.reason) for r in (*round_.relay.refusals, *stranger.refusals)]
    assert len(reasons) == 2
    assert "refuses a sum of client-0" in reasons[0]
    assert "learns no sum" in reasons[1]


def test_wide_sums_survive_the_wire() -> None:
    message = Opened(
        session_id=bytes(32),
        sender="client-0",
        recipient="relay",
        integers=np.array([2**70, -(2**80), 0], object),
        survivors=(0, 3),
        liars=("client-1",),
    )
    back = Opened.from_bytes(message.to_bytes())
    assert back.integers.tolist() == [2**70, -(2**80), 0]
    assert (back.survivors, back.liars) == ((0, 3), ("client-1",))


def test_a_session_travels_to_a_party_that_is_made_from_it(
    aggregators: dict[str, Aggregator],
) -> None:
    round_ = Round(aggregators["masking"])
    assert Session.from_bytes(round_.session.to_bytes()).id == round_.session.id


def test_a_reported_sum_of_strangers_is_refused(aggregators: dict[str, Aggregator]) -> None:
    round_ = Round(aggregators["serverless"])
    party = round_.elsewhere["client-0"]
    message = Opened(
        session_id=round_.session.id,
        sender="client-0",
        recipient="relay",
        integers=np.zeros(LENGTH, np.int64),
        survivors=(0, 1, 2, 9),
    )
    round_.relay.take("client-0", [party.sign(message).to_bytes()])
    (refusal,) = round_.relay.refusals
    assert "[9] are not known" in str(refusal.reason)


def test_a_letter_of_another_protocol_is_refused(aggregators: dict[str, Aggregator]) -> None:
    round_ = Round(aggregators["plain"])
    message = masking.Confirmed(
        session_id=round_.session.id, sender="client-0", recipient="server", agreed=bytes(32)
    )
    round_.relay.take("client-0", [message.to_bytes()])
    (refusal,) = round_.relay.refusals
    assert "no messages 'masking/confirmed' in this protocol" in str(refusal.reason)


def test_a_model_is_bound_late_where_the_protocol_can(aggregators: dict[str, Aggregator]) -> None:
    with pytest.raises(ProtocolError, match="server knows no model that is bound late"):
        Round(aggregators["plain"]).relay.bind_model(b"model")
    Round(aggregators["masking"]).relay.bind_model(b"model")
