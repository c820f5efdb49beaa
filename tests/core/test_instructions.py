"""What libraries may use of a CPU: what it has, less what either of two variables forbids."""

import pytest

from spikebench.core import instructions

XEON = "fpu sse4_1 avx avx2 fma avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8"
ALL = {"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile"}


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, set()),
        ({"ONEDNN_MAX_CPU_ISA": "DEFAULT", "ATEN_CPU_CAPABILITY": "avx512"}, set()),
        ({"ONEDNN_MAX_CPU_ISA": "no such name"}, set()),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, set()),
        ({"ONEDNN_MAX_CPU_ISA": "avx512_core_bf16"}, {"amx_bf16", "amx_tile"}),
        ({"DNNL_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, {"amx_bf16", "amx_tile", "avx512_bf16"}),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, {"amx_bf16", "amx_tile", "avx512_bf16", "avx512_vnni"}),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx2"}, ALL - {"avx2", "fma"}),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, ALL - {"avx2", "fma"}),
        ({"ATEN_CPU_CAPABILITY": "avx2"}, ALL - {"avx2", "fma"}),
        ({"ATEN_CPU_CAPABILITY": "default"}, ALL),
        ({"ONEDNN_MAX_CPU_ISA": "SSE41"}, ALL),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),  # one order in every worker of xdist
)
def test_a_mask_takes_away_its_level_and_all_above(environment, missing, monkeypatch):
    monkeypatch.setattr(instructions, "cpu_info", {"flags": XEON}.__getitem__)
    assert instructions.usable(environment) == ALL - missing


def test_a_mask_gives_no_cpu_what_it_has_not(monkeypatch):
    monkeypatch.setattr(instructions, "cpu_info", {"flags": "sse4_1 avx avx2 fma"}.__getitem__)
    assert instructions.usable({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}) == {"avx2", "fma"}
    monkeypatch.setattr(instructions, "cpu_info", lambda key: "")
    assert instructions.usable({}) == frozenset()
