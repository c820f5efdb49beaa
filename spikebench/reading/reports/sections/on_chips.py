"""What an image would cost and take on chips, what does not fit there, and which layers spikes pay in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from spikebench.core.records import Selector
from spikebench.derived.many_cores import PARTS
from spikebench.derived.on_chip import THRESHOLDS, TWINS
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import layers_of
from spikebench.reading.model.on_chips import chips_of, mean_of, parts_of, records_of
from spikebench.reading.model.summary import summarise
from spikebench.reading.reports import columns
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Figure, Footnotes, Label, Number, Row, Series, Table

COLUMNS = ("chip_energy", "chip_time", "chip_edp", "chip_count", "chip_utilisation")
PERCENT = Display("%", 100.0, 1)
RATE = Display("%", 100.0, 2)
MOST = 60
"""Rows of a table; a grid of thousands is for the exports."""


class Section:
    """Of every variant and chip the whole; of the baseline, or the first variant that has estimates, parts and layers."""

    order = 82
    title = "On chips"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        chips = chips_of(frame)
        groups = [
            group_id for group_id in frame.groups if any(group_id in records_of(frame, "chip_energy", chip=c) for c in chips)
        ]
        if not groups:
            return []
        shown = frame.baseline if frame.baseline in groups else groups[0]
        blocks: list[Block] = [_chips_table(frame, chips, groups)]
        parts = {chip: found for chip in chips if (found := parts_of(frame, shown, chip))}
        if parts:
            blocks.append(_parts_figure(frame, shown, parts))
            blocks += _layers_table(frame, shown, list(parts))
        return [*blocks, *_split_table(frame, groups)]


def _chips_table(frame: Frame, chips: Sequence[str], groups: Sequence[str]) -> Table:
    """A row for each variant on each chip."""
    notes = Footnotes()
    names = frame.factors()
    heads = [*columns.factor_columns(names), Column("chip", "chip", numeric=False)]
    body: dict[tuple[str, str], list[Cell]] = {
        (chip, group_id): [*columns.factor_cells(frame, group_id, names), Label(chip, notes.mark(_about(frame, chip)))]
        for chip in chips
        for group_id in groups
    }
    for metric in (frame.metric(name) for name in COLUMNS):
        of_chip = {chip: records_of(frame, metric.name, chip=chip) for chip in chips}
        means = [mean_of(records) for found in of_chip.values() for records in found.values()]
        heads.append(Column(metric.name, metric.title, display_for(metric, [mean for mean in means if mean is not None])))
        for chip, found in of_chip.items():
            known = [group_id for group_id in groups if group_id in found]
            rows = {group_id: summarise(frame.groups[group_id], found[group_id]) for group_id in known}
            cells = columns.cells(frame, metric, rows, [known], notes)
            for group_id in groups:
                body[chip, group_id].append(cells.get(group_id, Absent()))
    for (chip, group_id), row in body.items():
        fits = {r.reason for r in records_of(frame, "chip_count", chip=chip).get(group_id, ()) if r.value is not None}
        place = len(names) + 1 + COLUMNS.index("chip_count")
        cell = row[place]
        if fits and isinstance(cell, Number):
            row[place] = dataclasses.replace(cell, notes=(*cell.notes, *notes.mark(*sorted(fits))))
    rows_ = tuple(Row(tuple(row), marked=group_id == frame.baseline) for (_, group_id), row in list(body.items())[:MOST])
    caption = "An image on each chip: estimates from counts and the figures of a chip's file, means over seeds."
    return Table("chips", caption, tuple(heads), rows_, tuple(notes.texts), len(names) + 1)


def _about(frame: Frame, chip: str) -> str:
    """What a chip's file says of itself; one of the user's own may be out of reach here."""
    from spikebench.core.errors import InputError
    from spikebench.derived.chip import load_chip

    try:
        found = load_chip(chip)
    except InputError:
        return ""
    beyond = {
        r.reason for records in records_of(frame, "chip_energy", chip=chip).values() for r in records if r.value is not None
    }
    said = f"; {'; '.join(sorted(filter(None, beyond))[:2])}" if any(beyond) else ""
    return (
        f"{chip}, version {found.version}, figures {found.basis}: {found.source}. "
        f"It leaves out {', '.join(found.leaves_out)}{said}."
    )


def _parts_figure(frame: Frame, group_id: str, parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars of shares: chips lie decades apart."""
    used = [part for part in PARTS if any(found.get(part) for found in parts.values())]
    wholes = {chip: sum(found.values()) for chip, found in parts.items()}
    energy = frame.metric("chip_energy")
    display = display_for(energy, wholes.values())
    heads = (
        Column("chip", "chip", numeric=False),
        *(Column(part, part, PERCENT) for part in used),
        Column("chip_energy", energy.title, display),
    )
    rows = [
        Row((Label(chip), *(Number(found.get(part, 0.0) / wholes[chip]) for part in used), Number(wholes[chip])))
        for chip, found in parts.items()
    ]
    caption = f"Where the energy of {frame.name(group_id)} goes on each chip: parts of its own whole."
    notes = ("beyond: events of layers whose input is no train of spikes, charged as events although the chip cannot run them.",)
    data = Table("chip-parts-data", caption, heads, tuple(rows), notes if "beyond" in used else ())
    series = tuple(
        Series(
            part,
            tuple(map(float, range(len(parts)))),
            tuple(100 * found.get(part, 0.0) / wholes[chip] for chip, found in parts.items()),
        )
        for part in used
    )
    return Figure("chip-parts", caption, "bars", "share of the energy [%]", "", data, series, ticks=tuple(parts))


