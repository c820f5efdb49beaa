"""What a trial is: the cell of its values, the jobs that it needs, or the reason why there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.core.search import ON_VALIDATION, Search, quantities
from spikebench.core.search_space import Values
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.running.jobs.events import Event, Measured


class RefusedError(Exception):
    """No network comes of these values, or one that breaks a limit that is known before training.

    ``violations``: constraint -> by how much; what the sampler learns from.
    """

    def __init__(self, reason: str, violations: dict[str, float]) -> None:
        super().__init__(reason)
        self.violations = violations


class Trials:
    """Makes cells and jobs of values, and numbers of finished jobs."""

    def __init__(self, suite: Suite, device: str) -> None:
        assert suite.search is not None
        self.suite = suite
        self.search: Search = suite.search
        self.device = device
        self.seed = suite.seeds[0]
        self.measures = tuple(trial_measures(suite))

    @property
    def exclusive(self) -> bool:
        """Whether a trial times something, so that nothing else may run beside it."""
        return any(REGISTRIES["harnesses"].get(choice.name).exclusive for choice in self.measures)

    def identity(self) -> dict[str, Any]:
        """What makes it another study; see ``Search.identity``."""
        suite = self.suite
        training = None if suite.training is None else suite.training.canonical("harnesses")
        return {
            **self.search.identity(),
            "base": {name: str(value) for name, value in self.search.space.base.items()},
            "dataset": str(suite.dataset.essential("datasets")),
            "train": training,
            "pretrain": None if suite.pretraining is None else suite.pretraining.canonical("harnesses"),
            "weights": None if suite.weights is None else suite.weights.sha256,
            "measure": [str(choice) for choice in self.measures],
            "seed": self.seed,
            "epochs": self.epochs,
        }

    @property
    def epochs(self) -> int:
        """The most epochs that a trial can have."""
        searched = next((p for p in self.search.space.parameters if p.name == "epochs"), None)
        if searched is not None:
            return int(searched.high if searched.kind == "int" else max(map(int, searched.choices)))
        return 0 if self.suite.training is None else int(self.suite.training.resolve("harnesses").epochs)

    def first(self) -> list[Values]:
        """What is tried before the sampler has its say: the grid's points, or the suite's own variants that lie in the space."""
        space = self.search.space
        if self.search.sampler.name == "grid":
            return list(space.points())
        found = []
        for variant in self.suite.variants:
            cell = self.suite.cell(variant, self.seed)
            values = space.values_of(cell)
            try:
                if values is not None and self.cell(values).cell_id == cell.cell_id:
                    found.append(values)
            except RefusedError:
                continue
        return found

    def cell(self, values: Values) -> Cell:
        """The cell of these values. Raises RefusedError."""
        from spikebench.networks import checks

        try:
            training = self.search.space.training(values, self.suite.training)
            if training is not None:
                training.resolve("harnesses")
            variant = self.search.space.variant(values)
            problems = checks.check(variant, self.suite.inputs)
        except InputError as error:
            problems = list(error.problems)
        if problems:
            reason = "; ".join(f"{problem.key}: {problem.message}" if problem.key else problem.message for problem in problems)
            raise RefusedError(f"no such network: {reason}", {"exists": 1.0})
        cell = self.suite.cell(checks.resolve(variant, self.suite.inputs), self.seed, training)
        self._check_limits(cell)
        return cell

    def _check_limits(self, cell: Cell) -> None:
        """``parameters`` is known as soon as the network is built: one that is too large is not trained."""
        limits = [c for c in self.search.constraints if str(c.quantity.selector) == "parameters"]
        if not limits:
            return
        from spikebench.running.jobs.subject import initial_model

        count = sum(parameter.numel() for parameter in initial_model(cell).parameters())
        broken = {limit.text: limit.violation(count) for limit in limits if limit.violation(count) > 0}
        if broken:
            raise RefusedError(f"{count:,} parameters: breaks {', '.join(broken)}; not trained", broken)

    def jobs(self, cell: Cell) -> tuple[Job, ...]:
        """Training, then the measurements that objectives and constraints need, on the validation split."""
        stages = [stage for stage in (cell.pretraining, cell.training) if stage is not None]
        return tuple(Job(cell, choice, self.device) for choice in (*stages, *self.measures))

    def records(self, jobs: Sequence[Job], store: ResultsFolder) -> list[Record]:
        """What the jobs left in the folder, and what is derived from it. Raises InputError if a job's file is missing."""
        from spikebench.reading.model.frame import derive

        found: list[Record] = []
        for job in jobs:
            file = store.find(job.job_id)
            if file is None:
                raise InputError(f"the results of {job.harness.name} cannot be read: {' | '.join(store.notices)}")
            found += file.records
        return [*found, *derive(found, self.suite.energy, self.suite.chips)]


def trial_measures(suite: Suite) -> Iterator[Choice]:
    """The suite's measurements that a trial needs: none of the test split, and timing only if it is asked for."""
    assert suite.search is not None
    wanted = {quantity.metric.name for quantity in quantities(suite.search)}
    derived = {metric.name for name in REGISTRIES["derivations"] for metric in REGISTRIES["derivations"].get(name).metrics}
    for choice in suite.measure:
        harness = REGISTRIES["harnesses"].get(choice.name)
        metrics = {metric.name for metric in harness.metrics}
        if metrics & set(ON_VALIDATION):
            continue  # it reads the test split; what a search asks of it comes with the training
        if metrics & wanted or (wanted & derived and not harness.exclusive):
            yield on_validation(choice)


def on_validation(choice: Choice) -> Choice:
    """The measurement with its option ``split`` set to validation, if it has one: a search never sees test images."""
    if "split" not in {field.name for field in dataclasses.fields(REGISTRIES["harnesses"].options(choice.name))}:
        return choice
    return Choice(choice.name, {**choice.options, "split": "validation"})


@dataclasses.dataclass(frozen=True)
class JobStopped:
    """A pruned trial's job was left as it was, resumable."""

    job_id: str


@dataclasses.dataclass(frozen=True)
class StoppableWork:
    """Work that ends a cell's jobs once a file of its id stands in ``signals_folder``, in the results folder: how a driver
    prunes elsewhere. Picklable, and ``Movable``."""

    work: Any
    signals_folder: Path

    def __call__(self, job: Job) -> Iterator[Event | JobStopped]:
        signal = self.signals_folder / job.cell.cell_id
        if signal.exists():
            yield JobStopped(job.job_id)
            return
        events = self.work(job)
        for event in events:
            yield event
            if isinstance(event, Measured) and signal.exists():
                events.close()
                yield JobStopped(job.job_id)
                return

    @property
    def folder(self) -> Path:
        """That of the work; see ``Movable``."""
        return Path(self.work.folder)

    def moved(self, folder: Path) -> StoppableWork:
        return StoppableWork(self.work.moved(folder), folder / self.signals_folder.relative_to(self.folder))

    def luggage(self, chain: Sequence[Job]) -> Mapping[str, Path]:
        return dict(self.work.luggage(chain))

    def signals(self, job: Job) -> Sequence[str]:
        return ((self.signals_folder / job.cell.cell_id).relative_to(self.folder).as_posix(),)
