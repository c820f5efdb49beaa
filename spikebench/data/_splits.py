"""Fixed, stratified splits of data sets that come in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spikebench.data import SplitName, check_split

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.utils.data import TensorDataset

SHARES: Mapping[SplitName, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}


def stratified(labels: NDArray[Any], seed: int = 0, shares: Mapping[SplitName, float] = SHARES) -> dict[SplitName, NDArray[Any]]:
    """Sorted sample indices of each split: every class is divided in the same ``shares``, each count rounded to the nearest.

    Depends on ``labels`` and ``seed`` alone: RandomState's stream is frozen by NumPy's policy (NEP 19), so the splits are the
    same on every machine and with every later NumPy.
    """
    random = np.random.RandomState(seed)
    bounds = np.cumsum([0.0, *shares.values()])
    if not np.isclose(bounds[-1], 1.0):
        raise ValueError(f"the shares must add up to 1, got {bounds[-1]}")
    parts: dict[SplitName, list[NDArray[Any]]] = {name: [] for name in shares}
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        cuts = np.rint(bounds * len(members)).astype(int)
        for name, start, end in zip(shares, cuts, cuts[1:], strict=False):
            parts[name].append(members[start:end])
    return {name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()}


def tensor_split(name: SplitName, images: NDArray[Any], labels: NDArray[Any]) -> TensorDataset:
    """One split of ``images`` (n, channels, size, size) with ``labels`` (n,) as float32 and int64 tensors. Raises InputError."""
    import torch
    from torch.utils.data import TensorDataset

    check_split(name)
    chosen = stratified(labels)[name]
    return TensorDataset(
        torch.from_numpy(np.ascontiguousarray(images[chosen], dtype=np.float32)),
        torch.from_numpy(labels[chosen].astype(np.int64)),
    )
