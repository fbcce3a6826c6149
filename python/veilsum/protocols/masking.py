"""Summing under pairwise masks that cancel, as in Bonawitz et al. 2017 and Bell et al. 2020.

Round 1, advertise. Every client draws a self seed and two X25519 keys, one to seal and one to mask,
and signs the public keys and a digest of the seed. The server answers with the roster: a Merkle
root over all that was advertised, and the client's neighbours in a graph that the root determines.
Round 2, share. Every client shares its self seed and its mask key among its neighbours, each share
sealed for its holder; the server relays what it cannot read.
Round 3, mask. Every client adds to its digits one mask of its self seed, and one for each neighbour
by the key that the two agree on, with opposite signs, so that these cancel in the sum. The server
names the survivors: those whose masked digits came.
Round 4, confirm. Every survivor signs the list that it was shown, and goes on only if enough of its
neighbours were shown the same.
Round 5, reveal. Every survivor gives out its self seed, its shares of the self seeds of surviving
neighbours and its shares of the mask keys of vanished ones, never both for one neighbour. The
server subtracts the self masks of the survivors and the masks that they have in common with
vanished clients; what is left is the sum.

The pairwise masks depend on the digest of the model that the update belongs to, which the session
binds or which comes with the update (`Contributor.contribute`). A server that shows clients
different models, so that only one of them has an update that tells, gets no sum of them at all.

Sources: Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning",
CCS 2017, section 4 and figure 4; Bell, Bonawitz, Gascón, Lepoint and Raykova, "Secure single-server
aggregation with (poly)logarithmic overhead", CCS 2020, section 4; for the masks of a model,
Pasquini, Francati and Ateniese, "Eluding secure aggregation in federated learning via model
inconsistency", CCS 2022.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.channel import SIGNATURE_BYTES, KeyPair, derive_key, seal, unseal
from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import (
    AuthenticationError,
    BudgetExceeded,
    DecodingError,
    ProtocolError,
)
from veilsum.field import P50
from veilsum.protocols.aggregator import Aggregator, among
from veilsum.protocols.base import Contributor, Credentials, Message, Party, state
from veilsum.protocols.masking_messages import (
    ENTRY_BYTES,
    SEALED_BYTES,
    SERVER,
    Advertise,
    Confirmations,
    Confirmed,
    Flags,
    Masked,
    Relayed,
    Revealed,
    Roster,
    Shared,
    Survivors,
    pack,
    unpack,
)
from veilsum.protocols.masks import Words, add_masks, word_dtype, words_as_integers
from veilsum.protocols.merkle import MerkleTree, root_by_path
from veilsum.protocols.neighbours import (
    Crowd,
    Density,
    Neighbourhoods,
    choose_degree,
    require_degree,
)
from veilsum.protocols.seeds import (
    LIMBS,
    SEED_BYTES,
    rebuild_honestly,
    rebuild_seeds,
    share_seeds,
)
from veilsum.protocols.session import Session, client_name, model_in_force
from veilsum.randomness import random_bytes
from veilsum.wire import length_prefixed

__all__ = [
    "Advertise",
    "Client",
    "Confirmations",
    "Confirmed",
    "Masked",
    "Masking",
    "Relayed",
    "Revealed",
    "Roll",
    "Roster",
    "Server",
    "Shared",
    "Survivors",
]

CAPACITY = 2**62 - 1  # sums of digits stay in int64
_WORTH = 4  # a sparse graph is taken where it spares so large a factor of masks


@dataclass(frozen=True, eq=False)
class Roll:
    """The clients that advertised, by rank: their places in the order of their indices.

    Parameters
    ----------
    session : Session
        What they agreed on.
    present : ndarray of bool
        Who advertised, one flag for each client of the session's roster.
    root : bytes
        The Merkle root over what they advertised.
    """

    session: Session
    present: Flags
    root: bytes

    @property
    def parts(self) -> tuple[Flags, bytes]:
        """What makes it, beside the session."""
        return self.present, self.root

    @cached_property
    def clients(self) -> tuple[int, ...]:
        """Indices by rank."""
        return tuple(np.array(self.session.roster)[self.present].tolist())

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over who advertised what in this session; it also draws the graph."""
        tag = b"veilsum/masking/roll/v1"
        parts = (tag, self.session.id, self.root, pack(self.present))
        return hashlib.sha256(length_prefixed(*parts)).digest()

    @cached_property
    def graph(self) -> Neighbourhoods:
        """Who is whose neighbour."""
        return Neighbourhoods(len(self.clients), _degree_of(self.session), self.digest)

    def name(self, rank: int) -> str:
        """Return a client's party name."""
        return client_name(self.clients[rank])

    def agreement(self, alive: Flags) -> bytes:
        """Return what stands for a list of survivors in a `Confirmed`: 32 bytes."""
        parts = (b"veilsum/masking/survivors/v1", self.digest, pack(alive))
        return hashlib.sha256(length_prefixed(*parts)).digest()

    def require_survivors(self, alive: Flags) -> None:
        """Refuse survivors that are too few, or fall apart on the ring.

        Raises
        ------
        ProtocolError
            When they do.
        """
        count, least = int(np.count_nonzero(alive)), self.session.min_survivors
        if count < least:
            raise ProtocolError(f"survivors: got {count}, expected at least {least}")
        if not self.graph.hold_together(alive):
            raise ProtocolError("survivors: they fall apart, and each part's sum would be learnt")


