"""Sharing among peers: every client is a holder, and nobody is a server.

Round 1. Every peer splits its digits into shares and seals one for each other peer.
Round 2. Every peer tells all others whose shares it has.
Round 3. Every peer works out the survivors from the reports (`agree`, which is deterministic), adds
their shares, and sends the list and a commitment to its sum to all others.
Round 4. A peer that sees a quorum of peers name its own list reveals its sum and what opens the
commitment. So nobody chooses its sum after it has seen another's.
Round 5. Every peer rebuilds the sum of the updates from the sums that fit their commitments, and
may repair altered ones (`max_errors`).

Where messages were lost, peers may name different lists. One whose list has no quorum reveals
nothing, but rebuilds with the others if theirs has one. The commitments are hashes with a random
nonce.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from veilsum import shamir
from veilsum.errors import DeserializationError, ProtocolError
from veilsum.protocols.base import Contributor, Credentials, Message, Phase, state
from veilsum.protocols.committee import Committee, Dealing, Heard, Keeper, agree, seal_row
from veilsum.protocols.session import (
    DIGEST_BYTES,
    Session,
    client_name,
    read_clients,
    require_clients,
    require_survivors,
    write_clients,
)
from veilsum.randomness import random_bytes
from veilsum.wire import Reader, Writer, length_prefixed

__all__ = ["Committed", "Peer", "Revealed"]

NONCE_BYTES = 32
_COMMITMENT = b"veilsum/commitment/v1"


@dataclass(frozen=True, kw_only=True, eq=False)
class Committed(Message):
    """Round 3, peer to peer: the survivors, and a commitment to the sum of their shares.

    Parameters
    ----------
    clients : tuple of int
        Indices, ascending.
    commitment : bytes
        32, or none from a peer that lacks a survivor's share and has no sum to reveal.
    """

    clients: tuple[int, ...]
    commitment: bytes

    label: ClassVar[str] = "sharing/committed"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the list and the commitment."""
        write_clients(writer, self.clients)
        writer.blob(self.commitment)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the list and the commitment."""
        clients, commitment = read_clients(reader), reader.blob(max_bytes=DIGEST_BYTES)
        if len(commitment) not in (0, DIGEST_BYTES):
            raise DeserializationError(
                f"commitment: got {len(commitment)} bytes, expected {DIGEST_BYTES} or none"
            )
        return {"clients": clients, "commitment": commitment}


@dataclass(frozen=True, kw_only=True, eq=False)
class Revealed(Message):
    """Round 4, peer to peer: what opens the commitment.

    Parameters
    ----------
    shares : Shares
        The peer's row of a sharing of the sum.
    nonce : bytes
        32, random.
    """

    shares: shamir.Shares
    nonce: bytes

    label: ClassVar[str] = "sharing/revealed"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the shares and the nonce."""
        writer.blob(self.shares.to_bytes())
        writer.blob(self.nonce)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the shares and the nonce."""
        shares = shamir.Shares.from_bytes(reader.blob())
        return {"shares": shares, "nonce": reader.blob(max_bytes=NONCE_BYTES)}


class Peer(Keeper, Contributor):
    """A client that is a holder too, and opens the sum together with all others."""

    keeps = (
        "_reports",
        "_lists",
        "_commitments",
        "_nonce",
        "_survivors",
        "_sums",
        "_liars",
    )
    hears = (Heard, Committed, Revealed)

    def __init__(
        self,
        session: Session,
        committee: Committee,
        client: int,
        update: ArrayLike | None,
        credentials: Credentials,
    ) -> None:
        super().__init__(session, committee, client_name(client), credentials, update=update)
        self._others = [holder for holder in committee.holders if holder != self.name]
        self._reports: dict[str, tuple[int, ...]] = {}
        self._lists: dict[str, tuple[int, ...]] = {}
        self._commitments: dict[str, bytes] = {}
        self._nonce = random_bytes(NONCE_BYTES).tobytes()
        self._survivors: tuple[int, ...] = ()
        self._sums: dict[str, shamir.Shares] = {}
        self._liars: set[str] = set()

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send a sealed share to every other peer, and wait for theirs."""
        rows = self.committee.split(self.session, self.spend())
        self._rows[self.name] = rows[self.name][[0]]  # a copy: a view would keep all rows alive
        self.gather(Dealing, self._others, each=self.keep, then=self.report, least=0)
        return [seal_row(self, other, rows[other]) for other in self._others]

    @state("combine")
    def report(self) -> list[Message]:
        """Round 2: tell everybody whose shares have come."""
        self._reports[self.name] = self.dealers()
        self.gather(
            Heard,
            self._others,
            each=self._note_report,
            then=self.commit,
            least=self.committee.needed - 1,
        )
        return self._to_others(Heard, clients=self.dealers())

    def _note_report(self, heard: Heard) -> None:
        require_clients(heard.clients, self.session.roster)
        self._reports[heard.sender] = heard.clients

    @state("combine")
    def commit(self) -> list[Message]:
        """Round 3: name the survivors, and commit to the sum of their shares."""
        reporting = [holder for holder in self.committee.holders if holder in self._reports]
        _, survivors = agree(
            {holder: self._reports[holder] for holder in reporting},
            min_holders=self.committee.needed,
            min_survivors=self.session.min_survivors,
        )
        require_survivors(survivors, self.session, self.session.roster)
        self._lists[self.name] = survivors
        if set(survivors) <= set(self.dealers()):
            self._sums[self.name] = total = self.total(survivors)
            self._commitments[self.name] = self._commitment(self.name, total, self._nonce)
        self.forget()
        self.gather(
            Committed,
            self._others,
            each=self._note_commitment,
            then=self.reveal,
            least=self.committee.quorum - 1,
        )
        own = self._commitments.get(self.name, b"")
        return self._to_others(Committed, clients=survivors, commitment=own)

    def _note_commitment(self, committed: Committed) -> None:
        require_survivors(committed.clients, self.session, self.session.roster)
        self._lists[committed.sender] = committed.clients
        if committed.commitment:
            self._commitments[committed.sender] = committed.commitment

    @state("combine")
    def reveal(self) -> list[Message]:
        """Round 4: open the commitment, if a quorum of peers has named this peer's survivors."""
        ((self._survivors, votes),) = Counter(self._lists.values()).most_common(1)
        if votes < self.committee.quorum:
            raise ProtocolError(
                f"{self.name} goes on when {self.committee.quorum} peers name the same survivors; "
                f"at most {votes} do"
            )
        revealing = [name for name in self._commitments if self._lists[name] == self._survivors]
        needed = self.committee.needed
        if len(revealing) < needed:
            raise ProtocolError(
                f"{self.name} needs the sums of {needed} peers; {len(revealing)} have committed "
                "to one of these survivors"
            )
        own = self.name in revealing
        self.gather(
            Revealed,
            [name for name in revealing if name != self.name],
            each=self._collect,
            then=self.rebuild,
            least=needed - own,
        )
        if not own:
            self._sums.clear()
            return []
        return self._to_others(Revealed, shares=self._sums[self.name], nonce=self._nonce)

    def _collect(self, revealed: Revealed) -> None:
        sender, shares = revealed.sender, revealed.shares
        if self._commitment(sender, shares, revealed.nonce) != self._commitments[sender]:
            self._liars.add(sender)
            return
        self.committee.check_row(shares, sender, self.session, dealings=len(self._survivors))
        self._sums[sender] = shares

    @state("open")
    def rebuild(self) -> list[Message]:
        """Round 5: end with the sum that the peers' sums determine, and the names of the liars."""
        left = max(0, self.committee.max_errors - len(self._liars))
        needed = self.committee.threshold + 2 * left
        if len(self._sums) < needed:
            raise ProtocolError(
                f"{self.name} needs {needed} sums that fit their commitments, got {len(self._sums)}"
            )
        integers, found = self.committee.rebuild(
            self.session, self._sums, self._survivors, max_errors=left
        )
        liars = [name for name in self.committee.holders if name in self._liars.union(found)]
        self.conclude(integers, self._survivors, tuple(liars))
        return []

    def _commitment(self, name: str, shares: shamir.Shares, nonce: bytes) -> bytes:
        """Hash a sum with its list of survivors, whose it is, and a nonce that hides all that.

        The peer's own name keeps others from passing a copy of its commitment off as theirs.
        """
        clients = (client.to_bytes(8, "little") for client in self._lists[name])
        parts = length_prefixed(name.encode(), nonce, shares.to_bytes(), *clients)
        return hashlib.sha256(_COMMITMENT + self.session.id + parts).digest()

    def _to_others(self, kind: type[Message], **fields: Any) -> list[Message]:
        return [
            kind(session_id=self.session.id, sender=self.name, recipient=other, **fields)
            for other in self._others
        ]
