"""``torch.compile`` as the other side of a comparison."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``function`` compiled for fixed shapes, when it is called first.

    The compiler keeps its machine code on disk under keys that leave out the instruction set it was made for. A process that
    finds code of another one (ATEN_CPU_CAPABILITY, a virtual machine that moved) computes NaN with it, or crashes: each set has a
    folder of its own, unless TORCHINDUCTOR_CACHE_DIR says where.
    """
    capability = torch.backends.cpu.get_cpu_capability().lower().replace(" ", "-")
    folder = Path(tempfile.gettempdir()) / f"spikebench-inductor-{os.getuid()}-{capability}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
    return torch.compile(function, dynamic=False)
