"""How long commands take from nothing, in CPU seconds beside their targets: half a second for those that load no torch, and the
quickstart, which is the first that most people see, in two minutes on two cores.

``pytest tests/benchmarks/test_startup.py --benchmark-only -s`` prints them. What numba compiles once on a machine is in
``test_lif.py`` (``test_the_first_call``).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.scale import ROOT, cost, record

QUICKSTART = ROOT / "suites/quickstart.yaml"


@pytest.mark.parametrize("arguments", [["--help"], ["list"]], ids=["help", "list"])
def test_start(benchmark: Any, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "spikebench", *arguments]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=5, warmup_rounds=1)


def test_plan_of_the_quickstart(benchmark: Any, tmp_path: Path) -> None:
    found = record(benchmark, lambda: cost(["run", QUICKSTART, "--plan"], tmp_path), 3)
    assert "24 jobs to do" in found.output


def test_show_a_preset(benchmark: Any, tmp_path: Path) -> None:
    found = record(benchmark, lambda: cost(["show", "spikformer-4-384", "--dataset", "cifar10"], tmp_path), 4)
    assert "blocks.3" in found.output


def test_the_quickstart(benchmark: Any, tmp_path: Path) -> None:
    """Two workers on two quiet cores: 120 s by the clock, twice that of CPU."""
    found = record(benchmark, lambda: cost(["run", QUICKSTART], tmp_path), 240)
    benchmark.extra_info.update(wall_seconds=found.wall, target_wall_seconds=120)
    assert (tmp_path / "results/quickstart/report/report.html").is_file()
