"""Summing under Shamir's secret sharing, as in Sharma et al. 2022, section IV-B.

Round 1. Every client splits its digits into shares, one for each holder.
Round 2. Every holder reports to the server whose shares it has.
Round 3. The server announces the survivors: those that every answering holder has heard. When
these are too few it goes on without the holders that have missed the most (`agree`).
Round 4. Every holder that is told adds the survivors' shares and sends the sum; the server rebuilds
the sum of the updates from the sums of the shares, and may repair altered ones (`max_errors`).

A client that vanishes after it has reached only some holders is left out by round 3, and a holder
may vanish at any time as long as enough holders remain: `threshold`, and two more for each altered
sum that is to be repaired.

The server is trusted to announce one and the same list to all: see `Sharing` for what a server that
does not can learn.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import shamir
from veilsum.encoding import Digits
from veilsum.errors import BudgetExceeded, DecodingError, ProtocolError
from veilsum.field import P50, PrimeField
from veilsum.protocols.aggregator import Aggregator, among
from veilsum.protocols.base import (
    Message,
    Party,
    Phase,
    Session,
    client_name,
    read_clients,
    require_clients,
    require_survivors,
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
    "agree",
]

SERVER = "server"
CAPACITY = 2**62 - 1  # digits stay in int64, whatever the field


@dataclass(frozen=True, kw_only=True, eq=False)
class _OfShares(Message):
    """A message whose one field is a holder's row of shares."""

    shares: shamir.Shares

    def write(self, writer: Writer) -> None:
        """Append the shares."""
        writer.blob(self.shares.to_bytes())

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the shares."""
        return {"shares": shamir.Shares.from_bytes(reader.blob())}


@dataclass(frozen=True, kw_only=True, eq=False)
class _OfClients(Message):
    """A message whose one field is a list of clients."""

    clients: tuple[int, ...]

    def write(self, writer: Writer) -> None:
        """Append the indices."""
        write_clients(writer, self.clients)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the indices."""
        return {"clients": read_clients(reader)}


class Dealing(_OfShares):
    """Round 1, client to holder: the holder's share of every digit.

    Parameters
    ----------
    shares : Shares
        The holder's row. It is secret: the channel must hide it from everybody else.
    """

    label: ClassVar[str] = "sharing/dealing"
    phase: ClassVar[Phase] = "protect"


class Heard(_OfClients):
    """Round 2, holder to server: whose shares the holder has.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    label: ClassVar[str] = "sharing/heard"
    phase: ClassVar[Phase] = "combine"


class Survivors(_OfClients):
    """Round 3, server to holder: whose shares are to be added.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    label: ClassVar[str] = "sharing/survivors"
    phase: ClassVar[Phase] = "combine"


class Summed(_OfShares):
    """Round 4, holder to server: the sum of the survivors' shares.

    Parameters
    ----------
    shares : Shares
        The holder's row of a sharing of the sum.
    """

    label: ClassVar[str] = "sharing/summed"
    phase: ClassVar[Phase] = "combine"


