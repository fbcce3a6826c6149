"""Sums of shares, checked by a public challenge: of the liars, all that are not needed are named.

A holder's sum of shares is signed by nobody, and decoding alone tells liars from honest holders
only up to half of the extra shares. But dealers know their polynomials and can answer for them
without saying anything of them, if holders fix their sums before anybody knows the question::

    1. dealer    masked = deal_masks(shares)    s uniform masks beside the values
    2. dealer    commit(masked[i])              publishes each Commitment, sends i its Opening
    3. holder    total = sum of its rows        of the dealers who are left
    4. holder    commit(total)                  publishes the Commitment, keeps the Opening
    5. all       Challenge.derive(...)          of all commitments: s random vectors r
    6. dealer    masked.answer(challenge)       publishes mask + <r, values> for all points
    7. holder    disputed(row, answers, ...)    complains of a dealer whose answer is false
    8. holder    check_answers(...)             of all dealers; if it raises, nobody opens
    9. holder    sends its Opening
   10. all       check_sums(...)                the honest sums, and who lied

Every dealer's answers have to lie on polynomials of degree below the threshold, and what a holder's
sums give has to equal the sum of all dealers' answers at its point. The same pieces check a dealing
before it is used, under masks of its own: the challenge is derived of the commitments of step 2,
holders answer it, and `check_degree` looks at what they published. With `zeros` given to
`deal_masks` and `check_degree`, it shows that a dealing for `refresh` is of zeros, too.

Who learns what. Answers are polynomials of which a mask makes every coefficient uniform, so who
sees them and at most `privacy` rows (``threshold - packed``) learns nothing of any value. This
holds for one challenge: answers to two under one mask differ by a linear combination of the
secrets, so a mask answers once. Openings show the sums of holders to whoever rebuilds the total, as
they have to, and the sums of masks, which follow from the answers.

Broadcast. Commitments, answers and complaints have to be signed by their senders and seen alike by
all. Otherwise whoever relays them alters the answer of an honest dealer, gets a second total
without it, and the difference of the two is that dealer's secret. So holders run step 8 before they
open, and after the first opening nothing starts again with other dealers.

Soundness. A holder whose sums are false by e and whose masks are false by f passes if
``<r, e> = -f`` for all s vectors r, which are drawn uniformly after e and f are fixed: with
probability modulus**-s. So does a dealing of too high a degree. A liar can try many commitments and
look at the hash of each (Fiat and Shamir, 1986), so s is the least with modulus**s at least 2**128;
coins that all parties draw after the commitments may be added.

Dealers. Step 7 alone tells a lying holder from one whom a lying dealer framed. An answer of low
degree is fixed by any `threshold` of its values, so if as many holders are honest, a false one
contradicts a row of theirs. The complaint is the Opening of step 2, which everybody can compare
with the Commitment and the answer. A dealer who answers falsely or not at all is left out before
anything is opened: holders sum the rows of the others and start again, under fresh masks.

Sources: verified shares of every party's input, Ben-Or, Goldwasser, Wigderson, "Completeness
theorems for non-cryptographic fault-tolerant distributed computation", 1988; many degrees checked
by one random linear combination under a random polynomial, Bellare, Garay, Rabin, "Distributed
pseudo-random bit generators: a new way to speed-up shared coin tossing", 1996, and "Fast batch
verification for modular exponentiation and digital signatures", 1998.
"""

import hashlib
import math
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import count
from typing import Any, NoReturn, Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from veilsum.encoding import as_integer
from veilsum.errors import (
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    ProtocolError,
)
from veilsum.field import PrimeField
from veilsum.randomness import random_bytes, wipe
from veilsum.shamir.authenticated import _require_length, _require_type
from veilsum.shamir.geometry import holder_numbers, power_rows, secret_points
from veilsum.shamir.shares import Shares
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = [
    "Answers",
    "Challenge",
    "Commitment",
    "MaskedShares",
    "Opening",
    "check_answers",
    "check_degree",
    "check_sums",
    "commit",
    "deal_masks",
    "disputed",
]

_DOMAIN = b"veilsum/v1 challenge"
_COMMITMENT_DOMAIN = b"veilsum/v1 committed sum"
_SOUNDNESS_BITS = 128
_HASH_BYTES = 32
_SALT_BYTES = 32
_AES_BLOCK = 16
_BLOCK = 1 << 17  # values combined at a time
_STREAM_BYTES = 1 << 16

Words = NDArray[np.uint64]


# ---- Dealers


