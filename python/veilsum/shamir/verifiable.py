"""Shares of a key or seed that each holder can check, so that a cheating dealer or holder is named.

The dealer publishes commitments to the polynomials; a holder checks its share against them, and so
does whoever rebuilds the secret. Sources: Feldman, "A practical scheme for non-interactive
verifiable secret sharing", FOCS 1987; Pedersen, "Non-interactive and information-theoretic secure
verifiable secret sharing", CRYPTO 1991. The group is the one of prime order on edwards25519, by
libsodium (`pip install 'veilsum[verifiable]'`), whose arithmetic takes constant time.

============  ===========================================  =================================
scheme        what fewer than `threshold` holders learn    a false share that fits
============  ===========================================  =================================
``pedersen``  nothing, whatever they can compute           is found by discrete logarithms
``feldman``   ``secret * G``, by which a guess is checked  does not exist
              or a discrete logarithm finds the secret
============  ===========================================  =================================

So Feldman's scheme takes nothing but a scalar that was drawn uniformly (`random_secret`), from
which keys follow by `derive_key`; Pedersen's takes bytes as well. With both, the scheme, the
threshold, the number of shares and the length of the secret are public.

What this does not do: a commitment has to reach all holders unaltered and be the same for all (put
its bytes on a channel that all of them read, or compare hashes), and each share has to reach its
holder in secret. Python keeps copies of secrets that nobody wipes, and turns them into scalars and
back in time that may depend on them.
"""

