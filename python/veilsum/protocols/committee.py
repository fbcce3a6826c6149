"""What the two forms of sharing have in common: holders, sealed shares, and opening their sums."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import shamir
from veilsum.channel import seal_for
from veilsum.encoding import Digits
from veilsum.errors import BudgetExceeded, DecodingError, ProtocolError
from veilsum.field import PrimeField
from veilsum.protocols.base import Credentials, Message, Party, Phase
from veilsum.protocols.session import Session, client_name, read_clients, write_clients
from veilsum.wire import Reader, Writer, length_prefixed

__all__ = ["Committee", "Dealing", "Heard", "Keeper", "OfClients", "agree", "seal_row"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dealing(Message):
    """Client to holder: the holder's share of every digit, for its eyes only.

    Parameters
    ----------
    sealed : bytes
        `Shares.to_bytes` of the holder's row, sealed for its identity.
    """

    sealed: bytes

    label: ClassVar[str] = "sharing/dealing"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the sealed row."""
        writer.blob(self.sealed)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the sealed row."""
        return {"sealed": reader.blob()}


@dataclass(frozen=True, kw_only=True, eq=False)
class OfClients(Message):
    """A message whose one field is a list of clients."""

    clients: tuple[int, ...]

    def write(self, writer: Writer) -> None:
        """Append the indices."""
        write_clients(writer, self.clients)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the indices."""
        return {"clients": read_clients(reader)}


class Heard(OfClients):
    """Holder to the server, or to every other peer: whose shares the holder has.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    """

    label: ClassVar[str] = "sharing/heard"
    phase: ClassVar[Phase] = "combine"


@dataclass(frozen=True, kw_only=True)
class Committee:
    """The holders of a session, the kind of shares that they hold, and how their sums are opened.

    Parameters
    ----------
    holders : tuple of str
        Party names; the holder at position ``i`` has the point ``i + 1``.
    threshold : int
        How many of them rebuild a sum.
    packed : int
        How many digits share a polynomial: ``threshold - packed`` holders learn nothing.
    quorum : int
        How many of them agree on the survivors before one gives out a sum.
    field : PrimeField
        Where the shares live.
    check : bool
        Whether all sums that came are compared, or the first `threshold` believed.
    max_errors : int
        How many altered sums are repaired.
    threads : int or None
        Threads for splitting and rebuilding; None means all cores.
    """

    holders: tuple[str, ...]
    threshold: int
    packed: int
    quorum: int
    field: PrimeField
    check: bool
    max_errors: int
    threads: int | None

    @property
    def needed(self) -> int:
        """How many sums repair `max_errors` altered ones."""
        return self.threshold + 2 * self.max_errors

    def split(self, session: Session, update: ArrayLike) -> dict[str, shamir.Shares]:
        """Return each holder's row of an update's shares."""
        dealt = shamir.split(
            session.encode(update),
            shares=len(self.holders),
            threshold=self.threshold,
            packed=self.packed,
            field=self.field,
            bound=session.digits.digit_limit,
            threads=self.threads,
        )
        # A slice is a view: no row is copied before it is written out.
        return {holder: dealt[i : i + 1] for i, holder in enumerate(self.holders)}

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
            "packed": self.packed,
            "modulus": self.field.modulus,
            "shape": (session.width,),
            "dtype": np.dtype(np.int64),
            "bound": dealings * session.digits.digit_limit,
        }
        for name, value in expected.items():
            if got[name] != value:
                raise ProtocolError(f"shares for {holder}: {name} is {got[name]}, not {value}")

    def rebuild(
        self,
        session: Session,
        sums: Mapping[str, shamir.Shares],
        survivors: Collection[int],
        *,
        max_errors: int,
    ) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Return the sum that the holders' sums determine, and the names of the liars.

        Parameters
        ----------
        session : Session
            What they belong to.
        sums : mapping of str to Shares
            Each holder's row of the sum; at least ``threshold + 2 * max_errors``.
        survivors : collection of int
            The clients in the sum.
        max_errors : int
            How many of the rows may be altered and are then left out.

        Returns
        -------
        integers : ndarray of int64 or of Python ints
            The sum in units of the encoding's scale.
        liars : tuple of str
            In the order of the holders.

        Raises
        ------
        DecodingError
            When the sums disagree, beyond what is repaired.
        InconsistentShares
            When they are sums of different dealings.
        """
        rows = _joined(
            [sums[holder] for holder in self.holders if holder in sums], forgiving=max_errors > 0
        )
        liars = (
            shamir.find_liars(rows, max_errors=max_errors, threads=self.threads)
            if max_errors
            else ()
        )
        honest = [place for place, number in enumerate(rows.holders) if number not in liars]
        digit_sums = shamir.reconstruct(rows[honest], check=self.check, threads=self.threads)
        names = tuple(self.holders[number - 1] for number in liars)
        return self._decoded(session, digit_sums, len(survivors)), names

    def _decoded(self, session: Session, digit_sums: NDArray[Any], summands: int) -> NDArray[Any]:
        try:
            return session.decode(digit_sums, summands=summands)
        except BudgetExceeded as error:
            if not self.check:
                return _join_altered(digit_sums, session.digits)
            raise DecodingError(f"at least one holder's sum was altered: {error}") from None


class Keeper(Party):
    """A party that keeps one share of every update, and adds up the survivors', once."""

    keeps: ClassVar[tuple[str, ...]] = ("_rows",)
    hears: ClassVar[tuple[type[Message], ...]] = (Dealing,)

    def __init__(
        self,
        session: Session,
        committee: Committee,
        name: str,
        credentials: Credentials,
        **others: Any,  # of whatever else a subclass is
    ) -> None:
        super().__init__(session, name, credentials, **others)
        self.committee = committee
        self._rows: dict[str, shamir.Shares] = {}

    def keep(self, dealing: Dealing) -> None:
        """Unseal a row and keep it."""
        row = _unsealed(self, dealing)
        self.committee.check_row(row, self.name, self.session, dealings=1)
        self._rows[dealing.sender] = row

    def dealers(self) -> tuple[int, ...]:
        """Return the clients whose shares are here, ascending."""
        return self.session.survivors(self._rows)

    def total(self, survivors: Collection[int]) -> shamir.Shares:
        """Return the sum of the survivors' shares, and forget all shares."""
        total = shamir.Shares.sum(self._rows[client_name(client)] for client in survivors)
        self.forget()
        return total

    def forget(self) -> None:
        """Let go of all shares."""
        self._rows.clear()


