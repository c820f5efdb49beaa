"""The real command in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.warm import environment

Command = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = """
suite: tiny
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}
  grid:
    attention: [ssa, softmax]
seeds: [0]
train: {epochs: 3, batch_size: 256, lr: 4.0e-3}
measure: [accuracy, {activity: {samples: 16}}]
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A suite of two cells that trains in seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``command("run", suite)`` runs ``spikebench run suite`` in a temporary folder."""

    def run(*arguments: object, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = warm.run(*arguments, cwd=tmp_path, env=environment())
        if check:
            done.check_returncode()
        return done

    return run
