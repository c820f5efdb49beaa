"""What every residual is."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from spikebench.core.values import Values, declare


class ResidualBase(nn.Module):
    """Joins the stream x and a sublayer's output z, both (T, B, C, ...). A subclass writes ``join`` and ``result``.

    ``neuron_first``: sublayers begin with a neuron and end with BatchNorm (membrane shortcut) instead of ending with a neuron.
    """

    neuron_first: ClassVar[bool] = False

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__()
        self.emits = self.result(context.emits)

    @staticmethod
    def result(emits: Values) -> Values:
        """What flows on, given what the network's neurons emit."""
        raise NotImplementedError

    def join(self, x: Tensor, z: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return declare(self.join(x, z), self.emits)
