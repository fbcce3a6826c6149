"""Exact sums over the columns of a table that several clients own.

Each client writes its cells as wide integers, so wide that every usual float is exact, and adds up
its rows, their columns and the products of their columns. The clients' sums are added under
protection and opened as exact integers. Whatever cancels, such as the mean of a column of years,
cancels in integers, before anything becomes a float.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.learning.engines import Engine, resolve
from veilsum.learning.federated import MAX_ROWS, require_rows
from veilsum.protocols.averaging import checked_weight, whole_numbers
from veilsum.wire import length_prefixed

__all__ = ["TABLE_ENCODING", "Moments", "Scaling", "least_squares", "sum_moments"]

TABLE_ENCODING = FixedPoint.binary(64, bound=2.0**64)
"""A cell in units of ``2**-64``, up to ``2**64``: a float is exact unless it is below 2e-4."""

_PURPOSE = b"veilsum/moments/v1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Exact sums over the rows of a table.

    Attributes
    ----------
    rows : int
        Number of rows.
    sums : ndarray of Python ints, shape (columns,)
        Sum of each column, in units of `TABLE_ENCODING`.
    products : ndarray of Python ints, shape (columns,) or (columns, columns)
        Sums of the columns' squares, or of the products of every pair, in squared units.
    """

    rows: int
    sums: NDArray[Any]
    products: NDArray[Any]

    def means(self) -> NDArray[np.float64]:
        """Means of the columns, each correctly rounded."""
        return np.asarray(self.sums / (self.rows * TABLE_ENCODING.scale)).astype(np.float64)

    def centred(self) -> NDArray[Any]:
        """Products about the means, exact: ``rows**2`` times the covariances in squared units."""
        of_means = self.sums**2 if self.products.ndim == 1 else np.outer(self.sums, self.sums)
        return np.asarray(self.rows * self.products - of_means)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """Means and deviations that standardise a table whose last column is the target.

    Attributes
    ----------
    means : ndarray of float64, shape (columns,)
        Subtracted from the columns.
    deviations : ndarray of float64, shape (columns,)
        Standard deviations that the columns are divided by; 1 for a constant column.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @classmethod
    def of(cls, moments: Moments) -> Scaling:
        """Read means and deviations from exact sums."""
        units = moments.rows * TABLE_ENCODING.scale
        centred = moments.centred()
        squares = centred if centred.ndim == 1 else np.diagonal(centred)
        deviations = [math.sqrt(max(square, 0)) / units for square in squares]
        return cls(means=moments.means(), deviations=_ones_for_zeros(np.array(deviations)))

    @classmethod
    def of_rows(cls, table: NDArray[np.float64]) -> Scaling:
        """Return means and deviations of the rows of a table that one party sees."""
        deviations = np.where(np.ptp(table, axis=0) > 0, table.std(axis=0), 1.0)
        return cls(means=table.mean(axis=0), deviations=deviations)

    def standardise(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``(table - means) / deviations``, of shape (rows, columns)."""
        return (table - self.means) / self.deviations

    def raw(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Translate a linear model of the standardised table into one of the raw table.

        Parameters
        ----------
        weights : ndarray of float64, shape (columns,)
            A weight for each standardised feature, then the intercept.

        Returns
        -------
        coefficients : ndarray of float64, shape (columns - 1,)
            A weight for each raw feature.
        intercept : float
            The raw intercept.
        """
        *_, target = self.deviations
        coefficients = weights[:-1] * target / self.deviations[:-1]
        offset = self.means[-1] + weights[-1] * target
        return coefficients, float(offset - self.means[:-1] @ coefficients)


def sum_moments(
    tables: Sequence[NDArray[np.float64]],
    *,
    pairs: bool,
    aggregator: protocols.Aggregator | str,
    max_rows: int = MAX_ROWS,
    dropped: Collection[int] = (),
    transport: protocols.Transport | None = None,
    engine: Engine | None = None,
) -> tuple[Moments, protocols.Aggregate]:
    """Add the clients' exact moments under protection, in one round, numbered 0.

    Parameters
    ----------
    tables : sequence of ndarray of float64, shape (rows_of_client, columns)
        The table of each client, with the same columns.
    pairs : bool
        Whether to add the products of every pair of columns, or the squares alone.
    aggregator : protocols.Aggregator or str
        How the sums are protected.
    max_rows : int, default `MAX_ROWS`
        Public bound on a client's number of rows.
    dropped : collection of int, optional
        Clients that vanish before they send; they only cost their own rows.
    transport : protocols.Transport, optional
        Who carries the messages.
    engine : Engine, optional
        Where the clients add up their rows and who carries the messages, in place of `transport`;
        in this process by default.

    Returns
    -------
    moments : Moments
        Sums over the survivors' rows, which are opened.
    aggregate : protocols.Aggregate
        The round: who survived, seconds and bytes.

    Raises
    ------
    ValueError
        If a client has no rows, or more than `max_rows`, or both `transport` and `engine` are
        given.
    BudgetExceeded
        If a cell is not finite or above the bound of `TABLE_ENCODING`.
    ProtocolError
        If an opened number of rows is impossible, or the aggregator gives up.

    Examples
    --------
    >>> tables = [np.array([[1.0, 5.0]]), np.array([[2.0, 5.0], [6.0, 5.0]])]
    >>> moments, _ = sum_moments(tables, pairs=False, aggregator="plain")
    >>> moments.rows, moments.means()
    (3, array([3., 5.]))
    """
    columns = tables[0].shape[1]
    everybody = range(len(tables))
    aggregate, _ = resolve(engine, None if transport is None else lambda _: transport).run(
        [_Adder(table=table, pairs=pairs, max_rows=max_rows) for table in tables],
        protocols.resolve(aggregator),
        lambda rounds: rounds.run(0, model=np.empty(0), selected=everybody, dropped=dropped),
    )
    opened = aggregate.integers.astype(object)
    moments = Moments(
        rows=checked_weight(opened[0], aggregate, max_rows),
        sums=opened[1 : columns + 1],
        products=_square(opened[columns + 1 :], columns) if pairs else opened[columns + 1 :],
    )
    return moments, aggregate


def least_squares(moments: Moments, *, rcond: float) -> tuple[NDArray[np.float64], float]:
    """Solve the least-squares problem whose target is the last column.

    The exact centred products are scaled to the correlation matrix of the columns, of which a
    symmetric eigendecomposition is taken. Directions whose eigenvalue is at most `rcond` times the
    largest are left out, so that of all solutions on collinear columns the one of least norm in
    standardised columns is found.

    Parameters
    ----------
    moments : Moments
        Sums with the products of every pair of columns.
    rcond : float
        Relative cut-off for eigenvalues, at least 0 and below 1. Eigenvalues carry rounding errors
        of about 1e-16 times the number of columns.

    Returns
    -------
    coefficients : ndarray of float64, shape (columns - 1,)
        A weight for each feature; zero for a constant one.
    intercept : float
        The intercept.

    Raises
    ------
    ValueError
        If `rcond` is out of range.
    """
    if not 0 <= rcond < 1:
        raise ValueError(f"rcond: got {rcond}, expected at least 0 and below 1")
    centred = moments.centred().astype(np.float64)
    spreads = _ones_for_zeros(np.sqrt(np.maximum(np.diagonal(centred), 0)))
    correlations = centred / np.outer(spreads, spreads)
    eigenvalues, directions = np.linalg.eigh(correlations[:-1, :-1])
    kept = eigenvalues > rcond * max(eigenvalues[-1], 0.0)
    directions = directions[:, kept]
    standardised = directions @ (directions.T @ correlations[:-1, -1] / eigenvalues[kept])
    coefficients = standardised * spreads[-1] / spreads[:-1]
    means = moments.means()
    return coefficients, float(means[-1] - means[:-1] @ coefficients)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Adder:
    """A client that contributes the moments of its table, whatever the model."""

    table: NDArray[np.float64]
    pairs: bool
    max_rows: int

    @property
    def encoding(self) -> FixedPoint:
        return whole_numbers(self.max_rows * TABLE_ENCODING.limit**2)

    def length(self, model: NDArray[np.float64]) -> int:  # noqa: ARG002
        columns: int = self.table.shape[1]
        return 1 + columns + (columns * (columns + 1) // 2 if self.pairs else columns)

    def digest(self, model: NDArray[np.float64]) -> bytes:  # noqa: ARG002
        terms = f"{self.table.shape[1]} {self.pairs} {self.max_rows}".encode()
        return hashlib.sha256(length_prefixed(_PURPOSE, terms)).digest()

    def contribute(
        self,
        model: NDArray[np.float64],  # noqa: ARG002
        index: int,  # noqa: ARG002
    ) -> tuple[NDArray[Any], float]:
        rows = len(self.table)
        require_rows(rows, self.max_rows)
        cells = TABLE_ENCODING.quantise(self.table)
        upper = np.triu_indices(cells.shape[1])
        products = (cells.T @ cells)[upper] if self.pairs else (cells**2).sum(0)
        return np.concatenate([np.array([rows], dtype=object), cells.sum(0), products]), 0.0


def _square(upper: NDArray[Any], columns: int) -> NDArray[Any]:
    products = np.empty((columns, columns), dtype=object)
    above = np.triu_indices(columns)
    products[above] = products.T[above] = upper
    return products


def _ones_for_zeros(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, 1.0)
