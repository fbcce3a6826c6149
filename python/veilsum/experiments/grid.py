"""Tables and figures as text, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MINUS", "NONE", "Grid", "listed", "shown"]

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
"""Stands in a table for what was not measured or does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of text; `numbers` says which columns hold numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


def shown(value: float) -> str:
    """Return a figure with three digits, or whole when it is large, with a true minus sign.

    Examples
    --------
    >>> shown(0.012345), shown(51234.5)
    ('0.0123', '51,234')
    """
    figure = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return figure.replace("-", MINUS)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    Examples
    --------
    >>> listed(["Plain", "Paillier", "Sharing"])
    'Plain, Paillier and Sharing'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
