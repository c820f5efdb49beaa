import dataclasses

import pytest

from spikebench.core.errors import NotComparableError
from spikebench.reading.gate.differences import compare
from spikebench.reading.reports.document import Number, Text


def test_differences_are_paired_by_seed(make_frame, make_cell):
    cells = [make_cell(seed) for seed in (0, 1, 2)]

    def better(one, record):
        return dataclasses.replace(record, value=record.value + 0.01) if record.metric == "accuracy" else record

    tables = {table.key: table for table in compare(make_frame(cells), make_frame(cells, better)).tables()}
    cell = tables["compare-accuracy{T=4}"].rows[0].cells[-1]
    assert isinstance(cell, Number)
    assert cell.value == pytest.approx(0.01)
    assert (cell.half_width or 0) == pytest.approx(0, abs=1e-12)
    assert "parameters" in str(tables)


def test_times_of_two_machines_are_not_compared(make_frame, make_cell):
    cells = [make_cell(0)]
    document = compare(make_frame(cells), make_frame(cells, machine_id="m2"))
    assert any(isinstance(block, Text) and "different machines" in block.text for block in document.blocks)
    assert not [table for table in document.tables() if "latency" in table.key]


def test_results_without_a_shared_question_are_not_comparable(make_frame, make_cell):
    with pytest.raises(NotComparableError):
        compare(make_frame([make_cell(0, T=1)]), make_frame([make_cell(0, T=2)]))
