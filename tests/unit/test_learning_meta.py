from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.learning import FederatedMetaLearner
from veilsum.learning.adaptation import FineTuning
from veilsum.learning.engines import LocalEngine
from veilsum.learning.federated import UPDATE_ENCODING
from veilsum.learning.meta import MetaClient, figures
from veilsum.learning.network import SGD, Adam, linear, mlp
from veilsum.learning.reptile import Reptile
from veilsum.learning.scores import Score, scores
from veilsum.learning.snapshot import Snapshot
from veilsum.learning.tasks import Episodes, Examples


@dataclass(frozen=True)
class Lines:
    """Noisy lines through the origin, around one slope."""

    slope: float
    rows: int = 10

    def draw(self, generator, tasks, *, shots, queries):
        x = generator.normal(size=(tasks, shots + queries, 1))
        y = x * generator.normal(self.slope, 0.1, size=(tasks, 1, 1))
        support = Examples(x[:, :shots], y[:, :shots])
        return Episodes(support, Examples(x[:, shots:], y[:, shots:]))


@dataclass(frozen=True)
class Fixed:
    """Always the same tasks."""

    tasks: Examples
    rows: int

    def draw(self, generator, tasks, *, shots, queries):  # noqa: ARG002
        return Episodes(self.tasks, self.tasks)


@dataclass(frozen=True)
class Noted:
    """Writes down what it draws."""

    drawn: list
    rows: int = 1

    def draw(self, generator, tasks, *, shots, queries):
        self.drawn.append(Lines(2.0).draw(generator, tasks, shots=shots, queries=queries))
        return self.drawn[-1]


CLIENTS = [Lines(1.0, 10), Lines(2.0, 20), Lines(4.0, 30), Lines(-1.0, 40)]
DESCENT = FineTuning(optimizer=SGD(0.1), steps=2, batch=None)
REPTILE = Reptile(
    network=linear(inputs=1), shots=4, tasks=2, iterations=2, inner=DESCENT, final=DESCENT
)


def learner(aggregator="plain", **options):
    return FederatedMetaLearner(**{"algorithm": REPTILE, "rounds": 3} | options).set_params(
        aggregator=aggregator
    )


def watched(clients=CLIENTS, aggregator="plain", **options):
    """Fit, and return every round with its model."""
    seen = []
    learner(aggregator, callback=seen.append, **options).fit(clients)
    return seen


def quadratics():
    generator = np.random.default_rng(5)
    return [
        Fixed(
            Examples(generator.normal(size=(2, 5, 1)), generator.normal(size=(2, 5, 1))),
            rows=10 * client + 1,
        )
        for client in range(4)
    ]


@pytest.mark.parametrize(
    "aggregator",
    [
        pytest.param(lambda: "plain", id="plain"),
        pytest.param(lambda: "masking", id="masking"),
        pytest.param(lambda: "sharing", id="sharing"),
        pytest.param(lambda: protocols.Paillier(key_bits=512, insecure=True), id="paillier"),
    ],
)
@pytest.mark.parametrize("weights", ["size", "equal"])
def test_protected_training_equals_plain_training_within_half_a_unit_at_every_round(
    aggregator, weights
):
    clients = quadratics()
    clear = watched(clients, weights=weights)
    rounds = watched(clients, aggregator(), weights=weights)
    model = REPTILE.initial(seed=0)
    for one, other in zip(clear, rounds, strict=True):
        assert one.integers.tolist() == other.integers.tolist()
        assert one.weights.tobytes() == other.weights.tobytes()
        # Whole batches of fixed tasks: nothing is drawn.
        trained = [REPTILE.train(model, tasks, np.random.default_rng()) for tasks in clients]
        parts = [tasks.rows if weights == "size" else 1 for tasks in clients]
        assert other.rows == sum(parts)
        for place, weight in enumerate(other.weights):
            exact = sum(
                part * Fraction(goal[place]) for part, goal in zip(parts, trained, strict=True)
            ) / sum(parts)
            assert (
                abs(Fraction(weight) - exact)
                <= Fraction(1, 2 * UPDATE_ENCODING.scale) + Fraction(2) ** -48
            )
        model = other.weights


def test_fit_learns_the_mean_task_of_all_clients():
    fitted = learner(rounds=40, server=SGD(0.5)).fit(CLIENTS)
    mean = sum(tasks.rows * tasks.slope for tasks in CLIENTS) / 100
    assert np.allclose(fitted.parameters_, [mean, 0], atol=0.1)
    assert not fitted.parameters_.flags.writeable
    assert len(fitted.history_) == 40
    equal = learner(rounds=40, server=SGD(0.5), weights="equal").fit(CLIENTS)
    assert np.allclose(equal.parameters_, [1.5, 0], atol=0.1)
    assert {record.rows for record in equal.history_} == {4}


