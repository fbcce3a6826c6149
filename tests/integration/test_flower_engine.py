"""Trainings on Flower's simulation engine, whose nodes are processes of Ray."""

import logging
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest

from veilsum import protocols
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.experiments import compare
from veilsum.experiments.lab import Lab, prepare
from veilsum.experiments.results import Settings
from veilsum.integrations.flower.engine import FlowerEngine
from veilsum.learning import FederatedLinearRegression, datasets
from veilsum.learning.federated import federated_averaging
from veilsum.learning.linear import LinearClient

pytest.importorskip("flwr", reason="Flower is not installed: pip install 'veilsum[flower]'")
pytest.importorskip("ray", reason="Flower's simulation is not installed: pip install ray")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's processes, as they end
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CLIENTS, NODES = 4, 4 + 3
ROWS = (30, 50, 20, 40)
WORK = ("train", "protect")
PROTOCOLS = {
    "plain": {},
    "masking": {},
    "sharing": {},
    "sharing among holders": {"holders": 3},
    "paillier": {"key_bits": 1024, "insecure": True},
    "threshold_paillier": {"key_bits": 1024, "insecure": True},
}


def aggregator(name):
    return protocols.resolve(name.split(" ")[0], **PROTOCOLS[name])


def linear_clients():
    generator = np.random.default_rng(7)
    return [
        LinearClient(
            X=generator.normal(size=(count, 3)),
            y=generator.normal(size=count),
            epochs=2,
            batch_size=8,
            learning_rate=0.1,
        )
        for count in ROWS
    ]


def average(engine=None, **options):
    settings = {"rounds": 2, "aggregator": "plain", "seed": 5} | options
    return federated_averaging(np.zeros(4), linear_clients(), engine=engine, **settings)


def seen(history):
    return [
        (one.weights.tobytes(), one.integers.tolist(), one.selected, one.survivors, one.rows)
        for one in history
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("a name that is much longer than those of sockets may be")


@pytest.fixture(scope="module")
def engine(directory):
    with FlowerEngine(directory, workers=2).started(nodes=NODES) as started:
        yield started


# The first two while no other engine runs.
def test_an_engine_leaves_the_process_as_it_was_and_its_files_in_its_directory(
    tmp_path, monkeypatch, capfd
):
    home = tmp_path / "home of the user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FLWR_HOME", str(home / "flwr"))
    environment, level = dict(os.environ), logging.getLogger("flwr").level
    place = tmp_path / "engine"
    history = average(FlowerEngine(place, workers=1), aggregator="masking", rounds=1)
    assert seen(history) == seen(average(rounds=1))
    assert dict(os.environ) == environment
    assert logging.getLogger("flwr").level == level
    assert list(home.iterdir()) == []
    assert {path.name for path in place.iterdir()} == {"home", "parties"}
    assert capfd.readouterr() == ("", "")


def test_a_comparison_trains_on_flower_and_learns_what_it_learns_here(tmp_path):
    settings = Settings(
        dataset="diabetes",
        protocols=("masking", "paillier"),
        clients=3,
        iterations=4,
        key_bits=1024,
        engine="flower",
    )
    runs = compare.convergence(Lab(prepare(settings), files=tmp_path / "engine"))
    local = Lab(prepare(replace(settings, engine="local")))
    for there, here in zip(runs, compare.convergence(local), strict=True):
        assert (there.engine, here.engine) == ("flower", "local")
        assert (there.protocol, there.clients) == (here.protocol, here.clients)
        assert there.rmse == here.rmse
        assert there.integers == here.integers
        assert there.seconds("client", "train") > 0


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_opens_the_same_integers_as_in_one_process(engine, name):
    machine = aggregator(name)
    assert seen(average(engine, aggregator=machine)) == seen(average(aggregator=machine))


@pytest.mark.parametrize("solver", ["normal", "fedavg"])
def test_both_solvers_fit_the_same_model_to_the_last_bit(engine, solver):
    table = datasets.load("diabetes")
    options = {"clients": CLIENTS, "solver": solver, "rounds": 2}
    here = FederatedLinearRegression("masking", **options).fit(table.X, table.y)
    there = FederatedLinearRegression("masking", engine=engine, **options).fit(table.X, table.y)
    assert there.coef_.tobytes() == here.coef_.tobytes()
    assert there.intercept_ == here.intercept_
    assert seen(there.history_) == seen(here.history_)


@pytest.mark.parametrize("name", ["masking", "paillier", "sharing among holders"])
def test_a_client_that_vanishes_costs_its_own_update_alone(engine, name):
    options = {"aggregator": aggregator(name), "dropouts": lambda index: [1] if index == 1 else []}
    history = average(engine, **options)
    assert [record.survivors for record in history] == [(0, 2, 3), (0, 1, 2, 3)]
    assert seen(history) == seen(average(**options))


def test_a_part_of_the_clients_is_asked(engine):
    options = {"fraction": 0.75, "aggregator": "masking", "rounds": 3}
    history = average(engine, **options)
    assert all(len(record.selected) == 3 for record in history)
    assert seen(history) == seen(average(**options))


def test_seconds_and_bytes_are_those_of_the_parties(engine):
    machine = aggregator("paillier")
    (there,) = average(engine, aggregator=machine, rounds=1)
    (here,) = average(aggregator=machine, rounds=1)
    assert there.bytes == here.bytes
    work = {(f"client-{client}", phase) for client in range(CLIENTS) for phase in WORK}
    assert work | {("key-holder", "open")} <= there.seconds.keys() <= here.seconds.keys()
    assert all(spent > 0 for spent in there.seconds.values())


def test_clients_made_of_closures_are_shipped(engine):
    @dataclass(frozen=True)
    class Shifted:
        rows: int

        def train(self, weights, generator):  # noqa: ARG002
            return weights + self.rows / 8

    def hook(index, client):  # noqa: ARG001
        return Shifted(client.rows)

    assert seen(average(engine, client_hook=hook)) == seen(average(client_hook=hook))


def test_what_goes_wrong_in_a_client_is_raised_as_in_one_process(engine):
    def diverge(index, client):
        return replace(client, learning_rate=1e300) if index == 1 else client

    with pytest.raises(BudgetExceeded) as here:
        average(client_hook=diverge, aggregator="masking")
    with pytest.raises(BudgetExceeded) as there:
        average(engine, client_hook=diverge, aggregator="masking")
    assert str(there.value) == str(here.value)


def test_too_few_survivors_are_refused(engine):
    with pytest.raises(ProtocolError):
        average(engine, aggregator="masking", dropouts=lambda _: [0, 1, 2])


def test_what_the_training_raises_is_raised(engine):
    def fail(record):
        raise KeyError(record.index)

    with pytest.raises(KeyError, match="1"):
        average(engine, callback=fail)
    assert seen(average(engine)) == seen(average())


def test_identities_are_dealt_once(engine, directory):
    def identities():
        return {path: path.read_bytes() for path in directory.rglob("plain-4-*/*/identity")}

    average(engine)
    before = identities()
    average(engine)
    assert len(before) == CLIENTS + 1
    assert identities() == before


def test_a_training_with_more_parties_than_nodes_is_refused(engine):
    machine = protocols.Sharing(holders=NODES)
    with pytest.raises(ValueError, match=r"^nodes: got 7, but client-0, .* are 11; start more"):
        average(engine, aggregator=machine)


def test_a_second_engine_at_the_same_time_is_refused(engine, tmp_path):
    average(engine)  # Ray is up
    with pytest.raises(RuntimeError, match=r"^ray: it runs in this process already"):
        average(FlowerEngine(tmp_path))
