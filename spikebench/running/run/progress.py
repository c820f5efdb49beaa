"""How far a run is, on the screen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.registry import is_stage
from spikebench.core.waiting import awaited, waiting
from spikebench.running.jobs.events import Event, JobAgain, JobEnded, Notice
from spikebench.running.jobs.subject import needed_by
from spikebench.running.run.forecast import Forecast
from spikebench.running.run.standing import Standing, label


def show(events: Iterable[Event], jobs: Iterable[Job], workers: int, console: Any, quiet: bool = False) -> None:
    """Run ``events`` to their end with a live view; on a console that is no terminal, a line a finished job. ``quiet``: neither,
    failures alone."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    forecast, standing = Forecast(jobs, workers), Standing()
    failures = _Failures(forecast.jobs.values())
    total = len(forecast.jobs)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} jobs", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
    )

    class Lines(Progress):
        """The bar, and below it a line for each running job, cut to the window: the bar keeps its place whatever jobs say."""

        def get_renderables(self) -> Iterable[Any]:
            yield self.make_tasks_table(self.tasks)
            for line in (*standing.heads(forecast), *standing.lines(forecast)):
                yield Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")

    with Lines(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("", total=total, eta="")
        for event in events:
            now = time.perf_counter()
            forecast.note(event, now)
            standing.note(event)
            if isinstance(event, JobEnded):
                _line(event, forecast, failures, console, total, quiet)
            elif isinstance(event, (Notice, JobAgain)) and not quiet:
                console.print(_told(event, forecast), soft_wrap=True, markup=False, highlight=False)
            left = forecast.remaining(now)
            eta = "" if left is None else f"{clock(left)} left"
            progress.update(task, completed=forecast.completed, eta=eta)


def _told(event: Notice | JobAgain, forecast: Forecast) -> str:
    if isinstance(event, Notice):
        return f"notice: {event.text}"
    job = forecast.jobs.get(event.job_id)
    return f"again: {'a job' if job is None else f'{job.harness.name} {label(job)}'}: {event.reason}"


class _Failures:
    """What to say of failed jobs: of those that wait for the weights of another one, that one says how many they are."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting = Counter(cell.cell_id for job in jobs for cell in needed_by(job))
        self._told: set[str] = set()

    def words(self, job: Job, reason: str) -> str:
        """ "" for what has been told."""
        if awaited(job.cell.cell_id, reason) in self._told:
            return ""
        if not is_stage(job.harness.name):
            return reason
        self._told.add(job.cell.cell_id)
        return f"{reason}{waiting(self._waiting[job.cell.cell_id])}"


def _line(event: JobEnded, forecast: Forecast, failures: _Failures, console: Any, total: int, quiet: bool) -> None:
    job = forecast.jobs.get(event.job_id)
    if job is None:
        return
    name = f"{job.harness.name} {label(job)}"
    if event.failure:
        from rich.text import Text

        if words := failures.words(job, event.failure):
            console.print(Text.assemble(("failed", "red"), f" {name}: {words}"), soft_wrap=True)
    elif not console.is_terminal and not quiet:
        console.print(f"{forecast.done}/{total} {name} {event.seconds:.1f} s", soft_wrap=True)


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
