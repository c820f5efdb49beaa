"""How spike-driven the network is: which layers receive anything but binary spikes, and what share of the cost that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebench.core.records import Selector
from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import Layer, layers_of
from spikebench.reading.model.summary import quantities
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Footnotes, Label, Number, Row, Table, Text

SHARE = Display("%", 100.0, 1)


class Section:
    """Of the baseline, or the first variant that has counts: every layer fed by integers or real numbers, products among them."""

    order = 75
    title = "Spike-driven audit"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        energy = next((q for q in quantities(frame) if q.metric == "energy"), None)
        for group_id in ([frame.baseline] if frame.baseline else []) + list(frame.groups):
            events = layers_of(frame, group_id, Selector("events"))
            if events:
                joules = [] if energy is None else layers_of(frame, group_id, Selector("energy", dict(energy.conditions)))
                name = ("The baseline, " if group_id == frame.baseline else "") + frame.name(group_id)
                return _blocks(name, events, {layer.name: layer for layer in joules})
        return []


def is_binary(layer: Layer) -> bool:
    """Whether all that the layer receives is spikes; of a product, both operands."""
    return all(kind == "binary" for kind in layer.input.split(" x "))


def _blocks(name: str, events: Sequence[Layer], joules: Mapping[str, Layer]) -> list[Block]:
    other = [layer for layer in events if not is_binary(layer)]
    if not other:
        return [Text(f"{name}: all {len(events)} layers receive binary spikes and nothing else.")]
    whole, energy = sum(layer.value for layer in events), sum(layer.value for layer in joules.values())
    notes = Footnotes()

    def share(layer: Layer | None, of: float, why: str) -> Cell:
        return Number(layer.value / of) if layer is not None and of else Absent(notes.mark(why))

    rows = [
        Row(
            (
                Label(layer.name),
                Label(layer.input),
                share(layer, whole, "There were no events at all."),
                share(joules.get(layer.name), energy, "No energy was estimated for this layer."),
            )
        )
        for layer in other
    ]
    part = sum(layer.value for layer in other) / whole if whole else 0.0
    heads = (
        Column("layer", "layer", numeric=False),
        Column("input", "receives", numeric=False),
        Column("events", "share of SOPs", SHARE),
        Column("energy", "share of energy", SHARE),
    )
    said = (
        f"{name}: {len(other)} of {len(events)} layers receive more than binary spikes; they do {100 * part:.1f} % of the SOPs."
    )
    caption = f"{said} Integers are sums of spikes (residual streams, products): hardware for spikes alone takes them one by one."
    return [Table("spike-driven", caption, heads, tuple(rows), tuple(notes.texts))]
