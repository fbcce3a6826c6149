"""Shamir sharing: the textbook case, what holders may do, every error."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from veilsum import randomness, shamir
from veilsum.errors import (
    BudgetExceeded,
    DecodingError,
    DeserializationError,
    DuplicateShare,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.field import GOLDILOCKS, MERSENNE61, P31, P50, PrimeField
from veilsum.shamir import Shares, opening, reconstruction, sharing
from veilsum.shamir import newton as newton_module
from veilsum.wire import Kind, Writer

F13, F17 = PrimeField(13), PrimeField(17)
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

every_method = pytest.mark.parametrize("method", ["auto", "lagrange", "newton", "fft"])
both_methods = pytest.mark.parametrize("method", ["lagrange", "newton"])


def dealt(secret: Any = (1, -2, 3), shares: int = 5, threshold: int = 3, **options: Any) -> Shares:
    return shamir.split(np.asarray(secret), shares=shares, threshold=threshold, **options)


def tampered(shares: Shares, holder: int, element: int = 0, offset: int = 1) -> Shares:
    offsets = np.zeros(shares.values.shape, np.uint64)
    offsets[holder, element] = offset
    return shares.with_values(shares.field.add(shares.values, offsets))


class TestTextbook:
    def textbook(self) -> Shares:
        # The first share is drawn; the line through it and the secret gives the others.
        with randomness._test_source(lambda count: (80).to_bytes(count, "little")):
            return shamir.split([65], shares=4, threshold=2)

    def test_the_shares_are_the_printed_ones(self) -> None:
        s = self.textbook()
        assert s.points.tolist() == [1, 2, 3, 4]
        assert s.values.ravel().tolist() == [80, 95, 110, 125]

    @both_methods
    def test_any_two_rebuild_65(self, method: Any) -> None:
        s = self.textbook()
        for i in range(4):
            for j in range(4):
                if i != j:
                    assert shamir.reconstruct(s[[i, j]], method=method).tolist() == [65]


class TestSplit:
    def test_shares_carry_what_they_need(self) -> None:
        s = shamir.split(np.arange(6, dtype=np.int16).reshape(2, 3), shares=5, threshold=3)
        assert s.values.shape == (5, 2, 3)
        assert s.values.dtype == s.points.dtype == np.uint64
        assert (len(s), s.shape, s.threshold, s.shares) == (5, (2, 3), 3, 5)
        assert (s.field, s.dtype, s.bound) == (P50, np.dtype(np.int16), 2**32)
        assert 0 <= s.dealing < 2**128

    def test_small_fields_lower_the_default_bound(self) -> None:
        assert dealt([6, -6], field=F13).bound == 6

    @pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
    @pytest.mark.parametrize("dtype", DTYPES)
    @both_methods
    def test_shape_and_dtype_come_back(
        self, shape: tuple[int, ...], dtype: str, method: Any
    ) -> None:
        secret = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)
        rebuilt = shamir.reconstruct(shamir.split(secret, shares=4, threshold=2), method=method)
        assert isinstance(rebuilt, np.ndarray)
        np.testing.assert_array_equal(rebuilt, secret, strict=True)

    @pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "bool"])
    def test_the_edges_of_every_dtype_come_back(self, dtype: str) -> None:
        info = np.iinfo(dtype)
        limit = GOLDILOCKS.limit
        edges = [max(int(info.min), -limit), 0, 1, min(int(info.max), limit)]
        secret = np.array(edges, dtype)
        s = shamir.split(secret, shares=5, threshold=3, field=GOLDILOCKS, bound=limit)
        np.testing.assert_array_equal(shamir.reconstruct(s), secret, strict=True)

    def test_byte_order_of_the_input_does_not_matter(self) -> None:
        rebuilt = shamir.reconstruct(dealt(np.array([1, -2], ">i4")))
        assert rebuilt.dtype == np.dtype(np.int32)
        assert rebuilt.tolist() == [1, -2]

    def test_blocks_do_not_change_the_sharing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = np.random.default_rng(1).integers(-(2**31), 2**31, 1001)
        monkeypatch.setattr(sharing, "_SCRATCH", 300)
        monkeypatch.setattr(opening, "_BLOCK", 70)
        s = dealt(secret, shares=6, threshold=4)
        np.testing.assert_array_equal(shamir.reconstruct(s), secret)
        np.testing.assert_array_equal(shamir.reconstruct(s[2:], method="newton"), secret)
        with pytest.raises(DecodingError, match="the 6 shares disagree in 1 of 1001"):
            shamir.reconstruct(tampered(s, 5, 999))

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("points", ["integers", "roots", "additive"])
    def test_no_randomness_is_used_twice(self, points: Any, threads: int) -> None:
        zeros = np.zeros(200_000, int)
        if points == "additive":
            s = shamir.split_additive(zeros, shares=2, field=GOLDILOCKS, threads=threads)
        else:
            s = dealt(
                zeros, shares=2, threshold=2, points=points, field=GOLDILOCKS, threads=threads
            )
        assert np.unique(s.rows[1]).size == zeros.size  # two equal ones: a chance of 2**-30

    @pytest.mark.parametrize("threads", [1, 2, None])
    def test_threads_do_not_change_the_secret(self, threads: int | None) -> None:
        secret = np.arange(50_000)
        s = dealt(secret, threads=threads)
        np.testing.assert_array_equal(shamir.reconstruct(s, threads=threads), secret)

    def test_two_dealings_of_one_secret_differ(self) -> None:
        s, t = dealt(np.zeros(100, int)), dealt(np.zeros(100, int))
        assert (s.values != t.values).any(axis=1).all()
        assert s.dealing != t.dealing

    def test_the_leading_coefficient_may_be_zero(self) -> None:
        s = dealt(np.zeros(2000, int), shares=2, threshold=2, field=PrimeField(3), bound=1)
        leading = s.values[1].astype(int) - s.values[0].astype(int)
        counts = np.bincount(leading % 3, minlength=3)
        assert counts.min() > 500

    @pytest.mark.parametrize("shares", [2, 3])
    def test_one_share_fewer_than_the_threshold_is_uniform(self, shares: int) -> None:
        draws = 26_000
        s = dealt(np.full(draws, 5), shares=shares, threshold=2, field=F13, bound=6)
        counts = np.bincount(s.values[1].astype(int), minlength=13)
        statistic = float(((counts - draws / 13) ** 2 / (draws / 13)).sum())
        assert statistic < 60  # 12 degrees of freedom: a false alarm in 10**8 runs

    def test_secrets_and_what_was_drawn_are_wiped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Any] = []
        inner = sharing._Dealer._deal_block

        def remember(dealer: Any, rows: Any, known: Any, start: int) -> None:
            assert known[0].tolist() == [7, 8, 9]
            seen.append(known)
            inner(dealer, rows, known, start)

        monkeypatch.setattr(sharing._Dealer, "_deal_block", remember)
        s = dealt([7, 8, 9])
        assert s.values.any()
        assert len(seen) == 1
        assert not seen[0].any()

    def test_threshold_one_gives_everyone_the_secret(self) -> None:
        s = dealt([5, 6], threshold=1)
        assert s.values.tolist() == [[5, 6]] * 5
        assert shamir.reconstruct(s[3]).tolist() == [5, 6]

    @pytest.mark.parametrize("values", [[0.5], np.zeros(2), "secret", [None], [1j], [2**64]])
    def test_what_is_not_integer_is_a_type_error_that_tells_how_to_quantise(
        self, values: Any
    ) -> None:
        with pytest.raises(TypeError, match=r"values: .*encoding\.FixedPoint"):
            shamir.split(values, shares=3, threshold=2)

    @pytest.mark.parametrize(
        ("secret", "bound"), [([4, -5], 4), ([2**32 + 1], None), ([-(2**63)], None)]
    )
    def test_a_secret_beyond_the_bound_is_refused(self, secret: Any, bound: int | None) -> None:
        with pytest.raises(BudgetExceeded, match=r"values: 1 of \d are not within"):
            dealt(secret, bound=bound)

    def test_a_bound_beyond_the_field_is_refused(self) -> None:
        with pytest.raises(BudgetExceeded, match="bound: got 7, expected at most 6"):
            dealt([0], field=F13, bound=7)

    @pytest.mark.parametrize(
        ("shares", "threshold"), [(0, 0), (3, 0), (3, 4), (3, -1), (13, 2), (14, 2)]
    )
    def test_sizes_out_of_range_are_refused(self, shares: int, threshold: int) -> None:
        with pytest.raises(ValueError, match="expected 1 <= threshold <= shares < 13"):
            dealt([0], shares=shares, threshold=threshold, field=F13)

    @pytest.mark.parametrize("name", ["shares", "threshold", "bound"])
    @pytest.mark.parametrize("value", [2.0, True, "2"])
    def test_numbers_that_are_not_integers_are_refused(self, name: str, value: Any) -> None:
        options: dict[str, Any] = {"shares": 3, "threshold": 2, "bound": 9} | {name: value}
        with pytest.raises(TypeError, match=f"{name}: got {type(value).__name__}"):
            shamir.split([1], **options)

    def test_numpy_integers_count_as_integers(self) -> None:
        options: Any = {"shares": np.int64(3), "threshold": np.uint8(2), "bound": np.int32(9)}
        s = shamir.split([1], **options)
        assert (type(s.shares), type(s.threshold), type(s.bound)) == (int, int, int)

    def test_a_negative_bound_is_refused(self) -> None:
        with pytest.raises(ValueError, match="bound: got -1"):
            dealt([0], bound=-1)

    @pytest.mark.parametrize("points", ["integers", "roots"])
    def test_packing_that_leaves_no_privacy_is_refused(self, points: Any) -> None:
        for threshold in (2, 3, 5):
            most = threshold - 1
            assert dealt(threshold=threshold, packed=most, points=points).privacy == 1
            with pytest.raises(ValueError, match=f"packed: got {threshold}, expected 1 to {most}"):
                dealt(threshold=threshold, packed=threshold, points=points)
        assert dealt(threshold=1, packed=1, points=points).privacy == 0

    @pytest.mark.parametrize("points", ["additive", "circle", None, 1])
    def test_unknown_points_are_refused(self, points: Any) -> None:
        with pytest.raises(ValueError, match=r"points: got .*, expected 'integers' or 'roots'"):
            dealt(points=points)


class TestSelecting:
    @pytest.mark.parametrize(
        ("index", "points"),
        [
            (0, [1]),
            (-1, [5]),
            (np.int64(2), [3]),
            ([0, 2, 4], [1, 3, 5]),
            ((3, 1), [4, 2]),
            (np.array([4, 0]), [5, 1]),
            ([True, False, False, True, True], [1, 4, 5]),
            (slice(1, None), [2, 3, 4, 5]),
            (slice(None, None, -2), [5, 3, 1]),
            ([], []),
            (slice(0), []),
        ],
    )
    def test_an_index_selects_holders_and_keeps_their_axis(
        self, index: Any, points: list[int]
    ) -> None:
        s = dealt(np.zeros((2, 3), int))
        chosen = s[index]
        assert chosen.points.tolist() == points
        assert chosen.values.shape == (len(points), 2, 3)
        np.testing.assert_array_equal(chosen.values, s.values[[p - 1 for p in points]])
        assert (chosen.dealing, chosen.shares) == (s.dealing, 5)

    def test_iterating_gives_one_holder_at_a_time(self) -> None:
        assert [holder.points.tolist() for holder in dealt()] == [[1], [2], [3], [4], [5]]

    def test_a_holder_that_is_not_there_is_an_index_error(self) -> None:
        out_of_range: list[Any] = [5, -6, [0, 5], [[0, 1]]]
        for index in out_of_range:
            with pytest.raises(IndexError):
                dealt()[index]
        with pytest.raises(TypeError, match="holders: got dtype"):
            dealt()["a"]  # type: ignore[index]

    def test_a_holder_cannot_be_chosen_twice(self) -> None:
        with pytest.raises(DuplicateShare):
            dealt()[[0, 0, 1]]


class TestReconstruct:
    @both_methods
    def test_the_order_of_holders_does_not_matter(self, method: Any) -> None:
        assert shamir.reconstruct(dealt()[[4, 0, 2]], method=method).tolist() == [1, -2, 3]

    @both_methods
    def test_too_few_shares_are_refused(self, method: Any) -> None:
        for holders in ([], [1], [0, 4]):
            with pytest.raises(InsufficientShares, match="at least the threshold 3"):
                shamir.reconstruct(dealt()[holders], method=method)

    @both_methods
    @pytest.mark.parametrize("holder", range(5))
    @pytest.mark.parametrize("field", [F13, P50, GOLDILOCKS], ids=str)
    def test_every_single_alteration_is_an_error_not_a_guess(
        self, method: Any, holder: int, field: PrimeField
    ) -> None:
        s = dealt([1, -2, 3], field=field)
        for offset in (1, field.modulus - 1, field.modulus // 2):
            with pytest.raises(DecodingError, match="the 5 shares disagree in 1 of 3 elements"):
                shamir.reconstruct(tampered(s, holder, 1, offset), method=method)

    @both_methods
    def test_as_many_alterations_as_there_are_extra_shares_are_detected(self, method: Any) -> None:
        s = dealt(np.arange(4), shares=7, threshold=3)
        for element, liar in enumerate((0, 2, 5, 6)):
            s = tampered(s, liar, element, offset=12345 + liar)
        with pytest.raises(DecodingError, match="disagree in 4 of 4"):
            shamir.reconstruct(s, method=method)

    @both_methods
    def test_a_result_beyond_the_bound_betrays_an_altered_share(self, method: Any) -> None:
        s = dealt([3, 4], bound=10)[:3]
        with pytest.raises(DecodingError, match="1 of 2 elements are beyond the secret's bound 10"):
            shamir.reconstruct(tampered(s, 0, offset=1000), method=method)

    @pytest.mark.parametrize("dtype", ["bool", "uint8"])
    def test_a_result_beyond_the_dtype_betrays_an_altered_share(self, dtype: str) -> None:
        s = shamir.split(np.array([1], dtype), shares=3, threshold=1)[0]
        with pytest.raises(DecodingError, match=f"or dtype {dtype}"):
            shamir.reconstruct(tampered(s, 0, offset=300))

    @both_methods
    def test_without_the_check_the_first_shares_are_believed(self, method: Any) -> None:
        s = tampered(dealt(np.array([3], np.int8), bound=10), 0, offset=2**30)
        wrong = shamir.reconstruct(s, method=method, check=False)
        assert wrong.dtype == np.int64
        assert wrong.item() == 3 + 3 * 2**30  # the weight of point 1 among points 1, 2, 3 is 3
        assert shamir.reconstruct(s[[1, 2, 3, 0]], method=method, check=False).item() == 3

    def test_an_unknown_method_is_refused(self) -> None:
        with pytest.raises(ValueError, match="method: got 'gauss', expected one of auto, lagrange"):
            shamir.reconstruct(dealt(), method="gauss")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="method: got 'fft' for shares at integers"):
            shamir.reconstruct(dealt(), method="fft")

    @both_methods
    def test_no_threads_are_refused(self, method: Any) -> None:
        with pytest.raises(ValueError, match="threads: got 0"):
            shamir.reconstruct(dealt(), method=method, threads=0)
        with pytest.raises(ValueError, match="threads: got 0"):
            dealt(threads=0)

    @both_methods
    def test_many_holders(self, method: Any) -> None:
        secret = np.array([2**40, -(2**40)])
        s = dealt(secret, shares=100, threshold=67, bound=2**40)
        np.testing.assert_array_equal(shamir.reconstruct(s, method=method), secret)
        with pytest.raises(DecodingError):
            shamir.reconstruct(tampered(s, 99), method=method)


class TestVerdict:
    """Each method, over more columns than fit a block of its own."""

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opening, "_BLOCK", 12)

    @every_method
    @pytest.mark.parametrize("place", [0, 3, 9])
    @pytest.mark.parametrize("offset", [11, -11])
    def test_one_secret_beyond_the_bound_is_found_wherever_it_is(
        self, method: Any, place: int, offset: int
    ) -> None:
        s = dealt(np.zeros(10, int), points="roots", bound=10)
        shift = np.zeros((1, 10), np.int64)
        shift[0, place] = offset
        moved = s.with_values(s.field.add(s.values, s.field.residues(shift)))
        with pytest.raises(DecodingError, match="1 of 10 elements are beyond the secret's bound"):
            shamir.reconstruct(moved, method=method)
        inside = dataclasses.replace(moved, bound=11)
        assert shamir.reconstruct(inside, method=method)[place] == offset

    @every_method
    @pytest.mark.parametrize(
        ("dtype", "outside"),
        [("bool", [-1, 2]), ("uint8", [-1, 256]), ("int8", [-129, 128]), ("uint64", [-1])],
    )
    def test_one_secret_beyond_the_dtype_is_found(
        self, method: Any, dtype: str, outside: list[int]
    ) -> None:
        s = dealt(np.zeros(10, dtype), points="roots", bound=1000)
        for number in outside:
            shift = s.field.residues(np.eye(1, 10, 2, dtype=np.int64) * number)
            moved = s.with_values(s.field.add(s.values, shift))
            with pytest.raises(DecodingError, match=f"1 of 10 elements .* or dtype {dtype}"):
                shamir.reconstruct(moved, method=method)

    @every_method
    @pytest.mark.parametrize("place", [0, 3, 9])
    def test_polynomials_of_the_next_degree_are_found(self, method: Any, place: int) -> None:
        s = dealt(np.zeros(10, int), shares=6, threshold=3, points="roots")
        larger = dealt(np.eye(1, 10, place, dtype=int)[0], shares=6, threshold=4, points="roots")
        larger = larger - dealt(np.zeros(10, int), shares=6, threshold=4, points="roots")
        one = np.zeros((6, 10), np.uint64)
        one[:, place] = larger.values[:, place]
        moved = s.with_values(s.field.add(s.values, one))
        for chosen in (list(range(6)), [5, 2, 0, 3]):
            with pytest.raises(DecodingError, match="shares disagree in 1 of 10 elements"):
                shamir.reconstruct(moved[chosen], method=method)


class TestMaxErrors:
    def lying(self, *liars: int, **options: Any) -> Shares:
        s = dealt(np.arange(4), shares=9, threshold=3, points="roots", **options)
        for liar in liars:
            s = tampered(s, liar - 1, element=liar % 4, offset=liar)
        return s

    @every_method
    def test_as_many_liars_as_allowed_are_left_out(self, method: Any) -> None:
        for liars in [(), (1,), (9,), (1, 2, 3), (2, 5, 9)]:
            s = self.lying(*liars)
            assert shamir.find_liars(s, max_errors=3) == liars
            secret = shamir.reconstruct(s, method=method, max_errors=3)
            assert secret.tolist() == [0, 1, 2, 3]

    @every_method
    def test_more_liars_than_allowed_are_an_error(self, method: Any) -> None:
        with pytest.raises(DecodingError):
            shamir.reconstruct(self.lying(1, 4), method=method, max_errors=1)
        with pytest.raises(DecodingError):
            shamir.reconstruct(self.lying(1), method=method)

    def test_the_bound_is_still_checked(self) -> None:
        s = self.lying(4, bound=3)
        moved = s.with_values(s.field.add(s.values, 1))
        with pytest.raises(DecodingError, match="beyond the secret's bound 3"):
            shamir.reconstruct(moved, max_errors=3)

    @pytest.mark.parametrize("max_errors", [0.0, 1.0, None, False, True, "1"])
    def test_what_is_no_integer_is_refused(self, max_errors: Any) -> None:
        for call in (shamir.reconstruct, shamir.find_liars):
            with pytest.raises(TypeError, match=f"max_errors: got {type(max_errors).__name__}"):
                call(self.lying(), max_errors=max_errors)

    def test_numpy_integers_count_as_integers(self) -> None:
        assert shamir.reconstruct(self.lying(2), max_errors=np.int8(1)).tolist() == [0, 1, 2, 3]  # type: ignore[arg-type]

    @pytest.mark.parametrize("max_errors", [-1, 4, 2**70])
    def test_numbers_out_of_range_are_refused(self, max_errors: int) -> None:
        with pytest.raises(ValueError, match=f"max_errors: (got|to correct) {max_errors}"):
            shamir.reconstruct(self.lying(), max_errors=max_errors)

    def test_additive_shares_have_no_liars_to_find(self) -> None:
        s = shamir.split_additive([1], shares=3)
        with pytest.raises(ValueError, match="additive shares have no redundancy"):
            shamir.reconstruct(s, max_errors=1)

    def test_together_more_liars_are_found(self) -> None:
        s = dealt(np.arange(100), shares=9, threshold=3)
        noise = s.values.copy()
        noise[[0, 2, 4, 6, 8]] = s.field.random((5, 100))
        noisy = s.with_values(noise)
        assert shamir.find_liars(noisy, max_errors=5, interleaved=True) == (1, 3, 5, 7, 9)
        secret = shamir.reconstruct(noisy, max_errors=5, interleaved=True)
        np.testing.assert_array_equal(secret, np.arange(100))

    def test_options_that_contradict_each_other_are_refused(self) -> None:
        s = self.lying()
        with pytest.raises(ValueError, match="interleaved: got True without max_errors"):
            shamir.reconstruct(s, interleaved=True)
        with pytest.raises(ValueError, match="max_errors: got 2 with check=False"):
            shamir.reconstruct(s, max_errors=2, check=False)


class TestTheFastestMethod:
    @pytest.mark.parametrize(
        ("shares", "threshold", "columns", "present", "expected"),
        [
            (3000, 3000, 1, 3000, "fft"),  # the weights of 3000 points alone take longer
            (3000, 3000, 100_000, 3000, "lagrange"),
            (1024, 513, 1000, 1024, "fft"),
            (16, 9, 1000, 16, "lagrange"),
            (64, 33, 1, 64, "lagrange"),
            (64, 33, 100_000, 64, "lagrange"),
            (1024, 513, 100_000, 513, "lagrange"),
        ],
    )
    def test_it_counts_weights_and_columns(
        self, shares: int, threshold: int, columns: int, present: int, expected: str
    ) -> None:
        one = shamir.split([7], shares=shares, threshold=threshold, points="roots")
        values = np.broadcast_to(one.values[:1], (1, columns))
        header = dataclasses.replace(one[:1], values=values, shape=(columns,))
        assert reconstruction._transform_is_faster(header, present) == (expected == "fft")

    def test_shares_at_integers_have_no_transform(self) -> None:
        assert not reconstruction._transform_is_faster(dealt(), 5)


class TestNewtonReconstruction:
    def test_the_first_row_says_what_is_expected(self) -> None:
        s, newton = dealt(), shamir.NewtonReconstruction()
        assert newton.missing is None
        assert not newton.add(s[:0])
        assert newton.missing is None
        assert not newton.add(s[1])
        assert newton.missing == 2
        with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
            newton.add(dealt()[2])
        assert newton.add(s[3:])
        assert newton.secret().tolist() == [1, -2, 3]

    def test_a_first_row_that_is_refused_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s, newton = dealt(), shamir.NewtonReconstruction()
        with pytest.raises(ValueError, match="shares: got additive ones"):
            newton.add(shamir.split_additive([1], shares=2))
        with monkeypatch.context() as patched:
            patched.setattr(newton_module, "take_difference", out_of_memory)
            with pytest.raises(MemoryError):
                newton.add(dealt([5])[0])
        assert newton.missing is None
        assert newton.add(s[2:])
        assert newton.secret().tolist() == [1, -2, 3]

    def test_expected_shares_are_taken_and_others_are_refused(self) -> None:
        s = dealt()
        newton = shamir.NewtonReconstruction(like=s[4])
        assert (newton.missing, newton.done) == (3, False)
        with pytest.raises(InsufficientShares, match="got 0, expected as many as the threshold 3"):
            newton.secret()
        for stranger in (dealt(), dealt(threshold=2), -s):
            with pytest.raises(InconsistentShares):
                newton.add(stranger[0])
        assert newton.missing == 3
        assert newton.add(s[[4, 1, 0]])
        assert newton.secret().tolist() == [1, -2, 3]

    def test_what_has_no_polynomials_is_refused(self) -> None:
        for call in (
            lambda x: shamir.NewtonReconstruction(like=x),
            lambda x: shamir.NewtonReconstruction().add(x),
        ):
            with pytest.raises(TypeError, match="got int, expected Shares"):
                call(3)
            with pytest.raises(ValueError, match="got additive ones"):
                call(shamir.split_additive([1], shares=2))


def out_of_memory(*_arguments: Any, **_options: Any) -> None:
    raise MemoryError


class TestArithmetic:
    def test_sums_differences_and_multiples_rebuild(self) -> None:
        a, b = np.array([1, -2, 30]), np.array([10, 20, -30])
        s, t = dealt(a), dealt(b)
        for shares, expected in [
            (s + t, a + b),
            (s - t, a - b),
            (-s, -a),
            (s * 3, 3 * a),
            (-7 * s, -7 * a),
            (s * 0, 0 * a),
            (s * np.int8(-3), -3 * a),
            (sum([s, t, s]), 2 * a + b),
            (2 * s - 3 * t, 2 * a - 3 * b),
        ]:
            assert isinstance(shares, Shares)
            np.testing.assert_array_equal(shamir.reconstruct(shares[1:]), expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_sums_widen_to_int64(self, dtype: str) -> None:
        largest = 1 if dtype == "bool" else min(np.iinfo(dtype).max, 2**32)
        secret = np.full(2, largest, dtype)
        s = dealt(secret)
        for shares, factor in [(s + s, 2), (s * 3, 3), (-s, -1)]:
            rebuilt = shamir.reconstruct(shares)
            assert rebuilt.dtype == np.int64
            assert rebuilt.tolist() == [factor * int(secret[0])] * 2

    def test_holders_add_their_own_rows_and_the_sum_rebuilds(self) -> None:
        secrets = [np.array([i, -i, 2 * i]) for i in range(1, 5)]
        dealings = [dealt(secret) for secret in secrets]
        rows = [sum(d[holder] for d in dealings) for holder in (4, 1, 2)]
        received = [Shares.from_bytes(row.to_bytes()) for row in rows if isinstance(row, Shares)]
        total = shamir.reconstruct(Shares.join(received))
        np.testing.assert_array_equal(total, np.sum(secrets, axis=0))

    @pytest.mark.parametrize(
        "field", [F13, P31, P50, MERSENNE61, PrimeField(2**63 - 25), GOLDILOCKS], ids=str
    )
    def test_rows_added_at_once_are_rows_added_one_after_the_other(self, field: PrimeField) -> None:
        limit = min(field.limit, 1 << 40)
        for count in (1, 2, 3, 4, 5, 8, 9, 16, 17, 33):
            dealings = [dealt([0, 0], field=field, bound=limit // count) for _ in range(count)]
            # The largest residues are the hardest to reduce.
            most = np.full((5, 2), field.modulus - 1, np.uint64)
            for made in (dealings, [one.with_values(most) for one in dealings]):
                at_once, in_turn = Shares.sum(made), sum(made[1:], made[0])
                np.testing.assert_array_equal(at_once.values, in_turn.values)
                assert (at_once.bound, at_once.dealing) == (in_turn.bound, in_turn.dealing)
                assert at_once.dtype == np.int64 or count == 1
                assert not at_once.values.flags.writeable

    def test_what_cannot_be_added_one_after_the_other_cannot_be_added_at_once(self) -> None:
        s = dealt([1, 2], bound=2**48)
        for others, error, match in [
            ([], InsufficientShares, "expected the shares of at least one"),
            ([s, dealt([1, 2], threshold=2)], InconsistentShares, "threshold"),
            ([s[:2], s[1:3]], InconsistentShares, "the same holders"),
            ([s, s], BudgetExceeded, "bound: got"),
        ]:
            with pytest.raises(error, match=match):
                Shares.sum(others)

    def test_holders_that_added_different_dealings_do_not_join(self) -> None:
        s, t, u = dealt(), dealt(), dealt()
        with pytest.raises(InconsistentShares, match="dealing: got two dealings"):
            Shares.join([(s + t)[0], (s + u)[1], (s + t)[2]])
        with pytest.raises(InconsistentShares, match="dealing"):
            Shares.join([(s + t)[0], (s - t)[1]])
        with pytest.raises(InconsistentShares, match="dealing"):
            Shares.join([(2 * s)[0], (3 * s).with_values(s.values)[1]])

    def test_the_same_operations_in_another_order_join(self) -> None:
        s, t = dealt(), dealt()
        mixed = Shares.join([(s + 2 * t)[0], (t + s + t)[1], (2 * t + s)[3]])
        assert shamir.reconstruct(mixed).tolist() == [3, -6, 9]

    def test_bounds_follow_every_operation(self) -> None:
        s, t = dealt([1], bound=5), dealt([1], bound=7)
        assert [x.bound for x in (s + t, s - t, -s, s * -4, s * 0)] == [12, 12, 5, 20, 0]

    @pytest.mark.parametrize(
        "operation",
        [lambda s: s + s, lambda s: s - s, lambda s: 2 * s, lambda s: s * -2],
    )
    def test_a_budget_is_checked_before_the_operation(
        self, operation: Callable[[Shares], Shares], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s = dealt([0], field=F13, bound=4)
        for name in ("add", "sub", "mul"):
            monkeypatch.delattr(PrimeField, name)
        with pytest.raises(BudgetExceeded, match="bound: got 8, expected at most 6"):
            operation(s)

    def test_the_budget_can_be_used_up_exactly(self) -> None:
        s = dealt([2, -2], field=F13, bound=2)
        assert shamir.reconstruct(s + s + s).tolist() == [6, -6]

    @pytest.mark.parametrize("operation", ["__add__", "__sub__"])
    @pytest.mark.parametrize(
        ("other", "named"),
        [
            (dealt(threshold=2), "threshold: got 3 and 2"),
            (dealt(shares=6), "shares: got 5 and 6"),
            (dealt(field=GOLDILOCKS), "field: got"),
            (dealt([1, 2]), "shape: got"),
            (dealt()[1:], "points: got"),
            (dealt()[::-1], "points: got"),
        ],
    )
    def test_shares_that_do_not_belong_together_are_not_added(
        self, operation: str, other: Shares, named: str
    ) -> None:
        with pytest.raises(InconsistentShares, match=named):
            getattr(dealt(), operation)(other)

    @pytest.mark.parametrize(
        "operation",
        [
            lambda s: s + 1,
            lambda s: 1 + s,
            lambda s: s + None,
            lambda s: s + np.ones(3),
            lambda s: np.ones(3) + s,
            lambda s: s - 0,
            lambda s: s * 1.5,
            lambda s: s * s,
            lambda s: np.arange(3) * s,
            lambda s: s * "2",
        ],
    )
    def test_strangers_are_refused_by_type(self, operation: Callable[[Any], Any]) -> None:
        with pytest.raises(TypeError):
            operation(dealt())

    def test_operands_stay_as_they_are(self) -> None:
        s, t = dealt(), dealt()
        before = s.values.copy(), t.values.copy()
        _ = s + t, s * 3, -s
        np.testing.assert_array_equal(s.values, before[0])
        np.testing.assert_array_equal(t.values, before[1])


class TestJoin:
    def test_rows_come_together_in_the_order_given(self) -> None:
        s = dealt()
        joined = Shares.join([s[3], s[:2]])
        assert joined.points.tolist() == [4, 1, 2]
        np.testing.assert_array_equal(joined.values, s.values[[3, 0, 1]])
        assert shamir.reconstruct(joined).tolist() == [1, -2, 3]

    def test_nothing_to_join_is_refused(self) -> None:
        with pytest.raises(InsufficientShares, match="parts: got none"):
            Shares.join([])

    def test_a_holder_that_comes_twice_is_refused(self) -> None:
        s = dealt()
        with pytest.raises(DuplicateShare):
            Shares.join([s[:2], s[1]])

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"threshold": 2}, "threshold: got 3 and 2"),
            ({"shares": 6}, "shares: got 5 and 6"),
            ({"field": GOLDILOCKS}, "field: got"),
            ({"dealing": 7}, "dealing: got two dealings"),
            ({"dtype": np.dtype(np.int8)}, "dtype: got int64 and int8"),
            ({"bound": 9}, "bound: got 4294967296 and 9"),
            ({"values": np.zeros((1, 4), np.uint64), "shape": (4,)}, "shape: got"),
        ],
    )
    def test_rows_of_different_dealings_are_refused(
        self, change: dict[str, Any], named: str
    ) -> None:
        s = dealt()
        with pytest.raises(InconsistentShares, match=named):
            Shares.join([s[0], dataclasses.replace(s[1], **change)])

    def test_the_error_does_not_show_the_tags(self) -> None:
        s = dealt()
        with pytest.raises(InconsistentShares) as caught:
            Shares.join([s[0], dealt()[1]])
        assert str(s.dealing) not in str(caught.value)


class TestShares:
    def test_they_cannot_be_changed(self) -> None:
        s = dealt()
        for shares in (s, s[1:], s + s, Shares.from_bytes(s.to_bytes()), s.with_values(s.values)):
            with pytest.raises(dataclasses.FrozenInstanceError):
                shares.threshold = 1  # type: ignore[misc]
            for array in (shares.values, shares.points):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 0

    def test_they_keep_a_copy_of_an_array_that_others_can_write(self) -> None:
        s = dealt()
        values = s.values.copy()
        replaced = s.with_values(values)
        values[0, 0] = 12345
        np.testing.assert_array_equal(replaced.values, s.values)

    @pytest.mark.parametrize("name", ["values", "points"])
    def test_a_read_only_view_of_what_others_can_write_is_copied(self, name: str) -> None:
        s = dealt()
        before = getattr(s, name).copy()
        base = before.copy()
        view = base[:]
        view.flags.writeable = False
        replaced = dataclasses.replace(s, **{name: view})
        base[...] = 0
        np.testing.assert_array_equal(getattr(replaced, name), before)

    def test_memory_that_no_array_owns_is_copied(self) -> None:
        s = dealt()
        memory = bytearray(s.values.tobytes())
        view = np.frombuffer(memory, np.uint64).reshape(s.values.shape)
        view.flags.writeable = False
        replaced = s.with_values(view)
        memory[:] = bytes(len(memory))
        np.testing.assert_array_equal(replaced.values, s.values)

    def test_no_array_below_theirs_can_be_written(self) -> None:
        s = dealt(np.zeros((2, 3), int))
        read = Shares.from_bytes(s.to_bytes())
        joined, replaced = Shares.join([s[3], s[:2]]), s.with_values(s.values.copy())
        for shares in (s, s[1:], s[[0, 2]], s + s, s - s, -s, 3 * s, read, joined, replaced):
            for array in (shares.values, shares.points):
                below: object = array
                while below is not None:
                    assert isinstance(below, np.ndarray)
                    assert not below.flags.writeable
                    below = below.base

    def test_their_own_memory_is_not_copied_again(self) -> None:
        s = dealt()
        assert np.shares_memory(s[1:].values, s.values)
        assert dataclasses.replace(s, bound=9).values is s.values

    def test_rows_with_gaps_are_copied(self) -> None:
        s = dealt(np.zeros((2, 6), int), shares=4, threshold=2)
        for view in (s.values[:, :, ::-1], s.values[:, ::-1], s.values.transpose(0, 2, 1)):
            turned = dataclasses.replace(s, values=view, shape=view.shape[1:])
            np.testing.assert_array_equal(turned.values, view)
            assert not shamir.reconstruct(turned).any()
        thinned = dataclasses.replace(s, values=s.values[:, :, ::2], shape=(2, 3))
        assert not shamir.reconstruct(thinned).any()
        backwards = dataclasses.replace(s, values=s.values[::-1], points=s.points[::-1])
        assert np.shares_memory(backwards.values, s.values)
        assert not shamir.reconstruct(backwards).any()

    def test_values_that_are_not_aligned_are_copied(self) -> None:
        s = dealt()
        memory = np.empty(8 * s.values.size + 1, np.uint8)
        view = memory[1:].view(np.uint64).reshape(s.values.shape)
        view[...] = s.values
        for array in (memory, view):
            array.flags.writeable = False
        assert s.with_values(view).values.flags.aligned

    @pytest.mark.parametrize("layout", ["integers", "roots", "additive"])
    def test_points_are_residues(self, layout: Any) -> None:
        if layout == "additive":
            s = shamir.split_additive([1, -2], shares=5, field=F17)
        else:
            s = dealt([1, -2], field=F17, points=layout)
        for place in range(5):
            points = s.points.copy()
            points[place] += np.uint64(17)
            with pytest.raises(InvalidShare, match="points: got"):
                dataclasses.replace(s, points=points)
            message = s.to_bytes().replace(s.points.tobytes(), points.tobytes())
            assert message != s.to_bytes()
            with pytest.raises(InvalidShare, match="points: got"):
                Shares.from_bytes(message)

    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            ([[1, 2], [13, 14]], InvalidShare, "values: 2 of 4 are not below the modulus 13"),
            ([[1, 2], [3, -4]], ValueError, "values: got a negative number"),
            ([[1, 2]], ValueError, r"values: got shape \(1, 2\), expected \(2, 2\)"),
            ([[1.0, 2.0], [3.0, 4.0]], TypeError, "values: got dtype float64"),
        ],
    )
    def test_values_that_no_dealing_gives_are_refused(
        self, values: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            dealt([0, 0], shares=2, threshold=2, field=F13).with_values(values)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"threshold": 0}, ValueError, "threshold, shares"),
            ({"threshold": 6}, ValueError, "threshold, shares"),
            ({"shares": 13}, ValueError, "threshold, shares"),
            ({"threshold": 1.0}, TypeError, "threshold: got float"),
            ({"bound": -1}, ValueError, "bound: got -1"),
            ({"bound": 7}, BudgetExceeded, "bound: got 7"),
            ({"dealing": -1}, ValueError, "dealing: expected"),
            ({"dealing": 2**128}, ValueError, "dealing: expected"),
            ({"dtype": "float64"}, TypeError, "dtype: got float64"),
            ({"dtype": object}, TypeError, "dtype: got object"),
            ({"points": [1, 2]}, ValueError, "values, points: got shapes"),
            ({"points": [[1], [2], [3], [4], [5]]}, ValueError, "values, points: got shapes"),
            ({"values": 3}, ValueError, "values, points: got shapes"),
            ({"shape": (-1, -2)}, ValueError, r"shape: got \(-1, -2\), expected no negative"),
            ({"shape": (-2,)}, ValueError, r"shape: got \(-2,\), expected no negative"),
            ({"shape": (2.0,)}, TypeError, "shape: got float"),
            ({"packed": 3}, ValueError, "packed: got 3, expected 1 to 2"),
            ({"field": None}, TypeError, "field: got NoneType, expected PrimeField"),
            ({"points": [0, 1, 2, 3, 4]}, InvalidShare, "points: got 0 modulo"),
            ({"points": [1, 2, 3, 4, 6]}, InvalidShare, "points: got 6, expected those of the 5"),
            ({"points": np.uint64(1)}, ValueError, r"values, points: got shapes \(5, 2\) and \(\)"),
            ({"points": [1, 2, 3, 3, 4]}, DuplicateShare, "points: got two"),
        ],
    )
    def test_parameters_out_of_range_are_refused(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        s = dealt([0, 1], field=F13, bound=3)
        with pytest.raises(error, match=message):
            dataclasses.replace(s, **change)

    def test_printing_shows_no_value(self) -> None:
        s = dealt([123456789])
        for text in (repr(s), str(s), f"{s}"):
            assert "<redacted>" in text
            assert all(str(value) not in text for value in s.values.flat)
            assert str(s.dealing) not in text

    def test_they_refuse_to_pickle_and_to_copy(self) -> None:
        for export in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="to_bytes"):
                export(dealt())

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
    def test_bytes_come_back(self, dtype: str, shape: tuple[int, ...]) -> None:
        s = dealt(np.ones(shape, dtype), field=GOLDILOCKS, bound=2**62)[[4, 1, 2]]
        t = Shares.from_bytes(s.to_bytes())
        for name in ("threshold", "shares", "field", "dtype", "bound", "dealing", "shape"):
            assert getattr(t, name) == getattr(s, name)
        np.testing.assert_array_equal(t.values, s.values, strict=True)
        np.testing.assert_array_equal(t.points, s.points, strict=True)
        assert t.to_bytes() == s.to_bytes()

    def test_bytes_of_no_holder_come_back(self) -> None:
        assert len(Shares.from_bytes(dealt()[[]].to_bytes())) == 0

    def test_a_tag_of_another_length_is_refused(self) -> None:
        writer = Writer(Kind.SHARES)
        for number in (13, 1, 2):
            writer.u64(number)
        writer.u8(0)
        writer.u64(1)
        writer.u8(0)
        writer.integer(1)
        writer.blob(bytes(15))
        with pytest.raises(DeserializationError, match="dealing: got 15 bytes, expected 16"):
            Shares.from_bytes(writer.finish())

    def test_every_truncation_is_refused(self) -> None:
        data = dealt().to_bytes()
        for length in range(len(data)):
            with pytest.raises(DeserializationError):
                Shares.from_bytes(data[:length])

    def test_the_overhead_of_a_row_is_small(self) -> None:
        row = dealt(np.zeros(1000, int))[0].to_bytes()
        assert len(row) < 8 * 1000 + 150


@pytest.mark.parametrize("what", [np.ones(3), [1, 2], None, "shares"])
def test_what_are_no_shares_is_refused_with_advice(what: Any) -> None:
    with pytest.raises(TypeError, match=r"shares: got \w+, expected Shares.*Shares\.join"):
        shamir.reconstruct(what)
    with pytest.raises(TypeError, match=r"parts: got .* expected a sequence of Shares"):
        shamir.Shares.join([what])
