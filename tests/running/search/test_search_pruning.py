"""A pruned trial stops at once, measures nothing, and leaves its network resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from spikebench.core.cells import Job
from spikebench.core.records import Record
from spikebench.core.suite_reader import load
from spikebench.reading.model.trials import load_trials
from spikebench.running.jobs import rules
from spikebench.running.jobs.events import Measured
from spikebench.running.search import study
from spikebench.running.search.trial import JobStopped, StoppableWork
from spikebench.running.verbs.search import run_search

SUITE = """\
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: {epochs: 3, batch_size: 256, lr: 4.0e-3}
measure: [accuracy, {activity: {samples: 8}}]
energy: [spikformer-paper]
report: {formats: []}
search:
  space:
    lr: {float: [1.0e-3, 1.0e-2]}
    attention: {choice: [ssa, softmax]}
  objectives: [accuracy]
  pruner: median
  trials: 3
"""


def finished(folder: Path) -> set[str]:
    """Cells with a finished training or count."""
    return {json.loads(path.read_text().splitlines()[0])["cell_id"] for path in (folder / "jobs").glob("*.jsonl")}


class Strict(optuna.pruners.BasePruner):
    """Stops every trial but the first after its first epoch."""

    def prune(self, study: Any, trial: Any) -> bool:
        return bool(trial.number > 0)


def test_a_pruned_trial_stops_and_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "make_pruner", lambda choice, epochs: Strict())
    (tmp_path / "tiny.yaml").write_text(SUITE)
    assert not run_search(tmp_path / "tiny.yaml", tmp_path)
    trials = load_trials(tmp_path / "tiny")
    assert trials is not None
    assert [trial.state for trial in trials.rows] == ["complete", "pruned", "pruned"]
    assert [list(trial.intermediate_values) for trial in trials.study.get_trials()] == [[1, 2, 3], [1], [1]]
    assert finished(tmp_path / "tiny") == {trials.rows[0].cell_id}
    assert not (tmp_path / "tiny/stop").exists()


def test_work_in_another_process_stops_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE)
    loaded = load(tmp_path / "tiny.yaml", rules)
    jobs = loaded.jobs(loaded.cells[0], "cpu")
    steps: list[int] = []

    def work(job: Job) -> Iterator[Any]:
        try:
            for epoch in range(5):
                steps.append(epoch)
                yield Measured(job.job_id, Record("epoch_accuracy", 0.5, "1", conditions={"epoch": epoch}))
        finally:
            steps.append(-1)

    stoppable = StoppableWork(work, tmp_path)
    events = stoppable(jobs[0])
    assert [type(next(events)) for _ in range(2)] == [Measured, Measured]
    (tmp_path / loaded.cells[0].cell_id).touch()
    assert [type(event) for event in events] == [JobStopped]
    assert steps == [0, 1, -1]
    # The rest of the chain does not begin.
    assert [type(event) for event in stoppable(jobs[1])] == [JobStopped]
    assert steps == [0, 1, -1]
