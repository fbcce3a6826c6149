"""Threshold Paillier: a private key that no one has, and of whose holders any `threshold` decrypt.

Sources: Damgard and Jurik, "A generalisation, a simplification and some applications of Paillier's
probabilistic public-key system", 2001, section 4.1 (with s = 1), which carries over Shoup,
"Practical threshold signatures", 2000 (shares times ``delta = holders!``, and section 2 for the
proofs).

A trusted dealer chooses safe primes ``p = 2 p' + 1`` and ``q = 2 q' + 1``. With ``n = p q`` and
``m = p' q'`` the squares modulo n**2 form a cycle of order ``n m``. The decryption exponent d is 0
modulo m and 1 modulo n, so that ``c**(4 d) = 1 + 4 M n`` for an encryption c of M. A random
polynomial f modulo n m with f(0) = d is dealt: holder i gets ``e_i = delta f(i) mod n m``, and
everybody a generator v of the squares with all ``v_i = v**e_i``. A decryption share of c is
``c**(2 e_i)``. Lagrange's coefficients for f(0) are integers when multiplied by delta: so products
of powers of `threshold` shares give ``c**(4 delta**2 d)``, from which anybody reads
``4 delta**2 M mod n``. To fewer holders d stays undetermined: every difference of two holders'
numbers is a unit modulo n m, so for each d there is a polynomial with their values.

The proof of a decryption share
-------------------------------
For ciphertexts c_j and shares s_j of holder i, both sides hash one integer r_j of 128 bits for each
ciphertext and form ``C = prod(c_j**(4 r_j))`` and ``D = prod(s_j**(2 r_j))``. Then holder i proves
that ``log_C D = log_v v_i`` (Chaum and Pedersen, 1992): commitments ``v**y`` and ``C**y``, a
challenge e of 128 bits, the integer ``z = y + e e_i``. Sent are e and z, which give the
commitments back: ``v**z / v_i**e`` and ``C**z / D**e``. Everything is hashed by SHAKE-256, length-
prefixed, beginning with the statement: the threshold key, i, the context, all ciphertexts, all
shares. Security is in the random-oracle model.

*Soundness.* v and v_i are squares by the dealer, C and D whatever units the c_j and s_j are, and no
prime factor of ``n m`` is below 2**128, for keys of 512 bits and more. So with ``x_j = s_j**2 /
c_j**(4 e_i)`` the order of an x_j other than 1 has a prime factor r above 2**128, and given the
other weights ``prod(x_j**r_j)`` is 1 for one r_j modulo r at most: shares of which one is wrong
pass into ``D = C**e_i`` with probability at most 2**-128. Otherwise let ``C = v**a`` and ``D =
v**b``. As ``a e_i - b`` is not 0 modulo some prime factor r of n m, commitments made before the
challenge leave one answerable e modulo r at most, so again 2**-128. A prover who tries the hash Q
times gains a factor Q. Neither step needs the order of the group, and both would fail for units
that are no squares: -1 and the signs modulo p and q alone have a small order, and squaring removes
them; a wrong sign of a share does not change what it opens. For shorter keys, which protect
nothing, less is proven.

*Zero knowledge.* y has 256 bits more than e_i can have, ``e e_i`` has 128: z is within 2**-128 of
uniform over the range of y (Shoup 2000, section 2, with L1 = 128).

Bytes follow the header of `veilsum.wire`. A threshold key is the public key's bytes (a blob), the
threshold (u32), v, the number of holders (u32), and their v_i. A key share is the threshold key's
fingerprint (a blob), the holder (u32) and e_i. A decryption share is fingerprint and holder, one
row of ``2 * bits / 64`` words for each ciphertext, then e and z.
"""

import functools
import hashlib
import math
import operator
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

import gmpy2
import numpy as np
from numpy.typing import NDArray

