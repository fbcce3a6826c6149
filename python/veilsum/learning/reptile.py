"""Reptile: move towards what few steps make of the parameters, task by task.

Nichol, Achiam and Schulman (2018), "On first-order meta-learning algorithms", Algorithm 2 (batched
version). Across clients: Chen, Golubchik and Paolieri (2020), "Backdoor attacks on federated
meta-learning", section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from veilsum.learning.adaptation import (
    FineTuned,
    FineTuning,
    Statistics,
    require_counts,
    require_statistics,
)
from veilsum.learning.network import Network
from veilsum.learning.tasks import Examples, Tasks

__all__ = ["Reptile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reptile:
    """Reptile on any network.

    Parameters
    ----------
    network : Network
        The model.
    shots : int
        Examples of a class (of a task, in a regression) that a training task is learnt from.
    tasks : int
        Tasks of one step of the parameters, the meta-batch.
    iterations : int
        Steps of a client in a round, *E* of Chen et al. divided by `tasks` if an episode is one
        task.
    rate : float
        How far a step goes towards the mean of the adapted parameters, above 0 and at most 1.
    inner, final : FineTuning
        How a task is learnt in training, and afterwards.
    carry : bool
        Whether what the inner optimiser remembers (Adam's moments) goes on from one meta-batch to
        the next in a client's round. By default every task begins anew.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows when an adapted model answers.

    Raises
    ------
    ValueError
        If a number is out of range, or `statistics` is unknown.

    Examples
    --------
    >>> from veilsum.learning.network import mlp
    >>> from veilsum.learning.sources import Sinusoids
    >>> reptile = Reptile(network=mlp(inputs=1), tasks=2, iterations=3)
    >>> first = reptile.initial(seed=0)
    >>> reptile.train(first, Sinusoids(), np.random.default_rng(0)).shape == first.shape
    True
    """

    network: Network
    shots: int = 10
    tasks: int = 5
    iterations: int = 10
    rate: float = 1.0
    inner: FineTuning = field(default_factory=FineTuning)
    final: FineTuning = field(default_factory=lambda: FineTuning(steps=50))
    carry: bool = False
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        require_counts(self, "shots", "tasks", "iterations")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate: got {self.rate}, expected above 0 and at most 1")
        require_statistics(self.statistics)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.network.size

    def initial(self, *, seed: int) -> NDArray[np.float64]:
        """Draw first parameters (size,)."""
        return self.network.initial(seed=seed).astype(np.float64)

    def train(
        self, parameters: NDArray[np.float64], tasks: Tasks, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the parameters after `iterations` steps on tasks of one client."""
        trained = parameters.copy()
        state = None
        for _ in range(self.iterations):
            drawn = tasks.draw(generator, self.tasks, shots=self.shots, queries=0).support
            adapted, reached = self.inner.run(self.network, trained, drawn, generator, state)
            state = reached if self.carry else None
            trained += self.rate * (adapted.mean(axis=0, dtype=np.float64) - trained)
        return trained

    def adapt(
        self, parameters: NDArray[np.float64], support: Examples, generator: np.random.Generator
    ) -> FineTuned:
        """Fine-tune the parameters to the support set of each task."""
        tuned, _ = self.final.run(self.network, parameters, support, generator)
        return FineTuned(
            network=self.network, parameters=tuned, support=support, statistics=self.statistics
        )
