"""What jobs have kept of the data that they read, for whoever reads their numbers where the data are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spikebench.core.store import ResultsFolder
from spikebench.core.variant import InputSpec
from spikebench.reading.model.frame import Frame

Splits = Mapping[str, Mapping[str, Any]]
"""split -> what the job that read it last has kept of it (``running.jobs.noted``)."""


def splits_read(frame: Frame) -> dict[str, Splits]:
    """By data set, as a cell spells it, in JSON with sorted keys."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for folder in frame.folders:
        for facts in ResultsFolder(folder).datasets().values():
            found.setdefault(json.dumps(facts["dataset"], sort_keys=True), {})[facts["split"]] = facts
    return dict(found)


def inputs_read(splits: Splits) -> InputSpec | None:
    """Shape and classes; None where no split was read."""
    for facts in splits.values():
        inputs = facts["inputs"]
        return InputSpec(inputs["channels"], inputs["size"], inputs["classes"], bool(inputs.get("events")))
    return None
