"""What a report says of a search, against Optuna's own answer and on a machine without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebench.core.errors import StorageError
from spikebench.core.records import Record
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.tested import only_tested
from spikebench.reading.model.trials import Trials, load_trials, of_study
from spikebench.reading.reports.sections import search_history, search_importances, search_trials
from spikebench.reading.reports.sections.answer import searched

SEARCH = {
    "space": {"depth": {"int": [1, 9]}, "lr": {"float": [0.0, 1.0]}},
    "objectives": ["accuracy", "energy"],
    "constraints": ["parameters <= 2M"],
}
TRIALS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=12)


def study_of(rows: list[tuple[float, float, bool]], storage: str | None = None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], storage=storage, study_name="s")
    study.set_user_attr("search", SEARCH)
    for index, (accuracy, energy, feasible) in enumerate(rows):
        study.enqueue_trial({"depth": 1 + index % 9, "lr": accuracy})
        trial = study.ask()
        trial.suggest_int("depth", 1, 9)
        trial.suggest_float("lr", 0.0, 10.0)
        trial.set_user_attr("cell_id", f"cell{index}")
        trial.set_constraint("parameters <= 2M", -0.5 if feasible else 0.5)
        study.tell(trial, [accuracy, energy])
    return study


def trials_of(rows: list[tuple[float, float, bool]]) -> Trials:
    found = of_study(study_of(rows))
    assert found is not None
    return found


@settings(deadline=None, max_examples=60)
@given(TRIALS)
def test_the_front_is_optunas(rows: list[tuple[float, float, bool]]) -> None:
    study = study_of(rows)
    found = of_study(study)
    assert found is not None
    # Optuna lists every trial of equal values, we the first.
    assert {trial.values for trial in found.front} == {tuple(trial.values) for trial in study.best_trials}
    assert len({trial.values for trial in found.front}) == len(found.front)
    assert [trial.values[0] for trial in found.front] == sorted((trial.values[0] for trial in found.front), reverse=True)


def test_rows_are_the_front_then_what_keeps_the_limits() -> None:
    trials = trials_of([(0.9, 2.0, True), (0.99, 1.0, False), (0.8, 3.0, True), (0.95, 2.5, True)])
    assert [trial.number for trial in search_trials.best(trials)] == [3, 0, 2, 1]
    assert search_trials.summary(trials) == "4 trials: 4 complete (3 keep the limits, 2 on the front)"


def test_best_so_far_counts_what_keeps_the_limits() -> None:
    trials = trials_of([(0.5, 2.0, False), (0.4, 2.0, True), (0.9, 1.0, False), (0.6, 3.0, True)])
    best, each = search_history.figure(trials, 0).series
    assert (best.x, best.y) == ((1.0, 2.0, 3.0), (40.0, 40.0, 60.0))
    assert each.y == (50.0, 40.0, 90.0, 60.0)


def frame_of(trials: Trials, winners: set[int], silent: set[int] = frozenset()) -> Frame:  # type: ignore[assignment]
    """Operations of every trial on the validation split; of the winners on the test split too, with their accuracy."""
    cells = {
        f"cell{n}": {"group_id": f"g{n}", "variant": {"depth": n, "T": 4}, "dataset": "digits"} for n in range(len(trials.rows))
    }
    cells["grid"] = {"group_id": "grid", "variant": {"depth": 99, "T": 4}, "dataset": "digits"}
    records = [Record("events", n, "1", conditions={"split": "validation"}, cell_id=f"cell{n}") for n in range(len(trials.rows))]
    records += [Record("events", 10 + n, "1", conditions={"split": "test"}, cell_id=f"cell{n}") for n in winners]
    records += [Record("accuracy", 0.5, "1", conditions={"split": "test", "T": 4}, cell_id=f"cell{n}") for n in winners]
    records += [Record("firing_rate", 0.0, "1", scope="stem.neuron", cell_id=f"cell{n}") for n in silent]
    records.append(Record("events", 7, "1", conditions={"split": "validation"}, cell_id="grid"))
    return Frame(records, cells)


def test_tables_of_a_search_are_of_what_was_tested_and_of_that_split_alone() -> None:
    trials = trials_of([(0.9, 2.0, True), (0.5, 3.0, True), (0.8, 1.0, True)])
    frame = frame_of(trials, {0, 2})
    winners = only_tested(frame, [trials])
    assert set(winners.cells) == {"cell0", "cell2", "grid"}
    assert {(r.cell_id, r.value) for r in winners.records if r.metric == "events"} == {("cell0", 10), ("cell2", 12), ("grid", 7)}
    assert only_tested(frame, []) is frame


def test_the_answer_of_a_search_says_what_its_ends_are_and_what_they_reached() -> None:
    trials = trials_of([(0.9, 2.0, True), (0.5, 3.0, True), (0.8, 1.0, True), (0.99, 0.5, False)])
    text = searched(frame_of(trials, {0}, silent={2}), trials)
    assert text.startswith(
        "Of 4 complete trials 2 are beaten by no other, from #0 (depth=1 lr=0.9: validation accuracy 90.00 %, energy 2,000 mJ; "
        "test accuracy 50.00 %) to #2 (depth=3 lr=0.8: validation accuracy 80.00 %, energy 1,000 mJ). "
    )
    assert "only more seeds can tell" in text
    assert text.endswith("#2: A neuron layer that never fires: stem.neuron; nothing passes there.")


def test_one_trial_may_be_the_whole_front_and_none_may_keep_the_limits() -> None:
    best = trials_of([(0.9, 1.0, True), (0.5, 3.0, True)])
    assert "Of 2 complete trials one is better than all others in everything: #0 (" in searched(frame_of(best, set()), best)
    beyond = trials_of([(0.9, 1.0, False)])
    assert searched(frame_of(beyond, set()), beyond) == "Of 1 complete trial none keeps the limits."


def test_the_parameter_that_decides_is_the_important_one() -> None:
    trials = trials_of([(index % 7, 1.0, True) for index in range(40)])
    shares = search_importances.importances(trials, 0)
    assert next(iter(shares)) == "lr"
    assert sum(shares.values()) == pytest.approx(1)
    assert search_importances.importances(trials, 1) == {}


def test_reading_a_folder_writes_nothing_and_needs_no_torch(tmp_path: Path) -> None:
    assert load_trials(tmp_path) is None
    folder = tmp_path / "a folder with spaces & %"
    folder.mkdir()
    study_of([(0.9, 2.0, True), (0.8, 1.0, True)], f"sqlite:///{folder / 'study.db'}")
    before = (folder / "study.db").read_bytes()
    program = f"""
import sys
from spikebench.reading.reports.sections.search_importances import importances
from spikebench.reading.model.trials import load_trials
trials = load_trials({str(folder)!r})
assert [trial.number for trial in trials.front] == [0, 1]
importances(trials, 0)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (folder / "study.db").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["study.db"]


def test_a_damaged_study_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database" * 500)
    with pytest.raises(StorageError, match="the study cannot be read"):
        load_trials(tmp_path)
