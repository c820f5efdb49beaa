"""Jobs on a real Ray cluster of two nodes: what is lost is taken up elsewhere, and what cannot run says why."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import DiskError, InputError
from spikebench.core.process import start_of
from spikebench.core.protocols import NO_CARE, Care
from spikebench.core.store import ResultsFolder
from spikebench.running.jobs.events import Crew, JobAgain, JobEnded, JobStarted, Measured, Notice, WorkerDied
from spikebench.running.launchers import _ray_driver
from spikebench.running.launchers.ray import Launcher
from spikebench.running.run.runner import open_run
from tests.cli.test_interrupted import records
from tests.ray_cluster import ENVIRONMENT, TwoNodes

pytest.importorskip("ray", reason="Ray is not installed: pip install 'spikebench[ray]'")


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job: launchers look at its id alone."""

    job_id: str
    fate: str = ""
    flag: str = ""


@dataclasses.dataclass(frozen=True)
class Ran:
    job_id: str
    pid: int
    station: int
    code: str


def work(task: Task) -> Iterator[Any]:
    """What befalls it, once where it has a flag."""
    import spikebench

    yield JobStarted(task.job_id)
    yield Ran(task.job_id, os.getpid(), os.getppid(), spikebench.__file__)
    once = not task.flag or not Path(task.flag).exists()
    if task.flag:
        Path(task.flag).touch()
    if once and task.fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if once and task.fate == "station":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if task.fate == "full" and "SECOND_NODE" in os.environ:
        raise DiskError("/tmp/x: the disk is full")
    if task.fate == "full":
        time.sleep(1.0)  # so that both nodes have some
    if task.fate == "nap":
        time.sleep(2.0)
    if task.fate == "long":
        time.sleep(600)
    yield JobEnded(task.job_id, 0.0)


def run(chains: list[list[Any]], care: Care = NO_CARE, **options: Any) -> list[Any]:
    return list(Launcher(Launcher.Options(**options)).run(chains, work, care))  # type: ignore[arg-type]


def named(events: list[Any], kind: type) -> list[str]:
    return [event.job_id for event in events if isinstance(event, kind)]


# -- a suite -----------------------------------------------------------------------------------------------------------------

SUITE = """
suite: lost
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}
  grid: {attention: [ssa, softmax]}
seeds: [0]
train: {epochs: 8, batch_size: 256, lr: 4.0e-3}
measure: [accuracy, {activity: {samples: 16}}]
"""


def test_a_suite_whose_node_is_lost_has_the_records_of_an_undisturbed_one(ray_cluster: TwoNodes, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE + "launcher: {inline: {threads: 1}}\n")
    undisturbed = open_run(path, tmp_path / "undisturbed")
    list(undisturbed.events())
    path.write_text(SUITE + "launcher: ray\n")
    run = open_run(path, tmp_path / "lost")
    events, where, lost = [], {}, ""
    for event in run.events():
        events.append(event)
        if isinstance(event, JobStarted) and event.where is not None:
            where[event.job_id] = event.where.node
        if isinstance(event, Measured) and not lost and not ray_cluster.is_head(where[event.job_id]):
            lost = event.job_id
            ray_cluster.lose()
    assert not run.failures
    assert named(events, JobAgain) == [lost]
    (crew,) = [event for event in events if isinstance(event, Crew)]
    assert set(crew.nodes) == {event.where.node for event in events if isinstance(event, JobStarted) and event.where}
    folders = [tmp_path / name / "lost" for name in ("lost", "undisturbed")]
    assert records(folders[0]) == records(folders[1])
    # The lost training went on from its checkpoint, of which nothing is left, and the same code and machine have measured.
    assert not list(folders[0].glob("weights/*/checkpoint-*")) + list(folders[0].glob("jobs/unfinished/*"))
    assert ResultsFolder(folders[0]).sources().keys() == ResultsFolder(folders[1]).sources().keys()
    begun_again = [event for event in events if isinstance(event, Measured) and event.job_id == lost]
    epochs = [event.record.value for event in begun_again if event.record.metric == "epoch_seconds"]
    assert len(epochs) > len(set(epochs)), "the epochs before the loss are told again with the times that they took"
    assert not open_run(path, tmp_path / "lost").plan.pending


SEARCH = """
suite: lost
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: {epochs: 6, batch_size: 256, lr: 4.0e-3}
measure: [accuracy]
report: {formats: []}
search:
  space: {attention: {choice: [ssa, softmax]}, dim: {choice: [8, 16]}}
  objectives: [accuracy]
  sampler: grid
  trials: 4
"""


