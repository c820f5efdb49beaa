"""Convolutions that oneDNN breaks, and how they are made without it (both seen in torch 2.14 with oneDNN 3.12).

**Strided 1x1, the gradient of the weight** (github.com/uxlfoundation/oneDNN/issues/6035). The pixels that the convolution reads
are gathered before they are multiplied, and those of channels-last images with fewer channels than a vector register holds are
placed too far apart: AVX2 kernels break below 8 input channels, AVX-512 kernels below 16. Small images often fit into the slack;
then nobody notices. Otherwise the heap is damaged, or with several threads the gradient is wrong. With zero channels added up to
16 nothing is misplaced, and each weight's sum runs over the same pixels in the same order: where the library is sound, the bits
are its own.

**bf16 with large kernels and strides, the output** (as in github.com/pytorch/pytorch/issues/169688). Where a row of the kernel
holds 64 numbers or more, of fewer than 32 channels, kernels with bf16 instructions return numbers as wrong as they are large:
patches of 4 and more pixels, 4 to 30 channels. With zero channels added up to 32 they are right.

``tests/networks/hunt/convolutions.py`` looks for more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GATHERED = 16
"""Input channels from which on no strided 1x1 kernel misplaces anything: the floats of the widest vector register."""

TILED = 32
"""Input channels from which on a row of a bf16 kernel is not folded into its channels."""


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """What ``layer`` makes of ``x`` (B, C, H, W), with its gradients; counted as the one convolution that it is in fp32."""
    out: Tensor
    if x.device.type == "cpu" and layer.groups == 1 and max(layer.stride) > 1:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if _misplaces(layer):
            inputs = [None if tensor is None else tensor.to(dtype) for tensor in (x, layer.weight, layer.bias)]
            out = _StridedPointwise.apply(*inputs, layer.stride)
            return out
        if dtype == torch.bfloat16 and _confuses(layer):
            return F.conv2d(_widen(x, TILED), _widen(layer.weight, TILED), layer.bias, layer.stride, layer.padding)
    out = layer._conv_forward(x, layer.weight, layer.bias)
    return out


def _misplaces(layer: nn.Conv2d) -> bool:
    """Whether the weight's gradient will be asked for, and may be broken.

    Images of one channel are safe: folding the steps into the batch leaves their strides channels-first.
    """
    asked = torch.is_grad_enabled() and layer.weight.requires_grad
    return asked and layer.kernel_size == (1, 1) and layer.padding == (0, 0) and 1 < layer.in_channels < GATHERED


def _confuses(layer: nn.Conv2d) -> bool:
    return layer.in_channels < TILED <= layer.in_channels * layer.kernel_size[1] // 2


class _StridedPointwise(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
        return F.conv2d(x, weight, bias, stride)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, ctx.stride = inputs
        ctx.save_for_backward(x, weight)
        ctx.bias_sizes = None if bias is None else bias.shape

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors

        def gradients(x: Tensor, weight: Tensor, mask: list[bool]) -> list[Tensor]:
            found: list[Tensor] = torch.ops.aten.convolution_backward(
                grad, x, weight, ctx.bias_sizes, ctx.stride, [0, 0], [1, 1], False, [0, 0], 1, mask
            )
            return found

        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        into_x = gradients(x, weight, [True, False, False])[0] if wants_x else None
        wider = _widen(x, GATHERED).contiguous(memory_format=torch.channels_last)
        # Weight and bias come from one kernel.
        _, into_weight, into_bias = gradients(wider, _widen(weight, GATHERED), [False, True, wants_bias])
        return into_x, into_weight[:, : weight.shape[1]] if wants_weight else None, into_bias if wants_bias else None, None


def _widen(x: Tensor, channels: int) -> Tensor:
    """(n, channels, ...) from (n, C, ...), zeros in what is new."""
    return F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))