def seal_row(dealer: Party, holder: str, row: shamir.Shares) -> Dealing:
    """Return the message that brings a holder its row.

    Raises
    ------
    ProtocolError
        When the directory has no identity for the holder.
    """
    identity = dealer.credentials.directory.get(holder)
    if identity is None:
        raise ProtocolError(f"{dealer.name} knows nobody called {holder!r}")
    return Dealing(
        session_id=dealer.session.id,
        sender=dealer.name,
        recipient=holder,
        sealed=seal_for(
            identity,
            row.to_bytes(),
            purpose=Dealing.label,
            session_id=dealer.session.id,
            round_number=dealer.session.round,
            header=_header(dealer.name, holder),
        ),
    )


def _unsealed(holder: Party, dealing: Dealing) -> shamir.Shares:
    plaintext = holder.credentials.identity.unseal(
        dealing.sealed,
        purpose=Dealing.label,
        session_id=dealing.session_id,
        round_number=holder.session.round,
        header=_header(dealing.sender, dealing.recipient),
    )
    return shamir.Shares.from_bytes(plaintext)


def _header(sender: str, recipient: str) -> bytes:
    return length_prefixed(Dealing.label.encode(), sender.encode(), recipient.encode())


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


def _joined(rows: list[shamir.Shares], *, forgiving: bool) -> shamir.Shares:
    if forgiving:  # then most tags are honest, and a false one must not end the round
        ((dealing, _),) = Counter(row.dealing for row in rows).most_common(1)
        rows = [replace(row, dealing=dealing) for row in rows]
    return shamir.Shares.join(rows)


def _join_altered(digit_sums: NDArray[np.int64], digits: Digits) -> NDArray[np.object_]:
    """Join digits that honest clients cannot have dealt, as an unchecked server would."""
    wide = digit_sums.reshape(-1, digits.count).astype(object)
    places = np.array([1 << digits.width * place for place in range(digits.count)], object)
    joined: NDArray[np.object_] = (wide * places).sum(axis=-1)
    return joined
