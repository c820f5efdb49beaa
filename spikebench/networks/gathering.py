"""Convolution and pooling of rows whose neighbours a table names: a gather and a matrix product, nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.networks import shortcuts


class Neighbours:
    """Where the neighbours of visible cells stand: ``places`` (B, visible) tokens of a ``grid`` x ``grid``."""

    def __init__(self, places: Tensor, grid: int) -> None:
        self.places, self.grid = places, grid
        self._tables: dict[tuple[int, int, int, int], Table] = {}

    def table(self, side: int, kernel: int, stride: int, padding: int) -> Table:
        """For a window over tokens of ``side`` x ``side`` cells."""
        key = (side, kernel, stride, padding)
        if key not in self._tables:
            self._tables[key] = Table(self.places, self.grid, *key)
        return self._tables[key]


class Table:
    """``index`` (outputs, kernel^2): row of each cell that an output cell's window covers; ``rows`` itself means none.

    Rows are (image, token, row in the token, column) in this order, for inputs (``rows`` of them) and outputs alike. ``within``:
    no window leaves its token. ``mirrors``: input and output cells are the same and a is b's neighbour at o just where b is a's
    at the opposite of o (an odd kernel of stride 1 in the middle).
    """

    def __init__(self, places: Tensor, grid: int, side: int, kernel: int, stride: int, padding: int) -> None:
        if side % stride:
            raise ValueError(f"a stride of {stride} does not divide the {side} cells of a token's side")
        self.kernel, self.places, self.grid, self.side = kernel, places, grid, side
        self.stride, self.padding = stride, padding
        self.out_side = side // stride
        self.within = kernel == stride and padding == 0
        self.mirrors = stride == 1 and kernel == 2 * padding + 1
        self.rows = places.numel() * side**2
        self._index: Tensor | None = None

    @property
    def index(self) -> Tensor:
        """Made when first asked for: windows inside a token need none."""
        if self._index is None:
            self._index = self._find()
        return self._index

    def _find(self) -> Tensor:
        places, grid, side = self.places, self.grid, self.side
        B, visible = places.shape
        N = grid * grid
        slots = places.new_full((B, N + 1), -1)
        slots.scatter_(1, places, torch.arange(B * visible, device=places.device).view(B, visible))
        first = torch.arange(self.out_side, device=places.device) * self.stride - self.padding
        offset = (
            first[:, None] + torch.arange(self.kernel, device=places.device)
        ).flatten()  # (out, kernel) from the token's edge

        def axis(token: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            at = token[:, None] * side + offset
            inside = (at >= 0) & (at < grid * side)
            return at.div(side, rounding_mode="floor"), at.remainder(side), inside

        token = torch.arange(N, device=places.device)
        (row, r, row_in), (column, c, column_in) = axis(token // grid), axis(token % grid)
        inside = row_in[:, :, None] & column_in[:, None, :]
        neighbour = torch.where(inside, row[:, :, None] * grid + column[:, None, :], N)
        cell = r[:, :, None] * side + c[:, None, :]
        # (N, out kernel, out kernel) -> (N, out^2, kernel^2)
        shape = (N, self.out_side, self.kernel, self.out_side, self.kernel)
        neighbour, cell = (part.view(shape).permute(0, 1, 3, 2, 4).reshape(N, -1) for part in (neighbour, cell))
        slot = slots.gather(1, neighbour[places].view(B, -1))
        found = slot * side**2 + cell[places].view(B, -1)
        return torch.where(slot < 0, self.rows, found).view(-1, self.kernel**2)


def gather_convolve(x: Tensor, weight: Tensor, bias: Tensor | None, table: Table) -> Tensor:
    """(T, outputs, C') from rows (T, rows, C) and ``weight`` (C', C, k, k): zeros where ``table`` knows no cell.

    The narrower side of the product is what is gathered: neighbours of the input before it, or parts of the result after it.
    Counting sees the former always: products with cells that are there, and no others.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if table.within:
        y = F.linear(_blocks(x, table), _matrix(weight), bias)
    elif not table.mirrors or not shortcuts.enabled():
        y = F.linear(_neighbours(x, table.index), _matrix(weight), bias)
    else:
        convolve = _GatherInput if weight.shape[1] <= weight.shape[0] else _GatherOutput
        y = convolve.apply(x, weight, table.index)
        y = y if bias is None else y + bias
    return y


