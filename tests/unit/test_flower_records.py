"""What Flower's records may hold where veilsum reads them, and every reason to refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs Flower: pip install 'veilsum[flower]'")

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, ProtocolError
from veilsum.integrations.flower.averaging import contribution, length_of
from veilsum.integrations.flower.records import Answer, Request, introduction, split
from veilsum.protocols import WeightedMean

MEAN = WeightedMean(encoding=FixedPoint.binary(4, bound=8.0), max_weight=10)


def model(**changes: np.ndarray) -> RecordDict:
    """Return what a node is sent: two arrays of three coordinates together."""
    arrays = {"a": np.zeros((1, 2)), "b": np.zeros(1)} | changes
    return RecordDict({"arrays": ArrayRecord({k: Array(array) for k, array in arrays.items()})})


def trained(weight: Any = 3, *, loss: Any = 0.5, **changes: np.ndarray) -> RecordDict:
    """Return what its training replies."""
    metrics = MetricRecord({"num-examples": weight, "loss": loss})
    return RecordDict({**model(**changes), "metrics": metrics})


def contributed(reply: RecordDict, metrics: tuple[str, ...] = ("loss",)) -> np.ndarray:
    return contribution(model(), reply, mean=MEAN, metrics=metrics, weighted_by="num-examples")


def test_a_contribution_is_weighted_update_weighted_metrics_and_weight() -> None:
    reply = trained(a=np.array([[1.0, -2.0]]))
    assert contributed(reply).tolist() == [3 * 16, -3 * 32, 0, 3 * 8, 3]
    assert contributed(reply, ()).tolist() == [3 * 16, -3 * 32, 0, 3]
    assert length_of(model(), ("loss",)) == 5


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (trained(c=np.zeros(1)), "expected \\['a', 'b'\\] as in the message"),
        (trained(**{f"c{i}": np.zeros(1) for i in range(9)}), "and more"),
        (trained(a=np.zeros((2, 1))), r"'a' has the shape \(2, 1\), expected \(1, 2\)"),
        (trained(a=np.zeros((1, 2), complex)), "'a' is complex128, expected real numbers"),
        (model(), "got 0 MetricRecords, expected one"),
        (RecordDict({"metrics": MetricRecord({"num-examples": 3})}), "got 0 ArrayRecords"),
        (trained(0), "no integer from 1 to 10"),
        (trained(11), "no integer from 1 to 10"),
        (trained(2.0), "no integer from 1 to 10"),
        (trained(loss=[1.0]), "'loss' is missing or no number"),
    ],
)
def test_a_reply_that_is_no_contribution_is_refused(reply: RecordDict, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        contributed(reply)


@pytest.mark.parametrize("reply", [trained(b=np.array([np.nan])), trained(loss=8.5)])
def test_a_contribution_beyond_the_bound_is_refused(reply: RecordDict) -> None:
    with pytest.raises(BudgetExceeded):
        contributed(reply)


def test_a_message_with_two_models_is_refused() -> None:
    with pytest.raises(ProtocolError, match="got 2 ArrayRecords, expected the model's alone"):
        length_of(RecordDict({**model(), "more": ArrayRecord()}), ())


def test_requests_and_answers_survive_their_records() -> None:
    request = Request(sessions=(b"one", b"two"), letters=(b"a", b""), trains=b"id", nonce=b"n")
    assert split(request.added_to(model()))[0] == request
    assert [*split(request.added_to(model()))[1]] == ["arrays"]
    answer = Answer(letters=(b"x",), seconds={"open": 2.0, "train": 1.5}, name="n", signature=b"s")
    assert Answer.of(answer.records()) == answer
    assert (answer.phases, answer.training) == ({"open": 2.0}, 1.5)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({"veilsum.request": MetricRecord()}, "expected a ConfigRecord"),
        ({"veilsum.request": ConfigRecord(), "veilsum.letters": ConfigRecord()}, "an ArrayRecord"),
        ({"veilsum.request": ConfigRecord({"sessions": b"one"})}, "got bytes, expected list"),
        ({"veilsum.request": ConfigRecord({"sessions": ["one"]})}, "got str, expected bytes"),
        ({"veilsum.request": ConfigRecord({"trains": 1})}, "got int, expected bytes"),
        ({"veilsum.request": ConfigRecord({"nonce": 0.5})}, "got float, expected bytes"),
    ],
)
def test_a_malformed_request_is_refused(records: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        split(RecordDict(records))


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({}, "none of veilsum's"),
        ({"veilsum.answer": ConfigRecord({"name": 3})}, "got int, expected str"),
        ({"veilsum.answer": ConfigRecord({"signature": "s"})}, "got str, expected bytes"),
        ({"veilsum.answer": ConfigRecord({"seconds.open": "long"})}, "got str, expected float"),
    ],
)
def test_a_malformed_answer_is_refused(records: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        Answer.of(RecordDict(records))


def test_an_introduction_holds_for_one_question_run_node_and_name() -> None:
    said = {"run": 1, "node": 2, "name": "client-0"}
    others = [{**said, "run": 2}, {**said, "node": 1}, {**said, "name": "client-1"}]
    signed = {introduction(b"nonce", **case) for case in (said, *others)}
    assert len({*signed, introduction(b"other", **said)}) == 5
