"""How long the command takes to start: the target is half a second on two cores."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


@pytest.mark.parametrize("arguments", [["--help"], ["list"]], ids=["help", "list"])
def test_start(benchmark: Any, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "spikebench", *arguments]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=5, warmup_rounds=1)
