"""Layers from images to features. Each convolution halves the side: by maxima, or by a stride.

Between these layers a map is (tasks, side, side, batch, channels): neighbours in the plane are far
apart, so that whatever looks around itself works on long runs. A convolution answers by 2x2
squares, (tasks, corners, half, half, batch, channels) with ``half = ceil(side / 2)``: all four
corners of each square where maxima are taken, only the first where the stride is 2. Corners beyond
an odd side hold zeros, and so do their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from veilsum.learning.network.layers import Layer, Weight

__all__ = ["Convolution", "Flatten", "Images", "PooledNorm", "WinogradConvolution"]

Array = NDArray[np.floating[Any]]

_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Images(Layer):
    """Images (tasks, batch, side, side, channels) as a map."""

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return (tasks, side, side, batch, channels)."""
        return np.moveaxis(x, 1, 3), None

    def backward(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,  # noqa: ARG002
        dy: Array,
        gradients: Sequence[Array],  # noqa: ARG002
    ) -> Array:
        """Undo `forward`."""
        return np.moveaxis(dy, 3, 1)


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """A map as features, channel by channel."""

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return (tasks, batch, channels * side * side)."""
        tasks, _, _, batch, _ = x.shape
        return x.transpose(0, 3, 4, 1, 2).reshape(tasks, batch, -1), x.shape

    def backward(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dy: Array,
        gradients: Sequence[Array],  # noqa: ARG002
    ) -> Array:
        """Undo `forward`."""
        tasks, side, _, batch, channels = cache
        dx = dy.reshape(tasks, batch, channels, side, side).transpose(0, 3, 4, 1, 2)
        return np.ascontiguousarray(dx)


@dataclass(frozen=True, slots=True)
class Convolution(Layer):
    """A 3x3 convolution with zeros around the map and no intercept.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of channels.
    side : int
        Height and width of a map.
    corners : {4, 1}
        Corners of each square that are answered; 1 is a stride of 2.
    """

    inputs: int
    outputs: int
    side: int
    corners: int = 4

    @property
    def weights(self) -> tuple[Weight, ...]:
        """One matrix, by rows and columns of the kernel, then by inputs."""
        return (
            Weight((9 * self.inputs, self.outputs), "glorot", 9 * (self.inputs + self.outputs)),
        )

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the squares."""
        windows = self._windows(_padded(x))
        return self._squares(windows @ weights[0], x.shape[3]), windows

    def learn(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dy: Array,
        gradients: Sequence[Array],
    ) -> None:
        """Correlate with the input."""
        received = dy.reshape(len(dy), -1, self.outputs)
        np.matmul(cache.swapaxes(1, 2), received, out=gradients[0])

    def backward(
        self, weights: Sequence[Array], cache: Any, dy: Array, gradients: Sequence[Array]
    ) -> Array:
        """Hand what each window receives to its places."""
        self.learn(weights, cache, dy, gradients)
        tasks, corners, half, _, batch, _ = dy.shape
        received = dy.reshape(tasks, -1, self.outputs) @ weights[0].swapaxes(1, 2)
        windows = received.reshape(tasks, corners, half, half, batch, 3, 3, self.inputs)
        dx = np.zeros((tasks, 2 * half + 2, 2 * half + 2, batch, self.inputs), dy.dtype)
        for corner, down, right in np.ndindex(corners, 3, 3):
            rows = _every_second(dx, 1, corner // 2 + down)
            places = _every_second(rows, 2, corner % 2 + right)
            places += windows[:, corner, ..., down, right, :]
        return self._unpadded(dx)

    def _windows(self, padded: Array) -> Array:
        """Return (tasks, corners * half * half * batch, 9 * inputs)."""
        tasks, size, _, batch, inputs = padded.shape
        half = size // 2 - 1
        split = (tasks, half, 2, half, 2, batch, inputs, 3, 3)
        windows = sliding_window_view(padded, (3, 3), axis=(1, 2)).reshape(split)
        squares = windows.transpose(0, 2, 4, 1, 3, 5, 7, 8, 6)
        if self.corners == 1:
            squares = squares[:, :1, :1]
        return squares.reshape(tasks, -1, 9 * inputs)

    def _squares(self, y: Array, batch: int) -> Array:
        half = (self.side + 1) // 2
        squares = y.reshape(len(y), self.corners, half, half, batch, self.outputs)
        _clear_beyond(squares, self.side)
        return squares

    def _unpadded(self, padded: Array) -> Array:
        return padded[:, 1 : self.side + 1, 1 : self.side + 1]


def _of_squares(matrix: list[list[float]]) -> Array:
    """Return what applies a matrix to the rows and to the columns of flat squares."""
    return np.kron(matrix, matrix)


# The transforms of a kernel, G, and of the products, A transposed. The signs of B's and A's last
# columns are turned, so that `_gathered` has nothing to negate.
_KERNEL = _of_squares([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_INVERSE = _of_squares([[1, 1, 1, 0], [0, 1, -1, 1]])


@dataclass(frozen=True, slots=True)
class WinogradConvolution(Convolution):
    """The same convolution of all four corners, by 16 products a square in place of 36.

    Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1,
    F(2x2, 3x3). Each step is linear in the input and in the weights; backward, each step is
    transposed.
    """

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the squares."""
        tiles = _spread(_spread(_padded(x)))
        data = tiles.reshape(len(x), 16, -1, self.inputs)
        kernels = _transformed(_KERNEL, weights[0]).reshape(-1, 16, self.inputs, self.outputs)
        y = _transformed(_INVERSE, data @ kernels)
        return self._squares(y, x.shape[3]), (data, kernels)

    def backward(
        self,
        weights: Sequence[Array],  # noqa: ARG002
        cache: Any,
        dy: Array,
        gradients: Sequence[Array],
    ) -> Array:
        """Transpose each step of `forward`."""
        data, kernels = cache
        tasks, _, half, _, batch, _ = dy.shape
        products = _transformed(_INVERSE.T, dy).reshape(tasks, 16, -1, self.outputs)
        dkernels = data.swapaxes(2, 3) @ products
        gradients[0][...] = _transformed(_KERNEL.T, dkernels).reshape(gradients[0].shape)
        tiles = products @ kernels.swapaxes(2, 3)
        tiles = tiles.reshape(tasks, 4, 4, half, half, batch, self.inputs)
        return self._unpadded(_gathered(_gathered(tiles)))


def _transformed(matrix: Array, x: Array) -> Array:
    """Apply a matrix to the places of kernels or squares, which come first in each task."""
    return matrix.astype(x.dtype) @ x.reshape(len(x), matrix.shape[1], -1)


def _spread(x: Array) -> Array:
    """Apply B of Lavin and Gray to the overlapping fours of axis 2; answer by places of a four."""
    d = [_every_second(x, 2, place) for place in range(4)]
    t = np.empty((len(x), 4, *d[0].shape[1:]), x.dtype)
    np.subtract(d[0], d[2], out=t[:, 0])
    np.add(d[1], d[2], out=t[:, 1])
    np.subtract(d[2], d[1], out=t[:, 2])
    np.subtract(d[3], d[1], out=t[:, 3])
    return t


def _gathered(t: Array) -> Array:
    """Transpose `_spread` of axis 2."""
    tasks, _, rest, half, *inner = t.shape
    x = np.zeros((tasks, rest, 2 * half + 2, *inner), t.dtype)
    d = [_every_second(x, 2, place) for place in range(4)]
    np.subtract(t[:, 1], t[:, 2], out=d[1])
    d[1] -= t[:, 3]
    d[3] += t[:, 3]
    np.add(t[:, 1], t[:, 2], out=d[2])
    d[2] -= t[:, 0]
    d[0] += t[:, 0]
    return x


def _every_second(x: Array, axis: int, start: int) -> Array:
    """Return a view of one place of every square along an axis of a padded map."""
    stop = start + x.shape[axis] - 2
    return x[(slice(None),) * axis + (slice(start, stop, 2),)]


def _padded(x: Array) -> Array:
    """Return a map with zeros around it, as many as whole squares need."""
    tasks, side, _, batch, channels = x.shape
    size = (side + 1) // 2 * 2 + 2
    padded = np.zeros((tasks, size, size, batch, channels), x.dtype)
    padded[:, 1 : side + 1, 1 : side + 1] = x
    return padded


def _clear_beyond(squares: Array, side: int) -> None:
    """Write zeros to corners beyond an odd side."""
    if squares.shape[1] == 4 and side % 2:
        squares[:, 2:, -1] = 0
        squares[:, 1::2, :, -1] = 0


@dataclass(frozen=True, slots=True)
class PooledNorm(Layer):
    """Batch normalisation, then the largest of each square.

    Ioffe and Szegedy (2015), "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", Algorithm 1: each channel to mean 0 and variance 1, then scaled and
    shifted. Statistics are those of the batch at hand, unless others are given; there are no
    running averages.

    Scaling is monotone, so the largest are taken before it: a quarter of the work. The last row
    and column of an odd side count for the statistics, but are in no square of four corners.

    Parameters
    ----------
    channels : int
        Number of channels.
    side, corners : int
        As of the convolution before.
    """

    channels: int
    side: int
    corners: int = 4

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Scale and shift of each channel."""
        return Weight((self.channels,), "ones"), Weight((self.channels,), "zeros")

    def forward(self, weights: Sequence[Array], x: Array, known: Any = None) -> tuple[Array, Any]:
        """Return a map."""
        scale, shift = weights
        tasks, _, half, _, batch, _ = x.shape
        count = self._places(half) * batch
        # The channels of all examples are one axis here: longer runs.
        flat = x.reshape(*x.shape[:4], -1)
        mean = self._sums(flat.sum(axis=(1, 2, 3))) / count if known is None else known[0]
        centred = flat - _along(mean, batch)
        _clear_beyond(centred, self.side)
        inverse = self._inverse(centred, count) if known is None else known[1]
        # Where the scale is negative, the largest are those that were smallest.
        sign = np.copysign(np.ones_like(scale), scale)
        if (sign < 0).any():
            centred *= _along(sign, batch)
        peaks = self._whole(centred).max(axis=1, keepdims=True)
        y = peaks * _along(np.abs(scale) * inverse, batch)
        y += _along(shift, batch)
        return y.reshape(tasks, *y.shape[2:4], batch, -1), (centred, peaks, sign, mean, inverse)

    def backward(
        self, weights: Sequence[Array], cache: Any, dy: Array, gradients: Sequence[Array]
    ) -> Array:
        """Pull a gradient back to the first of each square's largest, and to the statistics."""
        centred, peaks, sign, _, inverse = cache
        batch = dy.shape[3]
        dy = dy.reshape(peaks.shape)
        by_scale = self._sums(np.einsum("tkrcn,tkrcn->tn", dy, peaks)) * (inverse * sign)
        by_shift = self._sums(dy.sum(axis=(1, 2, 3)))
        gradients[0][...], gradients[1][...] = by_scale, by_shift
        gain = weights[0] * inverse
        share = gain / (self._places(centred.shape[2]) * batch)
        dx: Array = centred * _along(-share * by_scale * inverse * sign, batch)
        dx -= _along(share * by_shift, batch)
        received = dy * _along(gain, batch)
        left = np.ones(peaks.shape, dtype=bool)
        for corner in range(self.corners):
            one = slice(corner, corner + 1)
            chosen = left & (self._whole(centred)[:, one] == peaks)
            self._whole(dx)[:, one] += received * chosen
            left &= ~chosen
        _clear_beyond(dx, self.side)
        return dx.reshape(*dx.shape[:4], batch, self.channels)

    def statistics(self, cache: Any) -> Any:
        """Return mean and inverse deviation of each channel: (tasks, channels)."""
        return cache[3:]

    def _places(self, half: int) -> int:
        """Return how many values an image has in a channel."""
        return (self.side if self.corners == 4 else half) ** 2

    def _whole(self, squares: Array) -> Array:
        """Return a view of the squares without those that reach beyond an odd side."""
        half = self.side // 2 if self.corners == 4 else squares.shape[2]
        return squares[:, :, :half, :half]

    def _sums(self, rows: Array) -> Array:
        """Add up the examples of each channel."""
        return np.asarray(rows.reshape(len(rows), -1, self.channels).sum(axis=1))

    def _inverse(self, centred: Array, count: int) -> Array:
        variance = self._sums(np.einsum("tkrcn,tkrcn->tn", centred, centred)) / count
        return np.asarray(1 / np.sqrt(variance + centred.dtype.type(_EPSILON)))


def _along(vector: Array, batch: int) -> Array:
    """Repeat a number of each channel for each example: (tasks, 1, 1, 1, batch * channels)."""
    return np.tile(vector, batch)[:, np.newaxis, np.newaxis, np.newaxis]
