"""The contracts of report sections and formats, with the results and the document that they are tried on."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import StorageError
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import (
    Absent,
    Code,
    Column,
    Document,
    Figure,
    Heading,
    Label,
    Number,
    Row,
    Series,
    Table,
    Text,
    Verdict,
    notes_of,
)
from spikebench.testing._members import TorchFreeContract

CELL: dict[str, Any] = {
    "cell_id": "c0",
    "group_id": "g0",
    "variant": {"stem": "sps", "attention": "ssa", "T": 4},
    "dataset": "digits",
    "training": None,
    "seed": 0,
}
OTHER = {**CELL, "cell_id": "c1", "group_id": "g1", "variant": {**CELL["variant"], "stem": "scs"}}


def records(cell_id: str) -> list[Record]:
    ids: dict[str, Any] = {"cell_id": cell_id, "job_id": f"j{cell_id}", "machine_id": "m", "source_id": "s"}
    site: dict[str, Any] = {"site": 0, "operation": "conv2d", "input": "binary", "known_by": "declared"}
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

NASTY = 'a|b & <c> "d" 100 % $x_y$ {z} #1 \\ ~^ *e* `f`'
HEADS = (
    Column("name", "name", numeric=False),
    Column("accuracy", "Accuracy", Display("%", 100.0, 2), (0,)),
    Column("verdict", "verdict", numeric=False),
)
TABLE = Table(
    "numbers",
    NASTY,
    HEADS,
    (
        Row((Label(NASTY, (1,)), Number(0.98765, 0.0123, 3, best=True), Verdict("fail", NASTY)), marked=True),
        Row((Label("plain"), Absent((1,)), Verdict("inconclusive", "cannot tell"))),
        Row((Label("negative"), Number(-0.5), Verdict("pass"))),
    ),
    ("what accuracy means", NASTY),
)
CODE = Code(f"suite: {NASTY}\n  indented: ```\n", "yaml", NASTY)
SERIES = (Series("front", (1.0, 2.0), (0.1, 0.2)), Series(NASTY, (1.0, 2.0), (0.1, 0.2), ((0.09, 0.11), (0.15, 0.22))))


def data(key: str) -> Table:
    return dataclasses.replace(TABLE, key=f"{key}-data")


FIGURES = (
    Figure("lines", NASTY, "lines", "epoch", NASTY, data("lines"), SERIES),
    Figure("points", "caption", "points", "x", "y", data("points"), SERIES, log_x=True),
    Figure("bars", "caption", "bars", "x", "", data("bars"), (Series("s", (0.0, 1.0), (3.0, 4.0)),), ticks=("a", NASTY)),
    Figure("heat", "caption", "heatmap", "x", "", data("heat"), (), ("t0", "t1"), (NASTY, "b"), ((1.0, None), (0.0, 2.0))),
    Figure(
        "pixels", "caption", "images", "", "", data("pixels"), row_names=(NASTY, "b"), grid=((0.5, None, 1.0), (0.0, 0.1, 0.2))
    ),
)
DOCUMENT = Document(
    NASTY,
    (
        Heading(NASTY),
        Text("plain words"),
        Text(NASTY, "warning"),
        Text(NASTY, "question"),
        Text(NASTY, "answer"),
        CODE,
        TABLE,
        *FIGURES,
    ),
    {"machine": "a CPU & more"},
)


class SectionContract(TorchFreeContract):
    """Says its question and place; makes sound blocks of any results, none of no results."""

    registry = "sections"

    def test_says_its_question_title_and_place(self) -> None:
        section = REGISTRIES["sections"].get(self.name)
        assert isinstance(section.order, int)
        assert section.title
        path = REGISTRIES["sections"].path(self.name)
        assert path is None or ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    @pytest.mark.parametrize("kind", FRAMES)
    def test_makes_sound_blocks_of_any_results(self, kind: str) -> None:
        keys = []
        for block in REGISTRIES["sections"].get(self.name)()(FRAMES[kind]):
            assert isinstance(block, (Heading, Text, Code, Table, Figure))
            if isinstance(block, (Table, Figure)):
                keys.append(block.key)
                check_table(block.data if isinstance(block, Figure) else block)
        assert len(set(keys)) == len(keys)

    def test_without_results_it_is_silent(self) -> None:
        blocks = list(REGISTRIES["sections"].get(self.name)()(FRAMES["empty"]))
        assert blocks == [], f"{self.name}: no blocks where there is nothing to say, not even an empty table"


class FormatContract(TorchFreeContract):
    """Writes any document, the same bytes each time, and fails with one clear error. Needs neither torch nor pandas."""

    registry = "formats"

    def write(self, folder: Path, document: Document = DOCUMENT) -> list[Path]:
        return list(REGISTRIES["formats"].get(self.name)().write(document, folder))

    def test_writes_what_it_says_and_the_same_bytes_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, two = self.write(tmp_path / "one"), self.write(tmp_path / "two")
        printed = capsys.readouterr().out
        assert one or printed
        assert [path.name for path in one] == [path.name for path in two]
        assert sorted(path.name for path in tmp_path.glob("one/*")) == sorted({path.name for path in one})
        for a, b in zip(one, two, strict=True):
            assert a.read_bytes() == b.read_bytes(), a.name

    def test_a_disk_that_refuses_is_one_clear_error(self, tmp_path: Path) -> None:
        if not self.write(tmp_path / "room"):
            return  # it prints
        target = tmp_path / "file"
        target.write_text("in the way")
        with pytest.raises(StorageError):
            self.write(target)

    def test_imports_neither_torch_nor_pandas(self, tmp_path: Path) -> None:
        code = (
            "import sys; from spikebench.core.registry import REGISTRIES; from pathlib import Path\n"
            "from spikebench.reading.reports.document import *\n"
            "columns = Column('accuracy', 'n'), Column('v', 'v')\n"
            "table = Table('t', '', columns, (Row((Number(1.0), Verdict('pass'))),))\n"
            f"REGISTRIES['formats'].get({self.name!r})().write(Document('d', (table,)), Path({str(tmp_path)!r}))\n"
            "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def check_table(table: Table) -> None:
    """Every footnote is called and every call has one; what is absent has a reason; there are rows."""
    used = {index for column in table.columns for index in column.notes}
    for row in table.rows:
        for cell in row.cells:
            used |= set(notes_of(cell))
            if isinstance(cell, Absent):
                assert cell.notes, f"{table.key}: what is absent needs a reason"
            if isinstance(cell, Number):
                assert cell.half_width is None or cell.half_width >= 0
    assert used == set(range(len(table.footnotes))), f"{table.key}: every footnote is called, every call has a footnote"
    assert table.rows, f"{table.key}: a table without rows is left out"
