"""Sharing among peers: who may vanish when, who is named, and what is refused."""

from contextlib import suppress
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

from veilsum.encoding import FixedPoint
from veilsum.errors import DecodingError, DeserializationError, ProtocolError
from veilsum.protocols import InMemoryTransport, Sharing, drive
from veilsum.protocols.committee import Dealing, Heard
from veilsum.protocols.serverless import Committed, Peer, Revealed

ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.0], [-8.0, 8.0], [16.0, 32.0], [64.0, -64.0]])
KINDS = (Dealing, Heard, Committed, Revealed)


def run(aggregator, transport=None, peers=4, **options):
    return aggregator.aggregate(UPDATES[:peers], encoding=ENCODING, transport=transport, **options)


def altered(shares, by=1):
    return shares.with_values(shares.field.add(shares.values, np.uint64(by)))


class LyingPeer(Peer):
    """Commits to an altered sum, and reveals it."""

    def total(self, survivors):
        return altered(super().total(survivors))


class Liars(Sharing):
    """Peers of whom some lie."""

    def __init__(self, liars, **options):
        super().__init__(**options)
        self.liars = liars

    def client(self, session, client, update, credentials):
        if client not in self.liars:
            return super().client(session, client, update, credentials)
        return LyingPeer(session, self.committee(session), client, update, credentials)


def vanish(lives):
    """A transport on which peer ``i`` neither says nor hears anything after ``lives[i]`` rounds."""

    def drop(message):
        ends = [int(name.removeprefix("client-")) for name in (message.sender, message.recipient)]
        return any(KINDS.index(type(message)) >= lives[peer] for peer in ends)

    return InMemoryTransport(drop=drop)


# ---- Dropouts


@pytest.mark.parametrize("peers", [1, 2, 3, 4, 5])
def test_all_peers_end_with_the_same_sum(peers):
    aggregator = Sharing()
    session = aggregator.open_session(range(peers), length=2, encoding=ENCODING)
    assert aggregator.staff(session.roster) == ()
    result = run(aggregator, peers=peers)
    assert np.array_equal(result.sum, UPDATES[:peers].sum(axis=0))
    assert result.survivors == tuple(range(peers))
    assert {link[0] for link in result.bytes} <= set(session.clients)


@pytest.mark.parametrize(
    ("peers", "options", "step"),
    [
        (2, {}, 1),
        (3, {"quorum": 3}, 1),
        (3, {"quorum": 2}, 1),
        (4, {"threshold": 2}, 9),
        (4, {"threshold": 2, "quorum": 2}, 9),
        (5, {"threshold": 3, "quorum": 3}, 83),
        (5, {"threshold": 2, "max_errors": 1}, 83),
        (6, {"threshold": 3, "packed": 2}, 401),
    ],
    ids=str,
)
def test_peers_may_vanish_after_any_round_down_to_quorum_and_threshold(peers, options, step):
    aggregator = Sharing(threads=1, **options)
    roster = range(peers)
    quorum, fewest = aggregator.quorum_for(roster), aggregator.min_survivors_for(roster)
    needed = aggregator.threshold_for(roster) + 2 * aggregator.max_errors
    for lives in islice(product(range(5), repeat=peers), 0, None, step):
        dealt = [peer for peer in roster if lives[peer] > 0]
        alive = [sum(life > stage for life in lives) for stage in range(4)]
        enough = (
            len(dealt) >= fewest
            and alive[1] >= needed
            and alive[2] >= max(quorum, needed)
            and alive[3] >= needed
        )
        if not enough:
            with pytest.raises(ProtocolError, match=r"needs|survivors: got|goes on when"):
                run(aggregator, vanish(lives), peers=peers)
            continue
        result = run(aggregator, vanish(lives), peers=peers)
        assert result.survivors == tuple(dealt)
        assert np.array_equal(result.sum, UPDATES[dealt].sum(axis=0))


