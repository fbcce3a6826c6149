"""The one source: ranges, uniformity, fork safety, wiping, the private hook."""

import io
import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from veilsum import randomness
from veilsum.randomness import (
    random_below,
    random_bits,
    random_bytes,
    random_residues,
    wipe,
)

LONG = 3 * len(randomness._ZEROS) + 1000


@pytest.mark.parametrize("count", [0, 1, 512, 513, 4096, len(randomness._ZEROS), LONG])
def test_bytes_have_the_length_asked_for_and_can_be_wiped(count: int) -> None:
    drawn = random_bytes(count)
    assert drawn.shape == (count,)
    assert drawn.dtype == np.uint8
    wipe(drawn)
    assert not drawn.any()


@pytest.mark.parametrize("count", [512, LONG])
def test_every_part_of_a_draw_is_filled(count: int) -> None:
    drawn = random_bytes(count)
    pieces = np.array_split(drawn, count // 64)
    assert all(piece.any() for piece in pieces)
    assert len({piece.tobytes() for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("count", [32, LONG])
def test_two_draws_differ(count: int) -> None:
    assert random_bytes(count).tobytes() != random_bytes(count).tobytes()


def test_long_draws_are_aes_256_ctr_under_a_fresh_key(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fixed_key(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    monkeypatch.setattr(os, "urandom", fixed_key)
    drawn = random_bytes(LONG)
    cipher = Cipher(algorithms.AES(bytes(range(32))), modes.CTR(bytes(16))).encryptor()
    assert drawn.tobytes() == cipher.update(bytes(LONG))
    assert asked == [32]


def test_short_draws_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: bytes([7]) * count)
    assert random_bytes(512).tolist() == [7] * 512


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_parent_and_child_draw_different_bytes() -> None:
    reader, writer = os.pipe()
    random_bytes(LONG)
    child = os.fork()
    if child == 0:
        os.write(writer, random_bytes(4096).tobytes())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 4096
    assert theirs != random_bytes(4096).tobytes()


@pytest.mark.parametrize("modulus", [1, 2, 3, 13, 2**32, 1125899437080577, 2**63 + 1, 2**64])
def test_residues_reach_the_whole_range_and_no_more(modulus: int) -> None:
    drawn = random_residues(modulus, (7, 300))
    assert drawn.shape == (7, 300)
    assert drawn.dtype == np.uint64
    assert int(drawn.max()) <= modulus - 1
    if modulus <= 13:
        assert set(drawn.ravel().tolist()) == set(range(modulus))
    else:
        assert int(drawn.max()) > modulus - 1 - modulus // 100
        assert int(drawn.min()) < modulus // 100


def test_residues_are_uniform_by_chi_square() -> None:
    draws = 130_000
    counts = np.bincount(random_residues(13, draws).astype(int), minlength=13)
    statistic = float(((counts - draws / 13) ** 2 / (draws / 13)).sum())
    assert statistic < 60  # 12 degrees of freedom: a false alarm in 10**8 runs


def test_residues_fill_a_given_array() -> None:
    given = np.zeros((3, 4), np.uint64)
    assert random_residues(2**61 - 1, (3, 4), out=given) is given
    assert given.all()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((4, 3), np.uint64),
        np.zeros((3, 4), np.int64),
        np.zeros((3, 8), np.uint64)[:, ::2],
        np.zeros((4, 3), np.uint64).T,
    ],
)
def test_an_array_that_does_not_fit_is_refused(out: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="out: got"):
        random_residues(13, (3, 4), out=out)


@pytest.mark.parametrize("modulus", [0, -1, 2**64 + 1])
def test_a_modulus_out_of_range_is_refused(modulus: int) -> None:
    with pytest.raises(ValueError, match="modulus: got"):
        random_residues(modulus, 1)


def test_residues_not_below_the_modulus_are_drawn_again() -> None:
    words = [15, 4, 13, 14, 5, 15, 6, 12]
    with randomness._test_source(words_source(words)):
        assert random_residues(13, 4).tolist() == [5, 4, 12, 6]


def test_bits_above_the_modulus_are_cut_before_the_comparison() -> None:
    with randomness._test_source(words_source([2**64 - 16 + 5])):
        assert random_residues(13, ()).item() == 5


@pytest.mark.parametrize("n", [1, 2, 6, 255, 256, 257, 10**50])
def test_below_stays_below(n: int) -> None:
    drawn = [random_below(n) for _ in range(200)]
    assert all(0 <= value < n for value in drawn)
    if n <= 6:
        assert set(drawn) == set(range(n))


def test_below_draws_again_until_below() -> None:
    with randomness._test_source(io.BytesIO(bytes([0xF7, 0xFE, 0xF5])).read):
        assert random_below(6) == 5


@pytest.mark.parametrize("bits", [0, 1, 7, 8, 9, 128, 3072])
def test_bits_have_at_most_that_length_and_reach_it(bits: int) -> None:
    lengths = Counter(random_bits(bits).bit_length() for _ in range(100))
    assert max(lengths) == bits


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_bytes(-1), "count: got -1"),
        (lambda: random_bits(-1), "bits: got -1"),
        (lambda: random_below(0), "n: got"),
        (lambda: random_below(-5), "n: got"),
    ],
)
def test_draws_out_of_range_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "array", [np.full((2, 3), 7, np.uint64), np.full((2, 6), 1.5)[:, ::2], np.array(True)]
)
def test_wiping_zeroes_any_writable_array(array: NDArray[Any]) -> None:
    wipe(array)
    assert not array.any()


def test_wiping_refuses_what_it_cannot_wipe() -> None:
    with pytest.raises(TypeError, match="Python integers cannot be wiped"):
        wipe(np.array([2**100], object))
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        wipe(frozen)


def test_the_hook_ends_with_its_context_even_after_an_error() -> None:
    def fail_inside() -> None:
        with randomness._test_source(lambda count: bytes(count)):
            assert not random_bytes(LONG).any()
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert random_bytes(64).any()


def test_the_hook_does_not_reach_other_threads() -> None:
    drawn: list[bytes] = []
    with randomness._test_source(lambda count: bytes(count)):
        thread = threading.Thread(target=lambda: drawn.append(random_bytes(64).tobytes()))
        thread.start()
        thread.join()
    assert drawn[0] != bytes(64)


def words_source(words: list[int]) -> Callable[[int], bytes]:
    return io.BytesIO(np.array(words, "<u8").tobytes()).read
