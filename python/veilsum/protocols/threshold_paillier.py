"""Summing under Paillier's encryption, with a key that a dealer has split among holders.

Round 1. Every client encrypts its digits under the public key, many to a ciphertext.
Round 2. The aggregator multiplies the ciphertexts, which adds what they hide, and hands the
product to every key holder.
Round 3. Every key holder returns its decryption share, once a session, with a proof that it is
right. The aggregator opens the sum with any `threshold` shares whose proofs hold.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import KeyMismatch, ProtocolError
from veilsum.protocols.aggregator import Aggregator
from veilsum.protocols.base import Contributor, Credentials, Message, Party, Phase, state
from veilsum.protocols.paillier import (
    AGGREGATOR,
    CAPACITY,
    Adder,
    Client,
    Combined,
    Encrypted,
    Opener,
)
from veilsum.protocols.session import Session
from veilsum.wire import Reader, Writer, length_prefixed

__all__ = ["Collector", "Decrypted", "Decryptor", "ThresholdPaillier"]

_HOLDERS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Decrypted(Message):
    """Round 3, key holder to aggregator: its share of the sum.

    Parameters
    ----------
    share : bytes
        A `DecryptionShare` of the ciphertexts that it was handed.
    """

    share: bytes = field(repr=False)

    label: ClassVar[str] = "threshold_paillier/decrypted"
    phase: ClassVar[Phase] = "open"

    def write(self, writer: Writer) -> None:
        """Append the share."""
        writer.blob(self.share)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the share."""
        return {"share": reader.blob()}


class Collector(Adder):
    """The aggregator: checks the key holders' shares, and opens the sum with those that hold.

    Parameters
    ----------
    session, credentials
        As for `Adder`.
    key : ThresholdKey
        The key whose fingerprint the session binds.
    """

    keeps = ("_collected",)
    hears = (Decrypted,)

    def __init__(
        self, session: Session, credentials: Credentials, *, key: paillier.ThresholdKey
    ) -> None:
        holders = _names(key.holders)
        super().__init__(session, credentials, public_key=key.public_key, holders=holders)
        self._key = key
        self._shares: list[paillier.DecryptionShare] = []

    def await_answers(self) -> None:
        """Wait for the shares, of which `threshold` are enough."""
        self.gather(
            Decrypted,
            self._holders,
            each=self._collect,
            then=self.close,
            least=self.session.threshold,
        )

    def _collect(self, decrypted: Decrypted) -> None:
        share = paillier.DecryptionShare.from_bytes(
            decrypted.share, self._key, max_size=len(self.total.vector)
        )
        if self._holders[share.holder - 1] != decrypted.sender:
            raise ProtocolError(f"the share is that of {self._holders[share.holder - 1]}")
        self._shares.append(share)

    @property
    def _collected(self) -> list[bytes]:
        return [share.to_bytes() for share in self._shares]

    @_collected.setter
    def _collected(self, shares: list[bytes]) -> None:
        self._shares = [paillier.DecryptionShare.from_bytes(data, self._key) for data in shares]

    @state("open")
    def close(self) -> list[Message]:
        """End with the sum that the valid shares open, and with the names of the liars."""
        digit_sums, liars = self._key.combine(self.total, self._shares, context=self.session.id)
        sums = self.session.decode(digit_sums, summands=len(self._survivors))
        names = tuple(self._holders[number - 1] for number in liars)
        self.conclude(sums, self._survivors, names)
        return []