class Client(Contributor):
    """Masks its update, and helps to unmask the sum of those that were confirmed, once.

    It needs the update from round 3 on: a `Relayed` that comes before it is refused, and may come
    again.
    """

    keeps = (
        "_seed",
        "_seal_pair",
        "_mask_pair",
        "_own",
        "_enrolled",
        "_rank",
        "_neighbours",
        "_peers",
        "_shares",
        "_alive",
    )
    hears = (Advertise, Roster, Relayed, Survivors, Confirmations)
    starts_early = True

    def __init__(
        self,
        session: Session,
        client: int,
        update: ArrayLike | None,
        credentials: Credentials,
        *,
        threads: int | None = None,
    ) -> None:
        super().__init__(session, client_name(client), credentials, update=update)
        self._position = session.roster.index(client)
        self._threads = threads
        self._seed = random_bytes(SEED_BYTES).tobytes()
        self._seal_pair, self._mask_pair = KeyPair.generate(), KeyPair.generate()
        self._peers: dict[int, Advertise] = {}
        self._secrets: dict[str, bytes] = {}
        self._shares: dict[int, NDArray[np.uint64] | None] = {}

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: advertise the keys."""
        if self._update is not None:
            self._update = self.session.admit(self._update)
        if self.session.digits.limit != self.session.encoding.limit:
            raise ProtocolError("session: its digits are for integers of another encoding")
        self._own = Advertise(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            seal_key=self._seal_pair.public,
            mask_key=self._mask_pair.public,
            commitment=hashlib.sha256(self._seed).digest(),
        )
        self.gather(Roster, [SERVER], each=self._learn, then=self.share)
        return [self._own]

    def _learn(self, roster: Roster) -> None:
        present = unpack(roster.present, len(self.session.roster))
        if not present[self._position]:
            raise ProtocolError("the roster is without this client")
        if np.count_nonzero(present) < _needed(self.session):
            raise ProtocolError("the roster has too few clients to go on")
        roll = Roll(self.session, present, roster.root)
        rank = int(np.count_nonzero(present[: self._position]))
        members = sorted((rank, *roll.graph.of(rank)))
        if len(members) < self.session.threshold:
            raise ProtocolError(
                f"the threshold {self.session.threshold} is beyond the {len(members)} members of a "
                "neighbourhood"
            )
        if len(roster.entries) != len(members):
            raise ProtocolError(f"{len(roster.entries)} entries came for {len(members)} members")
        entries = [
            self._checked(Advertise.from_entry(self.session, roll.name(member), entry.tobytes()))
            for member, entry in zip(members, roster.entries, strict=True)
        ]
        for member, entry, path in zip(members, entries, roster.paths, strict=True):
            if root_by_path(entry.digest, member, len(roll.clients), path) != roster.root:
                raise ProtocolError(f"the Merkle path of {entry.sender} leads to another root")
        self._roll, self._rank, self._neighbours = roll, rank, roll.graph.of(rank)
        self._peers = dict(zip(members, entries, strict=True))

    def _checked(self, entry: Advertise) -> Advertise:
        if entry.sender != self.name:
            self.verify(entry)
        elif entry.digest != self._own.digest:
            raise ProtocolError("the roster has other keys of this client")
        return entry

    @property
    def _enrolled(self) -> tuple[Flags, bytes]:
        return self._roll.parts

    @_enrolled.setter
    def _enrolled(self, parts: tuple[Flags, bytes]) -> None:
        self._roll = Roll(self.session, *parts)

    @state("protect")
    def share(self) -> list[Message]:
        """Round 2: share both seeds among the neighbours."""
        members = [*self._peers]
        rows = share_seeds(
            [self._seed, self._mask_pair.private_bytes()],
            shares=len(members),
            threshold=self.session.threshold,
        )
        sealed = [  # the client's own row is for nobody
            seal(self._seal_key(peer), row.astype("<u8").tobytes(), header=self._roll.digest)
            for (member, peer), row in zip(self._peers.items(), rows, strict=True)
            if member != self._rank
        ]
        self.gather(Relayed, [SERVER], each=self._take, then=self.mask)
        shape = (len(sealed), SEALED_BYTES)
        shared = Shared(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            sealed=np.frombuffer(b"".join(sealed), np.uint8).reshape(shape),
        )
        return [shared]

    def _take(self, relayed: Relayed) -> None:
        self.require_update()
        sealed = relayed.by_neighbour(self._neighbours)
        if len(sealed) + 1 < self.session.threshold:
            raise ProtocolError(
                f"only {len(sealed)} neighbours shared, too few for the threshold "
                f"{self.session.threshold}"
            )
        self._shares = {
            neighbour: self._opened(self._peers[neighbour], row.tobytes())
            for neighbour, row in sealed.items()
        }

    def _opened(self, peer: Advertise, sealed: bytes) -> NDArray[np.uint64] | None:
        """Return a neighbour's shares; None when it sealed nothing of use, which is its loss."""
        try:
            plain = unseal(self._open_key(peer), sealed, header=self._roll.digest)
        except AuthenticationError:
            return None
        row = np.frombuffer(plain, "<u8").astype(np.uint64)
        return None if P50.count_outside(row) else row

    @state("protect")
    def mask(self) -> list[Message]:
        """Round 3: send the masked digits."""
        added, subtracted = [_self_key(self.session, self._seed)], list[bytes]()
        for neighbour in self._shares:
            peer = self._peers[neighbour]
            key = _pair_key(self.session, self._mask_pair, self._own, peer, model=self._model)
            (added if self._rank < neighbour else subtracted).append(key)
        words = np.empty(self.session.width, _words_of(self.session))
        fill = partial(self._write, self.spend())
        add_masks(words, added=added, subtracted=subtracted, fill=fill, threads=self._threads)
        self._peers.clear()
        self.gather(Survivors, [SERVER], each=self._agree, then=self.confirm)
        masked = Masked(session_id=self.session.id, sender=self.name, recipient=SERVER, words=words)
        return [masked]

    def _write(self, update: NDArray[Any], words: Words, start: int) -> None:
        """Write the digits of some places, of the coordinates that they belong to."""
        encoding, count = self.session.encoding, self.session.digits.count
        first, last = start // count, -(-(start + words.size) // count)
        if count == 1:
            signed = words.view(f"i{words.itemsize}")
            encoding.quantise(update[first:last], out=signed)
            return
        digits = self.session.digits.split(encoding.quantise(update[first:last]))
        np.copyto(
            words, digits.reshape(-1)[start - first * count :][: words.size], casting="unsafe"
        )

    def _agree(self, survivors: Survivors) -> None:
        alive = unpack(survivors.alive, len(self._roll.clients))
        if not alive[self._rank]:
            raise ProtocolError("the survivors are without this client")
        self._roll.require_survivors(alive)
        near = [neighbour for neighbour in self._neighbours if alive[neighbour]]
        strangers = [self._roll.name(rank) for rank in near if rank not in self._shares]
        if strangers:
            raise ProtocolError(f"survivors: {', '.join(strangers)} shared no seeds")
        if len(near) + 1 < self.session.threshold:
            raise ProtocolError(
                f"survivors: {len(near)} neighbours are left, too few for the threshold "
                f"{self.session.threshold}"
            )
        self._alive = alive

    @state("combine")
    def confirm(self) -> list[Message]:
        """Round 4: sign the list of survivors."""
        self.gather(Confirmations, [SERVER], each=self._compare, then=self.reveal)
        return [self._confirmed(self.name)]

    def _confirmed(self, sender: str, signature: bytes = b"") -> Confirmed:
        return Confirmed(
            session_id=self.session.id,
            sender=sender,
            recipient=SERVER,
            signature=signature,
            agreed=self._roll.agreement(self._alive),
        )

    def _compare(self, confirmations: Confirmations) -> None:
        signatures = confirmations.by_neighbour(self._neighbours)
        for neighbour, signature in signatures.items():
            name = self._roll.name(neighbour)
            if not self._alive[neighbour]:
                raise ProtocolError(f"{name} is no survivor and has nothing to confirm")
            self.verify(self._confirmed(name, signature.tobytes()))
        if len(signatures) + 1 < self.session.threshold:
            raise ProtocolError(
                f"only {len(signatures)} neighbours confirm the survivors, too few for the "
                f"threshold {self.session.threshold}"
            )

    @state("open")
    def reveal(self) -> list[Message]:
        """Round 5: give out the self seed, and of each neighbour one share."""
        shares = {
            neighbour: row[:LIMBS] if self._alive[neighbour] else row[LIMBS:]
            for neighbour, row in self._shares.items()
            if row is not None
        }
        self._shares.clear()
        flags = np.array([neighbour in shares for neighbour in self._neighbours], np.bool_)
        revealed = Revealed(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            seed=self._seed,
            whose=pack(flags),
            rows=np.array([*shares.values()], np.uint64).reshape(len(shares), LIMBS),
        )
        return [revealed]

    def _seal_key(self, peer: Advertise) -> bytes:
        return self._share_key(peer, [self._own, peer])

    def _open_key(self, peer: Advertise) -> bytes:
        return self._share_key(peer, [peer, self._own])

    def _share_key(self, peer: Advertise, direction: Sequence[Advertise]) -> bytes:
        if peer.sender not in self._secrets:
            self._secrets[peer.sender] = self._seal_pair.agree(peer.seal_key)
        return derive_key(
            self._secrets[peer.sender],
            purpose="masking: shares of seeds",
            session_id=self.session.id,
            round_number=self.session.round,
            keys=[part for end in direction for part in (end.seal_key, end.sender.encode())],
        )


