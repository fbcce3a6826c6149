"""What every protocol is made of: a session, its messages, and the parties that exchange them.

A protocol is sans-IO. A `Party` is a state machine that turns messages into messages and never
touches a network, a thread or a clock; who carries the bytes, and when a deadline has passed, is
the driver's business. Everything that the parties must agree on is a `Session`, and its digest is
in every message, so that nothing can be moved from one session to another.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import cached_property, wraps
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import randomness
from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import (
    BudgetExceeded,
    DecodingError,
    DeserializationError,
    ProtocolError,
    VeilsumError,
)
from veilsum.wire import Kind, Reader, Writer, length_prefixed

__all__ = [
    "Message",
    "Outcome",
    "Party",
    "Phase",
    "Session",
    "blaming",
    "client_name",
    "decode",
    "read_clients",
    "require_clients",
    "require_survivors",
    "state",
    "write_clients",
]

Phase = Literal["protect", "combine", "open"]

ID_BYTES = 32
NONCE_BYTES = 16
MAX_LABEL_BYTES = 64
MAX_NAME_BYTES = 64


def client_name(client: int) -> str:
    """Return the party name of the client with index `client`, such as ``"client-3"``."""
    return f"client-{client}"


def _fresh_nonce() -> bytes:
    return randomness.random_bytes(NONCE_BYTES).tobytes()


@dataclass(frozen=True, kw_only=True)
class Session:
    """All that the parties of one round agree on before it starts.

    Whoever opens a session proposes it; a client that receives one compares it with what it knows
    itself by `require`, before it makes its party.

    Parameters
    ----------
    protocol : str
        The aggregator's name.
    roster : tuple of int
        Indices of the invited clients, ascending.
    threshold : int
        How many parties open a sum together, such as the holders of shares; 1 where one does.
    min_survivors : int
        The fewest clients whose sum may be opened; at most all of the roster.
    round : int
        The training round.
    length : int
        Coordinates of an update.
    encoding : FixedPoint
        The public scale and bound of every update.
    digits : Digits
        How a quantised coordinate is written in numbers that the protocol can add.
    model_digest : bytes
        An opaque digest of the model that the updates belong to.
    parameters : tuple of (str, bytes)
        What else the protocol binds, such as a key's fingerprint; sorted by name.
    nonce : bytes
        Random, so that two sessions with equal contents still differ.
    """

    protocol: str
    roster: tuple[int, ...]
    threshold: int
    min_survivors: int
    round: int
    length: int
    encoding: FixedPoint
    digits: Digits
    model_digest: bytes = b""
    parameters: tuple[tuple[str, bytes], ...] = ()
    nonce: bytes = field(default_factory=_fresh_nonce)

    def __post_init__(self) -> None:
        if not self.roster or list(self.roster) != sorted(set(self.roster)) or self.roster[0] < 0:
            raise ValueError(
                f"roster: got {self.roster}, expected distinct indices from 0, ascending"
            )
        least = {"threshold": 1, "min_survivors": 1, "round": 0, "length": 1}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value < lowest:
                raise ValueError(f"{name}: got {value}, expected at least {lowest}")
        if self.min_survivors > len(self.roster):
            raise ValueError(
                f"min_survivors: got {self.min_survivors}, "
                f"expected at most {len(self.roster)}, the whole roster"
            )
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)):
            raise ValueError(f"parameters: got {names}, expected distinct names, sorted")

    @cached_property
    def id(self) -> bytes:
        """SHA-256 over every field, each length-prefixed: 32 bytes."""
        numbers = (self.threshold, self.min_survivors, self.round, self.length)
        parts = (
            b"veilsum/session/v1",
            self.protocol.encode(),
            _numbers(*self.roster),
            _numbers(*numbers),
            _numbers(self.encoding.scale),
            self.encoding.bound.hex().encode(),
            _numbers(*astuple(self.digits)),
            self.model_digest,
            length_prefixed(*(name.encode() for name, _ in self.parameters)),
            length_prefixed(*(value for _, value in self.parameters)),
            self.nonce,
        )
        return hashlib.sha256(length_prefixed(*parts)).digest()

    def require(
        self,
        *,
        model_digest: bytes | None = None,
        min_threshold: int = 1,
        min_survivors: int = 1,
        max_bound: float = math.inf,
        parameters: Mapping[str, bytes] | None = None,
    ) -> None:
        """Refuse a session that is not what a client knows or asks for itself.

        A session id makes all parties of a session share its contents, true or not. Only a client
        that compares them with a view of its own notices that it was handed another model, a lower
        threshold or a foreign key.

        Parameters
        ----------
        model_digest : bytes, optional
            The digest of the model that the client trained on.
        min_threshold, min_survivors : int
            The lowest `threshold` and `min_survivors` that the client accepts.
        max_bound : float
            The largest bound of the encoding that the client accepts.
        parameters : mapping of str to bytes, optional
            Parameters that must be there with these values, such as a key's fingerprint.

        Raises
        ------
        ProtocolError
            When the session differs.

        Examples
        --------
        >>> from veilsum.protocols import Sharing
        >>> session = Sharing(holders=5).open_session(range(9), length=4, model_digest=b"model 7")
        >>> session.require(model_digest=b"model 7", min_threshold=3, min_survivors=5)
        >>> session.require(model_digest=b"model 8")
        Traceback (most recent call last):
            ...
        veilsum.errors.ProtocolError: session: it binds another model than this client has
        """
        if model_digest is not None and model_digest != self.model_digest:
            raise ProtocolError("session: it binds another model than this client has")
        lowest = {"threshold": min_threshold, "min_survivors": min_survivors}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise ProtocolError(
                    f"session: {name} is {getattr(self, name)}, this client asks for {least}"
                )
        if not self.encoding.bound <= max_bound:
            raise ProtocolError(
                f"session: the bound is {self.encoding.bound}, this client allows {max_bound}"
            )
        bound = dict(self.parameters)
        for name, value in (parameters or {}).items():
            if bound.get(name) != value:
                raise ProtocolError(f"session: {name!r} is not what this client knows")

    @property
    def clients(self) -> tuple[str, ...]:
        """Party names of the roster, in its order."""
        return tuple(client_name(client) for client in self.roster)

    @property
    def width(self) -> int:
        """How many numbers a client protects: `length` coordinates, `digits.count` digits each."""
        return self.length * self.digits.count

    def encode(self, update: ArrayLike) -> NDArray[np.int64]:
        """Return the update as the flat vector of signed digits that is protected.

        Raises
        ------
        BudgetExceeded
            When a value is NaN, infinite or beyond the encoding's bound.
        """
        integers = self.encoding.quantise(np.asarray(update).reshape(-1))
        if integers.size != self.length:
            raise ValueError(f"update: got {integers.size} coordinates, expected {self.length}")
        return self.digits.split(integers).reshape(-1)

    def decode(self, digit_sums: NDArray[Any], *, summands: int) -> NDArray[Any]:
        """Return the integer sums, one a coordinate, of that many summed digit vectors.

        They are int64 where every possible sum of the roster is, else Python integers, whatever
        the digits are, so that all protocols give the same array.

        Raises
        ------
        BudgetExceeded
            When honest clients cannot have written these digits.
        """
        integers = self.digits.join(digit_sums.reshape(self.length, self.digits.count))
        limit = summands * self.encoding.limit
        if integers.min() < -limit or integers.max() > limit:
            raise BudgetExceeded(
                f"sum: got a coordinate beyond {limit}, the most that {summands} clients give"
            )
        narrow = len(self.roster) * self.encoding.limit < 1 << 63
        return integers.astype(np.int64 if narrow else object)

    def admits(self, digits: NDArray[Any], *, summands: int = 1) -> bool:
        """Whether that many honest clients can have written such digits together."""
        limit = summands * self.digits.digit_limit
        return bool(
            digits.shape == (self.width,) and digits.min() >= -limit and digits.max() <= limit
        )

    def survivors(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the indices of the clients among `names`, in the roster's order."""
        heard = frozenset(names)
        return tuple(
            client for client, name in zip(self.roster, self.clients, strict=True) if name in heard
        )


