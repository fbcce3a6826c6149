"""Losses of many tasks at once, with their first and second derivatives by the outputs."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CrossEntropy", "Loss", "SquaredError", "log_softmax"]

Array = NDArray[np.floating[Any]]


class Loss(Protocol):
    """A loss of each task: the mean over its batch."""

    def gradient(self, outputs: Array, targets: NDArray[Any]) -> tuple[Array, Array]:
        """Return the loss of each task (tasks,), and its gradient by the outputs.

        Raises
        ------
        ValueError
            If the targets do not fit the outputs.
        """
        ...

    def curvature(self, outputs: Array, targets: NDArray[Any], tangent: Array) -> Array:
        """Return how the gradient moves when the outputs move along `tangent`."""
        ...


class SquaredError:
    """Mean squared error, over the batch and the outputs; targets are shaped like the outputs.

    Examples
    --------
    >>> loss, gradient = SquaredError().gradient(np.array([[[3.0]]]), np.array([[[1.0]]]))
    >>> loss, gradient
    (array([4.]), array([[[4.]]]))
    """

    def gradient(self, outputs: Array, targets: NDArray[Any]) -> tuple[Array, Array]:
        """Return the loss of each task, and its gradient by the outputs."""
        if targets.shape != outputs.shape:
            raise ValueError(
                f"targets: got shape {targets.shape}, expected that of the outputs, "
                f"{outputs.shape}; give the network as many outputs as an example has targets"
            )
        errors = outputs - targets
        count = errors[0].size
        return np.square(errors).sum(axis=(1, 2)) / count, errors * (2 / count)

    def curvature(self, outputs: Array, targets: NDArray[Any], tangent: Array) -> Array:  # noqa: ARG002
        """Return how the gradient moves when the outputs move along `tangent`."""
        return np.asarray(tangent * (2 / outputs[0].size))


class CrossEntropy:
    """Mean negative log-likelihood of a softmax; targets are labels (tasks, batch).

    Examples
    --------
    >>> loss, _ = CrossEntropy().gradient(np.zeros((1, 1, 4)), np.array([[2]]))
    >>> np.exp(loss).round(6)
    array([4.])
    """

    def gradient(self, outputs: Array, targets: NDArray[Any]) -> tuple[Array, Array]:
        """Return the loss of each task, and its gradient by the outputs."""
        if targets.shape != outputs.shape[:2]:
            raise ValueError(f"targets: got shape {targets.shape}, expected {outputs.shape[:2]}")
        if targets.max() >= outputs.shape[2]:
            raise ValueError(
                f"targets: got the label {targets.max()}, but the network has {outputs.shape[2]} "
                "outputs; give it one for each class"
            )
        logs = log_softmax(outputs)
        labels = targets[..., np.newaxis]
        losses = -np.take_along_axis(logs, labels, axis=2).mean(axis=(1, 2))
        gradient = np.exp(logs)
        hit = np.take_along_axis(gradient, labels, axis=2)
        np.put_along_axis(gradient, labels, hit - 1, axis=2)
        return losses, gradient / outputs.shape[1]

    def curvature(self, outputs: Array, targets: NDArray[Any], tangent: Array) -> Array:  # noqa: ARG002
        """Return how the gradient moves when the outputs move along `tangent`."""
        chances = np.exp(log_softmax(outputs))
        centred = tangent - (chances * tangent).sum(axis=2, keepdims=True)
        return np.asarray(chances * centred / outputs.shape[1])


def log_softmax(outputs: Array) -> Array:
    """Return the logarithms of the chances that outputs stand for, along the last axis.

    Examples
    --------
    >>> np.exp(log_softmax(np.array([1000.0, 1000.0])))
    array([0.5, 0.5])
    """
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
