"""veilsum on Flower's SuperLink and SuperNodes: processes, sockets, and one that is killed.

What needs no processes is in tests/unit/test_flower.py.
"""

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs Flower: pip install 'veilsum[flower]'")

from flower_loopback import Loopback

from veilsum import protocols
from veilsum.integrations.flower.folders import deal

pytestmark = pytest.mark.integration

APP = Path(__file__).parent / "app"
TRAINING = runpy.run_path(str(APP / "veilsum_check" / "training.py"))
CLIENTS, MEAN, MODEL = (TRAINING[name] for name in ("CLIENTS", "MEAN", "MODEL"))
KEY_HOLDER = CLIENTS  # the number of its node
KEY_BITS = 2048
RUN_SECONDS = 150.0


class Federation(NamedTuple):
    """A running federation, its home directory, and what lay in ours when it was started."""

    loopback: Loopback
    home: Path
    around: set[Path]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    home, around = tmp_path_factory.mktemp("home"), {*Path.cwd().iterdir()}
    environment = {"HOME": str(home), "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}
    directory = tmp_path_factory.mktemp("federation")
    with Loopback(directory, nodes=CLIENTS, environment=environment) as loopback:
        yield Federation(loopback, home, around)


def run(
    loopback: Loopback,
    protocol: str,
    folder: Path,
    *,
    when: Callable[[], object],
    then: Callable[[], object],
    **more: Any,
) -> dict[str, Any]:
    """Run a round, and return what the server tells."""
    deal(folder / "keys", protocol=protocol, clients=CLIENTS, key_bits=KEY_BITS)
    report = folder / "report.json"
    config = {
        "protocol": protocol,
        "report": str(report),
        "veilsum-folders": str(folder / "keys"),
        **more,
    }
    loopback.run(APP, config, timeout=RUN_SECONDS, when=when, then=then)
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return told


def require_exact(told: dict[str, Any], protocol: str, survivors: list[int]) -> None:
    """Check the sum, and the model that came of it, against the same round in this process."""
    contributions = {
        client: MEAN.encode(
            TRAINING["trained"](client).astype(np.float64) - MODEL, TRAINING["weight"](client)
        )
        for client in survivors
    }
    options = {"key_bits": KEY_BITS} if protocol == "paillier" else {}
    expected = protocols.aggregate(contributions, protocol=protocol, encoding=MEAN.whole, **options)
    step, _ = MEAN.decode(expected)
    assert told["failure"] is None
    assert told["survivors"] == survivors
    assert told["integers"] == expected.integers.tolist()
    np.testing.assert_array_equal(told["model"], (MODEL + step).astype(np.float32))


def test_masking_sums_exactly_the_survivors_when_a_node_is_killed_in_training(
    federation: Federation, tmp_path: Path
) -> None:
    loopback, victim, started = federation.loopback, 1, tmp_path / "started"

    told = run(
        loopback,
        "masking",
        tmp_path,
        when=started.exists,
        then=lambda: loopback.kill(victim),
        victim=victim,
        started=str(started),
    )
    require_exact(told, "masking", [client for client in range(CLIENTS) if client != victim])


def test_paillier_sums_exactly_a_node_too_that_is_killed_after_it_has_answered(
    federation: Federation, tmp_path: Path
) -> None:
    loopback, victim = federation.loopback, 2
    loopback.start(*{*range(CLIENTS), KEY_HOLDER} - loopback.running)
    before = answers(loopback, victim)

    told = run(
        loopback,
        "paillier",
        tmp_path,
        # It answers twice: who it is, and its update.
        when=lambda: answers(loopback, victim) == before + 2,
        then=lambda: loopback.kill(victim),
    )
    require_exact(told, "paillier", [*range(CLIENTS)])


def answers(loopback: Loopback, node: int) -> int:
    """Return how many messages a SuperNode has answered."""
    return loopback.log(f"node-{node}").read_text(encoding="utf-8").count("Sent successfully")


def test_nothing_is_written_outside_the_federations_directory(federation: Federation) -> None:
    assert not any(federation.home.iterdir())
    assert {*Path.cwd().iterdir()} == federation.around
