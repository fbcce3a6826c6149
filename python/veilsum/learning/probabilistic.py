"""Meta-learning that knows how sure it is: Bayesian regression and amortised classification."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

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
)
from veilsum.learning.network import Adam, Forward, Network, Optimizer, mlp
from veilsum.learning.network.losses import log_softmax
from veilsum.learning.tasks import Episodes, Examples, Tasks

__all__ = [
    "AmortisedClassifier",
    "BayesianRegression",
    "Belief",
    "Posterior",
    "WeightSamples",
]

Array = NDArray[np.float64]

_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is believed of the weights of linear models: normal, with normal noise on the targets.

    Conditioning works in whitened weights, where the belief is standard normal, and by QR
    factorisation: no covariance is inverted, nothing can fail to be positive definite, and no
    jitter is added.

    Attributes
    ----------
    mean : ndarray, shape (tasks, features, outputs)
        Expected weights.
    factor : ndarray, shape (tasks, features, features)
        Any square root F of the covariance F F^T, which all outputs have.
    noise : float
        Variance of the targets' noise.
    """

    mean: Array
    factor: Array
    noise: float

    def condition(self, features: Array, targets: Array) -> Belief:
        """Return the belief after targets (tasks, count, outputs) were seen.

        Exact: Rasmussen and Williams (2006), "Gaussian processes for machine learning", section
        2.1.1.
        """
        white = _White.of(self, features, targets)
        return Belief(
            self.mean + self.factor @ white.shift, self.factor @ white.inverse, self.noise
        )

    def predict(self, features: Array) -> Prediction:
        """Return means and standard deviations of new targets."""
        means = features @ self.mean
        variances = self.noise + np.square(features @ self.factor).sum(axis=2, keepdims=True)
        return Prediction(means, np.broadcast_to(np.sqrt(variances), means.shape))


