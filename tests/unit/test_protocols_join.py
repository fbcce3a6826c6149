"""A client that was sent a session: what it joins, and every reason why it refuses."""

from dataclasses import replace

import pytest

from veilsum import paillier
from veilsum.channel import Directory, Identity
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.field import MERSENNE61
from veilsum.protocols import (
    Credentials,
    Masking,
    Paillier,
    Plain,
    Policy,
    Session,
    Sharing,
    ThresholdPaillier,
)

ROSTER = range(6)
ENCODING = FixedPoint.binary(16, bound=8.0)
PAIR = paillier.keygen(bits=1024, insecure=True)
OTHERS = paillier.keygen(bits=1024, insecure=True)


@pytest.fixture(scope="module")
def threshold_keys():
    return paillier.deal_key(holders=3, threshold=2, bits=512, insecure=True)


@pytest.fixture
def aggregators(threshold_keys):
    return {
        "plain": Plain(),
        "paillier": Paillier(keys=(PAIR[0], None)),
        "threshold_paillier": ThresholdPaillier(keys=(threshold_keys[0], [])),
        "sharing": Sharing(holders=5),
        "serverless": Sharing(),
        "masking": Masking(),
    }


NAMES = ["plain", "paillier", "threshold_paillier", "sharing", "serverless", "masking"]


def proposal(aggregator, **changes):
    names = [*aggregator.staff(ROSTER), *(f"client-{client}" for client in ROSTER)]
    people = {name: Identity.generate() for name in dict.fromkeys(names)}
    directory = Directory({name: person.public for name, person in people.items()})
    session = aggregator.open_session(
        ROSTER, length=3, encoding=ENCODING, round=4, model_digest=b"model", directory=directory
    )
    session = replace(session, **changes)
    return Session.from_bytes(session.to_bytes()), Credentials(people["client-2"], directory)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_joins_what_it_would_have_opened_itself(aggregators, name):
    session, me = proposal(aggregators[name])
    policy = Policy(round=4, model_digest=b"model", directory=session.directory, max_bound=8.0)
    party = aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me, policy=policy)
    assert party.name == "client-2"


@pytest.mark.parametrize("name", NAMES)
def test_a_server_may_ask_for_more_survivors(aggregators, name):
    session, me = proposal(aggregators[name], min_survivors=6)
    assert aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me).name == "client-2"


@pytest.mark.parametrize("name", NAMES)
def test_fewer_survivors_are_refused(aggregators, name):
    session, me = proposal(aggregators[name], min_survivors=1)
    with pytest.raises(ProtocolError, match="min_survivors is 1, this client asks for"):
        aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", ["threshold_paillier", "sharing", "serverless", "masking"])
def test_a_lower_threshold_is_refused(aggregators, name):
    session, me = proposal(aggregators[name], threshold=1)
    with pytest.raises(ProtocolError, match="threshold"):
        aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", NAMES)
def test_another_protocol_is_refused(aggregators, name):
    session, me = proposal(aggregators[name], protocol="trust me")
    with pytest.raises(ProtocolError, match="its protocol is 'trust me', this client expects"):
        aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", NAMES)
def test_digits_of_another_modulus_are_refused(aggregators, name):
    session, me = proposal(aggregators[name])
    digits = replace(session.digits, summands=session.digits.summands + 1)
    with pytest.raises(ProtocolError, match="another kind"):
        aggregators[name].join(replace(session, digits=digits), 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_the_client_does_not_know_is_refused(aggregators, name):
    session, me = proposal(aggregators[name])
    parameters = (*session.parameters, ("zzz", b"more"))
    with pytest.raises(ProtocolError, match="another kind"):
        aggregators[name].join(replace(session, parameters=parameters), 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Policy(round=5), "round"),
        (Policy(model_digest=b"other"), "model_digest"),
        (Policy(directory=bytes(32)), "directory"),
        (Policy(max_bound=7.9), "bound is 8.0, this client allows 7.9"),
        (Policy(min_survivors=7), "min_survivors"),
    ],
)
def test_what_the_policy_forbids_is_refused(aggregators, name, policy, message):
    session, me = proposal(aggregators[name])
    with pytest.raises(ProtocolError, match=message):
        aggregators[name].join(session, 2, [0.5, 1.0, -2.0], me, policy=policy)


@pytest.mark.parametrize(
    ("opened", "joined", "message"),
    [
        (Paillier(keys=PAIR), Paillier(keys=(OTHERS[0], None)), "'key'"),
        (Sharing(holders=5), Sharing(holders=5, field=MERSENNE61), "'field'|another kind"),
        (Sharing(holders=5), Sharing(holders=4, threshold=3), "'holders'"),
        (Sharing(holders=5, quorum=3), Sharing(holders=5), "'quorum'"),
        (Sharing(holders=5, packed=2), Sharing(holders=5), "'packed'"),
        (Masking(degree=4, threshold=5, corrupt=0), Masking(), "'degree'"),
        (Masking(threshold=4), Masking(threshold=5), "threshold is 4, this client asks for 5"),
    ],
)
def test_a_session_of_other_options_is_refused(opened, joined, message):
    session, me = proposal(opened)
    with pytest.raises(ProtocolError, match=message):
        joined.join(session, 2, [0.5, 1.0, -2.0], me)


