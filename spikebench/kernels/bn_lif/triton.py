"""Triton kernels: 16 bytes an element and step for training in half precision, where BatchNorm and then LIF move 38."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikebench.kernels.bn_lif._channels import Channels
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import triton as lif

PROGRAMS = 1024
"""How many partial sums a reduction leaves at most, over all channels: a few programs for each of a large GPU's
processors.
"""

NUMBERS = 32
"""Numbers of a step that a thread holds times T: scale, shift and sums need registers too, and nothing may spill."""

Pair = tuple[Tensor, Tensor]


class Backend:
    """Where the LIF kernel runs, for at most 32 steps. Given scale and shift, spikes are bit-equal to the
    reference's.
    """

    def why_not(self, x: Tensor, dynamics: Dynamics) -> str | None:
        """None, or the reason why it cannot run on ``x`` (T, B, C, ...)."""
        if x.shape[0] > 32:
            return f"the fused kernel holds all steps in registers, at most 32; T is {x.shape[0]}"
        return lif.Backend().why_not(x, dynamics)

    def statistics(self, x: Tensor, channels: Channels) -> Pair:
        """Mean and biased variance of each channel, (C,) float32: a pass that leaves partial sums, and one that adds
        them up.
        """
        from spikebench.kernels.bn_lif import _triton_kernels as kernels

        T, C = x.shape[0], channels.count
        shape, grid = _tiles(channels, T, x.element_size())
        partial = torch.empty(_programs(grid), 2, C, dtype=torch.float32, device=x.device)
        mean, variance = (torch.empty(C, dtype=torch.float32, device=x.device) for _ in range(2))
        n = channels.positions
        with lif.on_device(x):
            kernels.moments[(len(partial), grid[1])](x, partial, x.stride(0), n, C, T=T, **shape, **lif.LAUNCH)
            kernels.finish_moments[(-(-C // 32),)](
                *(x, partial, mean, variance, len(partial), float(T * n), C),
                S=channels.inner,
                ROWS=32,
                BC=32,
                **lif.LAUNCH,
            )
        return mean, variance

    def forward(self, x: Tensor, channels: Channels, affine: Pair, dynamics: Dynamics, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) with LIF(x scale + shift)."""
        from spikebench.kernels.bn_lif import _triton_kernels as kernels

        (T, M), n = x.shape, channels.positions
        shape, grid = _tiles(channels, T, x.element_size())
        with lif.on_device(x):
            kernels.forward[grid](
                *(x, spikes, *affine, x.stride(0), M, n, channels.count, *lif.numbers(dynamics, dynamics.tau)),
                T=T,
                **_constants(dynamics),
                **shape,
                **lif.LAUNCH,
            )

    def backward_sums(
        self, x: Tensor, grad: Tensor, channels: Channels, affine: Pair, moments: Pair, dynamics: Dynamics, dy: Tensor
    ) -> Pair:
        """dL/dbias and dL/dweight, (C,) each; ``dy`` is left alone, since storing it would cost more than computing it again."""
        from spikebench.kernels.bn_lif import _triton_kernels as kernels

        T, C = x.shape[0], channels.count
        shape, grid = _tiles(channels, T, x.element_size())
        partial = torch.empty(_programs(grid), 2, C, dtype=torch.float32, device=x.device)
        with lif.on_device(x):
            kernels.backward_sums[(len(partial), grid[1])](
                *(x, grad, *affine, *moments, partial, x.stride(0), grad.stride(0), channels.positions, C),
                *lif.numbers(dynamics, dynamics.tau),
                T=T,
                **_constants(dynamics),
                **_gradient(dynamics),
                **shape,
                **lif.LAUNCH,
            )
        dbias, dweight = partial.sum(0)
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
        """Fill ``dx`` (T, M)."""
        from spikebench.kernels.bn_lif import _triton_kernels as kernels

        (T, M), n = x.shape, channels.positions
        shape, grid = _tiles(channels, T, x.element_size())
        with lif.on_device(x):
            kernels.backward[grid](
                *(x, grad, dx, *affine, *moments, *means, x.stride(0), grad.stride(0), M, n, channels.count),
                *lif.numbers(dynamics, dynamics.tau),
                T=T,
                **_constants(dynamics),
                **_gradient(dynamics),
                **shape,
                **lif.LAUNCH,
            )


def _constants(dynamics: Dynamics) -> dict[str, Any]:
    constants = lif.constants(dynamics, dynamics.tau)
    del constants["LEARNED"]
    return constants


def _gradient(dynamics: Dynamics) -> dict[str, Any]:
    from spikebench.kernels import _triton_math

    surrogate = dynamics.surrogate
    return {
        "DETACH": dynamics.detach_reset,
        "GRADIENT": _triton_math.gradient_of(surrogate),
        "OPTIONS": surrogate.arguments,
    }


def _tiles(channels: Channels, T: int, element_size: int) -> tuple[dict[str, int], tuple[int, int]]:
    """The tile's shape as kernel constants, and the grid (position tiles, channel tiles).

    A tile lies along what is contiguous: channels where they are innermost, else positions of one channel, whose
    offsets are multiples of the largest power of two (up to 8) that divides an image.
    """
    block = lif.block_size(T, element_size, NUMBERS)
    inner = channels.inner
    width = min(128, block, 1 << (channels.count - 1).bit_length()) if inner == 1 else 1
    shape = {"S": inner, "ALIGN": min(8, inner & -inner), "BP": block // width, "BC": width}
    return shape, (-(-channels.positions // shape["BP"]), -(-channels.count // width))


def _programs(grid: tuple[int, int]) -> int:
    """Programs along the positions of a reduction."""
    return min(grid[0], max(1, PROGRAMS // grid[1]))
