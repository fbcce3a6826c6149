"""Sharing: clients and holders may vanish at any round, and altered sums are told or repaired."""

from dataclasses import replace
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from veilsum import shamir
from veilsum.encoding import FixedPoint
from veilsum.errors import DecodingError, InconsistentShares, InvalidShare, ProtocolError
from veilsum.field import GOLDILOCKS, P50, PrimeField
from veilsum.protocols import InMemoryTransport, Sharing
from veilsum.protocols.sharing import (
    Client,
    Dealing,
    Heard,
    Holder,
    Peer,
    Server,
    Summed,
    Survivors,
    agree,
)

ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.0], [-8.0, 8.0]])


def subsets(items):
    items = list(items)
    return [set(chosen) for size in range(len(items) + 1) for chosen in combinations(items, size)]


def add_to_sums(liars, *, places=slice(None), by=1):
    """A tamper hook: these holders add a constant to their sums."""

    def tamper(message, data):
        if not isinstance(message, Summed) or message.sender not in liars:
            return data
        shares = message.shares
        altered = shares.values.copy()
        altered[:, places] = shares.field.add(altered[:, places], np.uint64(by))
        return replace(message, shares=shares.with_values(altered)).to_bytes()

    return InMemoryTransport(tamper=tamper)


def lose(*losses):
    """A drop hook: for each (sender, kind), what that party sends of that kind is lost."""

    def drop(message):
        return any(
            message.sender == sender and isinstance(message, kind) for sender, kind in losses
        )

    return InMemoryTransport(drop=drop)


def run(aggregator, transport=None, **options):
    return aggregator.aggregate(UPDATES, encoding=ENCODING, transport=transport, **options)


# ---- Dropouts


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_every_subset_of_clients_may_vanish_while_threshold_of_them_hold(threshold):
    for gone in subsets(range(4)):
        left = [client for client in range(4) if client not in gone]
        if len(left) < max(2, threshold):
            with pytest.raises(ProtocolError):
                run(Sharing(threshold=threshold), dropped=gone)
            continue
        result = run(Sharing(threshold=threshold), dropped=gone)
        assert result.survivors == tuple(left)
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


@pytest.mark.parametrize("fewest", [None, 1, 2, 4])
def test_with_separate_holders_clients_may_vanish_down_to_the_fewest_survivors(fewest):
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


def hears(reports):
    """A drop hook: of the dealings only those to holders that hear the dealer arrive."""

    def drop(message):
        if not isinstance(message, Dealing):
            return False
        return int(message.sender.removeprefix("client-")) not in reports[message.recipient]

    return InMemoryTransport(drop=drop)


def test_lost_messages_never_open_one_clients_update():
    everybody = range(5)
    updates = np.arange(10.0).reshape(5, 2)
    reports = {f"holder-{number}": everybody for number in range(1, 6)}
    for deaf in range(1, 4):
        lossy = reports | {f"holder-{number}": [2] for number in range(1, deaf + 1)}
        aggregator = Sharing(holders=5, threshold=3)
        if deaf < 3:
            result = aggregator.aggregate(updates, transport=hears(lossy))
            assert result.survivors == tuple(everybody)
            continue
        with pytest.raises(ProtocolError, match="survivors: got 1, expected at least 3"):
            aggregator.aggregate(updates, transport=hears(lossy))


# ---- Whom the server asks


def brute_force(reports, least, fewest):
    """Whether any `least` holders have as many clients in common."""
    return any(
        len(set.intersection(*(set(reports[holder]) for holder in chosen))) >= fewest
        for chosen in combinations(reports, least)
    )


def every_report(holders, clients):
    names = [f"holder-{number}" for number in range(holders)]
    for heard in product(subsets(range(clients)), repeat=holders):
        yield dict(zip(names, heard, strict=True))


def agreed(reports, least, fewest):
    """Return whether `agree` succeeds, once its answer is checked."""
    holders, survivors = agree(reports, min_holders=least, min_survivors=fewest)
    assert len(holders) >= least
    assert list(holders) == [name for name in reports if name in holders]
    common = set.intersection(*(set(reports[name]) for name in holders))
    assert survivors == tuple(sorted(common))
    return len(survivors) >= fewest


