import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.learning import FederatedLinearRegression, datasets
from veilsum.learning.engines import Engine, LocalEngine
from veilsum.learning.federated import federated_averaging
from veilsum.learning.linear import LinearClient
from veilsum.learning.moments import sum_moments


@dataclass
class _RemoteRounds:
    """Rounds of clients that are only known as bytes, and that answer in bytes."""

    clients: list
    aggregator: protocols.Aggregator

    def run(self, index, *, model, selected, dropped=()):
        answers = {client: self._ask(client, model.tobytes(), index) for client in selected}
        public = _copied(self.clients[selected[-1]])
        aggregate = self.aggregator.aggregate(
            {client: integers for client, (integers, _) in answers.items()},
            encoding=public.encoding,
            dropped=dropped,
            round=index,
            model_digest=public.digest(model),
        )
        return aggregate, {client: seconds for client, (_, seconds) in answers.items()}

    def _ask(self, client, model, index):
        """What a process that lives for one message does."""
        contributor, model = _copied(self.clients[client]), np.frombuffer(model, np.float64)
        integers, seconds = _copied(pickle.dumps(contributor.contribute(model, index)))
        assert integers.shape == (contributor.length(model),)
        return integers, seconds


def _copied(data):
    return pickle.loads(data)  # noqa: S301


@dataclass(frozen=True)
class PicklingEngine:
    """Ships the clients elsewhere in this process."""

    runs: list = field(default_factory=list)

    def run(self, clients, aggregator, body):
        self.runs.append(len(clients))
        return body(_RemoteRounds([pickle.dumps(client) for client in clients], aggregator))


@dataclass(frozen=True)
class Boosted:
    """A client in another's place."""

    client: LinearClient

    @property
    def rows(self):
        return self.client.rows

    def train(self, weights, generator):
        return 2 * self.client.train(weights, generator) - weights


def boost_the_first(index, client):
    return Boosted(client) if index == 0 else client


def linear_clients(rows=(30, 50, 20)):
    generator = np.random.default_rng(7)
    return [
        LinearClient(
            X=generator.normal(size=(count, 3)),
            y=generator.normal(size=count),
            epochs=2,
            batch_size=8,
            learning_rate=0.1,
        )
        for count in rows
    ]


def average(engine=None, **options):
    settings = {"rounds": 3, "aggregator": "plain", "seed": 5} | options
    return federated_averaging(np.zeros(4), linear_clients(), engine=engine, **settings)


