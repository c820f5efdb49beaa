"""A batch that does not fit is a result, and what it took is there for the next one: with kept memory as with the system's."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core.allocator import VARIABLE
from spikebench.reading.model.frame import load_results
from tests.cli.conftest import environment

LIMIT = 6 << 30
SUITE = """
suite: full
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, T: 2}, grid: {attention: [ssa, identity]}}
seeds: [0]
train: none
measure: [{latency: {batch_sizes: [65536, 4], seconds: 0.05}}]
"""


@pytest.mark.parametrize("setting", ["kept", "system"])
def test_a_batch_that_does_not_fit_leaves_room_for_the_next_cell(setting: str, tmp_path: Path) -> None:
    suite = tmp_path / "full.yaml"
    suite.write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "spikebench", "run", str(suite), "--results", str(tmp_path)],
        env={**environment(), VARIABLE: setting},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    records = [record for record in load_results(tmp_path / "full").records if record.metric == "latency"]
    assert len(records) == 4
    for record in records:
        assert record.conditions["malloc"] == setting
        if record.conditions["batch_size"] == 4:
            assert record.value is not None, record.reason
        else:
            assert record.value is None
            assert "memory" in record.reason