def lose(sender, kind, recipients):
    """A transport that loses what one peer sends of a kind to these others."""
    return InMemoryTransport(
        drop=lambda message: (
            message.sender == sender
            and isinstance(message, kind)
            and message.recipient in recipients
        )
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quorum", [2, 3, 4])
def test_a_peer_that_vanishes_amid_a_round_leaves_one_sum_for_all_or_a_clear_error(kind, quorum):
    aggregator = Sharing(threshold=2, quorum=quorum, threads=1)
    for missed in product([False, True], repeat=3):
        lost = [f"client-{peer}" for peer, gone in enumerate(missed) if gone]
        lossy = lose("client-3", kind, lost)
        # Without its commitment nobody else has four; otherwise two others always reveal.
        if quorum == 4 and kind is Committed and len(lost) == 3:
            with pytest.raises(ProtocolError, match="needs 3 messages"):
                run(aggregator, lossy)
            continue
        result = run(aggregator, lossy)
        left = list(result.survivors)
        assert left == ([0, 1, 2] if kind is Dealing and lost else [0, 1, 2, 3])
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


def test_the_default_quorum_of_peers_is_their_threshold_and_a_majority_at_least():
    assert [Sharing().quorum_for(range(peers)) for peers in range(1, 6)] == [1, 2, 2, 3, 3]
    assert Sharing(threshold=2).quorum_for(range(9)) == 5
    assert Sharing(threshold=7).quorum_for(range(9)) == 7
    assert "2 * quorum > n + c" in " ".join(Sharing.__doc__.split())


def test_a_client_whose_dealing_is_lost_on_the_way_to_one_peer_is_left_out():
    result = run(Sharing(threshold=2), lose("client-3", Dealing, ["client-0"]))
    assert result.survivors == (0, 1, 2)
    assert np.array_equal(result.sum, UPDATES[:3].sum(axis=0))


def deaf(peer, others):
    """A transport on which a peer hears no dealing but these peers'."""
    return InMemoryTransport(
        drop=lambda message: (
            isinstance(message, Dealing)
            and message.recipient == f"client-{peer}"
            and message.sender not in {f"client-{other}" for other in others}
        )
    )


@pytest.mark.parametrize("peer", range(4))
def test_a_deaf_peer_has_no_sum_to_reveal_but_names_the_survivors_and_learns_the_sum(peer):
    sent = []
    transport = deaf(peer, [])
    transport._lie = lambda message: sent.append(message) or message
    result = run(Sharing(threshold=2, quorum=4, min_survivors=3), transport)
    assert result.survivors == (0, 1, 2, 3)
    assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
    mine = [message for message in sent if message.sender == f"client-{peer}"]
    assert {message.commitment for message in mine if isinstance(message, Committed)} == {b""}
    assert not any(isinstance(message, Revealed) for message in mine)


def test_a_peer_whose_list_has_no_quorum_reveals_nothing_but_learns_the_sum_of_the_others():
    table = Table(Sharing(threshold=2, quorum=2))
    peer = table.committing(3, (0, 1, 2, 3))
    rest = [table.committed(other, (0, 1, 2)) for other in range(3)]
    assert [m for message in rest for m in peer.receive(message)] == []
    assert peer.late == ("client-0", "client-1", "client-2")
    assert peer._sums == {}


# ---- Lies


@pytest.mark.parametrize(("quorum", "lists"), [(None, 1), (2, 2)])
def test_lost_messages_alone_open_two_lists_only_with_a_quorum_below_a_majority(quorum, lists):
    lost = {
        (Dealing, "client-3", "client-0"),
        (Heard, "client-0", "client-2"),
        (Heard, "client-0", "client-3"),
    }
    aggregator = Sharing(threshold=2, quorum=quorum, threads=1)
    session = aggregator.open_session(range(4), length=1)
    parties = aggregator.parties(session, {client: [2.0**client] for client in range(4)})
    transport = InMemoryTransport(
        drop=lambda message: (type(message), message.sender, message.recipient) in lost
    )
    with suppress(ProtocolError):
        drive(parties, kinds=aggregator.messages, transport=transport)
    sums = {party.outcome.sum.tolist()[0] for party in parties if party.outcome}
    assert len(sums) <= lists
    if lists == 2:
        assert sums == {7.0, 15.0}  # their difference is the update of client 3


def test_a_lying_peer_is_repaired_and_named_even_though_it_names_nobody():
    for liar in range(4):
        result = run(Liars([liar], threshold=2, max_errors=1))
        assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
        assert result.liars == (f"client-{liar}",)


def test_three_times_the_liars_and_one_more_bear_them():
    for liars in ([0, 1], [2, 5], [5, 6]):
        aggregator = Liars(liars, threshold=3, max_errors=2)
        updates = np.arange(14.0).reshape(7, 2)
        result = aggregator.aggregate(updates, encoding=ENCODING)
        assert np.array_equal(result.sum, updates.sum(axis=0))
        assert result.liars == tuple(f"client-{liar}" for liar in liars)


@pytest.mark.parametrize("liars", [[0], [3], [0, 1]], ids=str)
def test_unrepaired_lies_are_noticed_while_there_are_sums_to_compare(liars):
    with pytest.raises(DecodingError):
        run(Liars(liars, threshold=2))


def test_more_liars_than_are_repaired_are_noticed():
    with pytest.raises(DecodingError, match="more than 1 of the 5"):
        run(Liars([1, 3], threshold=2, max_errors=1), peers=5)


def test_unchecked_peers_believe_the_first_sums_and_agree_on_what_is_wrong():
    result = run(Liars([0], threshold=2, check=False))
    assert not np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
    result = run(Liars([3], threshold=2, check=False))
    assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))


