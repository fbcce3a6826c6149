"""Sharing among holders: who may vanish when, what is told or repaired, and what is refused."""

from dataclasses import replace
from itertools import combinations, islice, product

import numpy as np
import pytest

from veilsum import shamir
from veilsum.channel import Directory, Identity
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    AuthenticationError,
    DecodingError,
    DeserializationError,
    InconsistentShares,
    InvalidShare,
    ProtocolError,
)
from veilsum.field import GOLDILOCKS, P31, P50, PrimeField
from veilsum.protocols import Credentials, InMemoryTransport, Plain, Sharing, drive
from veilsum.protocols.committee import Dealing, Heard, seal_row
from veilsum.protocols.session import client_name
from veilsum.protocols.sharing import (
    Client,
    Confirmations,
    Confirmed,
    Summed,
    Survivors,
    list_digest,
)

ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.0], [-8.0, 8.0]])
MODULUS = P31.modulus


def subsets(items):
    items = list(items)
    return [set(chosen) for size in range(len(items) + 1) for chosen in combinations(items, size)]


def names(count):
    return [f"holder-{number}" for number in range(1, count + 1)]


def altered(shares, *, places=slice(None), by=1):
    values = shares.values.copy()
    values[:, places] = shares.field.add(values[:, places], np.uint64(by))
    return shares.with_values(values)


def liars(who, drop=None, **how):
    """A transport on which these holders add a constant to their sums."""

    def lie(message):
        if not isinstance(message, Summed) or message.sender not in who:
            return message
        return replace(message, shares=altered(message.shares, **how))

    return InMemoryTransport(lie=lie, drop=drop)


def lose(*losses):
    """A transport that loses, for each (sender, kind), what that party sends of that kind."""

    def drop(message):
        return any(
            message.sender == sender and isinstance(message, kind) for sender, kind in losses
        )

    return InMemoryTransport(drop=drop)


def hears(reports):
    """A transport on which of the dealings only those to holders that hear the dealer arrive."""

    def drop(message):
        if not isinstance(message, Dealing):
            return False
        return int(message.sender.removeprefix("client-")) not in reports[message.recipient]

    return InMemoryTransport(drop=drop)


def run(aggregator, transport=None, updates=UPDATES, **options):
    return aggregator.aggregate(updates, encoding=ENCODING, transport=transport, **options)


class Table:
    """The parties of one session, of whom the holders are started, and what the clients send."""

    def __init__(self, aggregator, updates=UPDATES):
        self.session = aggregator.open_session(
            range(len(updates)), length=updates.shape[1], encoding=ENCODING
        )
        parties = aggregator.parties(self.session, dict(enumerate(updates)))
        self.committee = aggregator.committee(self.session)
        self.by_name = {party.name: party for party in parties}
        self.server = self.by_name["server"]
        self.holders = [self.by_name[name] for name in self.committee.holders]
        for party in (self.server, *self.holders):
            assert party.start() == []
        self.dealings = [
            message for party in parties if isinstance(party, Client) for message in party.start()
        ]

    def signed(self, message):
        """The message as its sender would sign it: a malicious party's."""
        return self.by_name[message.sender].sign(message)

    def to(self, name):
        return [dealing for dealing in self.dealings if dealing.recipient == name]

    def say(self, kind, sender, recipient, **fields):
        return self.signed(
            kind(session_id=self.session.id, sender=sender, recipient=recipient, **fields)
        )

    def reported(self, name, clients=range(4)):
        """A holder that has heard these clients and reported them."""
        holder = self.by_name[name]
        dealings = [d for d in self.to(name) if int(d.sender[-1]) in clients]
        messages = [message for dealing in dealings for message in holder.receive(dealing)]
        (heard,) = messages or holder.deadline()
        assert heard.clients == tuple(clients)
        return holder

    def announced(self, recipient, clients):
        return self.say(Survivors, "server", recipient, clients=clients)

    def confirmed(self, sender, clients):
        return self.say(Confirmed, sender, "server", survivors=list_digest(clients))

    def forwarded(self, recipient, confirmed):
        messages = tuple(message.to_bytes() for message in confirmed)
        return self.say(Confirmations, "server", recipient, messages=messages)


@pytest.fixture
def table():
    return Table(Sharing(holders=3, threshold=2))


# ---- Dropouts


@pytest.mark.parametrize("fewest", [None, 1, 2, 4])
def test_clients_may_vanish_down_to_the_fewest_survivors(fewest):
    for gone in subsets(range(4)):
        left = [client for client in range(4) if client not in gone]
        aggregator = Sharing(holders=3, threshold=3, min_survivors=fewest)
        if len(left) < (fewest or 3):
            with pytest.raises(ProtocolError, match=r"needs \d messages|survivors: got"):
                run(aggregator, dropped=gone)
            continue
        result = run(aggregator, dropped=gone)
        assert result.survivors == tuple(left)
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


def test_lost_messages_never_open_one_clients_update():
    everybody = range(5)
    updates = np.arange(10.0).reshape(5, 2)
    for deaf in range(1, 4):
        lossy = dict.fromkeys(names(5), everybody) | {name: [2] for name in names(deaf)}
        aggregator = Sharing(holders=5, threshold=3)
        if deaf < 3:
            result = run(aggregator, hears(lossy), updates)
            assert result.survivors == tuple(everybody)
            continue
        with pytest.raises(ProtocolError, match="survivors: got 1, expected at least 3"):
            run(aggregator, hears(lossy), updates)


