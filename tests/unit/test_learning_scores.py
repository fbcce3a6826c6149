"""Figures of merit against values known from elsewhere, and every error."""

import math

import numpy as np
import pytest

from veilsum.learning.adaptation import Prediction
from veilsum.learning.scores import Score, calibration, scores
from veilsum.learning.tasks import Examples


def labelled(labels: list[list[int]]) -> Examples:
    y = np.array(labels)
    return Examples(np.zeros((*y.shape, 1)), y)


def targets(values: list[list[list[float]]]) -> Examples:
    y = np.array(values)
    return Examples(np.zeros((*y.shape[:2], 1)), y)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # Tables of the 0.975 quantile; the last two from Abramowitz and Stegun's expansion 26.7.5.
    [
        (1, 12.706204736),
        (2, 4.302652730),
        (3, 3.182446305),
        (4, 2.776445105),
        (5, 2.570581836),
        (10, 2.228138852),
        (29, 2.045229642),
        (30, 2.042272456),
        (100, 1.983971519),
        (599, 1.9639322),
        (100_000, 1.9599877),
    ],
)
def test_interval_is_the_t_quantile_times_the_error_of_the_mean(
    freedom: int, quantile: float
) -> None:
    values = np.random.default_rng(freedom).normal(size=freedom + 1)
    score = Score.of(values)
    error = values.std(ddof=1) / math.sqrt(freedom + 1)
    assert score.count == freedom + 1
    assert score.mean == pytest.approx(values.mean())
    assert (score.high - score.mean) / error == pytest.approx(quantile, rel=1e-6)
    assert score.high - score.mean == pytest.approx(score.mean - score.low)


def test_interval_covers_the_mean_of_normal_figures_in_95_of_100_repetitions() -> None:
    draws = np.random.default_rng(1).normal(2.0, 3.0, size=(2000, 5))
    found = [Score.of(row) for row in draws]
    covered = np.mean([score.low <= 2.0 <= score.high for score in found])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_one_episode_has_an_infinite_interval() -> None:
    assert Score.of([0.5]) == Score(0.5, -math.inf, math.inf, 1)


def test_equal_figures_have_an_interval_of_no_width() -> None:
    assert Score.of([0.5, 0.5, 0.5]) == Score(0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize("values", [[], 1.0, [[1.0]]])
def test_figures_that_are_no_list_of_episodes_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match="values: got shape"):
        Score.of(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_figures_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="diverged"):
        Score.of([0.0, value])


def test_classification_is_judged_task_by_task() -> None:
    chances = np.array([[[0.7, 0.3], [0.2, 0.8]], [[0.4, 0.6], [0.9, 0.1]]])
    found = scores(Prediction(np.log(chances)), labelled([[0, 1], [0, 0]]))
    assert found.keys() == {"accuracy", "nll"}
    np.testing.assert_allclose(found["accuracy"], [1.0, 0.5])
    nll = [-np.log([0.7, 0.8]).mean(), -np.log([0.4, 0.9]).mean()]
    np.testing.assert_allclose(found["nll"], nll)


def test_regression_without_deviations_has_only_its_squared_error() -> None:
    found = scores(Prediction(np.array([[[1.0], [3.0]]])), targets([[[2.0], [5.0]]]))
    assert found.keys() == {"mse"}
    np.testing.assert_allclose(found["mse"], [2.5])


def test_regression_with_deviations_is_judged_as_normal_variables() -> None:
    means, deviations = np.zeros((1, 4, 1)), np.full((1, 4, 1), 2.0)
    found = scores(Prediction(means, deviations), targets([[[0.0], [3.9], [-3.9], [4.0]]]))
    density = np.exp(-np.square([0.0, 3.9, 3.9, 4.0]) / 8) / math.sqrt(8 * math.pi)
    np.testing.assert_allclose(found["nll"], [-np.log(density).mean()])
    np.testing.assert_allclose(found["coverage"], [0.75])


def test_coverage_of_the_true_distribution_is_95_percent() -> None:
    generator = np.random.default_rng(0)
    deviations = generator.uniform(0.1, 5.0, size=(2, 10_000, 1))
    query = Examples(np.zeros((2, 10_000, 1)), generator.normal(1.0, deviations))
    found = scores(Prediction(np.ones_like(deviations), deviations), query)
    np.testing.assert_allclose(found["coverage"], 0.95, atol=0.01)


def test_calibration_bins_are_open_below_and_closed_above() -> None:
    chances = np.array([[[0.5, 0.5], [0.75, 0.25], [0.76, 0.24], [1.0, 0.0]]])
    with np.errstate(divide="ignore"):
        found = calibration(Prediction(np.log(chances)), labelled([[0, 1, 0, 0]]), bins=4)
    np.testing.assert_array_equal(found.counts, [0, 1, 1, 2])
    np.testing.assert_allclose(found.accuracies, [0.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(found.confidences, [0.0, 0.5, 0.75, 0.88])
    assert found.error == pytest.approx((0.5 + 0.75 + 2 * 0.12) / 4)


def test_answers_of_their_true_chances_are_calibrated_and_sharper_ones_are_not() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(4, 2000, 3))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=2)
    query = Examples(np.zeros((4, 2000, 1)), labels)
    normaliser = np.log(np.exp(logits).sum(axis=2, keepdims=True))
    assert calibration(Prediction(logits - normaliser), query).error < 0.03
    sharper = 4 * logits
    sharper -= np.log(np.exp(sharper).sum(axis=2, keepdims=True))
    assert calibration(Prediction(sharper), query).error > 0.15


@pytest.mark.parametrize("judge", [scores, calibration])
def test_no_queries_are_refused(judge: object) -> None:
    empty = Examples(np.zeros((2, 0, 1)), np.zeros((2, 0), dtype=int))
    with pytest.raises(ValueError, match="expected at least one"):
        judge(Prediction(np.zeros((2, 0, 3))), empty)  # type: ignore[operator]


def test_answers_that_do_not_fit_the_queries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction: got shape \(1, 2, 3\)"):
        scores(Prediction(np.zeros((1, 2, 3))), labelled([[0, 1, 0]]))
    with pytest.raises(ValueError, match=r"prediction: got shape \(1, 2, 1\)"):
        scores(Prediction(np.zeros((1, 2, 1))), targets([[[0.0]]]))
    with pytest.raises(ValueError, match="label 3, but answers are of 3"):
        scores(Prediction(np.zeros((1, 1, 3))), labelled([[3]]))


@pytest.mark.parametrize("deviations", [np.ones((1, 2, 1)), np.zeros((1, 1, 1))])
def test_deviations_that_are_none_are_refused(deviations: np.ndarray) -> None:
    with pytest.raises(ValueError, match="deviations above 0"):
        scores(Prediction(np.zeros((1, 1, 1)), deviations), targets([[[0.0]]]))


def test_calibration_of_a_regression_or_without_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="expected labels"):
        calibration(Prediction(np.zeros((1, 1, 1))), targets([[[0.0]]]))
    with pytest.raises(ValueError, match="bins: got 0"):
        calibration(Prediction(np.zeros((1, 1, 1))), labelled([[0]]), bins=0)
