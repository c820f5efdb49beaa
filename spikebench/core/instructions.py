"""Which of this CPU's instructions its libraries may use: those that it has, less what the environment forbids them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

LEVELS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"avx2", "fma"}),
    frozenset({"avx512f"}),
    frozenset({"avx512_vnni"}),
    frozenset({"avx512_bf16"}),
    frozenset({"amx_bf16", "amx_tile"}),
)
"""What decides how sums round and which number formats are native, by Linux's names; each level adds to the last."""

ATEN = {"default": 0, "avx2": 1}
"""ATEN_CPU_CAPABILITY (torch's own kernels) -> the highest level that it leaves."""

ONEDNN = {
    "SSE41": 0,
    "AVX": 0,
    "AVX2": 1,
    "AVX2_VNNI": 1,
    "AVX2_VNNI_2": 1,
    "AVX512_CORE": 2,
    "AVX512_CORE_VNNI": 3,
    "AVX512_CORE_BF16": 4,
    "AVX512_CORE_FP16": 4,
    "AVX10_1_512": 4,
}
"""ONEDNN_MAX_CPU_ISA (convolutions, and products in bf16) -> the highest level that it leaves; other names limit nothing."""


def usable(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The names in LEVELS that this CPU has and that both libraries may use. Nothing where /proc/cpuinfo cannot be read."""
    onednn = environment.get("ONEDNN_MAX_CPU_ISA") or environment.get("DNNL_MAX_CPU_ISA", "")
    most = len(LEVELS) - 1
    level = min(ATEN.get(environment.get("ATEN_CPU_CAPABILITY", ""), most), ONEDNN.get(onednn.upper(), most))
    return frozenset().union(*LEVELS[: level + 1]) & set(cpu_info("flags").split())


def cpu_info(key: str) -> str:
    """A line of Linux's /proc/cpuinfo; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
