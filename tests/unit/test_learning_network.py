import math
import platform

import numpy as np
import pytest

from veilsum.learning.network import (
    SGD,
    Adam,
    CrossEntropy,
    Loss,
    Momentum,
    Optimizer,
    SquaredError,
    conv4,
    linear,
    mlp,
)
from veilsum.learning.network.convolutions import PooledNorm
from veilsum.learning.network.losses import log_softmax

TINY = {"side": 16, "filters": 2}


def tiny_case(network, tasks=2, batch=3, classes=None):
    generator = np.random.default_rng(7)
    parameters = np.stack([network.initial(seed=seed) for seed in range(tasks)])
    x = generator.random((tasks, batch, *network.inputs))
    labels = generator.integers(0, classes or network.outputs, size=(tasks, batch))
    return parameters, x, labels


# ---- Models


def test_conv4_of_omniglot_has_the_published_number_of_parameters():
    assert conv4(outputs=5).size == 112_005


def test_the_embedding_has_the_classifiers_parameters_but_its_last_layer():
    embedding = conv4(outputs=None)
    assert embedding.outputs == 64
    assert embedding.size == 112_005 - 65 * 5
    assert np.array_equal(embedding.initial(seed=3), conv4(outputs=5).initial(seed=3)[:-325])


def test_a_colour_image_of_32_leaves_four_places():
    network = conv4(outputs=None, side=32, channels=3, filters=2)
    assert network.inputs == (32, 32, 3)
    assert network.outputs == 8


def test_strides_round_sides_up():
    network = conv4(outputs=5, pool="stride")
    assert network.size == 112_005 + 5 * 64 * (2 * 2 - 1)
    assert conv4(outputs=None, pool="stride").outputs == 64 * 2 * 2


def test_linear_is_one_affine_map():
    network = linear(inputs=2)
    assert network.size == 3
    answers = network.forward(np.array([[2.0, 3.0, 5.0]]), [[[1.0, 1.0], [0.0, 2.0]]]).outputs
    assert np.array_equal(answers, [[[10.0], [11.0]]])


def test_mlp_of_the_sinusoids():
    network = mlp(inputs=1)
    assert network.size == 1761
    assert network.twice_differentiable


def test_first_weights_stay_within_their_limit_and_others_are_zeros_and_ones():
    network = conv4(outputs=5, filters=8)
    first = network.initial(seed=0)
    kernels, scale, shift = np.split(first[: 9 * 8 + 16], [72, 80])
    assert np.abs(kernels).max() <= np.float32(math.sqrt(6 / (9 * (1 + 8))))
    assert np.abs(kernels).max() > 0.9 * math.sqrt(6 / (9 * (1 + 8)))
    assert np.array_equal(scale, np.ones(8))
    assert np.array_equal(shift, np.zeros(8))
    assert np.array_equal(first[-5:], np.zeros(5))


