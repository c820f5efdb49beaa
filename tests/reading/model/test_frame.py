import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from spikebench.core import metrics
from spikebench.core.errors import InputError, StorageError
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.model.suite_facts import SuiteFacts
from spikebench.reading.model.summary import quantities, summarise
from spikebench.reading.reports.sections.comparison import Section


def test_a_row_per_record_with_factors_conditions_and_ids(grid, store):
    table = load_results(store(grid)).to_pandas()
    measured = table[table.kind != "estimated"]
    row = measured[(measured.metric == "accuracy") & (measured["condition:T"] == 4)].iloc[0]
    assert {row.status, row.unit, row.scope, row.reason} == {"ok", "1", ""}
    assert row.n == 360
    assert (row["T"], row["depth"], row["dataset"], row["train.epochs"]) == (4, 2, "digits", 12)
    assert set(measured["stem"]) == {"sps", "scs"}
    assert set(measured["seed"]) == {0, 1, 2}
    for name in ("job_id", "cell_id", "group_id", "machine_id", "source_id"):
        assert table[name].notna().all()
    assert table["condition:batch_size"].dtype == "Int64"


def test_an_absent_value_is_nan_with_its_reason_and_no_samples(grid, store):
    def fail(one, record):
        return (
            Record(record.metric, None, record.unit, status="failed", reason="out of memory")
            if record.metric == "latency"
            else record
        )

    table = load_results(store(grid, alter=fail)).to_pandas()
    rows = table[table.metric == "latency"]
    assert np.isnan(rows.value).all()
    assert set(rows.reason) == {"out of memory"}
    assert set(rows.n) == {0}


def test_factors_are_what_differs_and_the_seed_is_none(frame):
    assert frame.factors() == ["stem", "attention"]


def test_groups_follow_the_order_of_the_grid(frame):
    assert [frame.name(group_id) for group_id in frame.groups] == [
        f"stem={stem} attention={attention}" for stem in ("sps", "scs") for attention in ("ssa", "softmax")
    ]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"stem": "sps"}, "fits 2: stem=sps attention=ssa; stem=sps attention=softmax"),
        ({"stem": "nope"}, "report.baseline.stem: no variant has"),
    ],
)
def test_a_baseline_must_fit_one_row(frame, baseline, message):
    frame.suite = dataclasses.replace(frame.suite, baseline=baseline)
    with pytest.raises(InputError, match=message):
        _ = frame.baseline


def test_a_component_without_options_is_preferred_as_the_baseline(frame, grid):
    cells = [{**one, "variant": {**one["variant"], "attention": {"name": "ssa", "order": "kv_first"}},
              "cell_id": one["cell_id"] + "x", "group_id": one["group_id"] + "x"} for one in grid]  # fmt: skip
    both = Frame([], {one["cell_id"]: one for one in [*grid, *cells]}, suite=frame.suite)
    assert both.groups[both.baseline].factors["attention"] == "ssa"


def test_two_folders_are_read_as_one_and_shared_records_once(grid, store):
    one, two = store(grid[:4], "a"), store(grid[2:], "b")
    both = load_results(one, two)
    assert len(both.cells) == 12
    assert len(both.by_metric["parameters"]) == 12


def test_damaged_files_are_named_and_left_out(grid, store):
    folder = store(grid)
    victim = sorted((folder / "jobs").iterdir())[0]
    victim.write_text(victim.read_text() + "{torn")
    lost = folder / "cells" / f"{grid[0]['cell_id']}.json"
    lost.unlink()
    frame = load_results(folder)
    assert any(victim.name in notice for notice in frame.notices)
    assert any(lost.name in notice for notice in frame.notices)
    assert frame.to_pandas().group_id.isna().any()


def test_what_is_no_results_folder_is_one_clear_error(tmp_path):
    with pytest.raises(StorageError, match="no such folder"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no results folder"):
        load_results()


def test_a_damaged_suite_is_one_clear_error():
    for text in ("a: [", "just words"):
        with pytest.raises(InputError, match=r"suite\.yaml"):
            SuiteFacts.parse(text)


def test_an_unknown_metric_is_read_by_its_records_alone(frame, grid):
    extra = Record("plugin_score", 3, "1", cell_id=grid[0]["cell_id"])
    with_extra = Frame([*frame.records, extra], frame.cells, metrics=frame._metrics)
    assert with_extra.metric("plugin_score").direction is None
    with pytest.raises(InputError, match="no record of 'nonsense'"):
        with_extra.metric("nonsense")


def test_reading_imports_no_torch_and_pandas_only_for_a_dataframe(grid, store):
    code = f"""
import sys
from spikebench.reading.model.frame import load_results
frame = load_results({str(store(grid))!r})
frame.groups, frame.factors()
assert "pandas" not in sys.modules
frame.to_pandas()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_seed_measured_twice_counts_once_by_its_mean(make_frame, make_cell):
    one = make_cell(0)
    frame = make_frame([one])
    group = next(iter(frame.groups.values()))
    records = [
        Record("accuracy", value, "1", cell_id=one["cell_id"], machine_id=machine)
        for machine, value in (("m1", 0.5), ("m2", 0.7))
    ]
    summary = summarise(group, records)
    assert (summary.values, summary.n, summary.missing) == ({0: pytest.approx(0.6)}, 1, {})


def test_a_profile_that_is_not_here_is_a_notice_and_the_rest_is_read(grid, store):
    frame = load_results(store(grid, suite="suite: s\nenergy: [mine/own.toml]"))
    assert len(frame.by_metric["accuracy"]) == 24
    assert any("mine/own.toml" in notice for notice in frame.notices)


def test_records_of_a_group_are_those_of_its_cells_in_their_order(frame):
    for group_id, group in frame.groups.items():
        assert list(frame.by_group[group_id]) == [record for record in frame.records if record.cell_id in group.seeds]


def test_quantities_belong_to_their_frame_and_may_be_changed(frame, make_frame, grid):
    found = quantities(frame)
    first = next(iter(found))
    found[first].clear()
    assert quantities(frame)[first]
    assert len(next(iter(quantities(make_frame(grid[:4])).values()))) == len({one["group_id"] for one in grid[:4]})


def test_a_metric_of_others_is_called_what_its_code_called_it(grid, store, monkeypatch):
    """The code is not here: title, unit, direction and place in the first table come with the results."""
    monkeypatch.setattr(metrics, "_learned", {})
    declared = Metric(
        "weight_norm", "s", "lower", "measured", "Norm of weights", display_unit="ms", headline=70, display_factor=1e3
    )
    folder = store(grid, alter=lambda one, r: dataclasses.replace(r, metric="weight_norm") if r.metric == "latency" else r)
    assert load_results(folder).metric("weight_norm").title == "weight norm"
    (folder / "sources" / "s1.json").write_text(json.dumps({"spikebench": "0.1.0", "metrics": [dataclasses.asdict(declared)]}))
    frame = load_results(folder)
    assert frame.metric("weight_norm") == declared
    assert "Norm of weights [ms]" in [column.title for column in Section()(frame)[0].columns]
