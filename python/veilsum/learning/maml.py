"""MAML: parameters from which few gradient steps learn a task.

Finn, Abbeel and Levine (2017), "Model-agnostic meta-learning for fast adaptation of deep networks",
Algorithms 1 (the meta-gradient), 2 (regression and classification), and section 5.2 (first order).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from veilsum.learning.adaptation import (
    FineTuned,
    FineTuning,
    Statistics,
    descend,
    loss_of,
    require_counts,
    require_statistics,
)
from veilsum.learning.network import SGD, Network, Optimizer
from veilsum.learning.tasks import Episodes, Examples, Tasks

__all__ = ["MAML"]

Array = NDArray[np.floating[Any]]


def _steps(number: int) -> FineTuning:
    return FineTuning(optimizer=SGD(0.01), steps=number, batch=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MAML:
    """MAML on networks with second derivatives, and first-order MAML on any.

    The parameters descend the mean, over a meta-batch of tasks, of the loss that a task's queries
    have after some steps on its support set. With ``order=2`` the gradient is exact: it is pulled
    back through those steps by Hessian-vector products. With ``order=1`` (FOMAML) it is taken at
    the adapted parameters, as if they did not depend on the first ones.

    A client remembers nothing between rounds, so that a rule like Adam would begin anew in each,
    with steps that hardly tell a large gradient from a small one: `outer` is therefore plain
    descent. With ``iterations=1`` the average update of a round is then ``-rate`` times the average
    meta-gradient of its clients, up to the resolution of the encoding, and a rule with a memory has
    its place at the server.

    Where the network has batch normalisation, the support set and the queries of a training task
    are each normalised by their own statistics.

    Parameters
    ----------
    network : Network
        The model.
    order : {2, 1}
        Derivatives in the meta-gradient.
    shots, queries : int
        Examples of a class (of a task, in a regression) that a training task is learnt from, and
        judged by.
    tasks : int
        Tasks of one step of the parameters, the meta-batch.
    iterations : int
        Steps of a client in a round.
    outer : Optimizer
        The rule of these steps.
    inner, final : FineTuning
        How a task is learnt in training, and afterwards. Training takes the whole support set in
        each step (``batch=None``); second order needs `SGD`.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows when an adapted model answers.

    Raises
    ------
    ValueError
        If a number is out of range, or second order is asked of a network, or of an inner rule,
        that has none.

    Examples
    --------
    >>> from veilsum.learning.network import linear
    >>> task = Examples(np.ones((1, 1, 1)), np.ones((1, 1, 1)))
    >>> inner = FineTuning(optimizer=SGD(0.1), steps=1, batch=None)
    >>> learner = MAML(network=linear(inputs=1), inner=inner)
    >>> learner.meta_gradient(np.zeros(2), Episodes(task, task))
    (array([0.36]), array([-0.72, -0.72]))
    """

    network: Network
    order: Literal[1, 2] = 2
    shots: int = 10
    queries: int = 10
    tasks: int = 25
    iterations: int = 1
    outer: Optimizer = field(default_factory=lambda: SGD(0.01))
    inner: FineTuning = field(default_factory=lambda: _steps(1))
    final: FineTuning = field(default_factory=lambda: _steps(10))
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        require_counts(self, "shots", "queries", "tasks", "iterations")
        if self.inner.batch is not None:
            raise ValueError(
                f"inner: got batches of {self.inner.batch}, expected steps on the whole support "
                "set; give batch=None"
            )
        require_statistics(self.statistics)
        if self.order not in (1, 2):
            raise ValueError(f"order: got {self.order}, expected 1 or 2")
        if self.order == 2:
            self._require_second_order()

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

        def gradient(trained: NDArray[np.float64]) -> NDArray[np.float64]:
            drawn = tasks.draw(generator, self.tasks, shots=self.shots, queries=self.queries)
            return self.meta_gradient(trained, drawn)[1]

        return descend(self.outer, parameters, gradient, steps=self.iterations)

    def adapt(
        self,
        parameters: NDArray[np.float64],
        support: Examples,
        generator: np.random.Generator,
    ) -> FineTuned:
        """Fine-tune the parameters to the support set of each task."""
        tuned, _ = self.final.run(self.network, parameters, support, generator)
        return FineTuned(
            network=self.network, parameters=tuned, support=support, statistics=self.statistics
        )

    def meta_gradient(
        self, parameters: NDArray[np.float64], episodes: Episodes
    ) -> tuple[Array, NDArray[np.float64]]:
        """Differentiate what adaptation to each support set makes of its queries' loss.

        Parameters
        ----------
        parameters : ndarray, shape (size,)
            Where every task starts.
        episodes : Episodes
            The tasks, with queries.

        Returns
        -------
        losses : ndarray, shape (tasks,)
            Loss of each task's queries after adaptation.
        gradient : ndarray of float64, shape (size,)
            Of the mean of `losses`, by `parameters`.

        Raises
        ------
        ValueError
            If the shapes do not fit the network, or there are no queries.
        """
        support, query, loss = episodes.support, episodes.query, loss_of(episodes.support)
        *before, adapted = self._path(parameters, support)
        losses, gradient = self.network.gradient(adapted, query.x, query.y, loss)
        if self.order == 2:
            rate = self.inner.optimizer.rate
            for point in reversed(before):
                curved = self.network.hessian_vector(point, support.x, support.y, loss, gradient)
                gradient = gradient - gradient.dtype.type(rate) * curved
        return losses, gradient.mean(axis=0, dtype=np.float64)

    def _path(self, parameters: NDArray[np.float64], support: Examples) -> list[Array]:
        """Return the parameters of the tasks before the inner steps, and after each."""
        unused = np.random.default_rng(0)  # Steps on whole support sets draw nothing.
        walk = self.inner.walk(self.network, parameters, support, unused)
        return [tuned.copy() for tuned, _ in walk]

    def _require_second_order(self) -> None:
        if not self.network.twice_differentiable:
            raise ValueError(
                "order: got 2 for a network without second derivatives, such as one with "
                "convolutions and batch normalisation; use order=1"
            )
        if not isinstance(self.inner.optimizer, SGD):
            raise ValueError(
                f"inner: got {type(self.inner.optimizer).__name__}, expected SGD, whose steps are "
                "differentiated twice; use SGD or order=1"
            )
