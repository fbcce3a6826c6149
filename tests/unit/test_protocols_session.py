"""Sessions: what they bind, how they travel, and what a client's policy refuses."""

from dataclasses import fields, replace

import numpy as np
import pytest

from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import BudgetExceeded, DeserializationError, ProtocolError
from veilsum.protocols import Plain, Policy, Session, Sharing
from veilsum.protocols.session import (
    read_clients,
    require_clients,
    require_survivors,
    write_clients,
)
from veilsum.wire import Kind, Reader, Writer

ENCODING = FixedPoint.binary(8, bound=100.0)
FINGERPRINT = bytes(range(32))


def session(**changes):
    contents = {
        "protocol": "plain",
        "roster": (0, 2, 5),
        "threshold": 1,
        "min_survivors": 2,
        "round": 3,
        "length": 4,
        "encoding": ENCODING,
        "digits": Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**62 - 1),
        "directory": FINGERPRINT,
        "model_digest": b"model",
        "parameters": (("field", b"x"), ("key", b"y")),
        "nonce": bytes(16),
    }
    return Session(**(contents | changes))


# ---- The id


def test_equal_contents_give_one_session_id():
    assert session().id == session().id
    assert len(session().id) == 32


CHANGES = [
    {"protocol": "sharing"},
    {"roster": (0, 2, 6)},
    {"roster": (0, 2)},
    {"threshold": 2},
    {"min_survivors": 1},
    {"round": 4},
    {"length": 5},
    {"encoding": FixedPoint.binary(9, bound=100.0)},
    {"encoding": FixedPoint.binary(8, bound=101.0)},
    {"digits": Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**12)},
    {"digits": Digits.for_sum(limit=ENCODING.limit, summands=4, capacity=2**62 - 1)},
    {"directory": bytes(32)},
    {"model_digest": b"another model"},
    {"parameters": (("field", b"x"),)},
    {"parameters": (("field", b"xkey"), ("key", b"y"))},
    {"parameters": (("field", b"x"), ("kez", b"y"))},
    {"nonce": bytes(15) + b"\1"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_whatever_changes_the_session_changes_its_id(changes):
    assert session(**changes).id != session().id


def test_every_field_is_among_those_whose_change_changes_the_id():
    assert {name for change in CHANGES for name in change} == {
        field.name for field in fields(Session)
    }


def test_length_prefixes_keep_neighbouring_fields_apart():
    moved = session(parameters=(("field", b""), ("key", b"xy")))
    assert moved.id != session(parameters=(("field", b"x"), ("key", b"y"))).id
    assert session(roster=(1, 23), min_survivors=1).id != session(roster=(1, 2, 3)).id


def test_two_sessions_with_equal_contents_differ_by_a_fresh_nonce():
    first, second = (
        Plain().open_session([0, 1], length=2, encoding=ENCODING, round=1) for _ in range(2)
    )
    assert first.id != second.id
    assert len(first.nonce) == 16


def test_an_aggregator_s_sessions_bind_one_directory_as_long_as_its_roster_stays():
    aggregator = Plain()
    first, second = (aggregator.open_session(range(3), length=1) for _ in range(2))
    assert first.directory == second.directory
    assert aggregator.open_session(range(4), length=1).directory != first.directory
    assert Plain().open_session(range(3), length=1).directory != first.directory


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"roster": ()}, "roster"),
        ({"roster": (1, 1)}, "roster"),
        ({"roster": (2, 1)}, "roster"),
        ({"roster": (-1, 1)}, "roster"),
        ({"threshold": 0}, "threshold: got 0, expected at least 1"),
        ({"min_survivors": 0}, "min_survivors: got 0, expected at least 1"),
        ({"min_survivors": 4}, "min_survivors: got 4, expected at most 3, the whole roster"),
        ({"round": -1}, "round: got -1, expected at least 0"),
        ({"length": 0}, "length: got 0, expected at least 1"),
        ({"parameters": (("b", b""), ("a", b""))}, "parameters"),
        ({"parameters": (("a", b""), ("a", b""))}, "parameters"),
        ({"directory": b""}, "directory: got 0 bytes, expected the fingerprint of one"),
        ({"directory": bytes(33)}, "directory: got 33 bytes"),
        ({"model_digest": bytes(65)}, "model_digest: got 65 bytes, expected at most 64"),
        ({"nonce": b""}, "nonce: got 0 bytes, expected 16"),
    ],
    ids=str,
)
def test_impossible_sessions_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        session(**changes)


