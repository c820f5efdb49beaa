"""Fill a results folder with all that a suite asks for and does not have yet."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from spikebench.core import lock, yaml_nodes
from spikebench.core.cells import Job
from spikebench.core.choice import Choice
from spikebench.core.errors import StorageError, storage_errors
from spikebench.core.garbage import not_searched
from spikebench.core.plans import Plans, lines_of
from spikebench.core.protocols import Care
from spikebench.core.registry import REGISTRIES
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.running.jobs.care import care_of
from spikebench.running.jobs.deaths import Deaths
from spikebench.running.jobs.events import Event, JobEnded, Notice
from spikebench.running.jobs.execute import Executor, log
from spikebench.running.jobs.plan import Place, Plan, launcher_of, make_plan, place_of, timing_launcher
from spikebench.running.launchers._apart import Call
from spikebench.running.run.limits import AS_THE_SUITE, Limits
from spikebench.running.run.placement import Expected, longest_first
from spikebench.running.run.survey import survey
from spikebench.running.run.weights_budget import WeightsBudget


@dataclasses.dataclass
class Run:
    """A suite bound to its results folder. ``failures``: job id -> reason, and ``changed``: whether anything new was
    written, are known when ``events`` has run. ``whole``: the plan is all that the suite wants of its folder. ``locked``: this
    process keeps other drivers out already. ``seen``: when the folder's jobs were last changed before the plan was made.
    ``expected``: how long cells take, by which the longest are begun first.
    ``max_weights``: bytes that weights may take (``weights_budget``)."""

    suite: Suite
    store: ResultsFolder
    plan: Plan
    failures: dict[str, str] = dataclasses.field(default_factory=dict)
    changed: bool = False
    fresh: bool = False
    whole: bool = True
    locked: bool = False
    seen: int | None = None
    place: Place | None = None
    expected: Expected = dataclasses.field(default_factory=dict)
    wait: bool = True
    max_weights: int | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other drivers out of the folder; what one has done since the plan was made is planned no more. Where there is
        nothing to do, nothing is locked. Raises StorageError saying who is there already."""
        if self.locked or not (self.plan.pending or self._text() != self.store.suite_text()):
            yield
            return
        self.store.create()
        with lock.alone(self.store.path, "spikebench run") as notices:
            self.store.notices += notices
            if _last_change(self.store) != self.seen:
                self.plan = make_plan(self.suite, self.store, self.fresh, self.place)
            self.locked = True
            try:
                yield
            finally:
                self.locked = False

    def events(self) -> Iterator[Event]:
        """Do the pending jobs, alone in the folder. Closing it, or Ctrl-C, leaves a folder from which the next run goes on."""
        with self.alone():
            yield from self._events()

    def _events(self) -> Iterator[Event]:
        self._prepare()
        started, pending = time.perf_counter(), len(self.plan.pending)
        jobs = {planned.job.job_id: planned.job for planned in self.plan.jobs}
        work, deaths = Executor(self.store.path, self.fresh, self.suite.own), Deaths(self.store.path)
        care = care_of(self.suite, (job.harness for job in jobs.values()), self._device, work)
        phases: Sequence[tuple[Choice, Sequence[Sequence[Job]], Care]] = (
            (launcher_of(self.suite), self.plan.pretraining_chains(), care),
            (launcher_of(self.suite), longest_first(self.plan.shared_chains(), self.expected), care),
            (timing_launcher(self.suite), self.plan.exclusive_chains(), dataclasses.replace(care, exclusive=True)),
        )
        left = {planned.job.job_id: planned.job for planned in self.plan.pending}
        budget = WeightsBudget(self.store, self.max_weights)
        yield from self._kept(budget, left, deaths)
        phases = [phase for phase in phases if phase[1]]
        # What comes later needs what comes first, and is handed over by a run that finds that done.
        for launcher, chains, cared in phases if self.wait else phases[:1]:
            cared = dataclasses.replace(cared, wait=self.wait)
            running = REGISTRIES["launchers"].get(launcher.name)(launcher.resolve("launchers")).run(chains, work, cared)
            for happened in running:
                event = deaths.settle(happened, jobs.get)
                if isinstance(event, JobEnded) and event.failure:
                    self.failures[event.job_id] = event.failure
                if event is not None:
                    yield event
                if isinstance(event, JobEnded) and not event.failure:
                    left.pop(event.job_id, None)
                    yield from self._kept(budget, left, deaths)
        if pending:
            log(self.store.path, "ended", suite=self.suite.name, seconds=round(time.perf_counter() - started, 1))

    def _kept(self, budget: WeightsBudget, left: Mapping[str, Job], deaths: Deaths) -> Iterator[Event]:
        for text in budget.keep(left.values()):
            event = deaths.settle(Notice(text), left.get)
            if event is not None:
                yield event

    @property
    def _device(self) -> str:
        return next((planned.job.device for planned in self.plan.jobs), "cpu")

    @property
    def workers(self) -> int:
        """How many jobs run side by side. Raises InputError where there is nothing to run them on."""
        launcher = launcher_of(self.suite)
        member = REGISTRIES["launchers"].get(launcher.name)(launcher.resolve("launchers"))
        if not hasattr(member, "workers_for"):
            return int(member.workers)
        return int(member.workers_for(care_of(self.suite, (planned.job.harness for planned in self.plan.jobs), self._device)))

    @not_searched()
    def _prepare(self) -> None:
        """Bring the folder up to the suite: what is absent or cannot be read is written, be anything to run or not. Where nothing
        has changed, nothing is written (a read-only folder can be read)."""
        text = self._text()
        if text != self.store.suite_text():
            self.store.create()
            self.store.put_suite(text)
            self.changed = True
        for cell in self.plan.all_cells:
            if not self.store.has_facts("cells", cell.cell_id):
                self.changed |= self.store.put_facts("cells", cell.cell_id, cell.to_plain())
        self._keep_plan()
        if not self.plan.pending:
            return
        self.changed = True
        self.store.create()
        for planned in self.plan.pending:
            if planned.is_training:
                # Weights of an earlier training would let the measurements of a failed one pass.
                (self.store.weights_folder(planned.job.cell.cell_id) / "weights.pt").unlink(missing_ok=True)
        log(self.store.path, "run", suite=self.suite.name, pending=len(self.plan.pending))

    def _keep_plan(self) -> None:
        jobs = [planned.job for planned in self.plan.jobs]
        if not self.whole or not jobs:
            return
        try:
            with storage_errors(self.store.path):
                self.changed |= Plans(self.store.path).replace("run", jobs[0].device, lines_of(jobs))
        except StorageError:
            # A folder that may only be read is read as it is; one that must be written says so with its first job.
            if self.plan.pending:
                raise

    def _text(self) -> str:
        text: str = yaml.safe_dump(dict(self.suite.data), sort_keys=False, allow_unicode=True)
        return text