@dataclass(frozen=True, kw_only=True)
class Committee:
    """The holders of a session and the kind of shares that they hold.

    Parameters
    ----------
    holders : tuple of str
        Party names; the holder at position ``i`` has the point ``i + 1``.
    threshold : int
        How many of them rebuild a sum; fewer learn nothing.
    field : PrimeField
        Where the shares live.
    threads : int or None
        Threads for splitting and rebuilding; None means all cores.
    """

    holders: tuple[str, ...]
    threshold: int
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
            When the point, the threshold, the number of shares, their layout, the field, the length
            or the bound is another than the session's.
        """
        got = {
            "layout": shares.layout,
            "points": shares.points.tolist(),
            "threshold": shares.threshold,
            "shares": shares.shares,
            "packed": shares.packed,
            "modulus": shares.field.modulus,
            "shape": shares.shape,
            "dtype": shares.dtype,
            "bound": shares.bound,
        }
        expected = {
            "layout": "integers",
            "points": [self.holders.index(holder) + 1],
            "threshold": self.threshold,
            "shares": len(self.holders),
            "packed": 1,
            "modulus": self.field.modulus,
            "shape": (session.width,),
            "dtype": np.dtype(np.int64),
            "bound": dealings * session.digits.digit_limit,
        }
        for name, value in expected.items():
            if got[name] != value:
                raise ProtocolError(f"shares for {holder}: {name} is {got[name]}, not {value}")


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
        require_survivors(survivors.clients, self.session, self.session.survivors(self._rows))
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

    def __init__(
        self, session: Session, committee: Committee, *, check: bool, max_errors: int = 0
    ) -> None:
        super().__init__(session, SERVER)
        self._committee = committee
        self._check = check
        self._max_errors = max_errors
        self._needed = _needed(committee.threshold, max_errors)
        self._reports: dict[str, tuple[int, ...]] = {}
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
            least=self._needed,
        )
        return []

    def _note(self, heard: Heard) -> None:
        require_clients(heard.clients, self.session.roster)
        self._reports[heard.sender] = heard.clients

    @state("combine")
    def announce(self) -> list[Message]:
        """Round 3: name the survivors to the holders that have heard them all."""
        in_order = sorted(self._reports, key=self._committee.holders.index)
        holders, survivors = agree(
            {holder: self._reports[holder] for holder in in_order},
            min_holders=self._needed,
            min_survivors=self.session.min_survivors,
        )
        require_survivors(survivors, self.session, self.session.roster)
        self._survivors = survivors
        self.gather(
            Summed,
            holders,
            each=self._collect,
            then=self.rebuild,
            least=self._needed,
        )
        return [
            Survivors(
                session_id=self.session.id, sender=SERVER, recipient=holder, clients=survivors
            )
            for holder in holders
        ]

    def _collect(self, summed: Summed) -> None:
        self._committee.check_row(
            summed.shares, summed.sender, self.session, dealings=len(self._survivors)
        )
        self._sums[summed.sender] = summed.shares

    @state("open")
    def rebuild(self) -> list[Message]:
        """End with the sum that the holders' sums determine, and with the names of the liars."""
        sums = self._joined()
        liars = self._find_liars(sums)
        honest = [place for place, number in enumerate(sums.holders) if number not in liars]
        digit_sums = shamir.reconstruct(
            sums[honest], check=self._check, threads=self._committee.threads
        )
        names = tuple(self._committee.holders[number - 1] for number in liars)
        self.conclude(self._decode(digit_sums), self._survivors, names)
        return []

    def _joined(self) -> shamir.Shares:
        by_point = sorted(self._sums, key=self._committee.holders.index)
        rows = [self._sums[holder] for holder in by_point]
        if self._max_errors:  # then most tags are honest, and a false one must not end the round
            ((dealing, _),) = Counter(row.dealing for row in rows).most_common(1)
            rows = [replace(row, dealing=dealing) for row in rows]
        return shamir.Shares.join(rows)

    def _find_liars(self, sums: shamir.Shares) -> tuple[int, ...]:
        if not self._max_errors:
            return ()
        return shamir.find_liars(sums, max_errors=self._max_errors, threads=self._committee.threads)

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
    adversary      semi-honest server, clients and holders; holders may also hand in
                   altered sums, of which `max_errors` are repaired and more noticed
    collusion      up to ``threshold - 1`` holders together learn nothing beyond the sum,
                   as long as the server keeps to the protocol
    dropouts       clients: before or while they deal, down to `min_survivors`; holders:
                   at any time, down to ``threshold + 2 * max_errors``
    leaks          the sum and the roster
    ============== ====================================================================

    A server that does not keep to the protocol can equivocate: it announces the survivors 0, 1, 2
    and 3 to some holders and 0, 1 and 2 to others, and the difference of the two sums is one
    client's update. It needs `threshold` sums of each list, so that it succeeds alone when
    ``2 * threshold`` is at most the number of holders, and with the help of colluding holders
    above that: ``2 * threshold - m`` of `m` holders answer both lists for it. A round in which the
    holders agree on the list, and signatures, would stop it; this version has neither.

    Of the sums of ``a`` holders that answer, up to `max_errors` altered ones are repaired and their
    holders named in `Aggregate.liars`; more, up to ``a - threshold - max_errors``, are noticed and
    raise `DecodingError`, however the liars collude. Beyond that nothing is promised: so many can
    agree on a wrong sum and have honest holders named. When no more than `threshold` holders answer
    there is nothing to compare with, and only a sum that is out of range is noticed. A holder that
    is named may be the victim of a client that dealt it a wrong share. Messages that are refused
    by their form, such as a row of a wrong length, end the round instead.

    The channels from clients to holders are assumed to be private and authenticated, and those to
    the server to be authenticated: the messages are neither sealed nor signed.

    Parameters
    ----------
    threshold : int, optional
        How many holders rebuild a sum; a majority of them by default. Half of them or fewer, such
        as the 2 of 4 of Sharma et al., is allowed: more holders may vanish and more altered sums
        are noticed or repaired, but a server that equivocates then needs nobody's help.
    min_survivors : int, optional
        The fewest clients whose sum the holders give out. By default a majority of the roster,
        or `threshold` where the clients hold the shares, and in both cases two at the least; one
        in a roster of one. The sum of `min_survivors` hides an update from all but the others in
        it, so ask for `c + 2` where `c` clients may collude.
    holders : "clients" or int
        Whether the clients hold the shares themselves, as in Sharma et al. 2022, or how many
        separate holders do.
    field : PrimeField
        Where the shares live.
    check : bool
        Whether the server compares all the sums that came (an altered one raises DecodingError),
        or believes the first `threshold` of them as Sharma et al. do (an altered one among them
        gives a wrong sum, silently).
    max_errors : int
        How many altered sums the server repairs, by Reed-Solomon decoding. Of ``m`` holders of whom
        ``f`` vanish, ``2 * max_errors + f`` may be at most ``m - threshold``.
    threads : int, optional
        Threads for splitting and rebuilding; all cores by default.

    Notes
    -----
    The holders' sums are the values of polynomials of degree below `threshold`, that is, a word of
    a Reed-Solomon code: McEliece and Sarwate, "On sharing secrets and Reed-Solomon codes",
    Communications of the ACM 24(9), 1981. See `veilsum.shamir.find_liars`.

    Examples
    --------
    >>> result = Sharing(holders=5, threshold=3).aggregate([[0.5, -2.0], [0.25, 1.0]])
    >>> result.sum
    array([ 0.75, -1.  ])

    A holder that alters its sum is left out and named:

    >>> from dataclasses import replace
    >>> from veilsum.protocols import InMemoryTransport
    >>> def lie(message, data):
    ...     if not isinstance(message, Summed) or message.sender != "holder-2":
    ...         return data
    ...     altered = message.shares.with_values(message.shares.values // 2)
    ...     return replace(message, shares=altered).to_bytes()
    >>> result = Sharing(holders=5, threshold=3, max_errors=1).aggregate(
    ...     [[0.5, -2.0], [0.25, 1.0]], transport=InMemoryTransport(tamper=lie)
    ... )
    >>> result.sum, result.liars
    (array([ 0.75, -1.  ]), ('holder-2',))
    """

    name = "sharing"
    messages = (Dealing, Heard, Survivors, Summed)

    def __init__(
        self,
        *,
        threshold: int | None = None,
        min_survivors: int | None = None,
        holders: Literal["clients"] | int = "clients",
        field: PrimeField = P50,
        check: bool = True,
        max_errors: int = 0,
        threads: int | None = None,
    ) -> None:
        if isinstance(holders, str) and holders != "clients":
            raise ValueError(f"holders: got {holders!r}, expected 'clients' or a number")
        if not isinstance(holders, str) and holders < 1:
            raise ValueError(f"holders: got {holders}, expected at least 1")
        if max_errors < 0:
            raise ValueError(f"max_errors: got {max_errors}, expected at least 0")
        if max_errors and not check:
            raise ValueError(
                f"max_errors: got {max_errors} with check=False, which believes every sum; "
                "leave one of the two out"
            )
        self.threshold = threshold
        self.min_survivors = min_survivors
        self.holders = holders
        self.field = field
        self.check = check
        self.max_errors = max_errors
        self.threads = threads
        if holders != "clients":
            self.threshold_for(())

    def capacity(self) -> int:
        """Return the largest magnitude that a sum of digits may have."""
        return min(self.field.limit, CAPACITY)

    def threshold_for(self, roster: Sequence[int]) -> int:
        """Return how many holders rebuild a sum when these clients are invited.

        Raises
        ------
        ValueError
            When there are too few holders for it and for `max_errors`.
        """
        count = len(self._names(roster))
        asked = _majority(count) if self.threshold is None else self.threshold
        threshold = among("threshold", asked, count, "holders")
        needed = _needed(threshold, self.max_errors)
        if count < needed:
            raise ValueError(
                f"max_errors: to repair {self.max_errors} takes {needed} holders with threshold "
                f"{threshold}, got {count}; take more holders, a lower threshold or fewer errors"
            )
        return threshold

    def min_survivors_for(self, roster: Sequence[int]) -> int:
        """Return the fewest clients whose sum may be opened when these are invited."""
        if self.min_survivors is not None:
            return super().min_survivors_for(roster)
        apart = self.holders != "clients"
        needed = _majority(len(roster)) if apart else self.threshold_for(roster)
        return max(needed, super().min_survivors_for(roster))

    def parameters(self, roster: Sequence[int]) -> dict[str, bytes]:
        """Return the field and the holders, which a session binds."""
        names = (name.encode() for name in self._names(roster))
        return {"field": str(self.field.modulus).encode(), "holders": length_prefixed(*names)}

    def committee(self, session: Session) -> Committee:
        """Return the holders of a session."""
        return Committee(
            holders=self._names(session.roster),
            threshold=session.threshold,
            field=self.field,
            threads=self.threads,
        )

    def parties(self, session: Session, updates: Mapping[int, ArrayLike]) -> list[Party]:
        """Return the server, the holders and the clients that take part."""
        committee = self.committee(session)
        server = Server(session, committee, check=self.check, max_errors=self.max_errors)
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


def agree(
    reports: Mapping[str, Collection[int]], *, min_holders: int, min_survivors: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Choose the holders that add up, and the survivors: the clients that all of these have heard.

    All holders are asked as long as they have `min_survivors` clients in common. Otherwise one
    holder after the other is left out, down to `min_holders`. When leaving out a single one is
    enough, it is the one without whom the others have the most in common; when it is not, it is
    the one that has heard the fewest. Of equals it is the one with the least heard, and of these
    the last.

    Whenever `min_holders` of the holders have heard everybody that anybody has, or each holder has
    heard all that the next has, or one holder fewer is enough, the choice succeeds if any does.
    Beyond that it may fail where another choice would not: to find the best one is to find the
    largest complete bipartite graph within a graph, for which no fast algorithm is known.

    Parameters
    ----------
    reports : mapping of str to collection of int
        Whom each answering holder has heard, in the order of the holders.
    min_holders : int
        How many holders rebuild a sum.
    min_survivors : int
        The fewest clients whose sum may be opened.

    Returns
    -------
    holders : tuple of str
        At least `min_holders`, in the order of `reports`.
    survivors : tuple of int
        What they have in common, ascending; fewer than `min_survivors` when no choice was found.

    Examples
    --------
    >>> reports = {"holder-1": [2], "holder-2": [0, 1, 2], "holder-3": [0, 1, 2, 3]}
    >>> agree(reports, min_holders=2, min_survivors=2)
    (('holder-2', 'holder-3'), (0, 1, 2))
    """
    asked = {holder: frozenset(clients) for holder, clients in reports.items()}
    while len(asked) > min_holders and len(_common(asked)) < min_survivors:
        del asked[_most_deaf(asked, min_survivors)]
    return tuple(asked), tuple(sorted(_common(asked)))


def _common(reports: Mapping[str, frozenset[int]]) -> frozenset[int]:
    first, *others = reports.values()
    return first.intersection(*others)


def _most_deaf(reports: Mapping[str, frozenset[int]], min_survivors: int) -> str:
    heard_by = Counter(chain.from_iterable(reports.values()))
    others = len(reports) - 1

    def common_without(holder: str) -> int:
        mine = reports[holder]
        return sum(count - (client in mine) == others for client, count in heard_by.items())

    place = {holder: number for number, holder in enumerate(reports)}
    by_heard = sorted(reports, key=lambda holder: (len(reports[holder]), -place[holder]))
    best = max(by_heard, key=common_without)
    return best if common_without(best) >= min_survivors else by_heard[0]


def _majority(count: int) -> int:
    return count // 2 + 1


def _needed(threshold: int, max_errors: int) -> int:
    """Return how many sums repair that many altered ones."""
    return threshold + 2 * max_errors


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
