"""What every protocol is made of: messages, and the parties that exchange them.

A protocol is sans-IO. A `Party` is a state machine that turns messages into messages and never
touches a network, a thread or a clock; who carries the bytes, and when a deadline has passed, is
the driver's business. Everything that the parties must agree on is a `Session`, and its digest is
in every message; every message is signed by its sender. So nothing can be forged, nor moved to
another session, round, sender or recipient.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.channel import MAX_NAME_BYTES, SIGNATURE_BYTES, Directory, Identity
from veilsum.errors import (
    AuthenticationError,
    DecodingError,
    DeserializationError,
    ProtocolError,
    VeilsumError,
)
from veilsum.protocols.session import DIGEST_BYTES, Session, model_in_force
from veilsum.wire import Kind, Reader, Writer

__all__ = [
    "Address",
    "Contributor",
    "Credentials",
    "Gathering",
    "Message",
    "Outcome",
    "Party",
    "Phase",
    "address_of",
    "blaming",
    "decode",
    "some",
    "state",
]

Phase = Literal["protect", "combine", "open"]

MAX_LABEL_BYTES = 64
_SIGNED = b"veilsum/message/v1"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Message(ABC):
    """One message of a protocol: an address, and the fields that a subclass adds.

    A subclass sets `label`, its name on the wire, and `phase`, the kind of work that made it, and
    says how its own fields are written and read.

    Parameters
    ----------
    session_id : bytes
        `Session.id`.
    sender, recipient : str
        Party names.
    signature : bytes
        The sender's, over all that comes before it on the wire; a `Party` signs what it sends.
    """

    session_id: bytes
    sender: str
    recipient: str
    signature: bytes = b""

    label: ClassVar[str]
    phase: ClassVar[Phase]

    @abstractmethod
    def write(self, writer: Writer) -> None:
        """Append the subclass's own fields."""

    @classmethod
    @abstractmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the subclass's own fields by name, as `write` wrote them."""

    def to_bytes(self) -> bytes:
        """Return the message behind the wire header."""
        writer = self._written()
        writer.blob(self.signature)
        return writer.finish()

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over all that comes before the signature on the wire: 32 bytes."""
        return self._written().digest()

    @property
    def signed(self) -> bytes:
        """What the signature signs."""
        return _SIGNED + self.digest

    def _written(self) -> Writer:
        writer = Writer(Kind.MESSAGE)
        writer.text(self.label)
        writer.blob(self.session_id)
        writer.text(self.sender)
        writer.text(self.recipient)
        self.write(writer)
        return writer

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the message that `to_bytes` wrote.

        Raises
        ------
        DeserializationError
            When the bytes are not exactly one message of this class.
        InvalidShare, DuplicateShare
            When the shares in it cannot have come from a dealing.
        """
        return decode(data, (cls,))


M = TypeVar("M", bound=Message)
P = TypeVar("P", bound="Party")


class Address(NamedTuple):
    """What stands on a message, for whoever carries it; nobody has checked it."""

    label: str
    session_id: bytes
    sender: str
    recipient: str


def address_of(data: bytes) -> Address:
    """Return what stands on a message, without reading what is in it.

    Raises
    ------
    DeserializationError
        When the bytes do not begin as a message does.
    """
    return _read_address(Reader(data, Kind.MESSAGE))


def _read_address(reader: Reader) -> Address:
    return Address(
        label=reader.text(max_bytes=MAX_LABEL_BYTES),
        session_id=reader.exactly(DIGEST_BYTES),
        sender=reader.text(max_bytes=MAX_NAME_BYTES),
        recipient=reader.text(max_bytes=MAX_NAME_BYTES),
    )


def decode(data: bytes, kinds: Sequence[type[M]]) -> M:
    """Return the one message that `data` holds, of one of the given classes.

    Raises
    ------
    DeserializationError
        When the bytes are not exactly one message of these classes.
    InvalidShare, DuplicateShare
        When the shares in it cannot have come from a dealing.
    """
    reader = Reader(data, Kind.MESSAGE)
    label, session_id, sender, recipient = _read_address(reader)
    kind = next((kind for kind in kinds if kind.label == label), None)
    if kind is None:
        raise DeserializationError(
            f"no message of this protocol has the label {label!r}; "
            f"known are {', '.join(kind.label for kind in kinds)}"
        )
    fields = kind.read(reader)
    digest = reader.digest()
    signature = reader.blob(max_bytes=SIGNATURE_BYTES)
    reader.finish()
    message = kind(
        session_id=session_id, sender=sender, recipient=recipient, signature=signature, **fields
    )
    message.__dict__["digest"] = digest  # of these very bytes: there is no need to write them again
    return message