def _layers_table(frame: Frame, group_id: str, chips: Sequence[str]) -> list[Table]:
    """Which layers pay, on the suite's first chip that has energies."""
    chip = chips[0]
    rates = layers_of(frame, group_id, Selector("synaptic_rate"))
    needed = {
        twin: {
            layer.name: layer.value
            for layer in layers_of(frame, group_id, Selector("break_even_rate", {"chip": chip, "twin": twin}))
        }
        for twin in TWINS
    }
    if not rates:
        return []
    notes = Footnotes()
    none = notes.mark("No rate is low enough: without a single spike the layer costs more than its twin.")
    beyond = notes.mark("Its input is no train of spikes: there is no rate to compare.")
    heads = (
        Column("layer", "layer", numeric=False),
        Column("synaptic_rate", "synaptic rate", RATE),
        *(Column(f"break_even_rate{{twin={twin}}}", f"pays below, {twin} twin", RATE) for twin in TWINS),
        Column("pays", "pays", numeric=False),
    )
    rows = []
    for layer in rates:
        numbers = layer.input == "real" or " x " in layer.input
        cells: list[Cell] = [Label(layer.name), Number(layer.value)]
        limits = [needed[twin].get(layer.name) for twin in TWINS]
        cells += [Number(limit) if limit is not None else Absent(beyond if numbers else none) for limit in limits]
        wins = [twin for twin, limit in zip(TWINS, limits, strict=True) if limit is not None and layer.value < limit]
        rows.append(Row((*cells, Label("" if numbers else "yes" if len(wins) == len(TWINS) else ", ".join(wins) or "no"))))
    caption = (
        f"Where spikes pay in {frame.name(group_id)} on {chip}: events for each dense MAC, beside the rate below which the layer "
        "costs less than in a quantised network of equal capacity or in one of 8-bit activations, run once on digital-array."
    )
    return [Table("chip-layers", caption, heads, tuple(rows), tuple(notes.texts))]


def _split_table(frame: Frame, groups: Sequence[str]) -> list[Table]:
    """How much work a dense core would get, by the density from which on it takes a layer."""
    found = {threshold: records_of(frame, "dense_share", density=threshold) for threshold in THRESHOLDS}
    names = frame.factors()
    rows = []
    for group_id in groups[:MOST]:
        means = [mean_of(found[threshold].get(group_id, ())) for threshold in THRESHOLDS]
        if any(mean is not None for mean in means):
            cells: list[Cell] = columns.factor_cells(frame, group_id, names)
            cells += [Absent() if mean is None else Number(mean) for mean in means]
            rows.append(Row(tuple(cells), marked=group_id == frame.baseline))
    if not rows:
        return []
    heads = [Column(f"dense_share{{density={t}}}", f"from {100 * t:g} %", PERCENT) for t in THRESHOLDS]
    caption = (
        "A dense and a sparse core: the share of dense MACs in layers of at least this density; the rest is the sparse one's."
    )
    return [Table("chip-split", caption, (*columns.factor_columns(names), *heads), tuple(rows), labels=len(names))]
