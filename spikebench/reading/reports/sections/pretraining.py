"""What pre-training learned and what it costs: loss and mean line, painted images, cost of a step, accuracy by seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from spikebench.core.records import Record
from spikebench.reading.model import factors
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import (
    Absent,
    Block,
    Cell,
    Column,
    Figure,
    Footnotes,
    Label,
    Number,
    Row,
    Series,
    Table,
)

COSTS = ("step_seconds", "step_macs", "step_peak_memory")
PARTS = ("input", "masked", "reconstruction")


class Section:
    """Nothing where nothing was pre-trained and no step was timed."""

    order = 67
    title = "Pre-training"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return [*_curves(frame), *_images(frame), *_steps(frame), *_totals(frame)]


def _pretrainings(frame: Frame) -> dict[str, str]:
    """cell_id of each pre-training -> its name: what distinguishes it from the others, seed included."""
    ids = dict.fromkeys(record.cell_id for record in frame.by_metric.get("reconstruction_loss", ()))
    rows = {cell_id: frame.cell_factors[cell_id] for cell_id in ids}
    names = factors.differing(list(rows.values()))
    return {cell_id: f"{factors.name_of(row, names)} seed={row.get('seed')}" for cell_id, row in rows.items()}


def _curves(frame: Frame) -> Iterator[Block]:
    """Two lines for each pre-training: its loss, and what answering with each hidden patch's mean would have cost."""
    series, rows = [], []
    display = Display(decimals=4)
    for cell_id, name in _pretrainings(frame).items():
        curves = {
            metric: {
                int(record.conditions["epoch"]): record.value
                for record in frame.by_metric.get(metric, ())
                if record.cell_id == cell_id and record.value is not None and "epoch" in record.conditions
            }
            for metric in ("reconstruction_loss", "reconstruction_mean_line")
        }
        loss, line = (dict(sorted(curve.items())) for curve in curves.values())
        if not loss or not line:
            continue
        series += [_series(name, loss), _series(f"{name}: mean line", line)]
        last = max(loss)
        below = next((epoch for epoch, value in loss.items() if value < line.get(epoch, 0.0)), None)
        cells: list[Cell] = [Label(name), Number(last), Number(loss[min(loss)]), Number(loss[last]), Number(line[last])]
        rows.append(Row((*cells, Label("never") if below is None else Number(below))))
    if not rows:
        return
    heads = (
        Column("pretraining", "pre-training", numeric=False),
        Column("epochs", "epochs", columns.WHOLE),
        Column("first", "loss, first epoch", display),
        Column("last", "loss, last epoch", display),
        Column("mean_line", "mean line", display),
        Column("below", "below it from epoch", columns.WHOLE),
    )
    caption = (
        "Reconstruction loss of hidden patches by epoch. The mean line is what answering with each hidden patch's own mean would "
        "cost: below it the network has learned something."
    )
    yield Figure(
        "reconstruction",
        caption,
        "lines",
        "epoch",
        "loss",
        Table("reconstruction-data", caption, heads, tuple(rows)),
        tuple(series),
    )


def _series(name: str, curve: Mapping[int, float | int]) -> Series:
    return Series(name, tuple(map(float, curve)), tuple(map(float, curve.values())))


def _images(frame: Frame) -> Iterator[Block]:
    """Input, masked input and reconstruction of each example of each pre-training, below one another."""
    found: dict[str, dict[int, dict[str, Record]]] = {}
    for record in frame.by_metric.get("reconstruction_example", ()):
        if record.samples:
            images = found.setdefault(record.cell_id, {})
            images.setdefault(int(record.conditions["image"]), {})[str(record.conditions["part"])] = record
    for number, (cell_id, name) in enumerate(_pretrainings(frame).items()):
        images = {index: parts for index, parts in sorted(found.get(cell_id, {}).items()) if set(parts) == set(PARTS)}
        if not images:
            continue
        rows = tuple(Row((Label(str(index)), Number(_value(parts["reconstruction"])))) for index, parts in images.items())
        heads = (Column("image", "image", numeric=False), Column("error", "squared error of hidden pixels", Display(decimals=4)))
        caption = f"Input, masked input and reconstruction: {name}. Normalised answers get the true patch's mean and variance."
        data = Table(f"reconstruction-images-{number}-data", caption, heads, rows)
        key = f"reconstruction-images-{number}"
        grid = _side_by_side([[_pixels(parts[part]) for part in PARTS] for parts in images.values()])
        yield Figure(key, caption, "images", "", "", data, row_names=PARTS, grid=grid)


