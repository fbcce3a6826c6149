"""Points of holders and of secrets, and the weights between them, against known answers."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from veilsum import shamir
from veilsum.field import GOLDILOCKS, MERSENNE61, P50, P257, PrimeField
from veilsum.shamir import geometry
from veilsum.shamir.geometry import (
    holder_numbers,
    lagrange_weights,
    require_geometry,
    secret_points,
    share_points,
    transform_length,
)

F13 = PrimeField(13)


class TestPackedSharingModulo433:
    """Three secrets 1, 2, 3 and randomness 8, 8, 8, 8, at powers of roots of unity modulo 433.

    The polynomial has the values 0, secrets, randomness at the powers of 354, of order 8; the
    shares are its values at the powers of 17, of order 27.
    """

    field = PrimeField(433)
    known = np.array([pow(354, i, 433) for i in range(8)], np.uint64)
    values = np.array([0, 1, 2, 3, 8, 8, 8, 8], np.uint64)
    coefficients = (113, 51, 261, 267, 108, 432, 388, 112)
    points = np.array([pow(17, i, 433) for i in range(27)], np.uint64)

    def shares(self) -> list[int]:
        """The polynomial's values by Python integers."""
        terms = list(enumerate(self.coefficients))
        return [sum(c * int(x) ** power for power, c in terms) % 433 for x in self.points]

    def test_the_roots_have_their_orders(self) -> None:
        assert [pow(354, i, 433) == 1 for i in range(1, 9)] == [False] * 7 + [True]
        assert [pow(17, i, 433) == 1 for i in range(1, 28)] == [False] * 26 + [True]

    def test_interpolation_gives_the_polynomial(self) -> None:
        found = self.field.interpolate(self.known, self.values)
        assert tuple(found.tolist()) == self.coefficients

    def test_evaluation_gives_the_shares(self) -> None:
        shares = self.field.evaluate(self.coefficients, self.points)
        assert shares.tolist() == self.shares()
        assert shares[0] == 0  # both groups of roots hold 1

    def test_weights_give_the_shares_without_the_polynomial(self) -> None:
        weights = lagrange_weights(self.field, self.known, self.points[1:])
        shares = self.field.matmul(weights, self.values[:, np.newaxis])
        assert shares[:, 0].tolist() == self.shares()[1:]

    @pytest.mark.parametrize("first", [1, 5, 19])
    def test_eight_shares_give_the_secrets(self, first: int) -> None:
        chosen = slice(first, first + 8)
        weights = lagrange_weights(self.field, self.points[chosen], self.known[1:])
        shares = np.array(self.shares()[chosen], np.uint64)
        opened = self.field.matmul(weights, shares[:, np.newaxis])
        np.testing.assert_array_equal(opened[:, 0], self.values[1:])


class TestPoints:
    def test_integers(self) -> None:
        assert share_points(F13, "integers", 4).tolist() == [1, 2, 3, 4]
        assert secret_points(F13, "integers", 4, 3).tolist() == [0, 12, 11]

    def test_roots(self) -> None:
        assert share_points(F13, "roots", 4).tolist() == [1, 8, 12, 5]
        assert share_points(F13, "roots", 3).tolist() == [1, 8, 12]
        assert share_points(F13, "roots", 2).tolist() == [1, 12]
        assert share_points(F13, "roots", 1).tolist() == [1]
        assert secret_points(F13, "roots", 4, 1).tolist() == [0]
        assert secret_points(F13, "roots", 4, 5).tolist() == [0, 2, 3, 11, 10]

    @pytest.mark.parametrize("field", [P50, GOLDILOCKS, MERSENNE61], ids=str)
    def test_integers_and_summands_are_the_same_in_every_field(self, field: PrimeField) -> None:
        for layout in ("integers", "additive"):
            assert share_points(field, layout, 6).tolist() == [1, 2, 3, 4, 5, 6]
            assert secret_points(field, layout, 6, 1).tolist() == [0]

    @pytest.mark.parametrize(
        ("field", "root", "offset"),
        [(P50, 144783129396726, 2), (GOLDILOCKS, 2**64 - 2**32 + 1 - 2**24, 2)],
        ids=["P50", "GOLDILOCKS"],
    )
    def test_roots_in_large_fields(self, field: PrimeField, root: int, offset: int) -> None:
        powers = [pow(root, i, field.modulus) for i in range(8)]
        assert (powers[4], len(set(powers))) == (field.modulus - 1, 8)
        assert share_points(field, "roots", 7).tolist() == powers[:7]
        coset = [offset * power % field.modulus for power in powers[:3]]
        assert secret_points(field, "roots", 7, 4).tolist() == [0, *coset]

    @pytest.mark.parametrize("shares", [1, 2, 3, 4, 5, 8, 9, 1000])
    def test_the_length_of_a_transform_is_the_next_power_of_two(self, shares: int) -> None:
        length = transform_length(shares)
        assert length & (length - 1) == 0
        assert length // 2 < shares <= length

    @pytest.mark.parametrize("layout", ["integers", "roots"])
    @pytest.mark.parametrize("field", [P50, GOLDILOCKS], ids=["P50", "GOLDILOCKS"])
    @pytest.mark.parametrize(("shares", "packed"), [(1, 2), (5, 6), (64, 33), (100, 20)])
    def test_no_two_points_are_equal(
        self, field: PrimeField, layout: Any, shares: int, packed: int
    ) -> None:
        secrets = secret_points(field, layout, shares, packed).tolist()
        holders = share_points(field, layout, shares).tolist()
        assert len({*secrets, *holders}) == shares + packed

    @pytest.mark.parametrize("layout", ["integers", "roots", "additive"])
    @pytest.mark.parametrize("shares", [1, 2, 3, 7, 8, 100])
    def test_holders_are_numbered_from_one(self, layout: Any, shares: int) -> None:
        points = share_points(P50, layout, shares)
        order = np.random.default_rng(1).permutation(shares)
        numbers = holder_numbers(P50, layout, shares, points[order])
        np.testing.assert_array_equal(numbers, order + 1)

    def test_every_other_point_has_no_number(self) -> None:
        points = np.arange(13, dtype=np.uint64)
        at_roots = holder_numbers(F13, "roots", 3, points)
        assert at_roots.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]
        assert not holder_numbers(F13, "roots", 3, points + np.uint64(13)).any()
        at_integers = holder_numbers(F13, "integers", 3, points)
        assert at_integers.tolist() == [0, 1, 2, 3, *[0] * 9]


