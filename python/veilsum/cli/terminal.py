"""What commands show: bars while they work, and tables at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

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
from rich.text import Text

from veilsum.cli.endings import stop_unwritable
from veilsum.experiments.grid import Grid

__all__ = ["Bars", "console", "print_tables", "progress"]

PIPE_WIDTH = 110


class Bars:
    """One bar for each kind of work, made when the work begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, work: str, done: int, total: int) -> None:
        """Move the bar of this work."""
        if work not in self._tasks:
            self._tasks[work] = self._progress.add_task(work, total=total)
        self._progress.update(self._tasks[work], completed=done)


@contextmanager
def progress() -> Iterator[Bars]:
    """Show bars on standard error while work goes on, on a terminal only."""
    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as display:
        yield Bars(display)


def print_tables(tables: Iterator[tuple[str, Grid]], last: str) -> None:
    """Print titled tables that fit the terminal, and a last line."""
    try:
        screen = console()
        for title, grid in tables:
            screen.print(_fitting(screen, title, grid))
            screen.print()
        screen.print(last, soft_wrap=True, markup=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        stop_unwritable(error, f"; {last[0].lower()}{last[1:]}")


def _fitting(screen: Console, title: str, grid: Grid) -> Table:
    """Lay a grid out by rows, or by columns where its rows are too long for the terminal."""
    table = _table(title, grid.head, grid.rows, grid.numbers)
    if _width(screen, table) <= screen.width:
        return table
    head, *rows = zip(grid.head, *grid.rows, strict=True)
    turned = _table(title, head, rows, frozenset(range(1, len(head))))
    return min(table, turned, key=lambda layout: _width(screen, layout))


def _table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: frozenset[int],
) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for place, name in enumerate(head):
        justify: Literal["left", "right"] = "right" if place in numbers else "left"
        table.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _width(screen: Console, table: Table) -> int:
    return screen.measure(table, options=screen.options.update(max_width=10_000)).maximum


def console() -> Console:
    """Return standard output, of a fixed width in a pipe."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PIPE_WIDTH)
