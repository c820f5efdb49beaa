"""Attention of an ANN, softmax(Q K^T / sqrt(d)) V of real numbers without a neuron inside (Vaswani et al., arXiv 1706.03762)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikebench.core.values import REAL, declare
from spikebench.networks.attentions._base import QKVAttention
from spikebench.networks.context import Context


@dataclass(frozen=True)
class VanillaOptions:
    """``bias``: of the q, k and v projections."""

    bias: bool = False


class Attention(QKVAttention):
    """The upper bound of the ablations, and what the ANN twin (family ``vit``) has."""

    Options = VanillaOptions
    options: VanillaOptions
    fires_after_mixing: ClassVar[bool] = False

    def float_inputs(self) -> tuple[str, ...]:
        return self.inputs

    def make_neuron(self, context: Context) -> None:
        return None

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k, v = qkv
        scores = declare(q @ k.transpose(-2, -1), REAL) / math.sqrt(q.shape[-1])
        return declare(declare(scores.softmax(-1), REAL) @ v, REAL)