import functools
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal, NoReturn, Self

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from veilsum.encoding import as_integer
from veilsum.errors import (
    DecodingError,
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.field import WideField
from veilsum.randomness import random_below, wipe
from veilsum.wire import Kind, Reader, Writer

try:
    from nacl import bindings
except ImportError as missing:
    raise ImportError(
        "veilsum.shamir.verifiable needs PyNaCl, which is not installed; "
        "run: pip install 'veilsum[verifiable]'",
        name="nacl",
    ) from missing

__all__ = [
    "Commitment",
    "VerifiableShare",
    "blame",
    "deal",
    "derive_key",
    "random_secret",
    "reconstruct",
]

Scheme = Literal["feldman", "pedersen"]
Words = NDArray[np.uint64]

_ORDER = (1 << 252) + 27742317777372353535851937790883648493
_SCALARS = WideField(_ORDER)
_SCHEMES: tuple[Scheme, Scheme] = ("feldman", "pedersen")  # one generator, and two
_BASE_POINT = b"\x58" + b"\x66" * 31
_POINT_BYTES = 32
_CHUNK_BYTES = 31  # of raw bytes in a scalar
_MAX_LENGTH = 1 << 12
_MAX_SHARES = (1 << 32) - 1
_MAX_KEY_BYTES = 255 * 32  # of HKDF


def random_secret() -> int:
    """Draw a scalar that may be dealt by either scheme.

    Returns
    -------
    int
        Uniform from 1 to the order of the group less 1. Make keys of it by `derive_key`.

    Examples
    --------
    >>> random_secret() < 2**253
    True
    """
    return 1 + random_below(_ORDER - 1)


def derive_key(secret: int, *, info: bytes, length: int = 32) -> bytes:
    """Make a key of a scalar, by HKDF-SHA256 (RFC 5869).

    A scalar is not a key: its bits are not uniform, and Feldman's commitment says ``secret * G``.

    Parameters
    ----------
    secret : int
        As `random_secret` drew it or `reconstruct` rebuilt it.
    info : bytes
        What the key is for; other purposes get independent keys.
    length : int
        Of the key in bytes, from 1 to 8160.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        If an argument is not of its type.
    ValueError
        If `secret` or `length` is out of range.

    Examples
    --------
    >>> derive_key(5, info=b"disk", length=4).hex()
    '8a45bc04'
    """
    scalar = _scalar(secret, least=1)
    if not isinstance(info, bytes):
        raise TypeError(f"info: got {type(info).__name__}, expected bytes")
    size = as_integer("length", length)
    if not 1 <= size <= _MAX_KEY_BYTES:
        raise ValueError(f"length: got {size}, expected 1 to {_MAX_KEY_BYTES}")
    return HKDF(SHA256(), size, salt=None, info=info).derive(scalar.to_bytes(32, "little"))


def deal(
    secret: bytes | int,
    *,
    shares: int,
    threshold: int,
    scheme: Scheme = "pedersen",
) -> tuple["Commitment", tuple["VerifiableShare", ...]]:
    """Share a key or seed so that every share can be checked.

    Parameters
    ----------
    secret : bytes or int
        Of 1 to 4096 bytes, for Pedersen's scheme alone; or a scalar, as `random_secret` draws it.
        For Feldman's scheme it has to be uniformly random, or a guess at it can be confirmed.
    shares : int
        How many to deal, from 1 to 2**32 - 1.
    threshold : int
        How many rebuild the secret, from 1 to `shares`. With 1 every share is the secret.
    scheme : {"pedersen", "feldman"}
        Which assumption to make: see `veilsum.shamir.verifiable`.

    Returns
    -------
    Commitment
        For everybody.
    tuple of VerifiableShare
        One for each holder, to be sent in secret.

    Raises
    ------
    TypeError
        If an argument is not of its type.
    ValueError
        If an argument is out of range, or `secret` is bytes and `scheme` Feldman's.

    Notes
    -----
    Feldman 1987, section 4; Pedersen 1991, section 4. Bytes are cut into pieces of 31, each the
    secret of its own polynomials. Cost: ``threshold`` commitments for each piece.

    Examples
    --------
    >>> from veilsum.shamir import verifiable
    >>> commitment, shares = verifiable.deal(b"correct horse", shares=5, threshold=3)
    >>> shares[3].verify(commitment)
    >>> verifiable.reconstruct(shares[1:4], commitment)
    b'correct horse'
    """
    generators = _generator_count(scheme)
    count, needed = as_integer("shares", shares), as_integer("threshold", threshold)
    _require_sizes(needed, count)
    secrets = _to_scalars(secret, scheme)
    coefficients = _SCALARS.random((needed, len(secrets), generators))
    try:
        coefficients[0, :, 0] = secrets
        points = tuple(tuple(map(_commit, row)) for row in coefficients.swapaxes(0, 1))
        dealt = _evaluate(coefficients, count)
    finally:
        wipe(coefficients)
        wipe(secrets)
    length = len(secret) if isinstance(secret, bytes) else 0
    return Commitment(scheme=scheme, shares=count, length=length, points=points), dealt


def blame(shares: Iterable["VerifiableShare"], commitment: "Commitment") -> tuple[int, ...]:
    """Name the holders whose shares do not fit.

    Parameters
    ----------
    shares : iterable of VerifiableShare
        They may be hostile. The caller sees to it that the index of each is that of its sender.
    commitment : Commitment
        As the dealer published it.

    Returns
    -------
    tuple of int
        Their indices, in increasing order. Of several shares with one index, one that fits is
        enough: another in its holder's name does it no harm.

    Raises
    ------
    TypeError
        If an argument is not of its type.

    Notes
    -----
    All shares are checked at once with random weights (Bellare, Garay and Rabin, "Fast batch
    verification for modular exponentiation and digital signatures", EUROCRYPT 1998, the test of
    random linear combinations); a share that does not fit escapes with probability 2**-252. Only
    if that fails they are checked one by one.

    Examples
    --------
    >>> commitment, shares = deal(b"correct horse", shares=4, threshold=2)
    >>> other, strange = deal(b"correct horse", shares=4, threshold=2)
    >>> blame([*shares[:3], strange[3]], commitment)
    (4,)
    """
    return _sorted_out(shares, commitment)[1]


def reconstruct(shares: Iterable["VerifiableShare"], commitment: "Commitment") -> bytes | int:
    """Rebuild the secret from shares that fit, whatever the others are.

    Parameters
    ----------
    shares : iterable of VerifiableShare
        Of `threshold` honest holders at least, in any order. All others may be hostile.
    commitment : Commitment
        As the dealer published it.

    Returns
    -------
    bytes or int
        The secret, as it was dealt.

    Raises
    ------
    InsufficientShares
        If fewer than `threshold` shares fit; the error names the holders of those that do not.
    DecodingError
        If the shares fit, but the dealer dealt something else than bytes.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> secret = random_secret()
    >>> commitment, shares = deal(secret, shares=5, threshold=3, scheme="feldman")
    >>> reconstruct(shares[2:], commitment) == secret
    True
    """
    honest, blamed = _sorted_out(shares, commitment)
    if len(honest) < commitment.threshold:
        liars = f"those of holders {', '.join(map(str, blamed))} do not fit; " if blamed else ""
        raise InsufficientShares(
            f"shares: got {len(honest)} that fit the commitment, expected at least the threshold "
            f"{commitment.threshold}; {liars}ask more holders"
        )
    used = honest[: commitment.threshold]
    weights = _weights_at_zero([share.index for share in used])
    values = np.stack([share.values[:, 0] for share in used])
    return _from_scalars(_SCALARS.matmul(weights, values)[0], commitment.length)


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """What the dealer publishes: one point for each coefficient of the polynomials.

    Made by `deal`. ``c + d`` and ``sum([c, d])`` commit to the sum of two secrets that are scalars,
    for key generation without a dealer: each party deals a `random_secret`, all check what they got
    and add up the shares, and the commitments, of those whom nobody blames. (A party that speaks
    last can choose, after seeing Feldman's commitments of the others, whether to take part, and so
    bias the sum: Gennaro, Jarecki, Krawczyk and Rabin, "Secure distributed key generation for
    discrete-log based cryptosystems", Journal of Cryptology 20 (2007).)

    Parameters
    ----------
    scheme : {"pedersen", "feldman"}
        Which one.
    shares : int
        How many were dealt.
    length : int
        Of the secret in bytes; 0 if it is a scalar.
    points : tuple of tuple of bytes
        For each scalar its `threshold` points, encoded as in RFC 8032.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type or range, or a point is not of prime order.

    Examples
    --------
    >>> dealings = [deal(secret, shares=3, threshold=2) for secret in (20, 22)]
    >>> commitment = sum(commitment for commitment, _ in dealings)
    >>> shares = [sum(received) for received in zip(*(shares for _, shares in dealings))]
    >>> reconstruct(shares[1:], commitment)
    42
    """

    scheme: Scheme
    shares: int
    length: int
    points: tuple[tuple[bytes, ...], ...] = field(repr=False)

    def __post_init__(self) -> None:
        _generator_count(self.scheme)
        for name in ("shares", "length"):
            object.__setattr__(self, name, as_integer(name, getattr(self, name)))
        _require_length(self.length, self.scheme)
        object.__setattr__(self, "points", tuple(map(tuple, self.points)))
        widths = {len(row) for row in self.points}
        if len(self.points) != _scalar_count(self.length) or len(widths) != 1:
            raise ValueError(
                f"points: got {len(self.points)} rows of {sorted(widths)}, "
                f"expected {_scalar_count(self.length)}, as long as the threshold each"
            )
        _require_sizes(self.threshold, self.shares)
        for row in self.points:
            for point in row:
                _require_point(point)

    @property
    def threshold(self) -> int:
        """How many shares rebuild the secret.

        Examples
        --------
        >>> commitment, _ = deal(b"seed", shares=5, threshold=3)
        >>> commitment.threshold
        3
        """
        return len(self.points[0])

    def to_bytes(self) -> bytes:
        """Write the commitment.

        The body, in the fields of `veilsum.wire` (kind VERIFIABLE_COMMITMENT): scheme u8 (0:
        Feldman's, 1: Pedersen's), shares u32, length u32, threshold u32, points blob.

        Returns
        -------
        bytes

        Examples
        --------
        >>> commitment, _ = deal(b"seed", shares=5, threshold=3)
        >>> Commitment.from_bytes(commitment.to_bytes()) == commitment
        True
        """
        writer = Writer(Kind.VERIFIABLE_COMMITMENT)
        writer.u8(_SCHEMES.index(self.scheme))
        writer.u32(self.shares)
        writer.u32(self.length)
        writer.u32(self.threshold)
        writer.blob(b"".join(point for row in self.points for point in row))
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        Commitment

        Raises
        ------
        DeserializationError
            If the bytes are malformed, or what they say is out of range.

        Examples
        --------
        >>> Commitment.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.VERIFIABLE_COMMITMENT)
        scheme = _SCHEMES[reader.u8(max_value=len(_SCHEMES) - 1)]
        shares, length = reader.u32(), reader.u32(max_value=_MAX_LENGTH)
        threshold, rows = reader.u32(), _scalar_count(length)
        expected = rows * threshold * _POINT_BYTES
        encoded = reader.blob(max_bytes=expected)
        reader.finish()
        if len(encoded) != expected:
            raise DeserializationError(f"points: got {len(encoded)} bytes, expected {expected}")
        points = _pieces(encoded, _POINT_BYTES)
        table = tuple(points[row * threshold : (row + 1) * threshold] for row in range(rows))
        try:
            return cls(scheme=scheme, shares=shares, length=length, points=table)
        except ValueError as error:
            raise DeserializationError(f"commitment: {error}") from None

    def __add__(self, other: object) -> Self:
        if isinstance(other, Integral) and other == 0:
            return self  # where the built-in sum starts
        if not isinstance(other, Commitment):
            return NotImplemented
        for name in ("scheme", "shares", "threshold"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise InconsistentShares(f"{name}: got {ours} and {theirs}, expected the same")
        if self.length or other.length:
            raise InconsistentShares(
                f"length: got secrets of {self.length} and {other.length} bytes; "
                "only scalars, as random_secret draws them, have sums"
            )
        (ours,), (theirs,) = self.points, other.points
        points = tuple(map(bindings.crypto_core_ed25519_add, ours, theirs))
        return type(self)(scheme=self.scheme, shares=self.shares, length=0, points=(points,))

    __radd__ = __add__


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VerifiableShare:
    """The share of one holder. It is secret.

    Made by `deal`. ``s + t`` and ``sum([s, t])`` are the holder's share of the sum of two secrets
    that are scalars; see `Commitment`.

    Parameters
    ----------
    index : int
        Which holder, from 1.
    values : NDArray[uint64]
        Scalars of four words each: shape ``(scalars, 1, 4)``, or with Pedersen's scheme
        ``(scalars, 2, 4)``, the second one being the blinding. Read-only.

    Raises
    ------
    InvalidShare
        If a value is not below the order of the group, or the index is 0.
    TypeError, ValueError
        If a parameter is not of its type or shape.

    Examples
    --------
    >>> commitment, shares = deal(b"seed", shares=3, threshold=2)
    >>> shares[1]
    VerifiableShare(index=2, scalars=1, values=<redacted>)
    """

    index: int
    values: Words

    __array_ufunc__ = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", as_integer("index", self.index))
        if not 1 <= self.index <= _MAX_SHARES:
            raise InvalidShare(f"index: got {self.index}, expected 1 to {_MAX_SHARES}")
        if not isinstance(self.values, np.ndarray) or self.values.dtype != np.uint64:
            got = getattr(self.values, "dtype", type(self.values).__name__)
            raise TypeError(f"values: got {got}, expected an array of uint64")
        shape = self.values.shape
        known = len(shape) == 3 and shape[1:] in {(1, _SCALARS.limbs), (2, _SCALARS.limbs)}
        if not known or not 1 <= shape[0] <= _scalar_count(_MAX_LENGTH):
            raise ValueError(f"values: got shape {shape}, expected (scalars, 1 or 2, 4)")
        outside = _SCALARS.count_outside(self.values)
        if outside:
            raise InvalidShare(
                f"values: {outside} of {shape[0] * shape[1]} are not below the order of the group; "
                "this share was altered"
            )
        own = self.values.copy()
        own.flags.writeable = False
        object.__setattr__(self, "values", own)

    def verify(self, commitment: Commitment) -> None:
        """Refuse this share if it does not fit what the dealer published.

        Parameters
        ----------
        commitment : Commitment
            The same one that all other holders have.

        Raises
        ------
        InvalidShare
            If it does not fit: the dealer cheated, or the share was altered. Ask the dealer to
            publish it, and leave the dealing if that one does not fit either.
        TypeError
            If `commitment` is none.

        Notes
        -----
        With the commitments ``C_j`` the share ``(v, r)`` of holder ``i`` fits if
        ``v * G + r * H`` is the sum of all ``i**j * C_j``; Feldman's scheme has no ``r * H``.

        Examples
        --------
        >>> commitment, shares = deal(b"seed", shares=3, threshold=2)
        >>> shares[1].verify(commitment)
        """
        if blame([self], commitment):
            raise InvalidShare(
                f"share of holder {self.index}: it does not fit the commitment; the dealer "
                "cheated, or the share or the commitment was altered"
            )

    def to_bytes(self) -> bytes:
        """Write the share, which stays secret.

        The body, in the fields of `veilsum.wire` (kind VERIFIABLE_SHARE): index u32, values array
        of uint64.

        Returns
        -------
        bytes
            Python cannot wipe them.

        Examples
        --------
        >>> commitment, shares = deal(b"seed", shares=3, threshold=2)
        >>> VerifiableShare.from_bytes(shares[0].to_bytes()).verify(commitment)
        """
        writer = Writer(Kind.VERIFIABLE_SHARE)
        writer.u32(self.index)
        writer.array(self.values)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        VerifiableShare

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidShare
            If the index is 0 or a value is not below the order of the group.

        Examples
        --------
        >>> VerifiableShare.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.VERIFIABLE_SHARE)
        index = reader.u32()
        most = _scalar_count(_MAX_LENGTH) * len(_SCHEMES) * _SCALARS.limbs
        values = reader.array(np.uint64, max_axes=3, max_size=most)
        reader.finish()
        try:
            return cls(index=index, values=values)
        except InvalidShare:
            raise
        except ValueError as error:
            raise DeserializationError(f"share: {error}") from None

    def __add__(self, other: object) -> Self:
        if isinstance(other, Integral) and other == 0:
            return self  # where the built-in sum starts
        if not isinstance(other, VerifiableShare):
            return NotImplemented
        if self.index != other.index:
            raise InconsistentShares(
                f"index: got {self.index} and {other.index}, expected shares of the same holder"
            )
        if self.values.shape != other.values.shape:
            raise InconsistentShares(
                f"values: got shapes {self.values.shape} and {other.values.shape}, "
                "expected shares of one scheme and one length"
            )
        return type(self)(index=self.index, values=_SCALARS.add(self.values, other.values))

    __radd__ = __add__

    def __repr__(self) -> str:
        scalars = len(self.values)
        return f"VerifiableShare(index={self.index}, scalars={scalars}, values=<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("shares are secret and do not pickle; export them by to_bytes()")


