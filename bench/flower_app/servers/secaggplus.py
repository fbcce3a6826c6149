"""A server of Flower's SecAgg+, whose workflow knows only the older API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_PARAMS_RECORD
from flwr.serverapp import Grid, ServerApp

from flower_app.meter import Meter
from flower_app.training import initial_model, is_right

CLIPPING_RANGE = 8.0
QUANTISATION_RANGE = 2**22
STEP = 2 * CLIPPING_RANGE / QUANTISATION_RANGE


def main(grid: Grid, context: Context) -> None:
    """Average, every client a neighbour of all others, three of five shares restoring a key."""
    config: Any = context.run_config
    rounds, clients = config["rounds"], config["clients"]
    meter: Any = Meter(grid)
    strategy = FedAvg(
        min_fit_clients=clients,
        min_evaluate_clients=clients,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters([initial_model(config["size"])]),
    )
    legacy = LegacyContext(context, config=ServerConfig(num_rounds=rounds), strategy=strategy)
    secure = SecAggPlusWorkflow(
        clients,
        clients // 2 + 1,
        max_weight=1.0,
        clipping_range=CLIPPING_RANGE,
        quantization_range=QUANTISATION_RANGE,
    )
    DefaultWorkflow(fit_workflow=secure)(meter, legacy)
    arrays = legacy.state.array_records[MAIN_PARAMS_RECORD]
    (model,) = parameters_to_ndarrays(arrayrecord_to_parameters(arrays, keep_input=True))
    right = is_right(model, clients=clients, rounds=rounds, tolerance=STEP)
    meter.write(Path(config["report"]), right=right)


app = ServerApp()
app.main()(main)