def open_run(
    path: str | Path,
    results: str | Path,
    fresh: bool = False,
    limits: Limits = AS_THE_SUITE,
    planned: Call | None = None,
) -> Run:
    """Read a suite file and find out what is to do. Writes nothing. It is going to be done, the longest first; where it is only
    ``planned``, what only torch can tell is asked there.

    Raises InputError for a bad suite, StorageError if ``results`` holds another suite's folder of this name.
    """
    begins = planned is None
    found = survey(path, limits, Path(results) if begins else None, fresh, planned)
    run = bind(found.suite, Path(results) / found.suite.name, fresh, found.place, known={} if begins else None)
    return dataclasses.replace(run, expected=found.expected)


def bind(
    suite: Suite, folder: Path, fresh: bool = False, place: Place | None = None, known: dict[Path, Any] | None = None
) -> Run:
    """A suite with the folder that it fills; see ``open_run``. ``place``: where its jobs will run, asked for if not given.
    ``known``: where what is read is kept for the report, as long as nothing is found that is to be done."""
    store = ResultsFolder(folder, known)
    text = store.suite_text()
    if text is not None:
        path = folder / "suite.yaml"
        there = yaml_nodes.parse(text, str(path)).data
        name = there.get("suite") if isinstance(there, dict) else None
        if not isinstance(name, str):
            raise StorageError(f"{path}: damaged: it names no suite; remove it if the folder is of {suite.name!r}")
        if name != suite.name:
            raise StorageError(f"{path}: holds results of the suite {name!r}, not of {suite.name!r}; give another --results")
    elif folder.is_dir() and any(folder.iterdir()) and not (folder / "jobs").is_dir():
        raise StorageError(f"{folder}: is not empty and not a results folder; give another --results")
    seen = _last_change(store)
    place = place or place_of(suite)
    return Run(suite, store, make_plan(suite, store, fresh, place), fresh=fresh, seen=seen, place=place)


def _last_change(store: ResultsFolder) -> int | None:
    """Something that is another when a job has been finished since; None where none is."""
    jobs = store.path / "jobs"
    try:
        return jobs.stat().st_mtime_ns if any(jobs.iterdir()) else None
    except OSError:
        return None
