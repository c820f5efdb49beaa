"""Which variants nothing else beats: accuracy against cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from spikebench.derived.statistics import Interval
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.fronts import DRAWS, Point, front, shares
from spikebench.reading.model.paired import paired_of
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.caution import guessing
from spikebench.reading.reports.columns import Summaries
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Figure, Footnotes, Number, Row, Series, Table
from spikebench.reading.reports.looks import looks

COSTS = ("energy", "events", "unit_acs")
"""The first that was recorded is the plot's axis."""
SHARE = Display("%", 100.0, 0)
NAMED = 4
"""Variants that the caption names."""
ON_FRONT = (
    f"Of {DRAWS} times that the seeds and test images were drawn again, in how many no other variant was as good in both and "
    "better in one."
)
ONE_SEED = "Some variant has one seed, which does not say what others would give."
IDLE = "No better than guessing, and on no front: what it takes little of is no merit."


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


def _figure(
    frame: Frame, dataset: str, groups: Sequence[str], axes: tuple[Quantity, Quantity], sides: Sequence[Summaries], many: bool
) -> Figure:
    metrics = [frame.metric(quantity.metric) for quantity in axes]
    cost, gain = (
        paired_of(frame, metric, {group_id: side[group_id] for group_id in groups})
        for metric, side in zip(metrics, sides, strict=True)
    )
    means = {group_id: (cost.mean(group_id), gain.mean(group_id)) for group_id in groups}
    points = {group_id: (x.estimate, y.estimate) for group_id, (x, y) in means.items() if x is not None and y is not None}
    # A network that guesses takes as little as it likes: where others learned something, it is drawn, and on no front.
    guess = set(guessing(frame, quantities(frame), groups))
    able = [group_id for group_id in points if group_id not in guess] or list(points)
    best = front({group_id: points[group_id] for group_id in able}, *metrics)
    drawn = all(side.rows[name].n > 1 for side in (cost, gain) for name in points)
    often = shares(able, cost, gain) if drawn else {}
    x_show, y_show = (display_for(metric, [p[i] for p in points.values()]) for i, metric in enumerate(metrics))
    told = looks(frame, groups)
    marks = [
        Series(
            frame.short_name(group_id),
            (x * x_show.factor,),
            (y * y_show.factor,),
            _ends(means[group_id][1], y_show),
            x_spread=_ends(means[group_id][0], x_show),
            look=told.of.get(group_id),
        )
        for group_id, (x, y) in points.items()
    ]
    ordered = sorted(points[group_id] for group_id in best)
    line = Series("front", tuple(x * x_show.factor for x, _ in ordered), tuple(y * y_show.factor for _, y in ordered))
    key = f"pareto-{dataset}" if many else "pareto"
    said = "; ".join(columns.explanations(frame, axes[0]))
    where = f" on {dataset}" if many else ""
    known = any(mark.spread is not None or mark.x_spread is not None for mark in marks)
    within = " with 95 % intervals, which may go on beyond the plot" if known else ""
    caption = " ".join(
        filter(
            None,
            [
                f"{metrics[1].title} against {metrics[0].title.lower()}{where}; means{within}.",
                "What does no better than guessing is on no front." if len(able) < len(points) else "",
                _most(frame, often),
                said,
                told.said,
            ],
        )
    )
    share: dict[str, Number | str] = dict.fromkeys(groups, ONE_SEED) | {str(name): Number(n) for name, n in often.items()}
    share |= {group_id: IDLE for group_id in groups if group_id not in able}
    data = _table(frame, f"{key}-data", caption, axes, sides, (x_show, y_show), groups, share)
    y_top = 1.002 * y_show.factor if y_show.unit == "%" else None
    x_label, y_label = (f"{m.title} [{d.unit}]" if d.unit else m.title for m, d in zip(metrics, (x_show, y_show), strict=True))
    log = _spans_decades(points)
    return Figure(key, caption, "points", x_label, y_label, data, (line, *marks), log_x=log, y_top=y_top, keys=told.keys)


def _most(frame: Frame, often: Mapping[Hashable, float]) -> str:
    """Which are on the front most often, where that is not certain."""
    ranked = sorted(often, key=lambda group_id: -often[group_id])[:NAMED]
    if not any(0 < share < 1 for share in often.values()):
        return ""
    named = ", ".join(f"{frame.short_name(str(group_id))} {100 * often[group_id]:.0f} %" for group_id in ranked)
    return f"On the front when seeds and test images are drawn again: {named}{', others less' if len(often) > NAMED else ''}."


def _table(
    frame: Frame,
    key: str,
    caption: str,
    axes: tuple[Quantity, Quantity],
    sides: Sequence[Summaries],
    shown: tuple[Display, Display],
    groups: Sequence[str],
    share: Mapping[str, Number | str],
) -> Table:
    """Cheapest first. ``share``: how often on the front, or why that is not said."""
    notes, names = Footnotes(), frame.factors()
    everything = quantities(frame)
    cost, gain = (
        columns.numbers(frame, frame.metric(q.metric), {g: side[g] for g in groups}, everything[q], [], notes)
        for q, side in zip(axes, sides, strict=True)
    )
    value = {group_id: (cell.value if isinstance(cell := cost[group_id], Number) else 0.0) for group_id in groups}
    rows = [
        Row((*columns.factor_cells(frame, group_id, names), cost[group_id], gain[group_id], _told(share[group_id], notes)))
        for group_id in sorted(groups, key=lambda group_id: value[group_id])
    ]
    heads = (
        *columns.factor_columns(names),
        *(Column(columns.key(q), frame.metric(q.metric).title, show) for q, show in zip(axes, shown, strict=True)),
        Column("front", "on the front", SHARE, notes.mark(ON_FRONT)),
    )
    return Table(key, caption, heads, tuple(rows), tuple(notes.texts), len(names))


def _told(share: Number | str, notes: Footnotes) -> Cell:
    return Absent(notes.mark(share)) if isinstance(share, str) else share


def _ends(interval: Interval | None, shown: Display) -> tuple[tuple[float, float], ...] | None:
    if interval is None or interval.ends is None:
        return None
    low, high = interval.ends
    return ((low * shown.factor, high * shown.factor),)


def _spans_decades(points: dict[str, Point]) -> bool:
    costs = [x for x, _ in points.values()]
    return min(costs) > 0 and max(costs) / min(costs) > 30
