"""Which machine measured. Only what stays the same from run to run is identity; clocks, load and temperature are observations."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from typing import Any

from spikebench.core import allocator, instructions
from spikebench.core.cells import digest
from spikebench.core.source import package_version


@cache
def machine(threads: int) -> dict[str, Any]:
    """``machine_id`` and the facts that it hashes, for a process that computes with ``threads`` CPU threads.

    Asks the CUDA runtime only if torch is already imported: a process that never imported torch has measured nothing on a GPU.
    """
    facts: dict[str, Any] = {
        "schema": 1,
        "cpu": instructions.cpu_info("model name") or platform.processor() or "unknown",
        # Virtual machines share a model name; which instructions they may use decides how sums round.
        "instructions": sorted(instructions.usable()),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "threads": threads,
        "torch": _minor(package_version("torch")),
        "triton": _minor(package_version("triton")),
        "numba": _minor(package_version("numba")),
        **_cuda(),
    }
    # Not identity: the machine is the same, and its counts stay comparable. Records of times carry the setting as a condition.
    return {"machine_id": digest(facts), **facts, "malloc": allocator.library()}


def _minor(version: str | None) -> str | None:
    return None if version is None else ".".join(version.split("+")[0].split(".")[:2])


def _cuda() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"gpus": [], "cuda": None}
    return {
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
    }
