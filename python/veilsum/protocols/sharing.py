"""Summing under Shamir's secret sharing, as in Sharma et al. 2022, section IV-B.

Round 1. Every client splits its digits into shares, one for each holder.
Round 2. Every holder reports to the server whose shares it has.
Round 3. The server announces the survivors: those that every answering holder has heard.
Round 4. Every holder adds the survivors' shares and sends the sum; the server rebuilds the sum of
the updates from the sums of the shares.

A client that vanishes after it has reached only some holders is left out by round 3, and a holder
may vanish at any time as long as `threshold` holders remain.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import shamir
from veilsum.encoding import Digits
from veilsum.errors import BudgetExceeded, DecodingError, ProtocolError
from veilsum.field import P50, PrimeField
from veilsum.protocols.aggregator import Aggregator, threshold_among
from veilsum.protocols.base import (
    Message,
    Party,
    Phase,
    Session,
    client_name,
    read_clients,
    require_clients,
    state,
    write_clients,
)
from veilsum.wire import Reader, Writer, length_prefixed

__all__ = [
    "Client",
    "Committee",
    "Dealing",
    "Heard",
    "Holder",
    "Peer",
    "Server",
    "Sharing",
    "Summed",
    "Survivors",
]

SERVER = "server"
CAPACITY = 2**62 - 1  # digits stay in int64, whatever the field


@dataclass(frozen=True, kw_only=True, eq=False)
class Dealing(Message):
    """Round 1, client to holder: the holder's share of every digit.

    Parameters
    ----------
    shares : Shares
        The holder's row. It is secret: the channel must hide it from everybody else.
    """

    shares: shamir.Shares

    label: ClassVar[str] = "sharing/dealing"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the shares."""
        writer.blob(self.shares.to_bytes())

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the shares."""
        return {"shares": shamir.Shares.from_bytes(reader.blob())}


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard(Message):
    """Round 2, holder to server: whose shares the holder has.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    clients: tuple[int, ...]

    label: ClassVar[str] = "sharing/heard"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the indices."""
        write_clients(writer, self.clients)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the indices."""
        return {"clients": read_clients(reader)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Survivors(Message):
    """Round 3, server to holder: whose shares are to be added.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    clients: tuple[int, ...]

    label: ClassVar[str] = "sharing/survivors"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the indices."""
        write_clients(writer, self.clients)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the indices."""
        return {"clients": read_clients(reader)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Summed(Message):
    """Round 4, holder to server: the sum of the survivors' shares.

    Parameters
    ----------
    shares : Shares
        The holder's row of a sharing of the sum.
    """

    shares: shamir.Shares

    label: ClassVar[str] = "sharing/summed"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the shares."""
        writer.blob(self.shares.to_bytes())

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the shares."""
        return {"shares": shamir.Shares.from_bytes(reader.blob())}


@dataclass(frozen=True, kw_only=True)
class Committee:
    """The holders of a session and the kind of shares that they hold.

    Parameters
    ----------
    holders : tuple of str
        Party names; the holder at position ``i`` has the point ``i + 1``.
    threshold : int
        How many of them rebuild a sum; fewer learn nothing.
    fewest_survivors : int
        The fewest clients whose sum may be opened.
    field : PrimeField
        Where the shares live.
    threads : int or None
        Threads for splitting and rebuilding; None means all cores.
    """

    holders: tuple[str, ...]
    threshold: int
    fewest_survivors: int
    field: PrimeField
    threads: int | None

    def deal(self, session: Session, dealer: str, update: ArrayLike) -> list[Dealing]:
        """Return an update's shares, one message a holder."""
        dealt = shamir.split(
            session.encode(update),
            shares=len(self.holders),
            threshold=self.threshold,
            field=self.field,
            bound=session.digits.digit_limit,
            threads=self.threads,
        )
        return [
            Dealing(session_id=session.id, sender=dealer, recipient=holder, shares=dealt[position])
            for position, holder in enumerate(self.holders)
        ]

    def check_row(
        self, shares: shamir.Shares, holder: str, session: Session, *, dealings: int
    ) -> None:
        """Refuse what is not this holder's row of a sum of that many dealings.

        Raises
        ------
        ProtocolError
            When the point, the threshold, the number of shares, the field, the length or the bound
            is another than the session's.
        """
        got = {
            "points": shares.points.tolist(),
            "threshold": shares.threshold,
            "shares": shares.shares,
            "modulus": shares.field.modulus,
            "shape": shares.values.shape,
            "dtype": shares.dtype,
            "bound": shares.bound,
        }
        expected = {
            "points": [self.holders.index(holder) + 1],
            "threshold": self.threshold,
            "shares": len(self.holders),
            "modulus": self.field.modulus,
            "shape": (1, session.width),
            "dtype": np.dtype(np.int64),
            "bound": dealings * session.digits.digit_limit,
        }
        for name, value in expected.items():
            if got[name] != value:
                raise ProtocolError(f"shares for {holder}: {name} is {got[name]}, not {value}")

    def check_survivors(self, clients: Sequence[int], known: Iterable[int]) -> None:
        """Refuse survivors that are too few, out of order, repeated or unknown.

        Raises
        ------
        ProtocolError
            When they are.
        """
        if len(clients) < self.fewest_survivors:
            raise ProtocolError(
                f"survivors: got {len(clients)}, expected at least {self.fewest_survivors}"
            )
        require_clients(clients, known)


class Client(Party):
    """A client that is no holder: it deals, and is done."""

    def __init__(
        self, session: Session, committee: Committee, client: int, update: ArrayLike
    ) -> None:
        super().__init__(session, client_name(client))
        self._committee = committee
        self._update = update

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send a share to every holder."""
        return [*self._committee.deal(self.session, self.name, self._update)]


class Holder(Party):
    """Keeps one share of every update and gives out nothing but the survivors' sum, once."""

    def __init__(self, session: Session, committee: Committee, name: str) -> None:
        super().__init__(session, name)
        self._committee = committee
        self._rows: dict[str, shamir.Shares] = {}
        self._survivors: tuple[int, ...] = ()

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the clients' shares."""
        self.gather(Dealing, self.session.clients, each=self._keep, then=self.report)
        return []

    def _keep(self, dealing: Dealing) -> None:
        self._committee.check_row(dealing.shares, self.name, self.session, dealings=1)
        self._rows[dealing.sender] = dealing.shares

    @state("combine")
    def report(self) -> list[Message]:
        """Round 2: tell the server whose shares have come."""
        self.gather(Survivors, [SERVER], each=self._agree, then=self.add_up)
        heard = Heard(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            clients=self.session.survivors(self._rows),
        )
        return [heard]

    def _agree(self, survivors: Survivors) -> None:
        self._committee.check_survivors(survivors.clients, self.session.survivors(self._rows))
        self._survivors = survivors.clients

    @state("combine")
    def add_up(self) -> list[Message]:
        """Round 4: send the sum of the survivors' shares, and forget the shares."""
        total = _sum(self._rows[client_name(client)] for client in self._survivors)
        self._rows.clear()
        summed = Summed(
            session_id=self.session.id, sender=self.name, recipient=SERVER, shares=total
        )
        return [summed]


class Peer(Holder):
    """A client that is a holder too: it keeps its own share and deals out the others."""

    def __init__(
        self, session: Session, committee: Committee, client: int, update: ArrayLike
    ) -> None:
        super().__init__(session, committee, client_name(client))
        self._update = update

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send a share to every other holder, and wait for theirs."""
        dealings = self._committee.deal(self.session, self.name, self._update)
        for dealing in dealings:
            if dealing.recipient == self.name:
                self._keep(dealing)
        others = [client for client in self.session.clients if client != self.name]
        self.gather(Dealing, others, each=self._keep, then=self.report, least=0)
        return [dealing for dealing in dealings if dealing.recipient != self.name]


class Server(Party):
    """Agrees with the holders on the survivors, and rebuilds their sum."""

    def __init__(self, session: Session, committee: Committee, *, check: bool) -> None:
        super().__init__(session, SERVER)
        self._committee = committee
        self._check = check
        self._common = set(session.roster)
        self._survivors: tuple[int, ...] = ()
        self._sums: dict[str, shamir.Shares] = {}

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the holders' reports."""
        self.gather(
            Heard,
            self._committee.holders,
            each=self._note,
            then=self.announce,
            least=self._committee.threshold,
        )
        return []

    def _note(self, heard: Heard) -> None:
        require_clients(heard.clients, self.session.roster)
        self._common.intersection_update(heard.clients)

    @state("combine")
    def announce(self) -> list[Message]:
        """Round 3: name the survivors to the holders that answered."""
        survivors = tuple(sorted(self._common))
        self._committee.check_survivors(survivors, self.session.roster)
        self._survivors = survivors
        self.gather(
            Summed,
            self.heard,
            each=self._collect,
            then=self.rebuild,
            least=self._committee.threshold,
        )
        return [
            Survivors(
                session_id=self.session.id, sender=SERVER, recipient=holder, clients=survivors
            )
            for holder in self.heard
        ]

    def _collect(self, summed: Summed) -> None:
        self._committee.check_row(
            summed.shares, summed.sender, self.session, dealings=len(self._survivors)
        )
        self._sums[summed.sender] = summed.shares

    @state("open")
    def rebuild(self) -> list[Message]:
        """End with the sum that the holders' sums determine."""
        by_point = sorted(self._sums, key=self._committee.holders.index)
        digit_sums = shamir.reconstruct(
            shamir.Shares.join([self._sums[holder] for holder in by_point]),
            check=self._check,
            threads=self._committee.threads,
        )
        self.conclude(self._decode(digit_sums), self._survivors)
        return []

    def _decode(self, digit_sums: NDArray[Any]) -> NDArray[Any]:
        try:
            return self.session.decode(digit_sums, summands=len(self._survivors))
        except BudgetExceeded as error:
            if not self._check:
                return _join_altered(digit_sums, self.session.digits)
            raise DecodingError(f"at least one holder's sum was altered: {error}") from None


class Sharing(Aggregator):
    """Every update is shared among holders, who give out the sum alone.

    ============== ====================================================================
    adversary      semi-honest clients and holders; holders may also hand in altered
                   sums, which `check` notices but does not repair
    collusion      up to ``threshold - 1`` holders together learn nothing; the server
                   may be among them, since it sees sums alone
    dropouts       clients: before or while they deal; holders: at any time, down to
                   `threshold`. With ``holders="clients"`` at least `threshold` clients
                   must survive
    leaks          the sum and the roster; the sum of one survivor is its update
    ============== ====================================================================

    Altered sums are noticed as long as fewer than ``answered - threshold + 1`` of them are; when
    no more than `threshold` holders answer there is nothing to compare with, and only a sum that
    is out of range is noticed.

    The channels from clients to holders are assumed to be private and authenticated, and those to
    the server to be authenticated: the messages are neither sealed nor signed.

    Parameters
    ----------
    threshold : int, optional
        How many holders rebuild a sum; a majority of them by default.
    holders : "clients" or int
        Whether the clients hold the shares themselves, as in Sharma et al. 2022, or how many
        separate holders do.
    field : PrimeField
        Where the shares live.
    check : bool
        Whether the server compares all the sums that came (an altered one raises DecodingError),
        or believes the first `threshold` of them as Sharma et al. do (an altered one among them
        gives a wrong sum, silently).
    threads : int, optional
        Threads for splitting and rebuilding; all cores by default.

    Examples
    --------
    >>> result = Sharing(holders=5, threshold=3).aggregate([[0.5, -2.0], [0.25, 1.0]])
    >>> result.sum
    array([ 0.75, -1.  ])
    """

    name = "sharing"
    messages = (Dealing, Heard, Survivors, Summed)

    def __init__(
        self,
        *,
        threshold: int | None = None,
        holders: Literal["clients"] | int = "clients",
        field: PrimeField = P50,
        check: bool = True,
        threads: int | None = None,
    ) -> None:
        if isinstance(holders, str) and holders != "clients":
            raise ValueError(f"holders: got {holders!r}, expected 'clients' or a number")
        if not isinstance(holders, str) and holders < 1:
            raise ValueError(f"holders: got {holders}, expected at least 1")
        self.threshold = threshold
        self.holders = holders
        self.field = field
        self.check = check
        self.threads = threads

    def capacity(self) -> int:
        """Return the largest magnitude that a sum of digits may have."""
        return min(self.field.limit, CAPACITY)

    def threshold_for(self, roster: Sequence[int]) -> int:
        """Return how many holders must stay when these clients are invited."""
        count = len(self._names(roster))
        threshold = count // 2 + 1 if self.threshold is None else self.threshold
        return threshold_among(threshold, count, "holders")

    def parameters(self, roster: Sequence[int]) -> dict[str, bytes]:
        """Return the field and the holders, which a session binds."""
        names = (name.encode() for name in self._names(roster))
        return {"field": str(self.field.modulus).encode(), "holders": length_prefixed(*names)}

    def committee(self, session: Session) -> Committee:
        """Return the holders of a session."""
        return Committee(
            holders=self._names(session.roster),
            threshold=session.threshold,
            fewest_survivors=session.threshold if self.holders == "clients" else 1,
            field=self.field,
            threads=self.threads,
        )

    def parties(self, session: Session, updates: Mapping[int, ArrayLike]) -> list[Party]:
        """Return the server, the holders and the clients that take part."""
        committee = self.committee(session)
        server = Server(session, committee, check=self.check)
        if self.holders == "clients":
            peers = [Peer(session, committee, *item) for item in updates.items()]
            return [server, *peers]
        holders = [Holder(session, committee, name) for name in committee.holders]
        clients = [Client(session, committee, *item) for item in updates.items()]
        return [server, *holders, *clients]

    def _names(self, roster: Sequence[int]) -> tuple[str, ...]:
        if isinstance(self.holders, str):
            return tuple(client_name(client) for client in roster)
        return tuple(f"holder-{number}" for number in range(1, self.holders + 1))


def _sum(rows: Iterable[shamir.Shares]) -> shamir.Shares:
    rest = iter(rows)
    total = next(rest)
    for row in rest:
        total = total + row
    return total


def _join_altered(digit_sums: NDArray[np.int64], digits: Digits) -> NDArray[np.object_]:
    """Join digits that honest clients cannot have dealt, as an unchecked server would."""
    wide = digit_sums.reshape(-1, digits.count).astype(object)
    places = np.array([1 << digits.width * place for place in range(digits.count)], object)
    joined: NDArray[np.object_] = (wide * places).sum(axis=-1)
    return joined
