"""Who speaks, and who alone can read: signatures, key agreement and sealing.

Every primitive is the `cryptography` package's: Ed25519 (RFC 8032) signs, X25519 (RFC 7748) agrees
on secrets, HKDF-SHA256 (RFC 5869) turns a secret into keys, AES-256-GCM (NIST SP 800-38D) seals.
What is here is how they are put together: each derived key serves one purpose, one session and one
direction, and seals one message, so that its nonce is always zero.

That a name belongs to a `PublicIdentity` is not decided here. A `Directory` is as good as the way
by which its entries came: exchange them once, by a channel that is authentic.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from veilsum.errors import AuthenticationError, DeserializationError, InvalidKey
from veilsum.randomness import random_bytes
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = [
    "KEY_BYTES",
    "MAX_NAME_BYTES",
    "SIGNATURE_BYTES",
    "Directory",
    "Identity",
    "KeyPair",
    "PublicIdentity",
    "derive_key",
    "seal",
    "seal_for",
    "unseal",
]

KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_NAME_BYTES = 64
MAX_NAMES = 1 << 24

_PROBE = bytes([1]) * KEY_BYTES  # any private key tells whether a public one gives a secret
# Encodings, without the sign, of the points of edwards25519 whose order divides 8.
_SMALL_ORDER = frozenset(
    bytes.fromhex(encoding)
    for encoding in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
_SUITE = b"X25519+HKDF-SHA256+AES-256-GCM"
_NONCE = bytes(12)  # a key seals once
_SEALED_FOR = "sealed for an identity"


class KeyPair:
    """An X25519 key and its public half, made for one session.

    Parameters
    ----------
    private : bytes
        32 bytes; fresh ones by `generate`.

    Attributes
    ----------
    public : bytes
        32 bytes, for everybody.

    Examples
    --------
    >>> ours, theirs = KeyPair.generate(), KeyPair.generate()
    >>> ours.agree(theirs.public) == theirs.agree(ours.public)
    True
    """

    def __init__(self, private: bytes) -> None:
        _require_bytes("private", private, KEY_BYTES)
        self._key = X25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """Draw a fresh key."""
        return cls(random_bytes(KEY_BYTES).tobytes())

    def agree(self, public: bytes) -> bytes:
        """Return the secret that only the two owners know: 32 bytes, the input of `derive_key`.

        Raises
        ------
        InvalidKey
            When `public` is no key of 32 bytes, or one of the few with which every secret is zero.
        """
        _require_bytes("public", public, KEY_BYTES)
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise InvalidKey(
                "public: the agreed secret is zero, which the key of an honest party never gives"
            ) from None

    def private_bytes(self) -> bytes:
        """Return the private key: 32 bytes, secret."""
        return self._key.private_bytes_raw()

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyPair is secret and is not pickled; see private_bytes")


def derive_key(
    secret: bytes, *, purpose: str, session_id: bytes, round_number: int, keys: Sequence[bytes]
) -> bytes:
    """Turn an agreed secret into the key for one purpose.

    Parameters
    ----------
    secret : bytes
        What `KeyPair.agree` returned.
    purpose : str
        What the key is for; two purposes have independent keys.
    session_id : bytes
        Of the session that it belongs to.
    round_number : int
        The training round, from 0.
    keys : sequence of bytes
        The public keys of the two: the sender's first where the key has a direction, sorted where
        it has none.

    Returns
    -------
    bytes
        32, by HKDF-SHA256 over the length-prefixed list of all of these.

    Raises
    ------
    ValueError
        When the round is none.

    Examples
    --------
    >>> len(derive_key(bytes(32), purpose="mask", session_id=b"s", round_number=0, keys=[]))
    32
    """
    if not 0 <= round_number < 1 << 64:
        raise ValueError(f"round_number: got {round_number}, expected 0 to 2**64 - 1")
    info = length_prefixed(
        b"veilsum/v1",
        purpose.encode(),
        _SUITE,
        session_id,
        round_number.to_bytes(8, "little"),
        *keys,
    )
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret)


def seal(key: bytes, plaintext: bytes, *, header: bytes) -> bytes:
    """Encrypt and authenticate under a key that seals nothing else.

    Parameters
    ----------
    key : bytes
        32 bytes, fresh from `derive_key`: a second message under it would expose both.
    plaintext : bytes
        The secret.
    header : bytes
        What is public and must be the same when it is opened.

    Returns
    -------
    bytes
        16 bytes longer than the plaintext.

    Raises
    ------
    InvalidKey
        When the key has not 32 bytes: a shorter one would be that of a weaker cipher.

    Examples
    --------
    >>> unseal(bytes(32), seal(bytes(32), b"secret", header=b"to 3"), header=b"to 3")
    b'secret'
    """
    _require_bytes("key", key, KEY_BYTES)
    return AESGCM(key).encrypt(_NONCE, plaintext, header)


def unseal(key: bytes, sealed: bytes | memoryview, *, header: bytes) -> bytes:
    """Return what `seal` hid.

    Raises
    ------
    AuthenticationError
        When the bytes, the key or the header are others.
    InvalidKey
        When the key has not 32 bytes.
    """
    _require_bytes("key", key, KEY_BYTES)
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, header)
    except InvalidTag:
        raise AuthenticationError(
            "sealed: the bytes were altered, or sealed for another recipient, session or purpose"
        ) from None


@dataclass(frozen=True)
class PublicIdentity:
    """How others know a party: what checks its signatures, and what seals for it.

    Parameters
    ----------
    verify_key : bytes
        Ed25519, 32 bytes.
    seal_key : bytes
        X25519, 32 bytes.

    Raises
    ------
    InvalidKey
        When a key has another length, or is one of the few that protect nothing.
    """

    verify_key: bytes
    seal_key: bytes

    def __post_init__(self) -> None:
        _require_bytes("verify_key", self.verify_key, KEY_BYTES)
        _require_bytes("seal_key", self.seal_key, KEY_BYTES)
        if self.verify_key[:-1] + bytes([self.verify_key[-1] & 0x7F]) in _SMALL_ORDER:
            raise InvalidKey("verify_key: anybody can sign for it; ask its owner for another")
        KeyPair(_PROBE).agree(self.seal_key)

    @cached_property
    def _verifier(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.verify_key)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature.

        Raises
        ------
        AuthenticationError
            When it is not this party's signature of `data`.
        """
        try:
            self._verifier.verify(signature, data)
        except InvalidSignature:
            raise AuthenticationError("signature: it is not the named signer's") from None


