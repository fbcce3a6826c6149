"""The state machine of an aggregator finds what is planted, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.protocols import Plain, plain, state
from veilsum.testing import aggregator_machine

STEADY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=400,  # the search ends with the first bug
    stateful_step_count=15,
    phases=[Phase.generate],
)
SHRUNK = settings(STEADY, phases=[Phase.generate, Phase.shrink], stateful_step_count=8)
BRIEF = settings(STEADY, max_examples=15)
LIMIT = 64


class Hasty(plain.Server):
    """Adds an update before it knows whether it has had it."""

    def receive(self, message):
        self._total += message.digits
        return super().receive(message)

    def _add(self, update):
        pass


class Careless(plain.Server):
    """Names the whole roster, whoever came."""

    @state("combine")
    def close(self):
        survivors = self.session.roster
        self.conclude(self.session.decode(self._total, summands=len(survivors)), survivors)
        return []


class Modest(plain.Server):
    """Leaves a client out that has come."""

    @state("combine")
    def close(self):
        self.conclude(self.session.decode(0 * self._total, summands=1), self.session.roster[1:])
        return []


class Trusting(plain.Server):
    """Believes whoever says who he is."""

    def verify(self, message):
        pass


class Lenient(plain.Server):
    """Opens the sum of whoever is there."""

    @state("combine")
    def begin(self):
        clients = self.session.clients
        self.gather(plain.Update, clients, each=self._add, then=self.close, least=1)
        return []


class Touchy(plain.Server):
    """Leaves the session when it hears something wrong."""

    def receive(self, message):
        try:
            return super().receive(message)
        except ProtocolError:
            self._gathering = None
            raise


class Fragile(plain.Server):
    """Raises what no caller expects."""

    def _add(self, update):
        if not self.session.admits(update.digits):
            raise KeyError(update.sender)
        super()._add(update)


class Forgetful(plain.Server):
    """Counts updates, and begins anew when it resumes."""

    keeps = ("_written",)
    _count = 0

    @property
    def _written(self):
        return self._count

    @_written.setter
    def _written(self, count):
        pass

    def _add(self, update):
        super()._add(update)
        self._count += 1


class Partial(plain.Server):
    """Adds what it then refuses."""

    def _add(self, update):
        self._total += update.digits
        if not self.session.admits(update.digits):
            raise ProtocolError("too large")


class Mute(plain.Server):
    """Ends without a sum."""

    @state("combine")
    def close(self):
        return []


class Chatty(plain.Client):
    """Sends its update twice."""

    @state("protect")
    def begin(self):
        (update,) = plain.Client.begin.__wrapped__(self)
        return [update, replace(update)]


def with_server(server):
    class Planted(Plain):
        def server(self, session, name, credentials):  # noqa: ARG002
            return server(session, credentials)

    return Planted


class WithChatty(Plain):
    def client(self, session, client, update, credentials):
        return Chatty(session, client, update, credentials)


REFUSAL = "server takes, or is changed by, what it must refuse"


def search(make, chosen, **options):
    run_state_machine_as_test(aggregator_machine(make, **options), settings=chosen)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (with_server(Hasty), "server ends with another sum|nobody has a sum"),
        (with_server(Careless), "server names survivors of whom nothing came"),
        (with_server(Modest), "server leaves out"),
        (with_server(Trusting), f"{REFUSAL}|server names survivors of whom nothing came"),
        (with_server(Touchy), REFUSAL),
        (with_server(Lenient), "server ends with 1 survivors, fewer than 2"),
        (with_server(Mute), "nobody has a sum"),
        (with_server(Forgetful), "server does not resume where it was suspended"),
        (WithChatty, "is sent a second time"),
    ],
)
def test_a_planted_bug_is_found(make, complaint):
    with pytest.raises(AssertionError, match=complaint):
        search(make, STEADY, clients=(3, 4))


def test_a_course_of_events_is_shown_at_its_shortest():
    with pytest.raises(AssertionError) as caught:
        search(with_server(Careless), SHRUNK, clients=(3, 3))
    course = [line for line in caught.value.__notes__ if line.startswith("state.")]
    assert len(course) <= 4  # a session opens, somebody is missing, it ends


def test_a_protocol_that_keeps_the_demands_is_left_alone():
    search(Plain, BRIEF, tolerates=lambda session: len(session.roster) - session.min_survivors)


def test_progress_is_demanded_with_as_many_dropouts_as_are_tolerated():
    with pytest.raises(AssertionError, match=r"nobody has a sum, and only \d clients vanished"):
        search(Plain, STEADY, tolerates=lambda session: len(session.roster))


def test_an_audit_sees_honest_parties_alone_and_what_they_sent():
    seen = set()

    def audit(parties, sent):
        seen.update(parties)
        assert {message.sender for message in sent} <= set(parties)
        assert all(party.name == name for name, party in parties.items())

    search(Plain, BRIEF, audit=audit, malicious=["server"])
    assert "client-0" in seen
    assert "server" not in seen


def test_what_an_audit_finds_is_found():
    def audit(_, sent):
        assert len(sent) < 3, "three updates were sent"

    with pytest.raises(AssertionError, match="three updates were sent"):
        search(Plain, STEADY, audit=audit)


def slightly_too_large(message):
    return st.integers(1, 9).map(
        lambda excess: replace(message, digits=np.array([LIMIT + excess]), signature=b"")
    )


def search_under_lies(server, chosen, **options):
    search(
        with_server(server),
        chosen,
        encoding=FixedPoint(scale=1, bound=LIMIT),
        malicious=["client-0"],
        lie=slightly_too_large,
        clients=(4, 4),
        **options,
    )


def test_any_error_but_one_of_the_library_is_found():
    with pytest.raises(KeyError, match="client-"):
        search_under_lies(Fragile, STEADY)


def test_sums_under_lies_are_exact_where_they_are_verified():
    with pytest.raises(AssertionError, match="server ends with another sum"):
        search_under_lies(Partial, STEADY, verified=True)
    search_under_lies(Partial, BRIEF, verified=False)
    search_under_lies(plain.Server, BRIEF, verified=True)


def test_a_malicious_party_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"got \['server1'\].*expected server, client-0"):
        aggregator_machine(Plain, malicious=["server1"])


def test_an_aggregator_is_no_way_to_make_one():
    with pytest.raises(TypeError, match="make: got Plain, expected a callable"):
        aggregator_machine(Plain())


@pytest.mark.parametrize("clients", [3, (4, 2), (0, 2), (2,)])
def test_clients_that_are_no_range_are_refused(clients):
    with pytest.raises(ValueError, match=r"expected \(fewest, most\)"):
        aggregator_machine(Plain, clients=clients)
