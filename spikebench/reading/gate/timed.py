"""Process medians of the sides of a paired comparison, round by round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import median

from spikebench.core.records import Selector


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Key:
    """A quantity: the place of its cell in the suite, the metric, its conditions. ``phase`` and the rest are conditions."""

    cell: int
    metric: str
    conditions: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """In selector syntax."""
        return str(Selector(self.metric, dict(self.conditions)))


@dataclasses.dataclass
class Medians:
    """``rounds``: each side's medians, base first, then new, then, with a control, new again."""

    rounds: list[Mapping[str, Mapping[Key, float]]] = dataclasses.field(default_factory=list)
    worse: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Metric -> -1 where higher is better, so that a positive difference always is a worsening."""

    def add(self, sides: Mapping[str, Mapping[Key, float]]) -> None:
        self.rounds.append(sides)

    def quantities(self) -> list[Key]:
        """In the order of the cells."""
        return sorted({key for sides in self.rounds for medians in sides.values() for key in medians})

    def values(self, place: int, key: Key) -> list[float]:
        """One side's medians of the rounds in which every side has one; sides are numbered as they stand."""
        return [list(sides.values())[place][key] for sides in self.rounds if all(key in side for side in sides.values())]

    def median(self, side: str, key: Key) -> float:
        return median(sides[side][key] for sides in self.rounds if key in sides.get(side, {}))

    def new(self, key: Key) -> list[float]:
        """All medians of the new code, the control's too."""
        places = len(self.rounds[0]) if self.rounds else 0
        return [value for place in range(1, places) for value in self.values(place, key)]

    def differences(self, key: Key) -> list[float]:
        """ln(new / base) of every round; new is the geometric mean of its two runs where there is a control."""
        logs = self._logs(key)
        return [self._sign(key) * (math.fsum(row[1:]) / len(row[1:]) - row[0]) for row in logs]

    def control(self, key: Key) -> list[float]:
        """ln(new again / new) of every round."""
        return [self._sign(key) * (row[2] - row[1]) for row in self._logs(key)]

    def _logs(self, key: Key) -> Sequence[Sequence[float]]:
        places = len(self.rounds[0]) if self.rounds else 0
        return [[math.log(value) for value in row] for row in zip(*(self.values(p, key) for p in range(places)), strict=True)]

    def _sign(self, key: Key) -> float:
        return self.worse.get(key.metric, 1.0)