class Identity:
    """A party's long-lived secrets: it signs, and opens what was sealed for it.

    Parameters
    ----------
    signing_key, sealing_key : bytes
        Private keys of Ed25519 and X25519, 32 bytes each; fresh ones by `generate`.

    Attributes
    ----------
    public : PublicIdentity
        For the directory.

    Examples
    --------
    >>> alice = Identity.generate()
    >>> alice.public.verify(alice.sign(b"hello"), b"hello")
    """

    def __init__(self, *, signing_key: bytes, sealing_key: bytes) -> None:
        _require_bytes("signing_key", signing_key, KEY_BYTES)
        self._signer = Ed25519PrivateKey.from_private_bytes(signing_key)
        self._sealing = KeyPair(sealing_key)
        self.public = PublicIdentity(
            self._signer.public_key().public_bytes_raw(), self._sealing.public
        )

    @classmethod
    def generate(cls) -> Self:
        """Draw fresh keys."""
        signing, sealing = (random_bytes(KEY_BYTES).tobytes() for _ in range(2))
        return cls(signing_key=signing, sealing_key=sealing)

    def sign(self, data: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        return self._signer.sign(data)

    def unseal(
        self, sealed: bytes, *, purpose: str, session_id: bytes, round_number: int, header: bytes
    ) -> bytes:
        """Return what `seal_for` hid for this identity.

        Raises
        ------
        AuthenticationError
            When the bytes were altered or sealed for somebody else, or purpose, session, round or
            header are others.
        InvalidKey
            When the sender's key is one that gives no secret.
        """
        sender, body = sealed[:KEY_BYTES], memoryview(sealed)[KEY_BYTES:]
        if len(sender) != KEY_BYTES:
            raise AuthenticationError(f"sealed: got {len(sealed)} bytes, too few to be sealed")
        key = derive_key(
            self._sealing.agree(sender),
            purpose=f"{_SEALED_FOR}: {purpose}",
            session_id=session_id,
            round_number=round_number,
            keys=[sender, self.public.seal_key],
        )
        return unseal(key, body, header=header)

    def to_bytes(self) -> bytes:
        """Export both private keys, in the open: where they lie is the caller's business."""
        writer = Writer(Kind.IDENTITY)
        writer.blob(self._signer.private_bytes_raw())
        writer.blob(self._sealing.private_bytes())
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the identity that `to_bytes` wrote.

        Raises
        ------
        DeserializationError, InvalidKey
            When the bytes are not exactly one identity.
        """
        reader = Reader(data, Kind.IDENTITY)
        signing, sealing = (reader.blob(max_bytes=KEY_BYTES) for _ in range(2))
        reader.finish()
        return cls(signing_key=signing, sealing_key=sealing)

    def __repr__(self) -> str:
        return f"Identity(public={self.public})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Identity is secret and is not pickled; see to_bytes")


def seal_for(
    recipient: PublicIdentity,
    plaintext: bytes,
    *,
    purpose: str,
    session_id: bytes,
    round_number: int,
    header: bytes,
) -> bytes:
    """Seal for a party that is known by its identity alone.

    The sender's half of the key is fresh for each call, so that nothing which the sender keeps can
    open it later. The recipient's half lives as long as its identity: whoever learns that can read
    what was recorded.

    Parameters
    ----------
    recipient : PublicIdentity
        Who can open it.
    plaintext : bytes
        The secret.
    purpose : str
        What it is.
    session_id : bytes
        Of the session that it belongs to.
    round_number : int
        The training round.
    header : bytes
        What is public and must be the same when it is opened.

    Returns
    -------
    bytes
        48 bytes longer than the plaintext. Who sent it is for a signature to say.

    Raises
    ------
    InvalidKey
        When the recipient's key is one that gives no secret.

    Examples
    --------
    >>> bob = Identity.generate()
    >>> where = {"purpose": "greeting", "session_id": b"s", "round_number": 1, "header": b""}
    >>> bob.unseal(seal_for(bob.public, b"hello", **where), **where)
    b'hello'
    """
    fresh = KeyPair.generate()
    key = derive_key(
        fresh.agree(recipient.seal_key),
        purpose=f"{_SEALED_FOR}: {purpose}",
        session_id=session_id,
        round_number=round_number,
        keys=[fresh.public, recipient.seal_key],
    )
    return fresh.public + seal(key, plaintext, header=header)


class Directory(Mapping[str, PublicIdentity]):
    """Which public identity belongs to which name: what the parties of a session have in common.

    Parameters
    ----------
    identities : mapping of str to PublicIdentity
        By name; a name has at most 64 bytes of UTF-8.

    Raises
    ------
    ValueError
        When a name is too long, or two names share a key: one party could then speak, or read what
        is sealed, as both.

    Examples
    --------
    >>> alice = Identity.generate()
    >>> directory = Directory({"alice": alice.public})
    >>> directory["alice"].verify(alice.sign(b"hello"), b"hello")
    """

    def __init__(self, identities: Mapping[str, PublicIdentity]) -> None:
        for name, public in identities.items():
            if not isinstance(public, PublicIdentity):
                kind = type(public).__name__
                raise TypeError(f"identities: {name!r} is {kind}, expected a PublicIdentity")
        long = [name for name in identities if len(name.encode()) > MAX_NAME_BYTES]
        if long:
            raise ValueError(f"identities: a name may have {MAX_NAME_BYTES} bytes; {long} has more")
        for kind in ("verify_key", "seal_key"):
            if len({getattr(public, kind) for public in identities.values()}) < len(identities):
                raise ValueError(f"identities: two names share a {kind}; give each party its own")
        self._identities = dict(sorted(identities.items()))

    def __getitem__(self, name: str) -> PublicIdentity:
        return self._identities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._identities)

    def __len__(self) -> int:
        return len(self._identities)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over all names and keys, in the order of the names: 32 bytes."""
        entries = (
            part
            for name, public in self._identities.items()
            for part in (name.encode(), public.verify_key, public.seal_key)
        )
        return hashlib.sha256(length_prefixed(b"veilsum/directory/v1", *entries)).digest()

    def to_bytes(self) -> bytes:
        """Return the directory behind the wire header."""
        writer = Writer(Kind.DIRECTORY)
        writer.u64(len(self))
        for name, public in self._identities.items():
            writer.text(name)
            writer.blob(public.verify_key)
            writer.blob(public.seal_key)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the directory that `to_bytes` wrote.

        Raises
        ------
        DeserializationError, InvalidKey
            When the bytes are not exactly one directory.
        """
        reader = Reader(data, Kind.DIRECTORY)
        names: list[str] = []
        identities: list[PublicIdentity] = []
        for _ in range(reader.u64(max_value=MAX_NAMES)):
            names.append(reader.text(max_bytes=MAX_NAME_BYTES))
            keys = (reader.blob(max_bytes=KEY_BYTES) for _ in range(2))
            identities.append(PublicIdentity(*keys))
        reader.finish()
        if names != sorted(set(names)):
            raise DeserializationError("directory: its names are not ascending without repetition")
        try:
            return cls(dict(zip(names, identities, strict=True)))
        except ValueError as error:
            raise DeserializationError(f"directory: {error}") from None

    def __repr__(self) -> str:
        return f"Directory({', '.join(self)})"


def _require_bytes(name: str, value: bytes, count: int) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"{name}: got {type(value).__name__}, expected bytes")
    if len(value) != count:
        raise InvalidKey(f"{name}: got {len(value)} bytes, expected {count}")
