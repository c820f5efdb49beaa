"""The moving average of a network's weights over its training, which is what is validated and kept where it is asked for."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """``model`` holds the average: every number a -> decay a + (1 - decay) w with each step, BatchNorm's statistics too, as in
    timm's ModelEmaV2; whole numbers are taken as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """After a step of ``model``."""
        own = self.model.state_dict()
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                own[name].lerp_(value.to(own[name].device), 1 - self.decay)
            else:
                own[name].copy_(value)
