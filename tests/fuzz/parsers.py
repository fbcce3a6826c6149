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

from veilsum import paillier, shamir
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
from veilsum.protocols.base import ID_BYTES, Message, decode
from veilsum.protocols.paillier import Combined, Encrypted, Opened
from veilsum.protocols.plain import Update
from veilsum.protocols.sharing import Dealing, Heard, Summed, Survivors
from veilsum.shamir import challenge, verifiable
from veilsum.shamir.authenticated import SignedShare, sign

MESSAGES = (Update, Encrypted, Combined, Opened, Dealing, Heard, Survivors, Summed)
ADDRESS = {"session_id": bytes(range(ID_BYTES)), "sender": "client-1", "recipient": "sérver"}
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
        "message": Parser(
            lambda data: decode(data, MESSAGES).to_bytes(),
            OF_A_SHARE,
            tuple(message.to_bytes() for message in _messages(encrypted[1], shares)),
        ),
    }


def _messages(ciphertexts: bytes, shares: list[shamir.Shares]) -> Iterator[Message]:
    yield Update(digits=np.array([-5, 7]), **ADDRESS)
    yield Encrypted(ciphertexts=ciphertexts, **ADDRESS)
    yield Combined(clients=(0, 2, 3), ciphertexts=ciphertexts, **ADDRESS)
    yield Opened(digit_sums=np.array([2, -3]), **ADDRESS)
    yield from (kind(shares=one, **ADDRESS) for kind in (Dealing, Summed) for one in shares)
    yield from (kind(clients=(1, 4), **ADDRESS) for kind in (Heard, Survivors))


@contextmanager
def _quick_passwords() -> Iterator[None]:
    """Make keys of passwords without the work that guessing them should cost."""

    def cipher(password: bytes, salt: bytes, cost: int) -> AESGCM:
        return AESGCM(hashlib.blake2b(password + salt + bytes([cost]), digest_size=32).digest())

    with mock.patch.object(keys, "_password_cipher", cipher):
        yield
