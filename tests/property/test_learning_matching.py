import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.learning.matching import Matching, MatchingNetwork, Prototypes
from veilsum.learning.network import SGD, CrossEntropy, linear
from veilsum.learning.tasks import Episodes, Examples

HEADS = st.sampled_from([Matching(scale=1.0), Matching(scale=6.0), Prototypes(), Prototypes(0.3)])
SEEDS = st.integers(0, 2**32)
STEP = 1e-6


def draw_labels(generator, tasks, ways, extra):
    """Labels with every class at least once, in any order."""
    every = np.tile(np.arange(ways), (tasks, 1))
    more = generator.integers(0, ways, size=(tasks, extra))
    return generator.permuted(np.concatenate([every, more], axis=1), axis=1)


def members_of(labels, ways):
    return (labels[..., np.newaxis] == np.arange(ways)).astype(float)


def task_weights(head, generator, tasks, ways, features):
    start = head.start(tasks, ways, features, np.float64)
    return start * generator.uniform(0.2, 1.0, size=start.shape)


SHAPES = st.fixed_dictionaries(
    {"tasks": st.integers(1, 3), "ways": st.integers(1, 4), "extra": st.integers(0, 5)}
)


def assert_is_slope(function, arrays, gradients, generator):
    """Assert that the gradients tell how the function moves along a random direction."""
    ways = [generator.normal(size=array.shape) for array in arrays]
    ends = [
        function(*(array + step * way for array, way in zip(arrays, ways, strict=True)))
        for step in (STEP, -STEP)
    ]
    slope = sum((gradient * way).sum() for gradient, way in zip(gradients, ways, strict=True))
    assert (ends[0] - ends[1]) / (2 * STEP) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(SEEDS, HEADS, SHAPES, st.integers(1, 4))
def test_gradients_by_gates_scales_queries_and_support(seed, head, shape, queries):
    generator = np.random.default_rng(seed)
    labels = draw_labels(generator, **shape)
    tasks, ways = shape["tasks"], shape["ways"]
    members = members_of(labels, ways)
    asked = generator.normal(size=(tasks, queries, 5))
    known = generator.normal(size=(tasks, labels.shape[1], 5))
    weights = task_weights(head, generator, tasks, ways, 5)
    by_scores = generator.normal(size=(tasks, queries, ways))

    def function(weights, asked, known):
        return (head.forward(weights, asked, known, members).outputs * by_scores).sum()

    gradients = head.backward(head.forward(weights, asked, known, members), by_scores)
    assert_is_slope(function, (weights, asked, known), gradients, generator)


@settings(max_examples=60, deadline=None)
@given(SEEDS, HEADS, SHAPES)
def test_gradients_of_a_support_set_scored_by_itself(seed, head, shape):
    generator = np.random.default_rng(seed)
    labels = draw_labels(generator, **shape)
    tasks, ways = shape["tasks"], shape["ways"]
    members = members_of(labels, ways)
    known = generator.normal(size=(*labels.shape, 5))
    weights = task_weights(head, generator, tasks, ways, 5)

    def loss(weights, known):
        passed = head.forward(weights, known, known, members, without_self=True)
        return CrossEntropy().gradient(passed.outputs, labels)[0].sum()

    passed = head.forward(weights, known, known, members, without_self=True)
    _, by_scores = CrossEntropy().gradient(passed.outputs, labels)
    by_weights, by_queries, by_support = head.backward(passed, by_scores)
    gradients = by_weights, by_queries + by_support
    assert_is_slope(loss, (weights, known), gradients, generator)


@settings(max_examples=30, deadline=None)
@given(SEEDS, HEADS, SHAPES)
def test_the_meta_gradient_is_that_of_the_mean_loss(seed, head, shape):
    generator = np.random.default_rng(seed)
    support = draw_labels(generator, **shape)
    query = generator.integers(0, shape["ways"], size=(shape["tasks"], 3))
    learner = MatchingNetwork(network=linear(inputs=3, outputs=4), head=head)
    episodes = Episodes(
        Examples(generator.normal(size=(*support.shape, 3)), support),
        Examples(generator.normal(size=(*query.shape, 3)), query),
    )
    parameters = generator.normal(size=learner.size)
    _, gradient = learner.meta_gradient(parameters, episodes)

    def loss(parameters):
        return learner.meta_gradient(parameters, episodes)[0].mean()

    assert_is_slope(loss, (parameters,), (gradient,), generator)


@settings(max_examples=30, deadline=None)
@given(SEEDS, HEADS, SHAPES)
def test_a_joint_step_follows_the_slope_of_the_support_set_scored_by_itself(seed, head, shape):
    generator = np.random.default_rng(seed)
    labels = draw_labels(generator, **shape)
    members, x = members_of(labels, shape["ways"]), generator.normal(size=(*labels.shape, 3))
    network = linear(inputs=3, outputs=4)
    learner = MatchingNetwork(network=network, head=head, joint_steps=1, tuning_optimizer=SGD(0.5))
    start = generator.normal(size=(len(labels), network.size))
    before, after = learner.tune(start, Examples(x, labels))

    def loss(parameters):
        known = network.forward(parameters, x).outputs
        scores = head.forward(before.weights, known, known, members, without_self=True)
        return CrossEntropy().gradient(scores.outputs, labels)[0].sum()

    assert_is_slope(loss, (start,), ((start - after.parameters) / 0.5,), generator)


@settings(max_examples=30, deadline=None)
@given(SEEDS, HEADS, SHAPES)
def test_renamed_classes_and_shuffled_examples_give_renamed_answers(seed, head, shape):
    generator = np.random.default_rng(seed)
    labels = draw_labels(generator, **shape)
    network = linear(inputs=3, outputs=4)
    learner = MatchingNetwork(
        network=network, head=head, gate_steps=2 * isinstance(head, Matching), joint_steps=2
    )
    parameters = network.initial(seed=seed)
    x = generator.normal(size=(*labels.shape, 3))
    queries = generator.normal(size=(len(labels), 4, 3))
    names = generator.permutation(shape["ways"])
    order = generator.permutation(labels.shape[1])

    def answers(x, labels):
        adapted = learner.adapt(parameters, Examples(x, labels), generator)
        return adapted.predict(queries).outputs

    renamed = answers(x[:, order], names[labels[:, order]])
    assert np.allclose(renamed[..., names], answers(x, labels), rtol=1e-6, atol=1e-9)
