"""Neural networks on NumPy alone, for many tasks at once."""

from veilsum.learning.network.losses import CrossEntropy, Loss, SquaredError
from veilsum.learning.network.models import conv4, linear, mlp
from veilsum.learning.network.network import Forward, Network
from veilsum.learning.network.optimizers import SGD, Adam, Momentum, Optimizer

__all__ = [
    "SGD",
    "Adam",
    "CrossEntropy",
    "Forward",
    "Loss",
    "Momentum",
    "Network",
    "Optimizer",
    "SquaredError",
    "conv4",
    "linear",
    "mlp",
]
