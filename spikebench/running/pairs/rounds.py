"""Rounds of a comparison: a process of every side, in balanced random order, until each quantity is decided or time is up."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from statistics import stdev

from spikebench.derived.paired_rule import Decision, PairedRule
from spikebench.reading.gate.timed import Key, Medians, Timed

Measure = Callable[[Sequence[str], Sequence[Key]], Mapping[str, Timed]]
"""The sides in this round's order and the quantities still open (none: all) to the times of one process a side."""
Allowed = Callable[[Key, float], float]
"""A quantity and its base value to the tolerance as a logarithm."""


def orders(sides: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Without end: all orders of the sides, shuffled, then all of them again, so that drift meets all sides alike."""
    random = Random(seed)
    every = list(itertools.permutations(sides))
    while True:
        yield from random.sample(every, len(every))


@dataclasses.dataclass
class Comparison:
    """``sides``: base, new and, for the control, new again. ``most_seconds``: no round begins that would end later.

    ``decisions`` and ``controls`` are there for every quantity that had ``rule.first`` rounds; a control has failed where the
    rule sees a change, of either sign, between the two runs of the same code.
    """

    sides: tuple[str, ...]
    measure: Measure
    rule: PairedRule
    allowed: Allowed
    most_seconds: float = math.inf
    seed: int = 0
    tell: Callable[[int, int, float], None] = lambda done, planned, seconds: None
    clock: Callable[[], float] = time.monotonic
    medians: Medians = dataclasses.field(default_factory=Medians)
    decisions: dict[Key, Decision] = dataclasses.field(default_factory=dict)
    controls: dict[Key, Decision] = dataclasses.field(default_factory=dict)
    lost: set[Key] = dataclasses.field(default_factory=set)
    """Quantities that not every process could measure, so that there are too few rounds for a look."""
    out_of_time: bool = False
    rounds: int = 0

    def run(self) -> None:
        """Both looks. The medians are kept as they come: what an exception ends is still there."""
        begun = self.clock()
        order = orders(self.sides, self.seed)
        for look in dict.fromkeys((self.rule.first, self.rule.most)):
            while self.rounds < look and (self.open or not self.rounds):
                if self.rounds and (self.clock() - begun) * (self.rounds + 1) / self.rounds > self.most_seconds:
                    self.out_of_time = True
                    break
                self._round(next(order))
                self.tell(self.rounds, look, self.clock() - begun)
            self._decide()
            if self.out_of_time:
                return

    @property
    def open(self) -> list[Key]:
        """Quantities on which the last word is not said."""
        decided = {key for key, decision in self.decisions.items() if decision.final}
        return [key for key in self.medians.quantities() if key not in decided | self.lost]

    @property
    def spread(self) -> dict[Key, float]:
        """Standard deviation of the rounds' differences, of those with at least three."""
        found = {key: self.medians.differences(key) for key in self.medians.quantities()}
        return {key: stdev(values) for key, values in found.items() if len(values) > 2}

    def _round(self, order: Sequence[str]) -> None:
        found = self.measure(order, self.open)
        self.medians.add({side: found[side] for side in self.sides})
        self.rounds += 1
        self.rule = dataclasses.replace(self.rule, cells=max(1, len(self.medians.quantities())))

    def _decide(self) -> None:
        for key in self.open:
            differences = self.medians.differences(key)
            if len(differences) >= self.rule.first:
                tolerance = self.allowed(key, self.medians.median(self.sides[0], key))
                self.decisions[key] = self.rule.decide(differences, tolerance)
                if len(self.sides) > 2:
                    self.controls[key] = _control(self.rule, self.medians.control(key), tolerance)
            elif not self.out_of_time:
                self.lost.add(key)


def _control(rule: PairedRule, differences: Sequence[float], tolerance: float) -> Decision:
    """The worse of what the rule says of both directions: equal code must be neither slower nor faster."""
    ways = [rule.decide([sign * value for value in differences], tolerance) for sign in (1, -1)]
    return next((one for one in ways if one.outcome == "fail"), ways[0])
