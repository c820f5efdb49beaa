"""Convolution, normalisation and pooling over time steps, without a transpose: memory keeps channels innermost.

A tensor is (T, B, C, H, W) or (T, B, C, N) by its axes, and (T, B, H, W, C) or (T, B, N, C) in memory (torch's channels-last).
So the 1x1 convolution of an encoder is one matrix product, BatchNorm reads rows, and neither copies.

An image that is shown unchanged for T steps comes as an expanded view (stride 0 over T). Layers before the first neuron see the
same image T times; they compute it once and expand the result, unless shortcuts are off.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.networks import batch_parts, onednn, shortcuts, visible
from spikebench.networks.shortcuts import is_static, over_steps


def per_image(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``function`` of images (B, C, H, W), one by one, over each step of ``x`` (T, B, C, H, W); once if ``x`` is static."""
    return over_steps(lambda steps: torch.unflatten(function(steps.flatten(0, 1)), 0, steps.shape[:2]), x)


def max_pool(x: Tensor) -> Tensor:
    """3x3 max-pooling with stride 2 and padding 1 (T, B, C, H, W): halves each side, rounding up. Spikes stay spikes."""
    view = visible.active()
    if view is not None:
        return over_steps(lambda steps: view.max_pool(steps, 3, 2, 1), x)
    return per_image(lambda images: F.max_pool2d(images, 3, stride=2, padding=1), x)


class Conv2d(nn.Conv2d):
    """A convolution over (T, B, C, H, W) whose output keeps channels innermost."""

    def forward(self, x: Tensor) -> Tensor:
        view = visible.active()
        return self.whole(x) if view is None else over_steps(lambda steps: view.convolve(self, steps), x)

    def whole(self, x: Tensor) -> Tensor:
        """Of whole images, whatever is visible."""
        return per_image(self._images, x)

    def _images(self, images: Tensor) -> Tensor:
        return onednn.convolve(self, images).contiguous(memory_format=torch.channels_last)


class BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over (T, B, C, H, W): statistics of all steps together, as in the papers' code, which folds T into the batch.

    Of visible cells alone where a view is active.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not is_static(x):
            return self._normalise(x)
        return self._normalise(x[:1], copies=x.shape[0]).expand_as(x)

    def _normalise(self, x: Tensor, copies: int = 1) -> Tensor:
        view = visible.active()
        rows = x.flatten(0, 1) if view is None else view.rows(x)
        if not self.training or copies == 1:
            y = super().forward(rows)
        elif rows.numel() == rows.shape[1]:
            # One number has no variance to correct; as many as there are steps have.
            y = super().forward(rows.expand(copies, *rows.shape[1:]))[:1]
        else:
            y = self._normalise_once(rows, copies)
        return torch.unflatten(y, 0, x.shape[:2]) if view is None else view.put(y, x)

    def _check_input_dim(self, input: Tensor) -> None:
        """Images, or rows of visible cells (n, C)."""
        if input.dim() not in (2, 4):
            raise ValueError(f"expected images or rows, got {input.dim()} dimensions")

    def _normalise_once(self, x: Tensor, T: int) -> Tensor:
        """``x`` (n, C, ...) by its own statistics, which are those of T copies but for the running variance.

        That is unbiased by n / (n - 1), and n must be that of T images: a scratch copy takes the update for one and is put right.
        """
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        scratch = self.running_var.clone()
        out = F.batch_norm(
            x, self.running_mean, scratch, self.weight, self.bias, training=True, momentum=self.momentum, eps=self.eps
        )
        self.num_batches_tracked.add_(1)
        n = batch_parts.whole(x.numel() // x.shape[1])
        correction = (T * n / (T * n - 1)) / (n / (n - 1))
        kept = (1 - self.momentum) * self.running_var
        self.running_var.copy_(kept + (scratch - kept) * correction)
        return out


def token_linear(in_channels: int, channels: int, bias: bool) -> nn.Linear:
    """A linear layer as the papers' code starts it: truncated normal of standard deviation 0.02, bias 0."""
    linear = nn.Linear(in_channels, channels, bias=bias)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class Projection(nn.Module):
    """1x1 convolution over the channels of (T, B, C, N), BatchNorm, and a neuron before, after, or not at all."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        bias: bool,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.linear: nn.Module = token_linear(in_channels, channels, bias)
        self.norm = nn.BatchNorm1d(channels)
        self.neuron = before or after
        self.neuron_first = before is not None

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, channels, N) from (T, B, in_channels, N)."""
        if self.neuron is not None and self.neuron_first:
            x = self.neuron(x)
        return self.normalise(self.linear(x.transpose(2, 3)))

    def normalise(self, y: Tensor) -> Tensor:
        """BatchNorm, and the neuron where it comes after: (T, B, channels, N) from (T, B, N, channels)."""
        if not self.neuron_first and shortcuts.fuses_bn_lif():
            from spikebench.networks import fused

            if self.neuron is not None and fused.applies(self.norm, self.neuron, y.transpose(2, 3)):
                return fused.fire(self.norm, self.neuron, y.transpose(2, 3))
        y = torch.unflatten(self.norm(y.flatten(0, 2)), 0, y.shape[:3]).transpose(2, 3)
        return y if self.neuron is None or self.neuron_first else self.neuron(y)
