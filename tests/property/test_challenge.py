"""Laws of checked sums: exactly the liars are named, whoever they are and whatever they alter."""

import operator
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from veilsum import shamir
from veilsum.errors import InsufficientShares
from veilsum.shamir.challenge import (
    Answers,
    Challenge,
    Commitment,
    MaskedShares,
    Opening,
    check_degree,
    check_sums,
    commit,
    deal_masks,
    disputed,
)
from veilsum.testing import strategies

STEADY = settings(deadline=None, derandomize=True)


class Dealers(NamedTuple):
    """What some dealers dealt, and what it adds up to."""

    total: NDArray[Any]
    dealt: list[MaskedShares]


@st.composite
def dealers(draw: st.DrawFn, *, most: int = 4) -> Dealers:
    """Dealings of equal shape, field and geometry, with room for their sum."""
    layouts: Any = ("integers", "roots")
    like = draw(strategies.shares(max_shares=6, bound=0, layouts=layouts, max_packed=3)).shares
    bound = like.field.limit // most
    secrets = draw(
        st.lists(strategies.secrets(bound=bound, shape=like.shape), min_size=1, max_size=most)
    )
    options: dict[str, Any] = {
        "shares": like.shares,
        "threshold": like.threshold,
        "packed": like.packed,
        "points": like.layout,
        "field": like.field,
    }
    dealt = [deal_masks(shamir.split(one, bound=bound, **options)) for one in secrets]
    return Dealers(np.sum([one.astype(object) for one in secrets], axis=0), dealt)


def totals(dealt: list[MaskedShares]) -> list[MaskedShares]:
    return [reduce(operator.add, (one[i] for one in dealt)) for i in range(len(dealt[0]))]


@STEADY
@given(dealers(), st.data())
def test_exactly_the_liars_are_named(given_dealers: Dealers, data: Any) -> None:
    total, dealt = given_dealers
    rows = totals(dealt)
    threshold, size = rows[0].shares.threshold, rows[0].shares.values.size
    assume(size)
    liars = data.draw(strategies.holders(len(rows), most=len(rows) - threshold))
    for liar in liars:
        lie = data.draw(strategies.altered(rows[liar].shares, most=1))
        rows[liar] = replace(rows[liar], shares=lie)
    pairs = [commit(row) for row in rows]
    challenge = Challenge.derive([c for c, _ in pairs], rows[0].shares, context=b"law")
    answers = [one.answer(challenge) for one in dealt]
    honest, named = check_sums([opening for _, opening in pairs], answers, challenge)
    assert named == tuple(sorted(int(rows[liar].shares.points[0]) for liar in liars))
    np.testing.assert_array_equal(shamir.reconstruct(honest), total)


@STEADY
@given(dealers(), st.data())
def test_fewer_honest_sums_than_the_threshold_are_refused(
    given_dealers: Dealers, data: Any
) -> None:
    dealt = given_dealers.dealt
    rows = totals(dealt)
    pairs = [commit(row) for row in rows]
    challenge = Challenge.derive([c for c, _ in pairs], rows[0].shares, context=b"law")
    answers = [one.answer(challenge) for one in dealt]
    few = data.draw(strategies.holders(len(rows), most=rows[0].shares.threshold - 1))
    with pytest.raises(InsufficientShares, match=f"{len(few)} of {len(few)} fit"):
        check_sums([pairs[holder][1] for holder in few], answers, challenge)


@STEADY
@given(dealers(most=1), st.data())
def test_a_degree_is_low_if_and_only_if_no_row_is_altered(
    given_dealers: Dealers, data: Any
) -> None:
    (dealt,) = given_dealers.dealt
    assume(len(dealt) > dealt.shares.threshold and dealt.shares.values.size)
    altered = dealt
    if data.draw(st.booleans()):
        most = len(dealt) - dealt.shares.threshold
        altered = replace(dealt, shares=data.draw(strategies.altered(dealt.shares, most=most)))
    rows = [altered[i] for i in range(len(altered))]
    challenge = Challenge.derive([commit(row)[0] for row in rows], dealt.shares, context=b"law")
    answers = Answers.join([row.answer(challenge) for row in rows])
    assert check_degree(answers, challenge) is (altered is dealt)


@STEADY
@given(dealers(most=1), st.data())
def test_a_dealing_is_one_of_zeros_if_and_only_if_every_secret_is_zero(
    given_dealers: Dealers, data: Any
) -> None:
    like = given_dealers.dealt[0].shares
    secret = np.zeros(like.shape, int)
    assume(secret.size)
    lies = data.draw(st.booleans())
    if lies:
        secret.flat[data.draw(st.integers(0, secret.size - 1))] = 1
    dealt = shamir.split(
        secret,
        shares=like.shares,
        threshold=like.threshold,
        packed=like.packed,
        points=like.layout,  # type: ignore[arg-type]
        field=like.field,
    )
    masked = deal_masks(replace(dealt, bound=0), zeros=True)
    rows = [masked[i] for i in range(len(masked))]
    challenge = Challenge.derive([commit(row)[0] for row in rows], masked.shares, context=b"law")
    answers = Answers.join([row.answer(challenge) for row in rows])
    assert check_degree(answers, challenge, zeros=True) is not lies


@STEADY
@given(dealers(most=1))
def test_what_was_written_is_read(given_dealers: Dealers) -> None:
    (dealt,) = given_dealers.dealt
    again = MaskedShares.from_bytes(dealt.to_bytes())
    np.testing.assert_array_equal(again.masks, dealt.masks)
    assert again.shares.to_bytes() == dealt.shares.to_bytes()
    for row in (dealt[i] for i in range(len(dealt))):
        commitment, opening = commit(row)
        assert Commitment.from_bytes(commitment.to_bytes()) == commitment
        assert Opening.from_bytes(opening.to_bytes()).commitment == commitment
    answers = Answers(points=dealt.shares.points, values=dealt.masks)
    assert Answers.from_bytes(answers.to_bytes()).to_bytes() == answers.to_bytes()


@STEADY
@given(dealers(most=1), st.data())
def test_exactly_the_holders_of_other_rows_dispute_an_answer(
    given_dealers: Dealers, data: Any
) -> None:
    (dealt,) = given_dealers.dealt
    assume(dealt.shares.values.size)
    other = data.draw(strategies.altered(dealt.shares, most=len(dealt)))
    moved = (other.values != dealt.shares.values).reshape(len(dealt), -1).any(axis=1)
    held = replace(dealt, shares=other)
    fixed = [commit(held[i])[0] for i in range(len(held))]
    challenge = Challenge.derive(fixed, dealt.shares, context=b"law")
    expected = tuple(dealt.shares.points[moved].tolist())
    assert disputed(held, dealt.answer(challenge), challenge) == expected
