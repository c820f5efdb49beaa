"""Show the image unchanged at every step; the first layers turn it into spikes (Spikformer, arXiv 2209.15425)."""

from __future__ import annotations

from torch import Tensor

from spikebench.networks.encodings._base import EncodingBase


class Encoding(EncodingBase):
    """Nothing is copied: T views of one image. What comes before the first neuron is computed once, exactly (see ``layers``)."""

    def encode(self, image: Tensor, T: int) -> Tensor:
        return image.unsqueeze(0).expand(T, -1, -1, -1, -1)
