"""Parallel spiking neuron: potentials of all steps are one learned (T, T) matrix times the inputs (PSN, arXiv 2304.12760)."""

from __future__ import annotations

from dataclasses import dataclass

from spikingjelly.activation_based import neuron
from torch import nn

from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._spikingjelly import FormulaSurrogate, SpikingJellyNeuron


@dataclass(frozen=True)
class PSNOptions:
    """``v_threshold``: where the learned thresholds start."""

    v_threshold: float = 1.0


class Neuron(SpikingJellyNeuron):
    """T^2 weights and T thresholds a layer, no reset; a step sees later steps. A trained network keeps its T."""

    Options = PSNOptions

    def __init__(
        self, options: PSNOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        node = neuron.PSN(T, surrogate_function=FormulaSurrogate(surrogate))
        nn.init.constant_(node.bias, -(options.v_threshold if v_threshold is None else v_threshold))
        super().__init__(node, fixed_steps=T)

    def looks_ahead(self, T: int) -> int:
        """How many steps are taken together: all of them."""
        return T
