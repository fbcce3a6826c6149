"""Masking: dropouts, liars, and a server that equivocates."""

import hashlib
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from veilsum.channel import KeyPair
from veilsum.encoding import FixedPoint
from veilsum.errors import BudgetExceeded, DecodingError, InvalidKey, ProtocolError
from veilsum.field import P50
from veilsum.protocols import InMemoryTransport, Masking, Plain, Session, masking
from veilsum.protocols.base import decode
from veilsum.protocols.masking import (
    Advertise,
    Client,
    Confirmations,
    Confirmed,
    Masked,
    Relayed,
    Revealed,
    Roll,
    Roster,
    Server,
    Shared,
    Survivors,
)
from veilsum.protocols.masks import add_masks
from veilsum.protocols.merkle import MerkleTree
from veilsum.protocols.seeds import LIMBS, rebuild_seeds

ENCODING = FixedPoint.binary(8, bound=1000.0)
UPDATES = np.array([[0.5, -1.0], [0.25, 2.0], [4.0, 4.5], [-8.0, 8.0], [16.0, 1.5], [3.0, -32.0]])


def lose(*losses):
    """Lose what these parties send of these kinds, and all that they would send later."""

    def drop(message):
        later = Masking.messages.index(type(message))
        return any(
            message.sender == sender and later >= Masking.messages.index(kind)
            for sender, kind in losses
        )

    return InMemoryTransport(drop=drop)


def lie(kind, change, *senders):
    """Let these parties send something else of a kind, signed as theirs."""

    def lying(message):
        if isinstance(message, kind) and message.sender in senders:
            return change(message)
        return message

    return lying


def run(aggregator, transport=None, **options):
    return aggregator.aggregate(UPDATES, encoding=ENCODING, transport=transport, **options)


class Table:
    """The parties of a session, and the messages among them up to some kind."""

    def __init__(self, clients=4, *, updates=UPDATES, aggregator=None, **options):
        self.aggregator = aggregator or Masking(**options)
        self.session = self.aggregator.open_session(range(clients), length=2, encoding=ENCODING)
        updates = {client: updates[client % 6] for client in range(clients)}
        self.server, *self.clients = self.aggregator.parties(self.session, updates)
        self.parties = {party.name: party for party in [self.server, *self.clients]}
        self._queue = deque(message for party in self.parties.values() for message in party.start())

    def until(self, kind):
        """Deliver all that comes before this kind, and return the messages of it by recipient."""
        held = []
        while self._queue:
            message = self._queue.popleft()
            if isinstance(message, kind):
                held.append(message)
            else:
                self.deliver(message)
        self._queue.extend(held)
        return held

    def deliver(self, message):
        arrived = decode(message.to_bytes(), Masking.messages)
        self._queue.extend(self.parties[message.recipient].receive(arrived))

    def to_client(self, kind, client=0):
        """Return the server's message of a kind to a client."""
        name = f"client-{client}"
        return next(message for message in self.until(kind) if message.recipient == name)

    def forged(self, message, **changes):
        """Return a message with other contents, signed by the party that is its sender."""
        return self.parties[message.sender].sign(replace(message, **changes))

    def refuses(self, message, match, **changes):
        """A message with these changes is refused, changes nothing, and the true one is taken."""
        recipient = self.parties[message.recipient]
        with pytest.raises(ProtocolError, match=match):
            recipient.receive(self.forged(message, **changes))
        recipient.receive(message)


# ---- Sums


@pytest.mark.parametrize(
    "encoding",
    [
        FixedPoint.binary(8, bound=1000.0),
        FixedPoint.binary(32, bound=2.0**20),
        FixedPoint.binary(48, bound=2.0**12),
        FixedPoint.binary(70, bound=2.0**10),
        FixedPoint.decimal(3, bound=50.0),
    ],
)
def test_sums_are_those_in_the_clear_for_every_width_of_words_and_digits(encoding):
    plain = Plain().aggregate(UPDATES, encoding=encoding)
    hidden = Masking().aggregate(UPDATES, encoding=encoding)
    assert hidden.integers.tolist() == plain.integers.tolist()
    np.testing.assert_array_equal(hidden.sum, plain.sum)


def test_long_updates_are_masked_in_chunks_and_threads():
    updates = np.linspace(-9, 9, 4 * 70_001).reshape(4, 70_001)
    encoding = FixedPoint.binary(57, bound=16.0)  # two digits a coordinate
    results = [Masking(threads=threads).aggregate(updates, encoding=encoding) for threads in (1, 3)]
    expected = Plain().aggregate(updates, encoding=encoding).integers
    for result in results:
        assert result.integers.tolist() == expected.tolist()


@pytest.mark.parametrize(("bound", "size"), [(2.0**20, 4), (2.0**21, 8)])
def test_words_are_as_narrow_as_the_sum_of_the_roster_allows(bound, size):
    encoding = FixedPoint.binary(8, bound=bound)  # 2**28 and 2**29, by six clients
    result = Masking().aggregate(np.zeros((6, 5000)), encoding=encoding)
    upload = result.bytes["client-0", "server", "protect"]
    assert size * 5000 < upload < size * 5000 + 4000


@pytest.mark.parametrize("clients", [1, 2, 3, 6])
def test_rosters_of_any_size_are_summed(clients):
    result = Masking().aggregate(UPDATES[:clients], encoding=ENCODING)
    np.testing.assert_array_equal(result.sum, UPDATES[:clients].sum(axis=0))
    assert result.refusals == ()


