"""Key streams added to vectors modulo powers of two."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from veilsum.errors import BudgetExceeded
from veilsum.protocols import masks
from veilsum.protocols.masks import add_masks, word_dtype, words_as_integers

DTYPES = [np.uint32, np.uint64]
KEYS = [bytes([number]) * 32 for number in range(5)]


def _mask(key, size, dtype):
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    words = np.frombuffer(stream.update(bytes(size * np.dtype(dtype).itemsize)), dtype)
    return [int(word) for word in words]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1000])
def test_masks_are_the_key_streams_of_aes_in_counter_mode(dtype, size):
    words = np.arange(size, dtype=dtype)
    modulus = 1 << 8 * words.itemsize
    add_masks(words, added=KEYS[:2], subtracted=KEYS[2:3])
    streams = [_mask(key, size, dtype) for key in KEYS[:3]]
    expected = [(i + a + b - c) % modulus for i, (a, b, c) in enumerate(zip(*streams, strict=True))]
    assert words.tolist() == expected


def test_the_mask_of_the_zero_key_is_what_the_vectors_of_gcm_say():
    """H and E(K, Y0) of test case 13: McGrew and Viega, "The Galois/Counter Mode", appendix B."""
    words = np.zeros(8, np.uint32)
    add_masks(words, added=[bytes(32)])
    blocks = words.astype("<u4").tobytes().hex()
    assert blocks == "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738b"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
def test_chunks_and_threads_do_not_change_a_mask(dtype, threads, chunks):
    size = chunks * masks._CHUNK // np.dtype(dtype).itemsize + 7
    words = np.zeros(size, dtype)
    add_masks(words, added=KEYS[:1], threads=threads)
    assert words.tolist() == _mask(KEYS[0], size, dtype)


def test_more_masks_than_one_pass_takes_are_all_added(monkeypatch):
    expected = np.zeros(100, np.uint32)
    add_masks(expected, added=KEYS[:3], subtracted=KEYS[3:])
    monkeypatch.setattr(masks, "_TOGETHER", 2)
    words = np.full(100, 9, np.uint32)
    add_masks(words, added=KEYS[:3], subtracted=KEYS[3:], fill=lambda part, _: part.fill(0))
    np.testing.assert_array_equal(words, expected)


def test_what_is_filled_in_is_masked():
    values = np.arange(200_000, dtype=np.uint32)
    expected = values.copy()
    add_masks(expected, added=KEYS)
    words = np.empty_like(values)

    def fill(part, start):
        part[:] = values[start : start + part.size]

    add_masks(words, added=KEYS, fill=fill, threads=2)
    np.testing.assert_array_equal(words, expected)


def test_a_vector_without_masks_is_filled_in_all_the_same():
    words = np.empty(10, np.uint64)
    add_masks(words, fill=lambda part, start: part.fill(start + 3))
    assert set(words.tolist()) == {3}


def test_an_error_of_the_filling_is_raised():
    def fail(_part, _start):
        raise BudgetExceeded("update: too large")

    with pytest.raises(BudgetExceeded, match="too large"):
        add_masks(np.empty(10**6, np.uint32), added=KEYS, fill=fail, threads=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pairwise_masks_cancel_in_a_sum(dtype):
    words = [np.full(1000, client, dtype) for client in range(3)]
    for low, high, key in [(0, 1, KEYS[0]), (0, 2, KEYS[1]), (1, 2, KEYS[2])]:
        add_masks(words[low], added=[key])
        add_masks(words[high], subtracted=[key])
    assert all((masked != client).all() for client, masked in enumerate(words))
    assert set(sum(words).tolist()) == {3}


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_byte_of_a_word_takes_every_value_equally_often(dtype):
    words = np.zeros(1 << 18, dtype)
    add_masks(words, added=[KEYS[1]])
    for octet in words.view(np.uint8).reshape(words.size, -1).T:
        counts = np.bincount(octet, minlength=256)
        expected = words.size / 256
        assert ((counts - expected) ** 2 / expected).sum() < 400  # 255 degrees: below 2**-26


def test_keys_whose_halves_or_words_fold_to_the_same_give_different_masks():
    halves = [bytes(16) + bytes([1]) * 16, bytes([1]) * 16 + bytes(16)]  # equal XOR of the halves
    wraps = [(2**32 - 1).to_bytes(32, "big"), bytes(32)]  # equal modulo 2**32 - 1
    late = [bytes(32), bytes(31) + b"\1"]  # equal but for the last byte
    for first, second in (halves, wraps, late):
        drawn = [np.zeros(64, np.uint64) for _ in range(2)]
        add_masks(drawn[0], added=[first])
        add_masks(drawn[1], added=[second])
        assert not np.intersect1d(*drawn).size


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (np.zeros(4, np.int32), TypeError),
        (np.zeros(4, np.uint16), TypeError),
        ([1, 2], TypeError),
        (np.zeros((2, 2), np.uint32), ValueError),
        (np.zeros(8, np.uint32)[::2], ValueError),
        (np.frombuffer(bytes(8), np.uint32), ValueError),
    ],
)
def test_what_is_no_vector_of_words_is_refused(words, error):
    with pytest.raises(error, match="words"):
        add_masks(words, added=KEYS[:1])


@pytest.mark.parametrize(
    ("key", "error"), [(b"short", ValueError), (bytes(33), ValueError), ("0" * 32, TypeError)]
)
def test_what_is_no_key_is_refused_without_being_shown(key, error):
    with pytest.raises(error, match="key: got") as caught:
        add_masks(np.zeros(4, np.uint32), added=[key])
    assert "short" not in str(caught.value)
    assert "000" not in str(caught.value)


def test_words_hold_the_sums_that_they_are_chosen_for():
    assert word_dtype(2**31 - 1) == np.uint32
    assert word_dtype(2**31) == np.uint64
    assert words_as_integers(np.array([2**32 - 5, 5], np.uint32), 5).tolist() == [-5, 5]
    assert words_as_integers(np.array([2**64 - 5, 5], np.uint64), 5).tolist() == [-5, 5]


def test_residues_beyond_the_limit_are_refused():
    with pytest.raises(BudgetExceeded, match="words"):
        words_as_integers(np.array([6], np.uint32), 5)