def _numbers(*numbers: int) -> bytes:
    return length_prefixed(*(str(number).encode() for number in numbers))


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
    """

    session_id: bytes
    sender: str
    recipient: str

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
        writer = Writer(Kind.MESSAGE)
        writer.text(self.label)
        writer.blob(self.session_id)
        writer.text(self.sender)
        writer.text(self.recipient)
        self.write(writer)
        return writer.finish()

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
    label = reader.text(max_bytes=MAX_LABEL_BYTES)
    kind = next((kind for kind in kinds if kind.label == label), None)
    if kind is None:
        raise DeserializationError(
            f"no message of this protocol has the label {label!r}; "
            f"known are {', '.join(kind.label for kind in kinds)}"
        )
    session_id = reader.blob(max_bytes=ID_BYTES)
    if len(session_id) != ID_BYTES:
        raise DeserializationError(
            f"a session id has {ID_BYTES} bytes; the message has {len(session_id)}"
        )
    sender = reader.text(max_bytes=MAX_NAME_BYTES)
    recipient = reader.text(max_bytes=MAX_NAME_BYTES)
    fields = kind.read(reader)
    reader.finish()
    return kind(session_id=session_id, sender=sender, recipient=recipient, **fields)


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
class _Gathering(Generic[M]):
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

    Attributes
    ----------
    phase : {"protect", "combine", "open"} or None
        The kind of work of the state that was entered last.
    heard : tuple of str
        Whose messages came in the gathering that was closed last.
    outcome : Outcome or None
        The sum, once a party that learns it has reached it.
    """

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self.name = name
        self.phase: Phase | None = None
        self.heard: tuple[str, ...] = ()
        self.outcome: Outcome | None = None
        self._entered: set[str] = set()
        self._gathering: _Gathering[Any] | None = None

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
        return self._go_on(self.begin())

    def receive(self, message: Message) -> list[Message]:
        """Take one message in, and return what is sent in answer.

        Raises
        ------
        ProtocolError
            When the message is of a foreign session, for somebody else, from a sender who has no
            say here, of another round of the protocol, or has come before; when its contents are
            not what the sender owes; or when it was the last one and the messages do not fit
            together.
        DecodingError
            When holders' sums disagree.
        """
        gathering = self._admit(message)
        with blaming(f"{self.name} refuses {message.label!r} from {message.sender!r}"):
            gathering.each(message)
        gathering.missing.discard(message.sender)
        gathering.heard.append(message.sender)
        return self._go_on([])

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
                f"to go on and has {len(gathering.heard)}; missing are "
                f"{', '.join(sorted(gathering.missing))}"
            )
        gathering.missing.clear()
        return self._go_on([])

    @property
    def awaits(self) -> type[Message] | None:
        """The class of the messages that this party waits for, or None."""
        return None if self._gathering is None else self._gathering.kind

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
        self._gathering = _Gathering(kind, set(senders), [], least, each, then)

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

    def _admit(self, message: Message) -> _Gathering[Any]:
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
        if message.sender in gathering.heard:
            raise ProtocolError(
                f"{self.name} has had {message.label!r} from {message.sender!r} already"
            )
        if message.sender not in gathering.missing:
            raise ProtocolError(f"{self.name} expects no {message.label!r} of {message.sender!r}")
        return gathering

    def _go_on(self, messages: list[Message]) -> list[Message]:
        while self._gathering is not None and not self._gathering.missing:
            gathering, self._gathering = self._gathering, None
            self.heard = tuple(gathering.heard)
            with blaming(f"{self.name} cannot go on with what came"):
                messages = messages + gathering.then()
        return messages


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


