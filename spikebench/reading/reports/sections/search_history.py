"""Whether more trials would help: each trial's objective in the order of the search, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import Trials
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Figure, Number, Row, Series, Table
from spikebench.reading.reports.trial_table import axis, display, label, searches


class Section:
    """One figure for each objective."""

    order = 62
    title = "History of the search"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return [
            figure(trials, index)
            for trials in searches(frame)
            if len(trials.complete) > 1
            for index in range(len(trials.objectives))
        ]


def figure(trials: Trials, index: int) -> Figure:
    """Best so far: of the trials that keep the limits."""
    objective = trials.objectives[index]
    shown = display(objective, trials.complete, index)
    best: list[float | None] = []
    for trial in trials.complete:
        before = best[-1] if best else None
        value = trial.values[index] if trial.feasible else None
        better = before is None or (value is not None and objective.quantity.metric.better(value, before))
        best.append(value if better else before)
    numbers = [trial.number for trial in trials.complete]
    known = [(number, value) for number, value in zip(numbers, best, strict=True) if value is not None]
    series = (
        Series("best so far", tuple(float(n) for n, _ in known), tuple(value * shown.factor for _, value in known)),
        Series("trial", tuple(map(float, numbers)), tuple(trial.values[index] * shown.factor for trial in trials.complete)),
    )
    heads = (
        Column("trial", "trial", Display(decimals=0)),
        Column("value", label(objective), shown),
        Column("best", "best so far", shown),
    )
    rows = []
    for trial, top in zip(trials.complete, best, strict=True):
        cells: tuple[Cell, ...] = (Number(trial.number), Number(trial.values[index]), Absent() if top is None else Number(top))
        rows.append(Row(cells))
    key = "search_history" + (f"_{index + 1}" if index else "")
    caption = f"{label(objective)} of each complete trial, and the best so far among those that keep the limits."
    data = Table(key, caption, heads, tuple(rows))
    return Figure(key, caption, "points", "trial", axis(objective, shown), data, series)
