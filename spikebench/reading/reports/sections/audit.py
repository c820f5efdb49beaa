"""Do the networks do what their papers say? Verdicts of the audit's checks, and of each fault the first layer where it shows."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.reading.model.findings import findings_of
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.audits import blocks
from spikebench.reading.reports.document import Block


class Section:
    """A variant a row; of several seeds the worst verdict."""

    order = 22
    title = "Audit"
    trials = True
    brief = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        return blocks({frame.name(group_id): findings_of(frame.by_group.get(group_id, ())) for group_id in frame.groups})
