"""The first table of every report: what stands in it, what is marked, and what is said in footnotes."""

import dataclasses
import math
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from spikebench.core.records import Record
from spikebench.derived.crossed import Crossed
from spikebench.reading.reports.document import Absent, Label, Number, plain_text
from spikebench.reading.reports.drawing import draw
from spikebench.reading.reports.formats import csv
from spikebench.reading.reports.sections import answer, pareto
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


def sides(frame):
    """Of each variant, in order: seed -> accuracy, and seed -> right or wrong."""
    found = []
    for group in frame.groups.values():
        own = [r for r in frame.records if r.metric == "accuracy" and r.cell_id in group.seeds and r.conditions["T"] == 4]
        seeds = [frame.cells[r.cell_id]["seed"] for r in own]
        found.append(
            (dict(zip(seeds, (r.value for r in own), strict=True)), dict(zip(seeds, (r.samples for r in own), strict=True)))
        )
    return found


def test_means_have_intervals_from_seeds_and_images(frame):
    column, cells = column_of(the_table(frame), "accuracy")
    values, answers = ({str(i): side[part] for i, side in enumerate(sides(frame))} for part in (0, 1))
    mean = fmean(values["0"].values())
    half = Crossed(values, answers).contrast({"0": 1.0}).interval().half_width
    low, high = mean - half, min(mean + half, 1.0)
    assert (cells[0].value, cells[0].half_width, cells[0].n) == (pytest.approx(mean), pytest.approx((high - low) / 2), 3)
    assert plain_text(cells[0], column) == f"{100 * mean:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def test_means_without_images_have_the_t_interval_of_their_logarithms(make_frame, make_cell):
    frame = make_frame([make_cell(seed, stem=stem) for seed in (0, 1, 2) for stem in ("sps", "scs")])
    _, cells = column_of(the_table(frame), "events")
    group = next(iter(frame.groups.values()))
    logs = [math.log(r.value) for r in frame.records if r.metric == "events" and not r.scope and r.cell_id in group.seeds]
    half = stats.t.ppf(0.975, 2) * stdev(logs) / math.sqrt(3)
    assert cells[0].value == pytest.approx(fmean(map(math.exp, logs)))
    assert cells[0].half_width == pytest.approx(cells[0].value * math.sinh(half))


def test_accuracy_at_other_time_steps_is_not_the_accuracy(frame):
    assert not [column for column in the_table(frame).columns if "T=1" in column.key]


def test_the_baseline_is_marked_and_differences_are_paired_by_seed(frame):
    table = the_table(frame)
    assert [row.marked for row in table.rows] == [True, False, False, False]
    column, cells = column_of(table, "accuracy:difference")
    assert cells[0] == Label("baseline")
    values, answers = ({str(i): side[part] for i, side in enumerate(sides(frame))} for part in (0, 1))
    known = Crossed(values, answers).difference("2", "0").interval()
    assert (cells[2].value, cells[2].half_width) == (pytest.approx(known.estimate), pytest.approx(known.half_width))
    assert column.display.unit == "pp"
    assert plain_text(cells[2], column).startswith("+")


def test_a_ratio_far_from_the_middle_of_its_interval_has_both_ends(make_frame, make_cell):
    """Of two seeds that differ by a lot ±57.8 would tell −67.9 to 47.7, where the interval is −51.0 to 64.7."""

    def alter(swing):
        def change(one, record):
            if record.metric != "events" or record.scope:
                return record
            factor = np.exp(swing * (-1) ** one["seed"]) if one["variant"]["stem"] == "scs" else 1.0
            return dataclasses.replace(record, value=round(1_000_000 * factor))

        return change

    for swing, shown in ((0.3, True), (1e-3, False)):
        frame = make_frame([make_cell(seed, stem=s) for seed in (0, 1) for s in ("sps", "scs")], alter(swing))
        table = the_table(frame)
        column, cells = column_of(table, "events:relative")
        logs = [math.log(values["scs"] / values["sps"]) for values in by_seed(frame)]
        half = stats.t.ppf(0.975, 1) * np.std(logs, ddof=1) / math.sqrt(2)
        ends = [math.expm1(np.mean(logs) + sign * half) for sign in (-1, 1)]
        (cell,) = [cell for cell in cells if isinstance(cell, Number)]
        assert cell.half_width == pytest.approx((ends[1] - ends[0]) / 2, rel=0.05)
        assert (cell.bounds is not None) == shown
        written = csv.text(table).splitlines()
        if shown:
            assert cell.bounds == pytest.approx(ends, rel=0.05)
            low, high = (column.display.number(end) for end in cell.bounds)
            assert plain_text(cell, column) == f"{column.display.number(cell.value)} ({low} to {high})"
            assert repr(cell.bounds[0]) in written[2]
            assert "±" not in table.footnotes[column.notes[0]]
        assert ("events:relative:low" in written[0]) == shown


