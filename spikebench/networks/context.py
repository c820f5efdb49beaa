"""What a component may ask about the network that it is built into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from spikebench.core.registry import REGISTRIES
from spikebench.core.values import Values
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.kernels.surrogates import resolve as resolve_surrogate

NeuronFactory = Callable[["Context", int, float | None], nn.Module]


def spiking_neuron(context: Context, channels: int, v_threshold: float | None) -> nn.Module:
    """The neuron that the variant names."""
    spec = context.spec
    neuron: nn.Module = REGISTRIES["neurons"].get(spec.neuron.name)(
        spec.neuron.resolve("neurons"),
        surrogate=resolve_surrogate(spec.surrogate),
        channels=channels,
        T=spec.T,
        v_threshold=v_threshold,
    )
    return neuron


@dataclass(frozen=True)
class Context:
    """A network in the making. Components get it beside their own options.

    ``patch_size``: by how much the stem has divided each side of the image. ``neurons``: makes what stands where a spiking
    network has its neurons; the ANN twin puts an activation there.
    """

    spec: VariantSpec
    inputs: InputSpec
    patch_size: int = 1
    neurons: NeuronFactory = spiking_neuron

    @property
    def grid(self) -> int:
        """Tokens along one side of the image; there are ``grid * grid`` tokens."""
        return self.inputs.size // self.patch_size

    @property
    def hidden(self) -> int:
        """Width of the MLP's hidden layer."""
        return round(self.spec.dim * self.spec.mlp_ratio)

    def neuron(self, channels: int, v_threshold: float | None = None) -> nn.Module:
        """A new neuron layer over (T, B, channels, ...); ``v_threshold`` where it differs from the neuron's own."""
        return self.neurons(self, channels, v_threshold)

    @cached_property
    def emits(self) -> Values:
        """What a neuron layer of this network emits."""
        emits: Values = getattr(self.neuron(1), "emits")  # noqa: B009 - nn.Module types every attribute as Tensor | Module
        return emits

    def component(self, field: str) -> Any:
        """The class that the variant names in ``field``."""
        return REGISTRIES[COMPONENTS[field]].get(getattr(self.spec, field).name)

    def make(self, field: str) -> nn.Module:
        """A new component with the options that the variant gives it."""
        component: nn.Module = self.component(field)(getattr(self.spec, field).resolve(COMPONENTS[field]), self)
        return component

    @property
    def neuron_first(self) -> bool:
        """Whether sublayers begin with a neuron (membrane shortcut) instead of ending with one (spikes are merged)."""
        first: bool = self.component("residual").neuron_first
        return first
