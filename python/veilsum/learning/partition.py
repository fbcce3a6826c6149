"""Splits of a table's rows over clients: even, uneven in size, by a column, skewed in the target.

Every function returns one array of row numbers a client: disjoint, complete, ascending, and never
empty. The same seed gives the same split. Classes of images are split in the same ways: a row is
then a class, and its label the group it belongs to, such as a character's alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["by_column", "by_label", "by_quantity", "dirichlet", "iid", "owners"]


def iid(rows: int, clients: int, *, seed: int) -> list[NDArray[np.int64]]:
    """Deal shuffled rows out evenly.

    Parameters
    ----------
    rows : int
        Number of rows of the table, at least `clients`.
    clients : int
        Number of clients, at least 1.
    seed : int
        Seed of the shuffle, not negative.

    Returns
    -------
    list of ndarray of int64
        Row numbers of each client; sizes differ by at most one.

    Raises
    ------
    ValueError
        If there are more clients than rows, or no clients.

    Examples
    --------
    >>> [len(part) for part in iid(10, 3, seed=0)]
    [4, 3, 3]
    """
    _check_clients(rows, clients)
    shuffled = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.array_split(shuffled, clients)]


def by_quantity(
    rows: int,
    clients: int,
    *,
    seed: int,
    exponent: float = 1.0,
    proportions: ArrayLike | None = None,
) -> list[NDArray[np.int64]]:
    """Deal shuffled rows out in uneven quantities.

    Parameters
    ----------
    rows : int
        Number of rows of the table, at least `clients`.
    clients : int
        Number of clients, at least 1.
    seed : int
        Seed of the shuffle, not negative.
    exponent : float, default 1.0
        Client ``i`` gets a quantity proportional to ``(i + 1) ** -exponent``; not negative. Unused
        with `proportions`.
    proportions : array-like of shape (clients,), optional
        Positive quantities to be proportional to instead; they need not add up to one.

    Returns
    -------
    list of ndarray of int64
        Row numbers of each client. Quantities are rounded by largest remainder; a client whose
        quantity would be zero gets one row from the largest.

    Raises
    ------
    ValueError
        If there are more clients than rows, or `exponent` or `proportions` are out of range.

    Examples
    --------
    >>> [len(part) for part in by_quantity(11, 3, seed=0)]
    [6, 3, 2]
    >>> [len(part) for part in by_quantity(10, 2, seed=0, proportions=[4, 1])]
    [8, 2]
    """
    _check_clients(rows, clients)
    if proportions is None:
        if not (np.isfinite(exponent) and exponent >= 0):
            raise ValueError(f"exponent: got {exponent}, expected finite and not negative")
        shares = np.arange(1, clients + 1, dtype=np.float64) ** -exponent
    else:
        shares = np.asarray(proportions, dtype=np.float64)
        if shares.shape != (clients,):
            raise ValueError(
                f"proportions: got shape {shares.shape}, expected ({clients},), one for each client"
            )
        if not (np.isfinite(shares).all() and (shares > 0).all()):
            raise ValueError("proportions: expected every one to be positive and finite")
    quantities = _largest_remainder(rows, shares / shares.sum())
    while not quantities.all():
        quantities[np.argmin(quantities)] += 1
        quantities[np.argmax(quantities)] -= 1
    shuffled = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.split(shuffled, np.cumsum(quantities)[:-1])]


def by_column(values: ArrayLike, *, clients: int | None = None) -> list[NDArray[np.int64]]:
    """Give each client its own range of one column.

    Parameters
    ----------
    values : array-like of shape (rows,)
        The column: numbers without NaN, or text.
    clients : int, optional
        Number of quantile bins, one a client. Rows with equal values may fall on both sides of a
        bin's edge, so that sizes differ by at most one. By default each distinct value is a client.

    Returns
    -------
    list of ndarray of int64
        Row numbers of each client, in ascending order of the column.

    Raises
    ------
    ValueError
        If the column is empty, not one-dimensional or has NaN, or there are more clients than rows.

    Examples
    --------
    >>> by_column(["north", "south", "north"])
    [array([0, 2]), array([1])]
    >>> by_column([5.0, 1.0, 3.0, 2.0], clients=2)
    [array([1, 3]), array([0, 2])]
    """
    column = _column("values", values)
    if clients is None:
        distinct, codes = np.unique(column, return_inverse=True)
        return [np.flatnonzero(codes == code) for code in range(len(distinct))]
    _check_clients(len(column), clients)
    ranked = np.argsort(column, kind="stable")
    return [np.sort(part) for part in np.array_split(ranked, clients)]


def by_label(
    labels: ArrayLike, clients: int, *, seed: int, minimum: int = 1
) -> list[NDArray[np.int64]]:
    """Deal whole labels out: all rows of a label go to one client.

    The labels are shuffled, and each goes to the client that has the fewest rows so far.

    Parameters
    ----------
    labels : array-like of shape (rows,)
        Numbers without NaN, or text.
    clients : int
        Number of clients, at least 1 and at most the number of different labels.
    seed : int
        Seed of the shuffle, not negative.
    minimum : int, default 1
        Rows that every client needs.

    Returns
    -------
    list of ndarray of int64
        Row numbers of each client.

    Raises
    ------
    ValueError
        If there are more clients than labels, or a client would get fewer rows than `minimum`.

    Examples
    --------
    >>> by_label(["Greek", "Latin", "Greek", "Runic"], 2, seed=0)
    [array([1, 3]), array([0, 2])]
    """
    distinct, codes, sizes = np.unique(
        _column("labels", labels), return_inverse=True, return_counts=True
    )
    _check_clients(len(codes), clients, minimum)
    if clients > len(distinct):
        raise ValueError(
            f"clients: got {clients} for {len(distinct)} labels; every client needs at least one "
            "label, so use fewer clients"
        )
    owner = np.empty(len(distinct), dtype=np.int64)
    quantities = np.zeros(clients, dtype=np.int64)
    for label in np.random.default_rng(seed).permutation(len(distinct)):
        owner[label] = quantities.argmin()
        quantities[owner[label]] += sizes[label]
    if quantities.min() < minimum:
        raise ValueError(
            f"minimum: got {minimum}, but client {quantities.argmin()} has {quantities.min()} rows;"
            " use fewer clients or another seed"
        )
    return [np.flatnonzero(owner[codes] == client) for client in range(clients)]


def dirichlet(
    target: ArrayLike,
    clients: int,
    *,
    alpha: float,
    seed: int,
    bins: int | None = 10,
    minimum: int = 1,
) -> list[NDArray[np.int64]]:
    """Skew the target between clients by Dirichlet draws over its bins.

    The rows are cut into `bins` quantile bins of the target, or by its distinct values; each bin is
    dealt out by proportions drawn from a symmetric Dirichlet distribution, as Yurochkin et al.
    (2019), "Bayesian nonparametric federated learning of neural networks", do with classes.

    Parameters
    ----------
    target : array-like of shape (rows,)
        The target column: numbers without NaN, or text.
    clients : int
        Number of clients, at least 1.
    alpha : float
        Concentration, positive: large values give nearly even clients, values below one give
        clients that see few bins.
    seed : int
        Seed of the draws, not negative.
    bins : int or None, default 10
        Number of quantile bins, at least 1; at most one a row is used. None makes each distinct
        value a bin, which suits labels.
    minimum : int, default 1
        Rows that every client needs.

    Returns
    -------
    list of ndarray of int64
        Row numbers of each client. A client that would get too few takes them from the largest.

    Raises
    ------
    ValueError
        If there are too few rows for the clients, or `alpha`, `bins` or `target` are out of range.

    Examples
    --------
    >>> parts = dirichlet(np.arange(100.0), 4, alpha=0.5, seed=0)
    >>> sum(len(part) for part in parts)
    100
    """
    column = _column("target", target)
    _check_clients(len(column), clients, minimum)
    if not (np.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha: got {alpha}, expected positive and finite")
    if bins is not None and bins < 1:
        raise ValueError(f"bins: got {bins}, expected at least 1")
    generator = np.random.default_rng(seed)
    owner = np.empty(len(column), dtype=np.int64)
    for members in _bins(column, bins):
        shares = generator.dirichlet(np.full(clients, alpha))
        quantities = _largest_remainder(len(members), shares)
        owner[generator.permutation(members)] = np.repeat(np.arange(clients), quantities)
    _fill(owner, clients, minimum)
    return [np.flatnonzero(owner == client) for client in range(clients)]


def owners(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Name the client that owns each row, as the argument ``groups`` of an estimator's ``fit``.

    Parameters
    ----------
    parts : sequence of ndarray of int64
        Row numbers of each client: disjoint and complete.

    Returns
    -------
    ndarray of int64, shape (rows,)
        Number of the client of each row.

    Raises
    ------
    ValueError
        If a row has no owner or two.

    Examples
    --------
    >>> owners([np.array([0, 2]), np.array([1])])
    array([0, 1, 0])
    """
    rows = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    if not np.array_equal(np.sort(rows), np.arange(len(rows))):
        raise ValueError("parts: expected exactly one owner for every row")
    owner = np.empty(len(rows), dtype=np.int64)
    owner[rows] = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return owner


