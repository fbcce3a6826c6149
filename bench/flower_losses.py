"""Lose one of five clients at each stage of a round: Flower's SecAgg+, and veilsum's masking.

Both run in this process. What each gives is compared with the mean of those who are left and with
the mean of all; the table says which it was, or what ended the round. It needs flwr 1.39 or later.
"""

from __future__ import annotations

import numpy as np
from flower_peer import STAGES, STEP, Floats, aggregate

from veilsum.errors import VeilsumError
from veilsum.protocols import InMemoryTransport, Masking, Message
from veilsum.protocols.masking import Advertise, Confirmed, Masked, Revealed, Shared

CLIENTS, LOST, LENGTH = 5, 2, 1000
SHARES, THRESHOLD = 5, 3
MOMENTS: dict[type[Message], str | None] = {
    Advertise: STAGES[0],
    Shared: STAGES[1],
    Masked: STAGES[2],
    Confirmed: None,
    Revealed: STAGES[3],
}
"""What a client of masking sends, in order, and the stage of SecAgg+ that it belongs to."""


def main() -> None:
    """Print the table."""
    updates = [
        np.random.default_rng(client).uniform(-1, 1, LENGTH).astype(np.float32)
        for client in range(CLIENTS)
    ]
    print("| lost from | SecAgg+ | masking |")
    print("| --- | --- | --- |")
    for kind, stage in MOMENTS.items():
        theirs = "-" if stage is None else in_flower(updates, stage)
        print(f"| {kind.label} | {theirs} | {in_veilsum(updates, kind)} |")


def in_flower(updates: list[Floats], stage: str) -> str:
    """Return what Flower makes of a round that a client leaves at a stage."""
    try:
        result = aggregate(updates, shares=SHARES, threshold=THRESHOLD, lost=[LOST], stage=stage)
    except Exception as error:  # whatever ends Flower's round
        return f"round lost: {type(error).__name__}"
    return whose(result.mean, updates, tolerance=STEP)


def in_veilsum(updates: list[Floats], moment: type[Message]) -> str:
    """Return what masking makes of a round that a client leaves with a message unsent."""
    kinds = [*MOMENTS]
    unsent = tuple(kinds[kinds.index(moment) :])
    transport = InMemoryTransport(
        drop=lambda message: isinstance(message, unsent) and message.sender == f"client-{LOST}"
    )
    try:
        result = Masking(threshold=4).aggregate(updates, transport=transport)
    except VeilsumError as error:
        return f"round lost: {type(error).__name__}"
    return whose(result.sum / len(result.survivors), updates, tolerance=1e-9)


def whose(mean: object, updates: list[Floats], *, tolerance: float) -> str:
    """Return whose mean it is.

    Raises
    ------
    RuntimeError
        When it is neither that of all nor that of those who are left.
    """
    left = [update for client, update in enumerate(updates) if client != LOST]
    for name, those in (("mean of all", updates), ("mean of those left", left)):
        exact = np.mean(those, axis=0, dtype=np.float64)
        if np.abs(np.asarray(mean) - exact).max() <= tolerance:
            return name
    raise RuntimeError("the mean is nobody's")


if __name__ == "__main__":
    main()
