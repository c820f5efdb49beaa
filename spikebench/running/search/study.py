"""An Optuna study: in a results folder, opened once and owned by one driver, or on a server, shared by several; the same after a
kill.

Every trial gets a sampler of its own, seeded by the study's seed and the trial's number: what it draws depends on what is stored
and on nothing that a killed process takes with it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.errors import InputError, StorageError
from spikebench.core.search import Search
from spikebench.core.search_space import Category, Parameter, Values
from spikebench.core.search_storage import spell_storage
from spikebench.running.search import snapshots
from spikebench.running.search.outcome import state_of
from spikebench.running.search.sampling import make_pruner, per_trial
from spikebench.running.search.shared import DRIVER, Drivers, open_storage

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy import Engine

FILE = "study.db"


class SearchStudy:
    """The study of one search. ``trials`` and ``ask`` speak Optuna; the driver tells it what came of each trial.

    ``drivers``: this one among those that share it; None for a study in the folder, which has one.
    """

    def __init__(self, folder: Path, name: str, search: Search, identity: Mapping[str, Any]) -> None:
        """Open the folder's study, or the one of this name on the search's server, or make it.

        Raises StorageError if it is no study, is of a newer Optuna, cannot be written, holds another search, or would take the
        place of one that the folder has of its own.
        """
        self.search = search
        self.path = folder / FILE
        self.drivers: Drivers | None = None
        self._known: dict[str, Any] = {}
        if search.storage is None:
            with study_errors(self.path):
                self.study = _open(_local(self.path), str(self.path), name, search, identity, alone=True)
                _hasten(self._engine)
        else:
            known = spell_storage(search.storage)
            snapshots.require_copy(self.path, known)
            with study_errors(known), quiet():
                self.study = _open(open_storage(search.storage), known, name, search, identity, alone=False)
                self.drivers = Drivers(self.study, self._engine)
        self._conditional = any(parameter.when for parameter in search.space.parameters)

    def close(self) -> None:
        """Leave one plain file, which can be read where nothing may be written and no server is."""
        if self.drivers is not None:
            self.drivers.close()
        self.study._storage.remove_session()
        self._engine.dispose()
        if self.drivers is not None:
            return
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self.path, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")

    def keep(self) -> None:
        """Have a shared study's trials in the folder too. Raises StorageError if the disk is full."""
        if self.search.storage is not None:
            snapshots.write(self.study, self.path, spell_storage(self.search.storage))

    @property
    def _engine(self) -> Engine:
        storage: Any = self.study._storage
        engine: Engine = getattr(storage, "_backend", storage).engine
        return engine

    @property
    def trials(self) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self.study.get_trials(deepcopy=False)
        return found

    def counts(self) -> tuple[int, int]:
        """How many trials count (complete or pruned), and how many run, whoever has them."""
        states = [state_of(trial) for trial in self.trials]
        return sum(state in ("complete", "pruned") for state in states), states.count("running")

    def elsewhere(self) -> list[str]:
        """The drivers of trials that run and are not this one's."""
        if self.drivers is None:
            return []
        others = (trial for trial in self.trials if trial.state.name == "RUNNING" and not self.drivers.is_mine(trial))
        return [str(trial.user_attrs.get(DRIVER, "another driver")) for trial in others]

    @property
    def is_new(self) -> bool:
        """Whether what shall be tried first has not been put in yet."""
        return "begun" not in self.study.user_attrs

    def begin(self, first: list[Values]) -> None:
        """Put in what shall be tried before the sampler has its say. A kill in between repeats nothing."""
        for values in first:
            self.study.enqueue_trial(dict(values), skip_if_exists=True)
        self.study.set_user_attr("begun", True)

    def put_back(self) -> None:
        """Make this driver's running trials, and lost ones, wait again, with the values that they have; the next ``ask`` takes
        them up."""
        from optuna.trial import TrialState

        storage = self.study._storage
        with self.deciding():
            for trial in storage.get_all_trials(self.study._study_id, deepcopy=False, states=(TrialState.RUNNING,)):
                if self.drivers is None or self.drivers.is_mine(trial):
                    storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)
                    self._leave(trial._trial_id)
            if self.drivers is not None:
                self.drivers.put_back_lost()

    def deciding(self) -> contextlib.AbstractContextManager[None]:
        """While no other driver asks for a trial or takes up a cell."""
        return contextlib.nullcontext() if self.drivers is None else self.drivers.deciding()

    def _leave(self, trial_id: int) -> None:
        if self.drivers is not None:
            self.drivers.leave(trial_id)

    def tell(self, trial: Trial, values: list[float] | None = None, state: TrialState | None = None) -> FrozenTrial:
        """What came of a trial. One that another driver has told since (this one was taken for gone) stays as it is."""
        from optuna.exceptions import UpdateFinishedTrialError

        self._leave(trial._trial_id)
        try:
            return self.study.tell(trial, values, state=state, skip_if_finished=self.drivers is not None)
        except UpdateFinishedTrialError:
            if self.drivers is None:
                raise
            return self.study._storage.get_trial(trial._trial_id)

    def ask(self) -> tuple[Trial, Values]:
        """The next trial, all its values drawn."""
        with quiet():
            self.study.sampler = per_trial(self.search.sampler, self.search.seed, self._conditional, self._known)
            with self.deciding():
                trial = self.study.ask()
                if self.drivers is not None:
                    self.drivers.take(trial._trial_id)
            values: dict[str, Category] = {}
            for parameter in self.search.space.parameters:
                if parameter.exists(values):
                    values[parameter.name] = _suggest(trial, parameter)
        self.write()
        return trial, values

    def write(self) -> None:
        """Have on disk what was told of trials that go on; what ends one is written as it is told."""
        if self.drivers is None:
            self.study._storage.write()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notices that a feature is experimental, or used otherwise than by itself: that is decided here, not by the
    user."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed")
        yield


