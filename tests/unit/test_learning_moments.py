from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from veilsum import protocols
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.learning.moments import TABLE_ENCODING, Moments, Scaling, least_squares, sum_moments

TABLES = [
    np.array([[2024.0, 0.1, -3.0], [2025.0, 0.2, 1e15]]),
    np.array([[2026.0, 0.4, 2.0**60]]),
    np.array([[2024.5, 1e8, -7.25], [2023.0, 0.7, 0.5], [2022.0, -0.3, 0.0]]),
]


def added(tables=TABLES, *, pairs=True, aggregator="plain", **options):
    return sum_moments(tables, pairs=pairs, aggregator=aggregator, **options)


def solved(table, rcond=1e-12):
    moments, _ = added([np.asarray(table, dtype=np.float64)])
    return least_squares(moments, rcond=rcond)


@pytest.mark.parametrize("aggregator", ["plain", "sharing"])
def test_sums_and_products_are_exact(aggregator):
    moments, _ = added(aggregator=aggregator)
    table = [[Fraction(cell) for cell in row] for part in TABLES for row in part]
    scale = TABLE_ENCODING.scale
    assert moments.rows == len(table)
    for a in range(3):
        assert Fraction(moments.sums[a], scale) == sum(row[a] for row in table)
        for b in range(3):
            exact = sum(row[a] * row[b] for row in table)
            assert Fraction(moments.products[a, b], scale**2) == exact


def test_without_pairs_only_the_squares_are_opened():
    squares, _ = added(pairs=False)
    everything, _ = added()
    assert np.array_equal(squares.products, np.diagonal(everything.products))
    assert np.array_equal(squares.sums, everything.sums)


def test_paillier_opens_the_same_integers():
    paillier = protocols.Paillier(key_bits=512, insecure=True)
    clear, _ = added(pairs=False)
    opened, _ = added(pairs=False, aggregator=paillier)
    assert np.array_equal(opened.products, clear.products)


def test_means_are_correctly_rounded():
    moments, _ = added()
    exact = [sum(Fraction(row[a]) for part in TABLES for row in part) / 6 for a in range(3)]
    assert [float(mean) for mean in moments.means()] == [float(mean) for mean in exact]


def test_a_small_spread_about_a_huge_mean_does_not_cancel():
    years = 1e15 + np.array([[0.0], [0.25], [0.5], [0.75]])
    moments, _ = added([years[:1], years[1:]], pairs=False)
    scaling = Scaling.of(moments)
    assert scaling.deviations == pytest.approx(np.std([0.0, 0.25, 0.5, 0.75]), rel=1e-15)


def test_a_lost_client_costs_its_own_rows_and_no_more():
    lossy, aggregate = added(dropped=[1], aggregator=protocols.Sharing(quorum=2))
    without, _ = added([TABLES[0], TABLES[2]])
    assert aggregate.survivors == (0, 2)
    assert lossy.rows == without.rows == 5
    assert np.array_equal(lossy.products, without.products)


def test_standardised_columns_have_mean_zero_and_deviation_one():
    table = np.random.default_rng(0).normal(loc=50, scale=[1e-3, 1.0, 1e6], size=(40, 3))
    moments, _ = added([table[:7], table[7:]], pairs=False)
    standard = Scaling.of(moments).standardise(table)
    assert np.allclose(standard.mean(axis=0), 0, atol=1e-10)
    assert np.allclose(standard.std(axis=0), 1, rtol=1e-12)


def test_a_constant_column_is_standardised_to_zero():
    table = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 6.0]])
    moments, _ = added([table[:1], table[1:]], pairs=False)
    scaling = Scaling.of(moments)
    assert not scaling.standardise(table)[:, 0].any()
    assert scaling.deviations[0] == 1


def test_scalings_with_and_without_pairs_agree():
    with_pairs, _ = added()
    without, _ = added(pairs=False)
    assert np.array_equal(Scaling.of(with_pairs).deviations, Scaling.of(without).deviations)


