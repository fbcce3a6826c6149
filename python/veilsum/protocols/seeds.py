"""Seeds in shares: 32-byte secrets as short rows of residues, many of them rebuilt at once.

A seed is cut into limbs of 48 bits, which a field of 50 bits holds whole, so that every seed is
shared as it is: no field of 255 bits, no folding.

Source: Shamir, "How to share a secret", Communications of the ACM 22(11), 1979; liars: see
`veilsum.shamir.find_liars`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veilsum import shamir
from veilsum.field import P50

__all__ = ["LIMBS", "SEED_BYTES", "rebuild_honestly", "rebuild_seeds", "share_seeds"]

SEED_BYTES = 32
_LIMB_BYTES = 6
_LIMB_BOUND = (1 << 8 * _LIMB_BYTES) - 1
LIMBS = -(-SEED_BYTES // _LIMB_BYTES)

Words = NDArray[np.uint64]


def share_seeds(seeds: Sequence[bytes], *, shares: int, threshold: int) -> Words:
    """Share seeds of 32 bytes each.

    Parameters
    ----------
    seeds : sequence of bytes
        At least one.
    shares, threshold : int
        How many shares to deal, and how many of them rebuild; fewer tell nothing.

    Returns
    -------
    NDArray of uint64, shape (shares, LIMBS * len(seeds))
        One row a holder: its share of the first seed, then of the next.

    Examples
    --------
    >>> share_seeds([bytes(32), bytes(32)], shares=5, threshold=3).shape
    (5, 12)
    """
    limbs = np.concatenate([_limbs(seed) for seed in seeds])
    dealt = shamir.split(limbs, shares=shares, threshold=threshold, bound=_LIMB_BOUND, threads=1)
    return dealt.values


def rebuild_seeds(
    rows: Words, *, positions: Sequence[int], shares: int, threshold: int
) -> list[bytes | None]:
    """Rebuild seeds from the rows of as many holders as the threshold; believe whatever comes out.

    Whoever knows a digest of a seed has to compare: an altered row gives another seed, or none.

    Parameters
    ----------
    rows : NDArray of uint64, shape (threshold, LIMBS * seeds)
        Residues: the holders' shares, of seeds that any dealers shared among the same holders.
    positions : sequence of int
        Whose rows they are, counted from 0.
    shares, threshold : int
        As they were dealt.

    Returns
    -------
    list of (bytes or None)
        One a seed.

    Raises
    ------
    InvalidShare
        If a number is not a residue.

    Examples
    --------
    >>> rows = share_seeds([bytes(range(32))], shares=5, threshold=3)
    >>> rebuild_seeds(rows[[0, 2, 4]], positions=[0, 2, 4], shares=5, threshold=3) == [
    ...     bytes(range(32))
    ... ]
    True
    """
    held = _shares(rows, positions, shares, threshold)
    limbs = shamir.reconstruct(held, check=False, threads=1).reshape(-1, LIMBS)
    return [_seed(row) for row in limbs]


def rebuild_honestly(
    rows: Words, *, positions: Sequence[int], shares: int, threshold: int
) -> tuple[bytes | None, tuple[int, ...]]:
    """Rebuild one seed from the rows of more holders than the threshold, some of whom lie.

    Parameters
    ----------
    rows : NDArray of uint64, shape (holders, LIMBS)
        Residues.
    positions : sequence of int
        Whose rows they are, counted from 0.
    shares, threshold : int
        As they were dealt.

    Returns
    -------
    seed : bytes or None
        None when the rows belong to no seed at all, which is the dealer's fault.
    liars : tuple of int
        The positions of the altered rows.

    Raises
    ------
    DecodingError
        If more than half of the rows beyond the threshold were altered.
    InvalidShare
        If a number is not a residue.

    Examples
    --------
    >>> rows = share_seeds([bytes(32)], shares=5, threshold=3).copy()
    >>> rows[1, 0] ^= np.uint64(1)
    >>> seed, liars = rebuild_honestly(rows, positions=range(5), shares=5, threshold=3)
    >>> seed == bytes(32), liars
    (True, (1,))
    """
    held = _shares(rows, positions, shares, threshold)
    liars = shamir.find_liars(held, max_errors=(len(held) - threshold) // 2, threads=1)
    honest = [place for place, holder in enumerate(held.holders) if holder not in liars]
    limbs = shamir.reconstruct(held[honest], check=False, threads=1)
    return _seed(limbs), tuple(holder - 1 for holder in liars)


def _shares(rows: Words, positions: Sequence[int], shares: int, threshold: int) -> shamir.Shares:
    return shamir.Shares(
        values=rows,
        points=np.array(positions, np.uint64) + np.uint64(1),
        threshold=threshold,
        shares=shares,
        shape=rows.shape[1:],
        field=P50,
        dtype=np.dtype(np.int64),
        bound=_LIMB_BOUND,
        dealing=0,
    )


def _limbs(seed: bytes) -> NDArray[np.int64]:
    if len(seed) != SEED_BYTES:
        raise ValueError(f"seed: got {len(seed)} bytes, expected {SEED_BYTES}")
    padded = np.zeros((LIMBS, 8), np.uint8)
    octets = np.frombuffer(seed.ljust(LIMBS * _LIMB_BYTES, b"\0"), np.uint8)
    padded[:, :_LIMB_BYTES] = octets.reshape(LIMBS, _LIMB_BYTES)
    return padded.view("<i8").reshape(-1).astype(np.int64)


def _seed(limbs: NDArray[np.int64]) -> bytes | None:
    """Return the seed that the limbs are, if they are those of one."""
    if limbs.min() < 0 or limbs.max() > _LIMB_BOUND:
        return None
    octets = limbs.astype("<i8").view(np.uint8).reshape(LIMBS, 8)[:, :_LIMB_BYTES].tobytes()
    return None if any(octets[SEED_BYTES:]) else octets[:SEED_BYTES]
