"""Contenders timed in turns, so that drift and noise meet all alike. The clock is an argument, as it is in ``rule``."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from random import Random
from typing import Generic, TypeVar

from spikebench.harnesses._timing.rule import Call, Clock, Rule, Series

Key = TypeVar("Key", bound=Hashable)


class Race(Generic[Key]):
    """Contenders timed in rounds, each round in another random order, so that drift and noise meet all alike.

    One that raises leaves the race and its exception is kept in ``failed``; the others go on.
    """

    def __init__(self, calls: Mapping[Key, Call], rule: Rule, clock: Clock = time.perf_counter, seed: int = 0) -> None:
        self.calls = dict(calls)
        self.rule = rule
        self.clock = clock
        self.random = Random(seed)
        self.series: dict[Key, Series] = {key: Series() for key in calls}
        self.failed: dict[Key, Exception] = {}

    def run(self) -> None:
        """Until every contender has stopped."""
        end = self.clock() + self.rule.seconds * len(self.calls)
        while running := [key for key in self.calls if not self.series[key].stopped and key not in self.failed]:
            late = self.clock() >= end
            for key in self.random.sample(running, len(running)):
                series = self.series[key]
                if late and len(series.samples) >= 3:
                    series.stopped = "time"
                    continue
                try:
                    series.samples.append(self.calls[key]())
                except Exception as error:  # whatever a contender raises is a result of its own and no harm to the others
                    self.failed[key] = error
                    continue
                self._judge(series)

    def _judge(self, series: Series) -> None:
        n = len(series.samples)
        if n >= self.rule.least and series.precision <= self.rule.precision and not series.busy:
            series.stopped = "converged"
        elif n >= self.rule.most:
            series.stopped = "calls"