# ---- The wire


WIDE = FixedPoint.decimal(30, bound=2.0**40)


@pytest.mark.parametrize(
    "of",
    [
        session(),
        *(session(**changes) for changes in CHANGES),
        session(roster=(2**63,), min_survivors=1, round=2**64 - 1, threshold=2**64 - 1),
        session(encoding=WIDE, digits=Digits.for_sum(limit=WIDE.limit, summands=3, capacity=2**49)),
        session(parameters=tuple((f"{place:03}", bytes(place)) for place in range(255))),
        Sharing(holders=3).open_session(range(7), length=9, round=4, model_digest=bytes(64)),
    ],
    ids=lambda of: of.id.hex()[:8] if of.nonce == bytes(16) else "fresh",
)
def test_a_session_survives_the_wire(of):
    arrived = Session.from_bytes(of.to_bytes())
    assert arrived == of
    assert arrived.id == of.id
    assert arrived.to_bytes() == of.to_bytes()


def test_a_session_cut_anywhere_or_followed_by_anything_is_refused():
    data = session().to_bytes()
    for length in range(len(data)):
        with pytest.raises(DeserializationError):
            Session.from_bytes(data[:length])
    with pytest.raises(DeserializationError):
        Session.from_bytes(data + b"\0")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ((0, 2, 5), (0, 5, 2), "session: roster"),
        ((0, 2, 5), (0, 2, 2), "session: roster"),
    ],
    ids=str,
)
def test_bytes_of_an_impossible_roster_are_refused(old, new, match):
    before, after = (np.array(roster, "<u8").tobytes() for roster in (old, new))
    data = session().to_bytes()
    assert data.count(before) == 1
    with pytest.raises(DeserializationError, match=match):
        Session.from_bytes(data.replace(before, after))


def written(**changes):
    """The bytes of a session, field by field, of which some are no session's."""
    contents = {
        "clients": [0, 1],
        "threshold": 1,
        "min_survivors": 1,
        "length": 1,
        "scale": 1,
        "bound": 1.0,
        "limit": 1,
        "summands": 2,
        "width": 2,
        "count": 1,
        "directory": FINGERPRINT,
        "names": ["a", "b"],
        "nonce": bytes(16),
    } | changes
    writer = Writer(Kind.SESSION)
    writer.text("plain")
    writer.array(np.array(contents["clients"], np.uint64))
    for number in (contents["threshold"], contents["min_survivors"], 0, contents["length"]):
        writer.u64(number)
    writer.integer(contents["scale"])
    writer.float64(contents["bound"])
    writer.integer(contents["limit"])
    for name in ("summands", "width", "count"):
        writer.u64(contents[name])
    writer.blob(contents["directory"])
    writer.blob(b"model")
    writer.u8(len(contents["names"]))
    for name in contents["names"]:
        writer.text(name)
        writer.blob(b"")
    writer.blob(contents["nonce"])
    return writer.finish()


