import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum.learning.adaptation import FineTuning
from veilsum.learning.maml import MAML
from veilsum.learning.network import SGD, mlp
from veilsum.learning.tasks import Episodes, Examples

SEEDS = st.integers(0, 2**32)
STEP = 1e-6


@settings(max_examples=60, deadline=None)
@given(
    SEEDS,
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from([(), (3,), (4, 3)]),
    st.booleans(),
    st.floats(0.01, 0.2),
)
def test_the_meta_gradient_is_that_of_the_losses_after_the_inner_steps(
    seed, tasks, steps, hidden, labels, rate
):
    generator = np.random.default_rng(seed)
    network = mlp(inputs=2, outputs=3, hidden=hidden)
    x = generator.normal(size=(2, tasks, 4, 2))
    if labels:
        y = generator.integers(0, 3, size=(2, tasks, 4))
    else:
        y = generator.normal(size=(2, tasks, 4, 3))
    episodes = Episodes(Examples(x[0], y[0]), Examples(x[1], y[1]))
    inner = FineTuning(optimizer=SGD(rate), steps=steps, batch=None)
    learner = MAML(network=network, inner=inner)
    parameters = generator.normal(size=network.size)
    direction = generator.normal(size=network.size)

    def loss(distance):
        losses, _ = learner.meta_gradient(parameters + distance * direction, episodes)
        return losses.mean()

    def slope(step):
        return (loss(step) - loss(-step)) / (2 * step)

    _, gradient = learner.meta_gradient(parameters, episodes)
    measured = slope(STEP)
    accuracy = 1e-6 * (1 + abs(measured))
    # Where ReLU opens or closes within a step, the loss has no slope to be measured.
    assume(abs(measured - slope(STEP / 2)) <= accuracy)
    assert abs(measured - gradient @ direction) <= 2 * accuracy