@contextlib.contextmanager
def study_errors(path: Path | str) -> Iterator[None]:
    """Turn what databases and Optuna raise about a study's storage into one clear message."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OptunaError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).split("\n")[0]
        raise StorageError(
            f"{path}: not a study that can be used ({reason}); finished results in the folder stay as they were"
        ) from error
    except RuntimeError as error:  # Optuna's word for a storage of another version
        raise StorageError(f"{path}: {str(error).splitlines()[0]}") from error


def _hasten(engine: Engine) -> None:
    """Write ahead: each of the commits of a trial waited for the disk (30 ms on a busy one).

    A killed process loses nothing by it. After a power cut the last trials may be missing from a study that is whole; what they
    measured is in the folder. Where SQLite cannot do it (some network file systems) it goes on as before.
    """
    from sqlalchemy import event

    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", prepare)
    engine.dispose()


def _local(path: Path) -> Any:
    from optuna.storages import RDBStorage

    from spikebench.running.search.kept import KeptStorage

    return KeptStorage(RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}))


def _open(storage: Any, place: str, name: str, search: Search, identity: Mapping[str, Any], alone: bool) -> Study:
    """``alone``: there may be no other study."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = ["minimize" if objective.direction == "lower" else "maximize" for objective in search.objectives]
    epochs = int(identity["epochs"])
    with quiet():
        names = optuna.get_all_study_names(storage)
        if alone and names and names != [name]:
            raise StorageError(f"{place}: holds the study {names[0]!r}, not {name!r}; give another --results")
        if name not in names:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=not alone)
        else:
            study = optuna.load_study(storage=storage, study_name=name)
            _require_same(place, study.user_attrs.get("search"), identity)
            if "search" not in study.user_attrs and study.get_trials(deepcopy=False):
                raise InputError(f"{place}: its study {name!r} was not made by spikebench; name the suite otherwise")
        study.pruner = make_pruner(search.pruner, epochs)
        if "search" not in study.user_attrs:
            study.set_user_attr("search", dict(identity))
            study.set_metric_names([str(objective) for objective in search.objectives])
    return study


def _require_same(place: str, there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    if there is None:
        return  # killed before it was written: there is no trial either
    changed = []
    for key in {**wanted, **there}:
        old, new = there.get(key), wanted.get(key)
        if old != new and isinstance(old, dict) and isinstance(new, dict):
            changed += [f"{key}.{inner}: {_spell(old.get(inner))} there, {_spell(new.get(inner))} here"
                        for inner in {**old, **new} if old.get(inner) != new.get(inner)]  # fmt: skip
        elif old != new:
            changed.append(f"{key}: {_spell(old)} there, {_spell(new)} here")
    if changed:
        raise InputError(
            f"{place}: holds another search ({'; '.join(changed)}); give another --results, or the suite another name"
        )


def _spell(value: Any) -> str:
    return "nothing" if value is None else str(value).replace("'", "")


def _suggest(trial: Trial, parameter: Parameter) -> Category:
    name, low, high = parameter.name, parameter.low, parameter.high
    drawn: Category
    if parameter.kind == "int":
        drawn = trial.suggest_int(name, int(low), int(high), step=int(parameter.step or 1), log=parameter.log)
    elif parameter.kind == "float":
        drawn = trial.suggest_float(name, low, high, step=parameter.step, log=parameter.log)
    else:
        drawn = trial.suggest_categorical(name, list(parameter.labels))
    return drawn
