"""Spikingformer's tokenizer: conv-BN, then four times LIF-pool-conv-BN: later convolutions read spikes (arXiv 2304.11954)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from spikebench.networks.context import Context
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import STAGES, halvings
from spikebench.networks.stems._stage import Stage, order_of


class Stem(StemBase):
    """Widths dim/8, dim/4, dim/2, dim and dim, 3x3 without bias; the last log2(patch_size) blocks pool. No position convolution.

    The output is a membrane potential: it takes the residual ``membrane``.
    """

    emits_potentials: ClassVar[bool] = True

    def __init__(self, options: PatchOptions, context: Context) -> None:
        super().__init__()
        dim = context.spec.dim
        widths = [*(dim >> shift for shift in reversed(range(STAGES))), dim]
        first_pool = STAGES - halvings(context.patch_size)
        self.first = Stage(context, context.inputs.channels, widths[0], order_of("conv norm"))
        self.stages = nn.Sequential(
            *(
                Stage(context, widths[i], widths[i + 1], order_of("neuron pool conv norm", pool=i >= first_pool))
                for i in range(STAGES)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        tokens: Tensor = self.stages(self.first(x))
        return tokens
