"""The commands: options become objects, errors become messages and exit codes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from veilsum import __version__
from veilsum.errors import InsecureKeyWarning, VeilsumError
from veilsum.experiments import compare as comparison
from veilsum.experiments import report
from veilsum.experiments.lab import Problem
from veilsum.experiments.results import PROTOCOLS, Results, Settings
from veilsum.field import kernel_info
from veilsum.learning import datasets

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_DEFAULTS = Settings()
_PIPE_WIDTH = 110
_DATASETS = ", ".join(datasets.names())

app = typer.Typer(
    help="Sum what nobody may see: compare protections of federated learning on your data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Protocol(StrEnum):
    """A protocol by its name on the command line."""

    PLAIN = "plain"
    PAILLIER = "paillier"
    SHARING = "sharing"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"veilsum {__version__}")
        raise typer.Exit


@app.callback()
def _veilsum(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    pass


@app.command()
def cpu() -> None:
    """Say which kernel runs on this processor, and why."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in kernel_info().items():
        table.add_row(name, ", ".join(value) if isinstance(value, list) else str(value))
    _console().print(table)


@app.command()
def compare(
    dataset: Annotated[
        str,
        typer.Option(metavar="NAME|CSV", help=f"{_DATASETS}; or a CSV file, with --target."),
    ] = _DEFAULTS.dataset,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the CSV file to predict.")
    ] = None,
    protocol: Annotated[
        list[Protocol] | None,
        typer.Option(help="Protocol to run; give it again for more.", show_default="all three"),
    ] = None,
    clients: Annotated[
        int, typer.Option(help="Clients of the large federation; the small one has 2.")
    ] = _DEFAULTS.clients,
    key_bits: Annotated[
        int, typer.Option(help="Paillier modulus: 2048 or 3072 (1024 is insecure and warns).")
    ] = _DEFAULTS.key_bits,
    threshold: Annotated[
        int | None,
        typer.Option(help="Shares that open a sum.", show_default="a majority of the clients"),
    ] = None,
    malicious: Annotated[
        int | None,
        typer.Option(help="Most malicious clients tried.", show_default="the largest minority"),
    ] = None,
    iterations: Annotated[
        int, typer.Option(help="Federated rounds of a run.")
    ] = _DEFAULTS.iterations,
    precision: Annotated[
        int, typer.Option(help="Decimal digits kept of a coefficient (the paper's is 3).")
    ] = _DEFAULTS.precision,
    features: Annotated[
        int, typer.Option(help="Random Fourier features in place of the columns; 0 keeps them.")
    ] = _DEFAULTS.features,
    seed: Annotated[
        int, typer.Option(help="Seed of splits, batches and attacks, never of a secret.")
    ] = _DEFAULTS.seed,
    seeds: Annotated[
        int, typer.Option(help="Repetitions where runs are compared with each other.")
    ] = _DEFAULTS.seeds,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the C++ core.", show_default="all cores")
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory for the report, plots and data.")
    ] = Path("veilsum-compare"),
) -> None:
    """Train a linear model under each protection and compare error, seconds, bytes and attacks.

    Prints a table and writes report.html, results.json and a plot for each of Figures 6 to 14 of
    the paper to the output directory, all at the end or not at all.
    """
    with _usage_errors():
        settings = Settings(
            dataset=dataset,
            target=target,
            protocols=tuple(map(str, protocol or PROTOCOLS)),
            clients=clients,
            key_bits=key_bits,
            threshold=threshold,
            malicious=malicious,
            iterations=iterations,
            precision=precision,
            seed=seed,
            seeds=seeds,
            threads=threads,
            features=features,
        )
        report.check_output(output)
        problem = comparison.prepare(settings)
    with _failures(), warnings.catch_warnings():
        if settings.insecure:
            _say(f"warning: {key_bits}-bit Paillier keys are insecure; only try things out so")
            warnings.simplefilter("ignore", InsecureKeyWarning)
        results = _measure(problem, output)
    _print(results, output)


def _measure(problem: Problem, output: Path) -> Results:
    with _progress() as bars:
        results = comparison.run(problem, progress=bars)
        report.write(results, output, progress=bars)
    return results


class _Bars:
    """One bar for each kind of work, made when the work begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, work: str, done: int, total: int) -> None:
        if work not in self._tasks:
            self._tasks[work] = self._progress.add_task(work, total=total)
        self._progress.update(self._tasks[work], completed=done)


@contextmanager
def _progress() -> Iterator[_Bars]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield _Bars(progress)


def _print(results: Results, output: Path) -> None:
    console = _console()
    for title, grid in report.summary(results):
        table = Table(title=title, title_justify="left", title_style="bold")
        for place, name in enumerate(grid.head):
            table.add_column(name, justify="right" if place in grid.numbers else "left")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    console.print(f"The report: {output / report.REPORT}", soft_wrap=True, markup=False)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        _stop(str(error), USAGE)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (VeilsumError, OSError) as error:
        _stop(str(error), FAILED)
    except KeyboardInterrupt:
        _stop("interrupted; nothing was written", INTERRUPTED)


def _stop(message: str, code: int) -> NoReturn:
    _say(f"error: {message}")
    raise typer.Exit(code)


def _say(message: str) -> None:
    typer.echo(f"veilsum: {message}", err=True)
