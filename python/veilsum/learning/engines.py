"""Where clients compute, and who carries a protected round to them.

A training is written once, as rounds that an `Engine` runs. The clients go to the engine before the
first round and may live in other processes from then on: what an engine takes can be pickled if its
clients can. `LocalEngine` keeps all of them in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from veilsum import protocols
from veilsum.encoding import FixedPoint

__all__ = ["Engine", "LocalEngine", "Participant", "Rounds", "Transports", "resolve"]

Transports = Callable[[int], protocols.Transport]
"""Makes the transport of a round."""

T = TypeVar("T")


class Participant(Protocol):
    """A client as an engine sees it: it answers a model with integers that are only summed."""

    @property
    def encoding(self) -> FixedPoint:
        """Bound of the integers, public and the same for all clients."""
        ...

    def length(self, model: NDArray[np.float64]) -> int:
        """Return how many integers answer this model, the same number for all."""
        ...

    def digest(self, model: NDArray[np.float64]) -> bytes:
        """Return what the session of a round with this model is bound to, the same for all."""
        ...

    def contribute(self, model: NDArray[np.float64], index: int) -> tuple[NDArray[Any], float]:
        """Return the client's integers in round `index`, and the seconds that it trained for."""
        ...


class Rounds(Protocol):
    """The protected rounds of a training, while its engine runs."""

    def run(
        self,
        index: int,
        *,
        model: NDArray[np.float64],
        selected: Sequence[int],
        dropped: Collection[int] = (),
    ) -> tuple[protocols.Aggregate, dict[int, float]]:
        """Sum what the selected clients contribute.

        Parameters
        ----------
        index : int
            Number of the round; no two rounds of a training have the same.
        model : ndarray of float64, shape (length,)
            What they answer; may be empty.
        selected : sequence of int
            Who is asked, ascending.
        dropped : collection of int
            Those of them that vanish before they send.

        Returns
        -------
        aggregate : protocols.Aggregate
            The survivors' sum, and what it cost.
        training : dict of int to float
            Seconds that each client trained for, as far as it told.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Takes clients to where they compute, and lets rounds be run there."""

    def run(
        self,
        clients: Sequence[Participant],
        aggregator: protocols.Aggregator,
        body: Callable[[Rounds], T],
    ) -> T:
        """Call `body` once, with rounds in which these clients take part.

        Parameters
        ----------
        clients : sequence of Participant
            The clients; a client's index is its place here.
        aggregator : protocols.Aggregator
            What protects their sums.
        body : callable
            The training: takes `Rounds`, which it may use until it returns.

        Returns
        -------
        object
            What `body` returned.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """All parties in this process.

    Parameters
    ----------
    transports : callable or None, default None
        ``transports(round)`` makes the transport that carries a round's messages.

    Examples
    --------
    >>> from veilsum.learning.moments import sum_moments
    >>> table = np.array([[1.0], [3.0]])
    >>> moments, _ = sum_moments(
    ...     [table, table], pairs=False, aggregator="plain", engine=LocalEngine()
    ... )
    >>> moments.means()
    array([2.])
    """

    transports: Transports | None = None

    def run(
        self,
        clients: Sequence[Participant],
        aggregator: protocols.Aggregator,
        body: Callable[[Rounds], T],
    ) -> T:
        """Call `body` with rounds of clients that compute here, one after the other."""
        return body(_LocalRounds(clients, aggregator, self.transports))


@dataclass(frozen=True, slots=True)
class _LocalRounds:
    clients: Sequence[Participant]
    aggregator: protocols.Aggregator
    transports: Transports | None

    def run(
        self,
        index: int,
        *,
        model: NDArray[np.float64],
        selected: Sequence[int],
        dropped: Collection[int] = (),
    ) -> tuple[protocols.Aggregate, dict[int, float]]:
        answers = {client: self.clients[client].contribute(model, index) for client in selected}
        public = self.clients[selected[0]]
        aggregate = self.aggregator.aggregate(
            {client: integers for client, (integers, _) in answers.items()},
            encoding=public.encoding,
            dropped=dropped,
            round=index,
            model_digest=public.digest(model),
            transport=self.transports(index) if self.transports else None,
        )
        return aggregate, {client: seconds for client, (_, seconds) in answers.items()}


def resolve(engine: Engine | None, transports: Transports | None) -> Engine:
    """Return the engine that is asked for; None stands for `LocalEngine` with these transports.

    Raises
    ------
    TypeError
        When `engine` is none.
    ValueError
        When both are given: an engine carries the messages itself.
    """
    if engine is None:
        return LocalEngine(transports=transports)
    if isinstance(engine, type) or not isinstance(engine, Engine):
        raise TypeError(
            f"engine: got {engine!r}, expected an Engine, such as LocalEngine(), or None"
        )
    if transports is not None:
        raise ValueError(
            "transports: an engine carries the messages itself; leave out one of engine and "
            "transports, or give engine=LocalEngine(transports=...)"
        )
    return engine
