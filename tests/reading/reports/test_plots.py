"""What a plot shows of more series than anybody can tell apart."""

from __future__ import annotations

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from spikebench.reading.reports.document import Figure, Series, Table
from spikebench.reading.reports.plots import TOLD_APART, _draw

DATA = Table("t", "", (), ())


def drawn(kind: str, count: int):
    steps = (0.0, 1.0, 2.0) if kind == "lines" else (1.0,)
    series = tuple(Series(f"variant {i}", steps, tuple(i + step for step in steps)) for i in range(count))
    return _draw(Figure("f", "", kind, "x", "y", DATA, series)).axes[0]


@pytest.mark.parametrize("kind", ["lines", "points"])
@pytest.mark.parametrize("count", [2, TOLD_APART, TOLD_APART + 6])
def test_each_name_in_the_legend_looks_like_no_other(kind, count):
    axes = drawn(kind, count)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    own = [f"variant {i}" for i in range(min(count, TOLD_APART))]
    assert sorted(names) == sorted([*own, *(["6 others"] if count > TOLD_APART else [])])
    lines = [line for line in axes.get_lines() if kind == "lines" or line.get_marker() not in (".", "_", "|", "None")]
    looks = {(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(own)


def test_the_others_are_all_there():
    lines = drawn("lines", TOLD_APART + 6)
    (others,) = [found for found in lines.collections if isinstance(found, LineCollection)]
    assert [segment[0][1] for segment in others.get_segments()] == [TOLD_APART + i for i in range(6)]
    points = drawn("points", TOLD_APART + 6)
    (dots,) = [line for line in points.get_lines() if line.get_marker() == "."]
    assert list(dots.get_ydata()) == [TOLD_APART + i + 1.0 for i in range(6)]
