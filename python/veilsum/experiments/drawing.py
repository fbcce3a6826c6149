"""How figures look: style, colours, panels, and curves with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

__all__ = [
    "COLOURS",
    "FAINT",
    "INK",
    "LABELS",
    "PROTOCOL_COLOURS",
    "STYLE",
    "band",
    "blank",
    "entitle",
    "panels",
    "save",
    "share_y",
]

LABELS = {
    "plain": "Plain",
    "paillier": "Paillier",
    "sharing": "Sharing",
    "masking": "Masking",
    "threshold_paillier": "Threshold Paillier",
}

COLOURS = ("#34558b", "#c8374f", "#16756f", "#e2a03f")
INK, FAINT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"
PROTOCOL_COLOURS = {
    "plain": "#8a94a6",
    "paillier": "#c8374f",
    "sharing": "#16756f",
    "masking": "#34558b",
    "threshold_paillier": "#e2a03f",
}
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": _GRID,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


def save(make: Callable[[], Figure], path: Path) -> None:
    """Draw a figure in the style of all reports and write it as a PNG.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    with rc_context(STYLE):
        make().savefig(path, dpi=150, facecolor="white")


def panels(mosaic: str, height: float) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure as wide as a page, and its panels by the letters of a mosaic."""
    figure = blank(height)
    axes: dict[str, Axes] = figure.subplot_mosaic(mosaic)
    return figure, axes


def blank(height: float) -> Figure:
    """Return a figure as wide as a page, without panels."""
    engine = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03, hspace=0.04)
    return Figure(figsize=(7.4, height), layout=engine)


def band(
    axes: Axes,
    x: Sequence[float],
    intervals: Sequence[tuple[float, float, float]],
    *,
    color: str,
    label: str,
) -> None:
    """Draw a curve of means inside the band of their intervals: (mean, low, high) at each `x`."""
    means, lows, highs = zip(*intervals, strict=True)
    axes.fill_between(x, lows, highs, color=color, alpha=0.18, linewidth=0)
    axes.plot(x, means, color=color, marker="o", markersize=4, linewidth=2, label=label)


def entitle(axes: Axes, title: str, x_label: str, y_label: str, *, whole: bool = True) -> None:
    """Name a panel and its axes; unless told otherwise, the horizontal one counts."""
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=whole, nbins=8, min_n_ticks=1))


def share_y(left: Axes, right: Axes) -> None:
    """Give two panels beside each other one vertical axis."""
    lows, highs = zip(left.get_ylim(), right.get_ylim(), strict=True)
    for axes in (left, right):
        axes.set_ylim(min(lows), max(highs))
    right.tick_params(labelleft=False, which="both")
    right.set_ylabel("")
