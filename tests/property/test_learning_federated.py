from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from veilsum.encoding import FixedPoint
from veilsum.learning.federated import federated_averaging


@dataclass(frozen=True)
class Sender:
    rows: int
    update: tuple[float, ...]

    def train(self, weights, generator):  # noqa: ARG002
        return weights + np.array(self.update)


UPDATES = st.tuples(st.floats(-8, 8), st.floats(-8, 8))
SENDERS = st.lists(st.builds(Sender, st.integers(1, 1000), UPDATES), min_size=3, max_size=6)
ENCODINGS = st.one_of(
    st.builds(FixedPoint.decimal, st.integers(0, 9), bound=st.just(8.0)),
    st.builds(FixedPoint.binary, st.integers(0, 60), bound=st.just(8.0)),
)


@given(SENDERS, ENCODINGS, st.sampled_from(["plain", "sharing"]), st.data())
def test_the_model_moves_by_the_survivors_weighted_mean_within_half_a_unit(
    senders, encoding, aggregator, data
):
    lost = data.draw(st.sets(st.integers(0, len(senders) - 1), max_size=(len(senders) - 1) // 2))
    (record,) = federated_averaging(
        [0.0, 0.0],
        senders,
        rounds=1,
        aggregator=aggregator,
        seed=0,
        encoding=encoding,
        dropouts=lambda _: lost,
    )
    kept = [sender for index, sender in enumerate(senders) if index not in lost]
    rows = sum(sender.rows for sender in kept)
    assert record.rows == rows
    for coordinate, weight in enumerate(record.weights):
        mean = sum(sender.rows * Fraction(sender.update[coordinate]) for sender in kept) / rows
        rounding = Fraction(1, 2 * encoding.scale) + Fraction(2) ** -48
        assert abs(Fraction(float(weight)) - mean) <= rounding
