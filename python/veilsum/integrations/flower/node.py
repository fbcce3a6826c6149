"""A node's side: one process a message, whose parties rest in the run's context in between."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Context, Error, Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from numpy.typing import NDArray

from veilsum.channel import Identity, seal_for
from veilsum.errors import AuthenticationError, BudgetExceeded, ProtocolError, VeilsumError
from veilsum.integrations.flower.folders import Folder, node_folder
from veilsum.integrations.flower.records import TRAINING, Answer, Request, introduction, split
from veilsum.protocols import Contributor, Party, Policy, Session, resume, suspend
from veilsum.protocols.base import address_of
from veilsum.protocols.relay import visit
from veilsum.protocols.session import client_index
from veilsum.wire import length_prefixed

if TYPE_CHECKING:
    from veilsum.integrations.flower.protection import Protection

__all__ = ["answer"]

_PARTIES = "veilsum.parties"
_PURPOSE = "suspended party"
_VISITS_BYTES = 4

Next = Callable[[Message, Context], Message]


def answer(protection: Protection, message: Message, context: Context, call_next: Next) -> Message:
    """Answer a message: by the protocol when it is veilsum's, else as the app itself does.

    A train message that asks for an update in the open is refused. Whatever the protocol refuses
    becomes an error reply, which costs the node its part in the round, and nobody else anything;
    it says nothing that the client has measured.
    """
    try:
        request, content = split(message.content)
        if request is None:
            if message.metadata.message_type.split(".")[0] == MessageType.TRAIN:
                raise ProtocolError(
                    "the server asks for an update in the open; hand the strategy the grid of the "
                    "same Protection: FedAvg(...).start(grid=protection.grid(grid, context), ...)"
                )
            return call_next(message, context)
        node = _Node(protection, _folder(context), context)
        message.content = content
        return node.answer(request, message, call_next)
    except VeilsumError as error:
        refusal = Error(code=ErrorCode.MOD_FAILED_PRECONDITION, reason=str(error))
        return Message(refusal, reply_to=message)


def _folder(context: Context) -> Folder:
    """Return the node's folder; what is wrong with it is told here, and not to the server."""
    try:
        return Folder.open(node_folder(context.node_config, context.run_config))
    except (OSError, VeilsumError) as error:
        logging.getLogger("flwr").error("veilsum: %s", error)
        raise ProtocolError("the node cannot use its folder; its own log says why") from error


@dataclass(eq=False)
class _Part:
    """A party in a session, for the time of one message."""

    session: Session
    party: Party
    visits: int
    letters: list[bytes] = field(default_factory=list)


def _contributor(part: _Part) -> Contributor:
    if not isinstance(part.party, Contributor):
        raise ProtocolError(f"{part.party.name} holds keys or shares, and trains on nothing")
    return part.party


