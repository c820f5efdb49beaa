"""The forecast of a run's remaining time."""

from __future__ import annotations

import pytest

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.console import standard_error
from spikebench.core.records import Record
from spikebench.core.variant import VariantSpec
from spikebench.running.jobs.events import JobEnded, JobStarted, Measured
from spikebench.running.run.forecast import Forecast
from spikebench.running.run.progress import show


def jobs() -> tuple[Job, Job]:
    cells = [Cell(VariantSpec(), Choice("digits"), Choice("train", {"epochs": 4}), seed) for seed in (0, 1)]
    return Job(cells[0], Choice("train", {"epochs": 4})), Job(cells[1], Choice("train", {"epochs": 4}))


def epoch(job: Job, number: int) -> Measured:
    return Measured(job.job_id, Record("epoch_loss", 1.0, "1", conditions={"epoch": number}))


def test_nothing_is_promised_before_the_first_epoch() -> None:
    first, second = jobs()
    forecast = Forecast([first, second])
    forecast.note(JobStarted(first.job_id), 0.0)
    assert forecast.remaining(5.0) is None


def test_epochs_predict_their_own_job_and_the_next() -> None:
    first, second = jobs()
    forecast = Forecast([first, second])
    forecast.note(JobStarted(first.job_id), 0.0)
    forecast.note(epoch(first, 1), 10.0)
    # A quarter took 10 s: 30 s are left of this job and 40 s of the other.
    assert forecast.remaining(10.0) == pytest.approx(70.0)
    assert Forecast([first, second], workers=2).remaining(10.0) is None


def test_finished_jobs_predict_those_of_the_same_harness() -> None:
    first, second = jobs()
    forecast = Forecast([first, second])
    forecast.note(JobStarted(first.job_id), 0.0)
    forecast.note(JobEnded(first.job_id, 20.0), 20.0)
    assert forecast.remaining(20.0) == pytest.approx(20.0)
    forecast.note(JobEnded(second.job_id, 30.0), 50.0)
    assert forecast.remaining(50.0) == 0
    assert forecast.done == 2


def test_a_failure_teaches_no_time() -> None:
    first, second = jobs()
    forecast = Forecast([first, second])
    forecast.note(JobEnded(first.job_id, 0.1, "out of memory"), 1.0)
    assert forecast.remaining(1.0) is None
    assert forecast.failed == {first.job_id}


def test_a_reason_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = jobs()
    reason = "RuntimeError: [enforce fail at alloc_cpu.cpp:118] . [/red] [/]"
    show(iter([JobStarted(first.job_id), JobEnded(first.job_id, 1.0, reason)]), [first], 1, standard_error())
    assert f": {reason}\n" in capsys.readouterr().err
