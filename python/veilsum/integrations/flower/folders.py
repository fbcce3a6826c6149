"""Where a party of a federation keeps who it is, whom it knows, and what it has answered.

A party's folder is the one thing of veilsum that has to lie on its machine. It holds::

    identity      the party's private keys, secret
    directory     everybody's public keys, the same in every folder
    public-key    paillier: the key that updates are encrypted under
    private-key   paillier: only in the folder of the key holder, secret
    threshold-key threshold_paillier: the public side of the shared key
    key-share     threshold_paillier: only in the folders of the key holders, secret
    answered/     which steps of which sessions the party has answered

Secrets lie in the open, readable by their owner alone: whoever can read a folder is that party.
`deal` makes all folders in one place, for trials and for a trusted dealer. Without a dealer, every
party makes its own by `create_identity`, sends its public file to whoever runs `enrol`, and gets
the directory back; both ways have to be authentic.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from veilsum import paillier, protocols
from veilsum.channel import Directory, Identity, PublicIdentity
from veilsum.errors import DeserializationError, InvalidKey, KeyMismatch, ProtocolError
from veilsum.protocols import Aggregator, Credentials, Paillier, ThresholdPaillier
from veilsum.protocols.paillier import KEY_HOLDER
from veilsum.protocols.session import client_index, client_name

__all__ = [
    "Folder",
    "create_identity",
    "deal",
    "deal_for",
    "enrol",
    "fingerprint",
    "node_folder",
    "server_folder",
    "write_directory",
]

IDENTITY, PUBLIC_IDENTITY, DIRECTORY = "identity", "public-identity", "directory"
PUBLIC_KEY, PRIVATE_KEY = "public-key", "private-key"
THRESHOLD_KEY, KEY_SHARE = "threshold-key", "key-share"
FOLDER_KEY, FOLDERS_KEY, PARTITION_KEY = "veilsum-folder", "veilsum-folders", "partition-id"
SERVERS = ("server", "aggregator")
_ANSWERED = "answered"
_SECRET = frozenset({IDENTITY, PRIVATE_KEY, KEY_SHARE})
_OTHERS = 0o077
_SESSION_BYTES = 32

Files = dict[str, bytes]


@dataclass(frozen=True)
class Folder:
    """One party's folder.

    Parameters
    ----------
    path : Path
        Where it lies.
    name : str
        The party's name: the one under which the directory has its public keys.
    credentials : Credentials
        Who the party is, and whom it knows.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     deal(Path(place) / "keys", clients=3)
    ...     folder = Folder.open(Path(place) / "keys" / "client-1")
    ...     folder.claim({bytes(32): 0})
    >>> folder.name, list(folder.credentials.directory)
    ('client-1', ['client-0', 'client-1', 'client-2', 'server'])
    """

    path: Path
    name: str
    credentials: Credentials = field(repr=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Read a party's identity and directory.

        Parameters
        ----------
        path : path-like
            The folder.

        Raises
        ------
        FileNotFoundError
            When there is no such folder, or a file of it is missing.
        PermissionError
            When others than the owner can read a secret.
        DeserializationError, InvalidKey
            When a file does not hold what its name says.
        KeyMismatch
            When the directory does not know the identity.
        """
        folder = Path(path).absolute()
        with _telling(folder / IDENTITY):
            identity = Identity.from_bytes(_read(folder / IDENTITY))
        with _telling(folder / DIRECTORY):
            directory = Directory.from_bytes(_read(folder / DIRECTORY))
        for name, public in directory.items():
            if public == identity.public:
                return cls(folder, name, Credentials(identity, directory))
        raise KeyMismatch(
            f"folder: the directory in {folder} has its identity under no name; "
            "enrol the folder's public-identity and copy the new directory here"
        )

    def aggregator(self, protocol: str, **options: object) -> Aggregator:
        """Return the protocol as this party runs it, with the keys that lie in its folder.

        Parameters
        ----------
        protocol : {"plain", "paillier", "threshold_paillier", "sharing", "masking"}
            Its name.
        **options
            For the protocol's class, but no keys.

        Raises
        ------
        ValueError
            When no protocol has that name, or an option is none of the protocol's or would make
            keys.
        FileNotFoundError, PermissionError, DeserializationError, InvalidKey, KeyMismatch
            When the keys are missing, open to others, broken or no pair.
        """
        for option in ("keys", "key_bits"):
            if option in options:
                raise ValueError(f"{option}: the keys lie in the folder; leave it out")
        insecure = bool(options.get("insecure", False))
        if protocol == Paillier.name:
            options["keys"] = self._paillier_keys(insecure)
        elif protocol == ThresholdPaillier.name:
            options["keys"] = self._threshold_keys(insecure)
        return protocols.resolve(protocol, **options)

    def claim(self, steps: Mapping[bytes, int]) -> None:
        """Take the right to answer a step of each of these sessions, which there is once.

        A second answer to the same step could give an update away. So whoever answers claims the
        step first; what is claimed stays so when the process is killed or the machine stops, and
        whoever replays the session in another run meets the claim. Claims are never forgotten: an
        old session can be replayed for as long as the identity lives. A folder must not be used in
        two copies, nor be restored from a backup that is older than its last answer.

        Parameters
        ----------
        steps : mapping of bytes to int
            How often the party has answered in each session before, by `Session.id` of 32 bytes.

        Raises
        ------
        ProtocolError
            When one of them was claimed before; those that come before it are claimed then.
        ValueError
            When a session has no such id, or a step is negative.
        OSError
            When a claim cannot be stored; then nothing may be answered.
        """
        answered = self.path / _ANSWERED
        answered.mkdir(mode=0o700, exist_ok=True)
        for session_id, step in steps.items():
            if len(session_id) != _SESSION_BYTES or step < 0:
                raise ValueError(
                    f"steps: got step {step} of an id of {len(session_id)} bytes, expected a step "
                    f"from 0 and {_SESSION_BYTES} bytes"
                )
            claim = answered / f"{session_id.hex()}-{step}"
            try:
                os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                raise ProtocolError(
                    f"session: {self.name} has answered step {step} of session "
                    f"{session_id.hex()} before, and answers once; open a fresh session"
                ) from None
        _sync(answered)
        _sync(self.path)  # whoever made `answered` may have been killed before it was on the disk

    def _paillier_keys(
        self, insecure: bool
    ) -> tuple[paillier.PublicKey, paillier.PrivateKey | None]:
        public, private = self.path / PUBLIC_KEY, self.path / PRIVATE_KEY
        with _telling(public):
            key = paillier.PublicKey.from_bytes(_read(public), insecure=insecure)
        if not private.exists():
            return key, None
        with _telling(private):
            return key, paillier.PrivateKey.from_bytes(_read(private), insecure=insecure)

    def _threshold_keys(
        self, insecure: bool
    ) -> tuple[paillier.ThresholdKey, tuple[paillier.KeyShare, ...]]:
        public, share = self.path / THRESHOLD_KEY, self.path / KEY_SHARE
        with _telling(public):
            key = paillier.ThresholdKey.from_bytes(_read(public), insecure=insecure)
        if not share.exists():
            return key, ()
        with _telling(share):
            return key, (paillier.KeyShare.from_bytes(_read(share), key),)


