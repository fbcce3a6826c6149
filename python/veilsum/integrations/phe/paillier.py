"""Keys and encrypted numbers with the interface of python-paillier, on textbook Paillier.

Encryption is `veilsum.paillier.classic`: the modulus alone is the public key, and randomness is
``r**n`` for a uniform unit r.
"""

import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

from veilsum.errors import (
    BudgetExceeded,
    InsecureKeyWarning,
    InvalidCiphertext,
    InvalidKey,
    KeyMismatch,
)
from veilsum.integrations.phe.encoding import EncodedNumber, real_number, steps_down
from veilsum.integrations.phe.util import getprimeover, invert, isqrt, mulmod, powmod
from veilsum.paillier import classic

__all__ = [
    "DEFAULT_KEYSIZE",
    "EncodedNumber",
    "EncryptedNumber",
    "PaillierPrivateKey",
    "PaillierPrivateKeyring",
    "PaillierPublicKey",
    "generate_paillier_keypair",
    "getprimeover",
    "invert",
    "isqrt",
    "mulmod",
    "powmod",
]

DEFAULT_KEYSIZE = 3072

_SECURE_BITS = 2048
_TRIVIAL_ZERO = 1  # the ciphertext of 0 without randomness


def generate_paillier_keypair(
    private_keyring: "PaillierPrivateKeyring | None" = None,
    n_length: SupportsIndex = DEFAULT_KEYSIZE,
) -> "tuple[PaillierPublicKey, PaillierPrivateKey]":
    """Make a key pair from the operating system's randomness.

    Parameters
    ----------
    private_keyring : PaillierPrivateKeyring, optional
        Add the private key to it.
    n_length : int
        Length of the modulus in bits, from 6; below 2048 it protects nothing.

    Raises
    ------
    ValueError
        If `n_length` is below 6.

    Warns
    -----
    InsecureKeyWarning
        If `n_length` is below 2048.

    Examples
    --------
    >>> public_key, private_key = generate_paillier_keypair(n_length=2048)
    >>> private_key.decrypt(sum(public_key.encrypt(x) for x in [1, 2.5, -4]))
    -0.5
    """
    length = operator.index(n_length)
    if length < 6:
        raise ValueError(f"n_length: got {length}, expected at least 6, and 2048 for secrets")
    p, q = classic.random_primes(length)
    public_key = PaillierPublicKey(p * q)
    private_key = PaillierPrivateKey(public_key, p, q)
    if private_keyring is not None:
        private_keyring.add(private_key)
    return public_key, private_key


