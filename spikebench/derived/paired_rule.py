"""The rule that decides whether something became slower, from pairs of processes of one session (references.md 9).

Each difference is ln(new / base) of one pair. The t interval of their mean is looked at twice: after ``first`` pairs and, where
that cannot tell, once more after ``more`` further ones. Both looks and all cells of a gate share one ``alpha`` (Bonferroni), so
that a gate of any size raises a false alarm in at most ``alpha / 2`` of its runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import median

from spikebench.derived.statistics import Interval, Outcome, mean_interval, minimum_detectable_effect, three_way

LOOKS = 2
POWER = 0.95
"""What "found" means wherever a smallest slow-down is named: in so many of the runs."""
MOST_PAIRS = 10_000
Z_POWER = 1.6448536269514722
"""The normal quantile of POWER."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """``interval``: of ln(new / base), positive is slower. ``final``: no further pairs would be looked at."""

    outcome: Outcome
    interval: Interval
    final: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PairedRule:
    """``first`` and ``more``: pairs of the two looks. ``alpha``: of a gate of ``cells`` quantities, two-sided, both looks in one.

    Raises ValueError where a look has fewer than three pairs.
    """

    first: int = 10
    more: int = 20
    alpha: float = 0.01
    cells: int = 1

    def __post_init__(self) -> None:
        if self.first < 3 or self.more < 0 or not 0 < self.alpha < 1 or self.cells < 1:
            raise ValueError(f"expected first >= 3, more >= 0, 0 < alpha < 1 and cells >= 1, got {self}")

    @property
    def most(self) -> int:
        """Pairs that a decision takes at most."""
        return self.first + self.more

    @property
    def confidence(self) -> float:
        """Of the interval of one look at one cell."""
        return 1 - self.alpha / self.cells / LOOKS

    def decide(self, differences: Sequence[float], tolerance: float) -> Decision:
        """The verdict on the pairs so far; ``final`` is False where the second look may still tell.

        ``tolerance``: as a logarithm (``log1p(0.05)``). Of more pairs than a look wants those beyond it are not looked at, so a
        decision does not depend on how many were at hand. Raises ValueError below ``first`` pairs.
        """
        if len(differences) < self.first:
            raise ValueError(f"the first look needs {self.first} pairs, got {len(differences)}")
        interval = mean_interval(differences[: self.first], self.confidence)
        outcome = three_way(interval, tolerance)
        if outcome != "inconclusive" or not self.more:
            return Decision(outcome, interval, True)
        if len(differences) < self.most:
            return Decision(outcome, interval, False)
        interval = mean_interval(differences[: self.most], self.confidence)
        return Decision(three_way(interval, tolerance), interval, True)

    def detectable(self, spread: float, tolerance: float, pairs: int | None = None) -> float:
        """The smallest slow-down, as a logarithm, that ``pairs`` (all of both looks if not given) find in 95 % of runs.

        ``spread``: standard deviation of the differences. An alarm needs the lower bound above 0 and the estimate above half of
        the tolerance; the harder of the two decides.
        """
        n = self.most if pairs is None else pairs
        effect = minimum_detectable_effect(spread, n, alpha=1 - self.confidence, power=POWER)
        if effect is None:
            return math.inf
        return max(effect, tolerance / 2 + Z_POWER * spread / math.sqrt(n))

    def for_tolerance(self, spread: float, tolerance: float) -> PairedRule | None:
        """The rule with as many pairs as it takes to find a slow-down of the tolerance in 95 % of runs, a third of them for the
        first look; never fewer than this rule's. None where MOST_PAIRS would not do.
        """
        if tolerance <= 0 or self.detectable(spread, tolerance, MOST_PAIRS) > tolerance:
            return None
        low, high = self.most, self.most
        while self.detectable(spread, tolerance, high) > tolerance:
            low, high = high, min(2 * high, MOST_PAIRS)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.detectable(spread, tolerance, middle) <= tolerance else (middle, high)
        if high <= self.most:
            return self
        first = max(self.first, math.ceil(high / 3))
        return dataclasses.replace(self, first=first, more=high - first)


def difference(base: Sequence[float], new: Sequence[float]) -> float:
    """ln(new / base) of a pair of processes: the median over the turns that both took, since those of one place were taken one
    right after the other. Where one of them took none (a single time) it is that of their medians.
    """
    if min(len(base), len(new)) == 1:
        return math.log(median(new) / median(base))
    return median(math.log(b / a) for a, b in zip(base, new, strict=False))


def log_tolerance(relative: float, floor: float, base: float) -> float:
    """A relative tolerance and an absolute floor as one logarithm: a worsening must pass both to count.

    ``floor`` and ``base`` (the old value, above 0) in the same unit.
    """
    return math.log1p(max(relative, floor / base))
