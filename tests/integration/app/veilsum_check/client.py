"""A client that trains, or says that it does and never ends."""

from pathlib import Path
from threading import Event
from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from veilsum_check.protections import PROTECTIONS
from veilsum_check.training import trained, weight


def protect(message: Message, context: Context, call_next: Any) -> Message:
    """Protect by what the run says."""
    protection = PROTECTIONS[context.run_config["protocol"]]
    return protection.mod(message, context, call_next)


app = ClientApp(mods=[protect])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train, unless this is the victim."""
    client = context.node_config["partition-id"]
    if client == context.run_config["victim"]:
        Path(context.run_config["started"]).touch()
        Event().wait()
    metrics = MetricRecord({"num-examples": weight(client)})
    records = RecordDict({"arrays": ArrayRecord([trained(client)]), "metrics": metrics})
    return Message(records, reply_to=message)