@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("fewest", [1, 2, 3])
def test_among_three_holders_survivors_are_found_whenever_there_are_any(least, fewest):
    for reports in every_report(3, 3):
        assert agreed(reports, least, fewest) == brute_force(reports, least, fewest)


@pytest.mark.parametrize("least", [1, 3, 4])
def test_among_four_holders_leaving_out_one_or_all_but_one_is_exact(least):
    for reports in every_report(4, 3):
        assert agreed(reports, least, 2) == brute_force(reports, least, 2)


def test_whenever_enough_holders_heard_all_or_more_than_the_next_survivors_are_found():
    for reports in every_report(4, 3):
        heard = sorted(map(len, reports.values()), reverse=True)
        union = set.union(*reports.values())
        by_size = sorted(reports.values(), key=len, reverse=True)
        nested = all(more >= fewer for more, fewer in pairwise(by_size))
        for fewest in (1, 2, 3):
            found = agreed(reports, 2, fewest)
            possible = brute_force(reports, 2, fewest)
            assert possible or not found
            if nested or heard[1] == len(union):
                assert found == possible


def test_the_choice_is_not_exhaustive_and_says_so():
    reports = {"a": [0, 1], "b": [0, 1], "c": [2, 3, 4], "d": [3, 4, 5, 6], "e": [4, 5, 6, 7]}
    assert brute_force(reports, 2, 3)
    assert agreed(reports, 2, 3)
    reports = {"a": [0, 1], "b": [0, 1], "c": [2, 3, 4], "d": [5, 6, 7]}
    assert brute_force(reports, 2, 2)
    assert not agreed(reports, 2, 2)
    assert "it may fail where another choice would not" in agree.__doc__


def test_no_holder_is_left_out_without_need():
    reports = {"a": [0, 1, 2], "b": [0, 1], "c": [0, 1, 2]}
    assert agree(reports, min_holders=2, min_survivors=2) == (("a", "b", "c"), (0, 1))
    assert agree(reports, min_holders=2, min_survivors=3) == (("a", "c"), (0, 1, 2))
    assert agree(reports, min_holders=3, min_survivors=3) == (("a", "b", "c"), (0, 1))


def test_of_equal_holders_the_last_is_left_out():
    reports = {"a": [0, 1], "b": [1, 2], "c": [2, 0]}
    assert agree(reports, min_holders=2, min_survivors=2) == (("a", "b"), (1,))
    reports = {"a": [0, 1, 2], "b": [0, 1], "c": [1, 2]}
    assert agree(reports, min_holders=2, min_survivors=2) == (("a", "b"), (0, 1))


@pytest.mark.parametrize("deaf", range(5))
@pytest.mark.parametrize("heard", [[], [0, 1], [0, 1, 2, 3]], ids=str)
def test_one_deaf_peer_does_not_end_a_session_that_the_others_can_finish(deaf, heard):
    updates = np.arange(10.0).reshape(5, 2)
    name = f"client-{deaf}"
    reports = {f"client-{client}": range(5) for client in range(5)} | {name: heard}
    result = Sharing(threshold=3).aggregate(updates, transport=hears(reports))
    if len({*heard, deaf}) >= 3:
        assert result.survivors == tuple(sorted({*heard, deaf}))
    else:
        assert result.survivors == (0, 1, 2, 3, 4)
        assert (name, "server", "combine") in result.bytes
        assert result.bytes.keys().isdisjoint({("server", name, "combine")})
    assert np.array_equal(result.sum, updates[list(result.survivors)].sum(axis=0))


def test_the_server_takes_no_sum_of_a_holder_that_it_has_left_out():
    session, members = committee(holders=3, threshold=2)
    server = Server(session, members, check=True)
    server.start()
    reports = zip(members.holders, [(0, 1, 2), (0,), (0, 1, 2)], strict=True)
    sent = [
        message
        for holder, clients in reports
        for message in server.receive(
            Heard(session_id=session.id, sender=holder, recipient="server", clients=clients)
        )
    ]
    assert [message.recipient for message in sent] == ["holder-1", "holder-3"]
    assert server.late == ("holder-1", "holder-3")
    (shares, *_) = [m.shares for m in Client(session, members, 0, UPDATES[0]).start()]
    summed = Summed(session_id=session.id, sender="holder-2", recipient="server", shares=shares)
    with pytest.raises(ProtocolError, match="expects no"):
        server.receive(summed)


