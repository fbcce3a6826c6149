"""Rules by which parameters follow gradients, for many models at once.

What a rule remembers between two steps is a tuple of arrays, changed in place: it can be carried
over to other parameters of the same shape, and saved like them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["SGD", "Adam", "Momentum", "Optimizer", "State"]

Array = NDArray[np.floating[Any]]
State = tuple[NDArray[Any], ...]


@runtime_checkable
class Optimizer(Protocol):
    """Moves parameters against their gradients."""

    @property
    def rate(self) -> float:
        """Size of a step."""
        ...

    def start(self, parameters: Array) -> State:
        """Return the state before the first step."""
        ...

    def step(self, parameters: Array, gradient: Array, state: State, *, pace: float = 1.0) -> None:
        """Move `parameters` and `state` in place by one step of `pace` times the rate."""
        ...


@dataclass(frozen=True, slots=True)
class SGD:
    """Gradient descent.

    Parameters
    ----------
    rate : float
        Size of a step, finite and positive.

    Examples
    --------
    >>> parameters = np.array([1.0])
    >>> SGD(0.1).step(parameters, np.array([2.0]), SGD(0.1).start(parameters))
    >>> parameters
    array([0.8])
    """

    rate: float

    def __post_init__(self) -> None:
        _require_rate(self.rate)

    def start(self, parameters: Array) -> State:  # noqa: ARG002
        """Return nothing: it remembers nothing."""
        return ()

    def step(self, parameters: Array, gradient: Array, state: State, *, pace: float = 1.0) -> None:  # noqa: ARG002
        """Move `parameters` in place."""
        parameters -= gradient * parameters.dtype.type(self.rate * pace)


@dataclass(frozen=True, slots=True)
class Momentum:
    """Gradient descent with a decaying sum of gradients (Polyak 1964; Sutskever et al. 2013).

    Parameters
    ----------
    rate : float
        Size of a step, finite and positive.
    decay : float
        What is left of the sum at each step, from 0 and below 1.
    """

    rate: float
    decay: float = 0.9

    def __post_init__(self) -> None:
        _require_rate(self.rate)
        _require_decay("decay", self.decay)

    def start(self, parameters: Array) -> State:
        """Return a sum of zero."""
        return (np.zeros_like(parameters),)

    def step(self, parameters: Array, gradient: Array, state: State, *, pace: float = 1.0) -> None:
        """Move `parameters` and the sum in place."""
        (total,) = state
        total *= self.decay
        total += gradient
        parameters -= total * parameters.dtype.type(self.rate * pace)


@dataclass(frozen=True, slots=True)
class Adam:
    """Steps scaled by decaying means of gradients and of their squares.

    Kingma and Ba (2015), "Adam: a method for stochastic optimization", Algorithm 1. With `beta1`
    0, as Reptile uses it, no mean of gradients is kept.

    Parameters
    ----------
    rate : float
        Size of a step, finite and positive.
    beta1, beta2 : float
        Decays of the means, from 0 and below 1.
    epsilon : float
        Keeps a step finite where gradients vanish.
    """

    rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _require_rate(self.rate)
        _require_decay("beta1", self.beta1)
        _require_decay("beta2", self.beta2)
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon: got {self.epsilon}, expected finite and above 0")

    def start(self, parameters: Array) -> State:
        """Return no steps, and means of zero."""
        means = [np.zeros_like(parameters) for _ in range(1 + (self.beta1 > 0))]
        return np.zeros((), dtype=np.int64), *means

    def step(self, parameters: Array, gradient: Array, state: State, *, pace: float = 1.0) -> None:
        """Move `parameters` and the means in place."""
        steps, squares, *means = state
        steps += 1
        _decay(squares, self.beta2, np.square(gradient))
        for mean in means:
            _decay(mean, self.beta1, gradient)
        direction = means[0] if means else gradient
        size = self.rate * pace / (1 - self.beta1 ** int(steps))
        root = np.sqrt(squares / parameters.dtype.type(1 - self.beta2 ** int(steps)))
        root += parameters.dtype.type(self.epsilon)
        parameters -= direction * parameters.dtype.type(size) / root


def _decay(mean: Array, rate: float, value: Array) -> None:
    mean *= mean.dtype.type(rate)
    mean += value * mean.dtype.type(1 - rate)


def _require_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"rate: got {rate}, expected finite and above 0")


def _require_decay(name: str, decay: float) -> None:
    if not 0 <= decay < 1:
        raise ValueError(f"{name}: got {decay}, expected from 0 and below 1")
