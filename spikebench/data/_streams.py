"""Samples that are read one by one, in loader processes, when their batch is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from spikebench.core.errors import InputError


class Unreadable(Exception):  # noqa: N818 - it is the sample that is so
    """One sample that cannot be read; raised by a split's ``__getitem__``, which knows how many of them are too many."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, why)
        self.file, self.why = file, why


class _Tried(Dataset[Any]):
    """A split that hands over what went wrong in the place of a sample, as an exception would end its loader process."""

    def __init__(self, split: Dataset[Any]) -> None:
        self.split = split

    def __getitem__(self, index: int) -> Any:
        try:
            return self.split[index]
        except Unreadable as error:
            return error


class Part(Dataset[Any]):
    """Some samples of a split, ``indices`` of it; what cannot be read is the whole split's to count."""

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> Any:
        """Numbers beyond the last are the same samples again, as of the whole split (``_images``)."""
        again, index = divmod(number, len(self))
        whole: Any = self.dataset
        return whole[self.indices[index] + again * len(whole)] if again else whole[self.indices[index]]

    def cropped(self, scale: tuple[float, float], ratio: tuple[float, float], seed: tuple[int, ...]) -> Part:
        """Of a split that can be cropped; see ``_images``."""
        whole: Any = self.dataset
        return Part(whole.cropped(scale, ratio, seed), self.indices)

    @property
    def unreadable(self) -> dict[str, str]:
        """Those of the whole split that have been met."""
        found: dict[str, str] = getattr(self.dataset, "unreadable", {})
        return found

    def leave_out(self, file: str, why: str) -> None:
        whole: Any = self.dataset
        if not hasattr(whole, "leave_out"):
            raise InputError(f"{file}: {why}")
        whole.leave_out(file, why)


def _collate(samples: Sequence[Any]) -> tuple[list[Tensor], list[Unreadable]]:
    good = [sample for sample in samples if not isinstance(sample, Unreadable)]
    return (list(default_collate(good)) if good else []), [sample for sample in samples if isinstance(sample, Unreadable)]


def stream(split: Any, chosen: Sequence[list[int]], workers: int, pinned: bool) -> Iterator[list[Tensor]]:
    """(x, y) of each list of indices, read by ``workers`` processes in this order; nobody's random state is touched.

    A sample that is ``Unreadable`` is left out, so its batch is smaller, and told to ``split.leave_out(file, why)``, which raises
    InputError when it has had enough. A batch of which nothing is left is left out whole.
    """
    loader = DataLoader(
        _Tried(split),
        batch_sampler=chosen,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pinned,
        generator=torch.Generator().manual_seed(0),  # workers get seeds from it; torch's own would be moved on
    )
    for batch, missing in loader:
        for error in missing:
            split.leave_out(error.file, error.why)
        if batch:
            yield batch
