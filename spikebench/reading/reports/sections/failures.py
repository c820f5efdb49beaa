"""What could not be had, and why: failed and unavailable measurements."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core import findings
from spikebench.core.records import label
from spikebench.reading.model.factors import name_of
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Block, Column, Label, Row, Table

MOST = 40


class Section:
    """What has the same reason in the same cells is one row; the next run tries failed ones again."""

    order = 20
    title = "Without a value"
    trials = True
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        names = [*frame.factors(), "seed"]
        lost: dict[tuple[str, str, str], list[str]] = {}
        for record in frame.records:
            told_elsewhere = record.metric == findings.METRIC and record.status == "unavailable"
            if record.status != "ok" and record.kind != "estimated" and not told_elsewhere:
                cell = frame.cell_factors.get(record.cell_id, {})
                lost.setdefault((record.status, record.reason, label(record)), []).append(name_of(cell, names))
        found: dict[tuple[str, str, str], list[str]] = {}
        for (status, reason, metric), cells in lost.items():
            found.setdefault((status, reason, _cells(cells, len(frame.cells))), []).append(metric)
        rows = [
            Row((Label(status), Label(_metrics(metrics)), Label(cells), Label(reason)))
            for (status, reason, cells), metrics in sorted(found.items())
        ]
        heads = tuple(
            Column(key, heading, numeric=False)
            for key, heading in (("status", "status"), ("metric", "metric"), ("cells", "cells"), ("reason", "reason"))
        )
        if not rows:
            return []
        more = f"; {len(rows) - MOST} more rows are left out" if len(rows) > MOST else ""
        caption = f"Failed measurements are tried again by the next run; unavailable ones are final here{more}."
        return [Table("failures", caption, heads, tuple(rows[:MOST]), labels=len(heads))]


def _cells(cells: Sequence[str], total: int) -> str:
    unique = list(dict.fromkeys(cells))
    return "all" if len(unique) == total and total > 1 else _some(unique)


def _metrics(labels: Sequence[str]) -> str:
    """A metric that is missing under several conditions is named once."""
    by_name: dict[str, list[str]] = {}
    for text in labels:
        by_name.setdefault(text.partition("{")[0].partition("@")[0], []).append(text)
    return _some([same[0] if len(same) == 1 else f"{name} (under {len(same)} conditions)" for name, same in by_name.items()])


def _some(words: Sequence[str]) -> str:
    return "; ".join(words[:3]) + (f"; and {len(words) - 3} more" if len(words) > 3 else "")