@dataclass(frozen=True, slots=True, eq=False)
class _White:
    """Linear regression in whitened weights v, where w = mean + factor v and v is N(0, 1).

    With A = features factor / s, where s^2 is the noise, v is N(shift, B^-1) after the targets
    were seen: B = 1 + A^T A = R^T R, shift = B^-1 A^T residuals / s.
    """

    design: Array
    inverse: Array  # R^-1, so that B^-1 is its product with its transpose.
    shift: Array
    residuals: Array  # Of the mean before the targets were seen.
    scale: float

    @classmethod
    def of(cls, belief: Belief, features: Array, targets: Array) -> _White:
        scale = math.sqrt(belief.noise)
        design = features @ belief.factor / scale
        unit = np.broadcast_to(np.eye(design.shape[2]), (len(design), *2 * design.shape[2:]))
        triangle = np.linalg.qr(np.concatenate([design, unit], axis=1), mode="r")
        inverse = np.linalg.inv(triangle)
        residuals = targets - features @ belief.mean
        pulled = inverse.swapaxes(1, 2) @ (design.swapaxes(1, 2) @ residuals)
        return cls(design, inverse, inverse @ pulled / scale, residuals, scale)

    @property
    def solved(self) -> Array:
        """C^-1 residuals, with C = features S features^T + s^2 the covariance of the targets."""
        return (self.residuals / self.scale - self.design @ self.shift) / self.scale

    @property
    def covariance(self) -> Array:
        """B^-1."""
        return np.asarray(self.inverse @ self.inverse.swapaxes(1, 2))

    def log_density(self) -> Array:
        """Log density of the targets of each task: Rasmussen and Williams, equation 2.30."""
        outputs = self.residuals.shape[2]
        fit = (self.residuals * self.solved).sum(axis=(1, 2))
        diagonal = np.abs(np.diagonal(self.inverse, axis1=1, axis2=2))
        volume = -2 * outputs * np.log(diagonal).sum(axis=1)
        constant = self.residuals[0].size * math.log(2 * math.pi * self.scale**2)
        return np.asarray(-(fit + volume + constant) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Regressions of several tasks, each conditioned on what was seen of it.

    The deviations of its predictions cover the noise and what is not known of a task's weights.
    They do not cover what is not known of the features, the prior and the noise, which all tasks
    share and of which training keeps one estimate: where no training task had inputs, they can be
    too small.

    Attributes
    ----------
    network : Network
        Makes features.
    parameters : ndarray, shape (network.size,)
        Of the network.
    belief : Belief
        Of the last layer's weights; the last row is the intercept's.
    """

    network: Network
    parameters: Array
    belief: Belief

    def observe(self, examples: Examples) -> Posterior:
        """Condition on more examples: one by one or all at once, the posterior is the same.

        Parameters
        ----------
        examples : Examples
            Of the same tasks.

        Returns
        -------
        Posterior
            The regressions afterwards.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        targets = _targets(examples, self.belief)
        features, _ = _features(self.network, self.parameters, examples.x)
        return replace(self, belief=self.belief.condition(features, targets))

    def predict(self, x: ArrayLike) -> Prediction:
        """Answer queries.

        Parameters
        ----------
        x : array-like, shape (tasks, queries, ...)
            Inputs.

        Returns
        -------
        Prediction
            Means and standard deviations of new observations, noise included: exact, given what
            the tasks share.

        Raises
        ------
        ValueError
            If the shape does not fit, there are no queries, or a number is NaN or infinite.
        """
        queries = as_queries(self.network, x)
        features, _ = _features(self.network, self.parameters, queries)
        return self.belief.predict(features)


@dataclass(frozen=True, slots=True, kw_only=True)
class BayesianRegression:
    """Exact Bayesian regression on learnt features, with a learnt prior and noise.

    The last layer's weights of a task are N(m, S) and its targets have noise N(0, s^2). Features,
    m, S = L L^T and s^2 are shared by all tasks, and trained to maximise the log marginal
    likelihood of each task's examples (empirical Bayes, by gradients). Given them the posterior
    and its predictions are exact: there are no steps and no samples.

    Harrison, Sharma and Pavone (2018), "Meta-learning priors for efficient online Bayesian
    regression", section 3, with the marginal likelihood in place of its conditional one;
    Rasmussen and Williams (2006), "Gaussian processes for machine learning", sections 2.1 and 5.4.

    The parameters are one vector: network | m | L by rows, its diagonal as logarithms | logarithm
    of the noise, to which a floor of 1e-6 is added. Averages of them are again such parameters.

    Parameters
    ----------
    network : Network
        Makes features of inputs; an intercept is added to them. ``mlp(outputs=None, ...)`` makes
        them by its hidden layers, and with ``hidden=()`` leaves the inputs as they are, for
        linear tasks.
    outputs : int
        Number of targets. They are independent given a task, with the same S and s^2.
    shots : int
        Examples of a training task.
    tasks : int
        Tasks of one step, the meta-batch.
    iterations : int
        Steps of a client in a round.
    outer : Optimizer
        The rule of a step; it begins anew each round.
    noise : float
        Variance of the noise where training begins.

    Raises
    ------
    ValueError
        If a number is below 1, the noise is not above 1e-6, or the network has batch
        normalisation, by which the features of an example would depend on others.

    Examples
    --------
    >>> from veilsum.learning.network import mlp
    >>> algorithm = BayesianRegression(network=mlp(inputs=1, outputs=None, hidden=()))
    >>> parameters = algorithm.initial(seed=0)
    >>> support = Examples(np.array([[[1.0]]]), np.array([[[2.0]]]))
    >>> adapted = algorithm.adapt(parameters, support, np.random.default_rng(0))
    >>> answer = adapted.predict([[[1.0], [3.0]]])
    >>> answer.outputs.ravel().round(2), answer.deviations.ravel().round(2)
    (array([1.99, 3.98]), array([0.14, 1.43]))
    """

    network: Network
    outputs: int = 1
    shots: int = 10
    tasks: int = 5
    iterations: int = 10
    outer: Optimizer = field(default_factory=lambda: Adam(1e-3))
    noise: float = 0.01

    def __post_init__(self) -> None:
        require_counts(self, "outputs", "shots", "tasks", "iterations")
        if not _FLOOR < self.noise < math.inf:
            raise ValueError(f"noise: got {self.noise}, expected finite and above {_FLOOR}")
        if not self.network.twice_differentiable:
            raise ValueError(
                "network: has layers that are not dense, expected features of each example alone; "
                "use dense layers"
            )

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self._sizes)

    def initial(self, *, seed: int) -> Array:
        """Draw first parameters (size,): the network's, and a standard normal prior."""
        _, mean, lower, _ = self._sizes
        prior = np.append(np.zeros(mean + lower), math.log(self.noise - _FLOOR))
        return np.concatenate([self.network.initial(seed=seed), prior])

    def train(self, parameters: Array, tasks: Tasks, generator: np.random.Generator) -> Array:
        """Return the parameters after `iterations` steps on tasks of one client."""

        def gradient(trained: Array) -> Array:
            drawn = tasks.draw(generator, self.tasks, shots=self.shots, queries=0).support
            return self._gradient(trained, drawn)

        return descend(self.outer, parameters, gradient, steps=self.iterations)

    def prior(self, parameters: Array) -> Posterior:
        """Return what is believed of tasks of which nothing was seen."""
        network, mean, lower, noise = _split(parameters, self._sizes)
        width = self.network.outputs + 1
        factor = np.zeros((width, width))
        factor[np.tril_indices(width)] = lower
        np.fill_diagonal(factor, np.exp(factor.diagonal()))
        weights = mean.reshape(1, width, self.outputs)
        belief = Belief(weights, factor[np.newaxis], math.exp(noise[0]) + _FLOOR)
        return Posterior(self.network, network, belief)

    def adapt(
        self,
        parameters: Array,
        support: Examples,
        generator: np.random.Generator,  # noqa: ARG002
    ) -> Posterior:
        """Condition the prior on the support set of each task; nothing is drawn."""
        return self.prior(parameters).observe(support)

    def log_marginal_likelihood(self, parameters: Array, examples: Examples) -> Array:
        """Return the log density of each task's targets, given its inputs and the shared prior.

        Parameters
        ----------
        parameters : ndarray, shape (size,)
            What tasks share.
        examples : Examples
            Of several tasks.

        Returns
        -------
        ndarray, shape (tasks,)
            In nats.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        prior = self.prior(parameters)
        features, _ = _features(self.network, prior.parameters, examples.x)
        return _White.of(prior.belief, features, _targets(examples, prior.belief)).log_density()

    def _gradient(self, parameters: Array, examples: Examples) -> Array:
        """Return the gradient of minus the log marginal likelihood, a mean over all targets.

        With C the covariance of a task's targets, a = C^-1 residuals and G = (C^-1 - a a^T) / 2
        its gradient by C (Rasmussen and Williams, equation 5.9), it is by m -features^T a, by L
        the lower triangle of 2 features^T G features L, by s^2 the trace of G, and by the features
        -a m^T + 2 G features S. `spread` is 2 G features L.
        """
        prior = self.prior(parameters)
        belief = prior.belief
        features, passed = _features(self.network, prior.parameters, examples.x)
        white = _White.of(belief, features, _targets(examples, belief))
        solved = white.solved
        spread = self.outputs / white.scale * white.design @ white.covariance
        spread -= solved @ white.shift.swapaxes(1, 2)
        by_features = spread @ belief.factor.swapaxes(1, 2) - solved @ belief.mean.swapaxes(1, 2)
        transposed = features.swapaxes(1, 2)
        by_factor = (transposed @ spread).sum(axis=0)
        by_factor[np.diag_indices_from(by_factor)] *= belief.factor[0].diagonal()
        degrees = features.shape[1] - features.shape[2] + np.square(white.inverse).sum(axis=(1, 2))
        traces = self.outputs * degrees / belief.noise - np.square(solved).sum(axis=(1, 2))
        parts = (
            self._pull(passed, by_features),
            -(transposed @ solved).sum(axis=0).ravel(),
            by_factor[np.tril_indices(len(by_factor))],
            traces.sum(keepdims=True) * (belief.noise - _FLOOR) / 2,
        )
        return np.concatenate(parts) / examples.y.size

    def _pull(self, passed: Forward, by_features: Array) -> Array:
        flat = by_features[..., :-1].reshape(passed.outputs.shape)
        return np.asarray(self.network.backward(passed, flat)[0], dtype=np.float64)

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        """Parameters of the network, m, L and the noise."""
        width = self.network.outputs + 1
        return self.network.size, width * self.outputs, width * (width + 1) // 2, 1


@dataclass(frozen=True, slots=True, eq=False)
class WeightSamples:
    """Linear classifiers of several tasks, whose weights are independent normal variables.

    Its chances are means over samples of the weights. They cover what the amortiser holds unknown
    of a task's weights: an approximation of the posterior, of independent normal variables, learnt
    from training tasks and as good as the tasks are like them. They do not cover what is not known
    of the embedding and of the amortiser, of which training keeps one estimate. Training asks for
    good chances alone: the variances serve these, and are no posterior variances to be read.

    Attributes
    ----------
    network, amortiser : Network
        The embedding, and what infers weights.
    parameters : ndarray, shape (network.size + amortiser.size,)
        Of both.
    support : Examples
        What the weights are inferred from.
    noise : ndarray, shape (samples, tasks, 1, classes)
        Standard normal; drawn once, so that a query has the same answer each time.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows: see `AmortisedClassifier`.
    """

    network: Network
    amortiser: Network
    parameters: Array
    support: Examples
    noise: Array
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        require_statistics(self.statistics)

    def weights(self) -> tuple[Array, Array]:
        """Infer the weights from the support set, without a query.

        Returns
        -------
        mean, variance : ndarray, shape (tasks, classes, features + 1)
            Of the weights of each class; the last one is the intercept.
        """
        return self._infer(self._embed(self.support.x, None).outputs)

    def predict(self, x: ArrayLike) -> Prediction:
        """Answer queries.

        Parameters
        ----------
        x : array-like, shape (tasks, queries, ...)
            Inputs.

        Returns
        -------
        Prediction
            Logarithms of chances.

        Raises
        ------
        ValueError
            If the shape does not fit, there are no queries, or a number is NaN or infinite.
        """
        answers = compared(
            self.statistics,
            self._embed,
            self._answer,
            support=self.support.x,
            queries=as_queries(self.network, x),
        )
        return Prediction(answers)

    def _answer(self, asked: NDArray[Any], known: NDArray[Any]) -> Array:
        """Return the logarithms of mean chances, over samples of the weights."""
        means, deviations = _logits(_with_ones(asked), *self._infer(known))
        total = np.full(means.shape, -math.inf)
        for noise in self.noise:
            np.logaddexp(total, log_softmax(means + deviations * noise), out=total)
        return total - math.log(len(self.noise))

    def _embed(self, x: NDArray[Any], statistics: tuple[Any, ...] | None) -> Forward:
        return _embed(self.network, self.parameters[: self.network.size], x, statistics)

    def _infer(self, known: NDArray[Any]) -> tuple[Array, Array]:
        shares = _shares(self.support)
        amortiser = self.parameters[self.network.size :]
        return _weights(_infer(self.amortiser, amortiser, shares @ known), shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmortisedClassifier:
    """Classification by weights that one network infers for each class from its examples.

    The amortiser turns the mean embedding of a class's examples into mean and variance of the
    class's weights: adapting is one forward pass, for any number of classes and examples. Training
    maximises the log chance of the queries' labels, each averaged over samples of the weights.

    Gordon, Bronskill, Bauer, Nowozin and Turner (2019), "Meta-learning probabilistic inference for
    prediction": the objective of section 2 (equation 4), the context-independent amortiser of
    section 3. Approximate are the posterior, by that amortiser, and its chances, by samples. A
    query's outputs are normal given normal weights; they are sampled in place of the weights: the
    same distribution for each query with less noise in the gradient (Kingma, Salimans and Welling
    2015, "Variational dropout and the local reparameterization trick", section 2.3).

    The parameters are one vector: network | amortiser.

    Parameters
    ----------
    network : Network
        The embedding: ``conv4(outputs=None)``, or any.
    hidden : tuple of int
        Widths of the amortiser's hidden layers.
    shots, queries : int
        Examples of a class that a training task is learnt from, and judged by.
    tasks : int
        Tasks of one step, the meta-batch.
    iterations : int
        Steps of a client in a round.
    outer : Optimizer
        The rule of a step; it begins anew each round.
    samples, answer_samples : int
        Samples of the weights in a step of training, and afterwards for an answer.
    statistics : {"support", "alone", "transductive"}
        What batch normalisation knows when a query is answered: the support set; the support set
        and this query; the support set and all queries asked together, as in training. All but
        the first infer the weights anew, as the queries move the support set's embeddings.

    Raises
    ------
    ValueError
        If a number is below 1, or `statistics` is unknown.

    Examples
    --------
    >>> from veilsum.learning.network import mlp
    >>> algorithm = AmortisedClassifier(network=mlp(inputs=2, outputs=3), hidden=(8,))
    >>> support = Examples(np.zeros((1, 5, 2)), np.array([[0, 1, 2, 3, 3]]))
    >>> generator = np.random.default_rng(0)
    >>> adapted = algorithm.adapt(algorithm.initial(seed=0), support, generator)
    >>> adapted.predict(np.zeros((1, 7, 2))).outputs.shape
    (1, 7, 4)
    """

    network: Network
    hidden: tuple[int, ...] = (64,)
    shots: int = 5
    queries: int = 5
    tasks: int = 5
    iterations: int = 10
    outer: Optimizer = field(default_factory=lambda: Adam(1e-3))
    samples: int = 10
    answer_samples: int = 100
    statistics: Statistics = "support"

    def __post_init__(self) -> None:
        counts = ("shots", "queries", "tasks", "iterations", "samples", "answer_samples")
        require_counts(self, *counts)
        require_statistics(self.statistics)
        _ = self.amortiser  # Refuses widths below 1.

    @property
    def amortiser(self) -> Network:
        """From a class's mean embedding to means, then log variances, of its weights."""
        width = self.network.outputs
        return mlp(inputs=width, outputs=2 * (width + 1), hidden=self.hidden)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self._sizes)

    def initial(self, *, seed: int) -> Array:
        """Draw first parameters (size,), those of the amortiser from a stream of its own."""
        apart = int(np.random.default_rng([seed, 1]).integers(2**63))
        parts = self.network.initial(seed=seed), self.amortiser.initial(seed=apart)
        return np.concatenate(parts)

    def train(self, parameters: Array, tasks: Tasks, generator: np.random.Generator) -> Array:
        """Return the parameters after `iterations` steps on tasks of one client."""

        def gradient(trained: Array) -> Array:
            drawn = tasks.draw(generator, self.tasks, shots=self.shots, queries=self.queries)
            return self._gradient(trained, drawn, generator)

        return descend(self.outer, parameters, gradient, steps=self.iterations)

    def adapt(
        self, parameters: Array, support: Examples, generator: np.random.Generator
    ) -> WeightSamples:
        """Infer the weights of each task's classes from its support set.

        Parameters
        ----------
        parameters : ndarray, shape (size,)
            What tasks share.
        support : Examples
            Of as many classes in each task, at least one of each.
        generator : numpy.random.Generator
            Draws the samples.

        Returns
        -------
        WeightSamples
            Adapted classifiers.

        Raises
        ------
        ValueError
            If the shapes do not fit, or a class has no example.
        """
        _split(parameters, self._sizes)  # Refuses another shape.
        classes = _shares(support).shape[1]
        noise = generator.standard_normal((self.answer_samples, len(support), 1, classes))
        return WeightSamples(
            self.network, self.amortiser, parameters, support, noise, self.statistics
        )

    def _gradient(
        self, parameters: Array, episodes: Episodes, generator: np.random.Generator
    ) -> Array:
        """Return the gradient of minus the log chance of a query's label, a mean over all.

        Support and queries pass the embedding together, so that batch normalisation sees both.
        """
        network, amortiser = _split(parameters, self._sizes)
        shares, count = _shares(episodes.support), episodes.support.count
        x = np.concatenate([episodes.support.x, episodes.query.x], axis=1)
        passed = _embed(self.network, network, x)
        inferred = _infer(self.amortiser, amortiser, shares @ passed.outputs[:, :count])
        mean, variance = _weights(inferred, shares)

        asked = _with_ones(passed.outputs[:, count:])
        means, deviations = _logits(asked, mean, variance)
        noise = generator.standard_normal((self.samples, *means.shape))
        by_outputs = _by_outputs(means + deviations * noise, episodes.query.y)
        by_means = by_outputs.sum(axis=0)
        by_variances = (by_outputs * noise).sum(axis=0) / (2 * deviations)

        by_asked = by_means @ mean + 2 * asked * (by_variances @ variance)
        by_mean = by_means.swapaxes(1, 2) @ asked
        by_log_variance = by_variances.swapaxes(1, 2) @ np.square(asked) * variance
        by_inferred = np.concatenate([by_mean, by_log_variance], axis=2)
        by_amortiser, by_pooled = self.amortiser.pull(
            inferred, by_inferred.reshape(inferred.outputs.shape)
        )
        by_support = shares.swapaxes(1, 2) @ by_pooled.reshape(*shares.shape[:2], -1)
        by_embedding = np.concatenate([by_support, by_asked[..., :-1]], axis=1)
        by_network = self.network.backward(passed, by_embedding).sum(axis=0, dtype=np.float64)
        return np.concatenate([by_network, by_amortiser[0]])

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.network.size, self.amortiser.size


