"""Where spikes are merged inside a stem, whatever the encoder's residual."""

from __future__ import annotations

from spikebench.networks.context import Context
from spikebench.networks.residuals._base import ResidualBase
from spikebench.networks.residuals.add import Residual as Add


def merge_of_spikes(context: Context) -> ResidualBase:
    """The variant's residual if that merges spikes, so that its stream holds what it declares; else addition."""
    residual = context.component("residual")
    merge: ResidualBase = Add(None, context) if residual.neuron_first else context.make("residual")
    return merge
