"""Omniglot, 1623 characters of 50 alphabets, 20 drawings of each: it ships with the package.

Other images are read from files: drawings as PNGs, and classes of any images as an .npz.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from veilsum.learning.images import ImageClasses

__all__ = ["load"]

_CITATION = (
    "Lake, Salakhutdinov and Tenenbaum (2015), Human-level concept learning through probabilistic "
    "program induction, Science 350(6266), 1332-1338"
)
_SIDE = 28
_INK = 64  # of 255, a quarter of a pixel's area: a half would break thin strokes
_MOST_PIXELS_A_SIDE = 2048
_MOST_BYTES = 1 << 31
_PARTS = ("images_background", "images_evaluation")


def load(path: str | PathLike[str] | None = None) -> ImageClasses:
    """Load Omniglot, or classes of images from files.

    Parameters
    ----------
    path : str or path-like, optional
        By default Omniglot itself, 28 x 28 pixels with ink 255. Else one of:

        - A folder of drawings ``alphabet/character/*.png``, square with black ink, also below
          ``images_background`` and ``images_evaluation``. What is larger than 28 x 28 is shrunk;
          ink is where a quarter of a pixel is. Needs Pillow: ``pip install 'veilsum[lab]'``.
        - An .npz file with ``images`` (images, side, side) or (images, side, side, channels), of
          uint8 or of floats from 0 to 1, and ``labels`` (images,); if it has ``classes``, these
          are the names of the labels 0, 1 and so on.
        - An .npz file laid out as the one that ships: see ``data/README.md`` of this package.

    Returns
    -------
    ImageClasses
        One class a character, whose group is its alphabet; of ``labels``, one class a label.

    Raises
    ------
    ValueError
        If there is nothing at `path`, a file cannot be read, or what it holds is none of these.
    ImportError
        If PNGs are to be read and Pillow is not installed.

    Examples
    --------
    >>> characters = load()
    >>> len(characters), characters.images.shape, characters.licence
    (1623, (32460, 28, 28, 1), 'MIT')
    >>> characters.names[0], characters.groups[0]
    ('Alphabet_of_the_Magi/character01', 'Alphabet_of_the_Magi')
    """
    if path is None:
        file = resources.files(__package__) / "data" / "omniglot28.npz"
        with file.open("rb") as packed:
            return replace(_from_npz(packed), licence="MIT", citation=_CITATION)
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise ValueError(f"there is no file or folder {path}")
    if path.suffix != ".npz":
        raise ValueError(f"{path}: expected an .npz file, or a folder of PNGs")
    with path.open("rb") as packed:
        try:
            return _from_npz(packed)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error


def _from_npz(file: IO[bytes]) -> ImageClasses:
    arrays = _arrays(file)
    if "images_packed" in arrays:
        return _unpacked(arrays)
    _require(arrays, ("images", "labels"))
    return ImageClasses.of(arrays["images"], arrays["labels"], names=arrays.get("classes"))


def _arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(file) as members:
            _require_size(sum(member.file_size for member in members.infolist()))
        file.seek(0)
        with np.load(file, allow_pickle=False) as opened:
            return {member: np.asarray(opened[member]) for member in opened.files}
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"cannot be read as an .npz without pickles: {error}") from error


def _require(arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in arrays]
    if missing:
        held = ", ".join(map(repr, arrays)) or "nothing"
        raise ValueError(f"has no array {missing[0]!r}, but {held}")


def _unpacked(arrays: Mapping[str, NDArray[Any]]) -> ImageClasses:
    _require(arrays, ("alphabet", "alphabets", "character"))
    bits, characters = arrays["images_packed"], arrays["character"]
    alphabet, alphabets = arrays["alphabet"], arrays["alphabets"]
    if bits.dtype != np.uint8 or bits.ndim != 3 or bits.shape[2] != _SIDE * _SIDE // 8:
        raise ValueError(
            f"images_packed: got {bits.dtype} of shape {bits.shape}, expected uint8 "
            f"(characters, drawings, {_SIDE * _SIDE // 8})"
        )
    classes, drawings, _ = bits.shape
    for name, array in (("alphabet", alphabet), ("character", characters)):
        if array.shape != (classes,):
            raise ValueError(f"{name}: got shape {array.shape}, expected ({classes},)")
    whole = alphabet.dtype.kind in "iu" and alphabets.ndim == 1
    if not whole or not np.isin(alphabet, np.arange(len(alphabets))).all():
        raise ValueError("alphabet: expected each to be the number of one of the alphabets")
    _require_size(8 * bits.size)
    groups = tuple(map(str, alphabets[alphabet]))
    return ImageClasses(
        images=np.unpackbits(bits, axis=-1).reshape(-1, _SIDE, _SIDE, 1) * np.uint8(255),
        counts=np.full(classes, drawings),
        names=tuple(map("{}/{}".format, groups, characters)),
        groups=groups,
    )


def _require_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise ValueError(f"holds {size:,} bytes, expected at most {_MOST_BYTES:,}")


def _from_folder(folder: Path) -> ImageClasses:
    parts = [folder / part for part in _PARTS if (folder / part).is_dir()] or [folder]
    alphabets = [alphabet for part in parts for alphabet in _folders(part)]
    characters = [character for alphabet in alphabets for character in _folders(alphabet)]
    if not characters:
        raise ValueError(f"{folder}: has no folders alphabet/character with PNGs")
    drawings = [_drawings(character) for character in characters]
    counts = np.array([len(files) for files in drawings])
    _require_size(int(counts.sum()) * _SIDE * _SIDE)
    return ImageClasses(
        images=np.stack([_read(file) for files in drawings for file in files])[..., np.newaxis],
        counts=counts,
        names=tuple(f"{character.parent.name}/{character.name}" for character in characters),
        groups=tuple(character.parent.name for character in characters),
    )


def _folders(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir())
    return [path for path in inside if path.is_dir() and not path.name.startswith(".")]


def _drawings(character: Path) -> list[Path]:
    files = [path for path in sorted(character.iterdir()) if path.suffix.lower() == ".png"]
    if not files:
        raise ValueError(f"{character}: has no .png")
    return files


def _read(file: Path) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as missing:
        raise ImportError(
            "reading PNGs needs Pillow, which is not installed; run: pip install 'veilsum[lab]'",
            name="PIL",
        ) from missing
    try:
        with Image.open(file, formats=["PNG"]) as drawing:
            width, height = drawing.size
            if width != height or not _SIDE <= width <= _MOST_PIXELS_A_SIDE:
                raise ValueError(
                    f"{width} x {height} pixels, expected a square of {_SIDE} to "
                    f"{_MOST_PIXELS_A_SIDE}"
                )
            grey = np.asarray(drawing.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file}: cannot be read as a drawing: {error}") from error
    ink = Image.fromarray(255 - grey).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.where(np.asarray(ink) >= _INK, 255, 0).astype(np.uint8)
