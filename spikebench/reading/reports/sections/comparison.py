"""Which variant is better, and at what cost: one row per variant, mean and 95 % interval over seeds and test images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from spikebench.core.metrics import headline
from spikebench.core.records import Record, Selector
from spikebench.reading.model.chance import Signs
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns, difference
from spikebench.reading.reports.document import Block, Cell, Column, Footnotes, Label, Number, Row, Table
from spikebench.reading.reports.trial_table import searches

WITH_DIFFERENCE = ("accuracy", "events")

CAPTION = "One row a variant."
WINNERS = "The search's winners, tested after it; of all trials there is more under Search."
Found = dict[Quantity, dict[str, list[Record]]]


class Section:
    """The first table of every report."""

    order = 10
    title = "Comparison"
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        everything = quantities(frame)
        chosen = chosen_quantities(frame, everything)
        caption = WINNERS if searches(frame) else ""
        return [table(frame, {quantity: everything[quantity] for quantity in chosen}, caption=caption)] if chosen else []


def chosen_quantities(frame: Frame, everything: Found) -> list[Quantity]:
    """What was recorded of metrics with a ``headline`` place, then what the suite asks for, then a single latency."""
    chosen = [
        quantity
        for metric in headline()
        for quantity in everything
        if quantity.metric == metric and not quantity.condition("T") and not _only_failed(quantity, everything)
    ]
    for text in frame.suite.columns:
        selector = Selector.parse(text)
        chosen += [q for q in everything if q.metric == selector.metric and selector.matches_conditions(dict(q.conditions))]
    latencies = [quantity for quantity in everything if quantity.metric == "latency"]
    return list(dict.fromkeys([*chosen, *(latencies if len(latencies) == 1 else ())]))


def _only_failed(quantity: Quantity, everything: Found) -> bool:
    """Whether nobody asked for it: it is there because a job that failed says so of all that it might have measured, where the
    same job in other cells has measured other things alone."""
    jobs = {record.job_id for records in everything[quantity].values() for record in records if record.status == "failed"}
    if any(record.status != "failed" for records in everything[quantity].values() for record in records):
        return False
    others = (one for other, found in everything.items() if other != quantity for one in [list(chain(*found.values()))])
    return any(any(r.status == "ok" for r in one) and jobs <= {r.job_id for r in one} for one in others)


def table(frame: Frame, found: Found, key: str = "comparison", caption: str = "") -> Table:
    """Rows are groups, columns the quantities found; the suite's baseline row is marked and differences from it are columns."""
    notes = Footnotes()
    names = frame.factors()
    groups = list(frame.groups)
    heads: list[Column] = columns.factor_columns(names) or [Column("dataset", "data set", numeric=False)]
    body: dict[str, list[Cell]] = {group_id: columns.factor_cells(frame, group_id, names or ["dataset"]) for group_id in groups}
    labels = len(heads)
    signs, sets = Signs(frame), comparable(frame, groups)
    for group_id in groups:
        silent = signs.silent(frame.groups[group_id].seeds)
        first = body[group_id][0]
        if silent and isinstance(first, Label):
            body[group_id][0] = Label(first.text, (*first.notes, *notes.mark(silent)))
    heads.append(Column("seeds", "n", columns.WHOLE, notes.mark(_SEEDS)))
    for group_id in groups:
        body[group_id].append(Number(len(frame.groups[group_id].seeds)))
    for quantity, records in found.items():
        metric = frame.metric(quantity.metric)
        rows = columns.summaries(frame, groups, records)
        heads.append(columns.column(frame, quantity, rows, found, notes))
        cells = columns.numbers(frame, metric, rows, records, sets, notes)
        for group_id, cell in cells.items():
            body[group_id].append(cell)
        if frame.baseline is not None and len(groups) > 1 and metric.name in WITH_DIFFERENCE:
            rivals = next(names for names in sets if frame.baseline in names)
            for head, own in difference.columns(frame, quantity, rows, rivals, frame.baseline, notes):
                heads.append(head)
                for group_id, cell in own.items():
                    body[group_id].append(cell)
    rows_ = tuple(Row(tuple(body[group_id]), marked=group_id == frame.baseline) for group_id in groups)
    return Table(key, caption or CAPTION, tuple(heads), rows_, tuple(notes.texts), labels)


def comparable(frame: Frame, groups: Sequence[str]) -> list[list[str]]:
    """Groups whose values may be ranked among each other: those on the same data set."""
    by_data: dict[object, list[str]] = {}
    for group_id in groups:
        by_data.setdefault(frame.groups[group_id].factors.get("dataset"), []).append(group_id)
    return list(by_data.values())


_SEEDS = (
    "n: seeds. Values are means over seeds ± half the width of the 95 % interval, or with both its ends where ± would tell "
    "another one; an accuracy's ends at 100 %. Of an accuracy, seeds and test images are both samples; what a seed changes is "
    "learned from all rows together. One seed has no interval. Test split where no column says otherwise."
)
