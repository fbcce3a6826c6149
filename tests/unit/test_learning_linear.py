from dataclasses import replace

import numpy as np
import pytest

from veilsum import paillier, protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded
from veilsum.learning import FederatedLinearRegression, datasets, partition

LINE = np.arange(24.0).reshape(-1, 1)


def rmse(predictions, y):
    return np.sqrt(np.mean((predictions - y) ** 2))


def centralised(X, y):
    """Predictions of NumPy's least squares on standardised columns, all rows in one place."""
    centred = X - X.mean(axis=0)
    deviations = centred.std(axis=0)
    design = np.column_stack([centred / np.where(deviations > 0, deviations, 1), np.ones(len(X))])
    return design @ np.linalg.lstsq(design, y)[0]


def assert_equals_centralised(predictions, table):
    best = centralised(table.X, table.y)
    assert rmse(predictions, table.y) == pytest.approx(rmse(best, table.y), rel=1e-12)
    # The error is flat about its minimum, so that the predictions say more than it does.
    assert np.allclose(predictions, best, rtol=0, atol=1e-10 * np.ptp(table.y))


@pytest.fixture(scope="module")
def concrete():
    return datasets.load("concrete")


@pytest.mark.parametrize("name", datasets.names())
@pytest.mark.parametrize("aggregator", ["plain", "sharing"])
def test_normal_equals_centralised_least_squares_on_every_shipped_table(name, aggregator):
    table = datasets.load(name)
    model = FederatedLinearRegression(aggregator, clients=8).fit(table.X, table.y)
    assert_equals_centralised(model.predict(table.X), table)


@pytest.mark.parametrize("name", datasets.names())
def test_normal_stays_exact_on_raw_and_badly_scaled_columns(name):
    table = datasets.load(name)
    X = table.X * 10.0 ** np.linspace(-6, 8, table.X.shape[1])
    model = FederatedLinearRegression("plain", clients=8).fit(X, table.y)
    assert_equals_centralised(model.predict(X), table)


def test_normal_stays_exact_when_every_column_comes_twice(concrete):
    X = np.column_stack([concrete.X, -1000 * concrete.X, np.full(len(concrete.y), 3.0)])
    model = FederatedLinearRegression("plain", clients=8).fit(X, concrete.y)
    assert_equals_centralised(model.predict(X), concrete)


def test_the_solution_does_not_depend_on_who_owns_the_rows(concrete):
    splits = [
        partition.iid(1030, 3, seed=1),
        partition.by_quantity(1030, 5, seed=2, exponent=2.0),
        partition.by_column(concrete.X[:, 7], clients=7),
        partition.dirichlet(concrete.y, 9, alpha=0.1, seed=3),
    ]
    fits = [
        FederatedLinearRegression("plain").fit(
            concrete.X, concrete.y, groups=partition.owners(parts)
        )
        for parts in splits
    ]
    assert [model.n_clients_ for model in fits] == [3, 5, 7, 9]
    for model in fits[1:]:
        assert np.array_equal(model.coef_, fits[0].coef_)
        assert model.intercept_ == fits[0].intercept_


def test_paillier_solves_the_same_equations(concrete):
    paillier = protocols.Paillier(key_bits=512, insecure=True)
    X, y = concrete.X[:100, :3], concrete.y[:100]
    protected = FederatedLinearRegression(paillier, clients=2).fit(X, y)
    clear = FederatedLinearRegression("plain", clients=2).fit(X, y)
    assert np.array_equal(protected.coef_, clear.coef_)


@pytest.mark.parametrize("labels", [["b", "a"], [2.5, -1.0], [True, False]])
def test_groups_are_any_labels_in_sorted_order(labels):
    seen = []

    def hook(index, client):
        seen.append((index, client.rows))
        return client

    model = FederatedLinearRegression("plain", solver="fedavg", rounds=1, client_hook=hook)
    model.fit(LINE, LINE[:, 0], groups=np.repeat(labels, [20, 4]))
    assert seen == [(0, 4), (1, 20)]


@pytest.mark.parametrize("name", datasets.names())
def test_fedavg_with_its_defaults_comes_within_one_percent(name):
    table = datasets.load(name)
    model = FederatedLinearRegression("plain", clients=8, solver="fedavg")
    model.fit(table.X, table.y)
    best = rmse(centralised(table.X, table.y), table.y)
    reached = rmse(model.predict(table.X), table.y)
    assert len(model.history_) == 60
    assert best <= reached <= 1.01 * best
    assert model.history_[-1].rmse == pytest.approx(reached, rel=1e-9)


