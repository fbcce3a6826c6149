"""What a run of `veilsum meta` measured: frozen records that turn into ``results.json``."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from veilsum.experiments.environment import Environment
from veilsum.experiments.meta.settings import Settings
from veilsum.experiments.output import to_json
from veilsum.experiments.side_by_side import Bill
from veilsum.learning.scores import Calibration, Score

__all__ = [
    "CENTRALISED",
    "FEDERATED",
    "SCHEMA",
    "UNTRAINED",
    "Curve",
    "Evaluation",
    "Point",
    "Reliability",
    "Results",
]

SCHEMA = "veilsum.meta/1"
"""Name and version of the layout of ``results.json``; the number grows when a field changes."""

FEDERATED, CENTRALISED, UNTRAINED = "federated", "centralised", "untrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The figure of merit on held-out tasks after so many rounds."""

    round: int
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How one training went; `seconds` are those of its clients, a mean by round."""

    model: str
    points: tuple[Point, ...]
    seconds: tuple[float, ...]

    @property
    def typical(self) -> float:
        """Typical seconds of a client's training in a round."""
        return median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How sure answers were, and how often they were right.

    Attributes
    ----------
    expected : tuple of float
        Of a classification the mean confidence in each bin, of a regression the chance that a
        target is within its central interval.
    observed : tuple of float
        The part of the answers that were right, or of the targets that were within.
    counts : tuple of int
        Number of answers behind each; empty bins are left out.
    """

    expected: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def error(self) -> float:
        """Mean distance of the two over the answers: the expected calibration error."""
        arrays = map(np.array, (self.counts, self.observed, self.expected))
        return Calibration(*arrays).error


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one model reaches on the held-out episodes, which are the same for all models.

    `scores` are means with 95 % intervals by the names of the figures, `episodes` the figure of
    merit of each episode.
    """

    model: str
    scores: dict[str, Score]
    episodes: tuple[float, ...]
    reliability: Reliability | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that ``results.json`` holds.

    Attributes
    ----------
    settings : Settings
        What was asked for.
    environment : Environment
        Where it was measured.
    facts : tuple of (str, str)
        What the tasks are, in words.
    merit : {"accuracy", "mse"}
        The figure by which models are compared.
    parameters : int
        Length of an update.
    evaluations : tuple of Evaluation
        Federated, centralised and untrained.
    curves : tuple of Curve
        Federated and centralised.
    bills : tuple of Bill
        What protection took, by protocol.
    """

    settings: Settings
    environment: Environment
    facts: tuple[tuple[str, str], ...]
    merit: str
    parameters: int
    evaluations: tuple[Evaluation, ...]
    curves: tuple[Curve, ...]
    bills: tuple[Bill, ...]

    def evaluation(self, model: str) -> Evaluation:
        """Return what one model reached."""
        return next(one for one in self.evaluations if one.model == model)

    def curve(self, model: str) -> Curve:
        """Return how one training went."""
        return next(one for one in self.curves if one.model == model)

    def difference(self, model: str, other: str) -> Score:
        """Return the figure of merit of one model less that of another, in pairs of episodes."""
        ours, theirs = self.evaluation(model).episodes, self.evaluation(other).episodes
        return Score.of(np.subtract(ours, theirs))

    @property
    def wrong(self) -> tuple[str, ...]:
        """The protocols that opened wrong sums: there should be none."""
        return tuple(bill.protocol for bill in self.bills if bill.wrong)

    def to_json(self) -> str:
        """Return the document of ``results.json``, with its schema first."""
        return to_json(SCHEMA, self)
