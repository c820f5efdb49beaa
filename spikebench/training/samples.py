"""The training samples of an epoch: in which order, as which part of their image, and what of each step is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from spikebench.core.errors import InputError
from spikebench.data import Dataset, batches, resident
from spikebench.training.augmentation import Normal, normal_of
from spikebench.training.group import Batch, Group, parts_of
from spikebench.training.labels import labelled
from spikebench.training.options import TrainingOptions

if TYPE_CHECKING:
    from spikebench.data import Split


def note_unreadable(known: dict[str, dict[str, str]], splits: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """``known``, split -> file -> why it was left out, with what these splits have met by now."""
    for name, split in splits.items():
        if hasattr(split, "unreadable"):
            known.setdefault(name, {}).update(split.unreadable)
    return known


class Samples:
    """``split``: those that are trained on. ``cropped``: random parts are cut out of the images' files as they are read."""

    def __init__(self, dataset: Dataset, options: TrainingOptions, seed: int, device: torch.device, group: Group) -> None:
        self.options, self.seed, self.device, self.group = options, seed, device, group
        source: Any = dataset
        self.cropped = options.crops and hasattr(source, "files")
        split = source.files("train") if self.cropped else resident(dataset.split("train"), device)
        self.normal: Normal | None = normal_of(split)
        self.split: Split = labelled(split, options.labels, seed)

    def __len__(self) -> int:
        return len(self.split)  # type: ignore[arg-type]

    def of_epoch(self, epoch: int) -> Split:
        """As epoch number ``epoch``, from 0, sees them: parts of original images are others in each."""
        if not self.cropped:
            return self.split
        split: Any = self.split
        found: Split = split.cropped(self.options.crop_scale, self.options.sides, (self.seed, epoch))
        return found

    def batches(self, epoch: int, generator: torch.Generator, done: int) -> Iterator[Batch]:
        """Those of the steps after the first ``done``, in the order that ``generator`` draws; this rank's part of each."""
        options = self.options
        order = torch.randperm(len(self), generator=generator)
        if options.repeats > 1:
            order = order.repeat_interleave(options.repeats)[: len(self)]
            if self.cropped:  # under another number the same file has another part
                order = order + torch.arange(len(self)) % options.repeats * len(self)
        steps = order.split(options.batch_size)[done:]  # type: ignore[no-untyped-call]
        plans = [parts_of(len(numbers), options.passes, self.group) for numbers in steps]
        mine = [numbers[own] for numbers, (own, _) in zip(steps, plans, strict=True)]
        found = batches(self.of_epoch(epoch), options.batch_size, self.device, mine, options.workers)
        for (x, y), numbers, (own, parts) in zip(found, steps, plans, strict=False):
            n = len(numbers)
            if len(y) != len(own):  # what cannot be read was left out
                if self.group.world > 1:
                    raise InputError("on several devices every sample must be readable: train on one, or remove what is not")
                n, (own, parts) = len(y), parts_of(len(y), options.passes)
            yield Batch(x, y, n, own, parts)
