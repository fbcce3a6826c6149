import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from veilsum.learning import partition

SEEDS = st.integers(0, 2**32)


@st.composite
def splits(draw):
    rows = draw(st.integers(1, 60))
    clients = draw(st.integers(1, rows))
    seed = draw(SEEDS)
    finite = st.floats(-1e6, 1e6)
    column = draw(st.lists(finite, min_size=rows, max_size=rows))
    exponent = draw(st.floats(0, 5))
    proportions = draw(st.lists(st.floats(1e-6, 1e6), min_size=clients, max_size=clients))
    alpha = draw(st.floats(1e-3, 1e3))
    bins = draw(st.none() | st.integers(1, 80))
    minimum = draw(st.integers(1, rows // clients))
    labels = np.arange(rows) % draw(st.integers(clients, rows))
    split = draw(
        st.sampled_from(
            [
                lambda: partition.iid(rows, clients, seed=seed),
                lambda: partition.by_quantity(rows, clients, seed=seed, exponent=exponent),
                lambda: partition.by_quantity(rows, clients, seed=seed, proportions=proportions),
                lambda: partition.by_column(column, clients=clients),
                lambda: partition.dirichlet(
                    column, clients, alpha=alpha, seed=seed, bins=bins, minimum=minimum
                ),
                lambda: partition.by_label(labels, clients, seed=seed),
            ]
        )
    )
    return split, rows, clients


@given(splits())
def test_every_row_has_one_owner_and_every_client_a_row(case):
    split, rows, clients = case
    parts = split()
    assert len(parts) == clients
    assert all(len(part) for part in parts)
    assert all(np.all(np.diff(part) > 0) for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))


@given(splits())
def test_the_same_seed_gives_the_same_split(case):
    split, _, _ = case
    for first, second in zip(split(), split(), strict=True):
        assert np.array_equal(first, second)


@given(st.lists(st.sampled_from(["north", "south", "east"]), min_size=1, max_size=30))
def test_by_column_without_bins_never_mixes_values(column):
    parts = partition.by_column(column)
    assert [{column[row] for row in part} for part in parts] == [
        {value} for value in sorted(set(column))
    ]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.data(), SEEDS)
def test_by_label_keeps_labels_whole_and_clients_even(labels, data, seed):
    clients = data.draw(st.integers(1, len(set(labels))))
    parts = partition.by_label(labels, clients, seed=seed)
    held = [{labels[row] for row in part} for part in parts]
    assert sum(map(len, held)) == len(set(labels))
    sizes = list(map(len, parts))
    assert max(sizes) - min(sizes) <= max(map(labels.count, labels))


@given(st.lists(st.integers(0, 3), min_size=4, max_size=40), st.data(), SEEDS)
def test_dirichlet_gives_every_client_its_minimum(labels, data, seed):
    clients = data.draw(st.integers(1, 4))
    minimum = data.draw(st.integers(1, len(labels) // clients))
    parts = partition.dirichlet(labels, clients, alpha=0.05, seed=seed, bins=None, minimum=minimum)
    assert min(map(len, parts)) >= minimum
