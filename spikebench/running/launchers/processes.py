"""Several worker processes with a thread each: on small networks nearly twice as fast as one process with two threads."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.protocols import NO_CARE, Care
from spikebench.running.launchers._worker import IDLE, LEAVING, Raised, Work, Worker, end


class Launcher:
    """Hands chains of jobs to worker processes, each as it becomes free.

    A worker that dies (out of memory, a crash in native code), or is ended because its job took too long, costs the job that it
    ran: the rest of its chain goes to a fresh worker. Workers end when their parent does, however it ended.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``workers``: how many processes; as many as there are cores for if left out. ``threads``: CPU threads of each."""

        workers: int | None = None
        threads: int = 1

        def __post_init__(self) -> None:
            wrong = [
                f"{name} must be at least 1, got {value}"
                for name, value in (("workers", self.workers), ("threads", self.threads))
                if value is not None and value < 1
            ]
            if wrong:
                raise ValueError("\n".join(wrong))

    alone = False

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def workers(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.options.workers or max(1, cores // self.options.threads)

    def run(self, chains: Iterable[Sequence[Job]], work: Work, care: Care = NO_CARE) -> Iterator[Any]:
        # A chain is taken when a worker is free for it, not before: a search decides on the next one by what it has seen.
        waiting: Iterator[list[Job]] = (list(chain) for chain in chains if chain)
        workers: dict[Connection, Worker] = {}

        def start(chain: list[Job]) -> None:
            worker = Worker(work, self.options.threads)
            workers[worker.connection] = worker
            worker.give(chain)

        try:
            for chain in itertools.islice(waiting, self.workers):
                start(chain)
            while workers:
                for connection in wait(list(workers), _patience(workers.values(), care)):
                    assert isinstance(connection, Connection)
                    worker = workers[connection]
                    try:
                        event = connection.recv()
                    except (EOFError, ConnectionResetError):
                        del workers[connection]
                        yield worker.died()
                        if rest := worker.chain or next(waiting, []):
                            start(rest)
                        continue
                    if isinstance(event, Raised):
                        raise event.error
                    if event != IDLE:
                        worker.note(event)
                        yield event
                    elif following := next(waiting, []):
                        worker.give(following)
                    else:
                        del workers[connection]
                        worker.dismiss()
                for connection, worker in [*workers.items()]:
                    reason = worker.overdue(care)
                    if reason is not None:
                        del workers[connection]
                        yield worker.died(reason)
                        if rest := worker.chain or next(waiting, []):
                            start(rest)
        finally:
            end((worker.process for worker in workers.values()), patience=LEAVING)


def _patience(workers: Iterable[Worker], care: Care) -> float | None:
    """How long to wait for a word before one of them is overdue."""
    limits = [limit for worker in workers if (limit := worker.patience(care)) is not None]
    return min(limits, default=None)
