"""How often neurons fire: rates by layer, and by time step where they were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.stages import merged
from spikebench.reading.reports.columns import left_out
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Figure, Footnotes, Label, Number, Row, Table

RATE = Display("%", 100.0, 1)
MOST_GROUPS = 12


class Section:
    """Heat maps: layers by variants, and for the baseline (or the only variant) layers by time steps."""

    order = 70
    title = "Firing rates"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        layers: dict[str, dict[str, list[float]]] = {}
        orders: dict[str, dict[str, None]] = {}
        steps: dict[str, dict[str, dict[int, list[float]]]] = {}
        known = (record for record in frame.by_metric.get("firing_rate", ()) if record.scope and record.value is not None)
        for record in of_one_question(known, apart=("t",)):
            group_id = frame.group_of(record)
            if group_id is None or record.value is None:
                continue
            if "t" in record.conditions:
                t = int(record.conditions["t"])
                steps.setdefault(group_id, {}).setdefault(record.scope, {}).setdefault(t, []).append(record.value)
            else:
                orders.setdefault(group_id, {})[record.scope] = None
                layers.setdefault(record.scope, {}).setdefault(group_id, []).append(record.value)
        found: list[Block] = []
        recorded = [group_id for group_id in frame.groups if any(group_id in row for row in layers.values())]
        groups = recorded[:MOST_GROUPS]
        if layers:
            names = {group_id: frame.short_name(group_id) for group_id in groups}
            scopes = merged(orders[group_id] for group_id in groups)
            means = {scope: {names[g]: fmean(layers[scope][g]) for g in groups if g in layers[scope]} for scope in scopes}
            caption = "Firing rate by neuron layer: spikes per neuron and time step, mean over test images and seeds."
            caption += left_out(len(groups), len(recorded))
            found.append(heatmap("firing", caption, "variant", means, list(names.values()), _why_absent, _silent))
        chosen = frame.baseline if frame.baseline in steps else next(iter(steps), None)
        if chosen is not None:
            by_step = {scope: {str(t): fmean(v) for t, v in row.items()} for scope, row in steps[chosen].items()}
            ticks = sorted({t for row in by_step.values() for t in row}, key=int)
            caption = f"Firing rate by layer and time step: {frame.short_name(chosen)}."
            found.append(heatmap("firing-by-step", caption, "time step", by_step, ticks, _why_absent))
        return found


def heatmap(
    key: str,
    caption: str,
    x_label: str,
    rows: Mapping[str, Mapping[str, float]],
    ticks: Sequence[str],
    why: str,
    silent: str = "",
) -> Figure:
    """``rows``: scope -> tick -> fraction. What a network does not have is a dash with the reason ``why``; ``silent``: of a 0."""
    notes = Footnotes()
    scopes = list(rows)

    def cell(value: float | None) -> Cell:
        if value is None:
            return Absent(notes.mark(why))
        return Number(value, notes=notes.mark(silent if value == 0 else ""))

    body = tuple(Row((Label(scope), *(cell(rows[scope].get(tick)) for tick in ticks))) for scope in scopes)
    heads = (Column("layer", "layer", numeric=False), *(Column(tick, tick.replace(" ", ", "), RATE) for tick in ticks))
    grid = tuple(tuple(None if (v := rows[scope].get(tick)) is None else v * RATE.factor for tick in ticks) for scope in scopes)
    data = Table(f"{key}-data", f"{caption} In percent.", heads, body, tuple(notes.texts))
    return Figure(
        key,
        f"{caption} In percent.",
        "heatmap",
        x_label,
        "firing rate [%]",
        data,
        ticks=tuple(ticks),
        row_names=tuple(scopes),
        grid=grid,
    )


_why_absent = "This network has no such layer."
_silent = "This layer never fires: nothing passes there."