class PaillierPublicKey:
    """Encrypts numbers; its modulus is all that there is to it.

    Parameters
    ----------
    n : int
        The modulus, odd.

    Attributes
    ----------
    n : int
    g : int
        ``n + 1``.
    nsquare : int
        ``n**2``.
    max_int : int
        The largest magnitude of an encoded integer, ``n // 3 - 1``. It may be raised by whoever
        can do without the detection of overflow.

    Raises
    ------
    InvalidKey
        If n is even or below 3.

    Warns
    -----
    InsecureKeyWarning
        If n has less than 2048 bits.
    """

    def __init__(self, n: SupportsIndex) -> None:
        self._scheme = classic.PublicKey(n)
        self.n = self._scheme.n
        self.g = self.n + 1
        self.nsquare = self.n**2
        self.max_int = self.n // 3 - 1
        _warn_of_short_key(self.n.bit_length())

    def encrypt(
        self, value: Any, precision: float | None = None, r_value: SupportsIndex | None = None
    ) -> "EncryptedNumber":
        """Encode and encrypt a number.

        Parameters
        ----------
        value : int, float or EncodedNumber
            An `EncodedNumber` is taken as it is.
        precision : float, optional
            As for `EncodedNumber.encode`. Without it, the exponent of a float tells its magnitude.
        r_value : int, optional
            As for `raw_encrypt`.

        Raises
        ------
        BudgetExceeded
            If the encoded integer is beyond `max_int`, or `value` is NaN: a `ValueError`.
        KeyMismatch
            If an `EncodedNumber` is for another key: a `ValueError`.
        OverflowError
            If `value` is infinite.
        TypeError
            If `value` is not a number.
        """
        if isinstance(value, EncodedNumber):
            return self.encrypt_encoded(value, r_value)
        return self.encrypt_encoded(EncodedNumber.encode(self, value, precision), r_value)

    def encrypt_encoded(
        self, encoding: EncodedNumber, r_value: SupportsIndex | None
    ) -> "EncryptedNumber":
        """Encrypt an encoded number.

        Parameters
        ----------
        encoding : EncodedNumber
            For this key.
        r_value : int or None
            As for `raw_encrypt`. If it is given, the number counts as not obfuscated yet.

        Raises
        ------
        KeyMismatch
            If it is encoded for another key: a `ValueError`.
        TypeError
            If `encoding` is not an `EncodedNumber`.
        """
        if not isinstance(encoding, EncodedNumber):
            raise TypeError(f"encoding: got {type(encoding).__name__}, expected EncodedNumber")
        _require_same_key(self, encoding.public_key)
        if r_value is not None:
            ciphertext = self.raw_encrypt(encoding.encoding, r_value)
            return EncryptedNumber(self, ciphertext, encoding.exponent)
        open_ciphertext = self._scheme.add_plain(_TRIVIAL_ZERO, encoding.encoding)
        encrypted = EncryptedNumber(self, open_ciphertext, encoding.exponent)
        encrypted.obfuscate()
        return encrypted

    def raw_encrypt(self, plaintext: SupportsIndex, r_value: SupportsIndex | None = None) -> int:
        """Encrypt an integer.

        Parameters
        ----------
        plaintext : int
            Taken modulo n.
        r_value : int, optional
            Randomness coprime to n, for tests: whoever knows it decrypts. Drawn afresh if it is
            None or 0.

        Raises
        ------
        TypeError
            If `plaintext` is not an integer.
        ValueError
            If `r_value` has a factor in common with n.
        """
        return self._scheme.encrypt(_integer("plaintext", plaintext), r_value or None)

    def get_random_lt_n(self) -> int:
        """Draw randomness for `raw_encrypt`: below n and coprime to it."""
        return self._scheme.random_unit()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PaillierPublicKey):
            return NotImplemented
        return self.n == other.n

    def __hash__(self) -> int:
        return hash(self.n)

    def __repr__(self) -> str:
        return f"<PaillierPublicKey {hex(hash(self))[2:12]}>"


