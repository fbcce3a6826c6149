"""Layers for many models at once: all arrays lead with a task axis, and each task has its weights.

A layer is a function of weights and an input, and holds neither. The layers here take inputs of
shape (tasks, batch, features).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Dense",
    "DenseLayer",
    "Layer",
    "ReLU",
    "Weight",
]

Array = NDArray[np.floating[Any]]
Start = Literal["glorot", "zeros", "ones"]


@dataclass(frozen=True, slots=True)
class Weight:
    """Shape of one array of weights, and how it starts.

    "glorot" is uniform within ``sqrt(6 / (fan_in + fan_out))``: Glorot and Bengio (2010),
    "Understanding the difficulty of training deep feedforward neural networks", equation 16.
    """

    shape: tuple[int, ...]
    start: Start
    fans: int = 0

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return first weights, flat."""
        if self.start != "glorot":
            return np.full(self.size, float(self.start == "ones"))
        limit = math.sqrt(6 / self.fans)
        return generator.uniform(-limit, limit, size=self.size)


class Layer(ABC):
    """A differentiable function of weights and an input, for each task apart."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The weights of one task."""
        return ()

    @abstractmethod
    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:
        """Return the output, and what `backward` needs to know.

        `known` are statistics of other inputs, from `statistics`, to be used in place of this
        input's own.
        """

    @abstractmethod
    def backward(
        self, weights: Sequence[Array], cache: Any, dy: Array, gradients: Sequence[Array]
    ) -> Array:
        """Write the weights' gradients, and return the input's."""

    def learn(
        self, weights: Sequence[Array], cache: Any, dy: Array, gradients: Sequence[Array]
    ) -> None:
        """Write the weights' gradients, where nobody asks for the input's."""
        self.backward(weights, cache, dy, gradients)

    def statistics(self, cache: Any) -> Any:  # noqa: ARG002
        """Return what `forward` learned of its input that other inputs may share, or None."""
        return None


class DenseLayer(Layer):
    """A layer with second derivatives: forward mode over both of its passes (Pearlmutter 1994)."""

    @abstractmethod
    def forward_tangent(
        self, weights: Sequence[Array], tangents: Sequence[Array], cache: Any, dx: Array
    ) -> Array:
        """Return how the output moves when weights and input move along their tangents."""

    @abstractmethod
    def backward_tangent(
        self,
        weights: Sequence[Array],
        tangents: Sequence[Array],
        cache: Any,
        dx: Array,
        pulled: tuple[Array, Array],
        gradients: Sequence[Array],
    ) -> tuple[Array, Array]:
        """Write how the weights' gradients move.

        `pulled` is the output's gradient and how it moves; the input's is returned alike.
        """


@dataclass(frozen=True, slots=True)
class Dense(DenseLayer):
    """An affine map of features.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features.
    start : {"glorot", "zeros", "ones"}
        How the matrix starts.
    """

    inputs: int
    outputs: int
    start: Start = "glorot"

    @property
    def weights(self) -> tuple[Weight, ...]:
        """A matrix and an intercept."""
        return (
            Weight((self.inputs, self.outputs), self.start, self.inputs + self.outputs),
            Weight((1, self.outputs), "zeros"),
        )

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return ``x @ matrix + intercept``."""
        matrix, intercept = weights
        return x @ matrix + intercept, x

    def learn(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dy: Array,
        gradients: Sequence[Array],
    ) -> None:
        """Correlate with the input."""
        np.matmul(cache.swapaxes(1, 2), dy, out=gradients[0])
        dy.sum(axis=1, keepdims=True, out=gradients[1])

    def backward(
        self, weights: Sequence[Array], cache: Any, dy: Array, gradients: Sequence[Array]
    ) -> Array:
        """Pull a gradient back through the affine map."""
        self.learn(weights, cache, dy, gradients)
        return np.asarray(dy @ weights[0].swapaxes(1, 2))

    def forward_tangent(
        self, weights: Sequence[Array], tangents: Sequence[Array], cache: Any, dx: Array
    ) -> Array:
        """Apply the product rule to the affine map."""
        return np.asarray(dx @ weights[0] + cache @ tangents[0] + tangents[1])

    def backward_tangent(
        self,
        weights: Sequence[Array],
        tangents: Sequence[Array],
        cache: Any,
        dx: Array,
        pulled: tuple[Array, Array],
        gradients: Sequence[Array],
    ) -> tuple[Array, Array]:
        """Apply the product rule to `backward`."""
        dy, moved = pulled
        np.matmul(dx.swapaxes(1, 2), dy, out=gradients[0])
        gradients[0] += cache.swapaxes(1, 2) @ moved
        moved.sum(axis=1, keepdims=True, out=gradients[1])
        matrix, tangent = weights[0].swapaxes(1, 2), tangents[0].swapaxes(1, 2)
        return dy @ matrix, moved @ matrix + dy @ tangent


@dataclass(frozen=True, slots=True)
class ReLU(DenseLayer):
    """The positive part of each element. Its second derivative is taken as zero everywhere."""

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return ``max(x, 0)``; NaN stays NaN."""
        y = np.maximum(x, 0)
        return y, y

    def backward(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dy: Array,
        gradients: Sequence[Array],  # noqa: ARG002
    ) -> Array:
        """Pass gradients where the input was positive."""
        return np.asarray(dy * (cache > 0))

    def forward_tangent(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        tangents: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dx: Array,
    ) -> Array:
        """Pass tangents where the input was positive."""
        return np.asarray(dx * (cache > 0))

    def backward_tangent(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        tangents: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dx: Array,  # noqa: ARG002
        pulled: tuple[Array, Array],
        gradients: Sequence[Array],  # noqa: ARG002
    ) -> tuple[Array, Array]:
        """Pass gradients and their tangents where the input was positive."""
        open_ = cache > 0
        return pulled[0] * open_, pulled[1] * open_
