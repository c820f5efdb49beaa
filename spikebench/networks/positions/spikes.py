"""Learned currents of each position through a neuron of their own, merged like the SPS's position spikes (arXiv 2209.15425).

Our reading: nothing is published about positions in Spikformer V2's encoder, and its stem (SCS) leaves tokens without any.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from spikebench.core.values import REAL, declare
from spikebench.networks.context import Context
from spikebench.networks.positions._waves import waves
from spikebench.networks.visible import Tokens


@dataclass(frozen=True)
class SpikesOptions:
    """``amplitude``: of the sines and cosines that the currents start from. With 4, a LIF of tau 2 and threshold 1 fires for a
    third of them in one step.
    """

    amplitude: float = 4.0


class Position(nn.Module):
    """``currents`` (dim, N), the same at all steps. Where blocks begin with a neuron they are added as potentials, unit high."""

    Options = SpikesOptions

    def __init__(self, options: SpikesOptions, context: Context) -> None:
        super().__init__()
        amplitude = 1.0 if context.neuron_first else options.amplitude
        self.currents = nn.Parameter(amplitude * waves(context.spec.dim, context.grid))
        self.neuron = None if context.neuron_first else context.neuron(context.spec.dim)
        self.merge = context.make("residual")

    def forward(self, x: Tensor, tokens: Tokens | None = None) -> Tensor:
        """(T, B, C, n) with the position of each token merged in; ``tokens``: which of all N these n are, None: all."""
        T, B = x.shape[:2]
        currents = self.currents.t().expand(B, -1, -1)
        if tokens is not None:
            currents = currents.gather(1, tokens.places.unsqueeze(-1).expand(-1, -1, x.shape[2]))
        steps = declare(currents.transpose(1, 2).expand(T, -1, -1, -1), REAL)
        merged: Tensor = self.merge(x, steps if self.neuron is None else self.neuron(steps))
        return merged
