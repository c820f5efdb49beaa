"""What accuracy costs: every trial of a search by its first two objectives, and the Pareto front among them."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import Trial, Trials
from spikebench.reading.reports.document import Block, Figure, Series
from spikebench.reading.reports.sections.search_trials import best
from spikebench.reading.reports.trial_table import axis, display, searches, table


class Section:
    """Nothing to plot for a search with one objective."""

    order = 61
    title = "Pareto front"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return [figure(frame, trials) for trials in searches(frame) if len(trials.objectives) > 1 and trials.complete]


def figure(frame: Frame, trials: Trials) -> Figure:
    """The second objective to the right, the first upwards; of more than two, the others are in the table."""
    y, x = trials.objectives[:2]
    shown_x, shown_y = display(x, trials.complete, 1), display(y, trials.complete, 0)

    def series(name: str, rows: Sequence[Trial], named: bool = False) -> Series:
        xs = tuple(trial.values[1] * shown_x.factor for trial in rows)
        ys = tuple(trial.values[0] * shown_y.factor for trial in rows)
        return Series(name, xs, ys, text=tuple(f"#{trial.number}" for trial in rows) if named else None)

    front = sorted(trials.front, key=lambda trial: trial.values[1])
    within = [trial for trial in trials.complete if trial.feasible and trial not in trials.front]
    beyond = [trial for trial in trials.complete if not trial.feasible]
    groups = [series("front", front)] if len(trials.objectives) == 2 else []
    groups += [series("on the front", front, named=True)]
    groups += [series(name, rows) for name, rows in (("keeps the limits", within), ("breaks a limit", beyond)) if rows]
    costs = [trial.values[1] for trial in trials.complete]
    wide = min(costs) > 0 and max(costs) > 5 * min(costs)
    data = table(frame, trials, best(trials, len(trials.complete)), "search_front", "Complete trials, the front first.")
    caption = f"The {len(trials.complete)} complete trials of {trials.name}; those on the front with their numbers."
    return Figure("search_front", caption, "points", axis(x, shown_x), axis(y, shown_y), data, tuple(groups), log_x=wide)