def deal_masks(shares: Shares, *, zeros: bool = False) -> "MaskedShares":
    """Deal masks beside the shares of one array, for one challenge.

    Parameters
    ----------
    shares : Shares
        As `split` dealt them, of all holders.
    zeros : bool
        Whether the masks share zeros as well, so that `check_degree` can look for zeros in the
        answers. For what `deal_zeros` dealt alone: other secrets would stand unmasked.

    Returns
    -------
    MaskedShares
        Send ``masked[i]`` to the holder at position ``i`` alone; keep the whole to answer.

    Raises
    ------
    TypeError
        If `shares` are no `Shares`, or of a field whose elements are wider than a word.
    ValueError
        If they are additive, not those of all holders, or with `zeros` of a bound other than 0.

    Examples
    --------
    >>> from veilsum import shamir
    >>> deal_masks(shamir.split([7, 8], shares=5, threshold=3)).masks.shape
    (5, 3)
    """
    _require_on_polynomials(shares)
    if len(shares) != shares.shares:
        raise ValueError(
            f"shares: got the rows of {len(shares)} holders, expected those of all "
            f"{shares.shares}: their masks lie on the same polynomials"
        )
    if zeros and shares.bound:
        raise ValueError(
            f"shares: got a bound of {shares.bound}, expected 0, as deal_zeros deals: the answers "
            "under masks of zeros would give other secrets away"
        )
    powers = power_rows(shares.field, shares.points, shares.threshold)
    if zeros:
        powers = shares.field.mul(_nodal(shares)[:, np.newaxis], powers[:, : shares.privacy])
    coefficients = shares.field.random((powers.shape[1], _repetitions(shares.field)))
    try:
        masks = shares.field.matmul(powers, coefficients, threads=1)
    finally:
        wipe(coefficients)
    return MaskedShares(shares=shares, masks=masks)


