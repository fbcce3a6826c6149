"""Weighted means of which nobody sees a summand or a weight.

A client multiplies its quantised update by its weight and appends the weight, so that one opened
sum gives the mean: McMahan, Moore, Ramage, Hampson and Agüera y Arcas (2017), "Communication-
Efficient Learning of Deep Networks from Decentralized Data", Algorithm 1, over the integers of
Bonawitz et al. (2017), "Practical Secure Aggregation for Privacy-Preserving Machine Learning".
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.encoding import FixedPoint, Rounding, as_integer
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.protocols.aggregator import Aggregate, Aggregator
from veilsum.wire import length_prefixed

__all__ = ["Average", "WeightedMean", "average", "checked_weight", "whole_numbers"]

MAX_WEIGHT = 1 << 20
_INT64_LIMIT = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedMean:
    """How a weighted mean becomes a sum of integer vectors.

    A client of weight `n` clips its update, quantises it and contributes ``n`` times the integers,
    followed by ``n``. Every rounding happens before the weighting, so that the mean is within half
    a unit of `encoding` of the exact one (a whole unit under stochastic rounding), however many
    clients there are. Scale, bound and clip are public and the same for all.

    Parameters
    ----------
    encoding : FixedPoint
        Resolution and bound of one coordinate of an update.
    max_weight : int
        Public bound on a client's weight, at least 1.
    clip : float
        The largest Euclidean norm of an update; a longer one is shortened to it. None by default.
    rounding : {"nearest", "stochastic"}
        How a coordinate becomes an integer. Stochastic rounding is right on average, so that the
        errors of many rounds do not add up.

    Examples
    --------
    >>> mean = WeightedMean(encoding=FixedPoint.decimal(1, bound=9.0), max_weight=100)
    >>> mean.encode(np.array([0.52, -1.0]), 3)
    array([ 15, -30,   3])
    """

    encoding: FixedPoint
    max_weight: int = MAX_WEIGHT
    clip: float = math.inf
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        if not isinstance(self.encoding, FixedPoint):
            raise TypeError(f"encoding: got {type(self.encoding).__name__}, expected FixedPoint")
        if self.max_weight < 1:
            raise ValueError(f"max_weight: got {self.max_weight}, expected at least 1")
        if not self.clip > 0:
            raise ValueError(f"clip: got {self.clip}, expected a norm above 0")
        if self.rounding not in ("nearest", "stochastic"):
            raise ValueError(f"rounding: got {self.rounding!r}, expected 'nearest' or 'stochastic'")

    @property
    def whole(self) -> FixedPoint:
        """Encoding of the integer vectors."""
        return whole_numbers(self.encoding.limit * self.max_weight)

    def encode(self, update: ArrayLike, weight: int) -> NDArray[Any]:
        """Write one client's contribution.

        Parameters
        ----------
        update : array_like of real numbers
            The client's update, of any shape.
        weight : int
            The client's weight, from 1 to `max_weight`.

        Returns
        -------
        ndarray of int64 or of Python ints, shape (size of the update + 1,)
            The weighted update, flat, and the weight.

        Raises
        ------
        TypeError
            If `weight` is no integer; scale fractions first.
        ValueError
            If `weight` is out of range.
        BudgetExceeded
            If a coordinate is not finite, or above the encoding's bound after clipping.
        """
        weight = as_integer("weight", weight)
        if not 1 <= weight <= self.max_weight:
            raise ValueError(f"weight: got {weight}, expected 1 to {self.max_weight} (max_weight)")
        flat = self._clipped(np.asarray(update).reshape(-1))
        integers = self.encoding.quantise(flat, rounding=self.rounding)
        if self.encoding.limit * self.max_weight >= _INT64_LIMIT:
            integers = integers.astype(object)
        contribution = np.empty(integers.size + 1, integers.dtype)
        np.multiply(integers, weight, out=contribution[:-1])
        contribution[-1] = weight
        return contribution

    def decode(self, aggregate: Aggregate) -> tuple[NDArray[np.float64], int]:
        """Read the mean from the opened sum of contributions.

        Parameters
        ----------
        aggregate : Aggregate
            The sum of what `encode` gave to the survivors.

        Returns
        -------
        mean : ndarray of float64, flat
            The weighted mean of the survivors' updates.
        weight : int
            The sum of their weights.

        Raises
        ------
        ProtocolError
            If the survivors cannot have that sum of weights.
        """
        weight = checked_weight(aggregate.integers[-1], aggregate, self.max_weight)
        sums = aggregate.integers[:-1].astype(np.float64)
        return sums / float(weight * self.encoding.scale), weight

    def digest(self, model: NDArray[np.float64]) -> bytes:
        """Hash a model together with how its updates are written: 32 bytes, for the session."""
        terms = (
            f"{self.encoding.scale} {self.encoding.bound.hex()} {self.max_weight} "
            f"{self.clip.hex()} {self.rounding}"
        )
        parts = b"veilsum/model/v1", terms.encode(), model.astype("<f8").tobytes()
        return hashlib.sha256(length_prefixed(*parts)).digest()

    def _clipped(self, update: NDArray[Any]) -> NDArray[Any]:
        if math.isinf(self.clip):
            return update
        with np.errstate(over="ignore"):
            norm = float(np.linalg.norm(update.astype(np.float64)))
        if math.isnan(norm) or math.isinf(norm):
            raise BudgetExceeded(
                "update: its norm is NaN or infinite, or too large for a float; replace such "
                "coordinates"
            )
        return update if norm <= self.clip else np.asarray(update * (self.clip / norm))


@dataclass(frozen=True, eq=False)
class Average:
    """A weighted mean, and the round that gave it.

    Attributes
    ----------
    mean : ndarray of float64
        Of the survivors' updates, in the shape of one.
    weight : int
        The sum of their weights.
    aggregate : Aggregate
        The round: survivors, seconds, bytes.
    """

    mean: NDArray[np.float64]
    weight: int
    aggregate: Aggregate


def average(
    updates: Mapping[int, ArrayLike] | Sequence[ArrayLike],
    weights: Mapping[int, int] | Sequence[int],
    *,
    aggregator: Aggregator,
    mean: WeightedMean,
    **options: Any,
) -> Average:
    """Run one round in this process that opens a weighted mean, and neither updates nor weights.

    Parameters
    ----------
    updates : sequence of array_like, or mapping of int to array_like
        One array a client, all of one shape.
    weights : sequence of int, or mapping of int to int
        One weight a client, such as its number of examples.
    aggregator : Aggregator
        What protects them.
    mean : WeightedMean
        Scale, bound, clip and rounding, public and fixed in advance.
    **options
        Of `Aggregator.aggregate`: dropped, round, model_digest, transport.

    Returns
    -------
    Average
        What is opened: the survivors' mean and the sum of their weights.

    Raises
    ------
    ValueError
        When clients and weights are not the same, shapes differ or a weight is out of range.
    BudgetExceeded, ProtocolError, DecodingError
        As `Aggregator.aggregate`.

    Examples
    --------
    >>> from veilsum.protocols import Plain
    >>> mean = WeightedMean(encoding=FixedPoint.binary(16, bound=8.0), max_weight=100)
    >>> average([[1.0, 2.0], [5.0, -2.0]], [1, 3], aggregator=Plain(), mean=mean).mean
    array([ 4., -1.])
    """
    arrays = dict(updates.items() if isinstance(updates, Mapping) else enumerate(updates))
    shares = dict(weights.items() if isinstance(weights, Mapping) else enumerate(weights))
    if not isinstance(aggregator, Aggregator):
        raise TypeError(
            f"aggregator: got {type(aggregator).__name__}, expected an Aggregator such as Masking()"
        )
    if arrays.keys() != shares.keys():
        raise ValueError(
            f"weights: got them for the clients {sorted(shares)}, expected {sorted(arrays)}"
        )
    shapes = {np.shape(array) for array in arrays.values()}
    if len(shapes) > 1:
        raise ValueError(f"updates: got the shapes {sorted(shapes)}, expected one shape for all")
    aggregate = aggregator.aggregate(
        {client: mean.encode(array, shares[client]) for client, array in arrays.items()},
        encoding=mean.whole,
        **options,
    )
    flat, weight = mean.decode(aggregate)
    return Average(flat.reshape(next(iter(shapes))), weight, aggregate)


def checked_weight(opened: int, aggregate: Aggregate, max_weight: int) -> int:
    """Return an opened sum of the survivors' weights, if it is possible at all.

    Raises
    ------
    ProtocolError
        If it is not: shares or messages were altered on the way.
    """
    clients = len(aggregate.survivors)
    if not clients <= opened <= clients * max_weight:
        raise ProtocolError(
            f"the opened sum of weights is {opened}, which {clients} clients with weights from 1 "
            f"to {max_weight} cannot have; shares or messages were altered"
        )
    return int(opened)


def whole_numbers(limit: int) -> FixedPoint:
    """Make the encoding of vectors that are integers already.

    Parameters
    ----------
    limit : int
        Public bound on the magnitude of an integer, at least 1.

    Returns
    -------
    FixedPoint
        Scale one, and a bound that is `limit` or, where no float is, the next float above.

    Examples
    --------
    >>> whole_numbers(2**60 - 1).limit == 2**60
    True
    """
    bound = float(limit)
    return FixedPoint(scale=1, bound=bound if bound >= limit else math.nextafter(bound, math.inf))
