"""Which number format a training computes in, and what ``auto`` means on this device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from spikebench.core.errors import InputError, Problem

Precision = Literal["fp32", "bf16"]

WIDE = 128
"""From this width on a training step was measured 2 to 3 times as fast in bf16 with AMX (32x32 images, batch 16, one thread).

At width 64 it is 1.1 to 1.6 times, and small networks are those that are compared across all kinds of CPUs: they stay in fp32.
"""


def resolve(amp: Literal["auto", "off", "bf16"], device: torch.device, model: nn.Module) -> Precision:
    """The precision that ``amp`` means for ``model`` on ``device``. Raises InputError for bf16 on a GPU without it.

    ``auto``: bf16 on GPUs that have it, and on CPUs with AMX tiles for networks of at least WIDE channels; else fp32. The choice
    depends on hardware and shapes, never on a timing, so a training repeats.
    """
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        if amp == "bf16" and not native:
            raise InputError(Problem(f"{torch.cuda.get_device_name(device)} has no bfloat16: use off or auto", key="amp"))
    else:
        native = device.type == "cpu" and has_amx() and width(model) >= WIDE
    return "bf16" if amp == "bf16" or (amp == "auto" and native) else "fp32"


def width(model: nn.Module) -> int:
    """The most channels that any weight both reads and writes: what a matrix unit can use."""
    shapes = [parameter.flatten(1).shape for parameter in model.parameters() if parameter.dim() > 1]
    return max((min(shape) for shape in shapes), default=0)


@cache
def has_amx() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in tiles (Intel since Sapphire Rapids), by its own word."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "amx_bf16" in flags


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