def test_clients_have_any_indices():
    updates = {3: [1.0], 17: [2.0], 400: [4.0], 401: [8.0]}
    result = Masking().aggregate(updates, dropped=[17])
    assert (result.sum.tolist(), result.survivors) == ([13.0], (3, 400, 401))


@pytest.mark.parametrize("dropped", [(), (1,), (2, 5), (0, 7, 12)])
def test_in_a_sparse_graph_the_survivors_are_summed(dropped):
    updates = np.arange(26.0).reshape(13, 2)
    aggregator = Masking(degree=8, threshold=6, corrupt=0.0, dropout=0.3, security_bits=1)
    gone = [(f"client-{client}", Masked) for client in dropped]
    result = aggregator.aggregate(updates, transport=lose(*gone))
    left = [client for client in range(13) if client not in dropped]
    assert result.survivors == tuple(left)
    np.testing.assert_array_equal(result.sum, updates[left].sum(axis=0))


def test_in_a_sparse_graph_clients_vanish_at_different_stages():
    updates = np.arange(26.0).reshape(13, 2)
    aggregator = Masking(degree=8, threshold=6, corrupt=0.0, dropout=0.4, security_bits=1)
    gone = [(f"client-{at}", kind) for at, kind in enumerate([Advertise, Shared, Masked, Revealed])]
    result = aggregator.aggregate(updates, transport=lose(*gone))
    assert result.survivors == (*range(3, 13),)
    np.testing.assert_array_equal(result.sum, updates[3:].sum(axis=0))


