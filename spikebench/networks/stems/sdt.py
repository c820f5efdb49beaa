"""SPS with a membrane shortcut around the position convolution, last pooling before the neuron (SDT, arXiv 2307.01694)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from spikebench.core.values import REAL, declare
from spikebench.networks.context import Context
from spikebench.networks.stems._base import PatchOptions, StemBase
from spikebench.networks.stems._patch import STAGES, halvings
from spikebench.networks.stems._stage import Stage, order_of


class Stem(StemBase):
    """u = pool(BN(conv)) of the last stage; the output is u + BN(conv(LIF(u))), a membrane potential: it takes ``membrane``."""

    emits_potentials: ClassVar[bool] = True

    def __init__(self, options: PatchOptions, context: Context) -> None:
        super().__init__()
        dim = context.spec.dim
        widths = [context.inputs.channels, *(dim >> shift for shift in reversed(range(STAGES)))]
        first_pool = STAGES - halvings(context.patch_size)
        self.stages = nn.Sequential(
            *(
                Stage(
                    context,
                    widths[i],
                    widths[i + 1],
                    order_of("conv norm neuron pool" if i < STAGES - 1 else "conv norm pool", pool=i >= first_pool),
                )
                for i in range(STAGES)
            )
        )
        self.position = Stage(context, dim, dim, order_of("neuron conv norm"))

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dim, H / patch_size, W / patch_size)."""
        potential: Tensor = self.stages(x)
        position: Tensor = self.position(potential)
        return declare(potential + position, REAL)
