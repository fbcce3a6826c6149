"""Flower's simulation as a place for trainings: nodes on Ray's workers, who read from files."""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import ray
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MessageType,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from numpy.typing import NDArray

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.integrations.flower import averaging
from veilsum.integrations.flower.folders import FOLDER_KEY, PARTITION_KEY, SERVERS, Folder
from veilsum.integrations.flower.grid import ProtectedGrid
from veilsum.integrations.flower.node import answer
from veilsum.integrations.flower.protection import Protection
from veilsum.integrations.flower.records import TRAINING
from veilsum.learning.engines import Participant, Rounds
from veilsum.protocols.session import client_index

__all__ = ["Simulation", "Work"]

_MODEL, _ROUND, _INTEGERS = "model", "veilsum.round", "veilsum.integers"
_WORK = "work"
_INTERVAL = 0.05
_PATIENCE = 3600.0
"""Seconds until a virtual node counts as lost; it is slow at worst, so nearly for ever."""


@dataclass(frozen=True, kw_only=True)
class Work(Protection):
    """The protection of a training whose clients lie in files, at one node or at the server.

    Parameters
    ----------
    parties : Path
        Where the parties' folders lie.
    clients : Path
        Where the clients lie.
    names : tuple of str
        Whose the nodes are, in the order of their numbers.
    place : int
        The number of this node; the server takes what is public from the first client.
    """

    fewest = 1  # as in one process: whoever has this engine has all clients

    parties: Path
    clients: Path
    names: tuple[str, ...]
    place: int = 0
    patience: float = _PATIENCE

    def store(self, clients: Sequence[Participant]) -> None:
        """Write the clients to their files."""
        self.clients.mkdir()
        for place, client in enumerate(clients):
            data = ray.cloudpickle.dumps(client)
            (self.clients / str(place)).write_bytes(data)

    @cached_property
    def client(self) -> Participant:
        """The client at this place."""
        client: Participant = pickle.loads((self.clients / str(self.place)).read_bytes())  # noqa: S301
        return client

    def serve(self, message: Message, context: Context) -> Message:
        """Answer for a node; for those that nobody is, nobody answers."""
        if int(context.node_config[PARTITION_KEY]) >= len(self.names):
            return Message(Error(code=ErrorCode.UNKNOWN, reason="unused"), reply_to=message)
        here = replace(self, place=int(context.node_config[PARTITION_KEY]))
        context.node_config[FOLDER_KEY] = str(self.parties / self.names[here.place])
        return answer(here, message, context, lambda asked, _: here.trained(asked))

    def trained(self, message: Message) -> Message:
        """Return the client's integers, which the node protects."""
        model, index, dropped = _read(message.content)
        try:
            integers, _ = self.client.contribute(model, index)
        except Exception as error:
            self._failure.write_bytes(_pickled(error))
            raise
        if self.place in dropped:
            return Message(Error(code=ErrorCode.UNKNOWN, reason="it vanishes"), reply_to=message)
        record = ConfigRecord({_INTEGERS: pickle.dumps(integers)})
        return Message(RecordDict({_INTEGERS: record}), reply_to=message)

    def encoding_of(self, content: RecordDict) -> FixedPoint:  # noqa: ARG002
        """Return how a contribution is written."""
        return self.client.encoding

    def digest_of(self, message: Message, run_config: Mapping[str, Any]) -> bytes:
        """Return what stands for all that a node trains on, and how: 32 bytes."""
        model, _, _ = _read(message.content)
        return averaging.digest_of(message, run_config, self.client.digest(model))

    def length_of(self, content: RecordDict) -> int:
        """Return the coordinates of a contribution."""
        model, _, _ = _read(content)
        return self.client.length(model)

    def contribution(self, content: RecordDict, reply: RecordDict) -> NDArray[Any]:  # noqa: ARG002
        """Return what a node adds to the sum."""
        integers: NDArray[Any] = pickle.loads(reply[_INTEGERS][_INTEGERS])  # noqa: S301
        return integers

    def reply(self, content: RecordDict, aggregate: protocols.Aggregate) -> RecordDict:  # noqa: ARG002
        """Return nothing: `ProtectedGrid.rounds` has the sum."""
        return RecordDict()

    def raise_failure(self) -> None:
        """Raise what went wrong in the training of a client, if anything has."""
        for place in range(len(self.names)):
            failed = replace(self, place=place)._failure
            if failed.exists():
                raise pickle.loads(failed.read_bytes())  # noqa: S301

    @property
    def _failure(self) -> Path:
        return self.clients / f"{self.place}-failure"


@dataclass(frozen=True, slots=True)
class _FlowerRounds:
    grid: ProtectedGrid
    work: Work

    def run(
        self,
        index: int,
        *,
        model: NDArray[np.float64],
        selected: Sequence[int],
        dropped: Collection[int] = (),
    ) -> tuple[protocols.Aggregate, dict[int, float]]:
        nodes = self.grid.clients()
        content = _content(model, index, dropped)
        self.grid.send_and_receive(
            [Message(content, nodes[client], MessageType.TRAIN) for client in selected]
        )
        self.work.raise_failure()
        done = self.grid.rounds[-1]
        if self.grid.aggregate is None:
            raise done.failure or ProtocolError("the round failed")
        trained = {
            client: seconds
            for (name, work), seconds in done.work.items()
            if work == TRAINING and (client := client_index(name)) is not None
        }
        return self.grid.aggregate, trained


