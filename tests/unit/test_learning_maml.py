from dataclasses import replace

import numpy as np
import pytest

from veilsum.learning.adaptation import FineTuning
from veilsum.learning.maml import MAML
from veilsum.learning.network import (
    SGD,
    Adam,
    CrossEntropy,
    Momentum,
    SquaredError,
    conv4,
    linear,
    mlp,
)
from veilsum.learning.tasks import Episodes, Examples


class Waves:
    """Sines of random amplitude and phase."""

    rows = 1000

    def draw(self, generator, tasks, *, shots, queries):
        amplitude = generator.uniform(0.1, 5.0, size=(tasks, 1, 1))
        phase = generator.uniform(0, np.pi, size=(tasks, 1, 1))
        x = generator.uniform(-5, 5, size=(tasks, shots + queries, 1))
        y = amplitude * np.sin(x - phase)
        support = Examples(x[:, :shots], y[:, :shots])
        return Episodes(support, Examples(x[:, shots:], y[:, shots:]))


def descent(*, rate=0.1, steps=1):
    return FineTuning(optimizer=SGD(rate), steps=steps, batch=None)


def labelled(generator, tasks=3, count=6, inputs=2, ways=3):
    """Episodes of a classification of noise."""
    x = generator.normal(size=(2, tasks, count, inputs))
    y = generator.integers(0, ways, size=(2, tasks, count))
    return Episodes(Examples(x[0], y[0]), Examples(x[1], y[1]))


def test_one_step_on_linear_regression_has_the_closed_form():
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, 4, 5, 3)), generator.normal(size=(2, 4, 5, 1))
    episodes = Episodes(Examples(x[0], y[0]), Examples(x[1], y[1]))
    parameters, rate = generator.normal(size=4), 0.2
    learner = MAML(network=linear(inputs=3), inner=descent(rate=rate))
    losses, gradient = learner.meta_gradient(parameters, episodes)
    expected = np.zeros(4)
    for task in range(4):
        support, query = (np.column_stack([part[task], np.ones(5)]) for part in x)
        hessian = 2 / 5 * support.T @ support
        slope = 2 / 5 * support.T @ (support @ parameters - y[0, task, :, 0])
        errors = query @ (parameters - rate * slope) - y[1, task, :, 0]
        assert losses[task] == pytest.approx(np.mean(errors**2))
        expected += (np.eye(4) - rate * hessian) @ (2 / 5 * query.T @ errors) / 4
    assert np.allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize("rule", [SGD(0.1), Momentum(0.1), Adam(0.1)])
def test_first_order_is_the_gradient_at_the_adapted_parameters(rule):
    generator = np.random.default_rng(2)
    episodes = labelled(generator)
    network = mlp(inputs=2, outputs=3, hidden=(4,))
    inner = FineTuning(optimizer=rule, steps=3, batch=None)
    learner = MAML(network=network, order=1, inner=inner, final=inner)
    parameters = learner.initial(seed=0)
    losses, gradient = learner.meta_gradient(parameters, episodes)
    adapted = learner.adapt(parameters, episodes.support, generator).parameters
    query = episodes.query
    expected, by_task = network.gradient(adapted, query.x, query.y, CrossEntropy())
    assert np.array_equal(losses, expected)
    assert np.array_equal(gradient, by_task.mean(axis=0))


def test_the_orders_differ():
    learner = MAML(network=linear(inputs=2, outputs=3), inner=descent())
    episodes = labelled(np.random.default_rng(3))
    parameters = learner.initial(seed=0)
    _, exact = learner.meta_gradient(parameters, episodes)
    _, first = replace(learner, order=1).meta_gradient(parameters, episodes)
    assert np.linalg.norm(exact - first) > 1e-3 * np.linalg.norm(exact)


def test_one_plain_step_moves_by_the_rate_times_the_meta_gradient():
    learner = MAML(network=mlp(inputs=1, hidden=(5,)), shots=4, queries=3, tasks=2, outer=SGD(0.5))
    parameters = learner.initial(seed=0)
    trained = learner.train(parameters, Waves(), np.random.default_rng(4))
    drawn = Waves().draw(np.random.default_rng(4), 2, shots=4, queries=3)
    _, gradient = learner.meta_gradient(parameters, drawn)
    assert np.array_equal(trained, parameters - 0.5 * gradient)
    assert np.array_equal(parameters, learner.initial(seed=0))


def test_training_remembers_within_a_round_and_is_bit_for_bit_repeatable():
    learner = MAML(network=mlp(inputs=1, hidden=(5,)), tasks=2, iterations=3, outer=Momentum(0.01))
    parameters = learner.initial(seed=0)
    trained = learner.train(parameters, Waves(), np.random.default_rng(5))
    again = learner.train(parameters, Waves(), np.random.default_rng(5))
    assert np.array_equal(trained, again)
    forgetful, generator = parameters, np.random.default_rng(5)
    for _ in range(3):
        forgetful = replace(learner, iterations=1).train(forgetful, Waves(), generator)
    assert not np.allclose(trained, forgetful)


