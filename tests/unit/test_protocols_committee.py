"""Whom the holders ask for: the choice of survivors from what each holder has heard."""

from itertools import combinations, pairwise, product

import pytest

from veilsum.protocols.committee import agree


def subsets(items):
    items = list(items)
    return [set(chosen) for size in range(len(items) + 1) for chosen in combinations(items, size)]


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
