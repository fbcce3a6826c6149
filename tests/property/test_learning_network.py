from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.learning.network import (
    SGD,
    Adam,
    CrossEntropy,
    Momentum,
    SquaredError,
    conv4,
    mlp,
)
from veilsum.learning.network.convolutions import (
    Convolution,
    Flatten,
    Images,
    PooledNorm,
    WinogradConvolution,
)
from veilsum.learning.network.layers import Dense, ReLU

STEADY = settings(deadline=None, derandomize=True, max_examples=30)

SEEDS = st.integers(0, 2**32)
FEW = st.integers(1, 4)
SIDES = st.integers(2, 7)
STEP = 1e-6
LOSSES = {"squared error": SquaredError(), "cross-entropy": CrossEntropy()}


def normal(generator, *shape):
    return generator.normal(size=shape)


def drawn_weights(layers, tasks, generator):
    return [[normal(generator, tasks, *w.shape) for w in layer.weights] for layer in layers]


def forward(layers, weights, x):
    caches = []
    for layer, own in zip(layers, weights, strict=True):
        x, cache = layer.forward(own, x)
        caches.append(cache)
    return x, caches


def backward(layers, weights, caches, dy):
    gradients = [[np.full_like(array, np.nan) for array in own] for own in weights]
    for stage in reversed(list(zip(layers, weights, caches, gradients, strict=True))):
        layer, own, cache, written = stage
        dy = layer.backward(own, cache, dy, written)
    return dy, gradients


def inner(a, b):
    """Return the inner product of each task."""
    return (a * b).reshape(len(a), -1).sum(axis=1)


def moved(arrays, directions, step):
    return [a + step * d for a, d in zip(arrays, directions, strict=True)]


def assert_gradients_are_slopes(layers, x, seed):
    """Compare with central differences along one random direction of all weights and inputs."""
    generator = np.random.default_rng(seed)
    weights = drawn_weights(layers, len(x), generator)
    y, caches = forward(layers, weights, x)
    # A zero beyond an odd side is no output, and has no gradient.
    seen = normal(generator, *y.shape) * (y != 0)
    dx, gradients = backward(layers, weights, caches, seen)
    tangents = drawn_weights(layers, len(x), generator)
    along = normal(generator, *x.shape)

    def value(step):
        there = [moved(own, tangent, step) for own, tangent in zip(weights, tangents, strict=True)]
        return inner(forward(layers, there, x + step * along)[0], seen)

    slope = (value(STEP) - value(-STEP)) / (2 * STEP)
    exact = inner(dx, along)
    for own, tangent in zip(gradients, tangents, strict=True):
        exact += sum((inner(g, t) for g, t in zip(own, tangent, strict=True)), np.zeros(len(x)))
    assert slope == pytest.approx(exact, rel=1e-5, abs=1e-5 * (1 + np.abs(seen).sum()))


@STEADY
@given(SEEDS, FEW, FEW, FEW, FEW)
def test_gradients_of_dense_layers_are_slopes(seed, tasks, batch, inputs, outputs):
    x = normal(np.random.default_rng(seed), tasks, batch, inputs)
    assert_gradients_are_slopes((Dense(inputs, 3), ReLU(), Dense(3, outputs)), x, seed)


CONVOLUTIONS = {
    "four corners": Convolution,
    "first corner": partial(Convolution, corners=1),
    "Winograd": WinogradConvolution,
}
KINDS = st.sampled_from(sorted(CONVOLUTIONS))


@STEADY
@given(KINDS, SEEDS, FEW, FEW, FEW, FEW, SIDES)
def test_gradients_of_convolutions_are_slopes(kind, seed, tasks, batch, inputs, outputs, side):
    x = normal(np.random.default_rng(seed), tasks, batch, side, side, inputs)
    layers = (Images(), CONVOLUTIONS[kind](inputs, outputs, side))
    assert_gradients_are_slopes(layers, x, seed)


