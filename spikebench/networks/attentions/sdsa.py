"""Spike-driven self-attention: Q * LIF(sum over tokens of K * V), masks and sums only (SDT, arXiv 2307.01694)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikebench.core.values import declare
from spikebench.networks.attentions._base import QKVAttention
from spikebench.networks.attentions._product import counts_of, masked


class Attention(QKVAttention):
    """One mask for each channel, from all tokens; num_heads makes no difference. No neuron follows the product: it is spikes."""

    fires_after_mixing: ClassVar[bool] = False

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k, v = qkv
        summed = declare(masked(k, v, self.emits).sum(3), counts_of(self.emits, 2))
        mask = self.fire(summed.flatten(2).unsqueeze(-1)).view(*summed.shape[:3], 1, -1)
        return masked(q, mask, self.emits)
