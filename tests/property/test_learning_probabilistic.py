"""Laws of Bayesian regression, amortised classification and scores, for drawn shapes and values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.learning.adaptation import Prediction
from veilsum.learning.network import mlp
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.probabilistic import AmortisedClassifier, BayesianRegression
from veilsum.learning.scores import Score, calibration
from veilsum.learning.tasks import Examples

STEADY = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def regression_and_examples(seed, count, outputs, hidden, scale):
    generator = np.random.default_rng(seed)
    algorithm = BayesianRegression(
        network=mlp(inputs=2, outputs=None, hidden=hidden), outputs=outputs
    )
    parameters = algorithm.initial(seed=0) + generator.normal(scale=0.5, size=algorithm.size)
    x = scale * generator.normal(size=(2, count, 2))
    return algorithm, parameters, Examples(x, generator.normal(size=(2, count, outputs)))


problems = st.builds(
    regression_and_examples,
    seeds,
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from([(), (3,)]),
    st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
)


@given(problems, st.randoms(use_true_random=False))
@STEADY
def test_posterior_does_not_depend_on_order_or_on_batches(problem, random):
    algorithm, parameters, examples = problem
    order = list(range(examples.count))
    random.shuffle(order)
    posterior = algorithm.prior(parameters)
    for place in order:
        posterior = posterior.observe(examples.pick(np.full((2, 1), place)))
    step = posterior.predict(examples.x)
    at_once = algorithm.adapt(parameters, examples, np.random.default_rng(0)).predict(examples.x)
    np.testing.assert_allclose(step.outputs, at_once.outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(step.deviations, at_once.deviations, rtol=1e-5)


@given(problems)
@STEADY
def test_examples_never_make_predictions_less_certain_than_the_prior(problem):
    algorithm, parameters, examples = problem
    before = algorithm.prior(parameters)
    after = before.observe(examples)
    floor = np.sqrt(before.belief.noise)
    narrower = after.predict(examples.x).deviations
    assert (narrower <= before.predict(examples.x).deviations * (1 + 1e-9)).all()
    assert (narrower >= floor).all()


@given(seeds, st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
@STEADY
def test_classifiers_answer_with_chances_of_any_number_of_classes(seed, ways, shots, queries):
    generator = np.random.default_rng(seed)
    algorithm = AmortisedClassifier(network=mlp(inputs=2, outputs=3), hidden=(4,), answer_samples=5)
    labels = generator.permuted(np.tile(np.arange(ways).repeat(shots), (2, 1)), axis=1)
    support = Examples(generator.normal(size=(2, ways * shots, 2)), labels)
    adapted = algorithm.adapt(algorithm.initial(seed=1), support, generator)
    logs = adapted.predict(generator.normal(size=(2, queries, 2))).outputs
    assert logs.shape == (2, queries, ways)
    np.testing.assert_allclose(np.exp(logs).sum(axis=2), 1.0)


@given(seeds, st.integers(1, 4), st.integers(1, 30), st.integers(1, 20))
@STEADY
def test_calibration_bins_hold_every_answer_in_its_interval(seed, classes, queries, bins):
    generator = np.random.default_rng(seed)
    logs = log_softmax(generator.normal(scale=3, size=(2, queries, classes)))
    query = Examples(np.zeros((2, queries, 1)), generator.integers(classes, size=(2, queries)))
    found = calibration(Prediction(logs), query, bins=bins)
    assert found.counts.sum() == 2 * queries
    assert 0 <= found.error <= 1
    full = found.counts > 0
    edges = np.arange(bins + 1) / bins
    assert (found.confidences[full] <= edges[1:][full] + 1e-12).all()
    assert (found.confidences[full] > edges[:-1][full] - 1e-12).all()


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20),
    st.floats(-1e3, 1e3),
    st.floats(0.125, 8.0),
)
@STEADY
def test_scores_move_and_stretch_with_their_figures(values, shift, scale):
    plain, moved = Score.of(values), Score.of(np.array(values) * scale + shift)
    np.testing.assert_allclose(
        [moved.mean, moved.low, moved.high],
        np.array([plain.mean, plain.low, plain.high]) * scale + shift,
        rtol=1e-9,
        atol=1e-7,
    )
