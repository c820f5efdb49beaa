"""Which machine measured. Only what stays the same from run to run is identity; clocks, load and temperature are observations."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

from spikebench.core.cells import digest
from spikebench.core.source import package_version


@cache
def machine(threads: int) -> dict[str, Any]:
    """``machine_id`` and the facts that it hashes, for a process that computes with ``threads`` CPU threads.

    Asks the CUDA runtime only if torch is already imported: a process that never imported torch has measured nothing on a GPU.
    """
    facts: dict[str, Any] = {
        "schema": 1,
        "cpu": _cpu_info("model name") or platform.processor() or "unknown",
        # Virtual machines share a model name; which instructions they have decides how sums round.
        "instructions": sorted(INSTRUCTIONS & set(_cpu_info("flags").split())),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "threads": threads,
        "torch": _minor(package_version("torch")),
        "triton": _minor(package_version("triton")),
        "numba": _minor(package_version("numba")),
        **_cuda(),
    }
    return {"machine_id": digest(facts), **facts}


INSTRUCTIONS = frozenset({"avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile"})


def _cpu_info(key: str) -> str:
    """A line of Linux's /proc/cpuinfo; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


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
