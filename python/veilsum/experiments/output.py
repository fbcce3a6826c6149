"""Output directories: written as a whole or not at all, and never over what is not ours."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATA", "REPORT", "Draft", "Kind", "reserved"]

REPORT, DATA = "report.html", "results.json"
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
    """

    schema: str
    files: Collection[str]


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
def reserved(output: Path, kind: Kind) -> Iterator[Draft]:
    """Make sure, before any work, that `output` can be written; tidy up however the work ends.

    Parameters
    ----------
    output : Path
        A directory that does not exist, is empty, or holds earlier results of the same kind.
    kind : Kind
        What is going to be written.

    Yields
    ------
    Draft
        What :meth:`Draft.write` turns into `output`.

    Raises
    ------
    ValueError
        When `output` is a file, a link, holds the working directory, or holds anything else, or
        when its parent cannot be written to.
    """
    _check(output, kind)
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


def _swap(output: Path, fresh: Path, old: Path) -> None:
    try:
        if output.exists():
            os.replace(output, old)
        os.replace(fresh, output)
    except BaseException:
        if old.exists() and not output.exists():
            os.replace(old, output)
        raise
