"""LIF with a learned time constant per layer, 1 / tau = sigmoid(w) (PLIF, Fang et al. 2021, arXiv 2007.05785)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikebench.kernels.lif import lif
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._base import KernelNeuron


@dataclass(frozen=True)
class PLIFOptions:
    """``tau``: where the time constant starts, above 1. The others as in ``lif``."""

    tau: float = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = True
    detach_reset: bool = True

    def __post_init__(self) -> None:
        if not self.tau > 1:
            raise ValueError(f"tau must be above 1, got {self.tau}")


class Neuron(KernelNeuron):
    """One parameter, ``w`` (0-d)."""

    Options = PLIFOptions

    def __init__(
        self, options: PLIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        super().__init__(options.v_threshold if v_threshold is None else v_threshold, surrogate)
        self.options = options
        self.w = nn.Parameter(torch.tensor(-math.log(options.tau - 1)))

    def fire(self, x: Tensor) -> Tensor:
        o = self.options
        tau = 1 + torch.exp(-self.w)
        return lif(x, tau, self.v_threshold, o.v_reset, o.decay_input, o.detach_reset, self.surrogate)
