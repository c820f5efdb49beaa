"""Rate coding: at each step a pixel fires with its grey value as probability (Poisson encoder of SpikingJelly)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebench.networks.encodings._grey import GreyEncoding, GreyOptions


@dataclass(frozen=True)
class RateOptions(GreyOptions):
    """``seed``: of the draws in evaluation mode, the same in every call; training draws from torch's global generator."""

    seed: int = 0


class Encoding(GreyEncoding):
    """Evaluation is repeatable: an image at the same place of a batch of the same shape gets the same spikes."""

    Options = RateOptions
    options: RateOptions

    def spikes(self, grey: Tensor, T: int) -> Tensor:
        generator = None if self.training else torch.Generator(grey.device).manual_seed(self.options.seed)
        draws = torch.rand((T, *grey.shape), generator=generator, device=grey.device, dtype=grey.dtype)
        return draws < grey
