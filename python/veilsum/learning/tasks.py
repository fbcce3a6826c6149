"""Tasks to learn from few examples: what is drawn of them, and who draws.

All arrays lead with a task axis, so that many tasks are learnt at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Episodes", "Examples", "Tasks"]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Examples of several tasks, as many of each.

    Parameters
    ----------
    x : ndarray of floats, shape (tasks, count, ...)
        Inputs, finite.
    y : ndarray, shape (tasks, count) or (tasks, count, outputs)
        Labels from 0 (integers: a classification), or targets (finite floats: a regression).

    Raises
    ------
    TypeError
        If one is no array.
    ValueError
        If the shapes do not fit, a number is NaN or infinite, or a label is negative.
    """

    x: NDArray[np.floating[Any]]
    y: NDArray[Any]

    def __post_init__(self) -> None:
        for name, given in (("x", self.x), ("y", self.y)):
            if not isinstance(given, np.ndarray):
                raise TypeError(
                    f"{name}: got {type(given).__name__}, expected an array; use numpy.asarray"
                )
        labels = self.labelled
        if self.y.ndim != (2 if labels else 3) or self.x.shape[:2] != self.y.shape[:2]:
            raise ValueError(
                f"y: got shape {self.y.shape} for x of shape {self.x.shape}, expected labels "
                "(tasks, count) or targets (tasks, count, outputs)"
            )
        if not np.isfinite(self.x).all():
            raise ValueError("x: has NaN or infinity, expected finite inputs")
        if labels and (self.y < 0).any():
            raise ValueError(f"y: got the label {self.y.min()}, expected labels from 0")
        if not labels and not np.isfinite(self.y).all():
            raise ValueError("y: has NaN or infinity, expected finite targets")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def count(self) -> int:
        """Number of examples of a task."""
        return int(self.x.shape[1])

    @property
    def labelled(self) -> bool:
        """Whether the targets are labels of classes."""
        return self.y.dtype.kind in "iu"

    def pick(self, places: NDArray[np.int64]) -> Examples:
        """Return the examples at these places of each task: `places` is (tasks, number)."""
        rows = np.arange(len(self))[:, np.newaxis]
        return Examples(self.x[rows, places], self.y[rows, places])


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """Several tasks: the examples that each is learnt from, and those that it is judged by."""

    support: Examples
    query: Examples

    def __len__(self) -> int:
        return len(self.support)


@runtime_checkable
class Tasks(Protocol):
    """Where tasks come from: what one client has, or a population."""

    @property
    def rows(self) -> int:
        """Number of examples that tasks are drawn from: the weight of a client that has them."""
        ...

    def draw(
        self, generator: np.random.Generator, tasks: int, *, shots: int, queries: int
    ) -> Episodes:
        """Draw tasks.

        Parameters
        ----------
        generator : numpy.random.Generator
            All that is random.
        tasks : int
            How many, at least 1.
        shots, queries : int
            Examples to learn from (at least 1) and to be judged by (from 0): of each class in a
            classification, in all in a regression. No example is in both.

        Returns
        -------
        Episodes
            The tasks.

        Raises
        ------
        ValueError
            If there are too few examples or classes.
        """
        ...
