"""Shared keys: what is dealt, what any few holders open, and how lies are found and refused."""

import copy
import dataclasses
import gc
import hashlib
import itertools
import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import gmpy2
import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core, paillier, randomness
from veilsum.errors import (
    BudgetExceeded,
    DecodingError,
    DeserializationError,
    DuplicateShare,
    FaultDetected,
    InconsistentShares,
    InsufficientShares,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
    ProtocolError,
)
from veilsum.paillier import (
    CipherArray,
    DecryptionShare,
    KeyShare,
    PrivateKey,
    PublicKey,
    ThresholdKey,
    deal_key,
    threshold,
)
from veilsum.paillier.limbs import from_words, to_words
from veilsum.wire import Kind, Writer, length_prefixed

Dealt = tuple[ThresholdKey, tuple[KeyShare, ...]]

# Safe primes, just below a power of two and seven eighths of it.
PRIMES = (2**256 - 36113, 7 * 2**253 - 48021)
CONTEXT = b"session 7"
VALUES = [5, -7, 2**40]


@pytest.fixture(scope="module")
def dealt() -> Dealt:
    return deal_key(holders=5, threshold=3, primes=PRIMES, insecure=True)


@pytest.fixture(scope="module")
def other() -> Dealt:
    return deal_key(holders=5, threshold=3, primes=PRIMES, insecure=True)


@pytest.fixture(scope="module")
def ciphertexts(dealt: Dealt) -> CipherArray:
    return dealt[0].public_key.encrypt(VALUES)


@pytest.fixture(scope="module")
def answers(dealt: Dealt, ciphertexts: CipherArray) -> list[DecryptionShare]:
    return [share.decrypt(ciphertexts, context=CONTEXT) for share in dealt[1]]


def exponent_of(share: KeyShare) -> int:
    return from_words(share._exponent)


def numbers(vector: _core.CipherVector) -> list[int]:
    return [from_words(row) for row in vector.to_words(1)]


def vector_of(key: PublicKey, integers: list[int]) -> _core.CipherVector:
    width = 2 * key.bits // 64
    return key._core.from_words(np.stack([to_words(x, width) for x in integers]), 1)


def changed(answer: DecryptionShare, key: ThresholdKey, at: int, factor: int) -> DecryptionShare:
    """The answer with one of its numbers multiplied."""
    integers = numbers(answer._vector)
    integers[at] = integers[at] * factor % key.public_key.n**2
    return dataclasses.replace(answer, _vector=vector_of(key.public_key, integers))


def proven_again(
    share: KeyShare, ciphertexts: CipherArray, integers: list[int], exponent: int
) -> DecryptionShare:
    """What a holder makes who proves other numbers as well as it can."""
    key = share.key
    vector = vector_of(key.public_key, integers)
    claim = threshold._Claim.of(key, share.holder, ciphertexts, vector, CONTEXT)
    words = to_words(exponent, share._exponent.size)
    return DecryptionShare(key.fingerprint, share.holder, vector, *claim.prove(words))