class PaillierPrivateKey:
    """Decrypts numbers. It pickles with its primes, so keep the pickle secret.

    Parameters
    ----------
    public_key : PaillierPublicKey
        Of the modulus ``p * q``.
    p, q : int
        Different odd primes.

    Attributes
    ----------
    public_key : PaillierPublicKey
    p, q : int
        The lesser and the greater prime; secret.

    Raises
    ------
    InvalidKey
        If p and q are equal, not prime, or their product is not the modulus: a `ValueError`.
    """

    def __init__(self, public_key: PaillierPublicKey, p: SupportsIndex, q: SupportsIndex) -> None:
        primes = _integer("p", p), _integer("q", q)
        if primes[0] * primes[1] != public_key.n:
            raise InvalidKey("p, q: their product is not n of the public key; use its own primes")
        self.public_key = public_key
        self.p, self.q = min(primes), max(primes)
        self._scheme = classic.PrivateKey(self.p, self.q)

    @staticmethod
    def from_totient(public_key: PaillierPublicKey, totient: SupportsIndex) -> "PaillierPrivateKey":
        """Make a private key from ``(p - 1) * (q - 1)``.

        Raises
        ------
        InvalidKey
            If this is not the totient of the modulus: a `ValueError`.
        """
        total = public_key.n - operator.index(totient) + 1  # p + q
        squared_gap = total**2 - 4 * public_key.n  # (p - q)**2
        if squared_gap < 0:
            raise InvalidKey("totient: it is not the one of n of the public key")
        gap = isqrt(squared_gap)
        return PaillierPrivateKey(public_key, (total - gap) // 2, (total + gap) // 2)

    def decrypt(self, encrypted_number: "EncryptedNumber") -> int | float:
        """Decrypt and decode a number.

        Returns
        -------
        int or float
            An int if the exponent is 0 or above.

        Raises
        ------
        InvalidCiphertext
            If the ciphertext is not coprime to n: a `ValueError`.
        KeyMismatch
            If it is under another key: a `ValueError`.
        OverflowError
            If a sum or product was beyond ``max_int``.
        TypeError
            If it is not an `EncryptedNumber`.
        """
        return self.decrypt_encoded(encrypted_number).decode()

    def decrypt_encoded(
        self,
        encrypted_number: "EncryptedNumber",
        Encoding: type[EncodedNumber] | None = None,
    ) -> EncodedNumber:
        """Decrypt a number, and leave it encoded.

        Parameters
        ----------
        encrypted_number : EncryptedNumber
            Under this key.
        Encoding : type, optional
            The subclass of `EncodedNumber` with which it was encoded.

        Raises
        ------
        InvalidCiphertext, KeyMismatch, TypeError
            As for `decrypt`.
        """
        _require_encrypted(encrypted_number)
        _require_same_key(self.public_key, encrypted_number.public_key)
        plaintext = self.raw_decrypt(encrypted_number.ciphertext(be_secure=False))
        return (Encoding or EncodedNumber)(self.public_key, plaintext, encrypted_number.exponent)

    def raw_decrypt(self, ciphertext: SupportsIndex) -> int:
        """Decrypt to an integer from 0 to n - 1.

        Raises
        ------
        InvalidCiphertext
            If `ciphertext` is not between 0 and n**2 or not coprime to n: a `ValueError`.
        TypeError
            If it is not an integer.
        """
        return self._scheme.decrypt(_integer("ciphertext", ciphertext))

    @property
    def psquare(self) -> int:
        """``p**2``."""
        return self.p**2

    @property
    def qsquare(self) -> int:
        """``q**2``."""
        return self.q**2

    @property
    def p_inverse(self) -> int:
        """The inverse of p modulo q."""
        return invert(self.p, self.q)

    @property
    def hp(self) -> int:
        """`h_function` of p."""
        return self.h_function(self.p, self.psquare)

    @property
    def hq(self) -> int:
        """`h_function` of q."""
        return self.h_function(self.q, self.qsquare)

    def h_function(self, x: int, xsquare: int) -> int:
        """Compute ``L(g**(x-1) mod x**2)**-1 mod x`` for a prime x (Paillier 1999, section 7)."""
        return invert(self.l_function(powmod(self.public_key.g, x - 1, xsquare), x), x)

    def l_function(self, x: int, p: int) -> int:
        """Compute ``L(x) = (x - 1) / p`` (Paillier 1999, section 7)."""
        return (x - 1) // p

    def crt(self, mp: int, mq: int) -> int:
        """Find the integer modulo n that is `mp` modulo p and `mq` modulo q."""
        return mp + (mq - mp) * self.p_inverse % self.q * self.p

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PaillierPrivateKey):
            return NotImplemented
        return (self.p, self.q) == (other.p, other.q)

    def __hash__(self) -> int:
        return hash((self.p, self.q))

    def __repr__(self) -> str:
        return f"<PaillierPrivateKey for {self.public_key!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.public_key, self.p, self.q)