from veilsum import _core, randomness
from veilsum.errors import (
    DecodingError,
    DeserializationError,
    DuplicateShare,
    FaultDetected,
    InconsistentShares,
    InsufficientShares,
    InvalidKey,
    KeyMismatch,
    ProtocolError,
)
from veilsum.paillier.arrays import CipherArray, _checked_vector, require_public_key
from veilsum.paillier.compiled import beyond_limit
from veilsum.paillier.keys import (
    _LARGEST_BITS,
    PublicKey,
    _are_far_apart,
    _checked_bits,
    _checked_primes,
    _fit_together,
    _is_prime,
    _opened,
    _random_base,
)
from veilsum.paillier.limbs import from_words, to_rows, to_words, word_count
from veilsum.paillier.packing import PackedArray
from veilsum.paillier.proofs import _natural, _random_words, _require_bytes, _weighted_product
from veilsum.threads import thread_count
from veilsum.wire import MAX_ELEMENTS, Kind, Reader, Writer, length_prefixed

__all__ = ["DecryptionShare", "KeyShare", "ThresholdKey", "deal_key"]

_MOST_HOLDERS = 255
_CHALLENGE_BITS = 128
_MASKING_BITS = 128
_FINGERPRINT_BYTES = 32
_SIEVED_FACTORS = 1 << 20
_SIEVED_CANDIDATES = 1 << 17

_Words = NDArray[np.uint64]
_Array = CipherArray | PackedArray


# ---- The keys


