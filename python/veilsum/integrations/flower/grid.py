"""The server's side: a grid that answers train messages by a mean of which nobody sees the parts.

A `ProtectedGrid` stands between a strategy and Flower's own grid. It opens a session for each round
of training, and a `Relay` says what is to be asked of whom.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flwr.app import Error, Message, MessageType, Metadata, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError, VeilsumError
from veilsum.integrations.flower.folders import Folder
from veilsum.integrations.flower.nodes import Nodes, Reply, exchange
from veilsum.integrations.flower.records import TRAINING, Request
from veilsum.protocols import Aggregate
from veilsum.protocols.base import address_of
from veilsum.protocols.relay import Relay
from veilsum.protocols.session import client_index, client_name
from veilsum.protocols.transport import Link, Work

if TYPE_CHECKING:
    from flwr.proto.node_pb2 import NodeInfo
    from flwr.supercore.run import Run

    from veilsum.integrations.flower.protection import Protection

__all__ = ["ProtectedGrid", "ProtectedRound"]


@dataclass(frozen=True, kw_only=True)
class ProtectedRound:
    """What became of the train messages of one round, and what it cost.

    Attributes
    ----------
    index : int
        Number of the round of this grid, from 1.
    roster, survivors : tuple of int
        The clients that were asked, and those whose updates are in the sum; none when it failed.
    liars : tuple of str
        The parties whose messages did not fit and were left out.
    failure : VeilsumError or None
        Why the round failed.
    requests : int
        How often nodes were asked, all at once; requests that prepared this round and later ones
        count here.
    seconds : float
        From the first request to the sum.
    work : mapping of (str, str) to float
        The seconds that each party spent in each phase, and training; those elsewhere, as they say.
    bytes : mapping of (str, str, Phase) to int
        The bytes of the protocol from one party to another in a phase, without Flower's own.
    """

    index: int
    roster: tuple[int, ...]
    survivors: tuple[int, ...] = ()
    liars: tuple[str, ...] = ()
    failure: VeilsumError | None = None
    requests: int
    seconds: float
    work: Mapping[tuple[str, str], float]
    bytes: Mapping[Link, int]


_SILENCE = 20.0
"""Seconds between two complaints."""


class ProtectedGrid(Grid):  # type: ignore[misc]
    """A grid that protects what nodes answer to train messages.

    Parameters
    ----------
    grid : Grid
        Flower's own.
    protection : Protection
        What is protected, and how; the same as at the nodes.
    folder : Folder
        The server's.
    run_config : mapping of str to object
        The settings of the run, which a session binds.

    Attributes
    ----------
    rounds : list of ProtectedRound
        What became of each round.
    aggregate : Aggregate or None
        The sum of the last round, if it was opened.
    """

    def __init__(
        self,
        grid: Grid,
        protection: Protection,
        folder: Folder,
        *,
        run_config: Mapping[str, Any],
    ) -> None:
        self.rounds: list[ProtectedRound] = []
        self.aggregate: Aggregate | None = None
        self._grid = grid
        self._protection = protection
        self._run_config = run_config
        self._complained = -math.inf
        directory = folder.credentials.directory
        self._nodes = Nodes(grid, directory, patience=protection.patience)
        self._sessions = _Sessions(self._nodes, protection, folder)

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """The run."""
        return self._grid.run

    def create_message(self, *args: Any, **options: Any) -> Message:
        """Create a message, as Flower's own grid does."""
        return self._grid.create_message(*args, **options)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the nodes that are clients; others hold keys or shares.

        There are none until those are connected without whom no sum is opened.
        """
        return self.clients().values()

    def clients(self) -> dict[int, int]:
        """Return the node of each client that is connected, by the client's index."""
        names = self._nodes.names()
        missing = self._sessions.missing({*names.values()})
        self._complain(missing)
        places = {client_index(name): node for node, name in names.items() if not missing}
        return {place: node for place, node in places.items() if place is not None}

    def _complain(self, missing: Sequence[str]) -> None:
        """Say, now and then, why a strategy that waits for nodes does."""
        complaints = [
            f"node {node} takes no part: {w}" for node, w in self._nodes.strangers.items()
        ]
        if missing:
            complaints.append(f"no node is {', '.join(missing)}; start more SuperNodes")
        if complaints and time.monotonic() - self._complained >= _SILENCE:
            self._complained = time.monotonic()
            for complaint in complaints:
                logging.getLogger("flwr").warning("veilsum: %s", complaint)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the nodes that are clients."""
        clients = {*self.get_node_ids()}
        return [info for info in self._grid.get_nodes() if info.node_id in clients]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push messages that ask for no training, which takes more than one message to answer.

        Raises
        ------
        ValueError
            When one does; use `send_and_receive`.
        """
        pushed = [*messages]
        if any(map(_trains, pushed)):
            raise ValueError("messages: got a train message; use send_and_receive, which protects")
        ids: Iterable[str] = self._grid.push_messages(pushed)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull the replies to pushed messages."""
        replies: Iterable[Message] = self._grid.pull_messages(message_ids)
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages, and return the replies.

        To train messages these are one, whose arrays and metrics are the survivors' weighted means,
        and an error for each client that was lost; or errors alone, when the round failed.

        Raises
        ------
        ValueError
            When train messages are sent along with others or to a node that is no client, or are
            not all alike: a mean has a meaning where all train on the same.
        """
        asked = [*messages]
        training = [message for message in asked if _trains(message)]
        if not training:
            return exchange(self._grid, asked, timeout)
        if len(training) < len(asked):
            raise ValueError("messages: got train messages and others; send them apart")
        return self._protected(training, timeout)

    def _protected(self, messages: Sequence[Message], timeout: float | None) -> list[Message]:
        begin, requests = time.perf_counter(), self._nodes.requests
        clients, digest = self._by_client(messages), self._common_digest(messages)
        content, metadata = messages[0].content, messages[0].metadata
        round_ = _Round(self._nodes, metadata, self._protection.patience)
        self.aggregate, mean, failure = None, None, None
        try:
            relay = self._sessions.open(tuple(clients), content, digest, metadata.message_type)
            aggregate = round_.run(relay, content, timeout=timeout)
            mean = self._protection.reply(content, aggregate)
            self.aggregate = aggregate
        except VeilsumError as error:
            failure = error
        done = self._told(tuple(clients), round_, failure, begin=begin, requests=requests)
        if done.survivors != done.roster:
            self._sessions.forget()
        lost = {client: asked for client, asked in clients.items() if client not in done.survivors}
        replies = _errors(lost, round_.reasons(failure))
        if mean is None:
            return replies
        return [Message(mean, reply_to=clients[done.survivors[0]]), *replies]

    def _told(
        self,
        roster: tuple[int, ...],
        round_: _Round,
        failure: VeilsumError | None,
        *,
        begin: float,
        requests: int,
    ) -> ProtectedRound:
        """Note what became of a round."""
        opened = self.aggregate
        done = ProtectedRound(
            index=len(self.rounds) + 1,
            roster=roster,
            survivors=() if opened is None else opened.survivors,
            liars=() if opened is None else opened.liars,
            failure=failure,
            requests=self._nodes.requests - requests,
            seconds=time.perf_counter() - begin,
            work=round_.training | ({} if opened is None else _plain(opened.seconds)),
            bytes={} if opened is None else opened.bytes,
        )
        self.rounds.append(done)
        return done

    def _by_client(self, messages: Sequence[Message]) -> dict[int, Message]:
        """Return the messages by the client to which they go, ascending."""
        names, places = self._nodes.names(), dict[int, Message]()
        for message in messages:
            client = client_index(names.get(message.metadata.dst_node_id, ""))
            if client is None or client in places:
                raise ValueError(
                    "messages: got a train message to a node that is no client, or two to one; "
                    "see get_node_ids"
                )
            places[client] = message
        return dict(sorted(places.items()))

    def _common_digest(self, messages: Sequence[Message]) -> bytes:
        """Return what stands for all that the clients train on, which has to be the same."""
        distinct = {
            (id(m.content), m.metadata.message_type, m.metadata.group_id): m for m in messages
        }
        digests = {
            self._protection.digest_of(message, self._run_config) for message in distinct.values()
        }
        if len(digests) > 1:
            raise ValueError(
                "messages: the train messages differ; under protection all clients train on the "
                "same arrays and settings"
            )
        return digests.pop()


