"""The report as the terminal shows it, as one SVG: for a README or a slide. Pictures inside it are left to the other formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikebench.core.console import recorder
from spikebench.reading.reports.document import Document
from spikebench.reading.reports.formats._files import write
from spikebench.reading.reports.formats.terminal import show

WIDTH = 110
"""Characters a line."""
NAME = "report"
"""In every id of the file, so that it is the same each time."""
TEMPLATE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own loads a font from elsewhere, which a picture in a README may not."""


class Format:
    """``report.svg``."""

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        console = recorder(WIDTH)
        show(document, console)
        picture = console.export_svg(title=document.title, code_format=TEMPLATE, unique_id=NAME)
        return [write(folder / "report.svg", picture)]
