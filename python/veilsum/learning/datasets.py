"""Regression tables: the five that ship with the package, and any numeric CSV file.

A table is one header line and rows of finite numbers; one column is the target.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "load", "names", "read_csv"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """One regression table.

    Attributes
    ----------
    name : str
        Name of the table.
    X : ndarray of float64, shape (rows, features)
        Raw feature columns.
    y : ndarray of float64, shape (rows,)
        Raw target column.
    feature_names : tuple of str
        Names of the columns of `X`.
    target_name : str
        Name of `y`.
    licence : str or None
        Licence of a table that ships with the package, else None.
    citation : str or None
        Work to cite for a table that ships with the package, else None.
    """

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    feature_names: tuple[str, ...]
    target_name: str
    licence: str | None = None
    citation: str | None = None


class _Source(NamedTuple):
    target: str
    licence: str
    citation: str


_SHIPPED = {
    "bike_sharing_day": _Source(
        "cnt",
        "CC BY 4.0",
        "Fanaee-T and Gama (2014), Event labeling combining ensemble detectors and background "
        "knowledge, Progress in Artificial Intelligence 2, 113-127",
    ),
    "concrete": _Source(
        "compressive_strength_mpa",
        "CC BY 4.0",
        "Yeh (1998), Modeling of strength of high-performance concrete using artificial neural "
        "networks, Cement and Concrete Research 28(12), 1797-1808",
    ),
    "diabetes": _Source(
        "progression",
        "BSD-3-Clause",
        "Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression, Annals of "
        "Statistics 32(2), 407-499",
    ),
    "energy_efficiency": _Source(
        "heating_load",
        "CC BY 4.0",
        "Tsanas and Xifara (2012), Accurate quantitative estimation of energy performance of "
        "residential buildings using statistical machine learning tools, Energy and Buildings 49, "
        "560-567",
    ),
    "wine_quality": _Source(
        "quality",
        "CC BY 4.0",
        "Cortez, Cerdeira, Almeida, Matos and Reis (2009), Modeling wine preferences by data "
        "mining from physicochemical properties, Decision Support Systems 47(4), 547-553",
    ),
}


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def names() -> tuple[str, ...]:
    """Name the tables that ship with the package.

    Returns
    -------
    tuple of str
        Names that `load` accepts, in alphabetical order.

    Examples
    --------
    >>> names()
    ('bike_sharing_day', 'concrete', 'diabetes', 'energy_efficiency', 'wine_quality')
    """
    return tuple(_SHIPPED)


def load(name: str) -> Dataset:
    """Load a table that ships with the package.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Dataset
        The table, with its licence and the work to cite.

    Raises
    ------
    ValueError
        If no shipped table has that name.

    Examples
    --------
    >>> concrete = load("concrete")
    >>> concrete.X.shape, concrete.target_name, concrete.licence
    ((1030, 8), 'compressive_strength_mpa', 'CC BY 4.0')
    """
    if name not in _SHIPPED:
        close = difflib.get_close_matches(name, _SHIPPED, n=1)
        guess = f"did you mean {close[0]}? Choose" if close else "choose"
        raise ValueError(
            f"{name!r} is not a shipped table; {guess} one of {', '.join(_SHIPPED)}, "
            "or a file whose name ends in .csv or .csv.gz"
        )
    source = _SHIPPED[name]
    file = resources.files(__package__) / "data" / f"{name}.csv.gz"
    with file.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8", newline="") as text:
        header, table = _parse(text, name)
    return _dataset(name, header, table, source)


def read_csv(path: str | PathLike[str], *, target: str) -> Dataset:
    r"""Read a regression table from a comma-separated file.

    The first line names the columns; every other line is a row of finite numbers. Blank lines are
    skipped. The file is UTF-8 and may be gzipped.

    Parameters
    ----------
    path : str or path-like
        A file whose name ends in ``.csv`` or ``.csv.gz``.
    target : str
        Name of the column to predict; all others are features, in the order of the file.

    Returns
    -------
    Dataset
        The table, named after the file.

    Raises
    ------
    ValueError
        If the file is missing, unreadable or empty, if the columns are not separated by commas, if
        the first line does not name them, if a name is empty or used twice, if a row is ragged, if
        a cell is not a finite number (the message says which line and column), if there is no
        column `target` (the message says which there are), or if it is the only column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rooms.csv"
    ...     _ = path.write_text("area,floor,rent\n50,1,700\n80,3,990\n")
    ...     rooms = read_csv(path, target="rent")
    >>> rooms.feature_names, rooms.y
    (('area', 'floor'), array([700., 990.]))
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    if path.name not in (f"{name}.csv", f"{name}.csv.gz"):
        raise ValueError(f"{path}: the file name must end in .csv or .csv.gz")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
            header, table = _parse(text, str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason})") from error
    if target not in header:
        raise ValueError(
            f"target: {path} has no column {target!r}; its columns are {', '.join(header)}"
        )
    if len(header) == 1:
        raise ValueError(
            f"{path}: {target!r} is the only column, so nothing is left to predict it from; "
            "columns are separated by commas"
        )
    return _dataset(name, header, table, _Source(target, "", ""))


