"""Folders of a federation: what lies in them, who may read it, and that an answer is given once."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from veilsum import paillier
from veilsum.channel import Directory, Identity
from veilsum.errors import DeserializationError, InvalidKey, KeyMismatch, ProtocolError
from veilsum.integrations.flower import folders
from veilsum.integrations.flower.folders import (
    Folder,
    create_identity,
    deal,
    enrol,
    fingerprint,
    node_folder,
    server_folder,
    write_directory,
)
from veilsum.protocols import InMemoryTransport, Session, drive

SESSION = bytes(range(32))
WEAK = {"key_bits": 512, "insecure": True}
FEDERATIONS = {
    "plain": ({}, {}, {"server"}),
    "paillier": (WEAK, {"insecure": True}, {"aggregator", "key-holder"}),
    "threshold_paillier": (
        WEAK,
        {"insecure": True},
        {"aggregator", "holder-1", "holder-2", "holder-3"},
    ),
    "sharing": ({"holders": 2}, {"holders": 2}, {"server", "holder-1", "holder-2"}),
    "masking": ({}, {}, {"server"}),
}
"""How each protocol is dealt, with what options it runs, and who plays beside the clients."""


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    """The folders of a federation of three clients, by protocol."""
    places = {}
    for protocol, (dealing, _, _) in FEDERATIONS.items():
        places[protocol] = tmp_path_factory.mktemp("dealt") / protocol
        deal(places[protocol], protocol=protocol, clients=3, **dealing)
    return places


@pytest.fixture
def folder(tmp_path):
    deal(tmp_path / "keys", clients=2)
    return Folder.open(tmp_path / "keys" / "client-1")


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


@pytest.mark.parametrize("protocol", FEDERATIONS)
def test_the_parties_of_a_round_need_their_folders_alone(dealt, protocol):
    _, options, staff = FEDERATIONS[protocol]
    assert names(dealt[protocol]) == staff | {"client-0", "client-1", "client-2"}
    (opener,) = (Folder.open(dealt[protocol] / name) for name in staff & {"server", "aggregator"})
    leading = opener.aggregator(protocol, **options)
    proposal = leading.open_session(
        [0, 1, 2], length=2, directory=opener.credentials.directory
    ).to_bytes()

    def party(name: str, *update: float):
        own = Folder.open(dealt[protocol] / name)
        aggregator = own.aggregator(protocol, **options)
        session = Session.from_bytes(proposal)
        if not update:
            return aggregator.server(session, own.name, own.credentials)
        return aggregator.join(session, int(name[-1]), update, own.credentials)

    parties = [party(name) for name in leading.staff([0, 1, 2])]
    parties += [party("client-0", 1.0, 2.0), party("client-1", 0.5, -4.0), party("client-2", 4, 8)]
    drive(parties, kinds=leading.messages, transport=InMemoryTransport())
    (outcome,) = [party.outcome for party in parties if party.outcome is not None]
    assert np.array_equal(outcome.sum, [5.5, 6.0])
    assert outcome.survivors == (0, 1, 2)


@pytest.mark.parametrize("protocol", FEDERATIONS)
def test_a_secret_lies_in_one_folder_and_only_its_owner_reads_anything(dealt, protocol):
    secrets = []
    for place in dealt[protocol].iterdir():
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        for path in place.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            if path.name in {"identity", "private-key", "key-share"}:
                secrets.append(path.read_bytes())
    assert stat.S_IMODE(dealt[protocol].stat().st_mode) == 0o700
    assert len(set(secrets)) == len(secrets)


def test_keys_lie_where_they_belong(dealt):
    usual = {"identity", "directory"}
    place = dealt["paillier"]
    assert names(place / "key-holder") == usual | {"public-key", "private-key"}
    assert names(place / "aggregator") == names(place / "client-0") == usual | {"public-key"}
    place = dealt["threshold_paillier"]
    assert names(place / "holder-2") == usual | {"threshold-key", "key-share"}
    assert names(place / "aggregator") == names(place / "client-0") == usual | {"threshold-key"}
    assert names(dealt["masking"] / "server") == usual


def test_a_dealing_has_the_holders_and_the_threshold_asked_for(tmp_path):
    deal(
        tmp_path / "keys", protocol="threshold_paillier", clients=1, holders=4, threshold=3, **WEAK
    )
    key = Folder.open(tmp_path / "keys" / "holder-4").aggregator(
        "threshold_paillier", insecure=True
    )
    assert (key.key.holders, key.key.threshold) == (4, 3)


def test_a_folder_that_was_moved_is_the_same_party(folder, tmp_path):
    moved = folder.path.rename(tmp_path / "elsewhere")
    assert Folder.open(moved).name == Folder.open(str(moved)).name == "client-1"


def test_a_folder_does_not_show_its_secrets(folder):
    secret = folder.credentials.identity.to_bytes()
    assert "identity" not in repr(folder)
    assert secret.hex() not in repr(folder)


def test_folders_are_made_without_a_dealer(tmp_path):
    roles = ("aggregator", "key-holder", "client-0", "client-1")
    for role in roles:
        bits = 512 if role == "key-holder" else None
        public = create_identity(tmp_path / role, key_bits=bits, insecure=True)
        assert len(fingerprint(public)) == 64
    directory = enrol({role: tmp_path / role / "public-identity" for role in roles})
    write_directory(directory, tmp_path / "directory")
    for role in roles:
        (tmp_path / role / "directory").write_bytes((tmp_path / "directory").read_bytes())
        (tmp_path / role / "public-key").write_bytes(
            (tmp_path / "key-holder" / "public-key").read_bytes()
        )
    opened = [Folder.open(tmp_path / role) for role in roles]
    assert tuple(party.name for party in opened) == roles
    assert opened[2].credentials.directory == directory
    leading = opened[0].aggregator("paillier", insecure=True)
    assert opened[1].aggregator("paillier", insecure=True).public_key == leading.public_key


def test_a_fingerprint_tells_identities_apart(tmp_path):
    ours, theirs = create_identity(tmp_path / "a"), create_identity(tmp_path / "b")
    assert fingerprint(ours) == fingerprint(enrol({"a": tmp_path / "a" / "public-identity"})["a"])
    assert fingerprint(ours) != fingerprint(theirs)


@pytest.mark.parametrize("make", [create_identity, lambda path: deal(path, clients=2)])
def test_nothing_is_ever_overwritten(tmp_path, make):
    place = tmp_path / "keys"
    make(place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="not empty and is not replaced"):
        make(place)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is not a directory"):
        make(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="is not a directory"):
        make(tmp_path / "link")
    assert names(tmp_path) == {"keys", "file", "link"}


def test_an_empty_folder_may_be_filled_but_not_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    create_identity(tmp_path / "empty")
    assert names(tmp_path / "empty") == {"identity", "public-identity"}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileExistsError, match="is the working directory"):
        create_identity(".")


def test_a_parent_has_to_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a directory; create it"):
        create_identity(tmp_path / "nowhere" / "folder")
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a directory; create it"):
        write_directory(Directory({}), tmp_path / "nowhere" / "directory")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("disk full")])
def test_what_is_stopped_leaves_nothing(tmp_path, monkeypatch, stop):
    calls = []

    def sync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 4:
            raise stop

    monkeypatch.setattr(folders.os, "fsync", sync)
    with pytest.raises(stop if isinstance(stop, type) else OSError):
        deal(tmp_path / "keys", clients=5)
    assert len(calls) == 4
    assert names(tmp_path) == set()


def test_a_rival_that_was_faster_is_not_overwritten(tmp_path, monkeypatch):
    generate = Identity.generate

    def slow() -> Identity:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "theirs").write_text("theirs")
        return generate()

    monkeypatch.setattr(folders.Identity, "generate", slow)
    with pytest.raises(OSError, match="not empty"):
        create_identity(tmp_path / "keys")
    assert names(tmp_path) == {"keys"}
    assert names(tmp_path / "keys") == {"theirs"}


def test_a_directory_is_not_overwritten(tmp_path):
    write_directory(Directory({}), tmp_path / "directory")
    with pytest.raises(FileExistsError, match="directory exists and is not replaced"):
        write_directory(Directory({"a": Identity.generate().public}), tmp_path / "directory")
    assert len(Directory.from_bytes((tmp_path / "directory").read_bytes())) == 0
    assert names(tmp_path) == {"directory"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clients": 0}, "clients: got 0, expected at least 1"),
        ({"clients": 2, "protocol": "magic"}, "protocol: got 'magic'"),
        ({"clients": 2, "holders": 3}, "holders: not an option here"),
        ({"clients": 2, "protocol": "paillier", "holders": 3, **WEAK}, "holders: not an option"),
        ({"clients": 2, "threshold": 2}, "threshold: masking deals no keys by it"),
        ({"clients": 2, "protocol": "sharing", "holders": 0}, "holders: got 0"),
        ({"clients": 2, "protocol": "paillier", "key_bits": 512}, "pass insecure=True"),
        (
            {"clients": 2, "protocol": "threshold_paillier", "threshold": 4},
            "threshold: got 4, expected 1 to the 3 holders",
        ),
    ],
)
def test_what_cannot_be_dealt_leaves_nothing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        deal(tmp_path / "keys", **arguments)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["identity", "directory"])
def test_a_folder_without_its_files_is_refused(folder, name):
    (folder.path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; a folder is made by"):
        Folder.open(folder.path)


@pytest.mark.parametrize("name", ["identity", "directory"])
def test_a_broken_file_is_named(folder, name):
    (folder.path / name).write_bytes(b"nonsense, and long enough for a header")
    with pytest.raises(DeserializationError, match=f"client-1/{name}: magic"):
        Folder.open(folder.path)


def test_a_secret_that_others_can_read_is_refused(folder):
    (folder.path / "identity").chmod(0o640)
    with pytest.raises(PermissionError, match="run: chmod 600"):
        Folder.open(folder.path)
    (folder.path / "identity").chmod(0o600)
    (folder.path / "directory").chmod(0o644)
    assert Folder.open(folder.path).name == "client-1"


def test_a_directory_that_does_not_know_the_identity_is_refused(folder, tmp_path):
    deal(tmp_path / "others", clients=2)
    (tmp_path / "others" / "client-1" / "directory").rename(folder.path / "directory")
    with pytest.raises(KeyMismatch, match="has its identity under no name; enrol"):
        Folder.open(folder.path)


@pytest.mark.parametrize(
    ("protocol", "name"), [("paillier", "public-key"), ("threshold_paillier", "threshold-key")]
)
def test_a_missing_or_broken_key_is_named(folder, protocol, name):
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        folder.aggregator(protocol)
    (folder.path / name).write_bytes(b"nonsense, and long enough for a header")
    with pytest.raises(DeserializationError, match=f"client-1/{name}: magic"):
        folder.aggregator(protocol)


def test_a_short_key_is_used_on_request_alone(dealt):
    for protocol in ("paillier", "threshold_paillier"):
        folder = Folder.open(dealt[protocol] / "client-0")
        with pytest.raises(InvalidKey, match=r"client-0/.*-key: .*pass insecure=True"):
            folder.aggregator(protocol)


def test_keys_that_do_not_belong_together_are_refused(dealt, tmp_path):
    for protocol, party, secret, public in (
        ("paillier", "key-holder", "private-key", "public-key"),
        ("threshold_paillier", "holder-1", "key-share", "threshold-key"),
    ):
        deal(tmp_path / protocol, protocol=protocol, clients=1, **WEAK)
        place = tmp_path / protocol / party
        (place / public).write_bytes((dealt[protocol] / party / public).read_bytes())
        with pytest.raises(KeyMismatch):
            Folder.open(place).aggregator(protocol, insecure=True)
        (place / secret).chmod(0o644)
        with pytest.raises(PermissionError, match=f"the secret .*{secret}"):
            Folder.open(place).aggregator(protocol, insecure=True)


def test_only_those_who_have_a_key_play_its_holder(dealt):
    client = Folder.open(dealt["paillier"] / "client-0")
    aggregator = client.aggregator("paillier", insecure=True)
    session = aggregator.open_session([0, 1], length=1, directory=client.credentials.directory)
    with pytest.raises(ValueError, match="the private key is not here"):
        aggregator.server(session, "key-holder", client.credentials)


@pytest.mark.parametrize("option", ["keys", "key_bits"])
def test_keys_come_from_the_folder_alone(folder, option):
    with pytest.raises(ValueError, match=f"{option}: the keys lie in the folder"):
        folder.aggregator("paillier", **{option: 2048})


def test_options_reach_the_protocol(folder):
    assert folder.aggregator("masking", min_survivors=2).min_survivors == 2
    with pytest.raises(ValueError, match="flavour: not an option here"):
        folder.aggregator("masking", flavour=1)


def test_enrolling_refuses_what_is_no_public_file(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="public-identity is missing"):
        enrol({"client-0": folder.path / "public-identity"})
    with pytest.raises(DeserializationError, match="a directory of 3 parties"):
        enrol({"client-0": folder.path / "directory"})
    with pytest.raises(DeserializationError, match="holds a party's secret keys"):
        enrol({"client-0": folder.path / "identity"})
    create_identity(tmp_path / "one")
    public = tmp_path / "one" / "public-identity"
    with pytest.raises(ValueError, match="two names share a verify_key"):
        enrol({"client-0": public, "client-1": public})
    with pytest.raises(ValueError, match="a name may have 64 bytes"):
        enrol({"n" * 65: public})


def test_a_step_of_a_session_is_claimed_once(folder):
    folder.claim({SESSION: 0, SESSION[::-1]: 0})
    folder.claim({SESSION: 1})
    for again in (folder, Folder.open(folder.path)):
        with pytest.raises(ProtocolError, match="client-1 has answered step 1 of session 0001"):
            again.claim({SESSION: 1})
    claims = {f"{SESSION.hex()}-0", f"{SESSION.hex()}-1", f"{SESSION[::-1].hex()}-0"}
    assert names(folder.path / "answered") == claims


def test_of_rival_processes_one_claims_the_step(folder):
    code = (
        "import sys; from veilsum.errors import ProtocolError; "
        "from veilsum.integrations.flower.folders import Folder\n"
        "folder = Folder.open(sys.argv[1]); sys.stdin.read()\n"
        "try: folder.claim({bytes(range(32)): 0})\n"
        "except ProtocolError: sys.exit(7)"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    for rival in rivals:
        rival.stdin.close()
    assert sorted(rival.wait() for rival in rivals) == [0, 7, 7]
    with pytest.raises(ProtocolError, match="before, and answers once"):
        folder.claim({SESSION: 0})


@pytest.mark.parametrize("another_began", [False, True])
def test_claims_are_on_the_disk_before_they_count(folder, monkeypatch, another_began):
    if another_began:
        (folder.path / "answered").mkdir()
    synced = []

    def sync(handle: int) -> None:
        status = os.fstat(handle)
        synced.append((status.st_dev, status.st_ino, len(os.listdir(handle))))

    monkeypatch.setattr(folders.os, "fsync", sync)
    folder.claim({SESSION: 0, SESSION[::-1]: 3})
    answered = (folder.path / "answered").stat()
    assert [place[:2] for place in synced] == [
        (answered.st_dev, answered.st_ino),
        (folder.path.stat().st_dev, folder.path.stat().st_ino),
    ]
    assert synced[0][2] == 2


def test_a_claim_that_could_not_be_stored_is_not_given_again(folder, monkeypatch):
    folder.claim({SESSION: 0})

    def broken(_: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(folders.os, "fsync", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        folder.claim({SESSION: 1})
    monkeypatch.undo()
    with pytest.raises(ProtocolError, match="answers once"):
        folder.claim({SESSION: 1})


@pytest.mark.parametrize("steps", [{b"": 0}, {bytes(31): 0}, {bytes(33): 1}, {bytes(32): -1}])
def test_a_claim_is_of_a_session_and_a_step(folder, steps):
    with pytest.raises(ValueError, match="steps: got step"):
        folder.claim(steps)


def test_nodes_are_counted_as_the_protocol_counts_its_parties(tmp_path):
    deal(tmp_path / "keys", protocol="sharing", clients=11, holders=10)
    run = {"veilsum-folders": str(tmp_path / "keys")}
    found = [node_folder({"partition-id": number}, run) for number in range(21)]
    assert [folder.name for folder in found[:11]] == [f"client-{number}" for number in range(11)]
    assert [folder.name for folder in found[11:]] == [f"holder-{number}" for number in range(1, 11)]
    assert all((folder / "identity").is_file() for folder in found)
    with pytest.raises(FileNotFoundError, match=r"none for node 21; .* beside the server: 21"):
        node_folder({"partition-id": 21}, run)
    assert server_folder(run).name == "server"


def test_a_folder_that_lies_elsewhere_makes_nobody_another_party(tmp_path):
    deal(tmp_path / "keys", clients=3)
    (tmp_path / "keys" / "client-1").rename(tmp_path / "client-1")
    run = {"veilsum-folders": str(tmp_path / "keys")}
    assert node_folder({"partition-id": 2}, run).name == "client-2"
    with pytest.raises(FileNotFoundError, match="client-1/identity is missing"):
        Folder.open(node_folder({"partition-id": 1}, run))
    own = {"partition-id": 1, "veilsum-folder": str(tmp_path / "client-1")}
    assert Folder.open(node_folder(own, run)).name == "client-1"


def test_where_no_folders_are_no_node_finds_its_own(tmp_path):
    run = {"veilsum-folders": str(tmp_path)}
    with pytest.raises(FileNotFoundError, match="none for node 0"):
        node_folder({"partition-id": 0}, run)
    with pytest.raises(FileNotFoundError, match="has neither of server, aggregator"):
        server_folder(run)
    for settings, message in (
        ({}, "no setting 'veilsum-folders'"),
        ({"veilsum-folders": "no"}, "no is not"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            server_folder(settings)


def test_a_private_key_is_of_the_length_asked_for(tmp_path):
    create_identity(tmp_path / "key-holder", key_bits=576, insecure=True)
    data = (tmp_path / "key-holder" / "public-key").read_bytes()
    assert paillier.PublicKey.from_bytes(data, insecure=True).bits == 576
    with pytest.raises(InvalidKey, match="bits: got 512"):
        create_identity(tmp_path / "another", key_bits=512)
    assert names(tmp_path) == {"key-holder"}


def test_sharing_among_the_clients_gives_the_flower_server_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    deal(tmp_path / "keys", clients=3, protocol="sharing")
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        "server",
        "client-0",
        "client-1",
        "client-2",
    }
