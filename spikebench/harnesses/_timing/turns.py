"""Turns of processes that are timed abreast: one runs, the others wait, and every few calls another one's turn comes.

A shared machine changes its speed from second to second, by a factor of two where its neighbours are busy. Two processes that are
timed one after the other differ by that, however long they are timed; turns of a few calls meet the same machine.

A process that nobody told to take turns is timed alone: ``current()`` is None, and nothing here costs anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LENGTH = 0.03
"""Seconds of a turn; a call that takes longer fills one by itself."""


class Turns:
    """``hand_over`` lets the others have their turns and returns when this process's next one begins. ``taken``: turns so far."""

    def __init__(self, hand_over: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._hand_over, self._clock = hand_over, clock
        self._end = -float("inf")
        self.taken = 0

    @property
    def over(self) -> bool:
        return self._clock() >= self._end

    def next(self) -> None:
        """Wait for the next turn."""
        self._hand_over()
        self.taken += 1

    def begin(self) -> None:
        """What comes now is timed, for LENGTH seconds."""
        self._end = self._clock() + LENGTH


_turns: Turns | None = None


def join(hand_over: Callable[[], None]) -> Turns:
    """From now on this process takes turns."""
    global _turns
    _turns = Turns(hand_over)
    return _turns


def current() -> Turns | None:
    return _turns
