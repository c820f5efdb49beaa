"""How many taps of a convolution's kernel meet each input position; the rest falls on zero padding or off the stride's grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


@cache
def taps_of_axis(
    size: int, out_size: int, kernel: int, stride: int, padding: int, dilation: int, transposed: bool = False
) -> tuple[int, ...]:
    """For each of ``size`` input positions of one axis, the number of (output position, kernel tap) pairs that read it.

    A convolution reads input i at output o with tap k where o stride - padding + k dilation = i; a transposed one writes input
    i to output i stride - padding + k dilation, where that exists.
    """
    taps = [0] * size
    for k in range(kernel):
        if transposed:
            for i in range(size):
                taps[i] += 0 <= i * stride - padding + k * dilation < out_size
        else:
            for o in range(out_size):
                i = o * stride - padding + k * dilation
                if 0 <= i < size:
                    taps[i] += 1
    return tuple(taps)


@cache
def coverage(axes: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor | None:
    """The outer product of the axes' taps, float64 with the input's spatial shape; None where it is 1 everywhere."""
    if all(tap == 1 for axis in axes for tap in axis):
        return None
    found = torch.ones((), dtype=torch.float64, device=device)
    for axis in axes:
        found = found.unsqueeze(-1) * torch.tensor(axis, dtype=torch.float64, device=device)
    return found


def axes_of(
    size: Sequence[int],
    out_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
) -> tuple[tuple[int, ...], ...]:
    """``taps_of_axis`` of every spatial axis; a setting of length 1 holds for all axes, as in ATen."""

    def at(values: Sequence[int], axis: int) -> int:
        return values[axis] if len(values) > 1 else values[0]

    return tuple(
        taps_of_axis(
            size[axis],
            out_size[axis],
            kernel[axis],
            at(stride, axis),
            at(padding, axis),
            at(dilation, axis),
            transposed,
        )
        for axis in range(len(kernel))
    )
