"""Two convolutions, 3x3 and then one of the patch's size, each with BN and LIF: the second control (STEP, arXiv 2505.11151)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.context import Context
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import division_problems, width_problems
from spikebench.networks.stems._stage import Stage, last_order, order_of


class Stem(StemBase):
    """dim/2 channels at full resolution, then ``conv1``'s patch embedding. STEP's own is not described in detail."""

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from division_problems(options, inputs)
        yield from width_problems(spec, divisor=2)

    def __init__(self, options: PatchOptions, context: Context) -> None:
        super().__init__()
        dim = context.spec.dim
        self.pixels = Stage(context, context.inputs.channels, dim // 2, order_of("conv norm neuron"))
        self.patches = Stage(
            context,
            dim // 2,
            dim,
            last_order("conv norm neuron", context),
            kernel=context.patch_size,
            stride=context.patch_size,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        tokens: Tensor = self.patches(self.pixels(x))
        return tokens
