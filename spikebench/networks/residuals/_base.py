"""What every residual is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.registry import REGISTRIES
from spikebench.core.values import Values, declare
from spikebench.core.variant import InputSpec, VariantSpec


class ResidualBase(nn.Module):
    """Joins the stream x and a sublayer's output z, both (T, B, C, ...). A subclass writes ``join`` and ``result``.

    ``neuron_first``: sublayers begin with a neuron and end with BatchNorm (membrane shortcut) instead of ending with a neuron.
    ``binary_only``: the formula is a logical one, of zeros and ones.
    """

    neuron_first: ClassVar[bool] = False
    binary_only: ClassVar[bool] = False

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__()
        self.emits = self.result(context.emits)

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        """Why this residual cannot serve that network."""
        stem = REGISTRIES["stems"].get(spec.stem.name)
        if not cls.neuron_first and getattr(stem, "emits_potentials", False):
            yield Problem(
                f"{spec.residual.name} merges spikes, but stem {spec.stem.name!r} hands on membrane potentials, which would "
                "reach the projections as real numbers: use membrane, or another stem",
                key="residual",
            )
        neuron = REGISTRIES["neurons"].get(spec.neuron.name)
        if cls.binary_only and neuron.emits.kind != "binary":
            yield Problem(
                f"{spec.residual.name} is defined for zeros and ones, and neuron {spec.neuron.name!r} emits counts",
                key="residual",
            )

    @staticmethod
    def result(emits: Values) -> Values:
        """What flows on, given what the network's neurons emit."""
        raise NotImplementedError

    def join(self, x: Tensor, z: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return declare(self.join(x, z), self.emits)
