"""A study that its driver keeps in memory: the file says at every moment what Optuna's own storage would."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from spikebench.running.search.kept import KeptStorage

DISTRIBUTIONS = {
    "stem": CategoricalDistribution(["sps", "scs"]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "depth": IntDistribution(1, 4),
}
BOTH = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)


def file_of(path: Path) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return RDBStorage(f"sqlite:///{path}")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[KeptStorage]:
    storage = KeptStorage(file_of(tmp_path / "kept.db"))
    storage.create_new_study(BOTH, "s")
    yield storage
    storage.engine.dispose()


def content(storage: Any, times: bool = False) -> list[Any]:
    """Of every trial of the one study, ids apart; ``times``: with when it began and ended."""
    (study,) = storage.get_all_studies()
    return [_facts(trial, times) for trial in storage.get_all_trials(study._study_id)]


def _facts(trial: FrozenTrial, times: bool) -> Any:
    facts = [trial.number, trial.state.name, trial.values, list(trial.params.items()), trial.distributions]
    facts += [trial.user_attrs, trial.system_attrs]
    facts.append({step: "nan" if math.isnan(value) else value for step, value in trial.intermediate_values.items()})
    return [*facts, trial.datetime_start, trial.datetime_complete] if times else facts


def operations(count: int, seed: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What a driver may tell, with the number of a trial in the place of its id."""
    rng = random.Random(seed)
    going: list[int] = []
    made = 0
    for index in range(count):
        what = rng.choice(["new", "new", "param", "param", "user", "system", "step", "wait", "wait", "run", "end", "study"])
        if what == "new":
            template = None
            if rng.random() < 0.4:
                state = rng.choice([TrialState.WAITING, TrialState.COMPLETE])
                values = [1.0, 2.5] if state == TrialState.COMPLETE else None
                given: Any = {"params": {"depth": 2}, "distributions": {"depth": DISTRIBUTIONS["depth"]}} if values else {}
                template = create_trial(state=state, values=values, system_attrs={"fixed_params": {"depth": 2}}, **given)
            if template is None or not template.state.is_finished():
                going.append(made)
            made += 1
            yield "create_new_trial", (template,)
        elif what == "study":
            yield "set_study_user_attr", (f"key {index % 3}", [index, {"a": None}])
        elif going:
            number = rng.choice(going)
            if what == "param":
                name = rng.choice(list(DISTRIBUTIONS))
                value = {"stem": rng.randrange(2), "lr": rng.uniform(1e-4, 1e-1), "depth": rng.randint(1, 4)}[name]
                yield "set_trial_param", (number, name, float(value), DISTRIBUTIONS[name])
            elif what in ("user", "system"):
                yield f"set_trial_{what}_attr", (number, f"key {rng.randrange(3)}", ["é", index, (1, 2)])
            elif what == "step":
                value = rng.choice([0.5, math.nan, math.inf, -math.inf, rng.random()])
                yield "set_trial_intermediate_value", (number, rng.randrange(3), value)
            elif what == "end":
                going.remove(number)
                done = rng.random() < 0.7
                values = [math.inf, index / 7] if done else None
                yield "set_trial_state_values", (number, TrialState.COMPLETE if done else TrialState.PRUNED, values)
            else:
                yield "set_trial_state_values", (number, TrialState.WAITING if what == "wait" else TrialState.RUNNING)


def tell(storage: Any, name: str, what: tuple[Any, ...], params: set[tuple[int, str]]) -> None:
    (study,) = storage.get_all_studies()
    if name == "set_trial_param":  # Optuna draws a parameter once
        if what[:2] in params:
            return
        params.add(what[:2])
    if "study" in name or name == "create_new_trial":
        getattr(storage, name)(study._study_id, *what)
        return
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, what[0])
    getattr(storage, name)(trial_id, *what[1:])


@pytest.mark.parametrize("seed", range(3))
def test_the_file_holds_what_optunas_own_storage_would(tmp_path: Path, kept: KeptStorage, seed: int) -> None:
    theirs = file_of(tmp_path / "theirs.db")
    theirs.create_new_study(BOTH, "s")
    told: tuple[set[tuple[int, str]], set[tuple[int, str]]] = (set(), set())
    for name, what in operations(80, seed):
        tell(kept, name, what, told[0])
        tell(theirs, name, what, told[1])
    kept.write()
    expected = content(theirs)
    assert content(kept) == expected
    assert {state for _, state, *_ in expected} >= {"COMPLETE", "RUNNING", "WAITING"}
    found = file_of(tmp_path / "kept.db")
    assert content(found) == expected
    assert content(found, times=True) == content(kept, times=True)
    assert found.get_all_studies()[0].user_attrs == theirs.get_all_studies()[0].user_attrs
    # Who opens it next goes on from there, with other ids.
    again = KeptStorage(found)
    assert content(again, times=True) == content(kept, times=True)
    for storage in (again, theirs):
        tell(storage, "create_new_trial", (None,), set())
        tell(storage, "set_trial_user_attr", (len(expected), "cell_id", "abc"), set())
    again.write()
    assert content(file_of(tmp_path / "kept.db")) == content(again) == content(theirs)


