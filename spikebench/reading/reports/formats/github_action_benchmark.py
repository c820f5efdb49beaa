"""The lists of github-action-benchmark (references.md 9b), one of what is better bigger, one of what is better smaller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikebench.reading.reports.document import Document
from spikebench.reading.reports.formats._files import write
from spikebench.reading.reports.formats._series import Point, dump, points
from spikebench.reading.reports.intervals import uneven

FILES = {"higher": "custom-bigger-is-better.json", "lower": "custom-smaller-is-better.json"}
"""Called as the action's ``tool`` is that reads them."""


class Format:
    """One or both of FILES; a list that would be empty is not written, and what has no better direction is in neither. Raises
    InputError for a document without a table of metrics."""

    numbers_only = True

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        found = points(document)
        extra = "\n".join(f"{name}: {value}" for name, value in document.facts.items())
        lists = {name: [_entry(point, extra) for point in found if point.direction == way] for way, name in FILES.items()}
        return [write(folder / name, dump(entries)) for name, entries in lists.items() if entries]


def _entry(point: Point, extra: str) -> dict[str, Any]:
    spread = {}
    if point.ends is not None:
        low, high = point.ends
        words = f"{low:.6g} to {high:.6g}" if uneven(point.value, point.ends) else f"± {(high - low) / 2:.6g}"
        spread = {"range": words}
    return {
        "name": f"{point.benchmark} {point.measure}", "unit": point.unit, "value": point.value, **spread,
        **({"extra": extra} if extra else {}),
    }  # fmt: skip
