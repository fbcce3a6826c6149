"""Output directories: written as a whole or not at all, and never over what is not ours.

Work that can be resumed keeps its state in a folder of its own inside the output directory, until
the results replace both.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "DATA",
    "REPORT",
    "UNFINISHED",
    "Draft",
    "Kind",
    "Unfinished",
    "finite",
    "reserved",
    "to_json",
]

REPORT, DATA, UNFINISHED = "report.html", "results.json", "unfinished"
_STATE, _PART = "state.json", "part-"
_ADVICE = "choose another --output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What an experiment leaves in its directory.

    Parameters
    ----------
    schema : str
        Name and version of the layout of ``results.json``, such as ``veilsum.compare/2``. What has
        the same name may be replaced.
    files : collection of str
        The names of all files beside ``results.json``.
    command : str
        The command whose option ``--resume`` goes on with unfinished work; empty if there is none.
    """

    schema: str
    files: Collection[str]
    command: str = ""


def to_json(schema: str, results: Any) -> str:
    """Write a dataclass as the content of ``results.json``, with its schema first.

    Numbers that are not finite become null.

    Examples
    --------
    >>> @dataclass
    ... class Results:
    ...     error: float
    >>> print(to_json("veilsum.example/1", Results(math.inf)))
    {
     "schema": "veilsum.example/1",
     "error": null
    }
    <BLANKLINE>
    """
    document = {"schema": schema, **finite(asdict(results))}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return what JSON can hold of nested lists and mappings: null for what is not finite."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The state of work that can be resumed: a document, and files that it goes with.

    They are saved together or not at all: the document, which is replaced in one step, names the
    files that are its own.

    Parameters
    ----------
    folder : Path
        Where they are; it is made when something is first saved.
    schema : str
        That of the results.
    """

    folder: Path
    schema: str

    @property
    def exists(self) -> bool:
        """Whether something was saved."""
        return (self.folder / _STATE).is_file()

    def save(
        self, state: Mapping[str, Any], files: Mapping[str, Callable[[Path], None]] | None = None
    ) -> None:
        """Save the state, in place of the one before.

        Parameters
        ----------
        state : mapping
            What JSON can hold.
        files : mapping of str to callable
            What writes each file, to the path that it is called with.

        Raises
        ------
        OSError
            When something cannot be written; the state before is still there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = set(self.folder.iterdir()) - {self.folder / _STATE}
        names = {}
        with tempfile.TemporaryDirectory(prefix=_PART, dir=self.folder) as fresh:
            part = Path(fresh)
            for name, write in (files or {}).items():
                names[name] = f"{part.name}-{name}"
                write(part / name)
                os.replace(part / name, self.folder / names[name])
            document = {"schema": self.schema, "files": names, "state": state}
            (part / _STATE).write_text(json.dumps(document), encoding="utf-8")
            os.replace(part / _STATE, self.folder / _STATE)
        for path in earlier:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def load(self) -> tuple[dict[str, Any], dict[str, Path]]:
        """Return the state, and where its files are.

        Raises
        ------
        ValueError
            When it is damaged, or of another version.
        OSError
            When it cannot be read.
        """
        try:
            document = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            schema, state, names = (document[key] for key in ("schema", "state", "files"))
            files = {name: self.folder / Path(path).name for name, path in names.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self.damaged(error) from error
        if schema != self.schema:
            raise ValueError(
                f"resume: {self.folder} is of {schema}, this is {self.schema}; go on with the "
                "version that began it, or delete it to begin anew"
            )
        return state, files

    def damaged(self, error: Exception) -> ValueError:
        """Return the error that says so, and what to do."""
        return ValueError(f"resume: {self.folder} is damaged ({error}); delete it to begin anew")


@dataclass(frozen=True, slots=True)
class Draft:
    """A hidden directory beside `output`, in which results are written before they appear."""

    output: Path
    kind: Kind
    workshop: Path

    @property
    def folder(self) -> Path:
        """Where the files are written; it becomes `output`."""
        return self.workshop / "new" / self.output.name

    @property
    def unfinished(self) -> Unfinished:
        """The state of the work inside `output`."""
        return _unfinished(self.output, self.kind)

    @property
    def resuming(self) -> str:
        """The command line that goes on with the work."""
        return _resuming(self.output, self.kind)

    def write(self, fill: Callable[[Path], None]) -> None:
        """Let all files be written into `folder`, and rename it to `output`.

        Raises
        ------
        OSError
            When a file cannot be written; nothing has changed then.
        ValueError
            When `output` holds files that veilsum did not write.
        """
        try:
            fill(self.folder)
            self.check()
            _swap(self.output, self.folder, self.workshop / "old")
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(f"output: {self.output} could not be written: {why}") from error

    def check(self) -> None:
        """Refuse to go on where somebody has put other files into `output` in between.

        Raises
        ------
        ValueError
            When somebody has.
        """
        _check(self.output, self.kind)


@contextmanager
def reserved(output: Path, kind: Kind, *, resume: bool = False) -> Iterator[Draft]:
    """Make sure, before any work, that `output` can be written; tidy up however the work ends.

    Parameters
    ----------
    output : Path
        A directory that does not exist, is empty, or holds earlier results of the same kind.
    kind : Kind
        What is going to be written.
    resume : bool
        Whether unfinished work in it is gone on with. Else there must be none.

    Yields
    ------
    Draft
        What :meth:`Draft.write` turns into `output`.

    Raises
    ------
    ValueError
        When `output` is a file, a link, holds the working directory, or holds anything else, or
        when its parent cannot be written to, or there is unfinished work and should be none, or
        the other way round.
    """
    _check(output, kind)
    _require_state(output, kind, resume)
    with ExitStack() as tidy:
        try:
            workshop = Path(tempfile.mkdtemp(prefix=".veilsum-", dir=output.parent))
            tidy.callback(shutil.rmtree, workshop, ignore_errors=True)
            draft = Draft(output, kind, workshop)
            draft.folder.mkdir(parents=True)
        except OSError as error:
            raise ValueError(
                f"output: {output} cannot be created ({error.strerror}); {_ADVICE}"
            ) from error
        yield draft


def _unfinished(output: Path, kind: Kind) -> Unfinished:
    return Unfinished(output / UNFINISHED, kind.schema)


def _resuming(output: Path, kind: Kind) -> str:
    return shlex.join(["veilsum", kind.command, "--resume", "--output", str(output)])


def _require_state(output: Path, kind: Kind, resume: bool) -> None:
    exists = bool(kind.command) and _unfinished(output, kind).exists
    if resume and not exists:
        raise ValueError(f"resume: {output} holds no unfinished work; leave --resume out to begin")
    if exists and not resume:
        raise ValueError(
            f"output: {output} holds unfinished work; go on with it by: {_resuming(output, kind)}, "
            f"or delete {output / UNFINISHED} to begin anew"
        )


def _check(output: Path, kind: Kind) -> None:
    try:
        _require_free(output, kind)
    except OSError as error:
        raise ValueError(
            f"output: {output} cannot be used ({error.strerror}); {_ADVICE}"
        ) from error


def _require_free(output: Path, kind: Kind) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise ValueError(f"output: {output} is not a directory; {_ADVICE}")
    if Path.cwd().is_relative_to(output.resolve()):
        raise ValueError(f"output: {output} is the working directory or above it; {_ADVICE}")
    if not output.parent.resolve().is_dir():
        raise ValueError(f"output: {output.parent} is not a directory; create it or {_ADVICE}")
    if not os.access(output.parent, os.W_OK):
        raise ValueError(f"output: {output.parent} cannot be written to; {_ADVICE}")
    if output.exists() and not _is_ours(output, kind):
        raise ValueError(f"output: {output} holds files that veilsum did not write; {_ADVICE}")


def _is_ours(output: Path, kind: Kind) -> bool:
    found = {path.name for path in output.iterdir()}
    expected = {DATA, *kind.files}
    if kind.command and _is_state(output / UNFINISHED):
        found.discard(UNFINISHED)
    if not found:
        return True
    if not found <= expected or DATA not in found:
        return False
    try:
        document = json.loads((output / DATA).read_text(encoding="utf-8"))
    except ValueError:
        return False
    family = kind.schema.partition("/")[0]
    return isinstance(document, dict) and str(document.get("schema")).startswith(f"{family}/")


def _is_state(folder: Path) -> bool:
    """Return whether a folder holds nothing but what `Unfinished.save` leaves, finished or not."""
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and all(path.name == _STATE or path.name.startswith(_PART) for path in folder.iterdir())
    )


def _swap(output: Path, fresh: Path, old: Path) -> None:
    try:
        if output.exists():
            os.replace(output, old)
        os.replace(fresh, output)
    except BaseException:
        if old.exists() and not output.exists():
            os.replace(old, output)
        raise
