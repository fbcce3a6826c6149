"""One call for one round: what every aggregator does, whatever protects its sums."""

import builtins
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.encoding import Digits, FixedPoint
from veilsum.protocols.base import Message, Outcome, Party, Phase, Session
from veilsum.protocols.transport import InMemoryTransport, Transport, drive

__all__ = ["Aggregate", "Aggregator"]

Updates = Sequence[ArrayLike] | Mapping[int, ArrayLike]


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What one round gave, and what it cost.

    Attributes
    ----------
    sum : ndarray of float64
        The survivors' sum, in the shape of an update.
    integers : ndarray of int64 or of Python ints
        The same sum, exact, in units of the encoding's scale.
    survivors : tuple of int
        The clients whose updates are in the sum, ascending.
    seconds : dict of (party, phase) to float
        Where the time went; the phases are "protect", "combine" and "open".
    bytes : dict of (sender, recipient, phase) to int
        What each link carried.
    session_id : bytes
        `Session.id` of the round.
    liars : tuple of str
        The parties whose messages did not fit and were left out, such as ``"holder-2"``; see
        `Sharing` for what that proves.
    """

    sum: NDArray[np.float64]
    integers: NDArray[Any]
    survivors: tuple[int, ...]
    seconds: dict[tuple[str, Phase], float]
    bytes: dict[tuple[str, str, Phase], int]
    session_id: builtins.bytes
    liars: tuple[str, ...] = ()


class Aggregator(ABC):
    """Sums clients' vectors, round after round, under one kind of protection.

    It lives as long as the training does and holds what outlives a round, such as keys. A subclass
    says how large a sum of digits may get, what a session binds and which parties play.

    Attributes
    ----------
    name : str
        The protocol's name.
    messages : tuple of type
        Its message classes, in the order of its rounds.
    min_survivors : int or None
        The fewest clients whose sum may be opened; None stands for the protocol's default.
    setup_seconds : float
        What was spent once, before the first round.
    """

    name: ClassVar[str]
    messages: ClassVar[tuple[type[Message], ...]]
    min_survivors: int | None = None
    setup_seconds: float = 0.0

    @abstractmethod
    def capacity(self) -> int:
        """Return the largest magnitude that a sum of digits may have."""

    def threshold_for(self, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return how many parties open a sum together when these clients are invited: one."""
        return 1

    def min_survivors_for(self, roster: Sequence[int]) -> int:
        """Return the fewest clients whose sum may be opened when these are invited.

        What was asked for, or two, since the sum of one client is its update; one in a roster of
        one.

        Raises
        ------
        ValueError
            When more are asked for than are invited.
        """
        if self.min_survivors is None:
            return min(2, len(roster))
        return among("min_survivors", self.min_survivors, len(roster), "clients")

    def parameters(self, roster: Sequence[int]) -> dict[str, bytes]:  # noqa: ARG002
        """Return what a session binds beyond what all protocols do."""
        return {}

    @abstractmethod
    def parties(self, session: Session, updates: Mapping[int, ArrayLike]) -> list[Party]:
        """Return the parties of a session, receivers before senders.

        Parameters
        ----------
        session : Session
            What they agreed on.
        updates : mapping of int to array_like
            The updates of those clients of the roster that take part.
        """

    def open_session(
        self,
        roster: Sequence[int],
        *,
        length: int,
        encoding: FixedPoint | None = None,
        round: int = 0,  # noqa: A002
        model_digest: bytes = b"",
    ) -> Session:
        """Return a fresh session, which a real deployment would send to its clients.

        Parameters
        ----------
        roster : sequence of int
            Indices of the invited clients, ascending.
        length : int
            Coordinates of an update.
        encoding : FixedPoint, optional
            The public scale and bound; ``FixedPoint.binary()`` by default.
        round : int
            The training round.
        model_digest : bytes
            An opaque digest of the model.

        Raises
        ------
        ValueError
            When the roster is empty, or has too few clients for `threshold` or `min_survivors`.
        BudgetExceeded
            When no encoding in digits fits the protocol's numbers.
        """
        encoding = FixedPoint.binary() if encoding is None else encoding
        if not roster:
            raise ValueError("updates: got none, expected one for each client of the roster")
        digits = Digits.for_sum(
            limit=encoding.limit, summands=len(roster), capacity=self.capacity()
        )
        return Session(
            protocol=self.name,
            roster=tuple(roster),
            threshold=self.threshold_for(roster),
            min_survivors=self.min_survivors_for(roster),
            round=round,
            length=length,
            encoding=encoding,
            digits=digits,
            model_digest=model_digest,
            parameters=tuple(sorted(self.parameters(roster).items())),
        )

    def aggregate(
        self,
        updates: Updates,
        *,
        encoding: FixedPoint | None = None,
        dropped: Iterable[int] = (),
        round: int = 0,  # noqa: A002
        model_digest: bytes = b"",
        transport: Transport | None = None,
    ) -> Aggregate:
        """Run one round in this process.

        Every update is quantised once, by its client, and the sum is decoded once, at the end, so
        that all aggregators give the same integers. For a weighted average, scale the updates and
        append the weight as one more coordinate.

        Parameters
        ----------
        updates : sequence of array_like, or mapping of int to array_like
            One array a client, all of one shape; in a sequence, client ``i`` has ``updates[i]``.
        encoding : FixedPoint, optional
            The public scale and bound; ``FixedPoint.binary()`` by default.
        dropped : iterable of int
            Clients that vanish before they send anything.
        round : int
            The training round; bound into the session.
        model_digest : bytes
            An opaque digest of the model; bound into the session.
        transport : Transport, optional
            Who carries the messages; a fresh `InMemoryTransport` by default.

        Returns
        -------
        Aggregate
            The sum of the survivors' updates, and the costs.

        Raises
        ------
        ValueError
            When the updates are none, empty or of several shapes, or `dropped` names a stranger.
        BudgetExceeded
            When a value is NaN, infinite or beyond the encoding's bound.
        ProtocolError
            When too few parties are left, or a message is refused.
        DecodingError
            When holders' sums disagree, beyond what is repaired.

        Examples
        --------
        >>> from veilsum.protocols import Plain
        >>> result = Plain().aggregate([[1.5, 2.0], [0.25, -1.0], [9.0, 9.0]], dropped=[2])
        >>> result.sum, result.survivors
        (array([1.75, 1.  ]), (0, 1))
        """
        arrays = _by_client(updates)
        shape = _common_shape(arrays)
        gone = _strangers_refused(dropped, arrays)
        transport = InMemoryTransport() if transport is None else transport
        session = self.open_session(
            sorted(arrays),
            length=int(np.prod(shape, dtype=np.int64)),
            encoding=encoding,
            round=round,
            model_digest=model_digest,
        )
        present = {client: arrays[client] for client in session.roster if client not in gone}
        parties = self.parties(session, present)
        carried_before = transport.carried
        seconds = drive(parties, kinds=self.messages, transport=transport)
        outcome = _outcome(parties)
        return Aggregate(
            sum=outcome.sum.reshape(shape),
            integers=outcome.integers.reshape(shape),
            survivors=outcome.survivors,
            seconds=seconds,
            bytes=dict(transport.carried - carried_before),
            session_id=session.id,
            liars=outcome.liars,
        )