def test_fedavg_gives_the_same_history_under_every_aggregator(concrete):
    paillier = protocols.Paillier(key_bits=512, insecure=True)
    histories = [
        FederatedLinearRegression(aggregator, solver="fedavg", rounds=2)
        .fit(concrete.X, concrete.y)
        .history_
        for aggregator in ("plain", "sharing", paillier)
    ]
    for rounds in zip(*histories, strict=True):
        assert len({record.weights.tobytes() for record in rounds}) == 1
        assert len({record.rmse for record in rounds}) == 1


def test_the_last_rounds_weights_are_the_model(concrete):
    model = FederatedLinearRegression("plain", solver="fedavg", rounds=3)
    model.fit(concrete.X, concrete.y)
    coefficients, intercept = model.scaling_.raw(model.history_[-1].weights)
    assert np.array_equal(model.coef_, coefficients)
    assert model.intercept_ == intercept


def test_coarse_precision_costs_accuracy_and_fine_precision_does_not(concrete):
    best = rmse(centralised(concrete.X, concrete.y), concrete.y)
    excess = [
        FederatedLinearRegression(
            "plain",
            solver="fedavg",
            rounds=30,
            encoding=FixedPoint.decimal(digits, bound=32.0),
        )
        .fit(concrete.X, concrete.y)
        .history_[-1]
        .rmse
        / best
        - 1
        for digits in (1, 3, 9)
    ]
    assert excess[0] > 3 * excess[2]
    assert excess[1] == pytest.approx(excess[2], rel=0.5)


def test_normal_needs_one_round_and_fedavg_one_more_than_its_rounds(concrete):
    made = []

    def transports(index):
        made.append(index)
        return protocols.InMemoryTransport()

    FederatedLinearRegression("plain", transports=transports).fit(concrete.X, concrete.y)
    assert made == [0]
    FederatedLinearRegression("plain", solver="fedavg", rounds=2, transports=transports).fit(
        concrete.X, concrete.y
    )
    assert made == [0, 0, 1, 2]


def test_normal_without_a_lost_client_is_the_solution_of_the_other_rows(concrete):
    groups = np.arange(1030) % 5
    model = FederatedLinearRegression("sharing", dropouts=lambda _: [3])
    model.fit(concrete.X, concrete.y, groups=groups)
    kept = groups != 3
    rest = FederatedLinearRegression("plain").fit(
        concrete.X[kept], concrete.y[kept], groups=groups[kept]
    )
    assert model.moments_round_.survivors == (0, 1, 2, 4)
    assert np.array_equal(model.coef_, rest.coef_)


def test_fedavg_goes_on_without_a_lost_client(concrete):
    model = FederatedLinearRegression(
        "sharing", clients=5, solver="fedavg", rounds=3, dropouts=lambda index: [index, 99]
    ).fit(concrete.X, concrete.y)
    assert model.moments_round_.survivors == (1, 2, 3, 4)
    assert [record.survivors for record in model.history_] == [
        (0, 2, 3, 4),
        (0, 1, 3, 4),
        (0, 1, 2, 4),
    ]


def test_label_flipping_clients_raise_the_error(concrete):
    def flipping(count):
        return lambda index, client: replace(client, y=-client.y) if index < count else client

    errors = [
        FederatedLinearRegression("plain", solver="fedavg", rounds=20, client_hook=flipping(count))
        .fit(concrete.X, concrete.y)
        .history_[-1]
        .rmse
        for count in (0, 2, 4)
    ]
    assert errors[0] * 1.05 < errors[1]
    assert errors[1] * 1.05 < errors[2]


def test_rounds_are_reported_in_the_targets_units(concrete):
    seen = []
    model = FederatedLinearRegression("plain", solver="fedavg", rounds=4, callback=seen.append)
    model.fit(concrete.X, concrete.y)
    assert tuple(seen) == model.history_
    best = rmse(centralised(concrete.X, concrete.y), concrete.y)
    assert seen[0].rmse > seen[-1].rmse > best


def test_a_step_too_large_is_an_error_not_a_model(concrete):
    model = FederatedLinearRegression("plain", solver="fedavg", learning_rate=50.0)
    with pytest.raises(BudgetExceeded):
        model.fit(concrete.X, concrete.y)


