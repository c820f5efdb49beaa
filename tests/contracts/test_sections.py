"""Every report section: what the report relies on, whatever the section is for."""

import ast

import pytest

from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Absent, Figure, Heading, Number, Table, Text, notes_of

NAMES = REGISTRIES["sections"].names()
CELL = {
    "cell_id": "c0",
    "group_id": "g0",
    "variant": {"stem": "sps", "attention": "ssa", "T": 4},
    "dataset": "digits",
    "training": None,
    "seed": 0,
}
OTHER = {**CELL, "cell_id": "c1", "group_id": "g1", "variant": {**CELL["variant"], "stem": "scs"}}


def records(cell_id):
    ids = {"cell_id": cell_id, "job_id": f"j{cell_id}", "machine_id": "m", "source_id": "s"}
    site = {"site": 0, "operation": "conv2d", "input": "binary", "known_by": "declared"}
    counts = dict.fromkeys(("dense_macs", "dense_macs_inside", "events", "unit_acs", "input_elements", "weight_elements"), 10)
    energy = {"profile": "spikformer-paper", "convention": "events"}
    return [
        Record("accuracy", 0.9, "1", conditions={"T": 4}, samples=[1, 1, 0], **ids),
        Record("accuracy", 0.8, "1", conditions={"T": 1}, samples=[1, 0, 0], **ids),
        *(Record("epoch_loss", 1 / epoch, "1", conditions={"epoch": epoch}, **ids) for epoch in (1, 2)),
        *(Record(name, value, "1", kind="counted", **ids) for name, value in counts.items()),
        *(Record(name, value, "1", kind="counted", scope="stem.0", conditions=site, **ids) for name, value in counts.items()),
        Record("energy", 9e-12, "J", kind="estimated", conditions=energy, **ids),
        Record("energy", 9e-12, "J", kind="estimated", scope="stem.0", conditions={**energy, **site}, **ids),
        Record("firing_rate", 0.1, "1", kind="counted", scope="stem.0", **ids),
        Record("firing_rate", 0.1, "1", kind="counted", scope="stem.0", conditions={"t": 0}, **ids),
        Record("latency", 0.01, "s", conditions={"batch_size": 1}, samples=[0.01, 0.011], **ids),
        Record("latency", None, "s", status="failed", reason="it broke", conditions={"batch_size": 32}, **ids),
    ]


FRAMES = {
    "empty": Frame([], {}),
    "one": Frame(records("c0"), {"c0": CELL}),
    "two": Frame([*records("c0"), *records("c1")], {"c0": CELL, "c1": OTHER}),
    "failed": Frame(
        [
            Record(r.metric, None, r.unit, r.kind, r.scope, r.conditions, None, "failed", "it broke", "j", "c0")
            for r in records("c0")
        ],
        {"c0": CELL},
    ),
    "cells without records": Frame([], {"c0": CELL}),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_its_question_title_and_place(name):
    section = REGISTRIES["sections"].get(name)
    assert len(REGISTRIES["sections"].describe(name)) > 20
    assert isinstance(section.order, int)
    assert section.title
    assert ast.get_docstring(ast.parse(REGISTRIES["sections"].path(name).read_text()))


def test_no_two_sections_stand_in_the_same_place():
    orders = [REGISTRIES["sections"].get(name).order for name in NAMES]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_section_makes_sound_blocks_of_any_results(name, kind):
    blocks = REGISTRIES["sections"].get(name)()(FRAMES[kind])
    keys = []
    for block in blocks:
        assert isinstance(block, (Heading, Text, Table, Figure))
        table = block.data if isinstance(block, Figure) else block
        if isinstance(block, (Table, Figure)):
            keys.append(block.key)
            check_table(table)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", NAMES)
def test_without_results_a_section_is_silent(name):
    assert list(REGISTRIES["sections"].get(name)()(FRAMES["empty"])) == []


def check_table(table):
    used = {index for column in table.columns for index in column.notes}
    for row in table.rows:
        for cell in row.cells:
            used |= set(notes_of(cell))
            if isinstance(cell, Absent):
                assert cell.notes, f"{table.key}: what is absent needs a reason"
            if isinstance(cell, Number):
                assert cell.half_width is None or cell.half_width >= 0
    assert used == set(range(len(table.footnotes))), f"{table.key}: every footnote is called, every call has a footnote"
    assert table.rows
