from dataclasses import dataclass, replace

import numpy as np
import pytest

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.learning.federated import (
    UPDATE_ENCODING,
    federated_averaging,
)
from veilsum.learning.linear import LinearClient


@dataclass(frozen=True)
class Shifter:
    """Moves every weight by the same amount."""

    rows: int
    shift: float

    def train(self, weights, generator):  # noqa: ARG002
        return weights + self.shift


@dataclass
class Diarist:
    """Writes down what it would draw."""

    draws: list
    rows: int = 1

    def train(self, weights, generator):
        self.draws.append(generator.random())
        return weights.copy()


SHIFTERS = [Shifter(1, 1.0), Shifter(2, 4.0), Shifter(5, -2.0)]


def linear_clients(rows=(30, 50, 20), *, epochs=1, batch_size=None, learning_rate=0.1):
    generator = np.random.default_rng(7)
    clients = []
    for count in rows:
        X = generator.normal(size=(count, 3))
        y = X @ [1.0, -2.0, 0.5] + 0.3 + generator.normal(scale=0.1, size=count)
        clients.append(
            LinearClient(
                X=X, y=y, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate
            )
        )
    return clients


def average(clients, **options):
    settings = {"rounds": 1, "aggregator": "plain", "seed": 0} | options
    return federated_averaging(np.zeros(4), clients, **settings)


def test_updates_are_averaged_by_numbers_of_rows():
    (record,) = average(SHIFTERS)
    assert np.array_equal(record.weights, np.full(4, (1 * 1 + 2 * 4 - 5 * 2) / 8))
    assert record.rows == 8
    assert record.survivors == record.selected == (0, 1, 2)


def test_one_full_batch_epoch_is_a_gradient_step_on_the_pooled_rows():
    clients = linear_clients()
    X = np.vstack([client.X for client in clients])
    design = np.column_stack([X, np.ones(len(X))])
    y = np.concatenate([client.y for client in clients])
    pooled = np.zeros(4)
    for record in average(clients, rounds=20):
        pooled -= 0.1 * design.T @ (design @ pooled - y) / len(y)
        assert np.allclose(record.weights, pooled, atol=20 / UPDATE_ENCODING.scale)


def test_small_batches_are_nearly_equal_and_none_has_one_row():
    client = replace(linear_clients((129,))[0], batch_size=32)
    seen = []

    class Spy(np.ndarray):
        def __getitem__(self, batch):
            seen.append(len(batch))
            return np.asarray(self)[batch]

    replace(client, X=client.X.view(Spy)).train(np.zeros(4), np.random.default_rng(0))
    assert sorted(seen) == [25, 26, 26, 26, 26]


def test_local_epochs_with_small_batches_reach_the_common_solution():
    history = average(linear_clients(epochs=3, batch_size=10, learning_rate=0.05), rounds=15)
    assert np.allclose(history[-1].weights, [1.0, -2.0, 0.5, 0.3], atol=0.05)


