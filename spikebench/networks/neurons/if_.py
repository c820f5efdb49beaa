"""Integrate-and-fire without leak; on CIFAR better than LIF in Spikformer's Table 6 (arXiv 2209.15425)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikebench.kernels.lif import integrate_and_fire
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._base import KernelNeuron


@dataclass(frozen=True)
class IFOptions:
    """``v_reset`` null is a soft reset."""

    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    detach_reset: bool = True


class Neuron(KernelNeuron):
    """H[t] = V[t-1] + X[t]. No parameters."""

    Options = IFOptions

    def __init__(
        self, options: IFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        super().__init__(options.v_threshold if v_threshold is None else v_threshold, surrogate)
        self.options = options

    def fire(self, x: Tensor) -> Tensor:
        o = self.options
        return integrate_and_fire(x, self.v_threshold, o.v_reset, o.detach_reset, self.surrogate)
