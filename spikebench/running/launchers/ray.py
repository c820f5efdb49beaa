"""Workers on the nodes of a Ray cluster, or of one that is started here: no file system need be shared."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.errors import DiskError, InputError, StorageError
from spikebench.core.protocols import NO_CARE, Care, Movable
from spikebench.running.jobs.events import Crew, JobAgain, Measured, Notice, WorkerDied
from spikebench.running.launchers._mirror import Copy, Piece, luggage
from spikebench.running.launchers._ray_driver import Cluster, GoneError, Worker
from spikebench.running.launchers._ray_messages import LEFT, Deserted, Give, Lost, Planned, Ready, Refused, Said, Send, Unusable
from spikebench.running.launchers._seats import usable_cores
from spikebench.running.launchers._worker import IDLE, LEAVING, Raised, Work
from spikebench.running.launchers.processes import refuse_below_one

RETURNING = 60.0
"""Seconds that a cluster which is gone, or has no node left, is given to come back."""


class Launcher:
    """A worker per GPU, or per ``threads`` cores, of each node; a chain stays on one node, so that its weights need not travel.

    What workers write is copied to the driver as it is written, and what a chain needs of it to the worker that gets it: weights
    and checkpoints are found wherever the chain goes on. When a node or a worker is lost its chain is begun again from its last
    checkpoint; a job over which ``LIVES`` workers were lost has failed. A node whose disk is full gets no more. Jobs that time
    have a node to themselves, with ``threads`` cores. spikebench, plugins and own files are sent along; data sets are not.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``address``: of a cluster's head (``10.0.0.1:6379``, ``auto``); RAY_ADDRESS if left out; without that a cluster of this
        machine alone. ``workers``: at most so many. ``threads``: CPU threads of each."""

        address: str | None = None
        workers: int | None = None
        threads: int = 1

        def __post_init__(self) -> None:
            refuse_below_one(workers=self.workers, threads=self.threads)

    alone = False
    exclusive = True
    LIVES = 3

    def __init__(self, options: Options) -> None:
        self.options = options
        self._deaths: dict[str, int] = {}
        self._again: deque[list[Job]] = deque()
        self._workers: dict[int, Worker] = {}
        self._full: DiskError | None = None

    @property
    def address(self) -> str | None:
        return self.options.address or os.environ.get("RAY_ADDRESS") or None

    @property
    def workers(self) -> int:
        """Of a cluster elsewhere no more is known before it is asked."""
        here = 1 if self.address else max(1, len(usable_cores()) // self.options.threads)
        return self.options.workers or here

    def run(self, chains: Iterable[Sequence[Job]], work: Work, care: Care = NO_CARE) -> Iterator[Any]:
        """Raises InputError, before any job begins, where there is no cluster, or none that has what the jobs need; StorageError
        for one that goes away and does not come back."""
        if isinstance(chains, Sequence) and not any(chains):
            return
        if importlib.util.find_spec("ray") is None:
            raise InputError("launcher ray needs the package ray: pip install 'spikebench[ray]'")
        # A chain is taken when a worker is free for it, not before: a search decides on the next one by what it has seen.
        waiting = (list(chain) for chain in chains if chain)
        began = False
        patience = time.monotonic()
        while True:
            with Cluster(self.address, self.options.threads, self.options.workers, work, care, self.LIVES) as cluster:
                try:
                    for event in self._lead(cluster, waiting, work):
                        began, patience = True, time.monotonic() + RETURNING
                        yield event
                    return
                except GoneError as gone:
                    if not began or self.address is None or time.monotonic() > patience:
                        raise (StorageError if began else InputError)(str(gone)) from None
                    notice = Notice(f"{gone}; it is looked for again")
                finally:
                    self._dismiss(cluster, work)
            yield notice
            time.sleep(1.0)

    # -- one cluster ---------------------------------------------------------------------------------------------------------

    def _lead(self, cluster: Cluster, waiting: Iterator[list[Job]], work: Work) -> Iterator[Any]:
        refused: dict[str, str] = {}
        lonely: float | None = None
        while True:
            for worker in [worker for worker in self._workers.values() if worker.idle]:
                if chain := self._again.popleft() if self._again else next(waiting, []):
                    self._give(cluster, worker, chain, work)
            if self._workers and all(worker.idle for worker in self._workers.values()):
                return
            message = cluster.hear(None if lonely is None else max(0.0, lonely - time.monotonic()))
            if message is None:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
                raise (StorageError if self._deaths or not refused else InputError)(
                    f"no worker is left on the Ray cluster{': ' * bool(reasons)}{reasons}"
                )
            if isinstance(message, Planned):
                yield Crew(dict(message.nodes))
            elif isinstance(message, Ready):
                lonely = None
                self._workers[message.seat] = Worker(message.seat, message.where)
            elif isinstance(message, Refused):
                refused[message.where.node] = message.reason
                yield Notice(f"node {message.where.node} is not used: {message.reason}")
            elif isinstance(message, Deserted) and self._full is not None:
                raise self._full
            elif isinstance(message, Deserted):
                lonely = time.monotonic() + (0.0 if refused and not self._deaths else RETURNING)
            elif isinstance(message, Unusable):
                if not message.gone:
                    raise InputError(message.reason)
                raise GoneError(message.reason)
            elif isinstance(message, Lost):
                yield from self._bury(message)
            elif isinstance(message, Said) and message.seat in self._workers:
                yield from self._note(cluster, self._workers[message.seat], message.message, work)

    def _give(self, cluster: Cluster, worker: Worker, chain: list[Job], work: Work) -> None:
        worker.begin(chain)
        for piece in luggage(work.luggage(chain) if isinstance(work, Movable) else {}):
            cluster.tell(Send(worker.seat, piece))
        cluster.tell(Give(worker.seat, chain, {job.job_id: self._deaths.get(job.job_id, 0) for job in chain}))

    def _note(self, cluster: Cluster, worker: Worker, message: Any, work: Work) -> Iterator[Any]:
        if isinstance(message, Piece):
            if isinstance(work, Movable):
                Copy(work.folder).take(message)
        elif message == IDLE:
            worker.idle = True
        elif message == LEFT:
            del self._workers[worker.seat]
        elif isinstance(message, Raised):
            if not isinstance(message.error, DiskError):
                raise message.error
            del self._workers[worker.seat]
            self._again.extend([worker.chain] if worker.chain else [])
            self._full = message.error
            yield Notice(f"node {worker.where.node} is not used any more: {message.error}")
        else:
            if isinstance(message, JobAgain):
                self._deaths[message.job_id] = self._deaths.get(message.job_id, 0) + 1
            yield worker.note(message)
            if isinstance(message, Measured) and isinstance(work, Movable) and worker.chain:
                for name in worker.unheard(work.signals(worker.chain[0]), work.folder):
                    cluster.tell(Send(worker.seat, Piece(name)))

    def _bury(self, lost: Lost) -> Iterator[Any]:
        worker = self._workers.pop(lost.seat, None)
        if worker is None or not worker.chain:
            return
        job = worker.chain[0]
        self._deaths[job.job_id] = deaths = self._deaths.get(job.job_id, 0) + 1
        reason = f"the worker {worker.where} was lost: {lost.reason}"
        if deaths < self.LIVES:
            self._again.append(worker.chain)
            yield JobAgain(job.job_id, f"{reason} ({deaths} of {self.LIVES})")
        else:
            if worker.chain[1:]:
                self._again.append(worker.chain[1:])
            yield WorkerDied(job.job_id, reason)

    def _dismiss(self, cluster: Cluster, work: Work) -> None:
        """End all workers; what they leave, checkpoints of what they were at among it, is kept."""
        cluster.leave()
        until = time.monotonic() + 1.5 * LEAVING
        with suppress(GoneError):
            while self._workers and (message := cluster.hear(max(0.0, until - time.monotonic()))) is not None:
                if isinstance(message, Lost) or (isinstance(message, Said) and message.message == LEFT):
                    self._workers.pop(message.seat, None)
                elif isinstance(message, Said) and isinstance(message.message, Piece) and isinstance(work, Movable):
                    Copy(work.folder).take(message.message)
        # What no worker is there to end is begun again elsewhere: the cluster was lost, not the job.
        self._again.extend(worker.chain for worker in self._workers.values() if worker.chain)
        self._workers.clear()
