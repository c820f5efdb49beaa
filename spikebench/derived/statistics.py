"""Intervals and paired tests that hold up on the few seeds that people can afford.

The t interval keeps its coverage at three seeds, where a percentile bootstrap asked for 95 % gives 74 %. ``scipy.special`` alone
is imported, and late: ``scipy.stats`` costs most of a second at start-up.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal, TypeVar

Outcome = Literal["pass", "fail", "inconclusive"]
Key = TypeVar("Key", bound=Hashable)


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from ``n`` values with its confidence interval; ``low`` and ``high`` are None where ``n`` is too small."""

    estimate: float
    low: float | None
    high: float | None
    n: int
    confidence: float

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def ends(self) -> tuple[float, float] | None:
        """``low`` and ``high``; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval; False where there is no interval."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median from order statistics, without assuming a distribution (Conover 1999, section 3.2).

    The ranks are those of the binomial's normal approximation. Six values are the fewest that can cover 95 %.
    """
    n = len(values)
    if n < 6:
        return -math.inf, math.inf
    ordered = sorted(values)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach)
    return ordered[max(low, 0)], ordered[min(high, n - 1)]


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b of two rankings of the same things: 1 if they order all pairs alike, -1 if none; None where one of them
    orders nothing.
    """
    signs = [(_sign(a[i] - a[j]), _sign(b[i] - b[j])) for i in range(len(a)) for j in range(i)]
    ordered = [sum(x != 0 for x, _ in signs), sum(y != 0 for _, y in signs)]
    return None if 0 in ordered else sum(x * y for x, y in signs) / math.sqrt(ordered[0] * ordered[1])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of independent values with its t interval; one value gives no interval. Raises ValueError for none."""
    if not values:
        raise ValueError("the mean of no values")
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, None, None, len(values), confidence)
    half = t_quantile((1 + confidence) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values), confidence)


def paired_interval(new: Mapping[Key, float], old: Mapping[Key, float], confidence: float = 0.95) -> Interval:
    """Mean of ``new - old`` over the keys (seeds) that both have, with its t interval.

    Pairing takes out what a seed does to both sides. Raises ValueError where they share no key.
    """
    shared = [key for key in new if key in old]
    if not shared:
        raise ValueError("no shared keys to pair by")
    return mean_interval([new[key] - old[key] for key in shared], confidence)


def welch_interval(new: Sequence[float], old: Sequence[float], confidence: float = 0.95) -> Interval:
    """Difference of two independent means with Welch's t interval; ``n`` is the smaller sample's size."""
    difference = fmean(new) - fmean(old)
    n = min(len(new), len(old))
    if n < 2:
        return Interval(difference, None, None, n, confidence)
    parts = [stdev(side) ** 2 / len(side) for side in (new, old)]
    if sum(parts) == 0:
        return Interval(difference, difference, difference, n, confidence)
    degrees = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (new, old), strict=True))
    half = t_quantile((1 + confidence) / 2, degrees) * math.sqrt(sum(parts))
    return Interval(difference, difference - half, difference + half, n, confidence)


def mcnemar_exact(only_new: int, only_old: int) -> float:
    """Two-sided exact p value that two classifiers err equally often (McNemar 1947).

    ``only_new``, ``only_old``: test samples that one of the two alone gets right. It speaks about this pair of trained networks,
    not about other seeds.
    """
    from scipy.special import bdtr

    n = only_new + only_old
    return 1.0 if n == 0 else min(1.0, float(2 * bdtr(min(only_new, only_old), n, 0.5)))


def paired_fraction_interval(only_new: int, only_old: int, n: int, confidence: float = 0.95) -> Interval:
    """Difference of two classifiers' accuracies on the same ``n`` samples, with the interval of Agresti and Min (2005).

    As ``mcnemar_exact``, it speaks about one pair of trained networks. Wald's interval after half a sample is added to each of
    the four cells, which covers well even where the two never disagree.
    """
    from scipy.special import ndtri

    _check_counts(only_new + only_old, n)
    b, c, m = only_new + 0.5, only_old + 0.5, n + 2
    centre = (b - c) / m
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(b + c - (b - c) ** 2 / m) / m
    return Interval((only_new - only_old) / n, centre - half, centre + half, n, confidence)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A fraction with Wilson's score interval (1927), good down to a handful of trials. Raises ValueError for n = 0."""
    from scipy.special import ndtri

    _check_counts(successes, n)
    z = float(ndtri((1 + confidence) / 2))
    fraction = successes / n
    centre = (fraction + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(fraction * (1 - fraction) / n + (z / (2 * n)) ** 2)
    return Interval(fraction, max(0.0, centre - half), min(1.0, centre + half), n, confidence)


def minimum_detectable_effect(spread: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest true mean difference that a two-sided paired t test finds with the given power; None for n < 2.

    ``spread``: standard deviation of the differences. Exact by the noncentral t distribution, the other tail apart.
    """
    from scipy.special import nctdtrinc

    if n < 2:
        return None
    critical = t_quantile(1 - alpha / 2, n - 1)
    return float(nctdtrinc(n - 1, 1 - power, critical)) * spread / math.sqrt(n)


def three_way(worsening: Interval, tolerance: float) -> Outcome:
    """Worse, not worse, or cannot tell.

    ``worsening``: how much worse the new side is (positive is worse), for instance ln(t_new / t_base).

    ``fail`` if the interval lies above zero and the estimate above half of the tolerance; ``pass`` if the interval lies below the
    tolerance and the estimate below half of it; ``inconclusive`` otherwise, and always without an interval.
    """
    if worsening.low is None or worsening.high is None:
        return "inconclusive"
    if worsening.low > 0 and worsening.estimate > tolerance / 2:
        return "fail"
    if worsening.high < tolerance and worsening.estimate < tolerance / 2:
        return "pass"
    return "inconclusive"


def _check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"expected 0 <= successes <= n and n > 0, got {successes} of {n}")
