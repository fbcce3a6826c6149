"""One plot for each of Figures 6 to 14 of paper [A], drawn from measured results alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from veilsum.experiments.drawing import (
    FAINT,
    INK,
    LABELS,
    PROTOCOL_COLOURS,
    blank,
    entitle,
    panels,
    save,
    share_y,
)
from veilsum.experiments.grid import shown
from veilsum.experiments.results import (
    ATTACKS,
    CORRECTED,
    FLOAT32_BYTES,
    INTERLEAVED,
    MISSING,
    PARTIES,
    PHASES,
    REFERENCE,
    REFUSED,
    RIGHT,
    UNCHECKED,
    WANDERING,
    WRONG,
    Ensemble,
    Results,
    Run,
    escalating,
    first,
    interval,
    matching,
    median_interval,
    survivals,
)

_LINES: dict[str, dict[str, Any]] = {
    "plain": {"linewidth": 5.0, "alpha": 0.55, "solid_capstyle": "round"},
    "paillier": {"linewidth": 1.8},
    "sharing": {"linewidth": 0, "marker": "o", "markersize": 3.4},
    "masking": {"linewidth": 0, "marker": "+", "markersize": 7.0},
    "threshold_paillier": {"linewidth": 0, "marker": "x", "markersize": 5.0},
}
_CENTRAL: dict[str, Any] = {
    "color": INK,
    "linestyle": ":",
    "linewidth": 1.2,
    "label": "least squares, all rows",
}
_MARKERS = {
    "plain": ("s", 10.0),
    "paillier": ("D", 5.5),
    "sharing": ("o", 3.0),
    "masking": ("+", 8.0),
    "threshold_paillier": ("x", 6.0),
}
_PHASES = {"train": "#cbd5e1", "protect": "#34558b", "combine": "#7fa3cf", "open": "#e2a03f"}
_FAULTS: dict[str, dict[str, Any]] = {
    UNCHECKED: {"color": "#c8374f", "marker": "o", "markersize": 6},
    MISSING: {"color": "#16756f", "marker": "s", "markersize": 10},
    INTERLEAVED: {"color": "#e2a03f", "marker": "D", "markersize": 6},
    CORRECTED: {"color": "#34558b", "marker": "o", "markersize": 3.5},
}
_OUTCOMES = {RIGHT: ("#a7d5c8", "✓"), WRONG: ("#e9a3ad", "✗"), REFUSED: ("#e5e7eb", "–")}
_ATTACKS = dict(zip(ATTACKS, ("#34558b", "#c8374f", "#e2a03f", "#7a5195"), strict=True))
_TRAFFIC = {"sent": "Sent by one client", "carried": "On all links together"}
_SOME_DIGITS = (1, 2, 3, 4, 6, 9)
_RAMP = LinearSegmentedColormap.from_list("ramp", ("#16756f", "#e2a03f", "#c8374f", "#5b1a3a"))
_NEEDS = {
    7: ("plain", "paillier"),
    8: ("paillier",),
    9: ("sharing",),
    10: ("sharing",),
    11: ("sharing",),
}
_NEEDS_MALICE = (8, 12)


def missing(number: int, results: Results) -> str:
    """Return why a figure cannot be drawn, as one line, or an empty string when it can."""
    lacking = [p for p in _NEEDS.get(number, ()) if p not in results.settings.protocols]
    if not results.settings.most_malicious and number in _NEEDS_MALICE:
        lacking.append("a malicious client")
    return f"not measured: needs {' and '.join(lacking)}" if lacking else ""


def draw(number: int, results: Results, path: Path) -> None:
    """Draw Figure `number` of the paper from `results` and write it as a PNG to `path`.

    Parameters
    ----------
    number : int
        6 to 14.
    results : Results
        What :func:`veilsum.experiments.compare.run` measured.
    path : Path
        The file to write.
    """
    reason = missing(number, results)
    save(lambda: _said(f"Figure {number}: {reason}") if reason else FIGURES[number](results), path)


def _said(line: str) -> Figure:
    figure = Figure(figsize=(7.4, 0.5))
    figure.text(0.02, 0.5, line, va="center", color=FAINT)
    return figure


def _convergence(results: Results) -> Figure:
    figure, axes = panels("AB;CD", 6.6)
    small, large = 2, results.settings.clients
    for name, clients in (("A", small), ("B", large)):
        entitle(axes[name], f"{clients} clients", "Iteration", "RMSE")
        _protocol_curves(axes[name], list(matching(results.convergence, clients=clients)))
        axes[name].axhline(results.task.rmse_central, **_CENTRAL)
    share_y(axes["A"], axes["B"])
    _protocol_legend(axes["A"], list(matching(results.convergence, clients=small)))
    _roughness(axes["C"], results)
    _deviation(axes["D"], results)
    return figure


def _roughness(axes: Axes, results: Results) -> None:
    entitle(axes, "Bumps, one dot a seed", "Clients", "Roughness of RMSE")
    jitter = np.random.default_rng(0)
    for place, ensemble in enumerate(results.convergence_seeds):
        spots = place + jitter.uniform(-0.13, 0.13, len(ensemble.roughness))
        axes.scatter(spots, ensemble.roughness, s=16, color=PROTOCOL_COLOURS["plain"], alpha=0.8)
        mean, low, high = interval(ensemble.roughness)
        error = [[mean - low], [high - mean]]
        axes.errorbar(place + 0.28, mean, error, fmt="o", color=INK, capsize=4, markersize=5)
    axes.set_xticks(
        range(len(results.convergence_seeds)), [str(e.clients) for e in results.convergence_seeds]
    )
    axes.set_xlim(-0.6, len(results.convergence_seeds) - 0.4)
    axes.set_ylim(bottom=0)


def _deviation(axes: Axes, results: Results) -> None:
    entitle(axes, "Rounding, beside its bound", "Iteration", "Distance of a coefficient")
    run = next(iter(_of_interest(results, clients=results.settings.clients)), None)
    if run is None:
        return
    axes.plot(range(1, len(run.deviation) + 1), run.deviation, color=PROTOCOL_COLOURS[run.protocol])
    axes.axhline(run.deviation_bound, color=INK, linestyle="--", linewidth=1.2)
    axes.annotate(
        "half a unit of the last digit",
        (0.02, run.deviation_bound),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9,
    )
    axes.set_ylim(0, 1.3 * run.deviation_bound)
    axes.ticklabel_format(axis="y", scilimits=(-2, 3))


def _seconds_by_iteration(results: Results) -> Figure:
    figure, axes = panels("AB", 3.9)
    for name, party in zip("AB", PARTIES, strict=True):
        entitle(axes[name], party.capitalize(), "Iteration", "Seconds")
        for run in _of_interest(results, clients=results.settings.clients):
            if run.protocol != "sharing":
                series = _by_iteration(run, party)
                axes[name].plot(
                    range(1, len(series) + 1),
                    series,
                    color=PROTOCOL_COLOURS[run.protocol],
                    linewidth=2,
                    label=LABELS[run.protocol],
                )
        axes[name].set_yscale("log")
    share_y(axes["A"], axes["B"])
    _legend(axes["A"], loc="center right")
    return figure


def _by_iteration(run: Run, party: str) -> list[float]:
    series = [cost.seconds for cost in run.costs if cost.party == party]
    return [sum(moment) for moment in zip(*series, strict=True)]


def _attacked_paillier(results: Results) -> Figure:
    figure, axes = panels("AB;CD", 6.6)
    most = results.settings.most_malicious
    encrypted = list(matching(results.attacks, protocol="paillier"))
    plain = list(matching(results.attacks, protocol="plain"))
    for name, attack in zip("ABCD", ATTACKS, strict=True):
        entitle(axes[name], attack.capitalize(), "Iteration", "RMSE" if name in "AC" else "")
        for run in escalating(encrypted, attack=attack):
            colour = _ramp(run.malicious, most)
            axes[name].plot(run.rmse, color=colour, linewidth=2.2, label=str(run.malicious))
        drawn = {run.malicious for run in encrypted}
        for run in (run for run in escalating(plain, attack=attack) if run.malicious in drawn):
            axes[name].plot(run.rmse, color="white", linewidth=1.1, linestyle=(0, (1, 2.5)))
        _log_when_wide(axes[name], [run.rmse for run in matching(results.attacks, attack=attack)])
    beside = " (white dots: plain)" if plain else ""
    _figure_legend(figure, axes["A"], f"Malicious clients{beside}")
    return figure


def _precision(results: Results) -> Figure:
    figure, axes = panels("AA;BC", 6.8)
    runs = results.precision
    reference = first(results.convergence, protocol=REFERENCE, clients=results.settings.clients)
    if reference is not None:
        _distances(axes["A"], runs, reference)
        axes["B"].axhline(reference.final, color=INK, linestyle=":", label="without rounding")
        _legend(axes["B"])
    entitle(axes["A"], "Distance from averaging without rounding", "Iteration", "RMSE, distance")
    entitle(axes["B"], "After the last iteration", "Decimal digits", "RMSE")
    _line(axes["B"], [run.digits for run in runs], [run.final for run in runs], "sharing")
    _log_when_wide(axes["B"], [[run.final for run in runs]])
    entitle(axes["C"], "Time of the protocol", "Decimal digits", "Milliseconds a round")
    paces = results.precision_pace
    middles, lows, highs = zip(*(median_interval(pace.seconds) for pace in paces), strict=True)
    spent = 1e3 * np.asarray(middles)
    error = 1e3 * np.abs(np.subtract([lows, highs], middles))
    axes["C"].errorbar(
        [pace.digits for pace in paces],
        spent,
        error,
        color=PROTOCOL_COLOURS["sharing"],
        marker="o",
        linewidth=2,
        capsize=3,
    )
    axes["C"].set_ylim(0, 1.3e3 * max(highs))
    return figure


def _distances(axes: Axes, runs: Sequence[Run], reference: Run) -> None:
    for run in (run for run in runs if run.digits in _SOME_DIGITS):
        distance = np.abs(np.subtract(run.rmse, reference.rmse))[1:]
        colour = _ramp(9 - run.digits, 8)
        axes.plot(range(1, len(distance) + 1), distance, color=colour, label=str(run.digits))
        axes.set_yscale("log")
    _legend(axes, title="Digits", loc="center left", bbox_to_anchor=(1, 0.5))


def _attacked_sharing(results: Results) -> Figure:
    malice = results.settings.most_malicious > 0
    figure = blank(9.6)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(6.8, 2.8))
    curves, outcomes = parts.ravel()
    axes: dict[str, Axes] = curves.subplot_mosaic("AB;CC" if malice else "BB;CC")
    if malice:
        _poisoned(axes["A"], results)
    _faulty_shares(axes["B"], results, y_label="" if malice else "RMSE")
    _altered_over_time(axes["C"], results)
    _survivals(outcomes.subplots(), results)
    return figure


def _faulty_shares(axes: Axes, results: Results, *, y_label: str) -> None:
    entitle(axes, "Faulty shares, sums not refused", "Faulty shares of N", y_label)
    for fault, style in _FAULTS.items():
        runs = [run for run in escalating(results.faults, fault=fault) if not run.aborted]
        counts, last = [run.faulty for run in runs], [run.final for run in runs]
        axes.plot(counts, last, label=fault, **style)
    _log_when_wide(axes, [[run.final for run in results.faults if not run.aborted]])
    _legend(axes, fontsize=8.5, loc="lower right", bbox_to_anchor=(1, 0.13))


def _survivals(axes: Axes, results: Results) -> None:
    entitle(axes, "What became of the sums", "Faulty shares of N", "")
    for row, outcomes in enumerate(survivals(results).values()):
        for faulty, outcome in outcomes.items():
            colour, sign = _OUTCOMES[outcome]
            axes.barh(row, 0.94, left=faulty - 0.47, height=0.86, color=colour)
            axes.annotate(sign, (faulty, row), ha="center", va="center", fontsize=10)
    axes.set_yticks(range(len(survivals(results))), list(survivals(results)))
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.legend(
        handles=[Patch(color=c, label=f"{sign} {name}") for name, (c, sign) in _OUTCOMES.items()],
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )


def _poisoned(axes: Axes, results: Results) -> None:
    entitle(axes, "Malicious clients", "Malicious clients", "RMSE")
    sharing = list(matching(results.attacks, protocol="sharing"))
    for attack in ATTACKS:
        runs = escalating(sharing, attack=attack)
        counts, last = [run.malicious for run in runs], [run.final for run in runs]
        axes.plot(counts, last, color=_ATTACKS[attack], marker="o", label=attack)
    _log_when_wide(axes, [[run.final for run in sharing]])
    _legend(axes)


def _altered_over_time(axes: Axes, results: Results) -> None:
    entitle(axes, "Altered shares, first K opened", "Iteration", "RMSE")
    spare = results.settings.clients - results.settings.shares_needed
    calm, *altered = escalating(results.faults, fault=UNCHECKED)
    label = "none altered" + (f", or up to {spare} missing" if spare else "")
    axes.plot(calm.rmse, color=_FAULTS[MISSING]["color"], linewidth=2, label=label)
    for run in altered:
        colour = _ramp(run.faulty, spare)
        axes.plot(run.rmse, color=colour, linewidth=2, label=f"{run.faulty} altered")
    _log_when_wide(axes, [run.rmse for run in (calm, *altered)])
    _legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4)


def _number_of_shares(results: Results) -> Figure:
    figure, axes = panels("AB", 4.2)
    entitle(axes["A"], "Error", "Shares N", "RMSE, median")
    lying = list(matching(results.holder_seeds, fault=WANDERING))
    fixed = [e for e in lying if e.threshold == results.settings.shares_needed]
    majority = [e for e in lying if e.threshold == e.shares // 2 + 1]
    _with_interval(axes["A"], fixed, "#c8374f", "lying holders, K fixed")
    _with_interval(axes["A"], majority, "#e2a03f", "lying holders, K a majority")
    axes["A"].axhline(results.task.rmse_central, **_CENTRAL)
    _log_when_wide(axes["A"], [[median_interval(e.final)[0] for e in lying]])
    _legend(axes["A"])
    entitle(axes["B"], "Time", "Shares N", "Milliseconds an iteration")
    runs = list(results.holders)
    for party, label, style in (("client", "a client", "-"), ("server", "server, holders", "--")):
        spent = [1e3 * (r.seconds(party) - r.seconds(party, "train")) for r in runs]
        axes["B"].plot(
            [run.shares for run in runs],
            spent,
            color=PROTOCOL_COLOURS["sharing"],
            linestyle=style,
            marker="o",
            label=label,
        )
    axes["B"].set_ylim(bottom=0)
    _legend(axes["B"])
    return figure


def _with_interval(axes: Axes, chosen: Sequence[Ensemble], colour: str, label: str) -> None:
    if not chosen:
        return
    means, lows, highs = zip(*(median_interval(ensemble.final) for ensemble in chosen), strict=True)
    error = [np.subtract(means, lows), np.subtract(highs, means)]
    places = [ensemble.shares for ensemble in chosen]
    axes.errorbar(places, means, error, color=colour, marker="o", capsize=3, label=label)


def _protocols_under_attack(results: Results) -> Figure:
    figure, axes = panels("AB;CD", 6.6)
    for name, attack in zip("ABCD", ATTACKS, strict=True):
        entitle(
            axes[name], attack.capitalize(), "Malicious clients", "RMSE" if name in "AC" else ""
        )
        seeds = escalating(results.attack_seeds, attack=attack)
        axes[name].fill_between(
            [ensemble.malicious for ensemble in seeds],
            [min(ensemble.final) for ensemble in seeds],
            [max(ensemble.final) for ensemble in seeds],
            color="#dbe4f0",
            label=f"{results.settings.seeds} seeds",
        )
        for protocol in results.settings.protocols:
            ours = list(matching(results.attacks, protocol=protocol))
            runs = escalating(ours, attack=attack)
            marker, size = _MARKERS[protocol]
            axes[name].plot(
                [run.malicious for run in runs],
                [run.final for run in runs],
                color=PROTOCOL_COLOURS[protocol],
                marker=marker,
                markersize=size,
                linewidth=1 if len(runs) > 2 else 0,
                label=LABELS[protocol],
            )
        _log_when_wide(axes[name], [[max(e.final), min(e.final)] for e in seeds])
    _figure_legend(figure, axes["A"], None)
    return figure


def _seconds_by_phase(results: Results) -> Figure:
    figure, axes = panels("AB", 3.6)
    runs = _of_interest(results, clients=results.settings.clients)
    for name, party in zip("AB", PARTIES, strict=True):
        entitle(axes[name], party.capitalize(), "Milliseconds an iteration", "")
        _stack(axes[name], runs, party)
    handles = [Line2D([], [], color=_PHASES[p], linewidth=8, label=p) for p in PHASES]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    axes["B"].tick_params(labelleft=False)
    return figure


def _stack(axes: Axes, runs: Sequence[Run], party: str) -> None:
    totals = [1e3 * run.seconds(party) for run in runs]
    for place, (run, total) in enumerate(zip(runs, totals, strict=True)):
        left = 0.0
        for phase in PHASES:
            spent = 1e3 * run.seconds(party, phase)
            axes.barh(place, spent, left=left, height=0.6, color=_PHASES[phase])
            left += spent
        axes.annotate(
            f"{total:.3g} ms", (total, place), (5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(runs)), [LABELS[run.protocol] for run in runs])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(totals, default=1.0) or 1.0)
    axes.grid(visible=False, axis="y")


def _bytes(results: Results) -> Figure:
    figure, axes = panels("AB", 3.6)
    runs = _of_interest(results, clients=results.settings.clients)
    float32 = FLOAT32_BYTES * results.task.coefficients
    for name, way in zip("AB", _TRAFFIC, strict=True):
        entitle(axes[name], _TRAFFIC[way], "Bytes an iteration", "")
        counts = [getattr(run, way) for run in runs]
        colours = [PROTOCOL_COLOURS[run.protocol] for run in runs]
        axes[name].barh(range(len(runs)), counts, height=0.6, color=colours)
        axes[name].set_xscale("log")
        axes[name].set_xlim(float32 / 2, 2 * max([*counts, float32]))
        axes[name].axvline(float32, color=INK, linestyle=":", linewidth=1.2)
        words = [
            f"{LABELS[run.protocol]}\n{count:,.0f} B\n({shown(count / float32)}×)"
            for run, count in zip(runs, counts, strict=True)
        ]
        axes[name].set_yticks(range(len(runs)), words)
        axes[name].invert_yaxis()
        axes[name].grid(visible=False, axis="y")
    handle = Line2D([], [], color=INK, linestyle=":", label=f"model as float32: {float32:,} B")
    figure.legend(handles=[handle], loc="outside lower center")
    return figure


def _of_interest(results: Results, **wanted: object) -> list[Run]:
    runs = (first(results.convergence, protocol=p, **wanted) for p in results.settings.protocols)
    return [run for run in runs if run is not None]


def _protocol_curves(axes: Axes, runs: Sequence[Run]) -> None:
    for run in runs:
        if run.protocol in _LINES:
            axes.plot(run.rmse, color=PROTOCOL_COLOURS[run.protocol], **_LINES[run.protocol])


def _protocol_legend(axes: Axes, runs: Sequence[Run]) -> None:
    shown = [run.protocol for run in runs if run.protocol in _LINES]
    handles = [
        Line2D([], [], color=PROTOCOL_COLOURS[p], label=LABELS[p], **_LINES[p]) for p in shown
    ]
    axes.legend(handles=[*handles, Line2D([], [], **_CENTRAL)], loc="upper right")


def _legend(axes: Axes, **options: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, **options)
    else:
        axes.annotate("not measured", (0.5, 0.5), xycoords="axes fraction", ha="center")


def _figure_legend(figure: Figure, axes: Axes, title: str | None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, title=title, loc="outside lower center", ncols=9)


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], protocol: str) -> None:
    axes.plot(x, y, color=PROTOCOL_COLOURS[protocol], marker="o", linewidth=2)


def _ramp(value: int, most: int) -> tuple[float, float, float, float]:
    return _RAMP(value / max(most, 1))


def _log_when_wide(axes: Axes, curves: Sequence[Sequence[float]]) -> None:
    values = [value for curve in curves for value in curve if value > 0]
    if values and max(values) > 20 * min(values):
        axes.set_yscale("log")


FIGURES: dict[int, Callable[[Results], Figure]] = {
    6: _convergence,
    7: _seconds_by_iteration,
    8: _attacked_paillier,
    9: _precision,
    10: _attacked_sharing,
    11: _number_of_shares,
    12: _protocols_under_attack,
    13: _seconds_by_phase,
    14: _bytes,
}
