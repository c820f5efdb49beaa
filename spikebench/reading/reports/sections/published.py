"""How these results compare with the printed ones: same network, same data set, their numbers beside ours."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from spikebench.core.published import Published, load_all
from spikebench.core.records import Record
from spikebench.derived.statistics import mean_interval
from spikebench.reading.model.display import display_for
from spikebench.reading.model.factors import Factor
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Block, Cell, Column, Footnotes, Label, Number, Row, Table

METRICS = ("accuracy", "parameters", "events", "energy")
PUBLISHED_RULE = "accuracy_best_test_epoch"
"""What most printed accuracies are: the best epoch on the test set. Compared with them where it was measured."""
NOISE = {"cifar10": 0.003, "cifar100": 0.003, "cifar10-dvs": 0.01, "dvs128-gesture": 0.01}
"""How far two seeds are apart, of one's own where there is one alone (references.md 1.10)."""
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
            wanted = (metric, PUBLISHED_RULE) if metric == "accuracy" else (metric,)
            ours = {q: records for q, records in everything.items() if q.metric in wanted and not q.condition("T")}
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
    if name == "accuracy":
        heads.append(Column("accuracy:verdict", "verdict", numeric=False))
    rows = []
    for group_id, row, record in printed:
        assert record.value is not None, "a published record is a number that was read"
        source = notes.mark(f"{row.source}; read in: {row.read_in}.")
        words = (frame.name(group_id), f"{row.system} {row.variant}", str(record.conditions.get("convention", "")))
        cells: list[Cell] = [*map(Label, words), Number(record.value, notes=source), *(side[group_id] for side in sides)]
        if name == "accuracy":
            known = [(quantity.metric, records.get(group_id, [])) for quantity, records in ours.items()]
            cells.append(_verdict(record.value, row.dataset, known, notes))
        rows.append(Row(tuple(cells)))
    return Table(f"published-{name}", metric.title, tuple(heads), tuple(rows), tuple(notes.texts), 2)


def _verdict(printed: float, dataset: str, ours: Sequence[tuple[str, Sequence[Record]]], notes: Footnotes) -> Label:
    """``within seed noise``, ``above`` or ``below``, of our best test epoch if it was measured, as that is what papers print.

    Noise is where one more seed of ours would lie with 95 %; of a single one, what others have seen between two.
    """
    ranked = sorted(ours, key=lambda one: one[0] != PUBLISHED_RULE)
    values = next(([r.value for r in records if r.value is not None] for _, records in ranked if records), [])
    if not values:
        return Label("")
    mean = mean_interval(values)
    if mean.half_width is not None:
        noise: float | None = mean.half_width * math.sqrt(mean.n + 1)
        note = f"Noise: where one more of {mean.n} seeds would lie with 95 %."
    else:
        noise = NOISE.get(dataset)
        note = "One seed: noise as others have seen it (references.md 1.10)."
    if noise is None:
        return Label("one seed cannot tell")
    word = "within seed noise" if abs(mean.estimate - printed) <= noise else "above" if mean.estimate > printed else "below"
    return Label(word, notes.mark(note))
