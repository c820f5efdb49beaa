"""A history as people read it: what changed, by which commit; then a row, or a plot, for every series."""

from __future__ import annotations

import math

from spikebench.reading.gate.history import Change, History, Series
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.reports import document as doc
from spikebench.reading.reports.document import (
    Block,
    Cell,
    Column,
    Document,
    Figure,
    Heading,
    Label,
    Number,
    Row,
    Table,
    Text,
    Verdict,
)


def document(history: History, plots: bool = False) -> Document:
    """``plots``: a figure a series in the place of the table of all."""
    blocks: list[Block] = [Text(_summary(history), "answer")]
    if history.changes:
        blocks += [Heading("What changed"), _changes(history)]
    series = [one for one in history.series if one.values]
    if series and plots:
        blocks += [Heading("Series"), *(_figure(history, one, number) for number, one in enumerate(series))]
    elif series:
        blocks += [Heading("Series"), _table(series)]
    return Document(f"history of {history.suite or 'results'}", tuple(blocks))


def _summary(history: History) -> str:
    news = len(history.news)
    count = f"{len(history.commits)} commits, {len(history.series)} series: "
    if news:
        return f"{count}{news} changes for the worse that nobody has confirmed"
    return count + ("every change for the worse is confirmed" if any(c.worse for c in history.changes) else "nothing got worse")


def _changes(history: History) -> Table:
    columns = (
        Column("commit", "commit", numeric=False),
        Column("variant", "variant", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("before", "before"),
        Column("after", "after"),
        Column("change", "change", Display("%", 100.0, 2, signed=True)),
        Column("p", "p", Display(decimals=4)),
        Column("verdict", "verdict", numeric=False),
        Column("subject", "subject", numeric=False),
    )
    metrics = {one.row: one.metric for one in history.series}
    rows = []
    for change in history.changes:
        display = display_for(metrics[change.row], [change.point.before, change.point.after])
        both = [Label(f"{display.number(value)} {display.unit}".rstrip()) for value in (change.point.before, change.point.after)]
        relative = change.point.change
        cells: list[Cell] = [Label(change.commit.short), Label(change.row.variant), Label(change.row.address), *both]
        cells.append(Number(relative) if math.isfinite(relative) else Label("it was 0"))
        rows.append(Row((*cells, Number(change.point.p), _verdict(change), Label(change.commit.subject))))
    return Table("changes", "", columns, tuple(rows), labels=3)


def _verdict(change: Change) -> Verdict:
    if change.confirmed:
        return Verdict("pass", "", "confirmed")
    return Verdict("fail", "", "worse") if change.worse else Verdict("pass", "", "better" if change.worse is False else "changed")


def _table(series: list[Series]) -> Table:
    columns = (
        Column("variant", "variant", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("commits", "commits", Display(decimals=0)),
        Column("first", "first", numeric=False),
        Column("last", "last", numeric=False),
        Column("changes", "changes", Display(decimals=0)),
    )
    rows = []
    for one in series:
        display = display_for(one.metric, [one.values[0], one.values[-1]])
        ends = [Label(f"{display.number(value)} {display.unit}".rstrip()) for value in (one.values[0], one.values[-1])]
        cells: list[Cell] = [
            Label(one.row.variant),
            Label(one.row.address),
            Number(len(one.values)),
            *ends,
            Number(len(one.changes)),
        ]
        rows.append(Row(tuple(cells)))
    return Table("series", "", columns, tuple(rows), labels=2)


def _figure(history: History, one: Series, number: int) -> Figure:
    display = display_for(one.metric, one.values)
    x = tuple(float(place) for place in one.places)
    shown = tuple(value * display.factor for value in one.values)
    levels = tuple(one.level(place) * display.factor for place in one.places)
    columns = (Column("commit", "commit", numeric=False), Column("value", one.metric.title, display))
    rows = tuple(
        Row((Label(history.commits[place].short), Number(value))) for place, value in zip(one.places, one.values, strict=True)
    )  # fmt: skip
    unit = f" [{display.unit}]" if display.unit else ""
    changed = ", ".join(change.commit.short for change in one.changes)
    caption = f"{one.row.variant} {one.row.address}" + (f"; changed at {changed}" if changed else "")
    return Figure(
        f"series-{number}", caption, "lines", "commit", one.metric.title + unit, Table(f"series-{number}", "", columns, rows),
        (doc.Series("value", x, shown), doc.Series("level", x, levels)),
    )  # fmt: skip
