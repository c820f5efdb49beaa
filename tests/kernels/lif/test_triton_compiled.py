"""The machine code of the kernels for sm_80, sm_90 and sm_100, compiled here without a GPU."""

import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("triton", reason="triton is not installed")

from spikebench.kernels._triton_math import gradient_of
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import _triton_kernels as kernels
from spikebench.kernels.lif.triton import backward_block, constants, forward_block
from spikebench.kernels.surrogates import resolve

CAPABILITIES = (80, 90, 100)
SIZES = {"bf16": 2, "fp16": 2, "fp32": 4}
STREAMS = [(80, "bf16"), (90, "bf16"), (90, "fp16"), (90, "fp32"), (100, "bf16")]
SCALARS = {"x_row": "i32", "grad_row": "i32", "M": "i32", "tau": "fp32", "threshold": "fp32", "rest": "fp32"}


def compile_forward(compile_for: Callable[..., Any], capability: int, dtype: str, T: int, **neuron: Any) -> Any:
    types = {"x": f"*{dtype}", "spikes": f"*{neuron.pop('spikes', dtype)}", **SCALARS}
    types.pop("grad_row")
    dynamics = Dynamics(**neuron)
    given = {"T": T, "BLOCK": forward_block(T, SIZES[dtype]), **constants(dynamics, dynamics.tau)}
    return compile_for(kernels.forward, capability, types, given, ["x", "spikes", "x_row", "M"])


def compile_backward(
    compile_for: Callable[..., Any], capability: int, dtype: str, T: int, surrogate: str = "sigmoid", **neuron: Any
) -> Any:
    types = {"x": f"*{dtype}", "grad": f"*{dtype}", "dx": f"*{dtype}", "dtau": "*fp32", **SCALARS}
    formula = resolve(surrogate)
    dynamics = Dynamics(**neuron, surrogate=formula)
    given = {"T": T, "BLOCK": backward_block(T, SIZES[dtype]), **constants(dynamics, dynamics.tau)}
    given |= {"DETACH": dynamics.detach_reset, "GRADIENT": gradient_of(formula), "OPTIONS": formula.arguments}
    return compile_for(kernels.backward, capability, types, given, ["x", "grad", "dx", "dtau", "x_row", "grad_row", "M"])


@pytest.mark.parametrize(("capability", "dtype"), STREAMS)
def test_forward_streams_128_bits(compile_for: Callable[..., Any], capability: int, dtype: str) -> None:
    for T in (4, 8):
        compile_forward(compile_for, capability, dtype, T).assert_streams(loads=T, stores=T)


@pytest.mark.parametrize(("capability", "dtype"), STREAMS)
def test_backward_streams_128_bits(compile_for: Callable[..., Any], capability: int, dtype: str) -> None:
    compile_backward(compile_for, capability, dtype, 4).assert_streams(loads=8, stores=4)


@pytest.mark.parametrize(("T", "capability", "dtype"), [(8, 80, "bf16"), (8, 90, "fp32"), (16, 90, "bf16"), (32, 90, "bf16")])
def test_no_unrolled_sequence_spills(compile_for: Callable[..., Any], T: int, capability: int, dtype: str) -> None:
    assert compile_forward(compile_for, capability, dtype, T, tau=3.0).spilled_bytes == 0
    assert compile_backward(compile_for, capability, dtype, T, tau=2.0, detach_reset=False).spilled_bytes == 0


def test_int8_spikes_are_stored_64_bits_at_a_time(compile_for: Callable[..., Any]) -> None:
    code = compile_forward(compile_for, 90, "bf16", 4, spikes="i8")
    assert code.count(r"LDG[\w.]*\.128") == 4
    assert code.count("STG") == code.count(r"STG[\w.]*\.64") == 4


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_nothing_is_contracted(compile_for: Callable[..., Any], capability: int) -> None:
    """A fused multiply-add in the membrane would flip spikes near the threshold."""
    for neuron in ({}, {"decay_input": False}, {"v_reset": None}, {"tau": None}):
        assert compile_forward(compile_for, capability, "fp32", 4, **neuron).count("FFMA") == 0


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_division_is_ieee_unless_tau_is_a_power_of_two(compile_for: Callable[..., Any], capability: int) -> None:
    """Triton's own ``/`` becomes div.full, which is approximate."""
    exact = compile_forward(compile_for, capability, "fp32", 4, tau=2.0).ptx
    divided = compile_forward(compile_for, capability, "fp32", 4, tau=3.0).ptx
    assert re.findall(r"\bdiv\.[\w.]+", exact) == []
    assert set(re.findall(r"\bdiv\.[\w.]+", divided)) == {"div.rn.f32"}


def test_gradients_are_rounded_to_nearest(compile_for: Callable[..., Any]) -> None:
    """The interpreter truncates to bfloat16, so the rounding can be seen here alone."""
    for dtype, short in (("bf16", "bf16"), ("fp16", "f16")):
        conversions = set(re.findall(rf"cvt\.[\w.]*{short}x?2?\.f32", compile_backward(compile_for, 90, dtype, 4).ptx))
        assert conversions
        assert all(".rn." in conversion for conversion in conversions)


@pytest.mark.parametrize("name", ["atan", "erf", "piecewise_exp", "piecewise_quadratic", "rect", "soft_sign", "super_spike"])
def test_every_surrogate_compiles(compile_for: Callable[..., Any], name: str) -> None:
    compile_backward(compile_for, 90, "bf16", 4, surrogate=name).assert_streams(loads=8, stores=4)


@pytest.mark.parametrize("learned", [False, True])
def test_loops_for_long_sequences_and_a_learned_tau_compile(compile_for: Callable[..., Any], learned: bool) -> None:
    shared = {"LEAK": "divide", "DECAY_INPUT": False, "SOFT": True, "LEARNED": learned, "BLOCK": 256}
    scalars = {**SCALARS, "T": "i32", "tau": "*fp32" if learned else "fp32"}
    types = {"x": "*bf16", "spikes": "*bf16", **{k: v for k, v in scalars.items() if k != "grad_row"}}
    assert compile_for(kernels.forward_loop, 90, types, shared, ["x", "spikes"]).spilled_bytes == 0
    formula = resolve("sigmoid")
    types = {"x": "*bf16", "grad": "*bf16", "dx": "*bf16", "dtau": "*fp32", "hs": "*fp32", **scalars}
    given = {**shared, "DETACH": False, "GRADIENT": gradient_of(formula), "OPTIONS": formula.arguments}
    assert compile_for(kernels.backward_loop, 90, types, given, ["x", "grad", "dx", "hs"]).spilled_bytes == 0
    types.pop("hs")
    types.pop("T")
    given |= {"T": 4, "DECAY_INPUT": True}
    assert compile_for(kernels.backward, 90, types, given, ["x", "grad", "dx"]).spilled_bytes == 0
