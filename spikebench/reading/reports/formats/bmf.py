"""Bencher Metric Format (references.md 9b): benchmark, measure, value with its bounds; `bencher run --file bmf.json` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikebench.reading.reports.document import Document
from spikebench.reading.reports.formats._files import write
from spikebench.reading.reports.formats._series import Point, dump, points


class Format:
    """``bmf.json``. Raises InputError for a document without a table of metrics."""

    numbers_only = True

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        found: dict[str, dict[str, dict[str, float]]] = {}
        for point in points(document):
            found.setdefault(point.benchmark, {})[point.measure] = _measure(point)
        return [write(folder / "bmf.json", dump(found))]


def _measure(point: Point) -> dict[str, float]:
    bounds = {} if point.ends is None else dict(zip(("lower_value", "upper_value"), point.ends, strict=True))
    return {"value": point.value, **bounds}
