"""Warm-up and the stop rule: when a series of timings is long enough, and when it only ran out of time.

No torch here, and the clock is an argument, so that the rules are tested with invented times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal

from spikebench.derived.statistics import median_interval


@dataclass(frozen=True)
class Sample:
    """One timed call: its duration in seconds, and whether something else on the machine spoiled it."""

    seconds: float
    spoiled: bool = False


Call = Callable[[], Sample]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Rule:
    """``seconds`` of measuring for each contender, at most; earlier once the interval is within ``precision`` of the median.

    ``least`` and ``most`` calls: no interval is believed before the one, and no series grows beyond the other.
    """

    seconds: float
    precision: float = 0.01
    least: int = 10
    most: int = 1000


@dataclass
class Series:
    """The calls of one contender, in order. ``turns``: the places where turns begin, if it was timed in turns."""

    samples: list[Sample] = field(default_factory=list)
    stopped: Literal["", "converged", "time", "calls"] = ""
    turns: list[int] = field(default_factory=list)

    @property
    def clean(self) -> list[float]:
        """The undisturbed durations; all of them where fewer than half are: then the machine was busy, which ``busy`` says."""
        clean = [sample.seconds for sample in self.samples if not sample.spoiled]
        return [sample.seconds for sample in self.samples] if self._too_few(len(clean)) else clean

    @property
    def busy(self) -> bool:
        return self._too_few(sum(not sample.spoiled for sample in self.samples))

    @property
    def durations(self) -> list[float]:
        """What a record keeps: the duration of every call; where turns were taken, each turn's median."""
        if not self.turns:
            return [sample.seconds for sample in self.samples]
        parts = [self.samples[start:end] for start, end in pairwise([*self.turns, len(self.samples)])]
        return [Series(part).median for part in parts if part]

    def _too_few(self, clean: int) -> bool:
        return 2 * clean < len(self.samples)

    @property
    def median(self) -> float:
        return median(self.clean)

    @property
    def precision(self) -> float:
        """Half of the 95 % interval of the median, as a fraction of it; infinite below six calls."""
        low, high = median_interval(self.clean)
        return (high - low) / 2 / self.median


def warm_up(call: Call, seconds: float, clock: Clock = time.perf_counter) -> bool:
    """Call until the medians of three windows in a row agree within 2 %; whether they came to agree within ``seconds``.

    A window is at least four calls, and enough to last a millisecond each, so there are never fewer than twelve calls.
    """
    windows: list[float] = []
    end = clock() + seconds
    size = 4
    while True:
        window = median(call().seconds for _ in range(size))
        size = max(4, min(100, math.ceil(1e-3 / max(window, 1e-9))))
        windows.append(window)
        last = windows[-3:]
        if len(last) == 3 and max(last) - min(last) <= 0.02 * median(last):
            return True
        if len(windows) >= 3 and clock() >= end:
            return False
