"""Stems on a part of the image: while a ``View`` is active, convolution, BatchNorm and pooling see visible tokens alone.

Beyond a visible token lies what lies beyond the image: a convolution reads zeros there, pooling nothing, BatchNorm's statistics
leave it out (the manner of SparK, arXiv 2301.03580, and of submanifold convolutions, arXiv 1711.10275). Two views compute the
same: ``SparseView`` gathers what is visible and works on that, ``DenseView`` works on whole images and hides again after each
layer; it is the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.networks.gathering import Neighbours, gather_convolve, gather_maximum

if TYPE_CHECKING:
    from spikebench.networks.layers import Conv2d


class View(Protocol):
    """What the layers of a stem ask while only some tokens are visible; steps are (T, B, ...)."""

    def convolve(self, layer: Conv2d, x: Tensor) -> Tensor:
        """``layer`` of the visible cells of ``x``."""

    def rows(self, x: Tensor) -> Tensor:
        """The visible cells of ``x`` as rows (T B cells, C): what BatchNorm may see."""

    def put(self, rows: Tensor, x: Tensor) -> Tensor:
        """``rows`` at the places of ``x``'s visible cells, in ``x``'s shape."""

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """The largest visible value of each window."""


_active: list[View] = []


def active() -> View | None:
    """The view that holds now; None where all tokens are visible."""
    return _active[-1] if _active else None


@contextmanager
def seeing(view: View | None) -> Iterator[None]:
    """Inside the block stems see through ``view``, or everything if it is None. For the whole process, not for one thread."""
    if view is None:
        yield
        return
    _active.append(view)
    try:
        yield
    finally:
        _active.pop()


class Tokens:
    """Which tokens of a ``grid`` x ``grid`` are visible: ``mask`` (B, N) bool, True = hidden, row-major, as many in each row.

    ``places``: (B, visible) their numbers in ascending order. Raises ValueError for a mask of another shape, with rows of
    unequal counts, or with nothing visible.
    """

    def __init__(self, mask: Tensor, grid: int) -> None:
        if mask.dim() != 2 or mask.shape[1] != grid * grid or mask.dtype != torch.bool:
            got = f"{tuple(mask.shape)} {mask.dtype}"
            raise ValueError(f"expected a mask (B, {grid * grid}) of bool, True = hidden, got {got}")
        counts = sorted(set((~mask).sum(1).cpu().numpy().tolist()))
        if len(counts) != 1 or counts[0] == 0:
            raise ValueError(f"every image needs the same number of visible tokens, at least one; got {counts}")
        visible = counts[0]
        self.mask, self.grid = mask, grid
        self.places = (~mask).nonzero()[:, 1].view(-1, visible)

    @property
    def all_visible(self) -> bool:
        return self.places.shape[1] == self.mask.shape[1]

    def take(self, x: Tensor) -> Tensor:
        """(T, B, C, visible) from (T, B, C, N), channels innermost in memory."""
        rows = x.transpose(2, 3).flatten(1, 2)
        N = self.mask.shape[1]
        index = (self.places + torch.arange(0, len(self.places) * N, N, device=x.device)[:, None]).flatten()
        return torch.unflatten(rows.index_select(1, index), 1, self.places.shape).transpose(2, 3)

    def pixels(self, size: int) -> Tensor:
        """(B, 1, size, size) bool, True where a pixel belongs to a hidden token."""
        k = size // self.grid
        square = self.mask.view(-1, 1, self.grid, self.grid)
        return square.repeat_interleave(k, 2).repeat_interleave(k, 3)


class SparseView:
    """Steps are (T, B, C, cells): token after token, the k x k cells of a token row by row, channels innermost in memory."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.neighbours = Neighbours(tokens.places, tokens.grid)

    def take(self, x: Tensor) -> Tensor:
        """(T, B, C, cells) from images (T, B, C, H, W)."""
        grid, k = self.tokens.grid, x.shape[-1] // self.tokens.grid
        T, B, C = x.shape[:3]
        cells = x.reshape(T, B, C, grid, k, grid, k).permute(0, 1, 2, 4, 6, 3, 5)
        taken = self.tokens.take(cells.reshape(T, B, C * k * k, grid * grid))
        return taken.transpose(2, 3).reshape(T, B, -1, C, k * k).transpose(3, 4).reshape(T, B, -1, C).transpose(2, 3)

    def side(self, x: Tensor) -> int:
        """Cells along a token's side."""
        return math.isqrt(x.shape[3] // self.tokens.places.shape[1])

    def convolve(self, layer: Conv2d, x: Tensor) -> Tensor:
        table = self.neighbours.table(self.side(x), layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))
        rows = gather_convolve(x.transpose(2, 3).flatten(1, 2), layer.weight, layer.bias, table)
        return torch.unflatten(rows, 1, (x.shape[1], -1)).transpose(2, 3)

    def rows(self, x: Tensor) -> Tensor:
        return x.transpose(2, 3).flatten(0, 2)

    def put(self, rows: Tensor, x: Tensor) -> Tensor:
        return torch.unflatten(rows, 0, (x.shape[0], x.shape[1], x.shape[3])).transpose(2, 3)

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        table = self.neighbours.table(self.side(x), kernel, stride, padding)
        rows = gather_maximum(x.transpose(2, 3).flatten(1, 2), table)
        return torch.unflatten(rows, 1, (x.shape[1], -1)).transpose(2, 3)


class DenseView:
    """Steps are whole images (T, B, C, H, W), whose hidden cells are zero between the layers."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def take(self, x: Tensor) -> Tensor:
        return self.hide(x)

    def hide(self, x: Tensor, value: float = 0.0) -> Tensor:
        """``x`` with ``value`` in every hidden cell."""
        return x.masked_fill(self.tokens.pixels(x.shape[-1]), value)

    def convolve(self, layer: Conv2d, x: Tensor) -> Tensor:
        return self.hide(layer.whole(self.hide(x)))

    def rows(self, x: Tensor) -> Tensor:
        return x.movedim(2, -1)[self._where(x)]

    def put(self, rows: Tensor, x: Tensor) -> Tensor:
        where = self._where(x)
        filled = rows.new_zeros(*where.shape, rows.shape[1]).masked_scatter(where.unsqueeze(-1), rows)
        return filled.movedim(-1, 2)

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        images = self.hide(x, float("-inf")).flatten(0, 1)
        return self.hide(torch.unflatten(F.max_pool2d(images, kernel, stride, padding), 0, x.shape[:2]))

    def _where(self, x: Tensor) -> Tensor:
        """(T, B, H, W) bool, True where a cell is visible."""
        return ~self.tokens.pixels(x.shape[-1])[:, 0].expand(x.shape[0], -1, -1, -1)
