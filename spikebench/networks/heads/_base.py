"""What every head is."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.networks.layers import token_linear


class HeadBase(nn.Module):
    """Tokens (T, B, C, N) to logits by step. A subclass writes ``forward``; the loss is cross-entropy of the mean over steps."""

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, classes), or (1, B, classes) where the head averages over T before its linear layer."""
        raise NotImplementedError

    def loss(self, steps: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Scalar, from what ``forward`` returned; ``y`` (B,) class numbers or (B, classes) probabilities."""
        return F.cross_entropy(steps.mean(0), y, label_smoothing=label_smoothing)


def classifier(dim: int, classes: int) -> nn.Linear:
    """The linear layer of a head."""
    return token_linear(dim, classes, bias=True)
