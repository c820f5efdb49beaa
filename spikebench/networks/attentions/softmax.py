"""Vanilla self-attention with spiking Q and K: softmax(Q K^T / sqrt(d)) V (VSA in Spikformer's ablation, arXiv 2209.15425)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from spikebench.core.values import REAL, declare
from spikebench.networks.attentions._base import AttentionOptions, QKVAttention
from spikebench.networks.attentions._product import counts_of


@dataclass(frozen=True)
class SoftmaxOptions(AttentionOptions):
    """``value``: V as spikes, or as the real output of BatchNorm (``float``)."""

    value: Literal["spikes", "float"] = "spikes"


class Attention(QKVAttention):
    """The map is real, so its product with V costs multiplications, or additions of real numbers where V spikes."""

    Options = SoftmaxOptions
    options: SoftmaxOptions

    def float_inputs(self) -> tuple[str, ...]:
        return ("v",) if self.options.value == "float" else ()

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k, v = qkv
        scores = declare(q @ k.transpose(-2, -1), counts_of(self.emits, 2)) / math.sqrt(q.shape[-1])
        return declare(declare(scores.softmax(-1), REAL) @ v, REAL)
