"""Federated averaging as Flower's Message API has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flower_app.meter import Meter
from flower_app.training import initial_model, is_right

# Models are float32, and below 4.
ROUNDING = 2.0**-21


def server_app(
    protect: Callable[[Any, Context], Any] = lambda grid, _: grid, *, tolerance: float
) -> ServerApp:
    """Return a server that averages over a grid, which may be protected."""

    def main(grid: Grid, context: Context) -> None:
        config: Any = context.run_config
        rounds, clients = config["rounds"], config["clients"]
        meter = Meter(grid)
        strategy = FedAvg(
            min_train_nodes=clients, min_evaluate_nodes=clients, min_available_nodes=clients
        )
        result = strategy.start(
            grid=protect(meter, context),
            initial_arrays=ArrayRecord([initial_model(config["size"])]),
            num_rounds=rounds,
        )
        (model,) = result.arrays.to_numpy_ndarrays()
        right = is_right(model, clients=clients, rounds=rounds, tolerance=tolerance)
        meter.write(Path(config["report"]), right=right)

    app = ServerApp()
    app.main()(main)
    return app
