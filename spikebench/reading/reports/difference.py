"""What a row differs from the baseline by, paired by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.derived.statistics import mcnemar_exact, paired_interval
from spikebench.reading.display import display_for, points
from spikebench.reading.reports.columns import Summaries, key
from spikebench.reading.reports.document import Absent, Cell, Column, Display, Footnotes, Label, Number
from spikebench.reading.summary import Quantity
from spikebench.reading.tolerances import is_fraction

Records = Mapping[str, Sequence[Record]]
"""group_id -> its records of one quantity."""


def absolute(
    metric: Metric, quantity: Quantity, rows: Summaries, records: Records, baseline: str, notes: Footnotes
) -> tuple[Column, dict[str, Cell]]:
    """Difference of means over the shared seeds with its paired 95 % t interval.

    One shared seed has no interval over seeds; where every test sample's correctness is kept, the footnote gives McNemar's exact
    test for that one pair of networks.
    """
    cells = {group_id: _cell(group_id, baseline, lambda new, old: new - old, rows, notes, records) for group_id in rows}
    display = points(display_for(metric, [cell.value for cell in cells.values() if isinstance(cell, Number)]))
    if is_fraction(metric):
        display = dataclasses.replace(display, decimals=metric.digits)  # as many as the values that it is the difference of
    mark = notes.mark("Difference from the baseline over the seeds that both have, ± half width of its paired 95 % t interval.")
    return Column(f"{key(quantity)}:difference", f"Δ {metric.title}", display, mark), cells


def relative(
    metric: Metric, quantity: Quantity, rows: Summaries, baseline: str, notes: Footnotes
) -> tuple[Column, dict[str, Cell]]:
    """Relative difference in percent, paired by seed."""
    cells = {group_id: _cell(group_id, baseline, lambda new, old: new / old - 1, rows, notes, {}) for group_id in rows}
    largest = max((abs(cell.value) for cell in cells.values() if isinstance(cell, Number)), default=0.0)
    display = Display("%", 100.0, 1 if largest >= 0.01 else 2, signed=True)
    return Column(f"{key(quantity)}:relative", f"Δ {metric.title}", display), cells


def _cell(group_id: str, baseline: str, change, rows: Summaries, notes: Footnotes, records: Records) -> Cell:  # type: ignore[no-untyped-def]
    if group_id == baseline:
        return Label("baseline")
    new, old = rows[group_id].values, rows[baseline].values
    shared = {seed: (new[seed], old[seed]) for seed in new if seed in old}
    if not shared:
        return Absent(notes.mark("No seed has a value both here and in the baseline."))
    try:
        changes = {seed: change(*pair) for seed, pair in shared.items()}
    except ZeroDivisionError:
        return Absent(notes.mark("The baseline's value is 0, so there is no relative difference."))
    interval = paired_interval(changes, dict.fromkeys(changes, 0.0))
    note = _mcnemar(records.get(group_id, ()), records.get(baseline, ())) if interval.n == 1 else ""
    return Number(interval.estimate, interval.half_width, interval.n, notes=notes.mark(note))


def _mcnemar(new: Sequence[Record], old: Sequence[Record]) -> str:
    pairs = [(a.samples, b.samples) for a in new for b in old if a.samples and b.samples and len(a.samples) == len(b.samples)]
    if len(pairs) != 1 or not all(set(side) <= {0, 1} for side in pairs[0]):
        return ""
    only_new = sum(a > b for a, b in zip(*pairs[0], strict=True))
    only_old = sum(a < b for a, b in zip(*pairs[0], strict=True))
    p = mcnemar_exact(only_new, only_old)
    return (
        f"One seed: of {len(pairs[0][0])} test samples {only_new} are right here alone and {only_old} in the baseline alone "
        f"(McNemar's exact test, p = {p:.2g}); it says nothing about other seeds."
    )
