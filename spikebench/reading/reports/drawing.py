"""A figure's data on axes. Colours are never alone: shapes, fills, dashes and hatches say the same on a grey print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikebench.reading.reports.document import Figure, Look, Series

INK = "#010203"
"""Stands for the page's own text colour; replaced by ``currentColor`` once the SVG is drawn."""
PALETTE = ("#6283d0", "#f3822f", "#11b785", "#ac327d", "#7b28da", "#998430", "#2396b2", "#d05a47")
"""Readable on white and on near-black; the first four far apart with deuteranopia, the rest from whose fill they share."""
MARKERS = "os^DvPX*"
FILLS = ("full", "none", "left", "top")
DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)), (0, (3, 1)))
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")
TOLD_APART = 24
"""Series up to this many look each like no other; any more are grey, and one entry of the legend."""
STEPS = ("front", "best so far")
"""Series of a points figure that are drawn as a step line."""
LABELLED = 14
"""Points up to this many carry their names."""
PANELS_IN_A_ROW = 3


def draw(figure: Figure) -> Any:
    """A matplotlib figure."""
    from matplotlib.figure import Figure as Canvas

    count = max((len(key.values) for key in figure.keys if key.channel == "panel"), default=1)
    columns = min(count, PANELS_IN_A_ROW)
    rows = -(-count // columns)
    height = 3.2 if count == 1 else 2.5 * rows
    if figure.kind == "heatmap":
        height = 1.1 + 0.26 * len(figure.grid)
    elif figure.kind == "images":
        height = 6.0 * len(figure.grid) / len(figure.grid[0])
    elif figure.kind == "bars":
        height = 1.0 + 0.34 * len(figure.ticks)
    canvas = Canvas(figsize=(6.0 if columns == 1 else 3.0 * columns, height))
    panels = list(canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for place, axes in enumerate(panels):
        if place >= count:
            axes.set_visible(False)
            continue
        _ink(axes)
        _panel(axes, figure, place if count > 1 else None)
        # The last row has the axis below, and so has what nothing stands under.
        if place + columns >= count:
            axes.set_xlabel(figure.x_label)
            axes.tick_params(labelbottom=True)
        if place % columns == 0 and figure.kind != "heatmap":  # whose rows have names, and whose cells have the unit
            axes.set_ylabel(figure.y_label)
    if count > 1:
        canvas.subplots_adjust(wspace=0.08, hspace=0.3)
    _keys(canvas, figure)
    return canvas


def _panel(axes: Any, figure: Figure, place: int | None) -> None:
    """All series, or those of one panel. A step line has no look, and stands in all of them."""
    series = [one for one in figure.series if place is None or one.look is None or one.look.panel == place]
    if place is not None:
        (key,) = (key for key in figure.keys if key.channel == "panel")
        axes.set_title(f"{key.title} = {key.values[place]}", fontsize=9, color=INK)
    {"lines": _lines, "points": _points, "bars": _bars, "heatmap": _heatmap, "images": _images}[figure.kind](axes, figure, series)
    if figure.y_top is not None:
        axes.set_ylim(top=min(axes.get_ylim()[1], figure.y_top))


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
        axes.legend(frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(0, below), ncols=2, fontsize=8,
                    handlelength=3)  # fmt: skip


def _keys(canvas: Any, figure: Figure) -> None:
    """A legend for each factor: what its values look like, drawn in ink where they have no colour."""
    from matplotlib.lines import Line2D

    left = 0.1
    for key in (key for key in figure.keys if key.channel != "panel"):
        looks = [Look(colour=i) if key.channel == "colour" else Look(shape=i) for i in range(len(key.values))]
        styles = [line_style(look) if figure.kind == "lines" else mark_style(look) for look in looks]
        if key.channel == "shape":
            styles = [{**style, "color": INK, "marker": style["marker"] if figure.kind == "points" else ""} for style in styles]
        handles = [Line2D([], [], **style) for style in styles]
        below = -0.25 / canvas.get_size_inches()[1]
        legend = canvas.legend(handles, key.values, title=key.title, frameon=False, labelcolor=INK, fontsize=8, ncols=2,
                               loc="upper left", bbox_to_anchor=(left, below), alignment="left", handlelength=3)  # fmt: skip
        legend.get_title().set_color(INK)
        legend.get_title().set_fontsize(8)
        left += 0.45


def line_style(look: Look) -> dict[str, Any]:
    """Of a line: a colour with its own marks, a dash."""
    return {
        "color": PALETTE[look.colour % len(PALETTE)],
        "marker": MARKERS[look.colour % len(MARKERS)],
        "linestyle": DASHES[look.shape % len(DASHES)],
        "markersize": 4,
        "linewidth": 1.5,
    }


def mark_style(look: Look) -> dict[str, Any]:
    """Of points: a colour with its own fill, a shape."""
    return {
        "color": PALETTE[look.colour % len(PALETTE)],
        "fillstyle": FILLS[look.colour % len(FILLS)],
        "marker": MARKERS[look.shape % len(MARKERS)],
        "linestyle": "none",
        "markersize": 6,
    }


def _look(figure: Figure, series: Series, index: int) -> Look:
    """The series' own look, or one like no other of the first ``TOLD_APART``."""
    if series.look is not None:
        return series.look
    if figure.kind == "lines":
        return Look(index % len(PALETTE), (index // len(PALETTE) + index) % 4)
    return Look(index % len(PALETTE), (index + index // len(PALETTE)) % len(MARKERS))


def _lines(axes: Any, figure: Figure, given: Sequence[Series]) -> None:
    most = len(given) if figure.keys else TOLD_APART
    _others(axes, given[most:], joined=True)
    for index, series in enumerate(given[:most]):
        style = line_style(_look(figure, series, index))
        # Marks tell lines apart; so many epochs need not all have one.
        every = max(1, len(series.x) // 6)
        marked: Any = (index % every, every)
        if len(given) > TOLD_APART:
            style |= {"linewidth": 0.8, "alpha": 0.7}
            marked = [len(series.x) - 1]
        axes.plot(series.x, series.y, label=series.name, markevery=marked, **style)
        if series.spread is not None and len(given) <= TOLD_APART:
            axes.fill_between(series.x, *zip(*series.spread, strict=True), color=style["color"], alpha=0.13, linewidth=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    # The axis follows the means: the interval of two seeds would dwarf them.
    bottom, top = (limit(y for series in figure.series for y in series.y) for limit in (min, max))
    margin = 0.08 * ((top - bottom) or abs(top) or 1.0)
    axes.set_ylim(bottom - margin, top + margin)
    _grid(axes)
    if not figure.keys:
        _legend(axes, len(given))


def _points(axes: Any, figure: Figure, given: Sequence[Series]) -> None:
    marks = [series for series in given if series.name not in STEPS]
    for series in given:
        if series.name in STEPS:
            axes.step(series.x, series.y, where="post", color=INK, alpha=0.5, linewidth=1.2, label=series.name)
    most = len(marks) if figure.keys else TOLD_APART
    _others(axes, marks[most:], joined=False)
    faint = 0.35 if len(marks) > TOLD_APART else 0.8
    for index, series in enumerate(marks[:most]):
        style = mark_style(_look(figure, series, index))
        if series.spread is not None or series.x_spread is not None:
            axes.errorbar(series.x, series.y, yerr=_reach(series.y, series.spread), xerr=_reach(series.x, series.x_spread),
                          fmt="none", ecolor=style["color"], elinewidth=0.8, alpha=faint)  # fmt: skip
        axes.plot(series.x, series.y, label=series.name, **style)
        for x, y, text in zip(series.x, series.y, series.text or (), strict=False):
            if len(series.x) <= LABELLED:
                axes.annotate(text, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7, color=INK)
    if figure.log_x:
        _logarithmic(axes)
    _limits(axes, marks)
    _grid(axes)
    if not figure.keys:
        _legend(axes, len(given))


def _reach(values: Sequence[float], ends: Sequence[tuple[float, float]] | None) -> Any:
    """How far intervals go to either side of their points; None where there are none."""
    if ends is None:
        return None
    return [
        [v - low for v, (low, _) in zip(values, ends, strict=True)],
        [high - v for v, (_, high) in zip(values, ends, strict=True)],
    ]


def _logarithmic(axes: Any) -> None:
    """A horizontal axis of ratios, with numbers as a table has them: 20, 50, 100."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _limits(axes: Any, marks: Sequence[Series]) -> None:
    """The vertical axis follows the points: an interval as wide as the axis would press them into a line."""
    spans = [(y, *ends) for one in marks if one.spread is not None for y, ends in zip(one.y, one.spread, strict=True)]
    values = [y for one in marks for y in one.y]
    if not spans or not values:
        return
    extent = (max(values) - min(values)) or max((high - low) / 2 for _, low, high in spans) or 1.0
    low = min(max(low, y - extent) for y, low, _ in spans)
    high = max(min(high, y + extent) for y, _, high in spans)
    axes.set_ylim(low - 0.05 * extent, high + 0.05 * extent)


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


def _bars(axes: Any, figure: Figure, given: Sequence[Series]) -> None:
    """Stacked; one series alone is a waterfall of totals."""
    bottom = [0.0] * len(figure.ticks)
    for index, series in enumerate(given):
        axes.barh(series.x, series.y, left=bottom, color=PALETTE[index % len(PALETTE)], height=0.65, label=series.name,
                  hatch=HATCHES[index % len(HATCHES)], edgecolor=INK, linewidth=0)  # fmt: skip
        for position, y in zip(series.x, series.y, strict=True):
            bottom[int(position)] += y
    if len(given) == 1:
        for position, (end, text) in enumerate(zip(bottom, given[0].text or (), strict=False)):
            axes.annotate(text, (end, position), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(figure.ticks)), figure.ticks)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    _grid(axes, "x")
    _legend(axes, len(given))


def _images(axes: Any, figure: Figure, given: Sequence[Series]) -> None:
    import numpy as np

    pixels = np.array([[np.nan if cell is None else cell for cell in row] for row in figure.grid], dtype=float)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    band = len(pixels) / len(figure.row_names)
    axes.set_yticks([(index + 0.5) * band - 0.5 for index in range(len(figure.row_names))], figure.row_names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _heatmap(axes: Any, figure: Figure, given: Sequence[Series]) -> None:
    import numpy as np

    values = np.array([[np.nan if cell is None else cell for cell in row] for row in figure.grid], dtype=float)
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 1.0
    picture = axes.imshow(values, cmap="viridis", vmin=0, vmax=top or 1.0, aspect="auto")
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, figure.ticks)) > 4 else {}
    axes.set_xticks(range(len(figure.ticks)), figure.ticks, **turned)
    axes.set_yticks(range(len(figure.row_names)), figure.row_names)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if values.shape[1] > 12:
        bar = axes.get_figure().colorbar(picture, ax=axes, pad=0.02)
        bar.ax.tick_params(colors=INK)
        bar.set_label(figure.y_label, color=INK)
        bar.outline.set_visible(False)
    else:
        for (row, column), value in np.ndenumerate(values):
            text = "–" if np.isnan(value) else _two_digits(float(value))
            color = INK if np.isnan(value) else "#111111" if value > 0.6 * top else "#ffffff"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def _two_digits(value: float) -> str:
    """``10.7``, ``9.4``, ``0.28``: at least two, alike in a column."""
    return f"{value:.1f}" if abs(value) >= 10 or not value else f"{value:#.2g}"
