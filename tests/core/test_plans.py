"""Which jobs a folder is wanted for: what a new suite replaces, what copying joins, what a kill leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spikebench.core.plans import Plans, Wanted
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder

A, B, C = (("job-a", "cell-1"), ("job-b", "cell-1"), ("job-c", "cell-2"))


def wanted(folder: Path) -> tuple[set[str], set[str]] | None:
    found = Plans(folder).wanted()
    return None if found is None else (set(found.jobs), set(found.cells))


def test_without_plans_nobody_knows(tmp_path: Path) -> None:
    assert wanted(tmp_path) is None


def test_another_suite_replaces_the_plan_and_the_same_writes_nothing(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    assert plans.replace("run", "cpu", [A, B])
    before = {path: path.stat().st_mtime_ns for path in plans.folder.iterdir()}
    assert not plans.replace("run", "cpu", [B, A])
    assert {path: path.stat().st_mtime_ns for path in plans.folder.iterdir()} == before
    assert plans.replace("run", "cpu", [A, C])
    assert wanted(tmp_path) == ({"job-a", "job-c"}, {"cell-1", "cell-2"})


def test_other_verbs_and_devices_keep_theirs(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plans.replace("run", "cpu", [A])
    plans.replace("run", "cuda", [B])
    plans.add("search", "cpu", "x", [C])
    plans.replace("run", "cpu", [("job-d", "cell-3")])
    assert Plans(tmp_path).wanted() == Wanted(frozenset({"job-b", "job-c", "job-d"}), frozenset({"cell-1", "cell-2", "cell-3"}))


def test_copying_folders_together_joins_them_until_a_suite_changes(tmp_path: Path) -> None:
    Plans(tmp_path / "here").replace("run", "cpu", [A])
    Plans(tmp_path / "there").replace("run", "cpu", [B])
    shutil.copytree(tmp_path / "there", tmp_path / "here", dirs_exist_ok=True)
    assert wanted(tmp_path / "here") == ({"job-a", "job-b"}, {"cell-1"})
    for known in (A, B):
        Plans(tmp_path / "here").replace("run", "cpu", [known])
    assert wanted(tmp_path / "here") == ({"job-a", "job-b"}, {"cell-1"})
    Plans(tmp_path / "here").replace("run", "cpu", [C])
    assert wanted(tmp_path / "here") == ({"job-c"}, {"cell-2"})


def test_a_torn_line_loses_itself_alone(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plans.add("search", "cpu", "x", [A])
    (path,) = plans.folder.iterdir()
    whole = path.read_bytes()
    for kept in range(2 * len(whole) + 1):
        path.write_bytes((whole + whole)[:kept])
        plans.add("search", "cpu", "x", [B])
        found = wanted(tmp_path)
        assert found is not None
        assert found[0] == ({"job-a", "job-b"} if kept >= len(whole) - 1 else {"job-b"})


def test_a_folder_shows_what_is_wanted_and_names_the_rest(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    for job_id, cell_id in (A, B, C):
        store.put_facts("cells", cell_id, {"cell_id": cell_id, "group_id": "g", "variant": {}, "dataset": "digits", "seed": 0})
        ids = {"job_id": job_id.replace("-", ""), "cell_id": cell_id, "machine_id": "m", "source_id": "s", "harness": "activity"}
        writer = store.writer({"schema": 2, **ids})
        writer.write(Record("events", 1, "1"))
        writer.finish()
    assert len(list(store.job_files())) == 3
    assert not store.remarks
    Plans(tmp_path).replace("run", "cpu", [("joba", "cell-1"), ("pending", "cell-1")])
    assert [found.header["job_id"] for found in store.job_files()] == ["joba"]
    assert list(store.cells()) == ["cell-1"]
    assert "2 jobs are superseded" in store.remarks[0]
    assert "activity jobb, activity jobc" in store.remarks[0]
    assert not store.notices


def test_a_damaged_plan_of_a_run_hides_nothing_and_is_written_again(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    plans = Plans(tmp_path)
    plans.replace("run", "cpu", [A, B, C])
    (path,) = plans.folder.iterdir()
    whole = path.read_bytes()
    cut = [whole[:40], whole[: whole.rindex(b"{")], b""]
    for harmed in [*cut, whole.replace(b"job-b", b"job-x"), b"[" * 100_000, b"\xff", b"NaN\n[]\n"]:
        path.write_bytes(harmed)
        with pytest.raises(ValueError, match=f"{path.name} is damaged"):
            plans.wanted()
        assert store.cells() == {}
        assert any("all results are shown" in notice for notice in store.notices)
        assert plans.replace("run", "cpu", [A, B, C])
        assert path.read_bytes() == whole
