"""Mean over tokens and over T, then one linear layer, once (Spikformer, arXiv 2209.15425)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikebench.core.values import REAL, declare
from spikebench.networks.context import Context
from spikebench.networks.heads._base import HeadBase, classifier


class Head(HeadBase):
    """The linear layer sees an average of spikes: real values, one multiply-accumulate each."""

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__()
        self.linear = classifier(context.spec.dim, context.inputs.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(1, B, classes)."""
        mean = declare(x.mean(3).mean(0), REAL)
        out: Tensor = self.linear(mean)
        return out.unsqueeze(0)
