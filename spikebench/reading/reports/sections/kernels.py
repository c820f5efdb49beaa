"""How fast each LIF backend is against SpikingJelly and a device copy, by shape, dtype and phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import TypeAlias

from spikebench.core.records import Record, spell
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import summarise
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Footnotes, Label, Number, Row, Table

TIME, SPEEDUP, BANDWIDTH, FRACTION, COPY, SPOILED = (
    "kernel_time",
    "kernel_speedup",
    "kernel_bandwidth",
    "copy_fraction",
    "copy_bandwidth",
    "kernel_spoiled",
)
SHOWN = (TIME, SPEEDUP, FRACTION, BANDWIDTH)
"""The answer first: a narrow terminal cuts the table behind its first three."""
LABELS = ("shape", "dtype", "phase", "backend")
BASE = "spikingjelly"

Key: TypeAlias = tuple[str, ...]
"""group_id and the conditions of LABELS."""
Found: TypeAlias = Mapping[str, Mapping[Key, Sequence[Record]]]


class Section:
    """A row per backend, in the order in which they were measured; a table per machine. The least time of a phase is marked."""

    order = 15
    title = "LIF kernels"
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        machines = dict.fromkeys(record.machine_id for record in frame.by_metric.get(TIME, ()))
        return [
            _table(frame, machine_id, f"kernels-{number}" if len(machines) > 1 else "kernels")
            for number, machine_id in enumerate(machines, 1)
        ]


def _table(frame: Frame, machine_id: str, key: str) -> Table:
    found = {name: _by_key(frame, name, machine_id) for name in (*SHOWN, COPY, SPOILED)}
    keys = _ordered(found[TIME])
    names = frame.factors()
    notes = Footnotes()
    # What is the same in all rows stands in the caption.
    shared = [name for i, name in enumerate(LABELS[:-1], 1) if len({k[i] for k in keys}) == 1]
    labels = [name for name in LABELS if name not in shared]
    heads = [*columns.factor_columns(names), *(Column(name, name, numeric=False) for name in labels)]
    told = [i for i, name in enumerate(LABELS, 1) if name in labels]
    body: dict[Key, list[Cell]] = {k: [*columns.factor_cells(frame, k[0], names), *(Label(k[i]) for i in told)] for k in keys}
    best = _fastest(frame, found[TIME], keys)
    for name in SHOWN:
        cells = {k: _cell(frame, name, k, found, best, notes) for k in keys}
        for k, cell in cells.items():
            body[k].append(cell)
        heads.append(_column(frame, name, cells.values(), found[COPY], notes))
    heads += [Column("spread", "IQR", Display("%", 100.0, 1), notes.mark(_SPREAD)), Column("n", "n", columns.WHOLE)]
    heads.append(Column(SPOILED, "spoiled", columns.WHOLE, notes.mark(_SPOILED)))
    for k in keys:
        body[k] += [*_spread(found[TIME][k], notes), _spoiled(found[SPOILED].get(k, ()), notes)]
    same = "".join(f", {name} {keys[0][LABELS.index(name) + 1]}" for name in shared)
    caption = f"One LIF layer alone{same}; measured on {frame.machine_name(machine_id)}."
    return Table(
        key, caption, tuple(heads), tuple(Row(tuple(body[k])) for k in keys), tuple(notes.texts), len(names) + len(labels)
    )


def _by_key(frame: Frame, metric: str, machine_id: str) -> dict[Key, list[Record]]:
    """The machine's records of one metric, those of all seeds together."""
    found: dict[Key, list[Record]] = {}
    for record in of_one_question(frame.by_metric.get(metric, ()), apart=LABELS):
        group_id = frame.group_of(record)
        if group_id is not None and record.machine_id == machine_id:
            conditions = tuple(spell(record.conditions.get(name, "")) for name in LABELS)
            found.setdefault((group_id, *conditions), []).append(record)
    return found


