"""Liars over GF(13): every error pattern, every subset of holders, every radius.

The code is linear, so what a decoder does to one codeword it does to all: the received words are a
few codewords plus every pattern.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core
from veilsum.errors import DecodingError
from veilsum.field import PrimeField
from veilsum.shamir.decoding import find_liars

P = 13
FIELD = PrimeField(P)

Words = NDArray[np.uint64]
Marks = NDArray[np.bool_]


def every_word(length: int) -> Words:
    """Every vector over the field, one column each."""
    return np.indices((P,) * length, np.uint64).reshape(length, P**length)


def every_subset(most: int, least: int) -> Iterator[Words]:
    """The points of every set of `least` to `most` holders."""
    for size in range(least, most + 1):
        for chosen in itertools.combinations(range(1, most + 1), size):
            yield np.array(chosen, np.uint64)


def codewords(points: Words, threshold: int) -> Words:
    """Every codeword, one column each."""
    powers = [np.asarray(points) ** np.uint64(j) % np.uint64(P) for j in range(threshold)]
    return np.stack(powers, axis=1) @ every_word(threshold) % np.uint64(P)


def patterns(length: int, weight: int) -> Words:
    """Every vector with so many non-zero elements, one column each."""
    values = 1 + np.indices((P - 1,) * weight, np.uint64).reshape(weight, (P - 1) ** weight)
    found = []
    for places in itertools.combinations(range(length), weight):
        block = np.zeros((length, values.shape[1]), np.uint64)
        block[list(places)] = values
        found.append(block)
    return np.concatenate(found, axis=1)


def decode(points: Words, words: Words, threshold: int, most: int) -> tuple[Marks, Marks]:
    """Marks of the altered elements, in columns like the words, and which words were decoded."""
    errors, decoded = _core.decode_columns(P, points, words, threshold, most, 1)
    return errors.T.astype(bool), decoded.astype(bool)


@pytest.mark.parametrize(("holders", "threshold"), [(5, 1), (6, 2), (7, 3)])
def test_errors_up_to_the_radius_are_located_and_more_are_refused(
    holders: int, threshold: int
) -> None:
    for points in every_subset(holders, threshold):
        redundancy = points.size - threshold
        some = codewords(points, threshold)[:, :: max(1, P**threshold // 3)]
        for weight in range(redundancy + 1):
            errors = patterns(points.size, weight)
            for radius in range(min(redundancy // 2, redundancy - weight) + 1):
                # The most patterns are tried on one codeword, the others on several.
                for codeword in (some if errors.shape[1] < 10**5 else some[:, -1:]).T:
                    words = (errors + codeword[:, np.newaxis]) % np.uint64(P)
                    located, decoded = decode(points, words, threshold, radius)
                    assert (decoded == (weight <= radius)).all()
                    expected = (errors != 0) & (weight <= radius)
                    np.testing.assert_array_equal(located, expected)


def nearest(points: Words, words: Words, threshold: int, radius: int) -> tuple[Marks, Marks]:
    """Compare each word with each codeword: the oracle for `decode`."""
    located = np.zeros(words.shape, np.bool_)
    decoded = np.zeros(words.shape[1], np.bool_)
    for codeword in codewords(points, threshold).T:
        differ = words != codeword[:, np.newaxis]
        near = np.count_nonzero(differ, axis=0) <= radius
        assert not (near & decoded).any(), "two codewords within the radius"
        located[:, near] = differ[:, near]
        decoded |= near
    return located, decoded


@pytest.mark.parametrize(("length", "threshold"), [(4, 1), (5, 2), (6, 2), (7, 3)])
def test_whatever_is_received_the_answer_is_the_one_codeword_near_it(
    length: int, threshold: int
) -> None:
    points = np.array([5, 0, 12, 3, 8, 1, 7][:length], np.uint64)
    # Up to a codeword every word has zeros where the first elements are.
    words = np.zeros((length, P ** (length - threshold)), np.uint64)
    words[threshold:] = every_word(length - threshold)
    shifts = codewords(points, threshold)
    words += shifts[:, np.arange(words.shape[1]) % shifts.shape[1]]
    words %= np.uint64(P)
    for radius in range((length - threshold) // 2 + 1):
        for got, expected in zip(
            decode(points, words, threshold, radius),
            nearest(points, words, threshold, radius),
            strict=True,
        ):
            np.testing.assert_array_equal(got, expected)


def explaining(points: Words, words: Words, threshold: int, most: int) -> list[tuple[int, ...]]:
    """Every set of up to `most` places without which all words are parts of codewords.

    The oracle for words together; the smallest come first.
    """
    found = []
    for size in range(most + 1):
        for places in itertools.combinations(range(points.size), size):
            kept = np.delete(np.arange(points.size), places)
            gaps = words[kept, np.newaxis] != codewords(points[kept], threshold)[:, :, np.newaxis]
            if not gaps.any(axis=0).all(axis=0).any():
                found.append(places)
    return found


@pytest.mark.parametrize(("count", "step"), [(1, 1), (2, 1499)])
def test_words_together_are_explained_by_the_one_smallest_set_of_errors_or_refused(
    count: int, step: int
) -> None:
    threshold, points = 1, np.array([3, 0, 7, 12], np.uint64)
    cases = every_word(3 * count)[:, ::step].T
    refused = 0
    # Every vector of errors in three of four elements: a codeword's worth is added to all.
    for case, errors in enumerate(cases):
        words = np.full((4, count), case % P, np.uint64)
        words[1:] += errors.reshape(3, count)
        words %= np.uint64(P)
        marks, decoded = _core.decode_together(P, points, words, threshold, 2, 1)
        sets = explaining(points, words, threshold, 2)
        if decoded:
            assert tuple(np.flatnonzero(marks)) == sets[0]
            assert len(sets) == 1 or len(sets[1]) > len(sets[0])
        else:
            assert not marks.any()
            assert not sets or len(sets[0]) == 2
            refused += 1
    assert 0 < refused < len(cases)


def independent(errors: Words) -> bool:
    """Whether no combination of two rows, but that of none of them, is zero."""
    a, b = errors.astype(np.int64)
    return bool((a[0] * b[1] - a[1] * b[0]) % P)


@pytest.mark.parametrize("places", list(itertools.combinations(range(4), 2)))
def test_two_independent_errors_among_three_redundant_elements_are_located_together(
    places: tuple[int, int],
) -> None:
    threshold, points = 1, np.array([1, 2, 3, 4], np.uint64)
    for values in every_word(4)[:, ::7].T:
        errors = values.reshape(2, 2)
        words = np.full((4, 2), 9, np.uint64)
        words[list(places)] += errors
        words %= np.uint64(P)
        if independent(errors):
            found = find_liars(FIELD, points, words, threshold, max_errors=2, interleaved=True)
            assert found == places
        elif errors.any(axis=1).all():  # multiples of one word, which has two errors
            with pytest.raises(DecodingError, match="more than 1 of the 4 were altered"):
                find_liars(FIELD, points, words, threshold, max_errors=1, interleaved=True)


def test_liars_of_short_rows_are_found_for_certain() -> None:
    threshold, points = 2, np.array([1, 2, 3, 4, 5, 6], np.uint64)
    shares = codewords(points, threshold)[:, [5, 100]]
    values = every_word(2)[:, 1:].T
    for first, second in itertools.combinations(range(6), 2):
        for offset in values:
            # Two who lie in different elements, or one of them in both.
            for placed in ([[offset[0], 0], [0, offset[1]]], [offset, [0, 0]]):
                rows = shares.copy()
                rows[[first, second]] += np.array(placed, np.uint64)
                rows %= np.uint64(P)
                liars = tuple(np.flatnonzero((rows != shares).any(axis=1)))
                assert find_liars(FIELD, points, rows, threshold, max_errors=2) == liars
