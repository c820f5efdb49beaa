"""What single sections compute, against brute force or by hand."""

import dataclasses
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.metrics import Metric
from spikebench.core.published import load_all
from spikebench.core.records import Record
from spikebench.core.waiting import UNTRAINED
from spikebench.reading.model import fronts
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Paired
from spikebench.reading.model.summary import Summary
from spikebench.reading.reports.document import Absent, Number
from spikebench.reading.reports.drawing import TOLD_APART, draw
from spikebench.reading.reports.sections import comparison, failures, firing, pareto, published, stages, timesteps, training

COST = Metric("energy", "J", "lower", "estimated", "Energy")
GAIN = Metric("accuracy", "1", "higher", "measured", "Accuracy", display_unit="%", display_factor=100.0)
coordinates = st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float))


@given(st.lists(coordinates, min_size=1, max_size=8))
def test_the_front_is_what_nothing_beats(points):
    named = {str(i): point for i, point in enumerate(points)}
    front = fronts.front(named, COST, GAIN)
    for name, (cost, gain) in named.items():
        beaten = any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
        assert (name in front) == (not beaten)


def test_the_pareto_table_is_sorted_by_cost_and_marks_the_front(frame):
    (figure,) = pareto.Section()(frame)
    costs = [row.cells[2].value for row in figure.data.rows]
    assert costs == sorted(costs)
    assert all(0 <= row.cells[-1].value <= 1 for row in figure.data.rows)
    assert len(figure.series) == 1 + len(figure.data.rows)


def test_how_often_a_variant_is_on_the_front_is_counted_when_seeds_and_images_are_drawn_again():
    """Two equally good variants of equal cost with images of their own: each is the better one in half of the draws."""
    rng = np.random.default_rng(0)

    def summary(accuracy):
        answers = {seed: (rng.permutation(1000) < 1000 * accuracy).astype(int).tolist() for seed in range(3)}
        return Summary(dict.fromkeys(answers, accuracy), {}, False, answers)

    gain = Paired(GAIN, {"a": summary(0.9), "b": summary(0.9), "poor": summary(0.5), "cheap": summary(0.6)})
    cost = Paired(COST, {name: Summary(dict.fromkeys(range(3), 1.0 + (name != "cheap")), {}, False) for name in gain.rows})
    share = fronts.shares(list(gain.rows), cost, gain)
    assert share["cheap"] == 1
    assert share["poor"] == 0
    assert share["a"] == pytest.approx(0.5, abs=0.1)
    assert share["a"] + share["b"] == pytest.approx(1.0)


def test_curves_are_means_over_seeds(frame):
    figure = next(figure for figure in training.Section()(frame) if figure.key == "epoch_accuracy")
    group = next(iter(frame.groups.values()))
    for epoch, shown in zip(figure.series[0].x, figure.series[0].y, strict=True):
        values = [
            r.value
            for r in frame.records
            if r.metric == "epoch_accuracy" and r.cell_id in group.seeds and r.conditions["epoch"] == epoch
        ]
        assert shown == pytest.approx(100 * fmean(values))


@pytest.mark.parametrize("widths", [TOLD_APART, TOLD_APART + 1])
def test_bands_are_told_of_where_they_are_drawn_and_the_ends_have_intervals(make_frame, make_cell, widths):
    cells = [make_cell(seed, dim=16 + 16 * width) for width in range(widths) for seed in (0, 1)]
    figure = next(figure for figure in training.Section()(make_frame(cells)) if figure.key == "epoch_accuracy")
    bands = sum(len(axes.collections) > 1 or (widths <= TOLD_APART and len(axes.collections)) for axes in draw(figure).axes)
    assert len(figure.series) == widths
    assert ("Bands are 95 % intervals." in figure.caption) == bool(bands) == (widths <= TOLD_APART)
    assert all((series.spread is not None) == bool(bands) for series in figure.series)
    assert all(cell.half_width is not None for row in figure.data.rows for cell in row.cells[-2:])


def test_one_epoch_is_no_curve(make_frame, make_cell):
    first = make_frame([make_cell(0)], lambda one, record: record if record.conditions.get("epoch", 1) == 1 else None)
    assert training.Section()(first) == []


def test_firing_rates_keep_layers_in_order_and_say_what_a_network_lacks(make_frame, make_cell):
    def without(one, record):
        return None if record.scope == "stem.stages.1" and one["variant"]["stem"] == "scs" else record

    (figure,) = firing.Section()(make_frame([make_cell(0), make_cell(0, stem="scs")], without))
    assert figure.row_names == ("stem.stages.0", "stem.stages.1", "blocks.0.attention.q", "blocks.0.mlp.fc1",
                                "blocks.1.attention.q", "head")  # fmt: skip
    missing = figure.data.rows[1].cells[2]
    assert isinstance(missing, Absent)
    assert figure.data.footnotes[missing.notes[0]] == "This network has no such layer."
    assert figure.grid[1][1] is None


