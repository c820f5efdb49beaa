"""What PIL's ImageOps and ImageEnhance do to one image, for batches (B, C, H, W) of whole numbers 0..255 in floats."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def blend(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """``one`` + ``share`` x (``other`` - ``one``), cut to whole numbers in 0..255."""
    return (one + share * (other - one)).clamp(0, 255).floor()


def grey(x: Tensor) -> Tensor:
    """ITU-R 601 luminance in every channel; what has other than three channels has no colour, and stays."""
    if x.shape[1] != 3:
        return x
    weights = torch.tensor([19595.0, 38470.0, 7471.0], device=x.device).view(1, 3, 1, 1)
    return ((x * weights).sum(1, keepdim=True).add(32768) / 65536).floor().expand_as(x)


def mean_grey(x: Tensor) -> Tensor:
    """Each image's mean luminance everywhere."""
    return grey(x)[:, :1].mean((1, 2, 3), keepdim=True).add(0.5).floor().expand_as(x)


def smooth(x: Tensor) -> Tensor:
    """The mean of 3x3 pixels, the middle one five times; a frame of one pixel stays."""
    kernel = torch.ones(3, 3, device=x.device)
    kernel[1, 1] = 5
    out = x.clone()
    if min(x.shape[-2:]) > 2:
        inner = F.conv2d(x.flatten(0, 1)[:, None], (kernel / 13)[None, None])
        out[:, :, 1:-1, 1:-1] = inner.view(*x.shape[:2], *inner.shape[-2:]).add(0.5).floor()
    return out


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """The highest ``bits`` bits of each number."""
    step = torch.pow(2.0, 8 - bits)
    return (x / step).floor() * step


def auto_contrast(x: Tensor) -> Tensor:
    """Every channel stretched to 0..255; one of a single value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    scale = 255 / (high - low).clamp(min=1)
    return torch.where(high > low, (x * scale - low * scale).clamp(0, 255).floor(), x)


def equalize(x: Tensor) -> Tensor:
    """Every channel's histogram made flat."""
    B, C, H, W = x.shape
    rows = x.reshape(B * C, H * W).long()
    counts = torch.zeros(B * C, 256, dtype=torch.int64, device=x.device).scatter_add_(1, rows, torch.ones_like(rows))
    # The brightest value that occurs is left out of the step, as PIL does.
    last = counts.gather(1, rows.amax(1, keepdim=True))
    step = (H * W - last) // 255
    before = counts.cumsum(1) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    equal = table.gather(1, rows).to(x.dtype).view_as(x)
    return torch.where((step > 0).view(B, C, 1, 1), equal, x)
