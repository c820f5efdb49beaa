"""LIF whose potential is scaled and rectified by a learned k before it fires (KLIF, arXiv 2302.09238); SpikingJelly's."""

from __future__ import annotations

from dataclasses import dataclass

from spikingjelly.activation_based import neuron

from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._spikingjelly import FormulaSurrogate, SpikingJellyNeuron


@dataclass(frozen=True)
class KLIFOptions:
    """``scale_reset``: whether the reset undoes the scaling. The others as in ``lif``."""

    tau: float = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = True
    detach_reset: bool = True
    scale_reset: bool = False

    def __post_init__(self) -> None:
        if not self.tau > 1:
            raise ValueError(f"tau must be above 1, got {self.tau}")


class Neuron(SpikingJellyNeuron):
    """One parameter, k, a layer."""

    Options = KLIFOptions

    def __init__(
        self, options: KLIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        node = neuron.KLIFNode(
            scale_reset=options.scale_reset,
            tau=options.tau,
            decay_input=options.decay_input,
            v_threshold=options.v_threshold if v_threshold is None else v_threshold,
            v_reset=options.v_reset,
            surrogate_function=FormulaSurrogate(surrogate),
            detach_reset=options.detach_reset,
            step_mode="m",
        )
        super().__init__(node)
