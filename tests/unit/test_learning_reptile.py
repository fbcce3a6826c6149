from dataclasses import dataclass, replace

import numpy as np
import pytest

from veilsum.learning.adaptation import FineTuning
from veilsum.learning.network import SGD, Adam, linear, mlp
from veilsum.learning.reptile import Reptile
from veilsum.learning.tasks import Episodes, Examples

RATE, STEPS = 0.1, 7


@dataclass(frozen=True)
class Fixed:
    """Always the same tasks, whose losses are quadratic in the parameters of a linear model."""

    tasks: Examples

    @property
    def rows(self):
        return self.tasks.x[..., 0].size

    def draw(self, generator, tasks, *, shots, queries):  # noqa: ARG002
        return Episodes(self.tasks, self.tasks)


def quadratics(seed=0, tasks=3, count=6, inputs=2):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(tasks, count, inputs))
    return Fixed(Examples(x, generator.normal(size=(tasks, count, 1))))


def reptile(**options):
    inner = FineTuning(optimizer=SGD(RATE), steps=STEPS, batch=None)
    settings = {"network": linear(inputs=2), "tasks": 3, "shots": 6, "iterations": 1}
    return Reptile(**settings | {"inner": inner, "final": inner} | options)


def adapted(theta, x, y, steps=STEPS):
    """Gradient descent on a quadratic: phi - c = (I - rate H)^steps (theta - c)."""
    design = np.column_stack([x, np.ones(len(x))])
    hessian = 2 / len(x) * design.T @ design
    centre = np.linalg.solve(hessian, 2 / len(x) * design.T @ y[:, 0])
    shrinking = np.linalg.matrix_power(np.eye(3) - RATE * hessian, steps)
    return centre + shrinking @ (theta - centre)


@pytest.mark.parametrize("rate", [1.0, 0.25])
@pytest.mark.parametrize("iterations", [1, 4])
def test_on_quadratics_reptile_equals_its_closed_form(rate, iterations):
    tasks = quadratics()
    start = np.array([0.5, -1.0, 2.0])
    expected = start
    for _ in range(iterations):
        reached = [adapted(expected, tasks.tasks.x[task], tasks.tasks.y[task]) for task in range(3)]
        expected = expected + rate * (np.mean(reached, axis=0) - expected)
    learner = reptile(rate=rate, iterations=iterations)
    trained = learner.train(start, tasks, np.random.default_rng(0))
    assert np.allclose(trained, expected, rtol=1e-12, atol=1e-13)
    assert start.tolist() == [0.5, -1.0, 2.0]


def test_a_task_is_learnt_from_the_shared_parameters_by_the_final_rule():
    tasks = quadratics(1).tasks
    start = np.array([0.5, -1.0, 2.0])
    final = FineTuning(optimizer=SGD(RATE), steps=3, batch=None)
    models = reptile(final=final).adapt(start, tasks, np.random.default_rng(0))
    answers = models.predict(tasks.x)
    for task in range(3):
        model = adapted(start, tasks.x[task], tasks.y[task], steps=3)
        expected = tasks.x[task] @ model[:2] + model[2]
        assert np.allclose(answers.outputs[task, :, 0], expected)
    assert answers.deviations is None


def test_moments_of_the_inner_optimiser_are_carried_over_only_on_request():
    inner = FineTuning(optimizer=Adam(0.05, beta1=0.0), steps=2, batch=None)
    tasks, start = quadratics(), np.zeros(3)

    def train(iterations, **options):
        learner = reptile(inner=inner, iterations=iterations, **options)
        return learner.train(start, tasks, np.random.default_rng(0))

    assert np.array_equal(train(1), train(1, carry=True))
    assert not np.allclose(train(2), train(2, carry=True))
    learner = reptile(inner=inner)
    twice = learner.train(train(1), tasks, np.random.default_rng(0))
    assert np.array_equal(train(2), twice)
    # Carried by hand: one state for both meta-batches.
    first, state = inner.run(learner.network, start, tasks.tasks, np.random.default_rng(0))
    second, _ = inner.run(
        learner.network, first.mean(axis=0), tasks.tasks, np.random.default_rng(0), state
    )
    assert np.allclose(train(2, carry=True), second.mean(axis=0))


def test_a_seed_gives_the_same_training_bit_for_bit():
    class Noise(Fixed):
        def draw(self, generator, tasks, *, shots, queries):  # noqa: ARG002
            x = generator.normal(size=(tasks, shots, 2))
            drawn = Examples(x, x.sum(axis=2, keepdims=True))
            return Episodes(drawn, drawn)

    source = Noise(quadratics().tasks)
    inner = FineTuning(optimizer=SGD(RATE), steps=3, batch=2)
    learner = reptile(network=mlp(inputs=2, hidden=(4,)), inner=inner)
    start = learner.initial(seed=3)
    one, same, other = (
        learner.train(start, source, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert one.tobytes() == same.tobytes()
    assert not np.array_equal(one, other)


def test_first_parameters_are_the_networks_in_double_precision():
    network = mlp(inputs=2, hidden=(4,), dtype=np.float32)
    learner = reptile(network=network)
    assert learner.size == network.size
    assert learner.initial(seed=1).dtype == np.float64
    assert np.array_equal(learner.initial(seed=1), network.initial(seed=1))


def test_a_network_in_single_precision_trains_in_double():
    learner = reptile(network=linear(inputs=2, dtype=np.float32))
    start = np.array([0.5, -1.0, 2.0]) + 1e-12
    tasks = quadratics()
    trained = learner.train(start, tasks, np.random.default_rng(0))
    exact = reptile().train(start, tasks, np.random.default_rng(0))
    assert trained.dtype == np.float64
    assert np.allclose(trained, exact, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 0}, "shots: got 0, expected at least 1"),
        ({"tasks": 0}, "tasks: got 0, expected at least 1"),
        ({"iterations": 0}, "iterations: got 0, expected at least 1"),
        ({"rate": 0.0}, "rate: got 0.0, expected above 0 and at most 1"),
        ({"rate": 1.1}, "rate: got 1.1, expected above 0 and at most 1"),
        ({"rate": float("nan")}, "rate: got nan"),
        ({"statistics": "query"}, "statistics: got 'query', expected one of 'support', 'alone'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        replace(reptile(), **options)


def test_parameters_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"parameters: got shape \(4,\), expected \(3,\) or"):
        reptile().train(np.zeros(4), quadratics(), np.random.default_rng(0))


def test_tasks_that_the_network_cannot_answer_are_refused():
    generator = np.random.default_rng(0)
    two = Examples(np.zeros((1, 6, 2)), np.zeros((1, 6, 2)))
    with pytest.raises(ValueError, match=r"targets: got shape \(1, 6, 2\), expected .*\(1, 6, 1\)"):
        reptile().adapt(np.zeros(3), two, generator)
    labels = Examples(np.zeros((1, 6, 2)), np.ones((1, 6), dtype=np.int64))
    with pytest.raises(ValueError, match="targets: got the label 1, but the network has 1 outputs"):
        reptile().adapt(np.zeros(3), labels, generator)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_queries_that_are_not_finite_are_refused(wrong):
    tasks = quadratics()
    models = reptile().adapt(np.zeros(3), tasks.tasks, np.random.default_rng(0))
    x = tasks.tasks.x.copy()
    x[0, 0, 0] = wrong
    with pytest.raises(ValueError, match="x: has NaN or infinity, expected finite inputs"):
        models.predict(x)
