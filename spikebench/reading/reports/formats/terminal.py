"""Tables in the terminal, cut into bands where they are wider than the window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikebench.core.console import standard_output
from spikebench.reading.reports.document import (
    BEST,
    Absent,
    Block,
    Cell,
    Code,
    Column,
    Document,
    Figure,
    Heading,
    Label,
    Number,
    Table,
    Text,
    Verdict,
    mark,
    notes_of,
    number_text,
    plain_text,
)
from spikebench.reading.reports.formats._bands import bands

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as RichText

SUPERSCRIPT = str.maketrans("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")
PLAIN = {"±": "+/-", "\N{MINUS SIGN}": "-", "–": "-", "Δ": "d ", "µ": "u", "×": "x", "→": "->", "≥": ">=", "≤": "<="}
"""For consoles whose encoding has none of these."""
STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "skipped": "dim"}
LONGEST_LABEL = 32


class Format:
    """Prints; it writes no file."""

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        show(document, standard_output())
        return []


def show(document: Document, console: Console) -> None:
    """Print the whole document at the console's width."""
    from rich.rule import Rule
    from rich.text import Text as RichText

    printer = _Printer(console)
    console.print(Rule(RichText(printer.plain(document.title), style="bold"), align="left", characters=printer.plain("─")))
    for block in document.blocks:
        printer.block(block)
    for name, value in document.facts.items():
        printer.line(f"{name}: {value}", style="dim")


class _Printer:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.unicode = console.encoding.lower().startswith("utf")

    def plain(self, text: str) -> str:
        if self.unicode:
            return text
        for character, replacement in PLAIN.items():
            text = text.replace(character, replacement)
        return text.encode("ascii", "replace").decode() if "─" not in text else "-"

    def line(self, text: str, style: str = "") -> None:
        self.console.print(self.plain(text), style=style or None, highlight=False, markup=False)

    def block(self, block: Block) -> None:
        match block:
            case Heading():
                self.console.print()
                self.line(block.text, style="bold")
            case Text():
                self.line(block.text, style={"warning": "yellow", "question": "italic"}.get(block.kind, ""))
            case Code():
                self.line(f"{block.name}:", style="dim")
                self.line(block.text.rstrip())
            case Table():
                self.table(block)
            case Figure():
                self.table(block.data)

    def table(self, table: Table) -> None:
        if table.caption:
            self.line(table.caption, style="italic")
        texts = [self._cells([row.cells[i] for row in table.rows], column) for i, column in enumerate(table.columns)]
        heads = [self._head(column) for column in table.columns]
        widths = [
            max([len(line) for line in head.split("\n")] + [len(text.plain) for text in column_texts])
            for head, column_texts in zip(heads, texts, strict=True)
        ]
        widths = [w if column.numeric else min(w, LONGEST_LABEL) for w, column in zip(widths, table.columns, strict=True)]
        for band in bands(widths, table.labels, self.console.width):
            self._print_band(table, band, heads, texts)
        if any(isinstance(cell, Number) and cell.best for row in table.rows for cell in row.cells):
            self.line(f"* {BEST}", style="dim")
        for index, note in enumerate(table.footnotes):
            self._footnote(index, note)

    def _print_band(self, table: Table, band: Sequence[int], heads: Sequence[str], texts: Sequence[Sequence[RichText]]) -> None:
        from rich import box
        from rich.table import Table as RichTable

        style = box.SIMPLE_HEAD if self.unicode else box.ASCII2
        grid = RichTable(box=style, padding=(0, 1), pad_edge=False, show_edge=False)
        height = max(heads[i].count("\n") for i in band)
        for i in band:
            column = table.columns[i]
            grid.add_column(
                self._text("\n" * (height - heads[i].count("\n")) + heads[i]),
                justify="right" if column.numeric else "left",
                no_wrap=column.numeric,
                overflow="fold",
            )
        for r, row in enumerate(table.rows):
            grid.add_row(*(texts[i][r] for i in band), style="cyan" if row.marked else None)
        self.console.print(grid)
        self.console.print()

    def _head(self, column: Column) -> str:
        """Broken at its commas, the unit on a line of its own: narrow columns matter more than low heads."""
        lines = column.heading.split(", ")
        lines[-1] += self._marks(column.notes)
        if column.display.unit:
            lines.append(f"[{column.display.unit}]")
        return self.plain("\n".join(lines))

    def _cells(self, cells: Sequence[Cell], column: Column) -> list[RichText]:
        # Numbers stand below one another, whatever half widths and marks follow them.
        longest = max((len(self._tail(cell, column)) for cell in cells if isinstance(cell, Number)), default=0)
        return [self._cell(cell, column, longest) for cell in cells]

    def _cell(self, cell: Cell, column: Column, longest: int) -> RichText:
        """``longest``: what follows the numbers of this column has at most so many characters."""
        marks = self._marks(notes_of(cell))
        match cell:
            case Number():
                text = f"{'*' if cell.best else ''}{column.display.number(cell.value)}"
                return self._text(text + self._tail(cell, column).ljust(longest), "bold green" if cell.best else "")
            case Absent():
                return self._text("–" + marks, "dim")
            case Verdict(outcome=outcome):
                return self._text(plain_text(cell, column), STYLES[outcome])
            case Label(text=text):
                return self._text(text + marks)

    def _tail(self, cell: Number, column: Column) -> str:
        return number_text(cell, column).removeprefix(column.display.number(cell.value)) + self._marks(notes_of(cell))

    def _marks(self, notes: Iterable[int]) -> str:
        letters = ",".join(mark(index) for index in notes)
        if not letters:
            return ""
        return letters.replace(",", "").translate(SUPERSCRIPT) if self.unicode else f"({letters})"

    def _footnote(self, index: int, note: str) -> None:
        from textwrap import fill

        self.line(fill(f"{mark(index)}  {note}", self.console.width, subsequent_indent="   "), style="dim")

    def _text(self, text: str, style: str = "") -> RichText:
        from rich.text import Text as RichText

        return RichText(self.plain(text), style=style)
