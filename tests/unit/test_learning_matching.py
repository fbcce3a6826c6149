from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from veilsum.learning.matching import Matched, Matching, MatchingNetwork, Prototypes
from veilsum.learning.network import SGD, Adam, conv4, linear, mlp
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.tasks import Episodes, Examples

LABELS = np.array([[0, 1, 2, 1, 0, 1], [2, 2, 0, 1, 0, 2]])
MEMBERS = (LABELS[..., np.newaxis] == np.arange(3)).astype(float)


class Clouds:
    """Classes whose first feature tells them apart, and whose second is loud noise."""

    rows = 100

    def draw(self, generator, tasks, *, shots, queries, ways=3):
        count = shots + queries
        places = np.stack([generator.permutation(ways) for _ in range(tasks)])
        x = generator.normal(size=(tasks, count, ways, 2)) * [0.2, 5.0]
        x[..., 0] += 2 * places[:, np.newaxis]
        y = np.broadcast_to(np.arange(ways), (tasks, count, ways))
        return Episodes(
            Examples(x[:, :shots].reshape(tasks, -1, 2), y[:, :shots].reshape(tasks, -1)),
            Examples(x[:, shots:].reshape(tasks, -1, 2), y[:, shots:].reshape(tasks, -1)),
        )


def embeddings(seed, count=6, features=4):
    return np.random.default_rng(seed).normal(size=(2, count, features))


def weights_of(head, seed):
    """Weights of two tasks, three classes and four features, away from where they start."""
    start = head.start(2, 3, 4, np.float64)
    return start * np.random.default_rng(seed).uniform(0.2, 1.0, size=start.shape)


