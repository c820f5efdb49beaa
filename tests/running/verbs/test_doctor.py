"""What doctor says of a library that does not survive what it is asked."""

import pytest
import torch
from torch.nn import functional

from spikebench.core import instructions
from spikebench.running.verbs import doctor


def test_a_fault_of_the_library_is_named_and_survived(monkeypatch):
    monkeypatch.setattr(
        doctor, "STRIDED", "import os, sys; print('corrupted heap', file=sys.stderr); sys.stderr.flush(); os.abort()"
    )
    what, verdict, detail = doctor._convolutions()
    assert (what, verdict) == ("strided 1x1 convolutions", "no")
    assert "corrupted heap" in detail
    assert "oneDNN#6035" in detail


def test_a_library_that_is_sound_is_said_to_be(monkeypatch):
    """Where oneDNN has AVX at most it gathers nothing."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")
    assert doctor._convolutions()[1] == "yes"


def test_patches_in_bf16_are_held_against_fp32(monkeypatch):
    whole = functional.conv2d
    monkeypatch.setattr(functional, "conv2d", lambda x, w, stride: whole(x.float(), w.float(), stride=stride).to(x.dtype))
    assert doctor._patches()[1] == "yes"
    monkeypatch.setattr(
        functional,
        "conv2d",
        lambda x, w, stride: whole(x.float(), w.float() * (2 if x.dtype == torch.bfloat16 else 1), stride=stride),
    )
    _, verdict, detail = doctor._patches()
    assert verdict == "no"
    assert "off by 100%" in detail


@pytest.mark.parametrize(
    ("flags", "masks", "verdict", "word"),
    [
        ("avx2 avx512f amx_bf16 amx_tile", {}, "yes", "amx_bf16"),
        ("avx2 avx512f amx_bf16 amx_tile", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "no", "ONEDNN_MAX_CPU_ISA=AVX2"),
        ("avx2", {}, "no", "would be emulated"),
        ("", {}, "unknown", "cannot be read"),
    ],
)
def test_bf16_is_what_the_environment_leaves_of_it(flags, masks, verdict, word, monkeypatch):
    monkeypatch.setattr(instructions, "cpu_info", lambda key: flags)
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in masks.items():
        monkeypatch.setenv(name, value)
    _, found, detail = doctor._bf16()
    assert found == verdict
    assert word in detail
