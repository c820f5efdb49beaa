"""Phase coding: the binary digits of the grey value, highest first, one a step (weighted spikes, Kim et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from spikebench.networks.encodings._grey import GreyEncoding


class Encoding(GreyEncoding):
    """T digits; values from 1 - 2^-T on are all ones. Digits come unweighted: only time tells a digit's place."""

    def spikes(self, grey: Tensor, T: int) -> Tensor:
        digits = (grey * 2**T).floor().clamp_max(2**T - 1).long()
        places = torch.arange(T - 1, -1, -1, device=grey.device).view(T, 1, 1, 1, 1)
        return torch.bitwise_and(digits >> places, 1)