def _pixels(record: Record) -> list[list[float]]:
    """Rows of an image; its channels are averaged."""
    samples, channels = list(record.samples or ()), int(record.conditions.get("channels", 1))
    size = round((len(samples) / channels) ** 0.5)
    planes = [samples[plane * size * size : (plane + 1) * size * size] for plane in range(channels)]
    flat = [fmean(values) for values in zip(*planes, strict=True)]
    return [flat[row * size : (row + 1) * size] for row in range(size)]


def _side_by_side(examples: Sequence[Sequence[Sequence[Sequence[float]]]]) -> tuple[tuple[float | None, ...], ...]:
    """An example's parts in a column of its own, pixels never below 0 or above what its input has; a gap between all."""
    rows: list[tuple[float | None, ...]] = []
    ranges = [(min(map(min, parts[0])), max(map(max, parts[0]))) for parts in examples]
    for band in zip(*examples, strict=True):
        rows += [(None,) * len(rows[0])] if rows else []
        for lines in zip(*band, strict=True):
            row: list[float | None] = []
            for line, (low, high) in zip(lines, ranges, strict=True):
                row += [*(None for _ in range(bool(row))), *(min(max((x - low) / ((high - low) or 1.0), 0.0), 1.0) for x in line)]
            rows.append(tuple(row))
    return tuple(rows)


def _steps(frame: Frame) -> Iterator[Block]:
    """A row for each network and mask ratio: what a masked step costs, beside the supervised one and as a ratio."""
    notes, names = Footnotes(), frame.factors()
    heads = [*columns.factor_columns(names), Column("mask_ratio", "mask ratio"), Column("stem", "stem", numeric=False)]
    for name in COSTS:
        metric = frame.metric(name) if frame.by_metric.get(name) else None
        if metric is None:
            return
        values = [record.value for record in frame.by_metric[name] if record.value is not None]
        mark = notes.mark(f"{metric.title}: {metric.note}.")
        heads.append(Column(name, metric.title, display_for(metric, values), mark))
        heads.append(Column(f"{name}:ratio", "supervised / this", Display(decimals=2)))
    rows = []
    for group_id in frame.groups:
        costs = _costs(frame, group_id)
        for kind, ratio in costs:
            cells: list[Cell] = [*columns.factor_cells(frame, group_id, names)]
            cells += [
                Number(float(ratio)) if ratio else Label("supervised"),
                Label({"masked": "sparse", "masked-dense": "dense"}.get(kind, "-")),
            ]
            for name in COSTS:
                own, base = costs[kind, ratio].get(name), costs.get(("supervised", ""), {}).get(name)
                cells.append(Absent() if own is None else Number(own))
                cells.append(Absent() if not own or not base or kind == "supervised" else Number(base / own))
            rows.append(Row(tuple(cells)))
    caption = "Cost of a masked pre-training step against a supervised step of the same network."
    yield Table("pretraining-cost", caption, tuple(heads), tuple(rows), tuple(notes.texts), len(names) + 2)


