"""Several worker processes with a thread each: on small networks nearly twice as fast as one process with two threads."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.protocols import NO_CARE, Care
from spikebench.running.jobs.events import JobAgain
from spikebench.running.launchers._seats import Seat, seats, usable_cores
from spikebench.running.launchers._worker import IDLE, LEAVING, Raised, Work, Worker, end


class Launcher:
    """Hands chains of jobs to worker processes, each as it becomes free.

    A worker has ``threads`` cores to itself where there are enough, and for jobs on a GPU one of its own. One that dies (out of
    memory, a crash in native code), or is ended because its job took too long, costs the job that it ran: the rest of its chain
    goes to a fresh worker. Workers end when their parent does, however it ended.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``workers``: how many processes; if left out, one a GPU, or for as many as there are cores. ``threads``: CPU threads of
        each."""

        workers: int | None = None
        threads: int = 1

        def __post_init__(self) -> None:
            refuse_below_one(workers=self.workers, threads=self.threads)

    alone = False

    def __init__(self, options: Options, seats: Sequence[Seat] = (), lives: int = 1) -> None:
        """``seats``: where the workers sit, if somebody else has dealt them out. ``lives``: how many workers may die over a job
        before it is given up."""
        self.options = options
        self.deaths: Counter[str] = Counter()
        self._seats, self._lives = seats, lives

    @property
    def workers(self) -> int:
        return self.options.workers or max(1, len(usable_cores()) // self.options.threads)

    def workers_for(self, care: Care) -> int:
        return len(seats(self.options.workers, self.options.threads, care))

    def run(self, chains: Iterable[Sequence[Job]], work: Work, care: Care = NO_CARE) -> Iterator[Any]:
        # A chain is taken when a worker is free for it, not before: a search decides on the next one by what it has seen.
        waiting: Iterator[list[Job]] = (list(chain) for chain in chains if chain)
        workers: dict[Connection, Worker] = {}

        def start(seat: Seat, chain: list[Job]) -> None:
            worker = Worker(work, seat)
            workers[worker.connection] = worker
            worker.give(chain)

        def bury(worker: Worker, reason: str | None = None) -> Iterator[Any]:
            del workers[worker.connection]
            died, rest = worker.died(reason), worker.chain
            self.deaths[died.job_id] += 1
            if rest and reason is None and self.deaths[died.job_id] < self._lives:
                yield JobAgain(died.job_id, f"{died.reason} ({self.deaths[died.job_id]} of {self._lives})")
            else:
                yield died
                rest = rest[1:]
            if rest := rest or next(waiting, []):
                start(worker.seat, rest)

        try:
            for seat, chain in zip(self._seats or seats(self.options.workers, self.options.threads, care), waiting, strict=False):
                start(seat, chain)
            while workers:
                for connection in wait(list(workers), _patience(workers.values(), care)):
                    assert isinstance(connection, Connection)
                    worker = workers[connection]
                    try:
                        event = connection.recv()
                    except (EOFError, ConnectionResetError):
                        yield from bury(worker)
                        continue
                    if isinstance(event, Raised):
                        raise event.error
                    if event != IDLE:
                        yield worker.note(event)
                    elif following := next(waiting, []):
                        worker.give(following)
                    else:
                        del workers[connection]
                        worker.dismiss()
                for worker in [*workers.values()]:
                    if reason := worker.overdue(care):
                        yield from bury(worker, reason)
        finally:
            end((worker.process for worker in workers.values()), patience=LEAVING)


def refuse_below_one(**numbers: int | None) -> None:
    """Raises ValueError that names all of the options that are numbers below 1."""
    wrong = [f"{name} must be at least 1, got {value}" for name, value in numbers.items() if value is not None and value < 1]
    if wrong:
        raise ValueError("\n".join(wrong))


def _patience(workers: Iterable[Worker], care: Care) -> float | None:
    """How long to wait for a word before one of them is overdue."""
    limits = [limit for worker in workers if (limit := worker.patience(care)) is not None]
    return min(limits, default=None)
