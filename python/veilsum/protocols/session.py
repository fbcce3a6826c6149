"""What the parties of a round agree on, and what a client insists on before it joins."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum import randomness
from veilsum.channel import MAX_NAME_BYTES
from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import BudgetExceeded, DeserializationError, ProtocolError
from veilsum.wire import MAX_ELEMENTS, Kind, Reader, Writer

__all__ = [
    "Policy",
    "Session",
    "client_index",
    "client_name",
    "model_in_force",
    "read_clients",
    "require_clients",
    "require_survivors",
    "write_clients",
]

DIGEST_BYTES = 32
NONCE_BYTES = 16
MAX_DIGEST_BYTES = 64
MAX_VALUE_BYTES = 1 << 24
MAX_DIGITS = 64
_MAX_SCALE_BYTES = 128


def client_name(client: int) -> str:
    """Return the party name of the client with index `client`, such as ``"client-3"``."""
    return f"client-{client}"


def client_index(name: str) -> int | None:
    """Return the index of the client with that party name; None when it is no client's.

    Examples
    --------
    >>> client_index("client-3"), client_index("client-03"), client_index("server")
    (3, None, None)
    """
    digits = name.removeprefix("client-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if name == client_name(int(digits)) else None


def _fresh_nonce() -> bytes:
    return randomness.random_bytes(NONCE_BYTES).tobytes()


@dataclass(frozen=True, kw_only=True)
class Session:
    """All that the parties of one round agree on before it starts.

    Whoever opens a session proposes it; a client that receives one compares it with what it knows
    itself by a `Policy`, before it makes its party.

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
        An opaque digest of the model that the updates belong to; at most 64 bytes.
    parameters : tuple of (str, bytes)
        What else the protocol binds, such as a key's fingerprint; sorted by name.
    directory : bytes
        `Directory.fingerprint` of all who take part.
    nonce : bytes
        16 bytes, random, so that two sessions with equal contents still differ.
    """

    protocol: str
    roster: tuple[int, ...]
    threshold: int
    min_survivors: int
    round: int
    length: int
    encoding: FixedPoint
    digits: Digits
    directory: bytes
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
        if len(self.directory) != DIGEST_BYTES:
            raise ValueError(
                f"directory: got {len(self.directory)} bytes, expected the fingerprint of one"
            )
        if len(self.nonce) != NONCE_BYTES:
            raise ValueError(f"nonce: got {len(self.nonce)} bytes, expected {NONCE_BYTES}")
        _require_short(self.model_digest)

    @cached_property
    def id(self) -> bytes:
        """SHA-256 over every field: 32 bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Return the session behind the wire header, as it is sent to those who are invited."""
        writer = Writer(Kind.SESSION)
        writer.text(self.protocol)
        write_clients(writer, self.roster)
        for number in (self.threshold, self.min_survivors, self.round, self.length):
            writer.u64(number)
        writer.integer(self.encoding.scale)
        writer.float64(self.encoding.bound)
        writer.integer(self.digits.limit)
        for number in (self.digits.summands, self.digits.width, self.digits.count):
            writer.u64(number)
        writer.blob(self.directory)
        writer.blob(self.model_digest)
        writer.u8(len(self.parameters))
        for name, value in self.parameters:
            writer.text(name)
            writer.blob(value)
        writer.blob(self.nonce)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the session that `to_bytes` wrote; whether to join it is for a `Policy` to say.

        Raises
        ------
        DeserializationError
            When the bytes are not exactly one session.
        """
        reader = Reader(data, Kind.SESSION)
        try:
            session = cls(
                protocol=reader.text(max_bytes=MAX_NAME_BYTES),
                roster=read_clients(reader),
                threshold=reader.u64(),
                min_survivors=reader.u64(),
                round=reader.u64(),
                length=reader.u64(max_value=MAX_ELEMENTS),
                encoding=FixedPoint(
                    scale=reader.integer(max_bytes=_MAX_SCALE_BYTES), bound=reader.float64()
                ),
                digits=Digits(
                    limit=reader.integer(max_bytes=_MAX_SCALE_BYTES),
                    summands=reader.u64(),
                    width=reader.u64(),
                    count=reader.u64(max_value=MAX_DIGITS),
                ),
                directory=reader.blob(max_bytes=DIGEST_BYTES),
                model_digest=reader.blob(max_bytes=MAX_DIGEST_BYTES),
                parameters=tuple(
                    (reader.text(max_bytes=MAX_NAME_BYTES), reader.blob(max_bytes=MAX_VALUE_BYTES))
                    for _ in range(reader.u8())
                ),
                nonce=reader.blob(max_bytes=NONCE_BYTES),
            )
        except DeserializationError:
            raise
        except ValueError as error:
            raise DeserializationError(f"session: {error}") from None
        reader.finish()
        return session

    @cached_property
    def clients(self) -> tuple[str, ...]:
        """Party names of the roster, in its order."""
        return tuple(client_name(client) for client in self.roster)

    @property
    def width(self) -> int:
        """How many numbers a client protects: `length` coordinates, `digits.count` digits each."""
        return self.length * self.digits.count

    def admit(self, update: ArrayLike) -> NDArray[Any]:
        """Return the update as a flat vector, if `encode` will take it.

        Raises
        ------
        ValueError
            When its length is another.
        BudgetExceeded
            When a value is NaN, infinite or beyond the encoding's bound.
        """
        flat = np.asarray(update).reshape(-1)
        if flat.size != self.length:
            raise ValueError(f"update: got {flat.size} coordinates, expected {self.length}")
        return self.encoding.admit(flat)

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


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a client insists on, whatever the server proposes.

    A session id makes all parties of a session share its contents, true or not. Only a client that
    compares them with a view of its own notices that it was handed another model, a lower
    threshold, another modulus or a foreign key.

    Parameters
    ----------
    protocol : str, optional
        The only protocol that the client takes part in.
    round : int, optional
        The only training round; a client that counts rounds is never asked twice for one.
    model_digest : bytes, optional
        The digest of the model that the client trained on.
    directory : bytes, optional
        The fingerprint of the directory that the client knows.
    min_threshold, min_survivors : int
        The lowest `threshold` and `min_survivors` that the client accepts.
    max_bound : float
        The largest bound of the encoding, the clip of every coordinate, that it accepts.
    parameters : mapping of str to bytes
        Parameters that must be there with these values, such as a modulus or a key's fingerprint.

    Examples
    --------
    >>> from veilsum.protocols import Sharing
    >>> session = Sharing(holders=5).open_session(range(9), length=4, model_digest=b"model 7")
    >>> Policy(model_digest=b"model 7", min_threshold=3, min_survivors=5).check(session)
    >>> Policy(model_digest=b"model 8").check(session)
    Traceback (most recent call last):
        ...
    veilsum.errors.ProtocolError: session: its model_digest is not what this client has
    """

    protocol: str | None = None
    round: int | None = None
    model_digest: bytes | None = None
    directory: bytes | None = None
    min_threshold: int = 1
    min_survivors: int = 1
    max_bound: float = math.inf
    parameters: Mapping[str, bytes] = field(default_factory=dict)

    def check(self, session: Session) -> None:
        """Refuse a session that the policy does not allow.

        Raises
        ------
        ProtocolError
            When it does not.
        """
        for name in ("protocol", "round", "model_digest", "directory"):
            known, proposed = getattr(self, name), getattr(session, name)
            if known is not None and proposed != known:
                which = "not what this client has"
                if name in ("protocol", "round"):
                    which = f"{proposed!r}, this client expects {known!r}"
                raise ProtocolError(f"session: its {name} is {which}")
        lowest = {"threshold": self.min_threshold, "min_survivors": self.min_survivors}
        for name, least in lowest.items():
            if getattr(session, name) < least:
                raise ProtocolError(
                    f"session: {name} is {getattr(session, name)}, this client asks for {least}"
                )
        if not session.encoding.bound <= self.max_bound:
            raise ProtocolError(
                f"session: the bound is {session.encoding.bound}, "
                f"this client allows {self.max_bound}"
            )
        bound = dict(session.parameters)
        for name, value in self.parameters.items():
            if bound.get(name) != value:
                raise ProtocolError(f"session: {name!r} is not what this client knows")


def model_in_force(session: Session, late: bytes) -> bytes:
    """Return the digest of the model of a session, which may have come after it was opened.

    Parameters
    ----------
    session : Session
        Its own digest stands, where it binds one.
    late : bytes
        The digest that came later, or none.

    Raises
    ------
    ProtocolError
        When the session binds another.
    ValueError
        When it is longer than a digest may be.
    """
    _require_short(late)
    if late and session.model_digest and late != session.model_digest:
        raise ProtocolError("model_digest: the session is for another model")
    return session.model_digest or late


def _require_short(model_digest: bytes) -> None:
    if len(model_digest) > MAX_DIGEST_BYTES:
        raise ValueError(
            f"model_digest: got {len(model_digest)} bytes, expected at most {MAX_DIGEST_BYTES}"
        )


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
