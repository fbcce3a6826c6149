"""Tables of text, for the terminal and for pages."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NONE", "Grid"]

NONE = "\N{EN DASH}"
"""Stands in a table for what was not measured or does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of text; `numbers` says which columns hold numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
