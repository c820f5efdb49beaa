"""Columns of a table whose rows are groups: one quantity each, with what must be said about it in footnotes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from spikebench.core.errors import InputError
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.derived.profile import load_profile
from spikebench.derived.statistics import Interval
from spikebench.reading.model import provenance
from spikebench.reading.model.chance import OF_CLASSES, Signs
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.factors import show
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import sharing
from spikebench.reading.model.summary import Quantity, Summary, summary_of
from spikebench.reading.reports.document import Absent, Cell, Column, Footnotes, Label, Number
from spikebench.reading.reports.intervals import alike, ends_of

Summaries = Mapping[str, Summary]
"""group_id -> summary, for every group of the table."""
WHOLE = Display(decimals=0)


def summaries(frame: Frame, groups: Iterable[str], records: Mapping[str, Sequence[Record]]) -> dict[str, Summary]:
    """One quantity of every group; a group without records has a summary without values."""
    return {group_id: summary_of(frame, group_id, records.get(group_id, ())) for group_id in groups}


def factor_columns(names: Sequence[str]) -> list[Column]:
    """The columns that tell rows apart."""
    return [Column(name, name.removeprefix("train."), numeric=False) for name in names]


def factor_cells(frame: Frame, group_id: str, names: Sequence[str]) -> list[Cell]:
    return [Label(show(frame.groups[group_id].shown.get(name))) for name in names]


def heading(frame: Frame, quantity: Quantity, among: Iterable[Quantity]) -> str:
    """The metric's title, and the conditions that tell this column from the others of the same metric."""
    metric = frame.metric(quantity.metric)
    same = [other for other in among if other.metric == quantity.metric]
    telling = [
        value if name in BARE else f"{name}={value}"
        for name, value in quantity.conditions
        if len({other.condition(name) for other in same}) > 1
    ]
    if quantity.machine_id and len({other.machine_id for other in same}) > 1:
        telling.append(frame.machine_name(quantity.machine_id))
    return ", ".join([metric.title, *telling])


BARE = ("profile", "convention", "backend", "device")
"""Conditions whose values speak for themselves."""


def column(frame: Frame, quantity: Quantity, rows: Summaries, among: Iterable[Quantity], notes: Footnotes) -> Column:
    """The head of a quantity's column, scaled to its values."""
    metric = frame.metric(quantity.metric)
    means = [summary.interval() for summary in rows.values()]
    display = display_for(metric, [mean.estimate for mean in means if mean is not None])
    return Column(key(quantity), heading(frame, quantity, among), display, notes.mark(*explanations(frame, quantity)))


SAID = (("split", "test"),)
"""Conditions that hold unless a column says otherwise; the note on its numbers has them."""


def explanations(frame: Frame, quantity: Quantity) -> list[str]:
    """What a reader must know about a quantity: its definition, its conditions, and where its times were taken."""
    metric = frame.metric(quantity.metric)
    conditions = ", ".join(f"{name} {value}" for name, value in quantity.conditions if (name, value) not in SAID)
    if metric.kind == "estimated":
        said = [f"an estimate from counts, not a measurement{f': {conditions}' if conditions else ''}", *_left_out(quantity)]
    else:
        said = [text for text in (metric.note, _weights(frame, metric), conditions) if text]
    if quantity.machine_id:
        said.append(f"measured on {frame.machine_name(quantity.machine_id)}")
    return [f"{metric.title}: {'; '.join(said)}."] if said else []


def _weights(frame: Frame, metric: Metric) -> str:
    """Which weights an accuracy is of; nobody asks that of a count, which is of the same ones."""
    cells = dict.fromkeys(record.cell_id for record in frame.by_metric.get(metric.name, ()))
    return provenance.weights_measured(frame, cells) if metric.name == "accuracy" else ""


def _left_out(quantity: Quantity) -> list[str]:
    """What an energy profile does not model; a profile of the user's own file may be out of reach here."""
    try:
        profile = load_profile(quantity.condition("profile"))
    except InputError:
        return []
    return [f"it leaves out {', '.join(profile.leaves_out)}"] if profile.leaves_out else []


def cells(
    frame: Frame, metric: Metric, rows: Summaries, comparable: Sequence[Sequence[str]], notes: Footnotes
) -> dict[str, Cell]:
    """group_id -> cell: mean over seeds with its 95 % interval, or a dash with the reason.

    ``comparable``: the sets of groups within which a best value means something; it is marked in each, with all that cannot be
    told from it.
    """
    among = sharing(frame, rows, comparable or [list(rows)], metric)
    best = {group_id for paired in dict.fromkeys(among.values()) for group_id in paired.best()} if comparable else set()
    found: dict[str, Cell] = {}
    for group_id, summary in rows.items():
        interval = among[group_id].mean(group_id)
        if interval is None:
            found[group_id] = Absent(notes.mark(summary.reason))
            continue
        why = f"From {summary.n} of {summary.n + len(summary.missing)} seeds; {summary.reason}" if summary.missing else ""
        found[group_id] = mean_cell(metric, interval, summary.n, group_id in best, notes.mark(why))
    return alike(found)


def numbers(
    frame: Frame,
    metric: Metric,
    rows: Summaries,
    records: Mapping[str, Sequence[Record]],
    comparable: Sequence[Sequence[str]],
    notes: Footnotes,
) -> dict[str, Cell]:
    """As ``cells``; an accuracy that guessing reaches too has a footnote."""
    found = cells(frame, metric, rows, comparable, notes)
    if metric.name not in OF_CLASSES:
        return found
    return {group_id: with_chance(frame, cell, records.get(group_id, ()), notes) for group_id, cell in found.items()}


def with_chance(frame: Frame, cell: Cell, records: Sequence[Record], notes: Footnotes) -> Cell:
    """An accuracy over ``records``, with a footnote where guessing does as well."""
    if not isinstance(cell, Number):
        return cell
    ends = ends_of(cell)
    said = Signs(frame).chance(records, None if ends is None else ends[0])
    return dataclasses.replace(cell, notes=(*cell.notes, *notes.mark(said))) if said else cell


def mean_cell(metric: Metric, interval: Interval, n: int, best: bool = False, notes: tuple[int, ...] = ()) -> Number:
    """A mean as a cell: without an interval where every seed has the same value of a metric that repeats exactly, as parameters
    have."""
    if interval.half_width is None or (metric.exact and interval.half_width == 0):
        return Number(interval.estimate, None, n, best, notes)
    return Number(interval.estimate, interval.half_width, n, best, notes, interval.ends)


def left_out(shown: int, of: int) -> str:
    """What a caption says of variants that a picture has no room for; "" where it shows all."""
    return f" {shown} of {of} variants; `spikebench report FOLDER --export records.csv` has all." if shown < of else ""


def key(quantity: Quantity) -> str:
    """A column's name in exports: the selector."""
    inner = ",".join(f"{name}={value}" for name, value in quantity.conditions)
    return quantity.metric + (f"{{{inner}}}" if inner else "") + (f"#{quantity.machine_id}" if quantity.machine_id else "")
