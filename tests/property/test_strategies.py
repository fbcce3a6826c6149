"""The strategies that users get: what they promise, and that nothing they promise is missing."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st

from veilsum import randomness, shamir
from veilsum.encoding import FixedPoint
from veilsum.field import GOLDILOCKS, MERSENNE61, P50, P257, PrimeField, WideField
from veilsum.protocols import Heartbeat
from veilsum.protocols.paillier import Combined
from veilsum.protocols.plain import Update
from veilsum.protocols.sharing import Summed
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


ADDRESS = {"session_id": bytes(32), "sender": "client-0", "recipient": "server"}


@STEADY
@given(st.integers(1, 4), st.data())
def test_rosters_are_ascending_and_as_large_as_asked(least: int, data: Any) -> None:
    most = data.draw(st.integers(least, 6))
    roster = data.draw(strategies.rosters(least=least, most=most))
    assert least <= len(roster) <= most
    assert list(roster) == sorted(set(roster))
    assert roster[0] >= 0


@pytest.mark.parametrize("wanted", [(0, 1), (0, 3), (2, 3)])
def test_rosters_have_gaps_and_need_not_begin_at_zero(wanted: tuple[int, ...]) -> None:
    assert some(strategies.rosters(least=2), lambda roster: roster == wanted) == wanted


@STEADY
@given(strategies.rosters(), strategies.encodings(), st.integers(1, 3), st.data())
def test_updates_are_accepted_by_their_encoding(
    roster: tuple[int, ...], encoding: FixedPoint, length: int, data: Any
) -> None:
    updates = data.draw(strategies.updates(roster, encoding=encoding, length=length))
    assert set(updates) == set(roster)
    for update in updates.values():
        assert encoding.quantise(update).shape == (length,)


@STEADY
@given(strategies.rosters(), st.integers(0, 3), st.data())
def test_dropouts_are_clients_of_the_roster(roster: tuple[int, ...], most: int, data: Any) -> None:
    gone = data.draw(strategies.dropouts(roster, most=most))
    assert len(gone) <= most
    assert gone <= set(roster)


def test_all_clients_may_drop_out() -> None:
    assert some(strategies.dropouts((1, 5)), lambda gone: len(gone) == 2) == {1, 5}


@STEADY
@given(st.binary(min_size=1), st.data())
def test_damaged_bytes_are_never_those_that_were_sent(sent: bytes, data: Any) -> None:
    assert data.draw(strategies.damaged(sent)) != sent


@pytest.mark.parametrize("size", [0, 2, 3, 4])
def test_damaged_bytes_are_shorter_as_long_and_longer(size: int) -> None:
    assert len(some(strategies.damaged(b"abc"), lambda damaged: len(damaged) == size)) == size


LISTS = Combined(**ADDRESS, clients=(0, 2, 5), ciphertexts=b"")


@pytest.mark.parametrize(
    "clients", [(), (0, 5), (0, 2, 5, 5), (5, 2, 0), (0, 2, 4, 5), (1,)], ids=str
)
def test_lies_about_a_list_leave_out_repeat_reorder_and_add(clients: tuple[int, ...]) -> None:
    assert some(strategies.lies(LISTS), lambda lie: lie.clients == clients).ciphertexts == b""


def test_lies_are_about_bytes_numbers_arrays_and_shares() -> None:
    message = Combined(**ADDRESS, clients=(), ciphertexts=b"abc")
    assert some(strategies.lies(message), lambda lie: lie.ciphertexts != b"abc").clients == ()
    beat = Heartbeat(**ADDRESS, beat=3)
    assert some(strategies.lies(beat), lambda lie: lie.beat == 7).recipient == "server"
    update = Update(**ADDRESS, digits=np.array([1, -2, 3]))
    lie = some(strategies.lies(update), lambda lie: bool(lie.digits[1] > 2**40))
    assert lie.digits.dtype == np.int64
    assert lie.digits[[0, 2]].tolist() == [1, 3]
    assert update.digits.tolist() == [1, -2, 3]
    row = shamir.split([7, 8], shares=3, threshold=2)[1]
    summed = Summed(**ADDRESS, shares=row)
    lie = some(strategies.lies(summed), lambda lie: lie.shares is not row)
    assert (lie.shares.values != row.values).any()


@STEADY
@given(st.sampled_from([LISTS, Heartbeat(**ADDRESS, beat=3)]), st.data())
def test_lies_keep_the_address_and_are_not_signed(message: Any, data: Any) -> None:
    lie = data.draw(strategies.lies(message))
    assert type(lie) is type(message)
    assert {name: getattr(lie, name) for name in ADDRESS} == ADDRESS
    assert lie.signature == b""
    assert type(lie).from_bytes(lie.to_bytes()).digest == lie.digest


def test_a_message_with_nothing_to_lie_about_stays_as_it_is() -> None:
    empty = Combined(**ADDRESS, clients=(), ciphertexts=b"")
    assert some(strategies.lies(empty), lambda lie: not lie.clients).to_bytes() == empty.to_bytes()
