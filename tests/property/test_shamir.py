"""Laws of secret sharing, over every field and size."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum import randomness, shamir
from veilsum.errors import DecodingError, InsufficientShares
from veilsum.shamir import Shares
from veilsum.testing import strategies
from veilsum.testing.strategies import Dealing

STEADY = settings(deadline=None, derandomize=True)

methods: st.SearchStrategy[Any] = st.sampled_from(["lagrange", "newton"])


@STEADY
@given(strategies.shares(), st.data(), methods)
def test_any_threshold_of_holders_rebuild(dealing: Dealing, data: Any, method: Any) -> None:
    secret, s = dealing
    chosen = data.draw(strategies.holders(len(s), least=s.threshold))
    rebuilt = shamir.reconstruct(s[chosen], method=method)
    np.testing.assert_array_equal(rebuilt, secret, strict=True)


@STEADY
@given(strategies.shares(), st.data(), methods)
def test_fewer_holders_are_refused(dealing: Dealing, data: Any, method: Any) -> None:
    s = dealing.shares
    chosen = data.draw(strategies.holders(len(s), most=s.threshold - 1))
    with pytest.raises(InsufficientShares):
        shamir.reconstruct(s[chosen], method=method)


@STEADY
@given(strategies.shares(), st.data())
def test_lagrange_and_newton_agree_bit_for_bit_even_on_altered_shares(
    dealing: Dealing, data: Any
) -> None:
    s = dealing.shares
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    noise = s.with_values(rng.integers(0, s.field.modulus, s.values.shape, np.uint64))
    for shares in (s, noise):
        lagrange = shamir.reconstruct(shares, method="lagrange", check=False)
        newton = shamir.reconstruct(shares, method="newton", check=False)
        np.testing.assert_array_equal(lagrange, newton, strict=True)


def outcome(shares: Shares, method: Any) -> str:
    try:
        return repr(shamir.reconstruct(shares, method=method))
    except DecodingError as error:
        return str(error)


@STEADY
@given(strategies.shares(), st.data())
def test_lagrange_and_newton_complain_alike(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    assume(s.values.size)
    altered = data.draw(strategies.altered(s, most=len(s)))
    assert outcome(altered, "lagrange") == outcome(altered, "newton")


@STEADY
@given(strategies.shares(), st.data(), methods)
def test_as_many_alterations_as_extra_shares_are_always_detected(
    dealing: Dealing, data: Any, method: Any
) -> None:
    s = dealing.shares
    chosen = data.draw(strategies.holders(len(s), least=s.threshold))
    assume(s.values.size and len(chosen) > s.threshold)
    altered = data.draw(strategies.altered(s[chosen], most=len(chosen) - s.threshold))
    with pytest.raises(DecodingError, match=f"the {len(chosen)} shares disagree"):
        shamir.reconstruct(altered, method=method)


@st.composite
def two_dealings(draw: st.DrawFn) -> tuple[Dealing, Dealing]:
    """Two dealings of equal shape, field and sizes, with room for their sum."""
    field = draw(strategies.fields())
    shape = draw(strategies.shapes(max_dims=2))
    count = draw(st.integers(1, 6))
    threshold = draw(st.integers(1, count))
    bound = draw(st.integers(0, field.limit // 6))
    dealings = []
    for _ in range(2):
        secret = draw(strategies.secrets(bound=bound, shape=shape))
        shares = shamir.split(secret, shares=count, threshold=threshold, field=field, bound=bound)
        dealings.append(Dealing(secret, shares))
    return dealings[0], dealings[1]


@STEADY
@given(two_dealings(), st.integers(-3, 3), st.integers(-3, 3), methods)
def test_sharing_is_linear(
    dealings: tuple[Dealing, Dealing], left: int, right: int, method: Any
) -> None:
    (a, s), (b, t) = dealings
    combined = left * s + t * right
    expected = left * a.astype(object) + right * b.astype(object)
    rebuilt = shamir.reconstruct(combined, method=method)
    assert rebuilt.dtype == np.int64
    np.testing.assert_array_equal(rebuilt, expected)
    assert np.abs(rebuilt).max(initial=0) <= combined.bound


@STEADY
@given(two_dealings(), st.data())
def test_holders_may_add_their_rows_alone(dealings: tuple[Dealing, Dealing], data: Any) -> None:
    (a, s), (b, t) = dealings
    chosen = data.draw(strategies.holders(len(s), least=s.threshold))
    rows = [s[holder] - t[holder] for holder in chosen]
    joined = Shares.join([Shares.from_bytes(row.to_bytes()) for row in rows])
    assert joined.dealing == (s - t).dealing
    expected = a.astype(object) - b.astype(object)
    np.testing.assert_array_equal(shamir.reconstruct(joined), expected)


@STEADY
@given(strategies.shares(), st.data())
def test_bytes_come_back(dealing: Dealing, data: Any) -> None:
    s = dealing.shares[data.draw(strategies.holders(len(dealing.shares)))]
    data_of_s = s.to_bytes()
    t = Shares.from_bytes(data_of_s)
    np.testing.assert_array_equal(t.values, s.values, strict=True)
    np.testing.assert_array_equal(t.points, s.points, strict=True)
    assert t.to_bytes() == data_of_s
    assert repr(t) == repr(s)


@STEADY
@given(strategies.shares(), st.data())
def test_altered_bytes_are_refused_or_other_shares(dealing: Dealing, data: Any) -> None:
    message = bytearray(dealing.shares.to_bytes())
    position = data.draw(st.integers(0, len(message) - 1))
    message[position] ^= data.draw(st.integers(1, 255))
    try:
        shares = Shares.from_bytes(bytes(message))
    except ValueError:
        return
    assert shares.to_bytes() == message


@settings(STEADY, max_examples=20)
@given(strategies.shares(max_shares=40, bound=6))
def test_many_holders_rebuild(dealing: Dealing) -> None:
    for method in ("lagrange", "newton"):
        rebuilt = shamir.reconstruct(dealing.shares, method=method)
        np.testing.assert_array_equal(rebuilt, dealing.secret, strict=True)


def test_a_modulus_above_every_field_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="least: got"):
        strategies.fields(least=2**63 + 1)


@settings(STEADY, max_examples=1)
@given(st.data())
def test_an_empty_secret_cannot_be_altered(data: Any) -> None:
    empty = shamir.split(np.zeros(0, int), shares=3, threshold=2)
    with pytest.raises(ValueError, match="shares: got an empty secret"):
        data.draw(strategies.altered(empty, most=1))


@STEADY
@given(strategies.shares(max_shares=5), st.data())
def test_altered_shares_differ_in_as_many_rows_as_asked(dealing: Dealing, data: Any) -> None:
    s = dealing.shares
    assume(s.values.size)
    most = data.draw(st.integers(1, len(s)))
    altered = data.draw(strategies.altered(s, most=most))
    moved = (altered.values != s.values).reshape(len(s), -1).any(axis=1)
    assert 1 <= np.count_nonzero(moved) <= most


@STEADY
@given(st.integers(0, 2**32 - 1))
def test_dealings_that_hypothesis_controls_are_dealt_again_alike(seed: int) -> None:
    secret = np.arange(3)
    with randomness._test_source(random.Random(seed).randbytes):
        s = shamir.split(secret, shares=3, threshold=2)
    with randomness._test_source(random.Random(seed).randbytes):
        t = shamir.split(secret, shares=3, threshold=2)
    assert s.to_bytes() == t.to_bytes()
