"""A search: an Optuna study over a suite's space, whose trials are cells of the suite's results folder.

The driver alone writes the study (ask and tell); workers only do jobs. What a trial found is in the folder before the study is
told, so a kill loses nothing: trials that were running wait again, keep their values, and take up their jobs.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from spikebench.core.cells import Cell, Job, digest
from spikebench.core.errors import InputError, storage_errors
from spikebench.core.plans import Line, Plans, lines_of
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.core.search import Constraint, NoValueError, Objective, value_of
from spikebench.core.search_space import Values
from spikebench.core.store import ResultsFolder
from spikebench.running.jobs.care import care_of
from spikebench.running.jobs.deaths import Deaths
from spikebench.running.jobs.events import Crew, Event, JobEnded, Measured, Notice
from spikebench.running.jobs.execute import Executor
from spikebench.running.jobs.plan import PlannedJob, launcher_of, place_of, plan_cell, timing_launcher
from spikebench.running.search.outcome import Outcome, Running, State, constrain, report_epoch, state_of
from spikebench.running.search.study import SearchStudy
from spikebench.running.search.trial import JobStopped, RefusedError, StoppableWork, Trials

if TYPE_CHECKING:
    from optuna import Trial

MOST_REFUSALS = 200
"""So many refusals in a row mean that the space has hardly a network that may be trained."""


class Searcher:
    """Asks, runs and tells until enough trials are done. ``watch`` is called with every trial's outcome."""

    def __init__(self, trials: Trials, store: ResultsFolder, study: SearchStudy, watch: Callable[[Outcome], None]) -> None:
        self.trials = trials
        self.search = trials.search
        self.store = store
        self.study = study
        self.watch = watch
        self.running: dict[str, Running] = {}
        self.failed: dict[str, str] = {}
        self.failures = 0
        self.refusals = 0
        self.started = time.monotonic()
        self._signals = store.path / "stop"
        self._plan = ("search", trials.device, digest(trials.identity()))
        self._planned: set[Line] = set()
        self._deaths = Deaths(store.path)
        self._place = place_of(trials.suite)
        states = [(state_of(trial), trial) for trial in study.trials]
        self._pruned = {trial.user_attrs["cell_id"]: trial for state, trial in states if state == "pruned"}
        self.done = sum(state in ("complete", "pruned") for state, _ in states)
        """Trials of the study that count: those complete, and those that a pruner has ended."""

    def events(self) -> Generator[Event]:
        """Run to the end. Closing it, or an exception, puts running trials back. Raises InputError where an objective matches
        no record or several, and where hardly a network of the space may exist.
        """
        self.study.put_back()
        shutil.rmtree(self._signals, ignore_errors=True)
        self._keep_plan()
        if self.study.is_new:
            self.study.begin(self._first())
        launcher = timing_launcher(self.trials.suite) if self.trials.exclusive else launcher_of(self.trials.suite)
        member = REGISTRIES["launchers"].get(launcher.name)(launcher.resolve("launchers"))
        executor = Executor(self.store.path, own=self.trials.suite.own)
        work = StoppableWork(executor, self._signals)
        care = care_of(self.trials.suite, [self.trials.suite.training], self.trials.device, executor)
        care = dataclasses.replace(care, exclusive=self.trials.exclusive)
        try:
            for event in member.run(self._chains(), work, care):
                yield from self._note(event)
        finally:
            self.study.put_back()
            shutil.rmtree(self._signals, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------------------------------------

    def _first(self) -> list[Values]:
        """What is tried before the sampler has its say: the grid's points, or the suite's own variants that lie in the space."""
        space = self.search.space
        if self.search.sampler.name == "grid":
            return list(space.points())
        found = []
        for variant in self.trials.suite.variants:
            cell = self.trials.suite.cell(variant, self.trials.seed)
            values = space.values_of(cell)
            try:
                if values is not None and self.trials.cell(values).cell_id == cell.cell_id:
                    found.append(values)
            except RefusedError:
                continue
        return found

    def _chains(self) -> Iterator[list[Job]]:
        """Jobs of the next trial, each time a launcher has room for them; trials that need none are told at once."""
        while self._wanted():
            trial, values = self.study.ask()
            try:
                cell = self.trials.cell(values)
            except RefusedError as refusal:
                self._refuse(trial, values, refusal)
                continue
            self.refusals = 0
            chain = self._begin(trial, values, cell)
            if chain:
                yield chain

    def _wanted(self) -> bool:
        if self.search.timeout is not None and time.monotonic() - self.started >= self.search.timeout:
            return False
        if self.search.sampler.name == "grid" and not any(trial.state.name == "WAITING" for trial in self.study.trials):
            return False
        under_way = sum(len(running.trials) for running in self.running.values())
        return self.done + self.failures + under_way < self.search.trials

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

    def _begin(self, trial: Trial, values: Values, cell: Cell) -> list[Job]:
        """Jobs that must run for this trial; none if its cell is known, or in work already."""
        trial.set_user_attr("cell_id", cell.cell_id)
        jobs = self.trials.jobs(cell)
        self.want(jobs)
        if cell.cell_id in self.failed:
            self._fail(trial, values, self.failed[cell.cell_id], cached=True)
            return []
        if cell.cell_id in self._pruned:
            self._tell_pruned(trial, values, self._pruned[cell.cell_id].intermediate_values, cached=True)
            return []
        if cell.cell_id in self.running:
            self.running[cell.cell_id].trials.append((trial, values))
            return []
        planned = plan_cell(jobs, self.store, self._place.identity)
        pending = [job for job in planned if not job.done]
        if not pending:
            self._tell(trial, values, jobs, cached=True)
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
            trial.set_user_attr("seconds", time.monotonic() - running.started)
            if running.failure:
                self.failed[running.cell.cell_id] = running.failure
                self._fail(trial, values, running.failure, cached=index > 0)
            elif pruned:
                self._tell_pruned(trial, values, {}, cached=index > 0)
            else:
                self._tell(trial, values, running.jobs, cached=index > 0)

    def _tell(self, trial: Trial, values: Values, jobs: tuple[Job, ...], cached: bool) -> None:
        """A cell's numbers, from its records in the folder. Raises InputError where they are missing or ambiguous."""
        records = self.trials.records(jobs, self.store)
        try:
            found = self._numbers("objectives", self.search.objectives, records)
            limits = self._numbers("constraints", self.search.constraints, records)
        except NoValueError as error:
            self._fail(trial, values, str(error), cached)
            return
        violations = {c.text: c.violation(value) for c, value in zip(self.search.constraints, limits, strict=True)}
        constrain(trial, violations)
        if self.search.prunes:
            for record in records:
                if record.metric == "epoch_accuracy" and record.value is not None:
                    report_epoch(trial, record.value, int(record.conditions["epoch"]))
        if cached:
            trial.set_user_attr("cached", True)
        self.study.study.tell(trial, found)
        self.done += 1
        feasible = all(violation <= 0 for violation in violations.values())
        self._say(trial, "complete", values, tuple(found), feasible, cached=cached)

    def _numbers(self, key: str, wanted: Sequence[Objective | Constraint], records: list[Record]) -> list[float]:
        found = []
        for index, item in enumerate(wanted):
            try:
                found.append(value_of(item.quantity, records))
            except NoValueError:
                raise
            except InputError as error:
                raise InputError(self.trials.suite.document.problem(("search", key, index), str(error))) from None
        return found

    def _tell_pruned(self, trial: Trial, values: Values, epochs: Mapping[int, float], cached: bool) -> None:
        from optuna.trial import TrialState

        for epoch, value in epochs.items():
            report_epoch(trial, value, epoch)
        told = self.study.study.tell(trial, state=TrialState.PRUNED)
        self.done += 1
        self._pruned.setdefault(told.user_attrs["cell_id"], told)
        reason = f"stopped after epoch {max(told.intermediate_values)}" if told.intermediate_values else "stopped"
        self._say(trial, "pruned", values, reason=reason, cached=cached)

    def _fail(self, trial: Trial, values: Values, reason: str, cached: bool) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr("reason", reason)
        self.failures += 1
        self.study.study.tell(trial, state=TrialState.FAIL)
        self._say(trial, "failed", values, reason=reason, cached=cached)

    def _refuse(self, trial: Trial, values: Values, refusal: RefusedError) -> None:
        """Pruned, with violated constraints, is the form in which every sampler learns from it."""
        from optuna.trial import TrialState

        trial.set_user_attr("refused", str(refusal))
        constrain(trial, refusal.violations)
        self.study.study.tell(trial, state=TrialState.PRUNED)
        self._say(trial, "refused", values, feasible=False, reason=str(refusal))
        self.refusals += 1
        if self.refusals >= MOST_REFUSALS:
            problem = self.trials.suite.document.problem(
                ("search", "space"), f"{self.refusals} combinations in a row were refused, the last: {refusal}"
            )
            raise InputError(problem)

    def _say(
        self, trial: Trial, state: State, params: Values, values: tuple[float, ...] = (), feasible: bool = True,
        reason: str = "", cached: bool = False,
    ) -> None:  # fmt: skip
        seconds = float(trial.user_attrs.get("seconds", 0.0))
        self.watch(Outcome(trial.number, state, params, values, feasible, reason, cached, seconds))
