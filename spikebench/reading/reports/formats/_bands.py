"""Tables that are wider than what they are shown on: columns in bands, each with those that name the rows."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 3
"""Characters between columns: one of padding on either side and the box's divider."""


def bands(widths: Sequence[int], labels: int, available: int) -> list[list[int]]:
    """Cut columns into bands that fit ``available`` characters, each beginning with the ``labels`` first columns."""
    first = list(range(labels))
    start = sum(widths[i] + GAP for i in first)
    found: list[list[int]] = []
    used = available + 1
    for i in range(labels, len(widths)):
        if not found or used + widths[i] > available:
            found.append([*first])
            used = start
        found[-1].append(i)
        used += widths[i] + GAP
    return found or [first]
