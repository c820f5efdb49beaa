"""Several devices, a process each, that train one network: what each computes of a step, and how they agree."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """``rank`` of ``world`` processes, connected by torch.distributed's default group; a single process needs none."""

    rank: int = 0
    world: int = 1

    def sum(self, tensor: Tensor) -> Tensor:
        """Over all ranks, in place; no gradient goes through it."""
        if self.world > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def sum_with_gradient(self, tensor: Tensor) -> Tensor:
        """Over all ranks; its gradient is the sum of theirs."""
        from torch.distributed.nn.functional import all_reduce

        with _old_names():
            found: Tensor = all_reduce(tensor)  # type: ignore[no-untyped-call]
        return found

    def gather(self, value: Any) -> list[Any]:
        """Of every rank."""
        found: list[Any] = [value] * self.world
        if self.world > 1:
            torch.distributed.all_gather_object(found, value)
        return found


ALONE = Group()


@dataclass(frozen=True)
class Part:
    """A stretch of this rank's samples that goes through the network at once.

    ``kind``: ``whole``, a pass that this rank computes for all; ``shared``, a part of a pass, with BatchNorm over all ranks;
    ``copied``, a pass that has too few samples to be shared and is computed by all alike. ``weight``: of its mean loss in the
    step's, as the sum over ranks has it.
    """

    stretch: slice
    kind: Literal["whole", "shared", "copied"]
    weight: float


@dataclass(frozen=True)
class Batch:
    """``x``, ``y``: this rank's samples, at ``numbers`` among all ``n`` of the step; ``parts``: how to compute them."""

    x: Tensor
    y: Tensor
    n: int
    numbers: Tensor
    parts: Sequence[Part]


def parts_of(n: int, accumulate: int, group: Group = ALONE) -> tuple[Tensor, list[Part]]:
    """Which of a step's ``n`` samples this rank computes (int64, in order), and in which parts.

    A step has ``accumulate`` passes. Where these can be dealt out evenly a rank computes whole ones, else all share each of them.
    Cuts are between pairs of neighbours, which mixup needs together.
    """
    passes = [stretch for stretch in cut(n, accumulate) if stretch.stop > stretch.start]
    dealt = len(passes) % group.world == 0
    each = len(passes) // group.world
    numbers: list[Tensor] = []
    found: list[Part] = []
    start = 0
    for index, stretch in enumerate(passes):
        size = stretch.stop - stretch.start
        shares = cut(size, group.world)
        kind: Literal["whole", "shared", "copied"]
        if dealt:
            if index // each != group.rank:
                continue
            own, kind, weight = slice(0, size), "whole", size / n
        elif any(share.stop == share.start for share in shares):
            own, kind, weight = slice(0, size), "copied", size / n / group.world
        else:
            own, kind = shares[group.rank], "shared"
            weight = (own.stop - own.start) / n
        numbers.append(torch.arange(stretch.start + own.start, stretch.start + own.stop))
        found.append(Part(slice(start, start + len(numbers[-1])), kind, weight))
        start += len(numbers[-1])
    return torch.cat(numbers), found


def cut(n: int, parts: int) -> list[slice]:
    """``n`` samples in ``parts`` stretches of as equal a number of pairs as can be; an odd last one is at the end."""
    pairs = (n + 1) // 2
    bounds = [min(n, 2 * (pairs * part // parts)) for part in range(parts)] + [n]
    return [slice(low, high) for low, high in itertools.pairwise(bounds)]


class Statistics:
    """Running statistics of BatchNorm where each rank has seen passes of its own: as if one had seen all, in their order."""

    def __init__(self, model: nn.Module) -> None:
        self._norms = [
            module
            for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats and module.momentum is not None
        ]
        self._seen: list[Tensor] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A pass: what it alone would have made of the statistics is kept, and they stay as they were."""
        before = self._read()
        yield
        momentum = self._momentum(before)
        self._seen.append((self._read() - (1 - momentum) * before) / momentum)
        self._write(before)

    def merge(self, group: Group) -> None:
        """All passes of all ranks, in order."""
        seen, self._seen = [one.cpu() for one in self._seen], []
        now = self._read()
        momentum = self._momentum(now)
        everything = [one for rank in group.gather(seen) for one in rank]
        for one in everything:
            now = (1 - momentum) * now + momentum * one.to(now.device)
        self._write(now)
        for norm in self._norms:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(len(everything) - len(seen))

    def _tensors(self) -> list[Tensor]:
        return [tensor for norm in self._norms for tensor in (norm.running_mean, norm.running_var) if tensor is not None]

    def _momentum(self, like: Tensor) -> Tensor:
        sizes = [(norm.momentum, 2 * norm.num_features) for norm in self._norms]
        return torch.cat([like.new_full((size,), float(momentum or 0.0)) for momentum, size in sizes])

    def _read(self) -> Tensor:
        return torch.cat([tensor.detach().flatten() for tensor in self._tensors()])

    @torch.no_grad()
    def _write(self, values: Tensor) -> None:
        tensors = self._tensors()
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, values.split(sizes), strict=True):  # type: ignore[no-untyped-call]
            tensor.copy_(part.view_as(tensor))

    def __bool__(self) -> bool:
        return bool(self._norms)


class Step(nn.Module):
    """An objective as a module, so that DistributedDataParallel sees one forward pass."""

    def __init__(self, model: nn.Module, objective: Any) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = self.objective(self.model, x, y)
        return found


def distributed(model: nn.Module, objective: Any, device: torch.device) -> nn.Module:
    """DDP around ``objective`` of ``model``: gradients are means over ranks after a backward pass outside ``no_sync``."""
    from torch.nn.parallel import DistributedDataParallel

    ids: Sequence[int] | None = [torch.cuda.current_device()] if device.type == "cuda" else None
    step = Step(model, objective)
    with _old_names():
        return DistributedDataParallel(step, device_ids=ids, broadcast_buffers=False, find_unused_parameters=True)


@contextmanager
def _old_names() -> Iterator[None]:
    """The newest torch has other names for these, which 2.6 has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
