"""The numbers of a document as other services take them: one name, one value, no words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from spikebench.core.errors import InputError
from spikebench.core.metrics import Direction, catalogue
from spikebench.reading.reports.document import Document, Label, Number, Table
from spikebench.reading.reports.intervals import ends_of


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """``benchmark``: what the row is called; ``measure``: the column's plain name, a selector; ``value`` in the stored ``unit``,
    with its interval where there is one. ``direction``: which way is better, where that is known."""

    benchmark: str
    measure: str
    value: float
    ends: tuple[float, float] | None
    unit: str
    direction: Direction | None


def points(document: Document) -> list[Point]:
    """Every number of the tables whose columns are metrics, once; differences and figures' data are left out: they follow.

    Raises InputError for a document without one.
    """
    found = {(p.benchmark, p.measure): p for block in document.blocks if isinstance(block, Table) for p in _of(block)}
    if not found:
        raise InputError(f"{document.title}: has no table of metrics, and services that draw curves take numbers alone")
    return list(found.values())


def _of(table: Table) -> Iterator[Point]:
    known = catalogue()
    for row in table.rows:
        name = " ".join(
            cell.text
            for cell, column in zip(row.cells, table.columns, strict=True)
            if isinstance(cell, Label) and cell.text and not column.numeric
        )
        for cell, column in zip(row.cells, table.columns, strict=True):
            metric = known.get(column.key.partition("{")[0])
            if isinstance(cell, Number) and metric is not None:
                yield Point(name or table.key, column.key, cell.value, ends_of(cell), metric.unit, metric.direction)


def dump(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
