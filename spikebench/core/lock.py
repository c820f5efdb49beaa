"""One driver a results folder: who holds it, since when, and whether that process is still there.

``running.lock`` is locked by the system (flock) for as long as its process lives, however that ends, and says who that is. A
shared file system may lock for each host alone, or not at all: there, another host's holder is believed for as long as it touches
the file every few seconds, and left aside when it no longer does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from spikebench.core import json_text
from spikebench.core.errors import StorageError, storage_errors
from spikebench.core.process import Process, this_process

FILE = "running.lock"
BEAT = 15.0
"""Seconds from one touch of the file to the next."""
SILENCE = 8 * BEAT
"""After so many seconds without a touch, a holder on another host is taken for gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """``verb``: what it does; ``since``: when it began, seconds since the epoch by its own clock."""

    process: Process
    verb: str
    since: float

    @classmethod
    def parse(cls, text: str) -> Holder:
        """Raises ValueError."""
        data = json_text.parse_object(text)
        try:
            process = Process(str(data["host"]), int(data["pid"]), int(data["start"]))
            return cls(process, str(data["verb"]), float(data["since"]))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not a lock: {error}") from error

    def to_json(self) -> str:
        return json.dumps({**dataclasses.asdict(self.process), "verb": self.verb, "since": self.since}) + "\n"

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"`{self.verb}`, process {self.process.pid} on {self.process.host}, since {since}"


def holder_of(folder: Path) -> Holder | None:
    """Who works in the folder now; None if nobody does. For a holder on another host, a file is written that goes away again."""
    path = folder / FILE
    try:
        holder = Holder.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return holder if _is_there(holder, path) else None


@contextlib.contextmanager
def alone(folder: Path, verb: str) -> Iterator[list[str]]:
    """Be the only driver of a results folder; yields notices.

    Raises StorageError saying who is there already, or that the file cannot be written.
    """
    path = folder / FILE
    notices: list[str] = []
    with contextlib.ExitStack() as stack:
        with storage_errors(path):
            stream = stack.enter_context(path.open("a+", encoding="utf-8", errors="replace"))
            locked = _lock(stream)
            stream.seek(0)
            there = _parsed(stream.read())
            if locked is False or (there is not None and there.process != this_process() and _is_there(there, path)):
                who = there or "another process"
                raise StorageError(f"{folder}: in use by {who}; if it is gone, remove {path}")
            stream.truncate(0)
            stream.write(Holder(this_process(), verb, time.time()).to_json())
            stream.flush()
            os.fsync(stream.fileno())
        if locked is None:
            notices.append(f"{path}: this file system has no locks: two runs that begin within a second do not see each other")
        stack.callback(_release, stream)
        stack.enter_context(_beating(stream))
        yield notices


def _lock(stream: IO[Any]) -> bool | None:
    """Whether the file is now locked by this process; None where the system cannot lock it."""
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return None
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            return None
        raise
    return True


def _release(stream: IO[Any]) -> None:
    with contextlib.suppress(OSError):
        stream.truncate(0)


@contextlib.contextmanager
def _beating(stream: IO[Any]) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(stream.fileno())

    thread = threading.Thread(target=beat, name="spikebench-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _parsed(text: str) -> Holder | None:
    try:
        return Holder.parse(text)
    except ValueError:
        return None


def _is_there(holder: Holder, path: Path) -> bool:
    alive = holder.process.alive
    if alive is not None:
        return alive
    # Both times are the file server's: clocks of hosts differ.
    probe = path.with_name(f"{FILE}.{this_process()}")
    try:
        probe.touch()
        silence = probe.stat().st_mtime - path.stat().st_mtime
        probe.unlink()
    except OSError:
        silence = time.time() - path.stat().st_mtime
    return silence < SILENCE
