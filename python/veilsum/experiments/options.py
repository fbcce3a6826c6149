"""What all experiments ask alike: ranges, protocols, progress, the command that repeats a run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = [
    "ENCRYPTED",
    "KEY_BITS",
    "PROTOCOLS",
    "Progress",
    "command",
    "quiet",
    "require_protocols",
    "within",
]

PROTOCOLS = ("plain", "paillier", "sharing", "masking", "threshold_paillier")
ENCRYPTED = ("paillier", "threshold_paillier")
KEY_BITS = (1024, 2048, 3072)

Progress = Callable[[str, int, int], None]
"""Called as ``progress(work, done, total)`` while each kind of work goes on."""


def quiet(work: str, done: int, total: int) -> None:
    """Take a report of progress and do nothing with it."""


def within(option: str, got: float, low: float, high: float) -> None:
    """Refuse a setting outside its range with a message that names the option.

    Raises
    ------
    ValueError
        If it is outside.
    """
    if not low <= got <= high:
        raise ValueError(f"{option}: got {got}; allowed are {low} to {high}")


def require_protocols(names: Sequence[str], *, key_bits: int) -> None:
    """Refuse protocols that do not exist or come twice, and keys of another length.

    Raises
    ------
    ValueError
        If there are such.
    """
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown or not names or len(set(names)) != len(names):
        raise ValueError(
            f"protocol: got {', '.join(names) or 'none'}; "
            f"allowed are {', '.join(PROTOCOLS)}, each at most once"
        )
    if key_bits not in KEY_BITS:
        raise ValueError(f"key-bits: got {key_bits}; allowed are 1024, 2048 and 3072")


def command(name: str, settings: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return the command line that repeats a run: what differs from the usual settings.

    Parameters
    ----------
    name : str
        The command.
    settings, usual : mapping of str to object
        Values by the names of the options, with underscores; an option whose value is a tuple is
        given once for each of its items.

    Returns
    -------
    str
        One line for a shell.

    Examples
    --------
    >>> usual = {"protocol": ("plain", "masking"), "key_bits": 2048, "seed": 1}
    >>> command("compare", usual | {"protocol": ("plain",), "seed": 7}, usual)
    'veilsum compare --protocol plain --seed 7'
    """
    words = ["veilsum", name]
    for option, value in settings.items():
        if value != usual[option]:
            items = value if isinstance(value, tuple) else (value,)
            words += [word for item in items for word in (_flag(option), str(item))]
    return shlex.join(words)


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")