@pytest.mark.parametrize("kind", [Heard, Confirmed, Summed])
@pytest.mark.parametrize(("holders", "threshold", "quorum"), [(4, 2, 3), (4, 2, 2), (4, 3, 4)])
def test_every_subset_of_holders_may_vanish_down_to_the_quorum_and_then_to_the_threshold(
    kind, holders, threshold, quorum
):
    aggregator = Sharing(holders=holders, threshold=threshold, quorum=quorum)
    needed = threshold if kind is Summed else quorum
    for gone in subsets(names(holders)):
        transport = lose(*((name, kind) for name in gone))
        if holders - len(gone) < needed:
            with pytest.raises(ProtocolError, match=f"server needs {needed} messages"):
                run(aggregator, transport)
            continue
        result = run(aggregator, transport)
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))


@pytest.mark.parametrize(("holders", "threshold"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2)])
def test_every_lifetime_of_every_holder_gives_the_sum_or_a_clear_error(holders, threshold):
    """A holder with lifetime ``i`` sends the first ``i`` of its three messages."""
    quorum = Sharing(holders=holders, threshold=threshold).quorum_for(())
    step = 3 if holders > 3 else 1
    for lifetimes in islice(product(range(4), repeat=holders), 0, None, step):
        lives = dict(zip(names(holders), lifetimes, strict=True))
        sent = [
            (name, kind)
            for name, life in lives.items()
            for kind in (Heard, Confirmed, Summed)[life:]
        ]
        enough = (
            sum(life >= 2 for life in lifetimes) >= quorum
            and sum(life >= 3 for life in lifetimes) >= threshold
        )
        aggregator = Sharing(holders=holders, threshold=threshold, threads=1)
        if not enough:
            with pytest.raises(ProtocolError, match=r"needs \d messages"):
                run(aggregator, lose(*sent), UPDATES[:2])
            continue
        assert np.array_equal(run(aggregator, lose(*sent), UPDATES[:2]).sum, UPDATES[:2].sum(0))


def test_holders_may_vanish_in_different_rounds():
    transport = lose(("holder-1", Heard), ("holder-4", Summed))
    result = run(Sharing(holders=4, threshold=2), transport)
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    with pytest.raises(ProtocolError, match=r"needs \d messages .* to go on and has"):
        run(Sharing(holders=4, threshold=3, quorum=3), transport)


@pytest.mark.parametrize("reached", subsets(range(1, 5)), ids=str)
def test_a_client_counts_only_when_it_has_reached_every_answering_holder(reached):
    everybody, others = range(4), [0, 1, 3]
    reports = {
        name: everybody if number in reached else others
        for number, name in enumerate(names(4), start=1)
    }
    result = run(Sharing(holders=4, threshold=2), hears(reports))
    left = [0, 1, 2, 3] if len(reached) == 4 else [0, 1, 3]
    assert result.survivors == tuple(left)
    assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


def test_a_client_that_missed_only_a_vanished_holder_stays_in_the_sum():
    def drop(message):
        missed = isinstance(message, Dealing) and message.sender == "client-2"
        return (missed and message.recipient == "holder-3") or message.sender == "holder-3"

    result = run(Sharing(holders=3, threshold=2, quorum=2), InMemoryTransport(drop=drop))
    assert result.survivors == (0, 1, 2, 3)


def test_a_holder_that_heard_nobody_falls_silent():
    transport = hears({"holder-1": [], "holder-2": range(4), "holder-3": range(4)})
    result = run(Sharing(holders=3, threshold=2, quorum=2), transport)
    assert result.survivors == (0, 1, 2, 3)
    assert ("holder-1", "server", "combine") not in result.bytes


def test_a_holder_that_lacks_a_share_confirms_the_survivors_all_the_same():
    reports = {name: range(4) for name in names(3)} | {"holder-1": [2]}
    transport = hears(reports)
    sent = []
    transport._lie = lambda message: sent.append(message) or message
    result = run(Sharing(holders=3, threshold=2, quorum=3), transport)
    assert result.survivors == (0, 1, 2, 3)
    said = {(message.sender, type(message)) for message in sent}
    assert ("holder-1", Confirmed) in said
    assert ("holder-1", Summed) not in said


def test_a_holder_that_lacks_a_share_keeps_none_once_it_has_confirmed(table):
    holder = table.reported("holder-2", (0, 1, 2))
    (confirmed,) = holder.receive(table.announced("holder-2", (0, 1, 2, 3)))
    assert confirmed.survivors == list_digest((0, 1, 2, 3))
    assert holder.awaits is None
    assert holder.dealers() == ()


@pytest.mark.parametrize("fewest", [1, 2])
def test_every_pattern_of_lost_dealings_gives_the_survivors_sum_or_an_error(fewest):
    aggregator = Sharing(holders=3, threshold=2, quorum=2, min_survivors=fewest, threads=1)
    for pattern in islice(product(subsets(range(3)), repeat=3), fewest, None, 5):
        reports = dict(zip(names(3), pattern, strict=True))
        answering = [heard for heard in pattern if heard]
        possible = any(len(a & b) >= fewest for a, b in combinations(answering, 2))
        if not possible:
            with pytest.raises(ProtocolError):
                run(aggregator, hears(reports), UPDATES[:3])
            continue
        result = run(aggregator, hears(reports), UPDATES[:3])
        left = list(result.survivors)
        assert len(left) >= fewest
        assert sum(heard >= set(left) for heard in pattern) >= 2
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


