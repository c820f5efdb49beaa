"""One job, in this process, as a generator of events: pruning, Ctrl-C and time limits are all ``close()``."""

from __future__ import annotations

import dataclasses
import json
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core import allocator, own_files, source
from spikebench.core.cells import Job
from spikebench.core.errors import DiskError, StorageError, storage_errors
from spikebench.core.job_files import JobWriter
from spikebench.core.own_files import OwnFiles
from spikebench.core.reasons import explain
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES, is_stage
from spikebench.core.source import Checkout
from spikebench.core.store import ResultsFolder
from spikebench.running.jobs import luggage
from spikebench.running.jobs.events import Event, JobEnded, JobStarted, Measured
from spikebench.running.jobs.identity import Identity, here, put_identity
from spikebench.running.jobs.subject import Subject

MALLOC = "malloc"
"""The condition of whatever is timed: ``allocator.setting()``."""


@dataclasses.dataclass(frozen=True)
class Executor:
    """The work that launchers are handed: runs a job and keeps its records in ``folder``. Picklable, and ``Movable``.

    ``own``: the suite's own files, which a job may have components of. ``sent_from``: the checkout of the machine that it was
    moved from, with its code.
    """

    folder: Path
    fresh: bool = False
    own: OwnFiles = OwnFiles()
    sent_from: Checkout | None = None

    def __call__(self, job: Job) -> Iterator[Event]:
        own_files.use(self.own)
        if self.sent_from is not None:
            source.sent_from(self.sent_from)
        return execute(job, self.folder, self.fresh)

    def moved(self, folder: Path) -> Executor:
        """See ``Movable``; called where it is moved to, in a process that knows the checkout that it was sent from."""
        return dataclasses.replace(self, folder=folder, own=luggage.moved(self.own, folder), sent_from=source.checkout())

    def luggage(self, chain: Sequence[Job]) -> Mapping[str, Path]:
        return luggage.files(self.folder, chain, self.own)

    def signals(self, job: Job) -> Sequence[str]:
        return ()

    def took_its_process_down(self, job: Job) -> bool:
        """Whether a process like this one died over the job the last time that it ran here."""
        store = ResultsFolder(self.folder)
        return store.took_its_process_down(store.job_path(job.job_id, here().machine_id))


def execute(job: Job, folder: Path, fresh: bool = False) -> Iterator[Event]:
    """Run one job and store its records as they come.

    An exception of the harness (out of memory included) becomes failed records with the reason, and the next job is unharmed; a
    job with a failed record has failed, whoever made it. ``fresh``: take up nothing of earlier runs. Closing the generator leaves
    an unfinished file from which the next run goes on. Raises DiskError if no results can be written; what is wrong with this
    job's file alone (a newer one is in its place) ends this job alone.
    """
    started = time.perf_counter()
    try:
        failure = yield from _run(job, folder, fresh)
    except DiskError:
        raise
    except StorageError as error:
        failure = explain(error)
        log(folder, "failed", job_id=job.job_id, reason=failure)
    allocator.trim()
    yield JobEnded(job.job_id, time.perf_counter() - started, failure)


def _run(job: Job, folder: Path, fresh: bool) -> Generator[Event, None, str]:
    """The events of a job but its last one; returns why it failed."""
    store = ResultsFolder(folder)
    harness = REGISTRIES["harnesses"].get(job.harness.name)()
    identity = put_identity(store)
    header = identity.header(job)
    path = store.job_path(job.job_id, identity.machine_id)
    previous = _previous(store, path, identity) if harness.resumes and not fresh else ()
    if fresh and is_stage(job.harness.name):
        _forget(store, job)
    writer = store.writer(header, keep=previous)
    try:
        yield JobStarted(job.job_id, identity)
        subject = Subject(job, store.weights_folder(job.cell.cell_id), _as_measured(previous), folder)
        failure = yield from _record(job, harness, subject, writer, header)
        writer.finish()
    finally:
        writer.close()
    return failure