def write_clients(writer: Writer, clients: Sequence[int]) -> None:
    """Append a list of client indices."""
    writer.array(np.array(clients, np.uint64))


def read_clients(reader: Reader) -> tuple[int, ...]:
    """Return the list of client indices that `write_clients` wrote."""
    clients = reader.array(np.uint64, max_axes=1)
    if clients.ndim != 1:
        raise DeserializationError("clients: got a single number, expected a list")
    return tuple(clients.tolist())


def require_clients(clients: Sequence[int], known: Iterable[int]) -> None:
    """Refuse a list of clients that is out of order, repeats one or names a stranger.

    Raises
    ------
    ProtocolError
        When it does.
    """
    if list(clients) != sorted(set(clients)):
        raise ProtocolError("a list of clients must be ascending without repetition")
    strangers = sorted(set(clients).difference(known))
    if strangers:
        raise ProtocolError(f"the clients {strangers} are not known here")


def require_survivors(clients: Sequence[int], session: Session, known: Iterable[int]) -> None:
    """Refuse survivors that are fewer than the session allows, out of order or unknown.

    Raises
    ------
    ProtocolError
        When they are.
    """
    if len(clients) < session.min_survivors:
        raise ProtocolError(
            f"survivors: got {len(clients)}, expected at least {session.min_survivors}"
        )
    require_clients(clients, known)
