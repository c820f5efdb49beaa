"""What the verb ``status`` does: how far a results folder is, and who works in it. Loads no torch and writes nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.job_files import JobFile, NewerError, Unfinished, header_at, read_unfinished, unfinished
from spikebench.core.lock import SILENCE, Holder, holder_of
from spikebench.core.plans import Plans
from spikebench.core.registry import is_stage
from spikebench.core.store import ResultsFolder
from spikebench.core.text import printable
from spikebench.core.waiting import Failure, told_once, waiting
from spikebench.running.run.progress import clock
from spikebench.running.verbs._workers import Begun, begun_by_last_driver, network, told

MOST = 20
"""Failures that are listed; a report lists all."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A job that is being done, or was when its driver died: its harness and network, the records that it has so far, seconds
    since the last one, what it said of its last epochs, and by whom. ``begun``: where and when; None where nobody wrote it down.
    """

    job_id: str
    harness: str
    network: str
    records: int
    silence: float
    told: tuple[str, ...]
    process: str
    begun: Begun | None


@dataclasses.dataclass(frozen=True)
class State:
    """``wanted``: ids of the jobs that the folder is for; those that are there if it has no plan. ``finished``: when the done
    ones were finished, seconds since the epoch. ``failed``: those that failed last, with their files. ``left``: what was begun
    and nobody works on. ``workers``: each worker of the last driver, with the job that it began last."""

    wanted: frozenset[str]
    finished: dict[str, float]
    failed: dict[str, JobFile]
    working: tuple[Work, ...]
    left: tuple[Work, ...]
    workers: tuple[Begun, ...]
    holder: Holder | None
    notices: tuple[str, ...]

    @property
    def done(self) -> int:
        return len(self.wanted & self.finished.keys())

    def remaining(self, now: float) -> float | None:
        """Seconds, at the pace of the driver that works there now; None where there is none, or it has not finished a job yet."""
        if self.holder is None or self.holder.verb != "spikebench run":
            return None
        own = sum(at >= self.holder.since for at in self.finished.values())
        return (len(self.wanted) - self.done) * (now - self.holder.since) / own if own else None


def state_of(path: Path, now: float) -> State:
    """Raises StorageError if the folder is no results folder."""
    store = ResultsFolder(path).require()
    finished: dict[str, float] = {}
    failed: dict[str, JobFile] = {}
    for job_id, paths in store.finished().items():
        files = [file for one in paths if (file := store.read_job_file(one)) is not None]
        done = [file for file in files if file.done]
        if done:
            finished[job_id] = min(file.path.stat().st_mtime for file in done)
        elif files:
            failed[job_id] = files[0]
    begun = unfinished(path / "jobs")
    holder = holder_of(path)
    at_work = [one for one in begun if one.in_use or _goes_on(one, holder is not None, now)]
    try:
        plan = Plans(path).wanted()
    except (OSError, ValueError):
        plan = None
    known = frozenset({*finished, *failed, *(one.job_id for one in begun)})
    wanted = known if plan is None else plan.jobs
    workers = begun_by_last_driver(path)
    places = {one.job_id: one for one in sorted(workers, key=lambda one: one.at)}
    working = tuple(_work(path, one, places, now) for one in at_work)
    left = tuple(_work(path, one, places, now) for one in begun if one not in at_work and one.job_id not in finished)
    wanted_failures = {job_id: file for job_id, file in failed.items() if job_id in wanted}
    return State(wanted, finished, wanted_failures, working, left, tuple(workers), holder, tuple(store.notices))


def show_status(path: Path) -> None:
    """Print it. Raises StorageError."""
    now = time.time()
    console = standard_output()
    for line in lines(path, state_of(path, now), now):
        console.print(printable(line), soft_wrap=True)


def lines(path: Path, state: State, now: float) -> Iterable[str]:
    """What is printed, a line each."""
    to_do = len(state.wanted) - state.done - len(state.failed)
    yield f"{path}: {state.done} of {len(state.wanted)} jobs done, {len(state.failed)} failed, {to_do} to do"
    if state.holder is None:
        jobs = "1 job was" if len(state.left) == 1 else f"{len(state.left)} jobs were"
        begun = f"; {jobs} begun and not finished: the next run goes on from there" if state.left else ""
        if state.working:
            yield f"no driver is here, but jobs go on without it (slurm): the next run collects them{begun}"
        else:
            yield f"nobody works here{begun}"
        for work in state.working:
            yield from _said(work, now)
        for work in state.left[:MOST]:
            yield from _said(work, now, ended=True)
        if len(state.left) > MOST:
            yield f"  and {len(state.left) - MOST} more"
    else:
        yield f"running for {clock(max(0.0, now - state.holder.since))}: {state.holder}"
        for work in state.working:
            yield from _said(work, now)
        busy = {work.begun.where for work in state.working if work.begun is not None}
        yield from (f"  {one.where}: between jobs, last {one.job_id[:8]}" for one in state.workers if one.where not in busy)
        left = state.remaining(now)
        if left is not None:
            yield f"about {clock(left)} left, at the pace so far"
    failures = {job_id: _failure(file) for job_id, file in state.failed.items()}
    told = told_once(failures)
    for job_id, others in list(told.items())[:MOST]:
        reason = f"{failures[job_id].reason}{waiting(others)}"
        yield f"failed: {state.failed[job_id].header.get('harness', 'job')} {job_id[:8]}: {reason}"
    if len(told) > MOST:
        yield f"and {len(told) - MOST} more failed jobs: `spikebench report {path}` has all"
    yield from (f"notice: {notice}" for notice in state.notices)


def _failure(file: JobFile) -> Failure:
    reasons = [record.reason for record in file.records if record.status == "failed"] or ["it has no records"]
    try:
        stage = is_stage(str(file.header.get("harness")))
    except InputError:  # a harness of a package that is not here
        stage = False
    return Failure(file.header["cell_id"], stage, reasons[0])


def _goes_on(one: Unfinished, driven: bool, now: float) -> bool:
    """Of a process on another host only its driver is known to be there or not; one without a driver (a task in a queue) is
    believed for as long as it writes."""
    if one.kept or one.crashed or one.process is None or one.process.alive is not None:
        return False
    try:
        return driven or now - one.path.stat().st_mtime < SILENCE
    except OSError:  # it was finished a moment ago
        return False


def _said(work: Work, now: float, ended: bool = False) -> Iterable[str]:
    """What a worker does, or did when it ended, a line, and below it what the job has said last."""
    what = " ".join(filter(None, (work.harness, work.job_id[:8], work.network)))
    if work.begun is None:
        place, since = "", ""
    else:
        place = f"{work.begun.where}: "
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(work.begun.at))
        since = f" since {began}" + ("" if ended else f", for {clock(max(0.0, now - work.begun.at))}")
    records = "1 record" if work.records == 1 else f"{work.records} records"
    so_far = f"{records}, the last {clock(work.silence)} ago" if work.records else "no record yet"
    yield f"  {place}{what}{since}: {so_far}, by {work.process}"
    yield from (f"    {line}" for line in work.told)


def _work(folder: Path, one: Unfinished, places: Mapping[str, Begun], now: float) -> Work:
    records, _ = read_unfinished(one.path)
    try:
        silence = max(0.0, now - one.path.stat().st_mtime)
        header: dict[str, Any] = header_at(one.path) or {}
    except (OSError, NewerError):  # it was finished a moment ago
        silence, header = 0.0, {}
    who = f"process {one.process.pid} on {one.process.host}" if one.process else "an unknown process"
    harness, cell = str(header.get("harness", "job")), network(folder, str(header.get("cell_id", "")))
    return Work(one.job_id, harness, cell, len(records), silence, tuple(told(records)), who, places.get(one.job_id))