# ---- Secrets as scalars


def _to_scalars(secret: bytes | int, scheme: Scheme) -> Words:
    """Write a secret as scalars, shape (count, 4)."""
    if not isinstance(secret, bytes):
        return _SCALARS.from_integers([_scalar(secret, least=1 if scheme == "feldman" else 0)])
    if scheme == "feldman":
        raise ValueError(
            "secret: got bytes, at which Feldman's commitment would let everybody guess; "
            "share random_secret() and use derive_key(), or take scheme='pedersen'"
        )
    if not 1 <= len(secret) <= _MAX_LENGTH:
        raise ValueError(f"secret: got {len(secret)} bytes, expected 1 to {_MAX_LENGTH}")
    count = _scalar_count(len(secret))
    padded = secret.ljust(count * _CHUNK_BYTES, b"\0")
    chunks = b"".join(piece + b"\0" for piece in _pieces(padded, _CHUNK_BYTES))
    return np.frombuffer(chunks, "<u8").astype(np.uint64).reshape(count, _SCALARS.limbs)


def _from_scalars(scalars: Words, length: int) -> bytes | int:
    """Read what `_to_scalars` wrote; 0 stands for the length of a scalar."""
    if length == 0:
        return int(_SCALARS.to_integers(scalars)[0])
    chunks = scalars.astype("<u8").view(np.uint8).reshape(-1, _CHUNK_BYTES + 1)
    padded = chunks[:, :_CHUNK_BYTES].tobytes()
    if chunks[:, _CHUNK_BYTES].any() or any(padded[length:]):
        raise DecodingError(
            "shares: they fit the commitment, but what the dealer committed to are no bytes; "
            "refuse the dealing"
        )
    return padded[:length]