class _Use:
    """What the masks of one dealing answered: one challenge, and each row once.

    All rows lie on the same polynomials, so `threshold` of them that answer one challenge and as
    many others that answer another would give the secrets away. A process that was forked from the
    one that has them is refused, since both hold the same.
    """

    __slots__ = ("_challenge", "_lock", "_points", "_process")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._challenge: bytes | None = None
        self._points: set[int] = set()

    def require_allowed(self, challenge: bytes, points: set[int]) -> None:
        if self._process != os.getpid():
            raise ProtocolError(
                "masks: they belong to the process that this one was forked from, which may answer "
                "with them; deal or read them in this process"
            )
        if self._challenge not in (None, challenge) or self._points & points:
            raise ProtocolError(
                "masks: they have answered a challenge, and serve for one: an answer to another "
                "would give secrets away; deal fresh ones"
            )

    def spend(self, challenge: bytes, points: set[int]) -> None:
        # The process is looked at before the lock, which a fork may have left closed for ever.
        self.require_allowed(challenge, points)
        with self._lock:
            self.require_allowed(challenge, points)
            self._challenge = challenge
            self._points |= points


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MaskedShares:
    """Shares with the shares of their masks, or sums of such. They are secret.

    Made by `deal_masks` or `from_bytes`. ``m[i]`` selects holders, ``m + t`` and ``sum([m, t])``
    add row by row, as for `Shares`. The masks of a dealing answer one challenge, each row once, and
    in one process; what is selected, added or replaced remembers that. What is made anew of masks
    or bytes does not: keep one of them.

    Parameters
    ----------
    shares : Shares
        Of any number of holders.
    masks : NDArray[uint64]
        Shape ``(holders, s)``, residues.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type or shape.
    """

    shares: Shares
    masks: Words
    _uses: tuple[_Use, ...] = field(default_factory=lambda: (_Use(),))  # one for each dealing

    def __post_init__(self) -> None:
        _require_on_polynomials(self.shares)
        expected = (len(self.shares), _repetitions(self.shares.field))
        object.__setattr__(self, "masks", _words("masks", self.masks, self.shares.field, expected))

    def answer(self, challenge: "Challenge") -> "Answers":
        """Combine the values as the challenge asks, under the masks, which are spent by it.

        Parameters
        ----------
        challenge : Challenge
            Derived when all commitments were there.

        Returns
        -------
        Answers
            To be published: they say nothing of the values.

        Raises
        ------
        InconsistentShares
            If the challenge is of shares of another size, field or shape.
        ProtocolError
            If the masks have answered, also as part of another selection or sum: a second answer
            would give the secrets away. If they were another process's before a fork.
        TypeError
            If `challenge` is no `Challenge`.

        Examples
        --------
        >>> from veilsum import shamir
        >>> masked = deal_masks(shamir.split([5], shares=2, threshold=2))
        >>> commitments = [commit(masked[i])[0] for i in range(2)]
        >>> challenge = Challenge.derive(commitments, masked.shares, context=b"session 1")
        >>> masked.answer(challenge).points
        array([1, 2], dtype=uint64)
        >>> masked[0].answer(challenge)
        Traceback (most recent call last):
            ...
        veilsum.errors.ProtocolError: masks: they have answered a challenge, ...
        """
        _require_asked(self, challenge)
        points = set(self.shares.points.tolist())
        for use in self._uses:
            use.require_allowed(challenge.seed, points)
        for use in self._uses:
            use.spend(challenge.seed, points)
        return Answers(points=self.shares.points, values=_combine([self], challenge))

    def to_bytes(self) -> bytes:
        """Write the rows with their masks, which stay secret.

        The body, in the fields of `veilsum.wire` (kind MASKED_SHARES): shares blob (the bytes of
        `Shares`), masks array of uint64.

        Returns
        -------
        bytes
            Python cannot wipe them. Whatever is read from them can answer again.

        Examples
        --------
        >>> from veilsum import shamir
        >>> masked = deal_masks(shamir.split([5, 6], shares=4, threshold=2))
        >>> len(MaskedShares.from_bytes(masked[1:].to_bytes()))
        3
        """
        writer = Writer(Kind.MASKED_SHARES)
        writer.blob(self.shares.to_bytes())
        writer.array(self.masks)
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
        MaskedShares
            With masks that have answered nothing.

        Raises
        ------
        DeserializationError
            If the bytes are malformed, or the masks are not such of these shares.
        InvalidShare, DuplicateShare
            If a point or a value of the shares is one that no dealing gives.

        Examples
        --------
        >>> MaskedShares.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.MASKED_SHARES)
        shares = Shares.from_bytes(reader.blob())
        masks = reader.array(np.uint64, max_axes=2)
        reader.finish()
        with _parsing("masked shares"):
            return cls(shares=shares, masks=masks)

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, holders: int | slice | Sequence[int] | NDArray[Any]) -> Self:
        chosen = np.atleast_1d(np.arange(len(self))[holders])
        return replace(self, shares=self.shares[chosen], masks=self.masks[chosen])

    def __add__(self, other: object) -> Self:
        if isinstance(other, int) and other == 0:
            return self  # where the built-in sum starts
        if not isinstance(other, MaskedShares):
            return NotImplemented
        shares = self.shares + other.shares
        masks = shares.field.add(self.masks, other.masks)
        uses = tuple(dict.fromkeys((*self._uses, *other._uses)))
        return replace(self, shares=shares, masks=masks, _uses=uses)

    __radd__ = __add__

    def __repr__(self) -> str:
        return f"MaskedShares(shares={self.shares!r}, masks=<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "masked shares are secret and answer once: they neither copy nor pickle; export them "
            "by to_bytes()"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What a challenge asked of some rows. Public, and to be believed once checked.

    Parameters
    ----------
    points : NDArray[uint64]
        Of the holders of the rows, shape ``(holders,)``.
    values : NDArray[uint64]
        One row for each holder, shape ``(holders, s)``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no array of uint64, or not of such a shape.
    """

    points: Words
    values: Words

    def __post_init__(self) -> None:
        for name, axes in (("points", 1), ("values", 2)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != np.uint64:
                got = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"{name}: got {got}, expected an array of uint64")
            if array.ndim != axes or len(array) != len(self.points):
                raise ValueError(
                    f"{name}: got shape {array.shape}, expected {axes} axes, and a row of values "
                    "for each of the points"
                )
            object.__setattr__(self, name, _sealed_copy(array))

    @classmethod
    def join(cls, parts: Sequence["Answers"]) -> Self:
        """Put the answers of several holders together.

        Parameters
        ----------
        parts : sequence of Answers
            At least one; each of other holders.

        Returns
        -------
        Answers
            All rows, in the order given.

        Raises
        ------
        InsufficientShares
            If there are no parts.
        ProtocolError
            If one answers for another number of vectors than the first, or for a holder of an
            earlier one.
        TypeError
            If one of them is no `Answers`.

        Examples
        --------
        >>> from veilsum import shamir
        >>> masked = deal_masks(shamir.split([5], shares=3, threshold=2))
        >>> rows = [masked[i] for i in range(3)]
        >>> commitments = [commit(row)[0] for row in rows]
        >>> challenge = Challenge.derive(commitments, masked.shares, context=b"dealing 1")
        >>> Answers.join([row.answer(challenge) for row in rows]).values.shape
        (3, 3)
        """
        if not parts:
            raise InsufficientShares("parts: got none, expected the answers of some holders")
        seen: set[int] = set()
        for position, part in enumerate(parts):
            _require_type(f"parts[{position}]", part, Answers)
            columns, expected = part.values.shape[1], parts[0].values.shape[1]
            if columns != expected:
                raise ProtocolError(
                    f"parts[{position}]: got {columns} columns, expected {expected} as before"
                )
            points = part.points.tolist()
            twice = sorted(seen.intersection(points))
            if twice:
                raise ProtocolError(
                    f"parts[{position}]: got the holders at {twice} again, expected others"
                )
            seen.update(points)
        return cls(
            points=np.concatenate([part.points for part in parts]),
            values=np.concatenate([part.values for part in parts]),
        )

    def to_bytes(self) -> bytes:
        """Write the answers.

        The body, in the fields of `veilsum.wire` (kind ANSWERS): points array of uint64, values
        array of uint64.

        Returns
        -------
        bytes

        Examples
        --------
        >>> answers = Answers(points=np.array([2], np.uint64), values=np.array([[5]], np.uint64))
        >>> Answers.from_bytes(answers.to_bytes()).values
        array([[5]], dtype=uint64)
        """
        writer = Writer(Kind.ANSWERS)
        writer.array(self.points)
        writer.array(self.values)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; the checks say whether a challenge has such answers.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        Answers

        Raises
        ------
        DeserializationError
            If the bytes are malformed.

        Examples
        --------
        >>> Answers.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.ANSWERS)
        points = reader.array(np.uint64, max_axes=1)
        values = reader.array(np.uint64, max_axes=2)
        reader.finish()
        with _parsing("answers"):
            return cls(points=points, values=values)


# ---- Holders


@dataclass(frozen=True)
class Commitment:
    """Fixes the rows of one holder and hides them.

    Parameters
    ----------
    point : int
        The holder's. The caller sees to it that it is that of the sender.
    digest : bytes
        SHA-256 of the rows and a secret salt.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type, range or length.
    """

    point: int
    digest: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", as_integer("point", self.point))
        if not 0 < self.point < 1 << 64:
            raise ValueError(f"point: got {self.point}, expected 1 to 2**64 - 1")
        _require_length("digest", self.digest, _HASH_BYTES)

    def to_bytes(self) -> bytes:
        """Write the commitment.

        The body, in the fields of `veilsum.wire` (kind SUM_COMMITMENT): point u64, digest blob.

        Returns
        -------
        bytes

        Examples
        --------
        >>> commitment = Commitment(3, bytes(32))
        >>> Commitment.from_bytes(commitment.to_bytes()) == commitment
        True
        """
        writer = Writer(Kind.SUM_COMMITMENT)
        writer.u64(self.point)
        writer.blob(self.digest)
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
            If the bytes are malformed.

        Examples
        --------
        >>> Commitment.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.SUM_COMMITMENT)
        point, digest = reader.u64(), reader.blob(max_bytes=_HASH_BYTES)
        reader.finish()
        with _parsing("commitment"):
            return cls(point, digest)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Opening:
    """The rows of one holder that a commitment fixed. Secret until they are to be shown.

    Parameters
    ----------
    masked : MaskedShares
        Of one holder.
    salt : bytes
        32 random bytes.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type or length, or not of one holder.
    """

    masked: MaskedShares
    salt: bytes

    def __post_init__(self) -> None:
        _require_type("masked", self.masked, MaskedShares)
        if len(self.masked) != 1:
            raise ValueError(f"masked: got {len(self.masked)} rows, expected those of one holder")
        _require_length("salt", self.salt, _SALT_BYTES)

    @property
    def commitment(self) -> Commitment:
        """What was published of these rows; whoever is shown them compares.

        Examples
        --------
        >>> from veilsum import shamir
        >>> commitment, opening = commit(deal_masks(shamir.split([5], shares=3, threshold=2))[0])
        >>> opening.commitment == commitment
        True
        """
        shares = self.masked.shares
        public = length_prefixed(_COMMITMENT_DOMAIN, shares[:0].to_bytes())
        masks = self.masked.masks.astype("<u8").tobytes()
        fixed = hashlib.sha256(
            public + length_prefixed(self.salt, self._point.to_bytes(8, "little"), masks)
        )
        row = np.ascontiguousarray(shares.values, "<u8").reshape(-1).view(np.uint8)
        fixed.update(row.data)
        return Commitment(self._point, fixed.digest())

    def to_bytes(self) -> bytes:
        """Write the opening, which stays secret until it is to be shown.

        The body, in the fields of `veilsum.wire` (kind SUM_OPENING): masked blob (the bytes of
        `MaskedShares`), salt blob.

        Returns
        -------
        bytes
            Python cannot wipe them.

        Examples
        --------
        >>> from veilsum import shamir
        >>> commitment, opening = commit(deal_masks(shamir.split([5], shares=3, threshold=2))[0])
        >>> Opening.from_bytes(opening.to_bytes()).commitment == commitment
        True
        """
        writer = Writer(Kind.SUM_OPENING)
        writer.blob(self.masked.to_bytes())
        writer.blob(self.salt)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; its commitment says whether it was fixed before.

        Parameters
        ----------
        data : bytes
            They may be hostile.

        Returns
        -------
        Opening

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidShare, DuplicateShare
            If a point or a value of the shares is one that no dealing gives.

        Examples
        --------
        >>> Opening.from_bytes(b"VSUM")
        Traceback (most recent call last):
            ...
        veilsum.errors.DeserializationError: header: got 4 bytes, expected at least 14
        """
        reader = Reader(data, Kind.SUM_OPENING)
        masked = MaskedShares.from_bytes(reader.blob())
        salt = reader.blob(max_bytes=_SALT_BYTES)
        reader.finish()
        with _parsing("opening"):
            return cls(masked=masked, salt=salt)

    @property
    def _point(self) -> int:
        return int(self.masked.shares.points[0])

    def __repr__(self) -> str:
        return f"Opening(masked={self.masked!r}, salt=<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "openings are secret until they are shown: they neither copy nor pickle; export them "
            "by to_bytes()"
        )


