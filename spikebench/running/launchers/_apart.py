"""Calls in a process of their own, which ends with them: what it imports takes no memory here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, TypeVar

from spikebench.core import allocator
from spikebench.core.garbage import not_searched
from spikebench.running.launchers._worker import GRACE, Raised, end, end_with_parent, portable

Answer = TypeVar("Answer")


class Call(Protocol):
    """Calls functions somewhere: in this process (``here``), in one of its own (``apart``), or in one that stays (``Apart``)."""

    def __call__(self, function: Callable[..., Answer], *arguments: Any) -> Answer: ...


def here(function: Callable[..., Answer], *arguments: Any) -> Answer:
    return function(*arguments)


class Apart:
    """A process that is given calls one after the other as long as this block lasts; all of them picklable, the answers too."""

    def __enter__(self) -> Apart:
        context = multiprocessing.get_context("fork" if can_fork() else "spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_answer, args=(there, self._connection), daemon=True)  # type: ignore[attr-defined]
        self._process.start()
        there.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()
        end([self._process], grace=0.0)

    def __call__(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """``function(*arguments)``. Raises what the function raises; RuntimeError if the process ends without an answer."""
        try:
            self._connection.send((function, arguments))
            with not_searched():
                answer = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join(GRACE)
            code = self._process.exitcode
            raise RuntimeError(f"the process that was to call {function.__name__} ended (exit code {code})") from None
        if isinstance(answer, Raised):
            raise answer.error
        return answer  # type: ignore[no-any-return]


def apart(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """One call in a process of its own; raises as ``Apart`` does."""
    with Apart() as there:
        return there(function, *arguments)


@contextmanager
def beside() -> Iterator[Call]:
    """Where a command that asks torch a little, and then goes on without it, may ask: a copy of this process that takes torch's
    half gigabyte along when it ends; this process, where torch is loaded already or a copy could not work."""
    if can_fork():
        with Apart() as there:
            yield there
    else:
        yield here


def can_fork() -> bool:
    """Whether a copy of this process can work: it is the only thread, so that no other one holds a lock. What is imported here
    need not be imported again there, half a second of work; of torch a copy would be broken."""
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:  # not Linux; elsewhere a fork of what has called the system's own libraries is not safe
        return False
    return alone and "torch" not in sys.modules


def _answer(connection: Connection, other_end: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    other_end.close()  # or this process would never see its parent's end closed
    end_with_parent()
    allocator.keep()
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = function(*arguments)
        except Exception as error:
            answer = Raised(portable(error))
        try:
            connection.send(answer)
        except BrokenPipeError:
            return
