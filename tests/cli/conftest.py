"""The real command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
        return subprocess.run(
            [sys.executable, "-m", "spikebench", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
            env=environment(),
        )

    return run


def environment() -> dict[str, str]:
    """One thread, and this checkout rather than an installed copy."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "COLUMNS": "140", "NO_COLOR": "1"}