class Server(Party):
    """Relays what it cannot read, adds what it cannot read, and unmasks the sum."""

    keeps = (
        "_model",
        "_advertised",
        "_enrolled",
        "_ranks",
        "_neighbours",
        "_sealed",
        "_total",
        "_alive",
        "_agreed",
        "_signatures",
        "_seeds",
        "_rows",
    )
    hears = (Advertise, Shared, Masked, Confirmed, Revealed)

    def __init__(
        self, session: Session, credentials: Credentials, *, threads: int | None = None
    ) -> None:
        super().__init__(session, SERVER, credentials)
        self._threads = threads
        self._model = session.model_digest
        self._least = _needed(session)
        self._advertised: dict[str, Advertise] = {}
        self._sealed: dict[int, NDArray[np.uint8]] = {}
        self._total = np.zeros(session.width, _words_of(session))
        self._signatures: dict[int, bytes] = {}
        self._seeds: dict[int, bytes] = {}
        self._rows: dict[int, dict[int, NDArray[np.uint64]]] = {}
        self._liars: set[str] = set()

    def bind_model(self, model_digest: bytes) -> None:
        """Say which model the updates belong to, where the session does not.

        It is needed before the last message comes: the masks of vanished clients are made anew.

        Parameters
        ----------
        model_digest : bytes
            What the clients pass to `Contributor.contribute`.

        Raises
        ------
        ProtocolError
            When another is bound, by the session or by an earlier call.
        ValueError
            When it is longer than a digest may be.
        """
        model = model_in_force(self.session, model_digest)
        if self._model not in (b"", model):
            raise ProtocolError("model_digest: the session is for another model")
        self._model = model

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the clients' keys."""
        self.gather(
            Advertise,
            self.session.clients,
            each=self._note,
            then=self.announce,
            least=self._least,
        )
        return []

    def _note(self, advertised: Advertise) -> None:
        anybody = KeyPair.generate()
        for key in (advertised.seal_key, advertised.mask_key):
            anybody.agree(key)  # a key that gives no secret would stop every neighbour
        self._advertised[advertised.sender] = advertised

    @state("combine")
    def announce(self) -> list[Message]:
        """Round 1: tell every client who its neighbours are."""
        in_order = [name for name in self.session.clients if name in self._advertised]
        tree = MerkleTree([self._advertised[name].digest for name in in_order])
        present = np.isin(self.session.clients, in_order)
        self._roll = Roll(self.session, present, tree.root)
        self._ranks = {name: rank for rank, name in enumerate(in_order)}
        self._neighbours = [self._roll.graph.of(rank) for rank in range(len(in_order))]
        self.gather(Shared, in_order, each=self._keep, then=self.relay, least=self._least)
        return [self._roster(rank, tree) for rank in range(len(in_order))]

    def _roster(self, rank: int, tree: MerkleTree) -> Roster:
        members = self._members(rank)
        entries = b"".join(self._advertised[self._roll.name(member)].entry for member in members)
        return Roster(
            session_id=self.session.id,
            sender=SERVER,
            recipient=self._roll.name(rank),
            present=pack(self._roll.present),
            root=self._roll.root,
            entries=np.frombuffer(entries, np.uint8).reshape(len(members), ENTRY_BYTES),
            paths=tuple(tree.path(member) for member in members),
        )

    @property
    def _enrolled(self) -> tuple[Flags, bytes]:
        return self._roll.parts

    @_enrolled.setter
    def _enrolled(self, parts: tuple[Flags, bytes]) -> None:
        self._roll = Roll(self.session, *parts)

    def _keep(self, shared: Shared) -> None:
        rank = self._ranks[shared.sender]
        if len(shared.sealed) != len(self._neighbours[rank]):
            raise ProtocolError(
                f"{len(shared.sealed)} shares came for {len(self._neighbours[rank])} neighbours"
            )
        self._sealed[rank] = shared.sealed

    @state("combine")
    def relay(self) -> list[Message]:
        """Round 2: hand out what the neighbours sealed."""
        dealers = sorted(self._sealed)
        names = [self._roll.name(rank) for rank in dealers]
        self.gather(Masked, names, each=self._add, then=self.name_survivors, least=self._least)
        return [self._relayed(rank) for rank in dealers]

    def _relayed(self, rank: int) -> Relayed:
        neighbours = self._neighbours[rank]
        dealers = [neighbour for neighbour in neighbours if neighbour in self._sealed]
        rows = [self._sealed[dealer][self._neighbours[dealer].index(rank)] for dealer in dealers]
        return Relayed(
            session_id=self.session.id,
            sender=SERVER,
            recipient=self._roll.name(rank),
            whose=pack(np.isin(neighbours, dealers)),
            rows=np.array(rows, np.uint8).reshape(len(rows), SEALED_BYTES),
        )

    def _add(self, masked: Masked) -> None:
        words = masked.words
        expected = self._total.dtype
        if words.shape != self._total.shape or words.itemsize != expected.itemsize:
            raise ProtocolError(
                f"masked digits: got {words.size} of {words.itemsize} bytes, "
                f"expected {self._total.size} of {expected.itemsize}"
            )
        np.add(self._total, words, out=self._total)

    @state("combine")
    def name_survivors(self) -> list[Message]:
        """Round 3: show everybody the list of those whose masked digits came."""
        ranks = sorted(self._ranks[name] for name in self.heard)
        self._alive = np.isin(np.arange(len(self._ranks)), ranks)
        self._roll.require_survivors(self._alive)
        self._agreed = self._roll.agreement(self._alive)
        names = [self._roll.name(rank) for rank in ranks]
        self.gather(Confirmed, names, each=self._count, then=self.confirm, least=self._least)
        return [
            Survivors(
                session_id=self.session.id, sender=SERVER, recipient=name, alive=pack(self._alive)
            )
            for name in names
        ]

    def _count(self, confirmed: Confirmed) -> None:
        if confirmed.agreed != self._agreed:
            raise ProtocolError("another list of survivors is confirmed than was sent")
        self._signatures[self._ranks[confirmed.sender]] = confirmed.signature

    @state("combine")
    def confirm(self) -> list[Message]:
        """Round 4: show everybody that its neighbours have the same list."""
        ranks = sorted(self._signatures)
        names = [self._roll.name(rank) for rank in ranks]
        least = self.session.threshold
        self.gather(Revealed, names, each=self._collect, then=self.unmask, least=least)
        return [self._confirmations(rank) for rank in ranks]

    def _confirmations(self, rank: int) -> Confirmations:
        neighbours = self._neighbours[rank]
        heard = [neighbour for neighbour in neighbours if neighbour in self._signatures]
        heard = heard[: self.session.threshold - 1]  # with its own it needs no more
        signatures = b"".join(self._signatures[neighbour] for neighbour in heard)
        return Confirmations(
            session_id=self.session.id,
            sender=SERVER,
            recipient=self._roll.name(rank),
            whose=pack(np.isin(neighbours, heard)),
            rows=np.frombuffer(signatures, np.uint8).reshape(len(heard), SIGNATURE_BYTES),
        )

    def _collect(self, revealed: Revealed) -> None:
        rank = self._ranks[revealed.sender]
        rows = revealed.by_neighbour(self._neighbours[rank])
        if not rows.keys() <= self._sealed.keys():
            raise ProtocolError("shares came of clients that never shared")
        if P50.count_outside(revealed.rows):
            raise ProtocolError("shares: some are no residues")
        self._seeds[rank] = revealed.seed
        for neighbour, row in rows.items():
            self._rows.setdefault(neighbour, {})[rank] = row

    @state("open")
    def unmask(self) -> list[Message]:
        """End with the survivors' sum."""
        seeds = self._self_seeds()
        vanished = self._vanished()
        seeds.update(self._rebuilt([rank for rank in self._survivors if rank not in seeds]))
        keys = {rank: KeyPair(seed) for rank, seed in self._rebuilt(vanished).items()}
        subtracted = [_self_key(self.session, seeds[rank]) for rank in self._survivors]
        added = list[bytes]()
        for rank, pair in keys.items():
            for neighbour in self._neighbours[rank]:
                if self._alive[neighbour]:
                    ends = self._own(rank), self._own(neighbour)
                    key = _pair_key(self.session, pair, *ends, model=self._model)
                    (added if rank < neighbour else subtracted).append(key)
        add_masks(self._total, added=added, subtracted=subtracted, threads=self._threads)
        survivors = tuple(self._roll.clients[rank] for rank in self._survivors)
        self.conclude(self._decoded(len(survivors)), survivors, tuple(sorted(self._liars)))
        return []

    @property
    def _survivors(self) -> list[int]:
        return [*map(int, np.flatnonzero(self._alive))]

    def _self_seeds(self) -> dict[int, bytes]:
        """Return the self seeds that their owners gave out."""
        fitting = {rank: seed for rank, seed in self._seeds.items() if self._fits(rank, seed)}
        self._liars.update(self._roll.name(rank) for rank in self._seeds.keys() - fitting.keys())
        return fitting

    def _vanished(self) -> list[int]:
        """Return who shared seeds, sent no masked digits, and has masks in common with others."""
        return [
            rank
            for rank in sorted(self._sealed)
            if not self._alive[rank] and any(self._alive[near] for near in self._neighbours[rank])
        ]

    def _rebuilt(self, ranks: Iterable[int]) -> dict[int, bytes]:
        """Rebuild one seed a client, those that are shared among the same holders at once."""
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for rank in ranks:
            groups[self._holders(rank)].append(rank)
        rebuilt: dict[int, bytes] = {}
        for positions, dealers in groups.items():
            rows = [self._share_rows(dealer)[: len(positions)] for dealer in dealers]
            seeds = rebuild_seeds(
                np.concatenate(rows, axis=1),
                positions=positions,
                shares=len(self._members(dealers[0])),
                threshold=self.session.threshold,
            )
            for dealer, seed in zip(dealers, seeds, strict=True):
                good = seed is not None and self._fits(dealer, seed)
                rebuilt[dealer] = seed if seed and good else self._repaired(dealer)
        return rebuilt

    def _holders(self, rank: int) -> tuple[int, ...]:
        """Return the positions of those whose shares rebuild a client's seed."""
        positions = self._positions(rank)
        threshold = self.session.threshold
        if len(positions) < threshold:
            raise ProtocolError(
                f"only {len(positions)} neighbours of {self._roll.name(rank)} gave out shares of "
                f"its seed, too few for the threshold {threshold}"
            )
        return positions[:threshold]

    def _repaired(self, rank: int) -> bytes:
        """Rebuild a seed from all shares that came, and name those that do not fit."""
        positions = self._positions(rank)
        members = self._members(rank)
        seed, liars = rebuild_honestly(
            self._share_rows(rank),
            positions=positions,
            shares=len(members),
            threshold=self.session.threshold,
        )
        name = self._roll.name(rank)
        if seed is None or not self._fits(rank, seed):
            raise DecodingError(
                f"the shares of {name}'s seed give another than it advertised: it dealt wrong "
                "ones, or too many were altered; run the round without it"
            )
        self._liars.update(self._roll.name(members[position]) for position in liars)
        return seed

    def _positions(self, rank: int) -> tuple[int, ...]:
        members = self._members(rank)
        return tuple(members.index(holder) for holder in sorted(self._rows.get(rank, ())))

    def _share_rows(self, rank: int) -> NDArray[np.uint64]:
        return np.stack([self._rows[rank][holder] for holder in sorted(self._rows[rank])])

    def _members(self, rank: int) -> list[int]:
        return sorted((rank, *self._neighbours[rank]))

    def _own(self, rank: int) -> Advertise:
        return self._advertised[self._roll.name(rank)]

    def _fits(self, rank: int, seed: bytes) -> bool:
        """Whether a seed is what its owner advertised."""
        if self._alive[rank]:
            return hashlib.sha256(seed).digest() == self._own(rank).commitment
        return KeyPair(seed).public == self._own(rank).mask_key

    def _decoded(self, summands: int) -> NDArray[Any]:
        limit = summands * self.session.digits.digit_limit
        try:
            digit_sums = words_as_integers(self._total, limit).astype(np.int64)
            return self.session.decode(digit_sums, summands=summands)
        except BudgetExceeded as error:
            raise DecodingError(
                f"the unmasked sum is none of honest clients: one of them masked something else, "
                f"or not as it should: {error}"
            ) from None


