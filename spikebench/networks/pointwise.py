"""The gradient of a strided 1x1 convolution's weight, where a library would write past its memory.

oneDNN (github.com/uxlfoundation/oneDNN/issues/6035; seen in torch 2.14 with oneDNN 3.12) gathers the pixels that a strided 1x1
convolution reads before it multiplies them, and for channels-last images with fewer channels than a vector register holds it
places them too far apart: AVX2 kernels break below 8 input channels, AVX-512 kernels below 16. Small images often fit into the
slack; then nobody notices. Otherwise the heap is damaged, or with several threads the gradient is wrong.

With zero channels added up to 16 nothing is misplaced, and each weight's sum runs over the same pixels in the same order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOUND = 16
"""Input channels from which on no kernel misplaces anything: the floats of the widest vector register."""


def is_affected(layer: nn.Conv2d, x: Tensor) -> bool:
    """Whether the library could misplace what it gathers in this call's backward pass.

    Images of one channel are safe: folding the steps into the batch leaves their strides channels-first.
    """
    return (
        layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and 1 < layer.in_channels < SOUND
        and layer.padding == (0, 0)
        and layer.groups == 1
        and x.device.type == "cpu"
        and torch.is_grad_enabled()
        and layer.weight.requires_grad
    )


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """What ``layer`` makes of ``x`` (B, C, H, W), by the same kernel; gradients as without the fault."""
    inputs = [x, layer.weight, layer.bias]
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        inputs = [None if tensor is None else tensor.to(dtype) for tensor in inputs]
    out: Tensor = _StridedPointwise.apply(*inputs, layer.stride)
    return out


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
        wider = _widen(x).contiguous(memory_format=torch.channels_last)
        # Weight and bias come from one kernel.
        _, into_weight, into_bias = gradients(wider, _widen(weight), [False, True, wants_bias])
        return into_x, into_weight[:, : weight.shape[1]] if wants_weight else None, into_bias if wants_bias else None, None


def _widen(x: Tensor) -> Tensor:
    """(n, SOUND, ...) from (n, C, ...), zeros in what is new."""
    return F.pad(x, (0, 0, 0, 0, 0, SOUND - x.shape[1]))
