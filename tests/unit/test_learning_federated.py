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
from veilsum.learning.network import SGD, Adam, Momentum
from veilsum.learning.snapshot import Snapshot


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


def opened_updates(history):
    """The average updates, from what was opened alone."""
    return [
        record.integers[:-1].astype(float) / float(record.rows * UPDATE_ENCODING.scale)
        for record in history
    ]


def test_by_default_the_server_adds_the_average_update_bit_for_bit():
    history = average(linear_clients(epochs=2, batch_size=8), rounds=4)
    model = np.zeros(4)
    for record, update in zip(history, opened_updates(history), strict=True):
        model = model + update
        assert record.weights.tobytes() == model.tobytes()
        assert record.state == ()


@pytest.mark.parametrize("server", [SGD(0.3), Momentum(0.5, decay=0.8), Adam(0.01, beta1=0.9)])
@pytest.mark.parametrize("pace", ["constant", "linear"])
def test_the_average_update_is_the_servers_negative_gradient(server, pace):
    history = average(linear_clients(batch_size=8), rounds=4, server=server, pace=pace)
    model = np.zeros(4)
    state = server.start(model)
    for index, (record, update) in enumerate(zip(history, opened_updates(history), strict=True)):
        server.step(model, -update, state, pace=1 - index / 4 if pace == "linear" else 1.0)
        assert record.weights.tobytes() == model.tobytes()
        assert [array.tolist() for array in record.state] == [array.tolist() for array in state]


def test_a_linear_pace_starts_whole_and_falls_evenly():
    history = average([Shifter(1, 1.0)], rounds=4, pace="linear")
    assert [record.weights[0] for record in history] == [1.0, 1.75, 2.25, 2.5]


def test_the_server_counts_the_first_who_arrive_and_no_others():
    history = average([Shifter(1, 1.0)] * 6, rounds=12, fraction=2 / 3, wait_for=2)
    assert {len(record.selected) for record in history} == {4}
    assert {len(record.survivors) for record in history} == {2}
    assert all(set(record.survivors) < set(record.selected) for record in history)
    places = {
        tuple(record.selected.index(client) for client in record.survivors) for record in history
    }
    assert len(places) > 2


@pytest.mark.parametrize(
    "aggregator", ["plain", protocols.Sharing(quorum=2)], ids=["plain", "sharing"]
)
def test_whoever_comes_too_late_costs_only_its_own_update(aggregator):
    (record,) = average(SHIFTERS, wait_for=2, aggregator=aggregator)
    counted = [SHIFTERS[client] for client in record.survivors]
    rows = sum(client.rows for client in counted)
    mean = sum(client.rows * client.shift for client in counted) / rows
    assert record.rows == rows
    assert np.allclose(record.weights, mean, rtol=1e-15)


def test_the_late_are_dropped_before_they_send():
    recording = Recording()
    history = average([Shifter(1, 1.0)] * 5, rounds=3, wait_for=2, aggregator=recording)
    for call, record in zip(recording.calls, history, strict=True):
        assert sorted([*call["dropped"], *record.survivors]) == [0, 1, 2, 3, 4]
        assert len(call["dropped"]) == 3


def test_the_order_of_arrival_depends_on_seed_and_round_alone():
    def survivors(**options):
        clients = [Shifter(1, 1.0)] * 6
        return [record.survivors for record in average(clients, rounds=8, wait_for=3, **options)]

    assert survivors() == survivors(aggregator=protocols.Sharing(holders=3, min_survivors=2))
    assert survivors() == survivors(server=SGD(0.1))
    assert survivors() != survivors(seed=1)


def test_the_lost_never_arrive_and_the_next_ones_are_counted():
    whole = average([Shifter(1, 1.0)] * 6, rounds=6, wait_for=3)
    lossy = average(
        [Shifter(1, 1.0)] * 6,
        rounds=6,
        wait_for=3,
        dropouts=lambda index: whole[index - 1].survivors[:1],
    )
    for before, after in zip(whole, lossy, strict=True):
        assert len(after.survivors) == 3
        assert set(before.survivors[1:]) < set(after.survivors)


def test_a_server_that_waited_in_vain_goes_on_with_those_who_came():
    (record,) = average([*SHIFTERS, *SHIFTERS], wait_for=3, dropouts=lambda _: [0, 1, 3, 5])
    assert record.survivors == (2, 4)


def test_waiting_for_fewer_than_the_aggregator_opens_is_an_error():
    with pytest.raises(ProtocolError):
        average(SHIFTERS, wait_for=1, aggregator="masking")


def test_waiting_for_all_is_waiting_for_as_many_as_are_asked():
    whole, same = average(SHIFTERS, rounds=2), average(SHIFTERS, rounds=2, wait_for=3)
    assert [one.integers.tolist() for one in whole] == [one.integers.tolist() for one in same]


TRAININGS = [
    {},
    {"server": Momentum(0.5), "wait_for": 2},
    {"server": Adam(0.01), "pace": "linear", "fraction": 0.7},
]


