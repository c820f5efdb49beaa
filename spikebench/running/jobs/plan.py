"""What a run has to do: which jobs, in which order, and which of them are there already."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.garbage import not_searched
from spikebench.core.registry import REGISTRIES, is_stage
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.running.jobs.identity import Identity, here
from spikebench.running.jobs.subject import has_weights
from spikebench.training import ranks

Finished = Mapping[str, Sequence[Path]]
"""job_id -> its finished files."""


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """``done``: the results folder has it, with the code that ``source_id`` names."""

    job: Job
    done: bool
    source_id: str = ""

    @property
    def exclusive(self) -> bool:
        return bool(REGISTRIES["harnesses"].get(self.job.harness.name).exclusive)

    @property
    def is_pretraining(self) -> bool:
        return self.job.harness == self.job.cell.pretraining

    @property
    def is_training(self) -> bool:
        return is_stage(self.job.harness.name)


ALONE = Choice("inline")
"""Who runs the jobs that must run alone where the suite's own launcher runs several."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """All jobs of a suite, by cell."""

    cells: tuple[tuple[Cell, tuple[PlannedJob, ...]], ...]

    @property
    def jobs(self) -> Iterator[PlannedJob]:
        """Each once: a pre-training is in the list of every cell that shares it, and is to do if any of them needs it."""
        found: dict[str, PlannedJob] = {}
        for job in (job for _, jobs in self.cells for job in jobs):
            if found.setdefault(job.job.job_id, job).done:
                found[job.job.job_id] = job
        yield from found.values()

    @property
    def pending(self) -> list[PlannedJob]:
        return [job for job in self.jobs if not job.done]

    @property
    def all_cells(self) -> list[Cell]:
        """Those of the suite, and those whose jobs their pre-trainings are."""
        return list({job.job.cell.cell_id: job.job.cell for job in self.jobs}.values())

    def pretraining_chains(self) -> list[list[Job]]:
        """What other cells start from, which is there before any of them begins."""
        return [[job.job] for job in self.pending if job.is_pretraining]

    def shared_chains(self) -> list[list[Job]]:
        """Jobs that may run side by side; each cell's in order, its training first."""
        chains = [
            [job.job for job in jobs if not job.done and not (job.exclusive or job.is_pretraining)] for _, jobs in self.cells
        ]
        return [chain for chain in chains if chain]

    def exclusive_chains(self) -> list[list[Job]]:
        """Jobs that run alone, after all others."""
        chains = [[job.job for job in jobs if not job.done and job.exclusive] for _, jobs in self.cells]
        return [chain for chain in chains if chain]


def launcher_of(suite: Suite) -> Choice:
    """What runs the other jobs: the suite's launcher, but under torchrun this process, which has the others' help."""
    return suite.launcher if ranks.here() is None else ALONE


def timing_launcher(suite: Suite) -> Choice:
    """What runs the jobs that run alone: the suite's launcher if it can keep other jobs away, else this process."""
    launcher = launcher_of(suite)
    member = REGISTRIES["launchers"].get(launcher.name)
    return launcher if member.alone or times_elsewhere(suite) else ALONE


def times_elsewhere(suite: Suite) -> bool:
    """Whether machines that the driver does not know run the jobs that run alone."""
    return bool(getattr(REGISTRIES["launchers"].get(suite.launcher.name), "exclusive", False))


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a suite's jobs run: the kind of device, and who measures there the jobs that run alone. Asks torch."""

    device: str
    identity: Identity


def place_of(suite: Suite) -> Place:
    """As this process sees it; CPU threads are as many as torch uses where a launcher lets nobody choose them. No ``machine_id``
    where other machines time: a time of any of them is one that the suite asks for."""
    threads = getattr(timing_launcher(suite).resolve("launchers"), "threads", 0)
    identity = here(threads)
    return Place(resolve_device(suite.device), Identity("", identity.source_id) if times_elsewhere(suite) else identity)


@not_searched()
def make_plan(suite: Suite, store: ResultsFolder, fresh: bool = False, place: Place | None = None) -> Plan:
    """Compare the suite with its results folder (which need not exist yet). ``fresh``: take nothing that is there. ``place``:
    asked for here if not given."""
    place = place or place_of(suite)
    finished = {} if fresh else store.finished()
    return Plan(tuple((cell, plan_cell(suite.jobs(cell, place.device), store, place.identity, finished)) for cell in suite.cells))


def plan_cell(
    jobs: Sequence[Job], store: ResultsFolder, identity: Identity, finished: Finished | None = None
) -> tuple[PlannedJob, ...]:
    """A training counts as done as long as nothing pending needs its weights or these are there.

    ``identity``: of who measures the jobs that run alone. ``finished``: the files that may be taken; those that are there if not
    given.
    """
    if finished is None:
        finished = {job.job_id: paths for job in jobs if (paths := store.files_of(job.job_id))}
    planned = [_planned(job, store, finished, identity) for job in jobs]
    needed = False
    # Backwards: measurements need what was trained last, a training that is to be done again what was pre-trained.
    for index in reversed(range(len(planned))):
        job = planned[index]
        if job.is_training:
            if job.done and needed and not has_weights(store.weights_folder(job.job.cell.cell_id)):
                planned[index] = dataclasses.replace(job, done=False)
            needed = not planned[index].done
        else:
            needed |= not job.done and REGISTRIES["harnesses"].get(job.job.harness.name).needs_weights
    if not all(job.done for job in planned):
        store.known = None  # files will change, and what they hold is not held while jobs run
    return tuple(planned)


def _planned(job: Job, store: ResultsFolder, finished: Finished, identity: Identity) -> PlannedJob:
    if job.job_id not in finished:
        return PlannedJob(job, done=False)
    exclusive = REGISTRIES["harnesses"].get(job.harness.name).exclusive
    # A time is of one machine; anything else may come from a folder that another machine has filled.
    found = store.find(job.job_id, (identity.machine_id or None) if exclusive else None, finished)
    done = found is not None and found.done
    return PlannedJob(job, done, str(found.header["source_id"]) if found is not None and done else "")


def resolve_device(name: str) -> str:
    """``auto`` is the GPU where there is one."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