# ---- Altered sums


@pytest.mark.parametrize("places", [slice(None), slice(0, 1)], ids=["everywhere", "in one place"])
def test_altered_sums_of_up_to_the_redundancy_are_an_error_never_a_guess(places):
    for who in subsets(names(5)):
        if not 1 <= len(who) <= 3:
            continue
        with pytest.raises(DecodingError):
            run(Sharing(holders=5, threshold=2, threads=1), liars(who, places=places))


def test_honest_sums_pass_the_check():
    assert np.array_equal(run(Sharing(holders=5), liars(set())).sum, UPDATES.sum(axis=0))


@pytest.mark.parametrize("by", [1, 12345, MODULUS - 1])
def test_without_the_check_a_liar_among_the_first_gives_a_wrong_sum_silently(by):
    aggregator = Sharing(holders=5, threshold=3, check=False)
    for liar in range(1, 6):
        result = run(aggregator, liars({f"holder-{liar}"}, by=by))
        right = np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert right == (liar > 3)
        assert result.sum.shape == (2,)


def test_without_the_check_wrong_digits_give_a_wrong_sum_silently():
    wide = FixedPoint.binary(60, bound=1000.0)
    result = Sharing(holders=3, check=False).aggregate(
        UPDATES, encoding=wide, transport=liars({"holder-1"}, by=P50.modulus // 3)
    )
    assert result.integers.dtype == object
    assert np.isfinite(result.sum).all()
    assert not np.isclose(result.sum, UPDATES.sum(axis=0)).any()


def test_without_redundancy_only_a_sum_out_of_range_is_told():
    aggregator = Sharing(holders=3, threshold=3)
    with pytest.raises(DecodingError):
        run(aggregator, liars({"holder-1"}, by=MODULUS // 2))
    result = run(aggregator, liars({"holder-1"}))  # weight 3 of the Lagrange basis at 0
    assert np.array_equal(result.integers, 256 * UPDATES.sum(axis=0) + 3)


def test_a_sum_beyond_what_the_clients_can_give_is_told_also_between_digits():
    field = PrimeField(8191)
    encoding = FixedPoint.binary(0, bound=1000.0)
    aggregator = Sharing(holders=1, threshold=1, field=field)
    session = aggregator.open_session(range(5), length=1, encoding=encoding)
    assert session.digits.count == 2
    extreme = session.digits.digit_limit * 5 - 1  # both digits in range, the sum is not

    def lie(message):
        if not isinstance(message, Summed):
            return message
        extremes = field.residues([[extreme, extreme]])
        return replace(message, shares=message.shares.with_values(extremes))

    with pytest.raises(DecodingError, match="at least one holder's sum was altered"):
        aggregator.aggregate(
            np.zeros((5, 1)), encoding=encoding, transport=InMemoryTransport(lie=lie)
        )


def test_a_sum_of_other_dealings_is_inconsistent_even_without_redundancy():
    def lie(message):
        if not isinstance(message, Summed) or message.sender != "holder-2":
            return message
        return replace(message, shares=replace(message.shares, dealing=message.shares.dealing ^ 1))

    with pytest.raises(ProtocolError, match=r"server cannot go on .*dealing") as caught:
        run(Sharing(holders=2), InMemoryTransport(lie=lie))
    assert isinstance(caught.value.__cause__, InconsistentShares)


def test_a_sum_that_no_dealing_has_is_refused_and_its_holder_counts_as_vanished():
    def tamper(message, data):
        if not isinstance(message, Summed) or message.sender != "holder-3":
            return data
        last = message.shares.values[0, -1].astype(np.uint32).tobytes()
        return data.replace(last, b"\xff" * 4)

    result = run(Sharing(holders=3), InMemoryTransport(tamper=tamper))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    (refusal,) = result.refusals
    assert refusal.party == "server"
    assert isinstance(refusal.reason, InvalidShare)


# ---- Repaired sums


@pytest.mark.parametrize("places", [slice(None), slice(0, 1)], ids=["everywhere", "in one place"])
def test_altered_sums_are_repaired_and_their_holders_named_and_more_of_them_are_told(places):
    aggregator = Sharing(holders=6, threshold=2, max_errors=1, threads=1)
    for who in subsets(names(6)):
        if len(who) > 3:
            continue
        transport = liars(who, places=places)  # equal lies: all liars collude
        if len(who) > 1:
            with pytest.raises(DecodingError, match="more than 1 of the 6"):
                run(aggregator, transport)
            continue
        result = run(aggregator, transport)
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert result.liars == tuple(who)


def test_several_liars_are_named_in_the_order_of_the_holders():
    aggregator = Sharing(holders=7, threshold=3, max_errors=2)
    for who in combinations(names(7), 2):
        result = run(aggregator, liars(set(who)))
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert result.liars == who


def test_nobody_is_named_where_nobody_lies_or_nothing_is_repaired():
    assert run(Sharing(holders=4, threshold=2, max_errors=1)).liars == ()
    assert run(Sharing(holders=4, threshold=2)).liars == ()
    unchecked = Sharing(holders=4, threshold=2, check=False)
    assert run(unchecked, liars({"holder-1"})).liars == ()


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_vanished_holders_are_erasures_and_cost_half_of_what_a_liar_does(gone):
    def drop(message):
        return isinstance(message, Summed) and int(message.sender[-1]) > 6 - gone

    aggregator = Sharing(holders=6, threshold=2, max_errors=1)
    transport = liars({"holder-1"}, drop=drop)
    if gone > 2:
        with pytest.raises(ProtocolError, match=r"server needs 4 messages .* has 3; missing are"):
            run(aggregator, transport)
        return
    result = run(aggregator, transport)
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-1",)


def test_the_server_leaves_out_no_deaf_holder_that_it_needs_for_the_repair():
    reports = {name: range(5) for name in names(5)} | {"holder-5": [2]}
    updates = np.arange(10.0).reshape(5, 2)
    enough = Sharing(holders=5, threshold=2, max_errors=1)
    assert run(enough, hears(reports), updates).survivors == tuple(range(5))
    with pytest.raises(ProtocolError, match="survivors: got 1, expected at least 3"):
        run(Sharing(holders=5, threshold=3, max_errors=1), hears(reports), updates)


@pytest.mark.parametrize("lies", [True, False])
def test_a_false_tag_does_not_end_a_round_that_is_repaired(lies):
    def lie(message):
        if not isinstance(message, Summed) or message.sender != "holder-1":
            return message
        shares = altered(message.shares) if lies else message.shares
        return replace(message, shares=replace(shares, dealing=shares.dealing ^ 1))

    result = run(Sharing(holders=4, threshold=2, max_errors=1), InMemoryTransport(lie=lie))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == (("holder-1",) if lies else ())


def test_the_victim_of_a_client_that_deals_wrongly_is_named_as_the_documentation_says():
    aggregator = Sharing(holders=5, max_errors=1)
    session = aggregator.open_session(range(4), length=2, encoding=ENCODING)
    server, *others = parties = aggregator.parties(session, dict(enumerate(UPDATES)))
    client = next(party for party in others if party.name == "client-0")

    def lie(message):
        if (message.sender, message.recipient) != ("client-0", "holder-3"):
            return message
        wrong = aggregator.committee(session).split(session, UPDATES[1])["holder-3"]
        return seal_row(client, "holder-3", wrong)

    drive(parties, kinds=aggregator.messages, transport=InMemoryTransport(lie=lie))
    assert np.array_equal(server.outcome.sum, UPDATES.sum(axis=0))
    assert server.outcome.liars == ("holder-3",)
    assert "the victim of a client" in " ".join(Sharing.__doc__.split())


@pytest.mark.parametrize("field", [P31, P50, GOLDILOCKS], ids=lambda field: field.modulus)
def test_digits_of_wide_sums_are_repaired_too(field):
    wide = FixedPoint.binary(60, bound=1000.0)
    aggregator = Sharing(holders=4, threshold=2, max_errors=1, field=field)
    result = aggregator.aggregate(
        UPDATES, encoding=wide, transport=liars({"holder-4"}, places=slice(1, 2))
    )
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-4",)


@pytest.mark.parametrize("holders", ["clients", 5])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_errors": -1}, "max_errors: got -1, expected at least 0"),
        ({"threshold": 4, "max_errors": 1}, "takes 6 holders with threshold 4, got 5"),
        ({"max_errors": 2}, "to repair 2 takes 7 holders with threshold 3, got 5"),
        ({"max_errors": 1, "check": False}, "1 with check=False"),
        ({"threshold": 0}, "expected 1 to 5, all the holders"),
        ({"threshold": 6}, "expected 1 to 5, all the holders"),
        ({"packed": 0}, "packed: got 0, expected 1, or less than the threshold 3"),
        ({"packed": 3}, "packed: got 3, expected 1, or less than the threshold 3"),
        ({"threshold": 1, "packed": 2}, "packed: got 2, expected 1, or less than the threshold 1"),
        ({"quorum": 2}, "quorum: got 2, expected 3, the threshold, to 5, all the holders"),
        ({"quorum": 6}, "quorum: got 6, expected 3, the threshold, to 5, all the holders"),
    ],
    ids=str,
)
def test_impossible_options_are_refused_as_soon_as_the_holders_are_known(holders, options, match):
    with pytest.raises(ValueError, match=match):
        Sharing(holders=holders, **options).open_session(range(5), length=1)
    if holders == 5:
        with pytest.raises(ValueError, match=match):
            Sharing(holders=holders, **options)


@pytest.mark.parametrize("holders", ["servers", "", 0, -1])
def test_impossible_holders_are_refused(holders):
    with pytest.raises(ValueError, match="holders: got"):
        Sharing(holders=holders)


# ---- Sealed dealings


def test_a_dealing_shows_nothing_but_its_length_to_all_but_its_holder(table):
    session, committee = table.session, table.committee
    client = table.by_name["client-0"]
    rows = committee.split(session, UPDATES[0])
    messages = {name: seal_row(client, name, row) for name, row in rows.items()}
    for name, message in messages.items():
        assert rows[name].to_bytes() not in message.sealed
        assert len(message.sealed) == len(rows[name].to_bytes()) + 48
    again = seal_row(client, "holder-1", rows["holder-1"])
    assert again.sealed != messages["holder-1"].sealed


def moved(table, **changes):
    """A dealing of client-0 for holder-2 with other fields, signed by whoever it says."""
    dealing = next(d for d in table.to("holder-2") if d.sender == "client-0")
    return table.signed(replace(dealing, **changes))


def test_a_dealing_that_was_sealed_for_another_holder_is_refused(table):
    for_another = next(d for d in table.to("holder-1") if d.sender == "client-0")
    with pytest.raises(ProtocolError, match="sealed for another recipient") as caught:
        table.by_name["holder-2"].receive(moved(table, sealed=for_another.sealed))
    assert isinstance(caught.value.__cause__, AuthenticationError)


def test_a_dealing_that_another_client_signs_as_its_own_is_refused(table):
    copied = moved(table, sender="client-1")
    with pytest.raises(ProtocolError, match="sealed for another recipient"):
        table.by_name["holder-2"].receive(copied)


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
def test_a_dealing_that_was_altered_before_it_was_signed_is_refused(table, place):
    dealing = moved(table)
    sealed = bytearray(dealing.sealed)
    sealed[place] ^= 1
    with pytest.raises(ProtocolError):
        table.by_name["holder-2"].receive(moved(table, sealed=bytes(sealed)))
    assert table.by_name["holder-2"].receive(dealing) == []


def test_a_dealing_of_another_round_or_session_of_the_same_parties_is_refused():
    aggregator = Sharing(holders=3, threshold=2)
    table, old = Table(aggregator), Table(aggregator)
    holder = table.by_name["holder-2"]
    with pytest.raises(ProtocolError, match="foreign session"):
        holder.receive(old.to("holder-2")[0])
    with pytest.raises(ProtocolError, match="session or purpose"):
        holder.receive(moved(table, sealed=old.to("holder-2")[0].sealed))


def test_a_dealing_of_too_few_bytes_to_be_sealed_is_refused(table):
    with pytest.raises(ProtocolError, match="too few to be sealed"):
        table.by_name["holder-2"].receive(moved(table, sealed=b"short"))


def test_a_dealing_that_its_client_did_not_sign_is_refused(table):
    dealing = moved(table)
    with pytest.raises(ProtocolError, match="client-0"):
        table.by_name["holder-2"].receive(replace(dealing, signature=bytes(64)))


def test_a_client_refuses_to_deal_to_a_holder_without_an_identity():
    aggregator = Sharing(holders=3)
    names = ["server", "holder-1", "holder-2", client_name(0)]
    identities = {name: Identity.generate() for name in names}
    directory = Directory({name: one.public for name, one in identities.items()})
    session = aggregator.open_session([0], length=2, directory=directory)
    client = aggregator.client(
        session, 0, UPDATES[0], Credentials(identities["client-0"], directory)
    )
    with pytest.raises(ProtocolError, match="client-0 knows nobody called 'holder-3'"):
        client.start()


def test_a_client_sends_one_message_a_holder_and_nothing_else():
    result = run(Sharing(holders=3))
    for client in map(client_name, range(4)):
        links = {link for link in result.bytes if link[0] == client}
        assert links == {(client, name, "protect") for name in names(3)}


# ---- Rows that are refused


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"points": np.array([1], np.uint64)}, r"points is \[1\], not \[2\]"),
        ({"threshold": 1}, "threshold is 1, not 2"),
        ({"shares": 4}, "shares is 4, not 3"),
        ({"field": PrimeField(2**61 - 1)}, "modulus is"),
        ({"layout": "roots"}, "layout is roots, not integers"),
        ({"values": np.zeros((1, 3), np.uint64), "shape": (3,)}, r"shape is \(3,\), not \(2,\)"),
        ({"values": np.zeros((1, 2, 1), np.uint64), "shape": (2, 1)}, "shape is"),
        ({"bound": 1}, "bound is 1"),
        ({"dtype": np.dtype(np.int8)}, "dtype is int8"),
        ({"threshold": 3, "packed": 2, "shape": (4,)}, "threshold is 3, not 2"),
    ],
    ids=str,
)
def test_rows_that_are_not_the_holders_are_refused_and_change_nothing(table, changes, match):
    session, committee = table.session, table.committee
    client, holder = table.by_name["client-0"], table.by_name["holder-2"]
    row = committee.split(session, UPDATES[0])["holder-2"]
    if "layout" in changes:
        changes = changes | {"points": np.array([row.field.root(4)], np.uint64)}
    wrong = client.sign(seal_row(client, "holder-2", replace(row, **changes)))
    with pytest.raises(ProtocolError, match=match):
        holder.receive(wrong)
    assert holder.late == ("client-0", "client-1", "client-2", "client-3")
    *rest, last = table.to("holder-2")
    for dealing in rest:
        assert holder.receive(dealing) == []
    (heard,) = holder.receive(last)
    assert heard.clients == (0, 1, 2, 3)


