"""A sequence of states as rows: every neuron is independent, so any layout that is dense within one time step will
do.
"""

from __future__ import annotations

import torch
from torch import Tensor


def as_rows(x: Tensor) -> Tensor | None:
    """``x`` (T, ...) as a view (T, M), M elements a step in the order of memory, or None where one step is not dense.

    Contiguous and channels-last tensors have such a view, and so does an image repeated over T (``expand``): its rows
    lie on top of each other.
    """
    if not is_dense(x[0]):
        return None
    return x.as_strided((x.shape[0], x[0].numel()), (x.stride(0), 1))


def dense(x: Tensor) -> Tensor:
    """``x`` itself, or a contiguous copy where one step of it is not dense."""
    return x if is_dense(x[0]) else x.contiguous()


def rows_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """``dense(x)`` and its rows (T, M)."""
    x = dense(x)
    rows = as_rows(x)
    assert rows is not None
    return x, rows


def rows_like(grad: Tensor, x: Tensor) -> Tensor:
    """The rows (T, M) of ``grad`` with its elements in ``x``'s order; copied only where the layouts differ."""
    if grad.stride()[1:] == x.stride()[1:]:
        rows = as_rows(grad)
        if rows is not None:
            return rows
    like = empty_like(x, grad.dtype)
    like.copy_(grad)
    rows = as_rows(like)
    assert rows is not None
    return rows


def empty_like(x: Tensor, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor of ``x``'s shape and memory order, with every time step its own memory."""
    return torch.empty_strided(x.shape, (x[0].numel(), *x.stride()[1:]), dtype=dtype, device=x.device)


def is_dense(x: Tensor) -> bool:
    """Whether the elements fill one stretch of memory, each once, in whatever order of the axes."""
    if x.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True