@dataclass(frozen=True)
class Credentials:
    """Who a party is, and whom it knows.

    Parameters
    ----------
    identity : Identity
        Its own, secret.
    directory : Directory
        Everybody's public identities; the session binds its fingerprint.
    """

    identity: Identity
    directory: Directory

    def __repr__(self) -> str:
        return f"Credentials(identity={self.identity.public}, directory={self.directory})"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the party that learns the sum ends with.

    Parameters
    ----------
    sum : ndarray of float64, shape (length,)
        The decoded sum.
    integers : ndarray of int64 or of Python ints, shape (length,)
        The exact sum in units of the encoding's scale.
    survivors : tuple of int
        The clients whose updates are in the sum.
    liars : tuple of str
        The parties whose messages did not fit and were left out.
    """

    sum: NDArray[np.float64]
    integers: NDArray[Any]
    survivors: tuple[int, ...]
    liars: tuple[str, ...] = ()


def state(phase: Phase) -> Callable[[Callable[[P], list[Message]]], Callable[[P], list[Message]]]:
    """Make a method of a party a state of its machine: it can be entered once.

    Parameters
    ----------
    phase : {"protect", "combine", "open"}
        The kind of work that is done there, to which its seconds are counted.
    """

    def mark(method: Callable[[P], list[Message]]) -> Callable[[P], list[Message]]:
        @wraps(method)
        def enter(party: P) -> list[Message]:
            party.enter(method.__name__, phase)
            return method(party)

        return enter

    return mark


@dataclass(slots=True)
class Gathering(Generic[M]):
    """The messages that a party waits for, and the state that follows them."""

    kind: type[M]
    missing: set[str]
    heard: list[str]
    least: int
    each: Callable[[M], None]
    then: Callable[[], list[Message]]


class Party(ABC):
    """One party of a protocol, as a state machine that turns messages into messages.

    A subclass is a list of states in the order of the rounds. A state is a method marked with
    `state`; it says with `gather` which messages it waits for and which state follows them, or
    with `conclude` that the sum is there, and returns the messages that it sends.

    A message that is refused leaves the party as it was. Nothing is kept for later: a message that
    comes before its round is refused too, so a network that may reorder messages has to hold it
    back until `awaits` names its class.

    What others send never raises an error about an argument of the caller's: whatever a callback of
    `gather`, or a state that follows one, finds wrong with it becomes a `ProtocolError` that says
    whose message it was, or that the messages do not fit together. The cause is chained to it. Only
    `DecodingError` stays, since it says more: holders' sums disagree. A party reads its own input
    in `begin`, whose errors are left alone.

    Parameters
    ----------
    session : Session
        What the parties agreed on.
    name : str
        This party's name, such as ``"client-3"`` or ``"server"``.
    credentials : Credentials
        Who it is, and whom it knows.

    Raises
    ------
    ProtocolError
        When the session binds another directory, or the directory another identity for `name`.

    Attributes
    ----------
    phase : {"protect", "combine", "open"} or None
        The kind of work of the state that was entered last.
    heard : tuple of str
        Whose messages came in the gathering that was closed last.
    outcome : Outcome or None
        The sum, once a party that learns it has reached it.
    """

    keeps: ClassVar[tuple[str, ...]] = ("phase", "heard", "outcome", "_entered", "_gathering")
    """The attributes, or properties, that outlive a message and that the arguments of the
    constructor do not give: what `suspension.suspend` writes. A subclass adds its own, so one that
    has a constructor names them, or none."""

    hears: ClassVar[tuple[type[Message], ...]] = ()
    """The classes of the messages that it gathers or keeps, beside those of its base classes."""

    def __init__(self, session: Session, name: str, credentials: Credentials) -> None:
        if credentials.directory.fingerprint != session.directory:
            raise ProtocolError(f"{name} knows another directory than the session binds")
        if credentials.directory.get(name) != credentials.identity.public:
            raise ProtocolError(f"the directory has another identity for {name}, or none")
        self.session = session
        self.name = name
        self.credentials = credentials
        self.phase: Phase | None = None
        self.heard: tuple[str, ...] = ()
        self.outcome: Outcome | None = None
        self._entered: set[str] = set()
        self._gathering: Gathering[Any] | None = None

    @abstractmethod
    def begin(self) -> list[Message]:
        """Enter the first state."""

    def start(self) -> list[Message]:
        """Begin, and return the first messages.

        Raises
        ------
        ProtocolError
            When the party has been started before.
        """
        return self._signed(self._go_on(self.begin()))

    def receive(self, message: Message) -> list[Message]:
        """Take one message in, and return what is sent in answer.

        Raises
        ------
        ProtocolError
            When the message is of a foreign session, for somebody else, from a sender who has no
            say here, of another round of the protocol, has come before, or is not signed by its
            sender; when its contents are not what the sender owes; or when it was the last one and
            the messages do not fit together.
        DecodingError
            When holders' sums disagree.
        """
        gathering = self._admit(message)
        with blaming(f"{self.name} refuses {message.label!r} from {message.sender!r}"):
            gathering.each(message)
        gathering.missing.discard(message.sender)
        gathering.heard.append(message.sender)
        return self._signed(self._go_on([]))

    def deadline(self) -> list[Message]:
        """Go on without the late, and return what is sent.

        A party that waits for nothing does nothing.

        Raises
        ------
        ProtocolError
            When too few have come to go on, or what has come does not fit together; the party has
            then left the session.
        DecodingError
            When holders' sums disagree.
        """
        gathering = self._gathering
        if gathering is None:
            return []
        if len(gathering.heard) < gathering.least:
            self._gathering = None
            raise ProtocolError(
                f"{self.name} needs {gathering.least} messages {gathering.kind.label!r} "
                f"to go on and has {len(gathering.heard)}; missing are {some(gathering.missing)}"
            )
        gathering.missing.clear()
        return self._signed(self._go_on([]))

    def sign(self, message: M) -> M:
        """Return the message with this party's signature."""
        signature = self.credentials.identity.sign(message.signed)
        signed = replace(message, signature=signature)
        signed.__dict__["digest"] = message.digest  # no field that it covers has changed
        return signed

    def verify(self, message: Message) -> None:
        """Check that a message, perhaps one within another, is its sender's and of this session.

        Raises
        ------
        ProtocolError
            When it is not.
        """
        if message.session_id != self.session.id:
            raise ProtocolError(f"{self.name} refuses a message of a foreign session")
        sender = self.credentials.directory.get(message.sender)
        if sender is None:
            raise ProtocolError(f"{self.name} knows nobody called {message.sender!r}")
        if message.__dict__.get("verified") is sender:  # when it came too early, and was held back
            return
        try:
            sender.verify(message.signature, message.signed)
        except AuthenticationError as error:
            raise ProtocolError(
                f"{self.name} refuses {message.label!r} from {message.sender!r}: {error}"
            ) from error
        message.__dict__["verified"] = sender

    @property
    def started(self) -> bool:
        """Whether this party has entered a state of the session."""
        return bool(self._entered)

    @property
    def awaits(self) -> type[Message] | None:
        """The class of the messages that this party waits for, or None."""
        return None if self._gathering is None else self._gathering.kind

    @property
    def ready(self) -> bool:
        """Whether enough messages have come for a `deadline` to go on."""
        gathering = self._gathering
        return gathering is not None and len(gathering.heard) >= gathering.least

    @property
    def late(self) -> tuple[str, ...]:
        """The names of those that this party still waits for."""
        return () if self._gathering is None else tuple(sorted(self._gathering.missing))

    def enter(self, name: str, phase: Phase) -> None:
        """Note that the state called `name` is entered; a second time is refused."""
        if name in self._entered:
            raise ProtocolError(f"{self.name} has been in the state {name!r} of this session")
        self._entered.add(name)
        self.phase = phase

    def gather(
        self,
        kind: type[M],
        senders: Iterable[str],
        *,
        each: Callable[[M], None],
        then: Callable[[], list[Message]],
        least: int = 1,
    ) -> None:
        """Wait for one message of a class from each of the senders.

        Parameters
        ----------
        kind : type
            The class of the messages.
        senders : iterable of str
            Who has a say.
        each : callable
            Takes one message in as it comes. To refuse it, raise before changing anything.
        then : callable
            The state that follows when all have come, or the deadline has.
        least : int
            How few may have come at the deadline.
        """
        self._gathering = Gathering(kind, set(senders), [], least, each, then)

    def conclude(
        self, integers: NDArray[Any], survivors: tuple[int, ...], liars: tuple[str, ...] = ()
    ) -> None:
        """End with the survivors' sum in units of the encoding's scale."""
        encoding = self.session.encoding
        limit = len(survivors) * encoding.limit
        # An unchecked sum may be anything; honest ones decode faster for their limit.
        honest = -limit <= integers.min() and integers.max() <= limit
        sums = encoding.dequantise(integers, limit=limit if honest else None)
        self.outcome = Outcome(sums, integers, survivors, liars)

    def _admit(self, message: Message) -> Gathering[Any]:
        gathering = self._gathering
        if message.session_id != self.session.id:
            raise ProtocolError(f"{self.name} refuses a message of a foreign session")
        if message.recipient != self.name:
            raise ProtocolError(f"{self.name} refuses a message to {message.recipient!r}")
        if gathering is None or type(message) is not gathering.kind:
            awaited = "nothing" if gathering is None else repr(gathering.kind.label)
            raise ProtocolError(
                f"{self.name} waits for {awaited} now; {message.label!r} is of another round"
            )
        if message.sender not in gathering.missing:
            if message.sender in gathering.heard:
                raise ProtocolError(
                    f"{self.name} has had {message.label!r} from {message.sender!r} already"
                )
            raise ProtocolError(f"{self.name} expects no {message.label!r} of {message.sender!r}")
        self.verify(message)
        return gathering

    def _signed(self, messages: list[Message]) -> list[Message]:
        return [self.sign(message) for message in messages]

    def _go_on(self, messages: list[Message]) -> list[Message]:
        while self._gathering is not None and not self._gathering.missing:
            gathering, self._gathering = self._gathering, None
            self.heard = tuple(gathering.heard)
            with blaming(f"{self.name} cannot go on with what came"):
                messages = messages + gathering.then()
        return messages


