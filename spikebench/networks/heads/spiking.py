"""Mean over tokens, a neuron, a linear layer at each step, mean over T (Spike-driven Transformer, arXiv 2307.01694)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikebench.core.values import REAL, declare
from spikebench.networks.context import Context
from spikebench.networks.heads._base import HeadBase, classifier


class Head(HeadBase):
    """The linear layer sees spikes, T times."""

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__()
        self.neuron = context.neuron(context.spec.dim)
        self.linear = classifier(context.spec.dim, context.inputs.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, classes)."""
        mean = declare(x.mean(3), REAL)
        out: Tensor = self.linear(self.neuron(mean))
        return out
