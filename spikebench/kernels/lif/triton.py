"""Triton kernels for CUDA devices: 4 bytes an element and step forward in half precision, 6 backward, nothing saved
but x.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any

import torch
from torch import Tensor

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif.reference import Tau, is_power_of_two

WARPS = 4


class Backend:
    """float32, float16 and bfloat16 on a CUDA device (or anywhere under ``TRITON_INTERPRET=1``), spikes bit-equal to
    the reference.

    Memory is read and written 128 bits at a time where M, the number of neurons, is a multiple of 16 and T <= 8.
    """

    def why_not(self, x: Tensor, dynamics: Dynamics, learned_tau: bool = False) -> str | None:
        """None, or: no CUDA device and no interpreter, no Triton, float64, or a surrogate that Triton has no function
        for.
        """
        if x.device.type != "cuda" and not interpreted():
            return f"Triton's kernel runs on a CUDA device, x is on {x.device}"
        if x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"Triton's kernel computes in float32, x is {x.dtype}: use torch or reference"
        if x.device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(x.device) < (8, 0):
            return "the kernel is written for compute capability 8.0 and above"
        if "atan" in type(dynamics.surrogate).gradient.__code__.co_names:
            return f"the gradient of {dynamics.surrogate.name} needs atan, which Triton lacks"
        return _import_problem()

    def forward(self, x: Tensor, dynamics: Dynamics, tau: Tau, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) from ``x`` (T, M)."""
        from spikebench.kernels.lif import _triton_kernels as kernels

        T, M = x.shape
        kernel = kernels.forward if T <= kernels.UNROLLED else kernels.forward_loop
        block = forward_block(T, x.element_size())
        with on_device(x):
            kernel[(-(-M // block),)](
                *(x, spikes, x.stride(0), M, *numbers(dynamics, tau)),
                T=T,
                **constants(dynamics, tau),
                BLOCK=block,
                **LAUNCH,
            )

    def backward(self, x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, dx: Tensor) -> Tensor | None:
        """Fill ``dx`` (T, M) from ``grad`` (T, M); returns dL/dtau, 0-d float32, where ``tau`` is a tensor, else
        None.
        """
        from spikebench.kernels import _triton_math
        from spikebench.kernels.lif import _triton_kernels as kernels

        T, M = x.shape
        block = backward_block(T, x.element_size())
        programs = -(-M // block)
        parts = torch.empty(programs if isinstance(tau, Tensor) else 1, dtype=torch.float32, device=x.device)
        unrolled = kernels.UNROLLED >= T
        scratch = () if unrolled else (torch.empty(T, M, dtype=torch.float32, device=x.device),)
        with on_device(x):
            (kernels.backward if unrolled else kernels.backward_loop)[(programs,)](
                *(x, grad, dx, parts, x.stride(0), grad.stride(0), M, *numbers(dynamics, tau), *scratch),
                T=T,
                **constants(dynamics, tau),
                DETACH=dynamics.detach_reset,
                GRADIENT=_triton_math.gradient_of(dynamics.surrogate),
                OPTIONS=dynamics.surrogate.arguments,
                BLOCK=block,
                **LAUNCH,
            )
        return -parts.sum() / tau if isinstance(tau, Tensor) else None


LAUNCH: dict[str, Any] = {"num_warps": WARPS, "enable_fp_fusion": False}
"""No contraction: a fused multiply-add rounds once where the reference rounds twice, and flips spikes near the
threshold.
"""


def numbers(dynamics: Dynamics, tau: Tau) -> tuple[Any, ...]:
    """The kernels' arguments tau (1/tau where that is exact), threshold and rest."""
    if tau is None:
        rate: Any = 1.0
    else:
        rate = 1 / tau if is_power_of_two(tau) else tau
    return rate, dynamics.v_threshold, dynamics.rest


def constants(dynamics: Dynamics, tau: Tau) -> dict[str, Any]:
    """The kernels' compile-time constants for this neuron."""
    return {
        "LEAK": "none" if tau is None else "multiply" if is_power_of_two(tau) else "divide",
        "DECAY_INPUT": dynamics.decay_input,
        "SOFT": dynamics.soft,
        "LEARNED": isinstance(tau, Tensor),
    }


def block_size(T: int, element_size: int, numbers: int) -> int:
    """Neurons a program: 16 bytes a thread and row, fewer where T rows would be more than ``numbers`` numbers a
    thread.
    """
    vector = min(16 // element_size, max(1, numbers // T))
    return 32 * WARPS * (1 << vector.bit_length() - 1)


def forward_block(T: int, element_size: int) -> int:
    """The largest block that compiles without spills (tests/kernels/lif/test_triton_compiled.py)."""
    return block_size(T, element_size, 128)


def backward_block(T: int, element_size: int) -> int:
    """The same for the backward pass, which holds x, dL/dS and H."""
    return block_size(T, element_size, 64 if T <= 8 else 32)


def interpreted() -> bool:
    """Whether Triton runs its kernels in Python, on the CPU too."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def on_device(x: Tensor) -> Any:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else torch.no_grad()


@cache
def _import_problem() -> str | None:
    return None if importlib.util.find_spec("triton") else "triton is not installed"
