"""A worker killed by the system: said once, and gone with the next run, whatever the machines were called."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import Command, environment


def start(suite: Path, folder: Path) -> subprocess.Popen[str]:
    """With two threads here and one in the worker: two machines, as far as their ids go."""
    words = [sys.executable, "-m", "spikebench", "run", str(suite)]
    env = {**environment(), "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def until(condition: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    assert condition()  # type: ignore[operator]


def headers(folder: Path) -> list[dict[str, str]]:
    return [json.loads(path.read_text().split("\n")[0]) for path in (folder / "jobs").glob("*.jsonl")]


def test_a_killed_worker_fails_where_it_ran_and_the_next_run_clears_it(command: Command, tiny: Path, tmp_path: Path) -> None:
    text = tiny.read_text().replace("attention: [ssa, softmax]", "attention: [ssa]").replace("epochs: 3", "epochs: 20")
    tiny.write_text(text + "launcher: {processes: {workers: 1, threads: 1}}\n")
    folder = tmp_path / "results/tiny"
    running = start(tiny, tmp_path)
    until(lambda: list(folder.glob("weights/*/checkpoint-*.pt")))
    (worker,) = workers(running.pid)
    os.kill(worker, signal.SIGKILL)
    said, _ = running.communicate(timeout=300)
    assert running.returncode == 4, said
    assert "out of memory" in said
    # The failure lies where the finished file will: under the worker's machine, not its parent's.
    threads = {path.stem: json.loads(path.read_text())["threads"] for path in (folder / "machines").glob("*.json")}
    assert [threads[header["machine_id"]] for header in headers(folder) if header["harness"] == "train"] == [1]

    again = start(tiny, tmp_path)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert "signal 9" not in command("report", folder, "--format", "terminal").stdout
    assert "0 jobs to do" in command("run", tiny, "--plan").stdout
    assert command("baseline", "update", folder).returncode == 0


def test_a_failure_that_an_older_version_filed_under_the_parent_is_superseded(
    command: Command, tiny: Path, tmp_path: Path
) -> None:
    tiny.write_text(tiny.read_text().replace("attention: [ssa, softmax]", "attention: [ssa]").replace("epochs: 3", "epochs: 0"))
    command("run", tiny, check=True)
    folder = tmp_path / "results/tiny"
    (accuracy,) = (path for path in (folder / "jobs").glob("*.jsonl") if '"harness": "accuracy"' in path.read_text())
    header = json.loads(accuracy.read_text().split("\n")[0])
    lost = {"metric": "accuracy", "value": None, "unit": "1", "status": "failed", "reason": "signal 9"}
    # Before the finished file and behind it in the order of names.
    for machine_id in ("0" * 16, "f" * 16):
        path = accuracy.with_name(f"{header['job_id']}-{machine_id}.jsonl")
        path.write_text(json.dumps({**header, "schema": 1, "machine_id": machine_id}) + "\n" + json.dumps(lost) + "\n")
    assert "0 jobs to do" in command("run", tiny, "--plan").stdout
    assert "signal 9" not in command("report", folder, "--format", "terminal").stdout
    assert command("baseline", "update", folder).returncode == 0
