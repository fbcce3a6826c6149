"""A server whose strategy averages one round; it tells the sum, and the model that came of it."""

import json
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from veilsum_check.protections import PROTECTIONS
from veilsum_check.training import CLIENTS, MODEL

# Flower finds out that a node is dead within a minute; the strategy waits for less.
TIMEOUT = 30.0

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run one round."""
    protected = PROTECTIONS[context.run_config["protocol"]].grid(grid, context)
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    result = strategy.start(
        grid=protected, initial_arrays=ArrayRecord([MODEL]), num_rounds=1, timeout=TIMEOUT
    )
    (round_,) = protected.rounds
    report = {"failure": None if round_.failure is None else str(round_.failure)}
    if protected.aggregate is not None:
        (model,) = result.arrays.to_numpy_ndarrays()
        report |= {
            "survivors": round_.survivors,
            "integers": protected.aggregate.integers.tolist(),
            "model": model.tolist(),
        }
    Path(context.run_config["report"]).write_text(json.dumps(report), encoding="utf-8")