def test_a_search_whose_node_is_lost_finds_what_an_undisturbed_one_does(ray_cluster: TwoNodes, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from spikebench.reading.model.trials import load_trials
    from spikebench.running.verbs.search import run_search

    path, log = tmp_path / "suite.yaml", tmp_path / "lost/lost/log.jsonl"
    path.write_text(SEARCH + "launcher: {inline: {threads: 1}}\n")
    assert not run_search(path, tmp_path / "undisturbed")
    path.write_text(SEARCH + "launcher: ray\n")

    def lose() -> None:
        """As soon as the node that is no head trains and has a checkpoint."""
        begun: list[str] = []
        while not begun or not list((tmp_path / "lost/lost/weights").glob("*/checkpoint-*.pt")):
            lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
            begun = [line["node"] for line in lines if line["event"] == "started" and not ray_cluster.is_head(line["node"])]
            time.sleep(0.02)
        ray_cluster.lose()

    with ThreadPoolExecutor(1) as beside:
        lost = beside.submit(lose)
        assert not run_search(path, tmp_path / "lost")
        lost.result(timeout=0)
    assert '"event": "again"' in log.read_text()
    assert records(tmp_path / "lost/lost") == records(tmp_path / "undisturbed/lost")
    trials = [load_trials(tmp_path / name / "lost") for name in ("lost", "undisturbed")]
    values = [sorted((str(trial.params), trial.values) for trial in found.complete) for found in trials if found is not None]
    assert len(values[0]) == 4
    assert values[0] == values[1]


# -- what befalls workers ----------------------------------------------------------------------------------------------------


def test_a_job_that_kills_its_worker_three_times_has_failed_and_others_are_taken_up(
    ray_cluster: TwoNodes, tmp_path: Path
) -> None:
    chains = [
        [Task("a0", "killed"), Task("a1")],
        [Task("b0", "station", str(tmp_path / "b")), Task("b1")],
        [Task("c0", "killed", str(tmp_path / "c")), Task("c1")],
    ]
    events = run(chains)
    assert sorted(named(events, JobAgain)) == ["a0", "a0", "b0", "c0"]
    assert named(events, WorkerDied) == ["a0"]
    assert sorted(named(events, JobEnded)) == ["a1", "b0", "b1", "c0", "c1"]
    ran = [event for event in events if isinstance(event, Ran)]
    # The code that was sent, not the one that is here.
    assert all("working_dir_files" in event.code for event in ran), ran
    assert all(start_of(event.pid) is None and start_of(event.station) is None for event in ran)


def test_a_node_whose_disk_is_full_gets_no_more(ray_cluster: TwoNodes) -> None:
    events = run([[Task(f"{chain}{step}", "full") for step in range(2)] for chain in "abcd"])
    assert sorted(named(events, JobEnded)) == sorted(f"{chain}{step}" for chain in "abcd" for step in range(2))
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "is not used any more: /tmp/x: the disk is full" in notice
    assert not named(events, JobAgain) + named(events, WorkerDied)


def test_closed_in_the_middle_nothing_is_left_on_any_node(ray_cluster: TwoNodes) -> None:
    launched = Launcher(Launcher.Options()).run([[Task("a", "long")], [Task("b", "long")]], work)  # type: ignore[list-item, arg-type]
    ran: list[Ran] = []
    while len(ran) < 2:
        event = next(launched)
        ran += [event] if isinstance(event, Ran) else []
    launched.close()  # type: ignore[attr-defined]
    assert until(lambda: all(start_of(pid) is None for one in ran for pid in (one.pid, one.station)))


# -- what cannot run ---------------------------------------------------------------------------------------------------------


def test_nothing_runs_where_there_is_no_cluster_or_not_what_is_asked_for(ray_cluster: TwoNodes) -> None:
    with pytest.raises(InputError, match=r"no Ray cluster at 127.0.0.1:9: .*refused"):
        run([[Task("a")]], address="127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"no node of the Ray cluster has 1 GPU for a job: .* has 1 CPU, 0 GPU; .* has 1 CPU, 0 GPU"
    ):
        run([[Task("a")]], Care(device="cuda"))
    with pytest.raises(InputError, match=r"cannot be sent to another process: .*lambda"):
        list(Launcher(Launcher.Options()).run([[Task("a")]], lambda task: iter(())))  # type: ignore[list-item]


def test_other_versions_are_refused_with_both(ray_cluster: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = _ray_driver.versions()
    monkeypatch.setattr(_ray_driver, "versions", lambda: {**ours, "torch": "1.9.1"})
    with pytest.raises(InputError, match=f"no worker is left .*: it has torch {ours['torch']}, not 1.9.1"):
        run([[Task("a")]])


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        Launcher.Options(workers=0)


# -- heads and drivers -------------------------------------------------------------------------------------------------------


def test_a_head_that_is_restarted_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = TwoNodes(port, nodes=1)
    try:
        chains: list[Any] = [[Task(f"{chain}{step}", "nap") for step in range(2)] for chain in "ab"]
        events: list[Any] = []
        for event in Launcher(Launcher.Options(address=cluster.address)).run(chains, work):  # type: ignore[arg-type]
            events.append(event)
            if named(events, Ran) == ["a0", "a1"] and isinstance(event, Ran):
                cluster.stop()
                cluster.start()
    finally:
        cluster.stop()
    assert set(named(events, JobEnded)) == {"a0", "a1", "b0", "b1"}
    assert named(events, JobEnded).count("a0") == 1  # what was finished is not done again
    assert not named(events, WorkerDied)
    assert any("it is looked for again" in event.text for event in events if isinstance(event, Notice))


def test_a_driver_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """Nor does the cluster outlive it that it has started, on this machine alone."""
    program = tmp_path / "driver.py"
    program.write_text(
        """
from spikebench.running.launchers.ray import Launcher
from tests.running.launchers.test_ray import Ran, Task, work

if __name__ == "__main__":
    for event in Launcher(Launcher.Options(workers=1)).run([[Task("a", "long")]], work):
        if isinstance(event, Ran):
            print(event.pid, event.station, flush=True)
"""
    )
    environment = {**os.environ, **ENVIRONMENT}
    environment.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert driver.stdout is not None
    pids = [int(pid) for pid in driver.stdout.readline().split()]
    family = descendants(driver.pid)
    assert len(pids) == 2
    assert set(pids) <= family
    driver.kill()
    driver.wait()
    assert until(lambda: all(start_of(pid) is None for pid in family)), [pid for pid in family if start_of(pid) is not None]


def descendants(pid: int) -> set[int]:
    """All processes that come of one, those that have left its session too."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def until(condition: Any, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
