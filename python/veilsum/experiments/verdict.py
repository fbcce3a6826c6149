"""What measurements say about a claim: an outcome by a stated rule, and words."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CONFIRMED",
    "NOT_DECIDED",
    "NOT_MEASURED",
    "PARTLY",
    "REFUTED",
    "Verdict",
]

CONFIRMED, PARTLY, REFUTED = "confirmed", "partly", "refuted"
NOT_DECIDED, NOT_MEASURED = "not decided", "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One claim of a paper and what the measurements say about it."""

    claim: str
    figure: int | None
    title: str
    paper: str
    rule: str
    outcome: str
    words: str