@pytest.mark.parametrize("kind", [Heard, Summed])
def test_every_subset_of_holders_may_vanish_in_any_round_while_threshold_remain(kind):
    names = [f"holder-{number}" for number in range(1, 5)]
    for gone in subsets(names):
        transport = lose(*((name, kind) for name in gone))
        if len(gone) > 2:
            with pytest.raises(ProtocolError, match="server needs 2 messages"):
                run(Sharing(holders=4, threshold=2), transport)
            continue
        result = run(Sharing(holders=4, threshold=2), transport)
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))


def test_holders_may_vanish_in_different_rounds():
    transport = lose(("holder-1", Heard), ("holder-4", Summed))
    result = run(Sharing(holders=4, threshold=2), transport)
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    with pytest.raises(ProtocolError, match="needs 3 messages 'sharing/summed' to go on and has 2"):
        run(Sharing(holders=4, threshold=3), lose(("holder-1", Heard), ("holder-4", Summed)))


def test_a_client_that_vanishes_after_dealing_stays_in_the_sum():
    for gone in subsets(f"client-{client}" for client in range(4)):
        transport = lose(*((name, Summed) for name in gone))
        if len(gone) > 1:
            with pytest.raises(ProtocolError, match="server needs 3"):
                run(Sharing(threshold=3), transport)
            continue
        result = run(Sharing(threshold=3), transport)
        assert result.survivors == (0, 1, 2, 3)
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))


@pytest.mark.parametrize("reached", subsets(range(1, 5)), ids=str)
def test_a_client_counts_only_when_it_has_reached_every_answering_holder(reached):
    def drop(message):
        lost = isinstance(message, Dealing) and message.sender == "client-2"
        return lost and int(message.recipient.removeprefix("holder-")) not in reached

    result = run(Sharing(holders=4, threshold=2), InMemoryTransport(drop=drop))
    left = [0, 1, 2, 3] if len(reached) == 4 else [0, 1, 3]
    assert result.survivors == tuple(left)
    assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


def test_a_client_that_missed_only_a_vanished_holder_stays_in_the_sum():
    def drop(message):
        missed = isinstance(message, Dealing) and message.sender == "client-2"
        return (missed and message.recipient == "holder-3") or message.sender == "holder-3"

    result = run(Sharing(holders=3, threshold=2), InMemoryTransport(drop=drop))
    assert result.survivors == (0, 1, 2, 3)


def test_a_holder_that_heard_nobody_falls_silent():
    transport = InMemoryTransport(
        drop=lambda message: isinstance(message, Dealing) and message.recipient == "holder-1"
    )
    result = run(Sharing(holders=3, threshold=2), transport)
    assert result.survivors == (0, 1, 2, 3)
    assert ("holder-1", "server", "combine") not in result.bytes


@pytest.mark.parametrize("fewest", [1, 2])
def test_every_pattern_of_lost_dealings_gives_the_survivors_sum_or_an_error(fewest):
    names = [f"holder-{number}" for number in (1, 2, 3)]
    for pattern in product(subsets(range(3)), repeat=3):
        reports = dict(zip(names, pattern, strict=True))
        aggregator = Sharing(holders=3, threshold=2, min_survivors=fewest)
        updates, transport = UPDATES[:3], hears(reports)
        answering = {name: heard for name, heard in reports.items() if heard}
        if not brute_force(answering, 2, fewest):
            with pytest.raises(ProtocolError):
                aggregator.aggregate(updates, encoding=ENCODING, transport=transport)
            continue
        result = aggregator.aggregate(updates, encoding=ENCODING, transport=transport)
        left = list(result.survivors)
        assert len(left) >= fewest
        assert sum(pattern_of >= set(left) for pattern_of in pattern) >= 2
        assert np.array_equal(result.sum, UPDATES[left].sum(axis=0))


# ---- Altered sums


