"""What it costs in time, memory and power on the machine that measured: latency, throughput, first call, peak memory."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.metrics import headline
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import quantities
from spikebench.reading.reports.document import Block
from spikebench.reading.reports.sections.comparison import chosen_quantities, table

ELSEWHERE = ("epoch_", "first_step_loss", "learning_rate", "kernel_", "copy_", "step_seconds", "step_peak_")


class Section:
    """Every metric that holds on one machine alone; machines are never pooled, each has its columns."""

    order = 40
    title = "Speed, memory and power"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        everything = quantities(frame)
        shown = chosen_quantities(frame, everything)
        found = {
            quantity: records
            for quantity, records in sorted(
                everything.items(), key=lambda item: (item[0].metric, _number_aware(item[0].conditions))
            )
            if not frame.metric(quantity.metric).portable
            and quantity.metric not in headline()
            and not quantity.metric.startswith(ELSEWHERE)
            and quantity not in shown
        }
        return (
            [table(frame, found, "speed", "Times are medians of repeated calls; the samples are kept in the records.")]
            if found
            else []
        )


def _number_aware(conditions: Sequence[tuple[str, str]]) -> list[tuple[str, float, str]]:
    """``batch_size=8`` before ``batch_size=32``."""
    return [(name, float(value) if value.replace(".", "", 1).isdigit() else 0.0, value) for name, value in conditions]
