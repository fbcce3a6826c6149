from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum.encoding import FixedPoint
from veilsum.learning import FederatedMetaLearner
from veilsum.learning.federated import federated_averaging
from veilsum.learning.network import SGD, Adam, Momentum
from veilsum.learning.snapshot import Snapshot


@dataclass(frozen=True)
class Towards:
    """Moves the parameters a part of the way to the client's goal, and a little at random."""

    part: float = 0.5
    size: int = 2

    def initial(self, *, seed):
        return np.random.default_rng(seed).normal(size=self.size)

    def train(self, parameters, tasks, generator):
        noise = generator.uniform(-0.5, 0.5, size=self.size)
        return parameters + self.part * (tasks.goal - parameters) + noise

    def adapt(self, parameters, support, generator):
        raise NotImplementedError


@dataclass(frozen=True)
class Goal:
    rows: int
    goal: float

    def draw(self, generator, tasks, *, shots, queries):
        raise NotImplementedError


GOALS = st.lists(st.builds(Goal, st.integers(1, 1000), st.floats(-4, 4)), min_size=3, max_size=5)
SERVERS = st.sampled_from([SGD(1.0), SGD(0.3), Momentum(0.2, decay=0.5), Adam(0.1), Adam(0.1, 0.0)])
PACES = st.sampled_from(["constant", "linear"])


def fit(goals, *, resume=None, **options):
    seen = []
    learner = FederatedMetaLearner(Towards(), callback=seen.append, **options)
    return learner.fit(goals, resume=resume), seen


@settings(max_examples=40, deadline=None)
@given(GOALS, SERVERS, PACES, st.integers(0, 2**32), st.data())
def test_resuming_at_any_round_equals_never_stopping(goals, server, pace, seed, data):
    rounds = data.draw(st.integers(1, 5))
    options = {
        "aggregator": "plain",
        "rounds": rounds,
        "server": server,
        "pace": pace,
        "random_state": seed,
        "wait_for": data.draw(st.integers(2, len(goals))),
    }
    whole, seen = fit(goals, **options)
    stopped = data.draw(st.sampled_from(seen)).snapshot
    resumed, left = fit(goals, resume=stopped, **options)
    assert resumed.parameters_.tobytes() == whole.parameters_.tobytes()
    assert [record.integers.tolist() for record in left] == [
        record.integers.tolist() for record in seen[stopped.round :]
    ]


@settings(max_examples=8, deadline=None)
@given(GOALS, st.sampled_from(["sharing", "masking"]), SERVERS, st.integers(0, 9))
def test_what_is_opened_does_not_depend_on_the_protection(goals, aggregator, server, seed):
    options = {"rounds": 2, "server": server, "random_state": seed}
    clear, opened = fit(goals, aggregator="plain", **options)
    protected, too = fit(goals, aggregator=aggregator, **options)
    assert protected.parameters_.tobytes() == clear.parameters_.tobytes()
    for one, other in zip(opened, too, strict=True):
        assert one.integers.tolist() == other.integers.tolist()


@dataclass(frozen=True)
class Sender:
    rows: int
    update: float

    def train(self, weights, generator):  # noqa: ARG002
        return weights + self.update


@given(
    st.lists(st.builds(Sender, st.integers(1, 1000), st.floats(-8, 8)), min_size=3, max_size=7),
    st.integers(0, 40),
    st.integers(0, 2**32),
    st.data(),
)
def test_the_first_to_arrive_are_averaged_and_nobody_else(senders, bits, seed, data):
    lost = data.draw(st.sets(st.integers(0, len(senders) - 1), max_size=len(senders) - 2))
    wait_for = data.draw(st.integers(2, len(senders)))
    encoding = FixedPoint.binary(bits, bound=8.0)
    (record,) = federated_averaging(
        [0.0],
        senders,
        rounds=1,
        aggregator="plain",
        seed=seed,
        wait_for=wait_for,
        encoding=encoding,
        dropouts=lambda _: lost,
    )
    assert len(record.survivors) == min(wait_for, len(senders) - len(lost))
    assert lost.isdisjoint(record.survivors)
    counted = [senders[client] for client in record.survivors]
    rows = sum(sender.rows for sender in counted)
    mean = sum(sender.rows * Fraction(sender.update) for sender in counted) / rows
    error = abs(Fraction(float(record.weights[0])) - mean)
    assert error <= Fraction(1, 2 * encoding.scale) + Fraction(2) ** -48


FINITE = st.floats(allow_nan=False, allow_infinity=False)
ARRAYS = st.lists(FINITE, max_size=4).map(np.array) | st.integers(-(2**63), 2**63 - 1).map(
    lambda number: np.array(number, dtype=np.int64)
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2**40),
    st.lists(FINITE, min_size=1, max_size=6),
    st.lists(ARRAYS, max_size=3),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
)
def test_snapshots_survive_their_file_bit_for_bit(tmp_path_factory, index, weights, state, terms):
    path = tmp_path_factory.getbasetemp() / "snapshot.npz"
    saved = Snapshot(round=index, weights=np.array(weights), state=tuple(state), settings=terms)
    saved.save(path)
    loaded = Snapshot.load(path)
    assert (loaded.round, loaded.settings) == (index, terms)
    pairs = zip((saved.weights, *saved.state), (loaded.weights, *loaded.state), strict=True)
    for one, other in pairs:
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
