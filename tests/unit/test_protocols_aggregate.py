"""One call runs one round under any protocol, and refuses what makes no sense."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.protocols import (
    Aggregator,
    InMemoryTransport,
    Masking,
    Paillier,
    Plain,
    Sharing,
    aggregate,
    resolve,
)

UPDATES = [[0.5, 1.0], [0.25, 2.0], [4.0, 4.0], [-8.0, 8.0]]
SMALL_KEY = {"key_bits": 512, "insecure": True}


@pytest.fixture(scope="module")
def paillier():
    return Paillier(**SMALL_KEY)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("plain", {}),
        ("plain", {"min_survivors": 4}),
        ("paillier", SMALL_KEY),
        ("threshold_paillier", SMALL_KEY),
        ("masking", {}),
        ("sharing", {}),
        ("sharing", {"threshold": 4, "threads": 1}),
        ("sharing", {"threshold": 2, "holders": 3, "check": False}),
        ("sharing", {"threshold": 2, "max_errors": 1}),
        ("sharing", {"holders": 6, "threshold": 5, "packed": 4, "quorum": 6}),
    ],
)
def test_every_protocol_sums_the_updates(protocol, options):
    result = aggregate(UPDATES, protocol=protocol, **options)
    assert result.sum.dtype == np.float64
    assert result.sum.tolist() == [-3.25, 15.0]
    assert result.survivors == (0, 1, 2, 3)
    assert result.integers.tolist() == [-3.25 * 2**32, 15 * 2**32]


@pytest.mark.parametrize("protocol", [Plain(), Sharing(threshold=2)], ids=["plain", "sharing"])
def test_dropped_clients_are_not_in_the_sum(protocol):
    result = aggregate(UPDATES, protocol=protocol, dropped=[1])
    assert result.sum.tolist() == [-3.5, 13.0]
    assert result.survivors == (0, 2, 3)
    assert not any("client-1" in link[:1] for link in result.bytes)
    assert not any(party == "client-1" for party, _ in result.seconds)


def test_an_aggregator_is_taken_with_its_own_options():
    aggregator = Sharing(holders=3, min_survivors=1)
    assert aggregate(UPDATES, protocol=aggregator, dropped=[0, 1, 2]).survivors == (3,)


def test_a_mapping_names_the_clients():
    updates = {7: [1.0], 3: [2.0], 40: [4.0]}
    result = aggregate(updates, protocol="sharing", quorum=2, dropped=(7,))
    assert result.survivors == (3, 40)
    assert result.sum.tolist() == [6.0]
    assert ("client-40", "client-3", "protect") in result.bytes


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 1, 4)])
def test_the_sum_has_the_shape_of_an_update(shape, paillier):
    updates = np.arange(2.0 * np.prod(shape, dtype=int)).reshape(2, *shape)
    for protocol in ("plain", "sharing", paillier):
        result = aggregate(updates, protocol=protocol)
        assert result.sum.shape == result.integers.shape == shape
        assert np.array_equal(result.sum, updates[0] + updates[1])


@pytest.mark.parametrize("protocol", ["plain", "sharing"])
def test_the_encoding_says_what_is_kept(protocol):
    encoding = FixedPoint.decimal(3, bound=8.0)
    result = aggregate([[0.12345], [1.0]], protocol=protocol, encoding=encoding)
    assert result.integers.tolist() == [1123]
    assert result.sum.tolist() == [1.123]


def test_wide_integers_stay_exact_under_every_protocol(paillier):
    encoding = FixedPoint.binary(90, bound=2.0**10)
    updates = np.array([[2.0**-90, -1024.0], [2.0**-89, 1024.0], [1.0, 1024.0]])
    for protocol in ("plain", "sharing", paillier):
        result = aggregate(updates, protocol=protocol, encoding=encoding)
        assert result.integers.dtype == object
        assert result.integers.tolist() == [3 + 2**90, 2**100]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**21])
@pytest.mark.parametrize("protocol", ["plain", "sharing"])
def test_values_beyond_the_bound_are_refused(protocol, value):
    with pytest.raises(BudgetExceeded):
        aggregate([[0.0], [value]], protocol=protocol)


def test_text_is_no_update():
    with pytest.raises(TypeError, match="expected real numbers"):
        aggregate([["a"], ["b"]], protocol="plain")


@pytest.mark.parametrize(
    ("updates", "options", "match"),
    [
        ([], {}, "updates: got none"),
        ({}, {}, "updates: got none"),
        ([[1.0], [1.0, 2.0]], {}, r"updates: got the shapes \[\(1,\), \(2,\)\]"),
        ([[], []], {}, r"updates: got the shape \(0,\), expected at least one coordinate"),
        ({-1: [1.0]}, {}, "roster: got"),
        ([[1.0]], {"dropped": [1]}, r"dropped: got \[1\], which are not clients; expected \[0\]"),
        ([[1.0]], {"round": -1}, "round: got -1"),
        ([[1.0]], {"min_survivors": 2}, "min_survivors: got 2, expected 1 to 1, all the clients"),
        ([[1.0]], {"min_survivors": 0}, "min_survivors: got 0, expected 1 to 1, all the clients"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(updates, options, match):
    with pytest.raises(ValueError, match=match):
        aggregate(updates, protocol="plain", **options)


def test_a_client_is_named_by_a_whole_number():
    with pytest.raises(TypeError):
        aggregate({0.5: [1.0]}, protocol="plain")


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="protocol: got 'rot13', expected 'plain', ") as caught:
        aggregate(UPDATES, protocol="rot13")
    assert all(repr(kind.name) in str(caught.value) for kind in protocols._AGGREGATORS)


def test_options_of_another_protocol_are_refused():
    with pytest.raises(ValueError, match="holders: not an option here, 'plain' has none"):
        aggregate(UPDATES, protocol="plain", holders=3)
    with pytest.raises(ValueError, match="key_bits: not an option here, 'sharing' has none"):
        aggregate(UPDATES, protocol="sharing", key_bits=2048)
    with pytest.raises(ValueError, match="threshold: not an option here, 'plain' has none"):
        aggregate(UPDATES, protocol="plain", threshold=3)
    with pytest.raises(ValueError, match="min_survivors: not an option here, the given Plain"):
        aggregate(UPDATES, protocol=Plain(), min_survivors=2)


@pytest.mark.parametrize("protocol", [Plain(), Sharing(holders=3)], ids=["plain", "sharing"])
def test_nobody_left_is_an_error(protocol):
    with pytest.raises(ProtocolError, match="needs"):
        aggregate(UPDATES, protocol=protocol, dropped=range(4))


def test_nobody_at_all_is_an_error_too():
    with pytest.raises(ProtocolError, match="fell silent"):
        aggregate(UPDATES, protocol="sharing", dropped=range(4))


def test_plain_needs_its_survivors():
    options = {"protocol": "plain", "min_survivors": 3}
    assert aggregate(UPDATES, **options, dropped=[0]).survivors == (1, 2, 3)
    with pytest.raises(ProtocolError, match=r"server needs 3 .* has 2; missing are client-0, clie"):
        aggregate(UPDATES, **options, dropped=[0, 1])


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("plain", {}),
        ("paillier", SMALL_KEY),
        ("sharing", {"holders": 3}),
        ("sharing", {"threshold": 1, "quorum": 1}),
    ],
)
def test_nobody_opens_the_update_of_one_of_many_unless_it_is_asked_for(protocol, options):
    gone = [0, 1, 2]
    with pytest.raises(ProtocolError):
        aggregate(UPDATES, protocol=protocol, dropped=gone, **options)
    result = aggregate(UPDATES, protocol=protocol, dropped=gone, min_survivors=1, **options)
    assert result.sum.tolist() == UPDATES[3]


@pytest.mark.parametrize(
    "aggregator", [Plain(), Sharing(), Sharing(holders=3)], ids=["plain", "peers", "holders"]
)
def test_a_roster_of_one_needs_one(aggregator):
    assert aggregator.aggregate(UPDATES[:1]).sum.tolist() == UPDATES[0]


def test_the_default_of_min_survivors_is_two_or_what_must_stay_anyway(paillier):
    rosters = [range(count) for count in (1, 2, 3, 5, 8)]
    for aggregator, expected in [
        (Plain(), [1, 2, 2, 2, 2]),
        (paillier, [1, 2, 2, 2, 2]),
        (Sharing(), [1, 2, 2, 3, 5]),
        (Sharing(threshold=1), [1, 2, 2, 2, 2]),
        (Sharing(holders=3), [1, 2, 2, 3, 5]),
        (Sharing(holders=3, threshold=1), [1, 2, 2, 3, 5]),
    ]:
        assert [aggregator.min_survivors_for(roster) for roster in rosters] == expected
    assert Sharing(threshold=4).min_survivors_for(range(5)) == 4
    assert Sharing(threshold=4, min_survivors=2).min_survivors_for(range(5)) == 2


def test_the_session_id_tells_rounds_and_models_apart():
    ids = {
        aggregate(UPDATES, protocol="plain", round=number, model_digest=digest).session_id
        for number in (0, 1)
        for digest in (b"", b"model")
    }
    assert len(ids) == 4
    assert all(len(session_id) == 32 for session_id in ids)


def test_a_session_binds_what_the_call_said():
    session = Sharing(holders=3).open_session(
        [1, 4], length=6, encoding=FixedPoint.binary(4), round=9, model_digest=b"model"
    )
    assert (session.protocol, session.roster, session.threshold) == ("sharing", (1, 4), 2)
    assert session.min_survivors == 2
    assert (session.round, session.length, session.model_digest) == (9, 6, b"model")
    names = [name for name, _ in session.parameters]
    assert names == ["field", "holders", "max_errors", "packed", "quorum"]


def recording(recorded):
    def record(message, data):
        recorded[message.sender] = data
        return data

    return InMemoryTransport(tamper=record)


def test_updates_replayed_in_the_next_round_are_refused():
    plain, recorded = Plain(), {}
    plain.aggregate(UPDATES, transport=recording(recorded))
    replaying = InMemoryTransport(tamper=lambda message, _: recorded[message.sender])
    with pytest.raises(ProtocolError, match="foreign session"):
        plain.aggregate(UPDATES, transport=replaying)


def test_an_update_replayed_in_the_next_round_is_refused_and_its_sender_lost():
    plain, recorded = Plain(), {}
    plain.aggregate(UPDATES, transport=recording(recorded))

    def replay(message, data):
        return recorded["client-1"] if message.sender == "client-1" else data

    result = plain.aggregate(UPDATES, transport=InMemoryTransport(tamper=replay))
    assert result.survivors == (0, 2, 3)
    assert result.sum.tolist() == [-3.5, 13.0]
    (refusal,) = result.refusals
    assert refusal.party == "server"
    assert str(refusal.reason) == "server refuses a message of a foreign session"


def test_a_round_in_which_all_is_taken_has_no_refusals():
    assert aggregate(UPDATES, protocol="sharing").refusals == ()


def through_bytes(given):
    return pickle.loads(pickle.dumps(given))  # noqa: S301 (made here)


@pytest.mark.parametrize("kind", [Plain, Sharing, Masking])
@pytest.mark.parametrize("copied", [copy.deepcopy, through_bytes])
def test_a_copy_of_an_aggregator_that_has_worked_has_identities_of_its_own(kind, copied):
    used = kind()
    used.aggregate(UPDATES)
    twin = copied(used)
    assert twin.aggregate(UPDATES).sum.tolist() == [-3.25, 15.0]
    sessions = [each.open_session(range(4), length=1) for each in (used, twin)]
    assert sessions[0].directory != sessions[1].directory


def test_results_cannot_be_changed():
    result = aggregate(UPDATES, protocol="plain")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.survivors = ()


@pytest.mark.parametrize("kind", protocols._AGGREGATORS)
def test_every_aggregator_states_its_row_of_the_threat_model(kind):
    for row in ("adversary", "collusion", "dropouts", "leaks"):
        assert f"\n    {row} " in kind.__doc__
    assert issubclass(kind, Aggregator)


def test_setup_is_measured_apart_from_rounds(paillier):
    assert Plain().setup_seconds == Sharing().setup_seconds == 0.0
    assert paillier.setup_seconds > 0.0


def test_names_stand_for_aggregators_and_aggregators_for_themselves():
    own = Plain()
    assert resolve(own) is own
    assert isinstance(resolve("sharing"), Sharing)
