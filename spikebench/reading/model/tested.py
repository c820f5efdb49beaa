"""Of a search, what was tested. Most trials are seen on the validation split alone, and no table may mix the two."""

from __future__ import annotations

from collections.abc import Iterable

from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import Trials


def only_tested(frame: Frame, searches: Iterable[Trials]) -> Frame:
    """The frame without trials that never met the test split, and without what the others gave on the validation split.

    The frame itself where there was no search. Cells that are no trials, of a suite that was run too, stay as they are.
    """
    trials = {trial.cell_id for found in searches for trial in found.rows if trial.cell_id}
    if not trials:
        return frame
    met = {record.cell_id for record in frame.records if record.conditions.get("split") == "test" and record.value is not None}
    left = trials - met
    records = [
        record
        for record in frame.records
        if record.cell_id not in left and not (record.cell_id in trials and record.conditions.get("split") == "validation")
    ]
    return frame.only({cell_id: cell for cell_id, cell in frame.cells.items() if cell_id not in left}, records)
