"""One call in a process of its own, which ends with it: what it imports takes no memory here."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from spikebench.core import allocator
from spikebench.running.launchers._worker import GRACE, Raised, end, end_with_parent, portable

Answer = TypeVar("Answer")


def apart(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """``function(*arguments)``; all of it picklable, the answer too.

    Raises what the function raises; RuntimeError if its process ends without an answer.
    """
    context = multiprocessing.get_context("spawn")
    connection, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        answer = connection.recv()
    except EOFError:
        process.join(GRACE)
        raise RuntimeError(f"the process that was to call {function.__name__} ended (exit code {process.exitcode})") from None
    finally:
        connection.close()
        end([process], grace=0.0)
    if isinstance(answer, Raised):
        raise answer.error
    return answer  # type: ignore[no-any-return]


def _answer(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends this process
    end_with_parent()
    allocator.keep()
    try:
        answer = function(*arguments)
    except Exception as error:
        answer = Raised(portable(error))
    connection.send(answer)