@dataclass(frozen=True, repr=False)
class ThresholdKey:
    """The public side of a shared key: what everybody may know, and needs to check the holders.

    Made by `deal_key` or `from_bytes`. Arrays are encrypted under its `public_key`.

    Attributes
    ----------
    public_key : PublicKey
    threshold : int
        How many holders decrypt together; fewer learn nothing.
    base : int
        A square v modulo n**2.
    verification : tuple of int
        Of each holder the power v_i of v, whose exponent is its share.
    fingerprint : bytes
        A hash of all of it.

    Raises
    ------
    InvalidKey
        If there are no or more than 255 holders, the threshold is not between 1 and their number,
        or a number is no unit modulo n**2. That the dealer was honest cannot be seen.
    TypeError
        If a part is of another type.
    """

    public_key: PublicKey
    threshold: int
    base: int
    verification: tuple[int, ...]
    fingerprint: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        require_public_key(self.public_key)
        numbers = (self.threshold, self.base, *self.verification)
        if any(not isinstance(number, int) for number in numbers):
            raise TypeError("threshold key: its numbers are no integers; make it by deal_key")
        if not 1 <= self.threshold <= self.holders <= _MOST_HOLDERS:
            raise InvalidKey(
                f"threshold key: got {self.holders} holders and a threshold of {self.threshold}, "
                f"expected at most {_MOST_HOLDERS} and a threshold from 1 to their number"
            )
        n = self.public_key.n
        square = n**2
        units = all(0 < x < square and gmpy2.gcd(x, n) == 1 for x in numbers[1:])
        if not units or gmpy2.gcd(self.base - 1, n) != 1:
            raise InvalidKey(
                "threshold key: v or a power of it is not what a dealer deals; ask for another key"
            )
        digest = hashlib.sha256(length_prefixed(b"veilsum/v1 threshold key", self.to_bytes()))
        object.__setattr__(self, "fingerprint", digest.digest())

    @property
    def holders(self) -> int:
        """How many holders have a share; they are numbered from 1."""
        return len(self.verification)

    def combine(
        self, ciphertexts: _Array, shares: Sequence["DecryptionShare"], *, context: bytes
    ) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Decrypt an array with the shares of any `threshold` holders, and name those who lied.

        The time depends on the numbers: whoever has so many shares has the values too.

        Parameters
        ----------
        ciphertexts : CipherArray or PackedArray
            Under `public_key`.
        shares : sequence of DecryptionShare
            At most one of each holder. Each is verified, and what is wrong is left out.
        context : bytes
            As given to ``KeyShare.decrypt``, and never taken from a holder.

        Returns
        -------
        tuple of NDArray and tuple of int
            What ``PrivateKey.decrypt`` returns, and the holders whose shares do not hold,
            ascending.

        Raises
        ------
        BudgetExceeded, KeyMismatch, OverflowError
            As for ``PrivateKey.decrypt``.
        DecodingError
            If the valid shares do not fit together: the dealer dealt no such key.
        DuplicateShare
            If a holder has two shares.
        InconsistentShares
            If a share is of another threshold key.
        InsufficientShares
            If fewer than `threshold` of them hold; the message names the holders whose do not.
        TypeError
            If an argument is of another type.

        Examples
        --------
        See `deal_key`.
        """
        _require_array(ciphertexts, self.public_key)
        _require_bytes(context)
        self._require_together(shares)
        in_order = sorted(shares, key=lambda share: share.holder)
        honest = [share for share in in_order if share._holds(ciphertexts, self, context)]
        liars = tuple(share.holder for share in in_order if share not in honest)
        if len(honest) < self.threshold:
            named = f"; those of holders {list(liars)} do not hold" if liars else ""
            raise InsufficientShares(
                f"shares: got {len(honest)} valid ones of the {self.threshold} needed{named}; "
                "ask other holders"
            )

        def rows(array: CipherArray, limbs: int) -> _Words:
            plaintexts = self._plaintexts(honest[: self.threshold])
            if any(abs(m) > array.limit for m in plaintexts):
                raise beyond_limit()
            return to_rows(np.array(plaintexts, object), limbs)

        return _opened(ciphertexts, rows, None), liars

    def _require_together(self, shares: Sequence["DecryptionShare"]) -> None:
        for share in shares:
            if not isinstance(share, DecryptionShare):
                raise TypeError(f"shares: got {type(share).__name__}, expected DecryptionShare")
            if share.fingerprint != self.fingerprint:
                raise InconsistentShares(
                    f"shares: that of holder {share.holder} is of another threshold key; combine "
                    "those of one key"
                )
        holders = [share.holder for share in shares]
        if len(set(holders)) != len(holders):
            raise DuplicateShare(
                f"shares: got several of one holder among {sorted(holders)}; pass one of each"
            )

    def _plaintexts(self, shares: Sequence["DecryptionShare"]) -> list[int]:
        """Read the plaintexts, centred, from as many valid shares as the threshold."""
        n = self.public_key.n
        weights, scale = _lagrange_at_zero([share.holder for share in shares], self.holders)
        joined = functools.reduce(_core.CipherVector.append, [share._vector for share in shares])
        # Shares are no ciphertexts with plaintexts to keep within a limit, but multiply as such.
        rows = CipherArray(self.public_key, joined, shape=(len(joined),), scale=1, limit=0)
        powers = rows.reshape(len(shares), -1).T @ np.array([2 * w for w in weights], object)
        inverse = int(gmpy2.invert(4 * math.factorial(self.holders) * scale, n))
        plaintexts = []
        for words in powers.vector.to_words(thread_count(None)):
            quotient, remainder = divmod(from_words(words) - 1, n)
            if remainder:
                raise DecodingError(
                    "shares: valid ones do not fit together, so that the key was not dealt as it "
                    "should be; have another one dealt"
                )
            residue = quotient * inverse % n
            plaintexts.append(residue if residue <= n // 2 else residue - n)
        return plaintexts

    def to_bytes(self) -> bytes:
        """Write the public key, the threshold, and v with its powers."""
        writer = Writer(Kind.THRESHOLD_KEY)
        writer.blob(self.public_key.to_bytes())
        writer.u32(self.threshold)
        writer.integer(self.base)
        writer.u32(self.holders)
        for power in self.verification:
            writer.integer(power)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes, *, insecure: bool = False) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidKey
            If the numbers are no key, as for the class and for `PublicKey`.
        """
        reader = Reader(data, Kind.THRESHOLD_KEY)
        public_key = reader.blob(max_bytes=_LARGEST_BITS)
        threshold = reader.u32()
        base = _natural(reader, 2 * _LARGEST_BITS)
        holders = reader.u32(max_value=_MOST_HOLDERS)
        verification = tuple(_natural(reader, 2 * _LARGEST_BITS) for _ in range(holders))
        reader.finish()
        return cls(
            PublicKey.from_bytes(public_key, insecure=insecure), threshold, base, verification
        )

    def __repr__(self) -> str:
        return (
            f"ThresholdKey({self.threshold} of {self.holders} holders, "
            f"{self.public_key.bits} bits, fingerprint {self.fingerprint.hex()[:16]})"
        )


