"""A study asks the same questions again after a kill, whichever sampler draws; nothing is trained here."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, StorageError
from spikebench.core.search import Search
from spikebench.core.search_methods import PRUNERS
from spikebench.core.search_space import Values
from spikebench.core.suite_reader import from_document
from spikebench.reading.model.trials import load_trials
from spikebench.running.search.study import SearchStudy, make_pruner, study_errors
from spikebench.running.search.twins import Twins

SUITE = """\
suite: s
dataset: digits
variants: {base: spikformer-2-64}
measure: [accuracy, activity]
energy: [spikformer-paper]
search:
  space:
    attention: {choice: [ssa, softmax]}
    attention.order: {choice: [kv_first, qk_first], when: {attention: ssa}}
    depth: {int: [1, 4]}
    lr: {float: [1.0e-3, 1.0e-1], log: true}
  objectives: [accuracy, "energy{profile=spikformer-paper}"]
  constraints: [parameters <= 2M]
  sampler: SAMPLER
  trials: 8
  seed: 3
"""
SAMPLERS = ["{tpe: {startup_trials: 3}}", "{nsga2: {population_size: 3}}", "{gp: {startup_trials: 3}}", "qmc", "random"]
IDENTITY = {"epochs": 10, "space": {"depth": {"int": [1, 4]}}, "objectives": ["accuracy"]}


def search_of(sampler: str = "tpe") -> Search:
    search = from_document(yaml_nodes.parse(SUITE.replace("SAMPLER", sampler), "s.yaml")).search
    assert search is not None
    return search


def tell(study: SearchStudy, trial: Any, values: Values) -> None:
    depth, rate = float(values["depth"]), float(values["lr"])
    trial.set_constraint("parameters <= 2M", depth - 3.5)
    study.study.tell(trial, [1 - (math.log10(rate) + 2) ** 2, depth + (values["attention"] == "ssa")])


def history(folder: Path, sampler: str, killed_after: int | None = None) -> list[dict[str, Any]]:
    folder.mkdir()
    count = 0
    study = SearchStudy(folder, "s", search_of(sampler), IDENTITY)
    while count < 6:
        trial, values = study.ask()
        if count == killed_after:
            killed_after = None
            # As a kill leaves it: running in the file, and the process with its random state gone.
            study = SearchStudy(folder, "s", search_of(sampler), IDENTITY)
            study.put_back()
            continue
        tell(study, trial, values)
        count += 1
    return [dict(trial.params) for trial in study.trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_repeats_exactly_and_a_kill_changes_nothing(tmp_path: Path, sampler: str) -> None:
    undisturbed = history(tmp_path / "a", sampler)
    assert history(tmp_path / "b", sampler) == undisturbed
    assert history(tmp_path / "c", sampler, killed_after=4) == undisturbed
    assert len({str(params) for params in undisturbed}) > 3


def test_running_trials_wait_again_with_their_values(tmp_path: Path) -> None:
    study = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    _, first = study.ask()
    _, second = study.ask()
    study.put_back()
    assert [trial.state.name for trial in study.trials] == ["WAITING", "WAITING"]
    again = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    assert [again.ask()[1], again.ask()[1]] == [first, second]
    assert len(again.trials) == 2


def test_a_trial_that_runs_is_on_disk_with_its_values_and_its_cell(tmp_path: Path) -> None:
    """As a report of a search that goes on wants it, and the next driver if this one is killed."""
    study = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    trial, values = study.ask()
    found = load_trials(tmp_path)
    assert found is not None
    assert [(row.state, dict(row.params), row.cell_id) for row in found.rows] == [("running", values, "")]
    assert Twins(study).claim(trial, "abc") is None
    found = load_trials(tmp_path)
    assert found is not None
    assert [(row.state, row.cell_id) for row in found.rows] == [("running", "abc")]


def test_what_is_put_in_first_is_asked_first(tmp_path: Path) -> None:
    study = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    assert study.is_new
    first: list[Values] = [{"attention": "softmax", "depth": 2, "lr": 1e-2}, {"attention": "softmax", "depth": 4, "lr": 1e-2}]
    study.begin(first)
    study.begin(first)
    assert not SearchStudy(tmp_path, "s", search_of(), IDENTITY).is_new
    assert [study.ask()[1], study.ask()[1]] == first
    assert len(study.trials) == 2


def test_a_study_of_another_space_is_refused_and_left_alone(tmp_path: Path) -> None:
    study = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    tell(study, *study.ask())
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(InputError, match=r"another search \(space.depth: \{int: \[1, 4\]\} there, nothing here\)"):
        SearchStudy(tmp_path, "s", search_of(), {**IDENTITY, "space": {}})
    with pytest.raises(StorageError, match="holds the study 's', not 'other'"):
        SearchStudy(tmp_path, "other", search_of(), IDENTITY)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_damaged_study_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("not a database, but long enough to be taken for one" * 100)
    with (
        pytest.raises(StorageError, match=r"study.db: not a study that can be used \(file is not a database\)"),
        study_errors(tmp_path),
    ):
        SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    assert (tmp_path / "study.db").read_text().startswith("not a database")


def test_optunas_own_tools_read_the_study(tmp_path: Path) -> None:
    import optuna

    study = SearchStudy(tmp_path, "s", search_of(), IDENTITY)
    for _ in range(3):
        tell(study, *study.ask())
    loaded = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert loaded.metric_names == ["accuracy", "energy{profile=spikformer-paper}"]
    assert [direction.name for direction in loaded.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert len(loaded.trials_dataframe()) == 3


@pytest.mark.parametrize("name", sorted(PRUNERS))
def test_every_pruner_can_be_made(name: str) -> None:
    import optuna

    from spikebench.core.choice import Choice

    # Hyperband deals trials to brackets by the study's name and the trial's number; a name by chance would be a test by chance.
    study = optuna.create_study(study_name="pruners", direction="maximize", pruner=make_pruner(Choice(name), epochs=9))
    for level in (*(1.0 - 0.05 * n for n in range(18)), 0.0):
        trial = study.ask()
        for epoch in range(1, 10):
            trial.report(level * epoch, epoch)
        worst = trial.should_prune()
        study.tell(trial, level)
    assert worst == (name != "none")


def test_trials_are_written_ahead_and_a_closed_study_is_one_plain_file(tmp_path: Path) -> None:
    def mode() -> str:
        with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as connection:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    with contextlib.closing(SearchStudy(tmp_path, "s", search_of(), IDENTITY)) as study:
        tell(study, *study.ask())
        # Else each of a trial's commits waits for the disk.
        assert mode() == "wal"
        load_trials(tmp_path)  # whoever reads it meanwhile does not keep it open
    assert mode() == "delete"
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


@pytest.mark.parametrize("sampler", ["{tpe: {startup_trials: 3}}", "{nsga2: {population_size: 3}}", "{gp: {startup_trials: 3}}"])
def test_each_trial_is_looked_at_once_for_the_space(tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever sampler: one a trial draws, and what the last one knew of the space the next one knows."""
    import optuna.search_space.intersection as intersection

    begun: list[int] = []
    calculate = intersection._calculate

    def counted(trials: Any, pruned: bool, space: Any, begin: int) -> Any:
        begun.append(begin)
        return calculate(trials, pruned, space, begin)

    monkeypatch.setattr(intersection, "_calculate", counted)
    text = SUITE.replace("SAMPLER", sampler).replace(
        "    attention.order: {choice: [kv_first, qk_first], when: {attention: ssa}}\n", ""
    )
    search = from_document(yaml_nodes.parse(text, "s.yaml")).search
    assert search is not None
    study = SearchStudy(tmp_path, "s", search, IDENTITY)
    for _ in range(6):
        tell(study, *study.ask())
    study.close()
    assert begun[-1] == 4  # the last draw but one was made while that trial ran