def _embed(
    network: Network, parameters: Array, x: NDArray[Any], statistics: tuple[Any, ...] | None = None
) -> Forward:
    """Embed each task apart, by the same parameters."""
    own = parameters.astype(network.dtype)
    return network.forward(np.broadcast_to(own, (len(x), own.size)), x, statistics=statistics)


def _infer(network: Network, parameters: Array, pooled: Array) -> Forward:
    """Pass the mean embeddings of all classes of all tasks as one batch."""
    return network.forward(parameters[np.newaxis], pooled.reshape(1, -1, pooled.shape[-1]))


def _shares(support: Examples) -> Array:
    """Return each example's part in the mean of each class: (tasks, classes, count)."""
    if not support.labelled or not support.y.size:
        raise ValueError(
            f"support: got {support.y.dtype} targets of shape {support.y.shape}, expected labels "
            "of at least one example"
        )
    classes = np.arange(support.y.max() + 1)
    members = support.y[:, np.newaxis] == classes[:, np.newaxis]
    counts = members.sum(axis=2, keepdims=True)
    if not counts.all():
        task, missing, _ = np.argwhere(counts == 0)[0]
        raise ValueError(f"support: task {task} has no example of class {missing}")
    return np.asarray(members / counts)


def _weights(inferred: Forward, shares: Array) -> tuple[Array, Array]:
    """Return means and variances of the weights (tasks, classes, features + 1)."""
    outputs = inferred.outputs.astype(np.float64).reshape(*shares.shape[:2], -1)
    mean, log_variance = np.split(outputs, 2, axis=2)
    return mean, np.exp(log_variance)


