"""Integer LIF: emits the count 0..D that D binary spikes carry at inference (SpikeYOLO, arXiv 2407.20708); SpikingJelly's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spikingjelly.activation_based import neuron, surrogate

from spikebench.core.errors import Problem
from spikebench.core.values import INTEGER, Values
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._spikingjelly import SpikingJellyNeuron


@dataclass(frozen=True)
class ILIFOptions:
    """``levels``: D, the largest count. ``tau`` > 1 in steps; 4/3 keeps a quarter of the potential, as the authors' code does."""

    tau: float = 4 / 3
    v_threshold: float = 1.0
    levels: int = 4

    def __post_init__(self) -> None:
        if not self.tau > 1:
            raise ValueError(f"tau must be above 1, got {self.tau}")
        if self.levels < 1:
            raise ValueError(f"levels must be at least 1, got {self.levels}")


class Neuron(SpikingJellyNeuron):
    """Soft reset, a rectangular gradient of its own: the variant's surrogate stays at its default. No parameters."""

    Options = ILIFOptions
    emits: Values = INTEGER

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        if spec.surrogate != VariantSpec().surrogate:
            yield Problem("ilif has a gradient of its own; leave the surrogate out", key="surrogate")

    def __init__(
        self, options: ILIFOptions, *, surrogate: Formula, channels: int, T: int, v_threshold: float | None = None
    ) -> None:
        node = neuron.ILIFNode(
            tau=options.tau,
            v_threshold=options.v_threshold if v_threshold is None else v_threshold,
            surrogate_function=_multi_level(options.levels),
            detach_reset=True,
            step_mode="m",
        )
        super().__init__(node, emits=INTEGER)


def _multi_level(levels: int) -> Any:
    return surrogate.MultiLevelSpikeCount(levels)