def commit(masked: MaskedShares) -> tuple[Commitment, Opening]:
    """Fix the rows of one holder before anybody can know the challenge.

    Parameters
    ----------
    masked : MaskedShares
        Of one holder: its sums, or its row of one dealing.

    Returns
    -------
    Commitment
        To be published.
    Opening
        Of sums, to be kept until all dealers have answered; of a dealing, for its holder alone.

    Raises
    ------
    TypeError
        If `masked` is not of its type.
    ValueError
        If it has the rows of no holder, or of several.

    Examples
    --------
    >>> from veilsum import shamir
    >>> commitment, opening = commit(deal_masks(shamir.split([5], shares=3, threshold=2))[1])
    >>> commitment.point, opening.commitment == commitment
    (2, True)
    """
    opening = Opening(masked=masked, salt=random_bytes(_SALT_BYTES).tobytes())
    return opening.commitment, opening


def disputed(own: MaskedShares, answers: Answers, challenge: "Challenge") -> tuple[int, ...]:
    """Find the rows that a dealer's answers contradict, so that their holders can complain.

    Parameters
    ----------
    own : MaskedShares
        Rows of that one dealing, of one holder as a rule. They stay secret and unspent.
    answers : Answers
        The dealer's.
    challenge : Challenge
        That it answered.

    Returns
    -------
    tuple of int
        Points where the dealer's answers are not those of the row that it dealt.

    Raises
    ------
    InconsistentShares
        If the challenge is of shares of another size, field or shape.
    ProtocolError
        If the answers are malformed, or not for all these holders.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from veilsum import shamir
    >>> masked, other = (deal_masks(shamir.split([v], shares=3, threshold=2)) for v in (5, 6))
    >>> commitments = [commit(masked[i])[0] for i in range(3)]
    >>> challenge = Challenge.derive(commitments, masked.shares, context=b"session 1")
    >>> disputed(masked[1], masked.answer(challenge), challenge)
    ()
    >>> disputed(masked[1], other.answer(challenge), challenge)
    (2,)
    """
    _require_asked(own, challenge)
    claimed = _at("answers", _checked("answers", answers, challenge), own.shares.points)
    false = (_combine([own], challenge) != claimed).any(axis=1)
    return tuple(own.shares.points[false].tolist())


