"""Matching: a network embeds examples, and a query is given the class of those it lies near.

Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra (2016), "Matching networks for one shot
learning", without full-context embeddings; with the gates and scales of Chen, Golubchik and
Paolieri (2020), "Backdoor attacks on federated meta-learning", section 5. Prototypes are an
alternative: Snell, Swersky and Zemel (2017), "Prototypical networks for few-shot learning".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.learning.adaptation import (
    Prediction,
    Statistics,
    as_queries,
    compared,
    descend,
    require_counts,
    require_statistics,
    spread,
)
from veilsum.learning.network import SGD, Adam, CrossEntropy, Forward, Network, Optimizer
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.tasks import Episodes, Examples, Tasks

__all__ = ["Head", "Matched", "Matching", "MatchingNetwork", "Prototypes", "Scores"]

Array = NDArray[np.floating[Any]]

# Beside a squared norm: an embedding of zeros is at a right angle to all others, and not NaN.
_EPSILON = 1e-8

_SMALLEST_SCALE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a head says of queries.

    Attributes
    ----------
    outputs : ndarray, shape (tasks, queries, ways)
        Scores of the classes, whose softmax are their chances.
    """

    outputs: Array
    _cache: tuple[Array, ...]


class Head(Protocol):
    """Scores classes by embeddings of their examples, for many tasks at once.

    What it may learn of a task are weights: one array (tasks, size), which may be empty.
    """

    def start(self, tasks: int, ways: int, features: int, dtype: Any) -> Array:
        """Return the weights before a task is learnt: (tasks, size)."""
        ...

    def forward(
        self,
        weights: Array,
        queries: Array,
        support: Array,
        members: Array,
        *,
        without_self: bool = False,
    ) -> Scores:
        """Score queries.

        Parameters
        ----------
        weights : ndarray, shape (tasks, size)
            From `start`, or trained.
        queries, support : ndarray, shape (tasks, count, features)
            Embeddings.
        members : ndarray, shape (tasks, support, ways)
            1 where an example of the support set belongs to the class, else 0.
        without_self : bool
            Whether the queries are the support set itself, and each is scored by the others. The
            only example of a class stays: without it the class would be gone.

        Returns
        -------
        Scores
            The scores, and what `backward` needs.
        """
        ...

    def backward(self, passed: Scores, gradient: Array) -> tuple[Array, Array, Array]:
        """Pull a gradient by the scores back to weights, queries and support."""
        ...

    def project(self, weights: Array, ways: int) -> None:
        """Move weights in place to the nearest that are allowed."""
        ...


