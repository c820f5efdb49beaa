"""Spatio-temporal attention: tokens of several steps attend to each other, in chunks of steps (STAtten, arXiv 2409.19764)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from spikebench.core.errors import Problem
from spikebench.core.values import declare
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.attentions._base import AttentionOptions, QKVAttention
from spikebench.networks.attentions._product import Order, PublishedOrder, attend, counts_of, order_to_run
from spikebench.networks.context import Context


@dataclass(frozen=True)
class STAttenOptions(AttentionOptions):
    """``chunk``: steps that attend jointly. ``scale``: auto is one over the side of the feature map, for events one over its
    square times ``chunk`` (as in the released code). ``order``, ``published_order``: as in ``ssa``.
    """

    chunk: int = 2
    scale: float | Literal["auto"] = "auto"
    order: Order = "auto"
    published_order: PublishedOrder = "kv_first"

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {self.chunk}")


class Attention(QKVAttention):
    """scale * Q (K^T V) over chunk * N tokens; with chunk 1 it is SSA. T must be a multiple of ``chunk``."""

    Options = STAttenOptions
    options: STAttenOptions

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from super().check(options, spec, inputs)
        if spec.T % options.chunk:
            yield Problem(f"chunks of {options.chunk} steps do not divide T = {spec.T}", key="attention.chunk")

    def __init__(self, options: STAttenOptions, context: Context) -> None:
        super().__init__(options, context)
        side = context.grid**2 * options.chunk if context.inputs.events else context.grid
        self.scale = 1 / side if options.scale == "auto" else options.scale

    def steps_problem(self, T: int) -> str | None:
        """Why this many steps cannot be evaluated, or None."""
        return f"chunks of {self.options.chunk} steps do not divide T = {T}" if T % self.options.chunk else None

    def looks_ahead(self, T: int) -> int:
        """How many steps are taken together."""
        return self.options.chunk

    def mix(self, *qkv: Tensor) -> Tensor:
        T, N = qkv[0].shape[0], qkv[0].shape[3]
        q, k, v = (self._join_steps(x) for x in qkv)
        order = order_to_run(self.options.order, self.options.published_order, *q.shape[-2:])
        scaled = attend(q, k, v, order, self.emits) * self.scale
        apart = torch.unflatten(scaled, 3, (self.options.chunk, N)).permute(0, 3, 1, 2, 4, 5)
        return declare(apart.reshape(T, *qkv[0].shape[1:]), counts_of(self.emits, 3, self.scale))

    def _join_steps(self, x: Tensor) -> Tensor:
        """(T / chunk, B, num_heads, chunk * N, d) from (T, B, num_heads, N, d)."""
        return torch.unflatten(x, 0, (-1, self.options.chunk)).permute(0, 2, 3, 1, 4, 5).flatten(3, 4)
