"""What a run's live view says of its jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from spikebench.core.cells import Job
from spikebench.running.jobs.events import Crew, Event, JobEnded, JobStarted, Measured, Where
from spikebench.running.run.forecast import Forecast


class Standing:
    """Where jobs run, what they have said last of their epochs, and the best epoch of them all."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, float]] = {}
        self._epochs: dict[str, int] = {}
        self._where: dict[str, Where] = {}
        self._crew: dict[str, int] = {}
        self._best: tuple[float, str] | None = None

    def note(self, event: Event) -> None:
        if isinstance(event, Crew):
            self._crew = dict(event.nodes)
        elif isinstance(event, JobStarted):
            if event.where is not None:
                self._where[event.job_id] = event.where
        elif isinstance(event, JobEnded):
            self._where.pop(event.job_id, None)
            self._told.pop(event.job_id, None)
            self._epochs.pop(event.job_id, None)
        elif isinstance(event, Measured) and event.record.metric in SHOWN and event.record.value is not None:
            self._told.setdefault(event.job_id, {})[event.record.metric] = event.record.value
            epoch = event.record.conditions.get("epoch")
            if isinstance(epoch, int):
                self._epochs[event.job_id] = epoch
            if event.record.metric == "epoch_accuracy":
                self._best = max(self._best or (0.0, event.job_id), (event.record.value, event.job_id))

    def heads(self, forecast: Forecast) -> list[str]:
        """What there is to say of all of them: failures, the best by the validation split (a test split is for the end), and how
        many workers of each node are at work."""
        found = [f"{len(forecast.failed)} failed"] if forecast.failed else []
        if self._best is not None and self._best[1] in forecast.jobs:
            found.append(f"best {SHOWN['epoch_accuracy'](self._best[0])}: {label(forecast.jobs[self._best[1]])}")
        busy = Counter(self._where[job_id].node for job_id in forecast.running if job_id in self._where)
        nodes = self._crew or dict.fromkeys(busy, 0)
        if self._crew or len(busy) > 1:
            found.append(", ".join(f"{node} {busy[node]}" + (f"/{nodes[node]}" if nodes[node] else "") for node in nodes))
        return found

    def lines(self, forecast: Forecast) -> list[str]:
        """One a running job, its place and the numbers first: what is cut at the end is the name."""
        running = [(job_id, forecast.jobs[job_id]) for job_id in forecast.running if job_id in forecast.jobs]
        found = [
            f"{self._place(job_id)}{self._said(job_id, job)}{job.harness.name} {label(job)}" for job_id, job in running[:MOST]
        ]
        return found + ([f"and {len(running) - MOST} more"] if len(running) > MOST else [])

    def _place(self, job_id: str) -> str:
        """Where there is more than one place to be."""
        several = len({where.node for where in self._where.values()} | self._crew.keys()) > 1
        return f"{self._where[job_id]} " if several and job_id in self._where else ""

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


def label(job: Job) -> str:
    """A cell in a few words: what people tell variants apart by."""
    variant = job.cell.variant
    if job.cell.is_own:
        return f"{variant.family} T={variant.T} seed={job.cell.seed}"
    return f"{variant.stem}/{variant.attention} {variant.depth}-{variant.dim} T={variant.T} seed={job.cell.seed}"
