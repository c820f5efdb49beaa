"""Networks in which every layer fires: what hides behind silence is seen."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def norms(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    """BatchNorm layers with their paths."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            yield name, module


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """``model`` itself, with BatchNorm's affine numbers such that what it feeds fires: a gradient of zero then means a path that
    is cut, not one that is silent by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    for _, norm in norms(model):
        if norm.affine:
            nn.init.constant_(norm.weight, 2.0)
            nn.init.uniform_(norm.bias, 0.5, 1.5, generator=generator)
    return model


def driven(model: nn.Module) -> nn.Module:
    """``model`` itself, with BatchNorm giving four everywhere: what is silent behind it cannot be woken by what it receives."""
    for _, norm in norms(model):
        if norm.affine:
            nn.init.zeros_(norm.weight)
            nn.init.constant_(norm.bias, 4.0)
    return model


def untrained(model: nn.Module) -> bool:
    """Whether it has BatchNorm layers and none of them has seen a batch."""
    tracked = [norm for _, norm in norms(model) if norm.running_mean is not None and norm.running_var is not None]
    return bool(tracked) and all(
        not norm.running_mean.any() and bool((norm.running_var == 1).all())  # type: ignore[union-attr]
        for norm in tracked
    )


@torch.no_grad()
def calibrate(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give BatchNorm the statistics of these inputs, as a training's first step would use them; the mode is left as it was."""
    modes = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for _, norm in norms(model)}
    try:
        for norm in momenta:
            norm.momentum = 1.0
        model.train()
        model(*inputs)
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
