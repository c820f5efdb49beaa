"""What a row differs from the baseline by: both have the same seeds and test images, and a word says what can be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from spikebench.core.metrics import Metric
from spikebench.derived.statistics import mcnemar_exact
from spikebench.reading.model.display import Display, display_for, is_fraction, points
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import MARGIN, Difference, Paired, paired_of, verdicts
from spikebench.reading.model.summary import Quantity, Summary
from spikebench.reading.reports.columns import Summaries, key
from spikebench.reading.reports.document import Absent, Cell, Column, Footnotes, Label, Number
from spikebench.reading.reports.intervals import alike, with_ends

Answers = Mapping[int, Sequence[int | float]]
"""seed -> for every test sample 1 (right) or 0."""


def columns(
    frame: Frame, quantity: Quantity, rows: Summaries, comparable: Sequence[str], baseline: str, notes: Footnotes
) -> list[tuple[Column, dict[str, Cell]]]:
    """Two columns: the difference with its 95 % interval, and the verdict.

    ``comparable``: those that may be compared with the baseline. Of one seed there is no interval; where every test sample's
    correctness is kept, a footnote gives McNemar's exact test for that one pair of networks.
    """
    metric = frame.metric(quantity.metric)
    paired = paired_of(frame, metric, {group_id: rows[group_id] for group_id in comparable})
    others = {group_id: paired.difference(group_id, baseline) for group_id in comparable if group_id != baseline}
    words = verdicts(metric, others)
    changes: dict[str, Cell] = {}
    for group_id, summary in rows.items():
        if group_id == baseline:
            changes[group_id] = Label("baseline")
        elif (difference := others.get(group_id)) is not None:
            changes[group_id] = number(metric, difference, notes, one_seed(summary, rows[baseline], difference))
        else:
            changes[group_id] = Absent(notes.mark(_why(group_id in comparable)))
    shown = display(metric, paired, [cell.value for cell in changes.values() if isinstance(cell, Number)])
    changes = alike(changes)
    title = f"Δ {metric.title}"
    verdict = {group_id: Label(str(words[group_id]) if others.get(group_id) else "") for group_id in rows}
    return [
        (
            Column(
                f"{key(quantity)}:{'relative' if paired.relative else 'difference'}",
                title,
                shown,
                notes.mark(UNEVEN if with_ends(changes.values()) else _NOTE),
            ),
            changes,
        ),
        (Column(f"{key(quantity)}:verdict", "verdict", numeric=False, notes=notes.mark(VERDICT)), {**verdict}),
    ]


def number(metric: Metric, difference: Difference, notes: Footnotes, note: str = "") -> Number:
    """A cell: without an interval where there is one seed, or where all seeds agree on a number that repeats exactly."""
    half = None if difference.contrast.own or (metric.exact and not difference.half_width) else difference.half_width
    ends = None if half is None or difference.low is None or difference.high is None else (difference.low, difference.high)
    return Number(difference.change, half, difference.n, notes=notes.mark(note), bounds=ends)


def display(metric: Metric, paired: Paired, changes: Sequence[float]) -> Display:
    """Percentage points of a fraction, per cent of what is compared by ratios, the metric's own unit of all else."""
    if paired.relative:
        return Display("%", 100.0, 1 if max(map(abs, changes), default=0.0) >= 0.01 else 2, signed=True)
    shown = points(display_for(metric, changes))
    # A fraction with as many decimals as the values that it is the difference of.
    return dataclasses.replace(shown, decimals=metric.digits) if is_fraction(metric) else shown


VERDICT = (
    "Verdict: better or worse where the difference is not 0 with p < 0.05 (Holm's correction over the column); same where the "
    f"whole interval lies within {100 * MARGIN:g} percentage point, or {100 * MARGIN:g} % of what is compared by ratios; else "
    "cannot tell."
)
"""What the words mean."""


def one_seed(new: Summary, old: Summary, difference: Difference) -> str:
    """What can be said of one pair of networks; "" where there are several, or no answers."""
    seed = next((seed for seed in new.answers if seed in old.answers), None)
    if not difference.contrast.own or seed is None:
        return ""
    a, b = new.answers[seed], old.answers[seed]
    if len(a) != len(b):
        return ""
    only_new = sum(x > y for x, y in zip(a, b, strict=True))
    only_old = sum(x < y for x, y in zip(a, b, strict=True))
    p = mcnemar_exact(only_new, only_old)
    return (
        f"One seed: of {len(a)} test samples {only_new} are right here alone and {only_old} in the baseline alone "
        f"(McNemar's exact test, p = {p:.2g}); it says nothing about other seeds."
    )


def _why(comparable: bool) -> str:
    if not comparable:
        return "Another data set than the baseline's."
    return "No seed has a value both here and in the baseline."


_NOTE = (
    "Difference from the baseline over the seeds that both have, ± half width of its 95 % interval. Seeds and test images are "
    "both samples; what a seed changes is learned from all rows together."
)
UNEVEN = (
    "Difference from the baseline over the seeds that both have, with its 95 % interval, which for a ratio is wider upwards. "
    "What a seed changes is learned from all rows together."
)
