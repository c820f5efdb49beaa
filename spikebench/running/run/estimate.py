"""How long a plan will take: a guess from a step or two of each variant and each pre-training, timed on this machine."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.core.cells import Cell
from spikebench.running.jobs.plan import Plan, PlannedJob
from spikebench.running.launchers._apart import Call, here
from spikebench.running.run import step_times
from spikebench.running.run.step_times import Guess, Wanted


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


def estimate(plan: Plan, threads: int, share: float | None = None, call: Call = here) -> Estimate:
    """For workers of ``threads`` CPU threads; cells that differ in their seed alone are timed once. ``share``: see ``Wanted``.
    ``call``: where steps are timed, which loads torch."""
    keys = {cell.cell_id: (cell.group_id, _trained_on(cell, jobs)) for cell, jobs in plan.cells}
    variants = {keys[cell.cell_id]: cell for cell, _ in reversed(plan.cells)}
    order = list(reversed(variants))
    if len(order) > step_times.SURE:
        random.Random(0).shuffle(order)
    jobs = [planned.job for planned in plan.pending if planned.is_pretraining]
    groups = {(job.cell.group_id, job.device): job.cell for job in jobs}
    before = list(groups)[: step_times.SURE]
    wanted = Wanted(
        [(variants[key], key[1]) for key in order], [(groups[key], key[1]) for key in before], threads=threads, share=share
    )
    guesses, pretrainings = call(step_times.time_steps, wanted)
    known = dict(zip(order, guesses, strict=False))
    missing = Guess(None, None)
    cells = {cell_id: known.get(key, missing) for cell_id, key in keys.items()}
    timed = [guess.seconds for guess in cells.values() if guess.seconds is not None]
    unknown = sum(device is not None and (group_id, device) not in known for group_id, device in keys.values())
    return Estimate(
        cells,
        seconds=sum(timed) + unknown * (fmean(timed) if timed else 0.0),
        pretraining=_sum([(job.cell.group_id, job.device) for job in jobs], dict(zip(before, pretrainings, strict=True))),
        timed=len(known),
        variants=len(variants),
    )


def _sum(wanted: Sequence[tuple[str, str]], known: Mapping[tuple[str, str], float]) -> float:
    """Of all, one that is not known as the mean of the others."""
    mean = fmean(known.values()) if known else 0.0
    return sum(known.get(key, mean) for key in wanted)


def _trained_on(cell: Cell, jobs: Sequence[PlannedJob]) -> str | None:
    """The device of a training that is to be done."""
    return next((one.job.device for one in jobs if one.job.harness == cell.training and not one.done), None)
