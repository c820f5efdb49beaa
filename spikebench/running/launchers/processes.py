"""Several worker processes with a thread each: on small networks nearly twice as fast as one process with two threads."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from spikebench.core.cells import Job
from spikebench.running.jobs.events import JobEnded, WorkerDied

Work = Callable[[Job], Iterator[Any]]


class Launcher:
    """Hands chains of jobs to worker processes, each as it becomes free.

    A worker that dies (out of memory, a crash in native code) costs the job that it ran: the rest of its chain goes to a fresh
    worker. Workers end at once when their parent does, however it ended, so that no two runs ever write the same file.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``workers``: how many processes; 0 means one for each core. ``threads``: CPU threads of each."""

        workers: int = 0
        threads: int = 1

        def __post_init__(self) -> None:
            if self.workers < 0 or self.threads < 1:
                raise ValueError("workers must be 0 or more and threads at least 1")

    alone = False

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def workers(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.options.workers or max(1, cores // self.options.threads)

    def run(self, chains: Iterable[Sequence[Job]], work: Work) -> Iterator[Any]:
        # A chain is taken when a worker is free for it, not before: a search decides on the next one by what it has seen.
        waiting: Iterator[list[Job]] = (list(chain) for chain in chains if chain)
        workers: dict[Connection, _Worker] = {}
        try:
            for chain in itertools.islice(waiting, self.workers):
                _start(workers, work, self.options.threads, chain)
            while workers:
                for connection in wait(list(workers)):
                    assert isinstance(connection, Connection)
                    worker = workers[connection]
                    try:
                        event = connection.recv()
                    except (EOFError, ConnectionResetError):
                        del workers[connection]
                        yield worker.died()
                        rest = worker.chain or next(waiting, [])
                        if rest:
                            _start(workers, work, self.options.threads, rest)
                        continue
                    if event != _IDLE:
                        worker.note(event)
                        yield event
                    elif following := next(waiting, []):
                        worker.give(following)
                    else:
                        del workers[connection]
                        worker.dismiss()
        finally:
            for worker in workers.values():
                worker.process.terminate()
            for worker in workers.values():
                worker.process.join()


_IDLE = "idle"


class _Worker:
    """The parent's view of one process: ``chain`` is what it has been given and not yet finished."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.chain: list[Job] = []

    def give(self, chain: list[Job]) -> None:
        self.chain = chain
        self.connection.send(chain)

    def note(self, event: Any) -> None:
        if isinstance(event, JobEnded):
            self.chain = [job for job in self.chain if job.job_id != event.job_id]

    def died(self) -> WorkerDied:
        self.process.join()
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            reason = "the worker process was killed (signal 9): most likely out of memory"
        elif code < 0:
            reason = f"the worker process crashed ({signal.Signals(-code).name})"
        else:
            reason = f"the worker process ended unexpectedly (exit code {code})"
        lost, self.chain = self.chain[:1], self.chain[1:]
        return WorkerDied(lost[0].job_id if lost else "", reason)

    def dismiss(self) -> None:
        self.connection.close()
        self.process.join()


def _start(workers: dict[Connection, _Worker], work: Work, threads: int, chain: list[Job]) -> None:
    # spawn: a forked torch would inherit thread pools that no longer have threads.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work, threads), daemon=True)
    process.start()
    there.close()
    worker = _Worker(process, here)
    workers[here] = worker
    worker.give(chain)


def _serve(connection: Connection, work: Work, threads: int) -> None:
    """The worker's main loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides what it means
    _end_with_parent()
    import torch

    torch.set_num_threads(threads)
    try:
        while True:
            for job in connection.recv():
                for event in work(job):
                    connection.send(event)
            connection.send(_IDLE)
    except (EOFError, BrokenPipeError):
        return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
