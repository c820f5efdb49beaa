"""A search: an Optuna study over a suite's space, whose trials are cells of the suite's results folder.

Drivers alone write the study (ask and tell); workers only do jobs. What a trial found is in the folder before the study is
told, so a kill loses nothing: trials that were running wait again, keep their values, and take up their jobs.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from spikebench.core.cells import Cell, Job, digest
from spikebench.core.errors import storage_errors
from spikebench.core.plans import Line, Plans, lines_of
from spikebench.core.registry import REGISTRIES
from spikebench.core.search_space import Values
from spikebench.core.store import ResultsFolder
from spikebench.running.jobs.care import care_of
from spikebench.running.jobs.deaths import Deaths
from spikebench.running.jobs.events import Crew, Event, JobEnded, Measured, Notice
from spikebench.running.jobs.execute import Executor
from spikebench.running.jobs.plan import PlannedJob, launcher_of, place_of, plan_cell, timing_launcher
from spikebench.running.search.ledger import Ledger
from spikebench.running.search.outcome import Outcome, Running, report_epoch, state_of, unless_told
from spikebench.running.search.study import SearchStudy
from spikebench.running.search.trial import JobStopped, RefusedError, StoppableWork, Trials
from spikebench.running.search.twins import Twins

if TYPE_CHECKING:
    from optuna import Trial

POLL = 1.0
"""Seconds from one look for what other drivers have done to the next, for who has nothing else to do."""


class Searcher:
    """Asks, runs and tells until enough trials are done. ``watch`` is called with every trial's outcome."""

    def __init__(self, trials: Trials, store: ResultsFolder, study: SearchStudy, watch: Callable[[Outcome], None]) -> None:
        self.trials = trials
        self.search = trials.search
        self.store = store
        self.study = study
        self.ledger = Ledger(trials, store, study, watch)
        self.running: dict[str, Running] = {}
        self.failed: dict[str, str] = {}
        self.started = time.monotonic()
        self._signals = store.path / "stop"
        self._plan = ("search", trials.device, digest(trials.identity()))
        self._planned: set[Line] = set()
        self._deaths = Deaths(store.path)
        self._twins = Twins(study)
        self._place = place_of(trials.suite)

    @property
    def done(self) -> int:
        return self.ledger.done

    @property
    def failures(self) -> int:
        return self.ledger.failures

    def events(self) -> Generator[Event]:
        """Run to the end. Closing it, or an exception, puts running trials back. Raises InputError where an objective matches
        no record or several, and where hardly a network of the space may exist.
        """
        self.study.put_back()
        shutil.rmtree(self._signals, ignore_errors=True)
        self._keep_plan()
        with self.study.deciding():
            if self.study.is_new:
                self.study.begin(self.trials.first())
        launcher = timing_launcher(self.trials.suite) if self.trials.exclusive else launcher_of(self.trials.suite)
        member = REGISTRIES["launchers"].get(launcher.name)(launcher.resolve("launchers"))
        executor = Executor(self.store.path, own=self.trials.suite.own)
        work = StoppableWork(executor, self._signals)
        care = care_of(self.trials.suite, [self.trials.suite.training], self.trials.device, executor)
        care = dataclasses.replace(care, exclusive=self.trials.exclusive)
        try:
            while True:
                for event in member.run(self._chains(), work, care):
                    yield from self._note(event)
                if not self._twins.followers:
                    break
                time.sleep(POLL)
        finally:
            self.study.put_back()
            shutil.rmtree(self._signals, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------------------------------------

    def _chains(self) -> Iterator[list[Job]]:
        """Jobs of the next trial, each time a launcher has room for them; trials that need none are told at once."""
        while True:
            yield from self._followed()
            with self.study.deciding():
                if not self._wanted():
                    return
                trial, values = self.study.ask()
            try:
                cell = self.trials.cell(values)
            except RefusedError as refusal:
                self.ledger.refuse(trial, values, refusal)
                continue
            self.ledger.refusals = 0
            chain = self._begin(trial, values, cell)
            if chain:
                yield chain

    def _followed(self) -> Iterator[list[Job]]:
        """Tell trials whose network another driver has run; what it left undone is done here."""
        for one, leader in self._twins.ready():
            if leader is not None:
                self.ledger.copy(one.trial, one.values, leader)
            elif chain := self._begin(one.trial, one.values, one.cell):
                yield chain

    def _wanted(self) -> bool:
        running = sum(len(running.trials) for running in self.running.values())
        if self.study.drivers is not None:
            self.study.drivers.put_back_lost()
            self.ledger.done, running = self.study.counts()
        if self.search.timeout is not None and time.monotonic() - self.started >= self.search.timeout:
            return False
        if self.search.sampler.name == "grid" and not any(trial.state.name == "WAITING" for trial in self.study.trials):
            return False
        return self.done + self.failures + running < self.search.trials

    def want(self, jobs: Iterable[Job]) -> None:
        """Put jobs into the folder's plan of this search: reports show them. Raises StorageError."""
        self._want(lines_of(jobs))

    def _want(self, lines: Iterable[Line]) -> None:
        new = [line for line in lines if line not in self._planned]
        self._planned.update(new)
        if new:
            with storage_errors(self.store.path):
                Plans(self.store.path).add(*self._plan, new)

    def _keep_plan(self) -> None:
        """An earlier search with another space is not wanted any more; what stands in a folder without plans is."""
        with storage_errors(self.store.path):
            plans = Plans(self.store.path)
            known = plans.any()
            plans.forget(*self._plan)
            self._planned = plans.lines(*self._plan)
        if not known:
            self._want((file.header["job_id"], file.header["cell_id"]) for file in self.store.job_files())
        if self.study.drivers is not None:
            # Files of other drivers may have been copied here; their plans have this one's name.
            told = [trial for trial in self.study.trials if state_of(trial) in ("complete", "pruned")]
            self.want(job for trial in told for job in self.trials.jobs(self.trials.cell(trial.params)))

    def _begin(self, trial: Trial, values: Values, cell: Cell) -> list[Job]:
        """Jobs that must run for this trial; none if its cell is known, or in work already."""
        leader = self._twins.claim(trial, cell.cell_id)
        jobs = self.trials.jobs(cell)
        self.want(jobs)
        if cell.cell_id in self.failed:
            self.ledger.fail(trial, values, self.failed[cell.cell_id], cached=True)
            return []
        if cell.cell_id in self.ledger.known_pruned:
            self.ledger.pruned(trial, values, self.ledger.known_pruned[cell.cell_id].intermediate_values, cached=True)
            return []
        if cell.cell_id in self.running:
            self.running[cell.cell_id].trials.append((trial, values))
            return []
        planned = plan_cell(jobs, self.store, self._place.identity)
        pending = [job for job in planned if not job.done]
        if not pending:
            self.ledger.tell(trial, values, jobs, cached=True)
            return []
        if leader is not None:
            if leader.state.is_finished():
                self.ledger.copy(trial, values, leader)
            else:
                self._twins.follow(trial, values, cell, leader)
            return []
        self._prepare(cell, pending)
        chain = [job.job for job in pending]
        remaining = {job.job_id for job in chain}
        self.running[cell.cell_id] = Running(cell, jobs, remaining, [(trial, values)], time.monotonic())
        return chain

    def _prepare(self, cell: Cell, pending: list[PlannedJob]) -> None:
        self.store.put_facts("cells", cell.cell_id, cell.to_plain())
        if any(job.is_training for job in pending):
            # Weights of an earlier training would let the measurements of a failed one pass.
            (self.store.weights_folder(cell.cell_id) / "weights.pt").unlink(missing_ok=True)

    # -- watching ------------------------------------------------------------------------------------------------------------

    def _note(self, event: Event | JobStopped) -> Iterator[Event]:
        running = next((r for r in self.running.values() if event.job_id in r.remaining), None)
        if isinstance(event, (Notice, Crew)) and (told := self._deaths.settle(event, lambda job_id: None)):
            yield told
        if running is None:
            return
        if not isinstance(event, JobStopped):
            settled = self._deaths.settle(event, {job.job_id: job for job in running.jobs}.get)
            assert settled is not None, "the job is one of the running cell's"
            event = settled
        if isinstance(event, Measured):
            self._consider(running, event)
        elif isinstance(event, (JobEnded, JobStopped)):
            running.remaining.discard(event.job_id)
            if isinstance(event, JobEnded) and event.failure:
                running.failure = running.failure or event.failure
        if not isinstance(event, JobStopped):
            yield event
        if not running.remaining:
            self._end(running)

    def _consider(self, running: Running, event: Measured) -> None:
        """Report an epoch's validation accuracy, and stop the cell's jobs if the pruner says so."""
        epoch, value = event.record.conditions.get("epoch"), event.record.value
        if not self.search.prunes or event.record.metric != "epoch_accuracy" or not isinstance(epoch, int) or value is None:
            return
        for trial, _ in running.trials:
            with unless_told():
                report_epoch(trial, value, epoch)
        if not running.stopped and running.trials[0][0].should_prune():
            running.stopped = True
            self._signals.mkdir(exist_ok=True)
            (self._signals / running.cell.cell_id).touch()

    # -- telling -------------------------------------------------------------------------------------------------------------

    def _end(self, running: Running) -> None:
        del self.running[running.cell.cell_id]
        (self._signals / running.cell.cell_id).unlink(missing_ok=True)
        pruned = running.stopped and not all(self.store.find(job.job_id) for job in running.jobs)
        for index, (trial, values) in enumerate(running.trials):
            with unless_told():
                trial.set_user_attr("seconds", time.monotonic() - running.started)
                if running.failure:
                    self.failed[running.cell.cell_id] = running.failure
                    self.ledger.fail(trial, values, running.failure, cached=index > 0)
                elif pruned:
                    self.ledger.pruned(trial, values, {}, cached=index > 0)
                else:
                    self.ledger.tell(trial, values, running.jobs, cached=index > 0)