# ---- The challenge


@dataclass(frozen=True, eq=False, kw_only=True)
class Challenge:
    """Random vectors that nobody could know before the last commitment. Public.

    Made by `derive`.

    Parameters
    ----------
    seed : bytes
        32 bytes, which AES-256-CTR expands; words that are no residues are skipped.
    header : Shares
        Without rows: field, sizes and shape.
    commitments : tuple of Commitment
        Of all holders that take part, by their points.
    """

    seed: bytes
    header: Shares
    commitments: tuple[Commitment, ...]

    @classmethod
    def derive(
        cls,
        commitments: Iterable[Commitment],
        shares: Shares,
        *,
        context: bytes,
        coins: bytes = b"",
    ) -> Self:
        """Hash everything that was fixed.

        Parameters
        ----------
        commitments : iterable of Commitment
            Of all holders that take part, in any order. A later one counts for nothing.
        shares : Shares
            Any with the header of the committed rows: only the header is used.
        context : bytes
            Session, round, and which dealers are summed.
        coins : bytes
            Random bytes that all parties agreed on after the commitments, if there are any.

        Returns
        -------
        Challenge
            The same one for all parties who saw the same.

        Raises
        ------
        InsufficientShares
            If fewer holders than the threshold committed.
        ProtocolError
            If a holder committed twice, or a commitment has the point of no holder.
        TypeError
            If an argument is not of its type.
        ValueError
            If the shares are additive.

        Examples
        --------
        >>> from veilsum import shamir
        >>> masked = deal_masks(shamir.split([5], shares=3, threshold=2))
        >>> commitments = [commit(masked[i])[0] for i in range(3)]
        >>> challenge = Challenge.derive(commitments, masked.shares, context=b"session 1")
        >>> other = Challenge.derive(commitments, masked.shares, context=b"session 2")
        >>> challenge.seed == other.seed
        False
        """
        _require_on_polynomials(shares)
        _require_type("context", context, bytes)
        _require_type("coins", coins, bytes)
        ordered = _ordered(commitments, shares)
        if len(ordered) < shares.threshold:
            raise InsufficientShares(
                f"commitments: got {len(ordered)}, expected at least the threshold "
                f"{shares.threshold}; ask more holders"
            )
        header = shares[:0]
        fixed = [one.point.to_bytes(8, "little") + one.digest for one in ordered]
        statement = length_prefixed(_DOMAIN, context, coins, header.to_bytes(), *fixed)
        return cls(
            seed=hashlib.sha256(statement).digest(), header=header, commitments=tuple(ordered)
        )

    @property
    def _points(self) -> Words:
        return np.array([one.point for one in self.commitments], np.uint64)

    def _vectors(self, width: int) -> Iterator[Words]:
        """Yield the s vectors by blocks of `width` coordinates, shape ``(s, width)``."""
        field = self.header.field
        size, repetitions = math.prod(self.header.values.shape[1:]), _repetitions(field)
        stream = _residues(self.seed, field.modulus)
        left = np.empty(0, np.uint64)
        for start in range(0, size, width):
            needed = min(width, size - start) * repetitions
            drawn = [left]
            while sum(piece.size for piece in drawn) < needed:
                drawn.append(next(stream))
            block, left = np.split(np.concatenate(drawn), [needed])
            yield np.ascontiguousarray(block.reshape(-1, repetitions).T)


