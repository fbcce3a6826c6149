"""Reports: one HTML page that needs nothing from outside itself, beside its data and its plots."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from veilsum.experiments.grid import Grid
from veilsum.experiments.options import Progress, quiet
from veilsum.experiments.output import DATA, REPORT
from veilsum.experiments.verdict import Verdict

__all__ = ["Section", "render", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A figure, how to read it, its numbers, and the claims that it decides.

    Where `missing` says why there is no figure, it stands in its place.
    """

    name: str
    title: str
    reading: str
    image: bytes
    grid: Grid | None = None
    verdicts: tuple[Verdict, ...] = ()
    missing: str = ""

    @property
    def source(self) -> str:
        """The image as the source of an ``img``."""
        return f"data:image/png;base64,{b64encode(self.image).decode()}"


def render(template: str, **values: Any) -> str:
    """Fill in a template of this package, in which names from data cannot become markup.

    Parameters
    ----------
    template : str
        A file of ``templates`` that extends ``page.html.j2``.
    **values
        What it asks for; `environment` and `schema` always.
    """
    shelf = Environment(
        loader=PackageLoader("veilsum.experiments"), autoescape=True, undefined=StrictUndefined
    )
    return shelf.get_template(template).render(**values)


def write(
    folder: Path,
    *,
    document: str,
    images: Collection[str],
    draw: Callable[[str, Path], None],
    render: Callable[[dict[str, bytes]], str],
    progress: Progress = quiet,
) -> None:
    """Write the data, all plots and the page that shows them into a directory.

    Parameters
    ----------
    folder : Path
        An empty directory.
    document : str
        The content of ``results.json``.
    images : collection of str
        Names of the plots' files.
    draw : callable
        Called as ``draw(name, path)``; draws one of them.
    render : callable
        Makes the page of the plots' PNGs by their names.
    progress : callable
        Called as ``progress("Plots", done, total)``.

    Raises
    ------
    OSError
        When a file cannot be written.
    """
    (folder / DATA).write_text(document, encoding="utf-8")
    drawn = {}
    for done, name in enumerate(images, 1):
        draw(name, folder / name)
        drawn[name] = (folder / name).read_bytes()
        progress("Plots", done, len(images))
    (folder / REPORT).write_text(render(drawn), encoding="utf-8")