def deal(
    directory: str | os.PathLike[str],
    *,
    protocol: str = "masking",
    clients: int,
    holders: int | None = None,
    threshold: int | None = None,
    key_bits: int = 3072,
    insecure: bool = False,
) -> None:
    """Make the folders of a whole federation, all at once or none.

    Whoever runs this sees every secret. That serves trials; otherwise run it on a machine that all
    parties trust, hand each folder to its party over a secure channel, and keep none. Deleting a
    file does not wipe a disk.

    Parameters
    ----------
    directory : path-like
        What the folders are put in: one a party, by its name, such as ``server``, ``client-0``,
        ``aggregator``, ``key-holder`` or ``holder-1``. It must not exist, or be empty.
    protocol : {"plain", "paillier", "threshold_paillier", "sharing", "masking"}
        For which the parties and keys are made.
    clients : int
        How many clients there are.
    holders : int, optional
        How many holders there are beside the clients: 3 by default for threshold_paillier, none
        for sharing, where the clients hold the shares then.
    threshold : int, optional
        How many holders open a sum, a majority by default: for threshold_paillier alone, whose key
        it is a part of.
    key_bits : int
        Bits of a Paillier modulus.
    insecure : bool
        Allow a `key_bits` that is too short to protect anything, for tests.

    Raises
    ------
    FileExistsError
        When something is there.
    ValueError
        When an argument is out of range or none of the protocol's.
    """
    if clients < 1:
        raise ValueError(f"clients: got {clients}, expected at least 1")
    with building(Path(directory)) as place:
        made = _with_keys(protocol, holders, threshold, key_bits=key_bits, insecure=insecure)
        _fill_all(place, made, clients)


