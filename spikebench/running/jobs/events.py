"""What happens while jobs run, as small picklable messages from wherever a job runs to whoever watches."""

from __future__ import annotations

import dataclasses

from spikebench.core.records import Record
from spikebench.running.jobs.identity import Identity


@dataclasses.dataclass(frozen=True, slots=True)
class JobStarted:
    """``identity``: where it runs; whoever watches may be another process with another number of threads."""

    job_id: str
    identity: Identity | None = None


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


Event = JobStarted | Measured | JobEnded | WorkerDied