@STEADY
@given(KINDS, SEEDS, FEW, FEW, FEW, SIDES)
def test_gradients_of_a_module_are_slopes(kind, seed, tasks, batch, channels, side):
    x = normal(np.random.default_rng(seed), tasks, batch, side, side, channels)
    convolution = CONVOLUTIONS[kind](channels, 2, side)
    module = (convolution, PooledNorm(2, side, convolution.corners), ReLU())
    left = (side + 1) // 2 if kind == "first corner" else side // 2
    layers = (Images(), *module, Flatten(), Dense(2 * left**2, 3))
    assert_gradients_are_slopes(layers, x, seed)


@STEADY
@given(SEEDS, FEW, FEW, FEW, FEW, SIDES)
def test_convolutions_agree_with_each_other(seed, tasks, batch, inputs, outputs, side):
    generator = np.random.default_rng(seed)
    x = normal(generator, tasks, side, side, batch, inputs)
    plain, first, fast = (
        CONVOLUTIONS[kind](inputs, outputs, side)
        for kind in ("four corners", "first corner", "Winograd")
    )
    weights = drawn_weights([plain], tasks, generator)[0]
    squares, cache = plain.forward(weights, x)
    assert np.allclose(first.forward(weights, x)[0], squares[:, :1], rtol=0, atol=1e-12)
    quick, cached = fast.forward(weights, x)
    assert np.allclose(quick, squares, rtol=0, atol=1e-12)
    pulled = normal(generator, *squares.shape)
    gradients = [[np.empty_like(weights[0])] for _ in range(3)]
    dx = plain.backward(weights, cache, pulled, gradients[0])
    assert np.allclose(fast.backward(weights, cached, pulled, gradients[1]), dx, rtol=0, atol=1e-12)
    assert np.allclose(gradients[1], gradients[0], rtol=0, atol=1e-11)
    plain.learn(weights, cache, pulled, gradients[2])
    assert np.array_equal(gradients[2], gradients[0])


@STEADY
@given(SEEDS, FEW, FEW, FEW, st.sampled_from(sorted(LOSSES)))
def test_gradients_and_curvatures_of_losses_are_slopes(seed, tasks, batch, outputs, name):
    generator = np.random.default_rng(seed)
    loss = LOSSES[name]
    answers, along = normal(generator, 2, tasks, batch, outputs) * 3
    targets = drawn_targets(generator, name, answers.shape)
    _, gradient = loss.gradient(answers, targets)
    ends = [loss.gradient(answers + step * along, targets) for step in (STEP, -STEP)]
    slope = (ends[0][0] - ends[1][0]) / (2 * STEP)
    assert slope == pytest.approx(inner(gradient, along), rel=1e-5, abs=1e-6)
    bend = (ends[0][1] - ends[1][1]) / (2 * STEP)
    assert bend == pytest.approx(loss.curvature(answers, targets, along), rel=1e-5, abs=1e-6)


def drawn_targets(generator, name, shape):
    if name == "cross-entropy":
        return generator.integers(0, shape[-1], size=shape[:2])
    return normal(generator, *shape)


@STEADY
@given(SEEDS, FEW, FEW, st.lists(FEW, max_size=2), st.sampled_from(sorted(LOSSES)))
def test_hessian_vector_products_are_slopes_of_gradients(seed, tasks, batch, hidden, name):
    generator = np.random.default_rng(seed)
    network = mlp(inputs=2, outputs=3, hidden=hidden)
    parameters, vector = normal(generator, 2, tasks, network.size)
    x = normal(generator, tasks, batch, 2)
    targets = drawn_targets(generator, name, (tasks, batch, 3))
    ends = [
        network.gradient(parameters + step * vector, x, targets, LOSSES[name])[1]
        for step in (STEP, -STEP)
    ]
    product = network.hessian_vector(parameters, x, targets, LOSSES[name], vector)
    scale = 1 + np.abs(product).max()
    assert product == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-5, abs=1e-6 * scale)


