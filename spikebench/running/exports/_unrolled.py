"""LIF neurons as T copies of their equation in plain operators, for exporters that know no kernel of ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikebench.core.errors import InputError
from spikebench.networks.neurons._base import SpikingNeuron
from spikebench.networks.neurons.lif import Neuron


class Unrolled(nn.Module):
    """What ``neurons.lif`` computes, forward alone; see ``kernels.lif.reference`` for the equation."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.options = neuron.options
        self.v_threshold = neuron.v_threshold

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (T, ...) from currents of the same shape."""
        o = self.options
        rest = 0.0 if o.v_reset is None else o.v_reset
        v = torch.full_like(x[0], rest)
        spikes = []
        for t in range(x.shape[0]):
            h = v + (x[t] - (v - rest)) / o.tau if o.decay_input else v - (v - rest) / o.tau + x[t]
            s = (h >= self.v_threshold).to(x.dtype)
            v = h - s * self.v_threshold if o.v_reset is None else h * (1 - s) + rest * s
            spikes.append(s)
        return torch.stack(spikes)


def unroll(model: nn.Module) -> nn.Module:
    """``model`` with every LIF replaced, in place. Raises InputError for any other neuron."""
    for name, module in list(model.named_modules()):
        if not isinstance(module, SpikingNeuron):
            continue
        if not isinstance(module, Neuron):
            raise InputError(
                f"{name}: only LIF with fixed parameters is written out, this is {type(module).__module__.split('.')[-1]}"
            )
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Unrolled(module))
    return model