class Masking(Aggregator):
    """Every update is hidden by masks that cancel in the sum.

    ============== ====================================================================
    adversary      a server and clients that do anything, together; clients cannot be
                   kept from adding wrong updates, or from spoiling the sum
    collusion      complete graph: up to ``2 * threshold - clients - 1`` clients with the
                   server, fewer than a third by default; sparse graph: up to the
                   share `corrupt` of the clients, but for a chance of
                   ``2**-security_bits``
    dropouts       at any time; complete graph: down to `threshold` clients; sparse
                   graph: up to the share `dropout`
    leaks          the sum and the survivors
    ============== ====================================================================

    In the complete graph each client masks with all others. The sparse graph is Bell et al.'s: a
    client masks with `degree` others. The graph follows from a digest of all that was advertised,
    so that nobody chooses it but by trying (see `security_bits`). It is taken by default where it
    spares three masks of four: from some hundred clients on.

    A client is safe as long as ``2 * threshold > degree + 1 + c`` with ``c`` corrupt ones among its
    neighbours (in the complete graph, ``degree + 1`` is the number of clients). Whoever shows it
    and its neighbours different lists of survivors then gets one of its seeds at most. The session
    is refused where the bound does not hold for the assumed share `corrupt`.

    A server that calls clients lost at will can choose who the survivors are: in the complete graph
    at least `min_survivors` clients, the same for all. In the sparse graph it can show other lists
    to parts of the ring that are far from each other, each with `min_survivors` clients, and so
    leave out more clients than one list allows. Then the guarantee is one of neighbourhoods: of
    the neighbours of a client whose update comes into a sum, at least ``threshold - 1 - c`` are
    honest and were shown it as a survivor. To cut the ring, so that each part gives a sum of its
    own, takes ``threshold - 1 - degree / 2`` corrupt clients in a row of ``degree / 2`` places, at
    two places; the chance of that is within ``2**-security_bits`` too.

    A server that shows clients different models can make all updates but one tell nothing, and read
    that one off the sum. The pairwise masks are those of one model, so such masks do not cancel:
    what comes out is uniformly random, whatever the updates are, and is refused with a
    `DecodingError` but for the chance that each of its coordinates falls into the range of a sum.
    The model is the session's `model_digest`. Of a session that was opened before the model was
    there it is the digest that each client passes to `Contributor.contribute`, and the server to
    `Server.bind_model`. Without either, nobody sees to that.

    Altered shares are noticed where they are needed, since every seed has to fit what its owner
    advertised. They are repaired, and who altered them is named in `Aggregate.liars`, as long as no
    more than half of the shares beyond the threshold are altered, else `DecodingError` is raised. A
    holder that is named may be the victim of a client that dealt it a wrong share.

    Parameters
    ----------
    threshold : int, optional
        How many clients rebuild a seed. By default the paper's ``2 * clients // 3 + 1`` in the
        complete graph, and the lowest that keeps secrets in a sparse one.
    degree : int, optional
        Neighbours of a client: an even number, or enough for the complete graph. By default that
        of the complete graph, or what `neighbours.choose_degree` returns for `corrupt` and
        `dropout` where that is below a quarter of the clients.
    corrupt, dropout : float
        The largest shares of the clients that are corrupt, and that vanish.
    min_survivors : int, optional
        The fewest clients whose sum may be opened: by default `threshold` in the complete graph,
        and all but the share `dropout` in a sparse one.
    security_bits : int
        The chance that a sparse graph exposes anybody is at most ``2**-security_bits``. A server
        can try one graph after the other, with new keys of corrupt clients or by calling others of
        the clients lost: take 80 where 2**40 trials are feared.
    threads : int, optional
        Threads for masks; all cores by default.

    Notes
    -----
    The protocol for malicious servers of Bonawitz et al. 2017, figure 4, with the graph of Bell et
    al. 2020. Three things differ. A client that survives gives out its self seed itself, so that
    the server rebuilds only those of clients that vanish between masking and revealing; under the
    same bound, because by then `threshold` members of its neighbourhood have confirmed that it
    survives. Signatures cover all messages, and the public keys are bound by a Merkle root. The
    masks are AES-256-CTR key streams modulo 2**32 or 2**64.

    Examples
    --------
    >>> updates = [[0.5, -2.0], [0.25, 1.0], [4.0, 4.0], [8.0, 8.0]]
    >>> result = Masking().aggregate(updates, dropped=[3])
    >>> result.sum, result.survivors
    (array([4.75, 3.  ]), (0, 1, 2))
    """

    name = "masking"
    messages = (
        Advertise,
        Roster,
        Shared,
        Relayed,
        Masked,
        Survivors,
        Confirmed,
        Confirmations,
        Revealed,
    )
    prepared_by = (Advertise, Roster, Shared)

    def __init__(
        self,
        *,
        threshold: int | None = None,
        degree: int | None = None,
        corrupt: float = 0.1,
        dropout: float = 0.1,
        min_survivors: int | None = None,
        security_bits: int = 40,
        threads: int | None = None,
    ) -> None:
        Crowd.of(1, corrupt=corrupt, dropout=dropout)
        if security_bits < 1:
            raise ValueError(f"security_bits: got {security_bits}, expected at least 1")
        self.threshold = threshold
        self.degree = degree
        self.corrupt = corrupt
        self.dropout = dropout
        self.min_survivors = min_survivors
        self.security_bits = security_bits
        self.threads = threads

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return the largest magnitude that a sum of these clients' digits may have."""
        return CAPACITY

    def density(self, clients: int) -> Density:
        """Return the graph and the threshold for so many clients, and what may fail.

        Raises
        ------
        ValueError
            When the options do not fit so many clients, or would not keep their secrets.
        """
        crowd = Crowd.of(clients, corrupt=self.corrupt, dropout=self.dropout)
        if self.threshold is None and self.degree is None:
            return self._default(crowd)
        degree = clients - 1 if self.degree is None else min(self.degree, clients - 1)
        require_degree(clients, degree)
        density = crowd.assess(degree, self._threshold(crowd, degree))
        among("threshold", density.threshold, degree + 1, "members of a neighbourhood")
        if not self._keeps_secrets(density):
            least = crowd.lowest_threshold(degree, self.security_bits)
            advice = "a larger degree" if least is None else f"a threshold of at least {least}"
            raise ValueError(
                f"threshold, degree: got {density.threshold} and {degree}, which would expose "
                f"clients when {crowd.corrupt} of {clients} are corrupt; expected {advice}"
            )
        return density

    def threshold_for(self, roster: Sequence[int]) -> int:
        """Return how many clients rebuild a seed when these are invited."""
        return self.density(len(roster)).threshold

    def min_survivors_for(self, roster: Sequence[int]) -> int:
        """Return the fewest clients whose sum may be opened when these are invited."""
        if self.min_survivors is not None:
            return super().min_survivors_for(roster)
        density, clients = self.density(len(roster)), len(roster)
        if density.degree == clients - 1:
            return density.threshold
        return clients - Crowd.of(clients, corrupt=self.corrupt, dropout=self.dropout).lost

    def parameters_for(
        self,
        encoding: FixedPoint,  # noqa: ARG002
        roster: Sequence[int],
    ) -> dict[str, bytes]:
        """Return the degree of the graph, which a session binds."""
        return {"degree": str(self.density(len(roster)).degree).encode()}

    def server(self, session: Session, name: str, credentials: Credentials) -> Party:  # noqa: ARG002
        """Return the server."""
        return Server(session, credentials, threads=self.threads)

    def client(
        self, session: Session, client: int, update: ArrayLike | None, credentials: Credentials
    ) -> Contributor:
        """Return a client.

        Raises
        ------
        ProtocolError
            When the session would expose the client.
        """
        self.require_safe(session)
        return Client(session, client, update, credentials, threads=self.threads)

    def require_safe(self, session: Session) -> None:
        """Refuse a session whose graph and threshold would expose clients, as a client does.

        Raises
        ------
        ProtocolError
            When corrupt clients, as many as are assumed, could take an honest one's seeds.
        """
        clients = len(session.roster)
        corrupt = Crowd.of(clients, corrupt=self.corrupt, dropout=0.0).corrupt
        crowd = Crowd(clients, corrupt, clients - session.min_survivors)
        density = crowd.assess(_degree_of(session), session.threshold)
        if not self._keeps_secrets(density):
            raise ProtocolError(
                f"session: threshold {session.threshold}, degree {density.degree} and "
                f"min_survivors {session.min_survivors} expose clients when {corrupt} of {clients} "
                "are corrupt"
            )
        if session.threshold > density.degree + 1:
            raise ProtocolError(
                f"session: threshold {session.threshold} is beyond the {density.degree} neighbours "
                "of a client"
            )

    def _default(self, crowd: Crowd) -> Density:
        sparse = choose_degree(
            crowd.clients,
            corrupt=self.corrupt,
            dropout=self.dropout,
            security_bits=self.security_bits,
        )
        return sparse if _WORTH * sparse.degree < crowd.clients else crowd.complete()

    def _threshold(self, crowd: Crowd, degree: int) -> int:
        if self.threshold is not None:
            return self.threshold
        if degree == crowd.clients - 1:
            return crowd.complete().threshold
        return crowd.lowest_threshold(degree, self.security_bits) or degree

    def _keeps_secrets(self, density: Density) -> bool:
        together = np.logaddexp2(density.log2_secrecy, density.log2_connectivity)
        return bool(together <= -self.security_bits)