def test_the_layout_on_the_wire_is_this():
    assert Session.from_bytes(written()).to_bytes() == written()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"clients": []}, "roster"),
        ({"clients": 4}, "got a single number, expected a list"),
        ({"threshold": 0}, "threshold: got 0"),
        ({"min_survivors": 3}, "min_survivors: got 3"),
        ({"length": 0}, "length: got 0"),
        ({"length": 2**31 + 1}, "u64: got 2147483649"),
        ({"scale": 0}, "scale"),
        ({"scale": -1}, "scale"),
        ({"scale": 1 << 1024}, "integer length"),
        ({"bound": 0.0}, "bound"),
        ({"bound": -1.0}, "bound"),
        ({"bound": 1e300, "scale": 1 << 999}, "bound"),
        ({"limit": 0}, "limit: got 0"),
        ({"limit": 1 << 1024}, "integer length"),
        ({"summands": 0}, "summands: got 0"),
        ({"width": 0}, "width: got 0"),
        ({"count": 0}, "count: got 0"),
        ({"count": 2}, "count: got 2"),
        ({"count": 2, "width": 2**63}, "width"),
        ({"count": 65}, "u64: got 65"),
        ({"directory": bytes(31)}, "directory: got 31 bytes"),
        ({"directory": bytes(33)}, "blob length"),
        ({"names": ["b", "a"]}, "parameters"),
        ({"names": ["a", "a"]}, "parameters"),
        ({"names": ["x" * 65]}, "blob length"),
        ({"nonce": bytes(15)}, "nonce: got 15 bytes, expected 16"),
        ({"nonce": bytes(17)}, "blob length"),
    ],
    ids=lambda given: given if isinstance(given, str) else "+".join(given),
)
def test_bytes_of_no_possible_session_are_refused(changes, match):
    with pytest.raises(DeserializationError, match=match):
        Session.from_bytes(written(**changes))


# ---- The policy


def test_a_session_that_is_what_a_client_knows_is_accepted():
    Policy().check(session())
    Policy(
        protocol="plain",
        round=3,
        model_digest=b"model",
        directory=FINGERPRINT,
        min_threshold=1,
        min_survivors=2,
        max_bound=100.0,
        parameters={"key": b"y"},
    ).check(session())


@pytest.mark.parametrize(
    ("policy", "match"),
    [
        ({"protocol": "sharing"}, "its protocol is"),
        ({"protocol": ""}, "its protocol is"),
        ({"round": 4}, "its round is"),
        ({"round": 0}, "its round is"),
        ({"model_digest": b"another"}, "its model_digest is not"),
        ({"model_digest": b""}, "its model_digest is not"),
        ({"directory": bytes(32)}, "its directory is not"),
        ({"min_threshold": 2}, "threshold is 1, this client asks for 2"),
        ({"min_survivors": 3}, "min_survivors is 2, this client asks for 3"),
        ({"max_bound": 99.5}, "the bound is 100.0, this client allows 99.5"),
        ({"max_bound": float("nan")}, "the bound is 100.0"),
        ({"parameters": {"key": b"z"}}, "'key' is not what"),
        ({"parameters": {"prime": b"y"}}, "'prime' is not what"),
        ({"parameters": {"prime": b""}}, "'prime' is not what"),
        ({"parameters": {"field": b"x", "key": b"z"}}, "'key' is not what"),
    ],
    ids=str,
)
def test_a_session_that_is_not_what_a_client_knows_is_refused(policy, match):
    with pytest.raises(ProtocolError, match=match):
        Policy(**policy).check(session())


def test_every_field_of_a_policy_refuses_something():
    def refuses(name, value):
        with pytest.raises(ProtocolError):
            Policy(**{name: value}).check(session())

    demands = {
        "protocol": "x",
        "round": 9,
        "model_digest": b"x",
        "directory": b"x",
        "min_threshold": 9,
        "min_survivors": 9,
        "max_bound": 1.0,
        "parameters": {"x": b"x"},
    }
    assert demands.keys() == {field.name for field in fields(Policy)}
    for name, value in demands.items():
        refuses(name, value)


def test_a_server_that_hands_different_models_to_clients_is_caught_by_those_that_compare():
    handed = {client: b"model of %d" % client for client in (0, 2, 5)}
    proposed = session(model_digest=handed[0])
    Policy(model_digest=handed[0]).check(proposed)
    for client in (2, 5):
        with pytest.raises(ProtocolError, match="its model_digest is not what this client has"):
            Policy(model_digest=handed[client]).check(proposed)


# ---- Encoding and lists of clients