class TestDealing:
    def test_any_three_of_five_open_what_the_private_key_opens(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        private = PrivateKey(*PRIMES, key.public_key.h, insecure=True)
        expected = private.decrypt(ciphertexts)
        assert expected.tolist() == VALUES
        for few in itertools.permutations(answers, 3):
            values, liars = key.combine(ciphertexts, few, context=CONTEXT)
            assert values.dtype == expected.dtype
            assert values.tolist() == VALUES
            assert liars == ()

    @pytest.mark.parametrize("bits", [128, 192, 256, 320, 512])
    def test_fresh_primes_are_safe_and_of_full_length(
        self, bits: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []
        deal = threshold._deal

        def recording(public_key: PublicKey, p: int, q: int, *rest: int) -> Dealt:
            seen.extend((p, q))
            return deal(public_key, p, q, *rest)

        monkeypatch.setattr(threshold, "_deal", recording)
        key, shares = deal_key(holders=2, threshold=2, bits=bits, insecure=True)
        assert key.public_key.bits == bits
        assert len(set(seen)) == 2
        for prime in seen:
            assert gmpy2.is_prime(prime, 50)
            assert gmpy2.is_prime(prime // 2, 50)
            assert prime >> bits // 2 - 2 == 3
        c = key.public_key.encrypt([-3])
        opened = [share.decrypt(c, context=b"") for share in shares]
        assert key.combine(c, opened, context=b"")[0].tolist() == [-3]

    def test_the_sieve_keeps_what_has_no_small_factor(self) -> None:
        start = 3 * 2**61 + 5 + (-3 * 2**61) % 6
        small = gmpy2.primorial(threshold._SIEVED_FACTORS)
        kept = [place for place in threshold._unsieved(start) if place < 2000]
        assert kept == [
            k
            for k in range(2000)
            if gmpy2.gcd((start + 6 * k) * (2 * start + 12 * k + 1), small) == 1
        ]
        assert kept

    def test_shares_are_values_of_a_polynomial_that_decrypts_at_zero(self, dealt: Dealt) -> None:
        key, shares = dealt
        n, m = math.prod(PRIMES), math.prod(prime // 2 for prime in PRIMES)
        delta = math.factorial(5)
        for places in itertools.combinations(range(1, 6), 3):
            at_zero = Fraction(0)
            for i in places:
                weight = Fraction(1)
                for j in places:
                    if j != i:
                        weight *= Fraction(j, j - i)
                at_zero += exponent_of(shares[i - 1]) * weight * delta
            assert at_zero.denominator == 1
            d = at_zero.numerator * pow(delta * delta, -1, n * m) % (n * m)
            assert (d % m, d % n) == (0, 1)
        for share, power in zip(shares, key.verification, strict=True):
            assert pow(key.base, exponent_of(share), n * n) == power
            assert exponent_of(share) < n * m

    def test_the_base_generates_the_squares(self, dealt: Dealt) -> None:
        n, m = math.prod(PRIMES), math.prod(prime // 2 for prime in PRIMES)
        base = dealt[0].base
        assert pow(base, n * m, n * n) == 1
        for factor in (*PRIMES, *(prime // 2 for prime in PRIMES)):
            assert pow(base, n * m // factor, n * n) != 1

    def test_every_deal_is_another(self, dealt: Dealt, other: Dealt) -> None:
        assert dealt[0].public_key.n == other[0].public_key.n
        drawn = [exponent_of(share) for share in (*dealt[1], *other[1])]
        assert len(set(drawn)) == 10
        assert dealt[0] != other[0]
        assert dealt[0].fingerprint != other[0].fingerprint

    def test_one_holder_and_the_most_holders(self) -> None:
        for holders, few in ((1, 1), (255, 2)):
            key, shares = deal_key(
                holders=holders,
                threshold=few,
                primes=(2**64 - 1469, 7 * 2**61 - 4365),
                insecure=True,
            )
            c = key.public_key.encrypt([3, -4])
            opened = [share.decrypt(c, context=b"") for share in shares[-few:]]
            assert key.combine(c, opened, context=b"")[0].tolist() == [3, -4]

    @pytest.mark.parametrize(
        ("holders", "few", "says"),
        [
            (0, 1, "holders: got 0, expected 1 to 255"),
            (256, 2, "holders: got 256, expected 1 to 255"),
            (3, 0, "threshold: got 0, expected 1 to the 3 holders"),
            (3, 4, "threshold: got 4, expected 1 to the 3 holders"),
        ],
    )
    def test_impossible_numbers_of_holders_are_refused(
        self, holders: int, few: int, says: str
    ) -> None:
        with pytest.raises(ValueError, match=says):
            deal_key(holders=holders, threshold=few)

    @pytest.mark.parametrize("bits", [0, 100, 2047, 8256])
    def test_impossible_lengths_are_refused(self, bits: int) -> None:
        with pytest.raises(InvalidKey, match=f"bits: got {bits}, expected a multiple of 64"):
            deal_key(holders=2, threshold=2, bits=bits)

    def test_short_keys_are_refused_unless_asked_for(self) -> None:
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            deal_key(holders=2, threshold=2, bits=512)
        with pytest.raises(InvalidKey, match="got 512, expected at least 2048"):
            deal_key(holders=2, threshold=2, primes=PRIMES)

    @pytest.mark.parametrize(
        ("primes", "says"),
        [
            # Both 3 modulo 4, and primes: but one is not twice a prime and 1.
            ((2**64 - 1469, 2**64 - 189), "one is not safe"),
            ((2**64 - 1469, 2**64 - 1469), "equal"),
            ((2**64 - 1469, 2**64 - 1), "not prime"),
            ((2**64 - 1469, 2**32 - 209), "got 96 bits"),
        ],
    )
    def test_other_primes_are_refused(self, primes: tuple[int, int], says: str) -> None:
        with pytest.raises(InvalidKey, match=says):
            deal_key(holders=2, threshold=2, primes=primes, insecure=True)


class TestDecryption:
    def test_arrays_of_every_kind_open_to_what_the_private_key_returns(self, dealt: Dealt) -> None:
        key, shares = dealt
        public = key.public_key
        private = PrivateKey(*PRIMES, public.h, insecure=True)
        floats = np.array([[0.5, -1.25, 3.0], [1e5, 0.0, -2.5]])
        for array in (
            public.encrypt(floats) + 3 * public.encrypt(floats),
            public.encrypt(7),
            public.encrypt(np.zeros((0, 2), int)),
            public.encrypt([2**200, -(2**200)], bound=2**200),
            public.encrypt_packed(floats, bound=2.0**17, additions=4) * 3,
            public.encrypt_packed(np.arange(100), bound=100, additions=2),
        ):
            opened = [share.decrypt(array, context=CONTEXT, threads=1) for share in shares[1:4]]
            values, _ = key.combine(array, opened, context=CONTEXT)
            expected = private.decrypt(array)
            assert values.dtype == expected.dtype
            assert values.shape == expected.shape
            assert values.tolist() == expected.tolist()

    def test_shares_are_powers_of_python_integers(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        square = key.public_key.n**2
        for share, answer in zip(shares, answers, strict=True):
            assert numbers(answer._vector) == [
                pow(c, 2 * exponent_of(share), square) for c in numbers(ciphertexts.vector)
            ]

    def test_proofs_are_those_of_python_integers(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        square, width = key.public_key.n**2, key.public_key.bits // 4
        answer = answers[1]
        c, s = numbers(ciphertexts.vector), numbers(answer._vector)
        digest = hashlib.shake_256(
            length_prefixed(
                b"veilsum/v1 decryption share",
                key.fingerprint,
                (2).to_bytes(4, "little"),
                CONTEXT,
                ciphertexts.to_bytes(),
                b"".join(x.to_bytes(width, "little") for x in s),
            )
        ).digest(64)
        stream = hashlib.shake_256(length_prefixed(b"weights", digest)).digest(48)
        r = [int.from_bytes(stream[16 * j : 16 * j + 16], "little") for j in range(3)]
        big_c = math.prod(pow(x, 4 * w, square) for x, w in zip(c, r, strict=True)) % square
        big_d = math.prod(pow(x, 2 * w, square) for x, w in zip(s, r, strict=True)) % square
        commitments = [
            pow(base, answer.response, square) * pow(power, -answer.challenge, square) % square
            for base, power in ((key.base, key.verification[1]), (big_c, big_d))
        ]
        hashed = length_prefixed(
            b"challenge", digest, *(a.to_bytes(width, "little") for a in commitments)
        )
        assert answer.challenge == int.from_bytes(hashlib.shake_256(hashed).digest(16), "little")

    def test_plaintexts_beyond_the_stated_limit_are_refused(
        self, dealt: Dealt, ciphertexts: CipherArray
    ) -> None:
        key, shares = dealt
        understated = ciphertexts._with(ciphertexts.vector, limit=2**40 - 1)
        opened = [share.decrypt(understated, context=CONTEXT) for share in shares[:3]]
        with pytest.raises(BudgetExceeded, match="beyond the bound that the array states"):
            key.combine(understated, opened, context=CONTEXT)

    def test_a_fault_never_leaves_the_function(
        self, dealt: Dealt, ciphertexts: CipherArray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prove = threshold._Claim.prove

        def faulty(claim: threshold._Claim, exponent: NDArray[np.uint64]) -> tuple[int, int]:
            challenge, response = prove(claim, exponent)
            return challenge, response ^ 1 << 77

        monkeypatch.setattr(threshold._Claim, "prove", faulty)
        with pytest.raises(FaultDetected, match="nothing is released"):
            dealt[1][0].decrypt(ciphertexts, context=CONTEXT)

    def test_secret_words_are_wiped(
        self, dealt: Dealt, ciphertexts: CipherArray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wiped: list[NDArray[Any]] = []
        wipe = randomness.wipe

        def recording(array: NDArray[Any]) -> None:
            assert array.any()
            wipe(array)
            wiped.append(array)

        monkeypatch.setattr(randomness, "wipe", recording)
        dealt[1][0].decrypt(ciphertexts, context=CONTEXT)
        assert [array.size for array in wiped] == [threshold._response_words(dealt[0].public_key)]
        assert not wiped[0].any()

    @pytest.mark.parametrize("wrong", [None, [1, 2], b"ciphertexts"])
    def test_what_is_no_array_is_refused(
        self, dealt: Dealt, answers: list[DecryptionShare], wrong: Any
    ) -> None:
        key, shares = dealt
        for refused in (
            lambda: shares[0].decrypt(wrong, context=CONTEXT),
            lambda: answers[0].verify(wrong, key, context=CONTEXT),
            lambda: key.combine(wrong, answers, context=CONTEXT),
        ):
            with pytest.raises(TypeError, match="expected CipherArray or PackedArray"):
                refused()

    @pytest.mark.parametrize("wrong", ["session", bytearray(b"session"), None])
    def test_a_context_that_is_not_bytes_is_refused(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare], wrong: Any
    ) -> None:
        key, shares = dealt
        for refused in (
            lambda: shares[0].decrypt(ciphertexts, context=wrong),
            lambda: answers[0].verify(ciphertexts, key, context=wrong),
            lambda: key.combine(ciphertexts, answers, context=wrong),
        ):
            with pytest.raises(TypeError, match=r"context: got .*, expected bytes"):
                refused()

    def test_ciphertexts_of_another_key_are_refused(
        self, dealt: Dealt, other: Dealt, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        foreign = other[0].public_key.encrypt(VALUES)
        for refused in (
            lambda: shares[0].decrypt(foreign, context=CONTEXT),
            lambda: answers[0].verify(foreign, key, context=CONTEXT),
            lambda: key.combine(foreign, answers, context=CONTEXT),
        ):
            with pytest.raises(KeyMismatch, match="under another key"):
                refused()


class TestVerification:
    def test_shares_hold_for_their_ciphertexts_and_context(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        for answer in answers:
            answer.verify(ciphertexts, dealt[0], context=CONTEXT)

    def test_other_ciphertexts_contexts_and_holders_are_refused(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        answer = answers[0]
        wider = ciphertexts._with(ciphertexts.vector, limit=ciphertexts.limit + 1)
        for asked, context in (
            (ciphertexts, b"session 8"),
            (ciphertexts, CONTEXT + b"\0"),
            (ciphertexts, b""),
            (ciphertexts[::-1], CONTEXT),
            (ciphertexts[:2], CONTEXT),
            (ciphertexts.rerandomize(), CONTEXT),
            (ciphertexts.reshape(3, 1), CONTEXT),
            (wider, CONTEXT),
        ):
            with pytest.raises(ProtocolError, match="that of holder 1 does not hold"):
                answer.verify(asked, key, context=context)
        for holder in (0, 2, 5, 6, 2**31):
            forged = dataclasses.replace(answer, holder=holder)
            with pytest.raises(ProtocolError, match=f"that of holder {holder} does not hold"):
                forged.verify(ciphertexts, key, context=CONTEXT)

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_one_wrong_number_is_refused(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare], at: int
    ) -> None:
        key, shares = dealt
        n = key.public_key.n
        for factor in (2, 1 + n, n * n - 1, pow(3, n, n * n)):
            forged = changed(answers[3], key, at, factor)
            with pytest.raises(ProtocolError, match="leave it out"):
                forged.verify(ciphertexts, key, context=CONTEXT)
            if factor == n * n - 1:
                continue
            again = proven_again(
                shares[3], ciphertexts, numbers(forged._vector), exponent_of(shares[3])
            )
            with pytest.raises(ProtocolError, match="leave it out"):
                again.verify(ciphertexts, key, context=CONTEXT)

    def test_errors_that_cancel_out_without_weights_are_refused(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        n = key.public_key.n
        twice = changed(answers[0], key, 0, 1 + n)
        lie = changed(twice, key, 1, pow(1 + n, -1, n * n))
        again = proven_again(shares[0], ciphertexts, numbers(lie._vector), exponent_of(shares[0]))
        with pytest.raises(ProtocolError, match="leave it out"):
            again.verify(ciphertexts, key, context=CONTEXT)

    def test_another_exponent_is_refused(self, dealt: Dealt, ciphertexts: CipherArray) -> None:
        key, shares = dealt
        wrong = exponent_of(shares[0]) + 1
        integers = [pow(c, 2 * wrong, key.public_key.n**2) for c in numbers(ciphertexts.vector)]
        with pytest.raises(ProtocolError, match="leave it out"):
            proven_again(shares[0], ciphertexts, integers, wrong).verify(
                ciphertexts, key, context=CONTEXT
            )

    def test_a_sign_that_a_holder_changes_changes_no_value(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        square = key.public_key.n**2
        integers = [square - x for x in numbers(answers[0]._vector)]
        again = proven_again(shares[0], ciphertexts, integers, exponent_of(shares[0]))
        again.verify(ciphertexts, key, context=CONTEXT)
        values, liars = key.combine(ciphertexts, [again, *answers[1:3]], context=CONTEXT)
        assert values.tolist() == VALUES
        assert liars == ()

    @pytest.mark.parametrize(
        "change",
        [
            lambda e, z: (e + 1, z),
            lambda e, z: (e ^ 1 << 127, z),
            lambda e, z: (e + 2**128, z),
            lambda e, z: (-e, z),
            lambda e, z: (e, z + 1),
            lambda e, z: (e, z - 1),
            lambda e, z: (e, 0 * z),
            lambda e, z: (0 * e, z),
            lambda e, z: (e, z + 2**2000),
            lambda e, z: (e, -z),
        ],
    )
    def test_an_altered_proof_is_refused(
        self,
        dealt: Dealt,
        ciphertexts: CipherArray,
        answers: list[DecryptionShare],
        change: Callable[[int, int], tuple[int, int]],
    ) -> None:
        answer = answers[4]
        challenge, response = change(answer.challenge, answer.response)
        forged = dataclasses.replace(answer, challenge=challenge, response=response)
        with pytest.raises(ProtocolError, match="leave it out"):
            forged.verify(ciphertexts, dealt[0], context=CONTEXT)

    def test_another_threshold_key_is_refused(
        self,
        dealt: Dealt,
        ciphertexts: CipherArray,
        answers: list[DecryptionShare],
    ) -> None:
        key, _ = dealt
        fewer = ThresholdKey(key.public_key, 2, key.base, key.verification)
        with pytest.raises(KeyMismatch, match="another threshold key"):
            answers[0].verify(ciphertexts, fewer, context=CONTEXT)
        wrong: Any = key.public_key
        with pytest.raises(TypeError, match="key: got PublicKey, expected ThresholdKey"):
            answers[0].verify(ciphertexts, wrong, context=CONTEXT)


class TestTheoryOfTheProof:
    """Soundness and zero knowledge, played through."""

    def test_two_answers_to_one_commitment_give_the_exponent_away(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        answered = []
        for context in (b"one", b"another"):
            claim = threshold._Claim.of(key, 1, ciphertexts, answers[0]._vector, context)
            with randomness._test_source(np.random.default_rng(5).bytes):
                answered.append(claim.prove(shares[0]._exponent))
        (e, z), (f, w) = answered
        assert (z - w) % (e - f) == 0
        assert (z - w) // (e - f) == exponent_of(shares[0])

    def test_who_chooses_the_challenge_needs_no_exponent(
        self,
        dealt: Dealt,
        ciphertexts: CipherArray,
        answers: list[DecryptionShare],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        key, _ = dealt
        response = randomness.random_bits(threshold._mask_bits(key.public_key))
        challenge = randomness.random_bits(128)
        simulated = dataclasses.replace(answers[0], challenge=challenge, response=response)
        with pytest.raises(ProtocolError):
            simulated.verify(ciphertexts, key, context=CONTEXT)
        monkeypatch.setattr(threshold._Claim, "_challenge", lambda *_: challenge)
        simulated.verify(ciphertexts, key, context=CONTEXT)

    def test_responses_are_masked_by_128_bits(
        self, dealt: Dealt, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        for share, answer in zip(shares, answers, strict=True):
            assert answer.response > (exponent_of(share) << 128) * 2**100
            assert answer.response < 2 ** (2 * key.public_key.bits + 256 + 1)


class TestCombining:
    def test_lying_holders_are_named_and_left_out(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        for places in itertools.combinations(range(5), 2):
            given_in = list(answers)
            for at in places:
                given_in[at] = changed(answers[at], key, at % 3, 2)
            values, liars = key.combine(ciphertexts, given_in[::-1], context=CONTEXT)
            assert values.tolist() == VALUES
            assert liars == tuple(at + 1 for at in places)

    def test_a_holder_that_answers_too_few_ciphertexts_is_named(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        short = shares[1].decrypt(ciphertexts[:2], context=CONTEXT)
        values, liars = key.combine(ciphertexts, [answers[0], short, *answers[2:]], context=CONTEXT)
        assert values.tolist() == VALUES
        assert liars == (2,)

    def test_too_few_valid_shares_are_an_error_that_names_the_liars(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        for few in range(3):
            with pytest.raises(InsufficientShares, match=f"got {few} valid ones of the 3 needed;"):
                key.combine(ciphertexts, answers[:few], context=CONTEXT)
        lies = [changed(answer, key, 0, 2) for answer in answers[2:]]
        with pytest.raises(InsufficientShares, match=r"those of holders \[3, 4, 5\] do not hold"):
            key.combine(ciphertexts, [*answers[:2], *lies], context=CONTEXT)

    def test_two_shares_of_one_holder_are_refused(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        with pytest.raises(DuplicateShare, match=r"several of one holder among \[1, 2, 2\]"):
            dealt[0].combine(ciphertexts, [answers[1], answers[0], answers[1]], context=CONTEXT)

    def test_shares_of_another_deal_are_refused(
        self, dealt: Dealt, other: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        foreign = other[1][3].decrypt(other[0].public_key.encrypt(VALUES), context=CONTEXT)
        with pytest.raises(InconsistentShares, match="that of holder 4 is of another threshold"):
            key.combine(ciphertexts, [*answers[:3], foreign], context=CONTEXT)
        wrong: Any = [*answers[:3], dealt[1][0]]
        with pytest.raises(TypeError, match="shares: got KeyShare, expected DecryptionShare"):
            key.combine(ciphertexts, wrong, context=CONTEXT)

    def test_a_dealer_that_dealt_no_polynomial_is_found_out(
        self, dealt: Dealt, ciphertexts: CipherArray
    ) -> None:
        key, shares = dealt
        public = key.public_key
        exponents = [exponent_of(share) for share in shares]
        exponents[1] += 1
        powers = tuple(pow(key.base, exponent, public.n**2) for exponent in exponents)
        crooked = ThresholdKey(public, 3, key.base, powers)
        opened = [
            KeyShare(crooked, place + 1, to_words(exponent, 2 * public.bits // 64)).decrypt(
                ciphertexts, context=CONTEXT
            )
            for place, exponent in enumerate(exponents)
        ]
        with pytest.raises(DecodingError, match="do not fit together"):
            crooked.combine(ciphertexts, opened[:3], context=CONTEXT)
        values, _ = crooked.combine(ciphertexts, [opened[0], *opened[2:]], context=CONTEXT)
        assert values.tolist() == VALUES


class TestKeys:
    def test_a_threshold_key_survives_its_bytes(self, dealt: Dealt) -> None:
        key, _ = dealt
        again = ThresholdKey.from_bytes(key.to_bytes(), insecure=True)
        assert again == key
        assert again.fingerprint == key.fingerprint
        assert hash(again) == hash(key)
        assert key.holders == 5
        assert repr(key).startswith("ThresholdKey(3 of 5 holders, 512 bits, fingerprint ")
        with pytest.raises(InvalidKey, match="expected at least 2048"):
            ThresholdKey.from_bytes(key.to_bytes())

    def test_malformed_threshold_keys_are_refused(self, dealt: Dealt) -> None:
        key, _ = dealt
        data = key.to_bytes()
        for hostile in (b"", data[:-1], data + b"\0", key.public_key.to_bytes()):
            with pytest.raises(DeserializationError):
                ThresholdKey.from_bytes(hostile, insecure=True)

    def test_numbers_that_no_dealer_deals_are_refused(self, dealt: Dealt) -> None:
        key, _ = dealt
        public, powers = key.public_key, key.verification
        p, square = PRIMES[0], public.n**2
        for base, verification in (
            (0, powers),
            (1, powers),
            (1 + public.n, powers),
            (p, powers),
            (square + 2, powers),
            (key.base, (*powers[:4], p)),
            (key.base, (*powers[:4], 0)),
            (key.base, (*powers[:4], -1)),
            (key.base, (*powers[:4], square)),
        ):
            with pytest.raises(InvalidKey, match="not what a dealer deals"):
                ThresholdKey(public, 3, base, verification)
        for few, verification in ((0, powers), (6, powers), (1, ()), (1, powers[:1] * 256)):
            with pytest.raises(InvalidKey, match=r"got \d+ holders and a threshold of \d"):
                ThresholdKey(public, few, key.base, verification)
        wrong: Any = "3"
        with pytest.raises(TypeError, match="its numbers are no integers"):
            ThresholdKey(public, wrong, key.base, powers)
        wrong = 5
        with pytest.raises(TypeError, match="public_key: got int"):
            ThresholdKey(wrong, 3, key.base, powers)

    def test_a_key_share_survives_its_bytes(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, shares = dealt
        again = KeyShare.from_bytes(shares[2].to_bytes(), key)
        assert again.holder == 3
        opened = again.decrypt(ciphertexts, context=CONTEXT)
        assert numbers(opened._vector) == numbers(answers[2]._vector)

    def test_malformed_key_shares_are_refused(self, dealt: Dealt, other: Dealt) -> None:
        key, shares = dealt
        data = shares[2].to_bytes()
        for hostile in (b"", data[:-1], data + b"\0", key.to_bytes()):
            with pytest.raises(DeserializationError):
                KeyShare.from_bytes(hostile, key)
        with pytest.raises(KeyMismatch, match="another threshold key"):
            KeyShare.from_bytes(data, other[0])
        for holder, exponent, error, says in (
            (3, exponent_of(shares[2]) + 1, InvalidKey, "not that of holder 3 of this key"),
            (2, exponent_of(shares[2]), InvalidKey, "not that of holder 2 of this key"),
            (3, -exponent_of(shares[2]), DeserializationError, "negative"),
            (0, exponent_of(shares[2]), DeserializationError, "numbered from 1"),
            (6, exponent_of(shares[2]), DeserializationError, "got 6, expected at most 5"),
            (3, 1 << 1024, DeserializationError, "integer length"),
        ):
            writer = Writer(Kind.KEY_SHARE)
            writer.blob(key.fingerprint)
            writer.u32(holder)
            writer.integer(exponent)
            with pytest.raises(error, match=says):
                KeyShare.from_bytes(writer.finish(), key)

    def test_parts_of_a_key_share_that_do_not_fit_are_refused(self, dealt: Dealt) -> None:
        key, shares = dealt
        words = shares[0]._exponent
        wrong: Any = key.public_key
        with pytest.raises(TypeError, match="key: got PublicKey, expected ThresholdKey"):
            KeyShare(wrong, 1, words.copy())
        read_only = words.copy()
        read_only.flags.writeable = False
        strided = np.repeat(words, 2)[::2]
        for wrong in (exponent_of(shares[0]), words.astype(object), read_only, strided):
            with pytest.raises(TypeError, match="no writable array of uint64") as caught:
                KeyShare(key, 1, wrong)
            assert str(int(words[0])) not in str(caught.value)
        for holder, exponent in ((0, words), (6, words), (1, words[:-1])):
            with pytest.raises(InvalidKey, match=r"expected a holder from 1 to 5 and 16 words"):
                KeyShare(key, holder, exponent.copy())

    def test_a_key_share_shows_and_gives_away_nothing(self, dealt: Dealt) -> None:
        share = dealt[1][0]
        assert repr(share).startswith("KeyShare(<redacted>, of holder 1 of ThresholdKey(")
        assert str(exponent_of(share)) not in repr(share)
        with pytest.raises(TypeError, match="does not pickle"):
            pickle.dumps(share)
        with pytest.raises(AttributeError, match="does not change"):
            share.holder = 2
        assert copy.copy(share) is share
        assert copy.deepcopy(share) is share

    def test_a_key_share_is_wiped_when_it_goes(self, dealt: Dealt) -> None:
        key, shares = dealt
        again = KeyShare.from_bytes(shares[0].to_bytes(), key)
        words = again._exponent
        assert words.any()
        del again
        gc.collect()
        assert not words.any()


class TestBytesOfDecryptionShares:
    def test_a_share_survives_its_bytes(
        self, dealt: Dealt, ciphertexts: CipherArray, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        for answer in answers:
            data = answer.to_bytes()
            again = DecryptionShare.from_bytes(data, key, max_size=3)
            assert again.to_bytes() == data
            again.verify(ciphertexts, key, context=CONTEXT)
            assert repr(again) == f"DecryptionShare(of 3 ciphertexts, by holder {answer.holder})"

    def test_malformed_shares_are_refused(
        self, dealt: Dealt, other: Dealt, answers: list[DecryptionShare]
    ) -> None:
        key, _ = dealt
        data = answers[0].to_bytes()
        for hostile in (b"", data[:-1], data + b"\0", key.to_bytes()):
            with pytest.raises(DeserializationError):
                DecryptionShare.from_bytes(hostile, key)
        with pytest.raises(KeyMismatch, match="another threshold key"):
            DecryptionShare.from_bytes(data, other[0])
        with pytest.raises(DeserializationError, match="number of elements: got 48"):
            DecryptionShare.from_bytes(data, key, max_size=2)

    def test_numbers_out_of_range_are_refused(self, dealt: Dealt) -> None:
        key, _ = dealt
        n = key.public_key.n
        good = to_words(2, 16)

        def written(words: NDArray[np.uint64], *, holder: int = 1, e: int = 1, z: int = 1) -> bytes:
            writer = Writer(Kind.DECRYPTION_SHARE)
            writer.blob(key.fingerprint)
            writer.u32(holder)
            writer.array(words)
            writer.integer(e)
            writer.integer(z)
            return writer.finish()

        assert len(DecryptionShare.from_bytes(written(good[np.newaxis]), key)) == 1
        for number in (0, n * n, 2**1024 - 1, PRIMES[0], n):
            with pytest.raises(InvalidCiphertext, match=r"not between 0 and n|not coprime to n"):
                DecryptionShare.from_bytes(written(to_words(number, 16)[np.newaxis]), key)
        for words in (good, good[np.newaxis, :8], good.reshape(2, 8)):
            with pytest.raises(DeserializationError, match="expected rows of 16"):
                DecryptionShare.from_bytes(written(words), key)
        for data, says in (
            (written(good[np.newaxis], holder=0), "numbered from 1"),
            (written(good[np.newaxis], holder=6), "expected at most 5"),
            (written(good[np.newaxis], e=1 << 128), "integer length"),
            (written(good[np.newaxis], e=-1), "below 0"),
            (written(good[np.newaxis], z=-1), "below 0"),
            (written(good[np.newaxis], z=1 << 8 * 168), "integer length"),
        ):
            with pytest.raises(DeserializationError, match=says):
                DecryptionShare.from_bytes(data, key)


def test_deal_key_is_what_the_package_offers() -> None:
    assert paillier.deal_key is deal_key
