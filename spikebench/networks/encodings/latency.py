"""Latency coding (TTFS): each pixel fires once, at step round((T - 1)(1 - grey)), as SpikingJelly's linear encoder does."""

from __future__ import annotations

import torch
from torch import Tensor

from spikebench.networks.encodings._grey import GreyEncoding


class Encoding(GreyEncoding):
    """A black pixel fires at the last step. With T = 1 every pixel fires, and nothing of the image is left."""

    def spikes(self, grey: Tensor, T: int) -> Tensor:
        when = ((T - 1) * (1 - grey)).round().long()
        steps = torch.arange(T, device=grey.device).view(T, 1, 1, 1, 1)
        return steps == when
