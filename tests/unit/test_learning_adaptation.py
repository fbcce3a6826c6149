import numpy as np
import pytest

from veilsum.learning.adaptation import FineTuned, FineTuning
from veilsum.learning.network import SGD, conv4, linear
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.tasks import Examples

TASKS, SHOTS, QUERIES = 2, 4, 3
NETWORK = conv4(outputs=2, side=16, filters=2, dtype=np.float64)


def tuned(statistics):
    """Return models of random parameters, and queries."""
    generator = np.random.default_rng(0)
    support = Examples(
        generator.random((TASKS, SHOTS, 16, 16, 1)), np.tile([0, 0, 1, 1], (TASKS, 1))
    )
    parameters = generator.normal(size=(TASKS, NETWORK.size))
    queries = generator.random((TASKS, QUERIES, 16, 16, 1))
    models = FineTuned(
        network=NETWORK, parameters=parameters, support=support, statistics=statistics
    )
    return models, queries


def test_by_default_the_support_set_normalises():
    models, queries = tuned("support")
    known = NETWORK.forward(models.parameters, models.support.x).statistics
    answers = NETWORK.forward(models.parameters, queries, statistics=known).outputs
    assert np.array_equal(models.predict(queries).outputs, log_softmax(answers))


def test_alone_a_query_is_normalised_with_the_support_set():
    models, queries = tuned("alone")
    answers = models.predict(queries).outputs
    for query in range(QUERIES):
        together = np.concatenate([models.support.x, queries[:, [query]]], axis=1)
        expected = NETWORK.forward(models.parameters, together).outputs[:, -1]
        np.testing.assert_allclose(answers[:, query], log_softmax(expected), rtol=1e-12)


def test_transductive_queries_normalise_each_other():
    models, queries = tuned("transductive")
    answers = NETWORK.forward(models.parameters, queries).outputs
    assert np.array_equal(models.predict(queries).outputs, log_softmax(answers))


@pytest.mark.parametrize(
    ("statistics", "depends"), [("support", False), ("alone", False), ("transductive", True)]
)
def test_statistics_say_whether_an_answer_depends_on_other_queries(statistics, depends):
    models, queries = tuned(statistics)
    among, first = models.predict(queries).outputs[:, :1], models.predict(queries[:, :1]).outputs
    assert np.allclose(among, first) is not depends


@pytest.mark.parametrize("statistics", ["support", "alone", "transductive"])
def test_no_queries_are_refused(statistics):
    models, queries = tuned(statistics)
    with pytest.raises(
        ValueError, match=r"x: got shape \(2, 0, 16, 16, 1\), expected at least one"
    ):
        models.predict(queries[:, :0])


def test_unknown_statistics_are_refused():
    with pytest.raises(ValueError, match="statistics: got 'running', expected one of 'support'"):
        tuned("running")


@pytest.mark.parametrize(("batch", "steps"), [(2, 5), (3, 10), (4, 5)])
def test_every_example_is_used_as_often_as_any_other_in_an_order_of_its_task(batch, steps):
    examples = Examples(np.zeros((3, 5, 1)), np.zeros((3, 5, 1)))
    tuning = FineTuning(steps=steps, batch=batch)
    batches = tuning._batches(examples, np.random.default_rng(1))
    assert [places.shape for places in batches] == [(3, batch)] * steps
    orders = np.concatenate(batches, axis=1).reshape(3, -1, 5)
    assert (np.sort(orders, axis=2) == np.arange(5)).all()
    assert len({order.tobytes() for order in orders.reshape(-1, 5)}) > 1


def test_a_batch_of_more_examples_than_there_are_is_all_of_them():
    generator = np.random.default_rng(2)
    examples = Examples(generator.normal(size=(2, 4, 3)), generator.normal(size=(2, 4, 1)))
    network, start = linear(inputs=3), np.zeros(4)
    models = [
        FineTuning(optimizer=SGD(0.1), steps=3, batch=batch).run(
            network, start, examples, np.random.default_rng(3)
        )[0]
        for batch in (None, 4, 99)
    ]
    assert models[0].tobytes() == models[1].tobytes() == models[2].tobytes()
    assert not start.any()


@pytest.mark.parametrize(("batch", "lengths"), [(None, (1, 2, 4)), (2, (4,))])
def test_a_walk_passes_the_ends_of_shorter_runs_on_the_same_batches(batch, lengths):
    generator = np.random.default_rng(4)
    examples = Examples(generator.normal(size=(2, 4, 3)), generator.normal(size=(2, 4, 1)))
    network, start = linear(inputs=3), generator.normal(size=4)

    def tuning(steps):
        options = (network, start, examples, np.random.default_rng(5))
        return FineTuning(steps=steps, batch=batch), options

    tuner, options = tuning(4)
    path = [models.copy() for models, _ in tuner.walk(*options)]
    assert len(path) == 5
    assert np.array_equal(path[0], np.tile(start.astype(network.dtype), (2, 1)))
    for steps in lengths:
        tuner, options = tuning(steps)
        assert np.array_equal(path[steps], tuner.run(*options)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: got 0, expected at least 1"),
        ({"batch": 0}, "batch: got 0, expected at least 1 or None"),
    ],
)
def test_tuning_without_steps_or_examples_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FineTuning(**options)
