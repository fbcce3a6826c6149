"""Our own protocols, played as badly as a network, a server and some of the parties can."""

from collections import Counter
from functools import partial

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from veilsum import paillier
from veilsum.protocols import Masking, Paillier, Plain, Sharing, ThresholdPaillier
from veilsum.protocols.masking import Revealed as Unmasking
from veilsum.protocols.serverless import Revealed
from veilsum.protocols.sharing import Summed
from veilsum.testing import aggregator_machine

STEADY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    stateful_step_count=20,
    phases=[Phase.generate, Phase.shrink],
)


@pytest.fixture(scope="module")
def keys():
    return paillier.keygen(bits=1024, insecure=True)


@pytest.fixture(scope="module")
def dealt_keys():
    return paillier.deal_key(holders=3, threshold=2, bits=512, insecure=True)


def spare_clients(session):
    """How many clients may vanish where others open the sum."""
    return len(session.roster) - session.min_survivors


def spare_holders(session):
    """How many clients may vanish where the clients open the sum themselves."""
    return len(session.roster) - max(session.threshold, session.min_survivors)


def play(make, **options):
    run_state_machine_as_test(aggregator_machine(make, length=2, **options), settings=STEADY)


def one_list(kind, parties, sent):
    """Whatever is shown to them, honest parties give out sums of one list of survivors alone."""
    lists = {parties[message.sender]._survivors for message in sent if isinstance(message, kind)}
    assert len(lists) <= 1, f"sums of {sorted(lists)} are given out"


def one_secret_each(parties, sent):
    """Of no client both the self seed and the mask key come out."""
    seeds, keys = Counter(), Counter()
    for message in sent:
        if isinstance(message, Unmasking):
            party = parties[message.sender]
            seeds[party.name] += party.session.threshold  # its own, whole
            for neighbour in message.by_neighbour(party._neighbours):
                kind = seeds if party._alive[neighbour] else keys
                kind[party._roll.name(neighbour)] += 1
    exposed = [
        name
        for name, count in keys.items()
        if min(count, seeds[name]) >= parties["client-0"].session.threshold
    ]
    assert not exposed, f"both secrets of {exposed} come out"


@pytest.mark.parametrize("malicious", [(), ("server", "client-0")])
def test_plain(malicious):
    play(Plain, tolerates=spare_clients, malicious=malicious)


@pytest.mark.parametrize("malicious", [(), ("aggregator",)])
def test_paillier(keys, malicious):
    make = partial(Paillier, keys=keys, threads=1)
    play(make, clients=(2, 3), tolerates=spare_clients, malicious=malicious)


@pytest.mark.parametrize("malicious", [(), ("aggregator",)])
def test_threshold_paillier(dealt_keys, malicious):
    make = partial(ThresholdPaillier, keys=dealt_keys, threads=1)
    play(make, clients=(2, 3), tolerates=spare_clients, malicious=malicious)


def test_threshold_paillier_with_a_lying_key_holder(dealt_keys):
    make = partial(ThresholdPaillier, keys=dealt_keys, threads=1)
    play(make, clients=(2, 3), malicious=["holder-1"], verified=True)


def test_sharing_without_a_server():
    play(partial(Sharing, threads=1), clients=(2, 4), tolerates=spare_holders)


def test_sharing_without_a_server_with_a_lying_peer():
    make = partial(Sharing, threshold=2, quorum=3, threads=1)
    play(make, clients=(3, 4), malicious=["client-0"], audit=partial(one_list, Revealed))


def test_sharing_among_holders():
    play(partial(Sharing, holders=3, threads=1), clients=(2, 3), tolerates=spare_clients)


def test_sharing_among_holders_with_a_lying_server():
    make = partial(Sharing, holders=3, threads=1)
    play(make, clients=(2, 4), malicious=["server"], audit=partial(one_list, Summed))


def test_sharing_among_holders_with_a_lying_holder():
    """Four sums determine a line, show which of them is off, and bear it."""
    make = partial(Sharing, holders=4, threshold=2, max_errors=1, threads=1)
    play(make, clients=(2, 3), malicious=["holder-1"], verified=True)


def test_masking():
    play(partial(Masking, threads=1), clients=(2, 4), tolerates=spare_holders)


def test_masking_with_a_lying_server():
    play(partial(Masking, threads=1), clients=(3, 4), malicious=["server"], audit=one_secret_each)
