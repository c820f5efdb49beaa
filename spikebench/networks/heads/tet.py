"""Logits at each step, trained by the temporal efficient training loss (TET, Deng et al. 2022, arXiv 2202.11946)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from spikebench.core.values import REAL, declare
from spikebench.networks.context import Context
from spikebench.networks.heads._base import HeadBase, classifier


@dataclass(frozen=True)
class TETOptions:
    """``regulariser``: lambda, weight of the logits' mean squared distance to ``target``. ``neuron``: one before the linear."""

    regulariser: float = 0.001
    target: float = 1.0
    neuron: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.regulariser <= 1:
            raise ValueError(f"regulariser must lie in 0..1, got {self.regulariser}")


class Head(HeadBase):
    """L = (1 - lambda) mean_t CE(O_t, y) + lambda mean_t MSE(O_t, target); logits are the mean over T."""

    Options = TETOptions

    def __init__(self, options: TETOptions, context: Context) -> None:
        super().__init__()
        self.options = options
        self.neuron = context.neuron(context.spec.dim) if options.neuron else None
        self.linear = classifier(context.spec.dim, context.inputs.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, classes)."""
        x = declare(x.mean(3), REAL)
        out: Tensor = self.linear(x if self.neuron is None else self.neuron(x))
        return out

    def loss(self, steps: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Every step is asked for the answer, not the mean alone."""
        weight = self.options.regulariser
        cross_entropy = sum(F.cross_entropy(step, y, label_smoothing=label_smoothing) for step in steps) / len(steps)
        distance = (steps - self.options.target).square().mean()
        return (1 - weight) * cross_entropy + weight * distance