class Simulation:
    """Flower with virtual nodes, which wait for one training after the other; a context manager.

    Parameters
    ----------
    place : Path
        An empty directory for all files.
    nodes : int
        How many virtual nodes there are.
    workers : int or None
        How many of Ray's workers answer for them; None for one a core.
    verbose : bool
        Let Flower and Ray log.

    Raises
    ------
    RuntimeError
        When Ray runs in this process already, or Flower or Ray does not start.
    """

    def __init__(self, place: Path, *, nodes: int, workers: int | None, verbose: bool) -> None:
        self._place = place
        self._nodes = nodes
        self._workers = workers or os.cpu_count()
        self._verbose = verbose
        self._trainings = 0
        self._grid: Grid | None = None
        self._failure: BaseException | None = None
        self._ready, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._simulate, name="flower")

    def __enter__(self) -> Simulation:
        if ray.is_initialized():
            raise RuntimeError(
                "ray: it runs in this process already, but an engine starts its own; call "
                "ray.shutdown() first"
            )
        self._thread.start()
        self._ready.wait()
        try:
            self._meet()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def work(self, clients: Sequence[Participant], **terms: Any) -> Work:
        """Hand clients over to the nodes."""
        if self._done.is_set():
            raise RuntimeError("the engine has stopped; use it inside its with block")
        self._trainings += 1
        work = Work(clients=self._place / f"clients-{self._trainings}", **terms)
        work.store(clients)
        _replace(self._place / _WORK, pickle.dumps(work))
        return work

    def rounds(self, work: Work) -> Rounds:
        """Return the protected rounds of a training."""
        own = next(work.parties / name for name in SERVERS if (work.parties / name).is_dir())
        return _FlowerRounds(ProtectedGrid(self._grid, work, Folder.open(own), run_config={}), work)

    def _meet(self) -> None:
        """Wait until all nodes are there."""
        while self._grid is None or len([*self._grid.get_node_ids()]) < self._nodes:
            self._require_running()
            time.sleep(_INTERVAL)

    def _require_running(self) -> None:
        if not self._thread.is_alive():
            raise RuntimeError("Flower's simulation broke down") from self._failure

    def _simulate(self) -> None:
        server, node = ServerApp(), ClientApp()
        server.main()(self._serve)
        node.train()(_Node(self._place / _WORK).answer)
        try:
            with _short(self._place / "ray") as ray_files, _quiet(self._verbose):
                arguments = {"_temp_dir": str(ray_files), "num_cpus": self._workers}
                if not self._verbose:
                    arguments |= {"logging_level": logging.CRITICAL, "log_to_driver": False}
                run_simulation(
                    server,
                    node,
                    self._nodes,
                    backend_config={
                        "init_args": arguments,
                        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                    },
                )
        except BaseException as error:
            self._failure = error  # told by whoever waits for the simulation
        finally:
            self._ready.set()

    def _serve(self, grid: Grid, context: Context) -> None:  # noqa: ARG002
        """Hand the grid over and keep the simulation running, as the ServerApp's main function."""
        pull = grid.pull_messages

        def pull_while_running(message_ids: Any) -> Any:
            self._require_running()
            return pull(message_ids)

        grid.pull_messages = pull_while_running
        self._grid = grid
        self._ready.set()
        self._done.wait()


@dataclass(frozen=True, slots=True)
class _Node:
    """The train function of the ClientApp: it answers for the training that is going on."""

    work: Path

    def answer(self, message: Message, context: Context) -> Message:
        """Answer a message."""
        work: Work = pickle.loads(self.work.read_bytes())  # noqa: S301
        return work.serve(message, context)


def _replace(path: Path, data: bytes) -> None:
    """Write a file that others may be reading."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _content(model: NDArray[np.float64], index: int, dropped: Collection[int]) -> RecordDict:
    settings = ConfigRecord({"index": index, "dropped": sorted(dropped)})
    return RecordDict({_MODEL: ArrayRecord({_MODEL: Array(model)}), _ROUND: settings})


def _read(content: RecordDict) -> tuple[NDArray[np.float64], int, list[int]]:
    """Return the model, the number of the round, and who vanishes in it."""
    settings = content[_ROUND]
    return content[_MODEL][_MODEL].numpy(), settings["index"], settings["dropped"]


def _pickled(error: Exception) -> bytes:
    try:
        data: bytes = ray.cloudpickle.dumps(error)
    except Exception:
        data = pickle.dumps(RuntimeError(f"a client failed: {error!r}"))
    return data


@contextmanager
def _short(path: Path) -> Iterator[Path]:
    """Make a directory, and yield a short name for it: those of Ray's sockets are limited."""
    path.mkdir()
    with tempfile.TemporaryDirectory(prefix="veilsum-") as place:
        link = Path(place) / "ray"
        link.symlink_to(path, target_is_directory=True)
        yield link


@contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Keep Flower from logging, unless it is wanted."""
    logger = logging.getLogger("flwr")
    before = logger.level
    if not verbose:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