def _logits(asked: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return means and deviations of the outputs (tasks, queries, classes) over the weights."""
    variances = np.square(asked) @ variance.swapaxes(1, 2)
    return asked @ mean.swapaxes(1, 2), np.sqrt(variances)


def _by_outputs(outputs: Array, labels: NDArray[Any]) -> Array:
    """Return the gradient of minus the mean log of each label's chance, averaged over samples.

    A sample (samples, tasks, queries, classes) counts by its part in that average.
    """
    logs = log_softmax(outputs)
    truth = labels[np.newaxis, ..., np.newaxis]
    hits = np.take_along_axis(logs, truth, axis=3)
    parts = np.exp(hits - hits.max(axis=0))
    parts /= parts.sum(axis=0)
    gradient = np.exp(logs)
    gradient -= labels[..., np.newaxis] == np.arange(outputs.shape[3])
    return np.asarray(gradient * parts / labels.size)


def _with_ones(features: NDArray[np.floating[Any]]) -> Array:
    """Append the intercept's feature, in double precision."""
    return np.concatenate([features, np.ones((*features.shape[:-1], 1))], axis=-1)


def _split(parameters: Array, sizes: tuple[int, ...]) -> list[Array]:
    if parameters.shape != (sum(sizes),):
        raise ValueError(f"parameters: got shape {parameters.shape}, expected ({sum(sizes)},)")
    return np.split(parameters, np.cumsum(sizes)[:-1])


def _features(network: Network, parameters: Array, x: NDArray[Any]) -> tuple[Array, Forward]:
    """Return features of each example (tasks, count, features + 1), the last one 1.

    All tasks share the network, which takes them for one.
    """
    passed = network.forward(parameters[np.newaxis], x.reshape(1, -1, *x.shape[2:]))
    return _with_ones(passed.outputs.reshape(*x.shape[:2], network.outputs)), passed


def _targets(examples: Examples, belief: Belief) -> Array:
    outputs = belief.mean.shape[2]
    if examples.labelled or examples.y.shape[2] != outputs:
        raise ValueError(
            f"examples: got {examples.y.dtype} targets of shape {examples.y.shape}, expected "
            f"floats (tasks, count, {outputs})"
        )
    return examples.y.astype(np.float64)