class _Sessions:
    """Opens sessions, some rounds ahead where the protocol can be prepared."""

    def __init__(self, nodes: Nodes, protection: Protection, folder: Folder) -> None:
        self._nodes = nodes
        self._protection = protection
        self._folder = folder
        self._aggregator = folder.aggregator(protection.protocol, **protection.options)
        self._ready: list[Relay] = []
        self._opened = 0

    def open(self, roster: tuple[int, ...], content: RecordDict, digest: bytes, kind: str) -> Relay:
        """Return a session of these clients that waits for their updates."""
        encoding = self._protection.encoding_of(content)
        shape = roster, self._protection.length_of(content), encoding
        if not self._aggregator.prepared_by:
            return self._relay(*shape, digest)
        if not self._ready or _shape(self._ready[0]) != shape:
            self._ready = self._prepared(*shape, kind=kind)
        relay = self._ready.pop(0)
        relay.bind_model(digest)
        return relay

    def missing(self, present: Collection[str]) -> list[str]:
        """Return which of the staff are not there, when so few are that they open no sum."""
        elsewhere = [name for name in self._aggregator.staff(()) if name != self._folder.name]
        missing = [name for name in elsewhere if name not in present]
        if not missing:
            return []
        few = len(elsewhere) - len(missing) < self._aggregator.threshold_for(())
        return missing if few else []

    def forget(self) -> None:
        """Forget what was prepared: a client was lost, which may be back when it is done anew."""
        self._ready.clear()

    def _relay(
        self, roster: tuple[int, ...], length: int, encoding: FixedPoint, digest: bytes = b""
    ) -> Relay:
        self._opened += 1
        credentials, aggregator = self._folder.credentials, self._aggregator
        try:
            session = aggregator.open_session(
                roster,
                length=length,
                encoding=encoding,
                round=self._opened,
                model_digest=digest,
                directory=credentials.directory,
            )
        except VeilsumError:
            raise
        except ValueError as error:  # such as when a strategy has selected too few
            raise ProtocolError(f"session: {error}") from error
        here = [
            aggregator.server(session, name, credentials)
            for name in aggregator.staff(roster)
            if name == self._folder.name
        ]
        relay = Relay(session, here, aggregator.messages, credentials.directory)
        relay.start()
        return relay

    def _prepared(
        self, roster: tuple[int, ...], length: int, encoding: FixedPoint, *, kind: str
    ) -> list[Relay]:
        relays = [self._relay(roster, length, encoding) for _ in range(self._protection.ahead)]
        proposals = tuple(relay.session.to_bytes() for relay in relays)
        requests = {client_name(client): Request(sessions=proposals) for client in roster}
        while requests:
            replies = self._nodes.ask(requests, kind=kind, timeout=self._protection.patience)
            _hand_out(relays, replies)
            early = [relay for relay in relays if relay.awaits in self._aggregator.prepared_by]
            letters = _together(relay.collect() for relay in early)
            requests = {name: Request(letters=mail) for name, mail in letters.items()}
        failures = [relay.failure for relay in relays if relay.failure is not None]
        if failures:
            raise failures[0]
        return relays


