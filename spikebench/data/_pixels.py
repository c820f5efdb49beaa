"""Samples that are kept as bytes and become numbers batch by batch, on the device: a quarter of the memory and copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset


class Pixels(TensorDataset):
    """``tensors``: x uint8 (n, C, H, W), or (n, T, C, H, W) for event frames, and y int64 (n,).

    A sample is (x / ``scale`` - ``mean``) / ``std`` by channel in float32: ``scale`` is 255 for images and 1 for counts.
    ``unreadable``: file -> why it is not among the samples.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        scale: float = 255.0,
        normal: tuple[Sequence[float], Sequence[float]] | None = None,
        unreadable: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(x, y)
        self.scale = scale
        self.normal = normal
        self.unreadable = dict(unreadable or {})

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        x, y = self.tensors
        return self.floats(x[index]), y[index]

    def floats(self, x: Tensor) -> Tensor:
        """Bytes (..., C, H, W) as the numbers that a network gets, where they lie."""
        out = x.to(torch.float32)
        if self.scale != 1:
            out.div_(self.scale)
        if self.normal is not None:
            mean, std = (torch.tensor(part, device=x.device)[:, None, None] for part in self.normal)
            out.sub_(mean).div_(std)
        return out

    def of(self, x: Tensor, y: Tensor) -> Pixels:
        """Other samples, or the same elsewhere, understood in the same way."""
        return Pixels(x, y, self.scale, self.normal, self.unreadable)