def test_rows_of_another_packing_are_refused():
    table = Table(Sharing(holders=3, threshold=3, packed=2))
    client = table.by_name["client-0"]
    row = table.committee.split(table.session, UPDATES[0])["holder-1"]
    plain = replace(row, packed=1, values=np.zeros((1, 2), np.uint64))
    with pytest.raises(ProtocolError, match="packed is 1, not 2"):
        table.by_name["holder-1"].receive(client.sign(seal_row(client, "holder-1", plain)))


def test_a_holder_refuses_replays_duplicates_strangers_and_other_rounds(table):
    holder = table.by_name["holder-2"]
    dealings = table.to("holder-2")
    holder.receive(dealings[0])
    for message, match in [
        (dealings[0], "already"),
        (replace(dealings[1], sender="client-9"), "of 'client-9'"),
        (replace(dealings[1], recipient="holder-1"), "to 'holder-1'"),
        (table.announced("holder-2", (0,)), "another round"),
    ]:
        with pytest.raises(ProtocolError, match=match):
            holder.receive(message)


# ---- One list of survivors


@pytest.mark.parametrize("clients", [(), (0,), (0, 1), (2,)], ids=str)
def test_a_holder_confirms_no_list_of_fewer_than_the_fewest_survivors(table, clients):
    holder = table.reported("holder-2", (0, 1, 2))
    with pytest.raises(ProtocolError, match=f"survivors: got {len(clients)}, expected at least 3"):
        holder.receive(table.announced("holder-2", clients))
    (confirmed,) = holder.receive(table.announced("holder-2", (0, 1, 2)))
    assert confirmed.survivors == list_digest((0, 1, 2))


