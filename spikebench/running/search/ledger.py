"""What came of each trial, told to the study and to whoever watches, and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from spikebench.core.cells import Job
from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.core.search import Constraint, NoValueError, Objective, value_of
from spikebench.core.search_space import Values
from spikebench.core.store import ResultsFolder
from spikebench.running.search.outcome import Outcome, State, constrain, report_epoch, state_of
from spikebench.running.search.study import SearchStudy
from spikebench.running.search.trial import RefusedError, Trials

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

MOST_REFUSALS = 200
"""So many refusals in a row mean that the space has hardly a network that may be trained."""


class Ledger:
    """``done``: trials of the study that count, those complete and those that a pruner has ended; ``failures``: those that have
    failed since this driver began. ``known_pruned``: by their cells. ``watch`` is called with every trial's outcome."""

    def __init__(self, trials: Trials, store: ResultsFolder, study: SearchStudy, watch: Callable[[Outcome], None]) -> None:
        self.trials = trials
        self.search = trials.search
        self.store = store
        self.study = study
        self.watch = watch
        self.failures = 0
        self.refusals = 0
        states = [(state_of(trial), trial) for trial in study.trials]
        self.known_pruned = {trial.user_attrs["cell_id"]: trial for state, trial in states if state == "pruned"}
        self.done = sum(state in ("complete", "pruned") for state, _ in states)

    def tell(self, trial: Trial, values: Values, jobs: tuple[Job, ...], cached: bool) -> None:
        """A cell's numbers, from its records in the folder. Raises InputError where they are missing or ambiguous."""
        records = self.trials.records(jobs, self.store)
        try:
            found = self._numbers("objectives", self.search.objectives, records)
            limits = self._numbers("constraints", self.search.constraints, records)
        except NoValueError as error:
            self.fail(trial, values, str(error), cached)
            return
        violations = {c.text: c.violation(value) for c, value in zip(self.search.constraints, limits, strict=True)}
        constrain(trial, violations)
        if self.search.prunes:
            for record in records:
                if record.metric == "epoch_accuracy" and record.value is not None:
                    report_epoch(trial, record.value, int(record.conditions["epoch"]))
        self._complete(trial, values, found, violations, cached)

    def _complete(self, trial: Trial, values: Values, found: list[float], violations: Mapping[str, float], cached: bool) -> None:
        if cached:
            trial.set_user_attr("cached", True)
        self.study.tell(trial, found)
        self.done += 1
        feasible = all(violation <= 0 for violation in violations.values())
        self._say(trial, "complete", values, tuple(found), feasible, cached=cached)

    def copy(self, trial: Trial, values: Values, leader: FrozenTrial) -> None:
        """What came of the same network elsewhere came of it here."""
        constrain(trial, leader.constraints)
        if leader.state.name == "PRUNED":
            self.pruned(trial, values, leader.intermediate_values, cached=True)
            return
        for epoch, value in leader.intermediate_values.items():
            report_epoch(trial, value, epoch)
        self._complete(trial, values, list(leader.values), leader.constraints, cached=True)

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

    def pruned(self, trial: Trial, values: Values, epochs: Mapping[int, float], cached: bool) -> None:
        from optuna.trial import TrialState

        for epoch, value in epochs.items():
            report_epoch(trial, value, epoch)
        told = self.study.tell(trial, state=TrialState.PRUNED)
        self.done += 1
        self.known_pruned.setdefault(told.user_attrs["cell_id"], told)
        reason = f"stopped after epoch {max(told.intermediate_values)}" if told.intermediate_values else "stopped"
        self._say(trial, "pruned", values, reason=reason, cached=cached)

    def fail(self, trial: Trial, values: Values, reason: str, cached: bool) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr("reason", reason)
        self.failures += 1
        self.study.tell(trial, state=TrialState.FAIL)
        self._say(trial, "failed", values, reason=reason, cached=cached)

    def refuse(self, trial: Trial, values: Values, refusal: RefusedError) -> None:
        """Pruned, with violated constraints, is the form in which every sampler learns from it."""
        from optuna.trial import TrialState

        trial.set_user_attr("refused", str(refusal))
        constrain(trial, refusal.violations)
        self.study.tell(trial, state=TrialState.PRUNED)
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
