"""Zero-knowledge proofs: that a public key is well formed, and that a sender knows its plaintexts.

Both are non-interactive (Fiat and Shamir, 1986), need no common reference string, and hash the
whole statement, length-prefixed, together with a `context` of the caller: who proves, to whom, in
which session and round. Security is in the random-oracle model, with SHAKE-256 as the oracle.

The certificate of a key n, h
-----------------------------
*n-th roots* (Goldberg, Reyzin, Sagga, Baldimtsi, "Efficient noninteractive certification of RSA
moduli and beyond", 2019) of 7 hashed points. If n is not square-free, or a prime factor divides
another one less 1, then a prime r divides both n and the order of its group, and at most one unit
in r has an n-th root. `PublicKey` refuses factors below 2**20, so 7 points pass with probability at
most 2**-140. Else n-th powering is a permutation of the units: each ciphertext has exactly one
plaintext, and ``h**n`` and all its powers encrypt 0.

*Blum form* (Canetti, Gennaro, Goldfeder, Makriyannis, Peled, "UC non-interactive, proactive,
threshold ECDSA with identifiable aborts", 2020, the proof of a Paillier-Blum modulus): for 128
further points y, a fourth root of y or -y, or of w y or -w y where y has Jacobi symbol -1. If n has
three prime factors or more, squares are at most one unit in eight; if it has two, one of them 1
modulo 4, fourth powers are. The four multiples reach at most half of the units, so 128 points pass
with probability at most 2**-128. `PublicKey` refuses primes and perfect powers, so what is left is
n = p q with p and q both 3 modulo 4. There, w is the smallest integer of Jacobi symbol -1: the
maker of a key chooses nothing, and has to find another n, h or context for another attempt.

*The base h* has Jacobi symbol 1 and no square of 1 modulo p or q (`PublicKey` checks both), so by
the form of n it is a square or the negative of one, as it should. That it generates a large group
is not certified, nor that p and q are long: a holder of the private key who chose them badly lets
others read what it could show them anyway.

*Zero knowledge*: whoever chooses the points makes them as powers of random units and their roots
with them, the fourth roots being squares; so the roots say nothing of p and q.

The proof of plaintext knowledge
--------------------------------
For ciphertexts ``c_i = (1 + m_i n) h_s**x_i mod n**2`` (Schnorr's proof over many statements at
once, in a group of unknown order): a commitment ``u = (1 + a n) h_s**y``, a challenge e_i of 128
bits for each ciphertext, and ``z_m = a + sum(e_i m_i) mod n``, ``z_x = y + sum(e_i x_i)`` such that
``(1 + z_m n) h_s**z_x = u prod(c_i**e_i)``.

*Soundness.* Two answers to challenges that differ in e_i alone, by d, give
``c_i**d = (1 + z n) h_s**x`` with the differences z and x of the responses. The order of h_s is
unknown, so x cannot be divided by d. But ``1 + n`` has the known order n, d is below p and q and so
invertible modulo n, and by the certificate every ciphertext splits in one way into a power of 1 + n
and an n-th residue: c_i decrypts to z / d mod n. For all ciphertexts at once, one more answer than
ciphertexts makes a linear system, singular modulo p or q with probability 2**-127 for each answer.
Extracted are thus the plaintexts, and only they: nothing is proved of the exponents, nor that m_i
is within a bound. Without a certificate, or with a prime factor below 2**128, these bounds do not
hold.

*Zero knowledge.* a is uniform modulo n up to 2**-128, and y is 128 bits longer than any sum that it
masks: what is seen is within 2**-127 of what a simulator makes without the plaintexts. Responses
are unique as long as the sender cannot factor n, so proofs cannot be altered into others either.

Bytes follow the header of `veilsum.wire`: a certificate is its n-th roots and its fourth roots, a
proof is u, z_m and z_x, each an integer.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol, Self, TypeVar

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import _core, randomness
from veilsum.encoding import FixedPoint, exact_array
from veilsum.errors import DeserializationError, FaultDetected, InvalidKey, ProtocolError
from veilsum.paillier.arrays import CipherArray, require_public_key
from veilsum.paillier.keys import (
    _LARGEST_BITS,
    PrivateKey,
    PublicKey,
    _default_encoding,
)
from veilsum.paillier.limbs import from_words, signed_limbs, to_rows, to_words, word_count
from veilsum.paillier.packing import PackedArray, Packing, _is_whole, _real_array
from veilsum.threads import thread_count
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = [
    "KeyCertificate",
    "PlaintextProof",
    "certify",
    "encrypt_packed_with_proof",
    "encrypt_with_proof",
    "proof_context",
]

_NTH_ROOTS = 7  # ceil(128 / 20): no prime factor is below 2**20
_FOURTH_ROOTS = 128
_CHALLENGE_BITS = 128
_MASKING_BITS = 128
_COUNT_BITS = 64  # more than the length of any number of ciphertexts
_BLINDING_BITS = 64
_ALL_CORES = 0

_OTHER_CAUSES = (
    "the certificate is of another key or context; do not use the key, "
    "ask its owner for a certificate"
)


class _Ciphertexts(Protocol):
    """What a proof needs of an array of ciphertexts."""

    @property
    def public_key(self) -> PublicKey: ...
    @property
    def vector(self) -> _core.CipherVector: ...
    def to_bytes(self) -> bytes: ...


_Array = TypeVar("_Array", bound=_Ciphertexts)


# ---- The certificate of a key


@dataclass(frozen=True, repr=False)
class KeyCertificate:
    """Shows that n is the product of two primes that serve Paillier encryption; see the module.

    Made by `certify` or `from_bytes`. Check it before the first use of a key whose maker you do not
    trust.

    Attributes
    ----------
    nth_roots : tuple of int
        Of 7 points hashed from the key and the context.
    fourth_roots : tuple of int
        Of 128 points, each up to its sign and a factor of Jacobi symbol -1.
    """

    nth_roots: tuple[int, ...]
    fourth_roots: tuple[int, ...]

    def verify(self, public_key: PublicKey, *, context: bytes = b"") -> None:
        """Refuse a key that this certificate does not certify.

        Parameters
        ----------
        public_key : PublicKey
            Whose n was checked for small factors when it was made.
        context : bytes
            As given to `certify`.

        Raises
        ------
        InvalidKey
            If n is not the product of two different primes, both 3 modulo 4, of which none divides
            the other less 1 (with probability at least 1 - 2**-128), or if the certificate is of
            another key or context, or altered. Do not use the key.
        TypeError
            If `public_key` is no public key or `context` is not bytes.
        """
        require_public_key(public_key)
        n = public_key.n
        _require_roots("nth_roots", self.nth_roots, _NTH_ROOTS, n)
        _require_roots("fourth_roots", self.fourth_roots, _FOURTH_ROOTS, n)
        points = _points(public_key, b"n-th roots", _NTH_ROOTS, context)
        if _powers(n, self.nth_roots, n) != points:
            raise InvalidKey(
                "certificate: its n-th roots do not fit: n is not square-free, a factor divides "
                f"another one less 1, or {_OTHER_CAUSES}"
            )
        squares = _blum_points(public_key, context)
        fourths = _powers(n, self.fourth_roots, 4)
        if any(got not in (y, n - y) for got, y in zip(fourths, squares, strict=True)):
            raise InvalidKey(
                "certificate: its fourth roots do not fit: n is not the product of two primes that "
                f"are 3 modulo 4, or {_OTHER_CAUSES}"
            )

    def to_bytes(self) -> bytes:
        """Write the roots; 53 kB for a key of 3072 bits."""
        writer = Writer(Kind.KEY_CERTIFICATE)
        for root in (*self.nth_roots, *self.fourth_roots):
            writer.integer(root)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; only `verify` says whether it certifies a key.

        Raises
        ------
        DeserializationError
            If the bytes are malformed or a number is not positive.
        """
        reader = Reader(data, Kind.KEY_CERTIFICATE)
        roots = [_natural(reader, _LARGEST_BITS) for _ in range(_NTH_ROOTS + _FOURTH_ROOTS)]
        reader.finish()
        return cls(tuple(roots[:_NTH_ROOTS]), tuple(roots[_NTH_ROOTS:]))

    def __repr__(self) -> str:
        return f"KeyCertificate({len(self.nth_roots)} + {len(self.fourth_roots)} roots)"


