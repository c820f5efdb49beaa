"""Rows of words as aligned lines, cut to a terminal's width and whole in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GAP = 2
SHORTEST = 8
"""Characters that a cut column keeps."""


def width_of(console: Any) -> int | None:
    """Characters of a terminal's line; None for a pipe or a file, in which nothing is cut."""
    return int(console.width) if console.is_terminal else None


def aligned(rows: Sequence[Sequence[str]], numbers: Sequence[bool], width: int | None = None) -> list[str]:
    """One line a row, columns as wide as their widest cell, those of ``numbers`` to the right.

    Lines longer than ``width`` are shortened where it costs least: the widest columns of words are cut first, numbers never.
    Not rich's table, which takes a millisecond a row: a suite may have ten thousand cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = [index for index, number in enumerate(numbers) if not number]
    while width is not None and sum(widths) + GAP * (len(widths) - 1) > width:
        widest = max(words, key=lambda index: widths[index], default=None)
        if widest is None or widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    cut = [[_cut(cell, size) for cell, size in zip(row, widths, strict=True)] for row in rows]
    return [
        (" " * GAP)
        .join(cell.rjust(size) if number else cell.ljust(size) for cell, size, number in zip(row, widths, numbers, strict=True))
        .rstrip()
        for row in cut
    ]


def _cut(text: str, width: int) -> str:
    """The middle goes: a path's end tells layers apart, and so does its beginning."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