@dataclass(frozen=True, slots=True)
class Matching:
    """Attention over the support set, by cosines with gates and scales.

    An example ``x`` of class ``l`` has the score ``scale_l * cosine(gate_l * f(query), f(x))`` with
    the query: its class says which gates switch the query's features off, and how much the cosine
    counts. A softmax over the scores of all examples is the query's attention to them, and the
    chance of a class is the sum of the attention to its examples (Vinyals et al., equation 1).

    Gates lie in [0, 1] and start at 1; scales are positive. They belong to a task's classes, so
    that training over many tasks leaves them as they start.

    Parameters
    ----------
    scale : float
        Where the scales start, finite and positive. Vinyals et al. have 1, by which no class of
        five can have more than ``e / (e + 4)``, 40 %, where features are not negative.
    """

    scale: float = 20.0

    def __post_init__(self) -> None:
        _require_scale(self.scale)

    def start(self, tasks: int, ways: int, features: int, dtype: Any) -> Array:
        """Return open gates, and scales as they start."""
        weights = np.ones((tasks, ways * (features + 1)), dtype=dtype)
        weights[:, ways * features :] = self.scale
        return weights

    def forward(
        self,
        weights: Array,
        queries: Array,
        support: Array,
        members: Array,
        *,
        without_self: bool = False,
    ) -> Scores:
        """Score queries."""
        gates, scales = _gates_and_scales(weights, members.shape[2])
        known, known_inverse = _units(support)
        asked, asked_inverse = _units(queries[:, :, np.newaxis] * gates[:, np.newaxis])
        cosines = asked @ _turned(known)[:, np.newaxis]
        outputs, shares = _log_sums(cosines * scales[:, np.newaxis], _seen(members, without_self))
        cache = (weights, queries, known, known_inverse, asked, asked_inverse, cosines, shares)
        return Scores(outputs, cache)

    def backward(self, passed: Scores, gradient: Array) -> tuple[Array, Array, Array]:
        """Pull a gradient by the scores back to weights, queries and support."""
        weights, queries, known, known_inverse, asked, asked_inverse, cosines, shares = (
            passed._cache
        )
        tasks, _, ways, features = asked.shape
        gates, scales = _gates_and_scales(weights, ways)
        by_scores = gradient[..., np.newaxis] * shares
        by_cosines = by_scores * scales[:, np.newaxis]
        by_asked = _pull_units(by_cosines @ known[:, np.newaxis], asked, asked_inverse)
        flat = by_cosines.reshape(tasks, -1, known.shape[1])
        by_known = _turned(flat) @ asked.reshape(tasks, -1, features)
        by_weights = np.empty_like(weights)
        by_gates, by_scales = _gates_and_scales(by_weights, ways)
        (by_asked * queries[:, :, np.newaxis]).sum(axis=1, out=by_gates)
        (by_scores * cosines).sum(axis=(1, 3), out=by_scales[..., 0])
        by_queries = (by_asked * gates[:, np.newaxis]).sum(axis=2)
        return by_weights, by_queries, _pull_units(by_known, known, known_inverse)

    def project(self, weights: Array, ways: int) -> None:
        """Keep gates in [0, 1] and scales positive."""
        gates, scales = _gates_and_scales(weights, ways)
        np.clip(gates, 0, 1, out=gates)
        np.maximum(scales, _SMALLEST_SCALE, out=scales)


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Squared distances to the means of the classes.

    The score of a class is ``-scale * |f(query) - mean of f(x)|**2`` over its examples ``x``: a
    linear classifier of the embedded query (Snell et al., section 2.3). Nothing of it is learnt
    with a task.

    Parameters
    ----------
    scale : float
        Inverse temperature, finite and positive.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_scale(self.scale)

    def start(self, tasks: int, ways: int, features: int, dtype: Any) -> Array:  # noqa: ARG002
        """Return no weights."""
        return np.empty((tasks, 0), dtype=dtype)

    def forward(
        self,
        weights: Array,
        queries: Array,
        support: Array,
        members: Array,
        *,
        without_self: bool = False,
    ) -> Scores:
        """Score queries."""
        counts = members.sum(axis=1, keepdims=True)
        parts = members / counts
        means = _turned(parts) @ support
        away = queries[:, :, np.newaxis] - means[:, np.newaxis]
        slopes = np.full(away.shape[:3], -self.scale, dtype=away.dtype)
        if without_self:
            # From the mean of the n - 1 others an example is n / (n - 1) times as far away.
            others = np.where(counts > 1, counts / np.maximum(counts - 1, 1), 1)
            slopes *= np.where(members > 0, np.square(others), 1)
        return Scores(slopes * np.square(away).sum(axis=3), (weights, parts, away, slopes))

    def backward(self, passed: Scores, gradient: Array) -> tuple[Array, Array, Array]:
        """Pull a gradient by the scores back to weights, queries and support."""
        weights, parts, away, slopes = passed._cache
        by_away = 2 * (gradient * slopes)[..., np.newaxis] * away
        return np.zeros_like(weights), by_away.sum(axis=2), -parts @ by_away.sum(axis=1)

    def project(self, weights: Array, ways: int) -> None:
        """Do nothing: there are no weights."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """Embedding networks with a head, one a task.

    Parameters
    ----------
    network : Network
        The embedding.
    head : Head
        What scores classes.
    parameters : ndarray, shape (tasks, size)
        Of the embedding of each task.
    weights : ndarray, shape (tasks, head's size)
        Of the head of each task.
    support : Examples
        What queries are compared with.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows: see `MatchingNetwork`.
    """

    network: Network
    head: Head
    parameters: Array
    weights: Array
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
            Logarithms of the chances of the classes.

        Raises
        ------
        ValueError
            If the shape does not fit, there are no queries, or a number is NaN or infinite.
        """
        scores = compared(
            self.statistics,
            self._embed,
            self._compare,
            support=self.support.x,
            queries=as_queries(self.network, x),
        )
        return Prediction(log_softmax(scores))

    def _embed(self, x: Array, statistics: tuple[Any, ...] | None) -> Forward:
        return self.network.forward(self.parameters, x, statistics=statistics)

    def _compare(self, queries: Array, support: Array) -> Array:
        members = _members(self.support, self.network.dtype)
        return self.head.forward(self.weights, queries, support, members).outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingNetwork:
    """An embedding network that learns to put examples of a class together, for classifications.

    Each step of meta-training draws tasks, scores their queries by their support sets, and descends
    the mean cross-entropy by the parameters of the embedding. Support set and queries go through
    the network in one batch, so that batch normalisation sees both.

    A new task needs no fine-tuning: its support set is embedded, and that is all. Chen et al. do
    fine-tune, to wash a backdoor out of the parameters: first the head's weights alone, the
    embedding fixed, then both. The loss is that of the support set, of which each example is scored
    by the others: Vinyals et al. (section 4.1) split a task's examples in two, and of a few shots
    leaving one out leaves the most to both sides, where an example that may look at itself
    learns that it resembles itself. The only example of a class stays, or its class would be gone.

    Parameters
    ----------
    network : Network
        The embedding: its outputs are features.
    head : Head
        What scores classes: `Matching` or `Prototypes`.
    shots, queries : int
        Examples of a class that a training task is learnt from, and judged by.
    tasks : int
        Tasks of one step of the parameters, the meta-batch.
    iterations : int
        Steps of a client in a round.
    outer : Optimizer
        The rule of these steps; clients begin anew in each round.
    gate_steps, joint_steps : int
        Steps of fine-tuning: of the head's weights, then of these and the embedding.
    tuning_optimizer : Optimizer
        The rule of these steps; it begins anew with the second kind.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows when a query is answered: the support set; the support set
        and this query; the support set and all queries asked together, as in training.

    Raises
    ------
    ValueError
        If an option is out of range, or the head has no weights for `gate_steps`.

    Examples
    --------
    >>> from veilsum.learning.network import linear
    >>> learner = MatchingNetwork(network=linear(inputs=2, outputs=2), head=Prototypes())
    >>> unchanged = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    >>> support = Examples(np.array([[[0.0, 0.0], [2.0, 0.0]]]), np.array([[0, 1]]))
    >>> adapted = learner.adapt(unchanged, support, np.random.default_rng(0))
    >>> np.exp(adapted.predict([[[1.0, 5.0], [0.0, 5.0]]]).outputs).round(3)
    array([[[0.5  , 0.5  ],
            [0.982, 0.018]]])
    """

    network: Network
    head: Head = field(default_factory=Matching)
    shots: int = 5
    queries: int = 5
    tasks: int = 5
    iterations: int = 10
    outer: Optimizer = field(default_factory=lambda: SGD(0.1))
    gate_steps: int = 0
    joint_steps: int = 0
    tuning_optimizer: Optimizer = field(default_factory=lambda: Adam(1e-3, beta1=0.0))
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        require_counts(self, "shots", "queries", "tasks", "iterations")
        require_counts(self, "gate_steps", "joint_steps", least=0)
        require_statistics(self.statistics)
        if self.gate_steps and not self.head.start(1, 1, 1, np.float64).size:
            raise ValueError(
                f"gate_steps: got {self.gate_steps} for {type(self.head).__name__}, which has no "
                "weights to train; use joint_steps"
            )

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
        generator: np.random.Generator,  # noqa: ARG002
    ) -> Matched:
        """Embed the support set of each task, and fine-tune if it is so asked."""
        *_, adapted = self.tune(parameters, support)
        return adapted

    def meta_gradient(
        self, parameters: NDArray[np.float64], episodes: Episodes
    ) -> tuple[Array, NDArray[np.float64]]:
        """Differentiate the loss of the queries of some tasks.

        Parameters
        ----------
        parameters : ndarray, shape (size,)
            Of the embedding.
        episodes : Episodes
            The tasks, with queries.

        Returns
        -------
        losses : ndarray, shape (tasks,)
            Cross-entropy of each task's queries.
        gradient : ndarray of float64, shape (size,)
            Of the mean of `losses`, by `parameters`.

        Raises
        ------
        ValueError
            If the tasks are not classifications, or have a class without an example.
        """
        support, query = episodes.support, episodes.query
        members = _members(support, self.network.dtype)
        _require_known(query, members.shape[2])
        both = np.concatenate([support.x, query.x], axis=1)
        passed = self.network.forward(spread(self.network, parameters, len(support)), both)
        known, asked = np.split(passed.outputs, [support.count], axis=1)
        scores = self.head.forward(self._start(members), asked, known, members)
        losses, gradient = CrossEntropy().gradient(scores.outputs, query.y)
        _, by_asked, by_known = self.head.backward(scores, gradient)
        pulled = self.network.backward(passed, np.concatenate([by_known, by_asked], axis=1))
        return losses, pulled.mean(axis=0, dtype=np.float64)

    def tune(self, parameters: Array, support: Examples) -> Iterator[Matched]:
        """Fine-tune step by step: `gate_steps`, then `joint_steps`.

        Parameters
        ----------
        parameters : ndarray, shape (size,) or (tasks, size)
            Of the embedding; one vector stands for all tasks.
        support : Examples
            What the tasks learn from.

        Yields
        ------
        Matched
            The models before the first step, and after every one; `adapt` returns the last. Steps
            change their arrays in place: ask a model before the next one, or copy what is to be
            kept.

        Raises
        ------
        ValueError
            If the tasks are not classifications, or have a class without an example.
        """
        members = _members(support, self.network.dtype)
        start = spread(self.network, parameters, len(support))
        matched = self._matched(start, self._start(members), support)
        yield matched
        yield from self._tune_weights(matched, members)
        yield from self._tune_all(matched, members)

    def _tune_weights(self, matched: Matched, members: Array) -> Iterator[Matched]:
        """Train the head alone: the support set is embedded once."""
        if not self.gate_steps:
            return
        support, weights = matched.support, matched.weights
        embedded = self.network.forward(matched.parameters, support.x).outputs
        state = self.tuning_optimizer.start(weights)
        for _ in range(self.gate_steps):
            gradient, _ = self._support_gradient(weights, embedded, support, members)
            self.tuning_optimizer.step(weights, gradient, state)
            self.head.project(weights, members.shape[2])
            yield matched

    def _tune_all(self, matched: Matched, members: Array) -> Iterator[Matched]:
        """Train embedding and head as one array of parameters."""
        support = matched.support
        joint = np.concatenate([matched.parameters, matched.weights], axis=1)
        parameters, weights = joint[:, : self.size], joint[:, self.size :]
        state = self.tuning_optimizer.start(joint)
        for _ in range(self.joint_steps):
            passed = self.network.forward(parameters, support.x)
            by_weights, by_embedded = self._support_gradient(
                weights, passed.outputs, support, members
            )
            by_parameters = self.network.backward(passed, by_embedded)
            self.tuning_optimizer.step(
                joint, np.concatenate([by_parameters, by_weights], axis=1), state
            )
            self.head.project(weights, members.shape[2])
            yield self._matched(parameters, weights, support)

    def _support_gradient(
        self, weights: Array, embedded: Array, support: Examples, members: Array
    ) -> tuple[Array, Array]:
        """Differentiate the support set's loss, each example scored by the others.

        By the head's weights, and by the embeddings.
        """
        scores = self.head.forward(weights, embedded, embedded, members, without_self=True)
        _, gradient = CrossEntropy().gradient(scores.outputs, support.y)
        by_weights, by_queries, by_support = self.head.backward(scores, gradient)
        return by_weights, by_queries + by_support

    def _matched(self, parameters: Array, weights: Array, support: Examples) -> Matched:
        return Matched(
            network=self.network,
            head=self.head,
            parameters=parameters,
            weights=weights,
            support=support,
            statistics=self.statistics,
        )

    def _start(self, members: Array) -> Array:
        tasks, _, ways = members.shape
        return self.head.start(tasks, ways, self.network.outputs, self.network.dtype)


