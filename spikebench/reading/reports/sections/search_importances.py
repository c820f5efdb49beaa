"""Which parameters a search's objective depends on most (PED-ANOVA, arXiv 2304.10255)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import Trials
from spikebench.reading.reports.document import Block, Cell, Column, Figure, Label, Number, Row, Series, Table, Text
from spikebench.reading.reports.trial_table import label, searches

FEWEST = 8
"""Complete trials below which shares of the variance mean nothing."""
BEST = 0.25
"""The part of the trials that counts as good; PED-ANOVA's tenth would be three of thirty."""
SHARE = Display("%", 100.0, 0)


class Section:
    """One figure for each objective."""

    order = 63
    title = "Importance of parameters"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        blocks: list[Block] = []
        for trials in searches(frame):
            if len(trials.complete) < FEWEST:
                blocks.append(Text(f"{len(trials.complete)} complete trials are too few; it takes {FEWEST}."))
                continue
            blocks += [figure(trials, index) for index in range(len(trials.objectives))]
        return blocks


def importances(trials: Trials, index: int) -> Mapping[str, float]:
    """Parameter -> its share, in falling order; they sum to 1. Empty if the objective does not vary."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len({trial.values[index] for trial in trials.complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that the target is minimised: that is what the sign is for
        sign = trials.objectives[index].sign
        found: Mapping[str, float] = get_param_importances(
            trials.study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST),
            target=lambda trial: sign * float(trial.values[index]),
        )
    return found


def figure(trials: Trials, index: int) -> Block:
    objective = trials.objectives[index]
    shares = importances(trials, index)
    if not shares:
        return Text(f"{label(objective)} is the same in all trials: nothing can be said of what it depends on.")
    caption = f"{label(objective)}: what tells the best quarter of {len(trials.complete)} trials from all (PED-ANOVA)."
    rows = []
    for name, share in shares.items():
        cells: tuple[Cell, ...] = (Label(name), Number(share))
        rows.append(Row(cells))
    key = "search_importances" + (f"_{index + 1}" if index else "")
    data = Table(
        key, caption, (Column("parameter", "parameter", numeric=False), Column("share", "importance", SHARE)), tuple(rows)
    )
    positions = tuple(float(position) for position in range(len(shares)))
    heights = tuple(share * SHARE.factor for share in shares.values())
    series = Series("importance", positions, heights, text=tuple(f"{height:.0f} %" for height in heights))
    return Figure(key, caption, "bars", "importance [%]", "", data, (series,), ticks=tuple(shares))
