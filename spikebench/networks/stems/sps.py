"""Spiking Patch Splitting: four conv-BN-LIF stages that pool spikes, and position spikes (Spikformer, arXiv 2209.15425)."""

from __future__ import annotations

from torch import Tensor, nn

from spikebench.networks.context import Context
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import STAGES, halvings
from spikebench.networks.stems._stage import Stage, last_order, order_of


class Stem(StemBase):
    """Stages of dim/8, dim/4, dim/2 and dim channels, 3x3 without bias; the last log2(patch_size) pool after the neuron.

    Position: a 3x3 conv-BN-LIF of the result, merged with it by the variant's residual (``membrane``: without its neuron).
    """

    order = "conv norm neuron pool"

    def __init__(self, options: PatchOptions, context: Context) -> None:
        super().__init__()
        dim = context.spec.dim
        widths = [context.inputs.channels, *(dim >> shift for shift in reversed(range(STAGES)))]
        first_pool = STAGES - halvings(context.patch_size)
        self.stages = nn.Sequential(
            *(Stage(context, widths[i], widths[i + 1], order_of(self.order, pool=i >= first_pool)) for i in range(STAGES))
        )
        self.position = Stage(context, dim, dim, last_order("conv norm neuron", context))
        self.merge = context.make("residual")

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        x = self.stages(x)
        merged: Tensor = self.merge(x, self.position(x))
        return merged