def _ordered(keys: Iterable[Key]) -> list[Key]:
    """Rows of one shape, dtype and phase stand together, each field in the order of its first appearance."""
    keys = list(keys)
    ranks = [{value: rank for rank, value in enumerate(dict.fromkeys(k[i] for k in keys))} for i in range(len(LABELS) + 1)]
    return sorted(keys, key=lambda k: [rank[value] for rank, value in zip(ranks, k, strict=True)])


def _cell(frame: Frame, name: str, key: Key, found: Found, best: set[Key], notes: Footnotes) -> Cell:
    records = found[name].get(key, ())
    if not records:
        # SpikingJelly is what the others are divided by; where it was not asked for, nobody has a ratio.
        base = name == SPEEDUP and key[-1] == BASE
        return Label("base") if base else Absent(notes.mark(_NO_BASE if name == SPEEDUP else _NOT_RECORDED))
    summary = summarise(frame.groups[key[0]], records)
    interval = summary.interval()
    if interval is None:
        return Absent(notes.mark(summary.reason))
    return Number(interval.estimate, interval.half_width, summary.n, best=name == TIME and key in best)


def _column(frame: Frame, name: str, cells: Iterable[Cell], copies: Mapping[Key, Sequence[Record]], notes: Footnotes) -> Column:
    metric = frame.metric(name)
    display = display_for(metric, [cell.value for cell in cells if isinstance(cell, Number)])
    said = [f"{metric.title}: {metric.note}."] if metric.note else []
    if name == FRACTION:
        said += _copies(frame, copies)
    return Column(name, metric.title, display, notes.mark(*said))


def _copies(frame: Frame, copies: Mapping[Key, Sequence[Record]]) -> list[str]:
    """How fast the copy was, one sentence for all inputs."""
    metric = frame.metric(COPY)
    values = {key: [record.value for record in records if record.value is not None] for key, records in copies.items()}
    known = {key: median(numbers) for key, numbers in values.items() if numbers}
    if not known:
        return []
    display = display_for(metric, known.values())
    told = dict.fromkeys(f"{key[1]} {key[2]} {display.number(value)}" for key, value in known.items())
    return [f"A copy moved, in {display.unit}: {', '.join(told)}."]


def _spread(records: Sequence[Record], notes: Footnotes) -> list[Cell]:
    """Interquartile range of all calls as a fraction of their median, and how many there were; of the seed that spreads most."""
    several = [record.samples for record in records if record.value is not None and len(record.samples or ()) > 1]
    if not several:
        return [Absent(notes.mark(next((record.reason for record in records if record.value is None), _NOT_RECORDED)))] * 2
    ranges = [(q[2] - q[0]) / q[1] for q in (quantiles(samples, n=4) for samples in several if samples)]
    return [Number(max(ranges)), Number(sum(len(samples) for samples in several if samples))]


def _spoiled(records: Sequence[Record], notes: Footnotes) -> Cell:
    """Spoiled calls, of all seeds together."""
    counts = [record.value for record in records if record.value is not None]
    return Number(sum(counts)) if counts else Absent(notes.mark(next((record.reason for record in records), _NOT_RECORDED)))


def _fastest(frame: Frame, times: Mapping[Key, Sequence[Record]], keys: Sequence[Key]) -> set[Key]:
    """Of each shape, dtype and phase, where at least two have a time."""
    known = {k: interval.estimate for k in keys if (interval := summarise(frame.groups[k[0]], times[k]).interval()) is not None}
    rivals: dict[Key, list[Key]] = {}
    for k in known:
        rivals.setdefault(k[:-1], []).append(k)
    return {min(same, key=lambda k: known[k]) for same in rivals.values() if len(same) > 1}


_SPREAD = "IQR: interquartile range of the calls' times as a fraction of their median; n: calls, the spoiled among them."
_SPOILED = (
    "spoiled: calls that something else disturbed; the medians leave them out, unless most are: then trust the order alone."
)
_NO_BASE = "SpikingJelly was not timed in this run."
_NOT_RECORDED = "Not recorded."