def deal_for(directory: str | os.PathLike[str], aggregator: Aggregator, *, clients: int) -> None:
    """Make the folders of a whole federation with the keys of an aggregator that is there already.

    As with `deal`, whoever runs this sees every secret.

    Parameters
    ----------
    directory : path-like
        What the folders are put in. It must not exist, or be empty.
    aggregator : Aggregator
        One that runs all parties in this process. A private key that it lacks lies in no folder.
    clients : int
        How many clients there are.

    Raises
    ------
    FileExistsError
        When something is there.
    """
    with building(Path(directory)) as place:
        _fill_all(place, aggregator, clients)


def create_identity(
    folder: str | os.PathLike[str], *, key_bits: int | None = None, insecure: bool = False
) -> PublicIdentity:
    """Make a party's folder on the party's own machine: its secrets never leave it.

    What goes to whoever runs `enrol` is the file ``public-identity``. The directory that comes back
    completes the folder.

    Parameters
    ----------
    folder : path-like
        It must not exist, or be empty.
    key_bits : int, optional
        Makes a pair of Paillier keys of so many bits as well: for the key holder of paillier, which
        gives the file ``public-key`` to everybody. A key of threshold_paillier takes a dealer.
    insecure : bool
        Allow a `key_bits` that is too short to protect anything, for tests.

    Returns
    -------
    PublicIdentity
        What the public file holds.

    Raises
    ------
    FileExistsError
        When something is there.
    InvalidKey
        When `key_bits` is out of range.
    """
    with building(Path(folder)) as place:
        identity = Identity.generate()
        public = Directory({PUBLIC_IDENTITY: identity.public})
        files = {IDENTITY: identity.to_bytes(), PUBLIC_IDENTITY: public.to_bytes()}
        if key_bits is not None:
            key, private = paillier.keygen(bits=key_bits, insecure=insecure)
            files |= {PUBLIC_KEY: key.to_bytes(), PRIVATE_KEY: private.to_bytes()}
        _fill(place, files)
    return identity.public


def enrol(public_files: Mapping[str, str | os.PathLike[str]]) -> Directory:
    """Put the parties' public files together to the directory of a federation.

    That a file comes from the party whose name it gets is for the caller to make sure, for example
    by comparing `fingerprint` of it with the party on the telephone.

    Parameters
    ----------
    public_files : mapping of str to path-like
        The ``public-identity`` of every party, by its name: ``client-0`` and so on, and the staff
        of the protocol (`Aggregator.staff`), such as ``server``.

    Returns
    -------
    Directory
        For all folders; `write_directory` makes the file.

    Raises
    ------
    FileNotFoundError
        When a file is missing.
    DeserializationError, InvalidKey
        When a file is no public identity.
    ValueError
        When a name is too long, or two names have the same keys.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     files = {name: Path(place) / name for name in ("server", "client-0")}
    ...     publics = [create_identity(folder) for folder in files.values()]
    ...     enrol({name: folder / "public-identity" for name, folder in files.items()})
    Directory(client-0, server)
    """
    return Directory({name: _read_public(Path(path)) for name, path in public_files.items()})