def test_raw_weights_predict_what_standardised_ones_do():
    generator = np.random.default_rng(1)
    table = generator.normal(loc=[5, -3, 100], scale=[2, 0.1, 30], size=(30, 3))
    moments, _ = added([table], pairs=False)
    scaling = Scaling.of(moments)
    weights = generator.normal(size=3)
    standard = scaling.standardise(table)[:, :-1] @ weights[:-1] + weights[-1]
    coefficients, intercept = scaling.raw(weights)
    expected = scaling.means[-1] + scaling.deviations[-1] * standard
    assert np.allclose(table[:, :-1] @ coefficients + intercept, expected, rtol=1e-12)


def test_an_exact_line_is_found():
    x = np.arange(6.0)
    coefficients, intercept = solved(np.column_stack([x, 3 * x - 2]))
    assert coefficients == pytest.approx([3.0], rel=1e-14)
    assert intercept == pytest.approx(-2.0, rel=1e-13)


def test_equal_columns_share_the_weight():
    x = np.arange(6.0)
    coefficients, _ = solved(np.column_stack([x, 10 * x, x**2, 3 * x]))
    assert coefficients == pytest.approx([1.5, 0.15, 0.0], abs=1e-10)


def test_constant_features_get_no_weight():
    x = np.arange(6.0)
    coefficients, intercept = solved(np.column_stack([np.full(6, 7.0), x, x + 1]))
    assert coefficients == pytest.approx([0.0, 1.0], abs=1e-14)
    assert intercept == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("table", "mean"), [([[1, 5], [1, 7]], 6), ([[1, 5], [2, 5]], 5), ([[3, 4]], 4)]
)
def test_where_nothing_varies_the_mean_is_predicted(table, mean):
    coefficients, intercept = solved(table)
    assert not coefficients.any()
    assert intercept == mean


def test_rcond_decides_which_directions_count():
    generator = np.random.default_rng(0)
    x, noise = generator.normal(size=(2, 200))
    table = np.column_stack([x, x + 1e-3 * noise, noise])
    exact, _ = solved(table)
    assert exact == pytest.approx([-1e3, 1e3], rel=1e-6)
    coarse, _ = solved(table, rcond=1e-3)
    assert np.abs(coarse).max() < 1


@pytest.mark.parametrize("rcond", [-1e-12, 1.0, np.nan])
def test_rcond_out_of_range_is_refused(rcond):
    with pytest.raises(ValueError, match="rcond"):
        solved([[1, 2], [2, 3]], rcond=rcond)


def test_impossible_moments_of_a_liar_still_give_finite_weights():
    integers = np.array([[1, 5], [5, 1]], dtype=object) * TABLE_ENCODING.scale**2
    liar = Moments(rows=2, sums=np.array([9, 9], dtype=object), products=-integers)
    coefficients, intercept = least_squares(liar, rcond=1e-12)
    assert np.isfinite(coefficients).all()
    assert np.isfinite(intercept)
    assert (Scaling.of(liar).deviations == 1).all()


@pytest.mark.parametrize("cell", [np.nan, np.inf, 2.0**64 * 1.01])
def test_cells_beyond_the_encoding_are_refused(cell):
    with pytest.raises(BudgetExceeded):
        added([np.array([[cell, 1.0]])])


@pytest.mark.parametrize(("table", "rows"), [(np.empty((0, 2)), 0), (np.ones((5, 2)), 5)])
def test_no_rows_or_too_many_are_refused(table, rows):
    with pytest.raises(ValueError, match=f"max_rows: a client has {rows} rows"):
        added([table], max_rows=4)


def test_an_impossible_number_of_rows_is_an_error_not_a_result():
    class Altered(protocols.Plain):
        def aggregate(self, updates, **options):
            aggregate = super().aggregate(updates, **options)
            integers = aggregate.integers.copy()
            integers[0] = 2
            return replace(aggregate, integers=integers)

    with pytest.raises(ProtocolError, match="sum of weights is 2"):
        added(aggregator=Altered())
