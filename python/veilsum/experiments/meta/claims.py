"""Two claims about secured meta-learning, each with the rule by which it is judged.

Dhiman, "Securing meta-learning: methods and applications", section 4.3 and Table 5.2.
"""

from __future__ import annotations

import numpy as np

from veilsum.experiments.drawing import LABELS
from veilsum.experiments.grid import MINUS, listed, shown
from veilsum.experiments.meta.results import CENTRALISED, FEDERATED, UNTRAINED, Results
from veilsum.experiments.results import median_interval
from veilsum.experiments.side_by_side import Bill
from veilsum.experiments.verdict import (
    CONFIRMED,
    NOT_DECIDED,
    NOT_MEASURED,
    PARTLY,
    REFUTED,
    Verdict,
)
from veilsum.learning.scores import Score

__all__ = ["signed", "spread", "verdicts"]

SLIGHTLY = 1.25
"""A factor of time up to which something is called slightly dearer."""
MARGIN = {"accuracy": 0.02, "mse": 0.1}
"""How much worse still is as accurate: of accuracy as it is, of an error as a part of the other."""


def verdicts(results: Results) -> tuple[Verdict, ...]:
    """Judge both claims by their rules."""
    return _secure(results), _federated(results)


def _secure(results: Results) -> Verdict:
    plain = next((bill for bill in results.bills if bill.protocol == "plain"), None)
    protected = [bill for bill in results.bills if bill.protocol != "plain"]
    outcome, words = NOT_MEASURED, "needs plain and a protocol that protects"
    if plain and protected:
        outcome, words = _dearer(results, plain, protected)
    return Verdict(
        claim="C5",
        figure=None,
        title="Protected meta-learning: slightly dearer, as accurate",
        paper="Table 5.2: secure MAML's computational cost is slightly higher than MAML's, and its "
        "privacy improved.",
        rule=f"Confirmed when every protocol opens, in every round, the integers that plain opens, "
        f"so that the model is the same, and its round takes at most {SLIGHTLY:g} times as long as "
        f"plain's (the 95 % interval of the median over the rounds lies below that); refuted when "
        f"sums differ, or all protocols take longer; else partly. A round is the mean client's "
        f"training and protection and the work of all other parties. Robustness is not judged "
        f"here.",
        outcome=outcome,
        words=words,
    )


def _dearer(results: Results, plain: Bill, protected: list[Bill]) -> tuple[str, str]:
    if results.wrong:
        names = listed([LABELS[name] for name in results.wrong])
        return REFUTED, f"{names} opened other integers than the clients contributed: an error."
    ratios = {
        LABELS[bill.protocol]: median_interval(
            np.divide(_rounds(results, bill), _rounds(results, plain)).tolist()
        )
        for bill in protected
    }
    slight = [high <= SLIGHTLY for _, _, high in ratios.values()]
    dear = [low > SLIGHTLY for _, low, _ in ratios.values()]
    factors = listed([f"{spread(ratio)} under {name}" for name, ratio in ratios.items()])
    words = (
        "All protocols opened the same integers in each of the "
        f"{len(plain.rounds):,} rounds: the same models, bit for bit. By the median over "
        f"the rounds, one takes {factors} times as long as plain's."
    )
    return CONFIRMED if all(slight) else REFUTED if all(dear) else PARTLY, words


def _rounds(results: Results, bill: Bill) -> list[float]:
    training = results.curve(FEDERATED).seconds
    return [
        trained + cost.client + cost.server
        for trained, cost in zip(training, bill.rounds, strict=True)
    ]


def _federated(results: Results) -> Verdict:
    better = 1 if results.merit == "accuracy" else -1
    difference = results.difference(FEDERATED, CENTRALISED)
    low, high = sorted((better * difference.low, better * difference.high))
    theirs = results.evaluation(CENTRALISED).scores[results.merit].mean
    margin = MARGIN[results.merit] * (1 if results.merit == "accuracy" else theirs)
    learnt = results.difference(FEDERATED, UNTRAINED)
    outcome = NOT_DECIDED
    if min(better * learnt.low, better * learnt.high) <= 0:
        pass
    elif low >= -margin:
        outcome = CONFIRMED
    elif high < -margin:
        outcome = REFUTED
    elif high < 0:
        outcome = PARTLY
    return Verdict(
        claim="C6",
        figure=None,
        title="Federated meta-learning is as accurate as centralised",
        paper="Section 4.3: research shows that federated meta-learning is as accurate as "
        "centralised models and more secure.",
        rule=f"Not decided unless federated is better than untrained, by all of the 95 % interval "
        f"of their difference over paired episodes. Of that of federated and centralised: "
        f"confirmed when all of it is better than {_margin(results.merit)} worse; refuted when all "
        f"of it is worse than that; partly when all of it is worse than nothing; else not decided. "
        f"It is one training of each: what other seeds would have given is not in the interval.",
        outcome=outcome,
        words=_compared(results, difference),
    )


def _margin(merit: str) -> str:
    return "2 points" if merit == "accuracy" else "10 % of the centralised error"


def _compared(results: Results, difference: Score) -> str:
    figures = [
        f"{name} {shown(results.evaluation(name).scores[results.merit].mean)}"
        for name in (FEDERATED, CENTRALISED)
    ]
    return (
        f"Mean {results.merit} over {difference.count} episodes: {listed(figures)}. Federated less "
        f"centralised is {signed(difference.mean)} ({signed(difference.low)} to "
        f"{signed(difference.high)})."
    )


def spread(interval: tuple[float, float, float]) -> str:
    """Return a figure with its interval."""
    middle, low, high = interval
    return f"{shown(middle)} ({shown(low)} to {shown(high)})"


def signed(value: float) -> str:
    """Return a difference with three digits and its sign."""
    return f"{value:+.3g}".replace("-", MINUS)