class PaillierPrivateKeyring(Mapping[PaillierPublicKey, PaillierPrivateKey]):
    """Several private keys by their public keys; decrypts with the one that fits.

    Parameters
    ----------
    private_keys : iterable of PaillierPrivateKey, optional
        To begin with.

    Raises
    ------
    TypeError
        If one is not a private key.

    Examples
    --------
    >>> keyring = PaillierPrivateKeyring()
    >>> public_key, private_key = generate_paillier_keypair(keyring, n_length=2048)
    >>> keyring.decrypt(public_key.encrypt(1.5) * 3)
    4.5
    """

    def __init__(self, private_keys: Iterable[PaillierPrivateKey] | None = None) -> None:
        self._keys: dict[PaillierPublicKey, PaillierPrivateKey] = {}
        for private_key in private_keys or ():
            self.add(private_key)

    def add(self, private_key: PaillierPrivateKey) -> None:
        """Add a key.

        Raises
        ------
        TypeError
            If it is not a private key.
        """
        if not isinstance(private_key, PaillierPrivateKey):
            raise TypeError(
                f"private_key: got {type(private_key).__name__}, expected PaillierPrivateKey"
            )
        self._keys[private_key.public_key] = private_key

    def decrypt(self, encrypted_number: "EncryptedNumber") -> int | float:
        """Decrypt and decode a number with the key that fits.

        Raises
        ------
        InvalidCiphertext, OverflowError, TypeError
            As for `PaillierPrivateKey.decrypt`.
        KeyError
            If there is no such key.
        """
        _require_encrypted(encrypted_number)
        return self[encrypted_number.public_key].decrypt(encrypted_number)

    def __getitem__(self, key: PaillierPublicKey) -> PaillierPrivateKey:
        return self._keys[key]

    def __delitem__(self, public_key: PaillierPublicKey) -> None:
        del self._keys[public_key]

    def __iter__(self) -> Iterator[PaillierPublicKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class EncryptedNumber:
    """An encrypted number; made by `PaillierPublicKey.encrypt`, or from what was received.

    ``+`` and ``-`` take encrypted, encoded and plain numbers; ``*`` and ``/`` encoded and plain
    ones, whose time depends on them. Results have no randomness of their own until `obfuscate`.

    Parameters
    ----------
    public_key : PaillierPublicKey
        Under which it was encrypted.
    ciphertext : int
        Between 0 and n**2.
    exponent : int
        Of its encoding, public.

    Attributes
    ----------
    public_key : PaillierPublicKey
    exponent : int

    Raises
    ------
    InvalidCiphertext
        If `ciphertext` is out of range: a `ValueError`.
    TypeError
        If `ciphertext` or `exponent` is not an integer, or `public_key` not a public key.
    """

    def __init__(
        self,
        public_key: PaillierPublicKey,
        ciphertext: SupportsIndex,
        exponent: SupportsIndex = 0,
    ) -> None:
        if not isinstance(public_key, PaillierPublicKey):
            raise TypeError(
                f"public_key: got {type(public_key).__name__}, expected PaillierPublicKey"
            )
        number = _integer("ciphertext", ciphertext)
        if not 0 < number < public_key.nsquare:
            raise InvalidCiphertext(
                "ciphertext: it is not between 0 and n**2; use the key that it was made with"
            )
        self.public_key = public_key
        self.exponent = _integer("exponent", exponent)
        self.__ciphertext = number
        self.__is_obfuscated = False

    def ciphertext(self, be_secure: bool = True) -> int:
        """Hand out the ciphertext.

        Parameters
        ----------
        be_secure : bool
            Obfuscate it before, if that was not done since the last operation. False is for what
            never leaves this program: a sum or product tells a holder of its operands how it was
            made.
        """
        if be_secure and not self.__is_obfuscated:
            self.obfuscate()
        return self.__ciphertext

    def obfuscate(self) -> None:
        """Give this number fresh randomness, so that nobody can tell where it came from."""
        self.__ciphertext = self.public_key._scheme.rerandomize(self.__ciphertext)
        self.__is_obfuscated = True

    def decrease_exponent_to(self, new_exp: SupportsIndex) -> "EncryptedNumber":
        """Encode the same number with a lower exponent; overflow may pass unnoticed.

        Parameters
        ----------
        new_exp : int
            At most the exponent.

        Raises
        ------
        ValueError
            If it is above the exponent, or so low that only 0 could be encoded.
        """
        return self._lowered(new_exp, EncodedNumber.BASE)

    def _lowered(self, new_exp: SupportsIndex, base: int) -> "EncryptedNumber":
        steps = steps_down(self.exponent, new_exp)
        # Lengths first: exponents may come from strangers, and the power may be huge.
        if steps > self.public_key.n.bit_length() or base**steps > self.public_key.max_int:
            raise BudgetExceeded(
                f"exponents: got {self.exponent} and one lower by {steps}, more than the public "
                "key can hold; encode floats with a coarser precision, or use a longer key"
            )
        return self._times(base**steps, self.exponent - steps)

    def _times(self, factor: int, exponent: int) -> "EncryptedNumber":
        product = self.public_key._scheme.multiply(self.__ciphertext, factor)
        return EncryptedNumber(self.public_key, product, exponent)

    def __add__(self, other: Any) -> "EncryptedNumber":
        if isinstance(other, EncryptedNumber):
            return self._add_encrypted(other)
        encoded = self._encoded(other, max_exponent=self.exponent)
        return NotImplemented if encoded is None else self._add_encoded(encoded)

    __radd__ = __add__

    def __neg__(self) -> "EncryptedNumber":
        return self._times(-1, self.exponent)

    def __sub__(self, other: Any) -> "EncryptedNumber":
        if isinstance(other, EncryptedNumber):
            return self._add_encrypted(-other)
        encoded = self._encoded(other, max_exponent=self.exponent)
        return NotImplemented if encoded is None else self._add_encoded(_negated(encoded))

    def __rsub__(self, other: Any) -> "EncryptedNumber":
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> "EncryptedNumber":
        if isinstance(other, EncryptedNumber):
            raise NotImplementedError(
                "*: got two encrypted numbers, expected one; Paillier cannot multiply them"
            )
        encoded = self._encoded(other)
        if encoded is None:
            return NotImplemented
        n = self.public_key.n
        # Of the integers that are the same modulo n, the one of least magnitude is the cheapest.
        factor = encoded.encoding if encoded.encoding <= n // 2 else encoded.encoding - n
        return self._times(factor, self.exponent + encoded.exponent)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> "EncryptedNumber":
        try:
            divisor = real_number(scalar)
        except TypeError:
            return NotImplemented
        return self * (1 / divisor)

    def _encoded(self, other: Any, max_exponent: int | None = None) -> EncodedNumber | None:
        """Encode an operand for this key, unless it is no number."""
        if isinstance(other, EncodedNumber):
            _require_same_key(self.public_key, other.public_key)
            return other
        try:
            number = real_number(other)
        except TypeError:
            return None
        return EncodedNumber.encode(self.public_key, number, max_exponent=max_exponent)

    def _add_encoded(self, encoded: EncodedNumber) -> "EncryptedNumber":
        exponent = min(self.exponent, encoded.exponent)
        mine = self if self.exponent == exponent else self._lowered(exponent, encoded.BASE)
        addend = encoded.decrease_exponent_to(exponent).encoding
        total = self.public_key._scheme.add_plain(mine.__ciphertext, addend)
        return EncryptedNumber(self.public_key, total, exponent)

    def _add_encrypted(self, other: "EncryptedNumber") -> "EncryptedNumber":
        _require_same_key(self.public_key, other.public_key)
        exponent = min(self.exponent, other.exponent)
        left, right = (
            x if x.exponent == exponent else x.decrease_exponent_to(exponent) for x in (self, other)
        )
        total = self.public_key._scheme.add(left.__ciphertext, right.__ciphertext)
        return EncryptedNumber(self.public_key, total, exponent)


def _negated(encoded: EncodedNumber) -> EncodedNumber:
    opposite = -encoded.encoding % encoded.public_key.n
    return type(encoded)(encoded.public_key, opposite, encoded.exponent)


def _integer(name: str, value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: got {type(value).__name__}, expected int") from None


def _require_encrypted(number: object) -> None:
    if not isinstance(number, EncryptedNumber):
        kind = type(number)
        raise TypeError(
            f"encrypted_number: got {kind.__module__}.{kind.__qualname__}, "
            f"expected {__name__}.EncryptedNumber"
        )


def _require_same_key(key: PaillierPublicKey, other: PaillierPublicKey) -> None:
    if key != other:
        raise KeyMismatch("the numbers are under different keys; use one key for all of them")


def _warn_of_short_key(bits: int) -> None:
    if bits < _SECURE_BITS:
        warnings.warn(
            f"a {bits}-bit Paillier key protects nothing; use it for tests only",
            InsecureKeyWarning,
            stacklevel=3,
        )
