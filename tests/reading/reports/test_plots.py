"""What a plot shows of more series than anybody can tell apart, and whether eyes that see less than others can read it."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb

from spikebench.reading.reports.document import Figure, Key, Look, Series, Table
from spikebench.reading.reports.drawing import PALETTE, TOLD_APART, draw, line_style, mark_style
from spikebench.reading.reports.plots import svg, svg_file

DATA = Table("t", "", (), ())


def drawn(kind: str, count: int):
    steps = (0.0, 1.0, 2.0) if kind == "lines" else (1.0,)
    series = tuple(Series(f"variant {i}", steps, tuple(i + step for step in steps)) for i in range(count))
    return draw(Figure("f", "", kind, "x", "y", DATA, series)).axes[0]


def look(line):
    return (to_hex(line.get_color()), line.get_linestyle(), line.get_marker(), line.get_fillstyle())


@pytest.mark.parametrize("kind", ["lines", "points"])
@pytest.mark.parametrize("count", [2, TOLD_APART, TOLD_APART + 6])
def test_each_name_in_the_legend_looks_like_no_other(kind, count):
    axes = drawn(kind, count)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    own = [f"variant {i}" for i in range(min(count, TOLD_APART))]
    assert sorted(names) == sorted([*own, *(["6 others"] if count > TOLD_APART else [])])
    lines = [line for line in axes.get_lines() if line.get_marker() != "."]
    assert len({look(line) for line in lines}) == len(own)
    if kind == "lines":
        assert len({look(line)[2:0:-1] for line in lines}) == len(own), "marks and dashes alone do not tell them apart"


def test_the_others_are_all_there():
    lines = drawn("lines", TOLD_APART + 6)
    (others,) = [found for found in lines.collections if isinstance(found, LineCollection)]
    assert [segment[0][1] for segment in others.get_segments()] == [TOLD_APART + i for i in range(6)]
    points = drawn("points", TOLD_APART + 6)
    (dots,) = [line for line in points.get_lines() if line.get_marker() == "."]
    assert list(dots.get_ydata()) == [TOLD_APART + i + 1.0 for i in range(6)]


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b*, D65, of linear sRGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear sRGB."""


@pytest.mark.parametrize("style", [mark_style, line_style])
def test_colours_are_told_apart_with_deuteranopia_and_in_grey_or_something_else_tells(style):
    for a, b in itertools.combinations(range(len(PALETTE)), 2):
        one, two = style(Look(colour=a)), style(Look(colour=b))
        if {**one, "color": ""} != {**two, "color": ""}:
            continue  # fills and marks differ
        colours = [linear(each["color"]) for each in (one, two)]
        seen = [lab(DEUTERANOPIA @ colour) for colour in colours]
        assert np.linalg.norm(seen[0] - seen[1]) > 15, (a, b)
        grey = [lab(colour)[0] for colour in colours]
        assert abs(grey[0] - grey[1]) > 8, (a, b)


def test_neighbouring_colours_differ_with_deuteranopia():
    seen = [lab(DEUTERANOPIA @ linear(color)) for color in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen[:4], 2)) > 15


@pytest.mark.parametrize("ground", ["#ffffff", "#0d1117"])
def test_every_colour_stands_out_from_a_light_and_a_dark_page(ground):
    def luminance(color):
        return linear(color) @ np.array([0.2126, 0.7152, 0.0722])

    for color in PALETTE:
        light, dark = sorted((luminance(color), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 2.3, color


def test_bars_have_hatches():
    bars = tuple(Series(name, (0.0,), (1.0,)) for name in ("stem", "attention", "MLP"))
    axes = draw(Figure("f", "", "bars", "x", "", DATA, bars, ticks=("a",))).axes[0]
    assert len({patch.get_hatch() for patch in axes.patches}) == 3


def test_many_variants_are_told_by_their_factors_in_panels():
    keys = (
        Key("colour", "stem", ("sps", "scs")),
        Key("shape", "attention", ("ssa", "relu")),
        Key("panel", "T", ("1", "2", "4", "8")),
    )
    looks = [Look(c, s, p) for c in range(2) for s in range(2) for p in range(4)]
    series = tuple(Series(str(i), (1.0 + i,), (float(i),), look=one) for i, one in enumerate(looks))
    front = Series("front", (1.0, 2.0), (1.0, 3.0))
    canvas = draw(Figure("f", "", "points", "x", "y", DATA, (front, *series), keys=keys))
    panels = [axes for axes in canvas.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["T = 1", "T = 2", "T = 4", "T = 8"]
    assert [len(axes.get_lines()) for axes in panels] == [5] * 4  # the front and four variants
    assert [legend.get_title().get_text() for legend in canvas.legends] == ["stem", "attention"]
    assert [[text.get_text() for text in legend.get_texts()] for legend in canvas.legends] == [["sps", "scs"], ["ssa", "relu"]]


def test_a_file_has_its_own_ground_in_both_schemes():
    text = svg_file(Figure("f", "", "points", "x", "y", DATA, (Series("a", (1.0,), (1.0,)),)))
    assert "background:#fff" in text
    assert "prefers-color-scheme:dark" in text
    assert "background:#0d1117" in text
    assert "currentColor" in text


def test_numbers_on_axes_and_beside_points_are_whole():
    """Points are rounded to hundredths; what is there to read is not: 2.285 is no 2.28, and no two ticks say the same."""
    line = Series("a", (10.0, 20.0, 30.0), (2.271, 2.283, 2.299), text=("0.0625", "x", "y"))
    for kind in ("lines", "points"):
        text = svg(Figure(f"f-{kind}", "", kind, "x", "y", DATA, (line, line)))
        ticks = re.findall(r"<text[^>]*>(2\.\d+)</text>", text)
        assert len(ticks) > 3
        assert len(set(ticks)) == len(ticks)
        assert len({round(float(b) - float(a), 6) for a, b in itertools.pairwise(ticks)}) == 1
    assert "0.0625" in text
    assert not re.search(r"(?<![\w.])\d+\.\d{3,}", " ".join(re.findall(r' d="([^"]*)"', text)))


def test_a_logarithmic_axis_has_numbers_as_tables_have_them():
    series = (Series("a", (17.0, 186.0), (1.0, 2.0)), Series("b", (60.0,), (1.5,)))
    axes = draw(Figure("f", "", "points", "x", "y", DATA, series, log_x=True)).axes[0]
    low, high = axes.get_xlim()
    labels = [axes.xaxis.get_major_formatter()(tick, 0) for tick in axes.get_xticks() if low <= tick <= high]
    assert labels == ["20", "50", "100", "200"][: len(labels)]
    assert len(labels) >= 3
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))
