"""Where a step's channels lie in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebench.kernels import _layout


@dataclass(frozen=True)
class Channels:
    """A step is ``count`` channels of ``positions`` numbers (batch times space), ``inner`` of them side by side.

    ``inner`` is the image size in a contiguous tensor, and 1 where the channels are innermost (channels-last).
    """

    count: int
    positions: int
    inner: int

    @property
    def all_but_channels(self) -> tuple[int, int, int]:
        """The axes of ``split`` that a channel's statistics run over."""
        return (0, 1, 3)

    def split(self, rows: Tensor) -> Tensor:
        """(T, M) rows as (T, positions / inner, C, inner), in the order of memory."""
        return torch.unflatten(rows, 1, (self.positions // self.inner, self.count, self.inner))

    def join(self, split: Tensor) -> Tensor:
        """The inverse of ``split``."""
        return split.flatten(1)

    def spread(self, values: Tensor) -> Tensor:
        """(C,) values, to combine with ``split``."""
        return values[:, None]


def channels_of(x: Tensor) -> tuple[Tensor, Channels]:
    """``x`` (T, B, C, ...) and where its channels (axis 2) lie; copied only where they are neither outside nor
    innermost.
    """
    step = x[0]
    count = x.shape[2]
    positions = step.numel() // count
    if count == 1 or not step.movedim(1, -1).is_contiguous():
        if not step.is_contiguous():
            x = x.contiguous()
        return x, Channels(count, positions, positions // step.shape[0])
    return x, Channels(count, positions, 1)


def rows(x: Tensor) -> Tensor:
    """The rows (T, M) of a tensor that ``channels_of`` has seen."""
    found = _layout.as_rows(x)
    assert found is not None
    return found
