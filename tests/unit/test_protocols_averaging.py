"""Weighted means: what a client writes, what is opened, and what is refused."""

import math
from fractions import Fraction

import numpy as np
import pytest

from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.protocols import Plain, Sharing
from veilsum.protocols.averaging import WeightedMean, average, checked_weight, whole_numbers

ENCODING = FixedPoint.binary(16, bound=8.0)


@pytest.mark.parametrize("encoding", [FixedPoint.decimal(3, bound=8.0), FixedPoint.binary(80)])
def test_rounding_happens_before_the_weighting(encoding):
    mean = WeightedMean(encoding=encoding, max_weight=1000)
    update = np.array([1 / 3, -0.0004, 7.9999])
    contribution = mean.encode(update, 999)
    assert [int(unit) for unit in contribution[:-1]] == [
        999 * int(unit) for unit in encoding.quantise(update)
    ]
    assert contribution[-1] == 999
    assert all(abs(int(unit)) <= mean.whole.limit for unit in contribution)


@pytest.mark.parametrize("limit", [1, 2**53, 2**53 + 1, 2**60 - 1, 3**100])
def test_whole_numbers_admit_every_integer_up_to_the_limit(limit):
    encoding = whole_numbers(limit)
    assert encoding.scale == 1
    assert limit <= encoding.limit <= limit * (1 + 2**-52)
    (integer,) = encoding.quantise(np.array([limit], dtype=object))
    assert integer == limit


@pytest.mark.parametrize("aggregator", [Plain(), Sharing(holders=5)])
def test_the_mean_is_the_exact_one_of_the_rounded_updates(aggregator):
    mean = WeightedMean(encoding=ENCODING, max_weight=50)
    updates = np.random.default_rng(5).normal(size=(4, 2, 3))
    weights = [1, 7, 50, 2]
    result = average(updates, weights, aggregator=aggregator, mean=mean, dropped=[2])
    kept = [0, 1, 3]
    exact = [
        Fraction(sum(int(ENCODING.quantise(updates[i].flat[j])) * weights[i] for i in kept))
        / (10 * ENCODING.scale)
        for j in range(6)
    ]
    assert result.mean.shape == (2, 3)
    assert result.weight == 10
    assert result.aggregate.survivors == (0, 1, 3)
    assert result.mean.reshape(-1).tolist() == [float(value) for value in exact]


def test_a_long_update_is_shortened_to_the_clip_and_a_short_one_left_alone():
    mean = WeightedMean(encoding=ENCODING, clip=2.5)
    shortened = mean.encode([3.0, -4.0], 1)[:-1] / ENCODING.scale
    assert np.allclose(shortened, [1.5, -2.0], atol=1 / ENCODING.scale)
    assert (mean.encode([1.5, -2.0], 1)[:-1] / ENCODING.scale).tolist() == [1.5, -2.0]


def test_the_clip_bounds_what_the_encoding_would_refuse():
    update = np.array([100.0, 0.0])
    with pytest.raises(BudgetExceeded):
        WeightedMean(encoding=ENCODING).encode(update, 1)
    clipped = WeightedMean(encoding=ENCODING, clip=8.0).encode(update, 1)
    assert clipped.tolist() == [8 * ENCODING.scale, 0, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_clip_does_not_hide_what_is_not_finite(bad):
    with pytest.raises(BudgetExceeded, match="NaN or infinite"):
        WeightedMean(encoding=ENCODING, clip=1.0).encode([1.0, bad], 1)


def test_stochastic_rounding_is_right_on_average():
    mean = WeightedMean(encoding=FixedPoint.binary(0, bound=8.0), rounding="stochastic")
    drawn = mean.encode(np.full(40_000, 0.3), 1)[:-1]
    assert set(drawn.tolist()) == {0, 1}
    assert abs(drawn.mean() - 0.3) < 0.02  # more than eight standard deviations


def test_the_digest_binds_the_model_and_every_term():
    model, other = np.zeros(3), np.ones(3)
    means = [
        WeightedMean(encoding=ENCODING),
        WeightedMean(encoding=FixedPoint.binary(15, bound=8.0)),
        WeightedMean(encoding=ENCODING, max_weight=7),
        WeightedMean(encoding=ENCODING, clip=1.0),
        WeightedMean(encoding=ENCODING, rounding="stochastic"),
    ]
    digests = {mean.digest(model) for mean in means} | {means[0].digest(other)}
    assert len(digests) == len(means) + 1
    assert {len(digest) for digest in digests} == {32}


@pytest.mark.parametrize("weight", [0, -1, 8])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match=f"weight: got {weight}, expected 1 to 7"):
        WeightedMean(encoding=ENCODING, max_weight=7).encode([1.0], weight)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"max_weight": 0}, "max_weight"),
        ({"clip": 0.0}, "clip"),
        ({"clip": math.nan}, "clip"),
        ({"rounding": "up"}, "rounding"),
    ],
)
def test_terms_out_of_range_are_refused_by_name(options, name):
    with pytest.raises(ValueError, match=name):
        WeightedMean(encoding=ENCODING, **options)


def test_updates_and_weights_of_different_clients_are_refused():
    mean = WeightedMean(encoding=ENCODING)
    with pytest.raises(ValueError, match=r"weights: got them for the clients \[0, 2\]"):
        average({0: [1.0], 1: [2.0]}, {0: 1, 2: 1}, aggregator=Plain(), mean=mean)


def test_updates_of_two_shapes_are_refused():
    mean = WeightedMean(encoding=ENCODING)
    with pytest.raises(ValueError, match="one shape for all"):
        average([[1.0, 2.0], [[1.0], [2.0]]], [1, 1], aggregator=Plain(), mean=mean)


@pytest.mark.parametrize("opened", [-1, 0, 1, 2 * 7 + 1])
def test_an_impossible_sum_of_weights_is_an_error(opened):
    aggregate = Plain().aggregate([[1.0], [2.0]])
    with pytest.raises(ProtocolError, match=f"sum of weights is {opened}"):
        checked_weight(opened, aggregate, 7)


@pytest.mark.parametrize("weight", [1.5, 0.2, True, "2"])
def test_a_weight_that_is_no_integer_is_refused(weight):
    with pytest.raises(TypeError, match="weight: got"):
        WeightedMean(encoding=ENCODING).encode([1.0], weight)


def test_an_encoding_that_is_none_is_refused():
    with pytest.raises(TypeError, match="encoding: got int, expected FixedPoint"):
        WeightedMean(encoding=16)


def test_the_name_of_a_protocol_is_no_aggregator():
    with pytest.raises(TypeError, match="aggregator: got str"):
        average([[1.0]], [1], aggregator="plain", mean=WeightedMean(encoding=ENCODING))


def test_a_norm_that_no_float_holds_is_refused_without_a_warning():
    with pytest.raises(BudgetExceeded, match="too large for a float"):
        WeightedMean(encoding=ENCODING, clip=1.0).encode([1e300, 1e300], 1)
