"""The comparison: the same federated regression under each protocol, under attack and under loss.

Sharma, Shirur, Singh and Satao (2022), "Decentralized Machine Learning Models with Cryptographic
Techniques", Figures 6 to 14: one function a figure or table, over the settings of `Settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np

from veilsum import field, protocols, shamir
from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.experiments.environment import describe
from veilsum.experiments.lab import BOUND, Lab, Problem, prepare
from veilsum.experiments.options import Progress, quiet
from veilsum.experiments.results import (
    AFTER_SENDING,
    ATTACKS,
    BEFORE_SENDING,
    FAULTS,
    MISSING,
    REFERENCE,
    SIGNED,
    UNCHECKED,
    WANDERING,
    Conditions,
    Dropout,
    Ensemble,
    Pace,
    Results,
    Run,
    SignedDealing,
    Task,
    Textbook,
)
from veilsum.protocols import masking
from veilsum.protocols.committee import Heard
from veilsum.protocols.serverless import Committed, Revealed

__all__ = ["prepare", "run"]

_DIGITS = [{"digits": digits} for digits in range(1, 10)]
Method = Literal["lagrange", "newton"]
METHODS: tuple[Method, ...] = ("lagrange", "newton")
_AFTERWARDS = (Heard, Committed, Revealed, masking.Confirmed, masking.Revealed)
"""What a client sends once its update has left."""


def run(problem: Problem, *, progress: Progress = quiet, files: Path | None = None) -> Results:
    """Measure everything that the report shows.

    Parameters
    ----------
    problem : Problem
        From :func:`prepare`.
    progress : callable
        Called as ``progress(work, done, total)`` while each kind of work goes on.
    files : Path or None
        Where the engine "flower" keeps its files, of which none is needed afterwards.

    Returns
    -------
    Results
        The figures' data.
    """
    begin, started = perf_counter(), datetime.now(UTC)
    lab = Lab(problem, progress, files=files)
    measured: dict[str, Any] = {
        "convergence": convergence(lab),
        "convergence_seeds": convergence_seeds(lab),
        "attacks": attacks(lab),
        "attack_seeds": attack_seeds(lab),
        "precision": precision(lab),
        "precision_pace": precision_pace(lab),
        "faults": faults(lab),
        "fault_seeds": fault_seeds(lab),
        "signed": signed(lab),
        "holders": holders(lab),
        "holder_seeds": holder_seeds(lab),
        "dropouts": dropouts(lab),
        "textbook": textbook(),
    }
    return Results(
        settings=problem.settings,
        environment=describe(started, perf_counter() - begin),
        task=_task(problem),
        setup_seconds=lab.setup_seconds(),
        **measured,
    )


def convergence(lab: Lab) -> tuple[Run, ...]:
    """Figures 6, 7, 13 and 14: every protocol with 2 and with many clients."""
    names = (REFERENCE, *lab.settings.protocols)
    plan = [
        lab.conditions(name, clients=clients)
        for clients in (2, lab.settings.clients)
        for name in names
    ]
    return lab.train_all_on_engine("Convergence", plan)


def convergence_seeds(lab: Lab) -> tuple[Ensemble, ...]:
    """Figure 6: how rough and how level the curves are, over many seeds."""
    plan = [lab.conditions("plain", clients=clients) for clients in (2, lab.settings.clients)]
    return lab.repeat_all("Convergence, many seeds", plan)


def attacks(lab: Lab) -> tuple[Run, ...]:
    """Figures 8, 10 and 12: malicious clients under every protocol.

    Plain and sharing are attacked by every number of clients, the others, which open what plain
    does, by the most only.
    """
    every = list(range(1, lab.settings.most_malicious + 1))
    counts = {"plain": every, "sharing": every}
    return lab.train_all(
        "Malicious clients",
        [
            lab.conditions(protocol, attack=attack, malicious=count)
            for protocol in lab.settings.protocols
            for attack, count in _attack_grid(counts.get(protocol, every[-1:]))
        ],
    )


def attack_seeds(lab: Lab) -> tuple[Ensemble, ...]:
    """Figure 12: every number of malicious clients over many seeds."""
    grid = _attack_grid(range(1, lab.settings.most_malicious + 1))
    return lab.repeat_all(
        "Malicious clients, many seeds",
        [lab.conditions("plain", attack=attack, malicious=count) for attack, count in grid],
    )


def _attack_grid(counts: Sequence[int]) -> list[tuple[str, int]]:
    return [("none", 0), *((attack, count) for attack in ATTACKS for count in counts)]


def precision(lab: Lab) -> tuple[Run, ...]:
    """Figure 9: secret sharing with 1 to 9 decimal digits."""
    return lab.train_all("Precision", _sharing(lab, _DIGITS))


def precision_pace(lab: Lab) -> tuple[Pace, ...]:
    """Figure 9: seconds of a round with 1 to 9 decimal digits, measured in turn."""
    return lab.pace_all("Precision, seconds", _sharing(lab, _DIGITS))


def faults(lab: Lab) -> tuple[Run, ...]:
    """Figure 10: up to N - K shares missing or altered, and one missing share too many."""
    spare = lab.settings.clients - lab.settings.shares_needed
    numbers = dict.fromkeys(FAULTS, spare) | {MISSING: spare + 1}
    varied = [
        {"fault": fault, "faulty": faulty}
        for fault, most in numbers.items()
        for faulty in range(1, most + 1)
    ]
    return lab.train_all("Faulty shares", _sharing(lab, [{}, *varied]))


def fault_seeds(lab: Lab) -> tuple[Ensemble, ...]:
    """Figure 10: none, one and the most altered shares over many seeds."""
    spare = lab.settings.clients - lab.settings.shares_needed
    counts = sorted({1, spare}) if spare else []
    varied = [{}, *({"fault": UNCHECKED, "faulty": faulty} for faulty in counts)]
    return lab.repeat_all("Faulty shares, many seeds", _sharing(lab, varied))


def signed(lab: Lab) -> tuple[SignedDealing, ...]:
    """Figure 10: up to N - K rows of one signed dealing altered, and one too many."""
    spare = lab.settings.clients - lab.settings.shares_needed
    varied = [{"fault": SIGNED, "faulty": faulty} for faulty in range(1, spare + 2)]
    return tuple(lab.open_signed(conditions) for conditions in _sharing(lab, varied))


def holders(lab: Lab) -> tuple[Run, ...]:
    """Figure 11: the number of separate holders, one of whom lies, drawn anew every round."""
    varied = [{"shares": count, "fault": WANDERING, "faulty": 1} for count in _share_counts(lab)]
    return lab.train_all("Number of shares", _sharing(lab, varied))


def holder_seeds(lab: Lab) -> tuple[Ensemble, ...]:
    """Figure 11 over many seeds, with K fixed and with K a majority of N."""
    counts = _share_counts(lab)
    fixed = [(count, lab.settings.shares_needed) for count in counts]
    majority = [(count, count // 2 + 1) for count in counts]
    varied = [
        {"shares": shares, "threshold": threshold, "fault": WANDERING, "faulty": 1}
        for shares, threshold in dict.fromkeys(fixed + majority)
    ]
    return lab.repeat_all("Number of shares, many seeds", _sharing(lab, varied))


def _share_counts(lab: Lab) -> list[int]:
    needed = lab.settings.shares_needed
    return sorted({needed + 1, 2 * needed, 3 * needed, 5 * needed})


def _sharing(lab: Lab, varied: Sequence[dict[str, Any]]) -> list[Conditions]:
    if "sharing" not in lab.settings.protocols:
        return []
    return [lab.conditions("sharing", **what) for what in varied]


def dropouts(lab: Lab) -> tuple[Dropout, ...]:
    """Lost clients: one round of random updates under every protocol."""
    clients, needed = lab.settings.clients, lab.settings.shares_needed
    counts = sorted({1, clients - needed, clients - needed + 1, clients - 1} - {0, clients})
    return tuple(
        _lose(lab, protocol, count, moment)
        for protocol in lab.settings.protocols
        for moment in (BEFORE_SENDING, AFTER_SENDING)
        for count in counts
    )


def _lose(lab: Lab, protocol: str, lost: int, moment: str) -> Dropout:
    clients = lab.settings.clients
    generator = np.random.default_rng(lab.settings.seed)
    updates = generator.normal(size=(clients, lab.problem.coefficients))
    gone = range(clients - lost, clients)
    names = frozenset(f"client-{client}" for client in gone)
    transport = protocols.InMemoryTransport(
        drop=lambda message: (
            isinstance(message, _AFTERWARDS)
            and not names.isdisjoint((message.sender, message.recipient))
        )
    )
    try:
        aggregate = lab.aggregator(lab.conditions(protocol)).aggregate(
            list(updates),
            encoding=FixedPoint.decimal(lab.settings.precision, bound=BOUND),
            dropped=gone if moment == BEFORE_SENDING else (),
            transport=transport,
        )
    except ProtocolError as error:
        return Dropout(protocol=protocol, moment=moment, lost=lost, reason=str(error))
    counted = aggregate.survivors
    exact = updates[list(counted)].mean(axis=0)
    return Dropout(
        protocol=protocol,
        moment=moment,
        lost=lost,
        counted=counted,
        error=float(np.abs(aggregate.sum / len(counted) - exact).max()),
    )


def textbook() -> Textbook:
    """Share 65 with the slope 15 among four, and rebuild it from every pair by both methods."""
    shares = shamir.split(np.array([65]), shares=4, threshold=2)
    slopes = field.P50.mul(shares.points, field.P50.residues([15]))
    values = field.P50.add(slopes, field.P50.residues([65]))
    dealt = shares.with_values(values.reshape(-1, 1))
    pairs = [(pair, method) for pair in combinations(range(4), 2) for method in METHODS]
    return Textbook(
        shares=tuple(zip(dealt.points.tolist(), values.tolist(), strict=True)),
        rebuilt=tuple(
            (one + 1, other + 1, method, _open(dealt[[one, other]], method))
            for (one, other), method in pairs
        ),
    )


def _open(shares: shamir.Shares, method: Method) -> int:
    return int(shamir.reconstruct(shares, method=method)[0])


def _task(problem: Problem) -> Task:
    table = problem.table
    with_ones = np.column_stack([problem.X, np.ones(len(problem.y))])
    central = np.linalg.lstsq(with_ones, problem.y)[0]
    return Task(
        dataset=table.name,
        target=table.target_name,
        licence=table.licence or "licence of its owner",
        rows_train=len(problem.y),
        rows_test=len(problem.y_test),
        columns=table.X.shape[1],
        coefficients=problem.coefficients,
        rmse_mean=problem.rmse(np.zeros(problem.coefficients)),
        rmse_central=problem.rmse(np.asarray(central)),
    )
