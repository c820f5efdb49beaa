"""``compare A B``: what changed between two results, with intervals and no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.core.metrics import headline
from spikebench.derived.statistics import mean_interval, paired_interval
from spikebench.reading.gate.compare import Pair, pairs
from spikebench.reading.model.display import Display, display_for, is_fraction, points
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.columns import half_width
from spikebench.reading.reports.document import (
    Absent,
    Block,
    Cell,
    Column,
    Document,
    Footnotes,
    Heading,
    Label,
    Number,
    Row,
    Table,
    Text,
)


def compare(old: Frame, new: Frame, everything: bool = False) -> Document:
    """A table per metric, a row per variant: old, new, difference with its paired 95 % t interval over seeds.

    ``everything``: metrics beyond the headline ones too. Raises NotComparableError if the two share no variant.
    """
    found: dict[str, list[Pair]] = {}
    for pair in pairs(old, new):
        asked = pair.metric.name in headline() or not pair.metric.portable
        if (everything or asked) and (pair.old or pair.new):
            found.setdefault(pair.address, []).append(pair)
    blocks: list[Block] = [Text(notice, "warning") for notice in (*old.notices, *old.remarks, *new.notices, *new.remarks)]
    order = sorted(found, key=lambda address: _rank(found[address][0]))
    for address in order:
        group = found[address]
        if not all(pair.same_machine or pair.metric.portable for pair in group):
            blocks.append(Text(f"{address} was measured on different machines and is not compared.", "warning"))
            continue
        blocks += [Heading(group[0].metric.title + (f" {address}" if group[0].conditions else ""), 3), _table(address, group)]
    return Document(f"{old.suite.name or 'old'} -> {new.suite.name or 'new'}", tuple(blocks))


def _rank(pair: Pair) -> tuple[int, str]:
    first = headline()
    return (first.index(pair.metric.name) if pair.metric.name in first else len(first), pair.address)


def _table(address: str, group: Sequence[Pair]) -> Table:
    notes = Footnotes()
    metric = group[0].metric
    means = [fmean(side.values()) for pair in group for side in pair.values() if side]
    display = display_for(metric, means)
    rows = []
    changes: list[float] = []
    for pair in group:
        old, new = pair.values()
        cells: list[Cell] = [Label(pair.name), _side(pair, old, notes), _side(pair, new, notes)]
        if pair.excused and old != new:
            rows.append(Row((*cells, Absent(notes.mark(f"Not comparable: {pair.apart}.")))))
            continue
        try:
            change = {seed: new[seed] - old[seed] if is_fraction(metric) else new[seed] / old[seed] - 1 for seed in old}
            interval = paired_interval(change, dict.fromkeys(change, 0.0))
        except (ValueError, ZeroDivisionError):
            cells.append(Absent(notes.mark("There is nothing to take the difference from.")))
        else:
            changes.append(interval.estimate)
            cells.append(Number(interval.estimate, half_width(metric, interval), interval.n))
        rows.append(Row(tuple(cells)))
    shown = points(display_for(metric, changes)) if is_fraction(metric) else Display("%", 100.0, 2, signed=True)
    mark = notes.mark("Difference over the seeds that both have, ± half width of its paired 95 % t interval.")
    heads = (
        Column("variant", "variant", numeric=False),
        Column("old", "old", display),
        Column("new", "new", display),
        Column("difference", "difference", shown, mark),
    )
    return Table(f"compare-{address}", "", heads, tuple(rows), tuple(notes.texts))


def _side(pair: Pair, values: Mapping[int, float], notes: Footnotes) -> Cell:
    if not values:
        reasons = [record.reason for side in (pair.old, pair.new) for record in side.values() if record.value is None]
        return Absent(notes.mark(reasons[0] if reasons else "Only one of the two has it."))
    interval = mean_interval(list(values.values()))
    return Number(interval.estimate, half_width(pair.metric, interval), interval.n)
