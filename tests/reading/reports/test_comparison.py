"""The first table of every report: what stands in it, what is marked, and what is said in footnotes."""

import dataclasses
import math
from statistics import fmean, stdev

import pytest
from scipy import stats

from spikebench.core.records import Record
from spikebench.reading.reports.document import Absent, Label, Number, plain_text
from spikebench.reading.reports.sections.comparison import Section


def the_table(frame):
    (table,) = Section()(frame)
    return table


def column_of(table, key):
    index = next(i for i, column in enumerate(table.columns) if column.key.startswith(key))
    return table.columns[index], [row.cells[index] for row in table.rows]


def notes(table, marks):
    return " ".join(table.footnotes[index] for index in marks)


def test_a_row_per_variant_with_the_factors_that_differ(frame):
    table = the_table(frame)
    assert [column.key for column in table.columns[: table.labels]] == ["stem", "attention"]
    assert [[cell.text for cell in row.cells[:2]] for row in table.rows] == [
        ["sps", "ssa"],
        ["sps", "softmax"],
        ["scs", "ssa"],
        ["scs", "softmax"],
    ]
    assert table.caption.startswith("Does the convolutional stem")


def test_means_and_intervals_over_seeds_are_recomputed_by_hand(frame):
    column, cells = column_of(the_table(frame), "accuracy")
    group = next(iter(frame.groups.values()))
    values = [r.value for r in frame.records if r.metric == "accuracy" and r.cell_id in group.seeds and r.conditions["T"] == 4]
    half = stats.t.ppf(0.975, 2) * stdev(values) / math.sqrt(3)
    assert (cells[0].value, cells[0].half_width, cells[0].n) == (pytest.approx(fmean(values)), pytest.approx(half), 3)
    assert plain_text(cells[0], column) == f"{100 * fmean(values):.2f} ± {100 * half:.2f}"


def test_accuracy_at_other_time_steps_is_not_the_accuracy(frame):
    assert not [column for column in the_table(frame).columns if "T=1" in column.key]


def test_the_baseline_is_marked_and_differences_are_paired_by_seed(frame):
    table = the_table(frame)
    assert [row.marked for row in table.rows] == [True, False, False, False]
    column, cells = column_of(table, "accuracy:difference")
    assert cells[0] == Label("baseline")
    by_group = [
        {frame.cells[r.cell_id]["seed"]: r.value for r in frame.records
         if r.metric == "accuracy" and r.cell_id in group.seeds and r.conditions["T"] == 4}
        for group in frame.groups.values()
    ]  # fmt: skip
    test = stats.ttest_rel([by_group[2][s] for s in (0, 1, 2)], [by_group[0][s] for s in (0, 1, 2)])
    interval = test.confidence_interval(0.95)
    assert cells[2].half_width == pytest.approx((interval.high - interval.low) / 2)
    assert column.display.unit == "pp"
    assert plain_text(cells[2], column).startswith("+")


def test_the_best_mean_is_marked_by_the_metrics_direction(frame):
    for key, pick in (("accuracy", max), ("events", min), ("energy", min)):
        _, cells = column_of(the_table(frame), key)
        assert [cell.best for cell in cells] == [cell.value == pick(c.value for c in cells) for cell in cells]
    _, cells = column_of(the_table(frame), "firing_rate")
    assert not any(cell.best for cell in cells)  # it has no direction here


def test_no_best_where_one_mean_stands_on_far_fewer_seeds(make_frame, make_cell):
    cells = [make_cell(seed) for seed in (0, 1, 2)] + [make_cell(0, stem="scs")]
    _, numbers = column_of(the_table(make_frame(cells)), "accuracy")
    assert not any(cell.best for cell in numbers)


def test_no_best_across_data_sets(make_frame, make_cell):
    cells = [make_cell(0, dataset=dataset) for dataset in ("digits", "mnist5k")]
    _, numbers = column_of(the_table(make_frame(cells, suite="suite: s")), "accuracy")
    assert not any(cell.best for cell in numbers)


