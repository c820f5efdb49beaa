"""One self-contained HTML page: plots inside, light and dark, readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spikebench.reading.reports.document import BEST, Column, Document, Figure, Heading, Number, Table, mark, number_text
from spikebench.reading.reports.formats._files import write

TEMPLATE = Path(__file__).with_name("_report.html.jinja")
SCRIPT = Path(__file__).with_name("_report.js")


class Format:
    """``report.html``; nothing in it is loaded from elsewhere, so it can be mailed and archived."""

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        return [write(folder / "report.html", text(document))]


def text(document: Document) -> str:
    """The page. Every word of the document is escaped: names come from suites and plugins of others."""
    from jinja2 import Environment, StrictUndefined

    from spikebench.reading.reports.plots import svg

    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    page: str = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        document=document,
        headings=[block for block in document.blocks if isinstance(block, Heading) and block.level == 2],
        mark=mark,
        svg=svg,
        spread=_spread,
        zip=zip,
        best=BEST,
        wide=_wide,
        marked=_marked,
        kept=_kept,
        script=SCRIPT.read_text(encoding="utf-8"),
    )
    return page


def _spread(column: Column, cell: Number) -> str:
    """What stands behind a number, in another colour: `` ± 0.3``."""
    return number_text(cell, column).removeprefix(column.display.number(cell.value))


UNIT = re.compile(r"(?<=\d) (?=(?:%|pp|[pnµmkMGT]?(?:s|J|B|W|times)?)(?:[\s.,;:)]|$))|(?<=±) | (?=±)")


def _kept(text: str) -> str:
    """Text in which no line ends between a number and its unit."""
    return UNIT.sub("\N{NO-BREAK SPACE}", text)


def _wide(figure: Figure) -> bool:
    """Whether it has panels side by side."""
    return any(key.channel == "panel" and len(key.values) > 1 for key in figure.keys)


def _marked(table: Table) -> bool:
    """Whether any number bears the mark of the best."""
    return any(isinstance(cell, Number) and cell.best for row in table.rows for cell in row.cells)