def _needed(session: Session) -> int:
    """Return how many clients it takes to go on."""
    return max(session.threshold, session.min_survivors)


def _words_of(session: Session) -> np.dtype[Any]:
    """Return the words that hold the sum of all clients' digits."""
    digits: Digits = session.digits
    return word_dtype(len(session.roster) * digits.digit_limit)


def _degree_of(session: Session) -> int:
    """Return the degree of the graph that a session binds.

    Raises
    ------
    ProtocolError
        When it binds none that its roster can have.
    """
    text = dict(session.parameters).get("degree", b"")
    if not text.isdigit() or len(text) > len(str(len(session.roster))):
        raise ProtocolError("session: it binds no degree")
    try:
        require_degree(len(session.roster), int(text))
    except ValueError as error:
        raise ProtocolError(f"session: {error}") from None
    return int(text)


def _self_key(session: Session, seed: bytes) -> bytes:
    """Return the key of a client's self mask, apart from the seed, of which a digest is public."""
    return derive_key(
        seed,
        purpose="masking: self mask",
        session_id=session.id,
        round_number=session.round,
        keys=[],
    )


def _pair_key(
    session: Session, pair: KeyPair, own: Advertise, peer: Advertise, *, model: bytes = b""
) -> bytes:
    """Return the key of the mask that two clients of one model have in common, by one's key pair.

    Of two models they have none in common, and nothing cancels.
    """
    ends = sorted((end.mask_key, end.sender.encode()) for end in (own, peer))
    return derive_key(
        pair.agree(peer.mask_key),
        purpose="masking: pairwise mask",
        session_id=session.id,
        round_number=session.round,
        keys=[*(part for end in ends for part in end), model],
    )
