"""The table of the LIF kernels, from records made by hand."""

import dataclasses

import pytest

from spikebench.core.records import Record
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Absent, Label, Number, Table, plain_text
from spikebench.reading.reports.report import document
from spikebench.reading.reports.sections.kernels import Section


def records(cell_id: str, shapes=("4x2x8",), machine_id: str = "m1", scale: float = 1.0) -> list[Record]:
    """numba four times as fast as SpikingJelly, triton unavailable."""
    found = []
    for shape in shapes:
        for phase, seconds in (("forward", 0.001), ("forward+backward", 0.003)):
            for backend, factor in (("numba", 1), ("triton", None), ("spikingjelly", 4)):
                conditions = {"shape": shape, "dtype": "fp32", "phase": phase, "backend": backend}
                time = None if factor is None else seconds * factor * scale
                values = {
                    "kernel_time": time,
                    "kernel_spoiled": time and 3,
                    "kernel_speedup": time and 4.0,
                    "kernel_bandwidth": time and 1e6 / time,
                    "copy_fraction": time and 0.0005 / time,
                }
                if backend == "spikingjelly":
                    del values["kernel_speedup"]
                for metric, value in values.items():
                    unit = {"kernel_time": "s", "kernel_bandwidth": "B/s"}.get(metric, "1")
                    lost = {} if value is not None else {"status": "unavailable", "reason": "triton needs a GPU"}
                    samples = [value * (1 + d) for d in (-0.1, 0, 0, 0.1)] if value and metric == "kernel_time" else None
                    found.append(Record(metric, value, unit, conditions=conditions, samples=samples, **lost))
        found.append(Record("copy_bandwidth", 12e9, "B/s", conditions={"shape": shape, "dtype": "fp32"}))
    return [dataclasses.replace(r, cell_id=cell_id, machine_id=machine_id, job_id=f"j{cell_id}") for r in found]


def frame_of(cells: list[dict], found: list[Record], machines: dict | None = None) -> Frame:
    return Frame(found, {one["cell_id"]: one for one in cells}, machines or {"m1": {"cpu": "EPYC", "threads": 1}})


def column(table: Table, key: str) -> list:
    index = [column.key for column in table.columns].index(key)
    return [row.cells[index] for row in table.rows]


def test_a_row_for_each_backend_with_what_it_gains(make_cell) -> None:
    one = make_cell()
    (table,) = Section()(frame_of([one], records(one["cell_id"])))
    assert [column.key for column in table.columns] == [
        "phase", "backend",
        "kernel_time", "kernel_speedup", "copy_fraction", "kernel_bandwidth", "spread", "n", "kernel_spoiled"]  # fmt: skip
    assert table.caption == "One LIF layer alone, shape 4x2x8, dtype fp32; measured on EPYC, 1 thread."
    assert [cell.text for cell in column(table, "phase")] == ["forward"] * 3 + ["forward+backward"] * 3
    assert [cell.text for cell in column(table, "backend")] == ["numba", "triton", "spikingjelly"] * 2
    times = column(table, "kernel_time")
    assert [cell.value for cell in times if isinstance(cell, Number)] == pytest.approx([0.001, 0.004, 0.003, 0.012])
    assert [getattr(cell, "best", False) for cell in times] == [True, False, False] * 2
    speedups = column(table, "kernel_speedup")
    assert (speedups[0].value, speedups[2]) == (4.0, Label("base"))
    fractions = table.columns[4]
    assert plain_text(column(table, "copy_fraction")[0], fractions) == "50.0"
    assert "A copy moved, in GB/s: 4x2x8 fp32 12.00." in [table.footnotes[i] for i in fractions.notes]
    # quantiles of 0.9, 1, 1, 1.1 times the median by hand: 0.925 and 1.075
    assert [cell.value for cell in column(table, "spread") if isinstance(cell, Number)] == pytest.approx([0.15] * 4)
    assert [cell.value for cell in column(table, "n") if isinstance(cell, Number)] == [4] * 4
    assert [cell.value for cell in column(table, "kernel_spoiled") if isinstance(cell, Number)] == [3] * 4


def test_what_could_not_run_is_a_dash_with_the_reason(make_cell) -> None:
    one = make_cell()
    (table,) = Section()(frame_of([one], records(one["cell_id"])))
    for cell in table.rows[1].cells[2:]:
        assert isinstance(cell, Absent)
        assert [table.footnotes[i] for i in cell.notes] == ["triton needs a GPU"]


def test_shapes_are_a_column_where_they_differ_and_keep_their_order(make_cell) -> None:
    one = make_cell()
    (table,) = Section()(frame_of([one], records(one["cell_id"], ("4x9x8", "4x10x8"))))
    assert [cell.text for cell in column(table, "shape")] == ["4x9x8"] * 6 + ["4x10x8"] * 6
    assert sum(getattr(cell, "best", False) for cell in column(table, "kernel_time")) == 4


def test_without_spikingjelly_the_ratio_says_so(make_cell) -> None:
    one = make_cell()
    found = [r for r in records(one["cell_id"]) if r.metric != "kernel_speedup" and r.conditions.get("backend") == "numba"]
    (table,) = Section()(frame_of([one], found))
    missing = column(table, "kernel_speedup")[0]
    assert [table.footnotes[i] for i in missing.notes] == ["SpikingJelly was not timed in this run."]
    assert not any(cell.best for cell in column(table, "kernel_time"))  # no rival
    assert not any("copy moved" in note for note in table.footnotes)


def test_seeds_are_means_and_machines_are_not_pooled(make_cell) -> None:
    cells = [make_cell(0), make_cell(1)]
    found = [*records(cells[0]["cell_id"]), *records(cells[1]["cell_id"], scale=3.0)]
    (table,) = Section()(frame_of(cells, found))
    assert column(table, "kernel_time")[0].value == pytest.approx(0.002)
    assert (column(table, "n")[0].value, column(table, "kernel_spoiled")[0].value) == (8, 6)
    machines = {"m1": {"cpu": "EPYC"}, "m2": {"cpu": "Xeon"}}
    elsewhere = [*records(cells[0]["cell_id"]), *records(cells[0]["cell_id"], machine_id="m2", scale=3.0)]
    tables = Section()(frame_of(cells[:1], elsewhere, machines))
    assert [table.key for table in tables] == ["kernels-1", "kernels-2"]
    assert ["EPYC" in table.caption for table in tables] == [True, False]
    assert [column(table, "kernel_time")[0].value for table in tables] == pytest.approx([0.001, 0.003])


def test_variants_have_their_factors_as_columns(make_cell) -> None:
    cells = [make_cell(neuron="lif"), make_cell(neuron={"name": "lif", "tau": 4.0})]
    (table,) = Section()(frame_of(cells, [r for one in cells for r in records(one["cell_id"])]))
    assert table.columns[0].key == "neuron"
    assert len(table.rows) == 12


def test_it_is_printed_after_a_run(make_cell) -> None:
    one = make_cell()
    printed = document(frame_of([one], records(one["cell_id"])), brief=True)
    assert "kernels" in [table.key for table in printed.tables()]
