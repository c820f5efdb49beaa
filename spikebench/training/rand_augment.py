"""RandAugment (arXiv 1909.13719) with timm's operations and strengths, for whole batches: what PIL does image by image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.training import colour
from spikebench.training.draws import Draws
from spikebench.training.options import parse_rand_augment

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS = (*("auto_contrast", "equalize", "invert", "posterize", "solarize", "solarize_add"),
              *("color", "contrast", "brightness", "sharpness"), *GEOMETRIC)  # fmt: skip
APPLIED = 0.5
"""How likely an operation that was drawn is carried out; timm's."""
LEVELS = 10.0
FILL = 128.0
"""What comes in from outside the image, of 255; timm's."""


@dataclass(frozen=True)
class RandAugment:
    """``layers`` operations for each image, of strength ``magnitude`` in 0..10 with standard deviation ``std``.

    ``increasing``: posterize, solarize and the four of colour, too, do more the stronger they are.
    """

    magnitude: float
    layers: int = 2
    std: float = 0.0
    increasing: bool = False

    @classmethod
    def parse(cls, text: str) -> RandAugment:
        """timm's spelling: ``rand-m9-n1-mstd0.4-inc1``, with or without ``rand-``. Raises ValueError."""
        found = parse_rand_augment(text)
        return cls(found["m"], int(found.get("n", 2)), found.get("mstd", 0.0), bool(found.get("inc", 0)))

    def __call__(self, x: Tensor, draws: Draws) -> Tensor:
        """(B, C, H, W) with values in 0..1; a new tensor whose values are multiples of 1/255, as PIL's are."""
        x = (x * 255).round().clamp(0, 255)
        for _ in range(self.layers):
            which = draws.integers(0, len(OPERATIONS))
            which = torch.where(draws.chance(APPLIED), which, -1)
            level = draws.normal(self.magnitude, self.std).clamp(0, LEVELS) / LEVELS
            sign = torch.where(draws.chance(0.5), -1.0, 1.0)
            x = self._apply(x, which, level, sign)
        return x / 255

    def _apply(self, x: Tensor, which: Tensor, level: Tensor, sign: Tensor) -> Tensor:
        out = x.clone()
        drawn = which.tolist()
        for number, name in enumerate(OPERATIONS):
            chosen = [index for index, one in enumerate(drawn) if one == number]
            if not chosen or name in GEOMETRIC:
                continue
            at = torch.tensor(chosen, device=x.device)
            out[at] = PIXELS[name](x[at], self._strength(name, level[at], sign[at]).view(-1, 1, 1, 1))
        first = OPERATIONS.index(GEOMETRIC[0])
        moved = [index for index, one in enumerate(drawn) if one >= first]
        if moved:
            at = torch.tensor(moved, device=x.device)
            names = [OPERATIONS[drawn[index]] for index in moved]
            out[at] = transform(x[at], matrices(names, level[at], sign[at], x.shape[-2], x.shape[-1]))
        return out

    def _strength(self, name: str, level: Tensor, sign: Tensor) -> Tensor:
        """What an operation is called with, from ``level`` in 0..1."""
        if name == "posterize":
            kept = (level * 4).floor()
            return 4 - kept if self.increasing else kept
        if name == "solarize":
            threshold = (level * 256).floor()
            return 256 - threshold if self.increasing else threshold
        if name == "solarize_add":
            return (level * 110).floor().clamp(max=128)
        return (1 + sign * level * 0.9).clamp(min=0.1) if self.increasing else level * 1.8 + 0.1


PIXELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "auto_contrast": lambda x, strength: colour.auto_contrast(x),
    "equalize": lambda x, strength: colour.equalize(x),
    "invert": lambda x, strength: 255 - x,
    "posterize": colour.posterize,
    "solarize": lambda x, strength: torch.where(x < strength, x, 255 - x),
    "solarize_add": lambda x, strength: torch.where(x < 128, (x + strength).clamp(max=255), x),
    "color": lambda x, strength: colour.blend(colour.grey(x), x, strength),
    "contrast": lambda x, strength: colour.blend(colour.mean_grey(x), x, strength),
    "brightness": lambda x, strength: colour.blend(torch.zeros_like(x), x, strength),
    "sharpness": lambda x, strength: colour.blend(colour.smooth(x), x, strength),
}


def matrices(names: list[str], level: Tensor, sign: Tensor, H: int, W: int) -> Tensor:
    """(b, 2, 3): where each pixel (x, y, 1) of the result comes from, pixels' centres lying at halves, as in PIL."""
    found = torch.zeros(len(names), 2, 3, device=level.device)
    found[:, 0, 0] = found[:, 1, 1] = 1.0
    amount = level * sign
    for index, name in enumerate(names):
        if name == "rotate":
            angle = amount[index] * math.radians(30.0)
            cos, sin = angle.cos(), angle.sin()
            found[index] = torch.stack(
                (cos, -sin, W / 2 - cos * W / 2 + sin * H / 2, sin, cos, H / 2 - sin * W / 2 - cos * H / 2)
            ).view(2, 3)
        elif name.startswith("shear"):
            found[index][(0, 1) if name == "shear_x" else (1, 0)] = 0.3 * amount[index]
        else:
            axis, size = (0, W) if name == "translate_x" else (1, H)
            found[index, axis, 2] = 0.45 * amount[index] * size
    return found


def transform(x: Tensor, matrix: Tensor) -> Tensor:
    """``x`` (b, C, H, W) sampled linearly where ``matrix`` says; FILL beyond its edges, values rounded."""
    H, W = x.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(H, device=x.device) + 0.5, torch.arange(W, device=x.device) + 0.5, indexing="ij")
    places = torch.stack((columns, rows, torch.ones_like(rows)))
    source = torch.einsum("bij,jhw->bhwi", matrix, places)
    size = torch.tensor([W, H], device=x.device)
    inside = ((source >= 0) & (source < size)).all(-1)
    found = F.grid_sample(x, source * 2 / size - 1, padding_mode="border", align_corners=False)
    return torch.where(inside[:, None], found.round(), torch.full_like(found, FILL))