def test_a_session_that_cannot_be_is_refused_and_does_not_raise_a_value_error():
    session, me = proposal(Sharing(holders=5))
    with pytest.raises(ProtocolError, match="session: min_survivors"):
        Sharing(holders=5, min_survivors=9).join(session, 2, [0.5, 1.0, -2.0], me)


def test_a_stranger_cannot_join():
    session, _ = proposal(Plain())
    stranger = Identity.generate()
    directory = Directory({"client-2": stranger.public})
    with pytest.raises(ProtocolError, match="another directory"):
        Plain().join(session, 2, [0.5, 1.0, -2.0], Credentials(stranger, directory))


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_is_not_invited_does_not_join(aggregators, name):
    session, credentials = proposal(aggregators[name])
    with pytest.raises(ProtocolError, match="client-6 is not invited"):
        aggregators[name].join(session, 6, [1.0, 2.0, 3.0], credentials)


def test_without_the_private_key_there_is_no_key_holder():
    aggregator = Paillier(keys=(PAIR[0], None))
    session, me = proposal(aggregator)
    with pytest.raises(ValueError, match="the private key is not here"):
        aggregator.server(session, "key-holder", me)


def test_a_client_joins_a_session_once():
    aggregator = Masking()
    session, me = proposal(aggregator)
    aggregator.join(session, 2, [0.5, 1.0, -2.0], me)
    with pytest.raises(ProtocolError, match="has joined it before"):
        aggregator.join(session, 2, [0.5, 1.0, -2.0], me)


@pytest.mark.parametrize("name", NAMES)
def test_an_update_may_come_after_the_client_has_joined(aggregators, name):
    session, me = proposal(aggregators[name])
    early = aggregators[name].client(session, 2, [0.5, 1.0, -2.0], me)
    party = aggregators[name].join(session, 2, None, me)
    party.contribute([0.5, 1.0, -2.0], model_digest=b"model")
    sent, awaited = party.start(), party.awaits
    assert [type(message) for message in sent] == [type(message) for message in early.start()]
    assert awaited is early.awaits
    assert all(message.phase == "protect" for message in sent)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("late", [False, True])
def test_a_second_update_is_refused(aggregators, name, late):
    session, me = proposal(aggregators[name])
    party = aggregators[name].join(session, 2, None if late else [0.5, 1.0, -2.0], me)
    if late:
        party.contribute([0.5, 1.0, -2.0])
    for _ in range(2):
        with pytest.raises(ProtocolError, match="client-2 has its update already"):
            party.contribute([4.0, 4.0, 4.0])
        if not party._entered:
            party.start()  # which uses the first update up, and makes no room for another


@pytest.mark.parametrize("name", NAMES)
def test_an_update_for_another_model_is_refused_and_another_is_taken(aggregators, name):
    session, me = proposal(aggregators[name])
    party = aggregators[name].join(session, 2, None, me)
    with pytest.raises(ProtocolError, match="the session is for another model"):
        party.contribute([0.5, 1.0, -2.0], model_digest=b"other")
    party.contribute([0.5, 1.0, -2.0], model_digest=b"model")
    assert party.start()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("update", "error"), [([0.5], ValueError), ([0.5, 1.0, 9.0], BudgetExceeded)]
)
def test_a_late_update_that_cannot_be_is_refused_and_another_is_taken(
    aggregators, name, update, error
):
    session, me = proposal(aggregators[name])
    party = aggregators[name].join(session, 2, None, me)
    with pytest.raises(error):
        party.contribute(update)
    party.contribute([0.5, 1.0, -2.0])
    assert party.start()


@pytest.mark.parametrize("name", NAMES[:-1])
def test_without_an_update_a_client_does_not_start_and_may_do_so_with_one(aggregators, name):
    session, me = proposal(aggregators[name])
    party = aggregators[name].join(session, 2, None, me)
    with pytest.raises(ProtocolError, match=r"no update to protect yet; call contribute\(update\)"):
        party.start()
    party.contribute([0.5, 1.0, -2.0])
    assert party.start()


@pytest.mark.parametrize("name", NAMES)
def test_only_masking_binds_a_model_that_the_session_does_not(aggregators, name):
    session, me = proposal(aggregators[name], model_digest=b"")
    party = aggregators[name].join(session, 2, None, me)
    if name == "masking":
        party.contribute([0.5, 1.0, -2.0], model_digest=b"model")
    else:
        with pytest.raises(ProtocolError, match=f"{session.protocol} cannot bind one later"):
            party.contribute([0.5, 1.0, -2.0], model_digest=b"model")
        party.contribute([0.5, 1.0, -2.0])
    assert party.start()


@pytest.mark.parametrize("name", NAMES)
def test_a_digest_of_a_model_is_at_most_64_bytes(aggregators, name):
    session, me = proposal(aggregators[name], model_digest=b"")
    party = aggregators[name].join(session, 2, None, me)
    with pytest.raises(ValueError, match="model_digest: got 65 bytes, expected at most 64"):
        party.contribute([0.5, 1.0, -2.0], model_digest=bytes(65))
