"""How long a plan will take: a guess from two steps of each variant and each pre-training, timed on this machine."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from statistics import fmean
from typing import TYPE_CHECKING, Any

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.suite import dataset_of
from spikebench.running.jobs.plan import Plan, PlannedJob
from spikebench.running.jobs.subject import initial_model

if TYPE_CHECKING:
    from spikebench.training.loop import Training

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
    ``pretraining``: seconds of all pre-trainings, each once, however many cells share it.
    """

    cells: Mapping[str, Guess]
    seconds: float
    pretraining: float
    timed: int
    variants: int


def estimate(plan: Plan, threads: int, share: float | None = None) -> Estimate:
    """For workers of ``threads`` CPU threads; cells that differ in their seed alone are timed once.

    ``share``: end when more than this part of the time found so far has been spent on finding it, and ``SECONDS``; as soon as
    ``SURE`` variants are timed and ``SECONDS`` are over if not given.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return _estimate(plan, share)
    finally:
        torch.set_num_threads(before)


def _estimate(plan: Plan, share: float | None) -> Estimate:
    keys = {cell.cell_id: (cell.group_id, _trained_on(cell, jobs)) for cell, jobs in plan.cells}
    variants = {keys[cell.cell_id]: cell for cell, _ in reversed(plan.cells)}
    order = list(reversed(variants))
    if len(order) > SURE:
        random.Random(0).shuffle(order)
    known: dict[tuple[str, str | None], Guess] = {}
    started = time.perf_counter()
    for key in order:
        if _is_enough(list(known.values()), time.perf_counter() - started, share):
            break
        known[key] = _time_cell(variants[key], device=key[1])
        if len(known) == 1:
            started = time.perf_counter()  # what is loaded and compiled once is not what variants cost
    missing = Guess(None, None)
    cells = {cell_id: known.get(key, missing) for cell_id, key in keys.items()}
    timed = [guess.seconds for guess in cells.values() if guess.seconds is not None]
    pretraining = _pretraining(plan)
    unknown = sum(device is not None and (group_id, device) not in known for group_id, device in keys.values())
    return Estimate(cells, sum(timed) + unknown * (fmean(timed) if timed else 0.0), pretraining, len(known), len(variants))


def _is_enough(known: Sequence[Guess], spent: float, share: float | None) -> bool:
    if share is None:
        return len(known) >= SURE and spent > SECONDS
    return spent > max(SECONDS, share * sum(guess.seconds or 0.0 for guess in known))


def _trained_on(cell: Cell, jobs: Sequence[PlannedJob]) -> str | None:
    """The device of a training that is to be done."""
    return next((one.job.device for one in jobs if one.job.harness == cell.training and not one.done), None)


def _pretraining(plan: Plan) -> float:
    """Seconds of all that is to be pre-trained; what differs in its seed alone is timed once, and of many networks ``SURE``."""
    jobs = [planned.job for planned in plan.pending if planned.is_pretraining]
    groups = {(job.cell.group_id, job.device): job.cell for job in jobs}
    known = {key: _time_pretraining(groups[key], key[1]) for key in list(groups)[:SURE]}
    mean = fmean(known.values()) if known else 0.0
    return sum(known.get((job.cell.group_id, job.device), mean) for job in jobs)


def _time_pretraining(cell: Cell, device: str) -> float:
    from spikebench.training.pretraining import Pretraining, masked_model

    assert cell.pretraining is not None
    options = cell.pretraining.resolve("harnesses")
    dataset, place = _loaded(cell.dataset), _place(device)
    model = masked_model(cell.variant, dataset.inputs, options, cell.seed).to(place)
    training = Pretraining(model, dataset, options, seed=cell.seed, device=place)
    return _seconds(training, options.epochs)


def _time_cell(cell: Cell, device: str | None) -> Guess:
    """``device``: where its training runs, in the suite's own precision and with the training's own steps; None: it has none."""
    from spikebench.training.loop import Training

    model = initial_model(cell)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options = None if cell.training is None else cell.training.resolve("harnesses")
    if device is None or options is None or options.epochs == 0:
        return Guess(parameters, None if device is None else 0.0)
    place = _place(device)
    training = Training(model.to(place), _loaded(cell.dataset), options, seed=cell.seed, device=place)
    return Guess(parameters, _seconds(training, options.epochs))


def _place(device: str) -> Any:
    """Where steps are timed: on the CPU where this machine lacks the device that the workers have."""
    import torch

    return torch.device(device if device != "cuda" or torch.cuda.is_available() else "cpu")


def _seconds(training: Training, epochs: int) -> float:
    """Of all its epochs, by the faster of two steps."""
    return min(training.time_steps(2)) * training.steps_per_epoch * epochs


@lru_cache(maxsize=1)
def _loaded(choice: Choice) -> Any:
    """The data set with its splits read once, however many variants are timed on it."""
    found = dataset_of(choice)
    found.split = cache(found.split)
    return found
