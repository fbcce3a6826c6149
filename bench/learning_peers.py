"""PyTorch's conv4, which bench_learning.py compares with ours where torch is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["NCHW", "channels last"]


@dataclass(frozen=True, slots=True)
class TorchConv4:
    """The network of `veilsum.learning.network.conv4`, with as many threads, in one layout.

    In its favour, its gradient stays in its own arrays until it is verified.
    """

    layout: Layout
    threads: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"torch, {self.layout}"

    def gradient(
        self,
        parameters: NDArray[np.float32],
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
    ) -> Callable[[], Callable[[], NDArray[np.float32]]]:
        """Return a call that passes forward and backward, whose answer reads the gradient."""
        torch = importlib.import_module("torch")
        torch.set_num_threads(self.threads)
        layout = torch.channels_last if self.layout == "channels last" else torch.contiguous_format
        model = self._model(torch, parameters).to(memory_format=layout)
        x = torch.tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        y = torch.tensor(labels)

        def passes() -> Callable[[], NDArray[np.float32]]:
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            return lambda: flat([weights.grad.numpy() for weights in model.parameters()])

        return passes

    def _model(self, torch: Any, parameters: NDArray[np.float32]) -> Any:
        nn = torch.nn
        modules = [
            (
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs, track_running_stats=False),
                nn.MaxPool2d(2),
                nn.ReLU(),
            )
            for inputs, outputs in pairwise((1, 64, 64, 64, 64))
        ]
        layers = [layer for module in modules for layer in module]
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 5))
        taken = 0
        with torch.no_grad():
            for weights in model.parameters():
                part = parameters[taken : taken + weights.numel()]
                weights.copy_(torch.tensor(theirs(part, tuple(weights.shape))))
                taken += weights.numel()
        return model


def theirs(weights: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return weights of ours in the order of theirs."""
    if len(shape) == 4:
        outputs, inputs, *kernel = shape
        return weights.reshape(*kernel, inputs, outputs).transpose(3, 2, 0, 1)
    return weights.reshape(shape[::-1]).T


def flat(gradients: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return gradients of theirs in the order of ours."""
    ours = [g.transpose(2, 3, 1, 0) if g.ndim == 4 else g.T for g in gradients]
    return np.concatenate([part.ravel() for part in ours])


def torch_networks(threads: int) -> list[TorchConv4]:
    """Return PyTorch in both layouts, where it is installed."""
    if find_spec("torch") is None:
        return []
    return [TorchConv4("NCHW", threads), TorchConv4("channels last", threads)]
