"""GitHub-flavoured Markdown with footnotes; plots as SVG files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spikebench.reading.reports.document import (
    BEST,
    Block,
    Cell,
    Code,
    Column,
    Document,
    Figure,
    Heading,
    Number,
    Row,
    Table,
    Text,
    Verdict,
    mark,
    notes_of,
    plain_text,
)
from spikebench.reading.reports.formats._files import write

SIGNS = {"pass": "✅ ", "fail": "❌ ", "inconclusive": "❔ ", "skipped": ""}


class Format:
    """``report.md``, and ``<figure>.svg`` for each figure."""

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        from spikebench.reading.reports.plots import svg_file

        figures = [block for block in document.blocks if isinstance(block, Figure)]
        plots = [write(folder / f"{figure.key}.svg", svg_file(figure)) for figure in figures]
        return [write(folder / "report.md", text(document)), *plots]


def text(document: Document) -> str:
    """The whole document; figures are links to ``<key>.svg``."""
    parts = [f"# {escape(document.title)}", *(_block(block) for block in document.blocks)]
    if document.facts:
        parts.append("\n".join(f"<sub>{escape(name)}: {escape(value)}</sub>  " for name, value in document.facts.items()))
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escape(block.text)}"
        case Text():
            return {"warning": "> **Note:** {}", "question": "> *{}*"}.get(block.kind, "{}").format(escape(block.text))
        case Code():
            fence = "`" * (max(map(len, re.findall("`+", block.text)), default=2) + 1)
            lines = f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"
            return f"<details><summary>{escape(block.name)}</summary>\n\n{lines}\n\n</details>"
        case Table():
            return table(block)
        case Figure():
            return f"![{escape(block.caption)}]({block.key}.svg)\n\n*{escape(block.caption)}*"


def table(block: Table) -> str:
    """A pipe table and its footnotes as a list: a footnote's mark is a superscript letter."""
    lines = [f"*{escape(block.caption)}*", ""] if block.caption else []
    lines.append(_line([escape(column.title) + _marks(column.notes) for column in block.columns]))
    lines.append(_line(["---:" if column.numeric else ":---" for column in block.columns]))
    rows = ([_cell(cell, column, row) for cell, column in zip(row.cells, block.columns, strict=True)] for row in block.rows)
    lines += map(_line, rows)
    if any(isinstance(cell, Number) and cell.best for row in block.rows for cell in row.cells):
        lines += ["", f"**Bold**: {BEST}.  "]
    elif block.footnotes:
        lines.append("")
    lines += [f"<sup>{mark(index)}</sup> {escape(note)}  " for index, note in enumerate(block.footnotes)]
    return "\n".join(lines)


def _cell(cell: Cell, column: Column, row: Row) -> str:
    words = (SIGNS[cell.outcome] if isinstance(cell, Verdict) else "") + escape(plain_text(cell, column))
    if isinstance(cell, Number) and cell.best:
        words = f"**{words}**"
    elif row.marked and words:
        words = f"*{words}*"
    return words + _marks(notes_of(cell))


def _marks(notes: Sequence[int]) -> str:
    return f"<sup>{','.join(mark(index) for index in notes)}</sup>" if notes else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(words: str) -> str:
    """Text that Markdown leaves alone; a bar would end a table's cell."""
    for character in "\\`*_<>|[]":
        words = words.replace(character, f"\\{character}" if character not in "<>" else {"<": "&lt;", ">": "&gt;"}[character])
    return " ".join(words.split())