def test_masked_digits_look_uniform_whatever_the_update():
    counts = np.zeros(256)
    for value in (0.0, 999.0):
        table = Table(updates=np.full((6, 2), value))
        for message in table.until(Masked):
            counts += np.bincount(message.words.view(np.uint8), minlength=256)
    encoding, updates = FixedPoint.binary(8, bound=1000.0), np.full((4, 20_000), 999.0)
    masked = []
    Masking().aggregate(
        updates,
        encoding=encoding,
        transport=InMemoryTransport(lie=lie(Masked, lambda m: masked.append(m) or m, "client-2")),
    )
    counts += np.bincount(np.array(masked[0].words).view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 400  # 255 degrees: below 2**-26


def test_a_bad_update_is_its_owners_error():
    with pytest.raises(BudgetExceeded, match="values"):
        Masking().aggregate([[1.0], [np.nan], [2.0]], encoding=ENCODING)


def test_an_update_of_another_length_is_its_owners_error():
    aggregator = Masking()
    session = aggregator.open_session(range(2), length=3)
    client = aggregator.parties(session, {0: [1.0, 2.0]})[1]
    with pytest.raises(ValueError, match="coordinates"):
        client.start()


def test_a_session_whose_digits_are_of_another_encoding_is_refused():
    table = Table()
    narrow = replace(table.session, encoding=FixedPoint.binary(30, bound=1000.0))
    client = Client(narrow, 0, UPDATES[0], table.clients[0].credentials)
    with pytest.raises(ProtocolError, match="digits"):
        client.start()


# ---- Updates that come late, and their models


def late_table(models, *, clients=6, server_model=b"", **options):
    """Let these clients, by index, contribute late, each for its model; the others vanish then."""
    table = Table(clients, updates=[None] * clients, **options)
    relayed = table.until(Relayed)
    for client, model in models.items():
        table.clients[client].contribute(UPDATES[client], model_digest=model)
    table.server.bind_model(server_model)
    for message in relayed:
        if int(message.recipient.removeprefix("client-")) in models:
            table.deliver(message)
    table._queue = deque(message for message in table._queue if message not in relayed)
    return table


def finish(table):
    """Deliver what is there and let deadlines pass until the server has a sum, or fails."""
    while table.server.awaits:
        table.until(())
        for party in table.parties.values():
            table._queue.extend(party.deadline() if party is table.server else [])
    return table.server.outcome


@pytest.mark.parametrize("model", [b"", b"model 7"])
@pytest.mark.parametrize("stay", [(0, 1, 2, 3, 4, 5), (0, 1, 2, 4, 5), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("options", [{}, {"degree": 4, "corrupt": 0, "dropout": 0.2}])
def test_late_updates_of_one_model_are_summed_with_and_without_dropouts(model, stay, options):
    table = late_table(dict.fromkeys(stay, model), server_model=model, **options)
    outcome = finish(table)
    assert outcome.survivors == stay
    assert np.array_equal(outcome.sum, UPDATES[[*stay]].sum(axis=0))


def words_of_sums():
    """Return the words of every sum of some of the updates, the empty one included."""
    quantised = np.array([ENCODING.quantise(update) for update in UPDATES])
    chosen = [[bool(mask >> client & 1) for client in range(6)] for mask in range(64)]
    return {tuple(quantised[rows].sum(axis=0).astype(np.uint32).tolist()) for rows in chosen}


@pytest.mark.parametrize("server_model", [b"", b"model 7", b"model 8"])
@pytest.mark.parametrize("odd", [(3,), (0, 1), (1, 3, 5)])
def test_updates_of_two_models_give_no_sum(odd, server_model):
    """What the server is left with is no sum of any updates, whatever model it takes as its own."""
    models = {client: b"model 8" if client in odd else b"model 7" for client in range(6)}
    table = late_table(models, server_model=server_model)
    with pytest.raises(DecodingError, match="the unmasked sum is none of honest clients"):
        finish(table)
    assert table.server.outcome is None
    assert table.server._total.dtype == np.uint32
    assert tuple(table.server._total.tolist()) not in words_of_sums()


def test_a_client_that_vanishes_does_not_bring_two_models_together():
    models = {client: b"model 8" if client in (0, 1) else b"model 7" for client in range(5)}
    table = late_table(models, server_model=b"model 7")
    with pytest.raises(DecodingError, match="the unmasked sum is none of honest clients"):
        finish(table)
    assert tuple(table.server._total.tolist()) not in words_of_sums()


def test_a_server_that_names_another_model_cannot_take_the_masks_of_vanished_clients_off():
    table = late_table(dict.fromkeys(range(5), b"model 7"), server_model=b"model 8")
    with pytest.raises(DecodingError, match="the unmasked sum is none of honest clients"):
        finish(table)


def test_a_session_that_binds_a_model_takes_no_other():
    aggregator = Masking()
    bound = aggregator.open_session(range(4), length=2, encoding=ENCODING, model_digest=b"model 7")
    server, client, *_ = aggregator.parties(bound, dict.fromkeys(range(4)))
    for bind in (server.bind_model, lambda digest: client.contribute([1, 2], model_digest=digest)):
        with pytest.raises(ProtocolError, match="for another model"):
            bind(b"model 8")
        bind(b"model 7")


def test_a_session_without_a_model_is_bound_once():
    table = Table()
    table.server.bind_model(b"model 7")
    table.server.bind_model(b"model 7")
    with pytest.raises(ProtocolError, match="for another model"):
        table.server.bind_model(b"model 8")
    with pytest.raises(ValueError, match="model_digest: got 65 bytes"):
        table.server.bind_model(bytes(65))


def test_relayed_shares_wait_for_the_update():
    table = Table(updates=[None] * 6)
    relayed = table.to_client(Relayed)
    client = table.clients[0]
    with pytest.raises(ProtocolError, match=r"no update to protect yet; call contribute\(update\)"):
        client.receive(relayed)
    client.contribute(UPDATES[0])
    (masked,) = client.receive(relayed)
    assert isinstance(masked, Masked)


@pytest.mark.parametrize(
    ("update", "error"), [([1.0], ValueError), ([1.0, np.nan], BudgetExceeded)]
)
def test_a_late_update_that_cannot_be_is_refused_and_another_is_taken(update, error):
    client = Table(updates=[None] * 6).clients[0]
    with pytest.raises(error):
        client.contribute(update, model_digest=b"model 7")
    client.contribute(UPDATES[0], model_digest=b"model 8")
    assert client._model == b"model 8"


def test_an_update_is_forgotten_when_it_is_masked():
    table = Table()
    table.until(Masked)
    assert [client._update for client in table.clients] == [None] * 4


# ---- Masks of sessions


def test_no_two_sessions_pairs_or_directions_share_a_key():
    pairs = [KeyPair.generate() for _ in range(3)]
    aggregator = Masking()
    keys = set()
    sessions = [
        aggregator.open_session(range(3), length=2, round=number // 2) for number in range(4)
    ]
    for session in sessions:
        adverts = [
            Advertise(
                session_id=session.id,
                sender=f"client-{place}",
                recipient="server",
                seal_key=pair.public,
                mask_key=pair.public,
                commitment=bytes(32),
            )
            for place, pair in enumerate(pairs)
        ]
        for low, high in [(0, 1), (0, 2), (1, 2)]:
            key = masking._pair_key(session, pairs[low], adverts[low], adverts[high])
            assert key == masking._pair_key(session, pairs[high], adverts[high], adverts[low])
            keys.add(key)
    assert len(keys) == 3 * len(sessions)


def test_the_key_of_a_self_mask_is_neither_the_seed_nor_its_public_digest_nor_anothers():
    seed, sessions = bytes(range(32)), [Masking().open_session(range(3), length=2) for _ in "12"]
    keys = {masking._self_key(session, seed) for session in sessions}
    assert len(keys | {seed, hashlib.sha256(seed).digest()}) == 4


def test_a_client_that_copies_anothers_keys_has_another_mask():
    session = Masking().open_session(range(3), length=2)
    victim, copied = KeyPair.generate(), KeyPair.generate()
    adverts = [
        Advertise(
            session_id=session.id,
            sender=f"client-{place}",
            recipient="server",
            seal_key=public,
            mask_key=public,
            commitment=bytes(32),
        )
        for place, public in enumerate([victim.public, copied.public, copied.public])
    ]
    keys = [masking._pair_key(session, victim, adverts[0], peer) for peer in adverts[1:]]
    assert keys[0] != keys[1]  # with opposite signs, equal masks would cancel


def test_the_same_updates_give_other_masked_digits_in_every_session():
    tables = [Table(), Table()]
    seen = [{bytes(message.words) for message in table.until(Masked)} for table in tables]
    assert len(seen[0] | seen[1]) == 8


# ---- Refusals by a client


def test_messages_are_refused_out_of_their_round_twice_and_by_others():
    table = Table()
    roster, other = table.to_client(Roster), table.to_client(Roster, 1)
    client = table.parties["client-0"]
    with pytest.raises(ProtocolError, match="another round"):
        client.receive(table.forged(Survivors(**_address(roster), alive=b"\x0f")))
    with pytest.raises(ProtocolError, match="refuses a message to"):
        client.receive(other)
    with pytest.raises(ProtocolError, match="foreign session"):
        client.receive(table.forged(roster, session_id=bytes(32)))
    with pytest.raises(ProtocolError, match="expects no"):
        client.receive(table.parties["client-1"].sign(replace(roster, sender="client-1")))
    with pytest.raises(ProtocolError, match="signature"):
        client.receive(replace(roster, signature=bytes(64)))
    with pytest.raises(ProtocolError, match="signature"):
        client.receive(replace(roster, root=bytes(32)))
    client.receive(roster)
    with pytest.raises(ProtocolError, match="another round"):
        client.receive(roster)


def _address(message):
    return {name: getattr(message, name) for name in ("session_id", "sender", "recipient")}


def _swapped(entries, first, second):
    swapped = np.array(entries)
    swapped[[first, second]] = swapped[[second, first]]
    return swapped


def _altered(rows, place, column):
    altered = np.array(rows)
    altered[place, column] ^= 1
    return altered


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (lambda _: {"root": bytes(32)}, "another root"),
        (lambda m: {"paths": (m.paths[1], m.paths[0], *m.paths[2:])}, "another root"),
        (lambda m: {"paths": (m.paths[0][:32], *m.paths[1:])}, "too short"),
        (lambda m: {"paths": (m.paths[0] + bytes(32), *m.paths[1:])}, "too long"),
        (lambda m: {"entries": _swapped(m.entries, 1, 2)}, "signature"),
        (lambda m: {"entries": _swapped(m.entries, 0, 1)}, "other keys of this client"),
        (lambda m: {"entries": _altered(m.entries, 0, 0)}, "other keys of this client"),
        (lambda m: {"entries": _altered(m.entries, 1, 0)}, "signature"),  # a seal key
        (lambda m: {"entries": _altered(m.entries, 2, 40)}, "signature"),  # a mask key
        (lambda m: {"entries": _altered(m.entries, 3, 70)}, "signature"),  # a commitment
        (lambda m: {"entries": _altered(m.entries, 3, 159)}, "signature"),
        (lambda m: {"entries": m.entries[:3], "paths": m.paths[:3]}, "4 members"),
        (lambda _: {"present": b"\x0e"}, "without this client"),
        (lambda _: {"present": b"\x03"}, "too few"),
        (lambda _: {"present": b"\x07"}, "3 members"),
        (lambda _: {"present": b"\x1f"}, "more are set"),
        (lambda _: {"present": b"\x0f\x00"}, "2 bytes"),
    ],
)
def test_a_roster_that_is_not_as_the_clients_signed_it_is_refused(changes, match):
    table = Table()
    roster = table.to_client(Roster)
    table.refuses(roster, match, **changes(roster))


def test_keys_that_a_neighbour_signed_but_that_are_not_in_the_tree_are_refused():
    table = Table()
    roster = table.to_client(Roster)
    neighbour = table.parties["client-1"]
    another = neighbour.sign(replace(neighbour._own, mask_key=KeyPair.generate().public))
    entries = np.array(roster.entries)
    entries[1] = np.frombuffer(another.entry, np.uint8)
    table.refuses(roster, "another root", entries=entries)


def test_a_neighbour_whose_key_gives_no_secret_is_refused():
    table = Table()
    roster = table.to_client(Roster)
    neighbours = [table.parties[f"client-{place}"] for place in range(4)]
    adverts = [party.sign(party._own) for party in neighbours]
    adverts[1] = neighbours[1].sign(replace(adverts[1], seal_key=bytes(32)))
    tree = MerkleTree([advert.digest for advert in adverts])
    entries = np.array([np.frombuffer(advert.entry, np.uint8) for advert in adverts])
    paths = tuple(tree.path(place) for place in range(4))
    evil = table.forged(roster, root=tree.root, entries=entries, paths=paths)
    with pytest.raises(ProtocolError, match="zero"):
        table.parties["client-0"].receive(evil)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (lambda m: {"rows": m.rows[:2]}, "2 rows came for 3"),
        (lambda m: {"whose": b"\x01", "rows": m.rows[:1]}, "only 1 neighbours shared"),
        (lambda _: {"whose": b"\x0f"}, "more are set"),
        (lambda _: {"whose": b""}, "0 bytes"),
    ],
)
def test_relayed_shares_of_too_few_or_of_strangers_are_refused(changes, match):
    table = Table()
    relayed = table.to_client(Relayed)
    table.refuses(relayed, match, **changes(relayed))


