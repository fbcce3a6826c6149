"""What every bench shares: answers are verified first, then both sides are timed in turn.

A ratio is always theirs / ours, so above 1 veilsum is faster (or smaller).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

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
    """One way to do some work, whether its answer is right, and how many items a call handles."""

    name: str
    run: Callable[[], Answer]
    verify: Callable[[Answer], bool]
    items: int = 1

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
        self._rows: list[tuple[Row, str]] = []

    def time(self, work: str, ours: Side[Any], theirs: Side[Any], *, unit: str = "us") -> None:
        """Verify what both sides answer, then time them in turn and add a row."""
        ours.require_right(work)
        theirs.require_right(work)
        mine, others = interleaved(ours, theirs, self._repetitions)
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
        print(table(self._rows))
        if self._json is not None:
            rows = [asdict(row) for row, _ in self._rows]
            document = {"environment": environment, "rows": rows}
            self._json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def _add(
        self, work: str, unit: str, ours: float, peer: str, theirs: float, spread: str
    ) -> None:
        row = Row(work, unit, ours, peer, theirs, theirs / ours, verified=True)
        self._rows.append((row, spread))
        print(f"{work}: {row.ratio:.3g} x {peer}", file=sys.stderr, flush=True)


def require_right(work: str, right: bool) -> None:
    """Stop the bench unless `right`."""
    if not right:
        raise SystemExit(f"{work}: the answers are wrong, nothing was timed")


def interleaved(ours: Side[Any], theirs: Side[Any], repetitions: int) -> tuple[Timing, Timing]:
    """Time both sides in turn, so that a slow spell of the machine hits both."""
    calls = [
        max(1, round(LEAST_SECONDS / (seconds(side, 1) * side.items))) for side in (ours, theirs)
    ]
    pairs = [(seconds(ours, calls[0]), seconds(theirs, calls[1])) for _ in range(repetitions)]
    mine, others = zip(*pairs, strict=True)
    return Timing(mine), Timing(others)


def seconds(side: Side[Any], calls: int) -> float:
    """Time some calls of a side, and return the seconds an item."""
    start = time.perf_counter()
    for _ in range(calls):
        side.run()
    return (time.perf_counter() - start) / (calls * side.items)


def describe_environment(*, threads: int, peers: Iterable[str]) -> dict[str, str]:
    """Describe the machine, the kernel and the versions behind the figures."""
    kernel = field.kernel_info()
    record = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": processor_name(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "kernel": f"{kernel['name']} ({kernel['reason']})",
        "threads": str(threads),
    }
    return record | {name: importlib.metadata.version(name) for name in (*DEPENDENCIES, *peers)}


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