def fingerprint(public: PublicIdentity) -> str:
    """Return what two people compare to be sure that they have the same public file: 64 letters."""
    return Directory({PUBLIC_IDENTITY: public}).fingerprint.hex()


def write_directory(directory: Directory, path: str | os.PathLike[str]) -> None:
    """Write the file ``directory`` of all folders, as a whole or not at all.

    Raises
    ------
    FileExistsError
        When something is there: a directory that sessions may be bound to.
    """
    target = Path(path).absolute()
    if target.exists():
        raise FileExistsError(f"directory: {target} exists and is not replaced; choose another")
    _require_parent(target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
        fresh = Path(place) / target.name
        _create(fresh, directory.to_bytes(), mode=0o644)
        os.rename(fresh, target)


def server_folder(run_config: Mapping[str, object]) -> Path:
    """Return the folder of a ServerApp: the server's among those that ``veilsum-folders`` names.

    Raises
    ------
    FileNotFoundError
        When the setting is missing, or the folder is.
    """
    folders = _folders(run_config)
    for name in SERVERS:
        if (folders / name).is_dir():
            return folders / name
    raise FileNotFoundError(
        f"folder: {folders} has neither of {', '.join(SERVERS)}; `veilsum flower keys` makes it"
    )


def node_folder(node_config: Mapping[str, object], run_config: Mapping[str, object]) -> Path:
    """Return the folder of a node.

    It is what the node's own setting ``veilsum-folder`` names. Where there is none, as in a
    simulation, it is found among those that the run's ``veilsum-folders`` names, by the number of
    the node, ``partition-id``: first come the clients, then the others by their names. Numbers
    count the parties of the federation, wherever their folders lie.

    Raises
    ------
    FileNotFoundError
        When the settings name no folder of this node.
    """
    own = node_config.get(FOLDER_KEY)
    if own is not None:
        return Path(str(own))
    folders, place = _folders(run_config), node_config.get(PARTITION_KEY)
    names = _nodes(folders)
    if not isinstance(place, int) or not 0 <= place < len(names):
        raise FileNotFoundError(
            f"folder: {folders} has none for node {place!r}; give a SuperNode its own by "
            f"--node-config '{FOLDER_KEY}=\"/path/to/its/folder\"', or start as many nodes as "
            f"there are parties beside the server: {len(names)}"
        )
    return folders / names[place]


def _nodes(folders: Path) -> list[str]:
    """Return the parties that are nodes, by the directory that each folder has."""
    known = next(folders.glob(f"*/{DIRECTORY}"), None)
    if known is None:
        return []
    with _telling(known):
        names = set(Directory.from_bytes(_read(known))).difference(SERVERS)
    clients = {index: name for name in names if (index := client_index(name)) is not None}
    others = sorted(names.difference(clients.values()), key=lambda name: (len(name), name))
    return [*(clients[index] for index in sorted(clients)), *others]


def _folders(run_config: Mapping[str, object]) -> Path:
    folders = run_config.get(FOLDERS_KEY)
    if folders is None:
        raise FileNotFoundError(
            f"folder: the run has no setting {FOLDERS_KEY!r}; name the directory of the parties' "
            "folders in [tool.flwr.app.config]"
        )
    if not Path(str(folders)).is_dir():
        raise FileNotFoundError(
            f"folder: {folders} is not a directory; `veilsum flower keys` makes it"
        )
    return Path(str(folders))


def _with_keys(
    protocol: str, holders: int | None, threshold: int | None, *, key_bits: int, insecure: bool
) -> Aggregator:
    """Return an aggregator of the protocol that has all keys."""
    options: dict[str, object] = {} if holders is None else {"holders": holders}
    if protocol == ThresholdPaillier.name:
        options["threshold"] = threshold
    elif threshold is not None:
        raise ValueError(
            f"threshold: {protocol} deals no keys by it; leave it out, and give it as an option of "
            "the protocol"
        )
    if protocol in (Paillier.name, ThresholdPaillier.name):
        options |= {"key_bits": key_bits, "insecure": insecure}
    return protocols.resolve(protocol, **options)


def _fill_all(place: Path, aggregator: Aggregator, clients: int) -> None:
    roster = range(clients)
    staff = aggregator.staff(roster) or SERVERS[:1]
    people = {name: Identity.generate() for name in (*staff, *map(client_name, roster))}
    known = Directory({name: person.public for name, person in people.items()}).to_bytes()
    shared, own = _keys_of(aggregator)
    for name, person in people.items():
        identity = {IDENTITY: person.to_bytes(), DIRECTORY: known}
        _fill(place / name, identity | shared | own.get(name, {}))


def _keys_of(aggregator: Aggregator) -> tuple[Files, dict[str, Files]]:
    """Return an aggregator's keys as files: those for everybody, and those of one party alone."""
    if isinstance(aggregator, Paillier):
        public, private = aggregator.keys
        own = {} if private is None else {KEY_HOLDER: {PRIVATE_KEY: private.to_bytes()}}
        return {PUBLIC_KEY: public.to_bytes()}, own
    if isinstance(aggregator, ThresholdPaillier):
        key, shares = aggregator.keys
        _, *names = aggregator.staff(())
        own = {names[share.holder - 1]: {KEY_SHARE: share.to_bytes()} for share in shares}
        return {THRESHOLD_KEY: key.to_bytes()}, own
    return {}, {}


@contextmanager
def building(path: Path, *, mode: int = 0o700) -> Iterator[Path]:
    """Yield a hidden folder beside `path` that becomes it, unless something goes wrong."""
    target = path.absolute()
    _require_free(target)
    workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        place = workshop / target.name
        place.mkdir(mode=mode)
        yield place
        os.rename(place, target)  # fails where another has put something in between
        _sync(target.parent)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _require_free(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise FileExistsError(f"folder: {target} is not a directory; choose another")
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"folder: {target} is not empty and is not replaced; choose another")
    if Path.cwd().is_relative_to(target.resolve()):
        raise FileExistsError(f"folder: {target} is the working directory; choose another")
    _require_parent(target)


def _require_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise FileNotFoundError(f"folder: {target.parent} is not a directory; create it first")


def _fill(folder: Path, files: Files) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, data in files.items():
        _create(folder / name, data)
    _sync(folder)


def _create(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that was not there, and wait until it is on the disk."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    if path.name in _SECRET and path.stat().st_mode & _OTHERS:
        raise PermissionError(
            f"folder: others can read or write the secret {path}; run: chmod 600 {path}"
        )
    return path.read_bytes()


def _read_public(path: Path) -> PublicIdentity:
    if not path.exists():
        raise FileNotFoundError(f"public file: {path} is missing")
    with _telling(path):
        data = path.read_bytes()
        if _is_secret(data):
            raise DeserializationError(
                "it holds a party's secret keys; pass its public-identity, and have the party make "
                "a new identity if this file was sent"
            )
        entries = Directory.from_bytes(data)
        if list(entries) != [PUBLIC_IDENTITY]:
            raise DeserializationError(
                f"it is a directory of {len(entries)} parties, expected one party's public-identity"
            )
        return entries[PUBLIC_IDENTITY]


def _is_secret(data: bytes) -> bool:
    try:
        Identity.from_bytes(data)
    except (DeserializationError, InvalidKey):
        return False
    return True


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say which file it was."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(
            f"folder: {path} is missing; a folder is made by `veilsum flower keys`, or by "
            "`veilsum flower identity` and the directory that `veilsum flower enrol` writes"
        ) from None
    except (DeserializationError, InvalidKey, KeyMismatch) as error:
        raise type(error)(f"{path}: {error}") from None