@STEADY
@given(SEEDS, FEW, st.sampled_from(sorted(LOSSES)))
def test_hessians_are_symmetric(seed, batch, name):
    generator = np.random.default_rng(seed)
    network = mlp(inputs=2, outputs=2, hidden=(3,))
    parameters = np.tile(normal(generator, network.size), (network.size, 1))
    x = np.tile(normal(generator, batch, 2), (network.size, 1, 1))
    targets = drawn_targets(generator, name, (1, batch, 2)).repeat(network.size, axis=0)
    hessian = network.hessian_vector(parameters, x, targets, LOSSES[name], np.eye(network.size))
    assert np.allclose(hessian, hessian.T, rtol=0, atol=1e-12)


NETWORKS = {
    "mlp": mlp(inputs=256, outputs=3),
    "conv4": conv4(outputs=3, side=19, filters=8),
    "conv4 by strides": conv4(outputs=3, side=17, filters=4, pool="stride"),
}


@pytest.mark.parametrize("name", NETWORKS)
@settings(STEADY, max_examples=10)
@given(SEEDS, st.integers(2, 4), st.integers(2, 5))
def test_a_task_among_others_is_the_task_alone(name, seed, tasks, batch):
    generator = np.random.default_rng(seed)
    network = NETWORKS[name]
    parameters = normal(generator, tasks, network.size).astype(network.dtype)
    x = normal(generator, tasks, batch, *network.inputs)
    labels = generator.integers(0, 3, size=(tasks, batch))
    losses, gradients = network.gradient(parameters, x, labels, CrossEntropy())
    together = network.forward(parameters, x)
    pulled = network.backward(together, together.outputs)
    for task in range(tasks):
        one = slice(task, task + 1)
        passed = network.forward(parameters[one], x[one])
        assert np.array_equal(together.outputs[one], passed.outputs)
        assert np.array_equal(pulled[one], network.backward(passed, passed.outputs))
        loss, gradient = network.gradient(parameters[one], x[one], labels[one], CrossEntropy())
        assert np.array_equal(losses[one], loss)
        assert np.array_equal(gradients[one], gradient)


@STEADY
@given(SEEDS, st.integers(1, 3), st.integers(16, 19), st.integers(1, 3))
def test_an_embedding_is_the_classifier_without_its_dense_layer(seed, channels, side, batch):
    generator = np.random.default_rng(seed)
    options = {"side": side, "channels": channels, "filters": 3, "dtype": np.float64}
    whole, embedding = conv4(outputs=5, **options), conv4(outputs=None, **options)
    parameters = normal(generator, 1, whole.size)
    x = normal(generator, 1, batch, side, side, channels)
    features = embedding.forward(parameters[:, : embedding.size], x).outputs
    matrix, intercept = np.split(parameters[0, embedding.size :], [-5])
    answers = features[0] @ matrix.reshape(-1, 5) + intercept
    assert np.allclose(whole.forward(parameters, x).outputs[0], answers)


# ---- Oracles

FILTERS = 8  # as many as the fast convolution needs


def convolved(x, kernels):
    """Convolve (batch, height, width, inputs) with (3, 3, inputs, outputs), term by term."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, height, width, kernels.shape[3]))
    for row, column in np.ndindex(height, width):
        for down, right in np.ndindex(3, 3):
            above, left = row + down - 1, column + right - 1
            if 0 <= above < height and 0 <= left < width:
                y[:, row, column] += x[:, above, left] @ kernels[down, right]
    return y


def standardised(x, of, scale, shift):
    mean, variance = of.mean(axis=(0, 1, 2)), of.var(axis=(0, 1, 2))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def halved(x, pool):
    if pool == "stride":
        return x[:, ::2, ::2]
    _, height, width, _ = x.shape
    rows = [
        [x[:, r : r + 2, c : c + 2].max(axis=(1, 2)) for c in range(0, width - 1, 2)]
        for r in range(0, height - 1, 2)
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def conv4_by_hand(network, parameters, x, known, pool):
    """Answer one task's queries with the statistics that other inputs, `known`, have on the way."""
    *_, channels = network.inputs
    taken = 0

    def take(*shape):
        nonlocal taken
        taken += np.prod(shape)
        return parameters[taken - np.prod(shape) : taken].reshape(shape)

    for inputs, width in pairwise([channels] + [FILTERS] * 4):
        kernels = take(3, 3, inputs, width)
        scale, shift = take(width), take(width)
        y, others = convolved(x, kernels), convolved(known, kernels)
        if pool == "stride":
            y, others = halved(y, pool), halved(others, pool)
        x, known = (standardised(z, others, scale, shift) for z in (y, others))
        if pool == "max":
            x, known = halved(x, pool), halved(known, pool)
        x, known = np.maximum(x, 0), np.maximum(known, 0)
    features = np.moveaxis(x, 3, 1).reshape(len(x), -1)
    return features @ take(features.shape[1], network.outputs) + take(network.outputs)


