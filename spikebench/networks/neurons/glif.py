"""Gated LIF: learned gates between kinds of leak, integration and reset (GLIF, arXiv 2210.13768); SpikingJelly's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._spikingjelly import FormulaSurrogate, SpikingJellyNeuron


@dataclass(frozen=True)
class GLIFOptions:
    """Where the learned quantities start, each between 0 and 1: leak ``tau``, ``v_threshold``, input weight ``conduct``."""

    tau: float = 0.25
    v_threshold: float = 0.5
    conduct: float = 0.5

    def __post_init__(self) -> None:
        for name in ("tau", "v_threshold", "conduct"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")


class Neuron(SpikingJellyNeuron):
    """7 + T parameters a channel. It has a weight for each step, so a trained network keeps its T."""

    Options = GLIFOptions

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        threshold = getattr(spec.attention.resolve("attentions"), "v_threshold", 0.5)
        if not 0 < threshold < 1:
            yield Problem(
                f"glif learns its threshold between 0 and 1, and this starts at {threshold}", key="attention.v_threshold"
            )

    def __init__(
        self, options: GLIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        node = neuron.GatedLIFNode(
            T,
            inplane=channels,
            init_tau=options.tau,
            init_v_threshold=options.v_threshold if v_threshold is None else v_threshold,
            init_conduct=options.conduct,
            surrogate_function=FormulaSurrogate(surrogate),
        )
        for gate in (node.alpha, node.beta, node.gamma):
            nn.init.uniform_(gate, -0.1, 0.1)  # SpikingJelly draws them from numpy's generator, which a torch seed does not hold
        super().__init__(node, fixed_steps=T)

    def fire(self, x: Tensor) -> Tensor:
        """The node wants (T, B, C, H, W)."""
        shape = x.shape
        return super().fire(x.reshape(*shape[:3], -1, 1)).view(shape)
