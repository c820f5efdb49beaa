"""Membrane shortcut: neurons come first, x + z adds real potentials (MS-ResNet, arXiv 2112.08954; Spikingformer, SDT)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikebench.core.values import REAL, Values
from spikebench.networks.residuals._base import ResidualBase


class Residual(ResidualBase):
    """The stream is real and every convolution reads spikes."""

    neuron_first: ClassVar[bool] = True

    @staticmethod
    def result(emits: Values) -> Values:
        return REAL

    def join(self, x: Tensor, z: Tensor) -> Tensor:
        return x + z
