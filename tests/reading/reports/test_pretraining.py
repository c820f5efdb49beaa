"""The section on pre-training: numbers as in the records, and who says what about whom."""

import pytest

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.metrics import metric
from spikebench.core.records import Record
from spikebench.core.variant import VariantSpec
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Absent, Figure, Label, Number, Table
from spikebench.reading.reports.drawing import draw
from spikebench.reading.reports.report import document
from spikebench.reading.reports.sections.pretraining import Section

VARIANT = VariantSpec(depth=1, dim=16, num_heads=2, T=2).replace(stem="scs", position="spikes")
DATA = Choice("digits")
PRETRAIN = Choice("pretrain", {"epochs": 2})
TRAIN = Choice("train", {"epochs": 2})
SCRATCH = Cell(VARIANT, DATA, TRAIN, 0)
TUNED = Cell(VARIANT, DATA, TRAIN, 0, PRETRAIN)
BEFORE = TUNED.pretraining_cell


def record(name, value, cell, samples=None, **conditions):
    ids = {"job_id": f"{cell.cell_id}-{name}", "cell_id": cell.cell_id, "machine_id": "m", "source_id": "s"}
    return Record.of(metric(name), value, conditions=conditions, samples=samples, **ids)


def frame(*records):
    cells = [SCRATCH, TUNED, BEFORE]
    return Frame(records, {cell.cell_id: cell.to_plain() for cell in cells})


def learned():
    found = []
    for epoch, (loss, line) in enumerate([(3.0, 1.0), (0.5, 1.1)], start=1):
        found.append(record("reconstruction_loss", loss, BEFORE, epoch=epoch))
        found.append(record("reconstruction_mean_line", line, BEFORE, epoch=epoch))
        found.append(record("pretraining_seconds", 10.0, BEFORE, epoch=epoch))
        found += [record("epoch_seconds", seconds, cell, epoch=epoch) for cell, seconds in ((SCRATCH, 4.0), (TUNED, 1.5))]
    return [*found, record("accuracy", 0.6, SCRATCH, T=2, split="test"), record("accuracy", 0.7, TUNED, T=2, split="test")]


def by_key(blocks):
    return {block.key: block for block in blocks}


def test_the_loss_is_drawn_with_its_mean_line_and_the_epoch_at_which_it_falls_below():
    figure = by_key(Section()(frame(*learned())))["reconstruction"]
    loss, line = figure.series
    assert loss.x == line.x == (1.0, 2.0)
    assert loss.y == (3.0, 0.5)
    assert line.y == (1.0, 1.1)
    assert line.name.endswith("mean line")
    (row,) = figure.data.rows
    assert [cell.value for cell in row.cells[1:]] == [2, 3.0, 0.5, 1.1, 2]


def test_a_loss_that_never_falls_below_says_never():
    records = [r for r in learned() if not (r.metric == "reconstruction_loss" and r.conditions["epoch"] == 2)]
    (row,) = by_key(Section()(frame(*records)))["reconstruction"].data.rows
    assert row.cells[-1] == Label("never")


def test_total_seconds_have_the_pre_training_in_them():
    figure = by_key(Section()(frame(*learned())))["pretraining-seconds"]
    rows = {cells[-3].value: (cells[-2].value, cells[-1].value) for cells in (row.cells for row in figure.data.rows)}
    assert rows == {0.0: (8.0, pytest.approx(0.6)), 20.0: (23.0, pytest.approx(0.7))}
    assert sorted(series.x for series in figure.series) == [(8.0,), (23.0,)]


def test_a_pre_training_is_no_row_of_other_tables_unless_something_was_measured_of_it():
    found = frame(*learned())
    assert set(found.groups) == {SCRATCH.group_id, TUNED.group_id}
    assert BEFORE.cell_id in found.stages
    assert "T" not in found.factors()
    probed = frame(*learned(), record("probe_accuracy", 0.5, BEFORE, labels="all", split="test"))
    assert BEFORE.group_id in probed.groups


def test_the_parts_of_an_example_stand_below_one_another_as_in_the_records():
    parts = {"input": [0.0, 1.0, 2.0, 4.0], "masked": [0.0, 0.0, 2.0, 4.0], "reconstruction": [0.0, 9.0, -1.0, 4.0]}
    records = [
        record("reconstruction_example", error, BEFORE, samples=[scale * x for x in s], image=i, part=p, channels=1)
        for p, s in parts.items()
        for i, scale, error in ((0, 1.0, 0.25), (1, 10.0, 0.5))
    ]
    figure = by_key(Section()(frame(*learned(), *records)))["reconstruction-images-0"]
    assert figure.row_names == ("input", "masked", "reconstruction")
    assert figure.grid[0] == (0.0, 0.25, None, 0.0, 0.25)
    assert figure.grid[1] == (0.5, 1.0, None, 0.5, 1.0)
    assert set(figure.grid[2]) == {None}
    assert figure.grid[3] == (0.0, 0.0, None, 0.0, 0.0)
    assert figure.grid[6:] == ((0.0, 1.0, None, 0.0, 1.0), (0.0, 1.0, None, 0.0, 1.0))
    assert [row.cells[1] for row in figure.data.rows] == [Number(0.25), Number(0.5)]
    width, height = draw(figure).get_size_inches()
    assert height / width == pytest.approx(8 / 5), "pixels are square"


def test_colours_are_averaged():
    samples = [0.0, 0.0, 0.0, 0.0, 1.0, 0.5, 1.0, 1.0]
    parts = ("input", "masked", "reconstruction")
    records = [record("reconstruction_example", 0.1, BEFORE, samples=samples, image=0, part=part, channels=2) for part in parts]
    figure = by_key(Section()(frame(*learned(), *records)))["reconstruction-images-0"]
    assert figure.grid[0][:2] == (1.0, 0.0)


def costs():
    records = []
    for name, values in (("step_seconds", (0.4, 0.1)), ("step_macs", (800.0, 200.0)), ("step_peak_memory", (300, 100))):
        records.append(record(name, values[0], SCRATCH, kind="supervised", batch_size=8))
        records.append(record(name, values[1], SCRATCH, kind="masked", mask_ratio=0.75, batch_size=8))
    return records


def test_the_cost_of_a_step_is_set_against_the_supervised_one():
    table = by_key(Section()(frame(*costs())))["pretraining-cost"]
    assert isinstance(table, Table)
    supervised, masked = table.rows
    labels = len(supervised.cells) - 6
    assert table.labels == labels, "a row is named by its kind of step too, where a table is cut to fit"
    assert supervised.cells[labels - 2] == Label("supervised")
    assert [type(cell) for cell in supervised.cells[labels:]] == [Number, Absent] * 3
    assert [cell.value for cell in masked.cells[labels:]] == pytest.approx([0.1, 4.0, 200.0, 4.0, 100.0, 3.0])


def test_a_run_that_compares_nothing_ends_with_the_tables_that_there_are():
    assert [table.key for table in document(frame(*costs()), brief=True).tables()] == ["pretraining-cost"]
    both = frame(*costs(), *learned())
    assert [table.key for table in document(both, brief=True).tables()] == ["comparison"]


def test_nothing_is_said_where_nothing_was_pre_trained():
    assert Section()(frame(record("accuracy", 0.6, SCRATCH, T=2, split="test"))) == []
    assert not any(isinstance(block, Figure) for block in Section()(frame()))
