"""Contenders timed in turns, so that drift and noise meet all alike. The clock is an argument, as it is in ``rule``."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from random import Random
from typing import Generic, TypeVar

from spikebench.harnesses._timing.rule import Call, Clock, Rule, Sample, Series
from spikebench.harnesses._timing.turns import LENGTH, Turns

Key = TypeVar("Key", bound=Hashable)


class Race(Generic[Key]):
    """Contenders timed in rounds, each round in another random order, so that drift and noise meet all alike.

    One that raises leaves the race and its exception is kept in ``failed``; the others go on. With ``turns`` the whole race is
    run abreast of those of other processes: it lasts as long as ``rule.seconds`` say, so that all take equally many turns, and
    waiting is not part of that time.
    """

    def __init__(
        self,
        calls: Mapping[Key, Call],
        rule: Rule,
        clock: Clock = time.perf_counter,
        seed: int = 0,
        turns: Turns | None = None,
    ) -> None:
        self.calls = dict(calls)
        self.rule = rule
        self.clock = clock
        self.turns = turns
        self.random = Random(seed)
        self.series: dict[Key, Series] = {key: Series() for key in calls}
        self.failed: dict[Key, Exception] = {}

    def run(self) -> None:
        """Until every contender has stopped."""
        end = self.clock() + self.rule.seconds * len(self.calls)
        while running := self._running(self.clock() >= end):
            if self.turns is not None and self.turns.over:
                end += self._next_turn(self.turns, running)
            for key in self.random.sample(running, len(running)):
                if key not in self.failed and (sample := self._call(key)) is not None:
                    self.series[key].samples.append(sample)
                    self._judge(self.series[key])

    def _call(self, key: Key) -> Sample | None:
        """None for a contender that breaks: whatever it raises is a result of its own and no harm to the others."""
        try:
            return self.calls[key]()
        except Exception as error:
            self.failed[key] = error
            return None

    def _running(self, late: bool) -> list[Key]:
        """Who is still in the race; nobody with three calls, once it is late."""
        running = [key for key in self.calls if not self.series[key].stopped and key not in self.failed]
        for key in running if late else ():
            if len(self.series[key].samples) >= 3:
                self.series[key].stopped = "time"
        return [key for key in running if not self.series[key].stopped]

    def _next_turn(self, turns: Turns, running: list[Key]) -> float:
        """Wait for it, and see that the caches are those of its own calls again, unless one call is a turn by itself. How long
        that took."""
        begin = self.clock()
        turns.next()
        for key in running:
            series = self.series[key]
            series.turns.append(len(series.samples))
            if not series.samples or series.samples[-1].seconds < LENGTH:
                self._call(key)
        turns.begin()
        return self.clock() - begin

    def _judge(self, series: Series) -> None:
        if self.turns is not None:
            return
        n = len(series.samples)
        if n >= self.rule.least and series.precision <= self.rule.precision and not series.busy:
            series.stopped = "converged"
        elif n >= self.rule.most:
            series.stopped = "calls"
