"""Masking among a few clients, of whom everybody may vanish at every stage."""

from itertools import combinations, product

import numpy as np
import pytest

from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.protocols import InMemoryTransport, Masking
from veilsum.protocols.masking import Advertise, Confirmed, Masked, Revealed, Shared

STAGES = (Advertise, Shared, Masked, Confirmed, Revealed)
STAYS = len(STAGES)
ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.5], [-8.0, 8.0], [16.0, 1.5], [3.0, -32.0]])


def lose(leaving):
    """Lose what each client sends from the stage on at which it leaves."""

    def drop(message):
        if message.sender == "server":
            return False
        return leaving[int(message.sender.removeprefix("client-"))] <= STAGES.index(type(message))

    return InMemoryTransport(drop=drop)


def require_sum_or_error(aggregator, leaving):
    """While enough clients are left at every stage, the masked ones are summed, else nobody."""
    clients, threshold = len(leaving), aggregator.density(len(leaving)).threshold
    call = {"encoding": ENCODING, "transport": lose(leaving)}
    if sum(stage == STAYS for stage in leaving) < threshold:
        with pytest.raises(ProtocolError):
            aggregator.aggregate(UPDATES[:clients], **call)
        return
    result = aggregator.aggregate(UPDATES[:clients], **call)
    masked = [client for client in range(clients) if leaving[client] > STAGES.index(Masked)]
    assert result.survivors == tuple(masked)
    np.testing.assert_array_equal(result.sum, UPDATES[masked].sum(axis=0))
    assert result.liars == ()


@pytest.mark.parametrize(("clients", "threshold"), [(1, 1), (2, 2), (3, 2)])
def test_whoever_vanishes_whenever_the_survivors_are_summed_or_nobody(clients, threshold):
    aggregator = Masking(threshold=threshold)
    for leaving in product(range(STAYS + 1), repeat=clients):
        require_sum_or_error(aggregator, leaving)


@pytest.mark.parametrize("stays", [(0, 1), (0, 3), (2, 3)])
def test_two_of_four_clients_may_vanish_whenever_they_like(stays):
    aggregator = Masking(threshold=3)  # with two lost it is always an error
    for leaving in product(range(STAYS + 1), repeat=2):
        stages = iter(leaving)
        require_sum_or_error(
            aggregator, [STAYS if client in stays else next(stages) for client in range(4)]
        )


def test_two_of_six_clients_may_vanish_whenever_they_like():
    aggregator = Masking(threshold=4)
    for leaving in product(range(STAYS), repeat=2):
        require_sum_or_error(aggregator, [STAYS, leaving[0], *[STAYS] * 3, leaving[1]])


@pytest.mark.parametrize(("clients", "threshold"), [(4, 3), (5, 3), (6, 4)])
@pytest.mark.parametrize("stage", range(STAYS))
def test_every_subset_that_leaves_enough_or_one_too_few_may_vanish_at_any_stage(
    clients, threshold, stage
):
    aggregator = Masking(threshold=threshold)
    for size in range(clients - threshold + 1):
        for gone in combinations(range(clients), size):
            leaving = [stage if client in gone else STAYS for client in range(clients)]
            require_sum_or_error(aggregator, leaving)
    few = [STAYS if client < threshold - 1 else stage for client in range(clients)]
    require_sum_or_error(aggregator, few)
