"""Try attacks on every protocol, and print how many were tried and how many were refused.

Forgeries, replays and messages that are moved elsewhere are tried on every message of a round. A
server that equivocates shows one party another list of survivors than all others: it is refused
when that party gives nothing out that would open a sum.

    python bench/attack_table.py
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from veilsum import paillier
from veilsum.errors import InsecureKeyWarning, VeilsumError
from veilsum.protocols import (
    Aggregator,
    InMemoryTransport,
    Masking,
    Message,
    Paillier,
    Plain,
    Sharing,
    ThresholdPaillier,
    masking,
    sharing,
)
from veilsum.testing import attacks

CLIENTS, LENGTH, KEY_BITS = 5, 3, 1024
Counts = dict[str, tuple[int, int]]


def aggregators() -> Mapping[str, Aggregator]:
    """Return every protocol; its keys are short, since nothing here depends on their length."""
    keys = paillier.keygen(bits=KEY_BITS, insecure=True)
    shared = paillier.deal_key(holders=3, threshold=2, bits=KEY_BITS, insecure=True)
    return {
        "plain": Plain(),
        "paillier": Paillier(keys=keys),
        "threshold_paillier": ThresholdPaillier(keys=shared),
        "sharing, 5 holders": Sharing(holders=5),
        "sharing, no server": Sharing(),
        "masking": Masking(),
    }


def updates() -> NDArray[np.float64]:
    """Return a small update for each client."""
    return np.random.default_rng(1).normal(size=(CLIENTS, LENGTH))


def counted(aggregator: Aggregator) -> Counts:
    """Return (tried, refused) by attack."""
    rows = {row.attack: (row.tried, row.refused) for row in attacks(aggregator, list(updates()))}
    return rows | equivocations(aggregator)


def equivocations(aggregator: Aggregator) -> Counts:
    """Show each party in turn another list of survivors than the others."""
    lies: dict[str, tuple[type[Message], type[Message], Callable[[Message], Message]]] = {
        "masking": (masking.Survivors, masking.Revealed, one_flag_less),
        "sharing": (sharing.Survivors, sharing.Summed, one_client_less),
    }
    if aggregator.name not in lies or not aggregator.staff(range(CLIENTS)):
        return {}
    shown, given, lie = lies[aggregator.name]
    victims = recipients(aggregator, shown)
    silent = [keeps_silent(aggregator, shown, given, lie, victim) for victim in victims]
    return {"equivocating server": (len(silent), sum(silent))}


def recipients(aggregator: Aggregator, kind: type[Message]) -> list[str]:
    """Return to whom a round sends messages of a class."""
    seen: list[str] = []

    def watch(message: Message) -> bool:
        if isinstance(message, kind):
            seen.append(message.recipient)
        return False

    aggregator.aggregate(list(updates()), transport=InMemoryTransport(drop=watch))
    return seen


def keeps_silent(
    aggregator: Aggregator,
    shown: type[Message],
    given: type[Message],
    lie: Callable[[Message], Message],
    victim: str,
) -> bool:
    """Whether a party that was shown another list than the others gives nothing out."""
    gave: list[str] = []

    def equivocate(message: Message) -> Message:
        if isinstance(message, shown) and message.recipient == victim:
            return lie(message)
        return message

    def watch(message: Message) -> bool:
        if isinstance(message, given):
            gave.append(message.sender)
        return False

    transport = InMemoryTransport(lie=equivocate, drop=watch)
    with suppress(VeilsumError):  # the round may end without a sum: what the victim gave out counts
        aggregator.aggregate(list(updates()), transport=transport)
    return victim not in gave


def one_flag_less(message: Message) -> Message:
    """Return the list of survivors without the last of those who are not the recipient."""
    if not isinstance(message, masking.Survivors):
        return message
    bits = int.from_bytes(message.alive, "little")
    place = CLIENTS - 1 if message.recipient != f"client-{CLIENTS - 1}" else 0
    shorter = bits & ~(1 << place)
    return replace(message, alive=shorter.to_bytes(len(message.alive), "little"))


def one_client_less(message: Message) -> Message:
    """Return the list of survivors without its last."""
    if not isinstance(message, sharing.Survivors):
        return message
    return replace(message, clients=message.clients[:-1])


def table(columns: Mapping[str, Counts]) -> str:
    """Lay the counts out, attacks down and protocols across."""
    names: Iterable[str] = dict.fromkeys(attack for counts in columns.values() for attack in counts)
    head = ["attack", *columns]
    lines = [head, ["---"] * len(head)]
    for attack in names:
        cells = [
            "{1} of {0}".format(*counts[attack]) if attack in counts else "-"
            for counts in columns.values()
        ]
        lines.append([attack, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Print the table; fail when an attack was not refused."""
    warnings.simplefilter("ignore", InsecureKeyWarning)
    columns = {name: counted(aggregator) for name, aggregator in aggregators().items()}
    print("Refused of those that were tried:\n")
    print(table(columns))
    through = sum(
        tried - refused for counts in columns.values() for tried, refused in counts.values()
    )
    print(f"\n{through} came through")
    return int(through > 0)


if __name__ == "__main__":
    sys.exit(main())
