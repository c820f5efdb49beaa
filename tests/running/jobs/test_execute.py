"""One job: its records are kept, its failure becomes a record, closing it leaves what the next run goes on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import allocator
from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES, Registry
from spikebench.core.store import ResultsFolder
from spikebench.core.variant import VariantSpec
from spikebench.running.jobs.deaths import Deaths
from spikebench.running.jobs.events import JobEnded, JobStarted, Measured, WorkerDied
from spikebench.running.jobs.execute import execute, store_failure
from spikebench.running.jobs.identity import Identity, here
from spikebench.running.jobs.plan import Plan, PlannedJob
from spikebench.running.verbs.run import begun_with_other_code
from spikebench.testing import TINY, TINY_DATA
from spikebench.training import begun, checkpoints
from spikebench.training.loop import Training

TICKS = Metric("ticks", "1", None, "counted", "Ticks")
TOCKS = Metric("tocks", "1", None, "counted", "Tocks")


class Clock:
    """A harness that counts to three, and can be made to fail on the way."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        fail: str = ""

    metrics = (TICKS, TOCKS)
    version = 1
    needs_weights = False
    exclusive = False
    resumes = True

    def run(self, subject: Any, options: Options) -> Iterator[Record]:
        done = {record.conditions["n"] for record in subject.previous}
        for n in range(3):
            if n not in done:
                yield Record.of(TICKS, n, conditions={"n": n})
            if n == 1 and options.fail == "memory":
                raise MemoryError("17 TiB asked for")
        if options.fail == "undeclared":
            yield Record("surprise", 1, "1")
        yield Record.of(TOCKS, 3, conditions={"n": 9})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Registry.get
    monkeypatch.setattr(Registry, "get", lambda self, name: Clock if name == "clock" else real(self, name))


def job(**options: Any) -> Job:
    return Job(Cell(VariantSpec(), Choice("digits"), None, 0), Choice("clock", options))


def values(folder: Path) -> list[tuple[str, Any, str]]:
    return [(record.metric, record.value, record.reason) for record in ResultsFolder(folder).records()]


