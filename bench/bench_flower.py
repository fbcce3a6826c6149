"""Time rounds of federated averaging on Flower's own engines, and count their bytes.

Against `plain`, unmodified Flower that protects nothing, a ratio below 1 is the price of
protection; Flower's SecAgg+ has its price too, and is the peer of other rows. Every way trains by
adding a constant, so that all must lead to the same model, and a round is what the strategy makes
of it: training, then evaluation. A run's first round is left out, in which the engine starts and
nodes say who they are; what masking prepares in it for eight rounds counts by an eighth.

An exchange is what goes to all nodes at once and comes back. Bytes are those of the messages as
Flower serialises them, of the median node. Who holds Paillier's key is a sixth node.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from flower_loopback import ENVIRONMENT, Loopback
from harness import Bench, arguments, require_right

from veilsum.integrations.flower.folders import deal

NODES = 5
PASSES = 2  # runs of every way, in turn
AHEAD = 8  # rounds for which masking prepares at once, by default

HERE = Path(__file__).parent
APP = "flower_app"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to average: its modules in the app, the protocol of veilsum, and all its nodes."""

    name: str
    module: str
    protocol: str | None = None
    nodes: int = NODES


PLAIN = Way("plain", "plain")
SECAGGPLUS = Way("SecAgg+", "secaggplus")
MASKING = Way("masking", "masking", protocol="masking")
PAILLIER = Way("paillier", "paillier", protocol="paillier", nodes=NODES + 1)
WAYS = (PLAIN, SECAGGPLUS, MASKING, PAILLIER)


class Round(NamedTuple):
    """What one round took, with its share of what was prepared for it and others."""

    seconds: float
    evaluation: float
    exchanges: float
    sent: float
    received: float


Engine = Callable[[Way, dict[str, Any], Path], None]

PROJECT = """\
[project]
name = "bench"
version = "1.0.0"
description = "Averages {module}"
license = "Apache-2.0"
dependencies = []

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "veilsum"

[tool.flwr.app.components]
serverapp = "flower_app.servers.{module}:app"
clientapp = "flower_app.clients.{module}:app"

[tool.flwr.app.config]
rounds = 2
size = 1000
clients = 5
report = ""
veilsum-folders = ""
"""


def on_superlink(way: Way, config: dict[str, Any], directory: Path) -> None:
    """Run on a SuperLink and SuperNodes of this machine."""
    app = directory / "app"
    shutil.copytree(HERE / APP, app / APP, ignore=shutil.ignore_patterns("__pycache__"))
    (app / "pyproject.toml").write_text(PROJECT.format(module=way.module), encoding="utf-8")
    with Loopback(directory / "loop", nodes=way.nodes) as loopback:
        loopback.run(app, config, timeout=120.0 * config["rounds"])


def on_simulation(way: Way, config: dict[str, Any], _: Path) -> None:
    """Run on the simulation engine, with as many workers as there are cores."""
    from flwr.serverapp import ServerApp
    from flwr.simulation import run_simulation

    logging.getLogger("flwr").setLevel(logging.ERROR)

    def main(grid: Any, context: Any) -> None:
        configured(app_of("servers", way), config)(grid, context=context)

    server = ServerApp()
    server.main()(main)
    run_simulation(
        server,
        configured(app_of("clients", way), config),
        way.nodes,
        backend_config={"client_resources": {"num_cpus": 1}},
    )


@contextmanager
def running_ray(directory: Path) -> Iterator[None]:
    """Keep Ray for all simulations: Flower starts and ends it with each, which takes longer."""
    ray = importlib.import_module("ray")
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ray.init(_temp_dir=str(directory), log_to_driver=False, runtime_env={"env_vars": path})
    try:
        with patch.object(ray, "shutdown"):
            yield
    finally:
        ray.shutdown()


def configured(app: Any, config: dict[str, Any]) -> Any:
    """Return an app that finds its run configuration: the simulation engine has none."""

    def run(*arguments: Any, context: Any, **others: Any) -> Any:
        # A copy, whose state is the same: Flower refuses to have the configuration changed.
        inner = copy(context)
        inner.run_config = config
        return app(*arguments, context=inner, **others)

    return run


def app_of(side: str, way: Way) -> Any:
    """Return the app of one side."""
    return importlib.import_module(f"{APP}.{side}.{way.module}").app


ENGINES: dict[str, Engine] = {"simulation": on_simulation, "SuperLink": on_superlink}


