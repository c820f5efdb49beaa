"""Change points of a series: E-divisive with t-tests in the place of permutations, as Apache Otava has it (references.md 9b).

The energy statistic is that of Matteson and James (arXiv:1306.4933) for one dimension with exponent 1. Windows of WINDOW values
are searched from the last change point found, at ten times the p value that is wanted; then the weakest points are taken out one
by one, their neighbours being tested anew, until all that are left are significant.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import fmean, variance

WINDOW = 50
P_VALUE = 0.001
FIRST_PASS = 10.0
"""How much larger a p value may be before the weakest points are taken out."""
LEAST = 2
"""Values on either side of a change point: one has no spread."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChangePoint:
    """``index``: of the first value of the new level. ``before``, ``after``: means of the two levels. ``p``: of the t test."""

    index: int
    before: float
    after: float
    p: float

    @property
    def change(self) -> float:
        """Relative to the old level."""
        if self.before == self.after:
            return 0.0
        return (self.after - self.before) / abs(self.before) if self.before else math.inf


def change_points(values: Sequence[float], p_value: float = P_VALUE, window: int = WINDOW) -> list[ChangePoint]:
    """Where the level of a noisy series changes, in order."""
    found = sorted(set(_weak(values, p_value * FIRST_PASS, window)))
    while found:
        points = _tested(values, found)
        weakest = max(points, key=lambda point: point.p)
        if weakest.p < p_value:
            return points
        found.remove(weakest.index)
    return []


def steps(values: Sequence[float]) -> list[ChangePoint]:
    """Where a series that repeats exactly changes at all: nothing need be tested."""
    changed = [index for index in range(1, len(values)) if values[index] != values[index - 1]]
    return [ChangePoint(index, values[index - 1], values[index], 0.0) for index in changed]


def best_split(values: Sequence[float]) -> int | None:
    """The index at which the energy statistic is largest; None where both sides cannot have LEAST values."""
    import numpy as np

    n = len(values)
    if n < 2 * LEAST:
        return None
    series = np.asarray(values, dtype=float)
    distances = np.abs(series[:, None] - series[None, :])
    inside = np.cumsum(np.cumsum(distances, 0), 1)
    best, where = -math.inf, None
    for split in range(LEAST, n - LEAST + 1):
        left, right = split, n - split
        first = inside[split - 1, split - 1]
        both = inside[split - 1, n - 1] - first
        second = inside[n - 1, n - 1] - first - 2 * both
        energy = 2 * both / (left * right) - first / (left * (left - 1)) - second / (right * (right - 1))
        statistic = left * right / n * energy
        if statistic > best:
            best, where = float(statistic), split
    return where


def t_test(left: Sequence[float], right: Sequence[float]) -> float:
    """Two-sided p value of Student's t test with pooled variance; 1 where a side has fewer than LEAST values."""
    from scipy.special import stdtr

    degrees = len(left) + len(right) - 2
    if min(len(left), len(right)) < LEAST:
        return 1.0
    difference = fmean(right) - fmean(left)
    pooled = ((len(left) - 1) * variance(left) + (len(right) - 1) * variance(right)) / degrees
    if pooled == 0:
        return 0.0 if difference else 1.0
    t = abs(difference) / math.sqrt(pooled * (1 / len(left) + 1 / len(right)))
    return float(2 * stdtr(degrees, -t))


def _weak(values: Sequence[float], p_value: float, window: int) -> list[int]:
    """Candidates, window by window; a window begins at the last candidate, or half a window further on."""
    found: list[int] = []
    start = 0
    while start < len(values):
        inside = [start + index for index in _divide(values[start : start + window], p_value)]
        found += inside
        if start + window >= len(values):
            break
        start = max([start + window // 2, *inside])
    return found


def _divide(values: Sequence[float], p_value: float) -> list[int]:
    """Split at the best place as long as the two sides of it differ significantly."""
    split = best_split(values)
    if split is None or t_test(values[:split], values[split:]) >= p_value:
        return []
    left, right = _divide(values[:split], p_value), _divide(values[split:], p_value)
    return [*left, split, *(split + index for index in right)]


def _tested(values: Sequence[float], indexes: Sequence[int]) -> list[ChangePoint]:
    """Each point between the levels that the others leave on its two sides."""
    bounds = [0, *indexes, len(values)]
    found = []
    for before, index, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        left, right = values[before:index], values[index:after]
        found.append(ChangePoint(index, fmean(left), fmean(right), t_test(left, right)))
    return found
