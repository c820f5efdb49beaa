"""What handing jobs out costs: a driver's own time a job, and a suite on Ray beside the same one in processes."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.events import JobEnded, JobStarted
from spikebench.running.run.runner import open_run
from tests.ray_cluster import TwoNodes

JOBS = 300
LIMITS = {"processes": 20.0, "ray": 50.0}
"""Milliseconds of the driver's CPU time a job, of the process that speaks Ray for it too."""
SUITE = """
suite: quick
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 32, num_heads: 2}
  grid: {attention: [ssa, softmax], T: [1, 2]}
seeds: [0, 1, 2]
train: {epochs: 3, batch_size: 128, lr: 4.0e-3}
measure: [accuracy]
"""


@dataclasses.dataclass(frozen=True)
class Task:
    job_id: str


def work(task: Task) -> Iterator[Any]:
    yield JobStarted(task.job_id)
    yield JobEnded(task.job_id, 0.0)


def spent() -> float:
    """CPU seconds of this process and of the children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_driver_adds_little_to_each_job(benchmark: Any, name: str, request: pytest.FixtureRequest) -> None:
    """As the difference of many jobs and a few: what it costs to start is not theirs. For ``processes`` the worker's own time
    counts too, so that its figure is an upper bound."""
    if name == "ray":
        request.getfixturevalue("ray_cluster")
    launcher = REGISTRIES["launchers"].get(name)

    def cost(jobs: int) -> float:
        before = spent()
        chains: list[Any] = [[Task(str(job))] for job in range(jobs)]
        ended = [event for event in launcher(launcher.Options(workers=1)).run(chains, work) if isinstance(event, JobEnded)]
        assert len(ended) == jobs
        return spent() - before

    found = benchmark.pedantic(lambda: 1000 * (cost(JOBS + 10) - cost(10)) / JOBS, rounds=1)
    benchmark.extra_info.update(milliseconds_a_job=found, limit=LIMITS[name])
    print(f"{name}: {found:.1f} ms a job")
    assert found < LIMITS[name]


def test_a_suite_on_ray_takes_about_as_long_as_in_processes(benchmark: Any, ray_cluster: TwoNodes, tmp_path: Path) -> None:
    """24 jobs, two workers, in turns so that both meet the same machine."""

    def seconds(name: str) -> float:
        path = tmp_path / f"{name}.yaml"
        path.write_text(SUITE + f"launcher: {{{name}: {{workers: 2}}}}\n")
        run = open_run(path, tmp_path / name)
        assert len(run.plan.pending) == 24
        started = time.perf_counter()
        list(run.events())
        assert not run.failures
        return time.perf_counter() - started

    ratio = benchmark.pedantic(lambda: 1 / (seconds("processes") / seconds("ray")), rounds=1)
    benchmark.extra_info["ratio"] = ratio
    print(f"{ratio:.2f} of the time in processes")
    assert ratio <= 1.15
