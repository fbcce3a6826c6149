"""A real Flower federation on this machine: a SuperLink and SuperNodes as processes of their own.

Everything they write lies in one directory, and nothing of them outlives the `with` statement.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

HOST = "127.0.0.1"
LOG_TAIL = 2_000  # characters of a log that an error shows
POLL = 0.05
PATIENCE = 60.0  # seconds for a part of the federation to start or to end

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Logs are read while their processes still write them.
    "PYTHONUNBUFFERED": "1",
}


class LoopbackError(RuntimeError):
    """A part of the federation failed or took too long; the message ends with its log."""


class Loopback:
    """One SuperLink and its SuperNodes, which are told their number as `partition-id`.

    Parameters
    ----------
    directory
        Where Flower keeps its files, apps run, and logs go.
    nodes
        How many SuperNodes to start.
    environment
        What the processes find in their environment beside what is in ours.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 5,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self._home = self.directory / "home"
        self._first = range(nodes)
        programs = str(Path(sys.executable).parent)
        self._environment = {
            **os.environ,
            **ENVIRONMENT,
            **(environment or {}),
            "FLWR_HOME": str(self._home),
            "TMPDIR": str(self._home),
            "PATH": os.pathsep.join((programs, os.environ.get("PATH", os.defpath))),
        }
        (self._port,) = free_ports(1)
        self._link: subprocess.Popen[bytes] | None = None
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Loopback:
        self._home.mkdir(parents=True)
        (self._home / "config.toml").write_text(
            '[superlink]\ndefault = "loop"\n\n[superlink.loop]\n'
            f'address = "{HOST}:{self._port}"\ninsecure = true\n',
            encoding="utf-8",
        )
        with ExitStack() as stack:
            stack.callback(self._end)
            self._start_link()
            self.start(*self._first)
            stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def running(self) -> set[int]:
        """The numbers of the SuperNodes that run."""
        return {*self._nodes}

    def log(self, name: str) -> Path:
        """Return the log of "superlink", "node-<number>" or "run"."""
        return self.directory / f"{name}.log"

    def run(
        self,
        app: Path,
        run_config: Mapping[str, object] | None = None,
        *,
        timeout: float = 300.0,
        when: Callable[[], object] = lambda: False,
        then: Callable[[], object] = lambda: None,
    ) -> str:
        """Run an app until it ends, and return what it said; `when` something is so, `then` act."""
        command = ["flwr", "run", str(app.absolute()), "loop", "--stream"]
        if run_config:
            command += ["--run-config", as_toml(run_config)]
        deadline = time.monotonic() + timeout
        process = self._spawn("run", command)
        try:
            while process.poll() is None and not when() and time.monotonic() < deadline:
                time.sleep(POLL)
            if process.poll() is None:
                then()
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._error("run", f"the app ran for longer than {timeout:g} s") from None
        finally:
            kill(process)
        if status != 0:
            raise self._error("run", f"`flwr run` ended with exit status {status}")
        return self.log("run").read_text(encoding="utf-8", errors="replace")

    def kill(self, node: int) -> None:
        """End a SuperNode and all its processes without a warning (SIGKILL)."""
        kill(self._nodes.pop(node))

    def start(self, *nodes: int) -> None:
        """Start SuperNodes that do not run; one that was killed gets a new node id from Flower."""
        for node, port in zip(nodes, free_ports(len(nodes)), strict=True):
            self._nodes[node] = self._spawn_node(node, port)
        for node in nodes:
            self._await_node(node)

    def _start_link(self) -> None:
        self._link = self._spawn(
            "superlink",
            [
                "flower-superlink",
                *("--insecure", "--host", HOST, "--port", str(self._port)),
                "--disable-runtime-dependency-installation",
            ],
        )
        self._wait("superlink", self._link, lambda: accepts(self._port))

    def _spawn_node(self, node: int, port: int) -> subprocess.Popen[bytes]:
        return self._spawn(
            f"node-{node}",
            [
                "flower-supernode",
                *("--insecure", "--superlink", f"{HOST}:{self._port}"),
                *("--host", HOST, "--port", str(port)),
                *("--node-config", as_toml({"partition-id": node})),
            ],
        )

    def _await_node(self, node: int) -> None:
        name = f"node-{node}"
        # A SuperNode says its id once the SuperLink has activated it.
        self._wait(name, self._nodes[node], lambda: "SuperNode ID" in self._tail(name))

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name(command[0])
        if not program.exists():
            raise LoopbackError(f"there is no {program}: install flwr where this Python is")
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                [str(program), *command[1:]],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        try:
            wait_until(lambda: ready() or process.poll() is not None, timeout=PATIENCE)
        except TimeoutError:
            raise self._error(name, f"not ready after {PATIENCE:g} s") from None
        if process.poll() is not None:
            raise self._error(name, f"ended with exit status {process.returncode}")

    def _tail(self, name: str) -> str:
        return self.log(name).read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]

    def _error(self, name: str, what: str) -> LoopbackError:
        return LoopbackError(f"{name}: {what}; {self.log(name)} ends with\n{self._tail(name)}")

    def _end(self) -> None:
        for process in (*self._nodes.values(), *filter(None, [self._link])):
            kill(process)
        self._nodes.clear()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def accepts(port: int) -> bool:
    """Return whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def as_toml(values: Mapping[str, object]) -> str:
    """Return settings as Flower's command line takes them."""
    # TOML writes numbers, truths and short texts as JSON does.
    return " ".join(f"{key}={json.dumps(value)}" for key, value in values.items())


def wait_until(done: Callable[[], object], *, timeout: float) -> None:
    """Return once `done` says so, or raise TimeoutError."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {timeout:g} s")
        time.sleep(POLL)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with its descendants and their groups, and wait for it."""
    groups = {process.pid} | groups_below(process.pid)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    wait_until(lambda: not alive(groups), timeout=PATIENCE)


class Task(NamedTuple):
    """A process of this machine."""

    pid: int
    parent: int
    group: int


def tasks() -> list[Task]:
    """List all processes that are not zombies."""
    every = listed_by_proc() if Path("/proc/self/stat").exists() else listed_by_ps()
    return [
        Task(int(pid), int(parent), int(group))
        for pid, state, parent, group in every
        if not state.startswith("Z")
    ]


def listed_by_proc() -> Iterator[list[str]]:
    """Yield id, state, parent and group of all processes, where the system has them as files."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name of the program, which stands in parentheses, may hold anything.
            head, _, rest = file.read_text(errors="replace").rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        yield [head.split()[0], *rest.split()[:3]]


def listed_by_ps() -> Iterator[list[str]]:
    """Yield the same, where a program tells it."""
    command = ["ps", "-A", "-o", "pid=,stat=,ppid=,pgid="]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    yield from (line.split() for line in listing.splitlines())


def groups_below(pid: int) -> set[int]:
    """Return the process groups of all descendants: Flower starts some in groups of their own."""
    every = tasks()
    below, found = {pid}, {pid}
    while found:
        found = {task.pid for task in every if task.parent in found} - below
        below |= found
    return {task.group for task in every if task.pid in below - {pid}}


def alive(groups: Iterable[int]) -> bool:
    """Return whether a process of these groups still runs."""
    wanted = frozenset(groups)
    return any(task.group in wanted for task in tasks())
