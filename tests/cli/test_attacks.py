"""What takes a job down takes nothing else with it: a full disk, a bad file, a process that ends, an exception of any text."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command, environment

HARNESS = """
'''Meets its fate.'''
import dataclasses, os
from spikebench.core.metrics import Metric
from spikebench.core.records import Record

FATE = Metric("fate", "1", None, "counted", "Fate")

class Harness:
    @dataclasses.dataclass(frozen=True)
    class Options:
        what: str = "live"

    metrics = (FATE,)
    version = 1
    needs_weights = exclusive = resumes = False

    def run(self, subject, options):
        if options.what == "exit":
            os._exit(9)
        if options.what == "shout":
            raise RuntimeError("[/red] [enforce fail at alloc_cpu.cpp:118] \\x1b[31m \\udc80" + "x" * 5_000_000)
        yield Record.of(FATE, float("nan") if options.what == "nan" else 1)
"""


@pytest.fixture
def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with the harness ``fate``, for the commands that the test runs."""
    site = tmp_path / "site"
    info = site / "fates-1.dist-info"
    info.mkdir(parents=True)
    (site / "fates.py").write_text(HARNESS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fates\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[spikebench.harnesses]\nfate = fates:Harness\n")
    known = environment()
    monkeypatch.setattr("tests.cli.conftest.environment", lambda: {**known, "PYTHONPATH": f"{known['PYTHONPATH']}:{site}"})


def fateful(path: Path, *fates: str) -> Path:
    path.write_text(
        "suite: tiny\ndataset: digits\ntrain: none\n"
        "variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}\n"
        f"measure: [{', '.join(f'{{fate: {{what: {fate}}}}}' for fate in fates)}]\n"
    )
    return path


@pytest.mark.usefixtures("fates")
def test_a_job_that_ended_the_driver_runs_apart_and_failed_records_fail_the_run(command: Command, tiny: Path) -> None:
    suite = fateful(tiny, "nan", "shout", "exit", "live")
    first = command("run", suite)
    assert first.returncode == 9
    second = command("run", suite)
    assert second.returncode == 4, second.stderr
    assert "Traceback" not in second.stderr
    assert "4 jobs, 0 reused" in second.stderr
    assert "the value is nan" in second.stderr
    assert "RuntimeError: [/red] [enforce fail at alloc_cpu.cpp:118] xxx" in second.stderr
    assert "the worker process ended unexpectedly (exit code 9)" in second.stderr
    assert "\x1b" not in second.stderr + second.stdout
    assert len(second.stderr) < 8_000
    third = command("run", suite)
    assert third.returncode == 4, third.stderr
    assert "4 jobs, 1 reused, 3 to do" in third.stderr


@pytest.mark.parametrize("launcher", ["inline", "{processes: {workers: 2}}"])
def test_a_full_disk_ends_the_run_and_says_so_and_a_bad_file_fails_its_cell_alone(
    command: Command, tiny: Path, tmp_path: Path, launcher: str
) -> None:
    tiny.write_text(tiny.read_text().replace("epochs: 3", "epochs: 1") + f"launcher: {launcher}\n")
    limited = subprocess.run(
        [sys.executable, "-m", "spikebench", "run", str(tiny)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        # No checkpoint fits, a job's records do: what a disk does that is nearly full.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert limited.returncode == 2, limited.stderr
    assert ".pt: the limit on the size of a file is reached" in limited.stderr
    assert "Traceback" not in limited.stderr
    if launcher == "inline":
        done = command("run", tiny)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "results/tiny"
        bad, _ = sorted(folder.glob("weights/*/weights.pt"))
        bad.write_bytes(bad.read_bytes()[:1000])
        for path in folder.glob("jobs/*.jsonl"):
            if '"harness": "accuracy"' in path.read_text():
                path.unlink()
        again = command("run", tiny)
        assert again.returncode == 4, again.stderr
        assert "1 job failed" in again.stderr
        assert f"{bad.relative_to(tmp_path)}: cannot be read" in again.stderr
        assert len([path for path in folder.glob("jobs/*.jsonl") if '"status": "failed"' not in path.read_text()]) == 5
