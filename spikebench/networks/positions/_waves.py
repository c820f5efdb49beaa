"""Sines and cosines of a token's row and column, where position embeddings start or stay."""

from __future__ import annotations

import torch
from torch import Tensor


def waves(dim: int, grid: int) -> Tensor:
    """(dim, grid^2) in -1..1: two-dimensional sin-cos positions of Masked Autoencoders (He et al., arXiv 2111.06377).

    Half of the channels tell the row, half the column, each half sines and then cosines of wavelengths from 2 pi to 20,000 pi.
    A ``dim`` that is no multiple of 4 is cut from the next larger one.
    """
    quarter = -(-dim // 4)
    frequencies = 10_000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[None, :] * frequencies[:, None]
    axis = torch.cat((angles.sin(), angles.cos()))
    rows, columns = axis[:, :, None].expand(-1, -1, grid), axis[:, None, :].expand(-1, grid, -1)
    return torch.cat((rows, columns))[:dim].flatten(1).float()