class KeyShare:
    """One holder's share of the key; redacted in repr, refuses to pickle, wiped when it goes.

    Made by `deal_key` or `from_bytes`. Alone it decrypts nothing (where the threshold is above 1),
    yet it answers whatever it is asked: a holder decides what it helps to decrypt, such as one sum
    a session.

    Parameters
    ----------
    key : ThresholdKey
    holder : int
        From 1 to the number of holders.
    exponent : NDArray[uint64]
        Words of e_i; the array becomes the share's own.

    Raises
    ------
    InvalidKey
        If the exponent is not that of this holder of this key.
    TypeError
        If an argument is of another type.
    """

    __slots__ = ("__weakref__", "_exponent", "holder", "key")

    key: ThresholdKey
    holder: int
    _exponent: _Words

    def __init__(self, key: ThresholdKey, holder: int, exponent: _Words) -> None:
        if not isinstance(key, ThresholdKey):
            raise TypeError(f"key: got {type(key).__name__}, expected ThresholdKey")
        is_array = isinstance(exponent, np.ndarray) and exponent.dtype == np.uint64
        if not is_array or not (exponent.flags.c_contiguous and exponent.flags.writeable):
            # Checked before it reaches the core, whose refusals show their arguments.
            raise TypeError("exponent: it is no writable array of uint64 in order; use deal_key")
        holder = operator.index(holder)
        size = _square_words(key.public_key)
        if not 1 <= holder <= key.holders or exponent.shape != (size,):
            raise InvalidKey(
                f"key share: got holder {holder} and {exponent.size} words, expected a holder "
                f"from 1 to {key.holders} and {size} words"
            )
        if _powers(key.public_key, [key.base], exponent) != [key.verification[holder - 1]]:
            raise InvalidKey(
                f"key share: it is not that of holder {holder} of this key; use the key that it "
                "was dealt with"
            )
        for name, value in (("key", key), ("holder", holder), ("_exponent", exponent)):
            object.__setattr__(self, name, value)
        weakref.finalize(self, randomness.wipe, exponent)

    def decrypt(
        self, ciphertexts: _Array, *, context: bytes, threads: int | None = None
    ) -> "DecryptionShare":
        """Compute this holder's share of the plaintexts, with a proof that it is right.

        The compiled part, which is all that meets the secret, runs in time that depends on sizes
        only. The share is verified before it leaves: a wrong one could give the secret away.

        Parameters
        ----------
        ciphertexts : CipherArray or PackedArray
            Under the public key.
        context : bytes
            Who answers, in which session and round; such as `proof_context` writes it.
        threads : int, optional
            For the powers of the ciphertexts; all cores unless given.

        Returns
        -------
        DecryptionShare
            As long as the ciphertexts, and a proof of about the length of one.

        Raises
        ------
        FaultDetected
            If a fault of the machine spoilt the share.
        KeyMismatch
            If the ciphertexts are under another key.
        TypeError
            If an argument is of another type.
        """
        key = self.key.public_key
        _require_array(ciphertexts, key)
        _require_bytes(context)
        workers = thread_count(threads)
        squares = ciphertexts.vector.multiply(ciphertexts.vector, workers)
        vector = squares.power(self._exponent[np.newaxis], 64 * self._exponent.size, workers)
        claim = _Claim.of(self.key, self.holder, ciphertexts, vector, context)
        share = DecryptionShare(
            self.key.fingerprint, self.holder, vector, *claim.prove(self._exponent)
        )
        if not share._holds(ciphertexts, self.key, context):
            raise FaultDetected(
                "decryption share: it came out wrong and nothing is released, since it could give "
                "the key share away; try again, and distrust this machine"
            )
        return share

    def to_bytes(self) -> bytes:
        """Export the secret exponent. Keep the bytes secret: Python cannot wipe them."""
        writer = Writer(Kind.KEY_SHARE)
        writer.blob(self.key.fingerprint)
        writer.u32(self.holder)
        writer.integer(from_words(self._exponent))
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes, key: ThresholdKey) -> Self:
        """Read what `to_bytes` wrote, and validate it.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidKey
            If the exponent is not that of this holder.
        KeyMismatch
            If the share is of another threshold key.
        """
        reader = Reader(data, Kind.KEY_SHARE)
        holder = _read_header(reader, key)
        size = _square_words(key.public_key)
        exponent = reader.integer(max_bytes=8 * size)
        reader.finish()
        if exponent < 0:
            raise DeserializationError("integer: the exponent is negative")
        return cls(key, holder, to_words(exponent, size))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a key share does not change; have another one dealt")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # one secret, one object, as with private keys

    def __repr__(self) -> str:
        return f"KeyShare(<redacted>, of holder {self.holder} of {self.key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key share does not pickle; export it with to_bytes()")


