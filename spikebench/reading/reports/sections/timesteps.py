"""How accuracy falls with fewer time steps, without retraining: each trained network evaluated at other T."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.records import Record
from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import summarise
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Block, Cell, Column, Footnotes, Row, Table


class Section:
    """Columns are the T of the evaluation; a row's own T is where it was trained."""

    order = 30
    title = "Other time steps, without retraining"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        found: dict[str, dict[int, list[Record]]] = {}
        for record in of_one_question(frame.by_metric.get("accuracy", ()), apart=("T",)):
            group_id = frame.group_of(record)
            if group_id is not None and isinstance(record.conditions.get("T"), int):
                found.setdefault(group_id, {}).setdefault(int(record.conditions["T"]), []).append(record)
        steps = sorted({T for by_T in found.values() for T in by_T})
        if not any(len(by_T) > 1 for by_T in found.values()):
            return []
        notes = Footnotes()
        metric = frame.metric("accuracy")
        display = Display(metric.display_unit, metric.display_factor, metric.digits)
        names = [name for name in frame.factors() if name != "T"]
        heads = [*columns.factor_columns(names), Column("trained_T", "trained at T", columns.WHOLE)]
        heads += [Column(f"accuracy{{T={T}}}", f"T = {T}", display) for T in steps]
        body: dict[str, list[Cell]] = {group_id: columns.factor_cells(frame, group_id, [*names, "T"]) for group_id in found}
        for T in steps:
            rows = {group_id: summarise(frame.groups[group_id], by_T.get(T, ())) for group_id, by_T in found.items()}
            records = {group_id: by_T.get(T, []) for group_id, by_T in found.items()}
            for group_id, cell in columns.numbers(frame, metric, rows, records, [], notes).items():
                body[group_id].append(cell)
        table = Table(
            "timesteps",
            "Test accuracy when a network runs with another number of time steps than it was trained with.",
            tuple(heads),
            tuple(Row(tuple(body[group_id])) for group_id in frame.groups if group_id in body),
            tuple(notes.texts),
            len(names) + 1,
        )
        return [table]
