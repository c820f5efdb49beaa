"""tests/benchmarks/gpu.py on its CPU path: it runs, checks, and writes rows with samples; speeds themselves need a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it takes minutes: run it by hand")
def test_every_kernel_part_writes_its_rows(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--parts", "selftest", "check", "lif", "bn_lif", "networks"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in tmp_path.glob("*.jsonl")
        if path.stem != "log"
    }
    assert {row["verdict"] for row in rows.pop("selftest")} == {"runs"}
    measured = {row["metric"] for row in rows.pop("networks")}
    assert {"latency", "throughput", "saved_bytes", "power"} <= measured
    assert list((tmp_path / "networks" / "jobs").glob("*.jsonl"))
    assert {name: len(found) for name, found in rows.items()} == {"check": 24, "lif": 6, "bn_lif": 3}
    assert all(row["equal"] for row in rows["check"])
    assert all(row["card"] is None for found in rows.values() for row in found)
    for row in rows["lif"] + rows["bn_lif"]:
        assert len(row["samples"]["ours"]) == 5
        assert row["ratio"] == pytest.approx(sorted(row["samples"]["spikingjelly"])[2] / sorted(row["samples"]["ours"])[2])
    assert all(0 < row["ours_saved_bytes"] < 0.75 * row["spikingjelly_saved_bytes"] for row in rows["bn_lif"])
