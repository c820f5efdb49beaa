"""Where the cost is: stem, attention, MLP and head of every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebench.core.records import Selector
from spikebench.reading.model.accounting import by_stage
from spikebench.reading.model.display import display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import layers_of
from spikebench.reading.model.stages import STAGES
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Figure, Footnotes, Number, Row, Series, Table

COSTS = ("energy", "events")
MOST = 24


class Section:
    """Stacked bars of the first cost that was recorded by layer: energy under the suite's first profile, else events."""

    order = 80
    title = "Where the cost is"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        recorded = quantities(frame)
        for quantity in (quantity for metric in COSTS for quantity in recorded if quantity.metric == metric):
            selector = Selector(quantity.metric, dict(quantity.conditions))
            parts = {
                group_id: {part.name: part.value for part in by_stage(layers_of(frame, group_id, selector))}
                for group_id in list(frame.groups)[:MOST]
            }
            if any(parts.values()):
                having = len(recorded[quantity])
                return [_figure(frame, quantity, {group_id: stages for group_id, stages in parts.items() if stages}, having)]
        return []


def _figure(frame: Frame, quantity: Quantity, parts: Mapping[str, Mapping[str, float]], having: int) -> Figure:
    """``parts``: group_id -> stage -> mean over seeds; ``having``: how many variants have such costs, shown or not."""
    notes = Footnotes()
    metric = frame.metric(quantity.metric)
    display = display_for(metric, [sum(stages.values()) for stages in parts.values()])
    used = [stage for stage in STAGES if any(stage in stages for stages in parts.values())]
    names = frame.factors()
    mark = notes.mark(*columns.explanations(frame, quantity))
    heads = [
        *columns.factor_columns(names),
        *(Column(stage, stage, display) for stage in used),
        Column("sum", "sum", display, mark),
    ]
    rows = []
    for group_id, stages in parts.items():
        cells: list[Cell] = columns.factor_cells(frame, group_id, names)
        none = "This network has no such stage."
        cells += [Number(stages[s]) if s in stages else Absent(notes.mark(none)) for s in used]
        rows.append(Row((*cells, Number(sum(stages.values()))), marked=group_id == frame.baseline))
    model = quantity.condition("profile") or quantity.condition("chip")
    by = f", an estimate by {model}" if metric.kind == "estimated" and model else ""
    caption = f"{metric.title} by stage, means over seeds{by}.{columns.left_out(len(parts), having)}"
    data = Table("stages-data", caption, tuple(heads), tuple(rows), tuple(notes.texts), len(names))
    series = tuple(
        Series(s, tuple(map(float, range(len(parts)))), tuple(st.get(s, 0.0) * display.factor for st in parts.values()))
        for s in used
    )
    label = f"{metric.title} [{display.unit}]" if display.unit else metric.title
    ticks = tuple(frame.short_name(group_id) for group_id in parts)
    return Figure("stages", caption, "bars", label, "", data, series, ticks=ticks)
