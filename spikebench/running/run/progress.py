"""How far a run is, on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Event, JobEnded, Measured, Notice
from spikebench.running.run.forecast import Forecast


def show(events: Iterator[Event], jobs: Iterable[Job], workers: int, console: Any) -> None:
    """Run ``events`` to their end with a progress bar; on a console that is no terminal, a line a finished job."""
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
            for line in standing.lines(forecast):
                yield Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")

    with Lines(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, eta="")
        for event in events:
            now = time.perf_counter()
            forecast.note(event, now)
            standing.note(event)
            if isinstance(event, JobEnded):
                _line(event, forecast, console, total)
            elif isinstance(event, Notice):
                console.print(f"notice: {event.text}", soft_wrap=True, markup=False, highlight=False)
            left = forecast.remaining(now)
            eta = "" if left is None else f"{clock(left)} left"
            progress.update(task, completed=forecast.completed, eta=eta)


class Standing:
    """What running jobs have said last of their epochs."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, float]] = {}
        self._epochs: dict[str, int] = {}

    def note(self, event: Event) -> None:
        if isinstance(event, JobEnded):
            self._told.pop(event.job_id, None)
            self._epochs.pop(event.job_id, None)
        elif isinstance(event, Measured) and event.record.metric in SHOWN and event.record.value is not None:
            self._told.setdefault(event.job_id, {})[event.record.metric] = event.record.value
            epoch = event.record.conditions.get("epoch")
            if isinstance(epoch, int):
                self._epochs[event.job_id] = epoch

    def lines(self, forecast: Forecast) -> list[str]:
        """One a running job, the numbers first: what is cut at the end is the name."""
        running = [(job_id, forecast.jobs[job_id]) for job_id in forecast.running if job_id in forecast.jobs]
        found = [f"{self._said(job_id, job)}{job.harness.name} {label(job)}" for job_id, job in running[:MOST]]
        return found + ([f"and {len(running) - MOST} more"] if len(running) > MOST else [])

    def _said(self, job_id: str, job: Job) -> str:
        if job_id not in self._epochs:
            return ""
        epochs = getattr(job.harness.resolve("harnesses"), "epochs", None)
        told = self._told[job_id]
        parts = [f"epoch {self._epochs[job_id]}" + (f"/{epochs}" if epochs else "")]
        parts += [spell(told[metric]) for metric, spell in SHOWN.items() if metric in told]
        return f"{', '.join(parts)}: "


SHOWN: dict[str, Callable[[float], str]] = {
    "epoch_loss": lambda value: f"loss {value:.3f}",
    "reconstruction_loss": lambda value: f"loss {value:.4f}",
    "epoch_accuracy": lambda value: f"val. accuracy {100 * value:.1f} %",
}
MOST = 4
"""Running jobs that have a line."""


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
