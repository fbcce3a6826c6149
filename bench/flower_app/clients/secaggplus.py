"""A client of Flower's SecAgg+, whose mod knows only the older API."""

from __future__ import annotations

from typing import Any

from flwr.app import Context
from flwr.client import Client, ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod

from flower_app.training import Model, trained


class Trainer(NumPyClient):  # type: ignore[misc, unused-ignore]
    """The same training and evaluation."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def fit(self, parameters: list[Model], config: Any) -> tuple[list[Model], int, dict[str, Any]]:
        """Train."""
        del config
        return [trained(parameters[0], self._context)], 1, {}

    def evaluate(self, parameters: Any, config: Any) -> tuple[float, int, dict[str, Any]]:
        """Return a loss."""
        del parameters, config
        return 0.5, 1, {}


def client(context: Context) -> Client:
    """Return a node's client."""
    return Trainer(context).to_client()


app = ClientApp(client, mods=[secaggplus_mod])
