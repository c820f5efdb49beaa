"""Nothing measured is lost: kill -9 and Ctrl-C at random moments, then the same command again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.metrics import catalogue
from tests.cli.conftest import Command, environment

KILLS = 10


def records(folder: Path) -> dict[tuple[Any, ...], Any]:
    """Address of every finished record -> value; times have no value to compare."""
    found: dict[tuple[Any, ...], Any] = {}
    for path in (folder / "jobs").glob("*.jsonl"):
        header, *lines, last = map(json.loads, path.read_text().splitlines())
        assert last == {"records": len(lines)}
        for line in lines:
            address = (header["job_id"], line["metric"], line["scope"], json.dumps(line["conditions"], sort_keys=True))
            assert address not in found
            found[address] = line["value"] if catalogue()[line["metric"]].portable else "a time"
    return found


def start(suite: Path, results: str, folder: Path, said: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "spikebench", "run", str(suite), "--results", results]
    # A background job of a shell ignores Ctrl-C, and so would all that it starts.
    return subprocess.Popen(
        words,
        cwd=folder,
        env=environment(),
        stdout=said,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["inline", "{processes: {workers: 2}}"])
def test_kill_9_at_random_moments_then_run_again(command: Command, tiny: Path, tmp_path: Path, launcher: str) -> None:
    tiny.write_text(tiny.read_text() + f"launcher: {launcher}\n")
    begun = time.monotonic()
    command("run", tiny, "--results", "undisturbed", check=True)
    whole = time.monotonic() - begun
    dice = random.Random(launcher)
    for _ in range(KILLS // 2):
        process = start(tiny, "killed", tmp_path)
        time.sleep(dice.uniform(0.3, 0.9) * whole)
        process.kill()
        process.wait()
    done = command("run", tiny, "--results", "killed")
    assert done.returncode == 0, done.stderr
    # One thread, the same machine: values are equal to the last bit, the resumed training's too.
    assert records(tmp_path / "killed/tiny") == records(tmp_path / "undisturbed/tiny")
    assert not list((tmp_path / "killed/tiny/jobs").glob("unfinished/*"))
    assert not list((tmp_path / "killed/tiny/weights").glob("*/checkpoint.pt"))


@pytest.mark.parametrize("launcher", ["inline", "{processes: {workers: 2}}"])
def test_ctrl_c_five_times_leaves_a_resumable_folder_at_once(tiny: Path, tmp_path: Path, launcher: str) -> None:
    tiny.write_text(tiny.read_text().replace("epochs: 3", "epochs: 400") + f"launcher: {launcher}\n")
    process = start(tiny, "results", tmp_path, said=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/tiny/weights/*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert list(tmp_path.glob("results/tiny/weights/*/checkpoint.pt"))
