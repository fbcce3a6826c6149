import importlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.learning import FederatedLinearRegression, datasets
from veilsum.learning.engines import Engine, LocalEngine, ProcessEngine, _portable
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
    assert isinstance(ProcessEngine(), Engine)
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


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_opens_the_same_integers(processes):
    options = {"fraction": 0.7, "dropouts": lambda index: [1] if index == 2 else []}
    options |= {"aggregator": protocols.Plain(min_survivors=1)}
    assert_same_history(average(**options), average(ProcessEngine(processes=processes), **options))
    assert multiprocessing.active_children() == []


ELSEWHERE = """
import os
import signal
from dataclasses import dataclass

import numpy as np

from veilsum.encoding import FixedPoint

VARIABLES = ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"]


class Participant:
    encoding = FixedPoint(scale=1, bound=2.0**30)

    def length(self, model):
        return 6

    def digest(self, model):
        return b""


@dataclass
class Witness(Participant):
    asked: int = 0

    def contribute(self, model, index):
        self.asked += 1
        threads = [int(os.environ[name]) for name in VARIABLES]
        return np.array([os.getpid(), self.asked, int(model.flags.writeable), *threads]), 0.5


@dataclass(frozen=True)
class Failing(Participant):
    how: str

    def contribute(self, model, index):
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise LookupError(f"no such thing: {self.how}")


class Unloadable(Participant):
    def __reduce__(self):
        return int, ("no number",)
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A module that other processes can import; a module of tests is none."""
    (tmp_path / "clients_elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("clients_elsewhere")
    del sys.modules["clients_elsewhere"]


def ask(clients, *rounds, processes=2):
    """Ask the clients of each round, and return what each round opened."""

    def body(protected):
        model = np.zeros(3)
        return [
            protected.run(index, model=model, selected=selected)[0].integers.tolist()
            for index, selected in enumerate(rounds)
        ]

    return ProcessEngine(processes=processes).run(clients, protocols.Plain(), body)


def test_each_client_lives_in_one_process_with_one_thread(elsewhere, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    clients = [elsewhere.Witness() for _ in range(3)]
    told = ask(clients, [0], [1], [2], [2], [1])
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    processes, asked, writeable, *threads = zip(*told, strict=True)
    first, second = processes[:2]
    assert first != second
    assert os.getpid() not in processes
    assert processes == (first, second, first, first, second)
    assert asked == (1, 1, 1, 2, 2)
    assert [client.asked for client in clients] == [0, 0, 0]
    assert not any(writeable)
    assert threads == [(1,) * 5] * 3


def test_the_first_clients_error_comes_back_and_the_processes_go_on(elsewhere):
    clients = [elsewhere.Witness(), elsewhere.Failing("a"), elsewhere.Failing("b")]

    def body(rounds):
        seen = []
        for selected in ([0, 1, 2], [2]):
            with pytest.raises(LookupError) as caught:
                rounds.run(1, model=np.zeros(3), selected=selected)
            seen.append(caught.value)
        return *seen, rounds.run(2, model=np.zeros(3), selected=[0])

    both, second, whole = ProcessEngine(processes=2).run(clients, protocols.Plain(), body)
    assert str(both) == "no such thing: a"
    assert str(second) == "no such thing: b"
    assert "clients_elsewhere.py" in both.__notes__[0]
    assert whole[0].integers[1] == 2
    assert whole[1] == {0: 0.5}


def test_an_error_that_cannot_travel_is_told_by_name():
    class LocalError(Exception):
        pass

    told = _portable(LocalError("what happened"))
    assert type(told) is RuntimeError
    assert str(told) == "LocalError: what happened"


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_process_ends_the_training_with_an_error(elsewhere):
    clients = [elsewhere.Witness(), elsewhere.Failing("killed")]
    with pytest.raises(RuntimeError, match=r"veilsum-worker-1 has ended, .*\(exit code -9\)"):
        ask(clients, [0, 1])
    assert multiprocessing.active_children() == []


def test_clients_that_do_not_load_there_are_an_error_before_the_first_round(elsewhere):
    with pytest.raises(ValueError, match="invalid literal for int"):
        ask([elsewhere.Unloadable()], [0])
    assert multiprocessing.active_children() == []


def test_clients_that_cannot_be_pickled_are_refused_before_a_process_starts():
    class Local(Short):
        pass

    with pytest.raises(TypeError, match=r"^engine: ProcessEngine sends clients .*LocalEngine"):
        average(ProcessEngine(), client_hook=lambda *_: Local())


INTERRUPTED = """
import multiprocessing
import numpy as np
from veilsum.learning.engines import ProcessEngine
from veilsum.learning.federated import federated_averaging
from veilsum.learning.linear import LinearClient

def tell(index):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    return []

client = LinearClient(
    X=np.ones((9, 1)), y=np.ones(9), epochs=10**9, batch_size=1, learning_rate=0.1
)
federated_averaging(
    [0.0, 0.0], [client, client], rounds=1, aggregator="plain", seed=0, dropouts=tell,
    engine=ProcessEngine(processes=2),
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals reach no group of processes there")
def test_an_interrupt_leaves_no_process():
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as main:
        workers = [int(pid) for pid in main.stdout.readline().split()]
        assert len(workers) == 2
        os.killpg(main.pid, signal.SIGINT)  # As a terminal does: to all processes of the group.
        _, complaints = main.communicate(timeout=60)
    assert main.returncode == -signal.SIGINT
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert "veilsum-worker" not in complaints
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_processes_carry_messages_by_the_transports_they_are_given(elsewhere):
    carried = protocols.InMemoryTransport()
    engine = ProcessEngine(processes=1, transports=lambda _: carried)
    clients = [elsewhere.Witness(), elsewhere.Witness()]
    engine.run(
        clients,
        protocols.Plain(),
        lambda rounds: rounds.run(1, model=np.zeros(1), selected=[0, 1]),
    )
    assert carried.carried.total()


def test_no_process_is_no_number_of_processes():
    with pytest.raises(ValueError, match="processes: got 0, expected at least 1 or None"):
        ProcessEngine(processes=0)
