"""What could not be had, and why: failed and unavailable measurements."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core import findings
from spikebench.core.records import label
from spikebench.core.registry import REGISTRIES
from spikebench.core.waiting import Failure, told_once, waiting
from spikebench.reading.model.factors import name_of
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Block, Column, Label, Row, Table

MOST = 40


class Section:
    """What has the same reason in the same cells is one row; the next run tries failed ones again. What failed for want of
    weights is counted where the training that was to make them failed."""

    order = 20
    title = "Without a value"
    trials = True
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        names = [*frame.factors(), "seed"]
        told = told_once(_failed_jobs(frame))
        lost: dict[tuple[str, str, str], list[str]] = {}
        others: dict[tuple[str, str, str], int] = {}
        for record in frame.records:
            told_elsewhere = record.metric == findings.METRIC and record.status == "unavailable"
            told_elsewhere |= record.status == "failed" and record.job_id not in told
            if record.status != "ok" and record.kind != "estimated" and not told_elsewhere:
                cell = frame.cell_factors.get(record.cell_id, {})
                key = (record.status, record.reason, label(record))
                lost.setdefault(key, []).append(name_of(cell, names))
                others[key] = others.get(key, 0) + (told[record.job_id] if record.status == "failed" else 0)
        found: dict[tuple[str, str, str], list[str]] = {}
        for (status, reason, metric), cells in lost.items():
            said = f"{reason}{waiting(others[status, reason, metric])}"
            found.setdefault((status, said, _cells(cells, len(frame.cells))), []).append(metric)
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


def _failed_jobs(frame: Frame) -> dict[str, Failure]:
    makers = {metric.name for stage in ("train", "pretrain") for metric in REGISTRIES["harnesses"].get(stage).metrics}
    found: dict[str, Failure] = {}
    for record in frame.records:
        if record.status == "failed":
            found.setdefault(record.job_id, Failure(record.cell_id, record.metric in makers, record.reason))
    return found


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
