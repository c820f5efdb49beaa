"""SIGTERM and Ctrl-C in the middle of a training step: the step ends first, so that what is kept is whole."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 15.0
"""Seconds that a step may take to end; a signal that comes later than that acts at once, for a step that hangs."""


class Interruption:
    """``signal``: which one has come; 0: none."""

    def __init__(self) -> None:
        self.signal = 0
        self._since = 0.0

    def __bool__(self) -> bool:
        return self.signal != 0

    def note(self, number: int) -> bool:
        """Whether this signal can wait for the end of the step."""
        if not self.signal:
            self.signal, self._since = number, time.monotonic()
            return True
        return time.monotonic() < self._since + PATIENCE


@contextmanager
def deferred() -> Iterator[Interruption]:
    """What is yielded becomes true when a signal comes, which acts as the block ends: a ``KeyboardInterrupt`` or the process's
    end, as it would have been without this. Outside the main thread signals are somebody else's, and nothing is deferred.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def hear(number: int, frame: Any) -> None:
        if not interruption.note(number):
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number in mine:
            signal.signal(number, before[number])

    # What is ignored stays ignored; a handler that Python did not set cannot be put back.
    mine = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in mine:
        signal.signal(number, hear)
    try:
        yield interruption
    finally:
        restore()
        if interruption:
            signal.raise_signal(interruption.signal)