def test_shares_that_cannot_be_opened_are_their_dealers_loss():
    def spoil(message):
        return replace(message, sealed=_altered(message.sealed, 0, 5))

    transport = InMemoryTransport(lie=lie(Shared, spoil, "client-3"))
    result = run(Masking(threshold=4), transport)
    np.testing.assert_array_equal(result.sum, UPDATES.sum(axis=0))


def test_shares_sealed_for_another_neighbour_cannot_be_opened():
    table = Table()
    relayed = table.to_client(Relayed)
    table.deliver(table.forged(relayed, rows=_swapped(relayed.rows, 0, 1)))
    client = table.parties["client-0"]
    assert [client._shares[rank] is None for rank in (1, 2, 3)] == [True, True, False]


def test_shares_that_are_no_residues_are_their_dealers_loss(monkeypatch):
    real = masking.share_seeds

    def wild(seeds, **options):
        return np.full_like(real(seeds, **options), P50.modulus)

    table = Table()
    client = table.parties["client-1"]
    roster = table.to_client(Roster, 1)
    monkeypatch.setattr(masking, "share_seeds", wild)
    (shared,) = client.receive(roster)
    monkeypatch.undo()
    table._queue = deque(message for message in table._queue if message is not roster)
    table._queue.append(shared)
    table.until(Masked)
    assert table.parties["client-0"]._shares[1] is None
    assert table.parties["client-0"]._shares[2] is not None


@pytest.mark.parametrize(
    ("alive", "match"),
    [
        (b"\x0e", "without this client"),
        (b"\x03", "at least 3"),
        (b"\x1f", "more are set"),
        (b"\x0f\x00", "2 bytes"),
    ],
)
def test_survivors_that_are_too_few_or_strangers_are_refused(alive, match):
    table = Table()
    survivors = table.to_client(Survivors)
    table.refuses(survivors, match, alive=alive)


