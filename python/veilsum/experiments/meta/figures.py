"""The plots of `veilsum meta`, drawn from measured results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from veilsum.experiments.drawing import (
    FAINT,
    INK,
    LABELS,
    PROTOCOL_COLOURS,
    band,
    entitle,
    panels,
    save,
)
from veilsum.experiments.grid import shown
from veilsum.experiments.meta.results import CENTRALISED, FEDERATED, UNTRAINED, Results
from veilsum.experiments.results import FLOAT32_BYTES

__all__ = ["CALIBRATION", "CURVES", "FIGURES", "PROTECTION", "draw", "missing"]

CURVES, PROTECTION, CALIBRATION = "learning.png", "protection.png", "calibration.png"
_COLOURS = {FEDERATED: "#34558b", CENTRALISED: "#e2a03f", UNTRAINED: "#8a94a6"}
_PARTS = {"training": "#cbd5e1", "client": "#34558b", "others": "#e2a03f"}


def missing(name: str, results: Results) -> str:
    """Return why a figure cannot be drawn, as one line, or an empty string when it can."""
    if name == CALIBRATION and not any(one.reliability for one in results.evaluations):
        return (
            "not measured: this learner promises no uncertainty; --algorithm bayesian does, and "
            "every classification"
        )
    return ""


def draw(name: str, results: Results, path: Path) -> None:
    """Draw one of `FIGURES` and write it as a PNG.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    save(lambda: FIGURES[name](results), path)


def _curves(results: Results) -> Figure:
    figure, axes = panels("A", 3.9)
    entitle(axes["A"], "On tasks that nobody trained on", "Round", results.merit)
    for curve in results.curves:
        band(
            axes["A"],
            [point.round for point in curve.points],
            [(point.score.mean, point.score.low, point.score.high) for point in curve.points],
            color=_COLOURS[curve.model],
            label=curve.model,
        )
    untrained = results.curve(FEDERATED).points[0]
    axes["A"].axhline(
        untrained.score.mean, color=INK, linestyle=":", linewidth=1.2, label=UNTRAINED
    )
    _scale(axes["A"], results.merit)
    axes["A"].legend()
    return figure


def _scale(axes: Axes, merit: str) -> None:
    if merit == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
    else:
        axes.set_ylim(bottom=0)


def _protection(results: Results) -> Figure:
    figure, axes = panels("AB", 0.55 * len(results.bills) + 2.0)
    names = [LABELS[bill.protocol] for bill in results.bills]
    places = range(len(names))
    entitle(axes["A"], "Milliseconds of a round", "Milliseconds", "")
    axes["A"].xaxis.set_major_locator(MaxNLocator(nbins=4))
    left = [0.0] * len(names)
    for part, widths in _milliseconds(results).items():
        axes["A"].barh(places, widths, left=left, height=0.6, color=_PARTS[part], label=part)
        left = [one + more for one, more in zip(left, widths, strict=True)]
    axes["A"].set_xlim(0, 1.15 * max(left))
    entitle(axes["B"], "Bytes that a client sends", "Bytes a round", "")
    sent = [bill.sent for bill in results.bills]
    colours = [PROTOCOL_COLOURS[bill.protocol] for bill in results.bills]
    float32 = FLOAT32_BYTES * results.parameters
    axes["B"].barh(places, sent, height=0.6, color=colours)
    axes["B"].set_xscale("log")
    axes["B"].xaxis.set_minor_formatter(NullFormatter())
    axes["B"].set_xlim(float32 / 2, 2.5 * max([*sent, float32]))
    axes["B"].axvline(float32, color=INK, linestyle=":", linewidth=1.2)
    words = [f"{count:,.0f} B\n({shown(count / float32)}×)" for count in sent]
    for name, labels in (("A", names), ("B", words)):
        axes[name].set_yticks(places, labels)
        axes[name].invert_yaxis()
        axes[name].grid(visible=False, axis="y")
    figure.legend(*axes["A"].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _milliseconds(results: Results) -> dict[str, list[float]]:
    """Return typical milliseconds of a round's parts, protocol by protocol."""
    training = results.curve(FEDERATED).typical
    return {
        "training": [1e3 * training] * len(results.bills),
        "client": [1e3 * bill.client for bill in results.bills],
        "others": [1e3 * bill.server for bill in results.bills],
    }


def _calibration(results: Results) -> Figure:
    figure, axes = panels("A", 4.4)
    classes = results.merit == "accuracy"
    entitle(
        axes["A"],
        "What is promised, and what is kept",
        "Mean confidence" if classes else "Chance promised",
        "Accuracy" if classes else "Targets within",
        whole=False,
    )
    axes["A"].plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1.2)
    for one in results.evaluations:
        if one.reliability:
            axes["A"].plot(
                one.reliability.expected,
                one.reliability.observed,
                color=_COLOURS[one.model],
                marker="o",
                label=f"{one.model} (error {one.reliability.error:.3f})",
            )
    axes["A"].set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes["A"].xaxis, axes["A"].yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes["A"].legend()
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    CURVES: _curves,
    PROTECTION: _protection,
    CALIBRATION: _calibration,
}
