"""Summing under Paillier's encryption, with one key that the aggregator does not have.

Round 1. Every client encrypts its digits under the key holder's public key, many to a ciphertext.
Round 2. The aggregator multiplies the ciphertexts, which adds what they hide, and hands the
product to the key holder.
Round 3. The key holder decrypts it, once a session, and returns the sum.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import InvalidCiphertext, KeyMismatch, ProtocolError
from veilsum.protocols.aggregator import Aggregator
from veilsum.protocols.base import Contributor, Credentials, Message, Party, Phase, state
from veilsum.protocols.session import (
    Session,
    client_name,
    read_clients,
    require_survivors,
    write_clients,
)
from veilsum.wire import Reader, Writer

__all__ = [
    "Adder",
    "Client",
    "Combined",
    "Combiner",
    "Encrypted",
    "KeyHolder",
    "Opened",
    "Opener",
    "Paillier",
]

AGGREGATOR = "aggregator"
KEY_HOLDER = "key-holder"
# A slot holds 62 bits and a sign; one bit is spare, since a digit's bound is a power of two.
CAPACITY = 1 << 61


@dataclass(frozen=True, kw_only=True, eq=False)
class Encrypted(Message):
    """Round 1, client to aggregator: the client's digits, encrypted.

    Parameters
    ----------
    ciphertexts : bytes
        A `PackedArray` of shape (width,), of integers.
    """

    ciphertexts: bytes = field(repr=False)

    label: ClassVar[str] = "paillier/encrypted"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the ciphertexts."""
        writer.blob(self.ciphertexts)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the ciphertexts."""
        return {"ciphertexts": reader.blob()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Combined(Message):
    """Round 2, aggregator to key holder: the encrypted sum, and whose it is.

    Parameters
    ----------
    clients : tuple of int
        The survivors, ascending.
    ciphertexts : bytes
        A `PackedArray` of shape (width,), of integers.
    """

    clients: tuple[int, ...]
    ciphertexts: bytes = field(repr=False)

    label: ClassVar[str] = "paillier/combined"
    phase: ClassVar[Phase] = "combine"

    def write(self, writer: Writer) -> None:
        """Append the survivors and the ciphertexts."""
        write_clients(writer, self.clients)
        writer.blob(self.ciphertexts)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the survivors and the ciphertexts."""
        return {"clients": read_clients(reader), "ciphertexts": reader.blob()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened(Message):
    """Round 3, key holder to aggregator: the sum.

    Parameters
    ----------
    digit_sums : ndarray of int64, shape (width,)
        The survivors' digits, added.
    """

    digit_sums: NDArray[np.int64] = field(repr=False)

    label: ClassVar[str] = "paillier/opened"
    phase: ClassVar[Phase] = "open"

    def write(self, writer: Writer) -> None:
        """Append the sums."""
        writer.array(self.digit_sums)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the sums."""
        return {"digit_sums": reader.array(np.int64, max_axes=1)}


class Client(Contributor):
    """Encrypts its update, and is done."""

    keeps = ()

    def __init__(
        self,
        session: Session,
        client: int,
        update: ArrayLike | None,
        credentials: Credentials,
        *,
        public_key: paillier.PublicKey,
        threads: int | None,
    ) -> None:
        super().__init__(session, client_name(client), credentials, update=update)
        self._public_key = public_key
        self._threads = threads

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send the encrypted digits."""
        ciphertexts = self._public_key.encrypt_packed(
            self.session.encode(self.spend()),
            bound=_bound(self.session),
            additions=len(self.session.roster),
            threads=self._threads,
        )
        encrypted = Encrypted(
            session_id=self.session.id,
            sender=self.name,
            recipient=AGGREGATOR,
            ciphertexts=ciphertexts.to_bytes(),
        )
        return [encrypted]


class Adder(Party):
    """The aggregator: adds what it cannot read, and asks those who can open it.

    Parameters
    ----------
    session : Session
        What the parties agreed on.
    credentials : Credentials
        Who it is, and whom it knows.
    public_key : PublicKey
        The key that the updates are encrypted under.
    holders : sequence of str
        Whom it asks.
    """

    keeps: ClassVar[tuple[str, ...]] = ("_added", "_survivors")
    hears: ClassVar[tuple[type[Message], ...]] = (Encrypted,)

    def __init__(
        self,
        session: Session,
        credentials: Credentials,
        *,
        public_key: paillier.PublicKey,
        holders: Sequence[str],
    ) -> None:
        super().__init__(session, AGGREGATOR, credentials)
        self._public_key = public_key
        self._holders = holders
        self._total: paillier.PackedArray | None = None
        self._survivors: tuple[int, ...] = ()

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the encrypted updates."""
        self.gather(
            Encrypted,
            self.session.clients,
            each=self._add,
            then=self.combine,
            least=self.session.min_survivors,
        )
        return []

    def _add(self, encrypted: Encrypted) -> None:
        ciphertexts = _admitted(encrypted.ciphertexts, self._public_key, self.session, summands=1)
        self._total = ciphertexts if self._total is None else self._total + ciphertexts

    @state("combine")
    def combine(self) -> list[Message]:
        """Round 2: hand out the encrypted sum."""
        ciphertexts = self.total.to_bytes()
        self._survivors = self.session.survivors(self.heard)
        self.await_answers()
        return [
            Combined(
                session_id=self.session.id,
                sender=self.name,
                recipient=holder,
                clients=self._survivors,
                ciphertexts=ciphertexts,
            )
            for holder in self._holders
        ]

    @property
    def total(self) -> paillier.PackedArray:
        """The encrypted sum."""
        if self._total is None:
            raise ProtocolError("the aggregator has no encrypted update to combine")
        return self._total

    @property
    def _added(self) -> bytes:
        return b"" if self._total is None else self._total.to_bytes()

    @_added.setter
    def _added(self, data: bytes) -> None:
        self._total = paillier.PackedArray.from_bytes(data, self._public_key) if data else None

    @abstractmethod
    def await_answers(self) -> None:
        """Gather what the holders answer."""


class Combiner(Adder):
    """The aggregator that learns the sum from the one key holder."""

    keeps = ()
    hears = (Opened,)

    def __init__(
        self, session: Session, credentials: Credentials, *, public_key: paillier.PublicKey
    ) -> None:
        super().__init__(session, credentials, public_key=public_key, holders=[KEY_HOLDER])
        self._digit_sums = np.zeros(0, np.int64)

    def await_answers(self) -> None:
        """Wait for the sum."""
        self.gather(Opened, self._holders, each=self._learn, then=self.close)

    def _learn(self, opened: Opened) -> None:
        if not self.session.admits(opened.digit_sums, summands=len(self._survivors)):
            raise ProtocolError("the key holder's sum is beyond what the survivors can have sent")
        self._digit_sums = opened.digit_sums

    @state("open")
    def close(self) -> list[Message]:
        """End with the sum."""
        sums = self.session.decode(self._digit_sums, summands=len(self._survivors))
        self.conclude(sums, self._survivors)
        return []


class Opener(Party):
    """Has a secret, sees encrypted sums alone, and helps to open one of them a session.

    Parameters
    ----------
    session : Session
        What the parties agreed on.
    name : str
        Its name.
    credentials : Credentials
        Who it is, and whom it knows.
    public_key : PublicKey
        The key that sums are encrypted under.
    answered : set of bytes
        Ids of the sessions that this party has answered; kept from round to round, in memory alone:
        a process that restarts with the same key and session would answer once more.
    """

    keeps: ClassVar[tuple[str, ...]] = ()
    hears = (Combined,)

    def __init__(
        self,
        session: Session,
        name: str,
        credentials: Credentials,
        *,
        public_key: paillier.PublicKey,
        answered: set[bytes],
    ) -> None:
        super().__init__(session, name, credentials)
        self._public_key = public_key
        self._answered = answered
        self._combined: paillier.PackedArray | None = None

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the encrypted sum."""
        self.gather(Combined, [AGGREGATOR], each=self._take, then=self.open)
        return []

    def _take(self, combined: Combined) -> None:
        require_survivors(combined.clients, self.session, self.session.roster)
        if self.session.id in self._answered:
            raise ProtocolError("the key holder answers once a session, and has")
        self._combined = _admitted(
            combined.ciphertexts, self._public_key, self.session, summands=len(combined.clients)
        )

    @state("open")
    def open(self) -> list[Message]:
        """Round 3: answer, for the only time in this session."""
        if self._combined is None:
            raise ProtocolError("the key holder has no encrypted sum to open")
        self._answered.add(self.session.id)
        return [self.answer(self._combined)]

    @abstractmethod
    def answer(self, combined: paillier.PackedArray) -> Message:
        """Return what opens the sum, or helps to."""


class KeyHolder(Opener):
    """Has the private key and opens the sum alone.

    Parameters
    ----------
    session, credentials, answered
        As for `Opener`.
    private_key : PrivateKey
        The key whose fingerprint the session binds.
    threads : int or None
        Threads for decryption; None means all cores.
    """

    keeps = ()

    def __init__(
        self,
        session: Session,
        credentials: Credentials,
        *,
        private_key: paillier.PrivateKey,
        answered: set[bytes],
        threads: int | None,
    ) -> None:
        public_key = private_key.public_key
        super().__init__(session, KEY_HOLDER, credentials, public_key=public_key, answered=answered)
        self._private_key = private_key
        self._threads = threads

    def answer(self, combined: paillier.PackedArray) -> Message:
        """Return the decrypted sum."""
        return Opened(
            session_id=self.session.id,
            sender=self.name,
            recipient=AGGREGATOR,
            digit_sums=self._private_key.decrypt(combined, threads=self._threads),
        )


class Paillier(Aggregator):
    """Updates are encrypted under one key; aggregator and key holder are different parties.

    ============== ====================================================================
    adversary      semi-honest aggregator, key holder and clients
    collusion      the aggregator and the key holder together read every update; any
                   other coalition learns no more than the sum
    dropouts       any client, down to `min_survivors`; neither of the two others
    leaks          the sum and the roster, to both
    ============== ====================================================================

    Digits share ciphertexts, as many as their sums leave room for: with 8 clients, the default
    encoding and 3072 bits these are 53.

    That a session is answered once is remembered in memory, as long as the aggregator lives.

    Parameters
    ----------
    min_survivors : int, optional
        The fewest clients whose sum the key holder opens: two by default, since the sum of one is
        its update; one in a roster of one. The sum of `min_survivors` hides an update from all
        but the others in it, so ask for `c + 2` where `c` clients may collude.
    key_bits : int
        Bits of a modulus that is generated.
    keys : tuple of (PublicKey, PrivateKey or None), optional
        A pair of keys to use instead of a fresh one. In a deployment only the key holder has the
        private one; everybody else leaves it out.
    insecure : bool
        Allow a `key_bits` that is too short to protect anything, for tests.
    threads : int, optional
        Threads for encryption and decryption; all cores by default.

    Raises
    ------
    KeyMismatch
        When the two keys are no pair.

    Attributes
    ----------
    setup_seconds : float
        For the keys and the table of powers that encryption uses.

    Examples
    --------
    >>> from veilsum import paillier
    >>> aggregator = Paillier(keys=paillier.keygen(bits=2048))
    >>> aggregator.aggregate([[0.5, -2.0], [0.25, 1.0]]).sum
    array([ 0.75, -1.  ])
    """

    name = "paillier"
    messages = (Encrypted, Combined, Opened)

    def __init__(
        self,
        *,
        min_survivors: int | None = None,
        key_bits: int = 3072,
        keys: tuple[paillier.PublicKey, paillier.PrivateKey | None] | None = None,
        insecure: bool = False,
        threads: int | None = None,
    ) -> None:
        begin = perf_counter()
        public, private = (
            paillier.keygen(bits=key_bits, insecure=insecure) if keys is None else keys
        )
        self.setup_seconds = perf_counter() - begin
        if private is not None and private.public_key.fingerprint != public.fingerprint:
            raise KeyMismatch("keys: the public key is not the private key's; pass a pair")
        self.min_survivors = min_survivors
        self.public_key = public
        self.threads = threads
        self._private_key = private
        self._answered: set[bytes] = set()

    @property
    def keys(self) -> tuple[paillier.PublicKey, paillier.PrivateKey | None]:
        """The public key, and the private one where it is here."""
        return self.public_key, self._private_key

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return the largest magnitude that a sum of these clients' digits may have."""
        return CAPACITY

    def parameters_for(
        self,
        encoding: FixedPoint,  # noqa: ARG002
        roster: Sequence[int],  # noqa: ARG002
    ) -> dict[str, bytes]:
        """Return the key's fingerprint, which a session binds."""
        return {"key": self.public_key.fingerprint}

    def staff(self, roster: Sequence[int]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the aggregator and the key holder."""
        return AGGREGATOR, KEY_HOLDER

    def server(self, session: Session, name: str, credentials: Credentials) -> Party:
        """Return the aggregator or the key holder.

        Raises
        ------
        ValueError
            When the private key is not here.
        """
        if name == AGGREGATOR:
            return Combiner(session, credentials, public_key=self.public_key)
        if self._private_key is None:
            raise ValueError("keys: the private key is not here; pass it, or run elsewhere")
        return KeyHolder(
            session,
            credentials,
            private_key=self._private_key,
            answered=self._answered,
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
            public_key=self.public_key,
            threads=self.threads,
        )


def _bound(session: Session) -> float:
    """Return the bound of an encrypted digit: a power of two, which is exact as a float."""
    return 2.0 ** (session.digits.digit_limit - 1).bit_length()


def _admitted(
    data: bytes, public_key: paillier.PublicKey, session: Session, *, summands: int
) -> paillier.PackedArray:
    """Return the ciphertexts of a sum of that many updates, unless they cannot be that."""
    ciphertexts = paillier.PackedArray.from_bytes(data, public_key, max_size=session.width)
    got = (
        ciphertexts.shape,
        ciphertexts.bits,
        ciphertexts.bound,
        ciphertexts.additions,
        ciphertexts.used,
    )
    expected = ((session.width,), 0, _bound(session), len(session.roster), summands)
    if got != expected:
        raise ProtocolError(
            f"ciphertexts: got (shape, bits, bound, additions, used) {got}, "
            f"expected {expected} in this session"
        )
    if ciphertexts.is_trivial():
        raise InvalidCiphertext("ciphertexts: got a 1, which hides nothing; encrypt anew")
    return ciphertexts