def _scalar_count(length: int) -> int:
    return max(1, math.ceil(length / _CHUNK_BYTES))


def _scalar(secret: int, *, least: int) -> int:
    if isinstance(secret, bool) or not isinstance(secret, Integral):
        raise TypeError(f"secret: got {type(secret).__name__}, expected bytes or int")
    if not least <= secret < _ORDER:
        raise ValueError(
            f"secret: got an integer out of range, expected {least} to the order of the group "
            "less 1, as random_secret draws it"
        )
    return int(secret)


def _pieces(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))


# ---- Polynomials in the exponent


def _commit(scalars: Words) -> bytes:
    """Add up each scalar times its generator: shape (1, 4) or (2, 4).

    libsodium refuses the scalar 0, which a secret may be and a cheat may choose. So each is shifted
    by a random one, and what that adds is taken off: whether it was 0 shows nowhere.
    """
    generators = (_BASE_POINT, _second_generator())[: len(scalars)]
    shifts = _SCALARS.random(len(scalars))
    shifted = _combine(_SCALARS.add(scalars, shifts), generators)
    return bindings.crypto_core_ed25519_sub(shifted, _combine(shifts, generators))


def _combine(scalars: Words, points: Iterable[bytes]) -> bytes:
    """Add up scalars times points; no scalar is 0."""
    encoded = _pieces(scalars.astype("<u8").tobytes(), 8 * _SCALARS.limbs)
    products = map(bindings.crypto_scalarmult_ed25519_noclamp, encoded, points)
    return functools.reduce(bindings.crypto_core_ed25519_add, products)


