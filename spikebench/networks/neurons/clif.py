"""Complementary LIF: a second membrane that does not leak to zero softens the reset (CLIF, arXiv 2402.04663); SpikingJelly's."""

from __future__ import annotations

from dataclasses import dataclass

from spikingjelly.activation_based import neuron

from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._spikingjelly import FormulaSurrogate, SpikingJellyNeuron


@dataclass(frozen=True)
class CLIFOptions:
    """``tau`` > 1 in steps."""

    tau: float = 2.0
    v_threshold: float = 1.0

    def __post_init__(self) -> None:
        if not self.tau > 1:
            raise ValueError(f"tau must be above 1, got {self.tau}")


class Neuron(SpikingJellyNeuron):
    """No parameters."""

    Options = CLIFOptions

    def __init__(
        self, options: CLIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        node = neuron.ComplementaryLIFNode(
            tau=options.tau,
            v_threshold=options.v_threshold if v_threshold is None else v_threshold,
            surrogate_function=FormulaSurrogate(surrogate),
            step_mode="m",
        )
        super().__init__(node)