@pytest.mark.parametrize("places", [slice(None), slice(0, 1)], ids=["everywhere", "in one place"])
def test_altered_sums_of_up_to_the_redundancy_are_an_error_never_a_guess(places):
    names = [f"holder-{number}" for number in range(1, 6)]
    for liars in subsets(names):
        if not 1 <= len(liars) <= 3:
            continue
        with pytest.raises(DecodingError):
            run(Sharing(holders=5, threshold=2), add_to_sums(liars, places=places))


def test_honest_sums_pass_the_check():
    assert np.array_equal(run(Sharing(holders=5), add_to_sums(set())).sum, UPDATES.sum(axis=0))


@pytest.mark.parametrize("by", [1, 12345, P50.modulus - 1])
def test_without_the_check_a_liar_among_the_first_gives_a_wrong_sum_silently(by):
    aggregator = Sharing(holders=5, threshold=3, check=False)
    for liar in range(1, 6):
        result = run(aggregator, add_to_sums({f"holder-{liar}"}, by=by))
        right = np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert right == (liar > 3)
        assert result.sum.shape == (2,)


def test_without_the_check_wrong_digits_give_a_wrong_sum_silently():
    wide = FixedPoint.binary(60, bound=1000.0)
    aggregator = Sharing(holders=3, check=False)
    result = aggregator.aggregate(
        UPDATES, encoding=wide, transport=add_to_sums({"holder-1"}, by=P50.modulus // 3)
    )
    assert result.integers.dtype == object
    assert np.isfinite(result.sum).all()
    assert not np.isclose(result.sum, UPDATES.sum(axis=0)).any()


def test_without_redundancy_only_a_sum_out_of_range_is_told():
    aggregator = Sharing(holders=3, threshold=3)
    with pytest.raises(DecodingError):
        run(aggregator, add_to_sums({"holder-1"}, by=P50.modulus // 2))
    result = run(aggregator, add_to_sums({"holder-1"}))  # weight 3 of the Lagrange basis at 0
    assert np.array_equal(result.integers, 256 * UPDATES.sum(axis=0) + 3)


def test_a_sum_beyond_what_the_clients_can_give_is_told_also_between_digits():
    bound = 1000.0
    field = PrimeField(8191)
    encoding = FixedPoint.binary(0, bound=bound)
    aggregator = Sharing(holders=1, threshold=1, field=field)
    session = aggregator.open_session(range(5), length=1, encoding=encoding)
    assert session.digits.count == 2
    extreme = session.digits.digit_limit * 5 - 1  # both digits in range, the sum is not
    transport = InMemoryTransport(
        tamper=lambda message, data: (
            replace(
                message,
                shares=message.shares.with_values(field.residues([[extreme, extreme]])),
            ).to_bytes()
            if isinstance(message, Summed)
            else data
        )
    )
    with pytest.raises(DecodingError, match="at least one holder's sum was altered"):
        aggregator.aggregate(np.zeros((5, 1)), encoding=encoding, transport=transport)


def test_a_holder_that_added_up_others_than_the_survivors_is_told():
    def tamper(message, data):
        if isinstance(message, Survivors) and message.recipient == "holder-2":
            return replace(message, clients=(0, 1, 2)).to_bytes()
        return data

    # The bound that the sum carries tells already; holders lie about it in the next test.
    with pytest.raises(ProtocolError, match="shares for holder-2: bound"):
        run(Sharing(holders=3), InMemoryTransport(tamper=tamper))


def test_a_sum_of_other_dealings_is_inconsistent_even_without_redundancy():
    def tamper(message, data):
        if isinstance(message, Summed) and message.sender == "holder-2":
            shares = replace(message.shares, dealing=message.shares.dealing ^ 1)
            return replace(message, shares=shares).to_bytes()
        return data

    with pytest.raises(ProtocolError, match=r"server cannot go on .*dealing") as caught:
        run(Sharing(holders=2), InMemoryTransport(tamper=tamper))
    assert isinstance(caught.value.__cause__, InconsistentShares)


@pytest.mark.parametrize("kind", [Dealing, Summed])
def test_shares_that_no_dealing_has_are_a_protocol_error(kind):
    def tamper(message, data):
        if not isinstance(message, kind):
            return data
        return data.replace(message.shares.values[0, -1].tobytes(), b"\xff" * 8)

    with pytest.raises(ProtocolError, match=r"cannot read .* of ") as caught:
        run(Sharing(holders=3), InMemoryTransport(tamper=tamper))
    assert isinstance(caught.value.__cause__, InvalidShare)


# ---- Repaired sums


@pytest.mark.parametrize("places", [slice(None), slice(0, 1)], ids=["everywhere", "in one place"])
def test_altered_sums_are_repaired_and_their_holders_named_and_more_of_them_are_told(places):
    aggregator = Sharing(holders=6, threshold=2, max_errors=1)
    for liars in subsets(f"holder-{number}" for number in range(1, 7)):
        if len(liars) > 3:
            continue
        transport = add_to_sums(liars, places=places)  # equal lies: all liars collude
        if len(liars) > 1:
            with pytest.raises(DecodingError, match="more than 1 of the 6"):
                run(aggregator, transport)
            continue
        result = run(aggregator, transport)
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert result.liars == tuple(liars)


def test_several_liars_are_named_in_the_order_of_the_holders():
    aggregator = Sharing(holders=7, threshold=3, max_errors=2)
    for liars in combinations(range(1, 8), 2):
        names = tuple(f"holder-{number}" for number in liars)
        result = run(aggregator, add_to_sums(set(names)))
        assert np.array_equal(result.sum, UPDATES.sum(axis=0))
        assert result.liars == names


def test_clients_that_hold_shares_are_named_too():
    result = run(Sharing(threshold=2, max_errors=1), add_to_sums({"client-2"}))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("client-2",)


def test_nobody_is_named_where_nobody_lies_or_nothing_is_repaired():
    assert run(Sharing(threshold=2, max_errors=1)).liars == ()
    assert run(Sharing(threshold=2)).liars == ()
    unchecked = Sharing(threshold=2, check=False)
    assert run(unchecked, add_to_sums({"client-0"})).liars == ()


@pytest.mark.parametrize("kind", [Heard, Summed])
@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_vanished_holders_are_erasures_and_cost_half_of_what_a_liar_does(kind, gone):
    def drop(message):
        return isinstance(message, kind) and int(message.sender[-1]) > 6 - gone

    tamper = add_to_sums({"holder-1"})._tamper
    aggregator = Sharing(holders=6, threshold=2, max_errors=1)
    transport = InMemoryTransport(drop=drop, tamper=tamper)
    if gone > 2:
        with pytest.raises(ProtocolError, match=r"server needs 4 messages .* has 3; missing are"):
            run(aggregator, transport)
        return
    result = run(aggregator, transport)
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-1",)


def test_the_server_leaves_out_no_deaf_holder_that_it_needs_for_the_repair():
    reports = {f"holder-{number}": range(5) for number in range(1, 6)} | {"holder-5": [2]}
    updates = np.arange(10.0).reshape(5, 2)
    enough = Sharing(holders=5, threshold=2, max_errors=1)
    assert enough.aggregate(updates, transport=hears(reports)).survivors == tuple(range(5))
    with pytest.raises(ProtocolError, match="survivors: got 1, expected at least 3"):
        Sharing(holders=5, threshold=3, max_errors=1).aggregate(updates, transport=hears(reports))


@pytest.mark.parametrize("lies", [True, False])
def test_a_false_tag_does_not_end_a_round_that_is_repaired(lies):
    def tamper(message, data):
        if not isinstance(message, Summed) or message.sender != "holder-1":
            return data
        values = message.shares.values // 2 if lies else message.shares.values
        shares = replace(message.shares.with_values(values), dealing=message.shares.dealing ^ 1)
        return replace(message, shares=shares).to_bytes()

    result = run(Sharing(holders=4, threshold=2, max_errors=1), InMemoryTransport(tamper=tamper))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == (("holder-1",) if lies else ())


def test_the_victim_of_a_client_that_deals_wrongly_is_named_as_the_documentation_says():
    def tamper(message, data):
        if (message.sender, message.recipient) != ("client-0", "holder-3"):
            return data
        altered = message.shares.with_values(message.shares.values // 2)
        return replace(message, shares=altered).to_bytes()

    result = run(Sharing(holders=5, max_errors=1), InMemoryTransport(tamper=tamper))
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-3",)
    assert "the victim of a client" in Sharing.__doc__


def test_digits_of_wide_sums_are_repaired_too():
    wide = FixedPoint.binary(60, bound=1000.0)
    aggregator = Sharing(holders=4, threshold=2, max_errors=1, field=GOLDILOCKS)
    transport = add_to_sums({"holder-4"}, places=slice(1, 2))
    result = aggregator.aggregate(UPDATES, encoding=wide, transport=transport)
    assert np.array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("holder-4",)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"holders": 5, "max_errors": -1}, "max_errors: got -1, expected at least 0"),
        ({"holders": 5, "threshold": 4, "max_errors": 1}, "takes 6 holders with threshold 4, got"),
        ({"holders": 4, "max_errors": 1}, "to repair 1 takes 5 holders with threshold 3, got 4"),
        ({"holders": 5, "max_errors": 1, "check": False}, "1 with check=False"),
    ],
)
def test_errors_that_cannot_be_repaired_are_refused_at_once(options, match):
    with pytest.raises(ValueError, match=match):
        Sharing(**options)


