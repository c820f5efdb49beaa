"""The neuron's steps and the surrogates' equations as Triton functions, shared by every Triton kernel."""
# Triton's language is a part of Python: branches over constants are statements, and there are no types but its own.
# ruff: noqa: SIM108
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import triton
import triton.language as tl

from spikebench.kernels.surrogates import Formula

jit: Callable[[Callable[..., Any]], Any] = triton.jit


@jit
def charge(v, x, tau, rest, LEAK: tl.constexpr, DECAY_INPUT: tl.constexpr):
    """H from V and X; ``tau`` is 1/tau where LEAK is "multiply". Triton's ``/`` is approximate: div_rn is IEEE
    division.
    """
    if LEAK == "none":
        h = v + x
    elif DECAY_INPUT:
        if LEAK == "multiply":
            h = v + (x - (v - rest)) * tau
        else:
            h = v + tl.div_rn(x - (v - rest), tau)
    else:
        if LEAK == "multiply":
            h = v - (v - rest) * tau + x
        else:
            h = v - tl.div_rn(v - rest, tau) + x
    return h


@jit
def reset(h, threshold, rest, SOFT: tl.constexpr):
    """V from H."""
    if SOFT:
        v = tl.where(h >= threshold, h - threshold, h)
    else:
        v = tl.where(h >= threshold, rest, h)
    return v


@jit
def through_reset(h, g, threshold, rest, SOFT: tl.constexpr, DETACH: tl.constexpr):
    """dV/dH."""
    if SOFT:
        if DETACH:
            d = tl.full(h.shape, 1.0, tl.float32)
        else:
            d = 1.0 - threshold * g
    else:
        d = tl.where(h >= threshold, 0.0, 1.0)
        if not DETACH:
            d = d + (rest - h) * g
    return d


@jit
def leak_of(tau, LEAK: tl.constexpr):
    """1/tau, and 0 without a leak."""
    if LEAK == "none":
        leak = 0.0
    elif LEAK == "multiply":
        leak = tau
    else:
        leak = 1.0 / tau
    return leak


@jit
def back_step(
    h,
    grad,
    carry,
    leak,
    threshold,
    rest,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
):
    """dL/dH, dL/dX and the dL/dV that goes to the step before, from ``grad`` = dL/dS and ``carry`` = dL/dV of one step."""
    g = GRADIENT(h - threshold, *OPTIONS)
    dh = grad.to(tl.float32) * g + carry * through_reset(h, g, threshold, rest, SOFT, DETACH)
    share = dh * leak
    carry = dh - share
    if LEAK == "none" or not DECAY_INPUT:
        share = dh
    return dh, share, carry


@jit
def _exp(x):
    return tl.exp(x)


@jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@jit
def _absolute(x):
    return tl.abs(x)


@jit
def _where(condition, yes, no):
    return tl.where(condition, yes, no)


@jit
def _log(x):
    return tl.log(x)


@jit
def _erf(x):
    return tl.erf(x)


TRITON = {
    "tl": tl,  # the interpreter looks for it among a function's globals
    "absolute": _absolute,
    "erf": _erf,
    "exp": _exp,
    "log": _log,
    "pi": tl.constexpr(math.pi),
    "sigmoid": _sigmoid,
    "sqrt_pi": tl.constexpr(math.sqrt(math.pi)),
    "where": _where,
}


@lru_cache(maxsize=64)
def gradient_of(surrogate: Formula) -> Any:
    """The surrogate's gradient as a Triton function of z and its options."""
    return jit(surrogate.bind("gradient", TRITON))