def certify(
    private_key: PrivateKey, *, context: bytes = b"", threads: int | None = None
) -> KeyCertificate:
    """Certify that a key is well formed, for those who do not trust its maker.

    The roots are taken in compiled code whose time depends on sizes alone, with blinded exponents,
    and are checked before they leave: one root that is wrong modulo one prime would give both away.
    The exponents themselves, inverses modulo p - 1 and q - 1, are made by `gmpy2`, whose time is
    not constant.

    Parameters
    ----------
    private_key : PrivateKey
    context : bytes
        What the certificate is bound to, such as the owner's name; checked by `verify`.
    threads : int, optional
        All cores unless given.

    Returns
    -------
    KeyCertificate
        The same one for the same key and context.

    Raises
    ------
    FaultDetected
        If a fault of the machine spoilt a root.
    TypeError
        If `private_key` is no private key or `context` is not bytes.

    Examples
    --------
    >>> from veilsum import paillier
    >>> pub, priv = paillier.keygen(2048)
    >>> certificate = certify(priv, context=b"hospital A")
    >>> certificate.verify(pub, context=b"hospital A")
    >>> certificate.verify(pub, context=b"hospital B")
    Traceback (most recent call last):
    ...
    veilsum.errors.InvalidKey: certificate: its n-th roots do not fit: n is not square-free, ...
    """
    if not isinstance(private_key, PrivateKey):
        raise TypeError(f"private_key: got {type(private_key).__name__}, expected PrivateKey")
    public_key = private_key.public_key
    p, q = private_key._p, private_key._q
    nth = [int(gmpy2.invert(public_key.n, prime - 1)) for prime in (p, q)]
    # Even, and an inverse of 4 modulo the order of the squares: takes y and -y, of which one is a
    # square modulo both primes, to that one's fourth root, without a look at which it is.
    fourth = [2 * int(gmpy2.invert(8, (prime - 1) // 2)) for prime in (p, q)]
    points = _points(public_key, b"n-th roots", _NTH_ROOTS, context)
    certificate = KeyCertificate(
        _secret_powers((p, q), nth, points, threads),
        _secret_powers((p, q), fourth, _blum_points(public_key, context), threads),
    )
    try:
        certificate.verify(public_key, context=context)
    except InvalidKey:
        # The key was checked when it was made: what is wrong is a root.
        raise FaultDetected(
            "certificate: a root came out wrong and nothing is released, since it would give the "
            "key away; try again, and distrust this machine"
        ) from None
    return certificate


def _points(public_key: PublicKey, purpose: bytes, number: int, context: bytes) -> tuple[int, ...]:
    """Hash to units modulo n, each within 2**-128 of uniform."""
    _require_bytes(context)
    n, width = public_key.n, (public_key.bits + _MASKING_BITS) // 8
    statement = length_prefixed(
        b"veilsum/v1 key certificate", purpose, public_key.to_bytes(), context
    )
    stream = hashlib.shake_256(statement).digest(number * width)
    points = [
        int.from_bytes(stream[start : start + width], "little") % n
        for start in range(0, len(stream), width)
    ]
    if any(gmpy2.gcd(point, n) != 1 for point in points):
        raise InvalidKey("n: it has a factor so small that a hash met it")
    return tuple(points)


def _blum_points(public_key: PublicKey, context: bytes) -> tuple[int, ...]:
    """Hash to units of Jacobi symbol 1; of each and its negative one is a square if n is Blum's."""
    n = public_key.n
    w = next(w for w in count(2) if gmpy2.jacobi(w, n) == -1)
    points = _points(public_key, b"fourth roots", _FOURTH_ROOTS, context)
    return tuple(y if gmpy2.jacobi(y, n) == 1 else w * y % n for y in points)


def _require_roots(name: str, roots: tuple[int, ...], number: int, n: int) -> None:
    if any(not isinstance(root, int) for root in roots):
        raise TypeError(f"certificate: {name} are not integers; make it by certify or from_bytes")
    if len(roots) != number or any(not 0 < root < n for root in roots):
        raise InvalidKey(
            f"certificate: got {len(roots)} {name}, expected {number} between 0 and n, both "
            "excluded; do not use the key, ask its owner for a certificate"
        )


def _powers(modulus: int, bases: tuple[int, ...], exponent: int) -> tuple[int, ...]:
    width = word_count(modulus)
    rows = _core.modular_powers(
        to_words(modulus, width),
        np.stack([to_words(base, width) for base in bases]),
        to_words(exponent, word_count(exponent)),
        _ALL_CORES,
    )
    return tuple(map(from_words, rows))


def _secret_powers(
    primes: tuple[int, int], exponents: list[int], bases: tuple[int, ...], threads: int | None
) -> tuple[int, ...]:
    """Raise to one exponent modulo each prime, blinded by a multiple of the group's order."""
    p, q = primes
    words = word_count(p)
    blinded = [
        exponent + randomness.random_bits(_BLINDING_BITS) * (prime - 1)
        for exponent, prime in zip(exponents, primes, strict=True)
    ]
    secrets = [to_words(number, words) for number in (p, q, int(gmpy2.invert(q, p)))]
    secrets += [to_words(exponent, words + 1) for exponent in blinded]
    width = word_count(p * q)
    rows = np.stack([to_words(base, width) for base in bases])
    try:
        p_words, q_words, q_inverse, e_p, e_q = secrets
        powers = _core.prime_pair_powers(
            p_words, q_words, q_inverse, rows, e_p, e_q, thread_count(threads)
        )
    finally:
        for secret in secrets:
            randomness.wipe(secret)
    return tuple(map(from_words, powers))


# ---- The proof of plaintext knowledge


@dataclass(frozen=True, repr=False)
class PlaintextProof:
    """Shows that who encrypted an array knows what is in it; see the module.

    Made by `encrypt_with_proof`, `encrypt_packed_with_proof` or `from_bytes`. A ciphertext that was
    copied, or made from those of others, comes without one.

    Attributes
    ----------
    commitment : int
        An encryption of a random plaintext, u.
    plaintext_response : int
        A combination of the plaintexts that the random one masks, z_m.
    randomness_response : int
        The same combination of the exponents, z_x.
    """

    commitment: int
    plaintext_response: int
    randomness_response: int

    def verify(self, ciphertexts: CipherArray | PackedArray, *, context: bytes) -> None:
        """Refuse ciphertexts that this proof does not belong to.

        Parameters
        ----------
        ciphertexts : CipherArray or PackedArray
            Exactly as encrypted: the proof holds for no sum or product of them.
        context : bytes
            What the verifier knows of the sender, session and round, as by `proof_context`; never
            taken from the sender.

        Raises
        ------
        ProtocolError
            If the proof fails: the sender does not know the plaintexts, sent what another one
            encrypted or an array of another round, or the message was altered. Refuse it.
        TypeError
            If `ciphertexts` are no array of ciphertexts or `context` is not bytes.
        """
        if not isinstance(ciphertexts, CipherArray | PackedArray):
            raise TypeError(
                f"ciphertexts: got {type(ciphertexts).__name__}, expected an array of ciphertexts"
            )
        key = ciphertexts.public_key
        square = key.n**2
        numbers = (self.commitment, self.plaintext_response, self.randomness_response)
        if any(not isinstance(number, int) for number in numbers):
            raise TypeError("proof: its numbers are no integers; read it by from_bytes")
        if not (
            0 < self.commitment < square
            and 0 <= self.plaintext_response < key.n
            and 0 <= self.randomness_response < 1 << _mask_bits(key) + 1
        ):
            raise ProtocolError(
                "proof: a number is out of the range that the key allows; refuse the ciphertexts"
            )
        challenges = _challenges(ciphertexts, self.commitment, context)
        response = _commitment(
            key,
            _centred(self.plaintext_response, key),
            to_words(self.randomness_response, _mask_bits(key) // 64 + 1),
        )
        if response != self.commitment * _weighted_product(ciphertexts.vector, challenges) % square:
            raise ProtocolError(
                "proof: it does not hold for these ciphertexts in this context: they were copied, "
                "altered or made from others; refuse them"
            )

    def to_bytes(self) -> bytes:
        """Write the three numbers; 1.4 kB under a key of 3072 bits, for an array of any size."""
        writer = Writer(Kind.PLAINTEXT_PROOF)
        for number in (self.commitment, self.plaintext_response, self.randomness_response):
            writer.integer(number)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; only `verify` says whether it proves anything.

        Raises
        ------
        DeserializationError
            If the bytes are malformed or a number is negative.
        """
        reader = Reader(data, Kind.PLAINTEXT_PROOF)
        commitment = _natural(reader, 2 * _LARGEST_BITS)
        plaintext_response = _natural(reader, _LARGEST_BITS, least=0)
        randomness_response = _natural(reader, _LARGEST_BITS, least=0)
        reader.finish()
        return cls(commitment, plaintext_response, randomness_response)

    def __repr__(self) -> str:
        return f"PlaintextProof(commitment of {self.commitment.bit_length()} bits)"


def proof_context(*, session_id: bytes, client: str, round_number: int) -> bytes:
    """Write who proves, and where, as the context of a proof.

    Parameters
    ----------
    session_id : bytes
    client : str
        The sender's name in the session's roster.
    round_number : int
        From 0 to 2**64 - 1.

    Returns
    -------
    bytes
        Other ones for every other session, client or round.

    Raises
    ------
    ValueError
        If `round_number` is negative or above 2**64 - 1.

    Examples
    --------
    >>> context = proof_context(session_id=bytes(16), client="client-3", round_number=0)
    >>> context == proof_context(session_id=bytes(16), client="client-3", round_number=1)
    False
    """
    if not 0 <= round_number < 1 << 64:
        raise ValueError(f"round_number: got {round_number}, expected 0 to 2**64 - 1")
    return length_prefixed(session_id, client.encode(), round_number.to_bytes(8, "little"))


def encrypt_with_proof(
    public_key: PublicKey,
    values: ArrayLike,
    *,
    context: bytes,
    encoding: FixedPoint | None = None,
    fraction_bits: int = 32,
    bound: float | None = None,
    threads: int | None = None,
) -> tuple[CipherArray, PlaintextProof]:
    """Encrypt an array and prove knowledge of what is in it.

    All arithmetic on plaintexts and randomness is compiled and takes time that depends on sizes
    alone; turning numbers into integers before it does not promise that, as in
    ``PublicKey.encrypt``.

    Parameters
    ----------
    public_key : PublicKey
    values, encoding, fraction_bits, bound, threads
        As for ``PublicKey.encrypt``.
    context : bytes
        Who proves, in which session and round; such as `proof_context` writes it.

    Returns
    -------
    tuple of CipherArray and PlaintextProof
        Send both; the proof has the size of two or three ciphertexts.

    Raises
    ------
    BudgetExceeded
        As for ``PublicKey.encrypt``.
    TypeError
        As for ``PublicKey.encrypt``, or if `context` is not bytes.

    Examples
    --------
    >>> from veilsum import paillier
    >>> pub, priv = paillier.keygen(2048)
    >>> context = proof_context(session_id=bytes(16), client="client-3", round_number=0)
    >>> ciphertexts, proof = encrypt_with_proof(pub, [1.5, -2.0], context=context)
    >>> proof.verify(ciphertexts, context=context)
    >>> proof.verify(ciphertexts, context=b"client-4, who copied both")
    Traceback (most recent call last):
    ...
    veilsum.errors.ProtocolError: proof: it does not hold for these ciphertexts in this context: ...
    """
    require_public_key(public_key)
    _require_bytes(context)
    array = exact_array(values)
    if encoding is None:
        encoding = _default_encoding(array, fraction_bits, bound)
    limit = public_key._require_capacity(encoding.limit)
    scale = encoding.scale

    def encrypted(vector: _core.CipherVector) -> CipherArray:
        return CipherArray(public_key, vector, shape=array.shape, scale=scale, limit=limit)

    rows = to_rows(encoding.quantise(array), signed_limbs(limit))
    return _encrypt_and_prove(public_key, rows, encrypted, context, threads)


def encrypt_packed_with_proof(
    public_key: PublicKey,
    array: ArrayLike,
    *,
    context: bytes,
    bits: int = 24,
    bound: float,
    additions: int = 1,
    threads: int | None = None,
) -> tuple[PackedArray, PlaintextProof]:
    """Encrypt an array, many values to a ciphertext, and prove knowledge of what is in it.

    Parameters
    ----------
    public_key : PublicKey
    array, bits, bound, additions, threads
        As for ``PublicKey.encrypt_packed``.
    context : bytes
        As for `encrypt_with_proof`.

    Returns
    -------
    tuple of PackedArray and PlaintextProof
        As for `encrypt_with_proof`.

    Raises
    ------
    BudgetExceeded, ValueError
        As for ``PublicKey.encrypt_packed``.
    TypeError
        As for ``PublicKey.encrypt_packed``, or if `context` is not bytes.

    Examples
    --------
    >>> from veilsum import paillier
    >>> pub, priv = paillier.keygen(2048)
    >>> ciphertexts, proof = encrypt_packed_with_proof(
    ...     pub, [0.5, -3.0], context=b"client-3", bound=4.0, additions=100
    ... )
    >>> proof.verify(ciphertexts, context=b"client-3")
    """
    require_public_key(public_key)
    _require_bytes(context)
    values = _real_array(array)
    packing = Packing(
        bits=bits,
        bound=bound,
        additions=additions,
        key_bits=public_key.bits,
        whole=_is_whole(values),
    )

    def encrypted(vector: _core.CipherVector) -> PackedArray:
        return PackedArray(public_key, vector, packing, shape=values.shape, used=1)

    rows = packing.pack(values, threads)
    return _encrypt_and_prove(public_key, rows, encrypted, context, threads)


def _encrypt_and_prove(
    public_key: PublicKey,
    rows: NDArray[np.uint64],
    encrypted: Callable[[_core.CipherVector], _Array],
    context: bytes,
    threads: int | None,
) -> tuple[_Array, PlaintextProof]:
    """Encrypt rows in two's complement, and wipe them; `encrypted` makes the array."""
    exponents = _random_exponents(public_key, len(rows))
    try:
        ciphertexts = encrypted(public_key._core.encrypt(rows, exponents, thread_count(threads)))
        return ciphertexts, _prove(ciphertexts, rows, exponents, context)
    finally:
        randomness.wipe(rows)
        randomness.wipe(exponents)


def _prove(
    ciphertexts: _Ciphertexts,
    rows: NDArray[np.uint64],
    exponents: NDArray[np.uint64],
    context: bytes,
) -> PlaintextProof:
    """Prove knowledge of the plaintexts in these rows, encrypted with these exponents."""
    key = ciphertexts.public_key
    n = to_words(key.n, key.bits // 64)
    # Room for the sum: a challenge and a count have 192 bits together, and there is a sign.
    a = _random_words(key.bits + _MASKING_BITS, key.bits // 64 + 4)
    y = _random_words(_mask_bits(key), _mask_bits(key) // 64 + 1)
    secrets = [a, y, _core.centred_residue(a, n)]
    try:
        commitment = _commitment(key, secrets[-1], y)
        challenges = _challenges(ciphertexts, commitment, context)
        secrets.append(_core.weighted_sum(a, rows, challenges, is_signed=True))
        z_m = _core.centred_residue(secrets[-1], n)
        z_x = _core.weighted_sum(y, exponents, challenges, is_signed=False)
    finally:
        for secret in secrets:
            randomness.wipe(secret)
    return PlaintextProof(commitment, _from_centred(z_m) % key.n, from_words(z_x))


def _commitment(key: PublicKey, plaintext: NDArray[np.uint64], exponent: NDArray[np.uint64]) -> int:
    """Encrypt with an exponent longer than the key's table reaches, in constant time."""
    core = key._core
    one = np.zeros((1, core.exponent_words), np.uint64)
    one[0, 0] = 1
    h_s = core.encrypt(np.zeros((1, 1), np.uint64), one, 1)
    randomizer = h_s.power(exponent.reshape(1, -1), _mask_bits(key) + 1, 1)
    message = core.encode(plaintext.reshape(1, -1), 1)
    return from_words(message.multiply(randomizer, 1).to_words(1)[0])


def _challenges(ciphertexts: _Ciphertexts, commitment: int, context: bytes) -> NDArray[np.uint64]:
    """Hash the statement to one integer of 128 bits for each ciphertext, as rows of words."""
    _require_bytes(context)
    statement = length_prefixed(
        b"veilsum/v1 plaintext proof",
        ciphertexts.public_key.to_bytes(),
        ciphertexts.to_bytes(),
        commitment.to_bytes(ciphertexts.public_key.bits // 4, "little"),
        context,
    )
    words = _CHALLENGE_BITS // 64
    stream = hashlib.shake_256(statement).digest(8 * words * len(ciphertexts.vector))
    return np.frombuffer(stream, "<u8").astype(np.uint64).reshape(-1, words)


def _weighted_product(vector: _core.CipherVector, weights: NDArray[np.uint64]) -> int:
    """Multiply powers of ciphertexts with public exponents."""
    product = vector.weigh(1, weights, 1, _CHALLENGE_BITS, _ALL_CORES)
    return from_words(product.to_words(_ALL_CORES)[0])


def _mask_bits(key: PublicKey) -> int:
    """Count the bits of y: 128 more than those of a sum of exponents times challenges."""
    return key.bits // 2 + _CHALLENGE_BITS + _COUNT_BITS + _MASKING_BITS


def _random_exponents(key: PublicKey, number: int) -> NDArray[np.uint64]:
    """Draw the exponents of encryption, without the bits that encryption would ignore."""
    words = key._core.exponent_words
    drawn = randomness.random_bytes(8 * words * number).view(np.uint64).reshape(number, words)
    drawn[:, -1] >>= np.uint64(64 * words - key.bits // 2)
    return drawn


def _random_words(bits: int, size: int) -> NDArray[np.uint64]:
    """Draw an integer uniform in ``range(2**bits)``, as words that can be wiped."""
    drawn = randomness.random_bytes(8 * size).view(np.uint64)
    whole, rest = divmod(bits, 64)
    drawn[whole] &= np.uint64((1 << rest) - 1)
    drawn[whole + 1 :] = 0
    return drawn


# ---- Helpers


def _natural(reader: Reader, bits: int, *, least: int = 1) -> int:
    number = reader.integer(max_bytes=bits // 8)
    if number < least:
        raise DeserializationError(f"integer: got one below {least}, the least that fits here")
    return number


def _require_bytes(context: object) -> None:
    if not isinstance(context, bytes):
        raise TypeError(
            f"context: got {type(context).__name__}, expected bytes; such as proof_context() makes"
        )


def _centred(residue: int, key: PublicKey) -> NDArray[np.uint64]:
    """Write a residue modulo n as a plaintext: in two's complement, between -n/2 and n/2."""
    plaintext = residue if residue <= key.plaintext_limit else residue - key.n
    return to_words(plaintext % (1 << key.bits), key.bits // 64)


def _from_centred(words: NDArray[np.uint64]) -> int:
    return int.from_bytes(words.astype("<u8").tobytes(), "little", signed=True)
