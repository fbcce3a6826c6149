"""The drop-in for python-paillier: its documented use, its errors, and the same answers as phe.

Tests that take the fixture `real` compare with the phe package and are skipped without it.
"""

import copy
import inspect
import json
import math
import operator
import pickle
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import ModuleType
from typing import Any

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpz

import veilsum.integrations.phe as phe
from veilsum.errors import (
    BudgetExceeded,
    InsecureKeyWarning,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
)
from veilsum.integrations.phe import encoding, paillier, util
from veilsum.integrations.phe.paillier import (
    EncodedNumber,
    EncryptedNumber,
    PaillierPrivateKey,
    PaillierPrivateKeyring,
    PaillierPublicKey,
)

PUB, PRIV = paillier.generate_paillier_keypair(n_length=512)
OTHER_PUB, OTHER_PRIV = paillier.generate_paillier_keypair(n_length=512)
MAX_INT = PUB.max_int

STRANGERS = ["7", None, 1j, [1, 2], b"7", Decimal("2.5"), Fraction(5, 2), np.longdouble(2.5)]
JUNK_INTEGERS = [1.0, "1", None, b"1", [1]]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.fixture(scope="module")
def real() -> ModuleType:
    """The phe package itself."""
    module: ModuleType = pytest.importorskip("phe")
    return module


def opened(number: EncryptedNumber) -> tuple[int | float, int]:
    """Plaintext and exponent."""
    return PRIV.decrypt(number), number.exponent


def raised(action: Callable[[], Any]) -> type[BaseException] | None:
    """Return what an action raises."""
    try:
        action()
    except Exception as error:
        return type(error)
    return None


class TestDocumentedUse:
    """The examples of phe's page on usage."""

    def test_names_are_where_programs_look_for_them(self) -> None:
        assert phe.paillier is paillier
        assert phe.encoding is encoding
        assert phe.util is util
        assert phe.EncodedNumber is paillier.EncodedNumber is encoding.EncodedNumber
        for name in (
            "EncryptedNumber",
            "PaillierPrivateKey",
            "PaillierPrivateKeyring",
            "PaillierPublicKey",
            "generate_paillier_keypair",
        ):
            assert getattr(phe, name) is getattr(paillier, name)
        for name in ("invert", "powmod", "mulmod", "getprimeover", "isqrt"):
            assert getattr(paillier, name) is getattr(util, name)
        assert paillier.DEFAULT_KEYSIZE == 3072
        assert phe.__version__ == "1.5.0"

    def test_the_default_key_has_3072_bits(self) -> None:
        assert inspect.signature(phe.generate_paillier_keypair).parameters["n_length"].default == (
            paillier.DEFAULT_KEYSIZE
        )

    def test_a_keyring_collects_the_keys_made_for_it(self) -> None:
        keyring = paillier.PaillierPrivateKeyring()
        keyring.add(PRIV)
        public_key1, private_key1 = paillier.generate_paillier_keypair(keyring, 256)
        _, private_key2 = paillier.generate_paillier_keypair(keyring, n_length=256)
        assert list(keyring.values()) == [PRIV, private_key1, private_key2]
        assert keyring.decrypt(public_key1.encrypt(4.5)) == 4.5

    def test_numbers_come_back_as_they_were_encrypted(self) -> None:
        secret_number_list = [3.141592653, 300, -4.6e-12]
        encrypted_number_list = [PUB.encrypt(x) for x in secret_number_list]
        decrypted = [PRIV.decrypt(x) for x in encrypted_number_list]
        assert decrypted == secret_number_list
        assert [type(x) for x in decrypted] == [float, int, float]

    def test_encrypted_numbers_compute_with_plain_and_encrypted_ones(self) -> None:
        a, b, c = (PUB.encrypt(x) for x in [3.141592653, 300, -4.6e-12])
        assert PRIV.decrypt(a + 5) == 8.141592653
        assert PRIV.decrypt(a + b) == 303.141592653
        assert PRIV.decrypt(a * 3.5) == pytest.approx(3.141592653 * 3.5, rel=1e-15)
        assert PRIV.decrypt(a - 1) == 2.141592653
        assert PRIV.decrypt(a / -3.1) == pytest.approx(3.141592653 / -3.1, rel=1e-15)
        assert PRIV.decrypt(c * 2 + a) == pytest.approx(3.141592653 - 9.2e-12, rel=1e-15)

    def test_numpy_adds_averages_and_multiplies_lists_of_them(self) -> None:
        numbers = [3.141592653, 300, -4.6e-12]
        encrypted: Any = [PUB.encrypt(x) for x in numbers]
        assert PRIV.decrypt(np.mean(encrypted)) == pytest.approx(np.mean(numbers), rel=1e-15)
        assert PRIV.decrypt(np.dot(encrypted, [2, -400.1, 5318008])) == pytest.approx(
            np.dot(numbers, [2, -400.1, 5318008]), rel=1e-15
        )
        assert PRIV.decrypt(np.sum(np.array(encrypted))) == pytest.approx(sum(numbers), rel=1e-15)
        doubled = np.array(encrypted) * np.array([2, 2.0, 2])
        assert [PRIV.decrypt(x) for x in doubled] == [2 * x for x in numbers]

    def test_sums_of_lists_start_from_a_plain_zero(self) -> None:
        numbers: Any = [PUB.encrypt(x) for x in range(10)]
        assert opened(sum(numbers)) == (45, 0)

    def test_lists_travel_as_json_of_strings_and_exponents(self) -> None:
        numbers = [3.141592653, 300, -4.6e-12]
        with_one_key = {
            "public_key": {"n": PUB.n},
            "values": [
                (str(x.ciphertext()), x.exponent) for x in (PUB.encrypt(x) for x in numbers)
            ],
        }
        received = json.loads(json.dumps(with_one_key))
        public_key = paillier.PaillierPublicKey(n=int(received["public_key"]["n"]))
        encrypted = [
            paillier.EncryptedNumber(public_key, int(x[0]), int(x[1])) for x in received["values"]
        ]
        assert [PRIV.decrypt(x) for x in encrypted] == numbers

    def test_keys_travel_as_json_web_keys(self) -> None:
        words = {name: util.int_to_base64(getattr(PRIV, name)) for name in ("p", "q")}
        words["n"] = util.int_to_base64(PUB.n)
        read = {
            name: util.base64_to_int(word) for name, word in json.loads(json.dumps(words)).items()
        }
        private_key = PaillierPrivateKey(PaillierPublicKey(read["n"]), read["p"], read["q"])
        assert private_key == PRIV

    def test_another_base_is_a_subclass(self) -> None:
        class Base64Number(EncodedNumber):
            BASE = 64
            LOG2_BASE = math.log2(BASE)

        number = Base64Number.encode(PUB, 2.1**20)
        assert (type(number), number.exponent) == (Base64Number, -6)
        lowered = number.decrease_exponent_to(-8)
        assert type(lowered) is Base64Number
        assert lowered.decode() == number.decode()
        encrypted = PUB.encrypt(number)
        decrypted = PRIV.decrypt_encoded(encrypted, Base64Number)
        assert type(decrypted) is Base64Number
        assert decrypted.decode() == 2.1**20
        total = encrypted + Base64Number.encode(PUB, 2.0**-30)
        assert PRIV.decrypt_encoded(total, Base64Number).decode() == 2.1**20 + 2.0**-30

    def test_precision_hides_the_magnitude_of_floats(self) -> None:
        exponents = {PUB.encrypt(x, precision=1e-3).exponent for x in (1e-2, 3.5, 1e9)}
        assert exponents == {-3}
        assert PRIV.decrypt(PUB.encrypt(math.pi, 1e-3)) == 12868 / 16**3