def test_a_survivor_that_never_shared_is_refused():
    table = Table(5, threshold=3)
    relayed = table.to_client(Relayed)
    table.deliver(table.forged(relayed, whose=b"\x07", rows=relayed.rows[:3]))
    table._queue.remove(relayed)
    survivors = table.to_client(Survivors)
    with pytest.raises(ProtocolError, match="client-4 shared no seeds"):
        table.parties["client-0"].receive(survivors)


def below_the_bound(**options):
    """An aggregator that exposes clients, for what happens then."""

    class Careless(Masking):
        def _keeps_secrets(self, _density):
            return True

    return Careless(**options)


def sparse_table(threshold):
    options = {"degree": 4, "threshold": threshold, "corrupt": 0.0, "dropout": 0.6}
    return Table(12, aggregator=below_the_bound(**options))


def ring_of(table):
    """Return the ranks in the order on the ring."""
    return table.server._roll.graph._ring.tolist()


def flags(count, ranks):
    return masking.pack(np.isin(np.arange(count), ranks))


@pytest.mark.parametrize("gone", [(3, 4, 8, 9), (5, 6, 7, 2)])
def test_survivors_that_fall_apart_are_refused_and_others_are_not(gone):
    table = sparse_table(3)
    table.until(Survivors)
    ring = ring_of(table)
    left = [rank for place, rank in enumerate(ring) if place not in gone]
    survivors = table.to_client(Survivors, ring[11])
    client = table.parties[survivors.recipient]
    evil = table.forged(survivors, alive=flags(12, left))
    if gone == (3, 4, 8, 9):  # two gaps as long as half of the degree
        with pytest.raises(ProtocolError, match="fall apart"):
            client.receive(evil)
    else:
        (confirmed,) = client.receive(evil)
        assert isinstance(confirmed, Confirmed)


def test_survivors_with_too_few_neighbours_are_refused():
    table = sparse_table(4)
    table.until(Survivors)
    ring = ring_of(table)
    left = [rank for place, rank in enumerate(ring) if place not in (1, 3)]
    survivors = table.to_client(Survivors, ring[2])
    table.refuses(survivors, "2 neighbours are left", alive=flags(12, left))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (lambda m: {"whose": b"\x01", "rows": m.rows[:1]}, "only 1 neighbours confirm"),
        (lambda m: {"rows": _swapped(m.rows, 0, 1)}, "signature"),
        (lambda m: {"rows": _altered(m.rows, 1, 9)}, "signature"),
        (lambda m: {"rows": m.rows[[0, 0]]}, "signature"),
        (lambda _: {"whose": b"\x03\x00"}, "2 bytes"),
        (lambda _: {"whose": b"\x07"}, "2 rows came for 3"),
    ],
)
def test_confirmations_that_are_too_few_or_of_others_are_refused(changes, match):
    table = Table()
    confirmations = table.to_client(Confirmations)
    table.refuses(confirmations, match, **changes(confirmations))


def test_a_confirmation_of_a_vanished_neighbour_is_refused():
    table = Table(6, threshold=4)
    survivors = table.to_client(Survivors)
    for message in [*table._queue]:
        client = table.parties[message.recipient]
        alive = b"\x1f"  # without client-5, as all are told
        if message.recipient == "client-5":
            continue
        table._queue.extend(client.receive(table.forged(message, alive=alive)))
    table._queue = deque(m for m in table._queue if not isinstance(m, Survivors))
    signatures = {m.sender: m.signature for m in table._queue}
    evil = table.parties["client-5"]
    late = evil.sign(replace(table._queue[0], sender="client-5", signature=b""))
    rows = [*(signatures[f"client-{place}"] for place in (1, 2, 3, 4)), late.signature]
    confirmations = table.server.sign(
        Confirmations(
            **_address(survivors),
            whose=b"\x1f",
            rows=np.array([np.frombuffer(row, np.uint8) for row in rows]),
        )
    )
    with pytest.raises(ProtocolError, match="client-5 is no survivor"):
        table.parties["client-0"].receive(confirmations)


def test_a_client_answers_once_and_never_with_both_shares_of_one_neighbour():
    table = Table(6, threshold=4)
    table.until(Masked)
    lost = table._queue.pop()  # client-5's
    table.until(Survivors)
    table._queue.extend(table.server.deadline())
    client = table.parties["client-0"]
    rows = dict(client._shares)
    confirmations = table.to_client(Confirmations)
    (revealed,) = client.receive(confirmations)
    given = revealed.by_neighbour(client._neighbours)
    assert lost.sender == "client-5"
    for rank, row in rows.items():
        expected = row[LIMBS:] if rank == 5 else row[:LIMBS]
        np.testing.assert_array_equal(given[rank], expected)
        assert not np.intersect1d(given[rank], row[:LIMBS] if rank == 5 else row[LIMBS:]).size
    with pytest.raises(ProtocolError, match="another round"):
        client.receive(confirmations)
    assert not client._shares


# ---- Refusals by the server


@pytest.mark.parametrize("part", ["seal_key", "mask_key"])
def test_a_key_that_gives_no_secret_is_refused_and_its_owner_left_out(part):
    transport = InMemoryTransport(
        lie=lie(Advertise, lambda m: replace(m, **{part: bytes(32)}), "client-1")
    )
    result = run(Masking(threshold=4), transport)
    assert result.survivors == (0, 2, 3, 4, 5)
    assert isinstance(result.refusals[0].reason.__cause__, InvalidKey)