class _Round:
    """One round of requests, until the sum is known."""

    def __init__(self, nodes: Nodes, metadata: Metadata, patience: float) -> None:
        self.training: dict[tuple[str, str], float] = {}
        self._nodes = nodes
        self._metadata = metadata
        self._patience = patience
        self._gone: dict[str, str] = {}

    def run(self, relay: Relay, content: RecordDict, *, timeout: float | None) -> Aggregate:
        """Ask the clients for their updates, and then whoever has letters.

        Who does not answer once is not asked again.
        """
        proposal, letters = relay.session.to_bytes(), relay.collect()
        invited = {*relay.session.clients}
        told = () if letters else (proposal,)  # where it was prepared, they know it
        requests = {
            name: Request(sessions=told, letters=letters.get(name, ()), trains=relay.session.id)
            for name in letters or relay.session.clients
        }
        records: RecordDict | None = content
        while requests:
            replies = self._nodes.ask(
                requests,
                kind=self._metadata.message_type,
                group=self._metadata.group_id,
                timeout=timeout,
                content=records,
            )
            self._note(requests, replies)
            _hand_out([relay], replies)
            if relay.outcome is not None:
                break
            requests = {
                name: Request(sessions=() if name in invited else (proposal,), letters=mail)
                for name, mail in relay.collect().items()
                if name not in self._gone
            }
            invited |= {*requests}
            timeout, records = self._patience, None
        return relay.aggregate()

    def reasons(self, failure: VeilsumError | None) -> Mapping[str, str]:
        """Return why each client that was lost was so."""
        rest = "its update came too late" if failure is None else str(failure)
        return defaultdict(lambda: rest, self._gone)

    def _note(self, requests: Mapping[str, Request], replies: Mapping[str, Reply]) -> None:
        silent = Reply(None, "the node did not answer in time, or is not connected")
        for name in requests:
            reply = replies.get(name, silent)
            if reply.answer is None:
                self._gone[name] = reply.reason
                continue
            if reply.answer.training:
                self.training[name, TRAINING] = reply.answer.training


