"""When a run will be done, from what it has done so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Event, JobEnded, JobStarted, Measured


@dataclasses.dataclass
class _Kind:
    """Jobs of one harness: how many are ``untouched`` (of which ``long`` have epochs), and the time that finished ones took."""

    untouched: int = 0
    long: int = 0
    finished: int = 0
    seconds: float = 0.0


class Forecast:
    """Predicts the remaining time from jobs of the same harness that this run has finished, and from finished epochs.

    Asked at every event of thousands of jobs, so it keeps sums and looks at running jobs alone. ``done``: how many jobs are.
    """

    def __init__(self, jobs: Iterable[Job], workers: int = 1) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.workers = workers
        self.running: dict[str, float] = {}
        self.failed: set[str] = set()
        self.done = 0
        self._fractions: dict[str, float] = {}
        self._partly: dict[str, float] = {}
        self._kinds: dict[str, _Kind] = {}
        self._epochs: dict[str, int] = {}
        for job_id, job in self.jobs.items():
            self._epochs[job_id] = int(getattr(job.harness.resolve("harnesses"), "epochs", 0) or 0)
            self._kinds.setdefault(job.harness.name, _Kind())
            self._set(job_id, 0.0)

    def note(self, event: Event, now: float) -> None:
        if isinstance(event, JobStarted):
            self.running[event.job_id] = now
        elif isinstance(event, Measured):
            epoch, epochs = event.record.conditions.get("epoch"), self._epochs.get(event.job_id)
            if isinstance(epoch, int) and epochs:
                self._set(event.job_id, min(1.0, epoch / epochs))
        elif isinstance(event, JobEnded):
            self.running.pop(event.job_id, None)
            self._set(event.job_id, 1.0)
            if event.failure:
                self.failed.add(event.job_id)
            elif event.job_id in self.jobs:
                kind = self._kinds[self._name(event.job_id)]
                kind.finished += 1
                kind.seconds += event.seconds

    @property
    def completed(self) -> float:
        """Jobs, a running one by the epochs that it has done."""
        return self.done + sum(self._partly.values())

    def remaining(self, now: float) -> float | None:
        """Seconds; None as long as some kind of pending job has no finished one to go by."""
        total = 0.0
        for name, kind in self._kinds.items():
            each = self._expected(name, now) if kind.untouched else 0.0
            if each is not None:
                total += each * kind.untouched
            elif kind.long:
                # Measurements are short beside trainings: without a first one, they count as nothing rather than hide the rest.
                return None
        for job_id, fraction in self._partly.items():
            since = self.running.get(job_id)
            each = self._expected(self._name(job_id), now) if since is None else (now - since) / fraction
            if each is None:
                return None
            total += each * (1 - fraction)
        return total / max(1, min(self.workers, len(self._fractions) - self.done))

    def _expected(self, name: str, now: float) -> float | None:
        """Of a job of this harness that has not begun."""
        kind = self._kinds[name]
        if kind.finished:
            return kind.seconds / kind.finished
        begun = [
            (now - since) / self._partly[job_id]
            for job_id, since in self.running.items()
            if job_id in self._partly and self._name(job_id) == name
        ]
        return sum(begun) / len(begun) if begun else None

    def _set(self, job_id: str, fraction: float) -> None:
        before = self._fractions.get(job_id)
        self._fractions[job_id] = fraction
        self.done += (fraction == 1.0) - (before == 1.0)
        self._partly.pop(job_id, None)
        if 0.0 < fraction < 1.0:
            self._partly[job_id] = fraction
        if job_id in self.jobs:
            kind, change = self._kinds[self._name(job_id)], (fraction == 0.0) - (before == 0.0)
            kind.untouched += change
            kind.long += change if self._epochs[job_id] else 0

    def _name(self, job_id: str) -> str:
        return self.jobs[job_id].harness.name
