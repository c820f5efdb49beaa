"""A checkpoint measured as its paper defines the network, and as its released code computes it, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebench.core.metrics import headline
from spikebench.core.records import Record, label
from spikebench.reading.model.display import display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import is_whole
from spikebench.reading.reports.document import Block, Column, Label, Row, Table, Text


def difference(frames: Mapping[str, Frame], quirks: Mapping[str, str]) -> Sequence[Block]:
    """The headline metrics of both, and by how much they differ; ``quirks``: name -> sentence of what was reproduced."""
    told = [Text(f"quirk {name}: {sentence}") for name, sentence in quirks.items()]
    without, released = (_values(frames[name]) for name in ("none", "released"))
    rows = []
    for address, one in without.items():
        other = released.get(address)
        if other is None or one.value is None or other.value is None:
            continue
        metric = frames["none"].metric(one.metric)
        display = display_for(metric, [one.value, other.value])
        signed = display_for(metric, [one.value, other.value], signed=True)
        unit = f" {display.unit}" if display.unit else ""
        cells = [Label(address), Label(display.number(one.value) + unit), Label(display.number(other.value) + unit)]
        rows.append(Row((*cells, Label(signed.number(other.value - one.value) + unit))))
    if not rows:
        return told
    heads = [("metric", "metric"), ("none", "quirks: none"), ("released", "quirks: released"), ("difference", "difference")]
    columns = tuple(Column(key, heading, numeric=False) for key, heading in heads)
    caption = "Published numbers were had with the released code; the network as its paper defines it is the one without."
    return [*told, Table("quirks", caption, columns, tuple(rows), labels=len(columns))]


def _values(frame: Frame) -> Mapping[str, Record]:
    names = headline()
    whole = [record for record in frame.records if record.metric in names and is_whole(record)]
    return {label(record): record for record in sorted(whole, key=lambda record: names.index(record.metric))}
