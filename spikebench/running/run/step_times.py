"""How long a step of each training takes on this machine. Only what is called here loads torch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Hashable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.garbage import not_searched, set_aside
from spikebench.core.suite import dataset_of
from spikebench.running.jobs.subject import initial_model

if TYPE_CHECKING:
    from spikebench.training.loop import Training

SURE, SECONDS = 12, 1.5
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
class Wanted:
    """What is to be timed, for workers of ``threads`` CPU threads: ``trainings``, each with the device of its jobs (None: it has
    none to do), as many from the first on as there is time for; all of ``pretrainings``.

    ``share``: end when more than this part of the time found so far has been spent on finding it, and ``SECONDS``; as soon as
    ``SURE`` variants are timed and ``SECONDS`` are over if not given.
    """

    trainings: Sequence[tuple[Cell, str | None]]
    pretrainings: Sequence[tuple[Cell, str]]
    threads: int
    share: float | None


def time_steps(wanted: Wanted) -> tuple[list[Guess], list[float]]:
    """A guess for each training that was reached, and seconds of each pre-training."""
    with not_searched():
        import torch

        import spikebench.training.pretraining  # noqa: F401

    before = torch.get_num_threads()
    torch.set_num_threads(wanted.threads or before)
    try:
        with set_aside():
            return _time_cells(wanted), [_time_pretraining(cell, device) for cell, device in wanted.pretrainings]
    finally:
        torch.set_num_threads(before)


def _time_cells(wanted: Wanted) -> list[Guess]:
    known: list[Guess] = []
    warm: set[Hashable] = set()
    started = time.perf_counter()
    for cell, device in wanted.trainings:
        if _is_enough(known, time.perf_counter() - started, wanted.share):
            break
        known.append(_time_cell(cell, device, steps=1 if (device, _kernels(cell)) in warm else 2))
        if device == "cpu":
            warm.add((device, _kernels(cell)))
        if len(known) == 1:
            started = time.perf_counter()  # what is loaded and compiled once is not what variants cost
    return known


def _kernels(cell: Cell) -> Hashable:
    """What decides which kernels a training on the CPU compiles, or reads from numba's cache, in its first step. Where they are
    there already, a first step takes 3 % more than later ones, and the training 9 % more than the best of two foretells
    (``tests/running/run/cell_times.csv``): a second one would tell no more."""
    return cell.variant.family, cell.variant.neuron, cell.variant.surrogate, cell.training


def _is_enough(known: Sequence[Guess], spent: float, share: float | None) -> bool:
    if share is None:
        return len(known) >= SURE and spent > SECONDS
    return spent > max(SECONDS, share * sum(guess.seconds or 0.0 for guess in known))


def _time_pretraining(cell: Cell, device: str) -> float:
    from spikebench.training.pretraining import Pretraining, masked_model

    assert cell.pretraining is not None
    options = cell.pretraining.resolve("harnesses")
    dataset, place = _loaded(cell.dataset), _place(device)
    model = masked_model(cell.variant, dataset.inputs, options, cell.seed).to(place)
    training = Pretraining(model, dataset, options, seed=cell.seed, device=place)
    return _seconds(training, options.epochs, steps=2)


def _time_cell(cell: Cell, device: str | None, steps: int) -> Guess:
    """``device``: where its training runs, in the suite's own precision and with the training's own steps; None: it has none."""
    from spikebench.training.loop import Training

    model = initial_model(cell)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options = None if cell.training is None else cell.training.resolve("harnesses")
    if device is None or options is None or options.epochs == 0:
        return Guess(parameters, None if device is None else 0.0)
    place = _place(device)
    training = Training(model.to(place), _loaded(cell.dataset), options, seed=cell.seed, device=place)
    return Guess(parameters, _seconds(training, options.epochs, steps))


def _place(device: str) -> Any:
    """Where steps are timed: on the CPU where this machine lacks the device that the workers have."""
    import torch

    return torch.device(device if device != "cuda" or torch.cuda.is_available() else "cpu")


def _seconds(training: Training, epochs: int, steps: int) -> float:
    """Of all its epochs, by the fastest of so many steps."""
    return min(training.time_steps(steps)) * training.steps_per_epoch * epochs


@lru_cache(maxsize=1)
def _loaded(choice: Choice) -> Any:
    """The data set with its splits read once, however many variants are timed on it."""
    found = dataset_of(choice)
    found.split = cache(found.split)
    return found
