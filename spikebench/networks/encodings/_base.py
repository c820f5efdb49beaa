"""What every encoding is."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spikebench.core.values import REAL, Values, declare


class EncodingBase(nn.Module):
    """Images (B, C, H, W) to steps (T, B, C, H, W). A subclass writes ``encode``. Event frames are steps already and pass."""

    emits: Values = REAL

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__()
        self.options = options

    def encode(self, image: Tensor, T: int) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, T: int) -> Tensor:
        """(T, B, C, H, W) from an image (B, C, H, W); a sequence (T', B, C, H, W) is returned as it is, whatever its length."""
        return declare(x, REAL) if x.dim() == 5 else declare(self.encode(x, T), self.emits)
