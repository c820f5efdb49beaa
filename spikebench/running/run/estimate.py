"""How long a plan will take: a guess from two training steps of each variant, timed on this machine."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Mapping
from functools import lru_cache
from statistics import fmean
from typing import Any

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.plan import Plan
from spikebench.running.jobs.subject import initial_model

SURE, SECONDS = 12, 3.0
"""So many variants are timed however long it takes, and more as long as so many seconds are not over."""


@dataclasses.dataclass(frozen=True)
class Guess:
    """``parameters``: None for a variant that was not reached. ``seconds``: None if nothing trains, or not reached."""

    parameters: int | None
    seconds: float | None

    def spell(self) -> str:
        if self.parameters is None:
            return "?"
        if self.seconds is None:
            return "-"
        return f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.1f} min"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """``cells``: cell_id -> guess; ``timed`` of ``variants`` were built, drawn at random where these are too many.

    ``seconds``: training of all cells one after the other; one whose variant was not reached counts as the mean of the others.
    """

    cells: Mapping[str, Guess]
    seconds: float
    timed: int
    variants: int


def estimate(plan: Plan, threads: int) -> Estimate:
    """For workers of ``threads`` CPU threads; cells that differ in their seed alone are timed once."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return _estimate(plan)
    finally:
        torch.set_num_threads(before)


def _estimate(plan: Plan) -> Estimate:
    keys = {
        cell.cell_id: (cell.group_id, any(planned.is_training and not planned.done for planned in jobs))
        for cell, jobs in plan.cells
    }
    variants = {keys[cell.cell_id]: cell for cell, _ in reversed(plan.cells)}
    order = list(reversed(variants))
    if len(order) > SURE:
        random.Random(0).shuffle(order)
    known: dict[tuple[str, bool], Guess] = {}
    started = time.perf_counter()
    for key in order:
        if len(known) >= SURE and time.perf_counter() - started > SECONDS:
            break
        known[key] = _time_cell(variants[key], trains=key[1])
    missing = Guess(None, None)
    cells = {cell_id: known.get(key, missing) for cell_id, key in keys.items()}
    timed = [guess.seconds for guess in cells.values() if guess.seconds is not None]
    unknown = sum(trains and (group_id, trains) not in known for group_id, trains in keys.values())
    return Estimate(cells, sum(timed) + unknown * (fmean(timed) if timed else 0.0), len(known), len(variants))


def _time_cell(cell: Cell, trains: bool) -> Guess:
    import torch

    model = initial_model(cell)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if not trains or cell.training is None:
        return Guess(parameters, 0.0 if trains else None)
    options = cell.training.resolve("harnesses")
    images, labels, count = _batch(cell.dataset, options.batch_size)
    model.train()
    times = []
    for _ in range(2):
        started = time.perf_counter()
        torch.nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - started)
    return Guess(parameters, min(times) * -(-count // len(labels)) * options.epochs)


@lru_cache(maxsize=1)
def _batch(dataset: Choice, batch_size: int) -> tuple[Any, Any, int]:
    """The first images of the training split with their labels, and how many there are in all."""
    import torch

    data = REGISTRIES["datasets"].get(dataset.name)(dataset.resolve("datasets")).split("train")
    pairs = [data[index] for index in range(min(batch_size, len(data)))]
    images = torch.stack([torch.as_tensor(image) for image, _ in pairs])
    return images, torch.as_tensor([int(label) for _, label in pairs]), len(data)