def assert_same_history(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert one.integers.tolist() == other.integers.tolist()
        assert (one.selected, one.survivors, one.rows, one.rmse) == (
            other.selected,
            other.survivors,
            other.rows,
            other.rmse,
        )


@pytest.mark.parametrize("protocol", ["plain", "sharing", "masking"])
def test_clients_that_train_elsewhere_give_the_same_bits(protocol):
    assert_same_history(
        average(aggregator=protocol), average(PicklingEngine(), aggregator=protocol)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"fraction": 0.5},
        {"dropouts": lambda index: [1] if index == 2 else []},
        {"client_hook": boost_the_first},
        {"encoding": FixedPoint.decimal(3, bound=9.0), "max_rows": 60},
        {"evaluate": lambda weights: float(weights.sum())},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_of_averaging_means_the_same_on_any_engine(options):
    assert_same_history(average(**options), average(PicklingEngine(), **options))


def test_a_hook_replaces_clients_before_they_are_shipped():
    assert not np.array_equal(
        average(PicklingEngine(), client_hook=boost_the_first)[-1].weights,
        average(PicklingEngine())[-1].weights,
    )


def test_a_callback_sees_each_round_while_the_engine_runs():
    seen = []
    history = average(PicklingEngine(), callback=seen.append)
    assert tuple(seen) == history


def test_training_seconds_of_remote_clients_are_in_the_record():
    seconds = average(PicklingEngine())[0].seconds
    assert all(seconds[f"client-{client}", "train"] > 0 for client in range(3))


def test_the_opened_integers_end_with_the_rows():
    (record,) = average(rounds=1)
    assert record.integers.shape == (5,)
    assert record.integers[-1] == record.rows == 100


@pytest.mark.parametrize("pairs", [False, True])
def test_moments_are_exact_on_any_engine(pairs):
    tables = [np.random.default_rng(seed).normal(size=(7 + seed, 3)) for seed in range(4)]
    here, _ = sum_moments(tables, pairs=pairs, aggregator="sharing")
    there, aggregate = sum_moments(
        tables, pairs=pairs, aggregator="sharing", engine=PicklingEngine()
    )
    assert here.rows == there.rows == aggregate.integers[0] == 34
    assert here.sums.tolist() == there.sums.tolist()
    assert here.products.tolist() == there.products.tolist()


def test_moments_leave_out_the_dropped_on_any_engine():
    tables = [np.full((rows, 2), float(rows)) for rows in (1, 2, 4)]
    moments, _ = sum_moments(
        tables, pairs=False, aggregator="plain", dropped=[1], engine=PicklingEngine()
    )
    assert moments.rows == 5


@pytest.mark.parametrize(("solver", "runs"), [("normal", [4]), ("fedavg", [4, 4])])
def test_both_solvers_run_on_an_engine_and_fit_the_same_model(solver, runs):
    table = datasets.load("diabetes")
    engine = PicklingEngine()
    options = {"clients": 4, "solver": solver, "rounds": 3, "dropouts": lambda _: [2]}
    here = FederatedLinearRegression("sharing", **options).fit(table.X, table.y)
    there = FederatedLinearRegression("sharing", engine=engine, **options).fit(table.X, table.y)
    assert there.coef_.tobytes() == here.coef_.tobytes()
    assert there.intercept_ == here.intercept_
    assert_same_history(here.history_, there.history_)
    assert engine.runs == runs


def test_the_local_engine_carries_messages_by_the_transports_it_is_given():
    transports = {index: protocols.InMemoryTransport() for index in (1, 2, 3)}
    average(LocalEngine(transports=transports.__getitem__))
    assert all(one.carried.total() for one in transports.values())


def test_transports_stand_for_the_local_engine_with_them():
    def carry(index):  # noqa: ARG001
        return protocols.InMemoryTransport(drop=lambda message: message.sender == "client-0")

    for options in ({"transports": carry}, {"engine": LocalEngine(transports=carry)}):
        (record,) = average(rounds=1, **options)
        assert record.survivors == (1, 2)


def test_transports_beside_an_engine_are_refused():
    carried = protocols.InMemoryTransport()
    expected = r"^transports: an engine carries the messages itself; .*LocalEngine\(transports="
    with pytest.raises(ValueError, match=expected):
        average(PicklingEngine(), transports=lambda _: carried)
    with pytest.raises(ValueError, match=expected):
        sum_moments(
            [np.ones((1, 1))],
            pairs=False,
            aggregator="plain",
            transport=carried,
            engine=LocalEngine(),
        )
    model = FederatedLinearRegression(
        clients=2, engine=PicklingEngine(), transports=lambda _: carried
    )
    with pytest.raises(ValueError, match=expected):
        model.fit(np.arange(8.0).reshape(-1, 1), np.arange(8.0))


@pytest.mark.parametrize("wrong", ["flower", 7, PicklingEngine, average])
def test_what_is_no_engine_is_refused(wrong):
    with pytest.raises(TypeError, match=r"^engine: got .*expected an Engine"):
        average(wrong)


def test_engines_are_known_by_what_they_do():
    assert isinstance(LocalEngine(), Engine)
    assert isinstance(PicklingEngine(), Engine)


def test_an_estimator_keeps_its_engine_and_is_cloned_with_it():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    engine = LocalEngine()
    model = FederatedLinearRegression(engine=engine)
    assert model.get_params()["engine"] is engine
    assert repr(model) == "FederatedLinearRegression(engine=LocalEngine(transports=None))"
    assert base.clone(model).engine == engine


def test_averaging_that_fails_elsewhere_fails_here():
    with pytest.raises(ValueError, match="client-1 returned a model of shape"):
        average(PicklingEngine(), client_hook=lambda index, client: Short() if index else client)


@dataclass(frozen=True)
class Short:
    """Returns another model than it was given."""

    rows: int = 1

    def train(self, weights, generator):  # noqa: ARG002
        return weights[1:]
