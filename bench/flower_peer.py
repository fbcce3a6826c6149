"""Flower's SecAgg+ in this process: its own workflow for the server, its own mod for the clients.

Only what lies around them is ours, and does as little as it can: messages go as the bytes that
Flower serialises them to, the model that the server sends down is empty, a client's training
returns its update, and the strategy keeps the mean that the workflow hands to it.

Its masks are NumPy's Mersenne Twister under a seed that it folds to 32 bits, its keys are agreed on
P-384, its shares are PyCryptodome's, and it neither signs messages nor compares survivors.

It needs flwr 1.39 or later, which the bench extra leaves out: it holds typer and rich back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Stage
from flwr.common.secure_aggregation.secaggplus_constants import Key as StageKey
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.compat.common.recorddict_compat import fitres_to_recorddict
from flwr.proto.message_pb2 import Message as Proto
from flwr.server import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

__all__ = ["STAGES", "STEP", "Result", "aggregate", "combine_shares", "create_shares"]

CLIPPING_RANGE = 8.0
QUANTISATION_RANGE = 2**22
MODULUS_RANGE = 2**32

# Stochastic rounding takes every client's value to one of its two neighbours on this grid.
STEP = 2 * CLIPPING_RANGE / QUANTISATION_RANGE

STAGES: tuple[str, ...] = (
    Stage.SETUP,
    Stage.SHARE_KEYS,
    Stage.COLLECT_MASKED_VECTORS,
    Stage.UNMASK,
)

Floats = NDArray[np.float32]

# Flower asks who it runs as, and says every stage aloud.
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 0
logging.getLogger("flwr").setLevel(logging.ERROR)


class Result(NamedTuple):
    """The survivors' mean, and the bytes that every client sent."""

    mean: NDArray[np.float64]
    sent: list[int]


class Network:
    """What the workflow calls a grid, and the clients behind it, its nodes, numbered from 1.

    Those that are lost answer nothing from a stage on.
    """

    def __init__(self, updates: Sequence[Floats], lost: Iterable[int], stage: str) -> None:
        self.sent: Counter[int] = Counter()
        self._updates = dict(enumerate(updates, start=1))
        self._lost = frozenset(client + 1 for client in lost)
        self._missed = STAGES[STAGES.index(stage) :]
        self._contexts = {node: Context(1, node, {}, RecordDict(), {}) for node in self._updates}

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None
    ) -> list[Message]:
        """Carry messages to the clients, and return their replies."""
        del timeout
        return [self._reply(message) for message in messages if not self._is_lost(message)]

    def _is_lost(self, message: Message) -> bool:
        stage = message.content.config_records[RECORD_KEY_CONFIGS][StageKey.STAGE]
        return stage in self._missed and message.metadata.dst_node_id in self._lost

    def _reply(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        arrived = from_bytes(to_bytes(message))
        reply = to_bytes(secaggplus_mod(arrived, self._contexts[node], self._train))
        self.sent[node] += len(reply)
        return from_bytes(reply)

    def _train(self, message: Message, context: Context) -> Message:
        parameters = ndarrays_to_parameters([self._updates[context.node_id]])
        result = FitRes(Status(Code.OK, ""), parameters, num_examples=1, metrics={})
        return Message(fitres_to_recorddict(result, keep_input=False), reply_to=message)


class Strategy:
    """Select every client, and keep the mean."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self.mean: NDArray[np.float64] | None = None
        self._proxies = [SimpleNamespace(node_id=node) for node in nodes]

    def configure_fit(self, number: int, parameters: Any, manager: Any) -> list[tuple[Any, FitIns]]:
        """Send all of them the same."""
        del number, manager
        return [(proxy, FitIns(parameters, {})) for proxy in self._proxies]

    def aggregate_fit(
        self, number: int, results: Any, failures: Any
    ) -> tuple[None, dict[str, Any]]:
        """Take the mean out of the first result; the others hold the same."""
        del number, failures
        _, result = results[0]
        (self.mean,) = parameters_to_ndarrays(result.parameters)
        return None, {}


def to_bytes(message: Message) -> bytes:
    """Return what Flower would send."""
    data: bytes = message_to_proto(message).SerializeToString()
    return data


def from_bytes(data: bytes) -> Message:
    """Return what Flower would receive."""
    return message_from_proto(Proto.FromString(data))


def aggregate(
    updates: Sequence[Floats],
    *,
    shares: int,
    threshold: int,
    lost: Iterable[int] = (),
    stage: str = Stage.COLLECT_MASKED_VECTORS,
) -> Result:
    """Run one round in which every client gives its key shares to `shares` of them, itself too.

    As many as the threshold restore a key; the lost are numbered as the updates, from 0, and gone
    from a stage on: by default they have shared their keys then.
    """
    network: Any = Network(updates, lost, stage)
    nodes = range(1, len(updates) + 1)
    strategy: Any = Strategy(nodes)
    manager: Any = SimpleNamespace(num_available=lambda: len(updates))
    records = RecordDict(
        {
            MAIN_CONFIGS_RECORD: ConfigRecord({Key.CURRENT_ROUND: 1}),
            MAIN_PARAMS_RECORD: ArrayRecord(),
        }
    )
    workflow = SecAggPlusWorkflow(
        shares,
        threshold,
        max_weight=1.0,
        clipping_range=CLIPPING_RANGE,
        quantization_range=QUANTISATION_RANGE,
        modulus_range=MODULUS_RANGE,
    )
    context = Context(1, 0, {}, records, {})
    workflow(network, LegacyContext(context, strategy=strategy, client_manager=manager))
    if strategy.mean is None:
        raise RuntimeError("Flower's workflow was halted")
    return Result(strategy.mean, [network.sent[node] for node in nodes])
