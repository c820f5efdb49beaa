"""Array jobs of SLURM, a task for each chain, into a results folder that all nodes see; submitted by submitit."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from spikebench.core.cells import Job, digest
from spikebench.core.errors import InputError, storage_errors
from spikebench.core.json_text import parse
from spikebench.core.protocols import NO_CARE, Care
from spikebench.core.quantity import duration
from spikebench.running.jobs.events import JobAgain, JobEnded, JobStarted, Notice, WorkerDied
from spikebench.running.launchers._slurm_queue import Here, Slurm
from spikebench.running.launchers._slurm_task import LEFT, ChainTask, Said
from spikebench.running.launchers._worker import IDLE, Raised, Work
from spikebench.running.launchers.processes import refuse_below_one

POLL = 1.0
"""Seconds between two looks at what tasks have said; the queue is asked every ``ASK`` looks."""
ASK = 5


class Launcher:
    """Each chain is a task with a node's cores and GPUs of its own; tasks write their own job files, as worker processes do.

    A task that is told that its time is nearly up, or is preempted, has its training write a checkpoint and is queued again. The
    driver need not stay: a later one finds the tasks that wait or run, and submits what no task has. One that is interrupted
    cancels its tasks; one that is killed leaves them. A job over which ``LIVES`` tasks were lost has failed. Jobs that time have
    a node to themselves.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``time``: limit of a task, ``8 h``. ``gpus``: of each task; as many as its training uses if left out, none on the CPU.
        ``threads``: cores of each. ``memory``: as ``16 GB``; the cluster's default if left out. ``workers``: so many tasks at
        once. ``cluster``: ``local`` runs the tasks as processes of this machine, to try it without SLURM."""

        partition: str | None = None
        account: str | None = None
        qos: str | None = None
        time: str = "4 h"
        gpus: int | None = None
        threads: int = 1
        memory: str | None = None
        workers: int = 64
        cluster: Literal["slurm", "local"] = "slurm"

        def __post_init__(self) -> None:
            refuse_below_one(threads=self.threads, workers=self.workers)
            try:
                duration(self.time)
            except InputError as error:
                raise ValueError(f"time: {error}") from None

    alone = False
    exclusive = True
    stays = True
    """Its jobs go on when their driver has left."""
    LIVES = 3

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def workers(self) -> int:
        return self.options.workers

    def run(self, chains: Iterable[Sequence[Job]], work: Work, care: Care = NO_CARE) -> Iterator[Any]:
        """Raises InputError where there is no SLURM, or it refuses the jobs."""
        if isinstance(chains, Sequence) and not any(chains):
            return
        if importlib.util.find_spec("submitit") is None:
            raise InputError("launcher slurm needs the package submitit: pip install 'spikebench[slurm]'")
        folder = Path(getattr(work, "folder", None) or tempfile.mkdtemp(prefix="spikebench-")) / "slurm"
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        seconds = duration(self.options.time) or 0.0
        queue = (Slurm if self.options.cluster == "slurm" else Here)(folder.resolve(), seconds, self._parameters(care))
        desk = _Desk(folder.resolve(), queue, work, self.options.threads)
        # All of a list at once, as one array; of a search, which decides by what it has seen, as many as can run.
        most = None if isinstance(chains, Sequence) else self.workers
        waiting = (list(chain) for chain in chains if chain)
        deaths: Counter[str] = Counter()
        told: set[str] = set()
        try:
            for looks in itertools.count():
                desk.take(list(itertools.islice(waiting, None if most is None else most - len(desk.tasks))))
                if not care.wait:
                    jobs = sum(len(task.chain) for task in desk.tasks)
                    yield Notice(f"{jobs} jobs are in the queue: {', '.join(task.name for task in desk.tasks[:5])}, ...")
                    desk.tasks.clear()
                if not desk.tasks:
                    return
                lost = desk.missing() if looks % ASK == ASK - 1 else set()
                for reason in sorted(queue.held - told):
                    told.add(reason)
                    yield Notice(f"tasks wait in the queue, and may do so for ever: {reason}")
                for task in list(desk.tasks):
                    yield from task.heard()
                    reason = task.overdue(care) or (LOST if task.name in lost and not task.done else "")
                    if reason:
                        yield from desk.bury(task, reason, deaths, self.LIVES)
                    elif task.done:
                        desk.tasks.remove(task)
                time.sleep(POLL if self.options.cluster == "slurm" else POLL / 5)
        finally:
            queue.cancel(task.name for task in desk.tasks)

    def _parameters(self, care: Care) -> dict[str, Any]:
        options = self.options
        gpus = options.gpus if options.gpus is not None else (care.devices if care.device == "cuda" else None)
        return {
            "partition": options.partition,
            "account": options.account,
            "qos": options.qos,
            "gpus_per_node": gpus or None,
            "cpus_per_task": options.threads,
            "mem": None if options.memory is None else options.memory.replace(" ", ""),
            "exclusive": True if care.exclusive else None,
            "array_parallelism": options.workers,
        }


LOST = "the task left the queue before its jobs were done: cancelled, killed, or its node was lost"


class _Task:
    """One task as its driver sees it. ``chain``: what is not done of it."""

    def __init__(self, name: str, chain: list[Job], said: Path) -> None:
        self.name = name
        self.chain = chain
        self.said = Said(said)
        self.done = False
        self._wanted = {job.job_id for job in chain}
        self._begun: float | None = None
        self._heard: float | None = None

    def heard(self) -> Iterator[Any]:
        for event in self.said.events():
            if isinstance(event, Raised):
                raise event.error
            self._heard = None if event == LEFT else time.monotonic()
            if event == IDLE:
                self.done = True
            elif event == LEFT:
                self._begun = None  # it waits for its next turn
            elif event.job_id in self._wanted:
                if isinstance(event, JobStarted):
                    self._begun = time.monotonic()
                elif isinstance(event, JobEnded):
                    self._begun = None
                    self.chain = [job for job in self.chain if job.job_id != event.job_id]
                yield event

    def overdue(self, care: Care) -> str:
        now = time.monotonic()
        if care.job_timeout is not None and self._begun is not None and now > self._begun + care.job_timeout:
            return f"ended: the job took longer than job_timeout, {care.job_timeout:g} s"
        if care.stall is not None and self._begun is not None and now > (self._heard or now) + care.stall:
            return f"ended: nothing was heard of the job for as long as stall, {care.stall:g} s"
        return ""


class _Desk:
    """Submits chains, or finds the task of an earlier driver that has one already: ``slurm/<id>.json`` says which jobs it has."""

    def __init__(self, folder: Path, queue: Slurm | Here, work: Work, threads: int) -> None:
        self.folder, self.queue, self.work, self.threads = folder, queue, work, threads
        self.tasks: list[_Task] = []
        self._missing: set[str] = set()
        self._known = self._tickets()

    def _tickets(self) -> list[tuple[str, frozenset[str], Path]]:
        found = []
        for path in self.folder.glob("*.json"):
            try:
                data = parse(path.read_text(encoding="utf-8"))
                found.append((str(data["task"]), frozenset(data["jobs"]), path.with_suffix(".said")))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        alive = self.queue.alive([task for task, _, _ in found]) if found else set()
        return [one for one in found if alive is None or one[0] in alive]

    def take(self, chains: list[list[Job]]) -> None:
        new = []
        for chain in chains:
            jobs = {job.job_id for job in chain}
            there = next((one for one in self._known if jobs <= one[1]), None)
            if there is None:
                new.append(chain)
            else:
                self._known.remove(there)
                self.tasks.append(_Task(there[0], chain, there[2]))
        if not new:
            return
        said = [self.folder / f"{digest([job.job_id for job in chain])}-{time.time_ns():x}.said" for chain in new]
        names = self.queue.submit(
            [ChainTask(chain, self.work, path, self.threads) for chain, path in zip(new, said, strict=True)]
        )
        for name, chain, path in zip(names, new, said, strict=True):
            with storage_errors(path):
                ticket = {"task": name, "jobs": [job.job_id for job in chain]}
                path.with_suffix(".json").write_text(json.dumps(ticket) + "\n", encoding="utf-8")
            self.tasks.append(_Task(name, chain, path))

    def missing(self) -> set[str]:
        """Tasks that the queue did not have twice in a row: files of other machines are seen a moment late."""
        names = {task.name for task in self.tasks}
        alive = self.queue.alive(names)
        before, self._missing = self._missing, set() if alive is None else names - alive
        return before & self._missing

    def bury(self, task: _Task, reason: str, deaths: Counter[str], lives: int) -> Iterator[Any]:
        self.queue.cancel([task.name])
        self.tasks.remove(task)
        job = task.chain[0] if task.chain else None
        if job is None:
            return
        deaths[job.job_id] += 1
        if reason is LOST and deaths[job.job_id] < lives:
            yield JobAgain(job.job_id, f"{reason} ({deaths[job.job_id]} of {lives})")
            self.take([task.chain])
        else:
            yield WorkerDied(job.job_id, reason)
            self.take([task.chain[1:]] if task.chain[1:] else [])
