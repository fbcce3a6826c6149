"""Masks: key streams added to a vector modulo a power of two, and subtracted again.

A mask is the AES-256-CTR key stream of a 32-byte key, read as little-endian words of the vector's
size, so that every residue is reached, and none more often than another. The key is used once, for
one vector, and is never mixed with another key.

Source: Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning",
CCS 2017, section 4; counter mode: NIST SP 800-38A, section 6.5.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from veilsum.encoding import require_within
from veilsum.randomness import wipe
from veilsum.threads import in_ranges, thread_count

__all__ = ["KEY_BYTES", "Words", "add_masks", "word_dtype", "words_as_integers"]

KEY_BYTES = 32
_AES_BLOCK = 16
_CHUNK = 1 << 17  # bytes of a vector at a time: they stay in the cache while all masks are added
_TOGETHER = 1024  # masks a pass, so that their ciphers take little memory
_ZEROS = bytes(_CHUNK)

Words = NDArray[Any]  # of uint32 or uint64: the residues modulo 2**32 or 2**64
Fill = Callable[[Words, int], None]


def add_masks(
    words: Words,
    *,
    added: Sequence[bytes] = (),
    subtracted: Sequence[bytes] = (),
    fill: Fill | None = None,
    threads: int | None = None,
) -> None:
    """Add masks to a vector in place, and subtract others.

    Parameters
    ----------
    words : NDArray of uint32 or uint64
        C-contiguous, of one axis.
    added, subtracted : sequence of bytes
        The masks' keys, of 32 bytes each. Each key is a secret, and masks one vector only.
    fill : callable, optional
        Called with each part of the vector, in any order and by several threads, and with the
        index of its first word, to write what is masked; so a vector is made and masked while it
        is in the cache.
    threads : int, optional
        From 1 to 1024; None means all cores.

    Raises
    ------
    TypeError
        If `words` is no such array, or a key is not bytes.
    ValueError
        If a key is not of 32 bytes.

    Examples
    --------
    >>> words = np.arange(5, dtype=np.uint32)
    >>> key = bytes(range(32))
    >>> add_masks(words, added=[key])
    >>> add_masks(words, subtracted=[key])
    >>> words
    array([0, 1, 2, 3, 4], dtype=uint32)
    """
    workers = thread_count(threads)
    _require_words(words)
    signed = [(key, np.add) for key in added] + [(key, np.subtract) for key in subtracted]
    for key, _ in signed:
        _require_key(key)
    grain = _CHUNK // words.itemsize
    passes = [signed[start : start + _TOGETHER] for start in range(0, len(signed), _TOGETHER)]
    for number, masks in enumerate(passes or [[]]):
        work = partial(_add_range, words, masks, fill if number == 0 else None)
        in_ranges(work, words.size, grain, workers)


def word_dtype(limit: int) -> np.dtype[Any]:
    """Return the smallest words that hold sums of magnitude up to a limit, below 2**63.

    Examples
    --------
    >>> word_dtype(2**31 - 1), word_dtype(2**31)
    (dtype('uint32'), dtype('uint64'))
    """
    return np.dtype(np.uint32 if limit < 1 << 31 else np.uint64)


def words_as_integers(words: Words, limit: int) -> NDArray[Any]:
    """Read residues as signed integers.

    Parameters
    ----------
    words : NDArray of uint32 or uint64
        Residues.
    limit : int
        The largest magnitude that they may stand for.

    Returns
    -------
    NDArray of int32 or int64
        A view.

    Raises
    ------
    BudgetExceeded
        If an integer is beyond the limit.

    Examples
    --------
    >>> words_as_integers(np.array([3, 2**32 - 2], np.uint32), 4)
    array([ 3, -2], dtype=int32)
    """
    integers = words.view(np.dtype(f"i{words.itemsize}"))
    require_within("words", integers, limit)
    return integers


def _add_range(
    words: Words,
    masks: Sequence[tuple[bytes, np.ufunc]],
    fill: Fill | None,
    begin: int,
    end: int,
) -> None:
    streams = [(_stream(key, begin * words.itemsize), combine) for key, combine in masks]
    # Some releases of `cryptography` ask for a block of room beyond the output.
    scratch = np.empty(_CHUNK + _AES_BLOCK, np.uint8)
    try:
        for start, chunk in _chunks(words, begin, end):
            if fill is not None:
                fill(chunk, start)
            zeros = memoryview(_ZEROS)[: chunk.nbytes]
            mask = scratch[: chunk.nbytes].view(words.dtype.newbyteorder("<"))
            for stream, combine in streams:
                stream.update_into(zeros, scratch.data)
                combine(chunk, mask, out=chunk)
    finally:
        wipe(scratch)


def _chunks(words: Words, begin: int, end: int) -> Iterator[tuple[int, Words]]:
    width = _CHUNK // words.itemsize
    for start in range(begin, end, width):
        yield start, words[start : min(start + width, end)]


def _stream(key: bytes, offset: int) -> CipherContext:
    """Return the key stream from that byte on, a multiple of a block."""
    counter = (offset // _AES_BLOCK).to_bytes(_AES_BLOCK, "big")
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()


def _require_words(words: Words) -> None:
    if not isinstance(words, np.ndarray) or words.dtype not in (np.uint32, np.uint64):
        got = getattr(words, "dtype", type(words).__name__)
        raise TypeError(f"words: got {got}, expected an array of uint32 or uint64")
    if words.ndim != 1 or not words.flags.c_contiguous or not words.flags.writeable:
        raise ValueError(f"words: got {words.ndim} axes, expected one, writable and without gaps")


def _require_key(key: bytes) -> None:
    if not isinstance(key, bytes):
        raise TypeError(f"key: got {type(key).__name__}, expected bytes")
    if len(key) != KEY_BYTES:
        raise ValueError(f"key: got {len(key)} bytes, expected {KEY_BYTES}")
