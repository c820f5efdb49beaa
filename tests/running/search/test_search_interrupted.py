"""A search that is killed or interrupted goes on where it was: the real command in a process of its own."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from spikebench.reading.model.trials import Trials, load_trials
from tests import warm

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
    dim: {choice: [8, 16]}
    lr: {float: [1.0e-3, 1.0e-2]}
  objectives: [accuracy, "energy{profile=spikformer-paper}"]
  sampler: {tpe: {startup_trials: 3}}
  trials: 6
"""


def start(folder: Path, results: str = "results") -> warm.Running:
    return warm.start("search", "tiny.yaml", "--results", results, cwd=folder)


def wait_for(process: warm.Running, folder: Path, trials: int) -> None:
    """Until so many trials are complete, each a training and a measurement, and another one is in training.

    Only names of files are looked at: a search like this one is over before its study has been read a few times.
    """
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if len(finished(folder)) >= 2 * trials and list(folder.glob("weights/*/checkpoint-*.pt")):
            return
        time.sleep(0.002)
    pytest.fail("the search did not come so far, or was over before it was seen there")


def finished(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "jobs").glob("*.jsonl")}


def whole(folder: Path) -> Trials:
    found = load_trials(folder)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["inline", "{processes: {workers: 2}}"])
def test_kill_9_then_the_same_command(tmp_path: Path, launcher: str) -> None:
    (tmp_path / "tiny.yaml").write_text(f"{SUITE}launcher: {launcher}\n")
    folder = tmp_path / "results/tiny"
    for trials in (1, 3) if launcher == "inline" else (2,):
        process = start(tmp_path)
        wait_for(process, folder, trials)
        process.kill()
        process.communicate()
    before, states = finished(folder), Counter(trial.state for trial in whole(folder).rows)
    assert states["running"] > 0
    last = start(tmp_path)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    found = whole(folder)
    assert Counter(trial.state for trial in found.rows) == {"complete": 6}
    assert [trial.number for trial in found.rows] == list(range(6))
    # Nothing that was finished was done again, and no network was trained twice.
    after = finished(folder)
    assert before.items() <= after.items()
    assert len(list((folder / "weights").glob("*/weights.pt"))) == len({trial.cell_id for trial in found.rows})
    assert not list(folder.glob("jobs/unfinished/*"))
    assert not list(folder.glob("weights/*/checkpoint-*.pt"))
    if launcher == "inline":
        start(tmp_path, "undisturbed").communicate(timeout=120)
        assert whole(tmp_path / "undisturbed/tiny").rows == found.rows


@pytest.mark.slow
def test_ctrl_c_prints_the_table_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE.replace("epochs: 3", "epochs: 12").replace("trials: 6", "trials: 2"))
    folder = tmp_path / "results/tiny"
    process = start(tmp_path)
    wait_for(process, folder, 1)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "1 trials: 1 complete" in printed
    assert "the same command goes on from there" in errors
    assert Counter(trial.state for trial in whole(folder).rows) == {"complete": 1, "waiting": 1}
    before = finished(folder)
    again = start(tmp_path)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert Counter(trial.state for trial in whole(folder).rows) == {"complete": 2}
    assert before.items() <= finished(folder).items()
