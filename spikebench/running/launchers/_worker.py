"""A worker process: what runs in it, and its parent's view of it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.process import is_stopped
from spikebench.core.protocols import Care
from spikebench.core.reasons import explain
from spikebench.running.jobs.events import JobEnded, JobStarted, WorkerDied

Work = Callable[[Job], Iterator[Any]]

IDLE = "idle"
GRACE = 5.0
"""Seconds that a process has to end when it is told to; then it is killed."""
LEAVING = 30.0
"""The same, of processes that all are told to end as the run does: a training ends its step and writes its checkpoint."""
STARTING = 60.0
"""Seconds that a process may take to say a first word, whatever ``stall`` is: it imports torch."""


class Raised:
    """What the work raised, on its way to the parent."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Worker:
    """One process, which is given chains of jobs. ``chain`` is what it has been given and not yet finished."""

    def __init__(self, work: Work, threads: int) -> None:
        # spawn: a forked torch would inherit thread pools that no longer have threads.
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(there, work, threads), daemon=True)
        self.process.start()
        there.close()
        self.chain: list[Job] = []
        self._begun: float | None = None
        self._heard = time.monotonic() + STARTING

    def give(self, chain: list[Job]) -> None:
        self.chain = chain
        self._heard = max(self._heard, time.monotonic())
        self.connection.send(chain)

    def note(self, event: Any) -> None:
        self._heard = time.monotonic()
        if isinstance(event, JobStarted):
            self._begun = self._heard
        elif isinstance(event, JobEnded):
            self._begun = None
            self.chain = [job for job in self.chain if job.job_id != event.job_id]

    def patience(self, care: Care) -> float | None:
        """Seconds until it is overdue; None: never."""
        ends = [since + limit for since, limit in self._limits(care)]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def overdue(self, care: Care) -> str | None:
        """Why it must be ended, if it must."""
        if self.patience(care) != 0.0:
            return None
        if care.job_timeout is not None and self._begun is not None and time.monotonic() >= self._begun + care.job_timeout:
            return f"ended: the job took longer than job_timeout, {care.job_timeout:g} s"
        return f"ended: nothing was heard of the job for as long as stall, {care.stall:g} s"

    def _limits(self, care: Care) -> Iterator[tuple[float, float]]:
        if care.job_timeout is not None and self._begun is not None:
            yield self._begun, care.job_timeout
        if care.stall is not None:
            yield self._heard, care.stall

    def died(self, reason: str | None = None) -> WorkerDied:
        """It is gone, and what it was doing is lost; the rest of its ``chain`` is for another one."""
        end([self.process], grace=GRACE if reason is None else 0.0)
        self.connection.close()
        lost, self.chain = self.chain[:1], self.chain[1:]
        return WorkerDied(lost[0].job_id if lost else "", reason or self._epitaph())

    def _epitaph(self) -> str:
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "the worker process was killed (signal 9): most likely out of memory"
        if code < 0:
            return f"the worker process crashed ({signal.Signals(-code).name})"
        return f"the worker process ended unexpectedly (exit code {code})"

    def dismiss(self) -> None:
        self.connection.close()
        end([self.process], grace=GRACE)


def end(processes: Iterable[BaseProcess], grace: float = 0.0, patience: float | None = None) -> None:
    """See that the processes are gone: ``grace`` seconds to end by themselves, then told to, then, after ``patience`` (GRACE if
    not given), killed.
    """
    there = list(processes)
    told = GRACE if patience is None else patience
    for ask, seconds in ((None, grace), (BaseProcess.terminate, told), (BaseProcess.kill, GRACE)):
        for process in there:
            if ask is not None:
                ask(process)
        asked = time.monotonic()
        for process in there:
            # One that is stopped hears nothing, however long it is given.
            given = min(seconds, GRACE) if process.pid is not None and is_stopped(process.pid) else seconds
            process.join(max(0.0, asked + given - time.monotonic()))
        there = [process for process in there if process.is_alive()]
        if not there:
            return


def _serve(connection: Connection, work: Work, threads: int) -> None:
    """The worker's main loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides what it means
    end_with_parent()
    import torch

    torch.set_num_threads(threads)
    try:
        while True:
            for job in connection.recv():
                for event in _watched(work, job):
                    connection.send(event)
                    if isinstance(event, Raised):
                        return
            connection.send(IDLE)
    except (EOFError, BrokenPipeError):
        return


def _watched(work: Work, job: Job) -> Iterator[Any]:
    try:
        yield from work(job)
    except Exception as error:
        yield Raised(portable(error))


def portable(error: Exception) -> Exception:
    """The exception, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(explain(error))
    error.add_note(f"in a worker process:\n{traceback.format_exc()[-16_384:]}")
    return error


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
