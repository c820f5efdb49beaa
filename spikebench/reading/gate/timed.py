"""What the processes of a paired comparison measured, round by round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import median

from spikebench.core.records import Selector
from spikebench.derived.paired_rule import difference


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


Timed = Mapping[Key, Sequence[float]]
"""Of one process: the median of each of its turns; one alone where it was measured without turns."""


@dataclasses.dataclass
class Medians:
    """``rounds``: what each side's process measured, base first, then new, then, with a control, new again."""

    rounds: list[Mapping[str, Timed]] = dataclasses.field(default_factory=list)
    worse: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Metric -> -1 where higher is better, so that a positive difference always is a worsening."""

    def add(self, sides: Mapping[str, Timed]) -> None:
        self.rounds.append(sides)

    def quantities(self) -> list[Key]:
        """In the order of the cells."""
        return sorted({key for sides in self.rounds for times in sides.values() for key in times})

    def values(self, place: int, key: Key) -> list[float]:
        """One side's process medians in the rounds in which every side has one; sides are numbered as they stand."""
        return [median(row[place]) for row in self._rows(key)]

    def median(self, side: str, key: Key) -> float:
        return median(median(sides[side][key]) for sides in self.rounds if key in sides.get(side, {}))

    def new(self, key: Key) -> list[float]:
        """All process medians of the new code, the control's too."""
        places = len(self.rounds[0]) if self.rounds else 0
        return [value for place in range(1, places) for value in self.values(place, key)]

    def differences(self, key: Key) -> list[float]:
        """ln(new / base) of every round; new is the mean of its two runs where there is a control."""
        return [self._sign(key) * math.fsum(difference(base, new) for new in news) / len(news) for base, *news in self._rows(key)]

    def control(self, key: Key) -> list[float]:
        """ln(new again / new) of every round."""
        return [self._sign(key) * difference(row[1], row[2]) for row in self._rows(key)]

    def _rows(self, key: Key) -> list[list[Sequence[float]]]:
        """Round by round what each side measured, of the rounds in which every side did."""
        return [[side[key] for side in sides.values()] for sides in self.rounds if all(key in side for side in sides.values())]

    def _sign(self, key: Key) -> float:
        return self.worse.get(key.metric, 1.0)
