"""A network's answers on a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikebench.data import batches
from spikebench.training.precision import Precision, autocast

if TYPE_CHECKING:
    from spikebench.data import Split


@dataclass(frozen=True)
class Evaluation:
    """``correct``: bool (n,), one for each sample in the split's order, on the CPU; ``loss``: mean cross-entropy in nats."""

    correct: Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        """Fraction of samples whose largest logit is the label's."""
        return int(self.correct.sum()) / len(self.correct)


@torch.no_grad()  # not inference_mode: what a network caches here must stay usable in training
def evaluate(
    model: nn.Module, split: Split, device: torch.device, batch_size: int = 256, precision: Precision = "fp32", workers: int = 0
) -> Evaluation:
    """One pass over ``split`` in evaluation mode; the model's mode is restored. Raises ValueError for an empty split."""
    training = model.training
    model.eval()
    try:
        correct, losses = [], []
        for x, y in batches(split, batch_size, device, workers=workers):
            with autocast(precision, device):
                logits = model(x)
            correct.append(logits.argmax(-1) == y)
            losses.append(functional.cross_entropy(logits.float(), y, reduction="sum").double())
        if not correct:
            raise ValueError("the split is empty")
        answers = torch.cat(correct).cpu()
        return Evaluation(answers, float(torch.stack(losses).sum()) / len(answers))
    finally:
        model.train(training)