@pytest.mark.parametrize(
    ("kind", "change", "match"),
    [
        (Shared, lambda m: replace(m, sealed=m.sealed[:4]), "4 shares came for 5"),
        (Masked, lambda m: replace(m, words=m.words[:1]), "got 1 of 4 bytes, expected 2 of 4"),
        (Masked, lambda m: replace(m, words=m.words.astype(np.uint64)), "2 of 8 bytes"),
        (Confirmed, lambda m: replace(m, agreed=bytes(32)), "another list"),
        (Revealed, lambda m: replace(m, rows=m.rows[:4]), "4 rows came for 5"),
        (
            Revealed,
            lambda m: replace(m, rows=np.full_like(m.rows, P50.modulus)),
            "no residues",
        ),
    ],
)
def test_messages_that_do_not_fit_are_refused_and_their_sender_counts_as_lost(kind, change, match):
    result = run(Masking(threshold=4), InMemoryTransport(lie=lie(kind, change, "client-2")))
    assert match in str(result.refusals[0].reason)
    left = [client for client in range(6) if client != 2 or kind in (Confirmed, Revealed)]
    np.testing.assert_array_equal(result.sum, UPDATES[left].sum(axis=0))


def test_shares_of_clients_that_never_shared_are_refused():
    def add_row(message):
        return replace(message, whose=b"\x1f", rows=message.rows[[0, 0, 1, 2, 3]])

    transport = InMemoryTransport(
        drop=lambda m: m.sender == "client-5" and not isinstance(m, Advertise),
        lie=lie(Revealed, add_row, "client-0"),
    )
    result = run(Masking(threshold=4), transport)
    assert "never shared" in str(result.refusals[-1].reason)
    np.testing.assert_array_equal(result.sum, UPDATES[:5].sum(axis=0))


def test_messages_of_altered_bytes_are_refused_whatever_is_altered():
    kinds = (Advertise, Shared, Masked, Confirmed, Revealed)
    for kind in kinds:

        def flip(message, data, kind=kind):
            if isinstance(message, kind) and message.sender == "client-4":
                return data[:-80] + bytes([data[-80] ^ 1]) + data[-79:]
            return data

        result = run(Masking(threshold=4), InMemoryTransport(tamper=flip))
        assert len(result.refusals) == 1
        left = [0, 1, 2, 3, 5] if kind in kinds[:3] else [*range(6)]
        np.testing.assert_array_equal(result.sum, UPDATES[left].sum(axis=0))


# ---- Liars


def _wild(message):
    return replace(message, rows=P50.random(message.rows.shape))


@pytest.mark.parametrize("liars", [("client-0",), ("client-2",)])
def test_altered_shares_are_repaired_and_their_holders_named(liars):
    losing = lose(("client-5", Masked))
    transport = InMemoryTransport(drop=losing._drop, lie=lie(Revealed, _wild, *liars))
    result = run(below_the_bound(threshold=3), transport)
    assert result.liars == liars
    np.testing.assert_array_equal(result.sum, UPDATES[:5].sum(axis=0))


def test_more_altered_shares_than_can_be_repaired_are_an_error():
    losing = lose(("client-5", Masked))
    transport = InMemoryTransport(
        drop=losing._drop, lie=lie(Revealed, _wild, "client-0", "client-1")
    )
    with pytest.raises(DecodingError):
        run(below_the_bound(threshold=3), transport)
    transport = InMemoryTransport(drop=losing._drop, lie=lie(Revealed, _wild, "client-0"))
    with pytest.raises(DecodingError, match="client-5"):
        run(Masking(threshold=5), transport)


def test_altered_shares_that_nobody_needs_do_no_harm():
    transport = InMemoryTransport(lie=lie(Revealed, _wild, "client-0", "client-1", "client-2"))
    result = run(Masking(), transport)
    np.testing.assert_array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ()


def test_a_false_self_seed_is_rebuilt_from_shares_and_its_owner_named():
    transport = InMemoryTransport(
        lie=lie(Revealed, lambda m: replace(m, seed=bytes(32)), "client-3")
    )
    result = run(Masking(), transport)
    np.testing.assert_array_equal(result.sum, UPDATES.sum(axis=0))
    assert result.liars == ("client-3",)


def test_a_client_that_deals_wrong_shares_and_vanishes_is_an_error(monkeypatch):
    real, calls = masking.share_seeds, []

    def crooked(seeds, **options):
        calls.append(1)
        rows = real(seeds, **options)
        return real([bytes(32), bytes(32)], **options) if len(calls) == 6 else rows

    monkeypatch.setattr(masking, "share_seeds", crooked)
    dealers = []
    transport = InMemoryTransport(
        lie=lambda m: (isinstance(m, Shared) and dealers.append(m.sender)) or m,
        drop=lambda m: bool(dealers[5:]) and m.sender == dealers[5] and isinstance(m, Masked),
    )
    with pytest.raises(DecodingError, match="dealt wrong ones"):
        run(Masking(threshold=4), transport)


def test_masked_digits_that_nobody_made_honestly_are_an_error():
    def wild(message):
        return replace(message, words=message.words + np.uint32(1 << 30))

    with pytest.raises(DecodingError, match="unmasked sum"):
        run(Masking(), InMemoryTransport(lie=lie(Masked, wild, "client-3")))


# ---- A server that equivocates


