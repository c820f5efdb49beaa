"""Rate coding: at each step a pixel fires with its grey value as probability (Poisson encoder of SpikingJelly)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebench.networks.encodings._draws import draws_of
from spikebench.networks.encodings._grey import GreyEncoding, GreyOptions


@dataclass(frozen=True)
class RateOptions(GreyOptions):
    """``seed``: of the draws in evaluation mode; training draws from torch's global generator."""

    seed: int = 0


class Encoding(GreyEncoding):
    """Evaluation is repeatable: an image gets the same spikes whenever it is seen, since they are drawn from what it holds."""

    Options = RateOptions
    options: RateOptions

    version = 2  # version 1 drew by the place in the batch

    def encode(self, image: Tensor, T: int) -> Tensor:
        grey = self.grey(image)
        if self.training:
            draws = torch.rand((T, *grey.shape), device=grey.device, dtype=grey.dtype)
        else:
            draws = draws_of(image, T, self.options.seed)
        return (draws < grey).to(image.dtype)
