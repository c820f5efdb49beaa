"""A driver whose jobs run in other processes asks one of them what only torch can tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.running.run import survey as module
from spikebench.running.run.survey import survey

ROOT = Path(__file__).resolve().parents[3]
SUITE = """\
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}, grid: {attention: [ssa, softmax]}}
train: {epochs: 0}
measure: [accuracy]
launcher: {processes: {workers: 1}}
"""
DRIVER = """\
import sys
from pathlib import Path
from spikebench.running.run.runner import open_run
from spikebench.running.verbs.plan import show_plan
from spikebench.running.verbs.run import run_suite

if __name__ == "__main__":
    suite, results = map(Path, sys.argv[1:])
    show_plan(suite, results, False)
    assert len(open_run(suite, results).plan.pending) == 4
    for _ in ("all of it", "nothing any more"):
        assert not run_suite(suite, results, False)
    assert not open_run(suite, results).plan.pending
    assert "torch" not in sys.modules
"""


def write(folder: Path, text: str = SUITE) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_a_plan_and_a_run_in_worker_processes_never_load_torch_themselves(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(write(tmp_path)), str(tmp_path / "results")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_what_another_process_finds_is_what_this_one_would(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE + "pretrain: {epochs: 1}\n")
    there, here = survey(path), module._survey(path)
    assert there.place == here.place
    assert there.suite == here.suite
    for one, other in zip(there.suite.cells, here.suite.cells, strict=True):
        assert {"cell_id", "group_id"} <= one.__dict__.keys()
        assert one.to_plain() == other.to_plain()
        jobs = [[job.header() for job in suite.jobs(cell, "cpu")] for suite, cell in ((there.suite, one), (here.suite, other))]
        assert jobs[0] == jobs[1]


def test_every_problem_of_the_file_arrives(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE.replace("softmax", "softmaxx").replace("epochs", "epoch"))
    with pytest.raises(InputError) as there:
        survey(path)
    with pytest.raises(InputError) as here:
        module._survey(path)
    assert there.value.problems == here.value.problems
    assert len(there.value.problems) == 2


@pytest.mark.parametrize("text", ["launcher: [", "- a", "launcher: {a: 1, b: 2}", "launcher: nowhere", "suite: x"])
def test_a_file_that_names_no_such_launcher_is_checked_here(tmp_path: Path, text: str) -> None:
    assert not module._runs_elsewhere(write(tmp_path, text))
