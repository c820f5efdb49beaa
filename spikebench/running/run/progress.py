"""How far a run is, and when it will be done."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Event, JobEnded, JobStarted, Measured


class Forecast:
    """Predicts the remaining time from jobs of the same harness that this run has finished, and from finished epochs."""

    def __init__(self, jobs: Iterable[Job], workers: int = 1) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.workers = workers
        self.fraction: dict[str, float] = dict.fromkeys(self.jobs, 0.0)
        self.running: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.failed: set[str] = set()

    def note(self, event: Event, now: float) -> None:
        if isinstance(event, JobStarted):
            self.running[event.job_id] = now
        elif isinstance(event, Measured):
            epoch, epochs = event.record.conditions.get("epoch"), self._epochs(event.job_id)
            if isinstance(epoch, int) and epochs:
                self.fraction[event.job_id] = min(1.0, epoch / epochs)
        elif isinstance(event, JobEnded):
            self.running.pop(event.job_id, None)
            self.fraction[event.job_id] = 1.0
            if event.failure:
                self.failed.add(event.job_id)
            elif event.job_id in self.jobs:
                self.seconds[self._name(event.job_id)].append(event.seconds)

    @property
    def done(self) -> int:
        return sum(fraction == 1.0 for fraction in self.fraction.values())

    def remaining(self, now: float) -> float | None:
        """Seconds; None as long as some kind of pending job has no finished one to go by."""
        total = 0.0
        for job_id, fraction in self.fraction.items():
            if fraction == 1.0:
                continue
            each = self._expected(job_id, now)
            if each is None:
                # Measurements are short beside trainings: without a first one, they count as nothing rather than hide the rest.
                if self._epochs(job_id):
                    return None
                continue
            total += each * (1 - fraction)
        return total / max(1, min(self.workers, len(self.fraction) - self.done))

    def _expected(self, job_id: str, now: float) -> float | None:
        if self.fraction[job_id] and job_id in self.running:
            return (now - self.running[job_id]) / self.fraction[job_id]
        known = self.seconds[self._name(job_id)]
        if known:
            return sum(known) / len(known)
        begun = [
            (now - since) / self.fraction[other]
            for other, since in self.running.items()
            if self._name(other) == self._name(job_id) and self.fraction[other]
        ]
        return sum(begun) / len(begun) if begun else None

    def _name(self, job_id: str) -> str:
        return self.jobs[job_id].harness.name if job_id in self.jobs else ""

    def _epochs(self, job_id: str) -> int:
        job = self.jobs.get(job_id)
        return 0 if job is None else int(getattr(job.harness.resolve("harnesses"), "epochs", 0) or 0)


def show(events: Iterator[Event], jobs: Iterable[Job], workers: int, console: Any) -> None:
    """Run ``events`` to their end with a progress bar; on a console that is no terminal, a line a finished job."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    forecast = Forecast(jobs, workers)
    total = len(forecast.jobs)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} jobs", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, eta="")
        for event in events:
            now = time.perf_counter()
            forecast.note(event, now)
            if isinstance(event, JobEnded):
                _line(event, forecast, console, total)
            left = forecast.remaining(now)
            eta = "" if left is None else f"{_clock(left)} left"
            progress.update(task, completed=sum(forecast.fraction.values()), description=_current(forecast), eta=eta)


def _line(event: JobEnded, forecast: Forecast, console: Any, total: int) -> None:
    job = forecast.jobs.get(event.job_id)
    if job is None:
        return
    name = f"{job.harness.name} {label(job)}"
    if event.failure:
        from rich.text import Text

        console.print(Text.assemble(("failed", "red"), f" {name}: {event.failure}"), soft_wrap=True)
    elif not console.is_terminal:
        console.print(f"{forecast.done}/{total} {name} {event.seconds:.1f} s", soft_wrap=True)


def _current(forecast: Forecast) -> str:
    running = [forecast.jobs[job_id] for job_id in forecast.running if job_id in forecast.jobs]
    return ", ".join(f"{job.harness.name} {label(job)}" for job in running[:2])


def label(job: Job) -> str:
    """A cell in a few words: what people tell variants apart by."""
    variant = job.cell.variant
    return f"{variant.stem}/{variant.attention} {variant.depth}-{variant.dim} T={variant.T} seed={job.cell.seed}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
