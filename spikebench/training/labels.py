"""Fewer labels: a part of the training split, the same for a seed whatever the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import TensorDataset

from spikebench.core.errors import InputError, Problem
from spikebench.data import subset

if TYPE_CHECKING:
    from spikebench.data import Split


def labelled(split: Split, labels: int | None, seed: int) -> Split:
    """``labels`` samples of ``split``, evenly over its classes (counts differ by one at most) and drawn by ``seed``; all if None.

    Raises InputError for more labels than there are, fewer than one a class, or a split that does not say its ``labels``.
    """
    if labels is None:
        return split
    held = split.tensors[1] if isinstance(split, TensorDataset) else getattr(split, "labels", None)
    if held is None:
        raise InputError(Problem("this data set is read sample by sample, and does not say its labels before", key="labels"))
    y = torch.as_tensor(held).cpu()
    generator = torch.Generator().manual_seed(seed)
    classes = y.unique().tolist()  # type: ignore[no-untyped-call]
    if not len(classes) <= labels <= len(y):
        raise InputError(Problem(f"must be {len(classes)} (one a class) to {len(y)} (all), got {labels}", key="labels"))
    queues = []
    for label in classes:
        members = (y == label).nonzero()[:, 0]
        queues.append(members[torch.randperm(len(members), generator=generator)].tolist())
    # Round by round one of each class; who has no more is left out, as its class is small.
    rounds = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return subset(split, torch.tensor(sorted(rounds[:labels]), device=getattr(held, "device", None)))
