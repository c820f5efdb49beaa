"""One convolution of the patch's size and stride, BN, LIF: the control in which accuracy collapses (STEP, arXiv 2505.11151)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.context import Context
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import division_problems
from spikebench.networks.stems._stage import Stage, last_order


class Stem(StemBase):
    """The patch embedding of a ViT with a neuron after it. STEP's own one-convolution stem is not described in detail."""

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from division_problems(options, inputs)

    def __init__(self, options: PatchOptions, context: Context) -> None:
        super().__init__()
        self.patches = Stage(
            context,
            context.inputs.channels,
            context.spec.dim,
            last_order("conv norm neuron", context),
            kernel=context.patch_size,
            stride=context.patch_size,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        tokens: Tensor = self.patches(x)
        return tokens