def test_clients_too_few_for_the_repair_are_refused_when_they_are_known():
    aggregator = Sharing(threshold=3, max_errors=1)
    with pytest.raises(ValueError, match="to repair 1 takes 5 holders with threshold 3, got 4"):
        run(aggregator)
    assert aggregator.open_session(range(5), length=1).threshold == 3


# ---- Messages that are refused


def committee(holders=3, threshold=2):
    aggregator = Sharing(holders=holders, threshold=threshold)
    session = aggregator.open_session(range(4), length=2, encoding=ENCODING)
    return session, aggregator.committee(session)


def started_holder():
    session, members = committee()
    holder = Holder(session, members, "holder-2")
    assert holder.start() == []
    dealings = [
        message
        for client in range(4)
        for message in Client(session, members, client, UPDATES[client]).start()
        if message.recipient == "holder-2"
    ]
    return session, members, holder, dealings


def shares_like(dealing, **changes):
    return replace(dealing, shares=replace(dealing.shares, **changes))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"points": np.array([1], np.uint64)}, r"points is \[1\], not \[2\]"),
        ({"threshold": 1}, "threshold is 1, not 2"),
        ({"shares": 4}, "shares is 4, not 3"),
        ({"field": PrimeField(2**61 - 1)}, "modulus is"),
        ({"layout": "roots", "points": np.ones(1, np.uint64)}, "layout is roots, not integers"),
        ({"values": np.zeros((1, 3), np.uint64), "shape": (3,)}, r"shape is \(3,\), not \(2,\)"),
        ({"values": np.zeros((1, 2, 1), np.uint64), "shape": (2, 1)}, "shape is"),
        ({"bound": 1}, "bound is 1"),
        ({"dtype": np.dtype(np.int8)}, "dtype is int8"),
    ],
    ids=str,
)
def test_rows_that_are_not_the_holders_are_refused_and_change_nothing(changes, match):
    _, _, holder, dealings = started_holder()
    with pytest.raises(ProtocolError, match=match):
        holder.receive(shares_like(dealings[0], **changes))
    assert holder.late == ("client-0", "client-1", "client-2", "client-3")
    for dealing in dealings[:-1]:
        assert holder.receive(dealing) == []
    (heard,) = holder.receive(dealings[-1])
    assert heard.clients == (0, 1, 2, 3)


