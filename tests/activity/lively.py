"""Networks whose neurons fire."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from spikebench import build


def lively(**overrides: Any) -> nn.Module:
    """Untrained, on digits, with statistics by which its neurons fire."""
    torch.manual_seed(0)
    model = build("spikformer-2-64", "digits", **{"depth": 1, "dim": 16, "num_heads": 2, **overrides})
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(torch.rand(8, 1, 8, 8))
    return model.eval()