@functools.cache
def _second_generator() -> bytes:
    """Find a point whose discrete logarithm nobody knows: the first of these hashes that is one."""
    for counter in range(1 << 16):
        text = b"veilsum: second generator of Pedersen's commitments, %d" % counter
        point = hashlib.sha256(text).digest()
        if bindings.crypto_core_ed25519_is_valid_point(point):
            return point
    raise AssertionError("one hash in sixteen is a point of prime order")


def _powers(points: Iterable[int], count: int) -> Words:
    """Raise each point to the powers 0 to ``count - 1``, one row for each point."""
    base = _SCALARS.from_integers(list(points))
    columns = [np.broadcast_to(_SCALARS.from_integers(1), base.shape)]
    for _ in range(count - 1):
        columns.append(_SCALARS.mul(columns[-1], base))
    return np.stack(columns, axis=1)


def _weights_at_zero(points: Sequence[int]) -> Words:
    """Lagrange's weights, shape (1, count, 4)."""
    weights = []
    for point in points:
        others = [other for other in points if other != point]
        gaps = math.prod(other - point for other in others)
        weights.append(math.prod(others) * pow(gaps, -1, _ORDER) % _ORDER)
    return _SCALARS.from_integers([weights])


def _evaluate(coefficients: Words, shares: int) -> tuple[VerifiableShare, ...]:
    """Give each holder the values at its index: shape (threshold, scalars, generators, 4)."""
    values = _SCALARS.matmul(_powers(range(1, shares + 1), len(coefficients)), coefficients)
    try:
        return tuple(VerifiableShare(index=i, values=own) for i, own in enumerate(values, start=1))
    finally:
        wipe(values)