def attack(clients, corrupt, threshold):
    """Take client 0's update by two lists of survivors, with the last clients' help; or None.

    The victim and some others are shown a list with it, the rest a list without it.
    """
    table = Table(clients, threshold=clients)
    weak = replace(table.session, threshold=threshold, min_survivors=1)
    credentials = {name: party.credentials for name, party in table.parties.items()}
    table.session = weak
    table.server = Server(weak, credentials["server"])
    table.clients = [
        Client(weak, client, UPDATES[client], credentials[f"client-{client}"])
        for client in range(clients)
    ]
    table.parties = {party.name: party for party in [table.server, *table.clients]}
    table._queue = deque(m for party in table.parties.values() for m in party.start())
    masked = np.array(next(m for m in table.until(Masked) if m.sender == "client-0").words)
    helpers = [*range(clients - corrupt, clients)]
    fooled = [*range(max(1, threshold - corrupt))]
    others = [rank for rank in range(clients) if rank not in (*fooled, *helpers)]
    without = flags(clients, [*range(1, clients)])
    shown = [(fooled, flags(clients, [*range(clients)])), (others, without)]
    everybodys = {client: dict(table.clients[client]._shares) for client in helpers}
    messages = {m.recipient: m for m in table.until(Survivors)}
    revealed = {}
    for group, alive in shown:
        signatures = {}
        for rank in group:
            survivors = messages[f"client-{rank}"]
            (confirmed,) = table.clients[rank].receive(table.forged(survivors, alive=alive))
            signatures[rank] = confirmed.signature
        for rank in helpers:
            message = replace(confirmed, sender=f"client-{rank}", signature=b"")
            signatures[rank] = table.clients[rank].sign(message).signature
        for rank in group:
            near = [other for other in signatures if other != rank]
            rows = [np.frombuffer(signatures[other], np.uint8) for other in sorted(near)]
            neighbours = [other for other in range(clients) if other != rank]
            confirmations = table.server.sign(
                Confirmations(
                    **_address(messages[f"client-{rank}"]),
                    whose=masking.pack(np.isin(neighbours, near)),
                    rows=np.array(rows, np.uint8).reshape(len(rows), 64),
                )
            )
            try:
                (revealed[rank],) = table.clients[rank].receive(confirmations)
            except ProtocolError:
                continue
    shares = {rank: everybodys[rank][0][LIMBS:] for rank in helpers}
    for rank in others:
        if rank in revealed:
            shares[rank] = revealed[rank].by_neighbour(table.clients[rank]._neighbours)[0]
    if 0 not in revealed or len(shares) < threshold:
        return None
    holders = sorted(shares)[:threshold]
    (key,) = rebuild_seeds(
        np.stack([shares[holder] for holder in holders]),
        positions=holders,
        shares=clients,
        threshold=threshold,
    )
    pair, own = KeyPair(key), table.clients[0]._own
    masks = [
        masking._pair_key(weak, pair, own, table.clients[rank]._own) for rank in range(1, clients)
    ]
    add_masks(masked, subtracted=[masking._self_key(weak, revealed[0].seed), *masks])
    return masked.view(np.int32) / ENCODING.scale


@pytest.mark.parametrize(
    ("clients", "corrupt", "threshold"),
    [
        (clients, corrupt, threshold)
        for clients in range(3, 7)
        for corrupt in range(3)
        for threshold in range(max(2, corrupt + 1), clients + 1)
        if clients - corrupt >= 2
    ],
)
def test_two_lists_take_an_update_exactly_where_the_bound_is_broken(clients, corrupt, threshold):
    taken = attack(clients, corrupt, threshold)
    if 2 * threshold > clients + corrupt:
        assert taken is None
    else:
        np.testing.assert_array_equal(taken, UPDATES[0])


def cut_ring(threshold):
    """Show two lists, each with one gap on the ring, to the two sides; return who answers, and how.

    Nobody is corrupt. Both lists hold together, but nobody is connected across either gap.
    """
    options = {"degree": 4, "threshold": threshold, "corrupt": 0.0, "dropout": 0.3}
    table = Table(16, aggregator=below_the_bound(**options))
    masked = {message.sender: message for message in table.until(Masked)}
    messages = {message.recipient: message for message in table.until(Survivors)}
    ring, graph = ring_of(table), table.server._roll.graph
    gaps = [{ring[0], ring[1]}, {ring[8], ring[9]}]
    sides = [{*ring[13:], *ring[2:5]}, {*ring[5:8], *ring[10:13]}]
    signatures, answers = {}, {}
    for gone, side in zip(gaps, sides, strict=True):
        alive = flags(16, [rank for rank in range(16) if rank not in gone])
        for rank in side:
            survivors = table.forged(messages[f"client-{rank}"], alive=alive)
            (confirmed,) = table.clients[rank].receive(survivors)
            signatures[rank] = np.frombuffer(confirmed.signature, np.uint8)
    for side in sides:
        for rank in side:
            near = [other for other in graph.of(rank) if other in side]
            confirmations = Confirmations(
                **_address(messages[f"client-{rank}"]),
                whose=masking.pack(np.isin(graph.of(rank), near)),
                rows=np.stack([signatures[other] for other in near]),
            )
            (answers[rank],) = table.clients[rank].receive(table.server.sign(confirmations))
    return table, masked, answers


