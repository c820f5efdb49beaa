"""An Optuna study in a results folder: opened once, owned by one driver, and the same after a kill.

Every trial gets a sampler of its own, seeded by the study's seed and the trial's number: what it draws depends on what is stored
and on nothing that a killed process takes with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, StorageError
from spikebench.core.search import Search
from spikebench.core.search_methods import PRUNERS, SAMPLERS, method_options
from spikebench.core.search_space import Category, Parameter, Values

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

FILE = "study.db"


class SearchStudy:
    """The study of one search. ``trials`` and ``ask`` speak Optuna; the driver tells it what came of each trial."""

    def __init__(self, folder: Path, name: str, search: Search, identity: Mapping[str, Any]) -> None:
        """Open the folder's study, or make it.

        Raises StorageError if the file is no study, is of a newer Optuna, cannot be written, or holds another search.
        """
        self.search = search
        self.path = folder / FILE
        with study_errors(self.path):
            self.study = _open(self.path, name, search, identity)
            _hasten(self._engine)
        self._conditional = any(parameter.when for parameter in search.space.parameters)

    def close(self) -> None:
        """Leave one plain file, which can be read where nothing may be written."""
        self.study._storage.remove_session()
        self._engine.dispose()
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self.path, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")

    @property
    def _engine(self) -> Engine:
        storage: Any = self.study._storage
        engine: Engine = getattr(storage, "_backend", storage).engine
        return engine

    @property
    def trials(self) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self.study.get_trials(deepcopy=False)
        return found

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
        """Make running trials wait again, with the values that they have; the next ``ask`` takes them up."""
        from optuna.trial import TrialState

        storage = self.study._storage
        for trial in storage.get_all_trials(self.study._study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)

    def ask(self) -> tuple[Trial, Values]:
        """The next trial, all its values drawn."""
        from optuna.trial import TrialState

        trials = self.trials
        number = min((trial.number for trial in trials if trial.state == TrialState.WAITING), default=len(trials))
        with quiet():
            self.study.sampler = make_sampler(self.search.sampler, self.search.seed, number, self._conditional)
            trial = self.study.ask()
            values: dict[str, Category] = {}
            for parameter in self.search.space.parameters:
                if parameter.exists(values):
                    values[parameter.name] = _suggest(trial, parameter)
        return trial, values


def make_sampler(choice: Choice, seed: int, number: int, conditional: bool = False) -> BaseSampler:
    """The sampler for trial ``number``. ``conditional``: some parameters exist only sometimes."""
    from optuna import samplers

    options = method_options(choice, SAMPLERS, "sampler")
    own = int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")
    match choice.name:
        case "tpe":
            return samplers.TPESampler(
                n_startup_trials=options.startup_trials, multivariate=True, group=conditional, constant_liar=True, seed=own
            )
        case "nsga2":
            return samplers.NSGAIISampler(population_size=options.population_size, seed=own)
        case "gp":
            return samplers.GPSampler(n_startup_trials=options.startup_trials, seed=own)
        case "qmc":
            # One scrambled sequence for all trials: its position is stored in the study, its seed must not change.
            independent = samplers.RandomSampler(seed=own)
            return samplers.QMCSampler(
                qmc_type=options.sequence,
                scramble=True,
                seed=seed,
                independent_sampler=independent,
                warn_independent_sampling=False,
            )
        case _:
            # The grid's points wait in the study (``begin``); nothing is left to draw.
            return samplers.RandomSampler(seed=own)


def make_pruner(choice: Choice, epochs: int) -> BasePruner:
    """The pruner; its steps are epochs, of which a trial has ``epochs``."""
    from optuna import pruners

    options = method_options(choice, PRUNERS, "pruner")
    match choice.name:
        case "median":
            return pruners.MedianPruner(n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs)
        case "percentile":
            return pruners.PercentilePruner(
                options.percentile, n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs
            )
        case "asha":
            return pruners.SuccessiveHalvingPruner(min_resource=options.min_epochs, reduction_factor=options.reduction_factor)
        case "hyperband":
            most = max(epochs, options.min_epochs)
            return pruners.HyperbandPruner(
                min_resource=options.min_epochs, max_resource=most, reduction_factor=options.reduction_factor
            )
        case _:
            return pruners.NopPruner()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notices that a feature is experimental: which of them are used is decided here, not by the user."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@contextlib.contextmanager
def study_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and Optuna raise about the file into one clear message."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OptunaError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).split("\n")[0]
        raise StorageError(
            f"{path}: not a study that can be used ({reason}); finished results in the folder stay as they were"
        ) from error
    except RuntimeError as error:  # Optuna's word for a storage of another version
        raise StorageError(f"{path}: {str(error).splitlines()[0]}") from error


def _hasten(engine: Engine) -> None:
    """Write ahead: Optuna commits some ten times a trial, and each commit waited for the disk (30 ms on a busy one).

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


def _open(path: Path, name: str, search: Search, identity: Mapping[str, Any]) -> Study:
    import optuna
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = ["minimize" if objective.direction == "lower" else "maximize" for objective in search.objectives]
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    epochs = int(identity["epochs"])
    with quiet():
        names = optuna.get_all_study_names(storage)
        if names and names != [name]:
            raise StorageError(f"{path}: holds the study {names[0]!r}, not {name!r}; give another --results")
        if not names:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        else:
            study = optuna.load_study(storage=storage, study_name=name)
            _require_same(path, study.user_attrs.get("search"), identity)
        study.pruner = make_pruner(search.pruner, epochs)
        if "search" not in study.user_attrs:
            study.set_user_attr("search", dict(identity))
            study.set_metric_names([str(objective) for objective in search.objectives])
    return study


def _require_same(path: Path, there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
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
        raise InputError(f"{path}: holds another search ({'; '.join(changed)}); give another --results")


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