def test_rates_by_time_step_are_of_the_baseline(make_frame, make_cell):
    frame = make_frame([make_cell(0), make_cell(0, stem="scs")])
    extra = [
        Record("firing_rate", 0.1 * (t + 1), "1", kind="counted", scope="stem", conditions={"t": t}, cell_id=cell_id)
        for cell_id in frame.cells
        for t in range(12)
    ]
    both = Frame([*frame.records, *extra], frame.cells, suite=frame.suite, metrics=frame._metrics)
    figure = next(figure for figure in firing.Section()(both) if figure.key == "firing-by-step")
    assert figure.ticks == tuple(map(str, range(12)))  # 2 before 10
    assert figure.grid[0] == pytest.approx([10.0 * (t + 1) for t in range(12)])
    assert "sps" in figure.caption


def test_stages_sum_to_the_layers(frame):
    (figure,) = stages.Section()(frame)
    group = next(iter(frame.groups.values()))
    *parts, total = [cell.value for cell in figure.data.rows[0].cells if isinstance(cell, Number)]
    events = [r.value for r in frame.records if r.metric == "events" and r.scope and r.cell_id in group.seeds]
    assert sum(parts) == pytest.approx(total) == pytest.approx(sum(events) / len(group.seeds))
    assert len(figure.series) == len(parts) == 4
    assert "SOPs" in figure.x_label  # there is energy of the whole network alone here


def test_other_time_steps_have_their_columns(frame):
    (table,) = timesteps.Section()(frame)
    assert [column.heading for column in table.columns[-2:]] == ["T = 1", "T = 4"]
    assert table.rows[0].cells[-2].value == pytest.approx(0.9)


def test_the_same_failure_is_one_row(make_frame, make_cell):
    def fail(one, record):
        if record.metric in ("latency", "events") and not record.scope:
            return Record(record.metric, None, record.unit, conditions=record.conditions, status="failed", reason="it broke")
        return record

    cells = [make_cell(seed) for seed in (0, 1)]
    (table,) = failures.Section()(make_frame(cells, fail))
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["failed", "latency{batch_size=1, backend=numba}; events", "all", "it broke"]
    ]


def test_a_failed_training_tells_how_many_jobs_wait_and_asks_for_no_column(make_frame, make_cell):
    """A failed job says of every metric that it declares that it is absent, those that it was never asked for too."""
    cells = [make_cell(seed, stem=stem) for stem in ("sps", "scs") for seed in (0, 1)]
    broken = [cell["cell_id"] for cell in cells[:2]]

    def fail(one, record):
        lost = one["cell_id"] in broken and record.metric in ("accuracy", "epoch_accuracy")
        reason = "it diverged" if record.metric == "epoch_accuracy" else UNTRAINED
        changed = Record(record.metric, None, record.unit, conditions=record.conditions, status="failed", reason=reason)
        return changed if lost else record

    found = make_frame(cells, fail)
    unasked = [
        dataclasses.replace(record, metric="accuracy_best_test_epoch")
        for record in found.records
        if record.metric == "accuracy" and record.status == "failed"
    ]
    whole = found.only(found.cells, [*found.records, *unasked])
    (table,) = failures.Section()(whole)
    assert [(row.cells[1].text.partition("{")[0], row.cells[3].text) for row in table.rows] == [
        ("epoch_accuracy (under 5 conditions)", "it diverged; 2 jobs wait for its weights")
    ]
    (compared,) = comparison.Section()(whole)
    assert not [column for column in compared.columns if "best_test" in column.key]
    assert UNTRAINED in " ".join(compared.footnotes)


@pytest.fixture
def cifar(make_cell):
    cell = make_cell(0, dataset="cifar10", depth=4, dim=384, residual="add", neuron="lif")
    records = [
        Record("accuracy", 0.951, "1", conditions={"T": 4}, cell_id=cell["cell_id"]),
        Record("parameters", 9_324_730, "1", kind="counted", cell_id=cell["cell_id"]),
    ]
    return Frame(records, {cell["cell_id"]: cell})


def test_our_network_stands_beside_the_papers(cifar):
    tables = {table.key: table for table in published.Section()(cifar)}
    row = next(row for row in tables["published-accuracy"].rows if row.cells[1].text == "Spikformer 4-384")
    assert [cell.value for cell in row.cells if isinstance(cell, Number)] == [0.9519, 0.951]
    assert "Table 3" in tables["published-accuracy"].footnotes[row.cells[3].notes[0]]
    assert tables["published-parameters"].rows[0].cells[-1].value == 9_324_730


@pytest.mark.parametrize("change", [{"T": 2}, {"neuron": "if"}, {"attention": "softmax"}, {"depth": 2}, {"family": "qkformer"}])
def test_another_network_does_not(cifar, change):
    factors = {**next(iter(cifar.groups.values())).factors, **change}
    fitting = [row for row in load_all() if published.fits(row, factors)]
    assert not [row for row in fitting if (row.system, row.variant) == ("Spikformer", "4-384")]


def test_component_options_do_not_hide_a_network_from_its_paper(cifar):
    factors = {**next(iter(cifar.groups.values())).factors, "stem": "sps(patch_size=4)"}
    assert any(published.fits(row, factors) for row in load_all())
