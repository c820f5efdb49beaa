"""The forecast of a run's remaining time."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.console import standard_error
from spikebench.core.errors import StorageError
from spikebench.core.records import Record
from spikebench.core.variant import VariantSpec
from spikebench.core.waiting import UNTRAINED
from spikebench.running.jobs.events import Crew, JobAgain, JobEnded, JobStarted, Measured, Notice, Where
from spikebench.running.run.event_lines import written
from spikebench.running.run.forecast import Forecast
from spikebench.running.run.progress import show
from spikebench.running.run.standing import Standing, label


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


def test_the_bar_keeps_its_place_at_80_columns_and_names_are_cut_first() -> None:
    from io import StringIO

    from rich.console import Console

    long = VariantSpec(
        stem=Choice("scs", {"patch_size": 2, "expansion": 4}), attention=Choice("softmax", {"v_threshold": 0.0625})
    )
    job = Job(Cell(long, Choice("digits"), Choice("train", {"epochs": 40}), 0), Choice("train", {"epochs": 40}))
    stream = StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None, legacy_windows=False)

    def events():
        yield JobStarted(job.job_id)
        for metric, value in (("epoch_loss", 0.1234), ("epoch_accuracy", 0.987)):
            yield Measured(job.job_id, Record(metric, value, "1", conditions={"epoch": 4}))
        time.sleep(0.3)  # the screen is drawn ten times a second

    show(events(), [job], 1, console)
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").splitlines()]
    bar = [line for line in lines if "0/1 jobs" in line][-1]
    assert re.search(r"0/1 jobs .*\d:\d\d:\d\d +\d:\d\d left$", bar), bar
    assert len(bar) <= 80
    said = next(line for line in lines if line.startswith("epoch 4/40"))
    assert said.startswith("epoch 4/40, loss 0.123, val. accuracy 98.7 %: train scs")
    assert len(said) <= 80
    assert said.endswith("…")


def test_what_a_finished_job_said_is_forgotten() -> None:
    first, second = jobs()
    standing, forecast = Standing(), Forecast([first, second], 2)
    for event in (JobStarted(first.job_id), epoch(first, 3), JobEnded(first.job_id, 1.0), JobStarted(second.job_id)):
        forecast.note(event, 1.0)
        standing.note(event)
    assert standing.lines(forecast) == [f"train {label(second)}"]


def test_a_reason_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = jobs()
    reason = "RuntimeError: [enforce fail at alloc_cpu.cpp:118] . [/red] [/]"
    show(iter([JobStarted(first.job_id), JobEnded(first.job_id, 1.0, reason)]), [first], 1, standard_error())
    assert f": {reason}\n" in capsys.readouterr().err


def test_what_waits_for_a_failed_training_is_told_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = jobs()
    measured = [Job(first.cell, Choice(name)) for name in ("accuracy", "activity", "latency")] + [
        Job(second.cell, Choice("accuracy"))
    ]
    failures = {first.job_id: "diverged", measured[0].job_id: UNTRAINED, measured[1].job_id: UNTRAINED}
    failures |= {measured[2].job_id: "no clock", measured[3].job_id: UNTRAINED}
    events = [JobEnded(job_id, 1.0, reason) for job_id, reason in failures.items()]
    show(iter(events), [first, second, *measured], 1, standard_error(), quiet=True)
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2].partition(" ")[0] for line in told] == ["train", "latency", "accuracy"]
    assert told[0].endswith(": diverged; 2 jobs wait for its weights")
    assert told[2].endswith(f"seed=1: {UNTRAINED}")  # its training has not failed here


def test_the_view_tells_of_nodes_failures_and_the_best_so_far() -> None:
    first, second = jobs()
    forecast, standing = Forecast([first, second], 3), Standing()
    values = {first.job_id: 0.5, second.job_id: 0.25}
    accuracy = [Measured(name, Record("epoch_accuracy", value, "1", conditions={"epoch": 1})) for name, value in values.items()]
    begun = [JobStarted(job.job_id, where=Where(node, "2")) for job, node in ((first, "a"), (second, "b"))]
    for event in (Crew({"a": 2, "b": 1}), *begun, *accuracy):
        forecast.note(event, 1.0)
        standing.note(event)
    assert standing.heads(forecast) == [f"best val. accuracy 50.0 %: {label(first)}", "a 1/2, b 1/1"]
    assert standing.lines(forecast)[1] == f"b/2 epoch 1/4, val. accuracy 25.0 %: train {label(second)}"
    ended = JobEnded(second.job_id, 1.0, "out of memory")
    forecast.note(ended, 2.0)
    standing.note(ended)
    assert standing.heads(forecast) == ["1 failed", f"best val. accuracy 50.0 %: {label(first)}", "a 1/2, b 0/1"]


def test_quiet_says_failures_alone_and_every_event_is_a_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = jobs()
    events = [
        Crew({"a": 1}),
        JobStarted(first.job_id, where=Where("a", "1")),
        epoch(first, 2),
        JobAgain(first.job_id, "lost"),
        Notice("full"),
        JobEnded(first.job_id, 1.0),
        JobEnded(second.job_id, 2.0, "out of memory"),
    ]
    log = tmp_path / "events.jsonl"
    show(written(events, [first, second], log), [first, second], 1, standard_error(), quiet=True)
    assert capsys.readouterr().err.splitlines() == [f"failed train {label(second)}: out of memory"]
    found = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in found] == ["workers", "started", "measured", "again", "notice", "ended", "ended"]
    assert (found[1]["node"], found[1]["worker"], found[1]["harness"]) == ("a", "1", "train")
    assert (found[2]["metric"], found[2]["value"], found[2]["conditions"]) == ("epoch_loss", 1.0, {"epoch": 2})
    assert (found[4]["text"], found[6]["failure"], found[6]["job_id"]) == ("full", "out of memory", second.job_id)
    show(iter(events), [first, second], 1, standard_error())
    said = capsys.readouterr().err
    assert "notice: full" in said
    assert f"again: train {label(first)}: lost" in said


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        list(written([Notice("x")], [], tmp_path / "nowhere/events.jsonl"))