def gather_maximum(x: Tensor, table: Table) -> Tensor:
    """(T, outputs, C), the largest of the cells that ``table`` knows; every output covers at least one.

    Of equal ones the first passes the gradient, as in pooling of images.
    """
    T, _, C = x.shape
    taps = table.kernel**2
    # A cell that is not there repeats the first one that is: the maximum stays, and so does who has it first.
    known = table.index < table.rows
    first = table.index.gather(1, known.int().argmax(1, keepdim=True))
    windows = x.index_select(1, torch.where(known, table.index, first).flatten()).view(-1, taps, 1, C)
    return F.max_pool2d(windows.permute(0, 3, 1, 2), (taps, 1)).view(T, -1, C)


def _matrix(weight: Tensor) -> Tensor:
    """(C', k k C) from (C', C, k, k): channels innermost, as rows have them."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _blocks(x: Tensor, table: Table) -> Tensor:
    """(T, outputs, k k C): windows that tile each token."""
    T, _, C = x.shape
    k, out = table.kernel, table.out_side
    return x.view(T, -1, out, k, out, k, C).transpose(3, 4).reshape(T, -1, k * k * C)


def _neighbours(x: Tensor, index: Tensor) -> Tensor:
    """(T, outputs, k k C) from rows (T, rows, C)."""
    padded = torch.cat((x, x.new_zeros(x.shape[0], 1, x.shape[2])), 1)
    return padded.index_select(1, index.flatten()).view(x.shape[0], len(index), -1)


def _collected(parts: Tensor, index: Tensor) -> Tensor:
    """(T, rows, C): for each row the sum over its neighbours n at offset o of n's part for the opposite of o; parts
    (T, rows, k k C).
    """
    T, rows, width = parts.shape
    taps = index.shape[1]
    opposite = torch.arange(taps - 1, -1, -1, device=index.device)
    # A row that no cell stands on has no parts: it points behind the last one, at zeros.
    flat = torch.where(index < rows, index * taps + opposite, rows * taps)
    cells = parts.view(T, rows * taps, width // taps)
    cells = torch.cat((cells, cells.new_zeros(T, 1, width // taps)), 1)
    return cells.index_select(1, flat.flatten()).view(T, rows, taps, -1).sum(2)


class _GatherInput(torch.autograd.Function):
    """Few input channels: their neighbours are gathered, forward and again backward; only ``x`` is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, index)
        return _neighbours(x, index) @ _matrix(weight).t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight, index = ctx.saved_tensors
        grad = grad.to(weight.dtype)
        outer = grad.flatten(0, 1).t() @ _neighbours(x, index).flatten(0, 1)
        into = _collected(grad @ _matrix(weight), index) if ctx.needs_input_grad[0] else None
        return into, outer.view(*weight.shape[:1], *weight.shape[2:], -1).permute(0, 3, 1, 2), None


class _GatherOutput(torch.autograd.Function):
    """Few output channels: every cell computes its part of each neighbour's result, and those are gathered and added."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, index)
        # ``_collected`` asks a neighbour at o for its part for the opposite of o: that must be W at o times the neighbour.
        return _collected(x @ _spread(weight.flip(2, 3)).t(), index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight, index = ctx.saved_tensors
        around = _neighbours(grad.to(weight.dtype), index)
        into = around @ _spread(weight.flip(2, 3)) if ctx.needs_input_grad[0] else None
        outer = (around.flatten(0, 1).t() @ x.flatten(0, 1)).view(*weight.shape[2:], weight.shape[0], weight.shape[1])
        return into, outer.flip(0, 1).permute(2, 3, 0, 1), None


def _spread(weight: Tensor) -> Tensor:
    """(k k C', C) from (C', C, k, k)."""
    return weight.permute(2, 3, 0, 1).flatten(0, 2)
