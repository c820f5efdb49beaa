"""What happens in a run as lines of JSON, one an event, for programs that watch it."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.errors import storage_errors
from spikebench.running.jobs.events import Crew, Event, JobAgain, JobEnded, JobStarted, Measured, Notice, WorkerDied

NAMES = {
    JobStarted: "started", Measured: "measured", JobEnded: "ended", JobAgain: "again", Notice: "notice", Crew: "workers",
    WorkerDied: "died",
}  # fmt: skip
STANDARD_ERROR = Path("-")


def written(events: Iterable[Event], jobs: Iterable[Job], path: Path) -> Iterator[Event]:
    """The events, each also a line at the end of ``path`` before it is handed on; ``-`` is standard error.

    Raises StorageError if the file cannot be written.
    """
    known = {job.job_id: job for job in jobs}
    with ExitStack() as stack, storage_errors(path):
        stream = sys.stderr if path == STANDARD_ERROR else stack.enter_context(path.open("a", encoding="utf-8"))
        for event in events:
            print(json.dumps(plain(event, known.get(event.job_id)), ensure_ascii=False), file=stream, flush=True)
            yield event


def plain(event: Event, job: Job | None) -> dict[str, Any]:
    """``time`` in seconds since the epoch and ``event``; ids; harness of a job that begins; the record of one that measures."""
    found: dict[str, Any] = {"time": round(time.time(), 3), "event": NAMES[type(event)]}
    if event.job_id:
        found["job_id"] = event.job_id
    if job is not None:
        found |= {"cell_id": job.cell.cell_id, "harness": job.harness.name}
    if isinstance(event, Measured):
        return {**found, **json.loads(event.record.to_json())}
    if isinstance(event, JobStarted):
        return found | ({} if event.where is None else dataclasses.asdict(event.where))
    own = {name: value for name, value in dataclasses.asdict(event).items() if name != "job_id"}
    return found | own
