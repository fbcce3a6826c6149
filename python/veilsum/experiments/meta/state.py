"""What a run remembers while it goes on, so that it can be resumed exactly where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from veilsum.experiments.meta.results import CENTRALISED, FEDERATED, Point
from veilsum.experiments.meta.settings import FREE, Settings
from veilsum.experiments.output import Unfinished
from veilsum.experiments.side_by_side import RoundCost
from veilsum.learning.scores import Score
from veilsum.learning.snapshot import Snapshot

__all__ = ["Log", "State", "saved_settings"]

_SAVE_SECONDS = 10.0


def saved_settings(unfinished: Unfinished, **free: Any) -> Settings:
    """Return the settings of unfinished work.

    Parameters
    ----------
    unfinished : Unfinished
        Its state.
    **free
        Those of `FREE`, which may be others than before; None leaves what was.

    Raises
    ------
    ValueError
        When the state is damaged.
    """
    settings, *_ = _read(unfinished)
    return replace(settings, **{name: value for name, value in free.items() if value is not None})


@dataclass
class State:
    """What a training remembers: its model, and what it has shown so far."""

    snapshot: Snapshot | None = None
    points: list[Point] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    costs: dict[str, list[RoundCost]] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold of it: all but the snapshot."""
        return {
            "points": [asdict(point) for point in self.points],
            "seconds": self.seconds,
            "costs": {name: [asdict(cost) for cost in some] for name, some in self.costs.items()},
        }

    @classmethod
    def read(cls, document: Mapping[str, Any], snapshot: Snapshot | None) -> State:
        """Read what `to_document` returned."""
        return cls(
            snapshot=snapshot,
            points=[
                Point(round=point["round"], score=Score(**point["score"]))
                for point in document["points"]
            ],
            seconds=document["seconds"],
            costs={
                name: [RoundCost(**cost) for cost in some]
                for name, some in document["costs"].items()
            },
        )


class Log:
    """The states of all trainings, and when they were saved last."""

    def __init__(self, settings: Settings, digest: str, unfinished: Unfinished | None) -> None:
        self.started = datetime.now(UTC)
        self.states = {model: State() for model in (FEDERATED, CENTRALISED)}
        self._settings = settings
        self._digest = digest
        self._unfinished = unfinished
        self._begin = self._saved = perf_counter()
        self._before = 0.0

    @classmethod
    def begin(cls, settings: Settings, digest: str, unfinished: Unfinished | None) -> Log:
        """Return an empty log, or the one that was saved, if it was on data of the same digest."""
        log = cls(settings, digest, unfinished)
        if unfinished is not None and unfinished.exists:
            saved, log._before, states, data = _read(unfinished)
            log.states |= states
            if data != digest:
                raise ValueError(
                    f"resume: {settings.tasks} has changed since the work began; begin anew in "
                    "another --output"
                )
            if replace(saved, **{name: getattr(settings, name) for name in FREE}) != settings:
                raise ValueError("resume: the unfinished work has other settings")
        return log

    @property
    def seconds(self) -> float:
        """How long the work took, those parts included that were before an interruption."""
        return self._before + perf_counter() - self._begin

    def save(self, *, now: bool) -> None:
        """Save everything, unless that was done a moment ago."""
        if self._unfinished is None or not (now or perf_counter() - self._saved > _SAVE_SECONDS):
            return
        state = {
            "settings": asdict(self._settings),
            "data": self._digest,
            "seconds": self.seconds,
            "trainings": {model: one.to_document() for model, one in self.states.items()},
        }
        snapshots = {
            _file(model): one.snapshot.save for model, one in self.states.items() if one.snapshot
        }
        self._unfinished.save(state, snapshots)
        self._saved = perf_counter()


def _file(model: str) -> str:
    return f"{model}.npz"


def _read(unfinished: Unfinished) -> tuple[Settings, float, dict[str, State], str]:
    """Return what was saved: settings, seconds, the trainings so far, and the data's digest."""
    state, files = unfinished.load()
    try:
        settings = state["settings"]
        seconds, data = float(state["seconds"]), str(state["data"])
        states = {
            model: State.read(document, _snapshot(files.get(_file(model))))
            for model, document in state["trainings"].items()
        }
    except (TypeError, KeyError, AttributeError, ValueError, OSError) as error:
        raise unfinished.damaged(error) from error
    return Settings.from_document(settings), seconds, states, data


def _snapshot(path: Path | None) -> Snapshot | None:
    return None if path is None else Snapshot.load(path)