class Contributor(Party):
    """A party that has an update in the sum, which may come when the session is already open.

    Parameters
    ----------
    session, name, credentials
        As for `Party`.
    update : array_like or None
        The update; None where `contribute` brings it.
    """

    keeps: ClassVar[tuple[str, ...]] = ("_update", "_contributed", "_model")

    starts_early: ClassVar[bool] = False
    """Whether it starts without its update, and so perhaps before there is a model to bind."""

    def __init__(
        self,
        session: Session,
        name: str,
        credentials: Credentials,
        *,
        update: ArrayLike | None,
    ) -> None:
        super().__init__(session, name, credentials)
        self._update = None if update is None else np.asarray(update)
        self._contributed = update is not None
        self._model = session.model_digest

    def start(self) -> list[Message]:
        """Begin, and return the first messages.

        Raises
        ------
        ProtocolError
            When the party has been started before; or when it needs its update to begin and has
            none, which leaves it as it was.
        """
        if not (self.started or self.starts_early):
            self.require_update()
        return super().start()

    def contribute(self, update: ArrayLike, *, model_digest: bytes = b"") -> None:
        """Bring the update of a party that was made without one.

        Masking needs it when `Relayed` comes, every other protocol before the party starts. What is
        refused leaves the party as it was.

        Parameters
        ----------
        update : array_like
            One number for each coordinate of the session, in any shape.
        model_digest : bytes
            The digest of the model that the update belongs to. It must be the session's where that
            binds one. A session that was opened before the model was there binds none: in masking
            the digest is then bound now (see `Masking`), and the other protocols refuse one.

        Raises
        ------
        ProtocolError
            When the party has its update already, or the digest is another than the session's or
            cannot be bound any more.
        ValueError
            When the update has another length than the session, or the digest is too long.
        BudgetExceeded
            When a value is NaN, infinite or beyond the encoding's bound.
        """
        if self._contributed:
            raise ProtocolError(f"{self.name} has its update already, and sums one a session")
        model = model_in_force(self.session, model_digest)
        if model != self.session.model_digest and not self.starts_early:
            raise ProtocolError(
                f"session: it binds no model, and {self.session.protocol} cannot bind one later; "
                "open the session with model_digest, or contribute without"
            )
        self._update = self.session.admit(update)
        self._contributed, self._model = True, model

    def require_update(self) -> NDArray[Any]:
        """Return the update.

        Raises
        ------
        ProtocolError
            When it has not come yet.
        """
        if self._update is None:
            raise ProtocolError(
                f"{self.name} has no update to protect yet; call contribute(update) first"
            )
        return self._update

    def spend(self) -> NDArray[Any]:
        """Return the update, and forget it.

        Raises
        ------
        ProtocolError
            When it has not come yet.
        """
        update, self._update = self.require_update(), None
        return update


def some(names: Iterable[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    in_order = sorted(names, key=lambda name: (len(name), name))
    more = len(in_order) - _SHOWN
    return ", ".join(in_order[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def blaming(prefix: str) -> Iterator[None]:
    """Turn an error about what others have sent into a `ProtocolError` that begins with `prefix`.

    `DecodingError` stays as it is.
    """
    try:
        yield
    except (ProtocolError, DecodingError):
        raise
    except VeilsumError as error:
        raise ProtocolError(f"{prefix}: {error}") from error
