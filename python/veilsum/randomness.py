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
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = ["random_below", "random_bits", "random_bytes", "random_residues", "wipe"]

_OS_LIMIT = 512  # the longest draw that is cheaper to read than to expand
_ZEROS = bytes(1 << 18)
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
    _fill(drawn)
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
    if not 1 <= modulus <= 1 << 64:
        raise ValueError(f"modulus: got {modulus}, expected 1 to 2**64")
    drawn = np.empty(shape, np.uint64) if out is None else out
    expected = (shape,) if isinstance(shape, int) else tuple(shape)
    if drawn.shape != expected or drawn.dtype != np.uint64 or not drawn.flags.c_contiguous:
        raise ValueError(
            f"out: got {drawn.dtype} of shape {drawn.shape}, "
            f"expected C-contiguous uint64 of shape {expected}"
        )
    words = drawn.reshape(-1)
    _fill_below(modulus, words)
    rejected = np.flatnonzero(words > np.uint64(modulus - 1))
    while rejected.size:
        again = np.empty(rejected.size, np.uint64)
        _fill_below(modulus, again)
        words[rejected] = again
        rejected = rejected[again > np.uint64(modulus - 1)]
        wipe(again)
    return drawn


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


def _fill_below(modulus: int, words: NDArray[np.uint64]) -> None:
    """Fill with integers below the power of two that covers `modulus`."""
    _fill(words.view(np.uint8))
    if sys.byteorder == "big":
        words.byteswap(inplace=True)
    words &= np.uint64((1 << (modulus - 1).bit_length()) - 1)


def _fill(out: NDArray[np.uint8]) -> None:
    """Fill a contiguous array with uniform bytes."""
    source = _TEST_SOURCE.get()
    if source is not None or out.size <= _OS_LIMIT:
        out[:] = np.frombuffer((source or os.urandom)(out.size), np.uint8)
        return
    cipher = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(bytes(_AES_BLOCK))).encryptor()
    # Some releases of `cryptography` ask for a block of room beyond the output.
    stream = np.empty(min(out.size, len(_ZEROS)) + _AES_BLOCK, np.uint8)
    zeros = memoryview(_ZEROS)
    for start in range(0, out.size, len(_ZEROS)):
        piece = out[start : start + len(_ZEROS)]
        cipher.update_into(zeros[: piece.size], stream.data)
        piece[:] = stream[: piece.size]
    wipe(stream)


@contextmanager
def _test_source(source: Callable[[int], bytes]) -> Iterator[None]:
    """Replace the operating system by ``source(count) -> bytes`` in this context, for tests."""
    token = _TEST_SOURCE.set(source)
    try:
        yield
    finally:
        _TEST_SOURCE.reset(token)
