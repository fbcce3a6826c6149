"""Other shares of the same secret: refreshed, or dealt on to other holders; every error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from veilsum import shamir
from veilsum.errors import DuplicateShare, InconsistentShares, InsufficientShares
from veilsum.shamir import Shares

SECRET = [7, -8, 9]


def dealt(secret: Any = SECRET, **options: Any) -> Shares:
    return shamir.split(secret, **{"shares": 4, "threshold": 2} | options)


def resharings(s: Shares, *among: int, **options: Any) -> list[Shares]:
    """One part from each of these old holders."""
    target = {"shares": 5, "threshold": 3} | options
    return [shamir.reshare(s[number - 1], among=among, **target) for number in among]


class TestDealZeros:
    @pytest.mark.parametrize("points", ["integers", "roots"])
    def test_they_are_like_the_shares_and_hold_zeros(self, points: Any) -> None:
        s = dealt(np.array([[1, 2], [3, 4]], np.int16), threshold=3, packed=2, points=points)
        zeros = shamir.deal_zeros(s[:1])
        for name in ("threshold", "shares", "shape", "field", "dtype", "layout", "packed"):
            assert getattr(zeros, name) == getattr(s, name)
        assert (len(zeros), zeros.bound) == (4, 0)
        assert zeros.dealing != s.dealing
        assert zeros.values.any()
        np.testing.assert_array_equal(
            shamir.reconstruct(zeros), np.zeros((2, 2), np.int16), strict=True
        )

    def test_no_shares_are_refused(self) -> None:
        with pytest.raises(TypeError, match="like: got list, expected Shares"):
            shamir.deal_zeros([1])  # type: ignore[arg-type]


class TestRefresh:
    @pytest.mark.parametrize("dtype", ["bool", "int8", "uint64"])
    def test_secret_dtype_and_bound_stay_and_the_tag_does_not(self, dtype: str) -> None:
        s = dealt(np.ones(3, dtype), bound=5)
        renewed = shamir.refresh(s, [shamir.deal_zeros(s), shamir.deal_zeros(s)])
        assert (renewed.dtype, renewed.bound) == (np.dtype(dtype), 5)
        assert renewed.dealing != s.dealing
        assert (renewed.values != s.values).all()
        np.testing.assert_array_equal(shamir.reconstruct(renewed), np.ones(3, dtype), strict=True)
        with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
            Shares.join([s[:1], renewed[1:]])

    def test_no_zeros_are_refused(self) -> None:
        with pytest.raises(InsufficientShares, match="zeros: got none"):
            shamir.refresh(dealt(), [])

    def test_a_dealing_that_may_hold_something_else_is_refused(self) -> None:
        s = dealt()
        for bound in (1, s.bound):
            with pytest.raises(InconsistentShares, match=f"a dealing of bound {bound}, expected 0"):
                shamir.refresh(s, [shamir.deal_zeros(s), dealt([0, 0, 0], bound=bound)])

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"threshold": 3}, "threshold"),
            ({"shares": 5}, "shares"),
            ({"points": "roots"}, "layout"),
            ({"secret": [0]}, "shape"),
        ],
    )
    def test_zeros_of_another_geometry_are_refused(
        self, change: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(InconsistentShares, match=f"{named}: got"):
            shamir.refresh(dealt(), [shamir.deal_zeros(dealt(**change))])

    def test_zeros_of_other_holders_are_refused(self) -> None:
        s = dealt()
        with pytest.raises(InconsistentShares, match="points: got"):
            shamir.refresh(s[:2], [shamir.deal_zeros(s)[1:3]])

    def test_no_shares_are_refused(self) -> None:
        s = dealt()
        with pytest.raises(TypeError, match="shares: got NoneType, expected Shares"):
            shamir.refresh(None, [s])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="zeros: got int, expected Shares"):
            shamir.refresh(s, [0])  # type: ignore[list-item]


class TestReshare:
    def test_parts_keep_what_is_public_and_take_the_new_geometry(self) -> None:
        s = dealt(np.array(SECRET, np.int8), bound=9)
        for part in resharings(s, 1, 3, points="roots"):
            assert (part.shape, part.dtype, part.bound) == ((3,), np.dtype(np.int8), 9)
            assert (part.layout, part.shares, part.threshold, len(part)) == ("roots", 5, 3, 5)

    @pytest.mark.parametrize(
        ("among", "error", "message"),
        [
            ((1,), InsufficientShares, "among: got 1 holders, expected the threshold 2"),
            ((1, 2, 3), InsufficientShares, "among: got 3 holders, expected the threshold 2"),
            ((1, 1), InconsistentShares, "expected different holders, 1 one of them"),
            ((2, 3), InconsistentShares, "expected different holders, 1 one of them"),
            ((1, 5), InconsistentShares, r"among: got \[1, 5\], expected numbers from 1 to 4"),
            ((1, 0), InconsistentShares, r"among: got \[1, 0\], expected numbers from 1 to 4"),
            ((1, 2.0), TypeError, "among: got float"),
            ((True, 2), TypeError, "among: got bool"),
        ],
    )
    def test_who_takes_part_is_checked(
        self, among: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            shamir.reshare(dealt()[0], among=among, shares=5, threshold=3)

    @pytest.mark.parametrize("holders", [[], [0, 1]])
    def test_only_one_row_is_dealt_on(self, holders: list[int]) -> None:
        with pytest.raises(InconsistentShares, match=f"row: got the rows of {len(holders)}"):
            shamir.reshare(dealt()[holders], among=(1, 2), shares=5, threshold=3)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"points": "additive"}, ValueError, "points: got 'additive'"),
            ({"shares": 2}, ValueError, "threshold, shares: got 3 and 2"),
            ({"shares": 5.0}, TypeError, "shares: got float"),
            ({"threshold": "3"}, TypeError, "threshold: got str"),
            ({"threshold": 2}, ValueError, "packed: got 2, expected 1 to 1 for the threshold 2"),
        ],
    )
    def test_a_new_geometry_out_of_range_is_refused(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        s = dealt(threshold=3, packed=2)
        with pytest.raises(error, match=message):
            resharings(s, 1, 2, 3, **change)

    def test_no_shares_are_refused(self) -> None:
        with pytest.raises(TypeError, match="row: got int, expected Shares"):
            shamir.reshare(1, among=(1,), shares=2, threshold=1)  # type: ignore[arg-type]


class TestJoinReshared:
    @pytest.mark.parametrize("among", [(1, 3), (3, 1), (4, 2)])
    def test_the_order_of_old_holders_does_not_matter(self, among: tuple[int, int]) -> None:
        parts = resharings(dealt(), *among)
        joined = shamir.join_reshared(parts)
        again = shamir.join_reshared(parts[::-1])
        np.testing.assert_array_equal(joined.values, again.values)
        assert joined.dealing == again.dealing
        for chosen in ([0, 1, 2], [4, 2, 0], [1, 2, 3, 4]):
            assert shamir.reconstruct(joined[chosen]).tolist() == SECRET

    def test_old_holders_may_name_each_other_in_any_order(self) -> None:
        s = dealt()
        parts = [
            shamir.reshare(s[0], among=(1, 3), shares=5, threshold=3),
            shamir.reshare(s[2], among=(3, 1), shares=5, threshold=3),
        ]
        assert shamir.reconstruct(shamir.join_reshared(parts)).tolist() == SECRET

    def test_new_holders_join_their_rows_alone(self) -> None:
        parts = resharings(dealt(), 2, 4)
        rows = [shamir.join_reshared([part[j] for part in parts]) for j in (4, 0, 3)]
        assert shamir.reconstruct(Shares.join(rows)).tolist() == SECRET

    def test_summands_are_dealt_on(self) -> None:
        s = shamir.split_additive(SECRET, shares=3)
        joined = shamir.join_reshared(resharings(s, 1, 2, 3))
        assert shamir.reconstruct(joined[1:4]).tolist() == SECRET

    def test_a_single_old_holder_is_enough_where_everyone_has_the_secret(self) -> None:
        joined = shamir.join_reshared(resharings(dealt(threshold=1), 2))
        assert shamir.reconstruct(joined[2:]).tolist() == SECRET

    def test_rows_survive_the_wire(self) -> None:
        parts = [Shares.from_bytes(part[:3].to_bytes()) for part in resharings(dealt(), 1, 4)]
        assert shamir.reconstruct(shamir.join_reshared(parts)).tolist() == SECRET

    def test_a_missing_part_is_refused(self) -> None:
        parts = resharings(dealt(threshold=3), 1, 2, 4)
        for missing in range(3):
            left = parts[:missing] + parts[missing + 1 :]
            with pytest.raises(InsufficientShares, match="got 2, expected one from each of the 3"):
                shamir.join_reshared(left)
        with pytest.raises(InsufficientShares, match="parts: got none"):
            shamir.join_reshared([])

    def test_two_parts_of_one_old_holder_are_refused(self) -> None:
        s = dealt()
        first, second = resharings(s, 1, 3)
        other = resharings(s, 1, 3)[0]
        for parts in ([first, first], [first, other], [first, second, first], [other, first]):
            with pytest.raises(DuplicateShare, match="parts: got two from one old holder"):
                shamir.join_reshared(parts)

    def test_rows_of_different_new_holders_are_refused(self) -> None:
        first, second = resharings(dealt(), 1, 3)
        for mine, theirs in [([0], [1]), ([0, 1], [1, 0]), ([0, 1], [0])]:
            with pytest.raises(InconsistentShares, match="points: got"):
                shamir.join_reshared([first[mine], second[theirs]])

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"shares": 6}, "shares: got 5 and 6"),
            ({"threshold": 4}, "threshold: got 3 and 4"),
            ({"points": "roots"}, "layout: got integers and roots"),
        ],
    )
    def test_parts_of_different_geometries_are_refused(
        self, change: dict[str, Any], named: str
    ) -> None:
        s = dealt()
        with pytest.raises(InconsistentShares, match=named):
            shamir.join_reshared([resharings(s, 1, 3)[0], resharings(s, 1, 3, **change)[1]])

    @pytest.mark.parametrize(
        ("change", "named"),
        [({"dtype": np.dtype(np.int8)}, "dtype: got"), ({"bound": 9}, "bound: got")],
    )
    def test_parts_of_different_secrets_are_refused(
        self, change: dict[str, Any], named: str
    ) -> None:
        first, second = resharings(dealt(), 1, 3)
        with pytest.raises(InconsistentShares, match=named):
            shamir.join_reshared([first, replace(second, **change)])

    def test_parts_of_different_choices_or_dealings_are_refused(self) -> None:
        s = dealt()
        first = resharings(s, 1, 3)[0]
        for stranger in (
            resharings(s, 1, 2)[1],
            resharings(s, 3, 4)[1],
            resharings(dealt(), 1, 3)[1],
        ):
            with pytest.raises(InconsistentShares, match="parts: got those of two resharings"):
                shamir.join_reshared([first, stranger])

    @pytest.mark.parametrize(
        "change", [{"shares": 6}, {"threshold": 4}, {"points": "roots"}, {"among": (1, 2)}]
    )
    def test_the_tag_holds_the_new_geometry_and_the_choice(self, change: dict[str, Any]) -> None:
        """Even where a header was altered to agree."""
        s = dealt()
        among = change.pop("among", (1, 3))
        first, other = resharings(s, 1, 3)[0], resharings(s, *among, **change)[1]
        relabelled = replace(first, dealing=other.dealing)
        with pytest.raises(InconsistentShares, match="parts: got those of two resharings"):
            shamir.join_reshared([first, relabelled])

    def test_what_reshare_did_not_return_is_refused(self) -> None:
        first, second = resharings(dealt(), 1, 3)
        foreign = replace(second, dealing=second.dealing + (5 << 96))
        with pytest.raises(InconsistentShares, match="parts: got other shares, expected what"):
            shamir.join_reshared([first, foreign])

    def test_two_runs_of_one_resharing_do_not_combine(self) -> None:
        s = dealt()
        once, again = resharings(s, 1, 3), resharings(s, 1, 3)
        rows = [shamir.join_reshared(once)[:2], shamir.join_reshared(again)[2:]]
        with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
            Shares.join(rows)
        half = shamir.join_reshared([once[0], again[1]])  # consistent, where everyone joins these
        assert shamir.reconstruct(half).tolist() == SECRET
        with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
            Shares.join([rows[0], half[2:]])

    def test_joined_rows_do_not_combine_with_parts_or_old_rows(self) -> None:
        s = dealt(shares=5, threshold=3)
        parts = resharings(s, 1, 3, 4)
        joined = shamir.join_reshared(parts)
        for other in (s, *parts):
            with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
                Shares.join([joined[:2], other[2:]])

    def test_no_shares_are_refused(self) -> None:
        with pytest.raises(TypeError, match="parts: got str, expected Shares"):
            shamir.join_reshared(["part"])  # type: ignore[list-item]
