"""The training of all ways, and the model that it must lead to."""

from __future__ import annotations

from typing import Any

import numpy as np
from flwr.app import Context
from numpy.typing import NDArray

STEP = 2.0**-4

Model = NDArray[np.float32]


def initial_model(size: int) -> Model:
    """Return random parameters; a round adds to them without rounding."""
    steps = np.random.default_rng(20261121).integers(-(2**20), 2**20, size=size)
    return (steps * 2.0**-23).astype(np.float32)


def trained(model: Model, context: Context) -> Model:
    """Add a node's constant."""
    return model + np.float32(constant(int(context.node_config["partition-id"])))


def constant(node: int) -> float:
    """Return what a node of a number adds."""
    return STEP * (node + 1)


def is_right(model: NDArray[Any], *, clients: int, rounds: int, tolerance: float) -> bool:
    """Return whether a model is the mean of what all clients trained, round by round."""
    added = rounds * sum(map(constant, range(clients))) / clients
    wrong = np.abs(model - initial_model(len(model)) - added).max()
    return bool(wrong <= rounds * tolerance)
