"""Spikformer's ablations of the attention map: Q and K are real, an elementwise function of both makes the map, V spikes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikebench.core.values import REAL, declare
from spikebench.networks.attentions._base import AttentionOptions, QKVAttention


@dataclass(frozen=True)
class MapOptions(AttentionOptions):
    """``scale``: of the product, as in ``ssa``."""

    scale: float = 0.125


class MapAttention(QKVAttention):
    """scale * (f(Q) f(K)^T) V with Q and K as BatchNorm leaves them. A subclass writes f as ``activate``."""

    Options = MapOptions
    options: MapOptions

    def float_inputs(self) -> tuple[str, ...]:
        return ("q", "k")

    def activate(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k, v = qkv
        attention_map = declare(self.activate(q) @ self.activate(k).transpose(-2, -1), REAL)
        return declare(attention_map @ v * self.options.scale, REAL)