def images(seed, tasks=2, count=4):
    x = np.random.default_rng(seed).uniform(size=(tasks, count, 16, 16, 1))
    return Examples(x, np.tile([0, 1], (tasks, count // 2)))


def chances(head, weights, queries, support, members):
    return np.exp(log_softmax(head.forward(weights, queries, support, members).outputs))


def test_matching_sums_the_attention_to_the_examples_of_a_class():
    head, support, queries = Matching(scale=3.0), embeddings(1), embeddings(2, count=5)
    weights = weights_of(head, 3)
    expected = np.zeros((2, 5, 3))
    for task, labels in enumerate(LABELS):
        gates, scales = weights[task, :12].reshape(3, 4), weights[task, 12:]
        for place, query in enumerate(queries[task]):
            for example, label in zip(support[task], labels, strict=True):
                gated = gates[label] * query
                norms = np.linalg.norm(gated) * np.linalg.norm(example)
                attention = np.exp(scales[label] * (gated @ example) / norms)
                expected[task, place, label] += attention
    expected /= expected.sum(axis=2, keepdims=True)
    assert np.allclose(chances(head, weights, queries, support, MEMBERS), expected, rtol=1e-6)


def test_matching_begins_with_open_gates_and_one_scale():
    weights = Matching(scale=7.0).start(2, 3, 4, np.float32)
    assert weights.dtype == np.float32
    assert np.array_equal(weights, np.tile([1.0] * 12 + [7.0] * 3, (2, 1)))


def test_projection_keeps_gates_in_their_interval_and_scales_positive():
    weights = np.array([[-0.5, 0.5, 1.5, 1.0, -2.0, 2.0]])
    Matching().project(weights, 2)
    assert np.array_equal(weights[0, :4], [0.0, 0.5, 1.0, 1.0])
    assert 0 < weights[0, 4] < 0.01
    assert weights[0, 5] == 2.0


def test_prototypes_are_a_linear_classifier_of_the_embedded_query():
    head, support, queries = Prototypes(), embeddings(4), embeddings(5, count=3)
    outputs = head.forward(weights_of(head, 0), queries, support, MEMBERS).outputs
    for task, labels in enumerate(LABELS):
        means = np.array([support[task, labels == way].mean(axis=0) for way in range(3)])
        lines = 2 * queries[task] @ means.T - np.square(means).sum(axis=1)
        assert np.allclose(log_softmax(outputs[task]), log_softmax(lines), rtol=1e-12)


def test_on_units_with_one_shot_both_heads_agree():
    def units(seed, count):
        x = embeddings(seed, count)
        return x / np.linalg.norm(x, axis=2, keepdims=True)

    support, queries, members = units(6, 3), units(7, 5), np.tile(np.eye(3), (2, 1, 1))
    by_distance = chances(Prototypes(scale=2.0), np.empty((2, 0)), queries, support, members)
    head = Matching(scale=4.0)
    by_cosine = chances(head, head.start(2, 3, 4, np.float64), queries, support, members)
    assert np.allclose(by_distance, by_cosine, rtol=1e-6)


@pytest.mark.parametrize("head", [Matching(), Prototypes()])
def test_without_itself_an_example_is_scored_as_if_it_had_not_been_there(head):
    support, weights = embeddings(8), weights_of(head, 9)
    left_out = head.forward(weights, support, support, MEMBERS, without_self=True).outputs
    for task, place in np.argwhere((MEMBERS.sum(axis=1, keepdims=True) * MEMBERS).max(axis=2) > 1):
        rest, one = np.arange(6) != place, slice(task, task + 1)
        members, example = MEMBERS[one, rest], support[one, place : place + 1]
        plain = head.forward(weights[one], example, support[one, rest], members).outputs
        assert np.allclose(left_out[task, place], plain[0, 0], rtol=1e-6)


@pytest.mark.parametrize("head", [Matching(), Prototypes()])
def test_the_only_example_of_a_class_stays_in(head):
    support, members = embeddings(10, count=3), np.tile(np.eye(3), (2, 1, 1))
    weights = weights_of(head, 11)
    left_out = head.forward(weights, support, support, members, without_self=True)
    whole = head.forward(weights, support, support, members)
    assert np.allclose(left_out.outputs, whole.outputs, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("head", [Matching(), Prototypes()])
def test_embeddings_of_zeros_give_even_chances_and_finite_gradients(head, dtype):
    zeros = np.zeros((2, 6, 4), dtype=dtype)
    weights = head.start(2, 3, 4, dtype)
    balanced = np.tile(np.eye(3, dtype=dtype), (2, 2, 1))
    passed = head.forward(weights, zeros, zeros, balanced)
    assert passed.outputs.dtype == dtype
    assert np.allclose(np.exp(log_softmax(passed.outputs)), 1 / 3)
    for gradient in head.backward(passed, np.ones_like(passed.outputs)):
        assert gradient.dtype == dtype
        assert np.isfinite(gradient).all()


def test_closed_gates_give_no_class_an_advantage():
    head = Matching(scale=5.0)
    weights = head.start(2, 3, 4, np.float64)
    weights[:, :12] = 0
    members = np.tile(np.eye(3), (2, 2, 1))
    assert np.allclose(chances(head, weights, embeddings(12), embeddings(13), members), 1 / 3)


def test_large_scales_do_not_overflow():
    head = Matching(scale=1e5)
    weights = head.start(2, 3, 4, np.float32)
    support = embeddings(14).astype(np.float32)
    outputs = head.forward(weights, support, support, MEMBERS.astype(np.float32)).outputs
    assert np.isfinite(log_softmax(outputs)).all()


@pytest.mark.parametrize("head", [Matching(), Prototypes()])
def test_one_plain_step_moves_by_the_rate_times_the_meta_gradient(head):
    learner = MatchingNetwork(
        network=mlp(inputs=2, outputs=4, hidden=(5,)),
        head=head,
        shots=2,
        queries=3,
        tasks=2,
        iterations=1,
        outer=SGD(0.5),
    )
    parameters = learner.initial(seed=0)
    trained = learner.train(parameters, Clouds(), np.random.default_rng(15))
    drawn = Clouds().draw(np.random.default_rng(15), 2, shots=2, queries=3)
    _, gradient = learner.meta_gradient(parameters, drawn)
    assert np.array_equal(trained, parameters - 0.5 * gradient)
    assert np.array_equal(parameters, learner.initial(seed=0))


@pytest.mark.parametrize("head", [Matching(), Prototypes()])
def test_training_learns_which_feature_matters(head):
    learner = MatchingNetwork(
        network=mlp(inputs=2, outputs=4, hidden=(8,)), head=head, iterations=80, outer=Adam(0.01)
    )
    untrained = learner.initial(seed=0)
    trained = learner.train(untrained, Clouds(), np.random.default_rng(16))
    assert np.array_equal(trained, learner.train(untrained, Clouds(), np.random.default_rng(16)))
    episodes = Clouds().draw(np.random.default_rng(17), 50, shots=5, queries=5)

    def accuracy(parameters):
        adapted = learner.adapt(parameters, episodes.support, np.random.default_rng(0))
        answers = adapted.predict(episodes.query.x).outputs.argmax(axis=2)
        return np.mean(answers == episodes.query.y)

    assert accuracy(trained) > 0.15 + accuracy(untrained)


def test_batch_normalisation_sees_support_and_queries_together_in_training():
    network = conv4(outputs=None, side=16, filters=2, dtype=np.float64)
    learner = MatchingNetwork(network=network)
    episodes = Episodes(images(18), images(19))
    parameters = learner.initial(seed=0)
    losses, gradient = learner.meta_gradient(parameters, episodes)
    together = replace(learner, statistics="transductive")
    adapted = together.adapt(parameters, episodes.support, np.random.default_rng(0))
    answers = adapted.predict(episodes.query.x).outputs
    hits = np.take_along_axis(answers, episodes.query.y[..., np.newaxis], axis=2)
    assert np.allclose(losses, -hits.mean(axis=(1, 2)), rtol=1e-12)
    direction = np.random.default_rng(20).normal(size=parameters.size)
    ends = [
        learner.meta_gradient(parameters + step * direction, episodes)[0].mean()
        for step in (1e-6, -1e-6)
    ]
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-5)


@pytest.fixture
def tuned():
    """Steps of fine-tuning: the learner, where it began, the support set, all models."""
    learner = MatchingNetwork(
        network=mlp(inputs=2, outputs=4, hidden=(5,)),
        gate_steps=3,
        joint_steps=2,
        tuning_optimizer=SGD(0.5),
    )
    support = Clouds().draw(np.random.default_rng(21), 4, shots=3, queries=0).support
    parameters = learner.initial(seed=1)
    models = [
        replace(model, parameters=model.parameters.copy(), weights=model.weights.copy())
        for model in learner.tune(parameters, support)
    ]
    return learner, parameters, support, models


def test_tuning_trains_the_head_first_and_then_all(tuned):
    _, parameters, _, models = tuned
    assert len(models) == 6
    start = np.tile(parameters, (4, 1))
    assert all(np.array_equal(model.parameters, start) for model in models[:4])
    for before, after in pairwise(models[3:]):
        assert (before.parameters != after.parameters).any(axis=1).all()
    for before, after in pairwise(models):
        assert (before.weights != after.weights).any(axis=1).all()


def test_tuning_lowers_the_loss_of_examples_scored_by_the_others(tuned):
    learner, _, support, models = tuned
    members = (support.y[..., np.newaxis] == np.arange(3)).astype(float)

    def loss(model):
        embedded = learner.network.forward(model.parameters, support.x).outputs
        scores = model.head.forward(
            model.weights, embedded, embedded, members, without_self=True
        ).outputs
        return -np.take_along_axis(log_softmax(scores), support.y[..., np.newaxis], axis=2).mean()

    losses = [loss(model) for model in models]
    assert losses[3] < losses[0]
    assert losses[5] < losses[3]


def test_tuned_gates_stay_in_their_interval(tuned):
    *_, models = tuned
    gates = models[-1].weights[:, :12]
    assert gates.min() >= 0
    assert gates.max() == 1
    assert (gates < 1).any()


def test_adapt_is_the_last_model_of_tuning(tuned):
    learner, parameters, support, models = tuned
    adapted = learner.adapt(parameters, support, np.random.default_rng(0))
    assert np.array_equal(adapted.parameters, models[-1].parameters)
    assert np.array_equal(adapted.weights, models[-1].weights)


def test_tasks_are_tuned_apart_each_from_parameters_of_its_own():
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3), gate_steps=2, joint_steps=2)
    support = Clouds().draw(np.random.default_rng(22), 2, shots=2, queries=0).support
    starts = np.stack([learner.initial(seed=seed) for seed in (2, 3)])
    together = learner.adapt(starts, support, np.random.default_rng(0))
    for task in range(2):
        own = Examples(support.x[[task]], support.y[[task]])
        alone = learner.adapt(starts[task], own, np.random.default_rng(0))
        assert np.allclose(alone.parameters[0], together.parameters[task], rtol=1e-9)
        assert np.allclose(alone.weights[0], together.weights[task], rtol=1e-9)


def test_prototypes_are_tuned_by_the_embedding_alone():
    learner = MatchingNetwork(
        network=linear(inputs=2, outputs=3),
        head=Prototypes(),
        joint_steps=2,
        tuning_optimizer=SGD(0.01),
    )
    support = Clouds().draw(np.random.default_rng(23), 2, shots=2, queries=0).support
    parameters = learner.initial(seed=0)
    adapted = learner.adapt(parameters, support, np.random.default_rng(0))
    assert adapted.weights.shape == (2, 0)
    assert (adapted.parameters != parameters).any(axis=1).all()


def test_predictions_are_logarithms_of_chances():
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3))
    episodes = Clouds().draw(np.random.default_rng(24), 2, shots=2, queries=3)
    adapted = learner.adapt(learner.initial(seed=0), episodes.support, np.random.default_rng(0))
    prediction = adapted.predict(episodes.query.x)
    assert prediction.outputs.shape == (2, 9, 3)
    assert np.allclose(np.exp(prediction.outputs).sum(axis=2), 1)
    assert prediction.deviations is None


