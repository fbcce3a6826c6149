"""Any session travels and is known by its id; any order of arrival ends with the same sum."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.encoding import Digits
from veilsum.errors import DeserializationError, ProtocolError
from veilsum.protocols import Masking, Plain, Policy, Session, Sharing, Station
from veilsum.testing.strategies import encodings

names = st.text(max_size=16)


@st.composite
def sessions(draw):
    roster = sorted(draw(st.sets(st.integers(0, 2**63), min_size=1, max_size=6)))
    encoding = draw(encodings().filter(lambda encoding: encoding.limit > 0))
    parameters = draw(st.dictionaries(names, st.binary(max_size=8), max_size=3))
    return Session(
        protocol=draw(names),
        roster=tuple(roster),
        threshold=draw(st.integers(1, 9)),
        min_survivors=draw(st.integers(1, len(roster))),
        round=draw(st.integers(0, 2**64 - 1)),
        length=draw(st.integers(1, 2**31)),
        encoding=encoding,
        digits=Digits.for_sum(
            limit=encoding.limit,
            summands=len(roster),
            capacity=draw(st.sampled_from([2**20, 2**49, 2**62 - 1])),
        ),
        directory=draw(st.binary(min_size=32, max_size=32)),
        model_digest=draw(st.binary(max_size=64)),
        parameters=tuple(sorted(parameters.items())),
        nonce=draw(st.binary(min_size=16, max_size=16)),
    )


@given(session=sessions())
def test_any_session_survives_the_wire_with_its_id(session):
    again = Session.from_bytes(session.to_bytes())
    assert again == session
    assert again.id == session.id


@settings(max_examples=40)
@given(first=sessions(), second=sessions(), data=st.data())
def test_two_sessions_have_one_id_only_if_they_are_one(first, second, data):
    name = data.draw(st.sampled_from([field.name for field in fields(Session)]))
    assert (first.id == second.id) == (first == second)
    try:
        changed = replace(first, **{name: getattr(second, name)})
    except ValueError:  # more survivors asked for than there are clients
        return
    assert (changed.id == first.id) == (changed == first)


@given(session=sessions(), place=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_flipped_bit_makes_another_session_or_none(session, place, bit):
    data = bytearray(session.to_bytes())
    data[place % len(data)] ^= 1 << bit
    try:
        other = Session.from_bytes(bytes(data))
    except DeserializationError:
        return
    assert other.id != session.id


@settings(max_examples=40)
@given(session=sessions(), other=sessions())
def test_a_policy_takes_what_it_was_written_for_and_refuses_any_other_model_or_party(
    session, other
):
    policy = Policy(
        protocol=session.protocol,
        round=session.round,
        model_digest=session.model_digest,
        directory=session.directory,
        min_threshold=session.threshold,
        min_survivors=session.min_survivors,
        max_bound=session.encoding.bound,
        parameters=dict(session.parameters),
    )
    policy.check(session)
    if other.directory != session.directory:
        with pytest.raises(ProtocolError):
            policy.check(other)


AGGREGATORS = {
    "plain": Plain(),
    "sharing": Sharing(threads=1),
    "holders": Sharing(holders=3, threads=1),
    "masking": Masking(threads=1),
}


@pytest.mark.parametrize("aggregator", AGGREGATORS.values(), ids=AGGREGATORS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_messages_may_arrive_in_any_order_and_any_number_of_times(aggregator, data):
    updates = {client: [2.0**client, -1.0] for client in range(3)}
    session = aggregator.open_session(range(3), length=2)
    parties = aggregator.parties(session, updates)
    stations = {party.name: Station(party, aggregator.messages) for party in parties}
    flying = [message for station in stations.values() for message in station.start(0.0)]
    arrived = []
    choose = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    while flying:
        message = flying.pop(choose.integers(len(flying)))
        arrived.append(message)
        flying += stations[message.recipient].receive(message.to_bytes(), 0.0)
        if choose.integers(4) == 0:
            again = arrived[choose.integers(len(arrived))]
            assert stations[again.recipient].receive(again.to_bytes(), 0.0) == []
    outcomes = [party.outcome for party in parties if party.outcome is not None]
    assert outcomes
    for outcome in outcomes:
        assert outcome.sum.tolist() == [7.0, -3.0]
        assert outcome.survivors == (0, 1, 2)
    assert all(station.failure is None for station in stations.values())