def test_one_client_that_has_all_tasks_is_centralised_meta_learning():
    central = learner(rounds=1).fit([CLIENTS[0]])
    seeds = np.random.SeedSequence(0, spawn_key=(1, 1, 0))
    trained = REPTILE.train(REPTILE.initial(seed=0), CLIENTS[0], np.random.default_rng(seeds))
    assert np.allclose(central.parameters_, trained, rtol=0, atol=0.5 / UPDATE_ENCODING.scale)


def test_the_history_tells_who_took_part_and_what_it_cost_without_models():
    fitted = learner("masking", clients_per_round=4, wait_for=3).fit([*CLIENTS, *CLIENTS])
    for index, record in enumerate(fitted.history_, start=1):
        assert record.index == index
        assert len(record.selected) == 4
        assert len(record.survivors) == 3
        assert record.rows == sum(CLIENTS[client % 4].rows for client in record.survivors)
        assert {phase for _, phase in record.seconds} >= {"train", "protect", "combine"}
        assert sum(record.bytes.values()) > 0
        assert not hasattr(record, "weights")


def test_a_seed_gives_the_same_parameters_under_every_protocol_and_another_seed_others():
    first, again, other = (
        learner(aggregator, random_state=seed).fit(CLIENTS).parameters_
        for aggregator, seed in (("plain", 1), ("sharing", 1), ("plain", 2))
    )
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "options", [{}, {"server": Adam(0.05), "pace": "linear", "clients_per_round": 2}]
)
def test_a_resumed_fit_equals_an_uninterrupted_one_bit_for_bit(options, tmp_path):
    path = tmp_path / "meta.npz"

    def interrupt(record):
        record.snapshot.save(path)
        if record.index == 2:
            raise KeyboardInterrupt

    whole = learner(rounds=5, **options).fit(CLIENTS)
    interrupted = learner(rounds=5, callback=interrupt, **options)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(CLIENTS)
    assert interrupted.snapshot_.round == 2
    assert not hasattr(interrupted, "parameters_")
    resumed = learner(rounds=5, **options).fit(CLIENTS, resume=Snapshot.load(path))
    assert resumed.parameters_.tobytes() == whole.parameters_.tobytes()
    assert [record.index for record in resumed.history_] == [3, 4, 5]
    kept, other = resumed.snapshot_, whole.snapshot_
    assert kept.round == other.round == 5
    assert [array.tobytes() for array in kept.state] == [array.tobytes() for array in other.state]


def test_a_fit_that_was_finished_resumes_to_the_same_parameters():
    whole = learner().fit(CLIENTS)
    resumed = learner().fit(CLIENTS, resume=whole.snapshot_)
    assert resumed.parameters_.tobytes() == whole.parameters_.tobytes()
    assert resumed.history_ == ()
    assert resumed.snapshot_ is whole.snapshot_


def test_resuming_with_other_settings_is_refused():
    snapshot = learner().fit(CLIENTS).snapshot_
    with pytest.raises(ValueError, match="resume: its training had rows of clients"):
        learner(rounds=4, weights="equal").fit(CLIENTS, resume=snapshot)
    for other in (replace(REPTILE, rate=0.5), replace(REPTILE, network=linear(inputs=2))):
        with pytest.raises(ValueError, match="resume: its training had algorithm Reptile"):
            learner(algorithm=other).fit(CLIENTS, resume=snapshot)
    with pytest.raises(TypeError, match="resume: got str, expected a Snapshot"):
        learner().fit(CLIENTS, resume="meta.npz")


def test_a_hook_sees_every_client_and_puts_others_in_their_place():
    met = []

    def hook(index, client):
        met.append((index, client.tasks, client.rows))
        assert isinstance(client, MetaClient)
        return replace(client, tasks=Lines(9.0, client.rows)) if index == 0 else client

    fitted = learner(client_hook=hook).fit(CLIENTS)
    assert met == [(place, tasks, tasks.rows) for place, tasks in enumerate(CLIENTS)]
    replaced = learner().fit([Lines(9.0, 10), *CLIENTS[1:]])
    assert fitted.parameters_.tobytes() == replaced.parameters_.tobytes()