@pytest.mark.parametrize("options", TRAININGS)
@pytest.mark.parametrize("aggregator", ["plain", protocols.Sharing(quorum=2)])
def test_a_resumed_training_equals_an_uninterrupted_one(options, aggregator, tmp_path):
    clients = linear_clients(epochs=2, batch_size=8)
    whole = average(clients, rounds=5, **options)
    whole[1].snapshot.save(tmp_path / "round-2.npz")
    resumed = average(
        clients,
        rounds=5,
        aggregator=aggregator,
        resume=Snapshot.load(tmp_path / "round-2.npz"),
        **options,
    )
    assert [record.index for record in resumed] == [3, 4, 5]
    for one, other in zip(resumed, whole[2:], strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert one.integers.tolist() == other.integers.tolist()
        assert (one.selected, one.survivors) == (other.selected, other.survivors)
        assert [array.tobytes() for array in one.state] == [
            array.tobytes() for array in other.state
        ]


def test_snapshots_of_a_training_do_not_change_while_it_goes_on():
    seen = []

    def watch(record):
        seen.append([array.tolist() for array in record.snapshot.state])

    history = average(linear_clients(), rounds=3, server=Adam(0.01), callback=watch)
    kept = [[array.tolist() for array in record.snapshot.state] for record in history]
    assert seen == kept
    assert [state[0] for state in kept] == [1, 2, 3]


def test_resuming_leaves_the_snapshot_as_it_was():
    snapshot = average(SHIFTERS, rounds=1, server=Adam(0.1))[0].snapshot
    before = [array.copy() for array in snapshot.state]
    average(SHIFTERS, rounds=3, server=Adam(0.1), resume=snapshot)
    assert all(map(np.array_equal, before, snapshot.state))


def test_at_a_constant_pace_more_rounds_can_be_added():
    short, whole = average(SHIFTERS, rounds=2), average(SHIFTERS, rounds=4)
    longer = average(SHIFTERS, rounds=4, resume=short[-1].snapshot)
    assert [record.weights.tolist() for record in longer] == [
        record.weights.tolist() for record in whole[2:]
    ]


def test_nothing_is_left_to_do_after_the_last_round():
    snapshot = average(SHIFTERS, rounds=2)[-1].snapshot
    assert average(SHIFTERS, rounds=2, resume=snapshot) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "its training had seed 0, and this one has 1"),
        ({"fraction": 0.6}, "clients asked 3, and this one has 2"),
        ({"wait_for": 2}, "wait_for None, and this one has 2"),
        ({"encoding": FixedPoint.binary(19, bound=32.0)}, "encoding's scale 1048576"),
        ({"server": Adam(0.2)}, r"server Adam\(rate=0.1"),
        ({"pace": "linear"}, "pace constant, and this one has linear over 4 rounds"),
        ({"rounds": 1}, "a snapshot of round 2, expected one of the 1 rounds at most"),
        ({"client_hook": lambda _, client: replace(client, rows=1)}, "rows of clients"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_snapshot_of_another_training_is_refused_by_what_differs(options, message):
    same = {"server": Adam(0.1), "rounds": 4}
    snapshot = average(SHIFTERS, **same | {"rounds": 2})[-1].snapshot
    with pytest.raises(ValueError, match=message):
        average(SHIFTERS, **same | options, resume=snapshot)


def test_a_linear_pace_cannot_be_stretched_when_resumed():
    snapshot = average(SHIFTERS, rounds=2, pace="linear")[0].snapshot
    with pytest.raises(ValueError, match="linear over 2 rounds, and this one has linear over 3"):
        average(SHIFTERS, rounds=3, pace="linear", resume=snapshot)


def test_a_bound_that_was_too_small_may_be_raised_when_resumed():
    snapshot = average(SHIFTERS, max_rows=10)[-1].snapshot
    wider = FixedPoint(scale=UPDATE_ENCODING.scale, bound=64.0)
    resumed = average(SHIFTERS, rounds=2, max_rows=99, encoding=wider, resume=snapshot)
    assert np.array_equal(resumed[-1].weights, average(SHIFTERS, rounds=2)[-1].weights)


def test_a_snapshot_that_does_not_fit_the_model_or_the_optimiser_is_refused():
    snapshot = average(SHIFTERS, server=Adam(0.1))[-1].snapshot
    with pytest.raises(ValueError, match=r"resume: got a model of shape \(3,\), expected \(4,\)"):
        average(SHIFTERS, server=Adam(0.1), resume=replace(snapshot, weights=np.zeros(3)))
    with pytest.raises(ValueError, match="its state is not of this server's optimiser"):
        average(SHIFTERS, server=Adam(0.1), resume=replace(snapshot, state=snapshot.state[1:]))
    with pytest.raises(TypeError, match=r"resume: got str, expected a Snapshot; .*Snapshot\.load"):
        average(SHIFTERS, resume="training.npz")


def test_only_the_last_rounds_are_kept_on_request():
    seen = []
    history = average(SHIFTERS, rounds=4, keep=2, callback=lambda record: seen.append(record.index))
    assert [record.index for record in history] == [3, 4]
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"wait_for": 0}, ValueError, "wait_for: got 0, expected 1 to 3"),
        ({"wait_for": 3, "fraction": 0.6}, ValueError, "wait_for: got 3, expected 1 to 2"),
        ({"server": 1.0}, TypeError, "server: got 1.0, expected an Optimizer"),
        ({"server": SGD}, TypeError, "server: got <class"),
        ({"pace": "cosine"}, ValueError, "pace: got 'cosine', expected 'constant' or 'linear'"),
        ({"keep": 0}, ValueError, "keep: got 0"),
    ],
)
def test_options_of_the_server_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        average(SHIFTERS, **options)
