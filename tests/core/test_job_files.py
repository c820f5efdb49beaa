"""A job's file: whole or not there, each writer's own, and never a newer one's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core import job_files
from spikebench.core.errors import StorageError
from spikebench.core.job_files import JobWriter
from spikebench.core.process import Process, start_of, this_process
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder

HEADER = {"job_id": "j" * 16, "cell_id": "c", "machine_id": "m" * 16, "source_id": "s"}


def records(count: int) -> list[Record]:
    return [Record("latency", 0.1 * n, "s", conditions={"n": n}) for n in range(count)]


def place(folder: Path) -> Path:
    return ResultsFolder(folder).create().job_path(HEADER["job_id"], HEADER["machine_id"])


def written(path: Path, count: int) -> Path:
    writer = JobWriter(path, HEADER)
    for record in records(count):
        writer.write(record)
    writer.finish()
    return path


WRITE_AND_DIE = """
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.core.test_job_files import HEADER, records
from spikebench.core.job_files import JobWriter
writer = JobWriter(Path({place!r}), HEADER)
for record in records({count}):
    writer.write(record)
os._exit(9)
"""


def die_over(path: Path, count: int) -> None:
    """What a process leaves that was killed while it wrote."""
    code = WRITE_AND_DIE.format(path=sys.path, place=str(path), count=count)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9


def test_the_last_line_counts_the_records(tmp_path: Path) -> None:
    lines = written(place(tmp_path), 3).read_text().splitlines()
    assert json.loads(lines[0])["schema"] == job_files.SCHEMA
    assert json.loads(lines[-1]) == {"records": 3}
    assert len(lines) == 5


@pytest.mark.parametrize("lines", range(5))
def test_a_file_that_lost_its_last_lines_is_not_done(tmp_path: Path, lines: int) -> None:
    path = written(place(tmp_path), 3)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    store = ResultsFolder(tmp_path)
    assert store.find(HEADER["job_id"]) is None
    assert "counts as not done" in store.notices[0]


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_file_that_lost_a_line_in_between_is_not_done(tmp_path: Path, line: int) -> None:
    path = written(place(tmp_path), 3)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:line] + lines[line + 1 :]))
    store = ResultsFolder(tmp_path)
    assert store.find(HEADER["job_id"]) is None
    assert "2 records, of 3 by its last line" in store.notices[0]


@pytest.mark.parametrize("schema", [1, 2])
def test_a_header_alone_is_not_done(tmp_path: Path, schema: int) -> None:
    path = place(tmp_path)
    end = "" if schema == 1 else '{"records": 0}\n'
    path.write_text(json.dumps({"schema": schema, **HEADER}) + "\n" + end)
    found = ResultsFolder(tmp_path).find(HEADER["job_id"])
    assert found is None or not found.done


def test_schema_1_has_no_last_line(tmp_path: Path) -> None:
    path = written(place(tmp_path), 3)
    lines = path.read_text().replace('"schema": 2', '"schema": 1').splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert len(job_files.read(path).records) == 3


def test_two_writers_of_one_job_have_files_of_their_own(tmp_path: Path) -> None:
    path = place(tmp_path)
    mine = JobWriter(path, HEADER)
    mine.write(records(1)[0])
    die_over(path, 2)  # the other one has begun to write
    assert len(list((tmp_path / "jobs/unfinished").iterdir())) == 2
    mine.write(records(2)[1])
    mine.finish()
    assert [record.value for record in job_files.read(path).records] == [0.0, 0.1]


def test_a_file_taken_away_under_its_writer_is_an_error_and_what_was_there_stays(tmp_path: Path) -> None:
    path = written(place(tmp_path), 3)
    before = path.read_bytes()
    for harm in (Path.unlink, lambda own: own.write_bytes(own.read_bytes() + b"{}\n"), lambda own: os.truncate(own, 20)):
        writer = JobWriter(path, HEADER)
        writer.write(records(1)[0])
        (own,) = (tmp_path / "jobs/unfinished").iterdir()
        harm(own)
        with pytest.raises(StorageError, match="taken away or changed"):
            writer.finish()
        assert path.read_bytes() == before
        own.unlink(missing_ok=True)


def test_a_newer_spikebenchs_file_is_never_overwritten(tmp_path: Path) -> None:
    path = place(tmp_path)
    early = JobWriter(path, HEADER)
    newer = json.dumps({**HEADER, "schema": job_files.SCHEMA + 1, "colour": "blue"}) + "\n{}\n"
    path.write_text(newer)
    with pytest.raises(StorageError, match=r"newer spikebench.*not overwritten"):
        JobWriter(path, HEADER)
    # Nor if it came while this one measured.
    with pytest.raises(StorageError, match=r"newer spikebench.*not overwritten"):
        early.finish()
    assert path.read_text() == newer


def test_the_longest_of_what_dead_processes_left_is_taken_up_and_tidied_away(tmp_path: Path) -> None:
    path = place(tmp_path)
    store = ResultsFolder(tmp_path)
    die_over(path, 3)
    die_over(path, 2)
    kept = store.read_partial(path)
    assert len(kept) == 3
    writer = store.writer(HEADER, kept)
    assert len(list((tmp_path / "jobs/unfinished").iterdir())) == 3
    writer.finish()
    assert not list((tmp_path / "jobs/unfinished").iterdir())
    assert len(job_files.read(path).records) == 3


def test_the_unfinished_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    path = place(tmp_path)
    parent = Process(this_process().host, os.getppid(), start_of(os.getppid()) or 0)
    theirs = tmp_path / "jobs/unfinished" / f"{path.stem}.{parent}.partial"
    theirs.parent.mkdir()
    theirs.write_text(json.dumps({"schema": 2, **HEADER}) + "\n" + records(1)[0].to_json() + "\n")
    store = ResultsFolder(tmp_path)
    assert store.read_partial(path) == ()
    store.writer(HEADER, ()).finish()
    assert theirs.exists()
    assert not store.took_its_process_down(path)


def test_what_schema_1_left_unfinished_is_taken_up(tmp_path: Path) -> None:
    path = place(tmp_path)
    old = path.with_suffix(".partial")
    old.write_text(json.dumps({"schema": 1, **HEADER}) + "\n" + records(1)[0].to_json() + "\n" + '{"metric": "la')
    store = ResultsFolder(tmp_path)
    assert len(store.read_partial(path)) == 1
    store.writer(HEADER, store.read_partial(path)).finish()
    assert not old.exists()


def test_a_process_that_died_over_a_job_is_told_from_one_that_was_stopped(tmp_path: Path) -> None:
    path = place(tmp_path)
    store = ResultsFolder(tmp_path)
    JobWriter(path, HEADER).close()
    assert not store.took_its_process_down(path)
    die_over(path, 1)
    assert store.took_its_process_down(path)
    store.writer(HEADER).finish()
    assert not store.took_its_process_down(path)
    store.writer({**HEADER, "died": True}).finish()
    assert store.took_its_process_down(path)


def test_a_process_is_told_apart_from_a_later_one_with_its_number() -> None:
    me = this_process()
    assert me.alive is True
    assert Process(me.host, me.pid, me.start - 1).alive is False
    assert Process("elsewhere", me.pid, me.start).alive is None
    assert Process.parse(str(me)) == me
    gone = subprocess.Popen([sys.executable, "-c", ""])
    start = start_of(gone.pid) or 0
    gone.wait()
    assert Process(me.host, gone.pid, start).alive is False


def test_one_look_finds_every_job_that_was_begun(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    (jobs / "unfinished").mkdir(parents=True)
    assert job_files.unfinished_jobs(jobs) == frozenset()
    assert job_files.unfinished_jobs(tmp_path / "nowhere") == frozenset()
    for name in (
        "unfinished/a-m.host-1-2.partial",
        "unfinished/b-m.host-1-2.kept",
        "unfinished/x-m.tmp",
        "c-m.partial",
        "d-m.jsonl",
    ):
        (jobs / name).touch()
    found = job_files.unfinished_jobs(jobs)
    assert found == {"a", "b", "c"}
    assert found == {name for name in "abcdx" if job_files.unfinished(jobs, f"{name}-m")}


def test_a_header_whose_harness_is_no_name_is_damaged() -> None:
    ids = dict.fromkeys(job_files.IDS, "a")
    assert job_files.read_header(json.dumps({"schema": 2, **ids, "harness": "train"}))["harness"] == "train"
    with pytest.raises(ValueError, match="harness"):
        job_files.read_header(json.dumps({"schema": 2, **ids, "harness": ["train"]}))