def test_peers_that_end_with_different_sums_are_an_error():
    transport = lose("client-0", Revealed, ["client-3"])
    with pytest.raises(ProtocolError, match="client-0 and client-3 ended with different sums"):
        run(Liars([0], threshold=2, check=False), transport)


def lie_on(kind, who, change):
    def lie(message):
        if not isinstance(message, kind) or message.sender != who:
            return message
        return change(message)

    return InMemoryTransport(lie=lie)


@pytest.mark.parametrize(
    "change",
    [
        lambda message: replace(message, shares=altered(message.shares)),
        lambda message: replace(message, nonce=bytes(32)),
        lambda message: replace(message, nonce=b""),
    ],
    ids=["another sum", "another nonce", "no nonce"],
)
@pytest.mark.parametrize("errors", [0, 1])
def test_a_sum_that_is_not_what_was_committed_to_is_left_out_and_its_peer_named(change, errors):
    aggregator = Sharing(threshold=2, max_errors=errors)
    result = run(aggregator, lie_on(Revealed, "client-1", change))
    assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
    assert result.liars == ("client-1",)


def test_a_false_commitment_is_the_same_lie():
    transport = lie_on(
        Committed, "client-1", lambda message: replace(message, commitment=bytes(32))
    )
    assert run(Sharing(threshold=2), transport).liars == ("client-1",)


def test_too_few_sums_that_fit_their_commitments_are_an_error():
    def lie(message):
        if not isinstance(message, Revealed) or message.sender == "client-0":
            return message
        return replace(message, nonce=bytes(32))

    with pytest.raises(ProtocolError, match=r"needs 3 sums that fit their commitments, got [12]"):
        run(Sharing(threshold=3), InMemoryTransport(lie=lie))


# ---- What one peer refuses


class Table:
    """The peers of one session, started, and their dealings."""

    def __init__(self, aggregator):
        self.session = aggregator.open_session(range(4), length=2, encoding=ENCODING)
        self.peers = aggregator.parties(self.session, dict(enumerate(UPDATES[:4])))
        self.dealings = [message for peer in self.peers for message in peer.start()]

    def say(self, kind, sender, recipient, **fields):
        return self.peers[sender].sign(
            kind(
                session_id=self.session.id,
                sender=f"client-{sender}",
                recipient=f"client-{recipient}",
                **fields,
            )
        )

    def reporting(self, peer):
        """The peer, with all dealings."""
        for dealing in self.dealings:
            if dealing.recipient == f"client-{peer}":
                self.peers[peer].receive(dealing)
        return self.peers[peer]

    def committing(self, peer, clients):
        """The peer, with reports that make it name these survivors; the others send to it."""
        party, self.recipient = self.reporting(peer), peer
        for other in range(4):
            if other != peer:
                party.receive(self.say(Heard, other, peer, clients=clients))
        assert party.awaits is Committed
        return party

    def committed(self, sender, clients, commitment=b"c" * 32):
        return self.say(Committed, sender, self.recipient, clients=clients, commitment=commitment)


@pytest.fixture
def table():
    return Table(Sharing(threshold=2, quorum=3))


