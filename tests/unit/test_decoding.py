"""Finding liars: examples, what is refused, and what colluders can do to interleaved decoding."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core, randomness
from veilsum.errors import DecodingError, DuplicateShare, InsufficientShares
from veilsum.field import GOLDILOCKS, P31, P50, PrimeField
from veilsum.shamir import decoding
from veilsum.shamir.decoding import find_liars

Words = NDArray[np.uint64]

POINTS = np.arange(1, 8, dtype=np.uint64)
THRESHOLD = 3
SECRET = 987_654_321_012  # every constant term, which no message may show


def polynomial(points: Words, coefficients: Any, field: PrimeField = P50) -> Words:
    """Values of polynomials, whose coefficients stand in columns."""
    values = np.zeros((points.size, np.shape(coefficients)[1]), np.uint64)
    for row in coefficients[::-1]:
        values = field.add(field.mul(values, points[:, np.newaxis]), row)
    return values


def shares(columns: int, points: Words = POINTS, field: PrimeField = P50) -> Words:
    coefficients = field.random((THRESHOLD, columns))
    coefficients[0] = SECRET
    return polynomial(points, coefficients, field)


def lying(rows: Words, *liars: int) -> Words:
    """Add one to a single element of each liar's row, the next one's in the next column."""
    altered = rows.copy()
    for column, liar in enumerate(liars):
        altered[liar, column % rows.shape[1]] ^= np.uint64(1)
    return altered


@pytest.mark.parametrize("columns", [1, 2, 3, 100, 70_000])
@pytest.mark.parametrize("field", [P50, PrimeField(2**61 - 1), GOLDILOCKS])
def test_liars_are_found_whichever_element_they_alter(field: PrimeField, columns: int) -> None:
    rows = lying(shares(columns, field=field), 6, 2)
    found = find_liars(field, POINTS, rows, THRESHOLD, max_errors=2)
    assert found == (2, 6)
    assert all(type(position) is int for position in found)


def test_honest_rows_have_no_liars() -> None:
    for limit in (0, 1, 2):
        assert find_liars(P50, POINTS, shares(50), THRESHOLD, max_errors=limit) == ()


def test_rows_without_elements_or_redundancy_have_no_liars() -> None:
    assert find_liars(P50, POINTS, shares(0), THRESHOLD, max_errors=2) == ()
    for interleaved in (False, True):
        rows = lying(shares(5), 1)[:THRESHOLD]
        found = find_liars(P50, POINTS[:3], rows, THRESHOLD, max_errors=0, interleaved=interleaved)
        assert found == ()


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("columns", [2, 50])
def test_more_liars_than_wanted_are_an_error_that_shows_no_secret(limit: int, columns: int) -> None:
    rows = lying(shares(columns), 1, 4, 5)
    with pytest.raises(DecodingError, match=rf"^shares: more than {limit} of the 7 ") as caught:
        find_liars(P50, POINTS, rows, THRESHOLD, max_errors=limit)
    for number in np.append(rows[:, :50], SECRET):
        assert str(number) not in str(caught.value)


def test_liars_who_take_turns_are_counted_together() -> None:
    # Each element alone has one error, which could be corrected.
    rows = lying(shares(2), 3, 5)
    assert find_liars(P50, POINTS, rows, THRESHOLD, max_errors=2) == (3, 5)
    with pytest.raises(DecodingError, match="more than 1 of the 7"):
        find_liars(P50, POINTS, rows, THRESHOLD, max_errors=1)


def test_the_answer_does_not_depend_on_threads_blocks_or_memory_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = lying(shares(5000), 0, 6)
    for block in (2, 999, decoding._BLOCK):
        monkeypatch.setattr(decoding, "_BLOCK", block)
        for threads in (1, 2, None):
            found = find_liars(P50, POINTS, rows, THRESHOLD, max_errors=2, threads=threads)
            assert found == (0, 6)
    spread = np.zeros((14, 5000), np.uint64)
    spread[::2] = rows
    for layout in (np.asfortranarray(rows), spread[::2]):
        assert find_liars(P50, POINTS, layout, THRESHOLD, max_errors=2) == (0, 6)
    assert find_liars(P50, POINTS[::-1], rows[::-1], THRESHOLD, max_errors=2) == (0, 6)


def test_every_element_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_BLOCK", 16)
    rows = shares(37)
    for column in range(37):
        altered = rows.copy()
        altered[3, column] ^= np.uint64(1)
        assert find_liars(P50, POINTS, altered, THRESHOLD, max_errors=1) == (3,)


def test_the_combination_is_drawn_from_the_source_of_randomness() -> None:
    rows = lying(shares(40), 2)
    with randomness._test_source(bytes):  # all zeros: no element counts
        assert find_liars(P50, POINTS, rows, THRESHOLD, max_errors=1) == ()
    drawn: list[int] = []

    def source(count: int) -> bytes:
        drawn.append(count)
        return b"\x01" * count

    with randomness._test_source(source):
        assert find_liars(P50, POINTS, rows, THRESHOLD, max_errors=1) == (2,)
        assert sum(drawn) == 2 * 40 * 8
        assert find_liars(P50, POINTS, rows[:, :2], THRESHOLD, max_errors=1) == (2,)
        assert sum(drawn) == 2 * 40 * 8  # short rows take none


@pytest.mark.parametrize(
    ("modulus", "interleaved", "count"),
    [
        (13, False, 22),
        (65537, False, 5),
        (P31.modulus, False, 3),
        (P50.modulus, False, 2),
        (P50.modulus, True, 3),
    ],
)
def test_as_many_combinations_as_make_a_miss_improbable(
    modulus: int, interleaved: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    name = "decode_together" if interleaved else "decode_columns"
    decode = getattr(_core, name)

    def spy(*arguments: Any) -> Any:
        words = arguments[2]
        assert words.any()
        seen.append(words)
        return decode(*arguments)

    monkeypatch.setattr(_core, name, spy)
    field = PrimeField(modulus)
    coefficients = np.ones((THRESHOLD, 100), np.uint64)
    rows = polynomial(POINTS, coefficients, field)
    limit = 3 if interleaved else 2
    find_liars(field, POINTS, rows, THRESHOLD, max_errors=limit, interleaved=interleaved)
    (words,) = seen
    assert words.shape == (7, count)
    assert not words.any(), "wiped"
    assert rows.any()
    assert modulus**count >= 2**80


def test_interleaved_finds_independent_liars_beyond_half_the_redundancy() -> None:
    rows = shares(50)
    rows[[0, 4, 5]] = P50.random((3, 50))
    found = find_liars(P50, POINTS, rows, THRESHOLD, max_errors=3, interleaved=True)
    assert found == (0, 4, 5)
    with pytest.raises(DecodingError, match="more than 2 of the 7"):
        find_liars(P50, POINTS, rows, THRESHOLD, max_errors=2, interleaved=True)
    with pytest.raises(DecodingError, match="more than 2 of the 7"):
        find_liars(P50, POINTS, rows, THRESHOLD, max_errors=2)


def test_interleaved_needs_as_many_elements_as_the_radius_grows() -> None:
    rows = shares(50)
    rows[[0, 4, 5]] = P50.random((3, 50))
    with pytest.raises(DecodingError, match="more than 3 of the 7"):
        find_liars(P50, POINTS, rows[:, :2], THRESHOLD, max_errors=3, interleaved=True)
    found = find_liars(P50, POINTS, rows[:, :3], THRESHOLD, max_errors=3, interleaved=True)
    assert found == (0, 4, 5)


def test_colluders_beyond_half_the_redundancy_frame_honest_holders_if_interleaved() -> None:
    # Why interleaved decoding has to be asked for. Three of seven add multiples of one polynomial's
    # values, and it vanishes at two honest holders: then the other two are those that do not fit.
    colluders, vanishing, framed = [0, 3, 6], [1, 4], [2, 5]
    x, y = POINTS[vanishing].tolist()
    forged = P50.residues([[x * y], [-x - y], [1]])
    coefficients = P50.random((THRESHOLD, 50))
    rows, shift = polynomial(POINTS, coefficients), P50.mul(forged, P50.random((1, 50)))
    rows[colluders] = P50.add(rows, polynomial(POINTS, shift))[colluders]

    found = find_liars(P50, POINTS, rows, THRESHOLD, max_errors=3, interleaved=True)
    assert found == tuple(framed)
    believed = np.delete(np.arange(7), framed)
    opened = P50.add(coefficients, shift)
    np.testing.assert_array_equal(rows[believed], polynomial(POINTS, opened)[believed])
    assert (opened[0] != coefficients[0]).all()

    # Decoding that is not interleaved promises less, and keeps it: three are too many for a
    # correction of one, and no guess is made.
    with pytest.raises(DecodingError, match="more than 1 of the 7"):
        find_liars(P50, POINTS, rows, THRESHOLD, max_errors=1)


def call(**changed: Any) -> Any:
    arguments: dict[str, Any] = {
        "field": P50,
        "points": POINTS,
        "rows": shares(4),
        "threshold": THRESHOLD,
        "max_errors": 2,
    }
    return find_liars(**{**arguments, **changed})


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"field": 13}, TypeError, "field: got int, expected PrimeField"),
        ({"points": [1, 2, 3]}, TypeError, "points: got list, expected an array of uint64"),
        ({"points": POINTS.astype(np.int64)}, TypeError, "points: got int64, expected"),
        ({"points": POINTS[np.newaxis]}, ValueError, "points: got 2 axes, expected 1"),
        ({"points": POINTS + np.uint64(P50.modulus)}, ValueError, "points: got some that are not"),
        ({"points": POINTS // np.uint64(2)}, DuplicateShare, "points: got two that are equal"),
        ({"points": POINTS[:6]}, ValueError, "rows: got 7 for 6 points, expected one row a point"),
        ({"rows": [[1]]}, TypeError, "rows: got list, expected an array of uint64"),
        ({"rows": shares(1).astype(float)}, TypeError, "rows: got float64, expected an array"),
        ({"rows": POINTS}, ValueError, "rows: got 1 axes, expected 2"),
        ({"threshold": 3.0}, TypeError, "threshold: got float, expected int"),
        ({"threshold": 0}, ValueError, "threshold: got 0, expected at least 1"),
        ({"threshold": 8}, InsufficientShares, "got 7, expected at least the threshold 8; ask"),
        ({"max_errors": True}, TypeError, "max_errors: got bool, expected int"),
        ({"max_errors": -1}, ValueError, "max_errors: got -1, expected at least 0"),
        ({"max_errors": 3}, ValueError, "3 takes 9 shares with threshold 3, got 7; ask 2 more"),
        ({"max_errors": 4, "interleaved": True}, ValueError, "4 takes 8 shares .* ask 1 more"),
        ({"threads": 0}, ValueError, "threads: got 0"),
        ({"threads": 1.0}, TypeError, "threads: got float"),
    ],
)
def test_what_does_not_fit_is_refused(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(**changed)


WORDS = np.zeros((3, 2), np.uint64)


@pytest.mark.parametrize("decode", [_core.decode_columns, _core.decode_together])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12, POINTS[:3], WORDS, 1, 0), "p must be an odd prime"),
        ((13, WORDS, WORDS, 1, 0), "points must have 1 dimensions, got 2"),
        ((13, POINTS[:3], POINTS, 1, 0), "words must have 2 dimensions, got 1"),
        ((13, POINTS[:4], WORDS, 1, 0), "words must have a row for each point"),
        ((13, POINTS[:3], WORDS, 0, 0), "threshold must be from 1 to the number of points"),
        ((13, POINTS[:3], WORDS, 4, 0), "threshold must be from 1 to the number of points"),
        ((13, POINTS[:3], WORDS, 1, 3), "max_errors must be at most (half )?the redundancy"),
    ],
)
def test_the_core_refuses_words_that_do_not_fit(
    decode: Any, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        decode(*arguments, 1)


@pytest.mark.parametrize(
    ("p", "rows", "vectors", "first", "message"),
    [
        (12, WORDS, WORDS, 0, "p must be an odd prime"),
        (13, POINTS, WORDS, 0, "rows must have 2 dimensions, got 1"),
        (13, WORDS, POINTS, 0, "vectors must have 2 dimensions, got 1"),
        (13, WORDS, WORDS, 1, "vectors must end where rows do, or before"),
        (13, WORDS, WORDS[:, :0], 3, "vectors must end where rows do, or before"),
    ],
)
def test_the_core_refuses_vectors_that_do_not_fit(
    p: int, rows: Any, vectors: Any, first: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Field(p).inner_products(rows, np.ascontiguousarray(vectors), first, 1)


def test_the_core_never_converts() -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _core.decode_columns(13, POINTS[:3], WORDS.astype(np.int64), 1, 0, 1)
