"""Flower's nodes under the names of the parties that they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from veilsum.channel import Directory
from veilsum.errors import AuthenticationError, ProtocolError, VeilsumError
from veilsum.integrations.flower.records import Answer, Request, introduction
from veilsum.randomness import random_bytes

__all__ = ["Nodes", "Reply", "exchange"]

_SHORTEST, _LONGEST = 0.005, 0.1
"""Seconds between two looks for replies: they grow from the one to the other."""

_NONCE_BYTES = 32

Asked = dict[str, int]
"""The node to which each message went, by the message's id."""


@dataclass(frozen=True)
class Reply:
    """What a party answered: an answer, or why there is none."""

    answer: Answer | None
    reason: str = ""


class Nodes:
    """The nodes of a run, each known by its identity.

    Parameters
    ----------
    grid : Grid
        Flower's own.
    directory : Directory
        Everybody's public identities.
    patience : float
        Seconds until a node that is asked who it is counts as absent.

    Attributes
    ----------
    requests : int
        How often nodes were asked, all at once.
    strangers : dict of int to str
        The nodes that have failed to say who they are, and why.
    """

    def __init__(self, grid: Grid, directory: Directory, *, patience: float) -> None:
        self.requests = 0
        self._grid = grid
        self._directory = directory
        self._patience = patience
        self._nonce = random_bytes(_NONCE_BYTES).tobytes()
        self._greeted: set[int] = set()
        self._unanswered: Asked = {}
        self._names: dict[int, str] = {}
        self.strangers: dict[int, str] = {}

    def names(self) -> dict[int, str]:
        """Return the names of the nodes that are connected; of two with one name, the later.

        Nodes that are new are asked who they are, and waited for once: who is silent then takes
        part from when its answer has come. Who fails to say who it is takes no part, unless it goes
        and comes back.
        """
        present = [*self._grid.get_node_ids()]
        new = [node for node in present if node not in self._greeted]
        self._greeted = {*present}
        self.strangers = {n: why for n, why in self.strangers.items() if n in self._greeted}
        self._meet(new)
        known = {node: self._names[node] for node in present if node in self._names}
        latest = {name: node for node, name in known.items()}
        return {node: name for node, name in known.items() if latest[name] == node}

    def ask(
        self,
        requests: Mapping[str, Request],
        *,
        kind: str,
        group: str = "",
        timeout: float | None,
        content: RecordDict | None = None,
    ) -> dict[str, Reply]:
        """Ask parties by their names, all at once, and return what they answer in time.

        Parameters
        ----------
        requests : mapping of str to Request
            What is asked of whom; who is not connected answers nothing.
        kind, group : str
            Type and group of the messages.
        timeout : float or None
            Seconds to wait; None waits for all.
        content : RecordDict, optional
            Records that go with every request.
        """
        self.requests += 1
        names = self.names()
        asked = [
            Message(requests[name].added_to(content), node, kind, group_id=group)
            for node, name in names.items()
            if name in requests
        ]
        replies = _pull(self._grid, _push(self._grid, asked), timeout)
        return {names[node]: _read(reply) for node, reply in replies}

    def _meet(self, new: Sequence[int]) -> None:
        request = Request(nonce=self._nonce).added_to()
        asked = _push(self._grid, [Message(request, node, MessageType.TRAIN) for node in new])
        late = _pull(self._grid, self._unanswered, 0.0)
        in_time = _pull(self._grid, asked, self._patience)
        self._unanswered |= asked
        for node, reply in (*late, *in_time):
            try:
                self._names[node] = self._introduced(node, reply)
                self.strangers.pop(node, None)
            except VeilsumError as error:
                self.strangers[node] = str(error)

    def _introduced(self, node: int, reply: Message) -> str:
        read = _read(reply)
        if read.answer is None:
            hint = "" if _is_refusal(reply) else "; is ClientApp(mods=[protection.mod]) its app?"
            raise ProtocolError(read.reason + hint)
        name, signature = read.answer.name, read.answer.signature
        known = self._directory.get(name)
        if known is None:
            raise AuthenticationError(f"the directory has nobody called {name!r}")
        run = reply.metadata.run_id
        known.verify(signature, introduction(self._nonce, run=run, node=node, name=name))
        return name


def exchange(grid: Grid, messages: Sequence[Message], timeout: float | None) -> list[Message]:
    """Send messages and return the replies, which are looked for oftener than Flower's grid does.

    Parameters
    ----------
    grid : Grid
        Flower's own.
    messages : sequence of Message
        What is sent.
    timeout : float or None
        Seconds to wait; None waits for all.
    """
    return [reply for _, reply in _pull(grid, _push(grid, messages), timeout)]


def _push(grid: Grid, messages: Sequence[Message]) -> Asked:
    """Send messages, and return to which node each went of those that were taken."""
    taken = {*grid.push_messages(messages)} if messages else set()
    nodes = {asked.metadata.message_id: asked.metadata.dst_node_id for asked in messages}
    return {identifier: node for identifier, node in nodes.items() if identifier in taken}


def _pull(grid: Grid, waiting: Asked, timeout: float | None) -> list[tuple[int, Message]]:
    """Return the replies to messages, each with the node that was asked.

    A reply does not tell: for a node that is gone the SuperLink answers in its own name. Messages
    without a reply stay in `waiting`.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    replies: list[tuple[int, Message]] = []
    interval = _SHORTEST
    while waiting:
        for reply in [*grid.pull_messages({*waiting})]:
            node = waiting.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                replies.append((node, reply))
        if not waiting or (deadline is not None and time.monotonic() >= deadline):
            break
        time.sleep(interval)
        interval = min(2 * interval, _LONGEST)
    return replies


def _is_refusal(reply: Message) -> bool:
    return bool(reply.has_error() and reply.error.code == ErrorCode.MOD_FAILED_PRECONDITION)


def _last_line(reason: str) -> str:
    """Return what an error says at last: the simulation puts a traceback before it."""
    return next((line for line in reversed(reason.splitlines()) if line.strip()), "")


def _read(reply: Message) -> Reply:
    if reply.has_error():
        return Reply(None, _last_line(reply.error.reason or "") or f"error {reply.error.code}")
    try:
        return Reply(Answer.of(reply.content))
    except ProtocolError as error:
        return Reply(None, str(error))