def test_records_are_stored_with_all_ids(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    events = list(execute(job(), tmp_path))
    assert isinstance(events[-1], JobEnded)
    assert events[-1].failure == ""
    assert values(tmp_path) == [("ticks", 0, ""), ("ticks", 1, ""), ("ticks", 2, ""), ("tocks", 3, "")]
    record = next(event.record for event in events if isinstance(event, Measured))
    assert all((record.job_id, record.cell_id, record.machine_id, record.source_id))
    assert events[0] == JobStarted(job().job_id, here())
    stored = ResultsFolder(tmp_path)
    assert record.machine_id in stored.machines()
    assert record.source_id in stored.sources()


def test_an_exception_becomes_a_record_and_what_was_measured_stays(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    events = list(execute(job(fail="memory"), tmp_path))
    assert "17 TiB" in events[-1].failure
    assert values(tmp_path) == [("ticks", 0, ""), ("ticks", 1, ""), ("tocks", None, "MemoryError: 17 TiB asked for")]
    assert "Traceback" in (tmp_path / "log.jsonl").read_text()


def test_a_metric_that_is_not_declared_is_a_failure(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    assert "'surprise'" in list(execute(job(fail="undeclared"), tmp_path))[-1].failure


def test_closing_keeps_what_was_measured_for_the_next_run(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    running = execute(job(), tmp_path)
    for event in running:
        if isinstance(event, Measured) and event.record.value == 1:
            running.close()
    assert values(tmp_path) == []
    assert list((tmp_path / "jobs").glob("unfinished/*.kept"))
    fresh = [event.record.value for event in execute(job(), tmp_path) if isinstance(event, Measured)]
    assert fresh == [2, 3]
    assert [value for _, value, _ in values(tmp_path)] == [0, 1, 2, 3]
    assert not store.notices


def test_a_dead_worker_leaves_its_reason_and_its_records(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    running = execute(job(), tmp_path)
    for event in running:
        if isinstance(event, Measured):
            break
    store_failure(tmp_path, job(), "killed")
    assert values(tmp_path) == [("ticks", 0, ""), ("tocks", None, "killed")]
    assert REGISTRIES["harnesses"].get("clock") is Clock


def test_a_dead_workers_failure_is_filed_where_it_ran(tmp_path: Path) -> None:
    """Its driver may have another number of threads, and so be another machine."""
    ResultsFolder(tmp_path).create()
    deaths = Deaths(tmp_path)
    elsewhere = Identity("m" * 16, "s" * 16)
    assert deaths.settle(JobStarted(job().job_id, elsewhere), {}.get) is not None
    ended = deaths.settle(WorkerDied(job().job_id, "killed"), {job().job_id: job()}.get)
    assert ended == JobEnded(job().job_id, 0.0, "killed")
    (found,) = ResultsFolder(tmp_path).job_files()
    assert (found.header["machine_id"], found.header["source_id"]) == (elsewhere.machine_id, elsewhere.source_id)
    assert deaths.settle(WorkerDied("", "killed while idle"), {}.get) is None


def test_a_failed_job_is_tried_again_without_what_it_had_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ResultsFolder(tmp_path).create()
    list(execute(job(fail="memory"), tmp_path))
    # The same job id: the machine has more memory now.
    whole = Clock.run
    monkeypatch.setattr(Clock, "run", lambda self, subject, options: whole(self, subject, Clock.Options()))
    fresh = [event.record.value for event in execute(job(fail="memory"), tmp_path) if isinstance(event, Measured)]
    assert fresh == [2, 3]
    assert values(tmp_path) == [("ticks", 0, ""), ("ticks", 1, ""), ("ticks", 2, ""), ("tocks", 3, "")]


def test_fresh_takes_up_nothing(tmp_path: Path) -> None:
    ResultsFolder(tmp_path).create()
    for _ in range(2):
        events = list(execute(job(), tmp_path, fresh=True))
        assert len([event for event in events if isinstance(event, Measured)]) == 4


def test_a_record_that_fails_fails_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(self: Clock, subject: Any, options: Any) -> Iterator[Record]:
        yield Record.of(TICKS, float("nan"))
        yield Record.of(TOCKS, 3)

    monkeypatch.setattr(Clock, "run", diverge)
    store = ResultsFolder(tmp_path).create()
    assert list(execute(job(), tmp_path))[-1].failure == "the value is nan"
    assert not store.find(job().job_id).done


def test_a_harness_without_a_record_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "run", lambda *_: iter(()))
    ResultsFolder(tmp_path).create()
    assert "ended without a record" in list(execute(job(), tmp_path))[-1].failure


def test_a_newer_file_fails_its_job_alone_and_stays(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    header = here().header(job())
    path = store.job_path(header["job_id"], header["machine_id"])
    path.write_text(json.dumps({**header, "schema": 99}) + "\n")
    (ended,) = execute(job(), tmp_path)
    assert "not overwritten" in ended.failure
    Deaths(tmp_path).settle(WorkerDied(job().job_id, "killed"), lambda _: job())
    assert '"schema": 99' in path.read_text()


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise TypeError("no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnprintableError(), "UnprintableError: its message cannot be shown (TypeError)"),
        (ValueError("a\udc80b"), "ValueError: ab"),
        (ValueError("\x1b[31mred\x1b[0m \x00\x07bell"), "ValueError: red bell"),
        (ValueError("[/red] [enforce fail at alloc_cpu.cpp:118] x"), "ValueError: [/red] [enforce fail at alloc_cpu.cpp:118] x"),
        (ValueError(), "ValueError: no message"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("x" * 5_000_000), "ValueError: " + "x" * 2033 + "..."),
        (ValueError("é" * 5_000_000), "ValueError: " + "é" * 1016 + "..."),
    ],
)
def test_any_exception_is_recorded_in_one_short_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: Any) -> Iterator[Record]:
        raise error
        yield

    monkeypatch.setattr(Clock, "run", fail)
    ResultsFolder(tmp_path).create()
    assert list(execute(job(), tmp_path))[-1].failure == said
    assert {reason for _, _, reason in values(tmp_path)} == {said}
    assert len(said.encode()) <= 2048
    (line,) = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(line) < 40_000
    assert json.loads(line)["reason"] == said


@pytest.mark.parametrize("harness", ["accuracy", "activity", "knn", "probe"])
def test_weights_that_are_not_there_fail_a_job_and_the_next_run_tries_again(tmp_path: Path, harness: str) -> None:
    store = ResultsFolder(tmp_path).create()
    small = VariantSpec.from_mapping({"depth": 1, "dim": 16, "num_heads": 2, "T": 1, "stem": {"name": "sps", "patch_size": 2}})
    measured = Job(Cell(small, Choice("digits"), Choice("train", {"epochs": 1}), 0), Choice(harness))
    assert "no trained weights" in list(execute(measured, tmp_path))[-1].failure
    assert not store.find(measured.job_id).done
    assert {record.status for record in store.find(measured.job_id).records} == {"failed"}


@pytest.mark.parametrize("left", ["interrupted", "failed"])
def test_what_other_code_measured_is_not_taken_up_under_this_codes_name(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ResultsFolder(tmp_path).create()
    older = Identity(here().machine_id, "0123456789abcdef")
    with monkeypatch.context() as patch:
        patch.setattr("spikebench.running.jobs.execute.put_identity", lambda store: older)
        running = execute(job(fail="memory"), tmp_path)
        for event in running:
            if left == "interrupted" and isinstance(event, Measured) and event.record.value == 1:
                running.close()
    assert begun_with_other_code(planned(job(fail="memory")), ResultsFolder(tmp_path), here()) == (left == "interrupted")
    whole = Clock.run
    monkeypatch.setattr(Clock, "run", lambda self, subject, options: whole(self, subject, Clock.Options()))
    anew = [event.record.value for event in execute(job(fail="memory"), tmp_path) if isinstance(event, Measured)]
    assert anew == [0, 1, 2, 3]
    (found,) = ResultsFolder(tmp_path).job_files()
    assert {record.source_id for record in found.records} == {here().source_id}


def planned(one: Job) -> Plan:
    return Plan(((one.cell, (PlannedJob(one, done=False),)),))


def trained(folder: Path, fresh: bool) -> list[int]:
    """The epochs that a run of a training takes, after one that was stopped behind its first."""
    ResultsFolder(folder).create()
    cell = Cell(TINY, TINY_DATA, Choice("train", {"epochs": 3, "batch_size": 8, "amp": "off"}), 0)
    one = Job(cell, cell.training or Choice("train"))
    running = execute(one, folder)
    for event in running:
        if isinstance(event, Measured) and event.record.metric == "epoch_loss":
            running.close()
    taken = []
    whole = Training.epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "epoch", lambda self, *given: taken.append(len(self.history) + 1) or whole(self, *given))
        assert list(execute(one, folder, fresh))[-1].failure == ""
    return taken


def test_fresh_means_from_the_start(tmp_path: Path) -> None:
    assert trained(tmp_path / "resumed", fresh=False) == [2, 3]
    assert trained(tmp_path / "fresh", fresh=True) == [1, 2, 3]


def test_a_training_that_another_device_began_harms_no_other(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path).create()
    cell = Cell(TINY, TINY_DATA, Choice("train", {"epochs": 2, "batch_size": 8, "amp": "off"}), 0)
    assert cell.training is not None
    there, at_home = Job(cell, cell.training, "cuda"), Job(cell, cell.training, "cpu")
    left = begun.begun(store.weights_folder(cell.cell_id), there.job_id)
    checkpoints.write(left, {"of": "another device"})
    assert list(execute(at_home, tmp_path))[-1].failure == ""
    assert left.exists()


def test_a_training_that_other_code_began_is_said_to_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultsFolder(tmp_path).create()
    cell = Cell(TINY, TINY_DATA, Choice("train", {"epochs": 2, "batch_size": 8, "amp": "off"}), 0)
    assert cell.training is not None
    one = Job(cell, cell.training)
    with monkeypatch.context() as patch:
        patch.setattr(begun, "source", lambda: {"source_id": "older"})
        checkpoints.write(begun.begun(store.weights_folder(cell.cell_id), one.job_id), {})
    assert begun_with_other_code(planned(one), store, here()) == 1
    checkpoints.write(begun.begun(store.weights_folder(cell.cell_id), one.job_id), {})
    assert begun_with_other_code(planned(one), store, here()) == 0


SPEED = Metric("speed", "s", "lower", "measured", "Speed", portable=False)


def test_what_is_timed_says_how_memory_was_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is measured again under another setting, while counts are not."""
    given = []

    class Timer(Clock):
        metrics = (TICKS, SPEED)  # type: ignore[assignment]

        def run(self, subject: Any, options: Any) -> Iterator[Record]:
            given.append([(record.metric, dict(record.conditions)) for record in subject.previous])
            yield Record.of(TICKS, 1, conditions={"n": 1})
            yield Record.of(SPEED, 2.0, conditions={"n": 1})
            if options.fail:
                raise RuntimeError("broke")

    real = Registry.get
    monkeypatch.setattr(Registry, "get", lambda self, name: Timer if name == "clock" else real(self, name))
    ResultsFolder(tmp_path).create()
    for setting in ("kept", "kept", "system"):
        monkeypatch.setattr(allocator, "setting", lambda setting=setting: setting)
        list(execute(job(fail="yes"), tmp_path))
    assert given[:2] == [[], [("ticks", {"n": 1}), ("speed", {"n": 1})]]
    assert {metric for metric, _ in given[2]} == {"ticks"}
    stored = {(record.metric, record.conditions.get("malloc")) for record in ResultsFolder(tmp_path).records()}
    assert ("ticks", None) in stored
    assert ("speed", "system") in stored
    assert ("speed", None) not in stored


def test_what_a_job_has_freed_is_given_back_when_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = []
    monkeypatch.setattr(allocator, "trim", lambda: given_back.append(True))
    ResultsFolder(tmp_path).create()
    for fail in ("", "memory"):
        events = execute(job(fail=fail), tmp_path)
        assert not any(isinstance(event, JobEnded) and not given_back for event in events)
    assert len(given_back) == 2
