"""Seeds of 32 bytes in shares."""

import os
from itertools import combinations

import numpy as np
import pytest

from veilsum.errors import DecodingError, InvalidShare
from veilsum.field import P50
from veilsum.protocols.seeds import LIMBS, rebuild_honestly, rebuild_seeds, share_seeds

EDGES = [bytes(32), b"\xff" * 32, bytes(31) + b"\1", b"\1" + bytes(31)]


def test_any_threshold_of_the_rows_rebuild_every_seed():
    seeds = [*EDGES, os.urandom(32)]
    rows = share_seeds(seeds, shares=6, threshold=4)
    for held in combinations(range(6), 4):
        assert rebuild_seeds(rows[list(held)], positions=held, shares=6, threshold=4) == seeds


def test_seeds_of_several_dealers_are_rebuilt_at_once():
    seeds = [os.urandom(32) for _ in range(9)]
    dealt = [share_seeds([seed], shares=5, threshold=3) for seed in seeds]
    rows = np.concatenate([rows[[4, 0, 2]] for rows in dealt], axis=1)
    assert rebuild_seeds(rows, positions=[4, 0, 2], shares=5, threshold=3) == seeds


def test_fewer_rows_than_the_threshold_are_spread_over_the_whole_field():
    rows = np.concatenate(
        [share_seeds([EDGES[0]], shares=3, threshold=3)[:2] for _ in range(2000)], axis=1
    )
    cells = (rows.reshape(-1) // np.uint64(P50.modulus // 64)).astype(int)
    counts = np.bincount(np.minimum(cells, 63), minlength=64)
    expected = rows.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 150  # 63 degrees: below 2**-26


def test_an_altered_row_gives_another_seed_or_none():
    seed = os.urandom(32)
    rows = share_seeds([seed], shares=5, threshold=3).copy()
    rows[1] = P50.add(rows[1], np.ones(LIMBS, np.uint64))
    assert rebuild_seeds(rows[:3], positions=range(3), shares=5, threshold=3) != [seed]


@pytest.mark.parametrize("lying", [(), (0,), (3,), (1, 6)])
def test_altered_rows_are_named_and_left_out(lying):
    seed = os.urandom(32)
    rows = share_seeds([seed], shares=9, threshold=3).copy()
    held = [8, 1, 6, 3, 5, 0, 2]
    rows[list(lying)] = P50.random((len(lying), LIMBS))
    rebuilt = rebuild_honestly(rows[held], positions=held, shares=9, threshold=3)
    assert rebuilt == (seed, lying)


def test_more_altered_rows_than_can_be_found_are_an_error_not_a_guess():
    rows = share_seeds([os.urandom(32)], shares=6, threshold=3).copy()
    rows[:2] = P50.random((2, LIMBS))
    with pytest.raises(DecodingError):
        rebuild_honestly(rows, positions=range(6), shares=6, threshold=3)


def test_rows_of_no_seed_give_none():
    limbs = np.full((1, LIMBS), 2**48, np.uint64)  # one more than a limb holds
    assert rebuild_seeds(limbs, positions=[0], shares=1, threshold=1) == [None]
    assert rebuild_honestly(limbs, positions=[0], shares=1, threshold=1) == (None, ())
    limbs[:] = P50.modulus - 1
    assert rebuild_seeds(limbs, positions=[0], shares=1, threshold=1) == [None]
    limbs[:] = 2**48 - 1  # the last limb has 16 bits
    assert rebuild_seeds(limbs, positions=[0], shares=1, threshold=1) == [None]


def test_numbers_that_are_no_residues_are_refused():
    with pytest.raises(InvalidShare):
        rebuild_seeds(
            np.full((1, LIMBS), P50.modulus, np.uint64), positions=[0], shares=1, threshold=1
        )


def test_a_seed_of_another_length_is_refused():
    with pytest.raises(ValueError, match="seed"):
        share_seeds([bytes(31)], shares=3, threshold=2)
