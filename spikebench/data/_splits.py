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


def cut(labels: NDArray[Any], name: SplitName, full_train: bool = False, share: float = 0.1) -> NDArray[Any]:
    """Sorted indices of train or validation, where a data set is published with training and test samples alone.

    Validation gets ``share`` of each class, rounded to the nearest, and at least one of two; see ``stratified``. ``full_train``:
    all are trained on, as the papers do it, and validation is a part of them that shows nothing unseen.
    """
    if full_train and name == "train":
        return np.arange(len(labels))
    random = np.random.RandomState(0)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    parts = []
    for members in map(random.permutation, groups):
        count = max(int(np.rint(share * len(members))), int(len(members) > 1))
        parts.append(members[:count] if name == "validation" else members[count:])
    return np.sort(np.concatenate(parts))


def thirds(labels: NDArray[Any], name: SplitName, full_train: bool = False) -> NDArray[Any]:
    """Sorted indices of a split of samples that nobody has divided: about 70, 10 and 20 % of each class, at least one of three.

    ``cut``, twice: test from all, validation from the rest. ``full_train`` as there: test stays unseen.
    """
    test = cut(labels, "validation", share=0.2)
    if name == "test":
        return test
    rest = np.setdiff1d(np.arange(len(labels)), test)
    chosen: NDArray[Any] = rest[cut(labels[rest], name, full_train, share=0.125)]
    return chosen


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
