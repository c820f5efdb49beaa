"""Exclusive or of spikes, x + z - 2xz: the stream stays binary (XOR-Spikformer)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikebench.core.values import BINARY, Values
from spikebench.networks.residuals._base import ResidualBase


class Residual(ResidualBase):
    """A spike meets a spike: neither passes. The stem's position spikes are merged in the same way."""

    binary_only: ClassVar[bool] = True

    @staticmethod
    def result(emits: Values) -> Values:
        return BINARY

    def join(self, x: Tensor, z: Tensor) -> Tensor:
        return x + z - 2 * x * z
