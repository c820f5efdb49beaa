"""Leaky integrate-and-fire as in Spikformer (arXiv 2209.15425, eqs 1-3): input decay, hard reset, detached."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikebench.kernels.lif import lif
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._base import KernelNeuron


@dataclass(frozen=True)
class LIFOptions:
    """``tau`` >= 1 in steps; ``v_reset`` null is a soft reset. Equations: ``spikebench.kernels.dynamics.Dynamics``."""

    tau: float = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = True
    detach_reset: bool = True

    def __post_init__(self) -> None:
        if not self.tau >= 1:
            raise ValueError(f"tau must be at least 1, got {self.tau}")


class Neuron(KernelNeuron):
    """No parameters."""

    Options = LIFOptions

    def __init__(
        self, options: LIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        super().__init__(options.v_threshold if v_threshold is None else v_threshold, surrogate)
        self.options = options

    def fire(self, x: Tensor) -> Tensor:
        o = self.options
        return lif(x, o.tau, self.v_threshold, o.v_reset, o.decay_input, o.detach_reset, self.surrogate)
