"""Spiking self-attention: s Q K^T V of spikes, without softmax (Spikformer, arXiv 2209.15425, eqs 14-16)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikebench.core.values import declare
from spikebench.networks.attentions._base import AttentionOptions, QKVAttention
from spikebench.networks.attentions._product import Order, PublishedOrder, attend, counts_of, order_to_run


@dataclass(frozen=True)
class SSAOptions(AttentionOptions):
    """``scale``: s, 0.125 in the released code whatever the head's width (0.25 for DVS).

    ``order``: ``auto`` runs the cheaper of (Q K^T) V, ``qk_first``, and Q (K^T V), ``kv_first``; a named order is kept. Counts of
    ``auto`` are those of ``published_order``, which the authors' code has.
    """

    scale: float = 0.125
    order: Order = "auto"
    published_order: PublishedOrder = "qk_first"


class Attention(QKVAttention):
    """The scale folds into the threshold of the neuron that follows: an integer count decides (references.md 1.1)."""

    Options = SSAOptions
    options: SSAOptions

    def mix(self, *qkv: Tensor) -> Tensor:
        q, k, v = qkv
        order = order_to_run(self.options.order, self.options.published_order, *q.shape[-2:])
        scaled = attend(q, k, v, order, self.emits) * self.options.scale
        return declare(scaled, counts_of(self.emits, 3, self.options.scale))
