"""Networks as functions of a flat vector of parameters, for many tasks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.learning.network.layers import DenseLayer, Layer, Weight
from veilsum.learning.network.losses import Loss

__all__ = ["Forward", "Network"]

Array = NDArray[np.floating[Any]]

_KEPT = 62 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Forward:
    """A forward pass.

    Attributes
    ----------
    outputs : ndarray, shape (tasks, batch, outputs)
        What the network answers.
    statistics : tuple
        Of each layer, what it learned of these inputs that others may share: see `forward`.
    """

    outputs: Array
    statistics: tuple[Any, ...]
    _parameters: Array
    _caches: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A chain of layers.

    Parameters of several tasks are one array (tasks, size), so that everything done to models
    (steps, averages, updates) is arithmetic of arrays. What a task gets is the same to the last bit
    whatever tasks stand beside it. No method changes its arguments.

    Parameters
    ----------
    layers : tuple of Layer
        From the input to the output.
    inputs : tuple of int
        Shape of one example.
    outputs : int
        Number of outputs.
    dtype : dtype
        float32 or float64: of parameters and of all that is computed.

    Examples
    --------
    >>> from veilsum.learning.network import mlp
    >>> network = mlp(inputs=1, outputs=1, hidden=(40, 40))
    >>> network.size
    1761
    >>> parameters = network.initial(seed=0)
    >>> network.forward(parameters[np.newaxis], np.zeros((1, 7, 1))).outputs.shape
    (1, 7, 1)
    """

    layers: tuple[Layer, ...]
    inputs: tuple[int, ...]
    outputs: int
    dtype: Any = np.float64

    def __post_init__(self) -> None:
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype: got {np.dtype(self.dtype)}, expected float32 or float64")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(weight.size for weight in self._weights())

    def initial(self, *, seed: int) -> Array:
        """Draw first parameters.

        Parameters
        ----------
        seed : int
            Not negative; the same seed gives the same parameters.

        Returns
        -------
        ndarray, shape (size,)
            Each array of weights as its layer says.
        """
        generator = np.random.default_rng(seed)
        parts = [weight.draw(generator) for weight in self._weights()]
        return np.concatenate([np.empty(0), *parts]).astype(self.dtype)

    def forward(
        self, parameters: Array, x: ArrayLike, *, statistics: Sequence[Any] | None = None
    ) -> Forward:
        """Answer inputs.

        Parameters
        ----------
        parameters : ndarray, shape (tasks, size)
            A model for each task.
        x : array-like, shape (tasks, batch, ...)
            Inputs of each task.
        statistics : tuple, optional
            `Forward.statistics` of other inputs of the same tasks. Batch normalisation then uses
            theirs in place of this batch's; such a pass cannot be pulled back.

        Returns
        -------
        Forward
            Outputs, and what `backward` needs.

        Raises
        ------
        ValueError
            If the shapes do not fit each other or the network.
        """
        array = np.asarray(x, dtype=self.dtype)
        parameters = np.asarray(parameters, dtype=self.dtype)
        self._check(parameters, array)
        caches = []
        known = statistics or (None,) * len(self.layers)
        for layer, weights, given in zip(self.layers, self._split(parameters), known, strict=True):
            array, cache = layer.forward(weights, array, given)
            caches.append(cache)
        learned = tuple(
            layer.statistics(cache) for layer, cache in zip(self.layers, caches, strict=True)
        )
        informed = any(given is not None for given in known)
        return Forward(array, learned, parameters, () if informed else tuple(caches))

    def backward(self, passed: Forward, gradient: Array) -> Array:
        """Pull a gradient by the outputs back to the parameters.

        Parameters
        ----------
        passed : Forward
            From `forward`.
        gradient : ndarray, shape (tasks, batch, outputs)
            Of some function of the outputs.

        Returns
        -------
        ndarray, shape (tasks, size)
            The gradient of that function by the parameters.

        Raises
        ------
        ValueError
            If the pass used given statistics.
        """
        if not self.size:
            return np.empty_like(passed._parameters)
        lowest = next(place for place, layer in enumerate(self.layers) if layer.weights)
        stages, result, dy = self._descend(passed, gradient, lowest + 1)
        layer, weights, cache, gradients = stages[lowest]
        layer.learn(weights, cache, dy, gradients)
        return result

    def pull(self, passed: Forward, gradient: Array) -> tuple[Array, Array]:
        """Do as `backward`, and return the gradient by the inputs too."""
        _, result, dy = self._descend(passed, gradient, 0)
        return result, dy

    def gradient(
        self, parameters: Array, x: ArrayLike, targets: NDArray[Any], loss: Loss
    ) -> tuple[Array, Array]:
        """Return the loss of each task (tasks,), and its gradient by the parameters."""
        x = np.asarray(x, dtype=self.dtype)
        self._check(parameters, x)
        if self.twice_differentiable:
            return self._gradient(parameters, x, targets, loss)
        # The maps of one task fit into a cache, and those of several would not.
        _keep_memory()
        tasks = [slice(task, task + 1) for task in range(len(x))]
        parts = [self._gradient(parameters[t], x[t], targets[t], loss) for t in tasks]
        losses, gradients = zip(*parts, strict=True)
        return np.concatenate(losses), np.concatenate(gradients)

    def _gradient(
        self, parameters: Array, x: Array, targets: NDArray[Any], loss: Loss
    ) -> tuple[Array, Array]:
        passed = self.forward(parameters, x)
        losses, by_outputs = loss.gradient(passed.outputs, targets)
        return losses, self.backward(passed, by_outputs)

    def hessian_vector(
        self,
        parameters: Array,
        x: ArrayLike,
        targets: NDArray[Any],
        loss: Loss,
        vector: Array,
    ) -> Array:
        """Multiply the Hessian of the loss with a vector, without forming it.

        Pearlmutter (1994), "Fast exact multiplication by the Hessian": forward mode over the
        gradient, at the cost of about two gradients.

        Parameters
        ----------
        parameters, x, targets, loss
            As of `gradient`.
        vector : ndarray, shape (tasks, size)
            What each task's Hessian is multiplied with.

        Returns
        -------
        ndarray, shape (tasks, size)
            The products.

        Raises
        ------
        ValueError
            If the network has layers without second derivatives, such as convolutions.
        """
        layers = self._dense_layers()
        passed = self.forward(parameters, x)
        pairs = list(
            zip(self._split(passed._parameters), self._split(vector), passed._caches, strict=True)
        )
        moved = [np.zeros_like(np.asarray(x, dtype=self.dtype))]
        for layer, (weights, tangents, cache) in zip(layers, pairs, strict=True):
            moved.append(layer.forward_tangent(weights, tangents, cache, moved[-1]))
        _, by_outputs = loss.gradient(passed.outputs, targets)
        pulled = by_outputs, loss.curvature(passed.outputs, targets, moved.pop())
        result = np.empty_like(passed._parameters)
        stages = zip(layers, pairs, moved, self._split(result), strict=True)
        for layer, (weights, tangents, cache), dx, gradients in reversed(list(stages)):
            pulled = layer.backward_tangent(weights, tangents, cache, dx, pulled, gradients)
        return result

    @property
    def twice_differentiable(self) -> bool:
        """Whether `hessian_vector` works: for dense layers, not for convolutions."""
        return all(isinstance(layer, DenseLayer) for layer in self.layers)

    def _dense_layers(self) -> list[DenseLayer]:
        dense = [layer for layer in self.layers if isinstance(layer, DenseLayer)]
        if len(dense) != len(self.layers):
            raise ValueError(
                "network: has layers without second derivatives; use a model of dense layers "
                "(linear or mlp), or first-order gradients"
            )
        return dense

    def _descend(
        self, passed: Forward, gradient: Array, last: int
    ) -> tuple[list[tuple[Layer, list[Array], Any, list[Array]]], Array, Array]:
        """Pull a gradient through the layers from `last` on; return all layers' parts with it."""
        if self.layers and not passed._caches:
            raise ValueError(
                "passed: got a pass with the statistics of other inputs, expected one with its "
                "own; call forward without statistics"
            )
        result = np.empty_like(passed._parameters)
        parts = self._split(passed._parameters), passed._caches, self._split(result)
        stages = list(zip(self.layers, *parts, strict=True))
        dy = np.asarray(gradient, dtype=self.dtype)
        for layer, weights, cache, gradients in reversed(stages[last:]):
            dy = layer.backward(weights, cache, dy, gradients)
        return stages, result, dy

    def _weights(self) -> Iterator[Weight]:
        for layer in self.layers:
            yield from layer.weights

    def _split(self, parameters: Array) -> list[list[Array]]:
        """Return views of the weights of every layer, each leading with the task axis."""
        tasks = len(parameters)
        edges = pairwise(accumulate((w.size for w in self._weights()), initial=0))
        return [
            [
                parameters[:, slice(*next(edges))].reshape(tasks, *weight.shape)
                for weight in layer.weights
            ]
            for layer in self.layers
        ]

    def _check(self, parameters: Array, x: Array) -> None:
        if parameters.ndim != 2 or parameters.shape[1] != self.size:
            raise ValueError(
                f"parameters: got shape {parameters.shape}, expected (tasks, {self.size})"
            )
        if x.shape[2:] != self.inputs or x.ndim < 2 or not x.size:
            raise ValueError(
                f"x: got shape {x.shape}, expected (tasks, batch, "
                f"{', '.join(map(str, self.inputs))}) with at least one example"
            )
        if len(x) != len(parameters):
            raise ValueError(
                f"x: got inputs of {len(x)} tasks and parameters of {len(parameters)}, "
                "expected as many"
            )


def _keep_memory() -> None:
    """Have the memory of one pass kept for the next.

    Unasked, glibc returns freed maps to the system, and half of a pass goes by on faulting them in
    again. It learns to keep twice the largest block that was freed, if that was below 32 MiB.
    """
    np.empty(_KEPT // 2, dtype=np.uint8)