class TestWeights:
    @pytest.mark.parametrize("field", [F13, P50, GOLDILOCKS], ids=str)
    @pytest.mark.parametrize(("known", "wanted"), [(1, 1), (2, 3), (5, 1), (6, 0), (6, 6)])
    def test_blocks_do_not_change_them(
        self, field: PrimeField, known: int, wanted: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        points = np.random.default_rng(1).permutation(13)[: known + wanted].astype(np.uint64)
        at, others = points[:known], points[known:]
        expected = [[lagrange(field, at, x, i) for i in range(known)] for x in others]
        for block in (1, 2 * known, 1 << 16):
            monkeypatch.setattr(geometry, "_BLOCK", block)
            weights = lagrange_weights(field, at, others)
            assert weights.shape == (wanted, known)
            assert weights.tolist() == expected

    def test_a_large_threshold_takes_little_memory(self) -> None:
        known = np.arange(1, 1501, dtype=np.uint64)
        tracemalloc.start()
        try:
            lagrange_weights(P50, known, np.zeros(1, np.uint64))
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < 4e6  # the square of the threshold is 18 MB


def lagrange(field: PrimeField, known: Any, wanted: Any, place: int) -> int:
    """The weight of one known point, by Python's integers."""
    p, x, here = field.modulus, int(wanted), int(known[place])
    others = [int(point) for point in np.delete(known, place)]
    top = math.prod(x - other for other in others)
    return top * pow(math.prod(here - other for other in others), -1, p) % p


class TestRoom:
    @pytest.mark.parametrize("field", [None, 17, P257])
    def test_another_field_is_refused_by_type(self, field: Any) -> None:
        message = f"field: got {type(field).__name__}, expected PrimeField"
        with pytest.raises(TypeError, match=message):
            require_geometry(field, "integers", 3, 2, 1)
        with pytest.raises(TypeError, match=message):
            shamir.split([1], shares=3, threshold=2, field=field)
        with pytest.raises(TypeError, match=message):
            shamir.split_additive([1], shares=3, field=field)
        with pytest.raises(TypeError, match=message):
            replace(shamir.split([1], shares=3, threshold=2), field=field)

    @pytest.mark.parametrize(
        ("layout", "shares", "threshold", "packed", "message"),
        [
            ("circle", 3, 2, 1, "layout: got 'circle'"),
            ("integers", 3, 0, 1, "threshold, shares: got 0 and 3"),
            ("integers", 3, 4, 1, "threshold, shares: got 4 and 3"),
            ("integers", 13, 2, 1, "threshold, shares: got 2 and 13"),
            ("integers", 3, 2, 0, "packed: got 0, expected 1 to 1 for the threshold 2"),
            ("integers", 3, 2, 3, "packed: got 3, expected 1 to 1 for the threshold 2"),
            ("integers", 3, 2, 2, "packed: got 2, expected 1 to 1 for the threshold 2"),
            ("roots", 4, 4, 4, "packed: got 4, expected 1 to 3 for the threshold 4"),
            ("integers", 3, 1, 2, "packed: got 2, expected 1 to 1 for the threshold 1"),
            ("integers", 10, 5, 4, "packed, shares: got 4 and 10, expected a sum of at most 13"),
            ("roots", 5, 2, 1, "shares: got 5, expected at most 4 at roots of unity modulo 13"),
            ("additive", 3, 2, 1, "threshold, packed: got 2 and 1, expected 3 and 1"),
            ("additive", 3, 3, 2, "threshold, packed: got 3 and 2, expected 3 and 1"),
        ],
    )
    def test_what_has_no_room_is_refused(
        self, layout: Any, shares: int, threshold: int, packed: int, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            require_geometry(F13, layout, shares, threshold, packed)

    @pytest.mark.parametrize(
        ("layout", "shares", "threshold", "packed"),
        [
            ("integers", 12, 12, 1),
            ("integers", 9, 9, 4),
            ("roots", 4, 4, 3),
            ("roots", 3, 3, 2),
            ("integers", 3, 1, 1),
            ("additive", 12, 12, 1),
        ],
    )
    def test_a_field_may_be_full(
        self, layout: Any, shares: int, threshold: int, packed: int
    ) -> None:
        require_geometry(F13, layout, shares, threshold, packed)

    def test_there_has_to_be_an_element_beside_the_roots(self) -> None:
        require_geometry(PrimeField(17), "roots", 16, 3, 1)
        with pytest.raises(ValueError, match="other elements in the field"):
            require_geometry(PrimeField(17), "roots", 16, 3, 2)
