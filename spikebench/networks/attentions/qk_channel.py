"""QK channel attention: LIF(sum of Q over tokens) says which channels of K pass (QKFormer, arXiv 2403.16552)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from spikebench.core.values import declare
from spikebench.networks.attentions._base import QKVAttention
from spikebench.networks.attentions._product import counts_of, masked


class Attention(QKVAttention):
    """No V. One bit for each channel; num_heads makes no difference."""

    inputs: ClassVar[tuple[str, ...]] = ("q", "k")
    fires_after_mixing: ClassVar[bool] = False

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k = qkv
        summed = declare(q.sum(3), counts_of(self.emits, 1))
        channels = self.fire(summed.flatten(2).unsqueeze(-1)).view(*summed.shape[:3], 1, -1)
        return masked(k, channels, self.emits)
