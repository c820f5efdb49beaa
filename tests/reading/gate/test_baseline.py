"""A stored baseline: readable, whole, and no verdict changes by storing it."""

import dataclasses
import json

import pytest

from spikebench.core.errors import InputError, StorageError
from spikebench.core.records import Record
from spikebench.reading.gate import baseline
from spikebench.reading.gate.check import check
from spikebench.reading.model.frame import load_results


@pytest.fixture
def cells(make_cell):
    return [make_cell(seed, stem=stem) for seed in (0, 1) for stem in ("sps", "scs")]


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_passes_against_its_own_baseline(cells, store, tmp_path):
    results = store(cells)
    folder = baseline.update(results, tmp_path / "reference")
    assert folder == tmp_path / "reference" / "quickstart"
    assert check(load_results(folder), load_results(results)).exit_code == 0
    assert baseline.diff(results, tmp_path / "reference").exit_code == 0


def test_the_gate_finds_the_change_that_diff_shows(cells, store, tmp_path):
    baseline.update(store(cells), tmp_path / "reference")

    def grow(one, record):
        return dataclasses.replace(record, value=record.value + 64) if record.metric == "parameters" else record

    gate = baseline.diff(store(cells, "changed", alter=grow), tmp_path / "reference")
    assert gate.exit_code == 1
    assert "113,000 -> 113,064" in gate.judgements[0].message


def test_the_same_results_give_the_same_bytes(cells, store, tmp_path):
    one = baseline.update(store(cells, "a"), tmp_path / "one")
    two = baseline.update(store(cells, "b"), tmp_path / "two")
    assert tree(one) == tree(two)


def test_lines_are_sorted_rounded_and_only_what_the_gate_asks(cells, store, tmp_path):
    def long(one, record):
        return dataclasses.replace(record, value=1 / 3) if record.metric == "firing_rate" else record

    folder = baseline.update(store(cells, alter=long), tmp_path / "reference")
    lines = [json.loads(line) for text in tree(folder / "jobs").values() for line in text.splitlines()[1:-1]]
    assert not [line for line in lines if line["metric"].startswith("epoch_") or line["kind"] == "estimated"]
    assert {line["value"] for line in lines if line["metric"] == "firing_rate"} == {0.333333333}
    # McNemar's test needs every answer; a count's mean is exact without its samples.
    assert {len(line["samples"]) for line in lines if line["metric"] == "accuracy"} == {360}
    assert not [line for line in lines if line["kind"] == "counted" and "samples" in line]
    for text in tree(folder / "jobs").values():
        names = [json.loads(line)["metric"] for line in text.splitlines()[1:-1]]
        assert names == sorted(names)


def test_updating_replaces_the_old_baseline(cells, store, tmp_path):
    baseline.update(store(cells), tmp_path / "reference")
    folder = baseline.update(store(cells[:1], "small"), tmp_path / "reference")
    assert len(load_results(folder).cells) == 1
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["quickstart"]


def test_results_with_failures_are_no_baseline_and_the_old_one_stays(cells, store, tmp_path):
    folder = baseline.update(store(cells), tmp_path / "reference")
    before = tree(folder)

    def fail(one, record):
        return Record(record.metric, None, "1", status="failed", reason="no memory") if record.metric == "accuracy" else record

    with pytest.raises(InputError, match="no memory"):
        baseline.update(store(cells, "broken", alter=fail), tmp_path / "reference")
    damaged = store(cells, "damaged")
    next((damaged / "jobs").iterdir()).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        baseline.update(damaged, tmp_path / "reference")
    assert tree(folder) == before


def test_missing_baselines_and_suites_are_named(cells, store, tmp_path):
    with pytest.raises(StorageError, match="no baseline of the suite 'quickstart'"):
        baseline.diff(store(cells), tmp_path / "nowhere")
    nameless = store(cells, "nameless")
    (nameless / "suite.yaml").unlink()
    with pytest.raises(InputError, match=r"no suite\.yaml"):
        baseline.update(nameless, tmp_path / "reference")


def test_show_is_a_report(cells, store, tmp_path):
    baseline.update(store(cells), tmp_path / "reference")
    assert any(table.key == "comparison" for table in baseline.show("quickstart", tmp_path / "reference").tables())
