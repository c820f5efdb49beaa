"""Launchers: order within a chain, every job done, a dying worker costs one job, workers die with their parent."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import DiskError, InputError
from spikebench.core.protocols import NO_CARE, Care
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.events import JobAgain, JobEnded, JobStarted, WorkerDied
from spikebench.running.launchers import _seats, _worker, processes
from spikebench.running.launchers._seats import seats


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job: launchers look at its id alone."""

    job_id: str
    deadly: bool = False
    fate: str = ""
    flag: str = ""


class OddError(Exception):
    """Cannot be sent to another process."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def work(task: Task) -> Iterator[Any]:
    yield JobStarted(task.job_id)
    if task.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.fate == "exit":
        os._exit(3)
    if task.fate == "full":
        raise DiskError("x: the disk is full")
    if task.fate == "once":
        flag = Path(task.flag)
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if task.fate == "seat":
        yield sorted(os.sched_getaffinity(0)), os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"]
    if task.fate == "odd":
        raise OddError(1, 2)
    if task.fate == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if task.fate == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if task.fate == "busy":
        for _ in range(6000):
            yield Tick(task.job_id)
            time.sleep(0.1)
    yield JobEnded(task.job_id, 0.0)


@dataclasses.dataclass(frozen=True)
class Tick:
    """Some event or other."""

    job_id: str


def run(name: str, chains: list[list[Task]], care: Care = NO_CARE, **options: Any) -> list[Any]:
    launcher = REGISTRIES["launchers"].get(name)
    return list(launcher(launcher.Options(**options)).run(chains, work, care))


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


def test_what_the_work_raises_is_raised_in_the_parent() -> None:
    with pytest.raises(DiskError, match="the disk is full"):
        run("inline", [[Task("a", fate="full")]])
    with pytest.raises(DiskError, match="the disk is full"):
        run("processes", [[Task("a", fate="full")], [Task("b", fate="busy")]], workers=2)
    with pytest.raises(RuntimeError, match="OddError: odd") as caught:
        run("processes", [[Task("a", fate="odd")]], workers=1)
    assert "test_launchers.py" in "".join(caught.value.__notes__)


def test_a_job_that_stalls_or_takes_too_long_is_ended_and_the_rest_of_its_chain_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "GRACE", 1.0)
    chains = [[Task("a0", fate="stop"), Task("a1")], [Task("b0", fate="deaf")], [Task("c0", fate="busy")]]
    events = run("processes", chains, Care(job_timeout=8.0, stall=3.0), workers=3)
    died = {event.job_id: event.reason for event in events if isinstance(event, WorkerDied)}
    assert died.keys() == {"a0", "b0", "c0"}
    assert "stall, 3 s" in died["a0"]
    assert "its process was stopped" in died["a0"]
    assert re.search(r"stall, 3 s; it was in work \(test_launchers.py:\d+\)", died["b0"])
    assert re.search(r"job_timeout, 8 s; it was in work \(test_launchers.py:\d+\)", died["c0"])
    assert {event.job_id for event in events if isinstance(event, JobEnded)} == {"a1"}


def test_a_job_with_lives_is_begun_again_until_it_has_none(tmp_path: Path) -> None:
    """Then its chain goes on without it."""
    chain: list[Any] = [Task("a0", fate="once", flag=str(tmp_path / "died")), Task("a1", deadly=True), Task("a2")]
    launcher = processes.Launcher(processes.Launcher.Options(workers=1), lives=3)
    events = list(launcher.run([chain], work))
    again = [event.job_id for event in events if isinstance(event, JobAgain)]
    assert again == ["a0", "a1", "a1"]
    (died,) = [event for event in events if isinstance(event, WorkerDied)]
    assert died.job_id == "a1"
    assert [event.job_id for event in events if isinstance(event, JobEnded)] == ["a0", "a2"]
    assert launcher.deaths == {"a0": 1, "a1": 3}


def test_work_that_cannot_be_sent_is_bad_input() -> None:
    launcher = processes.Launcher(processes.Launcher.Options(workers=1))
    with pytest.raises(InputError, match=r"cannot be sent to another process: .*lambda.*; a function must be at the top"):
        list(launcher.run([[Task("a")]], lambda job: iter(())))  # type: ignore[list-item]


def test_workers_share_out_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seats, "usable_cores", lambda: [2, 3, 4, 5, 6, 7, 8])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-a,6,7")
    assert [seat.cores for seat in seats(None, 2, NO_CARE)] == [(2, 3), (4, 5), (6, 7, 8)]
    assert [seat.cores for seat in seats(4, 2, NO_CARE)] == [()] * 4  # more threads than cores: nobody keeps to any
    assert {seat.gpus for seat in seats(None, 1, NO_CARE)} == {None}
    assert [seat.gpus for seat in seats(None, 1, Care(device="cuda"))] == ["4", "GPU-a", "6", "7"]
    assert [seat.gpus for seat in seats(None, 1, Care(device="cuda", devices=2))] == ["4,GPU-a", "6,7"]
    assert [seat.gpus for seat in seats(3, 1, Care(device="cuda", devices=2))] == ["4,GPU-a", "6,7", "4,GPU-a"]
    # Where no GPU can be found CUDA has its say, not we.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [seat.gpus for seat in seats(None, 1, Care(device="cuda"))] == [None]


def test_a_worker_keeps_to_its_seat_and_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    cores = sorted(os.sched_getaffinity(0))
    chains = [[Task(name, fate="seat")] for name in "ab"]
    events = run("processes", chains, Care(device="cuda"))  # type: ignore[arg-type]
    where = {event.job_id: event.where.worker for event in events if isinstance(event, JobStarted)}
    assert sorted(where.values()) == ["1", "2"]
    shares = sorted(event for event in events if isinstance(event, tuple))
    assert sorted(core for share, _, _ in shares for core in share) == cores or len(cores) == 1
    assert {gpus for _, gpus, _ in shares} == {"5", "6"}
    assert {threads for _, _, threads in shares} == {"1"}


def test_inline_jobs_with_limits_or_a_past_run_apart() -> None:
    events = run("inline", [[Task("a0", fate="stop")]], Care(stall=1.0))
    assert [event.job_id for event in events if isinstance(event, WorkerDied)] == ["a0"]
    events = run("inline", [[Task("a0"), Task("a1", fate="exit"), Task("a2")]], Care(apart=lambda task: task.job_id == "a1"))
    (died,) = [event for event in events if isinstance(event, WorkerDied)]
    assert (died.job_id, died.reason) == ("a1", "the worker process ended unexpectedly (exit code 3)")
    assert [event.job_id for event in events if isinstance(event, JobEnded)] == ["a0", "a2"]


def test_closing_leaves_no_process_not_even_a_stopped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "GRACE", 1.0)
    launcher = processes.Launcher(processes.Launcher.Options(workers=1))
    events = launcher.run([[Task("a", fate="stop")]], work)
    next(events)
    (child,) = multiprocessing.active_children()
    assert until(lambda: state_of(child.pid) == "T")
    events.close()
    assert not child.is_alive()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
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
    return state_of(pid) not in ("", "Z")


def state_of(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