@pytest.mark.parametrize("clients", [(0, 1, 9), (1, 0, 2), (0, 0, 1)], ids=str)
def test_a_holder_confirms_no_list_that_is_out_of_order_or_names_strangers(table, clients):
    holder = table.reported("holder-2", (0, 1, 2))
    with pytest.raises(ProtocolError):
        holder.receive(table.announced("holder-2", clients))
    assert holder.late == ("server",)


def test_only_the_server_names_survivors(table):
    holder = table.reported("holder-2")
    with pytest.raises(ProtocolError, match="of 'holder-1'"):
        holder.receive(table.say(Survivors, "holder-1", "holder-2", clients=(0, 1, 2)))


def test_a_holder_confirms_one_list_a_session(table):
    holder = table.reported("holder-2")
    holder.receive(table.announced("holder-2", (0, 1, 2)))
    for clients in [(0, 1, 2), (0, 1, 2, 3)]:
        with pytest.raises(ProtocolError, match="waits for 'sharing/confirmations'"):
            holder.receive(table.announced("holder-2", clients))
    with pytest.raises(ProtocolError, match="confirm"):
        holder.confirm()


def ready_holder(table, clients=(0, 1, 2)):
    holder = table.reported("holder-2")
    (own,) = holder.receive(table.announced("holder-2", clients))
    return holder, own


