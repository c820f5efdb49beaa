"""Which number format a training computes in, and what ``auto`` means on this device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from spikebench.core.errors import InputError, Problem
from spikebench.core.instructions import usable

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["fp32", "bf16", "fp16"]
Amp = Literal["auto", "off", "bf16", "fp16"]

WIDE = 128
"""From this width on a training step was measured 2 to 3 times as fast in bf16 with AMX (32x32 images, batch 16, one thread).

At width 64 it is 1.1 to 1.6 times, and small networks are those that are compared across all kinds of CPUs: they stay in fp32.
"""


def settle(amp: Amp, device: str, dim: int) -> Literal["off", "bf16", "fp16"]:
    """What ``amp`` means on ``device`` (``cpu``, ``cuda``) for a network of width ``dim``. Raises InputError for bf16 on a GPU
    without it.

    ``auto``: bf16 on GPUs that have it, and on CPUs with AMX tiles that the environment does not forbid for networks of at least
    WIDE channels; else off. The choice depends on hardware and shapes, never on a timing, so a training repeats. A suite makes it
    once, before anything is hashed: a cell says bf16 or off.
    """
    if amp == "fp16":
        return "fp16"
    if device.startswith("cuda"):
        import torch

        native = torch.cuda.get_device_capability(device) >= (8, 0)
        if amp == "bf16" and not native:
            raise InputError(Problem(f"{torch.cuda.get_device_name(device)} has no bfloat16: use off or auto", key="amp"))
    else:
        native = device == "cpu" and dim >= WIDE and "amx_bf16" in usable()
    return "bf16" if amp == "bf16" or (amp == "auto" and native) else "off"


def resolve(amp: Amp, device: torch.device, model: nn.Module) -> Precision:
    """The precision that ``amp`` means for ``model`` on ``device``; see ``settle``. A module without a spec counts as narrow."""
    from spikebench.networks.checks import width_of

    spec = getattr(model, "spec", None)
    settled = settle(amp, str(device), 0 if spec is None else width_of(spec))
    return "fp32" if settled == "off" else settled


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs in ``precision``."""
    import torch

    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(device.type, dtype=dtypes[precision]) if precision in dtypes else nullcontext()
