"""The same network with SpikingJelly 2's LIF: what a time of ours is compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikebench.harnesses._ways import compiler
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._base import SpikingNeuron
from spikebench.networks.neurons.lif import Neuron

SURROGATES = {"sigmoid": "Sigmoid", "atan": "ATan"}
"""Surrogates with the same equation and the same alpha in both: our name -> theirs."""


def why_not(model: nn.Module) -> str | None:
    """Why ``model`` cannot run on SpikingJelly's LIF; None where it can."""
    neurons = [module for module in model.modules() if isinstance(module, SpikingNeuron)]
    if not neurons:
        return "the network has no spiking neurons"
    for neuron in neurons:
        if type(neuron) is not Neuron:
            return f"neuron {type(neuron).__module__.rpartition('.')[2]!r} is not SpikingJelly's LIF"
        if neuron.options.tau <= 1:
            return f"SpikingJelly's LIF needs tau above 1, not {neuron.options.tau}"
        if neuron.surrogate.name not in SURROGATES:
            return f"surrogate {neuron.surrogate.name!r} has no counterpart that was checked"
    return None


def swap(model: nn.Module, compiled: bool = False) -> nn.Module:
    """Replace every LIF of ``model``, in place, and return it. ``compiled``: each replacement through ``torch.compile``."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is Neuron:
                setattr(parent, name, SpikingJellyLIF(child, compiled))
    return model


def implementation(device: torch.device) -> str:
    """Which of its implementations SpikingJelly binds on ``device``: torch, triton or native CUDA."""
    from spikingjelly.activation_based import functional

    return str(functional.neuron_implementation("lif", device)["implementation"])


class SpikingJellyLIF(SpikingNeuron):
    """``functional.lif_multi_step`` from rest.

    Its ``LIFNode`` makes a membrane of the input's dtype, and under autocast it then drops to an eager loop without a word; the
    functional form with a float32 membrane keeps its fused kernel (references.md 7).
    """

    def __init__(self, ours: Neuron, compiled: bool = False) -> None:
        super().__init__()
        o = ours.options
        self.rest = 0.0 if o.v_reset is None else o.v_reset
        self.arguments = (o.tau, o.decay_input, ours.v_threshold, o.v_reset, _surrogate(ours.surrogate), o.detach_reset)
        self.compute = compiler.compiled(self._compute) if compiled else self._compute

    def fire(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.compute(x)
        return spikes

    def _compute(self, x: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional

        state = torch.full_like(x[0], self.rest, dtype=torch.float32 if x.dtype.itemsize < 4 else x.dtype)
        spikes: Tensor = functional.lif_multi_step(x, state, *self.arguments)[0]
        return spikes


def _surrogate(ours: Formula) -> Any:
    from spikingjelly.activation_based import surrogate

    return getattr(surrogate, SURROGATES[ours.name])(alpha=ours.options.alpha)