def test_a_row_of_another_layout_is_refused():
    session, members = committee()
    holder = Holder(session, members, "holder-1")
    holder.start()
    (dealing, *_) = Client(session, members, 0, UPDATES[0]).start()
    with pytest.raises(ProtocolError, match="layout is roots, not integers"):
        holder.receive(shares_like(dealing, layout="roots"))


def test_rows_of_several_secrets_a_polynomial_are_refused():
    session, members = committee(threshold=3)
    holder = Holder(session, members, "holder-1")
    holder.start()
    (dealing, *_) = Client(session, members, 0, UPDATES[0]).start()
    with pytest.raises(ProtocolError, match="packed is 2, not 1"):
        holder.receive(shares_like(dealing, packed=2, shape=(4,)))


def test_a_holder_refuses_replays_duplicates_strangers_and_other_rounds():
    session, _, holder, dealings = started_holder()
    holder.receive(dealings[0])
    _, _, _, foreign = started_holder()
    announcement = Survivors(
        session_id=session.id, sender="server", recipient="holder-2", clients=(0,)
    )
    for message, match in [
        (dealings[0], "already"),
        (foreign[1], "foreign session"),
        (replace(dealings[1], sender="client-9"), "of 'client-9'"),
        (replace(dealings[1], recipient="holder-1"), "to 'holder-1'"),
        (announcement, "another round"),
    ]:
        with pytest.raises(ProtocolError, match=match):
            holder.receive(message)


