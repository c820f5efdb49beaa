"""A run that has so much time and no more, as a batch system gives it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Deadline:
    """``over``: whether the time is up."""

    over = False


@contextmanager
def deadline(seconds: float | None) -> Iterator[Deadline]:
    """When the time is up the block gets what SIGTERM gives it, a KeyboardInterrupt: a training ends its step and keeps what it
    has. None: it may take as long as it likes. Raises RuntimeError outside the main thread, which alone can be interrupted.
    """
    found = Deadline()
    if seconds is None:
        yield found
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("only the main thread can be given a limit of time")
    main = threading.get_ident()

    def end() -> None:
        found.over = True
        signal.pthread_kill(main, signal.SIGTERM)  # the thread itself: it may wait for its workers

    before = signal.getsignal(signal.SIGTERM)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
        if before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
