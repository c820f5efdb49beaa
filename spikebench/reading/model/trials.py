"""The trials of a search, read from the study in a results folder. Needs no torch and never writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spikebench.core.errors import StorageError
from spikebench.core.search import Objective

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

FILE = "study.db"
State = Literal["complete", "pruned", "failed", "refused", "running", "waiting"]
Category = str | int | float | bool


@dataclasses.dataclass(frozen=True)
class Trial:
    """``values``: the objectives in base units, of complete trials. ``violations``: constraint -> by which part of its limit it
    is passed, 0 or less if it is kept. ``refused``: no network, or one that breaks a limit known before training: never run.
    """

    number: int
    state: State
    params: Mapping[str, Category]
    values: tuple[float, ...]
    violations: Mapping[str, float]
    cell_id: str
    reason: str

    @property
    def feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations.values())


@dataclasses.dataclass(frozen=True)
class Trials:
    """One search. ``objectives``: with the direction that each is wanted to go."""

    name: str
    objectives: tuple[Objective, ...]
    rows: tuple[Trial, ...]
    study: Study = dataclasses.field(repr=False, compare=False)

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.rows if trial.state == "complete")

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The feasible trials that no other one beats: with one objective the best, with several the Pareto front.

        Of trials with the same values the first counts. Best first by the first objective.
        """
        candidates = list({trial.values: trial for trial in reversed(self.complete) if trial.feasible}.values())
        costs = {trial.number: self.costs(trial) for trial in candidates}
        found = [a for a in candidates if not any(dominates(costs[b.number], costs[a.number]) for b in candidates)]
        found.sort(key=lambda trial: (costs[trial.number], trial.number))
        return tuple(found[:1] if len(self.objectives) == 1 else found)

    def costs(self, trial: Trial) -> tuple[float, ...]:
        """The values, signed so that less is better."""
        return tuple(objective.sign * value for objective, value in zip(self.objectives, trial.values, strict=True))

    def count(self, state: State) -> int:
        return sum(trial.state == state for trial in self.rows)


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether costs ``a`` are nowhere higher than ``b`` and somewhere lower."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def load_trials(folder: str | Path) -> Trials | None:
    """The search in a results folder; None if there is none. Raises StorageError if the study cannot be read."""
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    from urllib.parse import quote

    import optuna
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        # Read-only: a report must work on a folder that it may not write, and never make or upgrade a table.
        # No connection stays open: whoever writes the study wants it alone when he closes it.
        storage = RDBStorage(
            f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true",
            skip_table_creation=True,
            engine_kwargs={"poolclass": NullPool},
        )
        names = optuna.get_all_study_names(storage)
        if not names:
            return None
        study = optuna.load_study(storage=storage, study_name=names[0])
        return of_study(study)
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).split("\n")[0]
        raise StorageError(f"{path}: the study cannot be read ({reason})") from error


def of_study(study: Study) -> Trials | None:
    """None if the study is not one of ours, or was killed before it said what it looks for."""
    search = study.user_attrs.get("search")
    if search is None:
        return None
    objectives = tuple(Objective.parse(text) for text in search["objectives"])
    return Trials(study.study_name, objectives, tuple(map(_trial, study.get_trials(deepcopy=False))), study)


def _trial(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    refused = attributes.get("refused", "")
    names: Mapping[str, State] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "FAIL": "failed",
        "RUNNING": "running",
        "WAITING": "waiting",
    }
    state: State = "refused" if refused else names[trial.state.name]
    values = tuple(trial.values) if state == "complete" and trial.values else ()
    reason = str(refused or attributes.get("reason", ""))
    return Trial(
        trial.number, state, dict(trial.params), values, dict(trial.constraints), str(attributes.get("cell_id", "")), reason
    )