class _Node:
    """A node for the time of one message."""

    def __init__(self, protection: Protection, folder: Folder, context: Context) -> None:
        self._protection = protection
        self._folder = folder
        self._context = context
        self._memory = _Memory(context, folder.credentials.identity)
        self._aggregator = folder.aggregator(protection.protocol, **protection.options)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def answer(self, request: Request, message: Message, call_next: Next) -> Message:
        """Take a request in, train if it says so, and reply."""
        digest = (
            self._protection.digest_of(message, self._context.run_config) if request.trains else b""
        )
        parts = self._parts(request, digest)
        if request.trains:
            self._require_trainable(parts, request.trains, message.content)
            reply, update = self._trained(message, call_next)
            if update is None:
                return reply
            _contributor(self._part(parts, request.trains)).contribute(update, model_digest=digest)
        self._folder.claim({session_id: part.visits for session_id, part in parts.items()})
        letters, refusals = list[bytes](), list[VeilsumError]()
        for part in parts.values():
            sent, refused = self._visit(part)
            letters += sent
            refusals += refused
        if refusals and not letters:
            raise refusals[0]
        name, signature = self._introduced(request.nonce) if request.nonce else ("", b"")
        replied = Answer(
            letters=tuple(letters), seconds=self._seconds, name=name, signature=signature
        )
        return Message(replied.records(), reply_to=message)

    def _parts(self, request: Request, digest: bytes) -> dict[bytes, _Part]:
        """Return the sessions that the request speaks of, and their letters."""
        parts: dict[bytes, _Part] = {}
        if request.sessions:
            self._memory.clear()
        for data in request.sessions:
            session = Session.from_bytes(data)
            bound = digest if session.id == request.trains else b""
            parts[session.id] = _Part(session, self._joined(session, bound), visits=0)
        for letter in request.letters:
            self._part(parts, address_of(letter).session_id).letters.append(letter)
        return parts

    def _part(self, parts: dict[bytes, _Part], session_id: bytes) -> _Part:
        """Return the part with that session, which is resumed if it is not among them."""
        if session_id not in parts:
            session, visits, data = self._memory.load(session_id)
            party = self._party(session)
            resume(party, data)
            parts[session_id] = _Part(session, party, visits)
        return parts[session_id]

    def _require_trainable(
        self, parts: dict[bytes, _Part], session_id: bytes, content: RecordDict
    ) -> None:
        """Refuse a session that this node would train for in vain."""
        part = self._part(parts, session_id)
        _contributor(part)
        if part.session.encoding != self._protection.encoding_of(content):
            raise ProtocolError("session: its encoding is not this node's; see Protection(mean=)")
        length = self._protection.length_of(content)
        if part.session.length != length:
            raise ProtocolError(
                f"session: it sums {part.session.length} coordinates, and this node has {length}; "
                "see Protection(metrics=)"
            )

    def _joined(self, session: Session, digest: bytes) -> Party:
        """Return a fresh party of a session, if that is one which this node may take part in.

        The roster is the server's choice, so the default of a roster of one, which opens the sum of
        one client, counts only where it was asked for.
        """
        least = self._aggregator.min_survivors or self._protection.fewest
        client = client_index(self._folder.name)
        if client is None:
            self._aggregator.require_acceptable(session)
            Policy(min_survivors=least).check(session)
            return self._party(session)
        policy = Policy(model_digest=digest, min_survivors=least)
        return self._aggregator.join(session, client, None, self._folder.credentials, policy=policy)

    def _party(self, session: Session) -> Party:
        name, credentials = self._folder.name, self._folder.credentials
        client = client_index(name)
        if client is None:
            return self._aggregator.server(session, name, credentials)
        return self._aggregator.client(session, client, None, credentials)

    def _trained(self, message: Message, call_next: Next) -> tuple[Message, NDArray[Any] | None]:
        begin = perf_counter()
        content = message.content
        reply = call_next(message, self._context)
        self._seconds[TRAINING] = perf_counter() - begin
        if reply.has_error():
            return reply, None
        try:
            return reply, self._protection.contribution(content, reply.content)
        except BudgetExceeded:  # the server is told, and not of how many coordinates
            raise BudgetExceeded(
                "reply: what the client has learned is not all within the bound, or not finite; "
                "see Protection(mean=), whose WeightedMean has the bound and may clip"
            ) from None

    def _visit(self, part: _Part) -> tuple[list[bytes], list[VeilsumError]]:
        """Hand a party its letters, once, and lay it to rest."""
        begin = perf_counter()
        said = visit(
            part.party, part.letters, kinds=self._aggregator.messages, fresh=not part.visits
        )
        letters = [message.to_bytes() for message in said.messages]
        if part.party.phase is not None:
            self._seconds[part.party.phase] += perf_counter() - begin
        if part.party.awaits is None:
            self._memory.forget(part.session.id)
        else:
            self._memory.keep(part.session, part.visits + 1, suspend(part.party))
        return letters, said.refusals

    def _introduced(self, nonce: bytes) -> tuple[str, bytes]:
        name = self._folder.name
        said = introduction(nonce, run=self._context.run_id, node=self._context.node_id, name=name)
        return name, self._folder.credentials.identity.sign(said)


class _Memory:
    """Parties at rest, in the state of a run's context.

    Whoever keeps the context for the node cannot read them, nor make one up.
    """

    def __init__(self, context: Context, identity: Identity) -> None:
        self._identity = identity
        self._state = context.state
        if not isinstance(self._state.get(_PARTIES), ConfigRecord):
            self._state[_PARTIES] = ConfigRecord()

    def clear(self) -> None:
        """Forget all parties."""
        self._state[_PARTIES] = ConfigRecord()

    def forget(self, session_id: bytes) -> None:
        """Forget the party of a session."""
        self._state[_PARTIES].pop(session_id.hex(), None)

    def keep(self, session: Session, visits: int, party: bytes) -> None:
        """Keep a party, and how often it was visited."""
        plain = session.to_bytes()
        sealed = seal_for(
            self._identity.public,
            visits.to_bytes(_VISITS_BYTES, "little") + party,
            purpose=_PURPOSE,
            session_id=session.id,
            round_number=session.round,
            header=b"",
        )
        kept = [plain, sealed, self._identity.sign(_signed(plain, sealed))]
        self._state[_PARTIES][session.id.hex()] = kept

    def load(self, session_id: bytes) -> tuple[Session, int, bytes]:
        """Return the session, the visits and the party of a session.

        Raises
        ------
        ProtocolError
            When nothing is kept of it.
        AuthenticationError
            When it is not what was kept.
        """
        kept = self._state[_PARTIES].get(session_id.hex())
        if kept is None:
            raise ProtocolError(
                "the node takes no part in that session: it has not joined it, has answered all "
                "that it will, or its state was lost"
            )
        plain, sealed, signature = _three(kept)
        self._identity.public.verify(signature, _signed(plain, sealed))
        session = Session.from_bytes(plain)
        opened = self._identity.unseal(
            sealed,
            purpose=_PURPOSE,
            session_id=session_id,
            round_number=session.round,
            header=b"",
        )
        return session, int.from_bytes(opened[:_VISITS_BYTES], "little"), opened[_VISITS_BYTES:]


def _signed(session: bytes, sealed: bytes) -> bytes:
    return length_prefixed(b"veilsum/flower/party/v1", session, sealed)


def _three(kept: object) -> tuple[bytes, bytes, bytes]:
    match kept:
        case [bytes() as plain, bytes() as sealed, bytes() as signature]:
            return plain, sealed, signature
    raise AuthenticationError("context: the party in it was altered")
