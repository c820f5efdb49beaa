"""Real map ReLU(Q) ReLU(K)^T, an ablation of Spikformer's Table 6 (arXiv 2209.15425); V spikes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from spikebench.networks.attentions._map import MapAttention


class Attention(MapAttention):
    """Did not converge on ImageNet in the paper."""

    def activate(self, x: Tensor) -> Tensor:
        return F.relu(x)
