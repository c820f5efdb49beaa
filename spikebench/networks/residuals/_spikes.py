"""Where spikes are merged between the stages of a stem, whatever the encoder's residual."""

from __future__ import annotations

from torch import nn

from spikebench.networks.context import Context
from spikebench.networks.residuals.add import Residual as Add


def merge_of_spikes(context: Context) -> nn.Module:
    """The variant's residual if that merges spikes, so that its stream holds what it declares; else addition."""
    residual = context.component("residual")
    if residual.neuron_first:
        return Add(None, context)
    return context.make("residual")
