"""The fused loops for the CPU, compiled by numba: a vector over channels is laid out as memory is, once for each *period*.

A period is what the channels repeat after: C numbers (several times over, if C is small) with channels innermost, else a sample.
So element m of a step meets element m % period of a vector, and every loop below runs along both.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import _numba_kernels as lif
from spikebench.kernels.lif._numba_kernels import BLOCK, Kernel

FLUSH = 32
"""Numbers that are added up in float32 before the sum goes on in float64."""
# Bound by ``lif._bind``, as there.
charge: Any = None
reset: Any = None
gradient: Any = None
through_reset: Any = None
input_share: Any = None
load: Any = None
store: Any = None


def moments(x, x_row, T, start, stop, pivot, first, second):
    """Sums of x - pivot and of its square, by place in the period, added to ``first`` and ``second`` (period,) in float64."""
    period = len(pivot)
    once, twice = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    zero = np.float32(0)
    for place in range(0, period, BLOCK):
        n = min(BLOCK, period - place)
        p, ones, twos = pivot[place : place + n], first[place : place + n], second[place : place + n]
        once[:n] = zero
        twice[:n] = zero
        waiting = 0
        for t in range(T):
            for base in range(start, stop, period):
                row = x[t * x_row + base + place : t * x_row + base + place + n]
                for j in range(n):
                    d = load(row[j]) - p[j]
                    once[j] += d
                    twice[j] += d * d
                waiting += 1
                if waiting == FLUSH or (t == T - 1 and base + period >= stop):
                    for j in range(n):
                        ones[j] += once[j]
                        twos[j] += twice[j]
                    once[:n] = zero
                    twice[:n] = zero
                    waiting = 0


def forward(x, x_row, spikes, T, M, start, stop, rate, threshold, rest, one, scale, shift):
    """Spikes of LIF(x scale + shift); the product and the sum are rounded each, as the reference rounds them."""
    v = np.empty(BLOCK, np.float32)
    period, first = len(scale), start
    while first < stop:
        place = first % period
        n = min(BLOCK, period - place, stop - first)
        a, b = scale[place : place + n], shift[place : place + n]
        v[:n] = rest
        for t in range(T):
            x_t = x[t * x_row + first : t * x_row + first + n]
            s_t = spikes[t * M + first : t * M + first + n]
            for j in range(n):
                h = charge(v[j], load(x_t[j]) * a[j] + b[j], rate, rest)
                s_t[j] = one if h >= threshold else one - one
                v[j] = reset(h, threshold, rest)
        first += n


def backward_sums(
    x,
    x_row,
    grad,
    grad_row,
    dy,
    T,
    M,
    start,
    stop,
    rate,
    threshold,
    rest,
    leak,
    options,
    scale,
    shift,
    mean,
    inverse,
    first_sums,
    second_sums,
):
    """dL/dy, kept in ``dy``, and its sums by place in the period: as it is, and times xhat."""
    v, carry = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    once, twice = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    hs = np.empty((T, BLOCK), np.float32)
    zero, one = np.float32(0), np.float32(1)
    period, first = len(scale), start
    while first < stop:
        place = first % period
        n = min(BLOCK, period - place, stop - first)
        a, b, m, r = scale[place : place + n], shift[place : place + n], mean[place : place + n], inverse[place : place + n]
        v[:n] = rest
        carry[:n] = zero
        once[:n] = zero
        twice[:n] = zero
        for t in range(T):
            x_t = x[t * x_row + first : t * x_row + first + n]
            h_t = hs[t]
            for j in range(n):
                h = charge(v[j], load(x_t[j]) * a[j] + b[j], rate, rest)
                h_t[j] = h
                v[j] = reset(h, threshold, rest)
        for back in range(T):
            t = T - 1 - back
            h_t = hs[t]
            x_t = x[t * x_row + first : t * x_row + first + n]
            g_t = grad[t * grad_row + first : t * grad_row + first + n]
            d_t = dy[t * M + first : t * M + first + n]
            for j in range(n):
                h = h_t[j]
                g = gradient(h - threshold, *options)
                kept = zero if h >= threshold else one
                dh = load(g_t[j]) * g + carry[j] * through_reset(h, kept, g, threshold, rest)
                share = input_share(dh, leak)
                d_t[j] = store(share)
                once[j] += share
                twice[j] += share * ((load(x_t[j]) - m[j]) * r[j])
                carry[j] = dh - dh * leak
        ones, twos = first_sums[place : place + n], second_sums[place : place + n]
        for j in range(n):
            ones[j] += once[j]
            twos[j] += twice[j]
        first += n


def backward(x, x_row, dx, T, M, start, stop, scale, mean, inverse, mean_dy, mean_dy_xhat):
    """dL/dx = scale (dy - mean(dy) - xhat mean(dy xhat)), in the place of dy."""
    period, first = len(scale), start
    while first < stop:
        place = first % period
        n = min(BLOCK, period - place, stop - first)
        a, m, r = scale[place : place + n], mean[place : place + n], inverse[place : place + n]
        u, w = mean_dy[place : place + n], mean_dy_xhat[place : place + n]
        for t in range(T):
            x_t = x[t * x_row + first : t * x_row + first + n]
            d_t = dx[t * M + first : t * M + first + n]
            for j in range(n):
                xhat = (load(x_t[j]) - m[j]) * r[j]
                d_t[j] = store(a[j] * (load(d_t[j]) - u[j] - xhat * w[j]))
        first += n


@lru_cache(maxsize=64)
def moments_kernel(dtype: torch.dtype) -> Kernel:
    """``moments`` of this dtype."""
    return _bind(moments, ("moments", str(dtype)), load=lif.LOAD[dtype])


@lru_cache(maxsize=256)
def forward_kernel(dynamics: Dynamics, dtype: torch.dtype, kind: str) -> Kernel:
    """``forward`` for this kind of neuron and dtype."""
    return _bind(forward, ("bn_forward", *lif._variant(dynamics, dtype, kind)), **lif._parts(dynamics, dtype, kind))


@lru_cache(maxsize=256)
def sums_kernel(dynamics: Dynamics, dtype: torch.dtype, kind: str) -> Kernel:
    """``backward_sums`` for this kind of neuron, surrogate and dtype."""
    variant, parts = lif.backward_parts(dynamics, dtype, kind)
    return _bind(backward_sums, ("bn_sums", *variant), **parts)


@lru_cache(maxsize=64)
def backward_kernel(dtype: torch.dtype) -> Kernel:
    """``backward`` of this dtype."""
    return _bind(backward, ("bn_backward", str(dtype)), load=lif.LOAD[dtype], store=lif.STORE[dtype])


def _bind(loop: Callable[..., None], variant: tuple[Any, ...], **parts: Any) -> Kernel:
    return lif._bind(loop, (*variant, _own_source()), **parts)


@lru_cache(maxsize=1)
def _own_source() -> str:
    from pathlib import Path

    return Path(__file__).read_text(encoding="utf-8")