@dataclass(frozen=True, repr=False, eq=False)
class DecryptionShare:
    """What one holder contributes to the decryption of an array, with its proof; see the module.

    Made by ``KeyShare.decrypt`` or `from_bytes`. It shows nothing of the plaintexts to who has
    fewer than `threshold` of them, the same holder's counted once.

    Attributes
    ----------
    fingerprint : bytes
        Of the threshold key.
    holder : int
        From 1 to the number of holders.
    challenge, response : int
        The proof: e and z.
    """

    fingerprint: bytes
    holder: int
    _vector: _core.CipherVector
    challenge: int
    response: int

    def __len__(self) -> int:
        return len(self._vector)

    def verify(self, ciphertexts: _Array, key: ThresholdKey, *, context: bytes) -> None:
        """Refuse a share that is not this holder's of these ciphertexts.

        Parameters
        ----------
        ciphertexts : CipherArray or PackedArray
            What the holder was asked to decrypt.
        key : ThresholdKey
        context : bytes
            What the verifier knows of the holder, session and round; never taken from the holder.

        Raises
        ------
        KeyMismatch
            If the ciphertexts or the share are of another key.
        ProtocolError
            If the proof fails: the holder lies, answers another question, or its message was
            altered. Leave the share out.
        TypeError
            If an argument is of another type.
        """
        if not isinstance(key, ThresholdKey):
            raise TypeError(f"key: got {type(key).__name__}, expected ThresholdKey")
        _require_array(ciphertexts, key.public_key)
        _require_bytes(context)
        if self.fingerprint != key.fingerprint:
            raise _of_another_key()
        if not self._holds(ciphertexts, key, context):
            raise ProtocolError(
                f"decryption share: that of holder {self.holder} does not hold for these "
                "ciphertexts in this context; leave it out and ask another holder"
            )

    def _holds(self, ciphertexts: _Array, key: ThresholdKey, context: bytes) -> bool:
        if not 1 <= self.holder <= key.holders or len(self) != len(ciphertexts.vector):
            return False
        claim = _Claim.of(key, self.holder, ciphertexts, self._vector, context)
        return claim.accepts(self.challenge, self.response)

    def to_bytes(self) -> bytes:
        """Write the share and its proof."""
        writer = Writer(Kind.DECRYPTION_SHARE)
        writer.blob(self.fingerprint)
        writer.u32(self.holder)
        writer.array(self._vector.to_words(thread_count(None)))
        writer.integer(self.challenge)
        writer.integer(self.response)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes, key: ThresholdKey, *, max_size: int = MAX_ELEMENTS) -> Self:
        """Read what `to_bytes` wrote; only `verify` says whether it holds.

        Parameters
        ----------
        data : bytes
            They may be hostile.
        key : ThresholdKey
        max_size : int
            The most ciphertexts accepted, checked before memory is taken.

        Raises
        ------
        DeserializationError
            If the bytes are malformed.
        InvalidCiphertext
            If a number is no unit modulo n**2.
        KeyMismatch
            If the share is of another threshold key.
        """
        reader = Reader(data, Kind.DECRYPTION_SHARE)
        holder = _read_header(reader, key)
        width = _square_words(key.public_key)
        words = reader.array(np.uint64, max_axes=2, max_size=min(max_size * width, MAX_ELEMENTS))
        challenge = _natural(reader, _CHALLENGE_BITS, least=0)
        response = _natural(reader, 64 * _response_words(key.public_key), least=0)
        reader.finish()
        if words.ndim != 2 or words.shape[1] != width:
            raise DeserializationError(
                f"decryption share: got words of shape {words.shape}, expected rows of {width}"
            )
        return cls(
            key.fingerprint, holder, _checked_vector(key.public_key, words), challenge, response
        )

    def __repr__(self) -> str:
        return f"DecryptionShare(of {len(self)} ciphertexts, by holder {self.holder})"


# ---- The proof


