"""What every attention is, and the part that most of them share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import shortcuts
from spikebench.networks.checks import heads_problems
from spikebench.networks.context import Context
from spikebench.networks.layers import Projection


@dataclass(frozen=True)
class AttentionOptions:
    """``bias``: of the q, k and v projections. ``v_threshold``: of the neuron after the product."""

    bias: bool = False
    v_threshold: float = 0.5


class AttentionBase(nn.Module):
    """(T, B, C, N) to the same shape, made as ``Attention(options, context)``; a neuron first or last, as the residual asks."""

    Options: ClassVar[type] = AttentionOptions

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        """Why this attention cannot serve that network."""
        yield from heads_problems(spec)

    @classmethod
    def subset_problem(cls, options: Any) -> str | None:
        """Why it cannot attend to a part of the tokens; one that knows nothing of their grid can."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class QKVAttention(AttentionBase):
    """q, k, v = neuron(BN(W x)); mix(q, k, v); an output projection. A subclass writes ``mix``, and where its neuron stands.

    ``inputs``: the projections it has. ``neuron``: fires with ``v_threshold``; after ``mix`` unless ``mix`` calls it.
    """

    inputs: ClassVar[tuple[str, ...]] = ("q", "k", "v")
    fires_after_mixing: ClassVar[bool] = True

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__()
        dim = context.spec.dim
        self.options = options
        self.num_heads = context.spec.num_heads
        self.emits = context.emits
        self.input_neuron = context.neuron(dim) if context.neuron_first else None
        for name in self.inputs:
            setattr(self, name, self.make_input(name, context))
        self.neuron = self.make_neuron(context)
        self.proj = Projection(dim, dim, bias=True, after=None if context.neuron_first else context.neuron(dim))

    def make_input(self, name: str, context: Context) -> nn.Module:
        """The projection called ``name``; one in ``float_inputs`` ends with BatchNorm."""
        after = None if name in self.float_inputs() else context.neuron(context.spec.dim)
        return Projection(context.spec.dim, context.spec.dim, bias=self.options.bias, after=after)

    def float_inputs(self) -> tuple[str, ...]:
        """Projections without a neuron."""
        return ()

    def make_neuron(self, context: Context) -> nn.Module | None:
        """The neuron of the mixing."""
        return context.neuron(context.spec.dim, self.options.v_threshold)

    def mix(self, *qkv: Tensor) -> Tensor:
        """(T, B, num_heads, N, d) from ``inputs``, each of that shape.

        What a product holds is declared (``core.values``, ``counts_of`` in ``_product.py``), or is told from its values alone.
        """
        raise NotImplementedError

    def fire(self, x: Tensor) -> Tensor:
        """The neuron's spikes for ``x`` (T, B, channels of the neuron, ...)."""
        assert self.neuron is not None
        spikes: Tensor = self.neuron(x)
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, C, N) from (T, B, C, N)."""
        if self.input_neuron is not None:
            x = self.input_neuron(x)
        mixed = merge_heads(self.mix(*map(self.split_heads, self.project(x))))
        if self.fires_after_mixing:
            mixed = self.fire(mixed)
        out: Tensor = self.proj(mixed)
        return out

    def project(self, x: Tensor) -> list[Tensor]:
        """``inputs`` of ``x``, each (T, B, C, N); one matrix product where that is a shortcut, equal to the bit."""
        layers = [getattr(self, name) for name in self.inputs]
        if not shortcuts.fuses_qkv() or not all(isinstance(layer.linear, nn.Linear) for layer in layers):
            return [layer(x) for layer in layers]
        weight = torch.cat([layer.linear.weight for layer in layers])
        bias = torch.cat([layer.linear.bias for layer in layers]) if self.options.bias else None
        parts = F.linear(x.transpose(2, 3), weight, bias).chunk(len(layers), dim=3)
        return [layer.normalise(part.contiguous()) for layer, part in zip(layers, parts, strict=True)]

    def split_heads(self, x: Tensor) -> Tensor:
        """(T, B, num_heads, N, d), a view of (T, B, num_heads * d, N)."""
        return torch.unflatten(x, 2, (self.num_heads, -1)).transpose(3, 4)


def merge_heads(x: Tensor) -> Tensor:
    """(T, B, num_heads * d, N) from (T, B, num_heads, N, d), channels innermost in memory."""
    return x.transpose(2, 3).flatten(3).transpose(2, 3)