def test_what_is_absent_is_a_dash_with_its_reason_and_never_zero(make_frame, make_cell):
    def fail(one, record):
        if record.metric == "events" and not record.scope and one["variant"]["stem"] == "scs":
            return Record("events", None, "1", status="failed", reason="ran out of memory")
        return record

    cells = [make_cell(seed, stem=stem) for seed in (0, 1) for stem in ("sps", "scs")]
    table = the_table(make_frame(cells, fail))
    column, values = column_of(table, "events")
    assert isinstance(values[1], Absent)
    assert plain_text(values[1], column) == "–"
    assert notes(table, values[1].notes) == "ran out of memory"


def test_a_mean_of_some_seeds_says_so(make_frame, make_cell):
    def fail(one, record):
        if record.metric == "accuracy" and one["seed"] == 1:
            return Record("accuracy", None, "1", conditions=record.conditions, status="failed", reason="loss is NaN")
        return record

    table = the_table(make_frame([make_cell(seed) for seed in (0, 1, 2)], fail))
    _, cells = column_of(table, "accuracy")
    assert cells[0].n == 2
    assert notes(table, cells[0].notes) == "From 2 of 3 seeds; seed 1: loss is NaN"


def test_equal_accuracies_have_an_interval_of_width_zero_and_parameters_none(make_frame, make_cell):
    def same(one, record):
        return dataclasses.replace(record, value=0.975, samples=None) if record.metric == "accuracy" else record

    table = the_table(make_frame([make_cell(0), make_cell(1)], same))
    column, cells = column_of(table, "accuracy")
    assert plain_text(cells[0], column) == "97.50 ± 0.00"
    column, cells = column_of(table, "parameters")
    assert "±" not in plain_text(cells[0], column)


def test_conventions_and_estimates_are_named(frame):
    table = the_table(frame)
    column, _ = column_of(table, "events")
    assert column.heading == "SOPs"
    assert "nonzero input x existing tap" in notes(table, column.notes)
    column, _ = column_of(table, "energy")
    assert "an estimate" in notes(table, column.notes)
    assert "convention events" in notes(table, column.notes)
    assert "profile spikformer-paper" in notes(table, column.notes)


def test_one_seed_is_compared_by_its_samples(make_frame, make_cell):
    cells = [make_cell(0, stem=stem) for stem in ("sps", "scs")]
    table = the_table(make_frame(cells))
    _, numbers = column_of(table, "accuracy:difference")
    assert isinstance(numbers[1], Number)
    assert numbers[1].half_width is None
    said = notes(table, numbers[1].notes)
    sides = [
        next(r.samples for r in make_frame([one]).records if r.metric == "accuracy" and r.conditions["T"] == 4) for one in cells
    ]
    b = sum(new > old for old, new in zip(*sides, strict=True))
    c = sum(new < old for old, new in zip(*sides, strict=True))
    assert f"{b} are right here alone and {c} in the baseline alone" in said
    assert f"p = {stats.binomtest(b, b + c, 0.5).pvalue:.2g}" in said


def test_a_suite_may_ask_for_more_columns(frame):
    frame.suite = dataclasses.replace(frame.suite, columns=["dense_macs"])
    assert any(column.key == "dense_macs" for column in the_table(frame).columns)


def test_times_of_two_machines_are_two_columns(make_frame, make_cell):
    from spikebench.reading.model.frame import Frame

    cells = [make_cell(0), make_cell(0, stem="scs")]
    one, two = make_frame(cells), make_frame(cells, machine_id="m2")
    both = Frame([*one.records, *two.records], one.cells, {**one.machines, **two.machines}, suite=one.suite, metrics=one._metrics)
    from spikebench.reading.reports.sections.speed import Section as Speed

    (table,) = Speed()(both)
    assert [column.key for column in table.columns if column.key.startswith("latency")] == [
        "latency{backend=numba,batch_size=1}#m1",
        "latency{backend=numba,batch_size=1}#m2",
    ]
    _, accuracies = column_of(the_table(both), "accuracy")
    assert accuracies[0].n == 1  # the same seed twice is one seed


def test_nothing_to_compare_is_no_table(make_frame, make_cell):
    assert Section()(make_frame([make_cell(0)], lambda one, record: None)) == []
