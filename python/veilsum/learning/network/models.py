"""The models: linear, a multilayer perceptron, and the four convolutions of few-shot learning."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from veilsum.learning.network.convolutions import (
    Convolution,
    Flatten,
    Images,
    PooledNorm,
    WinogradConvolution,
)
from veilsum.learning.network.layers import Dense, Layer, ReLU
from veilsum.learning.network.network import Network

__all__ = ["conv4", "linear", "mlp"]

Pool = Literal["max", "stride"]

# Below, transforming the maps would cost more than the products that it saves.
_LEAST_WINOGRAD = 8


def linear(*, inputs: int, outputs: int = 1, dtype: Any = np.float64) -> Network:
    """Make a linear model: one dense layer.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features and of outputs, at least 1.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Network
        Of ``(inputs + 1) * outputs`` parameters.
    """
    return mlp(inputs=inputs, outputs=outputs, hidden=(), dtype=dtype)


def mlp(
    *,
    inputs: int,
    outputs: int | None = 1,
    hidden: Sequence[int] = (40, 40),
    dtype: Any = np.float64,
) -> Network:
    """Make a multilayer perceptron with ReLU between its dense layers.

    Parameters
    ----------
    inputs : int
        Number of features, at least 1.
    outputs : int or None
        Number of outputs, at least 1; None leaves the last dense layer out, and answers the last
        hidden layer after its ReLU (the inputs themselves, where nothing is hidden).
    hidden : sequence of int
        Widths of the hidden layers: Finn, Abbeel and Levine (2017) regress sinusoids with 40 and
        40.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Network
        The model.
    """
    widths = (inputs, *hidden) if outputs is None else (inputs, *hidden, outputs)
    if min(widths) < 1:
        raise ValueError(f"widths: got {widths}, expected each at least 1")
    layers: list[Layer] = []
    for ends in pairwise(widths):
        layers += [Dense(*ends), ReLU()]
    if outputs is not None:
        layers.pop()
    return Network(layers=tuple(layers), inputs=(inputs,), outputs=widths[-1], dtype=dtype)


def conv4(
    *,
    outputs: int | None,
    side: int = 28,
    channels: int = 1,
    filters: int = 64,
    pool: Pool = "max",
    dtype: Any = np.float32,
) -> Network:
    """Make four modules of 3x3 convolution, batch normalisation, ReLU and 2x2 pooling.

    The model of Vinyals et al. (2016), "Matching networks for one shot learning", with a dense
    layer at its end. With 5 outputs it has 112,005 parameters on Omniglot. The dense layer starts
    at zero, where no class is preferred to another: a random one takes many of a task's few steps
    to unlearn (Kao, Chiu and Chen 2022, "MAML is a noisy contrastive learner in classification").

    Parameters
    ----------
    outputs : int or None
        Number of classes; None leaves the dense layer out, and answers features. The parameters
        of the latter are the first ones of the former.
    side : int
        Height and width of an image, at least 16.
    channels : int
        Channels of an image.
    filters : int
        Channels of each convolution.
    pool : {"max", "stride"}
        What halves the side: the largest of each 2x2 square, without the last row and column of an
        odd side (28, 14, 7, 3, 1); or convolutions with stride 2, which answer the first place of
        each square (28, 14, 7, 4, 2).
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Network
        Takes images (tasks, batch, side, side, channels).
    """
    if side < 16:
        raise ValueError(f"side: got {side}, expected at least 16: four times halved, one is left")
    if pool not in get_args(Pool):
        allowed = ", ".join(map(repr, get_args(Pool)))
        raise ValueError(f"pool: got {pool!r}, expected one of {allowed}")
    sizes = {"channels": channels, "filters": filters, "outputs": 1 if outputs is None else outputs}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: got {size}, expected at least 1")
    shape = (side, side, channels)
    layers: list[Layer] = [Images()]
    for inputs in (channels, filters, filters, filters):
        # Pooled before ReLU, which is monotone: the same values, a quarter of the work.
        convolution = _convolution(inputs, filters, side, pool)
        layers += [convolution, PooledNorm(filters, side, convolution.corners), ReLU()]
        side = side // 2 if pool == "max" else (side + 1) // 2
    layers.append(Flatten())
    features = filters * side**2
    if outputs is not None:
        layers.append(Dense(features, outputs, start="zeros"))
    return Network(
        layers=tuple(layers),
        inputs=shape,
        outputs=features if outputs is None else outputs,
        dtype=dtype,
    )


def _convolution(inputs: int, outputs: int, side: int, pool: Pool) -> Convolution:
    if pool == "stride":
        return Convolution(inputs, outputs, side, corners=1)
    kind = Convolution if inputs < _LEAST_WINOGRAD else WinogradConvolution
    return kind(inputs, outputs, side)