def _dataset(
    name: str, header: tuple[str, ...], table: NDArray[np.float64], source: _Source
) -> Dataset:
    position = header.index(source.target)
    return Dataset(
        name=name,
        X=np.delete(table, position, axis=1),
        y=table[:, position].copy(),
        feature_names=header[:position] + header[position + 1 :],
        target_name=source.target,
        licence=source.licence or None,
        citation=source.citation or None,
    )


def _parse(text: TextIO, name: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    lines = _lines(text, name)
    _, names = next(lines, (0, []))
    if not names:
        raise ValueError(f"{name}: the file is empty")
    header = _header(names, name)
    rows = [_row(cells, header, f"{name}, line {number}") for number, cells in lines]
    if not rows:
        raise ValueError(f"{name}: there is a header line and no row of numbers below it")
    return header, np.array(rows)


def _lines(text: TextIO, name: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from error


def _header(cells: list[str], name: str) -> tuple[str, ...]:
    separator = next((mark for mark in _SEPARATORS if any(mark in cell for cell in cells)), None)
    if separator is not None and len(cells) == 1:
        raise ValueError(
            f"{name}: the header line has no comma; is the file separated by "
            f"{_SEPARATORS[separator]}? Separate columns by commas and write decimals with a point"
        )
    header = tuple(cell.strip() for cell in cells)
    if "" in header:
        raise ValueError(f"{name}: column {header.index('') + 1} has no name in the header line")
    twice = next((column for column in header if header.count(column) > 1), None)
    if all(map(_is_number, header)):
        raise ValueError(
            f"{name}: the first line holds only numbers, but it must name the columns; "
            "put a line of names above it"
        )
    if twice is not None:
        raise ValueError(f"{name}: two columns are named {twice!r}; names must differ")
    return header


def _row(cells: list[str], header: tuple[str, ...], place: str) -> list[float]:
    if len(cells) != len(header):
        advice = (
            "; if decimals have a comma, write them with a point"
            if len(header) < len(cells) <= 2 * len(header)
            else ""
        )
        raise ValueError(
            f"{place}: {len(cells)} cells, but the header names {len(header)} columns{advice}"
        )
    return [
        _number(cell, f"{place}, column {column!r}")
        for cell, column in zip(cells, header, strict=True)
    ]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _number(cell: str, place: str) -> float:
    try:
        # float() also reads 1_000, which no table means as a number
        number = float("" if "_" in cell else cell)
    except ValueError:
        advice = "; write decimals with a point" if _is_number(cell.replace(",", ".")) else ""
        raise ValueError(f"{place}: {_shown(cell)} is not a number{advice}") from None
    if not math.isfinite(number):
        raise ValueError(f"{place}: {_shown(cell)} is not a finite number")
    return number


def _shown(cell: str) -> str:
    if not cell.strip():
        return "an empty cell"
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
