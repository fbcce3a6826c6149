"""Laws of the kernels: each computes what Python integers compute, on random numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from veilsum import _core
from veilsum.field import kernel_info

STEADY = settings(deadline=None, derandomize=True)
KERNELS = kernel_info()["available"]

every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def rows(numbers: list[int], words: int) -> NDArray[np.uint64]:
    packed = b"".join(number.to_bytes(8 * words, "little") for number in numbers)
    return np.frombuffer(packed, "<u8").astype(np.uint64).reshape(len(numbers), words)


def integers(array: NDArray[np.uint64]) -> list[int]:
    return [int.from_bytes(row.astype("<u8").tobytes(), "little") for row in array]


@st.composite
def runs_of_bits(draw: st.DrawFn, bits: int) -> int:
    """Integers of long runs of ones and zeros, where carries travel far."""
    integer, position, bit = 0, 0, draw(st.integers(0, 1))
    while position < bits:
        length = min(draw(st.integers(1, bits)), bits - position)
        integer |= bit * ((1 << length) - 1) << position
        position += length
        bit ^= 1
    return integer


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 2**bits - 1), runs_of_bits(bits))


@st.composite
def moduli(draw: st.DrawFn) -> tuple[int, int]:
    """An odd modulus, and the words that hold it; its top words may be zero."""
    words = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 13, 16]))
    modulus = draw(numbers(64 * words).map(lambda n: n | 1).filter(lambda n: n > 1))
    return modulus, words


@every_kernel
@STEADY
@given(modulus=moduli(), data=st.data())
def test_products_are_those_of_python_integers(
    kernel: str, modulus: tuple[int, int], data: Any
) -> None:
    m, words = modulus
    residues = numbers(64 * words).map(lambda n: n % m)
    pairs = data.draw(st.lists(st.tuples(residues, residues), max_size=19))
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
    got = arithmetic.multiply(rows(a, words), rows(b, words))
    assert integers(got) == [x * y % m for x, y in pairs]


@every_kernel
@STEADY
@given(modulus=moduli(), window_bits=st.integers(1, 6), data=st.data())
def test_powers_are_those_of_python_integers(
    kernel: str, modulus: tuple[int, int], window_bits: int, data: Any
) -> None:
    m, words = modulus
    exponent_words = data.draw(st.integers(1, 3))
    residues = numbers(64 * words).map(lambda n: n % m)
    exponents = numbers(64 * exponent_words)
    pairs = data.draw(st.lists(st.tuples(residues, exponents), max_size=11))
    arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
    got = arithmetic.power(
        rows([a for a, _ in pairs], words),
        rows([e for _, e in pairs], exponent_words),
        window_bits,
    )
    assert integers(got) == [pow(a, e, m) for a, e in pairs]


@pytest.mark.skipif(len(KERNELS) < 2, reason="this processor runs one kernel alone")
@STEADY
@given(modulus=moduli(), data=st.data())
def test_all_kernels_agree_bit_for_bit(modulus: tuple[int, int], data: Any) -> None:
    m, words = modulus
    residues = numbers(64 * words).map(lambda n: n % m)
    a = rows(data.draw(st.lists(residues, min_size=1, max_size=9)), words)
    exponents = rows(data.draw(st.lists(numbers(64), min_size=len(a), max_size=len(a))), 1)
    results = []
    for kernel in KERNELS:
        arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
        power = arithmetic.power(a, exponents, 5)
        results.append(arithmetic.multiply(power, a).tobytes())
    assert len(set(results)) == 1


@STEADY
@given(data=st.data())
def test_every_kernel_makes_the_same_ciphertexts(data: Any) -> None:
    n, words = 0xF3A1C0DE1234569F * 0xD1B54A32D192ED83, 2
    h_s, inverse = pow(9, n, n * n), pow(pow(9, n, n), -1, n)
    base = rows([h_s], 2 * words)[0], rows([inverse], words)[0]
    messages = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
    exponents = data.draw(
        st.lists(numbers(64), min_size=len(messages), max_size=len(messages)), label="exponents"
    )
    plaintexts = np.array(messages, np.int64).view(np.uint64).reshape(-1, 1)
    expected = [
        (1 + m * n) * pow(h_s, e, n * n) % (n * n) for m, e in zip(messages, exponents, strict=True)
    ]
    for kernel in KERNELS:
        key = _core.PaillierPublicKey(rows([n], words)[0], *base, 64, kernel=kernel)
        ciphertexts = key.encrypt(plaintexts, rows(exponents, 1), 1)
        assert integers(ciphertexts.to_words(1)) == expected
