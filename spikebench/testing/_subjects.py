"""A subject made by hand: a network of a thousand parameters on 8x8 images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.records import Record
from spikebench.core.variant import VariantSpec
from spikebench.data import Dataset, load


@dataclasses.dataclass
class StubSubject:
    """A ``core.protocols.Subject`` made by hand."""

    job: Job
    model: Any
    dataset: Dataset
    weights_folder: Path
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    previous: Sequence[Record] = ()


TINY = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
"""A network that runs in milliseconds on 8x8 images."""
TINY_DATA = Choice("random", {"channels": 1, "size": 8, "classes": 4, "samples": 24})


def make_subject(
    folder: Path,
    harness: Choice,
    *,
    variant: VariantSpec = TINY,
    dataset: Choice = TINY_DATA,
    training: Choice | None = None,
    seed: int = 0,
    model: nn.Module | None = None,
    previous: Sequence[Record] = (),
    device: str = "cpu",
) -> StubSubject:
    """A subject for one run of ``harness``: an untrained network of ``seed`` (or ``model``), its weights kept in ``folder``."""
    from spikebench.networks import build

    data = load(dataset)
    if model is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(variant, data.inputs)
    job = Job(Cell(variant, dataset, training, seed), harness, device)
    return StubSubject(job, model.to(device).eval(), data, folder, torch.device(device), previous)
