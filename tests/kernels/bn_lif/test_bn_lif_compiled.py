"""The machine code of the fused kernels for sm_80, sm_90 and sm_100, compiled here without a GPU."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("triton", reason="triton is not installed")

from spikebench.kernels._triton_math import gradient_of
from spikebench.kernels.bn_lif import _triton_kernels as kernels
from spikebench.kernels.bn_lif._channels import Channels
from spikebench.kernels.bn_lif.triton import _tiles
from spikebench.kernels.surrogates import resolve

CAPABILITIES = (80, 90, 100)
LAYOUTS = {"innermost": Channels(512, 25088, 1), "contiguous": Channels(512, 25088, 1024)}
NEURON = {"LEAK": "multiply", "DECAY_INPUT": True, "SOFT": False}
VECTORS = ("scale", "shift", "mean", "inverse", "mean_dy", "mean_dy_xhat")
ALIGNED = ("x", "grad", "dx", "spikes", *VECTORS, "partial", "x_row", "grad_row", "M", "n", "C")


def compile_kernel(compile_for: Callable[..., Any], name: str, capability: int, layout: str, T: int = 4) -> Any:
    kernel = getattr(kernels, name)
    backward = name.startswith("backward")
    shape, _ = _tiles(LAYOUTS[layout], T, 2)
    constants = {"T": T, **shape, **({} if name == "moments" else NEURON)}
    if backward:
        formula = resolve("sigmoid")
        constants |= {"DETACH": True, "GRADIENT": gradient_of(formula), "OPTIONS": formula.arguments}
    types = dict.fromkeys(("x", "grad", "dx", "spikes"), "*bf16") | dict.fromkeys((*VECTORS, "partial"), "*fp32")
    types |= dict.fromkeys(("x_row", "grad_row", "M", "n", "C"), "i32")
    types |= dict.fromkeys(("tau", "threshold", "rest"), "fp32")
    names = kernel.arg_names
    return compile_for(
        kernel, capability, {k: v for k, v in types.items() if k in names}, constants, [a for a in ALIGNED if a in names]
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_forward_streams_128_bits(compile_for: Callable[..., Any], capability: int, layout: str) -> None:
    code = compile_kernel(compile_for, "forward", capability, layout)
    wide = code.positions(r"LDG[\w.]*\.128")
    assert len(wide) >= 4  # x; scale and shift come in loads of their own
    assert code.count("STG") == code.count(r"STG[\w.]*\.128") == 4
    assert max(wide) < min(code.positions("STG"))
    assert code.spilled_bytes == 0
    assert code.count("FFMA") == 0


@pytest.mark.parametrize(("capability", "layout"), [(80, "innermost"), (90, "contiguous"), (100, "innermost")])
def test_training_kernels_stream_128_bits(compile_for: Callable[..., Any], capability: int, layout: str) -> None:
    moments = compile_kernel(compile_for, "moments", capability, layout)
    assert moments.count(r"LDG[\w.]*\.128") >= 4
    sums = compile_kernel(compile_for, "backward_sums", capability, layout)
    assert sums.count(r"LDG[\w.]*\.128") >= 8
    backward = compile_kernel(compile_for, "backward", capability, layout)
    assert backward.count(r"LDG[\w.]*\.128") >= 8
    assert backward.count("STG") == backward.count(r"STG[\w.]*\.128") == 4
    assert max(backward.positions(r"LDG[\w.]*\.128")) < min(backward.positions("STG"))
    for code in (moments, sums, backward):
        assert code.spilled_bytes == 0


def test_the_sum_of_partial_sums_compiles(compile_for: Callable[..., Any]) -> None:
    types = {"x": "*bf16", **dict.fromkeys(("partial", "mean", "variance"), "*fp32")}
    types |= {"P": "i32", "count": "fp32", "C": "i32"}
    code = compile_for(kernels.finish_moments, 90, types, {"S": 1, "ROWS": 32, "BC": 32}, ["x", "partial"])
    assert code.spilled_bytes == 0


def test_longer_sequences_do_not_spill(compile_for: Callable[..., Any]) -> None:
    assert compile_kernel(compile_for, "forward", 90, "innermost", T=16).spilled_bytes == 0
    assert compile_kernel(compile_for, "backward", 90, "innermost", T=8).spilled_bytes == 0
