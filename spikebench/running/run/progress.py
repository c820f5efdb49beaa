"""How far a run is, on the screen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Event, JobEnded
from spikebench.running.run.forecast import Forecast


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
            eta = "" if left is None else f"{clock(left)} left"
            progress.update(task, completed=forecast.completed, description=_current(forecast), eta=eta)


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
    if job.cell.is_own:
        return f"{variant.family} T={variant.T} seed={job.cell.seed}"
    return f"{variant.stem}/{variant.attention} {variant.depth}-{variant.dim} T={variant.T} seed={job.cell.seed}"


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
