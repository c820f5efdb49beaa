"""Nothing measured is lost: kill -9 and Ctrl-C at random moments, then the same command again."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.metrics import catalogue
from tests import warm
from tests.cli.conftest import TINY, Command

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


def start(suite: Path, results: str, folder: Path) -> warm.Running:
    return warm.start("run", suite, "--results", results, cwd=folder, merged=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[tuple[Any, ...], Any], float]:
    """The records of a run that nobody interrupts, and the seconds that it takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    suite = folder / "tiny.yaml"
    suite.write_text(TINY)
    begun = time.monotonic()
    assert start(suite, "results", folder).wait(timeout=300) == 0
    return records(folder / "results/tiny"), time.monotonic() - begun


def require_whole(folder: Path, wanted: dict[tuple[Any, ...], Any]) -> None:
    # One thread, the same machine: values are equal to the last bit, the resumed training's too.
    assert records(folder) == wanted
    assert not list((folder / "jobs").glob("unfinished/*"))
    assert not list((folder / "weights").glob("*/checkpoint-*.pt"))


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "drivers"), [("inline", 1), ("{processes: {workers: 2}}", 1), ("inline", 2)])
def test_kill_9_at_random_moments_then_run_again(
    command: Command, tiny: Path, tmp_path: Path, undisturbed: Any, launcher: str, drivers: int
) -> None:
    wanted, whole = undisturbed
    tiny.write_text(tiny.read_text() + f"launcher: {launcher}\n")
    dice = random.Random(f"{launcher}{drivers}")
    for _ in range(KILLS // (2 * drivers)):
        processes = [start(tiny, "killed", tmp_path) for _ in range(drivers)]
        for process in processes:
            time.sleep(dice.uniform(0.3, 0.9) * whole / drivers)
            process.kill()
            # A second driver was refused, took over from the killed one, or found nothing left to do.
            assert process.wait() in (-signal.SIGKILL, 0, 2)
    done = command("run", tiny, "--results", "killed")
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "killed/tiny", wanted)


@pytest.mark.slow
def test_a_stopped_worker_is_ended_and_what_it_had_measured_is_kept(command: Command, tiny: Path, tmp_path: Path) -> None:
    whole = tiny.read_text().replace("epochs: 3", "epochs: 40")
    tiny.write_text(whole + "launcher: {processes: {workers: 2}}\nstall: 40 s\n")
    folder = tmp_path / "stopped/tiny"
    process = start(tiny, "stopped", tmp_path)
    deadline = time.monotonic() + 300
    begun = folder / "jobs/unfinished"
    while sum('"epoch": 2' in path.read_text() for path in begun.glob("*.partial")) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    for worker in children(process.pid):
        os.kill(worker, signal.SIGSTOP)
    said = process.communicate(timeout=180)[0]
    assert process.returncode == 4, said
    assert said.count("nothing was heard of the job for as long as stall, 40 s") == 2
    before = measured(folder)
    assert any('"epoch_loss"' in line for line in before)
    tiny.write_text(whole)
    assert command("run", tiny, "--results", "stopped").returncode == 0
    # Its times too: no epoch was trained a second time.
    assert before <= measured(folder)
    assert not any('"status": "failed"' in path.read_text() for path in folder.glob("jobs/*.jsonl"))
    assert not list(folder.glob("jobs/unfinished/*"))
    assert not list(folder.glob("weights/*/checkpoint.pt"))


def measured(folder: Path) -> set[str]:
    """The lines of all records that have a value."""
    lines = {f"{path.name} {line}" for path in folder.glob("jobs/*.jsonl") for line in path.read_text().splitlines()[1:-1]}
    return {line for line in lines if '"status": "ok"' in line}


def children(pid: int) -> list[int]:
    """The workers of a driver: processes that it has spawned to run jobs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            line = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "spawn_main" in line:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("launcher", ["inline", "{processes: {workers: 2}}"])
def test_ctrl_c_held_down_leaves_a_resumable_folder_at_once(tiny: Path, tmp_path: Path, launcher: str) -> None:
    tiny.write_text(tiny.read_text().replace("epochs: 3", "epochs: 400") + f"launcher: {launcher}\n")
    process = start(tiny, "results", tmp_path)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/tiny/weights/*/checkpoint-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert list(tmp_path.glob("results/tiny/weights/*/checkpoint-*.pt"))