@pytest.mark.parametrize(
    "aggregator",
    [
        pytest.param(lambda: protocols.Sharing(quorum=3), id="sharing"),
        pytest.param(lambda: protocols.Paillier(key_bits=512, insecure=True), id="paillier"),
    ],
)
def test_every_aggregator_gives_the_same_models_bit_for_bit(aggregator):
    clients = linear_clients((30, 50, 20, 10, 40), epochs=2, batch_size=8)
    options = {"rounds": 3, "fraction": 0.8, "dropouts": lambda index: [index]}
    clear = average(clients, **options)
    protected = average(clients, aggregator=aggregator(), **options)
    for one, other in zip(clear, protected, strict=True):
        assert one.selected == other.selected
        assert one.survivors == other.survivors
        assert np.array_equal(one.weights, other.weights)


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    clients = linear_clients(epochs=1, batch_size=4)
    first, again, other = (average(clients, seed=seed)[-1].weights for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_clients_draws_depend_on_seed_client_and_round_alone():
    def draws(**options):
        diaries = [Diarist([]) for _ in range(6)]
        history = average(diaries, rounds=4, **options)
        return {
            (client, record.index): diaries[client].draws[
                [other.index for other in history if client in other.selected].index(record.index)
            ]
            for record in history
            for client in record.selected
        }

    everybody, some = draws(), draws(fraction=0.5)
    assert len(set(everybody.values())) == len(everybody) == 24
    assert len(some) == 12
    assert all(everybody[place] == draw for place, draw in some.items())


def test_a_fraction_of_the_clients_is_drawn_anew_each_round():
    history = average([Shifter(1, 0.0)] * 10, rounds=8, fraction=0.3)
    assert {len(record.selected) for record in history} == {3}
    assert len({record.selected for record in history}) > 1
    (least,) = average([Shifter(1, 0.0)] * 10, fraction=1e-9)
    assert len(least.selected) == 1


@pytest.mark.parametrize(
    "aggregator", ["plain", protocols.Sharing(quorum=2)], ids=["plain", "sharing"]
)
def test_a_lost_client_costs_its_own_update_and_no_more(aggregator):
    (record,) = average(SHIFTERS, aggregator=aggregator, dropouts=lambda _: [1])
    assert record.survivors == (0, 2)
    assert record.rows == 6
    assert np.allclose(record.weights, (1 * 1 - 5 * 2) / 6, rtol=1e-15)


def test_dropouts_who_were_not_asked_are_of_no_account():
    whole = average([Shifter(1, 1.0)] * 5, rounds=3, fraction=0.4)
    lossy = average(
        [Shifter(1, 1.0)] * 5,
        rounds=3,
        fraction=0.4,
        dropouts=lambda index: set(range(9)) - set(whole[index - 1].selected),
    )
    assert [record.survivors for record in lossy] == [record.selected for record in whole]


def test_losing_everybody_ends_in_an_error():
    with pytest.raises(ProtocolError):
        average(SHIFTERS, dropouts=lambda _: [0, 1, 2])


def test_the_hook_replaces_a_clients_data():
    honest = linear_clients()

    def flip_first(index, client):
        return replace(client, y=-client.y) if index == 0 else client

    flipped = [flip_first(index, client) for index, client in enumerate(honest)]
    hooked = average(honest, client_hook=flip_first, rounds=2)
    assert np.array_equal(hooked[-1].weights, average(flipped, rounds=2)[-1].weights)


def test_the_hook_replaces_a_clients_update():
    @dataclass(frozen=True)
    class SignFlipped:
        honest: Shifter

        @property
        def rows(self):
            return self.honest.rows

        def train(self, weights, generator):
            return 2 * weights - self.honest.train(weights, generator)

    (record,) = average(
        SHIFTERS, client_hook=lambda index, client: SignFlipped(client) if index == 1 else client
    )
    assert np.array_equal(record.weights, np.full(4, (1 * 1 - 2 * 4 - 5 * 2) / 8))


def test_the_hook_meets_every_client_once():
    met = []

    def hook(index, client):
        met.append((index, client))
        return client

    average(SHIFTERS, client_hook=hook, rounds=3)
    assert met == list(enumerate(SHIFTERS))


def test_each_round_is_reported_as_it_ends():
    seen = []
    history = average(
        SHIFTERS,
        rounds=3,
        callback=seen.append,
        evaluate=lambda weights: float(weights[0]) + 1,
    )
    assert tuple(seen) == history
    assert [record.index for record in history] == [1, 2, 3]
    assert [record.rmse for record in history] == [record.weights[0] + 1 for record in history]


def test_without_an_evaluation_there_is_no_rmse():
    assert average(SHIFTERS)[0].rmse is None


def test_a_round_counts_seconds_of_training_and_protection_and_bytes():
    (record,) = average(SHIFTERS, aggregator="sharing")
    phases = {phase for _, phase in record.seconds}
    assert phases >= {"train", "protect", "combine"}
    assert {party for party, phase in record.seconds if phase == "train"} == {
        "client-0",
        "client-1",
        "client-2",
    }
    assert all(seconds >= 0 for seconds in record.seconds.values())
    assert all(count > 0 for count in record.bytes.values())


def test_models_cannot_be_changed_by_clients_or_readers():
    @dataclass(frozen=True)
    class Vandal:
        rows: int = 1

        def train(self, weights, generator):  # noqa: ARG002
            weights += 1
            return weights

    with pytest.raises(ValueError, match="read-only"):
        average([Vandal()])
    with pytest.raises(ValueError, match="read-only"):
        average(SHIFTERS)[0].weights[0] = 1


class Recording(protocols.Plain):
    """Keeps what a round is called with."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def aggregate(self, updates, **options):
        self.calls.append(options | {"updates": updates})
        return super().aggregate(updates, **options)


def test_the_session_is_bound_to_the_model_its_round_and_its_terms():
    def calls(**options):
        recording = Recording()
        average(SHIFTERS, aggregator=recording, rounds=2, **options)
        return recording.calls

    first, second = calls()
    assert (first["round"], second["round"]) == (1, 2)
    assert len(first["model_digest"]) == 32
    digests = {
        call["model_digest"]
        for options in ({}, {"max_rows": 50}, {"encoding": FixedPoint.decimal(3, bound=32.0)})
        for call in calls(**options)
    }
    assert len(digests) == 6
    assert calls()[0]["model_digest"] == first["model_digest"]


def test_every_round_gets_its_own_transport():
    made = []

    def transports(index):
        made.append(index)
        return protocols.InMemoryTransport(
            drop=lambda message: index == 2 and message.sender == "client-1"
        )

    history = average(SHIFTERS, rounds=3, transports=transports)
    assert made == [1, 2, 3]
    assert [record.survivors for record in history] == [(0, 1, 2), (0, 2), (0, 1, 2)]


@pytest.mark.parametrize("opened", [-1, 0, 2, 3 * 100 + 1])
def test_an_impossible_sum_of_weights_is_an_error_not_a_model(opened):
    class Altered(protocols.Plain):
        def aggregate(self, updates, **options):
            aggregate = super().aggregate(updates, **options)
            integers = aggregate.integers.copy()
            integers[-1] = opened
            return replace(aggregate, integers=integers)

    with pytest.raises(ProtocolError, match=f"sum of weights is {opened}"):
        average(SHIFTERS, aggregator=Altered(), max_rows=100)


def test_a_diverging_client_is_refused():
    with pytest.raises(BudgetExceeded):
        average(linear_clients(epochs=500, learning_rate=1e3))


def test_an_update_beyond_the_bound_is_refused():
    with pytest.raises(BudgetExceeded):
        average([Shifter(1, UPDATE_ENCODING.bound * 1.01)])


@pytest.mark.parametrize(
    ("clients", "options", "message"),
    [
        ([], {}, "clients"),
        (SHIFTERS, {"rounds": 0}, "rounds"),
        (SHIFTERS, {"fraction": 0.0}, "fraction"),
        (SHIFTERS, {"fraction": 1.01}, "fraction"),
        (SHIFTERS, {"aggregator": "trust me"}, "'trust me', expected 'plain'"),
        (SHIFTERS, {"max_rows": 4}, "max_rows.*5 rows"),
        (SHIFTERS, {"max_rows": 0}, "max_rows"),
        ([Shifter(0, 1.0)], {}, "0 rows"),
        ([Shifter(1, np.zeros((2, 4)))], {}, r"client-0 returned a model of shape \(2, 4\)"),
    ],
)
def test_options_out_of_range_are_refused_by_name(clients, options, message):
    with pytest.raises(ValueError, match=message):
        average(clients, **options)


@pytest.mark.parametrize("initial", [[], [[1.0]], [np.nan]])
def test_an_initial_model_that_is_no_finite_vector_is_refused(initial):
    with pytest.raises(ValueError, match="initial"):
        federated_averaging(initial, SHIFTERS, rounds=1, aggregator="plain", seed=0)
