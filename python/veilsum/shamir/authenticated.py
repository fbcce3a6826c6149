"""Shares that the dealer signed: whoever alters one only erases it.

An altered share costs a decoder two others; one that is known to be altered costs one. So of the
shares of one dealing, up to ``shares - threshold`` may be altered when they are signed.

The dealer cuts each row into chunks of 64 KiB and hashes them into a tree, the roots of the rows
into another, and signs what a holder has to know beside its row: the public header, all points, the
root, and a `context` of the caller: who deals, to whom, in which session and round. A holder passes
on its row with the siblings on the way to the root, and nobody else's row is needed to check it.

The trees are those of RFC 6962, section 2.1: ``H(0x00 | leaf)``, ``H(0x01 | left | right)``, where
a node without a sibling moves up as it is, and H is SHA-256. So no leaf passes for a node, and the
numbers of rows and of chunks, both signed, fix the shape. Signatures are Ed25519 (RFC 8032).

A hash of a share does not hide it: `threshold` - 1 holders who guess the secret could compute the
row of another one from the guess and compare its hash. The leaves of each row therefore begin with
32 random bytes, the row's salt, which only its holder gets. It is as secret as the row.

Holders' sums of shares are signed by nobody: see `veilsum.shamir.challenge`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from numpy.typing import NDArray

from veilsum.errors import (
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.randomness import random_bytes
from veilsum.shamir.shares import Shares
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = ["SignedShare", "authentic", "sign"]

_DOMAIN = b"veilsum/v1 signed shares"
_CHUNK_BYTES = 1 << 16
_HASH_BYTES = 32
_SALT_BYTES = 32
_SIGNATURE_BYTES = 64
_MAX_DEPTH = 64
_LEAF, _INNER = b"\x00", b"\x01"


def sign(
    shares: Shares, private_key: Ed25519PrivateKey, *, context: bytes
) -> tuple["SignedShare", ...]:
    """Sign what was dealt, once for all holders.

    Parameters
    ----------
    shares : Shares
        As `split` dealt them, of at least one holder.
    private_key : Ed25519PrivateKey
        The dealer's, of `cryptography`.
    context : bytes
        What the shares are bound to, such as dealer, session and round. Sign once for each context:
        two dealings under one are refused.

    Returns
    -------
    tuple of SignedShare
        One for each holder, in their order. Send each to its holder alone.

    Raises
    ------
    InsufficientShares
        If there are no shares.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from veilsum import shamir
    >>> key = Ed25519PrivateKey.generate()
    >>> signed = sign(shamir.split([7], shares=3, threshold=2), key, context=b"session 1")
    >>> signed[0].verify(key.public_key(), context=b"session 1")
    """
    _require_type("shares", shares, Shares)
    _require_type("private_key", private_key, Ed25519PrivateKey)
    _require_type("context", context, bytes)
    if not len(shares):
        raise InsufficientShares("shares: got none, expected the rows of at least one holder")
    salts = [random_bytes(_SALT_BYTES).tobytes() for _ in range(len(shares))]
    rows = [_row_root(salt, share) for salt, share in zip(salts, shares, strict=True)]
    levels = _levels(rows)
    root = levels[-1][0]
    signature = private_key.sign(_statement(shares, shares.points, root, context))
    return tuple(
        SignedShare(
            share=share,
            salt=salt,
            points=shares.points,
            siblings=_siblings(levels, position),
            root=root,
            signature=signature,
        )
        for position, (salt, share) in enumerate(zip(salts, shares, strict=True))
    )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SignedShare:
    """The share of one holder with what shows that the dealer dealt it. It is secret.

    Made by `sign` or `from_bytes`.

    Parameters
    ----------
    share : Shares
        Of one holder.
    salt : bytes
        32 random bytes that keep the row's hash from confirming guesses. Secret like the row.
    points : NDArray[uint64]
        Of all holders that the dealer signed for, in the order of their rows in the tree.
    siblings : tuple of bytes
        Hashes beside the way from the row to the root, the lowest first.
    root : bytes
        Of the tree over all rows.
    signature : bytes
        The dealer's.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type or length, or the share's point is not among `points`.
    """

    share: Shares
    salt: bytes
    points: NDArray[np.uint64]
    siblings: tuple[bytes, ...]
    root: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _require_type("share", self.share, Shares)
        if len(self.share) != 1:
            raise ValueError(f"share: got {len(self.share)} rows, expected that of one holder")
        object.__setattr__(self, "points", _public_points(self.points))
        if self.share.points[0] not in self.points:
            raise ValueError(f"points: that of the share, {self.share.points[0]}, is missing")
        object.__setattr__(self, "siblings", tuple(self.siblings))
        if len(self.siblings) > _MAX_DEPTH:
            raise ValueError(f"siblings: got {len(self.siblings)}, expected at most {_MAX_DEPTH}")
        _require_length("salt", self.salt, _SALT_BYTES)
        _require_length("signature", self.signature, _SIGNATURE_BYTES)
        for node in (*self.siblings, self.root):
            _require_length("root, siblings", node, _HASH_BYTES)

    def verify(self, public_key: Ed25519PublicKey, *, context: bytes) -> None:
        """Refuse a share that is not as the dealer dealt it, in this context.

        Parameters
        ----------
        public_key : Ed25519PublicKey
            The dealer's, of `cryptography`; never taken from the share's sender.
        context : bytes
            What the caller knows of dealer, session and round; never taken from the sender.

        Raises
        ------
        InvalidShare
            If the share was altered, or is of another dealer or context.
        TypeError
            If an argument is not of its type.
        """
        if not _is_signed(self, public_key, context):
            raise InvalidShare(
                f"share: the dealer signed no such dealing for the holder at {self._point}; its "
                "header was altered, or it is of another dealer, session or round"
            )
        if not self._is_under_root():
            raise InvalidShare(
                f"share: the row at {self._point} is not the one that the dealer signed; it was "
                "altered"
            )

    def to_bytes(self) -> bytes:
        """Write the share, which stays secret.

        The body, in the fields of `veilsum.wire` (kind SIGNED_SHARE): share blob (the bytes of
        `Shares`), salt blob, points array of uint64, siblings blob (32 bytes each), root blob,
        signature blob.

        Returns
        -------
        bytes
            Python cannot wipe them.
        """
        writer = Writer(Kind.SIGNED_SHARE)
        writer.blob(self.share.to_bytes())
        writer.blob(self.salt)
        writer.array(self.points)
        writer.blob(b"".join(self.siblings))
        writer.blob(self.root)
        writer.blob(self.signature)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; only `verify` says whether the dealer signed it.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        SignedShare

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidShare, DuplicateShare
            If a point or a value of the share is one that no dealing gives.
        """
        reader = Reader(data, Kind.SIGNED_SHARE)
        share = Shares.from_bytes(reader.blob())
        salt = reader.blob(max_bytes=_SALT_BYTES)
        points = reader.array(np.uint64, max_axes=1)
        path = reader.blob(max_bytes=_MAX_DEPTH * _HASH_BYTES)
        root = reader.blob(max_bytes=_HASH_BYTES)
        signature = reader.blob(max_bytes=_SIGNATURE_BYTES)
        reader.finish()
        starts = range(0, len(path), _HASH_BYTES)
        try:
            return cls(
                share=share,
                salt=salt,
                points=points,
                siblings=tuple(path[start : start + _HASH_BYTES] for start in starts),
                root=root,
                signature=signature,
            )
        except ValueError as error:
            raise DeserializationError(f"signed share: {error}") from None

    def __repr__(self) -> str:
        return (
            f"SignedShare(share={self.share!r}, holders={len(self.points)}, "
            f"root={self.root.hex()}, salt=<redacted>)"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("signed shares are secret and do not pickle; export them by to_bytes()")

    @property
    def _point(self) -> int:
        return int(self.share.points[0])

    def _is_under_root(self) -> bool:
        position = int(np.flatnonzero(self.points == self.share.points[0])[0])
        row = _row_root(self.salt, self.share)
        return _climb(row, position, len(self.points), self.siblings) == self.root


def authentic(
    signed_shares: Iterable[SignedShare], public_key: Ed25519PublicKey, *, context: bytes
) -> tuple[Shares, tuple[int, ...]]:
    """Keep the shares that are as the dealer dealt them, and say which are not.

    Of the shares of one dealing, as many as are not needed may be altered, whatever the alteration.

    Parameters
    ----------
    signed_shares : iterable of SignedShare
        Of different holders, in any order. They may be hostile.
    public_key : Ed25519PublicKey
        The dealer's; never taken from a sender of shares.
    context : bytes
        As given to `sign`; never taken from a sender of shares.

    Returns
    -------
    Shares
        Those that are authentic.
    tuple of int
        Positions, from 0, of those dropped: altered, of another dealer or context, or a repetition.
        The caller knows who sent which; the point that a false share states proves nothing.

    Raises
    ------
    InsufficientShares
        If fewer authentic shares than their threshold are left.
    InconsistentShares
        If the dealer signed two dealings for this context: distrust the dealer.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from veilsum import shamir
    >>> key = Ed25519PrivateKey.generate()
    >>> first, second, third = sign(
    ...     shamir.split([7], shares=3, threshold=2), key, context=b"session 1"
    ... )
    >>> altered = replace(second, share=second.share.with_values([[5]]))
    >>> good, dropped = authentic([first, altered, third], key.public_key(), context=b"session 1")
    >>> shamir.reconstruct(good), dropped
    (array([7]), (1,))
    """
    received = list(signed_shares)
    kept: dict[int, Shares] = {}
    statements = set()
    dropped = []
    for position, signed in enumerate(received):
        _require_type("signed_shares", signed, SignedShare)
        is_signed = _is_signed(signed, public_key, context)
        if is_signed:
            statements.add(_statement(signed.share, signed.points, signed.root, context))
        if is_signed and signed._point not in kept and signed._is_under_root():
            kept[signed._point] = signed.share
        else:
            dropped.append(position)
    if len(statements) > 1:
        raise InconsistentShares(
            f"signed_shares: the dealer signed {len(statements)} dealings for one context, "
            "expected one; distrust the dealer, or give each dealing a context of its own"
        )
    good = list(kept.values())
    if not good or len(good) < good[0].threshold:
        needed = f"the threshold {good[0].threshold}" if good else "one"
        raise InsufficientShares(
            f"signed_shares: {len(good)} of {len(received)} are authentic, expected at least "
            f"{needed}; those at positions {dropped} were dropped: ask more holders, and where all "
            "are, compare the public key and the context with the dealer's"
        )
    return Shares.join(good), tuple(dropped)


def _is_signed(signed: SignedShare, public_key: Ed25519PublicKey, context: bytes) -> bool:
    """Whether the dealer signed the header and the root; says nothing of the row."""
    _require_type("public_key", public_key, Ed25519PublicKey)
    _require_type("context", context, bytes)
    statement = _statement(signed.share, signed.points, signed.root, context)
    try:
        public_key.verify(signed.signature, statement)
    except InvalidSignature:
        return False
    return True


def _statement(shares: Shares, points: NDArray[np.uint64], root: bytes, context: bytes) -> bytes:
    """Write what the dealer signs; without rows, the bytes of shares are their public header."""
    header = shares[:0].to_bytes()
    return length_prefixed(_DOMAIN, context, header, points.astype("<u8").tobytes(), root)


# ---- Trees of hashes


def _row_root(salt: bytes, share: Shares) -> bytes:
    """Hash the row of one holder, chunk by chunk and without a copy."""
    row = np.ascontiguousarray(share.values[0], "<u8").reshape(-1).view(np.uint8)
    first = hashlib.sha256(_LEAF + salt + int(share.points[0]).to_bytes(8, "little"))
    leaves = []
    for chunk, start in enumerate(range(0, max(row.size, 1), _CHUNK_BYTES)):
        leaf = first.copy()
        leaf.update(chunk.to_bytes(8, "little"))
        leaf.update(row[start : start + _CHUNK_BYTES].data)
        leaves.append(leaf.digest())
    return _levels(leaves)[-1][0]


def _levels(nodes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Hash nodes in pairs until one is left; all levels, the leaves first."""
    levels = [nodes]
    while len(nodes) > 1:
        paired = [_inner(*nodes[at : at + 2]) for at in range(0, len(nodes) - 1, 2)]
        nodes = [*paired, *nodes[2 * len(paired) :]]
        levels.append(nodes)
    return levels


def _siblings(levels: Sequence[Sequence[bytes]], position: int) -> tuple[bytes, ...]:
    """Hashes beside the way from a leaf to the root."""
    beside = [(level, (position >> height) ^ 1) for height, level in enumerate(levels)]
    return tuple(level[at] for level, at in beside[:-1] if at < len(level))


def _climb(node: bytes, position: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """Root over `size` leaves of which this is one; None if the way has another length."""
    left = list(siblings)
    while size > 1:
        if position ^ 1 < size:
            if not left:
                return None
            sibling = left.pop(0)
            node = _inner(sibling, node) if position % 2 else _inner(node, sibling)
        position, size = position // 2, (size + 1) // 2
    return None if left else node


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_INNER + left + right).digest()


# ---- What is refused


def _public_points(points: NDArray[np.uint64]) -> NDArray[np.uint64]:
    _require_type("points", points, np.ndarray)
    if points.dtype != np.uint64 or points.ndim != 1:
        raise ValueError("points: expected an array of uint64 with one axis")
    if np.unique(points).size != points.size:
        raise ValueError("points: two are equal, expected one for each holder")
    own = points.copy()
    own.setflags(write=False)
    return own


def _require_type(name: str, value: object, expected: type) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{name}: got {type(value).__name__}, expected {expected.__name__}")


def _require_length(name: str, value: bytes, expected: int) -> None:
    _require_type(name, value, bytes)
    if len(value) != expected:
        raise ValueError(f"{name}: got {len(value)} bytes, expected {expected}")
