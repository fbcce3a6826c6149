"""The graph of neighbours, and the chances behind its degree."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from veilsum.protocols import neighbours
from veilsum.protocols.neighbours import Crowd, Neighbourhoods, choose_degree

SEED = bytes(range(32))


@pytest.mark.parametrize(("clients", "degree"), [(5, 2), (9, 4), (10, 8), (64, 12), (200, 60)])
def test_every_client_has_its_degree_of_neighbours_and_they_have_it(clients, degree):
    ring = Neighbourhoods(clients, degree, SEED)
    for rank in range(clients):
        mine = ring.of(rank)
        assert len(set(mine)) == degree
        assert list(mine) == sorted(mine)
        assert rank not in mine
        assert all(rank in ring.of(other) for other in mine)


@pytest.mark.parametrize("degree", [3, 4, 99])
def test_a_degree_that_reaches_all_others_is_the_complete_graph(degree):
    ring = Neighbourhoods(4, degree, SEED)
    assert ring.complete
    assert [ring.of(rank) for rank in range(4)] == [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]


def test_a_single_client_has_no_neighbours():
    assert Neighbourhoods(1, 4, SEED).of(0) == ()


def test_the_seed_alone_determines_the_graph():
    rings = [Neighbourhoods(50, 4, seed) for seed in (SEED, SEED, bytes(32))]
    graphs = [[ring.of(rank) for rank in range(50)] for ring in rings]
    assert graphs[0] == graphs[1] != graphs[2]


def test_every_pair_is_equally_likely_to_be_neighbours():
    clients, degree, trials = 7, 2, 3000
    pairs = np.zeros((clients, clients))
    for trial in range(trials):
        ring = Neighbourhoods(clients, degree, trial.to_bytes(32, "big"))
        for rank in range(clients):
            pairs[rank, list(ring.of(rank))] += 1
    expected = trials * degree / (clients - 1)
    counts = pairs[np.triu_indices(clients, 1)]
    assert ((counts - expected) ** 2 / expected).sum() < 50  # 21 pairs: 2**-13 by chance


def test_a_million_clients_are_ordered_once_and_looked_up_one_by_one():
    ring = Neighbourhoods(10**6, 160, SEED)
    assert len(ring.of(123_456)) == 160


@pytest.mark.parametrize("degree", [2, 4])
def test_the_clients_left_hold_together_as_a_search_of_the_graph_says(degree):
    clients = 8
    ring = Neighbourhoods(clients, degree, SEED)
    for size in range(1, clients + 1):
        for left in combinations(range(clients), size):
            present = np.isin(np.arange(clients), left)
            assert ring.hold_together(present) == _is_connected(ring, set(left))


def _is_connected(ring, left):
    reached, new = set(), {min(left)}
    while new:
        reached |= new
        new = {other for rank in new for other in ring.of(rank)} & left - reached
    return reached == left


@pytest.mark.parametrize(
    ("clients", "degree", "seed"),
    [(0, 2, SEED), (9, 3, SEED), (9, 0, SEED), (9, -2, SEED), (9, 2, b"short")],
)
def test_a_graph_that_does_not_exist_is_refused(clients, degree, seed):
    with pytest.raises(ValueError, match="expected"):
        Neighbourhoods(clients, degree, seed)


@pytest.mark.parametrize("rank", [-1, 9])
def test_a_rank_beyond_the_roster_is_refused(rank):
    with pytest.raises(ValueError, match="rank"):
        Neighbourhoods(9, 2, SEED).of(rank)


def test_a_thousand_clients_need_about_as_many_neighbours_as_in_the_paper():
    chosen = choose_degree(1000)
    assert 100 <= chosen.degree <= 130
    assert 66 <= chosen.threshold <= 90
    assert max(chosen.log2_secrecy, chosen.log2_connectivity) <= -40
    assert chosen.log2_correctness <= -30


def test_the_degree_grows_with_the_logarithm_of_the_clients():
    degrees = [choose_degree(clients).degree for clients in (10**3, 10**4, 10**5, 10**6)]
    assert degrees == sorted(degrees)
    assert degrees[-1] < 2 * degrees[0]


def test_the_chances_are_those_that_enumeration_gives():
    clients, corrupt, lost, degree = 9, 2, 2, 4
    crowd = Crowd(clients, corrupt, lost)
    others = range(clients - lost - 1)  # the corrupt are the first of them
    drawn = list(combinations(others, degree))
    for least in range(4):
        hits = sum(sum(other < corrupt for other in hand) >= least for hand in drawn)
        tail = neighbours._tail(len(others), corrupt, degree, least)
        assert tail == Fraction(hits, len(drawn))
    assert crowd._exposing(degree, 1) == neighbours._tail(len(others), corrupt, degree, 1)


@pytest.mark.parametrize(("corrupt", "threshold"), [(2, 4), (3, 4), (4, 4), (4, 5), (5, 5)])
def test_the_chance_of_a_ring_that_can_be_cut_is_no_more_than_what_is_reckoned(corrupt, threshold):
    clients, degree = 12, 4
    least = threshold - 1 - degree // 2  # corrupt clients in each cut
    placings = list(combinations(range(clients), corrupt))
    cut = sum(_can_be_cut(clients, degree // 2, set(places), least) for places in placings)
    reckoned = Crowd(clients, corrupt, 0)._cutting(degree, threshold)
    assert Fraction(cut, len(placings)) <= reckoned
    assert bool(cut) == bool(reckoned)


def _can_be_cut(clients, length, corrupt, least):
    """Whether two windows that do not touch hold so many corrupt places each."""
    windows = [{(start + step) % clients for step in range(length)} for start in range(clients)]
    held = [window for window in windows if len(window & corrupt) >= least]
    return any(one.isdisjoint(other) for one, other in combinations(held, 2))


def test_a_ring_of_honest_clients_is_cut_by_dropouts_alone_unless_each_reaches_across():
    assert Crowd(400, 0, 40).assess(42, 22).log2_connectivity == 0
    assert Crowd(400, 0, 40).assess(42, 23).log2_connectivity == -math.inf
    assert Crowd(400, 0, 40).lowest_threshold(42, 40) == 23


def test_one_degree_less_or_one_threshold_less_is_not_enough():
    chosen = choose_degree(500)
    crowd = Crowd(500, 50, 50)
    assert crowd.assess(chosen.degree, chosen.threshold) == chosen
    assert crowd.assess(chosen.degree, chosen.threshold - 1).log2_connectivity > -40
    lowest = crowd.lowest_threshold(chosen.degree - 2, 40)
    assert crowd.assess(chosen.degree - 2, lowest).log2_correctness > -30


@pytest.mark.parametrize("clients", range(1, 40))
@pytest.mark.parametrize("corrupt", [0.0, 0.1, 0.3])
def test_the_threshold_stands_the_corrupt_and_the_lost(clients, corrupt):
    chosen = choose_degree(clients, corrupt=corrupt, dropout=0.1)
    marked = math.floor(Fraction(str(corrupt)) * clients)
    lost = clients // 10
    nearby = min(marked, chosen.degree) if math.isinf(chosen.log2_secrecy) else 0
    assert 2 * chosen.threshold > chosen.degree + 1 + nearby
    assert chosen.threshold <= chosen.degree + 1
    if chosen.degree == clients - 1:
        assert chosen.threshold <= clients - lost


def test_the_complete_graph_has_the_threshold_of_the_paper_where_it_suffices():
    assert choose_degree(30, corrupt=0.33, dropout=0.3).threshold == 21
    assert choose_degree(30, corrupt=0.33, dropout=0.3).degree == 29


def test_more_dropouts_than_a_third_take_a_lower_threshold_where_few_are_corrupt():
    chosen = choose_degree(10, corrupt=0.1, dropout=0.4)
    assert (chosen.degree, chosen.threshold) == (9, 6)


def test_a_share_is_what_its_decimals_say():
    assert neighbours._part("corrupt", 0.29, 100) == 29  # 0.29 * 100 is 28.999999999999996


def test_too_many_corrupt_and_lost_are_refused():
    with pytest.raises(ValueError, match="vanish"):
        choose_degree(10, corrupt=0.5, dropout=0.3)


@pytest.mark.parametrize(
    ("clients", "options", "match"),
    [
        (0, {}, "clients"),
        (9, {"corrupt": 1.0}, "corrupt"),
        (9, {"corrupt": -0.1}, "corrupt"),
        (9, {"dropout": 1.5}, "dropout"),
        (9, {"dropout": math.nan}, "dropout"),
        (9, {"security_bits": 0}, "security_bits"),
        (9, {"correctness_bits": 0}, "correctness_bits"),
    ],
)
def test_shares_and_bits_out_of_range_are_refused(clients, options, match):
    with pytest.raises(ValueError, match=match):
        choose_degree(clients, **options)


@pytest.mark.parametrize(("corrupt", "least"), [(0, 6), (1, 6), (2, 7), (3, 7), (4, 8)])
def test_in_the_complete_graph_the_lowest_threshold_keeps_the_seeds_of_a_client_apart(
    corrupt, least
):
    crowd = Crowd(10, corrupt, 0)
    assert crowd.lowest_threshold(9, 40) == least
    assert crowd.assess(9, least).log2_secrecy == -math.inf
    assert crowd.assess(9, least - 1).log2_secrecy == 0


def test_what_is_certain_to_fail_has_the_chance_one():
    crowd = Crowd(1000, 100, 100)
    assert crowd.assess(120, 10).log2_secrecy == 0
    assert crowd.assess(120, 121).log2_correctness == 0
    assert crowd.assess(2, 2).log2_connectivity == 0


def test_a_crowd_of_which_nearly_all_are_lost_is_reckoned_with_all_of_the_corrupt():
    crowd = Crowd(100, 20, 80)
    assert crowd.assess(40, 30).log2_secrecy == 0  # 19 corrupt neighbours suffice
    assert crowd.assess(40, 31).log2_secrecy == -math.inf  # it takes 21