def test_a_peer_keeps_its_own_share(table):
    assert table.peers[1].late == ("client-0", "client-2", "client-3")
    assert table.peers[1].dealers() == (1,)


@pytest.mark.parametrize("clients", [(4,), (1, 0), (2, 2)], ids=str)
def test_a_peer_refuses_reports_of_clients_outside_the_roster(table, clients):
    peer = table.reporting(0)
    with pytest.raises(ProtocolError):
        peer.receive(table.say(Heard, 1, 0, clients=clients))
    assert "client-1" in peer.late


@pytest.mark.parametrize("clients", [(0,), (0, 1, 9), (1, 0, 2)], ids=str)
def test_a_peer_refuses_lists_that_no_honest_peer_names(table, clients):
    peer = table.committing(0, (0, 1, 2, 3))
    with pytest.raises(ProtocolError):
        peer.receive(table.committed(1, clients))
    assert "client-1" in peer.late


def test_a_peer_reveals_its_sum_only_for_a_quorum_of_its_own_list(table):
    peer = table.committing(0, (0, 1, 2, 3))
    assert peer.receive(table.committed(1, (0, 1, 2, 3))) == []
    assert peer.receive(table.committed(2, (0, 1, 2))) == []
    with pytest.raises(
        ProtocolError, match="goes on when 3 peers name the same survivors; at most 2"
    ):
        peer.receive(table.committed(3, (0, 1, 2)))
    assert peer.awaits is None


def test_a_quorum_in_favour_makes_it_reveal_once(table):
    peer = table.committing(0, (0, 1, 2, 3))
    peer.receive(table.committed(1, (0, 1, 2, 3)))
    peer.receive(table.committed(2, (0, 1, 2)))
    sent = peer.receive(table.committed(3, (0, 1, 2, 3)))
    assert [message.recipient for message in sent] == ["client-1", "client-2", "client-3"]
    assert peer.late == ("client-1", "client-3")
    with pytest.raises(ProtocolError, match="reveal"):
        peer.reveal()


def test_too_few_commitments_are_an_error_before_anything_is_revealed(table):
    peer = table.committing(0, (0, 1, 2, 3))
    peer._commitments.clear()
    for other in (1, 2):
        peer.receive(table.committed(other, (0, 1, 2, 3), commitment=b""))
    with pytest.raises(ProtocolError, match="needs the sums of 2 peers; 0 have committed"):
        peer.receive(table.committed(3, (0, 1, 2, 3), commitment=b""))


def test_nobody_passes_a_copied_commitment_off_as_its_own():
    copied = {}

    def lie(message):
        if isinstance(message, Committed | Revealed):
            if message.sender == "client-0":
                copied[type(message), message.recipient] = message
            if message.sender == "client-1" and (type(message), "client-3") in copied:
                theirs = copied[type(message), "client-3"]
                fields = {"sender": "client-1", "recipient": message.recipient}
                return replace(theirs, **fields)
        return message

    result = run(Sharing(threshold=2), InMemoryTransport(lie=lie))
    assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
    assert result.liars == ("client-1",)


def test_a_row_that_fits_its_commitment_but_not_the_session_is_refused():
    class Narrow(Peer):
        def total(self, survivors):
            return replace(super().total(survivors), bound=7)

    class Session(Sharing):
        def client(self, session, client, update, credentials):
            kind = Narrow if client == 1 else Peer
            return kind(session, self.committee(session), client, update, credentials)

    transport = InMemoryTransport(
        drop=lambda message: message.recipient == "client-1" and isinstance(message, Revealed)
    )
    result = run(Session(threshold=2), transport)
    assert np.array_equal(result.sum, UPDATES[:4].sum(axis=0))
    assert {refusal.party for refusal in result.refusals} == {"client-0", "client-2", "client-3"}


@pytest.mark.parametrize("size", [1, 31])
def test_commitments_of_another_length_are_no_messages(table, size):
    message = Committed(
        session_id=table.session.id,
        sender="client-0",
        recipient="client-1",
        clients=(0, 1),
        commitment=bytes(size),
    )
    with pytest.raises(DeserializationError, match=f"commitment: got {size} bytes"):
        Committed.from_bytes(message.to_bytes())
