"""kill -9 in the middle of pre-training and of fine-tuning: the same command goes on, and nothing is pre-trained twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_interrupted import records, start

SUITE = """
suite: pre
dataset: digits
variants:
  base: {preset: spikformer-2-64, stem: scs, depth: 1, dim: 16, num_heads: 2, T: 1}
seeds: [0]
pretrain: {epochs: 6, batch_size: 256, lr: 4.0e-3}
train: {epochs: 6, batch_size: 256, lr: 4.0e-3}
recipes:
  tuned: {}
  longer: {train: {epochs: 7}}
measure: [accuracy]
"""


def kill_when(suite: Path, folder: Path, reached: Callable[[], bool]) -> None:
    """Start the run and kill it as soon as it has come so far."""
    process = start(suite, "killed", folder)
    deadline = time.monotonic() + 120
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.wait()


@pytest.mark.slow
def test_kill_9_in_pre_training_and_in_fine_tuning_then_run_again(command: Command, tmp_path: Path) -> None:
    suite = tmp_path / "pre.yaml"
    suite.write_text(SUITE)
    command("run", suite, "--results", "undisturbed", check=True)
    weights = tmp_path / "killed/pre/weights"
    kill_when(suite, tmp_path, lambda: any(weights.glob("*/checkpoint-*.pt")))
    (pretraining,) = [path.parent for path in weights.glob("*/checkpoint-*.pt")]
    assert not list(weights.glob("*/weights.pt")), "it was killed in the middle of pre-training"
    kill_when(suite, tmp_path, lambda: any(path.parent != pretraining for path in weights.glob("*/checkpoint-*.pt")))
    once = (pretraining / "weights.pt").stat().st_mtime_ns
    done = command("run", suite, "--results", "killed")
    assert done.returncode == 0, done.stderr
    assert (pretraining / "weights.pt").stat().st_mtime_ns == once, "the second cell has pre-trained again"
    assert records(tmp_path / "killed/pre") == records(tmp_path / "undisturbed/pre")
    assert not list(weights.glob("*/checkpoint-*.pt"))
