"""Random changes of training images, batch by batch, on the device; each drawn from the training's own generator."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.core.errors import InputError, Problem
from spikebench.training.draws import Draws
from spikebench.training.event_augmentation import change_events
from spikebench.training.options import SIDES, TrainingOptions
from spikebench.training.rand_augment import RandAugment

Normal = tuple[Tensor, Tensor]
"""Mean and standard deviation by channel, (C, 1, 1), with which a data set's values in 0..1 were normalised."""


def normal_of(split: Any) -> Normal | None:
    """What a split's ``normal`` says, (mean, std) by channel; None where values are in 0..1 as they are."""
    normal = getattr(split, "normal", None)
    return None if normal is None else (torch.tensor(normal[0])[:, None, None], torch.tensor(normal[1])[:, None, None])


class Augmentation:
    """What ``options`` do to a batch, in the order of the published trainings: shift or crop, mirror, RandAugment, erasing.

    ``cropped``: the images come as random parts of their files.
    """

    def __init__(self, options: TrainingOptions, normal: Normal | None = None, cropped: bool = False) -> None:
        self.options = options
        self.crops = options.crops and not cropped
        self.normal = normal
        self.rand_augment = None if options.rand_augment is None else RandAugment.parse(options.rand_augment)

    def __call__(self, x: Tensor, draws: Draws) -> Tensor:
        """``x`` (..., B, C, H, W) changed, all time steps of an image alike; a new tensor, or ``x`` itself if nothing is asked.

        RandAugment takes (B, C, H, W) alone: InputError for event frames.
        """
        options = self.options
        x = augment(x, options.augment, draws)
        if self.crops:
            x = crop(x, options.crop_scale, draws, options.sides)
        if options.hflip:
            x = torch.where(draws.chance(options.hflip).view(-1, 1, 1, 1), x.flip(-1), x)
        if options.event_ops:
            x = change_events(x, options.event_ops, draws)
        if self.rand_augment is not None:
            if x.dim() != 4:
                raise InputError(Problem("RandAugment changes images; event frames have event_ops", key="rand_augment"))
            x = self._raw(x)
            x = self._normalised(self.rand_augment(x, draws))
        return erase(x, options.erase, draws) if options.erase else x

    def _raw(self, x: Tensor) -> Tensor:
        return x if self.normal is None else x * self.normal[1].to(x.device) + self.normal[0].to(x.device)

    def _normalised(self, x: Tensor) -> Tensor:
        return x if self.normal is None else (x - self.normal[0].to(x.device)) / self.normal[1].to(x.device)


def augment(x: Tensor, how: Literal["none", "light", "standard"], draws: Draws) -> Tensor:
    """``x`` (..., B, C, H, W) with each image, all its time steps alike, shifted and perhaps mirrored; a new tensor.

    ``light``: shifted by a whole number of pixels, uniform in -size//8..size//8 in each direction, zeros moved in. ``standard``:
    also mirrored left to right with probability 1/2.
    """
    if how == "none":
        return x
    B, H, W = x.shape[-4], x.shape[-2], x.shape[-1]
    shifts = [draws.integers(-(size // 8), size // 8 + 1).view(B, 1) for size in (H, W)]
    rows, columns = (torch.arange(size, device=x.device) + shift for size, shift in zip((H, W), shifts, strict=True))
    if how == "standard":
        columns = torch.where(draws.integers(0, 2).view(B, 1) == 1, W - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < H))[:, :, None] & ((columns >= 0) & (columns < W))[:, None, :]
    source = rows.clamp(0, H - 1)[:, :, None] * W + columns.clamp(0, W - 1)[:, None, :]
    index = source.view(B, 1, H * W).expand(*x.shape[:-2], H * W)
    return x.flatten(-2).gather(-1, index).view(x.shape) * inside[:, None].to(x.dtype)


def crop(x: Tensor, scale: tuple[float, float], draws: Draws, ratio: tuple[float, float] = SIDES) -> Tensor:
    """A random part of each image, enlarged to the whole: ``scale`` of its area, sides in ``ratio`` (Szegedy et al., arXiv
    1409.4842); sampled linearly. A part that would be longer than the image is as long as it.
    """
    H, W = x.shape[-2:]
    area = draws.uniform(*scale)
    aspect = draws.uniform(math.log(ratio[0]), math.log(ratio[1])).exp()
    width = (area * aspect).sqrt().mul(math.sqrt(H * W) / W).clamp(max=1)
    height = (area / aspect).sqrt().mul(math.sqrt(H * W) / H).clamp(max=1)
    # In grid_sample's coordinates an image reaches from -1 to 1.
    left, top = draws.uniform() * (1 - width), draws.uniform() * (1 - height)
    theta = x.new_zeros(len(area), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width, 2 * left + width - 1
    theta[:, 1, 1], theta[:, 1, 2] = height, 2 * top + height - 1
    images = x.movedim(-4, 0).flatten(1, -3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    parts = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return parts.view(x.movedim(-4, 0).shape).movedim(0, -4)


def erase(x: Tensor, probability: float, draws: Draws, tries: int = 10) -> Tensor:
    """A rectangle of normal noise in each image with ``probability``: 2 % to a third of its area, sides in 0.3 to 1/0.3 (Zhong et
    al., arXiv 1708.04896, with timm's figures). Of ``tries`` draws the first that fits is taken; the noise is drawn once a batch.
    """
    C, H, W = x.shape[-3:]
    area = draws.uniform(0.02, 1 / 3, tries=tries) * H * W
    aspect = draws.uniform(math.log(0.3), -math.log(0.3), tries=tries).exp()
    heights, widths = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (heights < H) & (widths < W)
    first = fits.int().argmax(0, keepdim=True)
    height, width = heights.gather(0, first)[0], widths.gather(0, first)[0]
    chosen = draws.chance(probability) & fits.any(0)
    top = (draws.uniform() * (H - height + 1)).floor()
    left = (draws.uniform() * (W - width + 1)).floor()
    noise = draws.field(C, H, W).to(x.dtype)
    rows, columns = (torch.arange(size, device=x.device) for size in (H, W))
    in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    inside = in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None]
    return torch.where(inside[:, None], noise, x)
