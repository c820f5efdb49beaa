"""Which variants nothing else beats: accuracy against cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.metrics import Metric
from spikebench.reading.model.display import display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.columns import Summaries
from spikebench.reading.reports.document import Block, Cell, Column, Figure, Label, Number, Row, Series, Table
from spikebench.reading.reports.plots import TOLD_APART

COSTS = ("energy", "events", "unit_acs")
"""The first that was recorded is the plot's axis."""
Point = tuple[float, float]


class Section:
    """One plot for the first data set that has several variants; means over seeds."""

    order = 50
    title = "Accuracy against cost"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        everything = quantities(frame)
        accuracy = next((q for q in everything if q.metric == "accuracy" and not q.condition("T")), None)
        cost = next((q for metric in COSTS for q in everything if q.metric == metric), None)
        if accuracy is None or cost is None:
            return []
        sides = [columns.summaries(frame, frame.groups, everything[quantity]) for quantity in (cost, accuracy)]
        datasets: dict[object, list[str]] = {}
        for group_id, group in frame.groups.items():
            if all(side[group_id].values for side in sides):
                datasets.setdefault(group.factors.get("dataset"), []).append(group_id)
        several = [(dataset, groups) for dataset, groups in datasets.items() if len(groups) > 1]
        return [
            _figure(frame, str(dataset), groups, (cost, accuracy), sides, many=len(several) > 1) for dataset, groups in several
        ]


def front(points: dict[str, Point], cost: Metric, gain: Metric) -> set[str]:
    """The names of the points that no other point equals or beats in both, beating it in one."""

    def beats(a: Point, b: Point) -> bool:
        no_worse = not cost.better(b[0], a[0]) and not gain.better(b[1], a[1])
        return no_worse and (cost.better(a[0], b[0]) or gain.better(a[1], b[1]))

    return {name for name, point in points.items() if not any(beats(other, point) for other in points.values())}


def _figure(
    frame: Frame, dataset: str, groups: Sequence[str], axes: tuple[Quantity, Quantity], sides: Sequence[Summaries], many: bool
) -> Figure:
    metrics = [frame.metric(quantity.metric) for quantity in axes]
    means = {group_id: [side[group_id].interval() for side in sides] for group_id in groups}
    points = {group_id: (x.estimate, y.estimate) for group_id, (x, y) in means.items() if x is not None and y is not None}
    best = front(points, *metrics)
    x_show, y_show = (display_for(metric, [p[i] for p in points.values()]) for i, metric in enumerate(metrics))
    names = frame.factors()
    marks = [
        Series(
            frame.short_name(group_id),
            (x * x_show.factor,),
            (y * y_show.factor,),
            tuple((interval.half_width or 0.0) * y_show.factor for interval in means[group_id][1:] if interval is not None),
        )
        # A plot has colours for so many: those on the front first.
        for group_id, (x, y) in sorted(points.items(), key=lambda point: len(points) > TOLD_APART and point[0] not in best)
    ]
    ordered = sorted(points[group_id] for group_id in best)
    line = Series("front", tuple(x * x_show.factor for x, _ in ordered), tuple(y * y_show.factor for _, y in ordered))
    rows = []
    for group_id in sorted(points, key=lambda group_id: points[group_id]):
        x, y = means[group_id]
        cells: list[Cell] = columns.factor_cells(frame, group_id, names)
        cells += [
            Number(m.estimate, columns.half_width(of, m), m.n) for of, m in zip(metrics, (x, y), strict=True) if m is not None
        ]
        rows.append(Row((*cells, Label("yes" if group_id in best else ""))))
    heads = (
        *columns.factor_columns(names),
        *(Column(columns.key(q), m.title, show) for q, m, show in zip(axes, metrics, (x_show, y_show), strict=True)),
        Column("front", "on the front", numeric=False),
    )
    key = f"pareto-{dataset}" if many else "pareto"
    said = "; ".join(columns.explanations(frame, axes[0]))
    where = f" on {dataset}" if many else ""
    caption = f"{metrics[1].title} against {metrics[0].title}{where}; means over seeds. {said}".strip()
    data = Table(f"{key}-data", caption, heads, tuple(rows), labels=len(names))
    y_top = 1.002 * y_show.factor if y_show.unit == "%" else None
    labels = [f"{m.title} [{d.unit}]" if d.unit else m.title for m, d in zip(metrics, (x_show, y_show), strict=True)]
    return Figure(key, caption, "points", labels[0], labels[1], data, (line, *marks), log_x=_spans_decades(points), y_top=y_top)


def _spans_decades(points: dict[str, Point]) -> bool:
    costs = [x for x, _ in points.values()]
    return min(costs) > 0 and max(costs) / min(costs) > 30