# ---- Checks


def check_answers(answers: Sequence[Answers], challenge: Challenge) -> None:
    """Refuse dealers' answers under which no sum can be checked, before anything is opened.

    Every holder runs it before it sends its opening. What a false answer of low degree contradicts,
    `disputed` finds.

    Parameters
    ----------
    answers : sequence of Answers
        Of exactly those dealers whose shares were summed, each once. They may be hostile.
    challenge : Challenge
        Derived from the commitments to the sums.

    Raises
    ------
    ProtocolError
        If there are none, or some are malformed, of too high a degree, or not for all holders that
        committed. Open nothing: leave these dealers out and start again under fresh masks.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from veilsum import shamir
    >>> masked = deal_masks(shamir.split([5], shares=3, threshold=2))
    >>> commitments = [commit(masked[i])[0] for i in range(3)]
    >>> challenge = Challenge.derive(commitments, masked.shares, context=b"session 1")
    >>> check_answers([masked.answer(challenge)], challenge)
    """
    try:
        _summed(answers, challenge)
    except ProtocolError as error:
        raise ProtocolError(
            f"{error}; open nothing, leave these dealers out and start again, under fresh masks"
        ) from None


def check_sums(
    openings: Iterable[Opening], answers: Sequence[Answers], challenge: Challenge
) -> tuple[Shares, tuple[int, ...]]:
    """Keep the sums that are what the dealers answer for, and name the holders of the others.

    Parameters
    ----------
    openings : iterable of Opening
        Of holders that committed. They may be hostile; the caller sees to it that the point of each
        is that of its sender. A holder who committed and opens nothing is only missing.
    answers : sequence of Answers
        Of exactly those dealers whose shares were summed, each once; `check_answers` took them and
        nobody complained of them.
    challenge : Challenge
        Derived from the commitments.

    Returns
    -------
    Shares
        The honest sums.
    tuple of int
        Points of those that do not fit: what was opened is not what was committed to, or no sum of
        what these dealers dealt. If `answers` are as asked for, they are liars.

    Raises
    ------
    InsufficientShares
        If fewer fitting sums than the threshold are left.
    ProtocolError
        If `check_answers` refuses the answers. The round ends: openings are out, and a second total
        without some of its dealers would give away what these dealt.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from veilsum import shamir
    >>> dealers = [deal_masks(shamir.split([v], shares=4, threshold=2)) for v in (5, 7)]
    >>> totals = [sum(dealer[i] for dealer in dealers) for i in range(4)]
    >>> lie = totals[1].shares.with_values([[3]])
    >>> totals[1] = MaskedShares(shares=lie, masks=totals[1].masks)
    >>> commitments, openings = zip(*map(commit, totals))
    >>> challenge = Challenge.derive(commitments, totals[0].shares, context=b"session 1")
    >>> answers = [dealer.answer(challenge) for dealer in dealers]
    >>> honest, liars = check_sums(openings, answers, challenge)
    >>> shamir.reconstruct(honest), liars
    (array([12]), (2,))
    """
    try:
        expected = _summed(answers, challenge)
    except ProtocolError as error:
        raise ProtocolError(
            f"{error}; openings are out, so the round ends: a second total without these dealers "
            "would give away what they dealt. Run check_answers before opening"
        ) from None
    committed = {one.point: one for one in challenge.commitments}
    seen = set()
    fitting: dict[int, MaskedShares] = {}
    for opening in openings:
        _require_type("openings", opening, Opening)
        seen.add(opening._point)
        if _fits(opening, committed.get(opening._point), challenge):
            fitting[opening._point] = opening.masked
    honest = _honest(fitting, expected, challenge)
    liars = tuple(sorted(seen - honest.keys()))
    if len(honest) < challenge.header.threshold:
        raise InsufficientShares(
            f"openings: {len(honest)} of {len(seen)} fit, expected at least the threshold "
            f"{challenge.header.threshold}; those of the holders at {list(liars)} do not fit: ask "
            "the others who committed, and see that `answers` has each dealer summed, once"
        )
    return Shares.join(list(honest.values())), liars