def test_a_trial_that_ran_and_waits_again_is_found_behind_others_that_waited(kept: KeptStorage) -> None:
    study = optuna.load_study(study_name="s", storage=kept)
    first = study.ask()
    study.enqueue_trial({"depth": 1})
    assert study.ask().number == 1
    kept.set_trial_state_values(first._trial_id, TrialState.WAITING)
    assert study.ask().number == 0


def test_a_new_trial_takes_no_other_ones_place_in_a_file_whose_numbers_have_gaps(tmp_path: Path) -> None:
    file = file_of(tmp_path / "kept.db")
    for name, count in (("gone", 3), ("s", 2)):
        study_id = file.create_new_study(BOTH, name)
        for _ in range(count):
            file.create_new_trial(study_id)
    file.delete_study(file.get_study_id_from_name("gone"))
    kept = KeptStorage(file)
    for number in range(2, 6):
        kept.set_trial_user_attr(kept.create_new_trial(0), "number", number)
    kept.write()
    found = content(file_of(tmp_path / "kept.db"))
    assert found == content(kept)
    assert [number for number, *_ in found] == list(range(6))


def test_what_ends_a_trial_is_in_the_file_with_all_that_was_told_before(tmp_path: Path, kept: KeptStorage) -> None:
    trial_id = kept.create_new_trial(0)
    kept.set_trial_user_attr(trial_id, "seconds", 1.5)
    assert content(file_of(tmp_path / "kept.db")) == []
    kept.set_trial_state_values(trial_id, TrialState.FAIL)
    assert content(file_of(tmp_path / "kept.db")) == content(kept)
    kept.create_new_trial(0, create_trial(state=TrialState.PRUNED))
    assert content(file_of(tmp_path / "kept.db")) == content(kept)


def test_epochs_are_in_the_file_as_they_come_and_trials_before_what_is_said_of_the_study(
    tmp_path: Path, kept: KeptStorage
) -> None:
    kept.create_new_trial(0, create_trial(state=TrialState.WAITING))
    assert content(file_of(tmp_path / "kept.db")) == []
    kept.set_study_user_attr(0, "begun", True)
    assert content(file_of(tmp_path / "kept.db")) == content(kept)
    kept.create_new_trial(0)
    kept.set_study_system_attr(0, "drawn", 1)
    assert content(file_of(tmp_path / "kept.db")) == content(kept)
    kept.set_trial_intermediate_value(1, 1, 0.5)
    assert content(file_of(tmp_path / "kept.db")) == content(kept)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_write_is_done_by_the_next(
    tmp_path: Path, kept: KeptStorage, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial_id = kept.create_new_trial(0)
    kept.set_trial_param(trial_id, "depth", 2.0, DISTRIBUTIONS["depth"])
    begin = kept.engine.begin

    @contextlib.contextmanager
    def interrupted() -> Iterator[Any]:
        with begin() as connection:
            yield connection
            if moment == "before":
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(kept.engine, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept.write()
    assert len(content(file_of(tmp_path / "kept.db"))) == (moment == "after")
    kept.write()
    assert content(file_of(tmp_path / "kept.db")) == content(kept)
    kept.set_trial_state_values(trial_id, TrialState.WAITING)
    assert content(file_of(tmp_path / "kept.db")) == content(kept)


def test_a_write_is_one_transaction_of_what_is_new(kept: KeptStorage) -> None:
    statements, ends = [], []
    event.listen(kept.engine, "before_cursor_execute", lambda _, __, text, *___: statements.append(text.split()[2]))
    event.listen(kept.engine, "commit", lambda _: ends.append(1))
    trial_id = kept.create_new_trial(0)
    for name, distribution in DISTRIBUTIONS.items():
        kept.set_trial_param(trial_id, name, 1.0 if name == "depth" else 0.01 if name == "lr" else 0.0, distribution)
    kept.write()
    assert (statements, len(ends)) == (["trials", "trial_params"], 1)
    kept.write()
    kept.set_trial_user_attr(trial_id, "cell_id", "abc")
    kept.write()
    assert (statements[2:], len(ends)) == (["trial_user_attributes"], 2)
