"""Training and evaluation as Flower's Message API has them."""

from __future__ import annotations

from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_app.training import trained


def client_app(*mods: Any) -> ClientApp:
    """Return a client under some mods."""

    def train(message: Message, context: Context) -> Message:
        (model,) = message.content.array_records["arrays"].to_numpy_ndarrays()
        arrays = ArrayRecord([trained(model, context)])
        metrics = MetricRecord({"num-examples": 1})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    def evaluate(message: Message, context: Context) -> Message:
        del context
        metrics = MetricRecord({"num-examples": 1, "loss": 0.5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    app = ClientApp(mods=list(mods))
    app.train()(train)
    app.evaluate()(evaluate)
    return app