@pytest.mark.parametrize("aggregator", ["plain", "masking", "sharing"])
def test_lost_clients_cost_only_their_own_updates(aggregator):
    fitted = learner(aggregator, dropouts=lambda index: [index]).fit(CLIENTS)
    assert [record.survivors for record in fitted.history_] == [(0, 2, 3), (0, 1, 3), (0, 1, 2)]
    plain = learner(dropouts=lambda index: [index]).fit(CLIENTS)
    assert fitted.parameters_.tobytes() == plain.parameters_.tobytes()


def test_an_engine_or_transports_carry_the_rounds():
    made = []

    def transports(index):
        made.append(index)
        return protocols.InMemoryTransport()

    learner(transports=transports).fit(CLIENTS)
    learner(engine=LocalEngine(transports=transports)).fit(CLIENTS)
    assert made == [1, 2, 3, 1, 2, 3]


def test_adapted_models_answer_for_each_task():
    fitted = learner(rounds=10).fit(CLIENTS)
    drawn = CLIENTS[2].draw(np.random.default_rng(0), 3, shots=4, queries=2)
    answers = fitted.adapt(drawn.support).predict(drawn.query.x)
    assert answers.outputs.shape == (3, 2, 1)
    expected = REPTILE.adapt(fitted.parameters_, drawn.support, np.random.default_rng(0))
    assert np.array_equal(answers.outputs, expected.predict(drawn.query.x).outputs)


