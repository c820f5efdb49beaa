"""What is wrong with the files of a data set: such as cannot be read, and test images that were trained on."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.columns import WHOLE
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Label, Number, Row, Table

METRICS = ("unreadable_samples", "shared_samples")


class Section:
    """A row for each split of which something is wrong, with the largest count that any job met."""

    order = 19
    title = "Files of the data set"
    trials = True
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for metric in METRICS:
            for record in frame.by_metric.get(metric, ()):
                if record.value:
                    dataset = str(frame.cell_factors.get(record.cell_id, {}).get("dataset"))
                    row = found.setdefault((dataset, str(record.conditions.get("split"))), {})
                    row[metric] = max(row.get(metric, 0), int(record.value))
        if not found:
            return []
        heads = (
            Column("dataset", "data set", numeric=False),
            Column("split", "split", numeric=False),
            Column("unreadable_samples", "left out", WHOLE),
            Column("shared_samples", "also in train", WHOLE),
        )
        rows = tuple(
            Row((Label(dataset), Label(split), *(_cell(row.get(metric)) for metric in METRICS)))
            for (dataset, split), row in sorted(found.items())
        )
        caption = "Files that cannot be read are left out of their split; test files that training has seen flatter the accuracy."
        return [Table("files", caption, heads, rows, labels=2)]


def _cell(count: int | None) -> Cell:
    return Absent() if count is None else Number(count)
