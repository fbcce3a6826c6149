"""The compiled ground floors of veilsum: kernels and schemes over arrays."""

from __future__ import annotations

import typing

import numpy
import numpy.typing

__all__: list[str] = [
    "CipherVector",
    "Field",
    "ModularArithmetic",
    "PaillierPrivateKey",
    "PaillierPublicKey",
    "Weights",
    "WideField",
    "centred_residue",
    "cut_words",
    "decode_columns",
    "decode_together",
    "kernel_info",
    "modular_powers",
    "pack_slots",
    "prime_pair_powers",
    "unpack_slots",
    "usable_threads",
    "weighted_sum",
]

class ModularArithmetic:
    def __init__(self, kernel: str, modulus: numpy.typing.NDArray[numpy.uint64]) -> None: ...
    def multiply(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def power(
        self,
        a: numpy.typing.NDArray[numpy.uint64],
        exponents: numpy.typing.NDArray[numpy.uint64],
        window_bits: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...

class Weights:
    pass

class Field:
    def __init__(self, p: int) -> None: ...
    def add(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def count_outside(self, a: numpy.typing.NDArray[numpy.uint64]) -> int: ...
    def deal(
        self,
        weights: Weights,
        known: numpy.typing.NDArray[numpy.uint64],
        out: numpy.typing.NDArray[numpy.uint64],
        column: int,
    ) -> None: ...
    def deal_at_roots(
        self,
        weights: Weights,
        known: numpy.typing.NDArray[numpy.uint64],
        out: numpy.typing.NDArray[numpy.uint64],
        column: int,
        n: int,
    ) -> None: ...
    def dot(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> int: ...
    def evaluate(
        self,
        coefficients: numpy.typing.NDArray[numpy.uint64],
        points: numpy.typing.NDArray[numpy.uint64],
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def inner_products(
        self,
        rows: numpy.typing.NDArray[numpy.uint64],
        vectors: numpy.typing.NDArray[numpy.uint64],
        first: int,
        threads: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def interpolate(
        self, points: numpy.typing.NDArray[numpy.uint64], values: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def invert(
        self, a: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def matmul(
        self,
        weights: numpy.typing.NDArray[numpy.uint64],
        values: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def mul(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def open(
        self,
        weights: numpy.typing.NDArray[numpy.uint64],
        values: numpy.typing.NDArray[numpy.uint64],
        rows: numpy.typing.NDArray[numpy.int64],
        redundant: numpy.typing.NDArray[numpy.int64],
        size: int,
        low: int,
        high: int,
        threads: int,
    ) -> tuple[numpy.typing.NDArray[numpy.int64], int, int]: ...
    def open_at_roots(
        self,
        weights: numpy.typing.NDArray[numpy.uint64],
        values: numpy.typing.NDArray[numpy.uint64],
        places: numpy.typing.NDArray[numpy.int64],
        scales: numpy.typing.NDArray[numpy.uint64],
        n: int,
        degree: int,
        size: int,
        low: int,
        high: int,
        threads: int,
    ) -> tuple[numpy.typing.NDArray[numpy.int64], int, int]: ...
    def power(
        self, a: numpy.typing.NDArray[numpy.uint64], exponent: int
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def prepare(self, weights: numpy.typing.NDArray[numpy.uint64]) -> Weights: ...
    def sub(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def transform(
        self, values: numpy.typing.NDArray[numpy.uint64], inverse: bool, threads: int
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    @property
    def modulus(self) -> int: ...

class CipherVector:
    def __len__(self) -> int: ...
    def append(self, other: CipherVector) -> CipherVector: ...
    def gather(self, indices: numpy.typing.NDArray[numpy.int64]) -> CipherVector: ...
    def invert(self, inverses: numpy.typing.NDArray[numpy.uint64]) -> CipherVector: ...
    def lane_products(self) -> numpy.typing.NDArray[numpy.uint64]: ...
    def multiply(self, other: CipherVector, threads: int) -> CipherVector: ...
    def power(
        self, exponents: numpy.typing.NDArray[numpy.uint64], bits: int, threads: int
    ) -> CipherVector: ...
    def select(
        self, masks: numpy.typing.NDArray[numpy.uint64], chosen: CipherVector
    ) -> CipherVector: ...
    def to_words(self, threads: int) -> numpy.typing.NDArray[numpy.uint64]: ...
    def weigh(
        self,
        rows: int,
        weights: numpy.typing.NDArray[numpy.uint64],
        columns: int,
        bits: int,
        threads: int,
    ) -> CipherVector: ...

class PaillierPublicKey:
    def __init__(
        self,
        n: numpy.typing.NDArray[numpy.uint64],
        h_s: numpy.typing.NDArray[numpy.uint64],
        h_inverse: numpy.typing.NDArray[numpy.uint64],
        exponent_bits: int,
        kernel: str = "",
    ) -> None: ...
    def encode(
        self, plaintexts: numpy.typing.NDArray[numpy.uint64], threads: int
    ) -> CipherVector: ...
    def encrypt(
        self,
        plaintexts: numpy.typing.NDArray[numpy.uint64],
        exponents: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> CipherVector: ...
    def from_words(
        self, rows: numpy.typing.NDArray[numpy.uint64], threads: int
    ) -> CipherVector: ...
    def residues(self, roots: numpy.typing.NDArray[numpy.uint64], threads: int) -> CipherVector: ...
    @property
    def exponent_words(self) -> int: ...

class PaillierPrivateKey:
    def __init__(
        self,
        exponent_bits: int,
        p: numpy.typing.NDArray[numpy.uint64],
        q: numpy.typing.NDArray[numpy.uint64],
        h_p: numpy.typing.NDArray[numpy.uint64],
        h_q: numpy.typing.NDArray[numpy.uint64],
        blinding_p: numpy.typing.NDArray[numpy.uint64],
        blinding_q: numpy.typing.NDArray[numpy.uint64],
        h_s_p: numpy.typing.NDArray[numpy.uint64],
        h_s_q: numpy.typing.NDArray[numpy.uint64],
        h_inverse_p: numpy.typing.NDArray[numpy.uint64],
        h_inverse_q: numpy.typing.NDArray[numpy.uint64],
        q_inverse: numpy.typing.NDArray[numpy.uint64],
        inverse_square: numpy.typing.NDArray[numpy.uint64],
    ) -> None: ...
    def check_words(self, count: int) -> int: ...
    def decrypt(
        self,
        ciphertexts: CipherVector,
        limit: numpy.typing.NDArray[numpy.uint64],
        check: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> tuple[str, numpy.typing.NDArray[numpy.uint64]]: ...
    def encrypt(
        self,
        public_key: PaillierPublicKey,
        plaintexts: numpy.typing.NDArray[numpy.uint64],
        exponents: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> CipherVector: ...

class WideField:
    def __init__(self, modulus: numpy.typing.NDArray[numpy.uint64]) -> None: ...
    def add(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def mark_outside(
        self, numbers: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint8]: ...
    def matmul(
        self,
        weights: numpy.typing.NDArray[numpy.uint64],
        values: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def mul(
        self,
        a: numpy.typing.NDArray[numpy.uint64],
        b: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def power(
        self,
        a: numpy.typing.NDArray[numpy.uint64],
        exponent: numpy.typing.NDArray[numpy.uint64],
        threads: int,
    ) -> numpy.typing.NDArray[numpy.uint64]: ...
    def sub(
        self, a: numpy.typing.NDArray[numpy.uint64], b: numpy.typing.NDArray[numpy.uint64]
    ) -> numpy.typing.NDArray[numpy.uint64]: ...

def centred_residue(
    a: numpy.typing.NDArray[numpy.uint64], modulus: numpy.typing.NDArray[numpy.uint64]
) -> numpy.typing.NDArray[numpy.uint64]: ...
def cut_words(words: numpy.typing.NDArray[numpy.uint64], mask: int, largest: int) -> bool: ...
def decode_columns(
    p: int,
    points: numpy.typing.NDArray[numpy.uint64],
    words: numpy.typing.NDArray[numpy.uint64],
    threshold: int,
    max_errors: int,
    threads: int,
) -> tuple[numpy.typing.NDArray[numpy.uint8], numpy.typing.NDArray[numpy.uint8]]: ...
def decode_together(
    p: int,
    points: numpy.typing.NDArray[numpy.uint64],
    words: numpy.typing.NDArray[numpy.uint64],
    threshold: int,
    max_errors: int,
    threads: int,
) -> tuple[numpy.typing.NDArray[numpy.uint8], bool]: ...
def kernel_info() -> dict[str, typing.Any]: ...
def modular_powers(
    modulus: numpy.typing.NDArray[numpy.uint64],
    bases: numpy.typing.NDArray[numpy.uint64],
    exponent: numpy.typing.NDArray[numpy.uint64],
    threads: int,
) -> numpy.typing.NDArray[numpy.uint64]: ...
def pack_slots(
    values: numpy.typing.NDArray[numpy.int64], slots: int, slot_bits: int, limbs: int, threads: int
) -> numpy.typing.NDArray[numpy.uint64]: ...
def prime_pair_powers(
    p: numpy.typing.NDArray[numpy.uint64],
    q: numpy.typing.NDArray[numpy.uint64],
    q_inverse: numpy.typing.NDArray[numpy.uint64],
    bases: numpy.typing.NDArray[numpy.uint64],
    exponent_p: numpy.typing.NDArray[numpy.uint64],
    exponent_q: numpy.typing.NDArray[numpy.uint64],
    threads: int,
) -> numpy.typing.NDArray[numpy.uint64]: ...
def unpack_slots(
    rows: numpy.typing.NDArray[numpy.uint64],
    count: int,
    slots: int,
    slot_bits: int,
    limit: int,
    threads: int,
) -> typing.Any: ...
def usable_threads(threads: int) -> int: ...
def weighted_sum(
    start: numpy.typing.NDArray[numpy.uint64],
    rows: numpy.typing.NDArray[numpy.uint64],
    weights: numpy.typing.NDArray[numpy.uint64],
    is_signed: bool,
) -> numpy.typing.NDArray[numpy.uint64]: ...
