"""Figures as SVG whose ink follows the page: dark on light, light on dark, no second picture."""

from __future__ import annotations

import io
import re
from functools import lru_cache

from spikebench.reading.reports.document import Figure
from spikebench.reading.reports.drawing import INK, draw

SCHEME = (
    "<style>svg{color:#1f2328;background:#fff}@media (prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}}</style>"
)
"""A file has its own ground: who shows it may have another scheme than the viewer asks for."""


@lru_cache(maxsize=64)  # a page and a Markdown report of the same document draw each figure once
def svg(figure: Figure) -> str:
    """An ``<svg>`` element for a page, without XML header; text stays text."""
    import matplotlib as mpl

    # The hash salt makes ids, and so the file, the same each time; each figure has its own, since one page holds several.
    settings = {"svg.fonttype": "none", "svg.hashsalt": figure.key, "font.family": "sans-serif", "font.size": 9}
    with mpl.rc_context(settings):
        drawn = draw(figure)
        stream = io.StringIO()
        drawn.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _smaller(text)
    # One page holds several figures: matplotlib calls every first axes axes_1.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{_identifier(figure.key)}-", text)
    return re.sub(
        r'<svg ([^>]*?)width="[^"]*" ([^>]*)>', rf'<svg role="img" aria-label="{_attribute(figure.caption)}" \1\2>', text, count=1
    )


def svg_file(figure: Figure) -> str:
    """A file of its own, which asks the viewer for its colour scheme."""
    text = svg(figure)
    return text.replace(">", f">{SCHEME}", 1) + "\n"


@lru_cache(maxsize=64)
def pdf(figure: Figure) -> bytes:
    """For LaTeX."""
    import matplotlib as mpl

    stream = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42, "font.size": 9}):
        draw(figure).savefig(stream, format="pdf", metadata={"CreationDate": None}, bbox_inches="tight")
    return stream.getvalue()


def _smaller(text: str) -> str:
    """Without indentation, names that nothing refers to, and more than hundredths of a point: half of it for many variants. What
    is there to read (2.285 on an axis) is no point, and stays."""
    used = set(re.findall(r"#([A-Za-z0-9_.-]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), text)
    return re.sub(r"\n\s*", "\n", re.sub(r"\s+\n", "\n", text))


def _identifier(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", key)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
