"""Dual spike self-attention: two products with a spiking operand, scaled by firing rates (SpikingResformer, arXiv 2403.14302)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.values import REAL, declare
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.attentions._base import AttentionBase, merge_heads
from spikebench.networks.context import Context
from spikebench.networks.layers import BatchNorm2d, Conv2d, Projection
from spikebench.networks.stems._patch import resolve_patch


@dataclass(frozen=True)
class DSSAOptions:
    """``reduction``: p, side of the convolution that makes N / p^2 tokens of N. ``momentum``: of the running firing rates."""

    reduction: int = 1
    momentum: float = 0.999

    def __post_init__(self) -> None:
        if self.reduction < 1:
            raise ValueError(f"reduction must be at least 1, got {self.reduction}")


class RunningRate(nn.Module):
    """Exponential moving average of a tensor's mean; the first training step starts it. Evaluation leaves it alone, and before
    that step takes each image's own mean: what stands beside it in the batch is never looked at.
    """

    rate: Tensor
    started: Tensor

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("rate", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def looks_ahead(self, T: int) -> int:
        """How many steps are taken together: before the first training step all, an image's own mean being over its steps."""
        return 1 if bool(self.started) else T

    @torch.no_grad()
    def forward(self, spikes: Tensor) -> Tensor:
        """The average, at least 1e-6 since silent layers must not divide by zero: 0-d, or (1, B, 1, ...) in evaluation."""
        if self.training:
            mean = spikes.mean().to(self.rate.dtype)
            average = self.momentum * self.rate + (1 - self.momentum) * mean
            self.rate.copy_(torch.where(self.started, average, mean))
            self.started.fill_(True)
            return self.rate.clamp_min(1e-6).clone()
        own = spikes.mean([axis for axis in range(spikes.dim()) if axis != 1], keepdim=True).to(self.rate.dtype)
        return torch.where(self.started, self.rate, own).clamp_min(1e-6)


class Attention(AttentionBase):
    """With spikes X (d, N) a head: [Y1, Y2] = BN(Conv_p(X)), real; A = neuron(c1 Y1^T X); neuron(c2 Y2 A); output projection.

    c1 = 1 / sqrt(f_X d) and c2 = 1 / sqrt(f_A N'), f the running means: firing rates, or mean counts where X
    is a sum of spikes.
    """

    Options = DSSAOptions
    version = 2  # in version 1 an untrained network looked across the batch

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from super().check(options, spec, inputs)
        grid = inputs.size // resolve_patch(getattr(spec.stem.resolve("stems"), "patch_size", 1), inputs.size)
        if grid % options.reduction:
            yield Problem(f"{grid} x {grid} tokens cannot be reduced by {options.reduction}", key="attention.reduction")

    @classmethod
    def subset_problem(cls, options: DSSAOptions) -> str | None:
        return "reduces the whole grid of tokens by a convolution" if options.reduction > 1 else None

    def __init__(self, options: DSSAOptions, context: Context) -> None:
        super().__init__()
        self.options = options
        dim, p = context.spec.dim, options.reduction
        self.num_heads = context.spec.num_heads
        self.input_neuron = context.neuron(dim) if context.neuron_first else None
        self.conv = Conv2d(dim, 2 * dim, p, stride=p, bias=False)
        self.norm = BatchNorm2d(2 * dim)
        self.input_rate = RunningRate(options.momentum)
        self.map_neuron = context.neuron(self.num_heads)
        self.map_rate = RunningRate(options.momentum)
        self.neuron = context.neuron(dim)
        self.proj = Projection(dim, dim, bias=True, after=None if context.neuron_first else context.neuron(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, C, N) from (T, B, C, N); tokens lie on a square grid."""
        spikes = x if self.input_neuron is None else self.input_neuron(x)
        side = math.isqrt(x.shape[3]) if self.conv.kernel_size[0] > 1 else 1
        y = self.norm(self.conv(torch.unflatten(spikes, 3, (-1, side)))).flatten(3)
        y1, y2 = (self._split_heads(part) for part in y.chunk(2, dim=2))
        spikes = self._split_heads(spikes)
        c1 = (self.input_rate(spikes) * spikes.shape[3]).rsqrt()
        attention = self.map_neuron(declare(y1.transpose(3, 4) @ spikes * c1, REAL).flatten(3)).view(
            *y1.shape[:3], y1.shape[4], -1
        )
        c2 = (self.map_rate(attention) * y1.shape[4]).rsqrt()
        mixed = declare(y2 @ attention * c2, REAL)
        out: Tensor = self.proj(self.neuron(merge_heads(mixed.transpose(3, 4))))
        return out

    def _split_heads(self, x: Tensor) -> Tensor:
        """(T, B, num_heads, d, N) from (T, B, C, N)."""
        return torch.unflatten(x, 2, (self.num_heads, -1))
