"""Launchers: order within a chain, every job done, a dying worker costs one job, workers die with their parent."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.events import JobEnded, JobStarted, WorkerDied
from spikebench.running.launchers import processes


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job: launchers look at its id alone."""

    job_id: str
    deadly: bool = False


def work(task: Task) -> Iterator[Any]:
    yield JobStarted(task.job_id)
    if task.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    yield JobEnded(task.job_id, 0.0)


def run(name: str, chains: list[list[Task]], **options: Any) -> list[Any]:
    launcher = REGISTRIES["launchers"].get(name)
    return list(launcher(launcher.Options(**options)).run(chains, work))


@pytest.mark.parametrize("name", REGISTRIES["launchers"].names())
def test_every_job_runs_once_and_chains_keep_their_order(name: str) -> None:
    chains = [[Task(f"{chain}{step}") for step in range(3)] for chain in "abc"]
    ended = [event.job_id for event in run(name, chains) if isinstance(event, JobEnded)]
    assert sorted(ended) == sorted(task.job_id for chain in chains for task in chain)
    for chain in chains:
        places = [ended.index(task.job_id) for task in chain]
        assert places == sorted(places)


@pytest.mark.parametrize("name", REGISTRIES["launchers"].names())
def test_no_chains_is_no_work(name: str) -> None:
    assert run(name, []) == []


def test_a_killed_worker_costs_its_job_alone() -> None:
    chains = [[Task("a0"), Task("a1", deadly=True), Task("a2")], [Task("b0")]]
    events = run("processes", chains, workers=1)
    (died,) = [event for event in events if isinstance(event, WorkerDied)]
    assert died.job_id == "a1"
    assert "out of memory" in died.reason
    assert {event.job_id for event in events if isinstance(event, JobEnded)} == {"a0", "a2", "b0"}


def test_threads_of_inline_jobs_are_theirs_alone() -> None:
    import torch

    before = torch.get_num_threads()
    launcher = REGISTRIES["launchers"].get("inline")
    other = before + 1
    seen = list(launcher(launcher.Options(threads=other)).run([[Task("a")]], lambda task: iter([torch.get_num_threads()])))
    assert seen == [other]
    assert torch.get_num_threads() == before


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="threads at least 1"):
        processes.Launcher.Options(threads=0)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = tmp_path / "parent.py"
    program.write_text(
        f"""
import os, sys, time
sys.path[:0] = {sys.path!r}
from spikebench.running.launchers.processes import Launcher
from tests.running.launchers.test_launchers import Task

def work(task):
    open({str(note)!r}, "w").write(str(os.getpid()))
    time.sleep(600)
    yield

if __name__ == "__main__":
    list(Launcher(Launcher.Options(workers=1)).run([[Task("a")]], work))
"""
    )
    parent = subprocess.Popen([sys.executable, str(program)])
    assert until(lambda: note.exists() and note.read_text())
    worker = int(note.read_text())
    parent.kill()
    parent.wait()
    assert until(lambda: not alive(worker))


def until(condition: Any, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
