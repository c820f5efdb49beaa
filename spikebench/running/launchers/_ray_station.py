"""A worker on a Ray node: what the actor there does. It is ``processes`` with one worker, in a folder of its own.

The process that computes is a child of the actor, as it would be of a driver: whatever kills it, the actor is left to tell, and
limits of time hold without a network. The folder is a copy of what the chain needs of the results folder; what changes in it is
sent to the driver before the event that tells of it. Imports no Ray.
"""

from __future__ import annotations

import multiprocessing
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core import source
from spikebench.core.cells import Job
from spikebench.core.process import Process, this_process
from spikebench.core.protocols import Movable
from spikebench.running.jobs.events import Measured, Where
from spikebench.running.launchers import processes
from spikebench.running.launchers._mirror import PIECE, Copy, Mirror, Piece
from spikebench.running.launchers._ray_code import Versions, versions
from spikebench.running.launchers._ray_messages import LEFT, Terms
from spikebench.running.launchers._seats import Seat
from spikebench.running.launchers._worker import IDLE, LEAVING, Raised, end, portable

PREFIX = "spikebench-node-"
WAITS = 10.0
"""Seconds after which a driver that waits for words is given none, and asks again."""
SOON = 0.1
"""Seconds after which the folder is looked through again as a job measures."""
TOGETHER = 0.01
"""Seconds that words wait for others, with which they then travel."""


class Station:
    """Methods are called by Ray's threads, several at a time; the worker's loop runs in one of our own."""

    def __init__(self, terms: Terms, where: Where) -> None:
        source.sent_from(terms.checkout)
        _forget_main()
        _sweep()
        self.folder = Path(tempfile.gettempdir()) / f"{PREFIX}{this_process()}-{where.worker}"
        self.folder.mkdir(parents=True)
        self._files = Mirror(self.folder, frozenset({"own", "stop"}))
        self._terms, self._where = terms, where
        self._inbox: queue.Queue[Sequence[Job] | None] = queue.Queue()
        self._words: queue.Queue[Any] = queue.Queue(maxsize=64)
        self._leaving = False
        self._sending, self._looked = threading.Lock(), 0.0
        seat = Seat(where, terms.threads)
        self._launcher = processes.Launcher(processes.Launcher.Options(threads=terms.threads), [seat], terms.lives)
        self._loop = threading.Thread(target=self._serve, daemon=True)
        self._loop.start()

    def hello(self) -> tuple[Versions, Mapping[str, Any]]:
        return versions(), source.source()

    def take(self, piece: Piece) -> None:
        """Before the chain that needs it, or a signal while it runs. Raises DiskError."""
        Copy(self.folder).take(piece)

    def begin(self, chain: Sequence[Job], deaths: Mapping[str, int]) -> None:
        for room in ("cells", "machines", "sources", "datasets", "jobs", "weights"):
            (self.folder / room).mkdir(exist_ok=True)
        for job_id, count in deaths.items():
            self._launcher.deaths[job_id] = count
        self._files.know()
        self._inbox.put(chain)

    def words(self) -> list[Any]:
        """What there is to tell, as soon as there is anything; nothing after a while."""
        try:
            found = [self._words.get(timeout=WAITS)]
        except queue.Empty:
            self._send_files()  # a checkpoint in the middle of a long epoch comes with no event
            return []
        self._loop.join(TOGETHER)  # a wait that the loop's end cuts short
        size = 0
        while size < PIECE:
            try:
                found.append(self._words.get_nowait())
            except queue.Empty:
                break
            size += len(getattr(found[-1], "data", b""))
        return found

    def leave(self) -> None:
        """End the job's process as SIGTERM does: a training keeps its checkpoint, which is sent as the last word."""
        self._leaving = True
        self._inbox.put(None)
        for process in multiprocessing.active_children():
            process.terminate()
        self._loop.join(LEAVING)
        end(multiprocessing.active_children(), patience=0.0)

    # -- the loop ------------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        terms = self._terms
        work = terms.work.moved(self.folder) if isinstance(terms.work, Movable) else terms.work
        events = self._launcher.run(self._chains(), work, terms.care)
        try:
            for event in events:
                if self._leaving:
                    break
                self._tell(event)
        except Exception as error:
            self._words.put(Raised(portable(error)))
        finally:
            events.close()  # type: ignore[attr-defined]
            self._send_files()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._words.put(LEFT)

    def _chains(self) -> Iterator[Sequence[Job]]:
        while True:
            self._send_files()
            # What is finished is the driver's: the next chain begins with what the driver sends, and disks of nodes are small.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(exist_ok=True)
            self._files.know()
            self._words.put(IDLE)
            chain = self._inbox.get()
            if chain is None or self._leaving:
                return
            yield chain

    def _tell(self, event: Any) -> None:
        # Files that were written before a job began or ended are there before it is told of; its records come soon after.
        if not isinstance(event, Measured) or time.monotonic() - self._looked > SOON:
            self._send_files()
        self._words.put(event)

    def _send_files(self) -> None:
        with self._sending:
            for piece in self._files.changes():
                self._words.put(piece)
            self._looked = time.monotonic()


def _forget_main() -> None:
    """A child of this process would run its main file, which is Ray's."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__


def _sweep() -> None:
    """Take away folders of workers that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            process = Process.parse(path.name.removeprefix(PREFIX).rpartition("-")[0])
        except ValueError:
            continue
        if process.alive is False:
            shutil.rmtree(path, ignore_errors=True)
