"""How far a folder is, and who works in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikebench.core import lock
from spikebench.core.errors import StorageError
from spikebench.core.job_files import JobWriter
from spikebench.core.plans import Plans
from spikebench.core.process import Process, host, start_of
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.core.waiting import UNTRAINED
from spikebench.running.verbs.status import lines, state_of

BEGAN = 1_000_000.0


def header(job: str, harness: str = "clock") -> dict[str, str]:
    return {"job_id": job, "cell_id": "c", "machine_id": "m", "source_id": "s", "harness": harness}


def finish(folder: Path, job: str, at: float, reason: str = "", harness: str = "clock") -> None:
    value = None if reason else 1
    writer = JobWriter(ResultsFolder(folder).job_path(job, "m"), header(job, harness))
    writer.write(Record("ticks", value, "1", status="failed" if reason else "ok", reason=reason))
    writer.finish()
    os.utime(writer.path, (at, at))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six jobs: one done before this run and two in it, one failed, one in work, one to do."""
    ResultsFolder(tmp_path).create()
    Plans(tmp_path).replace("run", "cpu", [(f"job{n}", "c") for n in range(6)])
    for job, at in (("job0", BEGAN - 9), ("job1", BEGAN + 10), ("job2", BEGAN + 20)):
        finish(tmp_path, job, at)
    finish(tmp_path, "job3", BEGAN + 30, "[/x]")
    finish(tmp_path, "superseded", BEGAN - 9)
    parent = Process(host(), os.getppid(), start_of(os.getppid()) or 0)
    partial = tmp_path / "jobs/unfinished" / f"job4-m.{parent}.partial"
    record = Record("ticks", 1, "1").to_json()
    partial.write_text(json.dumps({"schema": 2, **header("job4")}) + f"\n{record}\n{record}\n")
    os.utime(partial, (BEGAN + 55, BEGAN + 55))
    held = {"host": parent.host, "pid": parent.pid, "start": parent.start, "verb": "spikebench run", "since": BEGAN}
    (tmp_path / lock.FILE).write_text(json.dumps(held))
    return tmp_path


def test_what_is_done_failed_and_in_work_and_by_whom(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    now = BEGAN + 60
    state = state_of(folder, now)
    said = list(lines(folder, state, now))
    assert said[0] == f"{folder}: 3 of 6 jobs done, 1 failed, 2 to do"
    assert said[1].startswith(f"running for 1:00: `spikebench run`, process {os.getppid()} on {host()}, since 1970-01-12")
    assert said[2] == f"  clock job4: 2 records, the last 0:05 ago, by process {os.getppid()} on {host()}"
    # Two of this run's jobs took a minute, so the three that are not done take a minute and a half.
    assert said[3] == "about 1:30 left, at the pace so far"
    assert said[4:] == ["failed: clock job3: [/x]"]
    assert sorted(folder.rglob("*")) == before


def test_a_failed_training_tells_how_many_jobs_wait_for_it(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    for job, harness, reason in (("a", "accuracy", UNTRAINED), ("b", "clock", UNTRAINED), ("t", "train", "it diverged")):
        finish(tmp_path, job, BEGAN, reason, harness)
    said = list(lines(tmp_path, state_of(tmp_path, BEGAN), BEGAN))
    assert [line for line in said if line.startswith("failed")] == ["failed: train t: it diverged; 2 jobs wait for its weights"]


def test_without_a_driver_there_is_no_forecast(folder: Path) -> None:
    (folder / lock.FILE).unlink()
    (partial,) = (folder / "jobs/unfinished").iterdir()
    partial.rename(partial.with_suffix(".kept"))
    state = state_of(folder, BEGAN)
    assert state.working == ()
    assert state.remaining(BEGAN) is None
    assert "nobody works here; 1 job was begun and not finished: the next run goes on from there" in lines(folder, state, BEGAN)


def test_a_run_that_has_finished_nothing_promises_nothing(folder: Path) -> None:
    for path in (folder / "jobs").glob("*.jsonl"):
        os.utime(path, (BEGAN - 1, BEGAN - 1))
    assert state_of(folder, BEGAN + 60).remaining(BEGAN + 60) is None


# -- workers -----------------------------------------------------------------------------------------------------------------


def logged(folder: Path, *events: tuple[float, str, dict[str, str]]) -> None:
    with (folder / "log.jsonl").open("a") as stream:
        for at, event, details in events:
            when = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))
            stream.write(json.dumps({"time": when, "event": event, **details}) + "\n")


def started(at: float, job: str, node: str, worker: str) -> tuple[float, str, dict[str, str]]:
    return at, "started", {"job_id": job, "node": node, "worker": worker}


