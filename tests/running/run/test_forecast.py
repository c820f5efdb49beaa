"""A forecast that keeps sums says what one does that looks at every job each time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.records import Record
from spikebench.core.variant import VariantSpec
from spikebench.running.jobs.events import Event, JobEnded, JobStarted, Measured
from spikebench.running.jobs.identity import Identity
from spikebench.running.run.forecast import Forecast

EPOCHS = 4
CELLS = [Cell(VariantSpec(), Choice("digits"), Choice("train", {"epochs": EPOCHS}), seed) for seed in range(3)]
JOBS = [Job(cell, harness) for cell in CELLS for harness in (Choice("train", {"epochs": EPOCHS}), Choice("accuracy"))]


def remaining(jobs: Sequence[Job], workers: int, events: Sequence[tuple[Event, float]], now: float) -> float | None:
    """By its definition: each pending job takes what jobs of its harness took, or what its own epochs foretell."""
    fraction = {job.job_id: 0.0 for job in jobs}
    running: dict[str, float] = {}
    took: dict[str, list[float]] = {job.harness.name: [] for job in jobs}
    names = {job.job_id: job.harness.name for job in jobs}
    for event, when in events:
        if isinstance(event, JobStarted):
            running[event.job_id] = when
        elif isinstance(event, Measured) and names[event.job_id] == "train":
            fraction[event.job_id] = int(event.record.conditions["epoch"]) / EPOCHS
        elif isinstance(event, JobEnded):
            running.pop(event.job_id, None)
            fraction[event.job_id] = 1.0
            if not event.failure:
                took[names[event.job_id]].append(event.seconds)
    total, pending = 0.0, [job_id for job_id, part in fraction.items() if part < 1]
    for job_id in pending:
        own = {i: (now - since) / fraction[i] for i, since in running.items() if fraction[i] and names[i] == names[job_id]}
        known = took[names[job_id]] or list(own.values())
        each = own.get(job_id, sum(known) / len(known) if known else None)
        if each is None and names[job_id] == "train":
            return None
        total += (each or 0.0) * (1 - fraction[job_id])
    return total / max(1, min(workers, len(pending)))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Event, float]]:
    """Jobs begin, record epochs, end well or badly, or are left where they are; several at once."""
    found: list[tuple[Event, float]] = []
    now = 0.0
    for job in draw(st.permutations(JOBS)):
        steps: list[Event] = [JobStarted(job.job_id, Identity("m", "s"))]
        epochs = draw(st.integers(0, EPOCHS - 1))
        steps += [Measured(job.job_id, Record("epoch_loss", 1.0, "1", conditions={"epoch": e + 1})) for e in range(epochs)]
        ends = JobEnded(job.job_id, draw(st.floats(0.5, 9.0)), draw(st.sampled_from(["", "", "out of memory"])))
        steps.append(ends)
        for step in steps[: draw(st.integers(0, len(steps)))]:
            now += draw(st.floats(0.5, 5.0))
            found.append((step, now))
    return found


@given(histories(), st.integers(1, 4))
def test_it_says_at_every_event_what_a_look_at_all_jobs_says(history: list[tuple[Event, float]], workers: int) -> None:
    forecast = Forecast(JOBS, workers)
    for index, (event, now) in enumerate(history):
        forecast.note(event, now)
        expected = remaining(JOBS, workers, history[: index + 1], now)
        found = forecast.remaining(now)
        assert (found is None) == (expected is None)
        assert found is None or found == pytest.approx(expected)
    ended = {event.job_id for event, _ in history if isinstance(event, JobEnded)}
    assert forecast.done == len(ended)