def test_seeds_decide_first_parameters():
    network = mlp(inputs=3)
    assert np.array_equal(network.initial(seed=1), network.initial(seed=1))
    assert not np.array_equal(network.initial(seed=1), network.initial(seed=2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [mlp, conv4])
def test_everything_is_computed_in_the_dtype_of_the_network(make, dtype):
    options = TINY if make is conv4 else {"inputs": 4}
    network = make(outputs=3, dtype=dtype, **options)
    parameters, x, labels = tiny_case(network)
    passed = network.forward(parameters, x)
    losses, gradient = network.gradient(parameters, x, labels, CrossEntropy())
    arrays = [
        parameters,
        passed.outputs,
        losses,
        gradient,
        network.backward(passed, passed.outputs),
    ]
    for learned in passed.statistics:
        arrays += learned or ()
    for optimizer in (SGD(0.1), Momentum(0.1), Adam(0.1)):
        state = optimizer.start(parameters)
        optimizer.step(parameters, gradient, state)
        arrays += [parameters, *(part for part in state if part.ndim)]
    if network.twice_differentiable:
        arrays.append(
            network.hessian_vector(parameters, x, labels, CrossEntropy(), np.ones_like(parameters))
        )
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_no_pass_changes_its_arguments():
    network = conv4(outputs=3, **TINY)
    parameters, x, labels = tiny_case(network)
    x = x.astype(np.float32)
    for array in (parameters, x, labels):
        array.flags.writeable = False
    passed = network.forward(parameters, x)
    passed.outputs.flags.writeable = False
    first = network.backward(passed, passed.outputs)
    assert np.array_equal(first, network.backward(passed, passed.outputs))
    _, gradient = CrossEntropy().gradient(passed.outputs, labels)
    assert np.array_equal(
        network.backward(passed, gradient),
        network.gradient(parameters, x, labels, CrossEntropy())[1],
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another way to free memory")
def test_a_pass_uses_the_memory_of_the_one_before():
    resource = pytest.importorskip("resource")
    network = conv4(outputs=5)
    parameters, x, labels = tiny_case(network, tasks=1, batch=10)
    network.gradient(parameters, x, labels, CrossEntropy())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        network.gradient(parameters, x, labels, CrossEntropy())
    # It would be four thousand pages a pass, if each had its own.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 4000


def test_an_image_does_not_depend_on_the_others_once_statistics_are_given():
    network = conv4(outputs=3, dtype=np.float64, **TINY)
    parameters, x, _ = tiny_case(network, batch=5)
    learned = network.forward(parameters, x).statistics
    together = network.forward(parameters, x[:, ::-1], statistics=learned).outputs
    alone = network.forward(parameters, x[:, 1:2], statistics=learned).outputs
    assert np.allclose(together[:, 3], alone[:, 0])
    assert np.allclose(together[:, ::-1], network.forward(parameters, x).outputs)


def test_a_pass_with_the_statistics_of_others_is_not_pulled_back():
    network = conv4(outputs=3, **TINY)
    parameters, x, _ = tiny_case(network)
    learned = network.forward(parameters, x).statistics
    informed = network.forward(parameters, x, statistics=learned)
    with pytest.raises(ValueError, match="passed: got a pass with the statistics of other inputs"):
        network.backward(informed, informed.outputs)


def test_a_batch_without_variance_is_answered_by_the_shift():
    network = conv4(outputs=3, **TINY)
    parameters, _, _ = tiny_case(network)
    answers = network.forward(parameters, np.zeros((2, 4, 16, 16, 1)))
    assert np.array_equal(answers.outputs, np.zeros((2, 4, 3)))


@pytest.mark.parametrize(("scale", "chosen"), [(2.0, [0, 1]), (-2.0, [3, 0])])
def test_the_first_of_equals_receives_the_gradient(scale, chosen):
    layer = PooledNorm(1, 2)
    weights = [np.array([[scale]]), np.array([[0.5]])]
    # The corners of the one square of two images.
    images = np.array([[3.0, 3.0, 1.0, 0.0], [0.0, 5.0, 5.0, 0.0]])
    y, cache = layer.forward(weights, images.T.reshape(1, 4, 1, 1, 2, 1))
    dx = layer.backward(
        weights, cache, np.array([1.0, 10.0]).reshape(y.shape), [np.empty((1, 1)) for _ in weights]
    )
    deviation = math.sqrt(images.var() + 1e-5)
    standard = (images - images.mean()) / deviation
    received = np.zeros((2, 4))
    received[[0, 1], chosen] = [1.0, 10.0]
    assert y.ravel() == pytest.approx(scale * standard[[0, 1], chosen] + 0.5, rel=1e-12)
    centred = received - received.mean() - standard * (received * standard).mean()
    by_image = dx.reshape(4, 2).T
    assert by_image == pytest.approx(centred * scale / deviation, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (mlp, {"inputs": 2, "hidden": (3, 0)}, r"widths: got \(2, 3, 0, 1\), expected each at"),
        (linear, {"inputs": 0}, r"widths: got \(0, 1\), expected each at least 1"),
        (linear, {"inputs": 1, "outputs": 0}, r"widths: got \(1, 0\), expected each at least 1"),
        (conv4, {"outputs": 5, "side": 15}, "side: got 15, expected at least 16"),
        (conv4, {"outputs": 5, "channels": 0}, "channels: got 0, expected at least 1"),
        (conv4, {"outputs": 5, "filters": 0}, "filters: got 0, expected at least 1"),
        (conv4, {"outputs": 5, "pool": "mean"}, "pool: got 'mean', expected one of 'max', 'str"),
        (conv4, {"outputs": 0}, "outputs: got 0, expected at least 1"),
        (conv4, {"outputs": 5, "dtype": np.float16}, "dtype: got float16, expected float32 or"),
        (mlp, {"inputs": 1, "dtype": np.int64}, "dtype: got int64, expected float32 or float64"),
    ],
)
def test_a_model_that_cannot_be_is_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("parameters", "x", "message"),
    [
        ((3,), (1, 1, 2), r"parameters: got shape \(3,\), expected \(tasks, 3\)"),
        ((1, 4), (1, 1, 2), r"parameters: got shape \(1, 4\), expected \(tasks, 3\)"),
        ((1, 3), (1, 1, 3), r"x: got shape \(1, 1, 3\), expected \(tasks, batch, 2\)"),
        ((1, 3), (1, 2), r"x: got shape \(1, 2\), expected"),
        ((1, 3), (1, 0, 2), r"x: got shape \(1, 0, 2\), expected .* at least one example"),
        ((1, 3), (2, 1, 2), "x: got inputs of 2 tasks and parameters of 1, expected as many"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(parameters, x, message):
    with pytest.raises(ValueError, match=message):
        linear(inputs=2).forward(np.zeros(parameters), np.zeros(x))


def test_convolutions_have_no_hessian():
    network = conv4(outputs=3, **TINY)
    assert not network.twice_differentiable
    parameters, x, labels = tiny_case(network)
    with pytest.raises(ValueError, match="network: has layers without second derivatives"):
        network.hessian_vector(parameters, x, labels, CrossEntropy(), parameters)


# ---- Losses


def test_losses_and_optimisers_are_what_the_protocols_ask_for():
    losses: list[Loss] = [SquaredError(), CrossEntropy()]
    optimizers: list[Optimizer] = [SGD(0.1), Momentum(0.1), Adam(0.1)]
    assert all(callable(loss.curvature) for loss in losses)
    assert all(isinstance(optimizer, Optimizer) for optimizer in optimizers)


@pytest.mark.parametrize("shape", [(1, 4, 1), (1, 1, 3), (1, 4), (3,)])
def test_targets_of_another_shape_are_not_spread_over_the_outputs(shape):
    with pytest.raises(ValueError, match=r"targets: got shape .*, expected .*\(1, 4, 3\)"):
        SquaredError().gradient(np.zeros((1, 4, 3)), np.zeros(shape))


def test_labels_that_do_not_fit_the_outputs_are_refused():
    with pytest.raises(ValueError, match="targets: got the label 3, but the network has 3 outputs"):
        CrossEntropy().gradient(np.zeros((1, 2, 3)), np.array([[0, 3]]))
    with pytest.raises(ValueError, match=r"targets: got shape \(1, 1\), expected \(1, 2\)"):
        CrossEntropy().gradient(np.zeros((1, 2, 3)), np.array([[0]]))


def test_squared_error_is_the_mean_over_batch_and_outputs():
    outputs = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    losses, gradient = SquaredError().gradient(outputs, np.zeros_like(outputs))
    assert np.array_equal(losses, [30 / 4, 0.0])
    assert np.array_equal(gradient, outputs / 2)


def test_cross_entropy_is_the_mean_surprise_of_the_labels():
    outputs = np.array([[[0.3, -1.2, 2.0], [5.0, 4.0, -3.0]]])
    labels = np.array([[2, 1]])
    rows = zip(outputs[0].tolist(), labels[0].tolist(), strict=True)
    surprise = [math.log(sum(math.exp(other) for other in row)) - row[label] for row, label in rows]
    losses, gradient = CrossEntropy().gradient(outputs, labels)
    assert losses == pytest.approx([sum(surprise) / 2], rel=1e-14)
    assert gradient.sum(axis=2) == pytest.approx(np.zeros((1, 2)), abs=1e-15)
    chance = math.exp(-surprise[0])
    assert gradient[0, 0, 2] == pytest.approx((chance - 1) / 2, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_outputs_neither_overflow_nor_lose_their_differences(dtype):
    outputs = np.array([[1e30, -1e30, 0.0], [1e4 + 1, 1e4, -1e4]], dtype=dtype)
    logs = log_softmax(outputs)
    assert np.isfinite(logs).all()
    assert np.array_equal(logs[0], outputs[0] - outputs[0, 0])
    assert logs[1, :2] == pytest.approx([-math.log1p(math.exp(-1)), -math.log1p(math.e)], rel=1e-6)
    losses, gradient = CrossEntropy().gradient(outputs[np.newaxis], np.array([[0, 0]]))
    assert np.isfinite(losses).all()
    assert np.array_equal(gradient[0, 0], np.zeros(3))


# ---- Optimisers


@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_adams_first_step_is_the_rate_against_the_sign(beta1):
    parameters = np.zeros(3)
    optimizer = Adam(0.1, beta1=beta1)
    optimizer.step(parameters, np.array([1e-3, -7.0, 50.0]), optimizer.start(parameters))
    assert parameters == pytest.approx([-0.1, 0.1, -0.1], rel=1e-4)


def test_adam_without_beta1_keeps_one_mean_only():
    assert len(Adam(0.1, beta1=0.0).start(np.zeros(3))) == 2
    assert len(Adam(0.1).start(np.zeros(3))) == 3


def test_a_state_can_be_carried_to_other_parameters():
    optimizer = Momentum(1.0, decay=0.5)
    first, second = np.zeros(1), np.zeros(1)
    state = optimizer.start(first)
    optimizer.step(first, np.array([4.0]), state)
    optimizer.step(second, np.array([0.0]), state)
    assert np.array_equal(second, [-2.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "rate: got 0.0, expected finite and above 0"),
        (lambda: SGD(math.inf), "rate: got inf, expected finite and above 0"),
        (lambda: SGD(math.nan), "rate: got nan, expected finite and above 0"),
        (lambda: Momentum(-1.0), "rate: got -1.0, expected finite and above 0"),
        (lambda: Momentum(1.0, decay=1.0), "decay: got 1.0, expected from 0 and below 1"),
        (lambda: Adam(0.0), "rate: got 0.0, expected finite and above 0"),
        (lambda: Adam(0.1, beta1=-0.1), "beta1: got -0.1, expected from 0 and below 1"),
        (lambda: Adam(0.1, beta2=1.0), "beta2: got 1.0, expected from 0 and below 1"),
        (lambda: Adam(0.1, epsilon=0.0), "epsilon: got 0.0, expected finite and above 0"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
