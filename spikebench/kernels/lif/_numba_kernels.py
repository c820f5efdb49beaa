"""The loops, compiled by numba once per kind of neuron, surrogate and dtype, and kept in numba's cache on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numba import njit

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import _numba_math as nm
from spikebench.kernels.lif.reference import is_power_of_two

BLOCK = 1024
"""Neurons a block: its membranes and T rows of H stay in the first two cache levels."""
STEPS = 4
"""Steps that the forward loop takes at once."""

Kernel = Callable[..., None]
# The parts of a neuron that the two loops are written with; _bind puts one of the tables' functions below in the place of each.
charge: Any = None
reset: Any = None
gradient: Any = None
through_reset: Any = None
input_share: Any = None
pulled: Any = None
load: Any = None
store: Any = None
LEARNED = COUNTED = False


def forward(x, x_row, spikes, T, M, start, stop, rate, threshold, rest, one, run, by_run, by_neuron):  # type: ignore[no-untyped-def]
    """Spikes of the neurons start..stop; ``x`` and ``spikes`` are flat, ``x_row`` is the distance between x's rows.

    Where ``COUNTED``, of whole runs: ``by_run`` (T, M / run) and ``by_neuron`` (N,) are added to. Four steps are taken at once,
    so that the membrane stays in a register, and which of them a neuron fired in is a byte each of one number.
    """
    v = np.empty(BLOCK, np.float32)
    fired = np.empty(BLOCK, np.int32)
    zero, N = one - one, len(by_neuron)
    first = start
    while first < stop:
        # As many whole runs as a block holds, or a part of one.
        n = min(BLOCK // run * run, stop - first) if run <= BLOCK else min(BLOCK, run - first % run)
        v[:n] = rest
        for t in range(0, T, STEPS):
            steps = min(STEPS, T - t)
            if steps == STEPS:
                at, to = t * x_row + first, t * M + first
                x_0, x_1 = x[at : at + n], x[at + x_row : at + x_row + n]
                x_2, x_3 = x[at + 2 * x_row : at + 2 * x_row + n], x[at + 3 * x_row : at + 3 * x_row + n]
                s_0, s_1 = spikes[to : to + n], spikes[to + M : to + M + n]
                s_2, s_3 = spikes[to + 2 * M : to + 2 * M + n], spikes[to + 3 * M : to + 3 * M + n]
                for j in range(n):
                    h_0 = charge(v[j], load(x_0[j]), rate, rest)
                    h_1 = charge(reset(h_0, threshold, rest), load(x_1[j]), rate, rest)
                    h_2 = charge(reset(h_1, threshold, rest), load(x_2[j]), rate, rest)
                    h_3 = charge(reset(h_2, threshold, rest), load(x_3[j]), rate, rest)
                    v[j] = reset(h_3, threshold, rest)
                    s_0[j] = one if h_0 >= threshold else zero
                    s_1[j] = one if h_1 >= threshold else zero
                    s_2[j] = one if h_2 >= threshold else zero
                    s_3[j] = one if h_3 >= threshold else zero
                    if COUNTED:
                        early = np.int32(np.int32(h_0 >= threshold) | np.int32(np.int32(h_1 >= threshold) << 8))
                        late = np.int32(np.int32(np.int32(h_2 >= threshold) << 16) | np.int32(np.int32(h_3 >= threshold) << 24))
                        fired[j] = np.int32(early | late)
            else:
                if COUNTED:
                    fired[:n] = np.int32(0)
                for step in range(steps):
                    byte = np.int32(1 << 8 * step)
                    x_t = x[(t + step) * x_row + first : (t + step) * x_row + first + n]
                    s_t = spikes[(t + step) * M + first : (t + step) * M + first + n]
                    for j in range(n):
                        h = charge(v[j], load(x_t[j]), rate, rest)
                        s_t[j] = one if h >= threshold else zero
                        v[j] = reset(h, threshold, rest)
                        if COUNTED:
                            fired[j] = np.int32(fired[j] | (byte if h >= threshold else np.int32(0)))
            if COUNTED:
                place, left = first % N, n
                while left:  # a block may hold several samples, or a part of one
                    m = min(left, N - place)
                    nm.add_steps(fired[n - left : n - left + m], by_neuron[place : place + m])
                    left -= m
                    place = 0
                nm.add_runs(fired, n, min(run, n), by_run[t : t + steps], first // run)
        first += n


def backward(x, x_row, grad, grad_row, dx, T, M, start, stop, rate, threshold, rest, leak, options, dtau):  # type: ignore[no-untyped-def]
    """dL/dx of the neurons start..stop, and -dL/dtau tau added to ``dtau`` (equations: ``reference.gradients``)."""
    v = np.empty(BLOCK, np.float32)
    carry = np.empty(BLOCK, np.float32)
    hs = np.empty((T, BLOCK), np.float32)
    along_tau = np.zeros(BLOCK, np.float64)
    zero, one = np.float32(0), np.float32(1)
    for first in range(start, stop, BLOCK):
        n = min(BLOCK, stop - first)
        v[:n] = rest
        carry[:n] = zero
        for t in range(T):
            x_t = x[t * x_row + first : t * x_row + first + n]
            h_t = hs[t]
            for j in range(n):
                h = charge(v[j], load(x_t[j]), rate, rest)
                h_t[j] = h
                v[j] = reset(h, threshold, rest)
        for back in range(T):
            t = T - 1 - back
            h_t = hs[t]
            g_t = grad[t * grad_row + first : t * grad_row + first + n]
            d_t = dx[t * M + first : t * M + first + n]
            for j in range(n):
                h = h_t[j]
                g = gradient(h - threshold, *options)
                kept = zero if h >= threshold else one
                dh = load(g_t[j]) * g + carry[j] * through_reset(h, kept, g, threshold, rest)
                d_t[j] = store(input_share(dh, leak))
                carry[j] = dh - dh * leak
                if LEARNED:
                    v[j] = dh
            if LEARNED:
                x_t = x[t * x_row + first : t * x_row + first + n]
                for j in range(n):
                    before = reset(hs[t - 1, j], threshold, rest) if t > 0 else rest
                    along_tau[j] += np.float64(v[j] * pulled(h_t[j] - before, load(x_t[j])))
    dtau[0] = along_tau.sum()


CHARGE = {  # rate is tau, or 1/tau where that is exact
    (True, "divide"): lambda v, x, rate, rest: v + (x - (v - rest)) / rate,
    (True, "multiply"): lambda v, x, rate, rest: v + (x - (v - rest)) * rate,
    (False, "divide"): lambda v, x, rate, rest: v - (v - rest) / rate + x,
    (False, "multiply"): lambda v, x, rate, rest: v - (v - rest) * rate + x,
    (True, "none"): lambda v, x, rate, rest: v + x,
    (False, "none"): lambda v, x, rate, rest: v + x,
}
RESET = {  # by soft
    False: lambda h, threshold, rest: rest if h >= threshold else h,
    True: lambda h, threshold, rest: h - threshold if h >= threshold else h,
}
THROUGH_RESET = {  # dV/dH by (soft, detached); kept = 1 - S
    (True, True): lambda h, kept, g, threshold, rest: np.float32(1),
    (True, False): lambda h, kept, g, threshold, rest: np.float32(1) - threshold * g,
    (False, True): lambda h, kept, g, threshold, rest: kept,
    (False, False): lambda h, kept, g, threshold, rest: kept + (rest - h) * g,
}
INPUT_SHARE = {True: lambda dh, leak: dh * leak, False: lambda dh, leak: dh}  # dL/dX from dL/dH, by decay_input and tau
PULLED = {True: lambda change, x: change, False: lambda change, x: change - x}  # -tau dH/dtau, by decay_input
LOAD = {torch.float32: nm.identity, torch.bfloat16: nm.float_of_bfloat, torch.float16: nm.float_of_half}
STORE = {torch.float32: nm.identity, torch.bfloat16: nm.bfloat_of_float, torch.float16: nm.half_of_float}


def leak_kind(tau: float | None) -> str:
    """How to divide by tau: not at all, by an exact reciprocal, or truly."""
    if tau is None:
        return "none"
    return "multiply" if is_power_of_two(tau) else "divide"


@lru_cache(maxsize=256)
def forward_kernel(dynamics: Dynamics, dtype: torch.dtype, kind: str, counted: bool = False) -> Kernel:
    """``forward`` for this kind of neuron and input dtype; numbers are arguments, not constants."""
    variant = ("forward", *_variant(dynamics, dtype, kind), counted)
    return _bind(forward, variant, **_parts(dynamics, dtype, kind), COUNTED=counted)


@lru_cache(maxsize=256)
def backward_kernel(dynamics: Dynamics, dtype: torch.dtype, kind: str, learned: bool) -> Kernel:
    """``backward`` for this kind of neuron, surrogate and dtype."""
    variant, parts = backward_parts(dynamics, dtype, kind)
    pulled = nm.inlined(PULLED[dynamics.decay_input])
    return _bind(backward, ("backward", *variant, learned), **parts, pulled=pulled, LEARNED=learned)


def backward_parts(dynamics: Dynamics, dtype: torch.dtype, kind: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What tells a backward pass apart, and what it is written with."""
    surrogate, detached = dynamics.surrogate, dynamics.detach_reset
    code = type(surrogate).gradient.__code__
    formula = (surrogate.name, code.co_code, code.co_consts, code.co_names)
    parts = {
        **_parts(dynamics, dtype, kind),
        "gradient": nm.gradient_of(surrogate),
        "store": STORE[dtype],
        "through_reset": nm.inlined(THROUGH_RESET[dynamics.soft, detached]),
        "input_share": nm.inlined(INPUT_SHARE[dynamics.decay_input and kind != "none"]),
    }
    return (*_variant(dynamics, dtype, kind), detached, formula), parts


