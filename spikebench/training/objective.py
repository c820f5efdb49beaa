"""What a training step minimises."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikebench.training.options import TrainingOptions


class Classification:
    """Cross-entropy with label smoothing, or the head's own loss, plus the firing-rate penalty where it is asked for.

    A network whose head defines how its time steps are judged (TET, arXiv 2202.11946) has a method
    ``loss(x, y, label_smoothing) -> scalar``; all others are judged by their logits.
    """

    def __init__(self, options: TrainingOptions) -> None:
        self.options = options

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if not self.options.rate_penalty:
            return self._task(model, x, y)
        from spikebench.networks import collecting_rates

        with collecting_rates(model) as rates:
            loss = self._task(model, x, y)
        return loss + self.options.rate_penalty * rate_excess(rates, self.options.rate_target)

    def _task(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if hasattr(model, "loss"):
            loss: Tensor = model.loss(x, y, label_smoothing=self.options.label_smoothing)
            return loss
        return functional.cross_entropy(model(x).float(), y, label_smoothing=self.options.label_smoothing)


def rate_excess(rates: list[Tensor], target: float) -> Tensor:
    """Mean over layers of max(0, r - target)^2, r being a layer's mean firing rate; differentiable through the surrogate."""
    return functional.relu(torch.stack(rates) - target).square().mean()
