"""The results folder: what survives damage, a torn tail, a newer version, a full disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.errors import StorageError
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder

HEADER = {"schema": 1, "job_id": "j" * 16, "cell_id": "c", "machine_id": "m" * 16, "source_id": "s"}


def records(count: int) -> list[Record]:
    return [Record("latency", 0.1 * n, "s", conditions={"n": n}, samples=[1.0, 2.5]) for n in range(count)]


def filled(path: Path, count: int = 3) -> ResultsFolder:
    store = ResultsFolder(path).create()
    writer = store.writer(HEADER)
    for record in records(count):
        writer.write(record)
    writer.finish()
    return store


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = list(filled(tmp_path).records())
    assert [r.value for r in found] == [0.0, 0.1, 0.2]
    assert found[0].job_id == HEADER["job_id"]
    assert found[0].samples == [1.0, 2.5]


def test_an_unfinished_job_is_not_there_but_its_records_are_kept(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    writer = store.writer(HEADER)
    writer.write(records(1)[0])
    # No close: what a kill leaves behind.
    assert list(store.records()) == []
    kept = store.read_partial(store.job_path(HEADER["job_id"], HEADER["machine_id"]))
    assert [r.value for r in kept] == [0.0]


@given(cut=st.integers(min_value=0, max_value=600))
def test_a_partial_cut_anywhere_gives_a_prefix(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    store = ResultsFolder(tmp_path_factory.mktemp("s")).create()
    writer = store.writer(HEADER)
    for record in records(4):
        writer.write(record)
    writer.close()
    path = store.job_path(HEADER["job_id"], HEADER["machine_id"])
    (partial,) = path.parent.glob("unfinished/*.kept")
    partial.write_bytes(partial.read_bytes()[:cut])
    kept = store.read_partial(path)
    assert [r.to_json() for r in kept] == [r.to_json() for r in records(4)[: len(kept)]]


@pytest.mark.parametrize("damage", ["", "{", '{"schema": 1}', '{"schema": "x", "job_id": 1}', "[]", "\x00\x01"])
def test_a_damaged_file_is_left_out_named_and_untouched(tmp_path: Path, damage: str) -> None:
    store = filled(tmp_path)
    path = store.job_path("other", "machine")
    path.write_text(damage)
    assert len(list(store.records())) == 3
    assert any("other" in notice for notice in store.notices)
    assert path.read_text() == damage


def test_a_damaged_record_line_leaves_the_job_out(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.job_path(HEADER["job_id"], HEADER["machine_id"])
    path.write_text(path.read_text().replace('"value": 0.1', '"value": 0.1.1'))
    assert list(store.records()) == []
    assert any("counts as not done" in notice for notice in store.notices)


@pytest.mark.parametrize("failing", ["a", "z"])
def test_a_finished_file_supersedes_a_failure_of_the_same_job_on_any_machine(tmp_path: Path, failing: str) -> None:
    store = filled(tmp_path)
    writer = store.writer({**HEADER, "machine_id": failing})
    writer.write(Record("latency", None, "s", status="failed", reason="killed"))
    writer.finish()
    assert [found.header["machine_id"] for found in store.job_files()] == [HEADER["machine_id"]]
    assert store.find(HEADER["job_id"]).header["machine_id"] == HEADER["machine_id"]
    # Asked for by name it is there, and where nothing else is, it is all there is.
    assert store.find(HEADER["job_id"], failing).failed
    store.job_path(HEADER["job_id"], HEADER["machine_id"]).unlink()
    assert store.find(HEADER["job_id"]).failed
    assert [found.failed for found in store.job_files()] == [True]


def test_a_newer_schema_is_left_out_with_both_versions(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    store.job_path("j", "m").write_text(json.dumps({**HEADER, "schema": 3}) + "\n")
    assert list(store.records()) == []
    assert "schema 3, this one reads 2" in store.notices[0]


@pytest.mark.parametrize("separator", list("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"))
def test_a_reason_may_hold_whatever_separates_lines(tmp_path: Path, separator: str) -> None:
    store = ResultsFolder(tmp_path).create()
    lost = Record("power", None, "J", status="failed", reason=f"first{separator}second", conditions={"note": separator})
    writer = store.writer(HEADER)
    writer.write(lost)
    writer.close()
    (kept,) = store.read_partial(writer.path)
    assert kept.reason == lost.reason
    writer = store.writer(HEADER, [lost])
    writer.finish()
    (found,) = store.records()
    assert (found.reason, found.conditions) == (lost.reason, lost.conditions)
    assert not store.notices


def test_unknown_keys_of_a_record_are_ignored(tmp_path: Path) -> None:
    assert Record.from_json('{"metric": "m", "value": 1, "unit": "s", "colour": "blue"}').value == 1


def test_a_full_disk_is_one_message_and_what_is_finished_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    writer = store.writer({**HEADER, "job_id": "k" * 16})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"the disk is full; finished results .* stay"):
        writer.finish()
    assert len(list(store.records())) == 3


def test_a_file_in_the_way_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("x")
    with pytest.raises(StorageError, match=r"(exists|folder is needed)"):
        ResultsFolder(tmp_path / "results").create()


def test_a_folder_of_results_folders_is_told_apart(tmp_path: Path) -> None:
    filled(tmp_path / "quickstart")
    with pytest.raises(StorageError, match="quickstart"):
        ResultsFolder(tmp_path).require()


def test_a_record_without_value_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Record("power", None, "J", status="unavailable")
    with pytest.raises(ValueError, match="ok if and only if"):
        Record("power", None, "J")


@given(
    st.lists(
        st.tuples(st.sampled_from(["a1", "a12", "b", ""]), st.sampled_from(["m", "n1", ""]), st.sampled_from([".jsonl", ".x"])),
        max_size=8,
        unique=True,
    )
)
def test_one_look_at_the_folder_finds_what_a_look_for_each_job_does(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str, str]]
) -> None:
    store = ResultsFolder(tmp_path_factory.mktemp("s")).create()
    jobs = store.path / "jobs"
    for job, machine, suffix in names:
        (jobs / f"{job}-{machine}{suffix}").touch()
    found = store.finished()
    for job in ("a1", "a12", "b"):
        assert list(found.get(job, ())) == sorted(jobs.glob(f"{job}-*.jsonl"))
    assert sorted(path for paths in found.values() for path in paths) == sorted(jobs.glob("*.jsonl"))
