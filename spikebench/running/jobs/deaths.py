"""What a driver makes of a worker that died: its job failed, on the machine where it ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikebench.core.cells import Job
from spikebench.core.errors import DiskError, StorageError
from spikebench.core.reasons import explain
from spikebench.running.jobs.events import Event, JobAgain, JobEnded, JobStarted, Notice, WorkerDied
from spikebench.running.jobs.execute import log, store_failure
from spikebench.running.jobs.identity import Identity


class Deaths:
    """Sees all events of a run and remembers where each job began: a dead worker cannot say it any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[str, Identity | None] = {}

    def settle(self, event: Event, job_of: Callable[[str], Job | None]) -> Event | None:
        """The event, a death turned into the end of its job, whose reason is then in the folder.

        What a launcher knows beside the jobs goes to the log: on which node and worker each began, what was begun again, notices.
        None for the death of a worker that had no job of ours. Raises DiskError.
        """
        if isinstance(event, JobStarted):
            self._where[event.job_id] = event.identity
            if event.where is not None:
                log(self._folder, "started", job_id=event.job_id, node=event.where.node, worker=event.where.worker)
        elif isinstance(event, JobAgain):
            log(self._folder, "again", job_id=event.job_id, reason=event.reason)
        elif isinstance(event, Notice):
            log(self._folder, "notice", text=event.text)
        if not isinstance(event, WorkerDied):
            return event
        job = job_of(event.job_id)
        if job is None:
            return None
        try:
            store_failure(self._folder, job, event.reason, self._where.get(event.job_id))
        except DiskError:
            raise
        except StorageError as error:  # a newer file in its place: the job has failed all the same
            log(self._folder, "failed", job_id=event.job_id, reason=explain(error))
        log(self._folder, "failed", job_id=event.job_id, reason=event.reason)
        return JobEnded(event.job_id, 0.0, event.reason)
