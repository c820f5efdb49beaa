"""What several jobs answer differently is told apart, never averaged; what they agree on stays one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import Quantity, quantities, summarise

CELL = {"cell_id": "c", "group_id": "g", "variant": {"T": 2}, "dataset": "digits", "seed": 0}
VERSION = {"harness": "activity", "harness_version": 1, "device": "cpu", "options": {"samples": 4, "split": "test"}}


def folder(path: Path, *jobs: tuple[dict[str, Any], list[Record]], machine_id: str = "m") -> Path:
    store = ResultsFolder(path).create()
    store.put_facts("cells", "c", CELL)
    for number, (header, records) in enumerate(jobs):
        ids = {"job_id": f"job{number}", "cell_id": "c", "machine_id": machine_id, "source_id": "s"}
        writer = store.writer({"schema": 2, **ids, **header})
        for record in records:
            writer.write(record)
        writer.finish()
    return path


def events(value: int, **conditions: Any) -> Record:
    return Record("events", value, "1", kind="counted", conditions=conditions)


def columns(frame: Frame, metric: str) -> dict[tuple[tuple[str, str], ...], float]:
    found = {q: summarise(frame.groups["g"], records["g"]) for q, records in quantities(frame).items() if q.metric == metric}
    return {quantity.conditions: summary.values[0] for quantity, summary in found.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": {"samples": 359, "split": "test"}}, [("samples", "4"), ("samples", "359")]),
        ({"harness_version": 2}, [("harness_version", "1"), ("harness_version", "2")]),
        ({"device": "cuda"}, [("device", "cpu"), ("device", "cuda")]),
    ],
)
def test_answers_to_different_questions_stand_in_columns_of_their_own(
    tmp_path: Path, change: dict[str, Any], told: list[tuple[str, str]]
) -> None:
    frame = load_results(folder(tmp_path, (VERSION, [events(2352)]), ({**VERSION, **change}, [events(2178)])))
    expected = {tuple(sorted([name, ("split", "test")])): value for name, value in zip(told, (2352, 2178), strict=True)}
    assert columns(frame, "events") == expected
    assert f"events: measured with different {told[0][0]}" in frame.remarks[0]


def test_what_two_jobs_agree_on_is_one_column(tmp_path: Path) -> None:
    jobs = [({**VERSION, "options": {"samples": n, "split": "test"}}, [events(7), Record("parameters", 9, "1")]) for n in (4, 8)]
    frame = load_results(folder(tmp_path, *jobs))
    assert columns(frame, "events") == {(("split", "test"),): 7}
    assert columns(frame, "parameters") == {(): 9}
    assert not frame.remarks


def test_jobs_that_differ_in_nothing_that_is_known_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    header = {"harness": "accuracy", "harness_version": 1, "device": "cuda"}
    jobs = [
        ({**header, "options": {"T": steps}}, [Record("accuracy", value, "1", conditions={"T": 2})])
        for steps, value in (([], 0.9), ([1], 0.8))
    ]
    assert sorted(columns(load_results(folder(tmp_path, *jobs)), "accuracy").values()) == [0.8, 0.9]


def test_one_job_on_two_machines_is_one_question(tmp_path: Path) -> None:
    folder(tmp_path, (VERSION, [events(10)]))
    frame = load_results(folder(tmp_path, (VERSION, [events(12)]), machine_id="n"))
    assert columns(frame, "events") == {(("split", "test"),): 11}


def test_files_from_before_records_said_their_split_read_as_those_that_do(tmp_path: Path) -> None:
    validation = {**VERSION, "options": {"samples": 4, "split": "validation"}}
    accuracy = {"harness": "accuracy", "harness_version": 1, "device": "cpu", "options": {"T": []}}
    frame = load_results(
        folder(
            tmp_path,
            (VERSION, [events(100), Record("dense_macs", 500, "1")]),
            (validation, [events(200), Record("dense_macs", 500, "1")]),
            (accuracy, [Record("accuracy", 0.5, "1", conditions={"T": 2})]),
        )
    )
    assert columns(frame, "events") == {(("split", "test"),): 100, (("split", "validation"),): 200}
    assert columns(frame, "dense_macs") == {(): 500}
    assert Quantity("accuracy", (("split", "test"),)) in quantities(frame)


def test_a_failure_in_one_folder_that_another_has_finished_is_no_failure(tmp_path: Path) -> None:
    lost = Record("events", None, "1", status="failed", reason="killed", kind="counted")
    failed = folder(tmp_path / "a", (VERSION, [lost]), machine_id="n")
    frame = load_results(failed, folder(tmp_path / "b", (VERSION, [events(5)])))
    assert [record.value for record in frame.records] == [5]


def test_pooled_records_are_of_one_question_the_test_split_first() -> None:
    records = [events(1, split="validation"), events(2, split="test", site=3), events(3, split="test", site=4)]
    assert [record.value for record in of_one_question(records)] == [2, 3]
    assert [record.value for record in of_one_question(records[:1])] == [1]
    assert of_one_question([]) == []