def among(name: str, value: int, count: int, members: str) -> int:
    """Return the option with that name, when that many members exist at all.

    Raises
    ------
    ValueError
        When they do not.
    """
    if not 1 <= value <= count:
        raise ValueError(f"{name}: got {value}, expected 1 to {count}, all the {members}")
    return value


def _outcome(parties: Sequence[Party]) -> Outcome:
    return next(party.outcome for party in parties if party.outcome is not None)


def _by_client(updates: Updates) -> dict[int, NDArray[Any]]:
    pairs = updates.items() if isinstance(updates, Mapping) else enumerate(updates)
    return {operator.index(client): np.asarray(update) for client, update in pairs}


def _common_shape(arrays: Mapping[int, NDArray[Any]]) -> tuple[int, ...]:
    shapes = {array.shape for array in arrays.values()}
    if not shapes:
        raise ValueError("updates: got none, expected one for each client of the roster")
    if len(shapes) > 1:
        raise ValueError(f"updates: got the shapes {sorted(shapes)}, expected one shape for all")
    (shape,) = shapes
    if 0 in shape:
        raise ValueError(f"updates: got the shape {shape}, expected at least one coordinate")
    return shape


def _strangers_refused(dropped: Iterable[int], arrays: Mapping[int, Any]) -> frozenset[int]:
    gone = frozenset(dropped)
    strangers = sorted(gone - set(arrays))
    if strangers:
        raise ValueError(f"dropped: got {strangers}, which are not clients; expected {[*arrays]}")
    return gone
