"""One CSV file per table: values in stored SI units at full precision, half width, n and the reason in columns of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from spikebench.core.text import defused
from spikebench.reading.model.display import stored_unit
from spikebench.reading.reports.document import Absent, Cell, Column, Document, Label, Number, Table, Verdict
from spikebench.reading.reports.formats._files import write


class Format:
    """``<table>.csv``; a column ``accuracy`` has beside it ``accuracy:half_width``, or ``accuracy:low`` and ``:high`` too,
    ``accuracy:n``, ``accuracy:reason`` and ``accuracy:word`` (such as ``baseline``) where any row has them. A column of numbers
    holds numbers alone; one with a unit ends in it: ``energy [J]``.
    """

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        return [write(folder / f"{table.key}.csv", text(table)) for table in document.tables()]


def text(table: Table) -> str:
    """The table as CSV text, with ``\\n`` at line ends."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    extras = [_extras([row.cells[i] for row in table.rows], column) for i, column in enumerate(table.columns)]
    writer.writerow(
        [defused(name) for column, names in zip(table.columns, extras, strict=True) for name in _names(column, names)]
    )
    for row in table.rows:
        writer.writerow(
            [
                field
                for cell, names in zip(row.cells, extras, strict=True)
                for field in (
                    "" if "word" in names and isinstance(cell, Label) else _value(cell),
                    *(_extra(cell, name, table) for name in names),
                )
            ]
        )
    return stream.getvalue()


INTERVAL = ("half_width", "low", "high")
"""Columns in the unit of the number that they stand beside."""


def _names(column: Column, extras: Sequence[str]) -> list[str]:
    unit = stored_unit(column.display) if column.numeric else ""
    suffix = f" [{unit}]" if unit else ""
    return [f"{column.key}{suffix}", *(f"{column.key}:{name}{suffix * (name in INTERVAL)}" for name in extras)]


def _extras(cells: Sequence[Cell], column: Column) -> list[str]:
    """Which columns stand beside a column: those that any of its cells fills."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    found = []
    if any(cell.half_width is not None for cell in numbers):
        found.append("half_width")
    if any(cell.bounds is not None for cell in numbers):
        found += ["low", "high"]
    if any(cell.n is not None for cell in numbers):
        found.append("n")
    if any(isinstance(cell, Absent) for cell in cells):
        found.append("reason")
    if any(isinstance(cell, Verdict) for cell in cells):
        found.append("message")
    if column.numeric and any(isinstance(cell, Label) and cell.text for cell in cells):
        found.append("word")
    return found


def _value(cell: Cell) -> str:
    match cell:
        case Number(value=value):
            return repr(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value)
        case Label(text=words):
            return defused(words)
        case Verdict(outcome=outcome):
            return outcome
        case Absent():
            return ""


def _extra(cell: Cell, name: str, table: Table) -> str:
    if isinstance(cell, Number) and name in ("low", "high"):
        return "" if cell.bounds is None else repr(cell.bounds[name == "high"])
    if isinstance(cell, Number) and name in ("half_width", "n"):
        value = getattr(cell, name)
        return "" if value is None else repr(value)
    if isinstance(cell, Absent) and name == "reason":
        return defused(" ".join(table.footnotes[index] for index in cell.notes))
    if isinstance(cell, Verdict) and name == "message":
        return defused(cell.message)
    if isinstance(cell, Label) and name == "word":
        return defused(cell.text)
    return ""
