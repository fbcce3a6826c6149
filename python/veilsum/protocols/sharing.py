"""Summing under Shamir's secret sharing, as in Sharma et al. 2022, section IV-B.

With holders apart from the clients, and a server:

Round 1. Every client splits its digits into shares and seals one for each holder.
Round 2. Every holder reports to the server whose shares it has.
Round 3. The server announces the survivors: those that every holder has heard. When these are too
few it goes on without the holders that have missed the most (`agree`).
Round 4. Every holder confirms the list by its signature: one list a session.
Round 5. The server hands the confirmations round.
Round 6. Every holder that sees a quorum of them for its list adds the survivors' shares and sends
the sum; the server rebuilds the sum of the updates from the sums of the shares, and may repair
altered ones (`max_errors`).

A client that vanishes after it has reached only some holders is left out by round 3, and a holder
may vanish at any time as long as enough holders remain: `quorum` until round 4, then `threshold`,
and two more for each altered sum that is to be repaired.

Where the clients hold the shares there is no server: see `veilsum.protocols.serverless`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import ArrayLike

from veilsum import shamir
from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.field import P31, P50, PrimeField
from veilsum.protocols.aggregator import Aggregator, among
from veilsum.protocols.base import Contributor, Credentials, Message, Party, Phase, state
from veilsum.protocols.committee import (
    Committee,
    Dealing,
    Heard,
    Keeper,
    OfClients,
    agree,
    seal_row,
)
from veilsum.protocols.serverless import Committed, Peer, Revealed
from veilsum.protocols.session import (
    DIGEST_BYTES,
    Session,
    client_name,
    require_clients,
    require_survivors,
)
from veilsum.wire import Reader, Writer, length_prefixed

__all__ = [
    "Client",
    "Confirmations",
    "Confirmed",
    "Holder",
    "Server",
    "Sharing",
    "Summed",
    "Survivors",
]

SERVER = "server"
CAPACITY = 2**62 - 1  # digits stay in int64, whatever the field
MAX_HOLDERS = 1 << 16


class Survivors(OfClients):
    """Round 3, server to holder: whose shares are to be added.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    label: ClassVar[str] = "sharing/survivors"
    phase: ClassVar[Phase] = "combine"


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmed(Message):
    """Round 4, holder to server, and from there to all holders: the list that it was told.

    Parameters
    ----------
    survivors : bytes
        SHA-256 over the list.
    """

    survivors: bytes

    label: ClassVar[str] = "sharing/confirmed"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the digest."""
        writer.blob(self.survivors)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the digest."""
        return {"survivors": reader.exactly(DIGEST_BYTES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmations(Message):
    """Round 5, server to holder: what the holders have confirmed.

    Parameters
    ----------
    messages : tuple of bytes
        Signed `Confirmed` messages, as they came.
    """

    messages: tuple[bytes, ...]

    label: ClassVar[str] = "sharing/confirmations"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the messages."""
        writer.u32(len(self.messages))
        for message in self.messages:
            writer.blob(message)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the messages."""
        count = reader.u32(max_value=MAX_HOLDERS)
        return {"messages": tuple(reader.blob() for _ in range(count))}


@dataclass(frozen=True, kw_only=True, eq=False)
class Summed(Message):
    """Round 6, holder to server: the sum of the survivors' shares.

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


class Client(Contributor):
    """A client that is no holder: it deals, and is done."""

    keeps = ()

    def __init__(
        self,
        session: Session,
        committee: Committee,
        client: int,
        update: ArrayLike | None,
        credentials: Credentials,
    ) -> None:
        super().__init__(session, client_name(client), credentials, update=update)
        self._committee = committee

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send a sealed share to every holder."""
        rows = self._committee.split(self.session, self.spend())
        return [seal_row(self, holder, row) for holder, row in rows.items()]


class Holder(Keeper):
    """Keeps one share of every update and gives out nothing but the survivors' sum, once."""

    keeps = ("_survivors",)
    hears = (Survivors, Confirmations)

    def __init__(
        self, session: Session, committee: Committee, name: str, credentials: Credentials
    ) -> None:
        super().__init__(session, committee, name, credentials)
        self._survivors: tuple[int, ...] = ()

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the clients' shares."""
        self.gather(Dealing, self.session.clients, each=self.keep, then=self.report)
        return []

    @state("combine")
    def report(self) -> list[Message]:
        """Round 2: tell the server whose shares have come."""
        self.gather(Survivors, [SERVER], each=self._note, then=self.confirm)
        heard = Heard(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            clients=self.dealers(),
        )
        return [heard]

    def _note(self, survivors: Survivors) -> None:
        require_survivors(survivors.clients, self.session, self.session.roster)
        self._survivors = survivors.clients

    @state("combine")
    def confirm(self) -> list[Message]:
        """Round 4: sign the list. Who lacks a survivor's share is done then."""
        if set(self._survivors) <= set(self.dealers()):
            self.gather(Confirmations, [SERVER], each=self._count, then=self.add_up)
        else:
            self.forget()
        confirmed = Confirmed(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            survivors=list_digest(self._survivors),
        )
        return [confirmed]

    def _count(self, confirmations: Confirmations) -> None:
        confirming = {self.name}
        for data in confirmations.messages:
            confirmed = Confirmed.from_bytes(data)
            if confirmed.sender not in self.committee.holders:
                raise ProtocolError(f"{confirmed.sender!r} is no holder and confirms nothing")
            if confirmed.survivors != list_digest(self._survivors):
                raise ProtocolError(f"{confirmed.sender} has confirmed another list of survivors")
            self.verify(confirmed)
            confirming.add(confirmed.sender)
        quorum = self.committee.quorum
        if len(confirming) < quorum:
            raise ProtocolError(
                f"{self.name} gives out a sum when {quorum} holders have confirmed its survivors; "
                f"{len(confirming)} have"
            )

    @state("combine")
    def add_up(self) -> list[Message]:
        """Round 6: send the sum of the survivors' shares, and forget the shares."""
        summed = Summed(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            shares=self.total(self._survivors),
        )
        return [summed]


class Server(Party):
    """Agrees with the holders on the survivors, and rebuilds their sum."""

    keeps = ("_reports", "_survivors", "_confirmed", "_sums")
    hears = (Heard, Confirmed, Summed)

    def __init__(self, session: Session, committee: Committee, credentials: Credentials) -> None:
        super().__init__(session, SERVER, credentials)
        self._committee = committee
        self._reports: dict[str, tuple[int, ...]] = {}
        self._survivors: tuple[int, ...] = ()
        self._confirmed: dict[str, Confirmed] = {}
        self._sums: dict[str, shamir.Shares] = {}

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the holders' reports."""
        members = self._committee
        self.gather(
            Heard,
            members.holders,
            each=self._note,
            then=self.announce,
            least=max(members.quorum, members.needed),
        )
        return []

    def _note(self, heard: Heard) -> None:
        require_clients(heard.clients, self.session.roster)
        self._reports[heard.sender] = heard.clients

    @state("combine")
    def announce(self) -> list[Message]:
        """Round 3: name the survivors to all holders that have reported."""
        reporting = self._in_order(self._reports)
        _, self._survivors = agree(
            {holder: self._reports[holder] for holder in reporting},
            min_holders=self._committee.needed,
            min_survivors=self.session.min_survivors,
        )
        require_survivors(self._survivors, self.session, self.session.roster)
        self.gather(
            Confirmed,
            reporting,
            each=self._check,
            then=self.forward,
            least=self._committee.quorum,
        )
        return [
            Survivors(
                session_id=self.session.id,
                sender=SERVER,
                recipient=holder,
                clients=self._survivors,
            )
            for holder in reporting
        ]

    def _check(self, confirmed: Confirmed) -> None:
        if confirmed.survivors != list_digest(self._survivors):
            raise ProtocolError(f"{confirmed.sender} confirms survivors that nobody announced")
        self._confirmed[confirmed.sender] = confirmed

    @state("combine")
    def forward(self) -> list[Message]:
        """Round 5: show the confirmations to those that have heard all survivors."""
        needed = self._committee.needed
        adding = [
            holder
            for holder in self._in_order(self._confirmed)
            if set(self._survivors) <= set(self._reports[holder])
        ]
        if len(adding) < needed:
            raise ProtocolError(
                f"server needs the sums of {needed} holders; {len(adding)} of those that have "
                "heard all survivors have confirmed them"
            )
        self.gather(Summed, adding, each=self._collect, then=self.rebuild, least=needed)
        enough = list(self._confirmed.values())[: self._committee.quorum]
        messages = tuple(confirmed.to_bytes() for confirmed in enough)
        return [
            Confirmations(
                session_id=self.session.id, sender=SERVER, recipient=holder, messages=messages
            )
            for holder in adding
        ]

    def _collect(self, summed: Summed) -> None:
        self._committee.check_row(
            summed.shares, summed.sender, self.session, dealings=len(self._survivors)
        )
        self._sums[summed.sender] = summed.shares

    @state("open")
    def rebuild(self) -> list[Message]:
        """End with the sum that the holders' sums determine, and with the names of the liars."""
        integers, liars = self._committee.rebuild(
            self.session,
            self._sums,
            self._survivors,
            max_errors=self._committee.max_errors,
        )
        self.conclude(integers, self._survivors, liars)
        return []

    def _in_order(self, holders: Mapping[str, Any]) -> list[str]:
        return [holder for holder in self._committee.holders if holder in holders]


class Sharing(Aggregator):
    """Every update is shared among holders, who give out the sum alone.

    ============== ====================================================================
    adversary      malicious server, semi-honest clients and holders; holders may also
                   hand in altered sums, of which `max_errors` are repaired and more
                   noticed; without a server the same holds of the peers
    collusion      up to ``threshold - packed`` holders, and the server, together learn
                   nothing beyond the sum
    dropouts       clients: before or while they deal, down to `min_survivors`; holders:
                   down to `quorum` until they have confirmed the survivors, then down to
                   ``threshold + 2 * max_errors``
    leaks          the sum and the roster; without a server to all peers
    ============== ====================================================================

    **Whose eyes.** Shares are sealed for their holder and signed by their client; every other
    message is signed too. The sums of shares travel in the open: whoever reads enough of them
    learns the sum as the server does.

    **One list of survivors.** A server that got the sum of the clients 0, 1, 2 and 3 from some
    holders and that of 0, 1 and 2 from others would know the update of client 3. So a holder
    confirms one list a session and gives out a sum only when `quorum` of the ``m`` holders have
    confirmed the same. Let ``c`` holders be in league with the server: they confirm any list, the
    others one each, so that two lists with a quorum take ``2 * quorum <= (m - c) + 2 * c``. The
    default is the smallest quorum with ``2 * quorum > m + threshold - packed``: nobody who is blind
    to the updates opens two lists. A lower one lets more holders vanish early; then
    ``2 * quorum - m`` holders in league with the server are enough to open two lists, and none
    where ``2 * quorum <= m``.

    **Altered sums.** Of the sums of ``a`` holders that answer, up to `max_errors` altered ones are
    repaired and their holders named in `Aggregate.liars`; more, up to
    ``a - threshold - max_errors``, are noticed and raise `DecodingError`, however the liars
    collude. Beyond that nothing is promised: so many can agree on a wrong sum and have honest
    holders named. When no more than `threshold` holders answer there is nothing to compare with,
    and only a sum that is out of range is noticed. A holder that is named may be the victim of a
    client that dealt it a wrong share. A holder whose message is refused by its form, such as a row
    of a wrong length, counts as vanished.

    **Without a server** (``holders="clients"``) every client is a holder, and every peer ends with
    the sum. With ``threshold=c + 1`` and ``max_errors=c``, ``3 * c + 1`` peers bear ``c`` that
    alter their sums. Peers commit to their sums before they see another's, so that no peer fits its
    own to theirs; one whose sum is not what it committed to is left out and named. The price is a
    message from every peer to every other in each round. Each peer draws the list of survivors from
    what reaches it of all reports. Lost messages can lead honest peers to two lists, of which a
    majority confirms one at most: so the default `quorum` is the threshold, or a majority where
    that is more. Where ``c`` peers may report different things to different peers, ask for
    ``2 * quorum > n + c``.

    Parameters
    ----------
    threshold : int, optional
        How many holders rebuild a sum; a majority of them by default. Half of them or fewer, such
        as the 2 of 4 of Sharma et al., is allowed: more holders may vanish and more altered sums
        are noticed or repaired, but fewer holders together learn the updates.
    packed : int
        How many numbers share a polynomial, 1 or below `threshold`: shares, and all work on them,
        shrink by that factor, and the holders that together learn nothing go from
        ``threshold - 1`` down to ``threshold - packed``.
    quorum : int, optional
        How many holders confirm the list of survivors before one gives out a sum, from `threshold`
        to all of them. By default what no server and blind holders get around, see above; without a
        server `threshold`, and a majority at least.
    min_survivors : int, optional
        The fewest clients whose sum the holders give out. By default a majority of the roster,
        or `threshold` where the clients hold the shares, and in both cases two at the least; one
        in a roster of one. The sum of `min_survivors` hides an update from all but the others in
        it, so ask for `c + 2` where `c` clients may collude.
    holders : "clients" or int
        Whether the clients hold the shares themselves, as in Sharma et al. 2022, without a server,
        or how many separate holders do.
    field : PrimeField, optional
        Where the shares live; by default `P31`, whose shares are half as long, where the sums of
        the roster fit, else `P50`.
    check : bool
        Whether all the sums that came are compared (an altered one raises DecodingError), or the
        first `threshold` of them believed as Sharma et al. do (an altered one among them gives a
        wrong sum, silently).
    max_errors : int
        How many altered sums are repaired, by Reed-Solomon decoding. Of ``m`` holders of whom ``f``
        vanish, ``2 * max_errors + f`` may be at most ``m - threshold``.
    threads : int, optional
        Threads for splitting and rebuilding; all cores by default.

    Notes
    -----
    The holders' sums are the values of polynomials of degree below `threshold`, that is, a word of
    a Reed-Solomon code: McEliece and Sarwate, "On sharing secrets and Reed-Solomon codes",
    Communications of the ACM 24(9), 1981. See `veilsum.shamir.find_liars`. Confirmations: the
    consistency check of Bonawitz et al., "Practical secure aggregation for privacy-preserving
    machine learning", CCS 2017, among holders in place of clients.

    Examples
    --------
    >>> result = Sharing(holders=5, threshold=3).aggregate([[0.5, -2.0], [0.25, 1.0]])
    >>> result.sum
    array([ 0.75, -1.  ])

    A holder that alters its sum is left out and named:

    >>> from dataclasses import replace
    >>> from veilsum.protocols import InMemoryTransport
    >>> def lie(message):
    ...     if not isinstance(message, Summed) or message.sender != "holder-2":
    ...         return message
    ...     altered = message.shares.with_values(message.shares.values // 2)
    ...     return replace(message, shares=altered)
    >>> result = Sharing(holders=5, threshold=3, max_errors=1).aggregate(
    ...     [[0.5, -2.0], [0.25, 1.0]], transport=InMemoryTransport(lie=lie)
    ... )
    >>> result.sum, result.liars
    (array([ 0.75, -1.  ]), ('holder-2',))
    """

    name = "sharing"
    messages = (
        Dealing,
        Heard,
        Survivors,
        Confirmed,
        Confirmations,
        Summed,
        Committed,
        Revealed,
    )

    def __init__(
        self,
        *,
        threshold: int | None = None,
        packed: int = 1,
        quorum: int | None = None,
        min_survivors: int | None = None,
        holders: Literal["clients"] | int = "clients",
        field: PrimeField | None = None,
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
        self.packed = packed
        self.quorum = quorum
        self.min_survivors = min_survivors
        self.holders = holders
        self.field = field
        self.check = check
        self.max_errors = max_errors
        self.threads = threads
        if holders != "clients":
            self.quorum_for(())

    def field_for(self, encoding: FixedPoint, roster: Sequence[int]) -> PrimeField:
        """Return where the shares of these clients' updates live."""
        if self.field is not None:
            return self.field
        return P31 if len(roster) * encoding.limit <= P31.limit else P50

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:
        """Return the largest magnitude that a sum of these clients' digits may have."""
        return min(self.field_for(encoding, roster).limit, CAPACITY)

    def threshold_for(self, roster: Sequence[int]) -> int:
        """Return how many holders rebuild a sum when these clients are invited.

        Raises
        ------
        ValueError
            When there are too few holders for it and for `max_errors`, or it is too low for
            `packed`.
        """
        count = len(self._holders(roster))
        asked = _majority(count) if self.threshold is None else self.threshold
        threshold = among("threshold", asked, count, "holders")
        if not 1 <= self.packed <= max(1, threshold - 1):
            raise ValueError(
                f"packed: got {self.packed}, expected 1, or less than the threshold {threshold}"
            )
        needed = threshold + 2 * self.max_errors
        if count < needed:
            raise ValueError(
                f"max_errors: to repair {self.max_errors} takes {needed} holders with threshold "
                f"{threshold}, got {count}; take more holders, a lower threshold or fewer errors"
            )
        return threshold

    def quorum_for(self, roster: Sequence[int]) -> int:
        """Return how many holders confirm the survivors when these clients are invited.

        Raises
        ------
        ValueError
            When there are too few holders for it, or fewer than the threshold are asked for.
        """
        count, threshold = len(self._holders(roster)), self.threshold_for(roster)
        if self.quorum is None:
            if self.holders == "clients":
                return max(threshold, _majority(count))
            return (count + threshold - self.packed) // 2 + 1
        if not threshold <= self.quorum <= count:
            raise ValueError(
                f"quorum: got {self.quorum}, expected {threshold}, the threshold, to {count}, "
                "all the holders"
            )
        return self.quorum

    def min_survivors_for(self, roster: Sequence[int]) -> int:
        """Return the fewest clients whose sum may be opened when these are invited."""
        if self.min_survivors is not None:
            return super().min_survivors_for(roster)
        apart = self.holders != "clients"
        needed = _majority(len(roster)) if apart else self.threshold_for(roster)
        return max(needed, super().min_survivors_for(roster))

    def parameters_for(self, encoding: FixedPoint, roster: Sequence[int]) -> dict[str, bytes]:
        """Return what a session binds: field, holders, packing, quorum, and repaired errors."""
        numbers = {
            "field": self.field_for(encoding, roster).modulus,
            "max_errors": self.max_errors,
            "packed": self.packed,
            "quorum": self.quorum_for(roster),
        }
        names = (name.encode() for name in self._holders(roster))
        return {name: str(number).encode() for name, number in numbers.items()} | {
            "holders": length_prefixed(*names)
        }

    def committee(self, session: Session) -> Committee:
        """Return the holders of a session.

        Raises
        ------
        ProtocolError
            When the session's threshold or parameters are not what this aggregator would bind.
        """
        bound = self.parameters_for(session.encoding, session.roster)
        threshold = self.threshold_for(session.roster)
        if (dict(session.parameters), session.threshold) != (bound, threshold):
            raise ProtocolError(
                f"session: its threshold, {', '.join(sorted(bound))} are not all this aggregator's"
            )
        return Committee(
            holders=self._holders(session.roster),
            threshold=session.threshold,
            packed=self.packed,
            quorum=self.quorum_for(session.roster),
            field=self.field_for(session.encoding, session.roster),
            check=self.check,
            max_errors=self.max_errors,
            threads=self.threads,
        )

    def staff(self, roster: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the server and of the holders; nobody where these are the clients."""
        return () if self.holders == "clients" else (SERVER, *self._holders(roster))

    def server(self, session: Session, name: str, credentials: Credentials) -> Party:
        """Return the server or a holder."""
        if name == SERVER:
            return Server(session, self.committee(session), credentials)
        return Holder(session, self.committee(session), name, credentials)

    def client(
        self, session: Session, client: int, update: ArrayLike | None, credentials: Credentials
    ) -> Contributor:
        """Return a client, which is a peer where the clients hold the shares."""
        kind = Peer if self.holders == "clients" else Client
        return kind(session, self.committee(session), client, update, credentials)

    def _holders(self, roster: Sequence[int]) -> tuple[str, ...]:
        if isinstance(self.holders, str):
            return tuple(client_name(client) for client in roster)
        return tuple(f"holder-{number}" for number in range(1, self.holders + 1))


def list_digest(clients: Sequence[int]) -> bytes:
    """Return what a holder signs of a list of survivors: SHA-256 over it."""
    indices = (client.to_bytes(8, "little") for client in clients)
    return hashlib.sha256(length_prefixed(b"veilsum/survivors/v1", *indices)).digest()


def _majority(count: int) -> int:
    return count // 2 + 1
