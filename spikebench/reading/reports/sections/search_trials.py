"""Which variants a search found: the best trials, or the Pareto front, and which of them keep the limits."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import Trial, Trials
from spikebench.reading.reports.document import Block, Text
from spikebench.reading.reports.trial_table import ON_VALIDATION, searches, table, test_accuracy

MOST = 12
"""Rows beside the front."""


class Section:
    """The front first, then the best of the others."""

    order = 60
    title = "Search"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        blocks: list[Block] = []
        tested = test_accuracy(frame)
        for trials in searches(frame):
            blocks.append(Text(f"{summary(trials)}. {ON_VALIDATION}"))
            if trials.complete:
                rows = best(trials)
                left = len(trials.complete) - len(rows)
                what = "Pareto front, then the best of the rest" if len(trials.objectives) > 1 else "Best trials"
                caption = what + (f"; {left} more complete trials are left out" if left else "")
                blocks.append(table(frame, trials, rows, "search_trials", f"{caption}.", tested))
        return blocks


def best(trials: Trials, most: int = MOST) -> list[Trial]:
    """The front, then other complete trials: those that keep the limits first, by the first objective."""
    others = [trial for trial in trials.complete if trial not in trials.front]
    others.sort(key=lambda trial: (not trial.feasible, trials.costs(trial), trial.number))
    return [*trials.front, *others[:most]]


def summary(trials: Trials) -> str:
    """``30 trials: 28 complete (25 keep the limits, 5 on the front), 2 failed; 4 combinations refused``"""
    counted = [trials.count(state) for state in ("complete", "pruned", "failed")]
    feasible = sum(trial.feasible for trial in trials.complete)
    parts = [f"{len(trials.complete)} complete ({feasible} keep the limits, {len(trials.front)} on the front)"]
    if len(trials.objectives) == 1:
        parts = [f"{len(trials.complete)} complete ({feasible} keep the limits)"]
    parts += [f"{count} {word}" for count, word in zip(counted[1:], ("stopped early", "failed"), strict=True) if count]
    refused = trials.count("refused")
    text = f"{sum(counted)} trials: {', '.join(parts)}"
    return text + (f"; {refused} more combinations refused before training" if refused else "")
