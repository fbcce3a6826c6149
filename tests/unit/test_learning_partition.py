from itertools import pairwise

import numpy as np
import pytest

from veilsum.learning import datasets, partition

COLUMN = np.linspace(0.0, 1.0, 10)


def sizes(parts):
    return [len(part) for part in parts]


def test_iid_deals_evenly_and_shuffled():
    parts = partition.iid(100, 7, seed=3)
    assert sizes(parts) == [15, 15, 14, 14, 14, 14, 14]
    assert not np.array_equal(np.concatenate(parts), np.arange(100))


def test_by_quantity_follows_the_power_law():
    parts = partition.by_quantity(10_000, 4, seed=0, exponent=2.0)
    law = np.array([1, 1 / 4, 1 / 9, 1 / 16])
    assert np.allclose(sizes(parts), 10_000 * law / law.sum(), atol=1)


def test_by_quantity_with_exponent_zero_is_even():
    assert sizes(partition.by_quantity(12, 4, seed=0, exponent=0.0)) == [3, 3, 3, 3]


def test_by_quantity_takes_given_proportions():
    parts = partition.by_quantity(1000, 3, seed=0, proportions=[1, 7, 2])
    assert sizes(parts) == [100, 700, 200]


def test_by_quantity_leaves_nobody_without_a_row():
    assert sizes(partition.by_quantity(5, 4, seed=0, exponent=9.0)) == [2, 1, 1, 1]
    assert sizes(partition.by_quantity(4, 4, seed=0, proportions=[1e9, 1, 1, 1])) == [1] * 4


def test_by_column_gives_each_value_a_client():
    wine = datasets.load("wine_quality")
    white, red = partition.by_column(wine.X[:, 0])
    assert not wine.X[white, 0].any()
    assert wine.X[red, 0].all()


def test_by_column_bins_are_ranges_of_equal_size():
    column = np.random.default_rng(0).normal(size=101)
    parts = partition.by_column(column, clients=4)
    assert sizes(parts) == [26, 25, 25, 25]
    for lower, upper in pairwise(parts):
        assert column[lower].max() <= column[upper].min()


def test_by_column_bins_stay_equal_when_one_value_fills_the_column():
    assert sizes(partition.by_column(np.zeros(9), clients=3)) == [3, 3, 3]


def test_small_alpha_skews_the_target_and_large_alpha_does_not():
    target = datasets.load("concrete").y

    def spread(alpha):
        parts = partition.dirichlet(target, 8, alpha=alpha, seed=1)
        return np.std([target[part].mean() for part in parts])

    even, skewed = spread(1e6), spread(0.05)
    assert even < 0.05 * target.std()
    assert skewed > 0.3 * target.std()


def test_dirichlet_leaves_nobody_without_a_row():
    assert sizes(partition.dirichlet(COLUMN, 10, alpha=1e-3, seed=0)) == [1] * 10


def test_whole_labels_are_dealt_out_evenly():
    labels = np.repeat(["a", "b", "c", "d", "e", "f"], [5, 3, 4, 5, 3, 4])
    parts = partition.by_label(labels, 3, seed=0)
    assert max(sizes(parts)) - min(sizes(parts)) <= 5  # the largest label
    for label in "abcdef":
        assert sum(label in labels[part] for part in parts) == 1
    assert len({str(partition.by_label(labels, 3, seed=seed)) for seed in range(10)}) > 5


def test_labels_too_few_for_the_minimum_are_refused():
    with pytest.raises(ValueError, match="minimum: got 4, but client 1 has 3 rows; use fewer"):
        partition.by_label(["a"] * 9 + ["b"] * 3, 2, seed=0, minimum=4)


def test_distinct_labels_are_bins_of_the_dirichlet_split():
    labels = np.repeat(["a", "b"], [90, 10])
    parts = partition.dirichlet(labels, 2, alpha=1e9, seed=0, bins=None)
    assert [(labels[part] == "b").sum() for part in parts] == [5, 5]


def test_dirichlet_gives_every_client_the_minimum():
    parts = partition.dirichlet(np.arange(100) % 3, 8, alpha=0.01, seed=0, bins=None, minimum=7)
    assert min(sizes(parts)) == 7
    assert sizes(partition.dirichlet(COLUMN, 5, alpha=1e-3, seed=0, minimum=2)) == [2] * 5


def test_owners_inverts_a_partition():
    parts = partition.iid(20, 3, seed=0)
    for client, part in enumerate(partition.by_column(partition.owners(parts))):
        assert np.array_equal(part, parts[client])


@pytest.mark.parametrize(
    "split",
    [
        lambda clients: partition.iid(10, clients, seed=0),
        lambda clients: partition.by_quantity(10, clients, seed=0),
        lambda clients: partition.by_column(COLUMN, clients=clients),
        lambda clients: partition.dirichlet(COLUMN, clients, alpha=1.0, seed=0),
        lambda clients: partition.by_label(COLUMN, clients, seed=0),
    ],
)
@pytest.mark.parametrize(("clients", "message"), [(11, "n_samples = 10"), (0, "at least 1")])
def test_more_clients_than_rows_or_none_are_refused(split, clients, message):
    with pytest.raises(ValueError, match=message):
        split(clients)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: partition.by_quantity(9, 2, seed=0, exponent=-1.0), "exponent"),
        (lambda: partition.by_quantity(9, 2, seed=0, exponent=np.nan), "exponent"),
        (lambda: partition.by_quantity(9, 2, seed=0, proportions=[1]), r"proportions.*\(1,\)"),
        (lambda: partition.by_quantity(9, 2, seed=0, proportions=[1, 0]), "proportions"),
        (lambda: partition.by_quantity(9, 2, seed=0, proportions=[1, np.inf]), "proportions"),
        (lambda: partition.by_column([1.0, np.nan]), "NaN"),
        (lambda: partition.by_column([]), r"\(0,\)"),
        (lambda: partition.by_column([[1.0]]), r"\(1, 1\)"),
        (lambda: partition.dirichlet(COLUMN, 2, alpha=0.0, seed=0), "alpha"),
        (lambda: partition.dirichlet(COLUMN, 2, alpha=np.inf, seed=0), "alpha"),
        (lambda: partition.dirichlet(COLUMN, 2, alpha=1.0, seed=0, bins=0), "bins"),
        (lambda: partition.dirichlet([np.nan, 1.0], 2, alpha=1.0, seed=0), "NaN"),
        (lambda: partition.dirichlet(COLUMN, 2, alpha=1.0, seed=0, minimum=0), "minimum: got 0"),
        (lambda: partition.dirichlet(COLUMN, 2, alpha=1.0, seed=0, minimum=6), "least 6 rows"),
        (lambda: partition.by_label(COLUMN, 2, seed=0, minimum=0), "minimum: got 0"),
        (lambda: partition.by_label(COLUMN, 2, seed=0, minimum=6), "least 6 rows"),
        (lambda: partition.by_label([1, 1, 2], 3, seed=0), "3 for 2 labels"),
        (lambda: partition.by_label([1.0, np.nan], 1, seed=0), "NaN"),
        (lambda: partition.owners([np.array([0, 1]), np.array([1])]), "one owner"),
        (lambda: partition.owners([np.array([0, 2])]), "one owner"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
