"""The ANN twin: an activation in each neuron's place, T = 1 (Transformer-8-512 in Table 2 of Spikformer, arXiv 2209.15425)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.core.errors import Problem
from spikebench.core.values import REAL, Values
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import component_problems
from spikebench.networks.context import Context, NeuronFactory
from spikebench.networks.families.spikformer import Family as SpikformerFamily


@dataclass(frozen=True)
class ViTOptions:
    """``activation``: what stands in a neuron's place."""

    activation: Literal["gelu", "relu"] = "gelu"


class Activation(nn.Module):
    """An elementwise function in a neuron's place."""

    emits: Values = REAL

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x) if self.name == "gelu" else F.relu(x)

    def steps_problem(self, T: int) -> str | None:
        """As of a neuron: why this many steps cannot be evaluated, or None."""
        return None if T == 1 else f"an ANN has no time steps: T = {T} would be the same network {T} times"

    def extra_repr(self) -> str:
        return self.name


class Family(SpikformerFamily):
    """Same stem, shapes and parameters as the Spikformer of the same fields; attention ``vanilla``, BatchNorm as there."""

    Options = ViTOptions
    unused = ("neuron", "surrogate", "encoding")
    stepless = True

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from component_problems(spec, inputs, ("stem", "attention", "position", "head"))
        if spec.T != 1:
            yield Problem(f"an ANN has no time steps: T must be 1, got {spec.T}", key="T")
        if spec.attention.name != "vanilla":
            yield Problem(f"an ANN's attention is vanilla, got {spec.attention.name}", key="attention")
        if spec.residual.name not in ("add", "membrane"):
            yield Problem(f"{spec.residual.name} merges spikes; an ANN's residual is add or membrane", key="residual")
        elif spec.residual.name == "add":
            yield from component_problems(spec, inputs, ("residual",))

    @classmethod
    def neuron_factory(cls, options: Any) -> NeuronFactory:
        def activation(context: Context, channels: int, v_threshold: float | None) -> nn.Module:
            return Activation(options.activation)

        return activation
