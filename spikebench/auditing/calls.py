"""Which part of a tensor belongs to a sample or to a time step, and inputs of other samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Reading = Callable[[Tensor], Tensor]


def along(x: Tensor, axis: int, samples: int) -> bool:
    """Whether ``x`` holds one entry a sample on ``axis``."""
    return x.dim() > axis and x.shape[axis] == samples


def chosen(inputs: Sequence[Tensor], axis: int, samples: int, indices: Sequence[int]) -> tuple[Tensor, ...]:
    """The inputs of some samples, in this order; what has no such axis is for all of them."""
    index = torch.tensor(indices)
    return tuple(x.index_select(axis, index.to(x.device)) if along(x, axis, samples) else x for x in inputs)


def picks(whole: Tensor, alone: Tensor, indices: Sequence[int]) -> Iterator[Tensor]:
    """``indices`` of ``whole``'s samples, in every way in which ``whole`` can hold several of what ``alone`` holds one of.

    The axis is the one in which their shapes differ; steps and tokens that are folded into it may stand before the samples,
    behind them, or on either side. Nothing where no axis fits: the tensors are of no sample.
    """
    if whole.dim() != alone.dim():
        return
    differing = [axis for axis in range(whole.dim()) if whole.shape[axis] != alone.shape[axis]]
    if len(differing) != 1:
        return
    axis = differing[0]
    others, total = alone.shape[axis], whole.shape[axis]
    if not others or total % others or max(indices) >= total // others:
        return
    index = torch.tensor(indices, device=whole.device)
    for before in range(others, 0, -1):
        if others % before == 0:
            apart = torch.unflatten(whole, axis, (before, total // others, others // before))
            yield apart.index_select(axis + 1, index).flatten(axis, axis + 2)


def steps_before(x: Tensor, t: int, T: int, samples: int, batch_first: bool) -> Iterator[Tensor]:
    """Steps 0 to ``t`` - 1 of ``x``, in every way in which it can hold ``T`` steps of ``samples``: (T, B, ...), (T B, ...), and
    those with the samples first where the network has them so.
    """
    shape = tuple(x.shape[:2])
    if shape == (T, samples):
        yield x[:t]
    if shape[:1] == (T * samples,):
        yield torch.unflatten(x, 0, (T, samples))[:t]
        if batch_first:
            yield torch.unflatten(x, 0, (samples, T))[:, :t]
    if batch_first and shape == (samples, T) and x.dim() > 2:
        yield x[:, :t]


def distance(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; infinite between numbers and what is none, 0 between equal NaN and infinities."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    equal = (a == b) | (a.isnan() & b.isnan() if a.is_floating_point() else torch.zeros_like(a, dtype=torch.bool))
    if bool(equal.all()):
        return 0.0
    difference = (a.double() - b.double()).abs().masked_fill(equal, 0.0)
    worst = float(difference.max())
    return worst if worst == worst else float("inf")
