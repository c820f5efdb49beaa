"""Stem, encoder blocks of attention and MLP, head: Spikformer (arXiv 2209.15425) and all that differ from it by components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import component_problems
from spikebench.networks.context import Context, NeuronFactory, spiking_neuron
from spikebench.networks.encoder import Block
from spikebench.networks.network import Network
from spikebench.networks.stems._patch import resolve_patch

FIELDS = ("stem", "attention", "residual", "neuron", "encoding", "position", "head")


class Family(Network):
    """``encoding``, ``stem``, ``position``, ``blocks.0`` .. ``blocks.<depth - 1>``, ``head``."""

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        """What any component has against the network."""
        yield from component_problems(spec, inputs, FIELDS)

    @classmethod
    def subset_problem(cls, options: Any) -> str | None:
        """Its stem and blocks work on any part of the tokens."""
        return None

    def __init__(self, options: Any, spec: VariantSpec, inputs: InputSpec) -> None:
        super().__init__(spec, inputs)
        patch_size = resolve_patch(spec.stem.resolve("stems").patch_size, inputs.size)
        context = Context(spec, inputs, patch_size, self.neuron_factory(options))
        self.encoding = context.make("encoding")
        self.stem = context.make("stem")
        self.position = context.make("position")
        self.blocks = nn.Sequential(*(Block(context) for _ in range(spec.depth)))
        self.head = context.make("head")

    @classmethod
    def neuron_factory(cls, options: Any) -> NeuronFactory:
        """What makes the neurons."""
        return spiking_neuron

    def steps(self, x: Tensor) -> Tensor:
        """(T, B, classes), or (1, B, classes) if the head averages over T: see ``Network``."""
        steps: Tensor = self.head(self.tokens(x))
        return steps

    def tokens(self, x: Tensor) -> Tensor:
        """What the head reads: tokens (T, B, dim, N) from ``x`` as in ``forward``, time first."""
        embedded = self.stem(self.encoding(x, self.T)).flatten(3)
        tokens: Tensor = self.blocks(self.position(embedded))
        return tokens

    def loss_of_steps(self, steps: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The head's loss."""
        loss: Tensor = self.head.loss(steps, y, label_smoothing)  # type: ignore[operator]
        return loss