def _members(support: Examples, dtype: Any) -> Array:
    """Return which example is of which class, as 1 and 0: (tasks, count, ways)."""
    if not support.labelled or not support.count:
        raise ValueError(
            f"support: got {support.y.dtype} targets of shape {support.y.shape}, expected labels "
            "of at least one example"
        )
    ways = int(support.y.max()) + 1
    members = support.y[..., np.newaxis] == np.arange(ways)
    missing = np.argwhere(~members.any(axis=1))
    if len(missing):
        task, way = missing[0]
        raise ValueError(
            f"support: got no example of class {way} in task {task}, expected at least one of each "
            f"of {ways} classes"
        )
    return np.asarray(members, dtype=dtype)


def _require_known(query: Examples, ways: int) -> None:
    if not query.labelled or not query.count or query.y.max() >= ways:
        raise ValueError(
            f"query: got {query.y.dtype} targets of shape {query.y.shape}, expected labels of at "
            f"least one example, of the support set's {ways} classes"
        )


def _gates_and_scales(weights: Array, ways: int) -> tuple[Array, Array]:
    """Return views: gates (tasks, ways, features) and scales (tasks, ways, 1)."""
    tasks = len(weights)
    gates = weights[:, :-ways].reshape(tasks, ways, -1)
    return gates, weights[:, -ways:].reshape(tasks, ways, 1)


