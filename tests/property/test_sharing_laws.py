"""Laws of secret sharing, over every layout, packing, field and size."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum import randomness, shamir
from veilsum.errors import (
    BudgetExceeded,
    DecodingError,
    DuplicateShare,
    InconsistentShares,
    InsufficientShares,
)
from veilsum.field import GOLDILOCKS, P50
from veilsum.shamir import NewtonReconstruction, Shares
from veilsum.shamir.geometry import LAYOUTS, require_geometry
from veilsum.testing import strategies
from veilsum.testing.strategies import Dealing

STEADY = settings(deadline=None, derandomize=True, max_examples=60)

anything = strategies.shares(layouts=LAYOUTS, max_packed=3)
polynomial = strategies.shares(layouts=("integers", "roots"), max_packed=3)
large = st.sampled_from([P50, GOLDILOCKS]).flatmap(
    lambda field: strategies.shares(field=field, layouts=LAYOUTS, max_packed=3)
)


def methods(shares: Shares) -> list[Any]:
    return {
        "integers": ["auto", "lagrange", "newton"],
        "roots": ["auto", "lagrange", "newton", "fft"],
        "additive": ["auto", "lagrange"],
    }[shares.layout]


def same(got: Any, secret: Any) -> None:
    np.testing.assert_array_equal(got, secret, strict=True)


# Rebuilding


@STEADY
@given(anything, st.data())
def test_any_threshold_of_holders_rebuild_by_every_method(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    chosen = data.draw(strategies.holders(len(s), least=s.threshold))
    for method in methods(s):
        same(shamir.reconstruct(s[chosen], method=method), secret)


@STEADY
@given(anything, st.data())
def test_fewer_holders_are_refused_by_every_method(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    chosen = data.draw(strategies.holders(len(s), most=s.threshold - 1))
    for method in methods(s):
        with pytest.raises(InsufficientShares):
            shamir.reconstruct(s[chosen], method=method)


@STEADY
@given(anything, st.data(), st.integers(0, 2**32 - 1))
def test_methods_agree_bit_for_bit_on_honest_shares_and_on_noise(
    dealing: Dealing, data: Any, seed: int
) -> None:
    s = dealing.shares
    rng = np.random.default_rng(seed)
    noise = s.with_values(rng.integers(0, s.field.modulus, s.values.shape, np.uint64))
    chosen = data.draw(strategies.holders(len(s), least=s.threshold))
    for shares in (s[chosen], noise[chosen]):
        first, *others = (
            shamir.reconstruct(shares, method=method, check=False) for method in methods(s)
        )
        for other in others:
            same(other, first)


def outcome(shares: Shares, method: Any) -> str:
    try:
        return repr(shamir.reconstruct(shares, method=method))
    except DecodingError as error:
        return str(error)


@STEADY
@given(anything, st.data())
def test_methods_complain_alike(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    assume(s.values.size)
    altered = data.draw(strategies.altered(s, most=len(s)))
    assert len({outcome(altered, method) for method in methods(s)}) == 1


@STEADY
@given(polynomial, st.data())
def test_as_many_alterations_as_extra_shares_are_always_detected(
    dealing: Dealing, data: Any
) -> None:
    s = dealing.shares
    assume(s.values.size and len(s) > s.threshold)
    altered = data.draw(strategies.altered(s, most=len(s) - s.threshold))
    for method in methods(s):
        with pytest.raises(DecodingError, match=f"the {len(s)} shares disagree"):
            shamir.reconstruct(altered, method=method)


@STEADY
@given(polynomial, st.data())
def test_liars_are_named_and_left_out(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    radius = (len(s) - s.threshold) // 2
    columns = s.rows.shape[1]
    errors = data.draw(strategies.error_patterns(s.field, len(s), most=radius, columns=columns))
    order = data.draw(st.permutations(range(len(s))))
    altered = errors.alter(s)[order]
    named = shamir.find_liars(altered, max_errors=radius)
    assert named == tuple(position + 1 for position in errors.liars)
    for method in methods(s):
        same(shamir.reconstruct(altered, method=method, max_errors=radius), secret)


@settings(STEADY, max_examples=20)
@given(strategies.shares(max_shares=40, bound=6, layouts=LAYOUTS, max_packed=10))
def test_many_holders_rebuild(dealing: Dealing) -> None:
    secret, s = dealing
    for method in methods(s):
        same(shamir.reconstruct(s, method=method), secret)
        same(shamir.reconstruct(s[-s.threshold :], method=method), secret)


# One share after the other


@STEADY
@given(polynomial, st.data())
def test_newton_is_done_exactly_at_the_threshold_in_any_order(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    newton = NewtonReconstruction()
    assert newton.missing is None
    for count, position in enumerate(data.draw(st.permutations(range(len(s)))), start=1):
        assert newton.done == (count > s.threshold)
        if not newton.done:
            with pytest.raises(InsufficientShares):
                newton.secret()
        assert newton.add(s[position]) == newton.done == (count >= s.threshold)
        assert newton.missing == max(0, s.threshold - count)
        if newton.done:
            same(newton.secret(), secret)


@STEADY
@given(polynomial, st.data())
def test_newton_takes_no_row_twice_and_no_other_dealing(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    taken = data.draw(strategies.holders(len(s), least=1))
    newton = NewtonReconstruction()
    newton.add(s[taken])
    missing = newton.missing
    with pytest.raises(DuplicateShare):
        newton.add(s[data.draw(st.sampled_from(taken))])
    for foreign in (replace(s, dealing=s.dealing ^ 1), -s):
        with pytest.raises(InconsistentShares):
            newton.add(foreign)
    assert newton.missing == missing
    rest = [position for position in range(len(s)) if position not in taken]
    assert newton.add(s[rest])
    same(newton.secret(), secret)


@STEADY
@given(polynomial, st.data())
def test_newton_refuses_a_lying_extra_share_and_goes_on(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    assume(s.values.size and len(s) > s.threshold)
    order = data.draw(st.permutations(range(len(s))))
    newton = NewtonReconstruction()
    newton.add(s[order[: s.threshold]])
    for position in order[s.threshold :]:
        lie = data.draw(strategies.altered(s[position], most=1))
        with pytest.raises(DecodingError, match="disagrees with those before"):
            newton.add(lie)
        assert newton.add(s[position])
    same(newton.secret(), secret)


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 7])
@pytest.mark.parametrize("points", ["integers", "roots"])
def test_what_fills_the_last_column_up_is_no_secret(size: int, points: Any) -> None:
    secret = np.arange(size) - 2
    s = shamir.split(secret, shares=5, threshold=4, packed=3, points=points, bound=4)
    newton = NewtonReconstruction()
    assert newton.add(s)
    same(newton.secret(), secret)
    outside = s.with_values(s.field.add(s.values, 10))  # every secret, and what is none
    messages = {outcome(outside, method) for method in methods(s)}
    expected = f"{size} of {size} elements are beyond the secret's bound 4"
    assert len(messages) == 1
    assert expected in messages.pop() or not size


def test_a_threshold_out_of_reach_costs_newton_no_memory() -> None:
    one = shamir.split([1, 2], shares=3, threshold=2)[:1]
    hostile = replace(one, threshold=2**45, shares=2**45)
    newton = NewtonReconstruction()
    assert not newton.add(hostile)
    assert newton.missing == 2**45 - 1


# Computing on shares


@st.composite
def dealings(draw: st.DrawFn) -> list[Dealing]:
    """Three dealings of one shape and geometry, with room for their sum and small multiples."""
    first = draw(strategies.shares(bound=0, layouts=LAYOUTS, max_packed=3)).shares
    bound = draw(st.integers(0, first.field.limit // 12))
    made = []
    for _ in range(3):
        secret = draw(strategies.secrets(bound=bound, shape=first.shape))
        made.append(Dealing(secret, dealt_like(first, secret, bound)))
    return made


def dealt_like(shares: Shares, secret: Any, bound: int) -> Shares:
    if shares.layout == "additive":
        return shamir.split_additive(secret, shares=shares.shares, field=shares.field, bound=bound)
    return shamir.split(
        secret,
        shares=shares.shares,
        threshold=shares.threshold,
        packed=shares.packed,
        points=shares.layout,
        field=shares.field,
        bound=bound,
    )


@STEADY
@given(dealings(), st.lists(st.integers(-4, 4), min_size=3, max_size=3))
def test_sharing_is_linear(made: list[Dealing], factors: list[int]) -> None:
    secrets = [secret.astype(object) for secret, _ in made]
    a, b, c = (dealing.shares for dealing in made)
    x, y, z = factors
    combined = x * a + b * y - (-c) * z
    expected = x * secrets[0] + y * secrets[1] + z * secrets[2]
    rebuilt = shamir.reconstruct(combined)
    assert rebuilt.dtype == np.int64
    np.testing.assert_array_equal(rebuilt, expected)
    total: Any = sum([a, b, c])
    np.testing.assert_array_equal(shamir.reconstruct(total), sum(secrets))
    assert combined.bound == sum(abs(factor) * a.bound for factor in factors)
    assert (combined.layout, combined.packed) == (a.layout, a.packed)


@STEADY
@given(dealings(), st.data())
def test_holders_may_compute_on_their_rows_alone(made: list[Dealing], data: Any) -> None:
    a, b, c = (dealing.shares for dealing in made)
    chosen = data.draw(strategies.holders(len(a), least=a.threshold))
    rows = [a[holder] - 2 * b[holder] + c[holder] for holder in chosen]
    joined = Shares.join([Shares.from_bytes(row.to_bytes()) for row in rows])
    same(joined.values, (a - 2 * b + c)[chosen].values)
    same(shamir.reconstruct(joined), shamir.reconstruct(a - 2 * b + c))


@STEADY
@given(anything)
def test_products_beyond_the_budget_are_refused(dealing: Dealing) -> None:
    s = dealing.shares
    assume(s.bound)
    with pytest.raises(BudgetExceeded):
        s * (s.field.limit // s.bound + 1)


# What shares say of themselves, and as bytes


@STEADY
@given(anything, st.data())
def test_shares_know_their_holders_and_their_privacy(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    chosen = data.draw(strategies.holders(len(s)))
    assert s[chosen].holders == tuple(position + 1 for position in chosen)
    assert s.privacy == s.threshold - s.packed
    assert s.rows.shape == (len(s), -(-dealing.secret.size // s.packed))


@STEADY
@given(anything, st.data())
def test_bytes_come_back(dealing: Dealing, data: Any) -> None:
    s = dealing.shares[data.draw(strategies.holders(len(dealing.shares)))]
    message = s.to_bytes()
    t = Shares.from_bytes(message)
    same(t.values, s.values)
    same(t.points, s.points)
    assert t.to_bytes() == message
    assert repr(t) == repr(s)
    assert t.dealing == s.dealing


@STEADY
@given(anything, st.data())
def test_altered_bytes_are_refused_or_other_shares(dealing: Dealing, data: Any) -> None:
    message = bytearray(dealing.shares.to_bytes())
    # The header holds what is new to layouts: look there more often than among the values.
    position = data.draw(st.integers(14, 60) | st.integers(0, len(message) - 1))
    message[position] ^= data.draw(st.integers(1, 255))
    try:
        shares = Shares.from_bytes(bytes(message))
    except ValueError:
        return
    assert shares.to_bytes() == message


@STEADY
@given(anything, st.data())
def test_rows_join_in_any_grouping(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    order = data.draw(st.permutations(range(len(s))))
    cut = data.draw(st.integers(0, len(s)))
    joined = Shares.join([s[order[:cut]], s[order[cut:]]])
    assert joined.holders == tuple(position + 1 for position in order)
    same(shamir.reconstruct(joined), dealing.secret)


# Other shares of the same secret


def mixed(old: Shares, new: Shares) -> Iterator[Shares]:
    """Exactly enough rows, some old and some new, as if all were of the old dealing."""
    for places in combinations(range(len(old)), old.threshold):
        for cut in range(1, old.threshold):
            values = new.values.copy()
            values[list(places[:cut])] = old.values[list(places[:cut])]
            yield old.with_values(values)[list(places)]


@STEADY
@given(anything, st.integers(1, 3))
def test_refreshed_shares_hold_the_same_secret(dealing: Dealing, count: int) -> None:
    secret, s = dealing
    zeros = [shamir.deal_zeros(s) for _ in range(count)]
    for zero in zeros:
        same(shamir.reconstruct(zero), np.zeros_like(secret))
    renewed = shamir.refresh(s, zeros)
    assert (renewed.dtype, renewed.bound) == (s.dtype, s.bound)
    same(shamir.reconstruct(renewed[: s.threshold]), secret)
    alone = [shamir.refresh(s[i], [zero[i] for zero in zeros]) for i in range(len(s))]
    same(Shares.join(alone).values, renewed.values)
    with pytest.raises(InconsistentShares, match="dealing"):
        Shares.join([s[:1], renewed[1:]])


@STEADY
@given(large)
def test_old_and_refreshed_shares_do_not_combine(dealing: Dealing) -> None:
    secret, s = dealing
    assume(secret.size and s.privacy)
    renewed = shamir.refresh(s, [shamir.deal_zeros(s)])
    for shares in mixed(s, renewed):
        rebuilt = shamir.reconstruct(shares, check=False)
        assert (rebuilt != secret).any()


@st.composite
def moves(draw: st.DrawFn) -> tuple[Dealing, dict[str, Any]]:
    """A dealing, and the geometry that it moves to."""
    dealing = draw(strategies.shares(max_shares=5, layouts=LAYOUTS, max_packed=3))
    s = dealing.shares
    points = draw(st.sampled_from(["integers", "roots"]))
    least = s.packed + 1 if s.packed > 1 else 1
    counts = [n for n in range(least, 8) if has_room(s, points, n)]
    assume(counts)
    count = draw(st.sampled_from(counts))
    threshold = draw(st.integers(least, count))
    return dealing, {"shares": count, "threshold": threshold, "points": points}


def has_room(shares: Shares, points: Any, count: int) -> bool:
    try:
        require_geometry(shares.field, points, count, count, shares.packed)
    except ValueError:
        return False
    return True


@STEADY
@given(moves(), st.data())
def test_secrets_move_to_other_holders_thresholds_and_layouts(
    case: tuple[Dealing, dict[str, Any]], data: Any
) -> None:
    (secret, s), target = case
    chosen = data.draw(strategies.holders(len(s), least=s.threshold, most=s.threshold))
    among = [position + 1 for position in chosen]
    parts = [shamir.reshare(s[position], among=among, **target) for position in chosen]
    rows = [
        shamir.join_reshared([part[holder] for part in parts]) for holder in range(target["shares"])
    ]
    moved = Shares.join(rows)
    assert (moved.layout, moved.threshold) == (target["points"], target["threshold"])
    assert (moved.packed, moved.bound, moved.dtype) == (s.packed, s.bound, s.dtype)
    taking = data.draw(strategies.holders(len(moved), least=moved.threshold))
    for method in methods(moved):
        same(shamir.reconstruct(moved[taking], method=method), secret)
    with pytest.raises(InconsistentShares):
        Shares.join([s[0], moved[:1]])


@pytest.mark.parametrize("among", [(1, 7), (0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_holders_who_exist_take_part_in_a_move(layout: Any, among: tuple[int, int]) -> None:
    if layout == "additive":
        s = shamir.split_additive([5], shares=2)
    else:
        s = shamir.split([5], shares=2, threshold=2, points=layout)
    with pytest.raises(InconsistentShares, match="among: got"):
        shamir.reshare(s[0], among=among, shares=3, threshold=2)


@STEADY
@given(strategies.shares(layouts=["additive"], max_shares=6), st.data())
def test_additive_shares_add_up_and_all_are_needed(dealing: Dealing, data: Any) -> None:
    secret, s = dealing
    assert (s.threshold, s.privacy) == (len(s), len(s) - 1)
    total = s.field.matmul(np.ones((1, len(s)), np.uint64), s.rows)
    np.testing.assert_array_equal(s.field.centre(total).reshape(s.shape), secret)
    missing = data.draw(strategies.holders(len(s), most=len(s) - 1))
    with pytest.raises(InsufficientShares):
        shamir.reconstruct(s[missing])
    with pytest.raises(ValueError, match="additive"):
        NewtonReconstruction().add(s)
    with pytest.raises(ValueError, match="additive"):
        shamir.find_liars(s, max_errors=0)


# Privacy: see also tests/exhaustive/test_tiny_layouts.py, where it is exact


_COLUMNS = 1 << 16
_CELLS = 16
# The statistic has (about) the mean 255 and the deviation sqrt(510); ten deviations are far beyond
# what uniform shares give (a chance below 1e-16), and far below what a bias of a few percent gives.
_MOST = 255 + 10 * 510**0.5


def chi_square(left: Any, right: Any, modulus: int) -> float:
    """How far the joint distribution of two rows, in 16 x 16 cells, is from uniform."""
    cells = [(row.astype(float) / modulus * _CELLS).astype(int) for row in (left, right)]
    counts = np.bincount(cells[0] * _CELLS + cells[1], minlength=_CELLS**2)
    expected = len(left) / _CELLS**2
    return float(((counts - expected) ** 2).sum() / expected)


@pytest.mark.parametrize(
    ("layout", "count", "threshold", "packed"),
    [
        ("integers", 5, 3, 1),
        ("integers", 5, 4, 2),
        ("roots", 5, 3, 1),
        ("roots", 5, 4, 2),
        ("additive", 3, 3, 1),
    ],
)
def test_any_two_shares_below_the_threshold_look_uniform(
    layout: Any, count: int, threshold: int, packed: int
) -> None:
    secret = np.full(packed * _COLUMNS, 12345)  # nothing random but what is drawn
    with randomness._test_source(random.Random(7).randbytes):
        if layout == "additive":
            s = shamir.split_additive(secret, shares=count, threads=1)
        else:
            s = shamir.split(
                secret, shares=count, threshold=threshold, packed=packed, points=layout, threads=1
            )
    assert s.privacy == 2
    for left, right in combinations(s.rows, 2):
        assert chi_square(left, right, P50.modulus) < _MOST


def test_the_measure_of_uniformity_sees_a_small_bias() -> None:
    rng = np.random.default_rng(7)
    left, right = rng.integers(0, P50.modulus, (2, _COLUMNS), np.uint64)
    assert chi_square(left, right, P50.modulus) < _MOST
    few = _COLUMNS // 10
    biased, repeated = left.copy(), right.copy()
    biased[:few] //= 2
    repeated[:few] = left[:few]
    assert chi_square(biased, right, P50.modulus) > _MOST
    assert chi_square(left, repeated, P50.modulus) > _MOST
