"""Bayesian regression against its textbook form, amortised classification against its own laws."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from veilsum.learning.adaptation import Prediction
from veilsum.learning.network import SGD, Adam, conv4, mlp
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.probabilistic import AmortisedClassifier, BayesianRegression
from veilsum.learning.scores import calibration, scores
from veilsum.learning.tasks import Episodes, Examples

RAW = mlp(inputs=2, outputs=None, hidden=())
HIDDEN = mlp(inputs=2, outputs=None, hidden=(5, 4))


@pytest.fixture
def generator():
    return np.random.default_rng(11)


@dataclass(frozen=True)
class Drawn:
    """The same tasks each time."""

    support: Examples
    query: Examples | None = None
    rows: int = 1

    def draw(self, generator, tasks, *, shots, queries):  # noqa: ARG002
        return Episodes(self.support, self.query)


@dataclass(frozen=True)
class LinearTasks:
    """Intercept and slope from a known normal prior, and known noise."""

    mean = np.array([2.0, -1.0])
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    deviation = 0.3
    rows: int = 1

    def draw(self, generator, tasks, *, shots, queries):
        weights = generator.multivariate_normal(self.mean, self.covariance, size=tasks)
        x = generator.uniform(-2, 2, size=(tasks, shots + queries, 1))
        y = x * weights[:, np.newaxis, :1] + weights[:, np.newaxis, 1:]
        y += generator.normal(scale=self.deviation, size=y.shape)
        examples = Examples(x, y)
        places = np.tile(np.arange(shots + queries), (tasks, 1))
        return Episodes(examples.pick(places[:, :shots]), examples.pick(places[:, shots:]))


def regression(**options):
    return BayesianRegression(**({"network": HIDDEN} | options))


def some(generator, *, tasks=3, count=6, outputs=1):
    return Examples(
        generator.normal(size=(tasks, count, 2)), generator.normal(size=(tasks, count, outputs))
    )


def scattered(algorithm, *, seed=0):
    """Parameters away from the first ones, so that no part of the prior is trivial."""
    generator = np.random.default_rng(seed)
    return algorithm.initial(seed=seed) + generator.normal(scale=0.3, size=algorithm.size)


def textbook(algorithm, parameters, examples):
    """Prior and features in the open: m, S, s^2 and Phi by task."""
    prior = algorithm.prior(parameters)
    belief = prior.belief
    outputs = algorithm.network.forward(
        np.tile(prior.parameters, (len(examples), 1)), examples.x
    ).outputs
    features = np.concatenate([outputs, np.ones((*outputs.shape[:2], 1))], axis=2)
    return belief.mean[0], belief.factor[0] @ belief.factor[0].T, belief.noise, features


@pytest.mark.parametrize("network", [RAW, HIDDEN])
@pytest.mark.parametrize("outputs", [1, 2])
def test_posterior_is_the_one_of_the_precision_form(network, outputs, generator):
    algorithm = regression(network=network, outputs=outputs)
    parameters = scattered(algorithm)
    support = some(generator, outputs=outputs)
    query = some(generator, count=4, outputs=outputs)
    mean, covariance, noise, features = textbook(algorithm, parameters, support)
    asked = textbook(algorithm, parameters, query)[3]
    answer = algorithm.adapt(parameters, support, generator).predict(query.x)
    for task in range(3):
        phi, prior = features[task], np.linalg.inv(covariance)
        posterior = np.linalg.inv(prior + phi.T @ phi / noise)
        weights = posterior @ (prior @ mean + phi.T @ support.y[task] / noise)
        variances = noise + np.diag(asked[task] @ posterior @ asked[task].T)
        np.testing.assert_allclose(answer.outputs[task], asked[task] @ weights, rtol=1e-9)
        np.testing.assert_allclose(
            answer.deviations[task], np.sqrt(variances)[:, None].repeat(outputs, axis=1), rtol=1e-9
        )


@pytest.mark.parametrize("outputs", [1, 2])
def test_marginal_likelihood_is_the_density_of_the_targets_together(outputs, generator):
    algorithm = regression(outputs=outputs)
    parameters = scattered(algorithm)
    examples = some(generator, outputs=outputs)
    mean, covariance, noise, features = textbook(algorithm, parameters, examples)
    found = algorithm.log_marginal_likelihood(parameters, examples)
    for task in range(3):
        joint = features[task] @ covariance @ features[task].T + noise * np.eye(6)
        errors = examples.y[task] - features[task] @ mean
        fit = np.trace(errors.T @ np.linalg.inv(joint) @ errors)
        volume = outputs * np.linalg.slogdet(2 * np.pi * joint)[1]
        assert found[task] == pytest.approx(-(fit + volume) / 2, rel=1e-9)


def test_marginal_likelihood_is_the_product_of_one_step_predictive_densities(generator):
    algorithm = regression()
    parameters = scattered(algorithm)
    examples = some(generator)
    posterior, total = algorithm.prior(parameters), np.zeros(3)
    for place in range(6):
        single = examples.pick(np.full((3, 1), place))
        total -= scores(posterior.predict(single.x), single)["nll"]
        posterior = posterior.observe(single)
    np.testing.assert_allclose(
        total, algorithm.log_marginal_likelihood(parameters, examples), rtol=1e-9
    )


@pytest.mark.parametrize("network", [RAW, HIDDEN])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_step_follows_the_gradient_of_the_log_marginal_likelihood(network, outputs, generator):
    algorithm = regression(network=network, outputs=outputs, iterations=1, outer=SGD(1.0))
    parameters = scattered(algorithm)
    examples = some(generator, outputs=outputs)

    def loss(moved):
        return -algorithm.log_marginal_likelihood(moved, examples).sum() / examples.y.size

    differences = [
        (loss(parameters + step) - loss(parameters - step)) / 2e-6
        for step in 1e-6 * np.eye(algorithm.size)
    ]
    gradient = parameters - algorithm.train(parameters, Drawn(examples), generator)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


def test_training_finds_the_prior_that_linear_tasks_were_drawn_from():
    algorithm = BayesianRegression(
        network=mlp(inputs=1, outputs=None, hidden=()),
        tasks=50,
        iterations=600,
        outer=Adam(0.02),
        noise=1.0,
    )
    generator = np.random.default_rng(0)
    source = LinearTasks()
    trained = algorithm.train(algorithm.initial(seed=0), source, generator)
    belief = algorithm.prior(trained).belief
    np.testing.assert_allclose(belief.mean[0, :, 0], source.mean, atol=0.15)
    found = belief.factor[0] @ belief.factor[0].T
    np.testing.assert_allclose(found, source.covariance, atol=0.15)
    assert belief.noise == pytest.approx(source.deviation**2, rel=0.1)

    episodes = source.draw(generator, 400, shots=2, queries=10)
    judged = scores(
        algorithm.adapt(trained, episodes.support, generator).predict(episodes.query.x),
        episodes.query,
    )
    assert judged["coverage"].mean() == pytest.approx(0.95, abs=0.015)
    untrained = algorithm.adapt(algorithm.initial(seed=0), episodes.support, generator)
    before = scores(untrained.predict(episodes.query.x), episodes.query)
    assert judged["nll"].mean() < before["nll"].mean() - 0.3


def test_more_examples_never_widen_and_far_inputs_are_less_certain(generator):
    algorithm = regression(network=mlp(inputs=1, outputs=None, hidden=()))
    parameters = algorithm.initial(seed=0)
    x = generator.uniform(-1, 1, size=(1, 8, 1))
    first = algorithm.adapt(parameters, Examples(x, np.sin(x)), generator)
    more = first.observe(Examples(x + 0.1, np.sin(x)))
    asked = np.array([[[0.0], [10.0], [1000.0]]])
    before, after = first.predict(asked).deviations, more.predict(asked).deviations
    assert (after < before).all()
    assert (np.diff(before, axis=1) > 0).all()


def test_repeated_examples_of_any_size_under_the_least_noise_stay_finite(generator):
    algorithm = regression(network=RAW)
    parameters = algorithm.initial(seed=0)
    parameters[-1] = -800.0
    x = np.repeat(np.array([[[1e8, 1e-8]]]), 20, axis=1)
    support = Examples(x, np.full((1, 20, 1), 3e8))
    answer = algorithm.adapt(parameters, support, generator).predict(x[:, :1])
    assert answer.outputs[0, 0, 0] == pytest.approx(3e8)
    assert answer.deviations[0, 0, 0] == pytest.approx(1e-3, rel=0.1)
    assert np.isfinite(algorithm.log_marginal_likelihood(parameters, support)).all()
    moved = replace(algorithm, iterations=1).train(parameters, Drawn(support), generator)
    assert np.isfinite(moved).all()


def test_single_precision_features_have_double_precision_posteriors(generator):
    algorithm = regression(network=mlp(inputs=2, outputs=None, hidden=(5,), dtype=np.float32))
    parameters = algorithm.initial(seed=0)
    assert parameters.dtype == np.float64
    support = some(generator)
    answer = algorithm.adapt(parameters, support, generator).predict(support.x)
    assert answer.outputs.dtype == answer.deviations.dtype == np.float64
    assert algorithm.train(parameters, Drawn(support), generator).dtype == np.float64


def test_training_leaves_its_start_alone_and_depends_on_nothing_but_its_arguments():
    algorithm = regression(network=mlp(inputs=1, outputs=None, hidden=(4,)), iterations=3)
    start = algorithm.initial(seed=1)
    before = start.copy()
    ends = [algorithm.train(start, LinearTasks(), np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(start, before)
    np.testing.assert_array_equal(*ends)
    assert (ends[0] != start).any()


@pytest.mark.parametrize("name", ["outputs", "shots", "tasks", "iterations"])
def test_regression_refuses_counts_below_one(name):
    with pytest.raises(ValueError, match=f"{name}: got 0, expected at least 1"):
        regression(**{name: 0})


@pytest.mark.parametrize("noise", [1e-6, 0.0, np.nan, np.inf])
def test_regression_refuses_noise_that_is_none(noise):
    with pytest.raises(ValueError, match="noise: got"):
        regression(noise=noise)


def test_regression_refuses_features_that_depend_on_other_examples():
    with pytest.raises(ValueError, match="network: has layers that are not dense"):
        regression(network=conv4(outputs=None, filters=2))


def test_regression_refuses_what_does_not_fit(generator):
    algorithm = regression()
    parameters = algorithm.initial(seed=0)
    with pytest.raises(ValueError, match="parameters: got shape"):
        algorithm.prior(parameters[:-1])
    with pytest.raises(ValueError, match="examples: got int64 targets"):
        algorithm.adapt(
            parameters, Examples(np.zeros((1, 2, 2)), np.zeros((1, 2), dtype=np.int64)), generator
        )
    with pytest.raises(ValueError, match=r"expected floats \(tasks, count, 1\)"):
        algorithm.adapt(parameters, some(generator, outputs=2), generator)
    with pytest.raises(ValueError, match="x: got shape"):
        algorithm.prior(parameters).predict(np.zeros((1, 3, 7)))
    with pytest.raises(ValueError, match="x: has NaN or infinity"):
        algorithm.prior(parameters).predict(np.full((1, 3, 2), np.nan))


@dataclass(frozen=True)
class GaussianTasks:
    """Classes of unit variance that overlap: their means are normal too."""

    ways: int = 3
    spread: float = 1.5
    rows: int = 1

    def draw(self, generator, tasks, *, shots, queries):
        means = generator.normal(scale=self.spread, size=(tasks, self.ways, 1, 2))
        x = generator.normal(means, size=(tasks, self.ways, shots + queries, 2))
        return Episodes(self._part(x[:, :, :shots]), self._part(x[:, :, shots:]))

    def _part(self, x):
        labels = np.arange(self.ways).repeat(x.shape[2])
        return Examples(x.reshape(len(x), -1, 2), np.tile(labels, (len(x), 1)))

    def plug_in(self, episodes):
        """Answer as if the means of the support sets were those of the classes."""
        x = episodes.support.x.reshape(len(episodes), self.ways, -1, 2)
        distances = np.square(episodes.query.x[:, :, np.newaxis] - x.mean(axis=2)[:, np.newaxis])
        return Prediction(log_softmax(-distances.sum(axis=3) / 2))

    def bayes(self, episodes):
        """Answer by the exact posterior of the means: no classifier does better."""
        x = episodes.support.x.reshape(len(episodes), self.ways, -1, 2)
        variance = 1 / (self.spread**-2 + x.shape[2])
        means = x.sum(axis=2) * variance
        distances = np.square(episodes.query.x[:, :, np.newaxis] - means[:, np.newaxis])
        return Prediction(log_softmax(-distances.sum(axis=3) / 2 / (1 + variance)))


def classifier(**options):
    network = mlp(inputs=2, outputs=4, hidden=(5,))
    return AmortisedClassifier(**({"network": network, "hidden": (6,)} | options))


def drawn_classes(generator, *, ways=3, tasks=2, shots=2, queries=3):
    return GaussianTasks(ways).draw(generator, tasks, shots=shots, queries=queries)


def loss_of_samples(algorithm, parameters, episodes, noise):
    """The objective, from the networks' outputs, query by query."""
    support, query = episodes.support, episodes.query
    embedding, amortiser = np.split(parameters, [algorithm.network.size])
    x = np.concatenate([support.x, query.x], axis=1)
    embedded = algorithm.network.forward(np.tile(embedding, (len(x), 1)), x).outputs
    width, chances = embedded.shape[2], []
    for task, (own, labels) in enumerate(zip(embedded, support.y, strict=True)):
        learnt, asked = np.split(own, [support.count])
        pooled = [learnt[labels == label].mean(axis=0) for label in range(labels.max() + 1)]
        weights = algorithm.amortiser.forward(amortiser[None], np.array([pooled])).outputs[0]
        mean, variance = weights[:, : width + 1], np.exp(weights[:, width + 1 :])
        for place, features in enumerate(np.column_stack([asked, np.ones(len(asked))])):
            spread = np.sqrt(variance @ np.square(features))
            logits = mean @ features + spread * noise[:, task, place]
            chances.append(np.exp(log_softmax(logits))[:, query.y[task, place]].mean())
    return -np.log(chances).mean()