def rounds_of(engine: Engine, way: Way, *, size: int, rounds: int) -> list[Round]:
    """Run a way for some rounds after the first, and return what each took."""
    if not 1 <= rounds < AHEAD:
        raise ValueError(f"rounds: got {rounds}, expected 1 to {AHEAD - 1}: masking prepares anew")
    with tempfile.TemporaryDirectory(prefix="flower-") as name:
        directory = Path(name)
        report, folders = directory / "report.json", directory / "folders"
        if way.protocol is not None:
            deal(folders, protocol=way.protocol, clients=NODES)
        config = {
            "rounds": 1 + rounds,
            "size": size,
            "clients": NODES,
            "report": str(report),
            "veilsum-folders": str(folders),
        }
        engine(way, config, directory)
        told = json.loads(report.read_text(encoding="utf-8"))
    require_right(f"{way.name}, {engine.__name__}", told["right"])
    return without_first(told["rounds"])


def without_first(told: list[dict[str, Any]]) -> list[Round]:
    """Sum up the rounds after the first, and give each its share of what that prepared."""
    first, *others = told
    more = len(first["exchanges"]) - len(others[0]["exchanges"])
    prepared = first["exchanges"][1:more]  # in the one before, nodes say who they are
    return [round_from(each, prepared) for each in others]


def round_from(told: dict[str, Any], prepared: list[dict[str, Any]]) -> Round:
    """Sum up what the meter counted in a round."""
    exchanges = told["exchanges"]
    shares = [(1.0, each) for each in exchanges] + [(1 / AHEAD, each) for each in prepared]
    return Round(
        seconds=told["seconds"] + sum(each["seconds"] for each in prepared) / AHEAD,
        evaluation=sum(each["seconds"] for each in exchanges if each["kind"] == "evaluate"),
        exchanges=sum(share for share, _ in shares),
        sent=median_node((share, each["up"]) for share, each in shares),
        received=median_node((share, each["down"]) for share, each in shares),
    )


def median_node(counts: Iterable[tuple[float, dict[str, int]]]) -> float:
    """Return the bytes of the node in the middle, over all exchanges."""
    total: dict[str, float] = {}
    for share, count in counts:
        for node, number in count.items():
            total[node] = total.get(node, 0.0) + share * number
    return statistics.median(total.values())


FIGURES: dict[str, tuple[str, Callable[[Round], float]]] = {
    "a round": ("s", lambda each: each.seconds),
    "a round without evaluation": ("s", lambda each: each.seconds - each.evaluation),
    "exchanges a round": ("", lambda each: each.exchanges),
    "an exchange": ("s", lambda each: each.seconds / each.exchanges),
    "a node sends a round": ("bytes", lambda each: each.sent),
    "a node receives a round": ("bytes", lambda each: each.received),
}
PAIRS = (
    (SECAGGPLUS, PLAIN),
    (MASKING, PLAIN),
    (PAILLIER, PLAIN),
    (MASKING, SECAGGPLUS),
    (PAILLIER, SECAGGPLUS),
)


def bench_engine(bench: Bench, name: str, *, size: int, passes: int, rounds: int) -> None:
    """Run all ways in turn, and weigh them against each other."""
    taken: dict[Way, list[Round]] = {way: [] for way in WAYS}
    for _ in range(passes):
        for way in WAYS:
            taken[way] += rounds_of(ENGINES[name], way, size=size, rounds=rounds)
            print(f"{name}, {way.name}: {taken[way][-1]}", file=sys.stderr, flush=True)
    for ours, theirs in PAIRS:
        for what, (unit, figure) in FIGURES.items():
            bench.record(
                f"{ours.name}: {what}, {name}, {NODES} nodes x {size}",
                unit,
                statistics.median(map(figure, taken[ours])),
                theirs.name,
                statistics.median(map(figure, taken[theirs])),
                verified=True,
            )


def main() -> None:
    """Run the bench."""
    given = arguments(__doc__)
    if find_spec("flwr") is None or find_spec("ray") is None:
        raise SystemExit("bench_flower.py needs Flower: pip install 'flwr[simulation]>=1.39'")
    bench = Bench(given, peers=("flwr", "ray"))
    with tempfile.TemporaryDirectory(prefix="flower-") as home:
        # Flower reads these when it is imported.
        os.environ.update(ENVIRONMENT, FLWR_HOME=home, RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
        size, passes, rounds = 1_000_000, PASSES, -(-given.repetitions // PASSES)
        if bench.quick:
            size, passes, rounds = 1_000, 1, 1
        with running_ray(Path(home) / "ray"):
            bench_engine(bench, "simulation", size=size, passes=passes, rounds=rounds)
        if not bench.quick:
            bench_engine(bench, "SuperLink", size=size, passes=passes, rounds=rounds)
    bench.finish()


if __name__ == "__main__":
    main()