def _units(x: Array) -> tuple[Array, Array]:
    """Return vectors of length 1, and what the given ones were multiplied with for that."""
    inverse = 1 / np.sqrt(np.square(x).sum(axis=-1, keepdims=True) + _EPSILON)
    return x * inverse, inverse


def _pull_units(gradient: Array, units: Array, inverse: Array) -> Array:
    """Pull a gradient by the units back to the vectors."""
    along = (gradient * units).sum(axis=-1, keepdims=True)
    return np.asarray((gradient - units * along) * inverse)


def _seen(members: Array, without_self: bool) -> NDArray[np.bool_]:
    """Return which examples count for each query and class: (tasks, queries or 1, ways, support).

    Without itself, each example is a query that does not see itself unless it is alone in its
    class.
    """
    of_class = np.asarray(_turned(members)[:, np.newaxis] > 0)
    if not without_self:
        return of_class
    others = ~np.eye(members.shape[1], dtype=np.bool_)[:, np.newaxis]
    alone = members.sum(axis=1) == 1
    return np.asarray(of_class & (others | alone[:, np.newaxis, :, np.newaxis]))


def _log_sums(scores: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the logarithm of the sum of exp over what is seen, and the share of each in it."""
    kept = np.where(seen, scores, scores.dtype.type(-np.inf))
    top = kept.max(axis=-1, keepdims=True)
    shares = np.exp(kept - top)
    total = shares.sum(axis=-1, keepdims=True)
    return (top + np.log(total))[..., 0], shares / total


def _turned(matrices: Array) -> Array:
    return matrices.swapaxes(1, 2)


def _require_scale(scale: float) -> None:
    if not 0 < scale < math.inf:
        raise ValueError(f"scale: got {scale}, expected finite and above 0")
