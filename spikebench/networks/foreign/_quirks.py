"""Faults of released code that published checkpoints live with: reproduced where asked for, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from spikebench.core.errors import InputError, Problem
from spikebench.networks.families.qkformer import Family as QKFormer
from spikebench.networks.layouts import LAYOUTS
from spikebench.networks.network import Network
from spikebench.networks.neurons._base import SpikingNeuron


class CarriedState(SpikingNeuron):
    """``neuron`` as it fires when it takes (T, B) for one sequence of T B steps: its membrane runs on from image to image and on
    into the next step of the first (references.md 1.11).
    """

    mixes_samples = True

    def __init__(self, neuron: SpikingNeuron) -> None:
        super().__init__()
        self.neuron, self.emits = neuron, neuron.emits

    def fire(self, x: Tensor) -> Tensor:
        return self.neuron.fire(x.flatten(0, 1).unsqueeze(1)).view(x.shape)


def carry_state(model: Network) -> None:
    """QKFormer's last stage: the neuron behind each output projection. Raises InputError where there is none, or it has
    parameters for each step.
    """
    if not isinstance(model, QKFormer):
        raise InputError(
            Problem(f"carried_state is of QKFormer's last stage, which family {model.spec.family} lacks", key="quirks")
        )
    last: Any = model.stages[-1]
    for block in last.blocks:
        projection = block.attention.proj
        if projection.neuron.fixed_steps is not None:
            raise InputError(Problem(f"carried_state: {projection.neuron.steps_problem(0)}", key="quirks"))
        projection.neuron = CarriedState(projection.neuron)


QUIRKS: Mapping[str, Callable[[Network], None]] = {"carried_state": carry_state}


def apply_quirks(model: Network, layout: str, quirks: str) -> None:
    """Give ``model`` the faults that ``quirks`` asks for: ``none``, ``released`` (all of the layout's), or one's name.

    Raises InputError for one that the layout does not have.
    """
    for name in LAYOUTS[layout].chosen(quirks) if layout in LAYOUTS else ():
        QUIRKS[name](model)
