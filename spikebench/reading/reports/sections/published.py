"""How these results compare with the printed ones: same network, same data set, their numbers beside ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from spikebench.core.published import Published, load_all
from spikebench.core.records import Record
from spikebench.reading.model.display import display_for
from spikebench.reading.model.factors import Factor
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Block, Cell, Column, Footnotes, Label, Number, Row, Table

METRICS = ("accuracy", "parameters", "events", "energy")
HEADS = (("variant", "this network"), ("published", "published as"), ("convention", "convention"))


class Section:
    """A row per printed number that has one of ours beside it; what a paper prints under another convention says so."""

    order = 90
    title = "Published results"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        everything = quantities(frame)
        papers = load_all()
        rows = [(group_id, row) for group_id in frame.groups for row in papers if fits(row, frame.groups[group_id].factors)]
        printed = [(group_id, row, record) for group_id, row in rows for record in row.records]
        tables: list[Block] = []
        for metric in METRICS:
            ours = {q: records for q, records in everything.items() if q.metric == metric and not q.condition("T")}
            theirs = [entry for entry in printed if entry[2].metric == metric]
            if ours and theirs:
                tables.append(_table(frame, metric, theirs, ours))
        return tables


def fits(published: Published, factors: Mapping[str, Factor]) -> bool:
    """Whether a printed row is about this network: data set, T and every factor that the row names."""
    same = {"dataset": published.dataset, "T": published.T}
    return published.is_of(factors) and all(str(factors.get(name)).partition("(")[0] == value for name, value in same.items())


def _table(
    frame: Frame, name: str, printed: Sequence[tuple[str, Published, Record]], ours: Mapping[Quantity, dict[str, list[Record]]]
) -> Table:
    notes = Footnotes()
    metric = frame.metric(name)
    groups = list(dict.fromkeys(group_id for group_id, _, _ in printed))
    display = display_for(metric, [record.value for _, _, record in printed if record.value is not None])
    heads = [Column(key, heading, numeric=False) for key, heading in HEADS]
    heads.append(Column(f"{name}:published", f"{metric.title}, printed", display))
    sides = []
    for quantity, records in ours.items():
        summaries = columns.summaries(frame, groups, records)
        own = columns.column(frame, quantity, summaries, ours, notes)
        heads.append(dataclasses.replace(own, heading=f"{own.heading}, here", display=display))
        sides.append(columns.numbers(frame, metric, summaries, records, [], notes))
    rows = []
    for group_id, row, record in printed:
        assert record.value is not None, "a published record is a number that was read"
        source = notes.mark(f"{row.source}; read in: {row.read_in}.")
        words = (frame.name(group_id), f"{row.system} {row.variant}", str(record.conditions.get("convention", "")))
        cells: list[Cell] = [*map(Label, words), Number(record.value, notes=source), *(side[group_id] for side in sides)]
        rows.append(Row(tuple(cells)))
    return Table(f"published-{name}", metric.title, tuple(heads), tuple(rows), tuple(notes.texts), 2)
