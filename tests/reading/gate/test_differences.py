import dataclasses

import pytest

from spikebench.core.errors import NotComparableError
from spikebench.reading.gate.differences import compare
from spikebench.reading.reports.document import Label, Number, Text


def test_differences_are_paired_by_seed(make_frame, make_cell):
    cells = [make_cell(seed) for seed in (0, 1, 2)]

    def better(one, record):
        return dataclasses.replace(record, value=record.value + 0.01) if record.metric == "accuracy" else record

    tables = {table.key: table for table in compare(make_frame(cells), make_frame(cells, better)).tables()}
    cell = tables["compare-accuracy{T=4}"].rows[0].cells[-2]
    assert isinstance(cell, Number)
    assert cell.value == pytest.approx(0.01)
    assert (cell.half_width or 0) == pytest.approx(0, abs=1e-12)
    assert "parameters" in str(tables)


def test_the_same_networks_differ_by_nothing_and_others_by_what_their_images_say(make_frame, make_cell):
    cells = [make_cell(seed) for seed in (0, 1, 2)]

    def one_image(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        right = [1 - record.samples[0], *record.samples[1:]]
        return dataclasses.replace(record, value=sum(right) / 360, samples=right)

    tables = {table.key: table for table in compare(make_frame(cells), make_frame(cells)).tables()}
    assert tables["compare-accuracy{T=4}"].rows[0].cells[-2:] == (Number(0.0, None, 3), Label("same"))
    tables = {table.key: table for table in compare(make_frame(cells), make_frame(cells, one_image)).tables()}
    change, word = tables["compare-accuracy{T=4}"].rows[0].cells[-2:]
    assert 1 / 360 < change.half_width < 0.02
    assert word.text == "cannot tell"


def test_an_accuracy_that_guessing_reaches_has_its_footnote(make_frame, make_cell):
    def guesses(one, record):
        right = [1] * 30 + [0] * 330
        return dataclasses.replace(record, value=30 / 360, samples=right) if record.metric == "accuracy" else record

    cells = [make_cell(seed) for seed in (0, 1)]
    tables = {table.key: table for table in compare(make_frame(cells), make_frame(cells, guesses)).tables()}
    table = tables["compare-accuracy{T=4}"]
    _, old, new, *_ = table.rows[0].cells
    assert not old.notes
    assert "No better than chance" in table.footnotes[new.notes[0]]


def test_times_of_two_machines_are_not_compared(make_frame, make_cell):
    cells = [make_cell(0)]
    document = compare(make_frame(cells), make_frame(cells, machine_id="m2"))
    assert any(isinstance(block, Text) and "different machines" in block.text for block in document.blocks)
    assert not [table for table in document.tables() if "latency" in table.key]


def test_results_without_a_shared_question_are_not_comparable(make_frame, make_cell):
    with pytest.raises(NotComparableError):
        compare(make_frame([make_cell(0, T=1)]), make_frame([make_cell(0, T=2)]))
