"""Changes of event frames: each sample gets one operation, the same in all its frames, and counts stay counts.

Neuromorphic data augmentation (Li et al., arXiv 2203.06145) with the figures of QKFormer's and TEBN's code (references.md 6b):
nearest pixels, nothing comes in from outside but zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from spikebench.training.draws import Draws

SHIFT = 5 / 128
"""Most of a side that frames are rolled or moved by, rounded to whole pixels, one at least."""
DEGREES, SHEAR = 30.0, 0.3
AREA = (0.001, 0.11)
"""Of the square that is cut out."""


def change_events(x: Tensor, operations: Sequence[str], draws: Draws) -> Tensor:
    """``x`` (..., B, C, H, W) after one of ``operations`` a sample, drawn evenly; a new tensor.

    ``identity``; ``flip``, left to right; ``roll``, in both directions, what leaves on one side comes in on the other;
    ``translate_x``, ``translate_y``; ``rotate``; ``shear``, of rows against each other; ``cutout``, a square of zeros.
    """
    H, W = x.shape[-2:]
    number = draws.integers(0, len(operations))
    strength = draws.uniform(-1, 1)
    second = draws.uniform(-1, 1)
    place = draws.uniform(), draws.uniform()

    def drawn(name: str) -> Tensor:
        return (number == operations.index(name)) if name in operations else torch.zeros_like(number, dtype=torch.bool)

    reach = [max(1, round(SHIFT * side)) for side in (H, W)]
    steps = [
        (part * (most + 0.5)).round().clamp(-most, most).long() for part, most in zip((strength, second), reach, strict=True)
    ]
    rolled = [torch.where(drawn("roll"), step, 0) for step in steps]
    rows = (torch.arange(H, device=x.device) - rolled[0][:, None]) % H
    columns = (torch.arange(W, device=x.device) - rolled[1][:, None]) % W
    columns = torch.where(drawn("flip")[:, None], W - 1 - columns, columns)
    index = (rows[:, :, None] * W + columns[:, None, :]).view(len(number), 1, H * W)
    x = x.flatten(-2).gather(-1, index.expand(*x.shape[:-2], H * W)).view(x.shape)
    x = _moved(x, _matrices(strength, steps, drawn("rotate"), drawn("shear"), drawn("translate_y"), drawn("translate_x")))
    return x * ~_square(strength, place, H, W, drawn("cutout"))[:, None]


def _matrices(
    strength: Tensor, steps: Sequence[Tensor], rotate: Tensor, shear: Tensor, down: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """(b, 2, 2) and (b, 2): where each pixel (row, column), measured from the middle, is taken from; and whose that is itself."""
    angle = torch.where(rotate, strength * math.radians(DEGREES), 0.0)
    matrix = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], -1).view(-1, 2, 2)
    # An angle, not a slope: the published trainings hand theirs to torchvision in degrees.
    matrix[:, 1, 0] += torch.where(shear, torch.tan(strength * SHEAR), 0.0)
    offset = torch.stack([torch.where(down, steps[0], 0), torch.where(right, steps[1], 0)], -1).to(strength.dtype)
    return matrix, offset


def _moved(x: Tensor, how: tuple[Tensor, Tensor]) -> Tensor:
    """Nearest pixels, zeros outside. Only samples that move are touched."""
    matrix, offset = how
    H, W = x.shape[-2:]
    still = (matrix == torch.eye(2, device=x.device)).all(-1).all(-1) & (offset == 0).all(-1)
    moving = (~still).nonzero()[:, 0]
    if not len(moving):
        return x
    middle = torch.tensor([(H - 1) / 2, (W - 1) / 2], device=x.device)
    rows, columns = torch.meshgrid(torch.arange(H, device=x.device), torch.arange(W, device=x.device), indexing="ij")
    at = torch.stack([rows, columns], -1).to(middle.dtype) - middle
    source = ((at - offset[moving, None, None]) @ matrix[moving, None].transpose(-1, -2) + middle).round().long()
    inside = ((source >= 0) & (source < source.new_tensor([H, W]))).all(-1)
    index = (source[..., 0].clamp(0, H - 1) * W + source[..., 1].clamp(0, W - 1)).flatten(1)[:, None]
    part = x.index_select(-4, moving)
    part = part.flatten(-2).gather(-1, index.expand(*part.shape[:-2], H * W)).view(part.shape) * inside[:, None]
    return x.index_copy(-4, moving, part)


def _square(strength: Tensor, place: tuple[Tensor, Tensor], H: int, W: int, chosen: Tensor) -> Tensor:
    """(b, H, W), True where a square of AREA is cut out of the samples that are ``chosen``."""
    share = AREA[0] + (AREA[1] - AREA[0]) * strength.abs()
    side = (share * H * W).sqrt().round().clamp(1, min(H, W))
    top, left = ((draw * (whole - side + 1)).floor() for draw, whole in zip(place, (H, W), strict=True))
    rows, columns = (torch.arange(size, device=strength.device) for size in (H, W))
    in_rows = (rows >= top[:, None]) & (rows < (top + side)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + side)[:, None])
    return in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None]
