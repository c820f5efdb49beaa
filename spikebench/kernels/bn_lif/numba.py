"""Compiled by numba for the CPU: statistics in one pass, then BatchNorm and LIF in another, and nothing in between is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikebench.kernels.bn_lif._channels import Channels
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import numba as lif

Pair = tuple[Tensor, Tensor]
FEW = 64
"""Positions whose mean the differences are taken from."""


class Backend:
    """Where the LIF kernel runs. Given scale and shift, spikes are bit-equal to the reference's."""

    def why_not(self, x: Tensor, dynamics: Dynamics) -> str | None:
        """None, or the reason why it cannot run on ``x`` (T, B, C, ...)."""
        return lif.Backend().why_not(x, dynamics)

    def statistics(self, x: Tensor, channels: Channels) -> Pair:
        """Mean and biased variance of each channel, (C,) float32. What is added up are differences from the mean of a few of its
        numbers, so that a large mean takes nothing from the variance.
        """
        from spikebench.kernels.bn_lif import _numba_kernels as kernels

        if x.stride(0) == 0:  # one image shown T times
            x = x[:1]
        T, M = x.shape
        period = _period(channels)
        pivot = (
            channels.split(x[:1])[:, : FEW if channels.inner == 1 else 1].to(torch.float32).mean(dim=channels.all_but_channels)
        )
        tiled = _tiled(pivot, channels)
        kernel, parts = kernels.moments_kernel(x.dtype), []

        def work(start: int, stop: int) -> None:
            sums = np.zeros((2, period))
            kernel(lif._flat(x), x.stride(0), T, start, stop, tiled, sums[0], sums[1])
            parts.append((start, sums))

        lif._on_threads(work, T, M, period)
        first, second = (_by_channel(each, channels) / (T * channels.positions) for each in _added(parts))
        mean = pivot.double() + first
        return mean.float(), (second - first.square()).clamp_(min=0).float()

    def forward(self, x: Tensor, channels: Channels, affine: Pair, dynamics: Dynamics, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) with LIF(x scale + shift)."""
        from spikebench.kernels.bn_lif import _numba_kernels as kernels
        from spikebench.kernels.lif import _numba_kernels

        kind = _numba_kernels.leak_kind(dynamics.tau)
        kernel = kernels.forward_kernel(dynamics, x.dtype, kind)
        out, numbers = lif._flat(spikes), lif._firing_numbers(dynamics, dynamics.tau, kind, spikes)
        vectors = [_tiled(values, channels) for values in affine]
        T, M = x.shape

        def work(start: int, stop: int) -> None:
            kernel(lif._flat(x), x.stride(0), out, T, M, start, stop, *numbers, *vectors)

        lif._on_threads(work, T, M, _period(channels))

    def backward_sums(
        self, x: Tensor, grad: Tensor, channels: Channels, affine: Pair, moments: Pair, dynamics: Dynamics, dy: Tensor
    ) -> Pair:
        """dL/dbias and dL/dweight, (C,) each; dL/dy is left in ``dy`` (T, M), which becomes dL/dx."""
        from spikebench.kernels.bn_lif import _numba_kernels as kernels
        from spikebench.kernels.lif import _numba_kernels

        tau = dynamics.tau
        kind = _numba_kernels.leak_kind(tau)
        kernel = kernels.sums_kernel(dynamics, x.dtype, kind)
        numbers = (*lif._numbers(dynamics, tau, kind), np.float32(0.0 if tau is None else 1 / tau))
        options = tuple(np.float32(option) for option in dynamics.surrogate.arguments)
        vectors = [_tiled(values, channels) for values in (*affine, *moments)]
        (T, M), period = x.shape, _period(channels)
        parts: list[Any] = []

        def work(start: int, stop: int) -> None:
            sums = np.zeros((2, period))
            kernel(
                *(lif._flat(x), x.stride(0), lif._flat(grad), grad.stride(0), lif._flat(dy), T, M, start, stop),
                *(*numbers, options, *vectors, sums[0], sums[1]),
            )
            parts.append((start, sums))

        lif._on_threads(work, T, M, period)
        dbias, dweight = (_by_channel(each, channels).float() for each in _added(parts))
        return dbias, dweight

    def backward(
        self,
        x: Tensor,
        grad: Tensor,
        channels: Channels,
        affine: Pair,
        moments: Pair,
        means: Pair,
        dynamics: Dynamics,
        dx: Tensor,
    ) -> None:
        """Fill ``dx`` (T, M), which holds what ``backward_sums`` has left there."""
        from spikebench.kernels.bn_lif import _numba_kernels as kernels

        kernel = kernels.backward_kernel(x.dtype)
        vectors = [_tiled(values, channels) for values in (affine[0], *moments, *means)]
        (T, M), out = x.shape, lif._flat(dx)
        lif._on_threads(
            lambda start, stop: kernel(lif._flat(x), x.stride(0), out, T, M, start, stop, *vectors), T, M, _period(channels)
        )


def _repeats(channels: Channels) -> int:
    """How many times a period holds all channels that lie side by side: enough for a block, if they divide a step."""
    count = max(1, 1024 // channels.count) if channels.inner == 1 else 1
    return next(repeats for repeats in range(count, 0, -1) if channels.inner > 1 or channels.positions % repeats == 0)


def _period(channels: Channels) -> int:
    return channels.count * channels.inner * _repeats(channels)


def _tiled(values: Tensor, channels: Channels) -> Any:
    """A vector (C,) over one period, float32."""
    spread = values.detach().to(torch.float32)[:, None].expand(-1, channels.inner).reshape(-1)
    return spread.repeat(_repeats(channels)).numpy()


def _by_channel(sums: Any, channels: Channels) -> Tensor:
    """(C,) float64 sums from those of a period."""
    return torch.from_numpy(sums.reshape(_repeats(channels), channels.count, channels.inner).sum((0, 2)))


def _added(parts: list[Any]) -> Any:
    """The threads' sums, in the order of their parts."""
    return sum(sums for _, sums in sorted(parts, key=lambda part: part[0]))