def _fit(shares: Sequence[VerifiableShare], commitment: Commitment) -> bool:
    """Check all shares of the commitment's form at once, by random weights."""
    if not shares:
        return True
    values = np.stack([share.values for share in shares])
    holders, scalars, generators, limbs = values.shape
    chosen = _SCALARS.random((holders, scalars))
    combined = _SCALARS.matmul(
        chosen.reshape(1, holders * scalars, limbs),
        values.reshape(holders * scalars, generators, limbs),
    )
    powers = _powers((share.index for share in shares), commitment.threshold)
    weights = _SCALARS.matmul(chosen.swapaxes(0, 1), powers)
    points = [point for row in commitment.points for point in row]
    return _commit(combined[0]) == _combine(weights, points)


# ---- Checks


def _sorted_out(
    shares: Iterable[VerifiableShare], commitment: Commitment
) -> tuple[list[VerifiableShare], tuple[int, ...]]:
    """Keep the first share of each index that fits, and name the indices without one."""
    present = _all_of_type(shares, commitment)
    fitting = [share for share in present if _is_of_that_form(share, commitment)]
    if not _fit(fitting, commitment):
        fitting = [share for share in fitting if _fit([share], commitment)]
    first = {share.index: share for share in reversed(fitting)}
    blamed = {share.index for share in present} - first.keys()
    return list(first.values()), tuple(sorted(blamed))


