"""Stripes, upright or level, in noise: two classes of 8x8 images (an example)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikebench.core.variant import InputSpec
from spikebench.data import SPLITS, SplitName, check_split

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset


class Dataset:
    """Learned in an epoch. torch is imported where it is used, so that suites are checked without it."""

    version = 1

    @dataclass(frozen=True)
    class Options:
        """``samples``: in each split. ``noise``: its standard deviation."""

        samples: int = 64
        noise: float = 0.1

        def __post_init__(self) -> None:
            if self.samples < 2 or self.noise < 0:
                raise ValueError("samples must be at least 2 and noise at least 0")

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        return InputSpec(channels=1, size=8, classes=2)

    def split(self, name: SplitName) -> TensorDataset:
        """x (1, 8, 8) float32, y 0 (upright) or 1 (level); each split has a seed of its own."""
        import torch
        from torch.utils.data import TensorDataset

        check_split(name)
        generator = torch.Generator().manual_seed(SPLITS.index(name))
        y = torch.arange(self.options.samples) % 2
        upright = (torch.arange(8) % 2).float().expand(8, 8)
        x = torch.where(y[:, None, None] == 0, upright, upright.T)
        noise = torch.randn(x.shape, generator=generator) * self.options.noise
        return TensorDataset((x + noise)[:, None], y)
