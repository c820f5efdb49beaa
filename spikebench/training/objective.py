"""What a training step minimises."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikebench.core.errors import InputError, Problem
from spikebench.training.options import TrainingOptions


class Classification:
    """Cross-entropy with label smoothing, or the head's own loss, plus the firing-rate penalty where it is asked for.

    A network whose head defines how its time steps are judged (TET, arXiv 2202.11946) has a method
    ``loss(x, y, label_smoothing) -> (scalar, logits)``; a module without one is judged by its logits, and so is every network
    with ``loss: bce``. ``y``: class numbers (B,), or probabilities (B, classes).
    """

    def __init__(self, options: TrainingOptions) -> None:
        self.options = options

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if not self.options.rate_penalty:
            return self._task(model, x, y)
        from spikebench.networks import collecting_rates

        with collecting_rates() as rates:
            loss = self._task(model, x, y)
        return loss + self.options.rate_penalty * rate_excess(rates, self.options.rate_target)

    def _task(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if self.options.loss == "bce":
            return binary_cross_entropy(model(x), y, self.options.label_smoothing)
        own: Any = getattr(model, "loss", None)
        if own is None:
            return functional.cross_entropy(model(x), y, label_smoothing=self.options.label_smoothing)
        loss: Tensor = own(x, y, label_smoothing=self.options.label_smoothing)[0]
        return loss


def binary_cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over samples and classes, every class being a question of its own (arXiv 2110.00476); smoothed as cross-entropy is."""
    classes = logits.shape[-1]
    targets = y if y.is_floating_point() else functional.one_hot(y, classes)
    targets = targets.to(logits.dtype) * (1 - smoothing) + smoothing / classes
    return functional.binary_cross_entropy_with_logits(logits, targets)


def rate_excess(rates: list[Tensor], target: float) -> Tensor:
    """Mean over layers of max(0, r - target)^2, r being a layer's mean firing rate; differentiable through the surrogate.

    Raises InputError if there is no layer: a network without neurons has no rates to hold down.
    """
    if not rates:
        raise InputError(Problem("this network has no spiking neurons whose rates could be penalised", key="rate_penalty"))
    return functional.relu(torch.stack(rates) - target).square().mean()