def check_gradient(algorithm, episodes, coordinates):
    parameters = scattered(algorithm)
    source = Drawn(episodes.support, episodes.query)
    ways = episodes.support.y.max() + 1
    noise = np.random.default_rng(3).standard_normal(
        (algorithm.samples, *episodes.query.y.shape, ways)
    )
    gradient = parameters - algorithm.train(parameters, source, np.random.default_rng(3))
    differences = [
        (
            loss_of_samples(algorithm, parameters + step, episodes, noise)
            - loss_of_samples(algorithm, parameters - step, episodes, noise)
        )
        / 2e-6
        for step in 1e-6 * np.eye(algorithm.size)[coordinates]
    ]
    np.testing.assert_allclose(gradient[coordinates], differences, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("samples", [1, 4])
def test_a_step_follows_the_gradient_of_the_log_chance_over_samples(samples, generator):
    algorithm = classifier(samples=samples, iterations=1, outer=SGD(1.0))
    check_gradient(algorithm, drawn_classes(generator), np.arange(algorithm.size))


def test_gradients_pass_batch_normalisation_over_support_and_queries(generator):
    network = conv4(outputs=None, side=16, filters=2, dtype=np.float64)
    algorithm = AmortisedClassifier(
        network=network, hidden=(), samples=2, iterations=1, outer=SGD(1.0)
    )
    labels = np.array([[0, 1], [1, 0]])
    episodes = Episodes(
        Examples(generator.normal(size=(2, 2, 16, 16, 1)), labels),
        Examples(generator.normal(size=(2, 2, 16, 16, 1)), labels),
    )
    check_gradient(algorithm, episodes, np.arange(0, algorithm.size, 5))


def test_answers_are_the_chances_over_weights_drawn_one_by_one(generator):
    algorithm = classifier(answer_samples=20_000)
    episodes = drawn_classes(generator)
    adapted = algorithm.adapt(scattered(algorithm), episodes.support, generator)
    found = np.exp(adapted.predict(episodes.query.x).outputs)
    np.testing.assert_allclose(found.sum(axis=2), 1.0)
    embedding = adapted.parameters[: adapted.network.size]
    features = adapted.network.forward(np.tile(embedding, (2, 1)), episodes.query.x).outputs
    mean, variance = adapted.weights()
    features = np.concatenate([features, np.ones((2, 9, 1))], axis=2)
    weights = generator.normal(mean, np.sqrt(variance), size=(20_000, *mean.shape))
    chances = np.exp(log_softmax(features @ weights.swapaxes(2, 3))).mean(axis=0)
    np.testing.assert_allclose(found, chances, atol=0.015)


def test_permuted_classes_permute_the_answers(generator):
    algorithm = classifier(answer_samples=1)
    parameters = scattered(algorithm)
    episodes = drawn_classes(generator, ways=4)
    support, order = episodes.support, np.array([2, 0, 3, 1])
    plain = algorithm.adapt(parameters, support, generator)
    renamed = Examples(support.x, np.argsort(order)[support.y])
    permuted = algorithm.adapt(parameters, renamed, generator)
    for found, expected in zip(permuted.weights(), plain.weights(), strict=True):
        np.testing.assert_allclose(found, expected[:, order], rtol=1e-12)
    same = replace(permuted, noise=plain.noise[..., order])
    np.testing.assert_allclose(
        same.predict(episodes.query.x).outputs,
        plain.predict(episodes.query.x).outputs[..., order],
        rtol=1e-12,
    )


def normalised(statistics, generator):
    """Return classifiers of images, by batch normalisation, and queries."""
    network = conv4(outputs=None, side=16, filters=2, dtype=np.float64)
    algorithm = AmortisedClassifier(network=network, statistics=statistics)
    x = generator.normal(size=(2, 6, 16, 16, 1))
    support = Examples(x[:, :3], np.array([[0, 1, 2], [2, 1, 0]]))
    return algorithm.adapt(algorithm.initial(seed=0), support, generator), x[:, 3:]


def joined(adapted, queries):
    """Answer with the support set and these queries in one batch, as training does."""
    embedding, amortiser = np.split(adapted.parameters, [adapted.network.size])
    x = np.concatenate([adapted.support.x, queries], axis=1)
    embedded = adapted.network.forward(np.tile(embedding, (len(x), 1)), x).outputs
    answers = []
    for task, own in enumerate(embedded):
        pooled = own[:3][np.argsort(adapted.support.y[task])]  # One example of each class.
        inferred = adapted.amortiser.forward(amortiser[None], pooled[None]).outputs[0]
        mean, log_variance = np.split(inferred, 2, axis=1)
        asked = np.column_stack([own[3:], np.ones(len(own) - 3)])
        spread = np.sqrt(np.square(asked) @ np.exp(log_variance).T)
        outputs = asked @ mean.T + adapted.noise[:, task] * spread
        answers.append(np.exp(log_softmax(outputs)).mean(axis=0))
    return np.log(answers)


def test_by_default_the_support_set_alone_normalises_and_infers(generator):
    adapted, queries = normalised("support", generator)
    together = adapted.predict(queries).outputs
    alone = [adapted.predict(queries[:, [place]]).outputs for place in range(3)]
    np.testing.assert_allclose(np.concatenate(alone, axis=1), together, rtol=1e-10)
    assert not np.allclose(together, joined(adapted, queries))


def test_alone_a_query_passes_with_the_support_set(generator):
    adapted, queries = normalised("alone", generator)
    found = adapted.predict(queries).outputs
    for place in range(3):
        expected = joined(adapted, queries[:, [place]])
        np.testing.assert_allclose(found[:, [place]], expected, rtol=1e-10)
    assert not np.allclose(found, joined(adapted, queries))


def test_transductive_all_queries_pass_with_the_support_set(generator):
    adapted, queries = normalised("transductive", generator)
    found = adapted.predict(queries).outputs
    np.testing.assert_allclose(found, joined(adapted, queries), rtol=1e-10)


def test_embedding_and_amortiser_begin_from_streams_of_their_own():
    network = mlp(inputs=2, outputs=2, hidden=(5,))  # The amortiser's first layer is as large.
    algorithm = AmortisedClassifier(network=network, hidden=(5,))
    first, second = (algorithm.initial(seed=seed) for seed in (7, 8))
    embedding, amortiser = np.split(first, [network.size])
    assert np.array_equal(embedding, network.initial(seed=7))
    assert not np.isin(amortiser[amortiser != 0], embedding).any()
    assert not np.isin(amortiser[amortiser != 0], second).any()
    assert np.array_equal(first, algorithm.initial(seed=7))


def test_classifier_refuses_unknown_statistics():
    with pytest.raises(ValueError, match="statistics: got 'running', expected one of 'support'"):
        classifier(statistics="running")


def test_uneven_numbers_of_examples_weigh_each_class_by_its_mean(generator):
    algorithm = classifier()
    parameters = scattered(algorithm)
    x = generator.normal(size=(1, 2, 2))
    once = algorithm.adapt(parameters, Examples(x, np.array([[0, 1]])), generator)
    twice = algorithm.adapt(parameters, Examples(x[:, [0, 1, 1]], np.array([[0, 1, 1]])), generator)
    np.testing.assert_allclose(once.weights(), twice.weights(), rtol=1e-12)


@pytest.fixture(scope="module")
def trained_classifier():
    algorithm = AmortisedClassifier(
        network=mlp(inputs=2, outputs=8, hidden=(16,)),
        hidden=(32,),
        shots=1,
        tasks=20,
        iterations=600,
        outer=Adam(5e-3),
    )
    start = algorithm.initial(seed=0)
    return algorithm, algorithm.train(start, GaussianTasks(), np.random.default_rng(0))


def test_trained_answers_are_calibrated_and_nearly_those_of_bayes(trained_classifier):
    algorithm, trained = trained_classifier
    generator = np.random.default_rng(1)
    source = GaussianTasks()
    episodes = source.draw(generator, 400, shots=1, queries=10)
    adapted = algorithm.adapt(trained, episodes.support, generator)
    prediction = adapted.predict(episodes.query.x)
    error = calibration(prediction, episodes.query).error
    assert error < 0.03
    assert error < calibration(source.plug_in(episodes), episodes.query).error / 3
    found = scores(prediction, episodes.query)["nll"].mean()
    best = scores(source.bayes(episodes), episodes.query)["nll"].mean()
    assert found < best + 0.03


def test_more_classes_than_in_training_are_told_apart(trained_classifier):
    algorithm, trained = trained_classifier
    generator = np.random.default_rng(2)
    source = GaussianTasks(ways=6)
    episodes = source.draw(generator, 200, shots=1, queries=5)
    prediction = algorithm.adapt(trained, episodes.support, generator).predict(episodes.query.x)
    found = scores(prediction, episodes.query)["accuracy"].mean()
    best = scores(source.bayes(episodes), episodes.query)["accuracy"].mean()
    assert found > best - 0.03
    assert best > 2 / 6


def test_classifiers_are_trained_by_nothing_but_their_arguments():
    algorithm = classifier(iterations=2)
    start = algorithm.initial(seed=1)
    before = start.copy()
    ends = [algorithm.train(start, GaussianTasks(), np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(start, before)
    np.testing.assert_array_equal(*ends)
    assert (ends[0] != start).any()


@pytest.mark.parametrize(
    "name", ["shots", "queries", "tasks", "iterations", "samples", "answer_samples"]
)
def test_classifier_refuses_counts_below_one(name):
    with pytest.raises(ValueError, match=f"{name}: got 0, expected at least 1"):
        classifier(**{name: 0})


def test_classifier_refuses_what_does_not_fit(generator):
    with pytest.raises(ValueError, match="widths"):
        classifier(hidden=(0,))
    algorithm = classifier()
    parameters = algorithm.initial(seed=0)
    support = drawn_classes(generator).support
    with pytest.raises(ValueError, match="parameters: got shape"):
        algorithm.adapt(parameters[1:], support, generator)
    gap = support.y.copy()
    gap[1, gap[1] == 0] = 1
    with pytest.raises(ValueError, match="task 1 has no example of class 0"):
        algorithm.adapt(parameters, Examples(support.x, gap), generator)
    with pytest.raises(ValueError, match="support: got float64 targets"):
        algorithm.adapt(parameters, some(generator), generator)
    with pytest.raises(ValueError, match="x: got shape"):
        algorithm.adapt(parameters, support, generator).predict(np.zeros((2, 3, 7)))
