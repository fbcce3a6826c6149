"""scikit-learn's conventions for a regressor, kept without importing scikit-learn.

What scikit-learn itself must hand out, its tags and its own exception and warning classes, is taken
from it only once somebody has loaded it.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Estimator", "Regressor"]


class Estimator:
    """Parameters: a subclass stores its constructor's arguments unchanged under their own names."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the constructor's arguments.

        Parameters
        ----------
        deep : bool, default True
            Accepted by convention; no argument is an estimator.

        Returns
        -------
        dict of str to object
            Each argument by its name.
        """
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Replace arguments of the constructor.

        Parameters
        ----------
        **params : object
            New values by name; they are checked when ``fit`` is called.

        Returns
        -------
        Self
            The estimator itself.

        Raises
        ------
        ValueError
            If the constructor has no such argument.
        """
        known = self._parameters()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{name}: not a parameter, expected one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not self._parameters()[name].default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        signature = inspect.signature(cls)
        return dict(signature.parameters)

    def _check_fitted(self, attribute: str) -> None:
        """Check that ``fit`` has set an attribute."""
        if not hasattr(self, attribute):
            error = _sklearn_class("NotFittedError", ValueError)
            raise error(f"this {type(self).__name__} is not fitted yet; call fit first")


class Regressor(Estimator, ABC):
    """Checks of X and y, and the score of a regressor.

    A subclass calls `_check_training_data` first in ``fit``, and offers ``predict``, which calls
    `_check_features`.
    """

    @abstractmethod
    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the target of each row."""

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Coefficient of determination of the predictions, R².

        Parameters
        ----------
        X : array-like of shape (rows, features)
            Features.
        y : array-like of shape (rows,)
            True targets.

        Returns
        -------
        float
            One minus the ratio of the residuals' sum of squares to that of the target about its
            mean. On a constant target: 1.0 when it is met exactly, else 0.0.
        """
        target = self._check_target(y)
        residual = float(np.sum((target - self.predict(X)) ** 2))
        total = float(np.sum((target - target.mean()) ** 2))
        if total == 0:
            return float(residual == 0)
        return 1 - residual / total

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
        )

    def _check_training_data(
        self, X: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Check X and y, and remember the number and the names of the features."""
        features = _as_table(X)
        target = self._check_target(y)
        if len(features) != len(target):
            raise ValueError(f"y: got {len(target)} values for the {len(features)} rows of X")
        self.n_features_in_ = features.shape[1]
        names = _column_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return features, target

    def _check_target(self, y: ArrayLike | None) -> NDArray[np.float64]:
        if y is None:
            raise ValueError(
                f"y: {type(self).__name__} requires y to be passed, but the target y is None"
            )
        target = _as_numbers("y", y)
        if target.ndim == 2 and target.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected; pass y.ravel()",
                _sklearn_class("DataConversionWarning", UserWarning),
                stacklevel=4,
            )
            target = target[:, 0]
        if target.ndim != 1:
            raise ValueError(f"y: got shape {target.shape}; y should be a 1d array")
        return target

    def _check_features(self, X: ArrayLike) -> NDArray[np.float64]:
        """Check that X has the features of the training data."""
        name = type(self).__name__
        self._check_fitted("n_features_in_")
        self._check_names(_column_names(X))
        features = _as_table(X)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {features.shape[1]} features, but {name} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return features

    def _check_names(self, names: NDArray[Any] | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        if names is None and fitted is None:
            return
        name = type(self).__name__
        if fitted is None:
            message = f"X has feature names, but {name} was fitted without feature names"
            warnings.warn(message, UserWarning, stacklevel=4)
        elif names is None:
            message = (
                f"X does not have valid feature names, but {name} was fitted with feature names"
            )
            warnings.warn(message, UserWarning, stacklevel=4)
        elif list(names) != list(fitted):
            raise ValueError(
                "The feature names should match those that were passed during fit.\n"
                + _difference(list(names), list(fitted))
            )


def _as_table(X: ArrayLike) -> NDArray[np.float64]:
    table = _as_numbers("X", X)
    if table.ndim != 2:
        raise ValueError(
            f"X: Expected 2D array, got an array of shape {table.shape} instead. Reshape your data "
            "with X.reshape(-1, 1) if it is one feature, or X.reshape(1, -1) if it is one row"
        )
    for count, what in zip(table.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"X: has 0 {what}(s) (shape={table.shape}) while a minimum of 1 is required."
            )
    return table


def _as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    if hasattr(values, "toarray"):
        raise TypeError(f"{name}: got a sparse matrix, expected a dense array; pass .toarray()")
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported; expected real numbers")
    if array.dtype.kind not in "biufO":
        raise ValueError(f"{name}: got dtype {array.dtype}, expected real numbers")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"Input {name} contains NaN or infinity; expected finite numbers")
    return numbers


def _column_names(X: object) -> NDArray[Any] | None:
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    textual = [isinstance(name, str) for name in names]
    if not any(textual):
        return None
    if not all(textual):
        raise TypeError("X: Feature names are only supported if all of them are strings")
    return np.array(names, dtype=object)


def _difference(names: list[str], fitted: list[str]) -> str:
    unseen = sorted(set(names) - set(fitted))
    missing = sorted(set(fitted) - set(names))
    lines = [
        *(["Feature names unseen at fit time:"] if unseen else []),
        *(f"- {name}" for name in unseen),
        *(["Feature names seen at fit time, yet now missing:"] if missing else []),
        *(f"- {name}" for name in missing),
    ]
    if not lines:
        lines = ["Feature names must be in the same order as they were in fit."]
    return "\n".join(lines) + "\n"


def _sklearn_class(name: str, otherwise: type[Any]) -> type[Any]:
    """Return scikit-learn's exception or warning class, which its users catch, if it is loaded."""
    found: type[Any] = getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
    return found
