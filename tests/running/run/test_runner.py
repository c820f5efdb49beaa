"""A run brings its folder up to what the suite asks for, whatever has been lost of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikebench.core import job_files
from spikebench.core.errors import StorageError
from spikebench.core.lock import alone
from spikebench.reading.model.frame import load_results
from spikebench.running.run.runner import open_run

READ = job_files.read

TINY = """
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: none
measure: [{activity: {samples: 8}}]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize("damage", [None, "", "{", "[]", "null", '{"a": NaN}', "[" * 20_000])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_lost_or_damaged_cell_is_written_again(suite: Path, tmp_path: Path, damage: str | None, fresh: bool) -> None:
    for _ in open_run(suite, tmp_path).events():
        pass
    (cell,) = (tmp_path / "tiny/cells").iterdir()
    whole = cell.read_text()
    cell.unlink()
    if damage is not None:
        cell.write_text(damage)
    run = open_run(suite, tmp_path, fresh)
    assert len(run.plan.pending) == fresh
    for _ in run.events():
        pass
    assert cell.read_text() == whole
    assert json.loads(whole)["cell_id"] == cell.stem


def test_a_second_run_is_refused_while_the_first_one_works(suite: Path, tmp_path: Path) -> None:
    first, second = open_run(suite, tmp_path), open_run(suite, tmp_path)
    events = first.events()
    next(events)
    with pytest.raises(StorageError, match="in use by `spikebench run`"):
        list(second.events())
    events.close()
    assert list(second.events())


def test_what_another_run_has_done_since_is_not_done_again(suite: Path, tmp_path: Path) -> None:
    early = open_run(suite, tmp_path)
    list(open_run(suite, tmp_path).events())
    with early.alone():
        assert not early.plan.pending
        assert list(early.events()) == []


def test_reading_a_finished_folder_locks_nothing(suite: Path, tmp_path: Path) -> None:
    list(open_run(suite, tmp_path).events())
    with alone(tmp_path / "tiny", "spikebench run"):
        assert list(open_run(suite, tmp_path).events()) == []


def test_what_the_plan_has_read_the_report_reads_no_more(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in open_run(suite, tmp_path).events():
        pass
    fresh = load_results(tmp_path / "tiny")
    read: list[Path] = []
    monkeypatch.setattr(job_files, "read", lambda path, reader: read.append(path) or READ(path, reader))
    run = open_run(suite, tmp_path)
    for _ in run.events():
        pass
    frame = load_results(run.store.path, known=run.store.known)
    assert len(read) == len(set(read)) == 1
    assert frame.records == fresh.records
    assert frame.cells == fresh.cells


@pytest.mark.parametrize("fresh", [False, True])
def test_nothing_read_is_held_while_jobs_run(suite: Path, tmp_path: Path, fresh: bool) -> None:
    for _ in open_run(suite, tmp_path).events():
        pass
    suite.write_text(TINY.replace("activity: {samples: 8}", "activity: {samples: 8}}, {activity: {samples: 9}"))
    run = open_run(suite, tmp_path, fresh)
    assert len(run.plan.pending) == 1 + fresh
    assert run.store.known is None


def test_a_damaged_file_is_named_by_the_plan_and_by_the_report(suite: Path, tmp_path: Path) -> None:
    suite.write_text(TINY.replace("train: none", "train: none\nseeds: [0, 1]"))
    for _ in open_run(suite, tmp_path).events():
        pass
    (damaged, _) = (tmp_path / "tiny/jobs").glob("*.jsonl")
    damaged.write_text(damaged.read_text().replace('"value"', '"vale"'))
    run = open_run(suite, tmp_path)
    frame = load_results(run.store.path, known=run.store.known)
    assert [notice.partition(":")[0] for notice in run.store.notices] == [damaged.name]
    assert list(frame.notices) == run.store.notices