@pytest.mark.parametrize(
    ("statistics", "depends"), [("support", False), ("alone", False), ("transductive", True)]
)
def test_statistics_say_whether_an_answer_depends_on_other_queries(statistics, depends):
    network = conv4(outputs=None, side=16, filters=4, dtype=np.float64)
    learner = MatchingNetwork(network=network, statistics=statistics)
    adapted = learner.adapt(learner.initial(seed=0), images(25), np.random.default_rng(0))
    x = images(26).x
    first = adapted.predict(x).outputs[:, :1]
    assert np.allclose(first, adapted.predict(x[:, :1]).outputs, rtol=1e-9) != depends


def test_the_statistics_of_the_support_set_differ_from_those_with_the_query():
    network = conv4(outputs=None, side=16, filters=4, dtype=np.float64)
    answers = []
    for statistics in ("support", "alone"):
        learner = MatchingNetwork(network=network, statistics=statistics)
        adapted = learner.adapt(learner.initial(seed=0), images(27), np.random.default_rng(0))
        answers.append(adapted.predict(images(28).x).outputs)
    assert not np.allclose(*answers)


def test_a_class_without_an_example_is_an_error():
    support = Examples(np.zeros((2, 3, 2)), np.array([[0, 1, 2], [0, 2, 2]]))
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3))
    with pytest.raises(ValueError, match=r"support: got no example of class 1 in task 1.*3 class"):
        learner.adapt(learner.initial(seed=0), support, np.random.default_rng(0))