def _all_of_type(
    shares: Iterable[VerifiableShare], commitment: Commitment
) -> list[VerifiableShare]:
    if not isinstance(commitment, Commitment):
        raise TypeError(f"commitment: got {type(commitment).__name__}, expected Commitment")
    present = list(shares)
    for share in present:
        if not isinstance(share, VerifiableShare):
            raise TypeError(
                f"shares: got {type(share).__name__} among them, "
                "expected an iterable of VerifiableShare"
            )
    return present


def _is_of_that_form(share: VerifiableShare, commitment: Commitment) -> bool:
    form = (len(commitment.points), _generator_count(commitment.scheme), _SCALARS.limbs)
    return share.index <= commitment.shares and share.values.shape == form


def _generator_count(scheme: Scheme) -> int:
    if scheme not in _SCHEMES:
        raise ValueError(f"scheme: got {scheme!r}, expected one of {', '.join(_SCHEMES)}")
    return 1 + _SCHEMES.index(scheme)


def _require_sizes(threshold: int, shares: int) -> None:
    if not 1 <= threshold <= shares <= _MAX_SHARES:
        raise ValueError(
            f"threshold, shares: got {threshold} and {shares}, "
            f"expected 1 <= threshold <= shares <= {_MAX_SHARES}"
        )


def _require_length(length: int, scheme: Scheme) -> None:
    most = 0 if scheme == "feldman" else _MAX_LENGTH
    if not 0 <= length <= most:
        raise ValueError(f"length: got {length}, expected 0 to {most} with scheme {scheme!r}")


def _require_point(point: bytes) -> None:
    if not isinstance(point, bytes):
        raise TypeError(f"points: got {type(point).__name__} among them, expected bytes")
    if len(point) != _POINT_BYTES or not bindings.crypto_core_ed25519_is_valid_point(point):
        raise ValueError(
            "points: one does not encode a point of prime order on edwards25519; the dealer "
            "cheated, or dealers whose commitments were added cancelled one another"
        )
