"""The driver's view of a Ray cluster: the process that speaks Ray for it, and the workers there."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from spikebench.core import own_files, source
from spikebench.core.cells import Job
from spikebench.core.own_files import OwnFiles
from spikebench.core.protocols import Care
from spikebench.running.jobs.events import JobEnded, JobStarted, Where, WorkerDied
from spikebench.running.launchers._ray_bridge import serve
from spikebench.running.launchers._ray_code import stage, versions
from spikebench.running.launchers._ray_messages import Leave, Terms
from spikebench.running.launchers._worker import GRACE, Work, end, unsendable


class GoneError(Exception):
    """The cluster is not there, or not any more."""


class Worker:
    """``chain``: what it has been given and not yet finished. ``idle``: it waits for one."""

    def __init__(self, seat: int, where: Where) -> None:
        self.seat, self.where = seat, where
        self.chain: list[Job] = []
        self.idle = False
        self._told: set[str] = set()

    def begin(self, chain: list[Job]) -> None:
        self.chain, self.idle = chain, False
        self._told.clear()

    def note(self, event: Any) -> Any:
        """The event, as it is handed on."""
        if isinstance(event, (JobEnded, WorkerDied)):
            self.chain = [job for job in self.chain if job.job_id != event.job_id]
        return dataclasses.replace(event, where=self.where) if isinstance(event, JobStarted) else event

    def unheard(self, signals: Sequence[str], folder: Path) -> Iterator[str]:
        """Those that have been made in the folder since the worker was told of any."""
        for name in signals:
            if name not in self._told and (folder / name).exists():
                self._told.add(name)
                yield name


class Cluster:
    """Open as a context; starts nothing of a job. Raises InputError for work that cannot be sent."""

    def __init__(self, address: str | None, threads: int, workers: int | None, work: Work, care: Care, lives: int) -> None:
        self.address = address
        self._room = Path(tempfile.mkdtemp(prefix="spikebench-ray-"))
        used = own_files.in_use()
        own_files.use(OwnFiles())  # they travel with the chains; a worker that has none yet is compared
        try:
            facts = (source.checkout(), versions(), source.source())
        finally:
            own_files.use(used)
        code = stage(self._room / "code")
        far = dataclasses.replace(care, apart=Care.apart)
        self._terms = Terms(address, work, far, threads, workers, lives, code, *facts)
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._output = self._room / "output"
        self._process = context.Process(target=serve, args=(there, self._terms, self._output))
        try:
            self._process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            shutil.rmtree(self._room, ignore_errors=True)
            raise unsendable(error) from error
        there.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._connection.send(None)
        end([self._process], grace=2 * GRACE)
        with suppress(OSError):
            os.killpg(self._process.ident or -1, signal.SIGKILL)  # what it has started, if it could not end that itself
        self._connection.close()
        shutil.rmtree(self._room, ignore_errors=True)

    def tell(self, order: Any) -> None:
        with suppress(OSError):  # it is gone: who hears next says so
            self._connection.send(order)

    def leave(self) -> None:
        self.tell(Leave())

    def hear(self, timeout: float | None) -> Any:
        """The next message; None if there is none for so long. Raises GoneError."""
        try:
            return self._connection.recv() if self._connection.poll(timeout) else None
        except (EOFError, OSError):
            raise GoneError(f"the Ray cluster at {self.address or 'this machine'} is gone{self._last_words()}") from None

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = [line.strip() for line in self._output.read_text(errors="replace").splitlines() if line.strip()]
            return f": {lines[-1][-300:]}" if lines else ""
        return ""
