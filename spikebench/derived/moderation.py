"""A variance that is known from few values, moderated by those of many others as in Smyth (2004): references.md 9."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import fmean


@dataclasses.dataclass(frozen=True, slots=True)
class Prior:
    """``alone``: variance between seeds of one variant, with ``degrees`` of freedom; ``common``: of what a seed does to all
    variants alike, judged by ``columns``, the variance of the variants' mean, with ``few`` degrees. Both without images.
    ``weight``: the degrees of freedom that a variance expected from them counts for.
    """

    alone: float
    degrees: float
    common: float
    columns: float
    few: float
    weight: float

    def moderated(self, raw: float, degrees: float, noise: float, weights: Sequence[float]) -> tuple[float, float]:
        """A contrast's variance between seeds and its degrees of freedom, its own moderated by what all variants say."""
        if not self.weight:
            return raw, degrees
        squares, total = sum(weight**2 for weight in weights), sum(weights) ** 2
        expected = noise + self.alone * squares + self.common * total
        known = self.degrees
        if self.common and total > 1e-9:
            parts = (expected - self.common * total) ** 2 / self.degrees + (self.columns * total) ** 2 / self.few
            known = min(known, expected**2 / parts)
        if math.isinf(self.weight):
            return expected, known
        both = self.weight + degrees
        return (self.weight * expected + degrees * raw) / both, min(both, known)


def sample_variance(values: Sequence[float]) -> float:
    """Of a sample, 0 where all are equal: to a few units in the last place that of ``statistics``, which counts in fractions."""
    mean = values[0] if min(values) == max(values) else fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def weight_of(spreads: Sequence[float], expected: Sequence[float], degrees: int) -> float:
    """How alike variances are, as the prior degrees of freedom d0 of Smyth (2004); infinite: as alike as chance makes them.
    ``expected``: what each would be if all were alike.
    """
    from scipy.special import polygamma

    middle = sorted(spreads)[len(spreads) // 2]
    if not middle:
        return 0.0 if any(spreads) else math.inf
    logs = [math.log(max(spread, 1e-4 * middle) / (known or 1.0)) for spread, known in zip(spreads, expected, strict=True)]
    excess = sample_variance(logs) - float(polygamma(1, degrees / 2))
    if excess <= 0:
        return math.inf
    # trigamma(x) = excess, by Newton's method on its reciprocal, which is nearly straight.
    x = 0.5 + 1 / excess
    for _ in range(50):
        value = float(polygamma(1, x))
        step = value * (1 - value / excess) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return 2 * x