def announced_holder(clients):
    session, _, holder, dealings = started_holder()
    for dealing in dealings[:3]:
        holder.receive(dealing)
    (heard,) = holder.deadline()
    assert heard.clients == (0, 1, 2)
    survivors = Survivors(
        session_id=session.id, sender="server", recipient="holder-2", clients=clients
    )
    return holder, survivors


@pytest.mark.parametrize("clients", [(), (0,), (0, 1), (2,)], ids=str)
def test_a_holder_gives_out_no_sum_of_fewer_than_the_fewest_survivors(clients):
    holder, survivors = announced_holder(clients)
    with pytest.raises(ProtocolError, match=f"survivors: got {len(clients)}, expected at least 3"):
        holder.receive(survivors)
    (summed,) = holder.receive(replace(survivors, clients=(0, 1, 2)))
    assert summed.shares.points.tolist() == [2]


@pytest.mark.parametrize("clients", [(0, 1, 3), (0, 1, 9), (1, 0, 2), (0, 0, 1)], ids=str)
def test_a_holder_refuses_survivors_that_it_has_not_heard(clients):
    holder, survivors = announced_holder(clients)
    with pytest.raises(ProtocolError):
        holder.receive(survivors)
    assert holder.late == ("server",)


def test_a_holder_gives_out_one_sum_a_session():
    holder, survivors = announced_holder((0, 1, 2))
    (summed,) = holder.receive(survivors)
    assert summed.shares.points.tolist() == [2]
    for clients in [(0, 1, 2), (0, 1), (1,)]:
        with pytest.raises(ProtocolError, match="waits for nothing"):
            holder.receive(replace(survivors, clients=clients))
    with pytest.raises(ProtocolError, match="add_up"):
        holder.add_up()


def test_a_server_that_equivocates_opens_a_difference_as_the_documentation_says():
    session, members = committee(holders=4, threshold=2)
    assert session.min_survivors == 3
    holders = [Holder(session, members, name) for name in members.holders]
    dealings = [
        message
        for client in range(4)
        for message in Client(session, members, client, UPDATES[client]).start()
    ]
    sums = {}
    for position, holder in enumerate(holders):
        holder.start()
        for dealing in dealings:
            if dealing.recipient == holder.name:
                holder.receive(dealing)
        clients = (0, 1, 2, 3) if position < 2 else (0, 1, 2)
        announced = Survivors(
            session_id=session.id, sender="server", recipient=holder.name, clients=clients
        )
        (summed,) = holder.receive(announced)
        sums.setdefault(clients, []).append(summed.shares)
    four, three = (shamir.reconstruct(shamir.Shares.join(rows)) for rows in sums.values())
    assert np.array_equal(four - three, 256 * UPDATES[3])
    assert "equivocate" in Sharing.__doc__


def test_only_the_server_names_survivors():
    holder, survivors = announced_holder((0, 1))
    with pytest.raises(ProtocolError, match="of 'holder-1'"):
        holder.receive(replace(survivors, sender="holder-1"))


def test_a_holder_whose_server_vanished_leaves():
    holder, _ = announced_holder((0,))
    with pytest.raises(ProtocolError, match="missing are server"):
        holder.deadline()
    assert holder.awaits is None


@pytest.mark.parametrize("clients", [(4,), (1, 0), (2, 2)], ids=str)
def test_the_server_refuses_reports_of_clients_outside_the_roster(clients):
    session, members = committee()
    server = Server(session, members, check=True)
    server.start()
    heard = Heard(session_id=session.id, sender="holder-1", recipient="server", clients=clients)
    with pytest.raises(ProtocolError):
        server.receive(heard)
    assert server.late == ("holder-1", "holder-2", "holder-3")


