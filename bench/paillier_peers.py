"""The libraries that bench_paillier.py compares, each by the fastest calls that it documents.

A library that is not installed is left out. Okamoto-Uchiyama and Damgard-Jurik, which HEU offers
too, are other schemes; HEU's FPaillier and IcPaillier are nowhere the fastest of its four Paillier
implementations and are left out.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any

import gmpy2
import numpy as np
from cryptography.hazmat.primitives.asymmetric import rsa
from gmpy2 import mpz
from numpy.typing import NDArray

DISTRIBUTIONS = ("phe", "pypaillier", "sf-heu", "tenseal")

Integers = NDArray[np.int64]


class Library(ABC):
    """Paillier as one library offers it, on a whole array at a time.

    Attributes
    ----------
    name : str
    count : int
        As many ciphertexts are enough for a steady time.
    decrypts : bool
        Whether its decryption can be timed under this key.
    signed_scalars : bool
        Whether it multiplies by negative numbers.
    """

    name: str
    count: int
    decrypts = True
    signed_scalars = True

    @abstractmethod
    def encrypt(self, values: Integers) -> Any:
        """Encrypt signed integers."""

    @abstractmethod
    def decrypt(self, cipher: Any) -> Iterable[Any]:
        """Return the integers as the library gives them."""

    @abstractmethod
    def add(self, a: Any, b: Any) -> Any:
        """Add element by element."""

    @abstractmethod
    def multiply(self, cipher: Any, scalars: Integers) -> Any:
        """Multiply element by element by public integers."""

    @abstractmethod
    def dot(self, cipher: Any, weights: Integers) -> Any:
        """Return the sum of the elements by public weights, as an array of one."""

    def opened(self, cipher: Any) -> list[int]:
        """Return what the ciphertexts hold, of any size, to verify an answer."""
        return list(map(int, self.decrypt(cipher)))


class Phe(Library):
    """python-paillier: one object a ciphertext, on gmpy2."""

    name = "phe"
    count = 8

    def __init__(self, bits: int) -> None:
        phe = importlib.import_module("phe")
        self._public, self._private = phe.generate_paillier_keypair(n_length=bits)

    def encrypt(self, values: Integers) -> list[Any]:
        """Encrypt each."""
        return list(map(self._public.encrypt, values.tolist()))

    def decrypt(self, cipher: Sequence[Any]) -> list[int]:
        """Decrypt each."""
        return list(map(self._private.decrypt, cipher))

    def add(self, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        """Add each pair."""
        return [left + right for left, right in zip(a, b, strict=True)]

    def multiply(self, cipher: Sequence[Any], scalars: Integers) -> list[Any]:
        """Multiply each."""
        return [left * right for left, right in zip(cipher, scalars.tolist(), strict=True)]

    def dot(self, cipher: Sequence[Any], weights: Integers) -> list[Any]:
        """Add up the products."""
        first, *others = self.multiply(cipher, weights)
        return [sum(others, start=first)]


class Pypaillier(Library):
    """pypaillier: Rust on GMP, lists of bytes; a ciphertext is a byte of scale and an integer."""

    name = "pypaillier"
    count = 32

    # Beyond, the search for safe primes takes from half a minute to many.
    _LONGEST_OWN_KEY = 2048

    def __init__(self, bits: int) -> None:
        self._paillier = importlib.import_module("paillier")
        self.decrypts = bits <= self._LONGEST_OWN_KEY
        if self.decrypts:
            self._public, self._secret = self._paillier.generate_keypair(bits)
        else:
            primes = rsa.generate_private_key(public_exponent=65537, key_size=bits)
            numbers = primes.private_numbers()
            self._textbook = Textbook(mpz(numbers.p), mpz(numbers.q))
            n = int(self._textbook.n)
            self._public = self._paillier.PublicKey.from_n(n.to_bytes(bits // 8, "big"))

    def encrypt(self, values: Integers) -> list[bytes]:
        """Encrypt a list."""
        return list(self._paillier.encrypt_integers(self._public, values.tolist()))

    def decrypt(self, cipher: Sequence[bytes]) -> list[int]:
        """Decrypt a list; they come as decimal strings."""
        return list(map(int, self._paillier.decrypt_many(self._secret, cipher)))

    def add(self, a: Sequence[bytes], b: Sequence[bytes]) -> list[bytes]:
        """Add in blocks of two, which costs less than one call for each pair."""
        pairs = [[index, len(a) + index] for index in range(len(a))]
        return list(self._paillier.add_blocks(self._public, [*a, *b], pairs))

    def multiply(self, cipher: Sequence[bytes], scalars: Integers) -> list[bytes]:
        """Multiply by public scalars, which is six times as fast as by secret ones."""
        products = self._paillier.multiply_integers_public(self._public, cipher, scalars.tolist())
        return list(products)

    def dot(self, cipher: Sequence[bytes], weights: Integers) -> list[bytes]:
        """Add up the products."""
        return [self._paillier.add_many(self._public, self.multiply(cipher, weights))]

    def opened(self, cipher: Sequence[bytes]) -> list[int]:
        """Decrypt, without the library where it cannot."""
        if self.decrypts:
            return self.decrypt(cipher)
        return [self._textbook.decrypt(mpz.from_bytes(blob[1:], "big")) for blob in cipher]


class Textbook:
    """The private key of Paillier as it is taught."""

    def __init__(self, p: mpz, q: mpz) -> None:
        self.n = p * q
        self._order = gmpy2.lcm(p - 1, q - 1)

    def decrypt(self, ciphertext: mpz) -> int:
        """Decrypt one signed integer."""
        log = (gmpy2.powmod(ciphertext, self._order, self.n**2) - 1) // self.n
        message = log * gmpy2.invert(self._order, self.n) % self.n
        return int(message - self.n if message > self.n // 2 else message)


class Heu(Library):
    """HEU (sf-heu): C++, arrays of ciphertexts, several implementations ("schemas")."""

    # Its IPCL makes no longer keys, and fails at negative scalars.
    _LONGEST_IPCL_KEY = 2048

    def __init__(self, bits: int, schema: str, *, count: int) -> None:
        self.name = f"HEU {schema}"
        self.count = count
        self.signed_scalars = schema != "IPCL"
        heu = importlib.import_module("heu")
        self._encoder = heu.phe.IntegerEncoderParams(1)
        self._kit = heu.numpy.setup(getattr(heu.phe.SchemaType, schema), bits)
        self._encryptor, self._decryptor = self._kit.encryptor(), self._kit.decryptor()
        self._evaluator = self._kit.evaluator()

    @classmethod
    def schemas(cls, bits: int) -> list[Heu]:
        """Return the implementations that are the fastest at something under such keys."""
        schemas = [cls(bits, "ZPaillier", count=64)]
        if bits <= cls._LONGEST_IPCL_KEY:
            schemas.append(cls(bits, "IPCL", count=16))
        return schemas

    def encrypt(self, values: Integers) -> Any:
        """Encode and encrypt an array."""
        return self._encryptor.encrypt(self._encoded(values))

    def decrypt(self, cipher: Any) -> Iterable[Any]:
        """Decrypt an array into 64-bit integers."""
        plain = self._decryptor.decrypt(cipher)
        integers: Integers = plain.to_numpy(self._kit.integer_encoder(1))
        return integers

    def add(self, a: Any, b: Any) -> Any:
        """Add arrays."""
        return self._evaluator.add(a, b)

    def multiply(self, cipher: Any, scalars: Integers) -> Any:
        """Encode the scalars and multiply arrays."""
        return self._evaluator.mul(cipher, self._encoded(scalars))

    def dot(self, cipher: Any, weights: Integers) -> Any:
        """Encode the weights and multiply matrices."""
        return self._evaluator.matmul(cipher, self._encoded(weights))

    def opened(self, cipher: Any) -> list[int]:
        """Decrypt into Python integers."""
        return list(map(int, self._decryptor.decrypt(cipher).to_numpy().reshape(-1)))

    def _encoded(self, values: Integers) -> Any:
        return self._kit.array(values, self._encoder)


class Ckks:
    """TenSEAL's CKKS, with as many slots a ciphertext as fit.

    Parameters
    ----------
    threads : int
    secret : bool
        Encrypt with the secret key, in SEAL's symmetric mode.
    """

    name = "TenSEAL"
    # Above what its noise comes to; the bench reports the largest that it met.
    error = 1e-6

    _DEGREE = 4096
    _PRIMES = (54, 55)
    _SCALE = 2.0**38

    def __init__(self, *, threads: int, secret: bool = False) -> None:
        if secret:
            self.name = "TenSEAL, secret key"
        self._tenseal = importlib.import_module("tenseal")
        kinds = self._tenseal.ENCRYPTION_TYPE
        self._context = self._tenseal.context(
            self._tenseal.SCHEME_TYPE.CKKS,
            self._DEGREE,
            coeff_mod_bit_sizes=list(self._PRIMES),
            encryption_type=kinds.SYMMETRIC if secret else kinds.ASYMMETRIC,
            n_threads=threads,
        )
        self._context.global_scale = self._SCALE

    def encrypt(self, values: NDArray[np.float64]) -> list[Any]:
        """Encrypt a vector, one ciphertext a chunk."""
        slots = self._DEGREE // 2
        chunks = np.split(values, range(slots, values.size, slots))
        return [self._tenseal.ckks_vector(self._context, chunk) for chunk in chunks]

    def add(self, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        """Add vectors."""
        return [left + right for left, right in zip(a, b, strict=True)]

    def decrypt(self, cipher: Sequence[Any]) -> NDArray[np.float64]:
        """Decrypt a vector."""
        return np.concatenate([chunk.decrypt() for chunk in cipher])

    def bytes(self, cipher: Sequence[Any]) -> int:
        """Return how many bytes the ciphertexts take on the wire."""
        return sum(len(chunk.serialize()) for chunk in cipher)


def libraries(bits: int) -> list[Library]:
    """Return the installed Paillier libraries under fresh keys of a length, the best ones first."""
    found: list[Library] = []
    if find_spec("heu"):
        found += Heu.schemas(bits)
    if find_spec("paillier"):
        found.append(Pypaillier(bits))
    if find_spec("phe"):
        found.append(Phe(bits))
    return found
