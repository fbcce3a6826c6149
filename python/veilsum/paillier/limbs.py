"""Integers as rows of 64-bit words, which is how they cross into C++."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 1 << 63


def word_count(integer: int) -> int:
    """Count the words that hold a non-negative integer."""
    return -(-integer.bit_length() // 64)


def to_words(integer: int, count: int) -> NDArray[np.uint64]:
    """Write a non-negative integer as `count` words, little-endian."""
    return np.frombuffer(integer.to_bytes(8 * count, "little"), "<u8").astype(np.uint64)


def from_words(words: NDArray[np.uint64]) -> int:
    """Read what `to_words` wrote."""
    return int.from_bytes(np.ascontiguousarray(words, "<u8").tobytes(), "little")


def from_signed_words(words: NDArray[np.uint64]) -> int:
    """Read an integer in two's complement."""
    return int.from_bytes(np.ascontiguousarray(words, "<u8").tobytes(), "little", signed=True)


def signed_limbs(limit: int) -> int:
    """Count the words that hold every integer of magnitude up to `limit` in two's complement."""
    return limit.bit_length() // 64 + 1


def to_rows(integers: NDArray[Any], limbs: int) -> NDArray[np.uint64]:
    """Write integers as rows of `limbs` words in two's complement: shape (size, limbs)."""
    flat = integers.reshape(-1)
    if limbs == 1:
        return np.ascontiguousarray(flat.astype(np.int64)).view(np.uint64).reshape(-1, 1)
    packed = b"".join(int(i).to_bytes(8 * limbs, "little", signed=True) for i in flat)
    return np.frombuffer(packed, "<u8").astype(np.uint64).reshape(-1, limbs)


def from_rows(rows: NDArray[np.uint64], limit: int) -> NDArray[Any]:
    """Read rows in two's complement: int64 where `limit` is below 2**63, else Python integers."""
    if limit < _SMALL:
        return np.ascontiguousarray(rows[:, 0]).view(np.int64)
    return np.array([from_signed_words(row) for row in rows], object)