def check_degree(answers: Answers, challenge: Challenge, *, zeros: bool = False) -> bool:
    """Whether answers lie on polynomials of degree below the threshold.

    Those of all holders to a challenge on one dealing show whether the dealer dealt shares: True is
    wrong with probability modulus**-s. If it is False, the dealer lied, or a holder about its row.

    Parameters
    ----------
    answers : Answers
        Of the holders that committed, all of them: without a holder who does not answer, the rest
        start again under fresh masks.
    challenge : Challenge
        Derived from the holders' commitments to their rows of that dealing; of more of them than
        the threshold, with `zeros` of as many at least.
    zeros : bool
        Whether the polynomials have to be zero where the secrets stand, so that True says that the
        dealer dealt shares of zeros. For ``deal_masks(deal_zeros(...), zeros=True)``.

    Returns
    -------
    bool

    Raises
    ------
    InsufficientShares
        If too few holders committed: their answers fit any dealing.
    ProtocolError
        If the answers are malformed, or of other holders than those that committed.
    TypeError
        If an argument is not of its type.

    Examples
    --------
    >>> from veilsum import shamir
    >>> rows = list(map(deal_masks(shamir.split([5], shares=4, threshold=2)).__getitem__, range(4)))
    >>> commitments, _ = zip(*map(commit, rows))
    >>> challenge = Challenge.derive(commitments, rows[0].shares, context=b"dealing 1")
    >>> check_degree(Answers.join([row.answer(challenge) for row in rows]), challenge)
    True
    """
    _require_type("challenge", challenge, Challenge)
    header, points = challenge.header, challenge._points
    values = _at("answers", _checked("answers", answers, challenge), points)
    foreign = sorted(set(answers.points.tolist()) - set(points.tolist()))
    if foreign:
        raise ProtocolError(
            f"answers: got those of the holders at {foreign}, who did not commit, expected those "
            "of all who did"
        )
    least = header.privacy if zeros else header.threshold
    if len(points) <= least:
        raise InsufficientShares(
            f"answers: got {len(points)}, expected more than {least}; fewer fit any dealing"
        )
    if zeros:
        known = secret_points(header.field, header.layout, header.shares, header.packed)
        points = np.concatenate([known, points])
        values = np.concatenate([np.zeros((len(known), values.shape[1]), np.uint64), values])
    return not _has_high_degree(points, values, challenge).any()


def _honest(
    masked: dict[int, MaskedShares], expected: Answers, challenge: Challenge
) -> dict[int, Shares]:
    """Keep the sums, by their points, that give what is expected there."""
    given = _combine(list(masked.values()), challenge)
    wrong = (given != _at("answers", expected, np.array(list(masked), np.uint64))).any(axis=1)
    return {
        point: one.shares
        for (point, one), lie in zip(masked.items(), wrong, strict=True)
        if not lie
    }


def _summed(answers: Sequence[Answers], challenge: Challenge) -> Answers:
    """Add what the dealers answer for at the points of those who committed."""
    _require_type("challenge", challenge, Challenge)
    if not answers:
        raise ProtocolError("answers: got none, expected those of every dealer summed")
    field, points = challenge.header.field, challenge._points
    rows = []
    for dealer, one in enumerate(answers):
        name = f"answers[{dealer}]"
        rows.append(_at(name, _checked(name, one, challenge), points))
    high = _has_high_degree(points, np.concatenate(rows, axis=1), challenge)
    liars = np.flatnonzero(high.reshape(len(rows), -1).any(axis=1)).tolist()
    if liars:
        raise ProtocolError(
            f"answers: those at positions {liars} are not of a degree below the threshold "
            f"{challenge.header.threshold}"
        )
    return Answers(points=points, values=reduce(field.add, rows))


def _has_high_degree(points: Words, values: Words, challenge: Challenge) -> NDArray[np.bool_]:
    """Say for each column of values whether no polynomial of degree below the threshold has them.

    Such are the values whose divided differences, alone and times powers of the points, all vanish;
    of as many points as the threshold or fewer there are none to look at.
    """
    field = challenge.header.field
    extra = max(0, len(points) - challenge.header.threshold)
    gaps = field.sub(points[:, np.newaxis], points)
    np.fill_diagonal(gaps, 1)
    weights = field.inverse(reduce(field.mul, gaps.T))
    parity = field.mul(power_rows(field, points, extra), weights[:, np.newaxis])
    return np.asarray(field.matmul(parity.T, values).any(axis=0))


