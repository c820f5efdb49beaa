"""Layer-wise learning-rate decay: the deeper a layer lies below the head, the less fine-tuning moves it (arXiv 2003.10555)."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from spikebench.core.errors import InputError, Problem

SCALE = "lr_scale"
"""In an optimizer's parameter group: what its learning rate is multiplied by."""


def depth_of(name: str, blocks: int) -> int:
    """The layer of a parameter: 0 for stem, encoding and position, i + 1 for block i, ``blocks`` + 1 for what comes after."""
    found = re.match(r"blocks\.(\d+)\.", name)
    if found:
        return int(found[1]) + 1
    return 0 if name.startswith(("stem.", "encoding.", "position.")) else blocks + 1


def decayed(model: nn.Module, groups: list[dict[str, Any]], decay: float) -> list[dict[str, Any]]:
    """``groups`` split by layer, each with ``SCALE`` = decay^(layers above it): the head's is 1 (the stem is layer 0).

    Raises InputError for a network without ``blocks``.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential):
        raise InputError(Problem("this network has no blocks by which learning rates could decay", key="layer_decay"))
    layer = {id(parameter): depth_of(name, len(blocks)) for name, parameter in model.named_parameters()}
    found = []
    for group in groups:
        for depth in range(len(blocks) + 2):
            members = [parameter for parameter in group["params"] if layer[id(parameter)] == depth]
            if members:
                found.append({**group, "params": members, SCALE: decay ** (len(blocks) + 1 - depth)})
    return found
