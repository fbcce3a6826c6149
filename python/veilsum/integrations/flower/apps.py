"""New apps for Flower, from the template beside this file.

The template's files end in ``.tmpl``: they import Flower, which need not be here, and are modules
of the new app and not of veilsum.
"""

import importlib.util
import json
import keyword
import os
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from veilsum.integrations.flower.folders import (
    FOLDERS_KEY,
    PARTITION_KEY,
    building,
    deal,
    node_folder,
    server_folder,
)

__all__ = ["new_app"]

KEYS = "keys"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
_SUFFIX = ".tmpl"
_PACKAGE = "package"
_RENAMED = {"gitignore": ".gitignore"}
_FIRST_PORT = 9100


def new_app(
    directory: str | os.PathLike[str],
    *,
    protocol: str = "masking",
    clients: int = 5,
    key_bits: int = 3072,
) -> tuple[str, ...]:
    """Write a Flower app that runs as it is, with the keys of all parties in ``keys``.

    Parameters
    ----------
    directory : path-like
        The app, as a whole or not at all; it must not exist, or be empty. Its name is the app's,
        for which Flower allows 32 letters, digits and hyphens, a letter first.
    protocol : {"plain", "paillier", "threshold_paillier", "sharing", "masking"}
        What protects the updates.
    clients : int
        How many clients there are.
    key_bits : int
        Bits of a Paillier modulus.

    Returns
    -------
    tuple of str
        The names of the parties that SuperNodes play, by their ``partition-id``.

    Raises
    ------
    FileExistsError
        When something is there.
    ValueError
        When an argument is out of range, or Flower does not take the name.
    """
    target = Path(directory).absolute()
    if not _NAME.fullmatch(target.name):
        raise ValueError(
            f"directory: got the name {target.name!r}, of which Flower makes the app's; "
            "expected up to 32 letters, digits and hyphens, a letter first"
        )
    if clients < 2:
        raise ValueError(
            f"clients: got {clients}, expected at least 2: the sum of one is its update"
        )
    package = _package(target.name)
    with building(target, mode=0o777) as place:
        deal(place / KEYS, protocol=protocol, clients=clients, key_bits=key_bits)
        nodes = _nodes(place / KEYS)
        values = {
            "name": target.name,
            "package": package,
            "protocol": protocol,
            "clients": str(clients),
            "fewest": str(clients * 2 // 3 + 1),
            "folders": json.dumps(str(target / KEYS), ensure_ascii=False),
            "server": server_folder({FOLDERS_KEY: str(place / KEYS)}).name,
            "nodes": str(len(nodes)),
            "last": str(len(nodes) - 1),
            "port": str(_FIRST_PORT + len(nodes) - 1),
            "helpers": _told(nodes[clients:], clients),
        }
        for name, text in _template():
            path = place.joinpath(*(package if part == _PACKAGE else part for part in name.parts))
            path.parent.mkdir(exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    return nodes


def _package(name: str) -> str:
    """Return the name of an app's package: its own, for a simulation of many apps mixes them up."""
    package = name.replace("-", "_").lower()
    if keyword.iskeyword(package) or importlib.util.find_spec(package) is not None:
        raise ValueError(f"directory: got the name {name!r}, as a module has it; choose another")
    return package


def _nodes(keys: Path) -> tuple[str, ...]:
    settings = {FOLDERS_KEY: str(keys)}
    numbers = range(sum(1 for _ in keys.iterdir()) - 1)  # but for the server
    return tuple(node_folder({PARTITION_KEY: number}, settings).name for number in numbers)


def _told(helpers: Sequence[str], clients: int) -> str:
    if not helpers:
        return ""
    places = (
        f"- `partition-id={number}` is the party {name}\n"
        for number, name in enumerate(helpers, clients)
    )
    return f"\nNot every SuperNode is a client:\n\n{''.join(places)}"


def _template() -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the files of the new app, by their place in it, as they are before substitution."""
    return _texts(resources.files("veilsum.integrations.flower") / "template", PurePosixPath())


def _texts(folder: Traversable, place: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _texts(entry, place / entry.name)
        elif entry.name.endswith(_SUFFIX):
            name = entry.name.removesuffix(_SUFFIX)
            yield place / _RENAMED.get(name, name), entry.read_text(encoding="utf-8")
