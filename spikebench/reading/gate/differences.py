"""``compare A B``: what changed between two results, with intervals and a word, and no gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.core.metrics import Metric, headline
from spikebench.core.records import Record
from spikebench.derived.statistics import Interval
from spikebench.reading.gate.compare import Pair, pairs
from spikebench.reading.model.chance import OF_CLASSES
from spikebench.reading.model.display import Display, display_for, is_fraction, points
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Difference, Paired, verdicts
from spikebench.reading.model.summary import Summary, right_or_wrong
from spikebench.reading.reports.columns import mean_cell, with_chance
from spikebench.reading.reports.difference import VERDICT, number
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
from spikebench.reading.reports.intervals import alike_in_columns, with_ends


def compare(old: Frame, new: Frame, everything: bool = False) -> Document:
    """A table per metric, a row per variant: old, new, difference with its 95 % interval, and what can be told of it.

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
        blocks += [
            Heading(group[0].metric.title + (f" {address}" if group[0].conditions else ""), 3),
            _table((old, new), address, group),
        ]
    return Document(f"{old.suite.name or 'old'} -> {new.suite.name or 'new'}", tuple(blocks))


def _rank(pair: Pair) -> tuple[int, str]:
    first = headline()
    return (first.index(pair.metric.name) if pair.metric.name in first else len(first), pair.address)


def _table(frames: Sequence[Frame], address: str, group: Sequence[Pair]) -> Table:
    """``frames``: old and new."""
    notes = Footnotes()
    metric = group[0].metric
    means = [fmean(side.values()) for pair in group for side in pair.values() if side]
    sides = [[_summary(pair, records) for records in (pair.old, pair.new)] for pair in group]
    changes = [_change(metric, pair, *both) for pair, both in zip(group, sides, strict=True)]
    words = verdicts(metric, {str(index): change for index, change in enumerate(changes) if change is not None})
    body = []
    for index, (pair, both, change) in enumerate(zip(group, sides, changes, strict=True)):
        paired = Paired(metric, dict(enumerate(both)))
        cells: list[Cell] = [Label(pair.name)]
        for side, frame in enumerate(frames):
            cells.append(_side(frame, pair, (pair.old, pair.new)[side], paired.mean(side), notes))
        if change is None:
            apart = pair.excused and both[0].values != both[1].values
            why = f"Not comparable: {pair.apart}." if apart else "There is nothing to take the difference from."
            cells += [Absent(notes.mark(why)), Label("")]
        elif _equal(*both):
            cells += [Number(0.0, None, change.n), Label("same")]
        else:
            cells += [number(metric, change, notes), Label(words[str(index)])]
        body.append(cells)
    rows = [Row(cells) for cells in alike_in_columns(body)]
    shown = [change.change for change in changes if change is not None]
    display = points(display_for(metric, shown)) if is_fraction(metric) else Display("%", 100.0, 2, signed=True)
    heads = (
        Column("variant", "variant", numeric=False),
        *(Column(name, name, display_for(metric, means)) for name in ("old", "new")),
        Column("difference", "difference", display, notes.mark(NOTE[with_ends(row.cells[DIFFERENCE] for row in rows)])),
        Column("verdict", "verdict", numeric=False, notes=notes.mark(VERDICT)),
    )
    return Table(f"compare-{address}", "", heads, tuple(rows), tuple(notes.texts))


def _summary(pair: Pair, records: Mapping[int, Record]) -> Summary:
    """One side, over the seeds that both have."""
    own = {seed: records[seed] for seed in pair.seeds}
    answers = {seed: record.samples or () for seed, record in own.items() if right_or_wrong(record)}
    return Summary({seed: float(record.value or 0) for seed, record in own.items()}, {}, False, answers)


def _change(metric: Metric, pair: Pair, old: Summary, new: Summary) -> Difference | None:
    """None where the two share no seed, where machines decided differently, or where nothing can be relative to a 0."""
    if not pair.seeds or (pair.excused and old.values != new.values):
        return None
    paired = Paired(metric, {1: new, 0: old})
    return paired.difference(1, 0) if paired.relative or is_fraction(metric) else None


def _equal(old: Summary, new: Summary) -> bool:
    """The very same networks, it seems: there is no difference that other images could show."""
    return old.values == new.values and {s: list(a) for s, a in old.answers.items()} == {
        s: list(a) for s, a in new.answers.items()
    }


def _side(frame: Frame, pair: Pair, records: Mapping[int, Record], mean: Interval | None, notes: Footnotes) -> Cell:
    if mean is None:
        reasons = [record.reason for side in (pair.old, pair.new) for record in side.values() if record.value is None]
        return Absent(notes.mark(reasons[0] if reasons else "Only one of the two has it."))
    cell = mean_cell(pair.metric, mean, mean.n)
    shared = [records[seed] for seed in pair.seeds]
    return with_chance(frame, cell, shared, notes) if pair.metric.name in OF_CLASSES else cell


DIFFERENCE = 3
"""Place of the column."""
NOTE = {
    ends: f"Difference over the seeds that both have, {text}; of an accuracy, seeds and test images are both samples."
    for ends, text in (
        (False, "± half width of its 95 % interval"),
        (True, "with its 95 % interval, which for a ratio is wider upwards"),
    )
}
"""By whether the column shows both ends."""
