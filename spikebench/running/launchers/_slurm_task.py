"""What a task of a SLURM array does on its node, and how it tells the driver: by a file of its own on the shared file system."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.process import host
from spikebench.running.jobs.events import JobEnded, JobStarted, Where
from spikebench.running.launchers._seats import Seat
from spikebench.running.launchers._worker import IDLE, Work, _keep_threads, _sit, _watched

LEFT = "left"
"""The last word of a task that was told to go: its training has written a checkpoint, and it may be begun again."""
_LENGTH = struct.Struct("<Q")
TIME_UP = tuple(number for name in ("SIGUSR1", "SIGUSR2") if (number := getattr(signal, name, None)) is not None)
"""A batch system's word that the time is nearly up; SIGTERM means that the job was cancelled or its place is needed."""


@dataclasses.dataclass
class ChainTask:
    """The jobs of one chain, in order, each unless an earlier attempt has ended it; submitit calls it, and ``checkpoint`` before
    it is queued again. ``said``: the file for its events."""

    chain: Sequence[Job]
    work: Work
    said: Path
    threads: int

    def __call__(self) -> None:
        earlier = Said(self.said)
        ended = {event.job_id for event in earlier.events() if isinstance(event, JobEnded)}
        where = Where(host(), os.environ.get("SLURM_JOB_ID") or str(os.getpid()))
        requeue = signal.getsignal(signal.SIGUSR2)
        told = _interrupt_when_told()
        with self.said.open("ab") as stream:
            stream.truncate(earlier.offset)  # a word that a kill tore
            try:
                _sit(Seat(where, self.threads))
                for job in self.chain:
                    if job.job_id in ended:
                        continue
                    for event in _watched(self.work, job):
                        _keep_threads(self.threads)
                        mine = isinstance(event, JobStarted) and event.where is None
                        _say(stream, dataclasses.replace(event, where=where) if mine else event)
                _say(stream, IDLE)
                return
            except KeyboardInterrupt:
                _say(stream, LEFT)
        if told and told[0] in TIME_UP and callable(requeue):
            requeue(signal.SIGUSR2, None)

    def checkpoint(self) -> Any:
        """Asked by submitit: what is queued again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _interrupt_when_told() -> list[int]:
    """Have the first signal interrupt what runs, as Ctrl-C does: a training ends its step and keeps what it has. Returns a list
    of the signals that came."""
    told: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        told.append(number)
        if len(told) == 1:
            raise KeyboardInterrupt

    for number in (*TIME_UP, signal.SIGTERM):
        signal.signal(number, interrupt)
    return told


def _say(stream: Any, event: Any) -> None:
    """Whole or not at all, as far as a reader can tell: its length comes first."""
    data = pickle.dumps(event)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


class Said:
    """Reads what a task says, as far as it has said it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def events(self) -> Iterator[Any]:
        """Those that were not read before; what is being written, or was torn by a kill, is left for later."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read()
        except OSError:
            return
        at = 0
        while len(data) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            if len(data) - at - _LENGTH.size < length:
                return
            at += _LENGTH.size
            event = pickle.loads(data[at : at + length])
            at += length
            self.offset += _LENGTH.size + length
            yield event