@pytest.mark.parametrize(("apart", "cut"), [(0.02, True), (0.0005, False)])
def test_an_accuracy_interval_ends_at_100_percent_in_tables_sentences_and_plots(make_frame, grid, apart, cut):
    """98 and 100 % in two seeds: ± 12.7 would tell of 111 %."""

    def alter(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        return dataclasses.replace(record, value=0.99 + apart / 2 * (-1) ** one["seed"], samples=None)

    frame = make_frame([cell for cell in grid if cell["seed"] < 2], alter)
    half = 12.706 * apart / 2
    low, high = 0.99 - half, 1.0 if cut else 0.99 + half
    table = the_table(frame)
    column, cells = column_of(table, "accuracy")
    shown = f"99.00 ({100 * low:.2f} to 100.00)" if cut else f"99.00 ± {100 * half:.2f}"
    assert [plain_text(cell, column) for cell in cells] == [shown] * 4
    assert cells[0].bounds == (pytest.approx((low, high), rel=1e-3) if cut else None)
    text = " ".join(block.text for block in answer.Section()(frame))
    said = f"99.00 % (95 % interval {100 * low:.2f} to 100.00)" if cut else f"99.00 ± {100 * half:.2f} %"
    assert f"Highest accuracy {said}, of " in text
    (plot,) = pareto.Section()(frame)
    mark = next(one for one in plot.series if one.name != "front")
    assert mark.spread == (pytest.approx((100 * low, 100 * high), rel=1e-3),)
    drawn = [y for bars in draw(plot).axes[0].collections for segment in bars.get_segments() for _, y in segment]
    assert (min(drawn), max(drawn)) == pytest.approx((100 * low, 100 * high), rel=1e-5)


def by_seed(frame):
    found = {}
    for record in frame.by_metric["events"]:
        if not record.scope:
            cell = frame.cells[record.cell_id]
            found.setdefault(cell["seed"], {})[cell["variant"]["stem"]] = record.value
    return found.values()


def accuracy_of(fractions):
    """Alter records: the accuracy that an attention has, its errors spread at random over the images."""

    def alter(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        rng = np.random.default_rng(int(one["cell_id"], 16))
        right = (rng.random(360) < fractions[one["variant"]["attention"]]).astype(int).tolist()
        return dataclasses.replace(record, value=sum(right) / 360, samples=right)

    return alter


def test_the_best_is_marked_where_it_can_be_told_from_the_rest_else_all_that_are_not_worse(make_frame, make_cell):
    cells = [make_cell(seed, attention=name) for seed in (0, 1, 2) for name in ("ssa", "softmax", "relu")]
    for fractions, marked in (
        ({"ssa": 0.99, "softmax": 0.8, "relu": 0.8}, {"ssa"}),
        ({"ssa": 0.96, "softmax": 0.96, "relu": 0.7}, {"ssa", "softmax"}),
        ({"ssa": 0.96, "softmax": 0.96, "relu": 0.96}, set()),
    ):
        table = the_table(make_frame(cells, accuracy_of(fractions)))
        _, numbers = column_of(table, "accuracy")
        names = [row.cells[0].text for row in table.rows]
        assert {name for name, cell in zip(names, numbers, strict=True) if cell.best} == marked


def test_what_repeats_exactly_has_a_best_and_what_has_no_direction_none(frame):
    _, cells = column_of(the_table(frame), "parameters")
    assert [cell.best for cell in cells] == [True, True, False, False]
    _, cells = column_of(the_table(frame), "firing_rate")
    assert not any(cell.best for cell in cells)


def test_verdicts_are_words_and_their_meaning_is_said(make_frame, make_cell):
    cells = [make_cell(seed, attention=name) for seed in (0, 1, 2) for name in ("ssa", "softmax", "relu")]
    table = the_table(make_frame(cells, accuracy_of({"ssa": 0.9, "softmax": 0.99, "relu": 0.7}), suite=OF_ATTENTION))
    column, words = column_of(table, "accuracy:verdict")
    assert [cell.text for cell in words] == ["worse", "better", ""]
    assert "Holm's correction" in notes(table, column.notes)
    table = the_table(make_frame(cells, accuracy_of({"ssa": 0.9, "softmax": 0.9, "relu": 0.9}), suite=OF_ATTENTION))
    _, words = column_of(table, "accuracy:verdict")
    assert [cell.text for cell in words] == ["cannot tell", "cannot tell", ""]


def test_equal_is_said_where_the_whole_interval_lies_within_the_margin(make_frame, make_cell):
    def almost(one, record):
        if record.metric != "events" or record.scope:
            return record
        return dataclasses.replace(record, value=1_000_000 + one["seed"] + (one["variant"]["stem"] == "scs"))

    cells = [make_cell(seed, stem=stem) for seed in (0, 1, 2) for stem in ("sps", "scs")]
    _, words = column_of(
        the_table(make_frame(cells, almost, suite="suite: stems\nreport: {baseline: {stem: sps}}")), "events:verdict"
    )
    assert [cell.text for cell in words] == ["same", ""]


OF_ATTENTION = "suite: attention\nreport: {baseline: {attention: ssa}}"


def test_no_best_where_one_mean_stands_on_one_seed(make_frame, make_cell):
    cells = [make_cell(seed) for seed in (0, 1, 2)] + [make_cell(0, attention="softmax")]
    _, numbers = column_of(the_table(make_frame(cells, accuracy_of({"ssa": 0.99, "softmax": 0.5}))), "accuracy")
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


def test_equal_accuracies_of_two_seeds_are_not_certain_and_parameters_have_no_interval(make_frame, make_cell):
    def same(one, record):
        if record.metric != "accuracy":
            return record
        right = [1] * 360
        for image in range(6):
            right[(40 * one["seed"] + image) % 360] = 0
        return dataclasses.replace(record, value=354 / 360, samples=right)

    table = the_table(make_frame([make_cell(0), make_cell(1)], same))
    column, cells = column_of(table, "accuracy")
    assert plain_text(cells[0], column) == "98.33 ± 1.41"
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
