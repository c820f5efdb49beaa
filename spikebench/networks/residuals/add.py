"""Add spikes to spikes, x + z, so that the stream counts 0, 1, 2, ... (SEW, arXiv 2102.04159; Spikformer, arXiv 2209.15425)."""

from __future__ import annotations

from torch import Tensor

from spikebench.core.values import Values
from spikebench.networks.residuals._base import ResidualBase


class Residual(ResidualBase):
    """Integers: after L blocks at most 2 + 2 L with a stem that adds its position spikes."""

    @staticmethod
    def result(emits: Values) -> Values:
        return emits if emits.kind == "real" else Values("integer", emits.scale)

    def join(self, x: Tensor, z: Tensor) -> Tensor:
        return x + z
