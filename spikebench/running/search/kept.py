"""A study's file as its one driver has it: read once, asked in memory, written in few transactions."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, UniqueConstraint
from sqlalchemy import inspect as mapper_of
from sqlalchemy.dialects.sqlite import Insert, insert

Row = tuple[Any, tuple[Any, ...]]
"""One of Optuna's models, and what its columns hold."""


class KeptStorage(InMemoryStorage):  # type: ignore[misc]
    """All that ``file``, an SQLite one, holds. Optuna asks and tells some thirty times a trial, and SQL takes a millisecond or
    more for each.

    What was told of trials is in the file after ``write``: all of it, or nothing of what came since the last one. A trial's new
    state, an epoch's value and what is told of the study are written at once. For one driver alone: what another process writes
    meanwhile is not seen. Studies and trials have ids of their own here.
    """

    def __init__(self, file: RDBStorage) -> None:
        super().__init__()
        self._file = file
        self._study_ids: list[int] = []
        self._trial_ids: list[int] = []
        self._changed: dict[int, None] = {}
        self._in_file: dict[int, frozenset[Row]] = {}
        for study in file.get_all_studies():
            self._study_ids.append(study._study_id)
            study_id = super().create_new_study(study.directions, study.study_name)
            for name, value in study.user_attrs.items():
                super().set_study_user_attr(study_id, name, value)
            for name, value in study.system_attrs.items():
                super().set_study_system_attr(study_id, name, value)
            for trial in file.get_all_trials(study._study_id, deepcopy=False):
                self._trial_ids.append(trial._trial_id)
                super().create_new_trial(study_id, trial)

    @property
    def engine(self) -> Engine:
        engine: Engine = self._file.engine
        return engine

    def remove_session(self) -> None:
        self._file.remove_session()

    def write(self) -> None:
        """Have in the file what was told of trials. Raises SQLAlchemyError where it cannot be written."""
        if not self._changed:
            return
        rows = {trial_id: list(self._rows(trial_id)) for trial_id in self._changed}
        new: dict[Any, list[tuple[Any, ...]]] = {}
        for trial_id, own in rows.items():
            known = self._in_file.get(trial_id, frozenset())
            for model, values in own:
                if (model, values) not in known:
                    new.setdefault(model, []).append(values)
        with self._file.engine.begin() as connection:
            for model, found in new.items():
                names = [column for _, column in _columns(model)]
                connection.execute(_put(model), [dict(zip(names, values, strict=True)) for values in found])
        # Whoever is interrupted before this writes the same rows again, which changes nothing.
        self._in_file |= {trial_id: frozenset(own) for trial_id, own in rows.items()}
        self._changed.clear()

    def _rows(self, trial_id: int) -> Iterator[Row]:
        """All that the file shall have of a trial; the models are Optuna's, and so is what they make of a value."""
        trial = self.get_trial(trial_id)
        study_id = self._study_ids[self._trial_id_to_study_id_and_number[trial_id][0]]
        for row in _models(trial):
            row.trial_id = self._trial_ids[trial_id]
            if isinstance(row, models.TrialModel):
                row.study_id = study_id
            model: Any = type(row)
            yield model, tuple(getattr(row, name) for name, _ in _columns(model))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        # Asked for those that wait, Optuna looks behind the last one that did; here one that ran may come to wait again.
        wanted = None if states is None else [state for state in TrialState if state in states]
        found: list[FrozenTrial] = super().get_all_trials(study_id, deepcopy, wanted)
        return found

    def create_new_study(self, directions: Sequence[Any], study_name: str | None = None) -> int:
        self._study_ids.append(self._file.create_new_study(directions, study_name))
        return int(super().create_new_study(directions, study_name))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.write()
        self._file.set_study_user_attr(self._study_ids[study_id], key, value)
        super().set_study_user_attr(study_id, key, _as_stored(value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.write()
        self._file.set_study_system_attr(self._study_ids[study_id], key, value)
        super().set_study_system_attr(study_id, key, _as_stored(value))

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = int(super().create_new_trial(study_id, template_trial))
        self._trial_ids.append(max(self._trial_ids, default=0) + 1)
        self._changed[trial_id] = None
        if template_trial is not None and template_trial.state.is_finished():
            self.write()
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        done = bool(super().set_trial_state_values(trial_id, state, values))
        self._changed[trial_id] = None
        self.write()
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changed[trial_id] = None
        self.write()

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._changed[trial_id] = None

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, _as_stored(value))
        self._changed[trial_id] = None

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, _as_stored(value))
        self._changed[trial_id] = None


def _as_stored(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _models(trial: FrozenTrial) -> Iterator[Any]:
    yield models.TrialModel(
        number=trial.number, state=trial.state, datetime_start=trial.datetime_start, datetime_complete=trial.datetime_complete
    )
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield models.TrialParamModel(
            param_name=name,
            param_value=distribution.to_internal_repr(value),
            distribution_json=distribution_to_json(distribution),
        )
    for model, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        for key, value in attributes.items():
            yield model(key=key, value_json=json.dumps(value))
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield models.TrialValueModel(objective=objective, value=stored, value_type=kind)
    for step, value in trial.intermediate_values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        yield models.TrialIntermediateValueModel(step=step, intermediate_value=stored, intermediate_value_type=kind)


@cache
def _columns(model: Any) -> tuple[tuple[str, str], ...]:
    """Attribute and column of all that a row must be told; other tables than that of trials number their rows themselves."""
    attributes: Any = mapper_of(model).column_attrs
    found = [(attribute.key, attribute.columns[0]) for attribute in attributes]
    return tuple((name, column.name) for name, column in found if not column.primary_key or model is models.TrialModel)


@cache
def _put(model: Any) -> Insert:
    """Put rows into the places of those that are told apart by the same values."""
    table = model.__table__
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)] or [table.primary_key]
    keys = [column.name for column in unique[0].columns]
    statement = insert(table)
    changed = {name: statement.excluded[name] for _, name in _columns(model) if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
