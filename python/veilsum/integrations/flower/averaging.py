"""Flower's records as vectors: what a node contributes to a weighted mean, and what comes of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from veilsum.errors import ProtocolError
from veilsum.protocols import Aggregate, WeightedMean
from veilsum.wire import length_prefixed

__all__ = ["contribution", "digest_of", "length_of", "mean_reply"]

_TAG = b"veilsum/flower/content/v1"
_METRICS = "metrics"


def digest_of(message: Message, run_config: Mapping[str, Any], *terms: object) -> bytes:
    """Hash all that a node is sent to train on, and how its update will be written: 32 bytes.

    Settings count as much as arrays, and so do the types and the order of the records, the type and
    the group of the message and the settings of the run: a server that has all nodes but one train
    by nothing learns the update of that one.
    """
    parts = (_part(name, record) for name, record in message.content.items())
    about = message.metadata.message_type, message.metadata.group_id, sorted(run_config.items())
    head = (repr(term).encode() for term in (*about, *terms))
    return hashlib.sha256(length_prefixed(_TAG, *head, *parts)).digest()


def _part(name: str, record: Mapping[str, Any]) -> bytes:
    head = type(record).__name__.encode(), name.encode()
    if not isinstance(record, ArrayRecord):
        return length_prefixed(*head, repr([*record.items()]).encode())
    fields = (
        (key.encode(), repr((array.dtype, (*array.shape,), array.stype)).encode(), array.data)
        for key, array in record.items()
    )
    return length_prefixed(*head, *(part for field in fields for part in field))


def length_of(content: RecordDict, metrics: tuple[str, ...]) -> int:
    """Return the coordinates of a contribution: an update, metrics and a weight."""
    sizes = [math.prod(array.shape) for array in _arrays(content, "train message").values()]
    return int(sum(sizes)) + len(metrics) + 1


def contribution(
    content: RecordDict,
    reply: RecordDict,
    *,
    mean: WeightedMean,
    metrics: tuple[str, ...],
    weighted_by: str,
) -> NDArray[Any]:
    """Return what a node adds to the sum: its weighted update and metrics, and its weight.

    Raises
    ------
    ProtocolError
        When the reply has other arrays than it was sent, lacks a metric, or its weight is no
        integer within bounds.
    BudgetExceeded
        When a coordinate is not finite, or beyond the bound of the encoding.
    """
    update = np.concatenate([*_differences(_arrays(content, "message"), _arrays(reply, "reply"))])
    measured = _measured(reply)
    weight = measured.get(weighted_by)
    if type(weight) is not int or not 1 <= weight <= mean.max_weight:
        raise ProtocolError(
            f"reply: {weighted_by!r} is no integer from 1 to {mean.max_weight}, such as a number "
            "of examples; Protection(weighted_by=...) names the metric that is the weight, and its "
            "mean says the largest: WeightedMean(max_weight=...)"
        )
    weighted = mean.encode(update, weight)
    if not metrics:
        return weighted
    values = [_number(measured, name) for name in metrics]
    unclipped = replace(mean, clip=math.inf).encode(values, weight)
    return np.concatenate([weighted[:-1], unclipped])


def mean_reply(
    content: RecordDict,
    aggregate: Aggregate,
    *,
    mean: WeightedMean,
    metrics: tuple[str, ...],
    weighted_by: str,
) -> RecordDict:
    """Return the one reply that stands for those of all survivors: their weighted mean.

    The arrays have the types that Flower's own weighted mean gives them.
    """
    flat, weight = mean.decode(aggregate)
    moved, place = dict[str, Array](), 0
    for key, array in _arrays(content, "message").items():
        sent = array.numpy()
        step = flat[place : place + sent.size].reshape(sent.shape)
        place += sent.size
        moved[key] = Array(np.asarray((sent + step).astype((sent[:0] * 1.0).dtype)))
    measured = dict(zip(metrics, flat[place:].tolist(), strict=True))
    (name,) = content.array_records
    return RecordDict(
        {name: ArrayRecord(moved), _METRICS: MetricRecord({**measured, weighted_by: weight})}
    )


def _arrays(content: RecordDict, what: str) -> ArrayRecord:
    records = [*content.array_records.values()]
    if len(records) != 1:
        raise ProtocolError(f"{what}: got {len(records)} ArrayRecords, expected the model's alone")
    return records[0]


def _differences(sent: ArrayRecord, trained: ArrayRecord) -> Iterator[NDArray[np.float64]]:
    if [*sent] != [*trained]:
        raise ProtocolError(
            f"reply: its arrays are {_some(trained)}, expected {_some(sent)} as in the message"
        )
    for key, array in sent.items():
        before, after = array.numpy(), trained[key].numpy()
        if before.shape != after.shape:
            raise ProtocolError(
                f"reply: the array {key!r} has the shape {after.shape}, expected {before.shape}"
            )
        if not np.can_cast(after.dtype, np.float64, "same_kind"):
            raise ProtocolError(f"reply: the array {key!r} is {after.dtype}, expected real numbers")
        yield np.subtract(after, before, dtype=np.float64).reshape(-1)


def _measured(reply: RecordDict) -> Mapping[str, Any]:
    records = [*reply.metric_records.values()]
    if len(records) != 1:
        raise ProtocolError(f"reply: got {len(records)} MetricRecords, expected one")
    measured: Mapping[str, Any] = records[0]
    return measured


def _number(measured: Mapping[str, Any], name: str) -> float:
    value = measured.get(name)
    if not isinstance(value, int | float):
        raise ProtocolError(
            f"reply: the metric {name!r} is missing or no number; see Protection(metrics=)"
        )
    return float(value)


def _some(keys: Iterable[str]) -> str:
    names = [*keys]
    return f"{names[:5]}{' and more' if len(names) > 5 else ''}"
