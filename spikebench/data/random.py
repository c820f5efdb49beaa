"""Random numbers in any shape, for timing, memory and power alone: there is nothing in it to learn.

Images are uniform in 0..1; event frames hold Poisson counts of mean 0.1. Use it with ``train: none``: firing rates, and so
events and energy, mean nothing on untrained networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikebench.core.variant import InputSpec
from spikebench.data import SPLITS, SplitName, check_split

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset


class Dataset:
    """The same samples on every machine: CPU generators of torch are reproducible, one seed per split."""

    version = 1

    @dataclass(frozen=True)
    class Options:
        """``size``: height and width. ``events``: (T, channels, size, size) frames of counts. ``samples``: in each split."""

        channels: int = 3
        size: int = 224
        classes: int = 1000
        events: bool = False
        T: int = 4
        samples: int = 128

        def __post_init__(self) -> None:
            for name in ("channels", "size", "classes", "T", "samples"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        return InputSpec(self.options.channels, self.options.size, self.options.classes, self.options.events)

    @property
    def sizes(self) -> Mapping[SplitName, int]:
        return dict.fromkeys(SPLITS, self.options.samples)

    def split(self, name: SplitName) -> TensorDataset:
        """x as the options say; y uniform over the classes."""
        import torch
        from torch.utils.data import TensorDataset

        check_split(name)
        chosen = self.options
        generator = torch.Generator().manual_seed(SPLITS.index(name))
        shape = (chosen.channels, chosen.size, chosen.size)
        if chosen.events:
            x = torch.poisson(torch.full((chosen.samples, chosen.T, *shape), 0.1), generator=generator)
        else:
            x = torch.rand(chosen.samples, *shape, generator=generator)
        return TensorDataset(x, torch.randint(chosen.classes, (chosen.samples,), generator=generator))
