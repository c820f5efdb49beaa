"""Figures as SVG whose ink follows the page: dark on light, light on dark, no second picture."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from spikebench.reading.reports.document import Figure, Series

INK = "#010203"
"""Stands for the page's own text colour; replaced by ``currentColor`` once the SVG is drawn."""
PALETTE = ("#3b7dd8", "#d9772b", "#2a9d6f", "#c2517f", "#8a6fd1", "#a98b1f", "#4aa3b5", "#9a6a52")
"""Middling lightness: readable on white and on near-black, told apart with colour-blind eyes."""
MARKERS = "osD^vPX*"
STYLES = ("-", "--", ":")
TOLD_APART = len(PALETTE) * len(STYLES)
"""Series up to this many have a colour and a style of their own; any more are grey, and one entry of the legend."""
SCHEME = "<style>svg{color:#1f2328}@media (prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
STEPS = ("front", "best so far")
"""Series of a points figure that are drawn as a step line."""
LABELLED = 14
"""Points up to this many carry their names."""


@lru_cache(maxsize=64)  # a page and a Markdown report of the same document draw each figure once
def svg(figure: Figure) -> str:
    """An ``<svg>`` element for a page, without XML header; text stays text."""
    import matplotlib as mpl

    # The hash salt makes ids, and so the file, the same each time; each figure has its own, since one page holds several.
    settings = {"svg.fonttype": "none", "svg.hashsalt": figure.key, "font.family": "sans-serif", "font.size": 9}
    with mpl.rc_context(settings):
        drawn = _draw(figure)
        stream = io.StringIO()
        drawn.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
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
        _draw(figure).savefig(stream, format="pdf", metadata={"CreationDate": None}, bbox_inches="tight")
    return stream.getvalue()


def _draw(figure: Figure) -> Any:
    from matplotlib.figure import Figure as Canvas

    height = 3.2
    if figure.kind == "heatmap":
        height = 1.1 + 0.26 * len(figure.grid)
    elif figure.kind == "bars":
        height = 1.0 + 0.34 * len(figure.ticks)
    canvas = Canvas(figsize=(6.0, height))
    axes = canvas.add_subplot()
    _ink(axes)
    {"lines": _lines, "points": _points, "bars": _bars, "heatmap": _heatmap}[figure.kind](axes, figure)
    if figure.y_top is not None:
        axes.set_ylim(top=min(axes.get_ylim()[1], figure.y_top))
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label)
    return canvas


def _ink(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_alpha(0.4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, which="both")
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _grid(axes: Any, axis: str = "both") -> None:
    axes.grid(axis=axis, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def _legend(axes: Any, count: int) -> None:
    if count > 1:
        # Below the axis label, at the same distance whatever the plot's height.
        below = -0.55 / axes.get_figure().get_size_inches()[1]
        axes.legend(frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(0, below), ncols=2, fontsize=8)


def _lines(axes: Any, figure: Figure) -> None:
    _others(axes, figure.series[TOLD_APART:], joined=True)
    for index, series in enumerate(figure.series[:TOLD_APART]):
        color = PALETTE[index % len(PALETTE)]
        style = STYLES[index // len(PALETTE)]
        axes.plot(series.x, series.y, color=color, linestyle=style, linewidth=1.6, label=series.name)
        if series.spread is not None:
            low = [y - s for y, s in zip(series.y, series.spread, strict=True)]
            high = [y + s for y, s in zip(series.y, series.spread, strict=True)]
            axes.fill_between(series.x, low, high, color=color, alpha=0.15, linewidth=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    # The axis follows the means: the interval of two seeds would dwarf them.
    bottom, top = (limit(y for series in figure.series for y in series.y) for limit in (min, max))
    margin = 0.08 * ((top - bottom) or abs(top) or 1.0)
    axes.set_ylim(bottom - margin, top + margin)
    _grid(axes)
    _legend(axes, len(figure.series))


def _points(axes: Any, figure: Figure) -> None:
    marks = [series for series in figure.series if series.name not in STEPS]
    for series in figure.series:
        if series.name in STEPS:
            axes.step(series.x, series.y, where="post", color=INK, alpha=0.5, linewidth=1.2, label=series.name)
    _others(axes, marks[TOLD_APART:], joined=False)
    for index, series in enumerate(marks[:TOLD_APART]):
        # Where colours begin again markers do not: no two of the series look the same.
        color, marker = PALETTE[index % len(PALETTE)], MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]
        axes.errorbar(series.x, series.y, yerr=series.spread, fmt=marker, markersize=6, color=color, elinewidth=1, capsize=2,
                      label=series.name)  # fmt: skip
        for x, y, text in zip(series.x, series.y, series.text or (), strict=False):
            if len(series.x) <= LABELLED:
                axes.annotate(text, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7, color=INK)
    if figure.log_x:
        axes.set_xscale("log")
    _grid(axes)
    _legend(axes, len(figure.series))


def _others(axes: Any, series: Sequence[Series], joined: bool) -> None:
    """Series beyond those that can be told apart, as one: two hundred names below a plot tell nothing."""
    if not series:
        return
    name = f"{len(series)} others"
    if joined:
        from matplotlib.collections import LineCollection

        lines = [list(zip(one.x, one.y, strict=True)) for one in series]
        axes.add_collection(LineCollection(lines, colors=INK, alpha=0.25, linewidths=0.7, label=name))
    else:
        x, y = ([value for one in series for value in getattr(one, axis)] for axis in ("x", "y"))
        axes.plot(x, y, ".", color=INK, alpha=0.35, markersize=4, label=name)


def _bars(axes: Any, figure: Figure) -> None:
    """Stacked; one series alone is a waterfall of totals."""
    bottom = [0.0] * len(figure.ticks)
    for index, series in enumerate(figure.series):
        axes.barh(series.x, series.y, left=bottom, color=PALETTE[index % len(PALETTE)], height=0.65, label=series.name)
        for position, y in zip(series.x, series.y, strict=True):
            bottom[int(position)] += y
    if len(figure.series) == 1:
        for position, (end, text) in enumerate(zip(bottom, figure.series[0].text or (), strict=False)):
            axes.annotate(text, (end, position), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(figure.ticks)), figure.ticks)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    _grid(axes, "x")
    _legend(axes, len(figure.series))


def _heatmap(axes: Any, figure: Figure) -> None:
    import numpy as np

    values = np.array([[np.nan if cell is None else cell for cell in row] for row in figure.grid], dtype=float)
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 1.0
    axes.imshow(values, cmap="viridis", vmin=0, vmax=top or 1.0, aspect="auto")
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, figure.ticks)) > 4 else {}
    axes.set_xticks(range(len(figure.ticks)), figure.ticks, **turned)
    axes.set_yticks(range(len(figure.row_names)), figure.row_names)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if values.shape[1] <= 12:
        for (row, column), value in np.ndenumerate(values):
            text = "–" if np.isnan(value) else f"{value:.3g}"
            color = INK if np.isnan(value) else "#111111" if value > 0.6 * top else "#ffffff"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def _identifier(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", key)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