def _costs(frame: Frame, group_id: str) -> dict[tuple[str, str], dict[str, float]]:
    """(kind, mask ratio) -> metric -> mean over seeds."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name in COSTS:
        for record in frame.by_metric.get(name, ()):
            if frame.group_of(record) == group_id and record.value is not None:
                key = str(record.conditions["kind"]), str(record.conditions.get("mask_ratio", ""))
                found.setdefault(key, {}).setdefault(name, []).append(float(record.value))
    return {key: {name: fmean(values) for name, values in costs.items()} for key, costs in found.items()}


def _totals(frame: Frame) -> Iterator[Block]:
    """Accuracy against the seconds of all optimisation steps, those of the pre-training included."""
    if not frame.by_metric.get("reconstruction_loss"):
        return
    own, before = (_seconds(frame, name) for name in ("epoch_seconds", "pretraining_seconds"))
    notes, names = Footnotes(), frame.factors()
    metric = frame.metric("accuracy") if frame.by_metric.get("accuracy") else None
    if metric is None:
        return
    series, rows = [], []
    display = Display(metric.display_unit, metric.display_factor, metric.digits)
    records = {
        group_id: [r for r in frame.by_group.get(group_id, ()) if r.metric == "accuracy" and not _other_steps(frame, r)]
        for group_id in frame.groups
    }
    summaries = columns.summaries(frame, frame.groups, records)
    accuracies = columns.numbers(frame, metric, summaries, records, [], notes)
    for group_id, group in frame.groups.items():
        seconds = {cell_id: own.get(cell_id, 0.0) + _before(frame, cell_id, before) for cell_id in group.seeds if cell_id in own}
        accuracy = accuracies[group_id]
        if not isinstance(accuracy, Number) or not seconds:
            continue
        total, first = fmean(seconds.values()), fmean(_before(frame, cell_id, before) for cell_id in seconds)
        series.append(Series(frame.short_name(group_id), (total,), (accuracy.value * metric.display_factor,)))
        cells: list[Cell] = [*columns.factor_cells(frame, group_id, names), Number(first), Number(total)]
        rows.append(Row((*cells, accuracy)))
    if not rows:
        return
    mark = notes.mark(
        "Optimisation steps alone, mean over seeds; a pre-training that several cells share counts for each of them."
    )
    heads = [*columns.factor_columns(names), Column("before", "pre-training", Display("s", 1.0, 1), mark)]
    heads += [Column("total", "in all", Display("s", 1.0, 1), mark), Column("accuracy", metric.title, display)]
    caption = "Test accuracy against total seconds of training, pre-training included."
    data = Table("pretraining-seconds-data", caption, tuple(heads), tuple(rows), tuple(notes.texts), max(len(names), 1))
    unit = f" [{metric.display_unit}]" if metric.display_unit else ""
    yield Figure("pretraining-seconds", caption, "points", "seconds in all", metric.title + unit, data, tuple(series))


def _seconds(frame: Frame, name: str) -> dict[str, float]:
    """cell_id -> seconds of all epochs; of the machine that recorded most of them."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in frame.by_metric.get(name, ()):
        if record.value is not None:
            found.setdefault((record.cell_id, record.machine_id), []).append(float(record.value))
    longest: dict[str, list[float]] = {}
    for (cell_id, _), values in found.items():
        if len(values) > len(longest.get(cell_id, [])):
            longest[cell_id] = values
    return {cell_id: sum(values) for cell_id, values in longest.items()}


def _before(frame: Frame, cell_id: str, seconds: Mapping[str, float]) -> float:
    """Seconds of the pre-training that a cell began with; 0 without one."""
    from spikebench.core.cells import Cell as Stored

    if not frame.cells[cell_id].get("pretraining"):
        return 0.0
    before = Stored.from_plain(frame.cells[cell_id]).pretraining_cell
    return seconds.get(before.cell_id, 0.0) if before else 0.0


def _other_steps(frame: Frame, record: Record) -> bool:
    own = frame.cell_factors[record.cell_id].get("T")
    return record.conditions.get("T", own) != own


def _value(record: Record) -> float:
    assert record.value is not None
    return float(record.value)
