"""What happens while jobs run, as small picklable messages from wherever a job runs to whoever watches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from spikebench.core.records import Record
from spikebench.running.jobs.identity import Identity


@dataclasses.dataclass(frozen=True, slots=True)
class Where:
    """``node``: the machine, by the name that its launcher tells machines apart by. ``worker``: which of the node's workers,
    counted from 1. Both are of one run: they are shown and logged, and stand in no record."""

    node: str
    worker: str

    def __str__(self) -> str:
        return f"{self.node}/{self.worker}"


@dataclasses.dataclass(frozen=True, slots=True)
class JobStarted:
    """``identity``: what runs it; whoever watches may be another process with another number of threads. ``where``: its launcher
    says that; None where the driver's own process does the job."""

    job_id: str
    identity: Identity | None = None
    where: Where | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    job_id: str
    record: Record


@dataclasses.dataclass(frozen=True, slots=True)
class JobEnded:
    """``failure``: empty if all went well; else the reason, in one line."""

    job_id: str
    seconds: float
    failure: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerDied:
    """The process that ran the job ended without a word (the kernel's out-of-memory killer, a crash in native code)."""

    job_id: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class JobAgain:
    """A worker died over the job, or was lost with its node, and another one takes the job up where it was."""

    job_id: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Something about the run that people should know and no job is to blame for: a node was lost, refused or is full."""

    text: str
    job_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Crew:
    """How many workers there are on each node, by its name; told as they are known."""

    nodes: Mapping[str, int]
    job_id: str = ""


Event = JobStarted | Measured | JobEnded | WorkerDied | JobAgain | Notice | Crew