def _variant(dynamics: Dynamics, dtype: torch.dtype, kind: str) -> tuple[Any, ...]:
    return dynamics.decay_input, kind, dynamics.soft, str(dtype)


def _parts(dynamics: Dynamics, dtype: torch.dtype, kind: str) -> dict[str, Any]:
    return {
        "charge": nm.inlined(CHARGE[dynamics.decay_input, kind]),
        "reset": nm.inlined(RESET[dynamics.soft]),
        "load": LOAD[dtype],
    }


def _bind(loop: Callable[..., None], variant: tuple[Any, ...], **parts: Any) -> Kernel:
    """``loop`` with its free names bound, compiled when first called.

    numba finds compiled code on disk by a function's file, name and own bytecode, which the parts are not in: so the
    name says what was bound, and every source line that goes into the code.
    """
    bound = FunctionType(loop.__code__, {**loop.__globals__, **parts}, loop.__name__)
    digest = hashlib.sha256(repr((variant, _sources())).encode()).hexdigest()[:16]
    bound.__qualname__ = bound.__name__ = f"{loop.__name__}_{digest}"
    options = {"nogil": True, "error_model": "numpy"}
    try:
        kernel: Kernel = njit(cache=True, **options)(bound)
    except RuntimeError:  # numba's word for "no folder to keep it in": then it is compiled once per process
        kernel = njit(**options)(bound)
    return kernel


@lru_cache(maxsize=1)
def _sources() -> str:
    return "".join(Path(str(file)).read_text(encoding="utf-8") for file in (__file__, nm.__file__))