def _record(job: Job, harness: Any, subject: Subject, writer: JobWriter, header: dict[str, Any]) -> Generator[Event, None, str]:
    """Hand the harness's records to the writer; returns why the job failed, if it did."""
    emitted = {record.metric for record in subject.previous}
    ids = {name: header[name] for name in ("job_id", "cell_id", "machine_id", "source_id")}
    failure = ""
    try:
        for record in _measure(harness, subject, job):
            emitted.add(record.metric)
            if record.status == "failed":
                failure = failure or record.reason
            writer.write(record)
            yield Measured(job.job_id, record.of_job(**ids))
        if not emitted:
            raise RuntimeError(f"the harness {job.harness.name} ended without a record")
    except (DiskError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        failure = explain(error)
        log(writer.path.parents[1], "failed", job_id=job.job_id, reason=failure, traceback=_traceback())
        for record in failed_records(harness, emitted, failure):
            writer.write(record)
            yield Measured(job.job_id, record.of_job(**ids))
        _release(error)
    return failure


def store_failure(folder: Path, job: Job, reason: str, identity: Identity | None = None) -> None:
    """Record that a job failed for a reason outside of it: its process died. ``identity``: where it ran; here if nobody knows.

    Raises StorageError if the job's file cannot be written.
    """
    store = ResultsFolder(folder)
    identity = identity or put_identity(store)
    harness = REGISTRIES["harnesses"].get(job.harness.name)()
    previous = store.read_partial(store.job_path(job.job_id, identity.machine_id), identity.source_id)
    writer = store.writer({**identity.header(job), "died": True}, keep=previous)
    try:
        for record in failed_records(harness, {record.metric for record in previous}, reason):
            writer.write(record)
        writer.finish()
    finally:
        writer.close()


def failed_records(harness: Any, emitted: set[str], reason: str) -> Iterator[Record]:
    """A record with the reason for each declared metric that has none yet; for the first one if all have some."""
    missing = [metric for metric in harness.metrics if metric.name not in emitted]
    for metric in missing or harness.metrics[:1]:
        yield Record.absent(metric, reason, status="failed")


def log(folder: Path, event: str, **details: Any) -> None:
    """Append to the folder's ``log.jsonl``. One short write in append mode, so several processes may."""
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **details}, ensure_ascii=False)
    try:
        with open(folder / "log.jsonl", "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(line + "\n")
    except OSError:
        # The log tells how it went; on a full disk the records are what matters, and they raise.
        return


def _previous(store: ResultsFolder, path: Path, identity: Identity) -> tuple[Record, ...]:
    """What an interrupted run of the job had recorded; else what a failed one did measure before or beside its failure.

    Of this code alone: a file names one source, and that must be true of every number in it.
    """
    kept = store.read_partial(path, identity.source_id)
    finished = store.read_job_file(path) if not kept and path.exists() else None
    if finished is None or not finished.failed or finished.header["source_id"] != identity.source_id:
        return kept
    return tuple(record for record in finished.records if record.status != "failed")


def _forget(store: ResultsFolder, job: Job) -> None:
    """What was begun of a training, so that it begins from the start."""
    from spikebench.training.begun import forget

    folder = store.weights_folder(job.cell.cell_id)
    with storage_errors(folder):
        forget(folder, job.job_id)


def _measure(harness: Any, subject: Subject, job: Job) -> Iterator[Record]:
    options = job.harness.resolve("harnesses")
    known = {metric.name: metric for metric in harness.metrics}
    for record in harness.run(subject, options):
        metric = known.get(record.metric)
        if metric is None:
            raise RuntimeError(f"harness {job.harness.name} emitted {record.metric!r}, which it does not declare")
        if metric.timed:
            record = dataclasses.replace(record, conditions={**record.conditions, MALLOC: allocator.setting()})
        yield record


def _as_measured(previous: tuple[Record, ...]) -> tuple[Record, ...]:
    """``previous`` as the harness emitted it; times under another setting of the allocator are no answer to what is asked now."""
    return tuple(
        dataclasses.replace(record, conditions={name: value for name, value in record.conditions.items() if name != MALLOC})
        for record in previous
        if record.conditions.get(MALLOC, allocator.setting()) == allocator.setting()
    )


def _traceback() -> str:
    """Of the exception being handled: its end, which says where it was raised, with no more of its message than fits."""
    return traceback.format_exc()[-16_384:]


def _release(error: BaseException) -> None:
    """Let go of what a failed job held, so that an out-of-memory cell does not take the next one with it."""
    import gc

    import torch

    error.__traceback__ = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
