"""Linear regression across clients that never show their rows.

Two solvers: ``"normal"`` adds the normal equations under protection, exactly, in one round;
``"fedavg"`` trains a single linear layer by federated averaging (McMahan et al. 2017), which is the
model of Sharma, Shirur, Singh and Satao (2022), "Decentralized Machine Learning Models with
Cryptographic Techniques".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded
from veilsum.learning import partition
from veilsum.learning.engines import Engine, Transports, resolve
from veilsum.learning.estimator import Regressor
from veilsum.learning.federated import (
    MAX_ROWS,
    UPDATE_ENCODING,
    ClientHook,
    Round,
    federated_averaging,
)
from veilsum.learning.moments import Scaling, least_squares, sum_moments

__all__ = ["FederatedLinearRegression", "LinearClient"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearClient:
    """A client that trains a linear layer on its standardised rows by stochastic gradient descent.

    Its model is a weight for each feature and then the intercept. The loss is half the mean squared
    error.

    Attributes
    ----------
    X : ndarray of float64, shape (rows, features)
        Standardised features.
    y : ndarray of float64, shape (rows,)
        Standardised target.
    epochs : int
        Passes over the rows a round, *E* in the paper.
    batch_size : int or None
        Largest batch, *B* in the paper; None for all rows at once. The shuffled rows are cut into
        as few batches as that allows, of nearly equal size, because a last batch of one row is mere
        noise.
    learning_rate : float
        Size of a gradient step.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    epochs: int
    batch_size: int | None
    learning_rate: float

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    def train(
        self, weights: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the model after `epochs` passes from `weights`; not finite if they diverge."""
        trained = weights.copy()
        slopes = trained[:-1]
        batches = math.ceil(self.rows / (self.batch_size or self.rows))
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.epochs):
                for batch in np.array_split(generator.permutation(self.rows), batches):
                    features = self.X[batch]
                    errors = features @ slopes + trained[-1] - self.y[batch]
                    slopes -= self.learning_rate * (errors @ features) / len(batch)
                    trained[-1] -= self.learning_rate * errors.mean()
        return trained


class FederatedLinearRegression(Regressor):
    """Least-squares linear regression over the rows of several clients.

    The clients' sums are opened by an aggregator of `veilsum.protocols`, whose class says whom it
    trusts and which dropouts it survives. What all solvers open, to whoever learns the aggregator's
    sums, is the number of rows, and the mean and the standard deviation of every column and of the
    target. Solver "normal" opens the covariances of all columns besides, "fedavg" the averaged
    update of every round. With few rows in all, these sums can say much about one of them.

    Parameters
    ----------
    aggregator : str or protocols.Aggregator, default "sharing"
        How sums are protected: "plain", "paillier", "threshold_paillier", "sharing" or an
        aggregator.
    clients : int, default 8
        Number of clients that the rows are dealt out to when ``fit`` gets no `groups`.
    solver : {"normal", "fedavg"}, default "normal"
        "normal": one round; the clients' exact Gram matrices are added and solved. "fedavg": one
        round for means and deviations, then `rounds` of federated averaging.
    rounds : int, default 60
        Rounds of federated averaging.
    epochs : int, default 10
        Passes over a client's rows a round.
    batch_size : int or None, default 32
        Largest batch of a client; None for all its rows at once.
    learning_rate : float or None, default None
        Size of a gradient step; None for ``0.5 / (features + 1)``, half the inverse of the mean
        squared norm of a standardised row with its intercept.
    fraction : float, default 1.0
        Part of the clients that trains each round, above 0 and at most 1.
    encoding : FixedPoint or None, default None
        Resolution and bound of one coordinate of a client's update of the standardised model;
        None for `federated.UPDATE_ENCODING`.
    max_rows : int, default 2**20
        Public bound on the rows of one client.
    rcond : float, default 1e-12
        Solver "normal" leaves out directions of the features' correlation matrix whose eigenvalue
        is at most this part of the largest.
    random_state : int, default 0
        Seed of the dealing, of the choice of clients and of their batches. It never seeds secrets.
    client_hook : callable or None, default None
        Solver "fedavg": ``client_hook(index, client)`` gets every `LinearClient` before the first
        round of training, and returns who takes part in its place.
    dropouts : callable or None, default None
        ``dropouts(round)`` names clients that vanish before they send. Round 0 adds the moments;
        training has the rounds 1, 2, ...
    transports : callable or None, default None
        ``transports(round)`` makes the transport that carries a round's messages.
    engine : engines.Engine or None, default None
        Where the clients compute and who carries the messages, in place of `transports`; None for
        this process. All engines open the same integers and give the same model, bit for bit.
    callback : callable or None, default None
        Called with each `federated.Round` as it ends.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (features,)
        A weight for each raw feature.
    intercept_ : float
        Prediction where all features are zero.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str, shape (features,)
        Names of the features, when X has names for its columns.
    n_clients_ : int
        Number of clients.
    moments_round_ : protocols.Aggregate
        Round 0: who survived, seconds and bytes.
    scaling_ : moments.Scaling
        Opened means and deviations; its method ``raw`` translates the weights of a round of
        training into raw ones.
    history_ : tuple of federated.Round
        Rounds of training, with the RMSE over all rows of X in units of y; empty for "normal".

    Examples
    --------
    >>> from veilsum.learning import datasets
    >>> concrete = datasets.load("concrete")
    >>> model = FederatedLinearRegression(clients=8).fit(concrete.X, concrete.y)
    >>> round(model.score(concrete.X, concrete.y), 3)
    0.616

    References
    ----------
    McMahan et al. (2017), "Communication-Efficient Learning of Deep Networks from Decentralized
    Data", Algorithm 1, for "fedavg".
    """

    coef_: NDArray[np.float64]
    intercept_: float

    def __init__(
        self,
        aggregator: str | protocols.Aggregator = "sharing",
        clients: int = 8,
        solver: str = "normal",
        *,
        rounds: int = 60,
        epochs: int = 10,
        batch_size: int | None = 32,
        learning_rate: float | None = None,
        fraction: float = 1.0,
        encoding: FixedPoint | None = None,
        max_rows: int = MAX_ROWS,
        rcond: float = 1e-12,
        random_state: int = 0,
        client_hook: ClientHook | None = None,
        dropouts: Callable[[int], Collection[int]] | None = None,
        transports: Transports | None = None,
        engine: Engine | None = None,
        callback: Callable[[Round], None] | None = None,
    ) -> None:
        self.aggregator = aggregator
        self.clients = clients
        self.solver = solver
        self.rounds = rounds
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.fraction = fraction
        self.encoding = encoding
        self.max_rows = max_rows
        self.rcond = rcond
        self.random_state = random_state
        self.client_hook = client_hook
        self.dropouts = dropouts
        self.transports = transports
        self.engine = engine
        self.callback = callback

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like of shape (rows, features)
            Raw features; solver "normal" is exact for magnitudes from 2e-4 to 1e19.
        y : array-like of shape (rows,)
            Raw target.
        groups : array-like of shape (rows,), optional
            Owner of each row: any labels, one client a label, in their sorted order. By default
            the rows are dealt out evenly to `clients` clients.

        Returns
        -------
        FederatedLinearRegression
            The estimator itself.

        Raises
        ------
        TypeError
            If a parameter is not of its type, or groups mix text and numbers.
        ValueError
            If X, y or groups are malformed, there are more clients than rows, a parameter is out of
            range, or both `transports` and `engine` are given.
        BudgetExceeded
            If a value is too large for its encoding; with "fedavg" this is also how a diverging
            training ends.
        ProtocolError
            If the aggregator gives up, or an opened number of rows is impossible.
        """
        features, target = self._check_training_data(X, y)
        self._check_options()
        owners = self._owners(len(target), groups)
        table = np.column_stack([features, target])
        aggregator = protocols.resolve(self.aggregator)
        engine = resolve(self.engine, self.transports)
        moments, self.moments_round_ = sum_moments(
            [table[rows] for rows in owners],
            pairs=self.solver == "normal",
            aggregator=aggregator,
            max_rows=self.max_rows,
            dropped=[client for client in self._lost(0) if client < len(owners)],
            engine=engine,
        )
        self.n_clients_ = len(owners)
        self.scaling_ = Scaling.of(moments)
        self.history_: tuple[Round, ...] = ()
        if self.solver == "normal":
            self.coef_, self.intercept_ = least_squares(moments, rcond=self.rcond)
        else:
            try:
                standardised = self.scaling_.standardise(table)
                self.history_ = self._train(standardised, owners, aggregator, engine)
            except BudgetExceeded as error:
                what, _, _ = str(error).partition(";")
                raise BudgetExceeded(
                    f"{what}; if training diverged, lower learning_rate, "
                    "else give an encoding with a larger bound"
                ) from error
            self.coef_, self.intercept_ = self.scaling_.raw(self.history_[-1].weights)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (rows, features)
            Raw features.

        Returns
        -------
        ndarray of float64, shape (rows,)
            Predictions.

        Raises
        ------
        ValueError
            If the model is not fitted, or X is malformed or has other features.
        """
        return np.asarray(self._check_features(X) @ self.coef_ + self.intercept_)

    def _train(
        self,
        table: NDArray[np.float64],
        owners: list[NDArray[np.int64]],
        aggregator: protocols.Aggregator,
        engine: Engine,
    ) -> tuple[Round, ...]:
        X, y = table[:, :-1], table[:, -1]
        length = table.shape[1]
        learning_rate = 0.5 / length if self.learning_rate is None else self.learning_rate
        deviation = self.scaling_.deviations[-1]

        def rmse(weights: NDArray[np.float64]) -> float:
            errors = X @ weights[:-1] + weights[-1] - y
            return float(np.sqrt(np.mean(errors**2)) * deviation)

        return federated_averaging(
            np.zeros(length),
            [
                LinearClient(
                    X=X[rows],
                    y=y[rows],
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    learning_rate=learning_rate,
                )
                for rows in owners
            ],
            rounds=self.rounds,
            aggregator=aggregator,
            seed=self.random_state,
            fraction=self.fraction,
            encoding=UPDATE_ENCODING if self.encoding is None else self.encoding,
            max_rows=self.max_rows,
            client_hook=self.client_hook,
            dropouts=self.dropouts,
            engine=engine,
            evaluate=rmse,
            callback=self.callback,
        )

    def _owners(self, rows: int, groups: ArrayLike | None) -> list[NDArray[np.int64]]:
        if groups is None:
            return partition.iid(rows, self.clients, seed=self.random_state)
        labels = np.asarray(groups)
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise ValueError("groups: got NaN, expected an owner for each row of X")
        if labels.shape != (rows,):
            raise ValueError(
                f"groups: got shape {labels.shape}, expected ({rows},), an owner for each row of X"
            )
        if any(label is None for label in labels.flat):
            raise ValueError("groups: got None, expected an owner for each row of X")
        try:
            return partition.by_column(labels)
        except TypeError as error:
            raise TypeError(
                "groups: the labels cannot be sorted; use only text or only numbers"
            ) from error

    def _lost(self, index: int) -> Collection[int]:
        return self.dropouts(index) if self.dropouts else ()

    def _check_options(self) -> None:
        for name in ("clients", "rounds", "epochs", "batch_size", "max_rows"):
            number = getattr(self, name)
            if number is None and name == "batch_size":
                continue
            if isinstance(number, bool) or not isinstance(number, Integral):
                raise TypeError(f"{name}: got {number!r}, expected an integer")
        for name in ("learning_rate", "fraction", "rcond"):
            number = getattr(self, name)
            if number is None and name == "learning_rate":
                continue
            if isinstance(number, bool) or not isinstance(number, Real):
                raise TypeError(f"{name}: got {number!r}, expected a number")
        if self.solver not in ("normal", "fedavg"):
            raise ValueError(f"solver: got {self.solver!r}, expected 'normal' or 'fedavg'")
        if not isinstance(self.random_state, Integral) or self.random_state < 0:
            raise ValueError(f"random_state: got {self.random_state!r}, expected an integer from 0")
        if self.epochs < 1:
            raise ValueError(f"epochs: got {self.epochs}, expected at least 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size: got {self.batch_size}, expected at least 1 or None")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate: got {self.learning_rate}, expected a finite number above 0 or None"
            )
