"""How far a run is, on the screen."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Event, JobAgain, JobEnded, Notice
from spikebench.running.run.forecast import Forecast
from spikebench.running.run.standing import Standing, label


def show(events: Iterable[Event], jobs: Iterable[Job], workers: int, console: Any, quiet: bool = False) -> None:
    """Run ``events`` to their end with a live view; on a console that is no terminal, a line a finished job. ``quiet``: neither,
    failures alone."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    forecast, standing = Forecast(jobs, workers), Standing()
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
                _line(event, forecast, console, total, quiet)
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


def _line(event: JobEnded, forecast: Forecast, console: Any, total: int, quiet: bool) -> None:
    job = forecast.jobs.get(event.job_id)
    if job is None:
        return
    name = f"{job.harness.name} {label(job)}"
    if event.failure:
        from rich.text import Text

        console.print(Text.assemble(("failed", "red"), f" {name}: {event.failure}"), soft_wrap=True)
    elif not console.is_terminal and not quiet:
        console.print(f"{forecast.done}/{total} {name} {event.seconds:.1f} s", soft_wrap=True)


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
