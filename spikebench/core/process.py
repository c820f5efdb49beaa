"""Which process holds or writes a file, and whether it is still there."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from functools import cache


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from every other one: ids are used again, so ``start`` (clock ticks since boot; 0 where the system
    does not say) goes with ``pid``. ``host`` has letters, digits, ``_`` and ``-`` alone and may stand in a file's name."""

    host: str
    pid: int
    start: int

    @classmethod
    def parse(cls, text: str) -> Process:
        """Read back what ``str`` gives. Raises ValueError for anything else."""
        host, pid, start = text.rsplit("-", 2)
        return cls(host, int(pid), int(start))

    @property
    def alive(self) -> bool | None:
        """None on another host: it cannot be known from here."""
        if self.host != host():
            return None
        return start_of(self.pid) == self.start

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.start}"


def this_process() -> Process:
    return _process(os.getpid())


@cache
def _process(pid: int) -> Process:
    return Process(host(), pid, start_of(pid) or 0)


@cache
def host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:48] or "localhost"


def start_of(pid: int) -> int | None:
    """When a process of this host began, in clock ticks since boot; None if there is none, or only what waits to be reaped."""
    fields = _stat(pid)
    if fields is None:
        return None if os.path.isdir("/proc/self") else _seen(pid)
    return None if fields[0] == "Z" else int(fields[19])


def is_stopped(pid: int) -> bool:
    """By a signal, or by a debugger; False where the system does not say."""
    fields = _stat(pid)
    return fields is not None and fields[0] in ("T", "t")


def _stat(pid: int) -> list[str] | None:
    """What /proc says of a process of this host, its state first; None where it says nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return None


def _seen(pid: int) -> int | None:
    """Without /proc: whether the system knows the id at all."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return 0
