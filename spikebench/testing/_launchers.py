"""The contract of launchers."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator
from typing import Any, cast

from spikebench.core.cells import Job
from spikebench.core.protocols import NO_CARE
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.events import JobEnded, JobStarted
from spikebench.testing._members import TorchFreeContract


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job: launchers look at its id alone."""

    job_id: str


def work(task: Any) -> Iterator[Any]:
    """Started, ended."""
    yield JobStarted(task.job_id)
    yield JobEnded(task.job_id, 0.0)


class LauncherContract(TorchFreeContract):
    """Every job once, a chain's in order, every event handed on, and nothing left running behind it."""

    registry = "launchers"

    def launch(self, chains: list[list[Task]]) -> Iterator[Any]:
        launcher = REGISTRIES["launchers"].get(self.name)(self.choice.resolve("launchers"))
        return iter(launcher.run(cast("list[list[Job]]", chains), work, NO_CARE))

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
