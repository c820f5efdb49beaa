"""How far a folder is, and who works in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core import lock
from spikebench.core.errors import StorageError
from spikebench.core.job_files import JobWriter
from spikebench.core.plans import Plans
from spikebench.core.process import Process, host, start_of
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.running.verbs.status import lines, state_of

BEGAN = 1_000_000.0


def header(job: str) -> dict[str, str]:
    return {"job_id": job, "cell_id": "c", "machine_id": "m", "source_id": "s", "harness": "clock"}


def finish(folder: Path, job: str, at: float, reason: str = "") -> None:
    value = None if reason else 1
    writer = JobWriter(ResultsFolder(folder).job_path(job, "m"), header(job))
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


def test_without_a_driver_there_is_no_forecast(folder: Path) -> None:
    (folder / lock.FILE).unlink()
    (partial,) = (folder / "jobs/unfinished").iterdir()
    partial.rename(partial.with_suffix(".kept"))
    state = state_of(folder, BEGAN)
    assert state.working == ()
    assert state.remaining(BEGAN) is None
    assert "nobody works here; 1 jobs were begun and are taken up by the next run" in lines(folder, state, BEGAN)


def test_a_run_that_has_finished_nothing_promises_nothing(folder: Path) -> None:
    for path in (folder / "jobs").glob("*.jsonl"):
        os.utime(path, (BEGAN - 1, BEGAN - 1))
    assert state_of(folder, BEGAN + 60).remaining(BEGAN + 60) is None


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