def test_a_holder_gives_out_one_sum_a_session_and_then_has_no_shares_left(table):
    holder, own = ready_holder(table)
    quorum = [own, *(table.confirmed(name, (0, 1, 2)) for name in ("holder-1", "holder-3"))]
    (summed,) = holder.receive(table.forwarded("holder-2", quorum))
    assert summed.shares.points.tolist() == [2]
    assert holder.dealers() == ()
    with pytest.raises(ProtocolError, match="waits for nothing"):
        holder.receive(table.forwarded("holder-2", quorum))
    with pytest.raises(ProtocolError, match="add_up"):
        holder.add_up()


def test_its_own_confirmation_counts_whether_it_is_sent_back_or_not(table):
    holder, _ = ready_holder(table)
    others = [table.confirmed(name, (0, 1, 2)) for name in ("holder-1", "holder-3")]
    assert len(holder.receive(table.forwarded("holder-2", others))) == 1


def forged(table):
    return replace(table.confirmed("holder-3", (0, 1, 2)), signature=bytes(64))


def of_another_session(_):
    return Table(Sharing(holders=3, threshold=2)).confirmed("holder-3", (0, 1, 2))


@pytest.mark.parametrize(
    ("second", "match"),
    [
        (lambda table: table.confirmed("holder-3", (0, 1, 2, 3)), "holder-3 has confirmed another"),
        (lambda table: table.confirmed("holder-1", (0, 1, 2)), "3 holders have confirmed .*; 2"),
        (lambda table: table.confirmed("holder-2", (0, 1, 2)), "3 holders have confirmed .*; 2"),
        (lambda table: table.confirmed("client-0", (0, 1, 2)), "'client-0' is no holder"),
        (lambda table: table.confirmed("server", (0, 1, 2)), "'server' is no holder"),
        (forged, "from 'holder-3'"),
        (of_another_session, "foreign session"),
    ],
)
def test_confirmations_that_are_no_quorum_for_the_holders_own_list_are_refused(
    table, second, match
):
    holder, _ = ready_holder(table)
    first = table.confirmed("holder-1", (0, 1, 2))
    with pytest.raises(ProtocolError, match=match):
        holder.receive(table.forwarded("holder-2", [first, second(table)]))
    assert holder.late == ("server",)
    assert holder.dealers() == (0, 1, 2, 3)


def test_confirmations_that_are_no_messages_are_refused(table):
    holder, _ = ready_holder(table)
    dealing = table.dealings[0].to_bytes()
    for data in (b"nonsense", dealing):
        broken = table.say(Confirmations, "server", "holder-2", messages=(data,))
        with pytest.raises(ProtocolError) as caught:
            holder.receive(broken)
        assert isinstance(caught.value.__cause__, DeserializationError)


def opened(table, lists, corrupt=()):
    """What a server gets that announces one of these lists to each holder, and confirms for some.

    The corrupt holders confirm every list and hand over all their shares.
    """
    holders = {holder.name: table.reported(holder.name) for holder in table.holders}
    confirmed = {clients: [] for clients in lists.values()}
    for name, clients in lists.items():
        confirmed[clients] += holders[name].receive(table.announced(name, clients))
    for name in corrupt:
        for clients, said in confirmed.items():
            said.append(table.confirmed(name, clients))
    sums = {clients: [] for clients in confirmed}
    for name, clients in lists.items():
        try:
            (summed,) = holders[name].receive(table.forwarded(name, confirmed[clients]))
        except ProtocolError:
            continue
        sums[clients].append(summed.shares)
    for name in corrupt:
        rows = holders[name]._rows
        for clients in sums:
            sums[clients].append(shamir.Shares.sum(rows[client_name(one)] for one in clients))
    return sums