def _combine(masked: Sequence[MaskedShares], challenge: Challenge) -> Words:
    """Add the inner products of each row with the vectors to its masks, block by block."""
    field = challenge.header.field
    rows = [row.reshape(-1) for one in masked for row in one.shares.values]
    masks = np.array([mask for one in masked for mask in one.masks], np.uint64)
    total = masks.reshape(len(rows), _repetitions(field)).T
    width = max(1, _BLOCK // max(1, len(rows)))
    for place, vectors in enumerate(challenge._vectors(width) if rows else ()):
        block = np.stack([row[place * width : (place + 1) * width] for row in rows], axis=1)
        total = field.add(total, field.matmul(vectors, block, threads=1))
    return np.ascontiguousarray(total.T)


def _nodal(shares: Shares) -> Words:
    """Evaluate at each point the least polynomial that is zero where the secrets stand."""
    field = shares.field
    zeros = secret_points(field, shares.layout, shares.shares, shares.packed)
    return reduce(field.mul, field.sub(shares.points[:, np.newaxis], zeros).T)


def _residues(seed: bytes, modulus: int) -> Iterator[Words]:
    """Expand a seed to uniform residues without end."""
    cipher = Cipher(algorithms.AES(seed), modes.CTR(bytes(_AES_BLOCK))).encryptor()
    mask = np.uint64((1 << (modulus - 1).bit_length()) - 1)
    zeros = bytes(_STREAM_BYTES)
    while True:
        words = np.frombuffer(cipher.update(zeros), "<u8").astype(np.uint64) & mask
        yield words[words < np.uint64(modulus)]


def _repetitions(field: PrimeField) -> int:
    """Count the vectors after which a liar's chance is at most ``2**-_SOUNDNESS_BITS``."""
    return next(s for s in count(1) if field.modulus**s >= 1 << _SOUNDNESS_BITS)


def _fits(opening: Opening, commitment: Commitment | None, challenge: Challenge) -> bool:
    """Whether the rows are those committed to, and alike to what the challenge is about."""
    alike = opening.masked.shares[:0].to_bytes() == challenge.header.to_bytes()
    return alike and opening.commitment == commitment


def _at(name: str, answers: Answers, points: Words) -> Words:
    """Select the answers at these points."""
    place = {point: position for position, point in enumerate(answers.points.tolist())}
    missing = [point for point in points.tolist() if point not in place]
    if missing:
        raise ProtocolError(f"{name}: none for the holders at {missing}, expected all holders'")
    return answers.values[[place[point] for point in points.tolist()]]


# ---- What is refused


def _checked(name: str, answers: Answers, challenge: Challenge) -> Answers:
    """Refuse answers that no honest party gives to this challenge, whatever they hold."""
    _require_type(name, answers, Answers)
    field = challenge.header.field
    try:
        _words("values", answers.values, field, (len(answers.points), _repetitions(field)))
    except ValueError as error:
        raise ProtocolError(f"{name}: {error}") from None
    holders = np.unique(answers.points).size
    if len(answers.points) != holders or holders > challenge.header.shares:
        raise ProtocolError(
            f"{name}: got {len(answers.points)} for {holders} holders, expected one for each and "
            f"at most {challenge.header.shares}"
        )
    return answers


def _require_asked(masked: MaskedShares, challenge: Challenge) -> None:
    _require_type("masked", masked, MaskedShares)
    _require_type("challenge", challenge, Challenge)
    for name in ("field", "layout", "threshold", "shares", "packed", "shape"):
        ours, asked = getattr(masked.shares, name), getattr(challenge.header, name)
        if ours != asked:
            raise InconsistentShares(
                f"challenge: got one of shares with {name} {asked}, expected {ours}; derive it "
                "from the commitments to sums of these shares"
            )


def _require_on_polynomials(shares: Shares) -> None:
    _require_type("shares", shares, Shares)
    _require_type("field", shares.field, PrimeField)
    if shares.layout == "additive":
        raise ValueError("shares: got additive ones, which lie on no polynomials to challenge")


def _ordered(commitments: Iterable[Commitment], shares: Shares) -> list[Commitment]:
    ordered = list(commitments)
    for one in ordered:
        _require_type("commitments", one, Commitment)
    ordered.sort(key=lambda one: one.point)
    points = np.array([one.point for one in ordered], np.uint64)
    foreign = holder_numbers(shares.field, shares.layout, shares.shares, points) == 0
    if foreign.any():
        raise ProtocolError(
            f"commitments: got those of {points[foreign].tolist()}, expected points of the "
            f"{shares.shares} holders; leave them out"
        )
    twice = np.unique(points[1:][points[1:] == points[:-1]]).tolist()
    if twice:
        raise ProtocolError(f"commitments: the holders at {twice} committed twice, expected once")
    return ordered


@contextmanager
def _parsing(name: str) -> Iterator[None]:
    """Turn what a message's own checks refuse into errors of its bytes."""
    try:
        yield
    except ValueError as error:
        raise DeserializationError(f"{name}: {error}") from None


def _words(name: str, values: Words, field: PrimeField, shape: tuple[int, ...]) -> Words:
    """Refuse what is no array of residues of that shape; return a read-only copy."""
    outside = field.count_outside(values)
    if values.shape != shape or outside:
        raise ValueError(
            f"{name}: got shape {values.shape} and {outside} numbers not in "
            f"range({field.modulus}), expected shape {shape} and none"
        )
    return _sealed_copy(values)


def _sealed_copy(values: Words) -> Words:
    own = values.copy()
    own.setflags(write=False)
    return own