def test_clients_and_outsiders_are_no_holders():
    session, members = committee()
    server = Server(session, members, check=True)
    server.start()
    for sender in ("client-0", "holder-4", "server"):
        heard = Heard(session_id=session.id, sender=sender, recipient="server", clients=(0,))
        with pytest.raises(ProtocolError, match="expects no"):
            server.receive(heard)


def test_no_common_client_is_an_error():
    session, members = committee()
    server = Server(session, members, check=True)
    server.start()
    reports = [
        Heard(session_id=session.id, sender=holder, recipient="server", clients=(client,))
        for client, holder in enumerate(members.holders)
    ]
    for heard in reports[:-1]:
        server.receive(heard)
    with pytest.raises(ProtocolError, match="survivors: got 0, expected at least 3"):
        server.receive(reports[-1])


# ---- What is sent


def test_a_peer_keeps_its_own_share():
    aggregator = Sharing(threshold=2)
    session = aggregator.open_session(range(3), length=2, encoding=ENCODING)
    peer = Peer(session, aggregator.committee(session), 1, UPDATES[1])
    assert [message.recipient for message in peer.start()] == ["client-0", "client-2"]
    assert peer.late == ("client-0", "client-2")


def test_a_client_alone_sums_to_its_own_update():
    result = Sharing().aggregate(UPDATES[:1], encoding=ENCODING)
    assert np.array_equal(result.sum, UPDATES[0])


def test_threshold_dealings_hold_the_update_and_fewer_are_all_possible_ones():
    session, members = committee(holders=3, threshold=2)
    dealt = [
        [message.shares for message in Client(session, members, 0, UPDATES[0]).start()]
        for _ in range(2)
    ]
    for rows in dealt:
        for pair in combinations(rows, 2):
            rebuilt = shamir.reconstruct(shamir.Shares.join(pair))
            assert np.array_equal(rebuilt, 256 * UPDATES[0])
    for first, second in zip(*dealt, strict=True):
        assert (first.values != second.values).all()


def test_shares_do_not_show_in_a_message():
    session, members = committee()
    (message, *_) = Client(session, members, 0, UPDATES[0]).start()
    assert "redacted" in repr(message)
    assert str(int(message.shares.values[0, 0])) not in repr(message)


def test_a_share_costs_eight_bytes_a_number_and_a_constant():
    def dealt(width):
        result = Sharing(holders=3).aggregate(np.ones((2, width)), encoding=ENCODING)
        return result.bytes["client-0", "holder-1", "protect"]

    assert dealt(2) - dealt(1) == 8
    assert dealt(1001) - dealt(1) == 8000


# ---- Options


@pytest.mark.parametrize("field", [P50, GOLDILOCKS, PrimeField(2**61 - 1), PrimeField(8191)])
def test_every_field_gives_the_same_integers(field):
    result = run(Sharing(field=field))
    assert np.array_equal(result.integers, 256 * UPDATES.sum(axis=0))


def test_a_majority_of_the_holders_is_the_default_threshold():
    for count, majority in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)]:
        assert Sharing().threshold_for(range(count)) == majority
        assert Sharing(holders=count).threshold_for(range(9)) == majority


@pytest.mark.parametrize("holders", ["servers", "", 0, -1])
def test_impossible_holders_are_refused(holders):
    with pytest.raises(ValueError, match="holders: got"):
        Sharing(holders=holders)


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_a_threshold_beyond_the_holders_is_refused(threshold):
    with pytest.raises(ValueError, match="expected 1 to 3, all the holders"):
        run(Sharing(holders=3, threshold=threshold))


def test_a_session_binds_the_fewest_survivors():
    opened = [
        replace(
            Sharing(holders=3, min_survivors=fewest).open_session(range(3), length=1),
            nonce=bytes(16),
        )
        for fewest in (1, 2, 2)
    ]
    assert opened[0].id != opened[1].id == opened[2].id


def test_a_session_binds_field_and_holders():
    def parameters(**options):
        return Sharing(threshold=2, **options).open_session(range(3), length=1).parameters

    assert parameters() == parameters()
    assert parameters() != parameters(holders=3)
    assert parameters() != parameters(field=GOLDILOCKS)