def test_training_learns_to_learn_sines():
    learner = MAML(
        network=mlp(inputs=1, hidden=(20, 20)),
        tasks=10,
        iterations=300,
        outer=Adam(0.005),
        inner=descent(rate=0.02),
        final=descent(rate=0.02, steps=5),
    )
    untrained = learner.initial(seed=0)
    trained = learner.train(untrained, Waves(), np.random.default_rng(6))
    episodes = Waves().draw(np.random.default_rng(7), 100, shots=10, queries=20)

    def error(parameters):
        adapted = learner.adapt(parameters, episodes.support, np.random.default_rng(0))
        return np.square(adapted.predict(episodes.query.x).outputs - episodes.query.y).mean()

    assert error(trained) < 0.6 * error(untrained)


def test_adapt_takes_as_many_steps_as_it_is_told():
    network = linear(inputs=1)
    learner = MAML(network=network, inner=descent(), final=descent(rate=0.3, steps=2))
    support = Waves().draw(np.random.default_rng(8), 3, shots=6, queries=0).support
    parameters = learner.initial(seed=0)
    adapted = learner.adapt(parameters, support, np.random.default_rng(0))
    expected = np.tile(parameters, (3, 1))
    for _ in range(2):
        _, gradient = network.gradient(expected, support.x, support.y, SquaredError())
        expected -= 0.3 * gradient
    assert np.array_equal(adapted.parameters, expected)
    assert adapted.statistics == "support"


def test_first_order_trains_convolutions():
    class Noise:
        rows = 1

        def draw(self, generator, tasks, *, shots, queries):
            x = generator.normal(size=(tasks, 2 * (shots + queries), 16, 16, 1))
            y = np.tile([0, 1], (tasks, shots + queries))
            support = Examples(x[:, : 2 * shots], y[:, : 2 * shots])
            return Episodes(support, Examples(x[:, 2 * shots :], y[:, 2 * shots :]))

    network = conv4(outputs=2, side=16, filters=2)
    learner = MAML(network=network, order=1, shots=1, queries=2, tasks=2)
    parameters = learner.initial(seed=0)
    trained = learner.train(parameters, Noise(), np.random.default_rng(9))
    assert trained.dtype == np.float64
    assert np.isfinite(trained).all()
    assert not np.array_equal(trained, parameters)


def test_single_precision_stays_single_inside():
    network = mlp(inputs=2, outputs=3, hidden=(4,), dtype=np.float32)
    learner = MAML(network=network, inner=descent(steps=2))
    losses, gradient = learner.meta_gradient(
        learner.initial(seed=0), labelled(np.random.default_rng(10))
    )
    assert losses.dtype == np.float32
    assert gradient.dtype == np.float64


def test_second_order_on_convolutions_is_an_error():
    with pytest.raises(ValueError, match=r"order: got 2 .*convolutions.*; use order=1"):
        MAML(network=conv4(outputs=2, side=16, filters=2))


def test_second_order_through_adam_is_an_error():
    inner = FineTuning(optimizer=Adam(0.01), batch=None)
    with pytest.raises(ValueError, match=r"inner: got Adam, expected SGD"):
        MAML(network=linear(inputs=1), inner=inner)


def test_inner_steps_on_parts_of_the_support_set_are_an_error():
    with pytest.raises(ValueError, match=r"inner: got batches of 3.*batch=None"):
        MAML(network=linear(inputs=1), inner=FineTuning(optimizer=SGD(0.1), batch=3))


@pytest.mark.parametrize("name", ["shots", "queries", "tasks", "iterations"])
def test_a_number_below_one_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name}: got 0, expected at least 1"):
        MAML(network=linear(inputs=1), **{name: 0})


def test_an_order_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="order: got 3, expected 1 or 2"):
        MAML(network=linear(inputs=1), order=3)


def test_unknown_statistics_are_an_error():
    with pytest.raises(ValueError, match="statistics: got 'running'"):
        MAML(network=linear(inputs=1), statistics="running")


def test_a_meta_gradient_without_queries_is_an_error():
    episodes = Waves().draw(np.random.default_rng(11), 2, shots=3, queries=0)
    learner = MAML(network=linear(inputs=1))
    with pytest.raises(ValueError, match="at least one example"):
        learner.meta_gradient(learner.initial(seed=0), episodes)


def test_parameters_of_another_size_are_an_error():
    episodes = Waves().draw(np.random.default_rng(12), 2, shots=3, queries=2)
    with pytest.raises(
        ValueError, match=r"parameters: got shape \(5,\), expected \(2,\) or \(2, 2\)"
    ):
        MAML(network=linear(inputs=1)).meta_gradient(np.zeros(5), episodes)
