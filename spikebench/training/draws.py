"""What is drawn for the samples of one batch: the same for a sample whichever device, or part of the batch, it is computed in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Draws:
    """Draws of ``generator`` (a CPU generator) for a batch of ``total`` samples, of which ``share`` are here, on ``device``.

    All is drawn for the whole batch, so that every device's generator stays where that of a single one would be.
    """

    def __init__(
        self, generator: torch.Generator, total: int, share: Tensor | slice = slice(None), device: torch.device | str = "cpu"
    ) -> None:
        self.generator, self.total, self.share, self.device = generator, total, share, device

    def uniform(self, low: float = 0.0, high: float = 1.0, tries: int | None = None) -> Tensor:
        """(b,) float32 in low..high for the b samples here, or (tries, b)."""
        shape = (self.total,) if tries is None else (tries, self.total)
        return (low + (high - low) * torch.rand(shape, generator=self.generator))[..., self.share].to(self.device)

    def normal(self, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """(b,) float32."""
        return (mean + std * torch.randn(self.total, generator=self.generator))[self.share].to(self.device)

    def integers(self, low: int, high: int) -> Tensor:
        """(b,) int64 in low..high - 1."""
        return torch.randint(low, high, (self.total,), generator=self.generator)[self.share].to(self.device)

    def chance(self, probability: float) -> Tensor:
        """(b,) bool."""
        return self.uniform() < probability

    def field(self, *shape: int) -> Tensor:
        """Normal noise in ``shape``, one for the whole batch."""
        return torch.randn(shape, generator=self.generator).to(self.device)

    def one(self) -> np.random.RandomState:
        """For what is drawn once a batch: NumPy's stream is frozen (NEP 19), and it knows the beta distribution."""
        return np.random.RandomState(int(torch.randint(2**31, (), generator=self.generator)))
