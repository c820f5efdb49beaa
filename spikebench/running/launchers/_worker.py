"""A worker process: what runs in it, and its parent's view of it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from spikebench.core import allocator
from spikebench.core.cells import Job
from spikebench.core.errors import InputError
from spikebench.core.garbage import with_rest_set_aside
from spikebench.core.process import is_stopped
from spikebench.core.protocols import Care
from spikebench.core.reasons import explain
from spikebench.running.jobs.events import JobEnded, JobStarted, Measured, WorkerDied
from spikebench.running.launchers._seats import Seat
from spikebench.running.launchers._stack import Stack, answer_with_stack

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
    """One process, which is given chains of jobs. ``chain`` is what it has been given and not yet finished.

    Raises InputError for work that cannot be sent to another process.
    """

    def __init__(self, work: Work, seat: Seat) -> None:
        # spawn: a forked torch would inherit thread pools that no longer have threads.
        context = multiprocessing.get_context("spawn")
        self.seat = seat
        self.connection, there = context.Pipe()
        self._stack, answer = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=_serve, args=(there, answer, work, seat), daemon=True)
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise unsendable(error) from error
        there.close()
        answer.close()
        self.chain: list[Job] = []
        self._begun: float | None = None
        self._heard = time.monotonic() + STARTING
        self._word = ""

    def give(self, chain: list[Job]) -> None:
        self.chain = chain
        self._heard = max(self._heard, time.monotonic())
        try:
            self.connection.send(chain)
        except (BrokenPipeError, ConnectionResetError):
            return  # it died while it had nothing to do: the end of the connection is what its parent hears next

    def note(self, event: Any) -> Any:
        """The event, as it is handed on."""
        self._heard = time.monotonic()
        if isinstance(event, JobStarted):
            self._begun, self._word = self._heard, ""
            return event if event.where is not None else dataclasses.replace(event, where=self.seat.where)
        if isinstance(event, Measured):
            epoch = event.record.conditions.get("epoch")
            self._word = event.record.metric + ("" if epoch is None else f" of epoch {epoch}")
        elif isinstance(event, JobEnded):
            self._begun = None
            self.chain = [job for job in self.chain if job.job_id != event.job_id]
        return event

    def patience(self, care: Care) -> float | None:
        """Seconds until it is overdue; None: never."""
        ends = [since + limit for since, limit in self._limits(care)]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def overdue(self, care: Care) -> str | None:
        """Why it must be ended, if it must."""
        if self.patience(care) != 0.0:
            return None
        if care.job_timeout is not None and self._begun is not None and time.monotonic() >= self._begun + care.job_timeout:
            return f"ended: the job took longer than job_timeout, {care.job_timeout:g} s{self._doing()}"
        return f"ended: nothing was heard of the job for as long as stall, {care.stall:g} s{self._doing()}"

    def _doing(self) -> str:
        """The last that it said, and where in the code it is: what a hang is looked for by."""
        word = f"; its last word: {self._word}" if self._word else ""
        return word + Stack(self._stack).of(self.process.pid)

    def _limits(self, care: Care) -> Iterator[tuple[float, float]]:
        if care.job_timeout is not None and self._begun is not None:
            yield self._begun, care.job_timeout
        if care.stall is not None:
            yield self._heard, care.stall

    def died(self, reason: str | None = None) -> WorkerDied:
        """It is gone; the first job of its ``chain`` is what it was doing."""
        end([self.process], grace=GRACE if reason is None else 0.0)
        self._close()
        return WorkerDied(self.chain[0].job_id if self.chain else "", reason or self._epitaph())

    def _epitaph(self) -> str:
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "the worker process was killed (signal 9): most likely out of memory"
        if code < 0:
            return f"the worker process crashed ({signal.Signals(-code).name})"
        return f"the worker process ended unexpectedly (exit code {code})"

    def dismiss(self) -> None:
        self._close()
        end([self.process], grace=GRACE)

    def _close(self) -> None:
        self.connection.close()
        self._stack.close()


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


def unsendable(error: Exception) -> InputError:
    """What a launcher says of work that stays where it is."""
    return InputError(f"what the jobs do cannot be sent to another process: {error}; a function must be at the top of a module")


def _serve(connection: Connection, answer: Connection, work: Work, seat: Seat) -> None:
    """The worker's main loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides what it means
    answer_with_stack(answer)
    end_with_parent()
    allocator.keep()
    _sit(seat)
    try:
        for chain in with_rest_set_aside(iter(connection.recv, None)):
            for job in chain:
                for event in _watched(work, job):
                    _keep_threads(seat.threads)
                    connection.send(event)
                    if isinstance(event, Raised):
                        return
            connection.send(IDLE)
    except (EOFError, BrokenPipeError):
        return


def _sit(seat: Seat) -> None:
    """Keep to the seat's cores, GPUs and threads. Comes before torch, which counts its threads when it is imported."""
    if seat.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, seat.cores)
    if seat.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = seat.gpus
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(seat.threads)
    _keep_threads(seat.threads)


def _keep_threads(threads: int) -> None:
    """As soon as there is torch; work that needs none is not made to wait for it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


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


def end_with_parent(group: bool = False) -> None:
    """``group``: and with it all that it has started, of which it leads the process group."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        if group:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
