"""The contract of launchers."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from spikebench.core.cells import Job
from spikebench.core.errors import DiskError
from spikebench.core.protocols import NO_CARE, Care
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.events import JobEnded, JobStarted, WorkerDied
from spikebench.testing._members import TorchFreeContract


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job: launchers look at its id alone."""

    job_id: str
    fate: str = ""


@dataclasses.dataclass(frozen=True)
class Ran:
    """In which process."""

    job_id: str
    pid: int


def work(task: Any) -> Iterator[Any]:
    """Started, where, what its fate is, ended."""
    yield JobStarted(task.job_id)
    yield Ran(task.job_id, os.getpid())
    if task.fate == "hang":
        time.sleep(30)
    if task.fate == "full":
        raise DiskError("x: the disk is full")
    yield JobEnded(task.job_id, 0.0)


class LauncherContract(TorchFreeContract):
    """Every job once, a chain's in order, every event handed on; ``care`` is heeded, and nothing left running behind it."""

    registry = "launchers"

    def launch(self, chains: list[list[Task]], care: Care = NO_CARE) -> Iterator[Any]:
        launcher = REGISTRIES["launchers"].get(self.name)(self.choice.resolve("launchers"))
        return iter(launcher.run(cast("list[list[Job]]", chains), work, care))

    def test_says_how_many_jobs_run_and_whether_alone(self) -> None:
        launcher = REGISTRIES["launchers"].get(self.name)(self.choice.resolve("launchers"))
        assert launcher.workers >= 1
        assert isinstance(launcher.alone, bool)
        assert not (launcher.alone and launcher.workers > 1)

    def test_every_job_runs_once_and_chains_keep_their_order(self) -> None:
        chains = [[Task(f"{chain}{step}") for step in range(3)] for chain in "abc"]
        events = list(self.launch(chains))
        ended = [event.job_id for event in events if isinstance(event, JobEnded)]
        started = [event.job_id for event in events if isinstance(event, JobStarted)]
        assert sorted(started) == sorted(ended) == sorted(task.job_id for chain in chains for task in chain)
        for chain in chains:
            places = [ended.index(task.job_id) for task in chain]
            assert places == sorted(places)

    def test_no_chains_is_no_work(self) -> None:
        assert list(self.launch([])) == []

    def test_closed_in_the_middle_it_leaves_nothing_running(self) -> None:
        before = {child.pid for child in multiprocessing.active_children()}
        running: Any = self.launch([[Task(f"{chain}{step}") for step in range(3)] for chain in "ab"])
        next(running)
        running.close()
        assert {child.pid for child in multiprocessing.active_children()} <= before

    def test_what_the_work_raises_is_raised_here(self) -> None:
        with pytest.raises(DiskError, match="the disk is full"):
            list(self.launch([[Task("a0", "full")]]))

    def test_a_job_that_takes_too_long_is_ended_and_the_rest_of_its_chain_runs(self) -> None:
        events = list(self.launch([[Task("a0", "hang"), Task("a1")]], Care(job_timeout=3.0)))
        died = [event.job_id for event in events if isinstance(event, WorkerDied)]
        assert died == ["a0"], f"{self.name}: it does not heed care.job_timeout"
        assert [event.job_id for event in events if isinstance(event, JobEnded)] == ["a1"]

    def test_a_job_that_must_run_apart_does(self) -> None:
        events = list(self.launch([[Task("a0"), Task("a1")]], Care(apart=lambda job: job.job_id == "a1")))
        pids = {event.job_id: event.pid for event in events if isinstance(event, Ran)}
        assert pids["a1"] != os.getpid(), f"{self.name}: it does not heed care.apart"