ALL, WITHOUT_LAST = (0, 1, 2, 3), (0, 1, 2)


@pytest.mark.parametrize(("threshold", "packed"), [(1, 1), (2, 1), (3, 1), (4, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("holders", [4, 5])
def test_a_server_with_all_the_blind_on_its_side_never_opens_two_lists(holders, threshold, packed):
    aggregator = Sharing(holders=holders, threshold=threshold, packed=packed)
    blind = threshold - packed
    assert 2 * aggregator.quorum_for(()) in (holders + blind + 1, holders + blind + 2)
    for told in range(holders - blind + 1):
        table = Table(aggregator)
        honest = table.committee.holders[blind:]
        lists = {name: ALL if i < told else WITHOUT_LAST for i, name in enumerate(honest)}
        sums = opened(table, lists, corrupt=table.committee.holders[:blind])
        given_out = [clients for clients, rows in sums.items() if len(rows) > blind]
        assert len(given_out) <= 1


def test_with_a_quorum_below_the_bound_an_equivocating_server_opens_one_clients_update():
    table = Table(Sharing(holders=4, threshold=2, quorum=2))
    first, second, *rest = table.committee.holders
    lists = {first: ALL, second: ALL} | dict.fromkeys(rest, WITHOUT_LAST)
    four, three = (
        shamir.reconstruct(shamir.Shares.join(rows)) for rows in opened(table, lists).values()
    )
    assert np.array_equal(four - three, 256 * UPDATES[3])
    assert "2 * quorum <= m" in " ".join(Sharing.__doc__.split())


def test_one_corrupt_holder_more_than_the_bound_counts_on_opens_two_lists():
    table = Table(Sharing(holders=4, threshold=2, quorum=3))
    corrupt = table.committee.holders[:2]  # as many as rebuild: they know every update anyway
    honest = table.committee.holders[2:]
    sums = opened(table, dict(zip(honest, (ALL, WITHOUT_LAST), strict=True)), corrupt)
    assert all(len(rows) == 3 for rows in sums.values())


def test_a_holder_whose_server_vanished_leaves(table):
    holder = table.reported("holder-2", (0,))
    with pytest.raises(ProtocolError, match="missing are server"):
        holder.deadline()
    assert holder.awaits is None


# ---- The server refuses


@pytest.mark.parametrize("clients", [(4,), (1, 0), (2, 2)], ids=str)
def test_the_server_refuses_reports_of_clients_outside_the_roster(table, clients):
    with pytest.raises(ProtocolError):
        table.server.receive(table.say(Heard, "holder-1", "server", clients=clients))
    assert table.server.late == ("holder-1", "holder-2", "holder-3")


def test_clients_and_outsiders_are_no_holders(table):
    for sender in ("client-0", "server"):
        with pytest.raises(ProtocolError, match="expects no"):
            table.server.receive(table.say(Heard, sender, "server", clients=(0,)))


def reports(table, *heard):
    """Let the holders report these clients; return what the server sends then."""
    sent = []
    for holder, clients in zip(table.committee.holders, heard, strict=True):
        sent += table.server.receive(table.say(Heard, holder, "server", clients=clients))
    return sent


def test_no_common_client_is_an_error(table):
    with pytest.raises(ProtocolError, match="survivors: got 0, expected at least 3"):
        reports(table, (0,), (1,), (2,))


def test_the_server_refuses_confirmations_of_a_list_that_it_did_not_announce(table):
    reports(table, ALL, ALL, ALL)
    with pytest.raises(ProtocolError, match="holder-1 confirms survivors that nobody announced"):
        table.server.receive(table.confirmed("holder-1", WITHOUT_LAST))
    assert "holder-1" in table.server.late


def test_the_server_asks_no_sum_of_a_holder_that_lacks_a_survivor():
    table = Table(Sharing(holders=3, threshold=2))
    sent = reports(table, WITHOUT_LAST, (0,), WITHOUT_LAST)
    assert [message.recipient for message in sent] == ["holder-1", "holder-2", "holder-3"]
    sent = [
        message
        for name in table.committee.holders
        for message in table.server.receive(table.confirmed(name, WITHOUT_LAST))
    ]
    assert [message.recipient for message in sent] == ["holder-1", "holder-3"]
    assert table.server.late == ("holder-1", "holder-3")
    row = table.committee.split(table.session, UPDATES[0])["holder-2"]
    with pytest.raises(ProtocolError, match="expects no"):
        table.server.receive(table.say(Summed, "holder-2", "server", shares=row))


def test_confirmations_of_too_few_that_have_heard_all_survivors_are_an_error():
    table = Table(Sharing(holders=3, threshold=2, quorum=2))
    reports(table, WITHOUT_LAST, (0,), WITHOUT_LAST)
    for name in ("holder-1", "holder-2"):
        table.server.receive(table.confirmed(name, WITHOUT_LAST))
    with pytest.raises(ProtocolError, match="needs the sums of 2 holders; 1 of those that have"):
        table.server.deadline()


def test_the_server_forwards_a_quorum_and_no_more():
    table = Table(Sharing(holders=4, threshold=2))
    reports(table, ALL, ALL, ALL, ALL)
    sent = [
        message
        for name in table.committee.holders
        for message in table.server.receive(table.confirmed(name, ALL))
    ]
    assert [len(message.messages) for message in sent] == [3, 3, 3, 3]


# ---- Packed shares


@pytest.mark.parametrize(("threshold", "packed"), [(2, 1), (3, 2), (4, 2), (5, 4), (6, 5)])
def test_packed_sums_are_the_plain_ones(threshold, packed):
    updates = np.arange(44.0).reshape(4, 11)
    for length in (1, packed, 11):
        expected = Plain().aggregate(updates[:, :length], encoding=ENCODING)
        aggregator = Sharing(holders=6, threshold=threshold, packed=packed)
        result = run(aggregator, updates=updates[:, :length], dropped=())
        assert np.array_equal(result.integers, expected.integers)


def test_packed_shares_shrink_by_the_number_of_secrets_a_polynomial():
    def sent(**options):
        result = run(Sharing(holders=6, threshold=5, **options), updates=np.ones((3, 1000)))
        return result.bytes["client-0", "holder-1", "protect"]

    assert sent() - sent(packed=4) == 4 * (1000 - 250)


def test_altered_packed_sums_are_repaired():
    aggregator = Sharing(holders=7, threshold=4, packed=3, max_errors=1)
    result = run(aggregator, liars({"holder-5"}))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-5",)


def test_fewer_rows_than_privacy_says_fit_any_update_and_threshold_rows_hold_it():
    table = Table(Sharing(holders=5, threshold=4, packed=2))
    dealt = [table.committee.split(table.session, UPDATES[0]) for _ in range(2)]
    for rows in dealt:
        assert {row.privacy for row in rows.values()} == {2}
        for four in combinations(rows.values(), 4):
            rebuilt = shamir.reconstruct(shamir.Shares.join(four))
            assert np.array_equal(rebuilt, 256 * UPDATES[0])
    for name in dealt[0]:
        assert (dealt[0][name].values != dealt[1][name].values).all()


# ---- Fields, and what is sent


@pytest.mark.parametrize("field", [P31, P50, GOLDILOCKS, PrimeField(2**61 - 1), PrimeField(8191)])
@pytest.mark.parametrize("holders", ["clients", 3])
def test_every_field_gives_the_same_integers(field, holders):
    result = run(Sharing(holders=holders, field=field))
    assert np.array_equal(result.integers, 256 * UPDATES.sum(axis=0))


def test_the_field_is_the_smallest_that_holds_the_sums():
    sharing = Sharing(holders=3)
    just = FixedPoint(scale=1, bound=float(P31.limit // 4))
    beyond = FixedPoint(scale=1, bound=float(P31.limit // 4 + 1))
    for encoding, field, digits in [(just, P31, 1), (beyond, P50, 1), (ENCODING, P31, 1)]:
        session = sharing.open_session(range(4), length=1, encoding=encoding)
        assert dict(session.parameters)["field"] == str(field.modulus).encode()
        assert sharing.committee(session).field == field
        assert session.digits.count == digits
    wide = FixedPoint.binary(60, bound=1000.0)
    assert sharing.field_for(wide, range(4)) == P50
    assert Sharing(field=P31).open_session(range(4), length=1, encoding=wide).digits.count > 1


@pytest.mark.parametrize(("field", "size"), [(P31, 4), (P50, 8)])
def test_a_share_costs_its_word_and_a_constant(field, size):
    def dealt(width):
        result = run(Sharing(holders=3, field=field), updates=np.ones((2, width)))
        return result.bytes["client-0", "holder-1", "protect"]

    assert dealt(2) - dealt(1) == size
    assert dealt(1001) - dealt(1) == 1000 * size


def test_shares_of_a_sum_do_not_show_in_a_message(table):
    row = table.committee.split(table.session, UPDATES[0])["holder-1"]
    message = table.say(Summed, "holder-1", "server", shares=row)
    assert "redacted" in repr(message)
    assert str(int(row.values[0, 0])) not in repr(message)


# ---- Sessions


def test_a_majority_of_the_holders_is_the_default_threshold():
    for count, majority in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)]:
        assert Sharing().threshold_for(range(count)) == majority
        assert Sharing(holders=count).threshold_for(range(9)) == majority


def test_a_session_binds_the_fewest_survivors():
    opened = [
        replace(
            Sharing(holders=3, min_survivors=fewest).open_session(range(3), length=1),
            nonce=bytes(16),
            directory=bytes(32),
        )
        for fewest in (1, 2, 2)
    ]
    assert opened[0].id != opened[1].id == opened[2].id


@pytest.mark.parametrize(
    "changes",
    [
        {"holders": 4},
        {"threshold": 3},
        {"field": GOLDILOCKS},
        {"packed": 2, "threshold": 3},
        {"quorum": 4},
        {"max_errors": 1},
    ],
    ids=str,
)
def test_a_session_binds_what_the_holders_share_and_how_and_is_refused_by_others(changes):
    usual = {"holders": 5, "threshold": 2, "quorum": 3}
    session = Sharing(**usual).open_session(range(3), length=1)
    other = Sharing(**(usual | changes))
    theirs = other.open_session(range(3), length=1)
    assert (session.parameters, session.threshold) != (theirs.parameters, theirs.threshold)
    with pytest.raises(ProtocolError, match="session: its threshold, field, holders"):
        other.committee(session)
