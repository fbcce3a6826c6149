"""The one source of randomness.

Everything secret that veilsum draws comes from here. Short draws are read from the operating
system; longer ones are expanded by AES-256-CTR under a key that each call reads afresh from the
operating system. No state outlives a call, so nothing is shared across a fork or between threads.

There is no seed argument. Tests that need known draws use the private `_test_source`.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from veilsum import _core

__all__ = [
    "ResidueStream",
    "random_below",
    "random_bits",
    "random_bytes",
    "random_residues",
    "wipe",
]

_OS_LIMIT = 512  # the longest draw that is cheaper to read than to expand
_ZEROS = bytes(1 << 16)
_AES_BLOCK = 16
_TEST_SOURCE: ContextVar[Callable[[int], bytes] | None] = ContextVar("_TEST_SOURCE", default=None)


def random_bytes(count: int) -> NDArray[np.uint8]:
    """Draw uniform bytes.

    Parameters
    ----------
    count : int
        How many, at least 0.

    Returns
    -------
    NDArray[uint8]
        Shape ``(count,)``, writable, so that the caller can `wipe` it.

    Raises
    ------
    ValueError
        If `count` is negative.

    Examples
    --------
    >>> random_bytes(32).shape
    (32,)
    """
    if count < 0:
        raise ValueError(f"count: got {count}, expected at least 0")
    drawn = np.empty(count, np.uint8)
    _ByteStream().fill(drawn)
    return drawn


def random_residues(
    modulus: int, shape: int | tuple[int, ...], *, out: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """Draw integers uniform in ``range(modulus)``.

    Each is eight bytes read as a little-endian integer, cut to the bit length of ``modulus - 1``;
    those not below the modulus are drawn again. The time tells how many were rejected, which is
    independent of the values returned.

    Parameters
    ----------
    modulus : int
        From 1 to 2**64.
    shape : int or tuple of int
        Shape of the result.
    out : NDArray[uint64], optional
        A C-contiguous array of that shape to fill instead of a new one.

    Returns
    -------
    NDArray[uint64]
        Shape `shape`, writable.

    Raises
    ------
    ValueError
        If `modulus` is out of range, or `out` does not fit.

    Examples
    --------
    >>> bool((random_residues(13, (2, 3)) < 13).all())
    True
    """
    stream = ResidueStream(modulus)
    drawn = np.empty(shape, np.uint64) if out is None else out
    expected = (shape,) if isinstance(shape, int) else tuple(shape)
    if drawn.shape != expected:
        raise ValueError(f"out: got shape {drawn.shape}, expected {expected}")
    stream.fill(drawn)
    return drawn


class ResidueStream:
    """Draws integers uniform in ``range(modulus)`` for many arrays, under one key.

    For one thread and one operation: a stream that lives on would be shared across a fork.

    Parameters
    ----------
    modulus : int
        From 1 to 2**64.

    Raises
    ------
    ValueError
        If `modulus` is out of range.

    Examples
    --------
    >>> drawn = np.empty((2, 3), np.uint64)
    >>> ResidueStream(13).fill(drawn)
    >>> bool((drawn < 13).all())
    True
    """

    def __init__(self, modulus: int) -> None:
        if not 1 <= modulus <= 1 << 64:
            raise ValueError(f"modulus: got {modulus}, expected 1 to 2**64")
        self._largest = modulus - 1
        self._mask = (1 << self._largest.bit_length()) - 1
        self._bytes = _ByteStream()

    def fill(self, out: NDArray[np.uint64]) -> None:
        """Overwrite an array.

        Parameters
        ----------
        out : NDArray[uint64]
            C-contiguous, of any shape.

        Raises
        ------
        ValueError
            If `out` is not such an array.

        Examples
        --------
        See the class.
        """
        if out.dtype != np.uint64 or not out.flags.c_contiguous:
            raise ValueError(f"out: got {out.dtype}, expected a C-contiguous array of uint64")
        words = out.reshape(-1)
        if not self._fill_below(words):
            return
        rejected = np.flatnonzero(words > np.uint64(self._largest))
        while rejected.size:
            again = np.empty(rejected.size, np.uint64)
            self._fill_below(again)
            words[rejected] = again
            rejected = rejected[again > np.uint64(self._largest)]
            wipe(again)

    def _fill_below(self, words: NDArray[np.uint64]) -> bool:
        """Fill with integers below the power of two that covers; say whether one is too large."""
        self._bytes.fill(words.view(np.uint8))
        if sys.byteorder == "big":
            words.byteswap(inplace=True)
        return _core.cut_words(words, self._mask, self._largest)


def random_below(n: int) -> int:
    """Draw one integer uniform in ``range(n)``, of any size.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    int
        Python cannot wipe it.

    Raises
    ------
    ValueError
        If `n` is below 1.

    Examples
    --------
    >>> 0 <= random_below(10**100) < 10**100
    True
    """
    if n < 1:
        raise ValueError(f"n: got {n.bit_length()} bits, expected an integer of at least 1")
    bits = (n - 1).bit_length()
    drawn = random_bits(bits)
    while drawn >= n:
        drawn = random_bits(bits)
    return drawn


def random_bits(bits: int) -> int:
    """Draw one integer uniform in ``range(2**bits)``.

    Parameters
    ----------
    bits : int
        At least 0.

    Returns
    -------
    int
        Python cannot wipe it.

    Raises
    ------
    ValueError
        If `bits` is negative.

    Examples
    --------
    >>> random_bits(128) < 2**128
    True
    """
    if bits < 0:
        raise ValueError(f"bits: got {bits}, expected at least 0")
    count = math.ceil(bits / 8)
    source = _TEST_SOURCE.get() or os.urandom
    return int.from_bytes(source(count), "little") & ((1 << bits) - 1)


def wipe(array: NDArray[Any]) -> None:
    """Overwrite an array with zeros, in place.

    Parameters
    ----------
    array : NDArray
        Writable, of any shape and dtype but object: Python integers cannot be wiped.

    Raises
    ------
    TypeError
        If the array holds Python objects.
    ValueError
        If the array is read-only.

    Examples
    --------
    >>> key = random_bytes(32)
    >>> wipe(key)
    >>> int(key.max())
    0
    """
    if array.dtype.hasobject:
        raise TypeError("array: got dtype object, whose Python integers cannot be wiped")
    array[...] = np.zeros((), array.dtype)


class _ByteStream:
    """Uniform bytes: short draws from the operating system, longer ones under one key of its."""

    def __init__(self) -> None:
        self._source = _TEST_SOURCE.get()
        self._cipher: CipherContext | None = None

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Fill a contiguous array."""
        if self._source is not None or out.size <= _OS_LIMIT:
            out[:] = np.frombuffer((self._source or os.urandom)(out.size), np.uint8)
            return
        if self._cipher is None:
            key, counter = os.urandom(32), bytes(_AES_BLOCK)
            self._cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        zeros = memoryview(_ZEROS)
        for start in range(0, out.size, len(_ZEROS)):
            self._encrypt(zeros[: out.size - start], out[start:])

    def _encrypt(self, zeros: memoryview, out: NDArray[np.uint8]) -> None:
        """Write as many bytes of the key stream as there are zeros."""
        assert self._cipher is not None  # noqa: S101 (for the type checker: fill has set it)
        # Some releases of `cryptography` ask for a block of room beyond the output.
        if out.size >= len(zeros) + _AES_BLOCK:
            self._cipher.update_into(zeros, out.data)
            return
        stream = np.empty(len(zeros) + _AES_BLOCK, np.uint8)
        self._cipher.update_into(zeros, stream.data)
        out[: len(zeros)] = stream[: len(zeros)]
        wipe(stream)


@contextmanager
def _test_source(source: Callable[[int], bytes]) -> Iterator[None]:
    """Replace the operating system by ``source(count) -> bytes`` in this context, for tests."""
    token = _TEST_SOURCE.set(source)
    try:
        yield
    finally:
        _TEST_SOURCE.reset(token)
