"""Every parser of bytes in the package, with bytes to start from and the errors it documents."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from veilsum import paillier, protocols, shamir
from veilsum.channel import Directory, Identity
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    DuplicateShare,
    InvalidCiphertext,
    InvalidKey,
    InvalidShare,
    KeyMismatch,
)
from veilsum.field import PrimeField
from veilsum.paillier import keys
from veilsum.protocols import (
    Aggregator,
    Heartbeat,
    InMemoryTransport,
    Masking,
    Plain,
    Session,
    Sharing,
    resume,
    suspend,
)
from veilsum.protocols.base import Message, decode
from veilsum.protocols.paillier import Combined, Encrypted, Opened
from veilsum.protocols.session import DIGEST_BYTES
from veilsum.protocols.threshold_paillier import Decrypted
from veilsum.shamir import challenge, verifiable
from veilsum.shamir.authenticated import SignedShare, sign

MESSAGES = (
    *dict.fromkeys(kind for aggregator in protocols._AGGREGATORS for kind in aggregator.messages),
    Heartbeat,
)
ADDRESS = {
    "session_id": bytes(range(DIGEST_BYTES)),
    "sender": "client-1",
    "recipient": "sérver",
    "signature": bytes(range(64)),
}
PASSWORD = b"correct horse"
OF_A_SHARE = (DeserializationError, InvalidShare, DuplicateShare)
OF_A_KEY = (DeserializationError, InvalidKey)
OF_CIPHERTEXTS = (DeserializationError, KeyMismatch, InvalidCiphertext, BudgetExceeded)


@dataclass(frozen=True)
class Parser:
    """Reads bytes and writes what it read; refuses by these errors alone."""

    read: Callable[[bytes], bytes]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]

    def accepts(self, data: bytes) -> bool:
        """Whether it reads the bytes, which then are the only ones for what was read."""
        try:
            written = self.read(data)
        except self.refusals:
            return False
        assert written == data, f"read {data!r}, which is written as {written!r}"
        return True


def parsers() -> dict[str, Parser]:
    """Make them for one small key; the seeds are the same each time."""
    with mock.patch("os.urandom", random.Random(5).randbytes), _quick_passwords():
        return _parsers()


def _parsers() -> dict[str, Parser]:
    p, q = 0xF3A1C0DE1234569F, 0xD1B54A32D192ED83
    private = paillier.PrivateKey(p, q, p * q - 9, insecure=True)
    public = private.public_key
    numbers = [public.encrypt(values) for values in (7, [1.5, -2.5, 3.25], np.zeros((0, 2), int))]
    packed = [
        public.encrypt_packed(values, bound=2.0, bits=bits, additions=3)
        for values, bits in (([0.5, -1.0] * 7, 12), (np.ones((2, 1)), 1))
    ]
    encrypted = [array.to_bytes() for array in (*numbers, *packed)]
    certificate = paillier.certify(private)
    _, proof = paillier.encrypt_with_proof(public, [1, 2], context=b"fuzz")
    safe = (2**64 - 1469, 7 * 2**61 - 4365)
    shared, held = paillier.deal_key(holders=3, threshold=2, primes=safe, insecure=True)
    answer = held[0].decrypt(shared.public_key.encrypt([1, 2]), context=b"fuzz")
    shares = [
        shamir.split(np.array([3, -4]), shares=3, threshold=2),
        shamir.split(np.array([[True]]), shares=1, threshold=1, field=PrimeField(13))[:0],
    ]
    dealt = [share.to_bytes() for share in shares]
    dealer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signed = sign(shares[0], dealer, context=b"fuzz")
    verified = [
        verifiable.deal(bytes(range(32)), shares=3, threshold=2),
        verifiable.deal(5, shares=2, threshold=1, scheme="feldman"),
    ]
    masked = [challenge.deal_masks(dealing) for dealing in shares if len(dealing)]
    committed, opening = challenge.commit(masked[0][1])
    answers = [challenge.Answers(points=one.shares.points, values=one.masks) for one in masked]
    exported = private.to_bytes()
    identity = Identity.generate()
    directory = Directory({"client-1": identity.public, "sérver": Identity.generate().public})

    def read_sealed(data: bytes) -> bytes:
        with _quick_passwords():
            key = paillier.PrivateKey.from_bytes(data, PASSWORD, insecure=True)
        assert key.to_bytes() == exported, "altered bytes were opened"
        return data

    def read_ciphertexts(data: bytes) -> bytes:
        return paillier.CipherArray.from_bytes(data, public).to_bytes()

    return {
        "public key": Parser(
            lambda data: paillier.PublicKey.from_bytes(data, insecure=True).to_bytes(),
            OF_A_KEY,
            (public.to_bytes(),),
        ),
        "private key": Parser(
            lambda data: paillier.PrivateKey.from_bytes(data, insecure=True).to_bytes(),
            OF_A_KEY,
            (exported,),
        ),
        "sealed key": Parser(read_sealed, OF_A_KEY, (private.to_bytes(PASSWORD),)),
        "ciphertexts": Parser(read_ciphertexts, OF_CIPHERTEXTS, tuple(encrypted[:3])),
        "packed ciphertexts": Parser(
            lambda data: paillier.PackedArray.from_bytes(data, public).to_bytes(),
            OF_CIPHERTEXTS,
            tuple(encrypted[3:]),
        ),
        "updates": Parser(
            lambda data: paillier.aggregate([data], public).to_bytes(),
            OF_CIPHERTEXTS,
            tuple(encrypted),
        ),
        "certificate": Parser(
            lambda data: paillier.KeyCertificate.from_bytes(data).to_bytes(),
            (DeserializationError,),
            (certificate.to_bytes(),),
        ),
        "proof": Parser(
            lambda data: paillier.PlaintextProof.from_bytes(data).to_bytes(),
            (DeserializationError,),
            (proof.to_bytes(),),
        ),
        "threshold key": Parser(
            lambda data: paillier.ThresholdKey.from_bytes(data, insecure=True).to_bytes(),
            OF_A_KEY,
            (shared.to_bytes(),),
        ),
        "key share": Parser(
            lambda data: paillier.KeyShare.from_bytes(data, shared).to_bytes(),
            (DeserializationError, InvalidKey, KeyMismatch),
            (held[1].to_bytes(),),
        ),
        "decryption share": Parser(
            lambda data: paillier.DecryptionShare.from_bytes(data, shared).to_bytes(),
            (DeserializationError, InvalidCiphertext, KeyMismatch),
            (answer.to_bytes(),),
        ),
        "shares": Parser(
            lambda data: shamir.Shares.from_bytes(data).to_bytes(), OF_A_SHARE, tuple(dealt)
        ),
        "signed share": Parser(
            lambda data: SignedShare.from_bytes(data).to_bytes(),
            OF_A_SHARE,
            tuple(share.to_bytes() for share in signed),
        ),
        "commitment": Parser(
            lambda data: verifiable.Commitment.from_bytes(data).to_bytes(),
            (DeserializationError,),
            tuple(commitment.to_bytes() for commitment, _ in verified),
        ),
        "verifiable share": Parser(
            lambda data: verifiable.VerifiableShare.from_bytes(data).to_bytes(),
            (DeserializationError, InvalidShare),
            tuple(held[0].to_bytes() for _, held in verified),
        ),
        "committed sum": Parser(
            lambda data: challenge.Commitment.from_bytes(data).to_bytes(),
            (DeserializationError,),
            (committed.to_bytes(),),
        ),
        "opened sum": Parser(
            lambda data: challenge.Opening.from_bytes(data).to_bytes(),
            OF_A_SHARE,
            (opening.to_bytes(),),
        ),
        "masked shares": Parser(
            lambda data: challenge.MaskedShares.from_bytes(data).to_bytes(),
            OF_A_SHARE,
            tuple(one.to_bytes() for one in masked),
        ),
        "answers": Parser(
            lambda data: challenge.Answers.from_bytes(data).to_bytes(),
            (DeserializationError,),
            tuple(one.to_bytes() for one in answers),
        ),
        "identity": Parser(
            lambda data: Identity.from_bytes(data).to_bytes(), OF_A_KEY, (identity.to_bytes(),)
        ),
        "directory": Parser(
            lambda data: Directory.from_bytes(data).to_bytes(),
            OF_A_KEY,
            (directory.to_bytes(), Directory({}).to_bytes()),
        ),
        "session": Parser(
            lambda data: Session.from_bytes(data).to_bytes(),
            (DeserializationError,),
            tuple(_sessions(directory)),
        ),
        "message": Parser(
            lambda data: decode(data, MESSAGES).to_bytes(),
            OF_A_SHARE,
            tuple(message.to_bytes() for message in _messages(encrypted[1])),
        ),
        "suspended client": _suspended(Masking(threads=1)),
        "suspended peer": _suspended(Sharing(threads=1)),
    }


def _sessions(directory: Directory) -> Iterator[bytes]:
    yield Plain().open_session([4], length=1, directory=directory).to_bytes()
    wide = FixedPoint.decimal(20, bound=1e6)
    session = Sharing(holders=3).open_session(
        range(5), length=2, encoding=wide, model_digest=b"model", directory=directory
    )
    yield session.to_bytes()


def _suspended(aggregator: Aggregator) -> Parser:
    """Read what a client of a round of three has been written as after each of its messages."""
    session = aggregator.open_session(range(3), length=2)
    parties = aggregator.parties(session, {client: [0.5, -1.0] for client in range(3)})
    client = next(party for party in parties if party.name == "client-1")
    credentials, seeds = client.credentials, [suspend(client)]

    queue = [message for party in parties for message in party.start()]
    for message in queue:
        recipient = next(party for party in parties if party.name == message.recipient)
        queue += recipient.receive(message)
        if recipient is client:
            seeds.append(suspend(client))

    def read(data: bytes) -> bytes:
        party = aggregator.client(session, 1, None, credentials)
        resume(party, data)
        return suspend(party)

    return Parser(read, (DeserializationError,), tuple(seeds))


def _messages(ciphertexts: bytes) -> Iterator[Message]:
    yield Encrypted(ciphertexts=ciphertexts, **ADDRESS)
    yield Combined(clients=(0, 2, 3), ciphertexts=ciphertexts, **ADDRESS)
    yield Opened(digit_sums=np.array([2, -3]), **ADDRESS)
    yield Decrypted(share=b"share", **ADDRESS)
    yield from _sent(Plain(), Masking(threads=1), Sharing(threads=1), Sharing(holders=3, threads=1))
    yield Heartbeat(beat=3, **ADDRESS)
    yield Heartbeat(beat=0, **(ADDRESS | {"signature": b""}))


def _sent(*aggregators: Aggregator) -> Iterator[Message]:
    """One message of each class that the parties of a round send."""
    for aggregator in aggregators:
        first: dict[type[Message], Message] = {}

        def record(message: Message, first: dict[type[Message], Message] = first) -> bool:
            first.setdefault(type(message), message)
            return False

        aggregator.aggregate(np.ones((3, 2)), transport=InMemoryTransport(drop=record))
        yield from first.values()


@contextmanager
def _quick_passwords() -> Iterator[None]:
    """Make keys of passwords without the work that guessing them should cost."""

    def cipher(password: bytes, salt: bytes, cost: int) -> AESGCM:
        return AESGCM(hashlib.blake2b(password + salt + bytes([cost]), digest_size=32).digest())

    with mock.patch.object(keys, "_password_cipher", cipher):
        yield
