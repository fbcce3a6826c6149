"""Federated averaging whose sums nobody sees in parts.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas (2017), "Communication-Efficient Learning of Deep
Networks from Decentralized Data", Algorithm 1: each round some clients train the model on their own
rows, and the model moves by the average of their updates, weighted by their numbers of rows. Here a
client's weighted update and its weight leave it as one vector of integers, and only the sum of
these vectors is opened, by any aggregator of `veilsum.protocols`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.learning.engines import Engine, Rounds, Transports, resolve
from veilsum.protocols.averaging import WeightedMean
from veilsum.protocols.session import client_name

__all__ = [
    "MAX_ROWS",
    "UPDATE_ENCODING",
    "Client",
    "ClientHook",
    "Round",
    "federated_averaging",
    "require_rows",
]

UPDATE_ENCODING = FixedPoint.binary(20, bound=32.0)
"""Six decimals and plenty of range for models of standardised data."""

MAX_ROWS = 2**20
"""The most rows that a client may own unless it is said otherwise."""

_SELECTION, _TRAINING = 0, 1


class Client(Protocol):
    """A client: it owns rows and trains a model on them."""

    @property
    def rows(self) -> int:
        """Number of rows, the weight of the client's update."""
        ...

    def train(
        self, weights: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the model that local training makes of `weights`, which it leaves unchanged."""
        ...


ClientHook = Callable[[int, Client], Client]
"""Takes a client's index and the client, and returns who takes part in its place."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """What happened in one round.

    Attributes
    ----------
    index : int
        Number of the round, from 1.
    weights : ndarray of float64, shape (length,)
        The model after the round; not writable.
    rmse : float or None
        What `evaluate` says of `weights`.
    selected : tuple of int
        Clients that were asked to train.
    survivors : tuple of int
        Clients whose updates are in the average.
    rows : int
        Opened sum of the survivors' weights.
    integers : ndarray of int64 or of Python ints, shape (length + 1,)
        All that was opened, exact: the sum of the weighted updates, in units of the encoding's
        scale, and `rows`.
    seconds : mapping of (str, str) to float
        Seconds by (party, phase): ``("client-3", "train")``, and the aggregate's own.
    bytes : mapping of (str, str, Phase) to int
        Bytes by (sender, recipient, phase), as the aggregate has them.
    """

    index: int
    weights: NDArray[np.float64]
    rmse: float | None
    selected: tuple[int, ...]
    survivors: tuple[int, ...]
    rows: int
    integers: NDArray[Any]
    seconds: Mapping[tuple[str, str], float]
    bytes: Mapping[tuple[str, str, protocols.Phase], int]


def federated_averaging(
    initial: ArrayLike,
    clients: Sequence[Client],
    *,
    rounds: int,
    aggregator: protocols.Aggregator | str,
    seed: int,
    fraction: float = 1.0,
    encoding: FixedPoint = UPDATE_ENCODING,
    max_rows: int = MAX_ROWS,
    client_hook: ClientHook | None = None,
    dropouts: Callable[[int], Collection[int]] | None = None,
    transports: Transports | None = None,
    engine: Engine | None = None,
    evaluate: Callable[[NDArray[np.float64]], float] | None = None,
    callback: Callable[[Round], None] | None = None,
) -> tuple[Round, ...]:
    """Train a model by federated averaging.

    Each round draws ``max(round(fraction * len(clients)), 1)`` clients. A drawn client with ``n``
    rows trains the model, quantises its update (new weights minus old) to ``encoding`` and protects
    ``n`` times the integers, followed by ``n`` itself. The opened sum, divided by the opened sum of
    the weights, moves the model; clients that are lost in between only cost their own update. What
    a client draws at random depends on `seed`, its index and the round alone, so that every
    aggregator sees the same updates.

    What is opened each round, to whom the aggregator opens sums and to all who get the next model,
    is the survivors' average update and their number of rows. Nothing bounds what these averages
    say about the data, and a client may send any update within the bound.

    Parameters
    ----------
    initial : array-like of shape (length,)
        The first model, the same for all.
    clients : sequence of Client
        The clients; a client's index is its place here.
    rounds : int
        Number of rounds, at least 1.
    aggregator : protocols.Aggregator or str
        How updates are protected. The name of a protocol stands for its aggregator's defaults.
    seed : int
        Seed of the choice of clients and of their training, not negative.
    fraction : float, default 1.0
        Part of the clients that is asked each round, above 0 and at most 1.
    encoding : FixedPoint, default `UPDATE_ENCODING`
        Resolution and bound of one coordinate of an update.
    max_rows : int, default `MAX_ROWS`
        Public bound on a client's weight.
    client_hook : callable, optional
        Called once for every client as ``client_hook(index, client)``; the client that it returns
        takes part instead. Other data or other updates come from other clients.
    dropouts : callable, optional
        ``dropouts(round)`` names clients that train and then vanish before they send.
    transports : callable, optional
        ``transports(round)`` makes the transport that carries a round's messages.
    engine : Engine, optional
        Where the clients train and who carries the messages, in place of `transports`; in this
        process by default. All engines open the same integers.
    evaluate : callable, optional
        RMSE of a model. It serves whoever watches and is no part of the protocol.
    callback : callable, optional
        Called with each `Round` as it ends.

    Returns
    -------
    tuple of Round
        The rounds in order; the weights of the last are the trained model.

    Raises
    ------
    ValueError
        If there is no client, an option is out of range, or both `transports` and `engine` are
        given.
    BudgetExceeded
        If a coordinate of an update is not finite or above the bound of `encoding`.
    ProtocolError
        If an opened sum of weights is impossible, or the aggregator gives up.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Puller:
    ...     rows: int
    ...     goal: float
    ...     def train(self, weights, generator):
    ...         return weights + (self.goal - weights) / 2
    >>> history = federated_averaging(
    ...     [0.0], [Puller(1, 4.0), Puller(3, 8.0)], rounds=2, aggregator="plain", seed=0
    ... )
    >>> [float(record.weights[0]) for record in history]
    [3.5, 5.25]
    """
    if not clients:
        raise ValueError("clients: got none, expected at least one")
    if rounds < 1:
        raise ValueError(f"rounds: got {rounds}, expected at least 1")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction: got {fraction}, expected above 0 and at most 1")
    if max_rows < 1:
        raise ValueError(f"max_rows: got {max_rows}, expected at least 1")
    mean = WeightedMean(encoding=encoding, max_weight=max_rows)
    machine = protocols.resolve(aggregator)
    members = [client_hook(*pair) if client_hook else pair[1] for pair in enumerate(clients)]
    weights = _frozen(np.array(initial, dtype=np.float64))
    if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all():
        raise ValueError(
            f"initial: got shape {weights.shape}, expected a vector of at least one finite weight"
        )
    for client in members:
        require_rows(client.rows, max_rows)
    trainers = [
        _Trainer(client=client, index=index, mean=mean, seed=seed)
        for index, client in enumerate(members)
    ]

    def train(protected: Rounds) -> tuple[Round, ...]:
        history: list[Round] = []
        model = weights
        for index in range(1, rounds + 1):
            selected = _select(len(members), fraction, seed, index)
            aggregate, training = protected.run(
                index, model=model, selected=selected, dropped=_lost(dropouts, index, selected)
            )
            step, rows = mean.decode(aggregate)
            model = _frozen(model + step)
            train_seconds = {
                (client_name(client), "train"): seconds for client, seconds in training.items()
            }
            record = Round(
                index=index,
                weights=model,
                rmse=evaluate(model) if evaluate else None,
                selected=selected,
                survivors=aggregate.survivors,
                rows=rows,
                integers=aggregate.integers,
                seconds=dict([*train_seconds.items(), *aggregate.seconds.items()]),
                bytes=aggregate.bytes,
            )
            history.append(record)
            if callback:
                callback(record)
        return tuple(history)

    return resolve(engine, transports).run(trainers, machine, train)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trainer:
    """A client whose training becomes the integers of its weighted update."""

    client: Client
    index: int
    mean: WeightedMean
    seed: int

    @property
    def encoding(self) -> FixedPoint:
        return self.mean.whole

    def length(self, model: NDArray[np.float64]) -> int:
        return len(model) + 1

    def digest(self, model: NDArray[np.float64]) -> bytes:
        return self.mean.digest(model)

    def contribute(self, model: NDArray[np.float64], index: int) -> tuple[NDArray[Any], float]:
        generator = _generator(self.seed, _TRAINING, index, self.index)
        start = perf_counter()
        trained = np.asarray(self.client.train(model, generator), dtype=np.float64)
        seconds = perf_counter() - start
        if trained.shape != model.shape:
            raise ValueError(
                f"clients: {client_name(self.index)} returned a model of shape {trained.shape}, "
                f"expected {model.shape}"
            )
        return self.mean.encode(trained - model, self.client.rows), seconds


def require_rows(rows: int, max_rows: int) -> None:
    """Refuse a client without rows, or with more than the public bound.

    Raises
    ------
    ValueError
        If it is one.
    """
    if not 1 <= rows <= max_rows:
        raise ValueError(
            f"max_rows: a client has {rows} rows and the bound is {max_rows}; every client needs "
            "at least one, and max_rows must cover the largest"
        )


def _select(clients: int, fraction: float, seed: int, index: int) -> tuple[int, ...]:
    count = max(round(fraction * clients), 1)
    chosen = _generator(seed, _SELECTION, index).choice(clients, size=count, replace=False)
    return tuple(sorted(chosen.tolist()))


def _generator(seed: int, *purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=purpose))


def _lost(
    dropouts: Callable[[int], Collection[int]] | None, index: int, selected: Sequence[int]
) -> list[int]:
    vanished = set(dropouts(index)) if dropouts else set()
    return [client for client in selected if client in vanished]


def _frozen(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights.flags.writeable = False
    return weights