@dataclass(frozen=True)
class _Claim:
    """That the powers of both bases have the same exponent: what a holder proves."""

    key: PublicKey
    bases: tuple[int, int]  # v and C
    powers: tuple[int, int]  # v_i and D
    digest: bytes  # of the statement

    @classmethod
    def of(
        cls,
        key: ThresholdKey,
        holder: int,
        ciphertexts: _Array,
        vector: _core.CipherVector,
        context: bytes,
    ) -> Self:
        """Weigh ciphertexts and shares by what the statement hashes to."""
        statement = length_prefixed(
            b"veilsum/v1 decryption share",
            key.fingerprint,
            holder.to_bytes(4, "little"),
            context,
            ciphertexts.to_bytes(),
            _bytes_of(vector.to_words(thread_count(None))),
        )
        digest = hashlib.shake_256(statement).digest(64)
        size = _CHALLENGE_BITS // 8 * len(vector)
        stream = hashlib.shake_256(length_prefixed(b"weights", digest)).digest(size)
        weights = np.frombuffer(stream, "<u8").astype(np.uint64)
        weights = weights.reshape(-1, _CHALLENGE_BITS // 64)
        square = key.public_key.n**2
        big_c = pow(_weighted_product(ciphertexts.vector, weights), 4, square)
        big_d = pow(_weighted_product(vector, weights), 2, square)
        power = key.verification[holder - 1]
        return cls(key.public_key, (key.base, big_c), (power, big_d), digest)

    def prove(self, exponent: _Words) -> tuple[int, int]:
        """Return challenge and response, in constant time."""
        y = _random_words(_mask_bits(self.key), _response_words(self.key))
        try:
            challenge = self._challenge(_powers(self.key, self.bases, y))
            weight = to_words(challenge, _CHALLENGE_BITS // 64)
            response = _core.weighted_sum(
                y, exponent[np.newaxis], weight[np.newaxis], is_signed=False
            )
        finally:
            randomness.wipe(y)
        return challenge, from_words(response)

    def accepts(self, challenge: int, response: int) -> bool:
        """Tell whether the proof holds."""
        in_range = response >> _mask_bits(self.key) + 1 == 0 == challenge >> _CHALLENGE_BITS
        if not in_range:
            return False
        n_squared = self.key.n**2
        inverses = [int(gmpy2.invert(power, n_squared)) for power in self.powers]
        masked = _powers(self.key, self.bases, to_words(response, _response_words(self.key)))
        removed = _powers(self.key, inverses, to_words(challenge, _CHALLENGE_BITS // 64))
        commitments = [a * b % n_squared for a, b in zip(masked, removed, strict=True)]
        return challenge == self._challenge(commitments)

    def _challenge(self, commitments: Sequence[int]) -> int:
        width = _square_words(self.key)
        parts = [_bytes_of(to_words(commitment, width)) for commitment in commitments]
        hashed = hashlib.shake_256(length_prefixed(b"challenge", self.digest, *parts))
        return int.from_bytes(hashed.digest(_CHALLENGE_BITS // 8), "little")


def _powers(key: PublicKey, bases: Sequence[int], exponent: _Words) -> list[int]:
    """Raise to one exponent, in time that depends on its number of words alone."""
    width = _square_words(key)
    rows = np.stack([to_words(base, width) for base in bases])
    vector = key._core.from_words(rows, 1).power(exponent[np.newaxis], 64 * exponent.size, 1)
    return [from_words(row) for row in vector.to_words(1)]


def _square_words(key: PublicKey) -> int:
    """Count the words of a number below n**2: of a ciphertext, a share, an exponent."""
    return 2 * word_count(key.n)


def _mask_bits(key: PublicKey) -> int:
    """Count the bits of y: 128 more than those of a challenge times an exponent."""
    return 64 * _square_words(key) + _CHALLENGE_BITS + _MASKING_BITS


def _response_words(key: PublicKey) -> int:
    return _mask_bits(key) // 64 + 1


def _bytes_of(words: _Words) -> bytes:
    return words.astype("<u8").tobytes()


# ---- The dealer


def deal_key(
    *,
    holders: int,
    threshold: int,
    bits: int = 3072,
    primes: tuple[int, int] | None = None,
    insecure: bool = False,
) -> tuple[ThresholdKey, tuple[KeyShare, ...]]:
    """Make a key and deal it to holders, of whom any `threshold` decrypt together.

    Whoever runs this is the trusted dealer. It sees the whole key and can decrypt everything: run
    it on a machine that you trust, hand each share to its holder over a secure channel, keep none,
    and end the process: Python cannot wipe the primes. Its arithmetic on them, by `gmpy2`, takes
    time that depends on them, as in `keygen`. Safe primes are rare: 3072 bits take about five
    seconds on one core, now and then several times as long.

    Parameters
    ----------
    holders : int
        From 1 to 255.
    threshold : int
        How many of them decrypt, from 1 to all. Fewer than so many learn nothing, and more than
        ``holders - threshold`` absent or lying ones stop all decryption.
    bits : int
        Length of the modulus, as for `keygen`; that of the primes if they are given.
    primes : tuple of int, optional
        Two safe primes to use instead of fresh ones.
    insecure : bool
        Allow less than 2048 bits, from 128, for tests; warns.

    Returns
    -------
    tuple of ThresholdKey and tuple of KeyShare
        The share of holder i is at place i - 1.

    Raises
    ------
    InvalidKey
        If `bits` is out of range, or `primes` are not safe, or not what `PrivateKey` takes.
    ValueError
        If `holders` or `threshold` is out of range.

    Examples
    --------
    >>> key, shares = deal_key(holders=3, threshold=2, bits=2048)
    >>> c = key.public_key.encrypt([3, -4]) + key.public_key.encrypt([10, 10])
    >>> answers = [shares[i].decrypt(c, context=b"session 1") for i in (0, 2)]
    >>> key.combine(c, answers, context=b"session 1")
    (array([13,  6]), ())
    """
    holders, threshold = operator.index(holders), operator.index(threshold)
    if not 1 <= holders <= _MOST_HOLDERS:
        raise ValueError(f"holders: got {holders}, expected 1 to {_MOST_HOLDERS}")
    if not 1 <= threshold <= holders:
        raise ValueError(f"threshold: got {threshold}, expected 1 to the {holders} holders")
    if primes is None:
        p, q = _random_safe_primes(_checked_bits(bits, insecure=insecure) // 2)
    else:
        p, q = _checked_safe_primes(*primes)
    public_key = PublicKey(p * q, _random_base(p * q), insecure=insecure)
    return _deal(public_key, p, q, holders, threshold)


def _deal(
    public_key: PublicKey, p: int, q: int, holders: int, threshold: int
) -> tuple[ThresholdKey, tuple[KeyShare, ...]]:
    n, m = p * q, (p // 2) * (q // 2)
    coefficients = [m * int(gmpy2.invert(m, n))]
    coefficients += [randomness.random_below(n * m) for _ in range(threshold - 1)]
    delta, size = math.factorial(holders), _square_words(public_key)
    exponents = [
        to_words(delta * _evaluate(coefficients, holder) % (n * m), size)
        for holder in range(1, holders + 1)
    ]
    base = _generator_of_squares(p, q)
    verification = tuple(_powers(public_key, [base], exponent)[0] for exponent in exponents)
    key = ThresholdKey(public_key, threshold, base, verification)
    shares = (KeyShare(key, place + 1, exponent) for place, exponent in enumerate(exponents))
    return key, tuple(shares)


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    return functools.reduce(lambda value, c: value * x + c, reversed(coefficients))


def _lagrange_at_zero(places: Sequence[int], holders: int) -> tuple[list[int], int]:
    """Find integers w_i and s such that ``sum(w_i f(i)) = s f(0)``, of least magnitude.

    They are ``holders!`` times Lagrange's coefficients, without what these have in common.
    """
    delta = math.factorial(holders)
    weights = []
    for i in places:
        others = [j for j in places if j != i]
        weights.append(delta * math.prod(others) // math.prod(j - i for j in others))
    common = math.gcd(delta, *weights)
    return [weight // common for weight in weights], delta // common


def _generator_of_squares(p: int, q: int) -> int:
    """Draw a square of order n p' q' modulo n**2."""
    n, m = p * q, (p // 2) * (q // 2)
    while True:
        v = int(gmpy2.powmod(randomness.random_below(n**2), 2, n**2))
        if gmpy2.gcd(v, n) != 1 or gmpy2.gcd(v - 1, n) != 1:
            continue
        if gmpy2.gcd((gmpy2.powmod(v, m, n**2) - 1) // n, n) == 1:
            return v


def _checked_safe_primes(p: int, q: int) -> tuple[int, int]:
    p, q = _checked_primes(p, q)
    if not (_is_prime(p // 2) and _is_prime(q // 2)):
        raise InvalidKey("primes: one is not safe: less 1 and halved it is not prime")
    return p, q


def _random_safe_primes(bits: int) -> tuple[int, int]:
    p = _random_safe_prime(bits)
    while True:
        q = _random_safe_prime(bits)
        if _are_far_apart(p, q) and _fit_together(p, q):
            return p, q


def _random_safe_prime(bits: int) -> int:
    """Draw a safe prime with both top bits set, so that a product has full length.

    From random starts, the first one within a window (Brandt and Damgard, "On generation of
    probable primes by incremental search", 1992): not quite uniform, at a loss of a few bits of
    entropy out of `bits`. Candidates for the halves p' are 5 modulo 6, which 2 and 3 ask for.
    """
    window = 6 * (_SIEVED_CANDIDATES + 1)
    while True:
        start = (3 << (bits - 3)) + randomness.random_below((1 << (bits - 3)) - window)
        start += (5 - start) % 6
        for place in _unsieved(start):
            half = start + 6 * place
            pair = (half, 2 * half + 1)
            if all(map(_may_be_prime, pair)) and all(map(_is_prime, pair)):
                return pair[1]


def _may_be_prime(candidate: int) -> bool:
    return bool(gmpy2.is_strong_prp(candidate, 2))


def _unsieved(start: int) -> list[int]:
    """Find where neither ``start + 6 k`` nor twice that plus 1 has a small factor."""
    factors, sixths = _small_factors()
    remainders = np.zeros(factors.size, np.uint64)
    digits = np.frombuffer(start.to_bytes(8 * word_count(start), "big"), ">u4")
    for digit in digits.astype(np.uint64):
        remainders = (remainders << np.uint64(32) | digit) % factors
    halves = (factors - 1) // 2  # -1/2 modulo each factor
    alive = np.ones(_SIEVED_CANDIDATES, bool)
    for wanted in (np.uint64(0), halves):
        first = (wanted + factors - remainders) % factors * sixths % factors
        for factor, place in zip(factors.tolist(), first.tolist(), strict=True):
            alive[place::factor] = False
    return [int(place) for place in np.flatnonzero(alive)]


@functools.cache
def _small_factors() -> tuple[_Words, _Words]:
    """Return the primes from 5, and 1/6 modulo each."""
    sieve = np.ones(_SIEVED_FACTORS, bool)
    sieve[:5] = False
    for factor in (2, 3):
        sieve[::factor] = False
    for factor in range(5, math.isqrt(_SIEVED_FACTORS) + 1):
        if sieve[factor]:
            sieve[factor * factor :: factor] = False
    factors = np.flatnonzero(sieve).astype(np.uint64)
    multiples = np.where(factors % np.uint64(6) == 1, 5, 1).astype(np.uint64)
    return factors, (multiples * factors + np.uint64(1)) // np.uint64(6)


# ---- Helpers


def _require_array(ciphertexts: object, key: PublicKey) -> None:
    if not isinstance(ciphertexts, CipherArray | PackedArray):
        raise TypeError(
            f"ciphertexts: got {type(ciphertexts).__name__}, expected CipherArray or PackedArray"
        )
    if ciphertexts.public_key != key:
        raise KeyMismatch("ciphertexts: they are under another key; use the key that made them")


def _read_header(reader: Reader, key: ThresholdKey) -> int:
    """Read the fingerprint, which has to be the key's, and the holder."""
    if reader.blob(max_bytes=_FINGERPRINT_BYTES) != key.fingerprint:
        raise _of_another_key()
    holder = reader.u32(max_value=key.holders)
    if holder < 1:
        raise DeserializationError("holder: got 0, holders are numbered from 1")
    return holder


def _of_another_key() -> KeyMismatch:
    return KeyMismatch("share: it is of another threshold key; use the key that it was dealt with")
