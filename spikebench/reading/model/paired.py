"""One quantity of all variants of a table: means, differences and verdicts, with seeds and test images as samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal
from weakref import WeakKeyDictionary

from spikebench.core.metrics import Metric
from spikebench.derived.crossed import Contrast, Crossed, holm
from spikebench.derived.statistics import Interval
from spikebench.reading.model.display import is_fraction
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import Summary

Word = Literal["better", "worse", "higher", "lower", "same", "cannot tell"]
MARGIN = 0.01
"""What nobody would choose by: one percentage point of a fraction, one percent of all else."""
ALPHA = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """``change``: of a fraction the difference itself, else relative to the other side (-0.1: a tenth less). ``p``: that there is
    none, two-sided; None without an interval. ``contrast``: what it was made of, on the scale that it was made on.
    """

    change: float
    low: float | None
    high: float | None
    n: int
    p: float | None
    contrast: Contrast

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


class Paired:
    """``rows``: group_id -> summary; those that share a test split and may be compared.

    Fractions are compared by differences, what is positive throughout by ratios: a variant with four times the operations has
    four times the spread.
    """

    def __init__(self, metric: Metric, rows: Mapping[Any, Summary]) -> None:
        self.metric = metric
        self.rows = {name: row for name, row in rows.items() if row.values}
        values = [value for row in self.rows.values() for value in row.values.values()]
        self.relative = not is_fraction(metric) and bool(values) and min(values) > 0
        scaled = {
            name: {seed: math.log(value) if self.relative else value for seed, value in row.values.items()}
            for name, row in self.rows.items()
        }
        self._crossed = Crossed(scaled, {name: row.answers for name, row in self.rows.items()})

    def mean(self, name: Hashable) -> Interval | None:
        """Mean over seeds with its 95 % interval; of one seed without. None if no seed has a value.

        A fraction's interval ends at 0 and 1: no network is right more often than always. What is cut off covers nothing.
        """
        if name not in self.rows:
            return None
        estimate = fmean(self.rows[name].values.values())
        contrast = self._crossed.contrast({name: 1.0})
        half = None if contrast.own else contrast.interval().half_width
        if half is None:
            return Interval(estimate, None, None, contrast.n, 0.95)
        if self.relative:
            return Interval(estimate, estimate * _exp(-half), estimate * _exp(half), contrast.n, 0.95)
        low, high = estimate - half, estimate + half
        if is_fraction(self.metric):
            low, high = max(low, min(0.0, estimate)), min(high, max(1.0, estimate))
        return Interval(estimate, low, high, contrast.n, 0.95)

    def difference(self, new: Hashable, old: Hashable) -> Difference | None:
        return self.contrast({new: 1.0, old: -1.0})

    def contrast(self, weights: Mapping[Any, float]) -> Difference | None:
        """None where a variant has no value, or the seeds have nothing in common."""
        if not all(name in self.rows for name in weights) or not self._crossed.shared(list(weights)):
            return None
        contrast = self._crossed.contrast(weights)
        interval = contrast.interval()
        ends = (interval.estimate, interval.low, interval.high)
        change, low, high = (None if end is None else _exp(end) - 1 if self.relative else end for end in ends)
        assert change is not None
        return Difference(change, low, high, contrast.n, contrast.p, contrast)

    def draws(self, names: Sequence[Hashable], count: int) -> Any:
        """(count, variants) means as other seeds and images might have given them, on a scale that keeps their order."""
        return self._crossed.draws(names, count)

    def best(self) -> set[Any]:
        """Those that share the mark of the best: the best mean, and all that cannot be told from it.

        Empty where the metric has no direction, where nothing can be told from the best, and where a variant has a single seed
        (unless the number is the same in each).
        """
        if self.metric.direction is None or len(self.rows) < 2:
            return set()
        pick = max if self.metric.direction == "higher" else min
        means = {name: fmean(row.values.values()) for name, row in self.rows.items()}
        top = pick(means, key=lambda name: means[name])
        others = {name: self.difference(name, top) for name in self.rows if name != top}
        words = verdicts(self.metric, others, margin=0.0)
        found = {top, *(name for name, word in words.items() if word != "worse")}
        return found if len(found) < len(self.rows) else set()


def paired_of(frame: Frame, metric: Metric, rows: Mapping[Any, Summary]) -> Paired:
    """The same object for the same summaries of a frame: what one section has worked out another one need not."""
    known, key = _PAIRED.setdefault(frame, {}), (metric, *rows.items())
    if key not in known:
        known[key] = Paired(metric, rows)
    return known[key]


_PAIRED: WeakKeyDictionary[Frame, dict[tuple[Any, ...], Paired]] = WeakKeyDictionary()
"""Sentences, tables and plots are made of the same few."""


def verdicts(metric: Metric, differences: Mapping[str, Difference | None], margin: float = MARGIN) -> dict[str, Word]:
    """A word for each difference of one table, after Holm's correction for how many there are.

    ``same``: the whole interval lies within the margin. Without an interval, or from one seed, nothing can be told.
    """
    known = {name: difference for name, difference in differences.items() if difference is not None}
    p_values = dict(zip(known, holm([difference.p for difference in known.values()]), strict=True))
    return {name: _word(metric, known[name], p_values[name], margin) if name in known else "cannot tell" for name in differences}


def sharing(frame: Frame, rows: Mapping[str, Summary], sets: Iterable[Sequence[str]], metric: Metric) -> dict[str, Paired]:
    """group_id -> the quantity among those that the group may be compared with; each set by itself."""
    found: dict[str, Paired] = {}
    for names in sets:
        paired = paired_of(frame, metric, {name: rows[name] for name in names if name in rows})
        found |= dict.fromkeys(names, paired)
    return found


def _word(metric: Metric, difference: Difference, p: float | None, margin: float) -> Word:
    if difference.low is None or difference.high is None or p is None or (difference.contrast.own and not metric.exact):
        return "cannot tell"
    if margin and -margin <= difference.low and difference.high <= margin:
        return "same"
    if p >= ALPHA or not difference.change:
        return "cannot tell"
    if metric.direction is None:
        return "higher" if difference.change > 0 else "lower"
    return "better" if (difference.change > 0) == (metric.direction == "higher") else "worse"


def _exp(value: float) -> float:
    """Of an interval so wide that it says nothing, a number all the same."""
    return math.exp(min(value, 700.0))
