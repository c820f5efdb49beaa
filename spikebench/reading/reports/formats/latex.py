"""LaTeX tables (booktabs), one file each to \\input, and a report that shows them all; plots as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikebench.reading.reports.document import (
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
from spikebench.reading.reports.formats._files import write

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx,longtable,textcomp}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\sloppy
"""
WIDE, WORDY, LONG = 165, 60, 36
"""Characters across a page in landscape, characters of a cell of words, rows down a page."""
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

IN_MATHS = {"±": r"\pm", "\N{MINUS SIGN}": "-", ",": "{,}", " (": r"\ (", " to ": r"\mbox{ to }"}
"""What a number's text has that would look otherwise between dollars."""


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
            return f"\\emph{{{escape(block.text)}}}" if block.kind == "question" else escape(block.text)
        case Code():
            # Line by line: in a verbatim environment no character could be spelled otherwise.
            lines = [f"\\mbox{{{escape(line).replace(' ', '~')}}}" for line in block.text.rstrip().split("\n")]
            return "{\\ttfamily\\footnotesize\\raggedright\n" + "\\\\\n".join(lines) + "\\par}"
        case Table():
            caption = f"\\noindent\\emph{{{escape(block.caption)}}}\\par\\nopagebreak\\smallskip\n" if block.caption else ""
            return f"{caption}\\noindent\\input{{{block.key}.tex}}"
        case Figure():
            picture = f"\\includegraphics[width=0.4\\linewidth]{{{block.key}.pdf}}"  # two on a page
            # In a box of its own no page can end between a figure and what is said of it.
            box = "\\par\\medskip\\noindent\\begin{minipage}{\\linewidth}\\centering"
            return f"{box}\n{picture}\\\\\n{escape(block.caption)}\n\\end{{minipage}}\\par"


def table(block: Table) -> str:
    """A ``tabular`` with its footnotes below; nothing floats, so that the paper's author decides.

    One that is wider than a page lies across it is cut into parts, each with the columns that name its rows; one that is longer
    than a page is a ``longtable``, which repeats its head.
    """
    widths = [_width(block, index) for index in range(len(block.columns))]
    parts = [_part(block, band) for band in bands(widths, min(block.labels, len(widths)), WIDE)]
    lines = ["\\par\\medskip\\noindent\n".join(parts)]
    lines += ["\\par\\smallskip"] if block.footnotes else []
    lines += [f"\\par\\noindent {_marks((index,))} {escape(note)}" for index, note in enumerate(block.footnotes)]
    return "{\\footnotesize\n" + "\n".join(lines) + "\\par}\n"


def _part(block: Table, band: Sequence[int]) -> str:
    shown = [block.columns[index] for index in band]
    columns = "".join(
        "r" if column.numeric else "l" if _width(block, index) < WORDY else "p{90mm}"
        for index, column in zip(band, shown, strict=True)
    )
    head = " & ".join(escape(column.title) + _marks(column.notes) for column in shown)
    kind = "longtable" if len(block.rows) > LONG else "tabular"
    lines = [f"\\begin{{{kind}}}{{@{{}}{columns}@{{}}}}", "\\toprule", head + r" \\", "\\midrule"]
    lines += ["\\endhead"] if kind == "longtable" else []
    lines += [" & ".join(_cell(row.cells[i], block.columns[i]) for i in band) + r" \\" for row in block.rows]
    return "\n".join([*lines, "\\bottomrule", f"\\end{{{kind}}}\n"])


def _width(block: Table, index: int) -> int:
    """In characters; words beyond ``WORDY`` are broken into lines."""
    column = block.columns[index]
    longest = max([len(column.title), *(len(plain_text(row.cells[index], column)) for row in block.rows)])
    return longest if column.numeric else min(longest, WORDY)


def _cell(cell: Cell, column: Column) -> str:
    match cell:
        case Number():
            inner = number_text(cell, column)
            for mark, maths in IN_MATHS.items():
                inner = inner.replace(mark, maths)
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
    """Text that LaTeX prints as it stands; a character that its fonts lack is named by its number."""
    return "".join(SPECIAL.get(c, c if ord(c) < 0x180 else f"[U+{ord(c):04X}]") for c in " ".join(text.split("\n")))
