"""How trials of a search are named and their numbers shown; shared by the sections on searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spikebench.core.metrics import Metric, metric
from spikebench.core.records import Scalar, spell
from spikebench.core.search import Objective
from spikebench.reading.model.chance import Signs
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.trials import Trial, Trials, load_trials
from spikebench.reading.reports.document import Absent, Cell, Column, Footnotes, Label, Number, Row, Table

ON_VALIDATION = "Validation split, one seed: the best of many trials looks better than it is. Run the winners with more seeds."

TESTED = "Test accuracy: of the winners alone, measured once, after the search."


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


def table(
    frame: Frame, trials: Trials, rows: Sequence[Trial], key: str, caption: str, tested: Mapping[str, float] | None = None
) -> Table:
    """Trials with their objectives, limits and parameters; the front is set apart. ``tested``: cell_id -> test accuracy."""
    notes = Footnotes()
    signs = Signs(frame)
    names = varying(trials)
    shown = [display(objective, rows, index) for index, objective in enumerate(trials.objectives)]
    limits = list(trials.study.user_attrs["search"]["constraints"])
    heads = [Column("trial", "trial", Display(decimals=0))]
    for objective, one in zip(trials.objectives, shown, strict=True):
        heads.append(Column(objective.quantity.text, label(objective), one, notes.mark(*_notes(objective.quantity.metric))))
    if tested:
        accuracy = metric("accuracy")
        heads.append(Column("accuracy", "Test accuracy", display_for(accuracy, tested.values()), notes.mark(TESTED)))
    if limits:
        heads.append(Column("limits", "limits", numeric=False, notes=notes.mark(f"Limits: {'; '.join(limits)}.")))
    heads += [Column(name, name, numeric=False) for name in names]
    body = []
    for trial in rows:
        dead = notes.mark(signs.trial(trial.cell_id))
        cells: list[Cell] = [Number(trial.number, notes=dead), *map(Number, trial.values)]
        if tested:
            cells.append(Number(tested[trial.cell_id]) if trial.cell_id in tested else Absent())
        if limits:
            broken = [text for text, violation in trial.violations.items() if violation > 0]
            cells.append(Label("kept" if not broken else f"breaks {'; '.join(broken)}"))
        cells += [Label(spelled(trial.params[name])) if name in trial.params else Absent() for name in names]
        body.append(Row(tuple(cells), marked=trial in trials.front))
    return Table(key, caption, tuple(heads), tuple(body), tuple(notes.texts))


def test_accuracy(frame: Frame) -> dict[str, float]:
    """cell_id -> accuracy on the test split, with as many time steps as it was trained with."""
    found = {}
    for record in of_one_question(frame.by_metric.get("accuracy", ()), apart=("T",)):
        if record.value is not None and record.conditions.get("T") == frame.cell_factors[record.cell_id].get("T"):
            found[record.cell_id] = float(record.value)
    return found


def spelled(value: Scalar) -> str:
    """A parameter's value as a table prints it; the study and the winner's suite have all of its digits."""
    return f"{value:.3g}" if isinstance(value, float) else spell(value)


def _notes(metric: Metric) -> list[str]:
    said = [metric.note] if metric.note else []
    if metric.kind == "estimated" and "estimated" not in metric.note:
        said.append("estimated from counts, not measured")
    return [f"{metric.title}: {'; '.join(said)}."] if said else []