def _check_clients(rows: int, clients: int, minimum: int = 1) -> None:
    if clients < 1:
        raise ValueError(f"clients: got {clients}, expected at least 1")
    if minimum < 1:
        raise ValueError(f"minimum: got {minimum}, expected at least 1")
    if clients * minimum > rows:
        needed = "one row" if minimum == 1 else f"{minimum} rows"
        raise ValueError(
            f"clients: got {clients} for n_samples = {rows}; every client needs at least {needed}, "
            "so use fewer clients"
        )


def _bins(column: NDArray[np.generic], bins: int | None) -> list[NDArray[np.int64]]:
    if bins is None:
        return by_column(column)
    return np.array_split(np.argsort(column, kind="stable"), min(bins, len(column)))


def _column(name: str, values: ArrayLike) -> NDArray[np.generic]:
    column = np.asarray(values)
    if column.ndim != 1 or not len(column):
        raise ValueError(f"{name}: got shape {column.shape}, expected (rows,) with rows >= 1")
    if column.dtype.kind == "f" and np.isnan(column).any():
        raise ValueError(f"{name}: has NaN, which belongs to no client")
    return column


def _largest_remainder(total: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    exact = total * shares
    quantities = np.floor(exact).astype(np.int64)
    missing = total - int(quantities.sum())
    quantities[np.argsort(quantities - exact, kind="stable")[:missing]] += 1
    return quantities


def _fill(owner: NDArray[np.int64], clients: int, minimum: int) -> None:
    quantities = np.bincount(owner, minlength=clients)
    for client in np.flatnonzero(quantities < minimum):
        while quantities[client] < minimum:
            largest = np.argmax(quantities)
            owner[np.flatnonzero(owner == largest)[0]] = client
            quantities[largest] -= 1
            quantities[client] += 1
