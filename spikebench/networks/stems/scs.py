"""Spiking Convolutional Stem (Spikformer V2, arXiv 2401.02020), inferred from published parameter counts: code unreleased."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.context import Context
from spikebench.networks.residuals._spikes import merge_of_spikes
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import STAGES, halving_problems, halvings, width_problems
from spikebench.networks.stems._stage import Stage, last_order, order_of


@dataclass(frozen=True)
class SCSOptions(PatchOptions):
    """``expansion``: of the pair of 3x3 convolutions. ``residual``: whether the pair's spikes are merged with its input.

    Neither is known of the original; 4 and no residual give its parameter counts (29.11, 51.55 and 172 million), as do others.
    """

    expansion: int = 4
    residual: bool = False

    def __post_init__(self) -> None:
        if self.expansion < 1:
            raise ValueError(f"expansion must be at least 1, got {self.expansion}")


class Stem(StemBase):
    """log2(patch_size) stages, the last of those of dim/8, dim/4, dim/2 and dim channels; no position convolution.

    On small images the narrow first stages are left out: four stages on 8x8 pixels do not train.
    """

    Options = SCSOptions

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from halving_problems(options, spec, inputs, least=2)
        yield from width_problems(spec)

    def __init__(self, options: SCSOptions, context: Context) -> None:
        super().__init__()
        widths = [context.spec.dim >> shift for shift in reversed(range(STAGES))][-halvings(context.patch_size) :]
        inputs = [context.inputs.channels, *widths[:-1]]
        self.stages = nn.Sequential(
            *(
                DownsamplingStage(options, context, *pair, last=pair[1] == context.spec.dim)
                for pair in zip(inputs, widths, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        tokens: Tensor = self.stages(x)
        return tokens


class DownsamplingStage(nn.Module):
    """2x2 convolution of stride 2 without bias, BN, neuron; 3x3 expand, BN, neuron; 3x3 reduce, BN, neuron, both with bias.

    The last stage ends without a neuron where blocks begin with one.
    """

    def __init__(self, options: SCSOptions, context: Context, in_channels: int, channels: int, last: bool) -> None:
        super().__init__()
        order = order_of("conv norm neuron")
        hidden = options.expansion * channels
        self.down = Stage(context, in_channels, channels, order, kernel=2)
        self.expand = Stage(context, channels, hidden, order, bias=True)
        end = last_order("conv norm neuron", context) if last else order
        self.reduce = Stage(context, hidden, channels, end, bias=True)
        self.merge = (context.make("residual") if last else merge_of_spikes(context)) if options.residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, channels, H / 2, W / 2) from (T, B, in_channels, H, W)."""
        x = self.down(x)
        z: Tensor = self.reduce(self.expand(x))
        if self.merge is None:
            return z
        merged: Tensor = self.merge(x, z)
        return merged