@pytest.fixture
def training(folder: Path) -> Path:
    """The job in work is a training in its third epoch; its worker is the second of the node ``a``, beside one of ``b``."""
    put = ResultsFolder(folder).put_facts
    variant = {
        "family": "spikformer",
        "stem": {"name": "scs", "patch_size": 2},
        "attention": "ssa",
        "depth": 2,
        "dim": 64,
        "T": 4,
    }
    plain = {"dataset": "digits", "training": None, "pretraining": None, "weights": None}
    put("cells", "c", {"schema": 1, "cell_id": "c", "group_id": "g", "variant": variant, "seed": 7, **plain})
    (partial,) = (folder / "jobs/unfinished").iterdir()
    rows = [
        Record(metric, value, unit, conditions={"epoch": epoch}).to_json()
        for epoch in (1, 2, 3, 4)
        for metric, value, unit in (("epoch_loss", 1 / epoch, "nat"), ("epoch_accuracy", epoch / 10, "1"))
    ]
    partial.write_text("\n".join([json.dumps({"schema": 2, **header("job4"), "harness": "train"}), *rows]) + "\n")
    os.utime(partial, (BEGAN + 55, BEGAN + 55))
    logged(
        folder,
        (BEGAN - 9, "run", {}),
        started(BEGAN - 9, "job0", "a", "9"),  # a worker of an earlier driver
        (BEGAN, "run", {}),
        started(BEGAN + 1, "job1", "a", "10"),
        started(BEGAN + 2, "job4", "b", "1"),  # lost there, begun again below
        started(BEGAN + 20, "job4", "a", "2"),
    )
    with (folder / "log.jsonl").open("a") as stream:
        stream.write(
            '[]\n{"event": "started"}\n{"time": "now", "event": "started", "job_id": "x", "node": "n", "worker": "1"}\n{"ti'
        )
    return folder


WORKED = ["    epoch 2: loss 0.500, val. accuracy 20.0 %", "    epoch 3: loss 0.333, val. accuracy 30.0 %",
          "    epoch 4: loss 0.250, val. accuracy 40.0 %"]  # fmt: skip


def test_a_line_for_each_worker_with_what_it_does_since_when_and_its_last_epochs(training: Path) -> None:
    said = list(lines(training, state_of(training, BEGAN + 60), BEGAN + 60))
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(BEGAN + 20))
    assert said[2] == (
        f"  a/2: train job4 scs/ssa 2-64 T=4 seed=7 since {when}, for 0:40: 8 records, the last 0:05 ago,"
        f" by process {os.getppid()} on {host()}"
    )
    assert said[3:6] == WORKED
    assert said[6:8] == ["  a/10: between jobs, last job1", "  b/1: between jobs, last job4"]


def test_a_driver_that_died_leaves_what_its_workers_did(training: Path) -> None:
    (partial,) = (training / "jobs/unfinished").iterdir()
    gone = Process(host(), 2**22 + 1, 1)
    partial.rename(partial.with_name(f"job4-m.{gone}.partial"))
    held = json.loads((training / lock.FILE).read_text())
    (training / lock.FILE).write_text(json.dumps({**held, "pid": gone.pid, "start": gone.start}))
    said = list(lines(training, state_of(training, BEGAN + 60), BEGAN + 60))
    assert said[1] == "nobody works here; 1 job was begun and not finished: the next run goes on from there"
    assert said[2].startswith("  a/2: train job4 scs/ssa 2-64 T=4 seed=7 since ")
    assert said[2].endswith(f": 8 records, the last 0:05 ago, by process {gone.pid} on {host()}")
    assert said[3:6] == WORKED


def test_a_task_on_another_host_goes_on_without_a_driver_for_as_long_as_it_writes(training: Path) -> None:
    (partial,) = (training / "jobs/unfinished").iterdir()
    partial.rename(partial.with_name("job4-m.node7-5-1.partial"))
    (training / lock.FILE).unlink()
    said = list(lines(training, state_of(training, BEGAN + 60), BEGAN + 60))
    assert said[1] == "no driver is here, but jobs go on without it (slurm): the next run collects them"
    assert said[2].endswith("for 0:40: 8 records, the last 0:05 ago, by process 5 on node7")
    later = BEGAN + 60 + lock.SILENCE
    assert next(line for line in lines(training, state_of(training, later), later) if "nobody works here; 1 job was" in line)


def test_damage_is_named_and_another_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "jobs/job1-m.jsonl").write_text("{")
    state = state_of(folder, BEGAN)
    assert state.done == 2
    assert any("job1-m.jsonl: damaged" in line for line in lines(folder, state, BEGAN))
    with pytest.raises(StorageError, match="not a results folder"):
        state_of(tmp_path / "jobs", BEGAN)


def test_it_loads_no_torch(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from spikebench.running.verbs.status import show_status;"
        f"show_status(Path({str(folder)!r})); sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 of 6 jobs done" in done.stdout