class TestKeyGeneration:
    @pytest.mark.parametrize("bits", [6, 7, 8, 10, 17, 33, 64, 128, 256, np.int64(128), mpz(128)])
    def test_keys_have_the_length_asked_for(self, bits: int) -> None:
        public_key, private_key = phe.generate_paillier_keypair(n_length=bits)
        assert public_key.n.bit_length() == bits
        assert private_key.p * private_key.q == public_key.n
        assert private_key.p < private_key.q
        assert private_key.decrypt(public_key.encrypt(1)) == 1

    def test_every_call_makes_another_key(self) -> None:
        assert len({phe.generate_paillier_keypair(n_length=128)[0] for _ in range(10)}) == 10

    @pytest.mark.parametrize("bits", [5, 0, -1])
    def test_lengths_without_a_key_are_refused(self, bits: int) -> None:
        with pytest.raises(ValueError, match=f"n_length: got {bits}, expected at least 6"):
            phe.generate_paillier_keypair(n_length=bits)

    def test_a_length_that_is_no_integer_is_refused(self) -> None:
        with pytest.raises(TypeError):
            phe.generate_paillier_keypair(n_length=128.0)  # type: ignore[arg-type]

    def test_a_short_key_warns_once(self) -> None:
        makers: list[Callable[[], Any]] = [
            lambda: phe.generate_paillier_keypair(n_length=128),
            lambda: PaillierPublicKey(PUB.n),
            lambda: PaillierPublicKey((1 << 2047) - 1),
        ]
        for make in makers:
            with pytest.warns(InsecureKeyWarning, match="-bit Paillier key protects nothing") as w:
                make()
            assert len(w) == 1

    def test_nothing_but_the_making_of_a_short_key_warns(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            PaillierPublicKey((1 << 2048) - 1)
            private_key = PaillierPrivateKey(PUB, PRIV.p, PRIV.q)
            again = pickle.loads(pickle.dumps(private_key))  # noqa: S301
            assert again.decrypt(copy.deepcopy(PUB).encrypt(2) * 3) == 6


class TestPublicKey:
    def test_attributes_follow_from_the_modulus(self) -> None:
        key = PaillierPublicKey(126869)
        assert (key.n, key.g, key.nsquare) == (126869, 126870, 126869**2)
        assert key.max_int == 126869 // 3 - 1

    def test_equal_moduli_are_equal_keys(self) -> None:
        again = PaillierPublicKey(mpz(PUB.n))
        assert again == PUB
        assert hash(again) == hash(PUB)
        assert type(again.n) is int
        assert PUB != OTHER_PUB
        assert PUB.n != PUB

    def test_its_repr_is_short(self) -> None:
        assert repr(PUB) == f"<PaillierPublicKey {hex(hash(PUB.n))[2:12]}>"
        assert repr(PaillierPublicKey(35)) == "<PaillierPublicKey 23>"

    @pytest.mark.parametrize("n", [-35, 0, 1, 2, 36])
    def test_moduli_that_are_no_key_are_refused(self, n: int) -> None:
        with pytest.raises(InvalidKey):
            PaillierPublicKey(n)

    @pytest.mark.parametrize("junk", JUNK_INTEGERS)
    def test_what_is_no_integer_is_refused(self, junk: Any) -> None:
        for action in (
            lambda: PaillierPublicKey(junk),
            lambda: PUB.raw_encrypt(junk),
            lambda: PRIV.raw_decrypt(junk),
            lambda: EncryptedNumber(PUB, junk),
            lambda: EncryptedNumber(PUB, 1, junk),
            lambda: EncodedNumber(PUB, junk, 0),
            lambda: EncodedNumber(PUB, 1, junk),
            lambda: EncodedNumber(PUB, 1, 0).decrease_exponent_to(junk),
            lambda: PUB.encrypt(1).decrease_exponent_to(junk),
            lambda: PaillierPrivateKey(PUB, junk, 7),
            lambda: PaillierPrivateKey.from_totient(PUB, junk),
        ):
            with pytest.raises(TypeError):
                action()

    @pytest.mark.parametrize("m", [0, 1, -1, True, mpz(7), np.int64(-7), PUB.n - 1, PUB.n + 5])
    def test_raw_integers_are_taken_modulo_n(self, m: Any) -> None:
        assert PRIV.raw_decrypt(PUB.raw_encrypt(m)) == int(m) % PUB.n

    @pytest.mark.parametrize("r", [1, 5, -5, mpz(77), PUB.n + 1, 1 << 600])
    def test_known_randomness_gives_the_textbook_ciphertext(self, r: Any) -> None:
        expected = (1 + 7 * PUB.n) * pow(int(r), PUB.n, PUB.nsquare) % PUB.nsquare
        assert PUB.raw_encrypt(7, r) == PUB.raw_encrypt(7, r_value=r) == expected
        assert PUB.encrypt(7, r_value=r).ciphertext(be_secure=False) == expected
        encoded = EncodedNumber.encode(PUB, 7)
        assert PUB.encrypt_encoded(encoded, r).ciphertext(be_secure=False) == expected

    def test_without_randomness_given_it_is_drawn(self) -> None:
        ciphertexts = {PUB.raw_encrypt(7, r) for r in (None, None, 0, 0)}
        ciphertexts |= {PUB.encrypt(7, r_value=r).ciphertext() for r in (None, None, 0, 0)}
        assert len(ciphertexts) == 8

    @pytest.mark.parametrize("r", [PRIV.p, 2 * PRIV.q, PUB.n])
    def test_randomness_that_is_no_unit_is_refused(self, r: int) -> None:
        with pytest.raises(ValueError, match="factor in common with n"):
            PUB.raw_encrypt(7, r)

    def test_random_numbers_are_units_below_n(self) -> None:
        drawn = {PaillierPublicKey(35).get_random_lt_n() for _ in range(1000)}
        assert drawn == {r for r in range(35) if math.gcd(r, 35) == 1}
        assert len({PUB.get_random_lt_n() for _ in range(20)}) == 20

    def test_a_raised_max_int_is_used_and_kept(self) -> None:
        key = PaillierPublicKey(PUB.n)
        key.max_int = key.n // 2 - 1
        for public_key in (key, pickle.loads(pickle.dumps(key))):  # noqa: S301
            number = EncodedNumber.encode(public_key, MAX_INT + 10)
            assert number.decode() == MAX_INT + 10

    def test_encoded_numbers_of_another_key_are_refused(self) -> None:
        with pytest.raises(KeyMismatch):
            PUB.encrypt(EncodedNumber.encode(OTHER_PUB, 3))
        with pytest.raises(TypeError, match="encoding: got int"):
            PUB.encrypt_encoded(3, None)  # type: ignore[arg-type]


class TestPrivateKey:
    @pytest.mark.parametrize("primes", [(5, 7), (7, 5), (293, 433), (3, 7), (mpz(13), mpz(17))])
    def test_hand_picked_primes_make_a_key(self, primes: tuple[int, int]) -> None:
        p, q = primes
        key = PaillierPrivateKey(PaillierPublicKey(p * q), p, q)
        assert (key.p, key.q) == (min(p, q), max(p, q))
        for m in range(min(p * q, 40)):
            assert key.raw_decrypt(key.public_key.raw_encrypt(m)) == m

    def test_equal_primes_are_refused(self) -> None:
        with pytest.raises(InvalidKey, match="equal"):
            PaillierPrivateKey(PaillierPublicKey(25), 5, 5)

    @pytest.mark.parametrize("primes", [(5, 11), (7, 7), (1, 34)])
    def test_primes_of_another_modulus_are_refused(self, primes: tuple[int, int]) -> None:
        with pytest.raises(InvalidKey, match="not n of the public key"):
            PaillierPrivateKey(PaillierPublicKey(35), *primes)

    @pytest.mark.parametrize(("p", "q"), [(1, 35), (-5, -7), (35, 1)])
    def test_factors_that_are_no_primes_are_refused(self, p: int, q: int) -> None:
        with pytest.raises(InvalidKey, match="not an odd prime"):
            PaillierPrivateKey(PaillierPublicKey(35), p, q)

    def test_attributes_are_those_of_the_paper(self) -> None:
        p, q = PRIV.p, PRIV.q
        assert (PRIV.psquare, PRIV.qsquare) == (p * p, q * q)
        assert PRIV.p_inverse == pow(p, -1, q)
        assert PRIV.hp == PRIV.h_function(p, p * p) == pow(-q, -1, p)
        assert PRIV.hq == PRIV.h_function(q, q * q) == pow(-p, -1, q)
        assert PRIV.l_function(1 + 17 * p, p) == 17
        x = PRIV.crt(12345, 67890)
        assert (x % p, x % q) == (12345, 67890)
        assert 0 <= x < PUB.n

    def test_the_totient_makes_the_same_key(self) -> None:
        totient = (PRIV.p - 1) * (PRIV.q - 1)
        assert PaillierPrivateKey.from_totient(PUB, totient) == PRIV
        assert PaillierPrivateKey.from_totient(PaillierPublicKey(35), mpz(24)).p == 5

    @pytest.mark.parametrize("totient", [23, 25, 0, -24, 34, 36, 6, 12])
    def test_another_totient_is_refused(self, totient: int) -> None:
        with pytest.raises(InvalidKey):
            PaillierPrivateKey.from_totient(PaillierPublicKey(35), totient)

    def test_the_totient_of_a_square_is_refused(self) -> None:
        with pytest.raises(InvalidKey, match="equal"):
            PaillierPrivateKey.from_totient(PaillierPublicKey(25), 16)

    def test_keys_of_equal_primes_are_equal(self) -> None:
        again = PaillierPrivateKey(PUB, PRIV.q, PRIV.p)
        assert again == PRIV
        assert hash(again) == hash(PRIV)
        assert PRIV != OTHER_PRIV
        assert PRIV.p != PRIV

    def test_its_repr_shows_no_secret(self) -> None:
        assert repr(PRIV) == f"<PaillierPrivateKey for {PUB!r}>"

    def test_numbers_of_another_key_are_refused(self) -> None:
        for decrypt in (PRIV.decrypt, PRIV.decrypt_encoded):
            with pytest.raises(KeyMismatch, match="different keys"):
                decrypt(OTHER_PUB.encrypt(3))

    @pytest.mark.parametrize("stranger", [5, None, EncodedNumber(PUB, 5, 0)])
    def test_what_is_not_encrypted_is_not_decrypted(self, stranger: Any) -> None:
        keyring = PaillierPrivateKeyring([PRIV])
        for decrypt in (PRIV.decrypt, PRIV.decrypt_encoded, keyring.decrypt):
            with pytest.raises(TypeError, match="encrypted_number: got"):
                decrypt(stranger)

    @pytest.mark.parametrize("c", [0, -1, PUB.nsquare, PRIV.p, PUB.n])
    def test_ciphertexts_outside_of_the_group_are_refused(self, c: int) -> None:
        with pytest.raises(InvalidCiphertext):
            PRIV.raw_decrypt(c)

    def test_encoded_numbers_keep_their_exponent(self) -> None:
        number = PRIV.decrypt_encoded(PUB.encrypt(-0.5))
        assert (number.public_key, number.exponent) == (PUB, -14)
        assert number.encoding == PUB.n - 16**14 // 2

    def test_it_pickles_and_copies(self) -> None:
        c = PUB.encrypt(7)
        for again in (pickle.loads(pickle.dumps(PRIV)), copy.deepcopy(PRIV)):  # noqa: S301
            assert again == PRIV
            assert again.decrypt(c) == 7


class TestKeyring:
    def test_it_is_a_mapping_from_public_to_private_keys(self) -> None:
        keyring = PaillierPrivateKeyring([PRIV, OTHER_PRIV])
        assert len(keyring) == 2
        assert list(keyring) == [PUB, OTHER_PUB]
        assert keyring[PUB] == PRIV
        assert OTHER_PUB in keyring
        assert keyring == {PUB: PRIV, OTHER_PUB: OTHER_PRIV}
        del keyring[PUB]
        assert PUB not in keyring
        assert keyring.get(PUB) is None

    def test_it_decrypts_with_the_key_that_fits(self) -> None:
        keyring = PaillierPrivateKeyring([PRIV, OTHER_PRIV])
        assert keyring.decrypt(PUB.encrypt(1.5)) == 1.5
        assert keyring.decrypt(OTHER_PUB.encrypt(-4)) == -4

    def test_a_missing_key_is_a_key_error(self) -> None:
        keyring = PaillierPrivateKeyring()
        for action in (
            lambda: keyring.decrypt(PUB.encrypt(1)),
            lambda: keyring[PUB],
            lambda: keyring.__delitem__(PUB),
        ):
            with pytest.raises(KeyError):
                action()

    def test_adding_twice_changes_nothing(self) -> None:
        keyring = PaillierPrivateKeyring([PRIV])
        keyring.add(PRIV)
        assert len(keyring) == 1

    @pytest.mark.parametrize("stranger", [5, None, PUB])
    def test_what_is_no_private_key_is_refused(self, stranger: Any) -> None:
        with pytest.raises(TypeError, match="private_key: got"):
            PaillierPrivateKeyring().add(stranger)
        with pytest.raises(TypeError):
            PaillierPrivateKeyring([stranger])


class TestEncoding:
    def test_constants_are_those_of_base_sixteen(self) -> None:
        assert (EncodedNumber.BASE, EncodedNumber.LOG2_BASE) == (16, 4.0)
        assert EncodedNumber.FLOAT_MANTISSA_BITS == 53

    @pytest.mark.parametrize(
        ("scalar", "signed", "exponent"),
        [
            (0, 0, 0),
            (-5, -5, 0),
            (True, 1, 0),
            (MAX_INT, MAX_INT, 0),
            (-MAX_INT, -MAX_INT, 0),
            (1.0, 16**13, -13),
            (-2.5, -(16**13) * 5 // 2, -13),
            (0.0, 0, -14),
            (-0.0, 0, -14),
            (0.1, 7205759403792794, -14),
            (256.0, 16**13, -11),
            (1e50, 19259299443872360, 28),
            (5e-324, 1 << 54, -282),
        ],
    )
    def test_numbers_have_the_highest_exponent_that_keeps_all_bits(
        self, scalar: float, signed: int, exponent: int
    ) -> None:
        number = EncodedNumber.encode(PUB, scalar)
        assert (number.encoding, number.exponent) == (signed % PUB.n, exponent)
        assert number.decode() == scalar
        assert type(number.decode()) is (int if exponent >= 0 else float)

    @pytest.mark.parametrize(
        ("scalar", "precision", "signed", "exponent"),
        [
            (2.5, 1, 2, 0),
            (3.5, 1, 4, 0),
            (-1.5, 1, -2, 0),
            (8, 16, 0, 1),
            (24, 16, 2, 1),
            (24, 15.9, 24, 0),
            (5, 0.1, 80, -1),
            (0.1, 1e-10, 6871947674, -9),
            (0.1, 1e30, 0, 24),
            (1234567, np.float64(1e-3), 5056786432, -3),
        ],
    )
    def test_precision_chooses_the_exponent_and_rounds_half_to_even(
        self, scalar: float, precision: float, signed: int, exponent: int
    ) -> None:
        number = EncodedNumber.encode(PUB, scalar, precision=precision)
        assert (number.encoding, number.exponent) == (signed % PUB.n, exponent)

    def test_exponents_are_lowered_to_the_highest_allowed(self) -> None:
        assert EncodedNumber.encode(PUB, 7, max_exponent=-5).encoding == 7 * 16**5
        assert EncodedNumber.encode(PUB, 7, max_exponent=5).exponent == 0
        number = EncodedNumber.encode(PUB, 0.1, precision=0.01, max_exponent=mpz(-5))
        assert (number.encoding, number.exponent) == (104858, -5)

    @pytest.mark.parametrize(
        ("scalar", "plain"),
        [
            (mpz(5), 5),
            (np.int8(-3), -3),
            (np.uint64(2**63 + 1), 2**63 + 1),
            (np.True_, 1),
            (np.float32(0.1), float(np.float32(0.1))),
            (np.float16(0.1), float(np.float16(0.1))),
            (np.float64(0.1), 0.1),
        ],
    )
    def test_other_libraries_numbers_stand_for_python_ones(self, scalar: Any, plain: Any) -> None:
        ours, expected = (EncodedNumber.encode(PUB, x) for x in (scalar, plain))
        assert (ours.encoding, ours.exponent) == (expected.encoding, expected.exponent)
        assert type(ours.encoding) is type(ours.exponent) is int
        assert opened(PUB.encrypt(scalar)) == (plain, expected.exponent)

    @pytest.mark.parametrize("stranger", [*STRANGERS, gmpy2.mpfr(2.5), np.array([1, 2])])
    def test_what_is_no_number_is_refused(self, stranger: Any) -> None:
        for encode in (lambda: EncodedNumber.encode(PUB, stranger), lambda: PUB.encrypt(stranger)):
            with pytest.raises(TypeError, match=r"^scalar: got"):
                encode()

    @pytest.mark.parametrize("scalar", [MAX_INT + 1, -MAX_INT - 1, PUB.n])
    def test_integers_beyond_the_range_are_refused_and_not_shown(self, scalar: int) -> None:
        with pytest.raises(BudgetExceeded, match=r"^scalar: ") as refused:
            PUB.encrypt(scalar)
        assert str(scalar)[:9] not in str(refused.value)

    def test_precision_beyond_the_range_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^scalar: at exponent -251"):
            PUB.encrypt(5, precision=16.0**-250)
        with pytest.raises(ValueError, match=r"^scalar: at exponent -200"):
            EncodedNumber.encode(PUB, 5, max_exponent=-200)

    @pytest.mark.parametrize("scalar", [math.nan, np.float32("nan")])
    def test_nan_is_a_value_error(self, scalar: float) -> None:
        with pytest.raises(ValueError, match=r"^scalar: got NaN"):
            PUB.encrypt(scalar)

    @pytest.mark.parametrize("scalar", [math.inf, -math.inf])
    def test_infinities_are_overflow_errors(self, scalar: float) -> None:
        with pytest.raises(OverflowError, match=r"^scalar: got an infinity"):
            PUB.encrypt(scalar)

    @pytest.mark.parametrize("precision", [0, -1, math.nan, math.inf])
    def test_impossible_precisions_are_refused(self, precision: float) -> None:
        with pytest.raises(ValueError, match=r"^precision: got"):
            EncodedNumber.encode(PUB, 0.5, precision=precision)

    def test_a_third_of_all_integers_is_overflow(self) -> None:
        assert EncodedNumber(PUB, MAX_INT, 0).decode() == MAX_INT
        assert EncodedNumber(PUB, PUB.n - MAX_INT, 0).decode() == -MAX_INT
        for encoded in (MAX_INT + 1, PUB.n // 2, PUB.n - MAX_INT - 1):
            with pytest.raises(OverflowError, match="beyond max_int"):
                EncodedNumber(PUB, encoded, 0).decode()

    @pytest.mark.parametrize("encoded", [PUB.n, PUB.n + 1, PUB.nsquare])
    def test_integers_that_are_not_below_n_are_refused(self, encoded: int) -> None:
        with pytest.raises(ValueError, match=r"^encoding: it is not below n"):
            EncodedNumber(PUB, encoded, 0).decode()

    def test_floats_are_decoded_to_the_nearest(self) -> None:
        assert EncodedNumber(PUB, 10**70, -60).decode() == float(Fraction(10**70, 16**60))
        assert EncodedNumber(PUB, 5, -400).decode() == 0.0
        assert EncodedNumber(PUB, 5, 3).decode() == 5 * 16**3

    def test_what_is_beyond_a_float_is_an_overflow_error(self) -> None:
        long_key = PaillierPublicKey((1 << 2100) - 1)
        with pytest.raises(OverflowError):
            EncodedNumber(long_key, 1 << 1100, -1).decode()

    def test_lower_exponents_encode_the_same_number(self) -> None:
        number = EncodedNumber.encode(PUB, -5)
        lowered = number.decrease_exponent_to(-3)
        assert (lowered.encoding, lowered.exponent) == (-5 * 16**3 % PUB.n, -3)
        assert number.decrease_exponent_to(0).encoding == number.encoding
        assert number.decrease_exponent_to(-(10**9)).exponent == -(10**9)

    def test_exponents_do_not_rise(self) -> None:
        for number in (EncodedNumber.encode(PUB, 5), PUB.encrypt(5)):
            with pytest.raises(ValueError, match=r"^new_exp: got 1, expected at most"):
                number.decrease_exponent_to(1)


class TestArithmetic:
    @pytest.mark.parametrize("b", [3, -3, 0, True, 2.5, -0.125, 0.0, 1e20, MAX_INT - 5])
    @pytest.mark.parametrize("operate", [operator.add, operator.sub])
    def test_sums_and_differences_with_plain_encoded_and_encrypted_numbers(
        self, operate: Callable[[Any, Any], Any], b: float
    ) -> None:
        exact = operate(5, Fraction(b))
        encrypted = PUB.encrypt(5)
        for operand in (b, EncodedNumber.encode(PUB, b), PUB.encrypt(b)):
            forth = PRIV.decrypt(operate(encrypted, operand))
            back = PRIV.decrypt(operate(operand, encrypted))
            # An int is exact, a float the nearest to it.
            assert forth == type(forth)(exact)
            assert back == (forth if operate is operator.add else -forth)

    @pytest.mark.parametrize("k", [3, -3, 0, 1, True, 2.5, -0.125, 0.0, 1e20])
    def test_products_with_plain_and_encoded_numbers(self, k: float) -> None:
        encoded = EncodedNumber.encode(PUB, k)
        for product in (
            PUB.encrypt(5) * k,
            k * PUB.encrypt(5),
            PUB.encrypt(5) * encoded,
            encoded * PUB.encrypt(5),
        ):
            assert opened(product) == (5 * k, encoded.exponent)

    @pytest.mark.parametrize("k", [2, -4, 0.5, np.int64(8), np.float32(-0.25), mpz(2), 3, math.inf])
    def test_quotients_multiply_by_the_inverse(self, k: Any) -> None:
        assert PRIV.decrypt(PUB.encrypt(5) / k) == pytest.approx(5 / float(k), rel=1e-15)
        assert type(PRIV.decrypt(PUB.encrypt(4) / 2)) is float

    @pytest.mark.parametrize("zero", [0, 0.0, mpz(0), np.int64(0), np.float64(0)])
    def test_division_by_zero_is_an_error(self, zero: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            PUB.encrypt(5) / zero

    @pytest.mark.parametrize(
        "b", [np.int64(3), np.int8(-3), np.float64(2.5), np.float32(0.5), mpz(3), np.True_]
    )
    @pytest.mark.parametrize("operate", [operator.add, operator.sub, operator.mul])
    def test_other_libraries_numbers_are_taken_on_both_sides(
        self, operate: Callable[[Any, Any], Any], b: Any
    ) -> None:
        plain = b.item() if isinstance(b, np.generic) else int(b)
        assert PRIV.decrypt(operate(PUB.encrypt(5), b)) == operate(5, plain)
        assert PRIV.decrypt(operate(b, PUB.encrypt(5))) == operate(plain, 5)

    def test_arrays_on_either_side_give_arrays(self) -> None:
        encrypted: Any = PUB.encrypt(5)
        for operate in (operator.add, operator.sub, operator.mul):
            left, right = operate(np.array([1, 2]), encrypted), operate(encrypted, np.array([1, 2]))
            assert [PRIV.decrypt(x) for x in left] == [operate(1, 5), operate(2, 5)]
            assert [PRIV.decrypt(x) for x in right] == [operate(5, 1), operate(5, 2)]

    def test_the_opposite_keeps_the_exponent(self) -> None:
        assert opened(-PUB.encrypt(5)) == (-5, 0)
        assert opened(-PUB.encrypt(-0.5)) == (0.5, -14)

    @pytest.mark.parametrize("stranger", STRANGERS)
    @pytest.mark.parametrize("operate", ARITHMETIC)
    def test_strangers_are_type_errors(
        self, operate: Callable[[Any, Any], Any], stranger: Any
    ) -> None:
        with pytest.raises(TypeError):
            operate(PUB.encrypt(5), stranger)
        with pytest.raises(TypeError):
            operate(stranger, PUB.encrypt(5))

    @pytest.mark.parametrize("divisor", [EncodedNumber.encode(PUB, 2), PUB.encrypt(2)])
    def test_only_plain_numbers_divide(self, divisor: Any) -> None:
        with pytest.raises(TypeError):
            PUB.encrypt(5) / divisor
        with pytest.raises(TypeError):
            1 / PUB.encrypt(5)  # type: ignore[operator]

    def test_two_encrypted_numbers_do_not_multiply(self) -> None:
        with pytest.raises(NotImplementedError, match="Paillier cannot multiply"):
            PUB.encrypt(5) * PUB.encrypt(2)

    @pytest.mark.parametrize("operate", [operator.add, operator.sub, operator.mul])
    def test_numbers_of_another_key_are_refused(self, operate: Callable[[Any, Any], Any]) -> None:
        with pytest.raises(KeyMismatch):
            operate(PUB.encrypt(5), EncodedNumber.encode(OTHER_PUB, 3))
        if operate is not operator.mul:
            with pytest.raises(KeyMismatch):
                operate(PUB.encrypt(5), OTHER_PUB.encrypt(3))

    def test_overflow_is_noticed_when_decrypting(self) -> None:
        most = PUB.encrypt(MAX_INT)
        assert PRIV.decrypt(most - 1) == MAX_INT - 1
        for beyond in (most + 1, most * 2, -most - 1, most + most):
            with pytest.raises(OverflowError):
                PRIV.decrypt(beyond)

    def test_exponents_too_far_apart_are_refused_at_once(self) -> None:
        hostile = EncryptedNumber(PUB, 1, -(10**12))
        for far in (1e-300, EncodedNumber(PUB, 1, -(10**12)), hostile):
            with pytest.raises(BudgetExceeded, match="more than the public key can hold"):
                PUB.encrypt(5) + far
        for number in (5, -5e-324):
            with pytest.raises(BudgetExceeded, match="beyond max_int of the public key"):
                hostile + number
        assert (hostile + 0).exponent == -(10**12)
        with pytest.raises(BudgetExceeded):
            PUB.encrypt(5).decrease_exponent_to(-500)
        with pytest.raises(BudgetExceeded):
            PUB.encrypt(5) + EncryptedNumber(PUB, 1, 10**12)

    def test_no_float_is_lost_by_not_computing_powers(self) -> None:
        class BinaryNumber(EncodedNumber):
            BASE = 2
            LOG2_BASE = 1.0

        assert BinaryNumber.encode(PUB, 5e-324).exponent == -1073 - 53
        bits = PUB.n.bit_length()
        least = BinaryNumber(PUB, MAX_INT, -(bits - 2 + 1074))
        assert least.decode() == float(Fraction(MAX_INT, 2 ** (bits - 2 + 1074))) > 0
        for steps in range(bits + 1070, bits + 1080):
            assert BinaryNumber(PUB, MAX_INT, -steps).decode() == float(Fraction(MAX_INT, 2**steps))
        with pytest.raises(BudgetExceeded):
            BinaryNumber.encode(PUB, 5e-324, max_exponent=-(bits + 1074))
        assert BinaryNumber.encode(PUB, 5e-324, max_exponent=-(bits - 3 + 1074)).decode() == 5e-324

    def test_exponents_of_strangers_are_decoded_at_once(self) -> None:
        assert EncodedNumber(PUB, 5, -(10**12)).decode() == 0.0
        assert math.copysign(1, float(EncodedNumber(PUB, PUB.n - 5, -(10**12)).decode())) == -1
        assert EncodedNumber(PUB, 1, 1 << 16).decode() == 16 ** (1 << 16)
        with pytest.raises(OverflowError, match=r"^exponent: got 1000000000000, expected"):
            EncodedNumber(PUB, 1, 10**12).decode()

    def test_lower_exponents_hold_the_same_number(self) -> None:
        assert opened(PUB.encrypt(5).decrease_exponent_to(-3)) == (5.0, -3)
        assert opened(PUB.encrypt(5).decrease_exponent_to(0)) == (5, 0)

    def test_operands_stay_as_they_are(self) -> None:
        a, b = PUB.encrypt(5), PUB.encrypt(0.5)
        before = a.ciphertext(), b.ciphertext(), a.exponent, b.exponent
        a += 3
        _ = [b + a, b - a, b * 2, -b, b.decrease_exponent_to(-20)]
        assert before[1:] == (b.ciphertext(), 0, b.exponent)
        assert opened(a) == (8, 0)


class TestObfuscation:
    def test_what_is_fresh_is_handed_out_as_it_is(self) -> None:
        for fresh in (PUB.encrypt(5), PUB.encrypt_encoded(EncodedNumber.encode(PUB, 5), None)):
            ciphertext = fresh.ciphertext(be_secure=False)
            assert fresh.ciphertext() == fresh.ciphertext(be_secure=True) == ciphertext

    def test_what_was_computed_or_received_is_obfuscated_before_it_leaves(self) -> None:
        a = PUB.encrypt(5)
        c = a.ciphertext()
        for number, plaintext in (
            (a + 3, 8),
            (a - 3, 2),
            (a + a, 10),
            (a * 2, 10),
            (a * 0, 0),
            (a / 2, 2.5),
            (-a, -5),
            (a.decrease_exponent_to(-1), 5),
            (EncryptedNumber(PUB, c), 5),
            (PUB.encrypt(5, r_value=77), 5),
            (PUB.encrypt_encoded(EncodedNumber.encode(PUB, 5), 77), 5),
        ):
            inside = number.ciphertext(be_secure=False)
            assert number.ciphertext(be_secure=False) == inside
            outside = number.ciphertext()
            assert outside != inside
            assert number.ciphertext() == number.ciphertext(be_secure=False) == outside
            assert PRIV.decrypt(number) == plaintext

    def test_without_obfuscation_results_tell_how_they_were_made(self) -> None:
        a = PUB.encrypt(5)
        c = a.ciphertext()
        for k in (3, 0, -3):
            assert (a * k).ciphertext(be_secure=False) == pow(c, k, PUB.nsquare)
        assert (a + 3).ciphertext(be_secure=False) == c * (1 + 3 * PUB.n) % PUB.nsquare
        assert (a * 3).ciphertext() != pow(c, 3, PUB.nsquare)

    def test_obfuscation_changes_the_ciphertext_alone(self) -> None:
        a = PUB.encrypt(-0.5)
        seen = {a.ciphertext()}
        for _ in range(10):
            assert a.obfuscate() is None  # type: ignore[func-returns-value]
            seen.add(a.ciphertext())
        assert len(seen) == 11
        assert opened(a) == (-0.5, -14)

    def test_numbers_pickle_and_copy(self) -> None:
        a = PUB.encrypt(-0.5)
        for again in (pickle.loads(pickle.dumps(a)), copy.copy(a), copy.deepcopy(a)):  # noqa: S301
            assert again.ciphertext() == a.ciphertext()
            assert opened(again + a) == (-1.0, -14)

    @pytest.mark.parametrize("ciphertext", [0, -1, PUB.nsquare, PUB.nsquare + 5])
    def test_received_numbers_outside_of_the_group_are_refused(self, ciphertext: int) -> None:
        with pytest.raises(InvalidCiphertext):
            EncryptedNumber(PUB, ciphertext)

    def test_received_numbers_need_a_key(self) -> None:
        with pytest.raises(TypeError, match="public_key: got int, expected PaillierPublicKey"):
            EncryptedNumber(PUB.n, 5)  # type: ignore[arg-type]

    def test_received_numbers_may_be_mpz(self) -> None:
        number = EncryptedNumber(PUB, mpz(PUB.encrypt(80).ciphertext()), mpz(-1))
        assert type(number.ciphertext()) is type(number.exponent) is int
        assert opened(number) == (5.0, -1)


class TestUtil:
    @pytest.mark.parametrize("convert", [int, mpz])
    def test_modular_arithmetic(self, convert: Callable[[int], Any]) -> None:
        three = convert(3)
        results = [
            util.invert(three, 7),
            util.powmod(three, 5, 100),
            util.powmod(three, -1, 7),
            util.mulmod(three, -5, 7),
            util.isqrt(convert(17)),
            util.improved_i_sqrt(convert(10**40)),
            *util.extended_euclidean_algorithm(three, 7),
        ]
        assert results == [5, 43, 5, 6, 4, 10**20, 1, -2, 1]
        assert {type(result) for result in results} == {int}

    @pytest.mark.parametrize(("a", "b"), [(0, 7), (2, 4), (6, 9), (5, 0)])
    def test_no_inverse_is_a_zero_division_error(self, a: int, b: int) -> None:
        with pytest.raises(ZeroDivisionError):
            util.invert(a, b)

    def test_arithmetic_refuses_what_has_no_answer(self) -> None:
        with pytest.raises(ValueError, match="not invertible"):
            util.powmod(2, -1, 4)
        with pytest.raises(ValueError):
            util.powmod(2, 3, 0)
        with pytest.raises(ZeroDivisionError):
            util.mulmod(2, 3, 0)
        with pytest.raises(ValueError):
            util.isqrt(-1)
        for name in ("powmod", "mulmod"):
            with pytest.raises(TypeError):
                getattr(util, name)(2.5, 2, 3)

    @pytest.mark.parametrize("bits", [2, 3, 4, 5, 8, 16, 128])
    def test_primes_have_the_length_asked_for(self, bits: int) -> None:
        for _ in range(20):
            prime = util.getprimeover(bits)
            assert prime.bit_length() == bits
            assert util.is_prime(prime)

    def test_every_prime_of_a_length_is_found(self) -> None:
        assert {util.getprimeover(4) for _ in range(300)} == {11, 13}

    @pytest.mark.parametrize("bits", [1, 0, -1])
    def test_lengths_without_a_prime_are_refused(self, bits: int) -> None:
        with pytest.raises(ValueError, match=f"^N: got {bits}, expected at least 2 bits"):
            util.getprimeover(bits)

    def test_primes_are_told_from_composites(self) -> None:
        primes = [n for n in range(-10, 18000) if util.is_prime(n)]
        assert tuple(primes[:2048]) == util.first_primes
        assert len(util.first_primes) == 2048
        assert [n for n in range(4, 18000) if util.miller_rabin(n, 30)] == primes[2:]
        assert util.is_prime(2**127 - 1, mr_rounds=5)
        assert not util.is_prime(561)

    def test_miller_rabin_refuses_numbers_without_bases(self) -> None:
        with pytest.raises(ValueError, match="n: got 3, expected at least 4"):
            util.miller_rabin(3, 5)

    @pytest.mark.parametrize(
        ("number", "text"), [(0, "AA"), (1, "AQ"), (255, "_w"), (65519, "_-8"), (65536, "AQAA")]
    )
    def test_integers_travel_in_base64(self, number: int, text: str) -> None:
        assert util.int_to_base64(number) == text
        assert util.base64_to_int(text) == number

    def test_bytes_and_text_travel_in_base64(self) -> None:
        assert util.base64url_encode(b"abc") == util.base64url_encode("abc") == "YWJj"
        assert util.base64url_decode("YWJj") == b"abc"
        assert util.base64url_decode("AQ==") == b"\x01"
        assert util.base64url_decode("") == b""

    @pytest.mark.parametrize("text", ["A", "!!", "AQ\n", "AQ===="])
    def test_what_is_no_base64_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            util.base64url_decode(text)
        with pytest.raises(ValueError):
            util.base64_to_int(text)

    def test_no_integer_is_written_or_read_in_vain(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            util.base64_to_int("")
        with pytest.raises(ValueError, match="negative"):
            util.int_to_base64(-1)

    def test_programs_may_ask_for_gmp(self) -> None:
        assert util.HAVE_GMP
        assert not util.HAVE_CRYPTO


class TestAgainstPhe:
    """Compared with the package itself, as a black box."""

    def test_every_public_name_is_there(self, real: ModuleType) -> None:
        left_out = {"command_line", "phe"}
        assert public_names(real) - left_out <= public_names(phe)
        for module in ("paillier", "encoding", "util"):
            wanted = {
                name
                for name in public_names(getattr(real, module))
                if not inspect.ismodule(getattr(getattr(real, module), name))
            } - {"Mapping", "hexlify", "unhexlify", "urlsafe_b64decode", "urlsafe_b64encode"}
            assert wanted <= public_names(getattr(phe, module))

    @pytest.mark.parametrize(
        "name",
        [
            "EncodedNumber",
            "EncryptedNumber",
            "PaillierPrivateKey",
            "PaillierPrivateKeyring",
            "PaillierPublicKey",
        ],
    )
    def test_classes_offer_the_same_members_and_arguments(
        self, real: ModuleType, name: str
    ) -> None:
        theirs, ours = getattr(real, name), getattr(phe, name)
        for member in public_names(theirs) | {"__init__"}:
            assert hasattr(ours, member)
            if callable(getattr(theirs, member)):
                wanted = inspect.signature(getattr(theirs, member)).parameters
                offered = inspect.signature(getattr(ours, member)).parameters
                assert [(p.name, p.default) for p in offered.values()] == [
                    (p.name, p.default) for p in wanted.values()
                ]

    def test_functions_take_the_same_arguments(self, real: ModuleType) -> None:
        for module in ("paillier", "util"):
            theirs, ours = getattr(real, module), getattr(phe, module)
            for name in public_names(ours) & public_names(theirs):
                if inspect.isfunction(getattr(theirs, name)):
                    wanted = inspect.signature(getattr(theirs, name)).parameters
                    offered = inspect.signature(getattr(ours, name)).parameters
                    assert list(offered) == list(wanted)

    def test_keys_have_the_same_attributes(self, real: ModuleType) -> None:
        their_pub = real.PaillierPublicKey(PUB.n)
        their_priv = real.PaillierPrivateKey(their_pub, PRIV.q, PRIV.p)
        for name in ("n", "g", "nsquare", "max_int"):
            assert getattr(PUB, name) == getattr(their_pub, name)
        for name in ("p", "q", "psquare", "qsquare", "p_inverse", "hp", "hq"):
            assert getattr(PRIV, name) == getattr(their_priv, name)
        assert (hash(PUB), repr(PUB)) == (hash(their_pub), repr(their_pub))
        assert (hash(PRIV), repr(PRIV)) == (hash(their_priv), repr(their_priv))
        assert PRIV.crt(123, 456) == their_priv.crt(123, 456)

    @pytest.mark.parametrize("bits", [128, 256, 512])
    def test_keys_and_ciphertexts_cross_over_both_ways(self, real: ModuleType, bits: int) -> None:
        for maker, reader in ((phe, real), (real, phe)):
            public_key, private_key = maker.generate_paillier_keypair(n_length=bits)
            read_key = reader.PaillierPublicKey(public_key.n)
            read_private = reader.PaillierPrivateKey(read_key, private_key.p, private_key.q)
            for x in (0, 1, -77, 3.25, -1e-6):
                made = public_key.encrypt(x)
                read = reader.EncryptedNumber(read_key, made.ciphertext(), made.exponent)
                computed = read * 2 + 1
                assert read_private.decrypt(read) == x
                assert private_key.decrypt(
                    maker.EncryptedNumber(public_key, computed.ciphertext(), computed.exponent)
                ) == pytest.approx(2 * x + 1, rel=1e-15)

    def test_json_web_key_words_are_the_same(self, real: ModuleType) -> None:
        for number in (1, 255, 256, PUB.n, PRIV.p):
            word = util.int_to_base64(number)
            assert word == real.util.int_to_base64(number)
            assert real.util.base64_to_int(word) == number

    def test_the_same_situations_raise_the_same_errors(self, real: ModuleType) -> None:
        for action in self.mistakes():
            assert_same_error(partial(action, real), partial(action, phe))

    @staticmethod
    def mistakes() -> list[Callable[[Any], Any]]:
        def key(module: Any) -> Any:
            return module.PaillierPublicKey(PUB.n)

        def private(module: Any) -> Any:
            return module.PaillierPrivateKey(key(module), PRIV.p, PRIV.q)

        def five(module: Any) -> Any:
            return key(module).encrypt(5)

        def other_five(module: Any) -> Any:
            return module.PaillierPublicKey(OTHER_PUB.n).encrypt(5)

        return [
            lambda m: m.PaillierPrivateKey(m.PaillierPublicKey(25), 5, 5),
            lambda m: m.PaillierPrivateKey(m.PaillierPublicKey(35), 5, 11),
            lambda m: m.PaillierPrivateKey.from_totient(m.PaillierPublicKey(35), 23),
            lambda m: m.PaillierPrivateKey.from_totient(m.PaillierPublicKey(35), 25),
            lambda m: key(m).raw_encrypt(1.0),
            lambda m: key(m).raw_encrypt("1"),
            lambda m: key(m).encrypt(MAX_INT + 1),
            lambda m: key(m).encrypt(-MAX_INT - 1),
            lambda m: key(m).encrypt(math.nan),
            lambda m: key(m).encrypt(math.inf),
            lambda m: key(m).encrypt("1"),
            lambda m: key(m).encrypt(None),
            lambda m: key(m).encrypt(0.5, precision=0),
            lambda m: key(m).encrypt(0.5, precision=-1),
            lambda m: key(m).encrypt(0.5, precision=1e-300),
            lambda m: private(m).raw_decrypt("1"),
            lambda m: private(m).raw_decrypt(1.0),
            lambda m: private(m).decrypt(5),
            lambda m: private(m).decrypt_encoded(5),
            lambda m: private(m).decrypt(other_five(m)),
            lambda m: private(m).decrypt(five(m) * MAX_INT),
            lambda m: m.PaillierPrivateKeyring().decrypt(five(m)),
            lambda m: m.PaillierPrivateKeyring()[key(m)],
            lambda m: m.PaillierPrivateKeyring().add(5),
            lambda m: m.EncryptedNumber(5, 5),
            lambda m: m.EncodedNumber(key(m), PUB.n, 0).decode(),
            lambda m: m.EncodedNumber(key(m), MAX_INT + 1, 0).decode(),
            lambda m: m.EncodedNumber(key(m), 5, 0).decrease_exponent_to(1),
            lambda m: five(m).decrease_exponent_to(1),
            lambda m: five(m).decrease_exponent_to(-500),
            lambda m: five(m) + other_five(m),
            lambda m: five(m) - other_five(m),
            lambda m: five(m) + m.EncodedNumber(m.PaillierPublicKey(35), 3, 0),
            lambda m: five(m) * five(m),
            lambda m: five(m) / five(m),
            lambda m: five(m) / 0,
            lambda m: five(m) / 0.0,
            lambda m: five(m) + "1",
            lambda m: five(m) * None,
            lambda m: five(m) + 1e-300,
            lambda m: m.util.invert(2, 4),
            lambda m: m.util.powmod(2, -1, 4),
            lambda m: m.util.isqrt(-1),
            lambda m: m.util.base64_to_int("A"),
        ]


def public_names(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def assert_same_error(theirs: Callable[[], Any], ours: Callable[[], Any]) -> None:
    wanted, got = raised(theirs), raised(ours)
    assert wanted is not None
    assert got is not None
    assert issubclass(got, wanted), f"got {got}, phe raises {wanted}"
