"""What every bench shares: answers are verified first, then both sides are timed in turn.

A ratio is always theirs / ours, so above 1 veilsum is faster (or smaller).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from unittest.mock import patch

from veilsum import field

Answer = TypeVar("Answer")

# Shorter timings would measure the clock.
LEAST_SECONDS = 0.005

DEPENDENCIES = ("veilsum", "numpy", "gmpy2", "cryptography")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result, in the schema of the JSON file."""

    work: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side(Generic[Answer]):
    """One way to do some work, whether its answer is right, and how many items a call handles.

    A side that uses something up says how many `calls` a repetition makes; else the clock decides.
    The clock may be `time.process_time`: the processor's seconds, those of all threads together.
    """

    name: str
    run: Callable[[], Answer]
    verify: Callable[[Answer], bool]
    items: int = 1
    calls: int | None = None
    clock: Callable[[], float] = time.perf_counter

    def require_right(self, work: str) -> None:
        """Stop the bench where the answer is wrong: the time of a wrong answer means nothing."""
        require_right(f"{work}, {self.name}", self.verify(self.run()))


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds an item of every repetition."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle repetition."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance from the fastest to the slowest repetition, relative to the median."""
        return (max(self.seconds) - min(self.seconds)) / 2 / self.median


class Bench:
    """Collects verified rows, prints them as a table and writes them as JSON."""

    def __init__(self, arguments: argparse.Namespace, *, peers: Iterable[str]) -> None:
        self.quick: bool = arguments.quick
        self.threads: int = arguments.threads
        self._repetitions: int = 3 if arguments.quick else arguments.repetitions
        self._json: Path | None = arguments.json
        self._peers = tuple(peers)
        self.rows: list[tuple[Row, str]] = []

    @property
    def runs(self) -> int:
        """How often `time` runs a side whose `calls` is 1."""
        return 2 + self._repetitions

    def time(
        self,
        work: str,
        ours: Side[Any],
        theirs: Side[Any],
        *,
        unit: str = "us",
        most: int | None = None,
    ) -> None:
        """Verify what both sides answer, then time them in turn and add a row.

        What takes minutes says how many repetitions it makes at `most`.
        """
        ours.require_right(work)
        theirs.require_right(work)
        mine, others = interleaved(ours, theirs, min(self._repetitions, most or self._repetitions))
        factor = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
        spread = f"{mine.spread:.0%}, {others.spread:.0%}"
        self._add(work, unit, mine.median * factor, theirs.name, others.median * factor, spread)

    def record(
        self, work: str, unit: str, ours: float, peer: str, theirs: float, *, verified: bool
    ) -> None:
        """Add a row of figures that need no timing here, such as bytes."""
        require_right(work, verified)
        self._add(work, unit, ours, peer, theirs, "")

    def finish(self) -> None:
        """Print the environment and the table; write the JSON file if one was asked for."""
        environment = describe_environment(threads=self.threads, peers=self._peers)
        print("\n".join(f"{name}: {value}" for name, value in environment.items()), end="\n\n")
        print(table(self.rows))
        if self._json is not None:
            rows = [asdict(row) for row, _ in self.rows]
            document = {"environment": environment, "rows": rows}
            self._json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def _add(
        self, work: str, unit: str, ours: float, peer: str, theirs: float, spread: str
    ) -> None:
        row = Row(work, unit, ours, peer, theirs, theirs / ours, verified=True)
        self.rows.append((row, spread))
        print(f"{work}: {row.ratio:.3g} x {peer}", file=sys.stderr, flush=True)


def require_right(work: str, right: bool) -> None:
    """Stop the bench unless `right`."""
    if not right:
        raise SystemExit(f"{work}: the answers are wrong, nothing was timed")


def interleaved(ours: Side[Any], theirs: Side[Any], repetitions: int) -> tuple[Timing, Timing]:
    """Time both sides in turn, so that a slow spell of the machine hits both."""
    calls = [calls_of(side) for side in (ours, theirs)]
    pairs = [(seconds(ours, calls[0]), seconds(theirs, calls[1])) for _ in range(repetitions)]
    mine, others = zip(*pairs, strict=True)
    return Timing(mine), Timing(others)


def calls_of(side: Side[Any]) -> int:
    """Run a side once, and return how many of its calls the clock can time."""
    once = seconds(side, 1) * side.items
    return side.calls or max(1, round(LEAST_SECONDS / once))


def seconds(side: Side[Any], calls: int) -> float:
    """Time some calls of a side, and return the seconds an item."""
    start = side.clock()
    for _ in range(calls):
        side.run()
    return (side.clock() - start) / (calls * side.items)


# The cores that this process was given, before it confined itself to some of them.
_GIVEN_CORES = os.sched_getaffinity(0) if sys.platform == "linux" else frozenset[int]()


def given_cores() -> int:
    """Return how many cores this process may use."""
    return len(_GIVEN_CORES) or os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Confine this process to as many cores, and with it every library's pool made from now on.

    Where the system has no such call, variables ask the libraries to start as many threads.
    """
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(_GIVEN_CORES)[:count])
    for variable in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = str(count)


def cores() -> str:
    """Say how many cores there are, and how many of them this process uses."""
    confined = sys.platform == "linux" and os.sched_getaffinity(0) != _GIVEN_CORES
    used = f", {len(os.sched_getaffinity(0))} of them used" if confined else ""
    return f"{os.cpu_count()}{used}"


def in_new_process(
    variables: Mapping[str, str], function: Callable[..., Answer], *arguments: Any
) -> Answer:
    """Call a function of a module in a new process, under some environment variables."""
    spawn = multiprocessing.get_context("spawn")
    # It inherits the variables, because a module may read them as soon as it is imported.
    with (
        patch.dict(os.environ, variables),
        ProcessPoolExecutor(max_workers=1, mp_context=spawn) as process,
    ):
        return process.submit(function, *arguments).result()


def peak_memory() -> int:
    """Return the most bytes that this process has held in memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's getrusage would count what the parent held when it made this process.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def describe_environment(*, threads: int, peers: Iterable[str]) -> dict[str, str]:
    """Describe the machine, the kernel and the versions behind the figures."""
    kernel = field.kernel_info()
    record = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": processor_name(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "kernel": f"{kernel['name']} ({kernel['reason']})",
        "threads": str(threads),
    }
    return record | {name: version(name) for name in (*DEPENDENCIES, *peers)}


def version(distribution: str) -> str:
    """Return the version of an installed distribution; a bench goes on without the others."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed, its rows are left out"


def processor_name() -> str:
    """Return the processor's own name where the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(rows: Iterable[tuple[Row, str]]) -> str:
    """Lay rows out as plain text."""
    lines = [["work", "unit", "ours", "peer", "theirs", "ratio", "spread"]]
    for row, spread in rows:
        numbers = (f"{row.ours:.4g}", f"{row.theirs:.4g}", f"{row.ratio:.3g}")
        lines.append([row.work, row.unit, numbers[0], row.peer, *numbers[1:], spread])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def arguments(description: str | None) -> argparse.Namespace:
    """Parse the options that every bench has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, three repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as JSON")
    parser.add_argument("--threads", type=int, default=1, help="threads of veilsum (default: 1)")
    parser.add_argument("--repetitions", type=int, default=7, help="timed runs of each side")
    return parser.parse_args()