@pytest.mark.parametrize("y", [np.zeros((1, 3, 1)), np.zeros((1, 0), dtype=int)])
def test_a_support_set_without_labels_is_an_error(y):
    support = Examples(np.zeros((1, y.shape[1], 2)), y)
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3))
    with pytest.raises(ValueError, match=r"support: got .*expected labels"):
        learner.adapt(learner.initial(seed=0), support, np.random.default_rng(0))


@pytest.mark.parametrize(
    "y", [np.array([[0, 2]]), np.zeros((1, 2, 1)), np.zeros((1, 0), dtype=int)]
)
def test_queries_that_the_support_set_cannot_answer_are_an_error(y):
    support = Examples(np.zeros((1, 2, 2)), np.array([[0, 1]]))
    query = Examples(np.zeros((1, y.shape[1], 2)), y)
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3))
    with pytest.raises(ValueError, match=r"query: got .*expected labels.* 2 classes"):
        learner.meta_gradient(learner.initial(seed=0), Episodes(support, query))


def test_parameters_of_another_size_are_an_error():
    learner = MatchingNetwork(network=linear(inputs=2, outputs=3))
    support = Examples(np.zeros((1, 2, 2)), np.array([[0, 1]]))
    with pytest.raises(ValueError, match=r"parameters: got shape \(8,\), expected .*9"):
        learner.adapt(np.zeros(8), support, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["shots", "queries", "tasks", "iterations"])
def test_a_number_below_one_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name}: got 0, expected at least 1"):
        MatchingNetwork(network=linear(inputs=2), **{name: 0})


@pytest.mark.parametrize("name", ["gate_steps", "joint_steps"])
def test_a_negative_number_of_steps_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name}: got -1, expected at least 0"):
        MatchingNetwork(network=linear(inputs=2), **{name: -1})


def test_gate_steps_of_prototypes_are_an_error():
    with pytest.raises(ValueError, match=r"gate_steps: got 5 for Prototypes.*use joint_steps"):
        MatchingNetwork(network=linear(inputs=2), head=Prototypes(), gate_steps=5)


@pytest.mark.parametrize("head", [Matching, Prototypes])
@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_not_positive_and_finite_is_an_error(head, scale):
    with pytest.raises(ValueError, match=r"scale: got .*, expected finite and above 0"):
        head(scale=scale)


def test_unknown_statistics_are_an_error():
    network = linear(inputs=2)
    with pytest.raises(ValueError, match="statistics: got 'running'"):
        MatchingNetwork(network=network, statistics="running")
    with pytest.raises(ValueError, match="statistics: got 'running'"):
        Matched(
            network=network,
            head=Prototypes(),
            parameters=np.zeros((1, 3)),
            weights=np.empty((1, 0)),
            support=Examples(np.zeros((1, 1, 2)), np.array([[0]])),
            statistics="running",
        )
