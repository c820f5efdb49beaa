"""``slurm`` in processes of this machine, by submitit's local executor, and on a real SLURM of one node where there is one."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import DiskError, InputError
from spikebench.core.protocols import NO_CARE, Care
from spikebench.running.jobs.events import JobAgain, JobEnded, JobStarted, Notice, WorkerDied
from spikebench.running.launchers import slurm
from spikebench.running.launchers._slurm_task import Said, _say
from spikebench.running.run.limits import Limits
from spikebench.running.verbs.run import run_suite
from tests.running.launchers.slurm_node import Node, why_not
from tests.running.launchers.slurm_work import Step, Task, Work

pytest.importorskip("submitit")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if reason := why_not():
        pytest.skip(reason)
    try:
        found = Node()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # its daemons want more of a container than some give
        pytest.skip(f"SLURM is installed, but no node of it can be started here: {error}")
    yield found
    found.close()


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slow)])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if request.param == "slurm":
        for name, value in request.getfixturevalue("node").environment.items():
            monkeypatch.setenv(name, value)
    return str(request.param)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def launch(cluster: str, chains: Any, work: Work, care: Care = NO_CARE, **options: Any) -> Iterator[Any]:
    return slurm.Launcher(slurm.Launcher.Options(cluster=cluster, **options)).run(chains, work, care)  # type: ignore[arg-type]


def ended(events: list[Any]) -> list[str]:
    return [event.job_id for event in events if isinstance(event, JobEnded)]


def test_an_array_runs_every_chain_in_order_and_says_where(cluster: str, work: Work) -> None:
    chains = [[Task("a0"), Task("a1")], [Task("b0")]]
    events = list(launch(cluster, chains, work, workers=2))
    assert sorted(ended(events)) == ["a0", "a1", "b0"]
    assert ended(events).index("a0") < ended(events).index("a1")
    places = {event.job_id: event.where for event in events if isinstance(event, JobStarted)}
    assert places["a0"] == places["a1"] != places["b0"]
    assert all(place is not None and place.node for place in places.values())


def test_a_driver_that_left_is_followed_by_one_that_collects(cluster: str, work: Work) -> None:
    chains = [[Task("a0", "gate"), Task("a1")]]
    (notice,) = launch(cluster, chains, work, dataclasses.replace(NO_CARE, wait=False))
    assert isinstance(notice, Notice)
    assert notice.text.startswith("2 jobs are in the queue")
    second: Any = launch(cluster, [*chains, [Task("b0")]], work)
    events = [next(second)]  # it has looked at what is there
    (work.folder / "go").touch()
    events += second
    assert sorted(ended(events)) == ["a0", "a1", "b0"]
    assert sorted(work.begun()) == ["a0", "a1", "b0"]  # nothing was submitted twice


def test_a_job_whose_task_is_killed_three_times_has_failed_and_the_rest_runs(
    cluster: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "ASK", 1)
    events = list(launch(cluster, [[Task("a0", "killed"), Task("a1")]], work))
    assert [event.job_id for event in events if isinstance(event, JobAgain)] == ["a0", "a0"]
    assert [event.job_id for event in events if isinstance(event, WorkerDied)] == ["a0"]
    assert ended(events) == ["a1"]
    assert work.begun() == ["a0", "a0", "a0", "a1"]


def test_one_whose_time_is_nearly_up_keeps_what_it_has_and_is_queued_again(cluster: str, work: Work) -> None:
    """Told as SLURM tells it before the limit, whose shortest is a minute."""
    running, events = launch(cluster, [[Task("a0"), Task("a1", "steps60")]], work), []
    for event in running:
        events.append(event)
        if isinstance(event, Step) and not (work.folder / "a1.kept").exists():
            (place,) = {one.where for one in events if isinstance(one, JobStarted)}
            if cluster == "local":
                os.kill(int(place.worker), signal.SIGUSR2)
            else:
                tell_and_let_begin(place.worker)
            until = time.monotonic() + 60
            while not (work.folder / "a1.kept").exists():
                assert time.monotonic() < until
                time.sleep(0.1)
    assert ended(events) == ["a0", "a1"]
    numbers = [event.number for event in events if isinstance(event, Step)]
    kept = int((work.folder / "a1.kept").read_text())
    assert numbers == list(range(1, 61)) or numbers == [*range(1, kept), *range(kept + 1, 61)]  # on from there, not anew
    assert work.begun() == ["a0", "a1", "a1"]


def tell_and_let_begin(task: str) -> None:
    """Signal the task as its time is nearly up; SLURM, which has a requeued job wait for two minutes, is told not to."""
    subprocess.run(["scancel", "--signal=USR2", task], check=True)
    until = time.monotonic() + 60
    while subprocess.run(["squeue", "-h", "-j", task, "-o", "%T"], capture_output=True, text=True).stdout.strip() != "PENDING":
        assert time.monotonic() < until, "the task was not queued again"
        time.sleep(0.2)
    subprocess.run(["scontrol", "update", f"JobId={task}", "StartTime=now"], check=True)


def test_what_the_work_raises_is_raised_here(cluster: str, work: Work) -> None:
    with pytest.raises(DiskError, match="the disk is full"):
        list(launch(cluster, [[Task("a0", "full")]], work))


def test_an_interrupted_driver_cancels_what_it_has_submitted(cluster: str, work: Work) -> None:
    running: Any = launch(cluster, [[Task("a0", "steps600")]], work)
    next(event for event in running if isinstance(event, Step))
    running.close()
    until = time.monotonic() + 60
    while not (work.folder / "a0.kept").exists():
        assert time.monotonic() < until, "the task was not told to keep what it had"
        time.sleep(0.2)


def test_sbatch_that_refuses_is_an_error_before_anything_runs(node: Node, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in node.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"sbatch refused the jobs: .*[Ii]nvalid partition"):
        list(launch("slurm", [[Task("a0")]], work, partition="nowhere"))
    assert work.begun() == []


def test_tasks_that_wait_for_what_never_comes_are_told_of(node: Node, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in node.environment.items():
        monkeypatch.setenv(name, value)
    running: Any = launch("slurm", [[Task("a0")]], work, time="20 h")  # the partition has ten
    notice = next(running)
    running.close()
    assert isinstance(notice, Notice)
    assert notice.text.endswith(": PartitionTimeLimit")


def test_without_slurm_it_says_so(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="no sbatch here"):
        list(launch("slurm", [[Task("a0")]], work))


def test_a_torn_word_is_not_heard_and_the_next_attempt_writes_over_it(tmp_path: Path) -> None:
    path = tmp_path / "x.said"
    with path.open("wb") as stream:
        _say(stream, JobStarted("a"))
        whole = stream.tell()
        _say(stream, JobEnded("a", 1.0))
    for cut in range(whole, path.stat().st_size):
        torn = tmp_path / "torn.said"
        torn.write_bytes(path.read_bytes()[:cut])
        said = Said(torn)
        assert list(said.events()) == [JobStarted("a")]
        assert said.offset == whole
        torn.write_bytes(path.read_bytes())
        assert list(said.events()) == [JobEnded("a", 1.0)]


@pytest.mark.parametrize(("options", "said"), [({"time": "soon"}, "time: "), ({"workers": 0}, "workers must be at least 1")])
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        slurm.Launcher.Options(**options)


# -- a suite ------------------------------------------------------------------------------------------------------------------

SUITE = """\
suite: queued
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: none
measure: [{activity: {samples: 8}}]
"""


def test_a_suite_is_queued_and_its_results_are_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "queued.yaml"
    path.write_text(SUITE)
    with pytest.raises(InputError, match="jobs of the launcher inline end with this process"):
        run_suite(path, tmp_path, False, wait=False)
    local = "{slurm: {cluster: local}}"
    assert not run_suite(path, tmp_path, False, launcher=local, wait=False)
    assert "1 jobs are in the queue" in capsys.readouterr().err
    assert not run_suite(path, tmp_path, False, launcher=local)
    assert "Parameters" in capsys.readouterr().out
    (file,) = (tmp_path / "queued/jobs").glob("*.jsonl")
    alone = tmp_path / "alone"
    assert not run_suite(path, alone, False)
    (other,) = (alone / "queued/jobs").glob("*.jsonl")  # of another machine, where this process has more threads
    assert records(file) == records(other)
    assert len(list((tmp_path / "queued/slurm").glob("*.json"))) == 1  # submitted once


def records(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


@pytest.mark.parametrize("given", ["[", "nowhere", "{slurm: {time: soon}}", "{slurm: {partitoin: gpu}}", "1"])
def test_a_launcher_that_is_none_is_named_with_the_option(given: str) -> None:
    with pytest.raises(InputError, match="--launcher"):
        Limits.parse(launcher=given)
