"""Images in classes, and how classes are split: what few-shot tasks are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageClasses", "require_different"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageClasses:
    """Images sorted by class; a class may have more of them than another.

    Parameters
    ----------
    images : ndarray of uint8, shape (images, side, side, channels)
        The images of the first class, then those of the second, and so on; 255 is full ink, or
        the brightest.
    counts : ndarray of int64, shape (classes,)
        How many of them each class has, at least 1.
    names : sequence of str
        Name of each class.
    groups : sequence of str
        What each class belongs to: of a character, its alphabet.
    licence : str or None
        Licence of images that ship with the package, else None.
    citation : str or None
        Work to cite for images that ship with the package, else None.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a class has no image.
    TypeError
        If the images are not uint8.

    Examples
    --------
    >>> faces = ImageClasses.of(np.zeros((3, 28, 28)), np.array(["cat", "owl", "cat"]))
    >>> len(faces), faces.names, faces.counts, faces.take([1]).names
    (2, ('cat', 'owl'), array([2, 1]), ('owl',))
    """

    images: NDArray[np.uint8]
    counts: NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    licence: str | None = None
    citation: str | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8:
            raise TypeError(f"images: got {self.images.dtype}, expected uint8")
        if self.images.ndim != 4 or self.images.shape[1] != self.images.shape[2]:
            raise ValueError(
                f"images: got shape {self.images.shape}, expected (images, side, side, channels)"
            )
        if self.counts.ndim != 1 or not len(self.counts) or self.counts.min() < 1:
            raise ValueError("counts: expected one number for each class, at least 1")
        if self.counts.sum() != len(self.images):
            raise ValueError(f"counts: add up to {self.counts.sum()} of {len(self.images)} images")
        for name, given in (("names", self.names), ("groups", self.groups)):
            if len(given) != len(self):
                raise ValueError(f"{name}: got {len(given)}, expected {len(self)}, one a class")

    @classmethod
    def of(
        cls,
        images: NDArray[Any],
        labels: NDArray[Any],
        *,
        names: NDArray[Any] | Sequence[str] | None = None,
    ) -> ImageClasses:
        """Sort labelled images into classes.

        Parameters
        ----------
        images : ndarray, shape (images, side, side) or (images, side, side, channels)
            Of uint8, or of floats from 0 to 1, which are rounded to 8 bits.
        labels : ndarray, shape (images,)
            Integers or text; equal ones are a class.
        names : sequence of str, optional
            Names of the labels 0, 1 and so on. By default a class is named by its label.

        Returns
        -------
        ImageClasses
            Each class is a group of its own.

        Raises
        ------
        ValueError
            If the shapes do not fit, a float is not from 0 to 1, or a label has no name.
        TypeError
            If the dtypes are others.
        """
        images = _as_bytes(images)
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if labels.dtype.kind not in "iuU":
            raise TypeError(f"labels: got {labels.dtype}, expected integers or text")
        if not len(images) or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels: got shape {labels.shape} for images of shape {images.shape}, "
                "expected one label for each of one or more images"
            )
        distinct, counts = np.unique(labels, return_counts=True)
        named = _names(distinct, names)
        ordered = images[np.argsort(labels, kind="stable")]
        return cls(images=ordered, counts=counts.astype(np.int64), names=named, groups=named)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Place of the first image of each class."""
        return np.cumsum(self.counts) - self.counts

    def take(self, classes: Sequence[int] | NDArray[np.int64]) -> ImageClasses:
        """Copy some classes, so that nothing of the others goes where they go.

        Parameters
        ----------
        classes : sequence of int
            Their numbers, each from 0 and once.

        Returns
        -------
        ImageClasses
            These, in this order.

        Raises
        ------
        ValueError
            If there is no such class, a number comes twice, or there are none.
        """
        chosen = require_different("classes", classes, len(self))
        first, counts = self.starts[chosen], self.counts[chosen]
        return replace(
            self,
            images=self.images[
                np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            ],
            counts=counts,
            names=tuple(self.names[number] for number in chosen),
            groups=tuple(self.groups[number] for number in chosen),
        )

    def split(self, train: int, *, seed: int) -> tuple[ImageClasses, ImageClasses]:
        """Split the classes at random, as the few-shot literature does.

        Parameters
        ----------
        train : int
            Number of classes of the first part; of Omniglot's 1623, 1200 are usual.
        seed : int
            Seed of the shuffle, not negative.

        Returns
        -------
        train, test : ImageClasses
            Classes to train with, and all others.

        Raises
        ------
        ValueError
            If no class would be left for one of the parts.
        """
        if not 0 < train < len(self):
            raise ValueError(f"train: got {train}, expected from 1 to {len(self) - 1} classes")
        shuffled = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(shuffled[:train])), self.take(np.sort(shuffled[train:]))

    def hold_out(self, count: int, *, seed: int) -> tuple[ImageClasses, ImageClasses]:
        """Split the images of every class at random.

        Parameters
        ----------
        count : int
            Images of each class that are held out.
        seed : int
            Seed of the choice, not negative.

        Returns
        -------
        kept, held : ImageClasses
            All classes twice: with the images that are left, and with those held out.

        Raises
        ------
        ValueError
            If no image of a class would be left, or none held out.
        """
        if count < 1:
            raise ValueError(f"count: got {count}, expected at least 1")
        self.require(count + 1)
        generator = np.random.default_rng(seed)
        held = np.zeros(len(self.images), dtype=bool)
        for start, images in zip(self.starts, self.counts, strict=True):
            held[start + generator.choice(images, count, replace=False)] = True
        rest = replace(self, images=self.images[~held], counts=self.counts - count)
        return rest, replace(
            self, images=self.images[held], counts=np.full_like(self.counts, count)
        )

    def require(self, images: int) -> None:
        """Raise ValueError if a class has fewer images."""
        least = int(self.counts.argmin())
        if self.counts[least] < images:
            raise ValueError(
                f"class {self.names[least]!r} has {self.counts[least]} images, "
                f"but {images} are needed of each; use fewer, or leave the class out"
            )


def _as_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return np.asarray(images)
    if images.dtype.kind != "f":
        raise TypeError(f"images: got {images.dtype}, expected uint8 or floats from 0 to 1")
    # a NaN compares false, too
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("images: expected floats from 0 to 1; scale them, or give uint8")
    return np.asarray(np.rint(images * 255), dtype=np.uint8)


def _names(labels: NDArray[Any], names: NDArray[Any] | Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return tuple(map(str, labels))
    numbered = np.ndim(names) == 1 and labels.dtype.kind != "U"
    if not numbered or labels[0] < 0 or labels[-1] >= len(names):
        raise ValueError(
            f"names: got shape {np.shape(names)} for labels from {labels[0]} to {labels[-1]}, "
            "expected one for each number from 0"
        )
    return tuple(str(names[label]) for label in labels)


def require_different(
    name: str, numbers: Sequence[int] | NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return numbers of some of `count` things; ValueError unless they differ and exist."""
    chosen = np.asarray(numbers)
    whole = chosen.ndim == 1 and len(chosen) and chosen.dtype.kind in "iu"
    if (
        not whole
        or chosen.min() < 0
        or chosen.max() >= count
        or len(np.unique(chosen)) < len(chosen)
    ):
        raise ValueError(
            f"{name}: got {chosen}, expected one or more different numbers from 0 to {count - 1}"
        )
    return chosen.astype(np.int64)