@settings(STEADY, max_examples=6)
@given(
    st.sampled_from(["max", "stride"]),
    SEEDS,
    st.integers(1, 3),
    st.sampled_from([16, 19, 29]),
    st.integers(1, 3),
)
def test_conv4_is_its_definition(pool, seed, channels, side, batch):
    generator = np.random.default_rng(seed)
    network = conv4(
        outputs=2, side=side, channels=channels, filters=FILTERS, pool=pool, dtype=np.float64
    )
    parameters = normal(generator, network.size)
    x, others = normal(generator, 2, batch, side, side, channels)
    answers = network.forward(parameters[np.newaxis], x[np.newaxis])
    expected = conv4_by_hand(network, parameters, x, x, pool)
    assert np.allclose(answers.outputs[0], expected, rtol=1e-9, atol=1e-9)
    informed = network.forward(
        parameters[np.newaxis], others[np.newaxis], statistics=answers.statistics
    )
    expected = conv4_by_hand(network, parameters, others, x, pool)
    assert np.allclose(informed.outputs[0], expected, rtol=1e-9, atol=1e-9)


# ---- Optimisers, beside their recurrences in plain Python

RATES = st.floats(1e-4, 1.0)
DECAYS = st.sampled_from([0.0, 0.5, 0.9, 0.999])
PACES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5)


def trajectory(optimizer, start, gradients, paces):
    parameters = start.copy()
    state = optimizer.start(parameters)
    for gradient, pace in zip(gradients, paces, strict=True):
        optimizer.step(parameters, gradient, state, pace=pace)
    return parameters


def drawn_steps(seed, steps):
    generator = np.random.default_rng(seed)
    return normal(generator, 3), normal(generator, steps, 3)


@STEADY
@given(SEEDS, RATES, PACES)
def test_sgd_follows_its_recurrence(seed, rate, paces):
    start, gradients = drawn_steps(seed, len(paces))
    reached = trajectory(SGD(rate), start, gradients, paces)
    for place in range(3):
        x = float(start[place])
        for gradient, pace in zip(gradients[:, place], paces, strict=True):
            x -= rate * pace * gradient
        assert reached[place] == pytest.approx(x, rel=1e-12, abs=1e-12)


@STEADY
@given(SEEDS, RATES, DECAYS, PACES)
def test_momentum_follows_its_recurrence(seed, rate, decay, paces):
    start, gradients = drawn_steps(seed, len(paces))
    reached = trajectory(Momentum(rate, decay), start, gradients, paces)
    for place in range(3):
        x, total = float(start[place]), 0.0
        for gradient, pace in zip(gradients[:, place], paces, strict=True):
            total = decay * total + gradient
            x -= rate * pace * total
        assert reached[place] == pytest.approx(x, rel=1e-12, abs=1e-12)


@STEADY
@given(SEEDS, RATES, DECAYS, DECAYS, PACES)
def test_adam_follows_its_recurrence(seed, rate, beta1, beta2, paces):
    start, gradients = drawn_steps(seed, len(paces))
    reached = trajectory(Adam(rate, beta1, beta2), start, gradients, paces)
    for place in range(3):
        x, mean, square = float(start[place]), 0.0, 0.0
        for step, (gradient, pace) in enumerate(zip(gradients[:, place], paces, strict=True), 1):
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            root = (square / (1 - beta2**step)) ** 0.5
            x -= rate * pace * mean / (1 - beta1**step) / (root + 1e-8)
        assert reached[place] == pytest.approx(x, rel=1e-9, abs=1e-9)
