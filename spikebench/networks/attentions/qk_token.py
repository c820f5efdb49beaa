"""QK token attention: LIF(sum of Q over a head's channels) says which tokens of K pass (QKFormer, arXiv 2403.16552)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from spikebench.core.values import declare
from spikebench.networks.attentions._base import QKVAttention
from spikebench.networks.attentions._product import counts_of, masked
from spikebench.networks.context import Context


class Attention(QKVAttention):
    """No V. The mask has one bit for each head and token; the cost is linear in N and d."""

    inputs: ClassVar[tuple[str, ...]] = ("q", "k")
    fires_after_mixing: ClassVar[bool] = False

    def make_neuron(self, context: Context) -> nn.Module:
        return context.neuron(context.spec.num_heads, self.options.v_threshold)

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k = qkv
        tokens = self.fire(declare(q.sum(4), counts_of(self.emits, 1)))
        return masked(k, tokens.unsqueeze(4), self.emits)
