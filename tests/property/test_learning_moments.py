from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from veilsum.learning.moments import TABLE_ENCODING, Scaling, least_squares, sum_moments

MAGNITUDES = st.floats(2.0**-11, 2.0**60)
CELLS = st.one_of(st.just(0.0), MAGNITUDES, MAGNITUDES.map(lambda cell: -cell))
TABLES = arrays.arrays(np.float64, st.tuples(st.integers(3, 8), st.integers(1, 4)), elements=CELLS)


@given(TABLES, st.data())
def test_centred_products_are_exact_however_the_rows_are_owned(table, data):
    rows, columns = table.shape
    cut = data.draw(st.integers(1, rows - 1))
    moments, _ = sum_moments([table[:cut], table[cut:]], pairs=True, aggregator="plain")
    centred = moments.centred()
    exact = [[Fraction(cell) for cell in column] for column in table.T]
    for a in range(columns):
        for b in range(columns):
            product = rows * sum(x * y for x, y in zip(exact[a], exact[b], strict=True))
            product -= sum(exact[a]) * sum(exact[b])
            assert Fraction(centred[a, b], TABLE_ENCODING.scale**2) == product


@given(TABLES)
def test_deviations_are_those_of_the_exact_table(table):
    moments, _ = sum_moments([table], pairs=False, aggregator="plain")
    deviations = Scaling.of(moments).deviations
    for column, deviation in zip(table.T, deviations, strict=True):
        exact = [Fraction(cell) for cell in column]
        mean = sum(exact) / len(exact)
        variance = sum((cell - mean) ** 2 for cell in exact) / len(exact)
        squared = Fraction(float(deviation)) ** 2
        expected = variance or 1
        assert abs(squared - expected) <= expected * Fraction(1, 2**48)


@given(st.integers(0, 2**32), st.integers(2, 4), st.floats(-6, 8))
def test_the_solution_leaves_residuals_orthogonal_to_the_columns(seed, columns, power):
    table = np.random.default_rng(seed).normal(size=(20, columns))
    table[:, 0] *= 10.0**power
    moments, _ = sum_moments([table], pairs=True, aggregator="plain")
    coefficients, intercept = least_squares(moments, rcond=1e-12)
    residuals = table[:, -1] - table[:, :-1] @ coefficients - intercept
    norms = np.linalg.norm(table[:, :-1], axis=0)
    assert np.abs(table[:, :-1].T @ residuals / norms).max() < 1e-9
    assert abs(residuals.sum()) < 1e-9
