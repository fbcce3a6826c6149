import subprocess
import sys

import numpy as np
import pytest

from veilsum import paillier, protocols
from veilsum.learning import FederatedLinearRegression

X = np.random.default_rng(0).normal(size=(30, 3))
Y = X @ [1.0, 2.0, 3.0]


class Frame:
    """As much of a data frame as scikit-learn's conventions look at."""

    def __init__(self, values, columns):
        self.values = np.asarray(values)
        self.columns = columns

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


class Sparse:
    def toarray(self):
        return X


def regressor(**options):
    return FederatedLinearRegression(**({"aggregator": "plain"} | options))


def test_importing_the_package_does_not_import_scikit_learn():
    code = "import sys, veilsum.learning; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("ignore:Estimator FederatedLinearRegression does not inherit")
@pytest.mark.parametrize(
    "options",
    [
        {"aggregator": "sharing"},
        {"aggregator": "plain"},
        {"aggregator": "plain", "solver": "fedavg", "rounds": 10},
    ],
)
def test_scikit_learns_own_checks_pass(options):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    outcomes = checks.check_estimator(regressor(**options), on_skip=None)
    assert {outcome["status"] for outcome in outcomes} <= {"passed", "skipped"}
    assert sum(outcome["status"] == "passed" for outcome in outcomes) >= 40


def test_it_works_in_scikit_learns_searches_and_pipelines():
    selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), regressor())
    grid = {"federatedlinearregression__clients": [1, 3]}
    search = selection.GridSearchCV(steps, grid, cv=3).fit(X, Y)
    assert search.best_score_ == pytest.approx(1.0)


def test_it_scores_as_scikit_learn_does():
    metrics = pytest.importorskip("sklearn.metrics")
    model = regressor().fit(X, Y)
    noisy = Y + np.random.default_rng(1).normal(size=30)
    assert model.score(X, noisy) == pytest.approx(metrics.r2_score(noisy, model.predict(X)))


def test_unfitted_use_raises_scikit_learns_error():
    exceptions = pytest.importorskip("sklearn.exceptions")
    with pytest.raises(exceptions.NotFittedError, match="not fitted yet; call fit first"):
        regressor().predict(X)


def test_unfitted_use_is_a_value_error_without_scikit_learn(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn.exceptions", raising=False)
    with pytest.raises(ValueError, match="not fitted yet; call fit first") as caught:
        regressor().predict(X)
    assert caught.type is ValueError


def test_a_column_vector_is_taken_with_a_warning():
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        model = regressor().fit(X, Y[:, np.newaxis])
    assert model.predict(X).shape == (30,)


def test_constructor_arguments_are_stored_unchanged():
    callback = print
    options = {"clients": 3, "solver": "fedavg", "rcond": 1e-9, "callback": callback}
    params = regressor(**options).get_params()
    assert all(params[name] is value for name, value in options.items())
    assert params["epochs"] == 10


def test_the_representation_shows_what_differs_from_the_defaults():
    assert repr(FederatedLinearRegression()) == "FederatedLinearRegression()"
    assert repr(regressor(clients=3)) == (
        "FederatedLinearRegression(aggregator='plain', clients=3)"
    )


def test_unknown_parameters_are_refused_by_name():
    with pytest.raises(ValueError, match=r"client: not a parameter, expected one of aggregator"):
        regressor().set_params(client=3)


def test_feature_names_are_remembered_and_forgotten():
    frame = Frame(X, ["a", "b", "c"])
    model = regressor().fit(frame, Y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert np.allclose(model.predict(frame), Y)
    model.fit(X, Y)
    assert not hasattr(model, "feature_names_in_")
    model.fit(Frame(X, [0, 1, 2]), Y)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["c", "b", "a"], "must be in the same order"),
        (["a", "b", "z"], "unseen at fit time:\n- z\nFeature names seen at fit.*missing:\n- c\n"),
        (["a", "b"], "yet now missing:\n- c\n"),
    ],
)
def test_other_feature_names_are_refused(columns, message):
    model = regressor().fit(Frame(X, ["a", "b", "c"]), Y)
    with pytest.raises(ValueError, match=message):
        model.predict(Frame(X[:, : len(columns)], columns))


def test_feature_names_on_one_side_only_are_warned_about():
    named = regressor().fit(Frame(X, ["a", "b", "c"]), Y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        named.predict(X)
    nameless = regressor().fit(X, Y)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        nameless.predict(Frame(X, ["a", "b", "c"]))


def test_names_of_mixed_types_are_refused():
    with pytest.raises(TypeError, match="all of them are strings"):
        regressor().fit(Frame(X, ["a", 1, 2]), Y)


@pytest.mark.parametrize(
    ("features", "target", "error", "message"),
    [
        (X[0], Y, ValueError, "Expected 2D array"),
        (X[:0], Y[:0], ValueError, r"0 sample\(s\)"),
        (X[:, :0], Y, ValueError, r"0 feature\(s\) \(shape=\(30, 0\)\)"),
        (X, Y[:-1], ValueError, "y: got 29 values for the 30 rows of X"),
        (X, None, ValueError, "requires y to be passed"),
        (X, np.column_stack([Y, Y]), ValueError, "y should be a 1d array"),
        (X * 1j, Y, ValueError, "Complex data not supported"),
        (X.astype(str), Y, ValueError, "X: got dtype <U"),
        (np.where(X > 2, np.nan, X), Y, ValueError, "Input X contains NaN"),
        (X, np.where(Y > 1, np.inf, Y), ValueError, "Input y contains NaN or infinity"),
        (Sparse(), Y, TypeError, r"sparse matrix.*\.toarray\(\)"),
    ],
)
def test_malformed_data_is_refused(features, target, error, message):
    with pytest.raises(error, match=message):
        regressor().fit(features, target)


def test_another_number_of_features_is_refused():
    model = regressor().fit(X, Y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
        model.predict(X[:, :2])


def test_an_estimator_with_a_key_of_its_own_is_cloned():
    base = pytest.importorskip("sklearn.base")
    aggregator = protocols.Paillier(keys=paillier.keygen(512, insecure=True))
    copied = base.clone(FederatedLinearRegression(aggregator=aggregator))
    assert copied.aggregator.public_key == aggregator.public_key
