"""Which tokens are hidden."""

from __future__ import annotations

import torch
from torch import Tensor


def hidden_tokens(mask_ratio: float, N: int) -> int:
    """How many of ``N`` tokens a ratio hides: rounded to the nearest, the same for every image."""
    return round(mask_ratio * N)


def draw_mask(batch: int, grid: int, mask_ratio: float, block: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """(batch, grid^2) bool on the CPU, True = hidden, row-major; every image hides ``hidden_tokens`` of its own choice.

    ``block`` 1: each set of that size is as likely as any other (Masked Autoencoders, arXiv 2111.06377). Above 1, squares of
    ``block`` x ``block`` tokens are hidden together, the last of them in part, so that the number is met. Draws come from
    ``generator``, torch's global one if none is given, so every device hides the same.
    """
    coarse = -(-grid // block)
    order = torch.rand(batch, coarse * coarse, generator=generator).argsort(1).argsort(1).view(batch, coarse, coarse)
    ranks = order.repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :grid, :grid].flatten(1).double()
    if block > 1:
        ranks = ranks + torch.rand(batch, grid * grid, generator=generator, dtype=torch.float64)  # within a block: any order
    hidden = ranks.argsort(1)[:, : hidden_tokens(mask_ratio, grid * grid)]
    return torch.zeros(batch, grid * grid, dtype=torch.bool).scatter_(1, hidden, True)
