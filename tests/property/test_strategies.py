"""The strategies that users get: what they promise, and that nothing they promise is missing."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st

from veilsum import randomness, shamir
from veilsum.field import GOLDILOCKS, MERSENNE61, P50, P257, PrimeField, WideField
from veilsum.shamir.geometry import LAYOUTS
from veilsum.testing import strategies
from veilsum.testing.strategies import Dealing, ErrorPattern

STEADY = settings(deadline=None, derandomize=True)

anything = strategies.shares(max_shares=6, layouts=LAYOUTS, max_packed=3)


def some(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any:
    """An example, which has to exist."""
    steady = settings(STEADY, database=None, max_examples=1000)
    return find(strategy, condition, settings=steady, random=random.Random(1))


@pytest.mark.parametrize("field", [PrimeField(13), P50, GOLDILOCKS, MERSENNE61])
def test_named_and_tiny_fields_are_drawn(field: PrimeField) -> None:
    assert some(strategies.fields(), lambda drawn: drawn == field) == field


@STEADY
@given(st.data(), st.integers(3, 2**63), st.integers(0, 26))
def test_fields_are_as_large_as_asked(data: Any, least: int, order: int) -> None:
    field = data.draw(strategies.fields(least=least, longest_transform=2**order))
    assert field.modulus >= least
    assert field.longest_transform >= 2**order


def test_fields_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="least: got"):
        strategies.fields(least=2**63 + 1)
    with pytest.raises(ValueError, match="longest_transform: got"):
        strategies.fields(longest_transform=2**27)


@pytest.mark.parametrize("limbs", [2, 5, 9])
def test_wide_fields_have_two_words_and_many(limbs: int) -> None:
    assert some(strategies.wide_fields(), lambda field: field.limbs == limbs)


def test_the_named_wide_field_is_drawn() -> None:
    assert some(strategies.wide_fields(), lambda field: field == P257) == P257


@STEADY
@given(strategies.fields() | strategies.wide_fields(), st.integers(0, 6), st.data())
def test_polynomials_are_coefficients_of_the_field(
    field: PrimeField | WideField, degree: int, data: Any
) -> None:
    coefficients = data.draw(strategies.polynomials(field, max_degree=degree))
    assert 1 <= len(coefficients) <= degree + 1
    assert field.count_outside(coefficients) == 0
    assert field.to_integers(coefficients).shape == (len(coefficients),)


@pytest.mark.parametrize("terms", [1, 2, 5])
@pytest.mark.parametrize("field", [PrimeField(13), P50, P257])
def test_polynomials_have_every_degree(field: Any, terms: int) -> None:
    drawn = strategies.polynomials(field, max_degree=4)
    assert some(drawn, lambda found: len(found) == terms and found[-1].any()).any()


@pytest.mark.parametrize("field", [PrimeField(13), P50, P257])
def test_polynomials_have_the_largest_coefficient(field: Any) -> None:
    largest = field.from_integers([field.modulus - 1])
    drawn = strategies.polynomials(field, max_degree=0)
    assert some(drawn, lambda found: (found == largest).all()).any()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("modulus", [13, P50.modulus])
def test_every_layout_is_drawn_in_fields_small_and_large(layout: Any, modulus: int) -> None:
    found = some(
        anything,
        lambda dealing: (
            dealing.shares.layout == layout
            and dealing.shares.field.modulus == modulus
            and dealing.shares.shares > 2
        ),
    )
    assert found.shares.layout == layout


@pytest.mark.parametrize("layout", ["integers", "roots"])
@pytest.mark.parametrize("packed", [1, 2, 3])
def test_every_packing_is_drawn(layout: Any, packed: int) -> None:
    found = some(
        anything, lambda dealing: (dealing.shares.layout, dealing.shares.packed) == (layout, packed)
    )
    assert found.shares.packed == packed


@STEADY
@given(strategies.shares())
def test_shares_are_at_integers_unless_asked(dealing: Dealing) -> None:
    assert (dealing.shares.layout, dealing.shares.packed) == ("integers", 1)


@STEADY
@given(anything)
def test_shares_of_any_layout_rebuild_their_secret(dealing: Dealing) -> None:
    rebuilt = shamir.reconstruct(dealing.shares)
    np.testing.assert_array_equal(rebuilt, dealing.secret, strict=True)


@STEADY
@given(st.data(), st.integers(1, 9), st.integers(1, 4))
def test_shares_stay_within_the_numbers_asked(data: Any, count: int, threshold: int) -> None:
    field = data.draw(strategies.fields())
    shares = data.draw(
        strategies.shares(
            field=field,
            max_shares=count,
            max_threshold=threshold,
            bound=6,
            layouts=LAYOUTS,
            max_packed=2,
        )
    ).shares
    assert shares.field == field
    assert len(shares) == shares.shares <= count
    assert shares.threshold <= threshold
    assert shares.packed <= 2
    assert shares.bound == 6


@STEADY
@given(st.integers(0, 2**32 - 1))
def test_dealings_that_hypothesis_controls_are_dealt_again_alike(seed: int) -> None:
    dealt = []
    for _ in range(2):
        with randomness._test_source(random.Random(seed).randbytes):
            dealt.append(shamir.split(np.arange(3), shares=3, threshold=2).to_bytes())
    assert dealt[0] == dealt[1]


@STEADY
@given(st.data(), st.integers(0, 6), st.integers(0, 4))
def test_error_patterns_say_who_lies_and_by_what(data: Any, count: int, columns: int) -> None:
    most = data.draw(st.integers(0, count))
    least = data.draw(st.integers(0, most if columns else 0))
    field = data.draw(strategies.fields())
    liars, offsets = data.draw(
        strategies.error_patterns(field, count, most=most, least=least, columns=columns)
    )
    assert offsets.shape == (count, columns)
    assert field.count_outside(offsets) == 0
    assert liars == tuple(np.flatnonzero(offsets.any(axis=1)))
    assert least <= len(liars) <= most


@pytest.mark.parametrize("liars", range(5))
def test_error_patterns_of_any_number_of_liars_are_drawn(liars: int) -> None:
    patterns = strategies.error_patterns(P50, 4, most=4, columns=2)
    assert some(patterns, lambda errors: len(errors.liars) == liars)


@pytest.mark.parametrize("offset", [1, P50.modulus // 2])
def test_error_patterns_have_small_offsets_and_large(offset: int) -> None:
    patterns = strategies.error_patterns(P50, 4, most=4, columns=2)
    assert some(patterns, lambda errors: bool((errors.offsets >= offset).any())).liars


@settings(STEADY, max_examples=1)
@given(st.data())
def test_nobody_lies_about_nothing(data: Any) -> None:
    assert data.draw(strategies.error_patterns(P50, 3, most=3, columns=0)).liars == ()
    with pytest.raises(ValueError, match="columns: got 0"):
        data.draw(strategies.error_patterns(P50, 3, least=1, most=3, columns=0))


@STEADY
@given(anything, st.data())
def test_altered_shares_differ_in_as_many_rows_as_asked(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    assume(s.values.size)
    most = data.draw(st.integers(1, len(s)))
    altered = data.draw(strategies.altered(s, most=most))
    moved = (altered.rows != s.rows).any(axis=1)
    assert 1 <= np.count_nonzero(moved) <= most


def test_what_cannot_be_altered_is_refused() -> None:
    empty = shamir.split(np.zeros(0, int), shares=3, threshold=2)
    with pytest.raises(ValueError, match="shares: got an empty secret"):
        strategies.altered(empty, most=1)
    pattern = ErrorPattern((), np.zeros((2, 1), np.uint64))
    with pytest.raises(ValueError, match=r"shares: got rows of shape \(3, 0\), expected \(2, 1\)"):
        pattern.alter(empty)


@STEADY
@given(st.integers(0, 7), st.data())
def test_subsets_of_holders_are_within_the_sizes_asked(count: int, data: Any) -> None:
    least = data.draw(st.integers(0, count))
    most = data.draw(st.integers(least, count))
    chosen = data.draw(strategies.holders(count, least=least, most=most))
    assert least <= len(chosen) == len(set(chosen)) <= most
    assert set(chosen) <= set(range(count))