@pytest.mark.parametrize("solver", ["normal", "fedavg"])
def test_a_constant_target_is_met(solver):
    model = FederatedLinearRegression("plain", solver=solver).fit(LINE, np.full(24, 5.0))
    assert np.allclose(model.predict(LINE), 5.0)
    assert model.score(LINE, model.predict(LINE)) == 1.0


def test_score_of_a_constant_target_that_is_missed_is_zero():
    model = FederatedLinearRegression("plain").fit(LINE, LINE[:, 0])
    assert model.score(LINE, np.full(24, 5.0)) == 0.0


def test_fitting_again_forgets_the_rounds_before(concrete):
    model = FederatedLinearRegression("plain", solver="fedavg", rounds=2)
    model.fit(concrete.X, concrete.y)
    model.set_params(solver="normal").fit(concrete.X, concrete.y)
    assert model.history_ == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "magic"}, "solver: got 'magic'"),
        ({"aggregator": "trust"}, "protocol: got 'trust'"),
        ({"clients": 25}, "clients: got 25 for n_samples = 24"),
        ({"clients": 0}, "clients"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": np.inf}, "learning_rate"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": None}, "random_state"),
        ({"rcond": 1.0}, "rcond"),
        ({"max_rows": 2}, "max_rows"),
        ({"max_rows": 0}, "max_rows"),
        ({"solver": "fedavg", "rounds": 0}, "rounds"),
        ({"solver": "fedavg", "fraction": 2.0}, "fraction"),
    ],
)
def test_parameters_out_of_range_are_refused_when_fitting(options, message):
    model = FederatedLinearRegression("plain").set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(LINE, LINE[:, 0])


@pytest.mark.parametrize(
    ("groups", "message"),
    [([1, 2], r"groups: got shape \(2,\), expected \(24,\)"), ([np.nan] * 24, "groups: got NaN")],
)
def test_groups_that_do_not_name_an_owner_for_each_row_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        FederatedLinearRegression("plain").fit(LINE, LINE[:, 0], groups=groups)


@pytest.mark.parametrize(
    "options",
    [
        {"clients": "8"},
        {"clients": 2.5},
        {"rounds": None},
        {"epochs": "1"},
        {"batch_size": 1.5},
        {"learning_rate": "slow"},
        {"fraction": None},
    ],
)
def test_an_option_of_another_type_is_refused_by_name(options):
    X = np.arange(40.0).reshape(20, 2)
    with pytest.raises(TypeError, match=f"{next(iter(options))}: got .*expected a"):
        FederatedLinearRegression(**options).fit(X, X[:, 0])


def test_groups_without_an_owner_or_of_mixed_types_are_refused():
    X = np.arange(40.0).reshape(20, 2)
    with pytest.raises(ValueError, match="groups: got None, expected an owner"):
        FederatedLinearRegression().fit(X, X[:, 0], groups=[None] * 20)
    mixed = np.array(["a", 1] * 10, dtype=object)
    with pytest.raises(TypeError, match="only text or only numbers"):
        FederatedLinearRegression().fit(X, X[:, 0], groups=mixed)


def test_a_diverging_training_advises_a_lower_learning_rate():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    model = FederatedLinearRegression("plain", 2, "fedavg", learning_rate=1e6)
    with pytest.raises(BudgetExceeded, match="if training diverged, lower learning_rate"):
        model.fit(X, X[:, 0])


@pytest.mark.parametrize("solver", ["normal", "fedavg"])
def test_every_protocol_gives_the_same_model_to_the_last_bit(concrete, solver):
    keys = paillier.keygen(bits=1024, insecure=True)
    shared = paillier.deal_key(holders=3, threshold=2, bits=1024, insecure=True)
    models = [
        FederatedLinearRegression(aggregator=aggregator, clients=5, solver=solver, rounds=2).fit(
            concrete.X, concrete.y
        )
        for aggregator in (
            "plain",
            "sharing",
            "masking",
            protocols.Sharing(holders=5, threshold=3, packed=2),
            protocols.Paillier(keys=keys),
            protocols.ThresholdPaillier(keys=shared),
        )
    ]
    assert len({model.coef_.tobytes() for model in models}) == 1
    assert len({model.intercept_ for model in models}) == 1
