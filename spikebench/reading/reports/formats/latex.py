"""LaTeX tables (booktabs), one file each to \\input, and a report that shows them all; plots as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikebench.reading.reports.document import (
    Absent,
    Block,
    Cell,
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
)
from spikebench.reading.reports.formats._files import write

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx,textcomp}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
"""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "µ": r"\textmu{}",
    "×": r"$\times$",
    "→": r"$\to$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
}


class Format:
    """``report.tex``, ``<table>.tex`` for each table, ``<figure>.pdf`` for each figure."""

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        from spikebench.reading.reports.plots import pdf

        blocks = document.blocks
        body = "\n\n".join(_block(block) for block in blocks)
        title = f"\\title{{{escape(document.title)}}}\n\\date{{}}\n"
        whole = f"{PREAMBLE}{title}\\begin{{document}}\n\\maketitle\n{body}\n\\end{{document}}\n"
        return [
            write(folder / "report.tex", whole),
            *(write(folder / f"{block.key}.tex", table(block)) for block in blocks if isinstance(block, Table)),
            *(write(folder / f"{block.key}.pdf", pdf(block)) for block in blocks if isinstance(block, Figure)),
        ]


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"\\section*{{{escape(block.text)}}}"
        case Text():
            return escape(block.text)
        case Table():
            return f"\\begin{{center}}\n\\input{{{block.key}.tex}}\n\\end{{center}}"
        case Figure():
            picture = f"\\includegraphics[width=0.7\\linewidth]{{{block.key}.pdf}}"
            return f"\\begin{{center}}\n{picture}\\\\\n{escape(block.caption)}\n\\end{{center}}"


def table(block: Table) -> str:
    """A ``tabular`` with its footnotes below; nothing floats, so that the paper's author decides."""
    columns = "".join("r" if column.numeric else "l" for column in block.columns)
    head = " & ".join(escape(column.title) + _marks(column.notes) for column in block.columns)
    lines = [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", "\\toprule", head + r" \\", "\\midrule"]
    lines += [
        " & ".join(_cell(cell, column) for cell, column in zip(row.cells, block.columns, strict=True)) + r" \\"
        for row in block.rows
    ]
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par\\footnotesize {_marks((index,))} {escape(note)}" for index, note in enumerate(block.footnotes)]
    return "\n".join(lines) + "\n"


def _cell(cell: Cell, column: Column) -> str:
    match cell:
        case Number():
            inner = (
                column.display.text(cell.value, cell.half_width)
                .replace("±", r"\pm")
                .replace("\N{MINUS SIGN}", "-")
                .replace(",", "{,}")
            )
            words = f"$\\mathbf{{{inner}}}$" if cell.best else f"${inner}$"
        case Absent():
            words = "--"
        case Label(text=text):
            words = escape(text)
        case Verdict():
            words = escape(cell.words or cell.outcome)
    return words + _marks(notes_of(cell))


def _marks(notes: Sequence[int]) -> str:
    return f"\\textsuperscript{{{','.join(mark(index) for index in notes)}}}" if notes else ""


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(SPECIAL.get(character, character) for character in text)
