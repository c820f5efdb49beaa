"""Which number format a training computes in, and what ``auto`` means on this device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from spikebench.core.errors import InputError, Problem

Precision = Literal["fp32", "bf16"]


def resolve(amp: Literal["auto", "off", "bf16"], device: torch.device) -> Precision:
    """The precision that ``amp`` means on ``device``. Raises InputError if bf16 is asked for on a GPU without it.

    ``auto``: bf16 on GPUs that have it. On CPUs fp32, even where the CPU has bf16 instructions: layers small enough to be trained
    there spend their time outside of matrix products, and one rule for all CPUs keeps a suite's accuracies comparable.
    """
    native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if amp == "bf16" and device.type == "cuda" and not native:
        raise InputError(Problem(f"{torch.cuda.get_device_name(device)} has no bfloat16: use off or auto", key="amp"))
    return "bf16" if amp == "bf16" or (amp == "auto" and native) else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