class Decryptor(Opener):
    """Has a share of the private key, with which alone nothing opens.

    Parameters
    ----------
    session, credentials, answered
        As for `Opener`.
    key_share : KeyShare
        Of the key whose fingerprint the session binds.
    threads : int or None
        Threads for the share; None means all cores.
    """

    keeps = ()

    def __init__(
        self,
        session: Session,
        credentials: Credentials,
        *,
        key_share: paillier.KeyShare,
        answered: set[bytes],
        threads: int | None,
    ) -> None:
        key = key_share.key
        name = _names(key.holders)[key_share.holder - 1]
        super().__init__(session, name, credentials, public_key=key.public_key, answered=answered)
        self._key_share = key_share
        self._threads = threads

    def answer(self, combined: paillier.PackedArray) -> Message:
        """Return the decryption share, whose proof is bound to the session and this holder."""
        share = self._key_share.decrypt(combined, context=self.session.id, threads=self._threads)
        return Decrypted(
            session_id=self.session.id,
            sender=self.name,
            recipient=AGGREGATOR,
            share=share.to_bytes(),
        )


class ThresholdPaillier(Aggregator):
    """Updates are encrypted under a key that no one has, and any `threshold` key holders open sums.

    ============== ====================================================================
    adversary      semi-honest aggregator and clients; key holders may do anything: a
                   share whose proof does not hold is left out, and its holder named;
                   the dealer of the key is trusted
    collusion      up to ``threshold - 1`` key holders together learn nothing, and with
                   the aggregator no more than the sum; `threshold` of them with the
                   aggregator read every update
    dropouts       any client, down to `min_survivors`; key holders that vanish or lie,
                   as long as `threshold` others answer
    leaks          the sum to the aggregator, the roster and who survived to the key
                   holders as well
    ============== ====================================================================

    The key is made by a trusted dealer (`veilsum.paillier.deal_key`), which sees all of it, could
    read every update, and has to forget it. Without `keys` this object is the dealer, and all
    shares stay in its process: that serves simulation. A deployment deals once on a machine of its
    own; every party makes this object with the threshold key, and each key holder with its share.

    An aggregator that does not keep to the protocol can hand the key holders one client's
    ciphertexts in the place of the sum: they see that it has the form of a sum, and not whose it
    is. What they prevent is a second answer: a holder answers once a session, so that with a
    `threshold` above half of the holders, as by default, honest ones open one array a session at
    most; with a lower one an aggregator that shows two lists of survivors learns two sums and from
    their difference an update. That a session was answered is remembered in memory, as long as
    this object lives.

    Parameters
    ----------
    min_survivors : int, optional
        The fewest clients whose sum a key holder helps to open: two by default, since the sum of
        one is its update; one in a roster of one. The sum of `min_survivors` hides an update from
        all but the others in it, so ask for `c + 2` where `c` clients may collude.
    holders : int, optional
        How many key holders there are, up to 255; 3 by default, or those of `keys`.
    threshold : int, optional
        How many of them open a sum; a majority by default, or that of `keys`.
    key_bits : int
        Bits of a modulus that is generated.
    keys : tuple of (ThresholdKey, sequence of KeyShare), optional
        A dealt key to use instead of a fresh one, and those of its shares that are here.
    insecure : bool
        Allow a `key_bits` that is too short to protect anything, for tests.
    threads : int, optional
        Threads for encryption and decryption; all cores by default.

    Raises
    ------
    KeyMismatch
        When a share is of another key than the threshold key.
    ValueError
        When `holders` or `threshold` is out of range, or another one than that of `keys`.

    Attributes
    ----------
    key : ThresholdKey
        What everybody knows of the key.
    setup_seconds : float
        For the key and its shares.

    Examples
    --------
    >>> from veilsum import paillier
    >>> keys = paillier.deal_key(holders=3, threshold=2, bits=2048)
    >>> aggregator = ThresholdPaillier(keys=keys)
    >>> aggregator.aggregate([[0.5, -2.0], [0.25, 1.0]]).sum
    array([ 0.75, -1.  ])

    A key holder that vanishes or lies changes nothing:

    >>> from dataclasses import replace
    >>> from veilsum.protocols import InMemoryTransport
    >>> def lie(message):
    ...     if not isinstance(message, Decrypted) or message.sender != "holder-2":
    ...         return message
    ...     share = paillier.DecryptionShare.from_bytes(message.share, keys[0])
    ...     return replace(message, share=replace(share, response=share.response + 1).to_bytes())
    >>> result = aggregator.aggregate([[0.5], [0.25]], transport=InMemoryTransport(lie=lie))
    >>> result.sum, result.liars
    (array([0.75]), ('holder-2',))
    """

    name = "threshold_paillier"
    messages = (Encrypted, Combined, Decrypted)

    def __init__(
        self,
        *,
        min_survivors: int | None = None,
        holders: int | None = None,
        threshold: int | None = None,
        key_bits: int = 3072,
        keys: tuple[paillier.ThresholdKey, Sequence[paillier.KeyShare]] | None = None,
        insecure: bool = False,
        threads: int | None = None,
    ) -> None:
        begin = perf_counter()
        if keys is None:
            count = _HOLDERS if holders is None else holders
            few = count // 2 + 1 if threshold is None else threshold
            keys = paillier.deal_key(holders=count, threshold=few, bits=key_bits, insecure=insecure)
        key, shares = keys
        self.setup_seconds = perf_counter() - begin
        _require_fitting(key, shares, holders=holders, threshold=threshold)
        self.min_survivors = min_survivors
        self.key = key
        self.threads = threads
        self._shares = {_names(key.holders)[share.holder - 1]: share for share in shares}
        self._answered: defaultdict[str, set[bytes]] = defaultdict(set)

    @property
    def keys(self) -> tuple[paillier.ThresholdKey, tuple[paillier.KeyShare, ...]]:
        """The public side of the key, and the shares that are here."""
        return self.key, tuple(self._shares.values())

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return the largest magnitude that a sum of these clients' digits may have."""
        return CAPACITY

    def threshold_for(self, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return how many key holders open a sum."""
        return self.key.threshold

    def parameters_for(
        self,
        encoding: FixedPoint,  # noqa: ARG002
        roster: Sequence[int],  # noqa: ARG002
    ) -> dict[str, bytes]:
        """Return the threshold key's fingerprint and the holders, which a session binds."""
        names = (name.encode() for name in _names(self.key.holders))
        return {"key": self.key.fingerprint, "holders": length_prefixed(*names)}

    def staff(self, roster: Sequence[int]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the aggregator and the key holders."""
        return (AGGREGATOR, *_names(self.key.holders))

    def server(self, session: Session, name: str, credentials: Credentials) -> Party:
        """Return the aggregator or a key holder.

        Raises
        ------
        ValueError
            When the key share of that holder is not here.
        """
        if name == AGGREGATOR:
            return Collector(session, credentials, key=self.key)
        if name not in self._shares:
            raise ValueError(
                f"keys: the key share of {name} is not here; pass it, or run elsewhere"
            )
        return Decryptor(
            session,
            credentials,
            key_share=self._shares[name],
            answered=self._answered[name],
            threads=self.threads,
        )

    def client(
        self, session: Session, client: int, update: ArrayLike | None, credentials: Credentials
    ) -> Contributor:
        """Return a client."""
        return Client(
            session,
            client,
            update,
            credentials,
            public_key=self.key.public_key,
            threads=self.threads,
        )


def _names(holders: int) -> tuple[str, ...]:
    return tuple(f"holder-{number}" for number in range(1, holders + 1))


def _require_fitting(
    key: paillier.ThresholdKey,
    shares: Sequence[paillier.KeyShare],
    *,
    holders: int | None,
    threshold: int | None,
) -> None:
    for name, asked, dealt in (
        ("holders", holders, key.holders),
        ("threshold", threshold, key.threshold),
    ):
        if asked is not None and asked != dealt:
            raise ValueError(f"{name}: got {asked}, the key was dealt with {dealt}; leave it out")
    if any(share.key.fingerprint != key.fingerprint for share in shares):
        raise KeyMismatch("keys: a share is of another threshold key; pass those of one deal")