def _errors(lost: Mapping[int, Message], reasons: Mapping[str, str]) -> list[Message]:
    """Return an error reply for each client that was lost."""
    return [
        Message(
            Error(code=ErrorCode.REPLY_MESSAGE_UNAVAILABLE, reason=reasons[client_name(client)]),
            reply_to=asked,
        )
        for client, asked in lost.items()
    ]


def _hand_out(relays: Sequence[Relay], replies: Mapping[str, Reply]) -> None:
    """Give each relay the letters of its session, and let it go on without those that are late."""
    by_id = {relay.session.id: relay for relay in relays}
    for name, reply in replies.items():
        if reply.answer is None:
            continue
        letters: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for letter in reply.answer.letters:
            letters[_session_of(letter)].append(letter)
        share = 1 / max(1, len(letters))
        spent = {phase: seconds * share for phase, seconds in reply.answer.phases.items()}
        for session_id, mail in letters.items():
            if session_id in by_id:
                by_id[session_id].take(name, mail, seconds=spent)
    for relay in relays:
        relay.settle()


def _session_of(letter: bytes) -> bytes:
    try:
        return address_of(letter).session_id
    except VeilsumError:
        return b""


def _together(mails: Iterable[Mapping[str, tuple[bytes, ...]]]) -> dict[str, tuple[bytes, ...]]:
    together: defaultdict[str, tuple[bytes, ...]] = defaultdict(tuple)
    for mail in mails:
        for name, letters in mail.items():
            together[name] += letters
    return together


def _shape(relay: Relay) -> tuple[tuple[int, ...], int, FixedPoint]:
    session = relay.session
    return session.roster, session.length, session.encoding


def _plain(seconds: Mapping[Work, float]) -> dict[tuple[str, str], float]:
    return {(name, str(phase)): spent for (name, phase), spent in seconds.items()}


def _trains(message: Message) -> bool:
    category, _, _ = message.metadata.message_type.partition(".")
    return bool(category == MessageType.TRAIN)
