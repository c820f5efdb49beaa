"""Copy the image T times and compute every step: direct coding as the papers' code runs it (arXiv 2209.15425)."""

from __future__ import annotations

from torch import Tensor

from spikebench.networks.encodings._base import EncodingBase


class Encoding(EncodingBase):
    """The same network as ``direct``; what ``direct`` saves is the difference in time."""

    def encode(self, image: Tensor, T: int) -> Tensor:
        return image.unsqueeze(0).repeat(T, 1, 1, 1, 1)
