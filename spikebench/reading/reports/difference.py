"""What a row differs from the baseline by, paired by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from spikebench.core.records import Record
from spikebench.derived.statistics import mcnemar_exact, paired_interval
from spikebench.reading.model.display import Display, display_for, is_fraction, points
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Quantity
from spikebench.reading.reports.columns import Summaries, key
from spikebench.reading.reports.document import Absent, Cell, Column, Footnotes, Label, Number

Change = Callable[[float, float], float]
Answers = Mapping[int, Sequence[int | float]]
"""seed -> for every test sample 1 (right) or 0."""


def absolute(
    frame: Frame,
    quantity: Quantity,
    rows: Summaries,
    records: Mapping[str, Sequence[Record]],
    baseline: str,
    notes: Footnotes,
) -> tuple[Column, dict[str, Cell]]:
    """Difference of means over the shared seeds with its paired 95 % t interval.

    One shared seed has no interval over seeds; where every test sample's correctness is kept, the footnote gives McNemar's exact
    test for that one pair of networks.
    """
    metric = frame.metric(quantity.metric)
    answers = {group_id: _answers(frame, group_id, own) for group_id, own in records.items()}
    cells = {group_id: _cell(group_id, baseline, lambda new, old: new - old, rows, notes, answers) for group_id in rows}
    display = points(display_for(metric, [cell.value for cell in cells.values() if isinstance(cell, Number)]))
    if is_fraction(metric):
        display = dataclasses.replace(display, decimals=metric.digits)  # as many as the values that it is the difference of
    mark = notes.mark("Difference from the baseline over the seeds that both have, ± half width of its paired 95 % t interval.")
    return Column(f"{key(quantity)}:difference", f"Δ {metric.title}", display, mark), cells


def relative(
    frame: Frame, quantity: Quantity, rows: Summaries, baseline: str, notes: Footnotes
) -> tuple[Column, dict[str, Cell]]:
    """Relative difference in percent, paired by seed."""
    cells = {group_id: _cell(group_id, baseline, lambda new, old: new / old - 1, rows, notes, {}) for group_id in rows}
    largest = max((abs(cell.value) for cell in cells.values() if isinstance(cell, Number)), default=0.0)
    display = Display("%", 100.0, 1 if largest >= 0.01 else 2, signed=True)
    return Column(f"{key(quantity)}:relative", f"Δ {frame.metric(quantity.metric).title}", display), cells


def _cell(
    group_id: str, baseline: str, change: Change, rows: Summaries, notes: Footnotes, answers: Mapping[str, Answers]
) -> Cell:
    if group_id == baseline:
        return Label("baseline")
    new, old = rows[group_id].values, rows[baseline].values
    shared = [seed for seed in new if seed in old]
    if not shared:
        return Absent(notes.mark("No seed has a value both here and in the baseline."))
    try:
        changes = {seed: change(new[seed], old[seed]) for seed in shared}
    except ZeroDivisionError:
        return Absent(notes.mark("The baseline's value is 0, so there is no relative difference."))
    interval = paired_interval(changes, dict.fromkeys(changes, 0.0))
    note = ""
    if len(shared) == 1:
        note = _mcnemar(*(answers.get(side, {}).get(shared[0], ()) for side in (group_id, baseline)))
    return Number(interval.estimate, interval.half_width, interval.n, notes=notes.mark(note))


def _answers(frame: Frame, group_id: str, records: Sequence[Record]) -> Answers:
    seeds = frame.groups[group_id].seeds
    return {seeds[record.cell_id]: record.samples for record in records if record.samples and set(record.samples) <= {0, 1}}


def _mcnemar(new: Sequence[int | float], old: Sequence[int | float]) -> str:
    if not new or len(new) != len(old):
        return ""
    only_new = sum(a > b for a, b in zip(new, old, strict=True))
    only_old = sum(a < b for a, b in zip(new, old, strict=True))
    p = mcnemar_exact(only_new, only_old)
    return (
        f"One seed: of {len(new)} test samples {only_new} are right here alone and {only_old} in the baseline alone "
        f"(McNemar's exact test, p = {p:.2g}); it says nothing about other seeds."
    )
