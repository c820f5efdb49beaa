"""What came of a trial, and how a study is told the rest of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from spikebench.core.cells import Cell, Job
from spikebench.core.search_space import Values

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "failed", "refused"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a trial. ``values``: objectives in base units; ``cached``: nothing had to be run for it."""

    number: int
    state: State
    params: Values
    values: tuple[float, ...] = ()
    feasible: bool = True
    reason: str = ""
    cached: bool = False
    seconds: float = 0.0


@dataclasses.dataclass
class Running:
    """A cell in work and the trials that wait for it: more than one if a sampler has drawn the same network twice."""

    cell: Cell
    jobs: tuple[Job, ...]
    remaining: set[str]
    trials: list[tuple[Trial, Values]]
    started: float
    failure: str = ""
    stopped: bool = False


def state_of(trial: FrozenTrial) -> str:
    """``complete``, ``pruned``, ``failed``, ``refused``, or what Optuna calls one that is not done."""
    if "refused" in trial.user_attrs:
        return "refused"
    name = str(trial.state.name)
    return {"FAIL": "failed"}.get(name, name.lower())


def constrain(trial: Trial, violations: Mapping[str, float]) -> None:
    known = trial.constraints
    for text, violation in violations.items():
        if text not in known:
            trial.set_constraint(text, violation)


def report_epoch(trial: Trial, value: float, epoch: int) -> None:
    """Once for each epoch: a job that was taken up again tells the earlier ones a second time."""
    if epoch not in trial.study._storage.get_trial(trial._trial_id).intermediate_values:
        trial.report(value, epoch)


def unless_told() -> contextlib.AbstractContextManager[None]:
    """Leave alone a trial that another driver, which took this one for gone, has told meanwhile."""
    from optuna.exceptions import UpdateFinishedTrialError

    return contextlib.suppress(UpdateFinishedTrialError)
