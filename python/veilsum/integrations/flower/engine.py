"""Trainings of `veilsum.learning` on Flower's simulation engine."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from veilsum.integrations.flower.folders import SERVERS, deal_for
from veilsum.learning.engines import Engine, Participant, Rounds
from veilsum.protocols import (
    Aggregator,
    Masking,
    Paillier,
    Plain,
    Sharing,
    ThresholdPaillier,
)
from veilsum.protocols.session import client_name
from veilsum.wire import length_prefixed

if TYPE_CHECKING:
    from veilsum.integrations.flower.simulation import Simulation

__all__ = ["FlowerEngine", "require_simulation"]

_SHIPPED = (Plain, Paillier, ThresholdPaillier, Sharing, Masking)
_KEYS = ("keys", "key_bits", "insecure")
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

T = TypeVar("T")


@dataclass(frozen=True)
class FlowerEngine:
    """Runs the clients of a training as nodes of Flower's simulation.

    Each client is a virtual node, and so is each further party, such as a key holder; Ray's workers
    answer for the nodes. Each party has a folder of its own with its identity and keys, dealt when
    the directory first sees such parties. Rounds run as under `Protection` and open the same
    integers as on `LocalEngine`, so that models are the same to the last bit. What a round's
    `Aggregate` counts are veilsum's own seconds and bytes, without Flower's.

    Ray takes some seconds to start: once for each training, or once for all inside `started`. What
    Flower and Ray write goes to the directory, and Ray's files are gone in the end; both tell
    nobody that they run.

    Parameters
    ----------
    directory : path-like
        Where all files go; made when it is missing. Who reads it reads all clients' rows.
    workers : int or None, default None
        How many of Ray's workers there are; None for one a core.
    ahead : int, default 8
        How many rounds are prepared at once, where the protocol can be; see `Protection`.
    verbose : bool, default False
        Let Flower and Ray log.

    Examples
    --------
    >>> FlowerEngine("trial", workers=2)
    FlowerEngine(directory='trial', workers=2, ahead=8, verbose=False)
    """

    directory: str | os.PathLike[str]
    _: KW_ONLY
    workers: int | None = None
    ahead: int = 8
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers: got {self.workers}, expected at least 1 or None")
        if not 1 <= self.ahead <= 255:
            raise ValueError(f"ahead: got {self.ahead}, expected 1 to 255 rounds")

    def run(
        self,
        clients: Sequence[Participant],
        aggregator: Aggregator,
        body: Callable[[Rounds], T],
    ) -> T:
        """Start Flower, call `body` with rounds in which its nodes take part, and stop Flower.

        Parameters
        ----------
        clients : sequence of Participant
            The clients. They are pickled, lambdas and classes of ``__main__`` included.
        aggregator : Aggregator
            One of those that ship with veilsum. Its options and keys hold; identities are those of
            the directory.
        body : callable
            The training.

        Returns
        -------
        object
            What `body` returned.

        Raises
        ------
        ImportError
            When Flower or its simulation is not installed.
        ValueError
            When the aggregator is of a class that nodes do not know.
        RuntimeError
            When Ray runs in this process already, or does not start.
        Exception
            What a client or `body` raises.
        """
        _options_of(aggregator)
        with self.started(nodes=len(_node_names(aggregator, len(clients)))) as engine:
            return engine.run(clients, aggregator, body)

    @contextmanager
    def started(self, *, nodes: int) -> Iterator[Engine]:
        """Start Flower for several trainings, one after the other, and stop it in the end.

        Parameters
        ----------
        nodes : int
            How many virtual nodes there are: one a client, and one for each key holder or holder
            of shares. A training may use fewer.

        Yields
        ------
        Engine
            One that runs its trainings there.

        Raises
        ------
        ImportError
            When Flower or its simulation is not installed.
        RuntimeError
            When Ray runs in this process already, or does not start.

        Examples
        --------
        One start for the two parts of a fit, the moments and the training::

            with FlowerEngine("trial").started(nodes=8) as engine:
                FederatedLinearRegression("masking", solver="fedavg", engine=engine).fit(X, y)
        """
        require_simulation()
        root = Path(self.directory).absolute()
        root.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(
                prefix="run-", dir=root, ignore_cleanup_errors=True
            ) as place,
            _environment(_QUIET | {"FLWR_HOME": str(root / "home")}),
        ):
            from veilsum.integrations.flower.simulation import Simulation

            with Simulation(
                Path(place), nodes=nodes, workers=self.workers, verbose=self.verbose
            ) as simulation:
                yield _Started(simulation, root / "parties", self.ahead, nodes)


@dataclass(frozen=True, slots=True)
class _Started:
    """An engine whose simulation runs already."""

    simulation: Simulation
    folders: Path
    ahead: int
    nodes: int

    def run(
        self,
        clients: Sequence[Participant],
        aggregator: Aggregator,
        body: Callable[[Rounds], T],
    ) -> T:
        """Call `body` with rounds of these clients; see `FlowerEngine.run`."""
        options = _options_of(aggregator)
        names = _node_names(aggregator, len(clients))
        if len(names) > self.nodes:
            raise ValueError(
                f"nodes: got {self.nodes}, but {', '.join(names)} are {len(names)}; start more"
            )
        work = self.simulation.work(
            clients,
            protocol=aggregator.name,
            options=options,
            ahead=self.ahead,
            parties=_dealt(self.folders, aggregator, len(clients)),
            names=names,
        )
        return body(self.simulation.rounds(work))


def require_simulation() -> None:
    """Raise an ImportError that says what to do, unless Flower and its simulation are here."""
    missing = [name for name in ("flwr", "ray") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"FlowerEngine needs Flower and its simulation, and {missing[0]} is not installed: "
            "pip install 'veilsum[flower]'",
            name=missing[0],
        )


def _options_of(aggregator: Aggregator) -> dict[str, Any]:
    """Return the options by which nodes make the same aggregator, whose keys lie in folders."""
    if type(aggregator) not in _SHIPPED:
        known = ", ".join(kind.__name__ for kind in _SHIPPED)
        raise ValueError(
            f"aggregator: got {type(aggregator).__name__}, which Flower's nodes do not know; "
            f"expected one of {known}, or another engine"
        )
    names = [name for name in inspect.signature(type(aggregator)).parameters if name not in _KEYS]
    options = {name: getattr(aggregator, name) for name in names if hasattr(aggregator, name)}
    if isinstance(aggregator, Paillier | ThresholdPaillier):
        options["insecure"] = True  # whoever made the aggregator has let its keys pass
    return options


def _node_names(aggregator: Aggregator, clients: int) -> tuple[str, ...]:
    """Return whose the nodes are: first the clients', then those of the staff but the server."""
    roster = range(clients)
    staff = (name for name in aggregator.staff(roster) if name not in SERVERS)
    return (*map(client_name, roster), *staff)


def _dealt(folders: Path, aggregator: Aggregator, clients: int) -> Path:
    """Return where the folders of these parties lie, which are made unless they are there."""
    staff = aggregator.staff(range(clients))
    key = b""
    if isinstance(aggregator, Paillier | ThresholdPaillier):
        key = aggregator.keys[0].fingerprint
    parts = (aggregator.name.encode(), key, *(name.encode() for name in staff))
    digest = hashlib.sha256(length_prefixed(*parts)).hexdigest()
    parties = folders / f"{aggregator.name}-{clients}-{digest[:16]}"
    if not parties.exists():
        folders.mkdir(mode=0o700, exist_ok=True)
        deal_for(parties, aggregator, clients=clients)
    return parties


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change this process's environment, and restore all of it afterwards."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in {*os.environ} - {*before}:
            del os.environ[name]
        os.environ.update(before)
