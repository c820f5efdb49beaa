"""How training went: validation loss and accuracy by epoch, means over seeds with their 95 % intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from spikebench.core.metrics import Metric
from spikebench.reading.model.chance import OF_CLASSES
from spikebench.reading.model.display import display_for, is_fraction
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Paired
from spikebench.reading.model.summary import Summary, quantity_of
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Block, Cell, Column, Figure, Footnotes, Number, Row, Series, Table
from spikebench.reading.reports.drawing import TOLD_APART
from spikebench.reading.reports.intervals import alike_in_columns
from spikebench.reading.reports.looks import looks

Points = dict[str, dict[int, dict[tuple[str, str], float]]]
"""group_id -> epoch -> (machine, cell) -> value."""
CURVES = ("epoch_accuracy", "epoch_loss", "epoch_training_loss", "reconstruction_loss")


class Section:
    """One plot per metric, one line per variant; a point stands on the seeds that got as far as that epoch."""

    order = 65
    title = "Training"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return [figure for name in CURVES for figure in _figures(frame, name)]


def _figures(frame: Frame, name: str) -> list[Figure]:
    """None for fewer than two epochs: a point is no curve."""
    points: Points = {}
    for record in frame.by_metric.get(name, ()):
        group_id, epoch = frame.group_of(record), record.conditions.get("epoch")
        if group_id is not None and isinstance(epoch, int) and record.value is not None:
            machine_id = quantity_of(frame, record).machine_id
            points.setdefault(group_id, {}).setdefault(epoch, {})[machine_id, record.cell_id] = record.value
    epochs = sorted({epoch for curve in points.values() for epoch in curve})
    if len(epochs) < 2:
        return []
    metric = frame.metric(name)
    display = display_for(metric, [value for curve in points.values() for seeds in curve.values() for value in seeds.values()])
    notes, names = Footnotes(), frame.factors()
    groups = [group_id for group_id in frame.groups if group_id in points]
    told = looks(frame, groups, panels=len(groups) > TOLD_APART)
    by_epoch = {epoch: _paired(frame, metric, points, epoch) for epoch in epochs}
    beside = Counter(told.of[group_id].panel if group_id in told.of else 0 for group_id in groups)
    banded = min(beside.values()) <= TOLD_APART  # a panel with more lines has no bands
    series, body = [], []
    for group_id in groups:
        curve = {epoch: side.rows[group_id] for epoch, side in by_epoch.items() if group_id in side.rows}
        asked = curve if banded else (min(curve), max(curve))
        means = {epoch: mean for epoch in asked if (mean := by_epoch[epoch].mean(group_id)) is not None}
        ends = [mean.ends for mean in means.values() if mean.ends is not None] if banded else []
        series.append(
            Series(
                frame.short_name(group_id),
                tuple(map(float, curve)),
                tuple(fmean(summary.values.values()) * display.factor for summary in curve.values()),
                tuple((low * display.factor, high * display.factor) for low, high in ends) if len(ends) == len(curve) else None,
                look=told.of.get(group_id),
            )
        )
        last = max(means)
        cells: list[Cell] = [*columns.factor_cells(frame, group_id, names), Number(last)]
        for epoch in (min(means), last):
            cell: Cell = columns.mean_cell(metric, means[epoch], means[epoch].n)
            if name in OF_CLASSES and epoch == last:
                own = [r for r in frame.by_group[group_id] if r.metric == name and r.conditions.get("epoch") == epoch]
                cell = columns.with_chance(frame, cell, own, notes)
            cells.append(cell)
        body.append(cells)
    heads = [*columns.factor_columns(names), Column("epochs", "epochs", columns.WHOLE)]
    heads += [Column(f"{name}:{which}", f"{metric.title}, {which} epoch", display) for which in ("first", "last")]
    unit = f" [{display.unit}]" if display.unit else ""
    caption = f"{metric.title} by epoch ({metric.note})." if metric.note else f"{metric.title} by epoch."
    caption += " Bands are 95 % intervals." if any(one.spread is not None for one in series) else ""
    caption += f" {told.said}" if told.said else ""
    rows = tuple(map(Row, alike_in_columns(body)))
    data = Table(f"{name}-data", caption, tuple(heads), rows, tuple(notes.texts), max(len(names), 1))
    top = display.factor if is_fraction(metric) else None
    return [Figure(name, caption, "lines", "epoch", metric.title + unit, data, tuple(series), y_top=top, keys=told.keys)]


def _paired(frame: Frame, metric: Metric, points: Points, epoch: int) -> Paired:
    """One epoch of all variants: a variant's own seeds, several machines' values of one seed averaged."""
    rows = {}
    for group_id, curve in points.items():
        by_seed: dict[int, list[float]] = {}
        for (_, cell_id), value in curve.get(epoch, {}).items():
            by_seed.setdefault(frame.groups[group_id].seeds[cell_id], []).append(value)
        rows[group_id] = Summary({seed: fmean(values) for seed, values in by_seed.items()}, {}, False)
    return Paired(metric, rows)
