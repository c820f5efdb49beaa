"""How training went: validation loss and accuracy by epoch, means over seeds with their 95 % t intervals."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.derived.statistics import mean_interval
from spikebench.reading.model.display import display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import quantity_of
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Block, Cell, Column, Figure, Number, Row, Series, Table

CURVES = ("epoch_accuracy", "epoch_loss", "epoch_training_loss", "reconstruction_loss")


class Section:
    """One plot per metric, one line per variant; a point stands on the seeds that got as far as that epoch."""

    order = 65
    title = "Training"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return [figure for name in CURVES for figure in _figures(frame, name)]


def _figures(frame: Frame, name: str) -> list[Figure]:
    """None for fewer than two epochs: a point is no curve."""
    points: dict[str, dict[int, dict[str, float]]] = {}
    for record in frame.by_metric.get(name, ()):
        group_id, epoch = frame.group_of(record), record.conditions.get("epoch")
        if group_id is not None and isinstance(epoch, int) and record.value is not None:
            points.setdefault(group_id, {}).setdefault(epoch, {})[quantity_of(frame, record).machine_id + record.cell_id] = (
                record.value
            )
    epochs = sorted({epoch for curve in points.values() for epoch in curve})
    if len(epochs) < 2:
        return []
    metric = frame.metric(name)
    display = display_for(metric, [value for curve in points.values() for seeds in curve.values() for value in seeds.values()])
    series, rows = [], []
    names = frame.factors()
    for group_id in (group_id for group_id in frame.groups if group_id in points):
        means = {epoch: mean_interval(list(seeds.values())) for epoch, seeds in sorted(points[group_id].items())}
        # The interval of two seeds is wider than the plot: it is in the table alone.
        halves = [mean.half_width for mean in means.values() if mean.n > 2]
        series.append(
            Series(
                frame.short_name(group_id),
                tuple(map(float, means)),
                tuple(mean.estimate * display.factor for mean in means.values()),
                tuple((half or 0.0) * display.factor for half in halves) if len(halves) == len(means) else None,
            )
        )
        last = max(means)
        cells: list[Cell] = [*columns.factor_cells(frame, group_id, names), Number(last)]
        cells += [Number(mean.estimate, mean.half_width, mean.n) for mean in (means[min(means)], means[last])]
        rows.append(Row(tuple(cells)))
    heads = [*columns.factor_columns(names), Column("epochs", "epochs", columns.WHOLE)]
    heads += [Column(f"{name}:{which}", f"{metric.title}, {which} epoch", display) for which in ("first", "last")]
    unit = f" [{display.unit}]" if display.unit else ""
    caption = f"{metric.title} by epoch ({metric.note})." if metric.note else f"{metric.title} by epoch."
    data = Table(f"{name}-data", caption, tuple(heads), tuple(rows), labels=max(len(names), 1))
    return [Figure(name, caption, "lines", "epoch", metric.title + unit, data, tuple(series))]
