"""No position beyond what the stem leaves in the tokens, as all published Spikformers have it (arXiv 2209.15425)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Position(nn.Module):
    """Hands the tokens on. The SPS stem adds position spikes of its own; the SCS stem has none."""

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor, tokens: Any = None) -> Tensor:
        return x