def test_two_lists_that_hold_together_cut_the_ring_where_a_threshold_is_reached_on_one_side():
    table, masked, answers = cut_ring(3)
    ring, graph, own = ring_of(table), table.server._roll.graph, table.server._own
    arc = ring[2:8]
    total = sum(masked[f"client-{rank}"].words for rank in arc)
    added = []
    subtracted = [masking._self_key(table.session, answers[rank].seed) for rank in arc]
    for rank in (ring[0], ring[1], ring[8], ring[9]):
        rows = {
            holder: answer.by_neighbour(graph.of(holder))[rank]
            for holder, answer in answers.items()
            if rank in graph.of(holder)
        }
        holders, members = sorted(rows)[:3], sorted((rank, *graph.of(rank)))
        (key,) = rebuild_seeds(
            np.stack([rows[holder] for holder in holders]),
            positions=[members.index(holder) for holder in holders],
            shares=5,
            threshold=3,
        )
        for other in set(graph.of(rank)).intersection(arc):
            mask = masking._pair_key(table.session, KeyPair(key), own(rank), own(other))
            (added if rank < other else subtracted).append(mask)
    add_masks(total, added=added, subtracted=subtracted)
    expected = sum(UPDATES[rank % 6] for rank in arc)
    np.testing.assert_array_equal(total.view(np.int32) / ENCODING.scale, expected)


def test_a_threshold_that_takes_clients_of_both_sides_keeps_the_ring_whole():
    with pytest.raises(ProtocolError, match="too few for the threshold"):
        cut_ring(4)
    options = {"degree": 4, "corrupt": 0.0, "dropout": 0.3}
    assert Masking(**options).threshold_for(range(16)) == 4
    with pytest.raises(ValueError, match="expected a threshold of at least 4"):
        Masking(threshold=3, **options).threshold_for(range(16))


def test_an_equivocating_server_gets_no_sum_from_clients_that_keep_the_bound():
    def equivocate(message):
        without = message.recipient in ("client-4", "client-5")
        return replace(message, alive=b"\x3e" if without else b"\x3f")

    transport = InMemoryTransport(lie=lie(Survivors, equivocate, "server"))
    with pytest.raises(ProtocolError):
        run(Masking(threshold=5), transport)


# ---- The aggregator


@pytest.mark.parametrize(
    ("options", "clients", "match"),
    [
        ({"threshold": 3}, 6, "expose"),
        ({"threshold": 7}, 6, "threshold"),
        ({"threshold": 0}, 6, "threshold"),
        ({"degree": 3}, 6, "degree"),
        ({"degree": 0}, 6, "degree"),
        ({"degree": 4}, 40, "expose"),
        ({"corrupt": 0.6, "dropout": 0.5}, 6, "vanish"),
        ({"min_survivors": 7}, 6, "min_survivors"),
    ],
)
def test_options_that_do_not_fit_the_roster_or_expose_it_are_refused(options, clients, match):
    with pytest.raises(ValueError, match=match):
        Masking(**options).open_session(range(clients), length=2)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"corrupt": 1.0}, "corrupt"), ({"dropout": -1}, "dropout"), ({"security_bits": 0}, "bits")],
)
def test_options_out_of_range_are_refused_at_once(options, match):
    with pytest.raises(ValueError, match=match):
        Masking(**options)


@pytest.mark.parametrize(
    ("clients", "threshold", "degree", "survivors"),
    [(1, 1, 0, 1), (2, 2, 1, 2), (4, 3, 3, 3), (10, 7, 9, 7), (1000, 88, 126, 900)],
)
def test_sessions_have_the_papers_thresholds_by_default(clients, threshold, degree, survivors):
    session = Masking().open_session(range(clients), length=2)
    assert (session.threshold, session.min_survivors) == (threshold, survivors)
    assert dict(session.parameters)["degree"] == str(degree).encode()


def test_a_degree_alone_takes_the_lowest_threshold_that_keeps_secrets():
    aggregator = Masking(degree=200)
    density = aggregator.density(1000)
    assert density.degree == 200
    assert density.log2_secrecy <= -40
    with pytest.raises(ValueError, match="expose"):
        Masking(degree=200, threshold=density.threshold - 2).density(1000)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"threshold": 3}, "expose"),
        ({"parameters": ()}, "degree"),
        ({"parameters": (("degree", b"-2"),)}, "degree"),
        ({"parameters": (("degree", b"3"),)}, "degree"),
        ({"parameters": (("degree", b"999999999999"),)}, "degree"),
        ({"parameters": (("degree", b"4"),), "threshold": 3}, "expose"),
        ({"parameters": (("degree", b"4"),), "threshold": 6, "min_survivors": 6}, "beyond"),
    ],
)
def test_a_client_joins_no_session_that_would_expose_it(changes, match):
    aggregator = Masking()
    session = aggregator.open_session(range(6), length=2)
    credentials = aggregator.parties(session, {0: UPDATES[0]})[1].credentials
    weak = replace(session, **changes)
    with pytest.raises(ProtocolError, match=match):
        aggregator.client(weak, 0, UPDATES[0], credentials)


def test_a_sparse_session_that_may_shrink_further_than_reckoned_is_refused():
    aggregator = Masking()
    session = aggregator.open_session(range(1000), length=1)
    aggregator.require_safe(session)
    with pytest.raises(ProtocolError, match="min_survivors"):
        aggregator.require_safe(replace(session, min_survivors=500))


def test_secrets_are_not_shown():
    table = Table()
    (revealed, *_) = table.until(Revealed)
    assert str(revealed.seed) not in repr(revealed)
    assert "rows" not in repr(revealed)


def test_a_roll_gives_each_list_of_survivors_its_own_agreement():
    table = Table(5)
    table.until(Survivors)
    roll = table.server._roll
    other = Roll(roll.session, roll.present, bytes(32))
    lists = [np.ones(5, np.bool_), np.arange(5) > 0, np.arange(5) < 4]
    agreements = {view.agreement(alive) for view in (roll, other) for alive in lists}
    assert len(agreements) == 6
    assert isinstance(roll.session, Session)
