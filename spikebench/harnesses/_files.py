"""What is wrong with the files that samples were read from, as records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.records import Record

UNREADABLE = Metric(
    "unreadable_samples", "1", "lower", "counted", "Files left out", digits=0, note="they cannot be read; met by this job"
)
SHARED = Metric(
    "shared_samples", "1", "lower", "counted", "Files also in train", digits=0, note="equal contents, whatever their names"
)
METRICS = (UNREADABLE, SHARED)
MOST = 20
"""Files that are named."""


def told(dataset: Any, name: str, unreadable: Mapping[str, str]) -> Iterator[Record]:
    """Of a data set of the user's files: how many of a split were left out, the first few by name, and how many are in train.

    ``unreadable``: file -> why it was left out.

    Nothing of data sets that come in packages: nobody can have damaged them.
    """
    if not hasattr(dataset, "shared"):
        return
    yield Record.of(UNREADABLE, len(unreadable), conditions={"split": name})
    for file, why in list(unreadable.items())[:MOST]:
        yield Record.absent(UNREADABLE, f"left out: {why}", conditions={"split": name, "file": file})
    shared = dataset.shared(name)
    if shared is not None:
        yield Record.of(SHARED, len(shared), conditions={"split": name})
