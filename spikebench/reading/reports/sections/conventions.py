"""How much the definition of an operation matters: one network's total under every convention."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Block
from spikebench.reading.reports.explain import conventions_blocks


class Section:
    """The baseline, or the first variant that has counts, under the suite's first profile."""

    order = 85
    title = "What counts as an operation"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        profile = frame.suite.energy[0] if frame.suite.energy else None
        for group_id in ([frame.baseline] if frame.baseline else []) + list(frame.groups):
            found = conventions_blocks(frame, group_id, profile)
            if found:
                return found
        return []
