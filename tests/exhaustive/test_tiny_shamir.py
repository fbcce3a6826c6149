"""Shamir over GF(13): every polynomial, every subset of holders, every alteration."""

import io
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import randomness, shamir
from veilsum.errors import DecodingError, InsufficientShares
from veilsum.field import PrimeField
from veilsum.shamir import Shares

P = 13
FIELD = PrimeField(P)
SIZES = [(n, k) for n in range(1, 6) for k in range(1, min(n, 3) + 1)]

every_size = pytest.mark.parametrize(("n", "k"), SIZES)
with_extra_shares = pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if n > k])
both_methods = pytest.mark.parametrize("method", ["lagrange", "newton"])


def every_polynomial(k: int) -> NDArray[np.int64]:
    """Coefficients of every polynomial of degree below k, one column each, from the constant."""
    return np.indices((P,) * k).reshape(k, -1)


def deal(coefficients: NDArray[np.int64], n: int) -> Shares:
    """Share the constant terms so that these are the polynomials: the first shares are drawn."""
    drawn = np.array([values_at(coefficients, x) for x in range(1, len(coefficients))], "<u8")
    draws = drawn.tobytes() + bytes(16)
    with randomness._test_source(io.BytesIO(draws).read):
        return shamir.split(
            FIELD.centre(coefficients[0]), shares=n, threshold=len(coefficients), field=FIELD
        )


def values_at(coefficients: NDArray[np.int64], x: int) -> NDArray[np.int64]:
    return sum(c * x**power for power, c in enumerate(coefficients)) % P


def subsets(n: int, least: int) -> list[tuple[int, ...]]:
    sizes = range(least, n + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(range(n), size)]


@every_size
def test_every_polynomial_is_evaluated_at_every_point(n: int, k: int) -> None:
    coefficients = every_polynomial(k)
    for x, row in enumerate(deal(coefficients, n).values, start=1):
        np.testing.assert_array_equal(row, values_at(coefficients, x))


@every_size
@both_methods
def test_every_large_enough_subset_rebuilds_every_secret(n: int, k: int, method: Any) -> None:
    coefficients = every_polynomial(k)
    shares, secrets = deal(coefficients, n), FIELD.centre(coefficients[0])
    for chosen in subsets(n, k):
        rebuilt = shamir.reconstruct(shares[list(chosen)], method=method)
        np.testing.assert_array_equal(rebuilt, secrets)


@every_size
@both_methods
def test_every_smaller_subset_is_refused(n: int, k: int, method: Any) -> None:
    shares = deal(every_polynomial(k), n)
    for size in range(k):
        for chosen in itertools.combinations(range(n), size):
            with pytest.raises(InsufficientShares):
                shamir.reconstruct(shares[list(chosen)], method=method)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k > 1])
def test_one_share_fewer_than_the_threshold_is_exactly_uniform_for_every_secret(
    n: int, k: int
) -> None:
    coefficients = every_polynomial(k)
    values = deal(coefficients, n).values
    for chosen in itertools.combinations(range(n), k - 1):
        for secret in range(P):
            seen = values[list(chosen)][:, coefficients[0] == secret]
            views, counts = np.unique(seen, axis=1, return_counts=True)
            assert views.shape[1] == P ** (k - 1)
            assert set(counts) == {1}


def every_alteration(n: int) -> NDArray[np.uint64]:
    """Every vector of n offsets, one column each; an offset of 0 leaves a share alone."""
    return np.indices((P,) * n).reshape(n, -1).astype(np.uint64)


def altered_by(offsets: NDArray[np.uint64], k: int) -> Shares:
    """Give each column of offsets a secret of its own, share it and alter the shares."""
    n, columns = offsets.shape
    rng = np.random.default_rng(n * P + k)
    honest = deal(rng.integers(0, P, (k, columns)), n)
    return honest.with_values(FIELD.add(honest.values, offsets))


@with_extra_shares
@both_methods
def test_every_alteration_of_up_to_all_extra_shares_is_detected(
    n: int, k: int, method: Any
) -> None:
    offsets = every_alteration(n)
    liars = np.count_nonzero(offsets, axis=0)
    detectable = offsets[:, (liars > 0) & (liars <= n - k)]
    count = detectable.shape[1]
    with pytest.raises(DecodingError, match=f"the {n} shares disagree in {count} of {count} "):
        shamir.reconstruct(altered_by(detectable, k), method=method)


@with_extra_shares
@both_methods
def test_only_offsets_that_are_shares_themselves_go_undetected(n: int, k: int, method: Any) -> None:
    offsets = every_alteration(n)
    detected = P**n - P**k
    with pytest.raises(DecodingError, match=f"disagree in {detected} of {P**n} "):
        shamir.reconstruct(altered_by(offsets, k), method=method)


@every_size
@both_methods
def test_undetected_offsets_shift_the_secret_by_their_own(n: int, k: int, method: Any) -> None:
    coefficients = every_polynomial(k)
    forged, honest = deal(coefficients, n), deal(coefficients[:, ::-1], n)
    moved = honest.with_values(FIELD.add(honest.values, forged.values))
    expected = FIELD.centre((coefficients[0] + coefficients[0, ::-1]) % P)
    np.testing.assert_array_equal(shamir.reconstruct(moved, method=method), expected)