def test_an_update_is_encoded_and_its_sum_decoded_through_digits():
    narrow = session(digits=Digits.for_sum(limit=ENCODING.limit, summands=3, capacity=2**9))
    assert narrow.digits.count > 1
    digits = narrow.encode([[1.5, -2.0], [0.25, 100.0]])
    assert digits.shape == (narrow.width,)
    assert narrow.admits(digits)
    sums = narrow.decode(3 * digits, summands=3)
    assert sums.dtype == np.int64
    assert sums.tolist() == [3 * 384, -3 * 512, 3 * 64, 3 * 25600]


def test_integers_are_python_ints_only_where_the_roster_could_exceed_int64():
    wide = FixedPoint.binary(50, bound=2.0**20)
    digits = Digits.for_sum(limit=wide.limit, summands=3, capacity=2**40)
    of = session(encoding=wide, digits=digits)
    sums = of.decode(of.encode([2.0**20, -(2.0**20), 0.5, 0.0]), summands=1)
    assert sums.dtype == object
    assert sums.tolist() == [2**70, -(2**70), 2**49, 0]


def test_an_update_of_another_length_is_refused():
    with pytest.raises(ValueError, match="update: got 3 coordinates, expected 4"):
        session().encode([1.0, 2.0, 3.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 100.01])
def test_an_update_beyond_the_bound_is_refused(value):
    with pytest.raises(BudgetExceeded):
        session().encode([value, 0.0, 0.0, 0.0])


def test_vectors_that_no_honest_client_writes_are_told():
    limit = ENCODING.limit
    assert session().admits(np.array([limit, -limit, 0, 0]))
    assert not session().admits(np.array([limit + 1, 0, 0, 0]))
    assert not session().admits(np.array([0, 0, 0, -limit - 1]))
    assert not session().admits(np.array([0, 0, 0]))
    assert session().admits(np.array([2 * limit, 0, 0, 0]), summands=2)


def test_a_sum_beyond_what_its_summands_give_is_refused():
    limit = ENCODING.limit
    sums = np.array([2 * limit, 0, 0, 0])
    assert session().decode(sums, summands=2).tolist() == sums.tolist()
    with pytest.raises(BudgetExceeded, match="the most that 2 clients give"):
        session().decode(sums + np.array([1, 0, 0, 0]), summands=2)
    with pytest.raises(BudgetExceeded, match="the most that 2 clients give"):
        session().decode(-sums - np.array([1, 0, 0, 0]), summands=2)


def test_survivors_are_listed_in_the_order_of_the_roster():
    assert session().survivors(["client-5", "client-0", "client-9"]) == (0, 5)


def test_lists_of_clients_survive_the_wire():
    for clients in [(), (0,), (3, 70_000, 2**40)]:
        writer = Writer(Kind.MESSAGE)
        write_clients(writer, clients)
        assert read_clients(Reader(writer.finish(), Kind.MESSAGE)) == clients


def test_a_list_of_clients_has_one_encoding():
    writer = Writer(Kind.MESSAGE)
    writer.array(np.array(4, np.uint64))
    with pytest.raises(DeserializationError, match="got a single number, expected a list"):
        read_clients(Reader(writer.finish(), Kind.MESSAGE))


@pytest.mark.parametrize("clients", [(1, 0), (0, 0), (0, 7)])
def test_lists_of_clients_that_repeat_or_name_strangers_are_refused(clients):
    require_clients((0, 1), (0, 1, 2))
    with pytest.raises(ProtocolError):
        require_clients(clients, (0, 1, 2))


@pytest.mark.parametrize("clients", [(), (0,), (0, 7), (1, 0), (0, 0)], ids=str)
def test_survivors_that_are_too_few_or_no_list_of_known_clients_are_refused(clients):
    require_survivors((0, 2), session(), (0, 2, 5))
    with pytest.raises(ProtocolError):
        require_survivors(clients, session(), (0, 2, 5))


def test_a_session_is_made_anew_by_replace_with_another_id():
    first = session()
    known = first.id
    assert replace(first, round=4).id != known
    assert replace(first, round=4, nonce=first.nonce).id == session(round=4).id
