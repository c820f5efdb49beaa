"""Mixup (arXiv 1710.09412) and cutmix (arXiv 1905.04899): pairs of images share their pixels and their labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikebench.training.draws import Draws
from spikebench.training.options import TrainingOptions


def mix(x: Tensor, y: Tensor, classes: int, options: TrainingOptions, draws: Draws) -> tuple[Tensor, Tensor]:
    """``x`` (..., b, C, H, W) and ``y`` (b,) mixed, y as probabilities (b, classes); one share for a batch, as in timm.

    Neighbours are partners (the order is random), so an even number of samples can be mixed apart from the rest of its batch; the
    last one of an odd number stays as it is. Where both kinds are asked for, each is drawn with probability 1/2.
    """
    random = draws.one()
    cut = options.cutmix > 0 and (options.mixup == 0 or random.rand() < 0.5)
    alpha = options.cutmix if cut else options.mixup
    share = float(random.beta(alpha, alpha))
    box = _box(x.shape[-2], x.shape[-1], share, random)
    targets = functional.one_hot(y, classes).to(torch.float32)
    if random.rand() >= options.mixup_prob:
        return x, targets
    b = len(y)
    partner = torch.arange(b, device=x.device) ^ 1
    partner = torch.where(partner < b, partner, b - 1)
    other = x.index_select(x.dim() - 4, partner)
    if cut:
        top, bottom, left, right = box
        x = x.clone()
        x[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (x.shape[-2] * x.shape[-1])
    else:
        x = x * share + other * (1 - share)
    return x, targets * share + targets[partner] * (1 - share)


def _box(H: int, W: int, share: float, random: np.random.RandomState) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of a rectangle with 1 - ``share`` of the area, cut off at the edges."""
    side = math.sqrt(1 - share)
    bounds: list[int] = []
    for size in (H, W):
        middle, length = int(random.randint(size)), int(size * side)
        bounds += [max(middle - length // 2, 0), min(middle + (length + 1) // 2, size)]
    return bounds[0], bounds[1], bounds[2], bounds[3]
