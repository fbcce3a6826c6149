"""Certificates of keys and proofs of plaintext knowledge: what passes, and what is refused."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gmpy2
import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core, paillier, randomness
from veilsum.encoding import FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DeserializationError,
    FaultDetected,
    InvalidKey,
    KeyMismatch,
    ProtocolError,
)
from veilsum.paillier import (
    CipherArray,
    KeyCertificate,
    PlaintextProof,
    PrivateKey,
    PublicKey,
    certify,
    encrypt_packed_with_proof,
    encrypt_with_proof,
    proof_context,
    proofs,
)
from veilsum.paillier.packing import PackedArray, Packing
from veilsum.wire import Kind, Writer

Keys = tuple[PublicKey, PrivateKey]

CONTEXT = proof_context(session_id=bytes(16), client="client-3", round_number=7)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def other_keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module")
def certificate(keys: Keys) -> KeyCertificate:
    return certify(keys[1], context=b"owner")


@pytest.fixture(scope="module")
def proven(keys: Keys) -> tuple[CipherArray, PlaintextProof]:
    return encrypt_with_proof(keys[0], [5, -7, 2**40], context=CONTEXT)


class TestCertify:
    @pytest.mark.parametrize("bits", [128, 192, 256, 320, 1024, 2048])
    def test_a_key_of_any_length_is_certified(self, bits: int) -> None:
        pub, priv = paillier.keygen(bits, insecure=True)
        certify(priv).verify(pub)
        certify(priv, context=b"owner", threads=1).verify(pub, context=b"owner")

    def test_roots_are_those_of_python_integers(
        self, keys: Keys, certificate: KeyCertificate
    ) -> None:
        pub, priv = keys
        points = proofs._points(pub, b"n-th roots", 7, b"owner")
        for root, point in zip(certificate.nth_roots, points, strict=True):
            assert pow(root, pub.n, pub.n) == point
        for root, point in zip(
            certificate.fourth_roots, proofs._blum_points(pub, b"owner"), strict=True
        ):
            assert pow(root, 4, pub.n) in (point, pub.n - point)
            # Of the four fourth roots the one that is a square: a choice that says nothing of p, q.
            assert gmpy2.legendre(root, priv._p) == gmpy2.legendre(root, priv._q) == 1

    def test_signs_of_fourth_powers_are_mixed(
        self, keys: Keys, certificate: KeyCertificate
    ) -> None:
        pub, _ = keys
        points = proofs._blum_points(pub, b"owner")
        positive = [
            pow(root, 4, pub.n) == point
            for root, point in zip(certificate.fourth_roots, points, strict=True)
        ]
        assert 16 < sum(positive) < 112

    def test_the_certificate_of_a_key_and_context_is_always_the_same(
        self, keys: Keys, certificate: KeyCertificate
    ) -> None:
        assert certify(keys[1], context=b"owner") == certificate
        assert certify(keys[1], context=b"another owner") != certificate

    def test_points_are_hashed_from_the_key_the_purpose_and_the_context(
        self, keys: Keys, other_keys: Keys
    ) -> None:
        pub, _ = keys
        other_base = PublicKey(pub.n, pub.h * pub.h % pub.n, insecure=True)
        drawn = [
            proofs._points(key, purpose, 7, context)
            for key, purpose, context in (
                (pub, b"n-th roots", b""),
                (pub, b"n-th roots", b"x"),
                (pub, b"n-th rootsx", b""),
                (pub, b"fourth roots", b""),
                (other_base, b"n-th roots", b""),
                (other_keys[0], b"n-th roots", b""),
            )
        ]
        assert len({point for points in drawn for point in points}) == 6 * 7

    def test_a_fault_in_one_remainder_never_leaves_the_function(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pub, priv = keys
        healthy = proofs._secret_powers

        def faulty(*arguments: Any) -> tuple[int, ...]:
            roots = healthy(*arguments)
            wrong_modulo_q = (roots[3] + priv._p) % pub.n
            # With the root this one would give p away.
            assert math.gcd(wrong_modulo_q - roots[3], pub.n) == priv._p
            return (*roots[:3], wrong_modulo_q, *roots[4:])

        monkeypatch.setattr(proofs, "_secret_powers", faulty)
        with pytest.raises(FaultDetected, match="nothing is released"):
            certify(priv)

    def test_exponents_are_blinded_and_secret_words_wiped(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[NDArray[np.uint64]] = []
        exponents: list[bytes] = []
        compiled = _core.prime_pair_powers

        def recording(*arguments: Any) -> NDArray[np.uint64]:
            p, q, q_inverse, _, e_p, e_q, _ = arguments
            seen.extend((p, q, q_inverse, e_p, e_q))
            exponents.extend((e_p.tobytes(), e_q.tobytes()))
            return compiled(*arguments)

        monkeypatch.setattr(_core, "prime_pair_powers", recording)
        assert certify(keys[1]) == certify(keys[1])
        assert len(set(exponents)) == len(exponents) == 8
        assert len(seen) == 20
        assert not any(words.any() for words in seen)

    @pytest.mark.parametrize("context", ["owner", bytearray(b"owner"), None])
    def test_a_context_that_is_not_bytes_is_refused(
        self, keys: Keys, certificate: KeyCertificate, context: Any
    ) -> None:
        pub, priv = keys
        with pytest.raises(TypeError, match=r"context: got .*, expected bytes"):
            certify(priv, context=context)
        with pytest.raises(TypeError, match=r"context: got .*, expected bytes"):
            certificate.verify(pub, context=context)

    def test_keys_of_the_wrong_kind_are_refused(
        self, keys: Keys, certificate: KeyCertificate
    ) -> None:
        pub, priv = keys
        wrong: Any = pub
        with pytest.raises(TypeError, match="private_key: got PublicKey"):
            certify(wrong)
        wrong = priv
        with pytest.raises(TypeError, match="public_key: got PrivateKey"):
            certificate.verify(wrong)


class TestCertificate:
    def test_another_context_key_or_base_is_refused(
        self, keys: Keys, other_keys: Keys, certificate: KeyCertificate
    ) -> None:
        pub, _ = keys
        certificate.verify(pub, context=b"owner")
        other_base = PublicKey(pub.n, pub.h * pub.h % pub.n, insecure=True)
        for key, context in (
            (pub, b""),
            (pub, b"owner\0"),
            (other_base, b"owner"),
            (other_keys[0], b"owner"),
        ):
            with pytest.raises(InvalidKey, match=r"do not fit|between 0 and n"):
                certificate.verify(key, context=context)

    @pytest.mark.parametrize("at", [0, 6, 7, 70, 134])
    def test_a_root_that_was_changed_is_refused(
        self, keys: Keys, certificate: KeyCertificate, at: int
    ) -> None:
        n = keys[0].n
        root = [*certificate.nth_roots, *certificate.fourth_roots][at]
        for number, says in (
            (root + 1, "do not fit"),
            (root ^ 1 << 300, "do not fit"),
            (root + n, "between 0 and n"),
            (root - n, "between 0 and n"),
            (0, "between 0 and n"),
            (n, "between 0 and n"),
        ):
            roots = [*certificate.nth_roots, *certificate.fourth_roots]
            roots[at] = number
            with pytest.raises(InvalidKey, match=says):
                KeyCertificate(tuple(roots[:7]), tuple(roots[7:])).verify(keys[0], context=b"owner")

    def test_fewer_or_more_roots_are_refused(self, keys: Keys, certificate: KeyCertificate) -> None:
        nth, fourth = certificate.nth_roots, certificate.fourth_roots
        for changed, says in (
            (KeyCertificate((), fourth), "got 0 nth_roots, expected 7"),
            (KeyCertificate(nth[:6], fourth), "got 6 nth_roots"),
            (KeyCertificate((*nth, nth[0]), fourth), "got 8 nth_roots"),
            (KeyCertificate(nth, ()), "got 0 fourth_roots, expected 128"),
            (KeyCertificate(nth, fourth[1:]), "got 127 fourth_roots"),
        ):
            with pytest.raises(InvalidKey, match=says):
                changed.verify(keys[0], context=b"owner")

    def test_two_roots_that_change_places_are_refused(
        self, keys: Keys, certificate: KeyCertificate
    ) -> None:
        nth, fourth = certificate.nth_roots, certificate.fourth_roots
        for changed in (
            KeyCertificate((nth[1], nth[0], *nth[2:]), fourth),
            KeyCertificate(nth, (fourth[1], fourth[0], *fourth[2:])),
        ):
            with pytest.raises(InvalidKey, match="do not fit"):
                changed.verify(keys[0], context=b"owner")

    def test_a_point_that_shares_a_factor_with_n_is_refused(
        self, keys: Keys, certificate: KeyCertificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pub, priv = keys
        monkeypatch.setattr(
            proofs.hashlib, "shake_256", lambda _: Constant(priv._p, (pub.bits + 128) // 8)
        )
        with pytest.raises(InvalidKey, match="factor"):
            certificate.verify(pub, context=b"owner")

    def test_the_repr_is_short(self, certificate: KeyCertificate) -> None:
        assert repr(certificate) == "KeyCertificate(7 + 128 roots)"

    def test_bytes_of_a_root_below_one_are_refused(self, certificate: KeyCertificate) -> None:
        again = KeyCertificate.from_bytes(certificate.to_bytes())
        assert again == certificate
        for bad in (0, -1, -certificate.nth_roots[0]):
            roots = KeyCertificate((bad, *certificate.nth_roots[1:]), certificate.fourth_roots)
            with pytest.raises(DeserializationError, match="below 1"):
                KeyCertificate.from_bytes(roots.to_bytes())


class Constant:
    """A hash that always gives the same number."""

    def __init__(self, number: int, width: int) -> None:
        self.piece = number.to_bytes(width, "little")

    def digest(self, size: int) -> bytes:
        return self.piece * (size // len(self.piece))


def prime(start: int, modulus: int, residue: int) -> int:
    found = gmpy2.next_prime(start)
    while found % modulus != residue:
        found = gmpy2.next_prime(found)
    return int(found)


BLUM = [prime(start, 4, 3) for start in (0xF1 << 56, 0xF3 << 56, 0xF5 << 56)]
NOT_BLUM = [prime(start, 8, 5) for start in (0xF7 << 56, 0xF9 << 56)]
FACTOR = prime(1 << 20, 4, 3)  # the smallest that `PublicKey` lets pass
MULTIPLE = next(
    r for r in range((9 << 168) // FACTOR * FACTOR + 1, 1 << 172, FACTOR) if gmpy2.is_prime(r)
)


def roots_that_exist(
    points: tuple[int, ...], exponent: int, factors: list[tuple[int, int]], signs: tuple[int, ...]
) -> list[int | None]:
    """For each point a root of it or of a multiple by a sign, as a maker of a bad key finds it."""
    return [
        next((x for sign in signs if (x := root_of(sign * y, exponent, factors))), None)
        for y in points
    ]


def root_of(y: int, exponent: int, factors: list[tuple[int, int]]) -> int | None:
    x, modulus = 0, 1
    for r, e in factors:
        power, order = r**e, r ** (e - 1) * (r - 1)
        part = order // math.gcd(order, exponent)
        if pow(y, part, power) != 1:
            return None
        remainder = pow(y, pow(exponent, -1, part), power)
        x += modulus * ((remainder - x) * pow(modulus, -1, power) % power)
        modulus *= power
    return x


class TestBadKeys:
    """Makers of bad keys that know all factors and give every root that exists."""

    @pytest.mark.parametrize(
        ("factors", "says"),
        [
            ([(BLUM[0], 2), (BLUM[1], 1)], "n-th"),
            ([(BLUM[0], 1), (BLUM[1], 2)], "n-th"),
            ([(FACTOR, 1), (MULTIPLE, 1)], "n-th"),
            ([(r, 1) for r in BLUM], "fourth"),
            ([(NOT_BLUM[0], 1), (BLUM[0], 1)], "fourth"),
            ([(r, 1) for r in NOT_BLUM], "fourth"),
            ([(BLUM[0], 1), (BLUM[1], 1), (NOT_BLUM[0], 1)], "fourth"),
        ],
        ids=[
            "p**2 q",
            "p q**2",
            "p divides q - 1",
            "three primes",
            "p is 1 modulo 4",
            "both are 1 modulo 4",
            "three primes, one 1 modulo 4",
        ],
    )
    def test_no_certificate_passes(self, factors: list[tuple[int, int]], says: str) -> None:
        n = math.prod(r**e for r, e in factors)
        key = PublicKey(n, 4, insecure=True)
        seen = {"n-th": 0, "fourth": 0}
        for context in (b"%d" % attempt for attempt in range(8)):
            nth = roots_that_exist(proofs._points(key, b"n-th roots", 7, context), n, factors, (1,))
            fourth = roots_that_exist(proofs._blum_points(key, context), 4, factors, (1, -1))
            best = KeyCertificate(tuple(x or 1 for x in nth), tuple(x or 1 for x in fourth))
            with pytest.raises(InvalidKey, match=f"its {says} roots do not fit"):
                best.verify(key, context=context)
            seen["n-th"] += sum(x is not None for x in nth)
            seen["fourth"] += sum(x is not None for x in fourth)
        # A point has a root with the probability that the module's docstring states, or less.
        if says == "n-th":
            assert seen["n-th"] == 0
        else:
            assert seen["n-th"] == 8 * 7
            assert seen["fourth"] < 8 * 128 * 0.6

    def test_the_same_maker_passes_with_a_good_key(self) -> None:
        factors = [(BLUM[0], 1), (BLUM[1], 1)]
        key = PublicKey(BLUM[0] * BLUM[1], 4, insecure=True)
        nth = roots_that_exist(proofs._points(key, b"n-th roots", 7, b""), key.n, factors, (1,))
        fourth = roots_that_exist(proofs._blum_points(key, b""), 4, factors, (1, -1))
        found = KeyCertificate(tuple(x or 1 for x in nth), tuple(x or 1 for x in fourth))
        found.verify(key)


class TestEncryptWithProof:
    @pytest.mark.parametrize(
        ("values", "options"),
        [
            (7, {}),
            ([], {}),
            ([[1, -2, 3], [4, 5, -6]], {}),
            ([0.5, -1.25, 3.0], {}),
            ([0.5, -1.25], {"fraction_bits": 8}),
            ([2**300, -(2**300), 0], {"bound": 2.0**300}),
            ([1.5], {"encoding": FixedPoint(scale=10, bound=100.0)}),
            ([True, False], {"threads": 1}),
            (np.arange(-20, 21), {}),
        ],
    )
    def test_arrays_are_those_of_encrypt_and_their_proofs_hold(
        self, keys: Keys, values: Any, options: dict[str, Any]
    ) -> None:
        pub, priv = keys
        ciphertexts, proof = encrypt_with_proof(pub, values, context=CONTEXT, **options)
        plain = pub.encrypt(values, **options)
        assert (ciphertexts.shape, ciphertexts.scale, ciphertexts.limit) == (
            plain.shape,
            plain.scale,
            plain.limit,
        )
        np.testing.assert_array_equal(priv.decrypt(ciphertexts), priv.decrypt(plain), strict=True)
        proof.verify(ciphertexts, context=CONTEXT)
        received = CipherArray.from_bytes(ciphertexts.to_bytes(), pub)
        PlaintextProof.from_bytes(proof.to_bytes()).verify(received, context=CONTEXT)

    @pytest.mark.parametrize("bits", [128, 192, 320, 1024])
    def test_a_key_of_any_length_serves(self, bits: int) -> None:
        pub, priv = paillier.keygen(bits, insecure=True)
        for _ in range(8):
            ciphertexts, proof = encrypt_with_proof(pub, [3, -4], context=CONTEXT)
            proof.verify(ciphertexts, context=CONTEXT)
            assert priv.decrypt(ciphertexts).tolist() == [3, -4]

    def test_ciphertexts_and_proofs_never_repeat(self, keys: Keys) -> None:
        sent = [encrypt_with_proof(keys[0], [1], context=CONTEXT) for _ in range(4)]
        assert len({ciphertexts.to_bytes() for ciphertexts, _ in sent}) == 4
        for part in ("commitment", "plaintext_response", "randomness_response"):
            assert len({getattr(proof, part) for _, proof in sent}) == 4

    def test_what_encrypt_refuses_is_refused(self, keys: Keys) -> None:
        pub, priv = keys
        for values, options in (([2**60], {}), ([math.nan], {}), ([1], {"bound": 2.0**511})):
            with pytest.raises(BudgetExceeded):
                encrypt_with_proof(pub, values, context=CONTEXT, **options)
        for wrong in (["a"], [1j]):
            with pytest.raises(TypeError):
                encrypt_with_proof(pub, wrong, context=CONTEXT)
        key: Any = priv
        with pytest.raises(TypeError, match="public_key: got PrivateKey"):
            encrypt_with_proof(key, [1], context=CONTEXT)

    @pytest.mark.parametrize("context", ["client-3", 3, bytearray(8)])
    def test_a_context_that_is_not_bytes_is_refused(
        self, keys: Keys, proven: tuple[CipherArray, PlaintextProof], context: Any
    ) -> None:
        ciphertexts, proof = proven
        with pytest.raises(TypeError, match=r"context: got .*, expected bytes"):
            encrypt_with_proof(keys[0], [1], context=context)
        with pytest.raises(TypeError, match=r"context: got .*, expected bytes"):
            proof.verify(ciphertexts, context=context)

    def test_all_that_is_drawn_or_masked_is_wiped(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret: list[NDArray[Any]] = []
        draw, to_rows = randomness.random_bytes, proofs.to_rows
        residue, weighted_sum = _core.centred_residue, _core.weighted_sum

        def kept(function: Callable[..., Any]) -> Callable[..., Any]:
            def recording(*arguments: Any, **options: Any) -> Any:
                secret.append(function(*arguments, **options))
                return secret[-1]

            return recording

        monkeypatch.setattr(randomness, "random_bytes", kept(draw))
        monkeypatch.setattr(proofs, "to_rows", kept(to_rows))
        monkeypatch.setattr(_core, "centred_residue", kept(residue))
        monkeypatch.setattr(_core, "weighted_sum", kept(weighted_sum))
        encrypt_with_proof(keys[0], [5, -7], context=CONTEXT)
        # Rows, exponents, a, y, the residue of a, the sum of plaintexts; then the public responses.
        assert [bool(array.any()) for array in secret] == [False] * 6 + [True] * 2


class TestPlaintextProof:
    @pytest.mark.parametrize(
        "changed",
        [
            {"client": "client-4"},
            {"client": "client-33"},
            {"round_number": 8},
            {"session_id": bytes(15) + b"\1"},
        ],
    )
    def test_a_copy_sent_by_another_client_or_in_another_round_is_refused(
        self, proven: tuple[CipherArray, PlaintextProof], changed: dict[str, Any]
    ) -> None:
        ciphertexts, proof = proven
        own: dict[str, Any] = {"session_id": bytes(16), "client": "client-3", "round_number": 7}
        proof.verify(ciphertexts, context=proof_context(**own))
        with pytest.raises(ProtocolError, match="copied, altered or made from others"):
            proof.verify(ciphertexts, context=proof_context(**own | changed))

    @pytest.mark.parametrize(
        "change",
        [
            lambda c: c[:2],
            lambda c: c[::-1],
            lambda c: c[[0, 1, 2, 0]],
            lambda c: c[[0, 1, 1]],
            lambda c: c[:0],
            lambda c: c + 1,
            lambda c: c + c,
            lambda c: -c,
            lambda c: 3 * c,
            lambda c: c.rerandomize(),
            lambda c: c.sum(),
            lambda c: c.reshape(3, 1),
            lambda c: c.multiply(1.0),
        ],
    )
    def test_what_was_made_from_proven_ciphertexts_has_no_proof(
        self,
        proven: tuple[CipherArray, PlaintextProof],
        change: Callable[[CipherArray], CipherArray],
    ) -> None:
        ciphertexts, proof = proven
        with pytest.raises(ProtocolError, match="does not hold"):
            proof.verify(change(ciphertexts), context=CONTEXT)

    def test_a_stranger_cannot_prove_what_it_copied(
        self, keys: Keys, proven: tuple[CipherArray, PlaintextProof]
    ) -> None:
        pub, _ = keys
        rows = np.zeros((3, 1), np.uint64)
        exponents = np.ones((3, pub._core.exponent_words), np.uint64)
        guessed = proofs._prove(proven[0], rows, exponents, b"the copier")
        with pytest.raises(ProtocolError, match="does not hold"):
            guessed.verify(proven[0], context=b"the copier")

    def test_one_ciphertext_of_another_client_spoils_the_proof(self, keys: Keys) -> None:
        pub, _ = keys
        victim = pub.encrypt([42])
        rows = np.array([[1], [2]], np.uint64)
        exponents = proofs._random_exponents(pub, 2)
        own = pub._core.encrypt(rows, exponents, 1)
        for vector, holds in (
            (own, True),
            (own.gather(np.array([0])).append(victim.vector), False),
        ):
            mixed = CipherArray(pub, vector, shape=(2,), scale=1, limit=victim.limit)
            proof = proofs._prove(mixed, rows, exponents, CONTEXT)
            if holds:
                proof.verify(mixed, context=CONTEXT)
            else:
                with pytest.raises(ProtocolError):
                    proof.verify(mixed, context=CONTEXT)

    def test_another_limit_or_key_is_refused(
        self, keys: Keys, other_keys: Keys, proven: tuple[CipherArray, PlaintextProof]
    ) -> None:
        ciphertexts, proof = proven
        stretched = CipherArray(
            keys[0], ciphertexts.vector, shape=(3,), scale=1, limit=ciphertexts.limit + 1
        )
        with pytest.raises(ProtocolError, match="does not hold"):
            proof.verify(stretched, context=CONTEXT)
        with pytest.raises(ProtocolError):
            proof.verify(other_keys[0].encrypt([5, -7, 2**40]), context=CONTEXT)
        with pytest.raises(KeyMismatch):
            CipherArray.from_bytes(ciphertexts.to_bytes(), other_keys[0])

    def test_any_flipped_bit_is_refused(self, proven: tuple[CipherArray, PlaintextProof]) -> None:
        ciphertexts, proof = proven
        good = proof.to_bytes()
        for at in range(len(good)):
            flipped = bytearray(good)
            flipped[at] ^= 1 << at % 8
            with pytest.raises((DeserializationError, ProtocolError)):
                PlaintextProof.from_bytes(bytes(flipped)).verify(ciphertexts, context=CONTEXT)

    def test_numbers_out_of_range_are_refused_even_where_the_equation_holds(
        self, keys: Keys, proven: tuple[CipherArray, PlaintextProof]
    ) -> None:
        (pub, priv), (ciphertexts, proof) = keys, proven
        u, z_m, z_x = proof.commitment, proof.plaintext_response, proof.randomness_response
        order = math.lcm(priv._p - 1, priv._q - 1)
        PlaintextProof(u, z_m, z_x + order).verify(ciphertexts, context=CONTEXT)
        for numbers in (
            (u + pub.n**2, z_m, z_x),
            (u - pub.n**2, z_m, z_x),
            (0, z_m, z_x),
            (u, z_m + pub.n, z_x),
            (u, z_m - pub.n, z_x),
            (u, z_m, z_x + (order << 400)),
            (u, z_m, z_x - (order << 400)),
        ):
            with pytest.raises(ProtocolError, match="out of the range"):
                PlaintextProof(*numbers).verify(ciphertexts, context=CONTEXT)

    def test_ciphertexts_must_be_an_array_of_ciphertexts(
        self, proven: tuple[CipherArray, PlaintextProof]
    ) -> None:
        wrong: Any = [1, 2, 3]
        with pytest.raises(TypeError, match="ciphertexts: got list"):
            proven[1].verify(wrong, context=CONTEXT)

    def test_bytes_of_another_kind_or_sign_are_refused(
        self, proven: tuple[CipherArray, PlaintextProof]
    ) -> None:
        _, proof = proven
        assert PlaintextProof.from_bytes(proof.to_bytes()) == proof
        for numbers in ((-1, 0, 0), (0, 0, 0), (1, -1, 0), (1, 0, -1)):
            with pytest.raises(DeserializationError, match="integer: got one below"):
                PlaintextProof.from_bytes(PlaintextProof(*numbers).to_bytes())
        writer = Writer(Kind.KEY_CERTIFICATE)
        for number in (1, 1, 1):
            writer.integer(number)
        with pytest.raises(DeserializationError, match="kind"):
            PlaintextProof.from_bytes(writer.finish())

    def test_the_repr_is_short(self, proven: tuple[CipherArray, PlaintextProof]) -> None:
        assert repr(proven[1]).startswith("PlaintextProof(commitment of 10")


@contextmanager
def replayed(draws: list[bytes]) -> Iterator[None]:
    """Give the draws of the first time again."""
    left = iter(draws)
    with randomness._test_source(lambda _: next(left)):
        yield


class TestEncryptPackedWithProof:
    @pytest.mark.parametrize("values", [0.25, [], [[0.5, -1.0], [2.0, 0.0]], np.arange(-50, 50)])
    def test_arrays_decrypt_and_their_proofs_hold(self, keys: Keys, values: Any) -> None:
        pub, priv = keys
        ciphertexts, proof = encrypt_packed_with_proof(
            pub, values, context=CONTEXT, bound=64.0, additions=8
        )
        proof.verify(ciphertexts, context=CONTEXT)
        assert (ciphertexts.bound, ciphertexts.additions, ciphertexts.used) == (64.0, 8, 1)
        np.testing.assert_array_equal(priv.decrypt(ciphertexts), np.array(values, np.float64))
        received = PackedArray.from_bytes(ciphertexts.to_bytes(), pub)
        PlaintextProof.from_bytes(proof.to_bytes()).verify(received, context=CONTEXT)

    def test_what_is_not_that_array_or_context_is_refused(self, keys: Keys) -> None:
        pub, _ = keys
        ciphertexts, proof = encrypt_packed_with_proof(
            pub, np.arange(-50, 50), context=CONTEXT, bound=64.0, additions=8
        )
        with pytest.raises(ProtocolError, match="does not hold"):
            proof.verify(ciphertexts, context=b"another client")
        unpacked = CipherArray(
            pub, ciphertexts.vector, shape=(len(ciphertexts.vector),), scale=1, limit=2**500
        )
        packing = Packing(bits=24, bound=64.0, additions=9, key_bits=512)
        stretched = PackedArray(pub, ciphertexts.vector, packing, shape=(100,), used=1)
        for changed in (
            ciphertexts + ciphertexts,
            -ciphertexts,
            2 * ciphertexts,
            ciphertexts.rerandomize(),
            unpacked,
            stretched,
        ):
            with pytest.raises(ProtocolError, match="does not hold"):
                proof.verify(changed, context=CONTEXT)

    def test_what_encrypt_packed_refuses_is_refused(self, keys: Keys) -> None:
        pub, priv = keys
        for values in ([65.0], [math.nan]):
            with pytest.raises(BudgetExceeded):
                encrypt_packed_with_proof(pub, values, context=CONTEXT, bound=64.0, additions=8)
        with pytest.raises(TypeError):
            encrypt_packed_with_proof(pub, ["a"], context=CONTEXT, bound=1.0, additions=8)
        wrong: Any = priv
        with pytest.raises(TypeError, match="public_key: got PrivateKey"):
            encrypt_packed_with_proof(wrong, [1], context=CONTEXT, bound=1.0, additions=8)
        wrong = "client-3"
        with pytest.raises(TypeError, match=r"context: got str, expected bytes"):
            encrypt_packed_with_proof(pub, [1], context=wrong, bound=1.0, additions=8)


class TestTheoryOfTheProof:
    """The two halves of what a proof of knowledge is, played through."""

    def test_two_answers_to_one_commitment_give_the_plaintext_away(self, keys: Keys) -> None:
        pub, _ = keys
        draws: list[bytes] = []

        def recording(count: int) -> bytes:
            draws.append(np.random.default_rng(len(draws)).bytes(count))
            return draws[-1]

        with randomness._test_source(recording):
            ciphertexts, first = encrypt_with_proof(pub, [-123456789], context=b"one")
        with replayed(draws):
            again, second = encrypt_with_proof(pub, [-123456789], context=b"another")
        assert again.to_bytes() == ciphertexts.to_bytes()
        assert first.commitment == second.commitment
        e, f = (
            int.from_bytes(proofs._challenges(ciphertexts, first.commitment, c).tobytes(), "little")
            for c in (b"one", b"another")
        )
        difference = first.plaintext_response - second.plaintext_response
        extracted = difference * pow(e - f, -1, pub.n) % pub.n
        assert extracted - pub.n == -123456789

    def test_who_chooses_the_challenges_needs_no_plaintext(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pub, _ = keys
        unknown = pub.encrypt([1, 2, 3])
        square, h_s = pub.n**2, pow(pub.h, pub.n, pub.n**2)
        chosen = randomness.random_bytes(48).view(np.uint64).reshape(3, 2)
        z_m, z_x = randomness.random_below(pub.n), randomness.random_bits(576)
        product = proofs._weighted_product(unknown.vector, chosen)
        u = (1 + z_m * pub.n) * pow(h_s, z_x, square) * pow(product, -1, square) % square
        simulated = PlaintextProof(u, z_m, z_x)
        with pytest.raises(ProtocolError):
            simulated.verify(unknown, context=CONTEXT)
        monkeypatch.setattr(proofs, "_challenges", lambda *_: chosen)
        simulated.verify(unknown, context=CONTEXT)

    def test_responses_are_masked_by_128_bits(self, keys: Keys) -> None:
        pub, _ = keys
        most = 2 ** (pub.bits // 2 + 128 + 64)  # of any sum of exponents times challenges
        for _ in range(8):
            _, proof = encrypt_with_proof(pub, [1] * 9, context=CONTEXT)
            assert proof.randomness_response > most * 2**100


class TestContext:
    def test_no_two_contexts_are_the_same(self) -> None:
        contexts = {
            proof_context(session_id=session, client=client, round_number=number)
            for session in (b"", b"a", b"ab")
            for client in ("", "a", "b", "client-1", "client-11")
            for number in (0, 1, 11, 2**63)
        }
        assert len(contexts) == 3 * 5 * 4

    def test_a_negative_round_is_refused(self) -> None:
        with pytest.raises(ValueError, match="round_number: got -1"):
            proof_context(session_id=b"", client="a", round_number=-1)


def test_packed_integers_with_a_proof_are_kept_whole(keys: Keys) -> None:
    ciphertexts, proof = paillier.encrypt_packed_with_proof(
        keys[0], [5, -7], context=CONTEXT, bound=8, additions=2
    )
    proof.verify(ciphertexts, context=CONTEXT)
    opened = keys[1].decrypt(ciphertexts + keys[0].encrypt_packed([1, 1], bound=8, additions=2))
    assert opened.dtype == np.int64
    assert opened.tolist() == [6, -6]
