"""How the intervals of a column are shown: with ±, or by both ends where ± would tell another interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from spikebench.reading.reports.document import Cell, Number

Name = TypeVar("Name")


def alike(cells: Mapping[Name, Cell]) -> dict[Name, Cell]:
    """The cells of a column as they are shown: all with ±, or all with both ends of their intervals where ± would tell another
    interval of one of them (``uneven``)."""
    if any(isinstance(cell, Number) and cell.bounds and uneven(cell.value, cell.bounds) for cell in cells.values()):
        return dict(cells)
    return {name: dataclasses.replace(cell, bounds=None) if isinstance(cell, Number) else cell for name, cell in cells.items()}


def alike_in_columns(rows: Sequence[Sequence[Cell]]) -> list[tuple[Cell, ...]]:
    """As ``alike``, for each column of a whole table."""
    columns = [alike(dict(enumerate(column))) for column in zip(*rows, strict=True)]
    return [tuple(column[index] for column in columns) for index in range(len(rows))]


def uneven(value: float, bounds: tuple[float, float]) -> bool:
    """Whether a value is further from the middle of its interval than a tenth of its half width. So are ratios of few seeds, and
    accuracies whose interval ends at 100 %."""
    low, high = bounds
    return abs((low + high) / 2 - value) > 0.1 * (high - low) / 2


def with_ends(cells: Iterable[Cell]) -> bool:
    """Whether a column shows both ends of its intervals."""
    return any(isinstance(cell, Number) and cell.bounds is not None for cell in cells)


def ends_of(cell: Number) -> tuple[float, float] | None:
    """The interval of a number, however it is shown; None where it has none."""
    half = cell.half_width
    return cell.bounds or (None if half is None else (cell.value - half, cell.value + half))
