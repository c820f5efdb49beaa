"""Random changes of training images, each drawn from the training's own generator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def augment(x: Tensor, how: Literal["none", "light", "standard"], generator: torch.Generator) -> Tensor:
    """``x`` (..., B, C, H, W) with each image, all its time steps alike, shifted and perhaps mirrored; a new tensor.

    ``light``: shifted by a whole number of pixels, uniform in -size//8..size//8 in each direction, zeros moved in. ``standard``:
    also mirrored left to right with probability 1/2. ``generator`` lives on the CPU, so all devices draw the same.
    """
    if how == "none":
        return x
    B, H, W = x.shape[-4], x.shape[-2], x.shape[-1]
    reach = (H // 8, W // 8)
    shifts = [torch.randint(-r, r + 1, (B, 1), generator=generator) for r in reach]
    rows, columns = (torch.arange(size) + shift for size, shift in zip((H, W), shifts, strict=True))
    if how == "standard":
        mirrored = torch.randint(2, (B, 1), generator=generator, dtype=torch.bool)
        columns = torch.where(mirrored, W - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < H))[:, :, None] & ((columns >= 0) & (columns < W))[:, None, :]
    source = rows.clamp(0, H - 1)[:, :, None] * W + columns.clamp(0, W - 1)[:, None, :]
    index = source.view(B, 1, H * W).to(x.device).expand(*x.shape[:-2], H * W)
    return x.flatten(-2).gather(-1, index).view(x.shape) * inside[:, None].to(x.device, x.dtype)
