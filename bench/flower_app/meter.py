"""A grid that counts what passes it: exchanges, their seconds, and their bytes a node."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Message
from flwr.common.serde import message_to_proto


@dataclass(slots=True)
class Exchange:
    """Messages to nodes and their replies, in the bytes that Flower serialises each to."""

    kind: str
    seconds: float
    down: dict[int, int]
    up: dict[int, int]


@dataclass(slots=True)
class Round:
    """One round of a strategy, with its evaluation."""

    seconds: float = 0.0
    exchanges: list[Exchange] = field(default_factory=list)


class Meter:
    """Stands before a grid, and does to messages what that does."""

    def __init__(self, grid: Any) -> None:
        self._grid = grid
        self._since = 0.0
        self._pushed = 0.0
        self.rounds: list[Round] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Carry messages to the nodes, and return their replies."""
        sent = list(messages)
        self._count_sent(sent)
        received = list(self._grid.send_and_receive(sent, timeout=timeout))
        self._count_received(received)
        return received

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Begin an exchange, which lasts until its last reply is pulled."""
        sent = list(messages)
        self._count_sent(sent)
        return list(self._grid.push_messages(sent))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are there."""
        received = list(self._grid.pull_messages(message_ids))
        if received:
            self._count_received(received)
        return received

    def write(self, file: Path, *, right: bool) -> None:
        """Tell whoever started the run what it took, and whether its model is right."""
        self._end()
        report = {"right": right, "rounds": [asdict(each) for each in self.rounds]}
        file.write_text(json.dumps(report), encoding="utf-8")

    def _count_sent(self, messages: list[Message]) -> None:
        begin = time.perf_counter()
        kind = messages[0].metadata.message_type
        # A round is over where messages to train follow those to evaluate.
        if not self.rounds or (kind == "train" and self.rounds[-1].exchanges[-1].kind != "train"):
            self._end()
            self.rounds.append(Round())
        down = bytes_by_node((message.metadata.dst_node_id, message) for message in messages)
        self.rounds[-1].exchanges.append(Exchange(kind, 0.0, down, {}))
        self._pushed = time.perf_counter()
        self._since += self._pushed - begin  # counting is no part of the round

    def _count_received(self, messages: list[Message]) -> None:
        now = time.perf_counter()
        exchange = self.rounds[-1].exchanges[-1]
        exchange.seconds = now - self._pushed
        exchange.up |= bytes_by_node(
            (message.metadata.src_node_id, message) for message in messages
        )
        self._since += time.perf_counter() - now

    def _end(self) -> None:
        """Close the round that is open, if one is."""
        now = time.perf_counter()
        if self.rounds:
            self.rounds[-1].seconds += now - self._since
        self._since = now


def bytes_by_node(messages: Iterable[tuple[int, Message]]) -> dict[int, int]:
    """Add up the bytes of every node's messages."""
    count: Counter[int] = Counter()
    for node, message in messages:
        count[node] += message_to_proto(message).ByteSize()
    return dict(count)
