"""Learning a task from its few examples: fine-tuning, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.learning.network import (
    Adam,
    CrossEntropy,
    Forward,
    Loss,
    Network,
    Optimizer,
    SquaredError,
)
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.network.optimizers import State
from veilsum.learning.tasks import Examples, Tasks

__all__ = [
    "Adapted",
    "Algorithm",
    "FineTuned",
    "FineTuning",
    "Prediction",
    "Statistics",
    "as_queries",
    "compared",
    "descend",
    "loss_of",
    "require_counts",
    "require_statistics",
    "spread",
]

Array = NDArray[np.floating[Any]]

Statistics = Literal["support", "alone", "transductive"]
"""What batch normalisation knows when a query is answered.

"support": the statistics of the task's support set, so that no query depends on another. "alone":
those of the support set together with this one query, as Nichol, Achiam and Schulman (2018) do
without transduction; a pass over the support set for each query. "transductive": those of all
queries that are asked together.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Answers to the queries of several tasks.

    Attributes
    ----------
    outputs : ndarray, shape (tasks, queries, outputs)
        Logarithms of the chances of the classes, or the expected targets.
    deviations : ndarray, shape (tasks, queries, outputs), or None
        Standard deviations of the targets, where the learner is Bayesian.
    """

    outputs: Array
    deviations: Array | None = None


class Adapted(Protocol):
    """Models of several tasks, each adapted to its own."""

    def predict(self, x: ArrayLike) -> Prediction:
        """Answer queries (tasks, queries, ...)."""
        ...


@runtime_checkable
class Algorithm(Protocol):
    """A way to meta-learn: what all tasks share is one flat vector of parameters."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        ...

    def initial(self, *, seed: int) -> NDArray[np.float64]:
        """Draw first parameters (size,)."""
        ...

    def train(
        self, parameters: NDArray[np.float64], tasks: Tasks, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the parameters after one client's work of a round on its own tasks."""
        ...

    def adapt(
        self, parameters: NDArray[np.float64], support: Examples, generator: np.random.Generator
    ) -> Adapted:
        """Learn the support sets of several tasks, each from the shared parameters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Some steps of an optimiser on the examples of each task.

    Parameters
    ----------
    optimizer : Optimizer
        The rule of a step.
    steps : int
        Number of steps, at least 1.
    batch : int or None
        Examples of a step; None for all of the task. Examples are shuffled, and shuffled again when
        all were used; a batch may hold the end of one order and the beginning of the next.
    """

    optimizer: Optimizer = field(default_factory=lambda: Adam(1e-3, beta1=0.0))
    steps: int = 10
    batch: int | None = 10

    def __post_init__(self) -> None:
        require_counts(self, "steps")
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch: got {self.batch}, expected at least 1 or None")

    def run(
        self,
        network: Network,
        parameters: Array,
        examples: Examples,
        generator: np.random.Generator,
        state: State | None = None,
    ) -> tuple[Array, State]:
        """Fine-tune a model for each task.

        Parameters
        ----------
        network : Network
            The model.
        parameters : ndarray, shape (tasks, size) or (size,)
            Where each task starts; one vector stands for all.
        examples : Examples
            What the tasks learn from.
        generator : numpy.random.Generator
            Draws the batches.
        state : tuple of ndarray, optional
            What the optimiser remembers of earlier tasks; it goes on in place. By default it
            begins anew.

        Returns
        -------
        parameters : ndarray, shape (tasks, size)
            The adapted models, in the network's dtype.
        state : tuple of ndarray
            What the optimiser remembers.

        Raises
        ------
        ValueError
            If the shapes do not fit the network, or it has no output for a label.
        """
        *_, end = self.walk(network, parameters, examples, generator, state)
        return end

    def walk(
        self,
        network: Network,
        parameters: Array,
        examples: Examples,
        generator: np.random.Generator,
        state: State | None = None,
    ) -> Iterator[tuple[Array, State]]:
        """Fine-tune step by step; arguments and errors are those of `run`.

        Yields
        ------
        parameters : ndarray, shape (tasks, size)
            The models before the first step, and after every one. Steps change them in place: copy
            what is to be kept.
        state : tuple of ndarray
            What the optimiser remembers, in place too.

        Examples
        --------
        >>> from veilsum.learning.network import SGD, linear
        >>> task = Examples(np.ones((1, 1, 1)), np.ones((1, 1, 1)))
        >>> tuning = FineTuning(optimizer=SGD(0.1), steps=2)
        >>> path = tuning.walk(linear(inputs=1), np.zeros(2), task, np.random.default_rng(0))
        >>> [tuned.round(2).tolist() for tuned, _ in path]
        [[[0.0, 0.0]], [[0.2, 0.2]], [[0.32, 0.32]]]
        """
        tuned = spread(network, parameters, len(examples))
        loss = loss_of(examples)
        state = self.optimizer.start(tuned) if state is None else state
        yield tuned, state
        for places in self._batches(examples, generator):
            batch = examples if places is None else examples.pick(places)
            _, gradient = network.gradient(tuned, batch.x, batch.y, loss)
            self.optimizer.step(tuned, gradient, state)
            yield tuned, state

    def _batches(
        self, examples: Examples, generator: np.random.Generator
    ) -> list[NDArray[np.int64] | None]:
        size = min(self.batch or examples.count, examples.count)
        if size == examples.count:
            return [None] * self.steps
        rounds = -(-size * self.steps // examples.count)
        orders = np.tile(np.arange(examples.count), (len(examples), rounds, 1))
        stream = generator.permuted(orders, axis=2).reshape(len(examples), -1)
        return [stream[:, step * size : (step + 1) * size] for step in range(self.steps)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FineTuned:
    """Fine-tuned networks, one a task.

    Parameters
    ----------
    network : Network
        The model.
    parameters : ndarray, shape (tasks, size)
        Adapted parameters.
    support : Examples
        What they were adapted to.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows: see `Statistics`.
    """

    network: Network
    parameters: Array
    support: Examples
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        require_statistics(self.statistics)

    def predict(self, x: ArrayLike) -> Prediction:
        """Answer queries.

        Parameters
        ----------
        x : array-like, shape (tasks, queries, ...)
            Inputs.

        Returns
        -------
        Prediction
            Logarithms of chances, or targets.

        Raises
        ------
        ValueError
            If the shape does not fit, there are no queries, or a number is NaN or infinite.
        """
        outputs = self._outputs(as_queries(self.network, x))
        return Prediction(log_softmax(outputs) if self.support.labelled else outputs)

    def _outputs(self, x: Array) -> Array:
        if self.statistics == "transductive":
            return self.network.forward(self.parameters, x).outputs
        if self.statistics == "support":
            learned = self.network.forward(self.parameters, self.support.x).statistics
            return self.network.forward(self.parameters, x, statistics=learned).outputs
        return _one_by_one(self._alone, x)

    def _alone(self, x: Array) -> Array:
        together = np.concatenate([self.support.x, x], axis=1)
        return self.network.forward(self.parameters, together).outputs[:, -1:]


def descend(
    outer: Optimizer,
    parameters: NDArray[np.float64],
    gradient: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    steps: int,
) -> NDArray[np.float64]:
    """Return the parameters after a client's steps of a round, each along a gradient of new tasks.

    The rule begins anew: a client remembers nothing between rounds.
    """
    trained = parameters.copy()
    state = outer.start(trained)
    for _ in range(steps):
        outer.step(trained, gradient(trained), state)
    return trained


def loss_of(examples: Examples) -> Loss:
    """Return the loss that fits the targets: cross-entropy for labels, else squared error."""
    return CrossEntropy() if examples.labelled else SquaredError()


def as_queries(network: Network, x: ArrayLike) -> Array:
    """Return inputs in the network's dtype; ValueError if there are none, or not all are finite."""
    queries = np.asarray(x, dtype=network.dtype)
    if queries.shape[1:2] == (0,):
        raise ValueError(f"x: got shape {queries.shape}, expected at least one query of each task")
    if not np.isfinite(queries).all():
        raise ValueError("x: has NaN or infinity, expected finite inputs")
    return queries


def compared(
    statistics: Statistics,
    embed: Callable[[Array, tuple[Any, ...] | None], Forward],
    compare: Callable[[Array, Array], Array],
    *,
    support: Array,
    queries: Array,
) -> Array:
    """Answer queries by what their embeddings are beside those of the support set.

    `embed` takes inputs, and statistics in place of their own; `compare` the embeddings of queries
    and of the support set. Where queries go through the network with others ("alone" and
    "transductive"), the support set is among them, as in training.
    """

    def together(x: Array) -> Array:
        embedded = embed(np.concatenate([support, x], axis=1), None).outputs
        return compare(embedded[:, support.shape[1] :], embedded[:, : support.shape[1]])

    if statistics == "transductive":
        return together(queries)
    if statistics == "alone":
        return _one_by_one(together, queries)
    known = embed(support, None)
    return compare(embed(queries, known.statistics).outputs, known.outputs)


def _one_by_one(answer: Callable[[Array], Array], x: Array) -> Array:
    """Answer each query apart from the others."""
    answers = [answer(x[:, query : query + 1]) for query in range(x.shape[1])]
    return np.concatenate(answers, axis=1)


def spread(network: Network, parameters: Array, tasks: int) -> Array:
    """Copy parameters (size,) or (tasks, size) to (tasks, size), in the network's dtype.

    Raises
    ------
    ValueError
        If they are of another shape.
    """
    shape = (tasks, network.size)
    if parameters.shape not in (shape[1:], shape):
        raise ValueError(
            f"parameters: got shape {parameters.shape}, expected ({network.size},) or {shape}"
        )
    return np.array(np.broadcast_to(parameters, shape), dtype=network.dtype)


def require_counts(options: object, *names: str, least: int = 1) -> None:
    """Raise ValueError, by its name, at an option that is below `least`."""
    for name in names:
        if getattr(options, name) < least:
            raise ValueError(f"{name}: got {getattr(options, name)}, expected at least {least}")


def require_statistics(statistics: str) -> None:
    """Raise ValueError unless these are `Statistics`."""
    if statistics not in get_args(Statistics):
        allowed = ", ".join(map(repr, get_args(Statistics)))
        raise ValueError(f"statistics: got {statistics!r}, expected one of {allowed}")
