"""Stochastic depth: in training, sublayers of the encoder are left out for single images (Huang et al., arXiv 1603.09382)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.core.errors import InputError, Problem


def add_drop_path(model: nn.Module, rate: float) -> None:
    """Attention and MLP of block i of L drop out with probability ``rate`` * i / (L - 1), in all T steps of an image.

    Our reading for spikes: what stays is divided by its probability where the stream is real (membrane shortcut), as usual;
    spikes that are merged stay spikes. Draws are torch's global ones. Raises InputError for a network without ``blocks``.
    """
    blocks = blocks_of(model)
    if not blocks:
        raise InputError(Problem("this network has no blocks whose paths could be dropped", key="drop_path"))
    for index, block in enumerate(blocks):
        share = rate * index / max(1, len(blocks) - 1)
        if share:
            real = bool(getattr(block.residual, "neuron_first", False))
            sublayers: tuple[Any, ...] = (block.attention, block.mlp)
            for sublayer in sublayers:
                sublayer.register_forward_hook(_dropping(share, rescale=real))


def blocks_of(model: nn.Module) -> list[Any]:
    """The encoder's blocks from the input on: ``blocks``, or those of all ``stages``."""
    holders = [model, *(stage for stage in getattr(model, "stages", ()))]
    return [block for holder in holders for block in getattr(holder, "blocks", ())]


def _dropping(share: float, rescale: bool) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], z: Tensor) -> Tensor | None:
        if not module.training:
            return None
        kept = (torch.rand(z.shape[1], device=z.device) >= share).to(z.dtype).view(1, -1, 1, 1)
        return z * (kept / (1 - share) if rescale else kept)

    return hook
