"""How trials of a search are named and their numbers shown; shared by the sections on searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spikebench.core.metrics import Metric
from spikebench.core.records import Scalar, spell
from spikebench.core.search import Objective
from spikebench.reading.display import display_for
from spikebench.reading.frame import Frame
from spikebench.reading.reports.document import Absent, Cell, Column, Display, Footnotes, Label, Number, Row, Table
from spikebench.reading.trials import Trial, Trials, load_trials

ON_VALIDATION = "Validation split, one seed: the best of many trials looks better than it is. Run the winners with more seeds."


def searches(frame: Frame) -> list[Trials]:
    """The searches in the frame's folders; none of those that have not finished a trial."""
    found = [load_trials(folder) for folder in frame.folders]
    return [trials for trials in found if trials is not None and trials.rows]


def label(objective: Objective) -> str:
    """``Energy{profile=spikformer-paper}``, with the metric's title."""
    conditions = ", ".join(str(value) for value in objective.quantity.selector.conditions.values())
    return objective.quantity.metric.title + (f", {conditions}" if conditions else "")


def display(objective: Objective, trials: Iterable[Trial], index: int) -> Display:
    return display_for(objective.quantity.metric, [trial.values[index] for trial in trials])


def axis(objective: Objective, shown: Display) -> str:
    """An axis label: one line, with the unit."""
    return f"{label(objective)} [{shown.unit}]" if shown.unit else label(objective)


def varying(trials: Trials) -> list[str]:
    """The parameters that any trial has, in the order of the space."""
    space = list(trials.study.user_attrs["search"]["space"])
    used = {name for trial in trials.rows for name in trial.params}
    return [name for name in space if name in used]


def table(trials: Trials, rows: Sequence[Trial], key: str, caption: str) -> Table:
    """Trials with their parameters, objectives and limits; those on the front are set apart."""
    notes = Footnotes()
    names = varying(trials)
    shown = [display(objective, rows, index) for index, objective in enumerate(trials.objectives)]
    limits = list(trials.study.user_attrs["search"]["constraints"])
    heads = [Column("trial", "trial", Display(decimals=0))]
    for objective, one in zip(trials.objectives, shown, strict=True):
        heads.append(Column(objective.quantity.text, label(objective), one, notes.mark(*_notes(objective.quantity.metric))))
    if limits:
        heads.append(Column("limits", "limits", numeric=False, notes=notes.mark(f"Limits: {'; '.join(limits)}.")))
    heads += [Column(name, name, numeric=False) for name in names]
    body = []
    for trial in rows:
        cells: list[Cell] = [Number(trial.number), *map(Number, trial.values)]
        if limits:
            broken = [text for text, violation in trial.violations.items() if violation > 0]
            cells.append(Label("kept" if not broken else f"breaks {'; '.join(broken)}"))
        cells += [Label(spelled(trial.params[name])) if name in trial.params else Absent() for name in names]
        body.append(Row(tuple(cells), marked=trial in trials.front))
    return Table(key, caption, tuple(heads), tuple(body), tuple(notes.texts))


def spelled(value: Scalar) -> str:
    """A parameter's value as a table prints it; the study and the winner's suite have all of its digits."""
    return f"{value:.3g}" if isinstance(value, float) else spell(value)


def _notes(metric: Metric) -> list[str]:
    said = [metric.note] if metric.note else []
    if metric.kind == "estimated":
        said.append("estimated from counts, not measured")
    return [f"{metric.title}: {'; '.join(said)}."] if said else []
