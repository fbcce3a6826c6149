"""A party that outlives its process: written between two messages, and read back later.

An engine that starts a process for each message keeps a party as bytes in between. They hold what
the constructor is not given: each class of parties names these attributes in `Party.keeps`. The
rest, such as keys and options, comes with the fresh party that the bytes are read into.

The bytes are as secret as the party itself: seeds, shares and an update that was not yet used stand
in them in the clear. Nor do they tell whether they are the last ones. Whoever can hand back bytes
of a time before a message was answered has it answered once more, with other contents, and two
answers of one party can give an update away: whoever keeps the bytes keeps them from others, and
makes sure that they are his own and the latest.
"""

import inspect
import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veilsum.channel import KEY_BYTES, MAX_NAME_BYTES, KeyPair
from veilsum.errors import DeserializationError, ProtocolError, VeilsumError
from veilsum.protocols.base import Gathering, Message, Outcome, Party, decode
from veilsum.protocols.session import DIGEST_BYTES
from veilsum.shamir import Shares
from veilsum.wire import Kind, Reader, Writer

__all__ = ["resume", "suspend"]

_MAX_CLASS_BYTES = 1 << 10
_MAX_DEPTH = 8
_OBJECTS = 0  # the code of an array of Python numbers; others follow, in the order of _DTYPES
_DTYPES = tuple(map(np.dtype, ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", *"efd")))


def suspend(party: Party) -> bytes:
    """Write down where a party stands. The bytes are SECRET: they hold its seeds and shares.

    Parameters
    ----------
    party : Party
        Between two messages. It should not be used any more once its bytes are.

    Returns
    -------
    bytes
        For `resume`.

    Raises
    ------
    TypeError
        When a class of the party has a constructor and does not say what it `keeps`, or keeps a
        value of a type that is not written.

    Examples
    --------
    >>> from veilsum.protocols import Masking
    >>> masking = Masking()
    >>> session = masking.open_session([0, 1], length=2)
    >>> server, first, second = masking.parties(session, {0: [0.5, 1.0], 1: [0.25, -1.0]})
    >>> keys = [*first.start(), *second.start()]
    >>> secret = suspend(first)

    Another process makes the same party, without the update, which is in the bytes:

    >>> again = masking.client(session, 0, None, first.credentials)
    >>> resume(again, secret)
    >>> again.awaits.__name__, again.late
    ('Roster', ('server',))
    """
    writer = Writer(Kind.SUSPENDED)
    writer.blob(party.session.id)
    writer.text(party.name)
    writer.text(_class_name(party))
    for name in _kept(type(party)):
        writer.text(name)
        there = hasattr(party, name)
        writer.u8(there)
        if there:
            _write(writer, party, getattr(party, name))
    return writer.finish()


def resume(party: Party, data: bytes) -> None:
    """Let a fresh party stand where another one of its place was suspended.

    Parameters
    ----------
    party : Party
        Made with the session, name, credentials and options of the suspended one, and without an
        update; not started. What it drew at random gives way to what the other had drawn.
    data : bytes
        What `suspend` returned, of which the caller knows that they are his own and the latest.

    Raises
    ------
    ProtocolError
        When the party has been started.
    DeserializationError
        When the bytes are not exactly a suspended party, or that of another session, name or class;
        the party is then as it was.
    """
    if party.started:
        raise ProtocolError(
            f"{party.name} has been started and cannot resume; make a party for it and leave it so"
        )
    before = vars(party).copy()
    try:
        for name, value in _read_all(party, data).items():
            setattr(party, name, value)
    except (VeilsumError, TypeError, ValueError) as error:
        vars(party).clear()
        vars(party).update(before)
        if isinstance(error, DeserializationError):
            raise
        raise DeserializationError(f"suspended party: {error}") from error


def _read_all(party: Party, data: bytes) -> dict[str, Any]:
    reader = Reader(data, Kind.SUSPENDED)
    _require_same("session", reader.exactly(DIGEST_BYTES), party.session.id)
    _require_same("name", reader.text(max_bytes=MAX_NAME_BYTES), party.name)
    _require_same("class", reader.text(max_bytes=_MAX_CLASS_BYTES), _class_name(party))
    values: dict[str, Any] = {}
    for name in _kept(type(party)):
        _require_same("attribute", reader.text(max_bytes=_MAX_CLASS_BYTES), name)
        fresh = getattr(party, name, None)  # where there is none yet, any type will do
        if reader.u8(max_value=1):
            values[name] = _read(reader, party)
            if fresh is not None:
                _require_same(f"type of {name}", type(values[name]), type(fresh))
        elif hasattr(party, name):
            raise DeserializationError(f"suspended party: it lacks {name}")
    reader.finish()
    return values


def _require_same(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise DeserializationError(
            f"suspended party: it has another {what} than the party that is to resume"
        )


def _class_name(party: Party) -> str:
    return f"{type(party).__module__}.{type(party).__qualname__}"


def _kept(kind: type[Party]) -> list[str]:
    """Return the names of what parties of a class keep, those of its base classes first.

    Raises
    ------
    TypeError
        When one of these classes has a constructor and does not say.
    """
    for each in kind.__mro__:
        if "__init__" in vars(each) and issubclass(each, Party) and "keeps" not in vars(each):
            raise TypeError(
                f"{each.__qualname__} does not say which of its attributes outlive a message; "
                "name them in keeps"
            )
    return _over_bases(kind, "keeps")


def _over_bases(kind: type[Party], attribute: str) -> list[Any]:
    """Return what the classes of a party list under a name, without repetition."""
    lists = (vars(each).get(attribute, ()) for each in reversed(kind.__mro__))
    return [*dict.fromkeys(item for items in lists for item in items)]


# ---- Values


def _write(writer: Writer, party: Party, value: Any, depth: int = 0) -> None:
    """Append a value: the number of its form, and what that writes."""
    kind = Message if isinstance(value, Message) else type(value)  # no other subclass comes back
    tag = next((tag for tag, form in enumerate(_FORMS) if form.kind is kind), None)
    if tag is None or depth > _MAX_DEPTH:
        known = ", ".join(form.kind.__name__ for form in _FORMS)
        raise TypeError(
            f"{party.name} keeps a value of type {kind.__name__} that cannot be written; keep "
            f"{known}, at most {_MAX_DEPTH} in each other"
        )
    writer.u8(tag)
    _FORMS[tag].write(_Pen(writer, party, depth), value)


def _read(reader: Reader, party: Party, depth: int = 0) -> Any:
    """Return the value that `_write` wrote."""
    if depth > _MAX_DEPTH:
        raise DeserializationError("suspended party: its values are too deep in each other")
    form = _FORMS[reader.u8(max_value=len(_FORMS) - 1)]
    return form.read(_Page(reader, party, depth))


class _Pen(NamedTuple):
    """Where a form writes."""

    to: Writer
    party: Party
    depth: int

    def value(self, value: Any) -> None:
        """Append a value within the one that is written."""
        _write(self.to, self.party, value, self.depth + 1)

    def values(self, values: Collection[Any]) -> None:
        """Append how many there are, and each."""
        self.to.u64(len(values))
        for value in values:
            self.value(value)


class _Page(NamedTuple):
    """What a form reads."""

    of: Reader
    party: Party
    depth: int

    def value(self) -> Any:
        """Return a value within the one that is read."""
        return _read(self.of, self.party, self.depth + 1)

    def values(self, count: int | None = None) -> list[Any]:
        """Return so many values, or as many as are said to follow."""
        count = self.of.u64() if count is None else count
        return [self.value() for _ in range(count)]


def _write_set(pen: _Pen, names: set[str]) -> None:
    if not all(type(name) is str for name in names):
        raise TypeError(f"{pen.party.name} keeps a set that is not of strings; keep a list")
    pen.values(sorted(names))


def _read_set(page: _Page) -> set[str]:
    names = page.values()
    if not all(type(name) is str for name in names) or names != sorted(set(names)):
        raise DeserializationError("suspended party: a set is not one of strings, in order")
    return set(names)


def _write_dict(pen: _Pen, mapping: dict[Any, Any]) -> None:
    if not all(type(key) in (int, str) for key in mapping):
        raise TypeError(
            f"{pen.party.name} keeps a dict whose keys are not all int or str; change them"
        )
    pen.values(mapping)
    for value in mapping.values():
        pen.value(value)


def _read_dict(page: _Page) -> dict[Any, Any]:
    keys = page.values()
    if not all(type(key) in (int, str) for key in keys) or len(set(keys)) != len(keys):
        raise DeserializationError("suspended party: the keys of a dict repeat, or are none")
    return dict(zip(keys, page.values(len(keys)), strict=True))


def _write_array(pen: _Pen, array: NDArray[Any]) -> None:
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind != "O" and dtype not in _DTYPES:
        raise TypeError(f"{pen.party.name} keeps an array of dtype {dtype}; convert it")
    pen.to.u8(_OBJECTS if dtype.kind == "O" else 1 + _DTYPES.index(dtype))
    pen.to.shape(array.shape)
    if dtype.kind == "O":
        pen.values(array.reshape(-1).tolist())
    else:
        pen.to.blob(array.astype(dtype.newbyteorder("<")).tobytes())


def _read_array(page: _Page) -> NDArray[Any]:
    code = page.of.u8(max_value=len(_DTYPES))
    shape = page.of.shape()
    size = math.prod(shape)
    if code == _OBJECTS:
        values = page.values()
        if len(values) != size:
            raise DeserializationError("suspended party: an array has another size than its shape")
        objects = np.empty(size, object)
        for place, value in enumerate(values):
            objects[place] = value
        return objects.reshape(shape)
    dtype = _DTYPES[code - 1]
    data = page.of.exactly(size * dtype.itemsize)
    if dtype == np.bool_ and np.any(np.frombuffer(data, np.uint8) > 1):
        raise DeserializationError("suspended party: a flag is neither 0 nor 1")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _write_message(pen: _Pen, message: Message) -> None:
    _require_heard(pen.party, type(message))
    pen.to.blob(message.to_bytes())


def _read_message(page: _Page) -> Message:
    message: Message = decode(page.of.blob(), _over_bases(type(page.party), "hears"))
    return message


def _require_heard(party: Party, kind: type[Message]) -> None:
    if kind not in _over_bases(type(party), "hears"):
        raise TypeError(
            f"{type(party).__qualname__} does not say that it hears {kind.__name__}; "
            "name the class in hears"
        )


def _write_gathering(pen: _Pen, gathering: Gathering[Any]) -> None:
    _require_heard(pen.party, gathering.kind)
    methods = [_name_of(pen.party, method) for method in (gathering.each, gathering.then)]
    pen.values(
        [gathering.kind.label, gathering.missing, gathering.heard, gathering.least, *methods]
    )


def _read_gathering(page: _Page) -> Gathering[Any]:
    match page.values():
        case [str(label), set(missing), list(heard), int(least), str(each), str(then)]:
            kinds = {kind.label: kind for kind in _over_bases(type(page.party), "hears")}
            if label in kinds and all(type(name) is str for name in heard):
                methods = (_method(page.party, name) for name in (each, then))
                return Gathering(kinds[label], missing, heard, least, *methods)
    raise DeserializationError("suspended party: what it waits for is none of its class")


def _name_of(party: Party, method: Callable[..., Any]) -> str:
    name = getattr(method, "__name__", "")
    if getattr(party, name, None) != method:
        raise TypeError(f"{party.name} waits with {method!r}, expected a method of its own")
    return str(name)


def _method(party: Party, name: str) -> Callable[..., Any]:
    if name.startswith("__") or not inspect.isfunction(getattr(type(party), name, None)):
        raise DeserializationError("suspended party: it goes on with no method of its class")
    method: Callable[..., Any] = getattr(party, name)
    return method


def _write_outcome(pen: _Pen, outcome: Outcome) -> None:
    pen.values([outcome.sum, outcome.integers, outcome.survivors, outcome.liars])


def _read_outcome(page: _Page) -> Outcome:
    match page.values():
        case [np.ndarray() as sums, np.ndarray() as integers, tuple(survivors), tuple(liars)]:
            return Outcome(sums, integers, survivors, liars)
    raise DeserializationError("suspended party: its outcome is none")


class _Form(NamedTuple):
    """How values of one type are written and read."""

    kind: type
    write: Callable[[_Pen, Any], None]
    read: Callable[[_Page], Any]


_FORMS = (
    _Form(type(None), lambda *_: None, lambda _: None),
    _Form(bool, lambda pen, value: pen.to.u8(value), lambda page: page.of.u8(max_value=1) == 1),
    _Form(int, lambda pen, value: pen.to.integer(value), lambda page: page.of.integer()),
    _Form(float, lambda pen, value: pen.to.float64(value), lambda page: page.of.float64()),
    _Form(str, lambda pen, value: pen.to.text(value), lambda page: page.of.text()),
    _Form(bytes, lambda pen, value: pen.to.blob(value), lambda page: page.of.blob()),
    _Form(tuple, _Pen.values, lambda page: tuple(page.values())),
    _Form(list, _Pen.values, _Page.values),
    _Form(set, _write_set, _read_set),
    _Form(dict, _write_dict, _read_dict),
    _Form(np.ndarray, _write_array, _read_array),
    _Form(Message, _write_message, _read_message),
    _Form(
        KeyPair,
        lambda pen, pair: pen.to.blob(pair.private_bytes()),
        lambda page: KeyPair(page.of.exactly(KEY_BYTES)),
    ),
    _Form(
        Shares,
        lambda pen, shares: pen.to.blob(shares.to_bytes()),
        lambda page: Shares.from_bytes(page.of.blob()),
    ),
    _Form(Outcome, _write_outcome, _read_outcome),
    _Form(Gathering, _write_gathering, _read_gathering),
)
