"""What clients train to, for the app and for whoever checks its sum."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veilsum.encoding import FixedPoint
from veilsum.protocols import WeightedMean

CLIENTS = 5
MEAN = WeightedMean(encoding=FixedPoint.binary(16, bound=8.0), max_weight=100)
MODEL = np.linspace(-1, 1, 50, dtype=np.float32)


def trained(client: int) -> NDArray[Any]:
    """Return a client's model."""
    noise = np.random.default_rng(client).normal(size=MODEL.shape)
    return (MODEL + noise).astype(np.float32)


def weight(client: int) -> int:
    """Return a client's number of examples."""
    return 10 + client