def test_the_seed_of_an_adaptation_decides_what_it_draws():
    shuffling = replace(REPTILE, final=FineTuning(optimizer=SGD(0.1), steps=3, batch=2))
    fitted = learner(algorithm=shuffling).fit(CLIENTS)
    drawn = CLIENTS[0].draw(np.random.default_rng(0), 2, shots=5, queries=3)
    one, same, other = (
        fitted.adapt(drawn.support, seed=seed).predict(drawn.query.x).outputs for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_score_is_the_mean_over_the_tasks_that_its_seed_draws():
    fitted = learner().fit(CLIENTS)
    options = {"shots": 4, "queries": 3, "episodes": 10, "seed": 7}
    found = figures(REPTILE, fitted.parameters_, Lines(2.0), **options)
    assert {name: values.shape for name, values in found.items()} == {"mse": (10,)}
    assert fitted.score(Lines(2.0), **options) == {"mse": Score.of(found["mse"])}
    assert fitted.score(Lines(2.0), **options | {"seed": 8}) != fitted.score(Lines(2.0), **options)


def test_figures_are_those_of_all_tasks_learnt_at_once():
    drawn, parameters = [], np.array([1.0, 0.0])
    found = figures(REPTILE, parameters, Noted(drawn), shots=4, queries=3, episodes=10)
    assert max(map(len, drawn)) < 10
    parts = [part.support for part in drawn], [part.query for part in drawn]
    together = [
        Examples(np.concatenate([p.x for p in part]), np.concatenate([p.y for p in part]))
        for part in parts
    ]
    adapted = REPTILE.adapt(parameters, together[0], np.random.default_rng(0))
    expected = scores(adapted.predict(together[1].x), together[1])
    assert np.allclose(found["mse"], expected["mse"])


def test_one_seed_judges_every_algorithm_by_the_same_tasks():
    batches = FineTuning(optimizer=SGD(0.1), steps=5, batch=2)
    other = replace(REPTILE, network=mlp(inputs=1, hidden=(3,)), final=batches)
    queries = []
    for algorithm in (REPTILE, other):
        drawn = []
        figures(algorithm, algorithm.initial(seed=1), Noted(drawn), shots=4, queries=3, episodes=9)
        queries.append(np.concatenate([part.query.y for part in drawn]))
    assert np.array_equal(*queries)


def test_an_unfitted_learner_neither_adapts_nor_scores():
    with pytest.raises(ValueError, match="this FederatedMetaLearner is not fitted yet"):
        learner().adapt(Examples(np.zeros((1, 1, 1)), np.zeros((1, 1, 1))))
    with pytest.raises(ValueError, match="not fitted yet"):
        learner().score(CLIENTS[0], shots=1, queries=1)


def test_the_constructor_stores_its_arguments_and_checks_nothing():
    model = FederatedMetaLearner("no algorithm", "no protocol", rounds=-1, weights="heavy")
    assert model.get_params()["rounds"] == -1
    assert repr(model) == (
        "FederatedMetaLearner(algorithm='no algorithm', aggregator='no protocol', rounds=-1, "
        "weights='heavy')"
    )
    assert vars(model) == model.get_params()
    with pytest.raises(ValueError, match="size: not a parameter"):
        model.set_params(size=3)


def test_a_clone_is_unfitted_and_fits_the_same():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    fitted = learner(server=SGD(0.5)).fit(CLIENTS)
    copy = base.clone(fitted)
    assert not hasattr(copy, "parameters_")
    assert copy.fit(CLIENTS).parameters_.tobytes() == fitted.parameters_.tobytes()


def test_a_diverging_training_is_refused_with_advice():
    wild = replace(REPTILE, inner=FineTuning(optimizer=SGD(1e3), steps=5, batch=None))
    with pytest.raises(BudgetExceeded, match=r"lower the algorithm's rates, else give an encoding"):
        learner(algorithm=wild).fit(CLIENTS)


def test_a_narrow_encoding_is_refused_by_its_bound():
    with pytest.raises(BudgetExceeded):
        learner(encoding=FixedPoint.binary(20, bound=1e-3)).fit(CLIENTS)


def test_too_few_survivors_end_in_an_error():
    with pytest.raises(ProtocolError):
        learner("sharing", dropouts=lambda _: [0, 1, 2]).fit(CLIENTS)


def test_too_few_examples_of_a_client_are_its_sources_error():
    class Poor(Lines):
        def draw(self, generator, tasks, *, shots, queries):  # noqa: ARG002
            raise ValueError(f"shots: got {shots}, expected at most 3, all examples of a class")

    with pytest.raises(ValueError, match="shots: got 4, expected at most 3"):
        learner().fit([CLIENTS[0], Poor(1.0)])


class Misshapen(Reptile):
    """Its parameters are not as many as it says."""

    def initial(self, *, seed):
        return super().initial(seed=seed)[:-1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"algorithm": "reptile"}, TypeError, "algorithm: got 'reptile', expected an Algorithm"),
        ({"algorithm": Reptile}, TypeError, "algorithm: got <class"),
        ({"algorithm": Misshapen(network=linear(inputs=1))}, ValueError, r"shape \(1,\), expected"),
        ({"aggregator": "magic"}, ValueError, "magic"),
        ({"rounds": 0}, ValueError, "rounds: got 0, expected at least 1"),
        ({"rounds": 2.0}, TypeError, "rounds: got 2.0, expected an integer"),
        ({"rounds": True}, TypeError, "rounds: got True, expected an integer"),
        ({"clients_per_round": 0}, ValueError, "clients_per_round: got 0, expected at least 1"),
        ({"clients_per_round": 5}, ValueError, "clients_per_round: got 5 and 4 clients"),
        ({"clients_per_round": 0.5}, TypeError, "clients_per_round: got 0.5"),
        ({"wait_for": 0}, ValueError, "wait_for: got 0"),
        ({"wait_for": 5}, ValueError, "wait_for: got 5, expected 1 to 4"),
        ({"clients_per_round": 2, "wait_for": 3}, ValueError, "wait_for: got 3, expected 1 to 2"),
        ({"weights": "heavy"}, ValueError, "weights: got 'heavy', expected 'size' or 'equal'"),
        ({"server": 0.1}, TypeError, "server: got 0.1, expected an Optimizer"),
        ({"pace": "fast"}, ValueError, "pace: got 'fast'"),
        ({"max_rows": 0}, ValueError, "max_rows: got 0"),
        ({"max_rows": 39}, ValueError, "max_rows: a client has 40 rows and the bound is 39"),
        ({"random_state": -1}, ValueError, "random_state: got -1, expected at least 0"),
        ({"random_state": None}, TypeError, "random_state: got None"),
        ({"engine": "local"}, TypeError, "engine: got 'local'"),
        (
            {"engine": LocalEngine(), "transports": lambda _: protocols.InMemoryTransport()},
            ValueError,
            "transports: an engine carries",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_parameters_are_checked_by_fit_and_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        learner(options.pop("aggregator", "plain"), **options).fit(CLIENTS)


def test_clients_that_are_none_or_no_tasks_are_refused():
    with pytest.raises(ValueError, match="clients: got none"):
        learner().fit([])
    with pytest.raises(TypeError, match="clients: got ndarray, expected Tasks"):
        learner().fit([np.zeros((3, 2))])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"episodes": 0}, ValueError, "episodes: got 0, expected at least 1"),
        ({"episodes": 2.5}, TypeError, "episodes: got 2.5, expected an integer"),
        ({"shots": 0}, ValueError, "shots: got 0, expected at least 1"),
        ({"queries": 0}, ValueError, "queries: got 0, expected at least 1"),
        ({"seed": -1}, ValueError, "seed: got -1, expected at least 0"),
    ],
)
def test_options_of_a_score_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        learner(rounds=1).fit(CLIENTS).score(CLIENTS[0], **{"shots": 1, "queries": 1} | options)
