"""Intervals of what was measured with several seeds, and on the same test images: both are samples, and both move a difference.

Seeds and images are crossed random effects: an accuracy has the variance ``seeds / n + images / m + rest / (n m)``, and each part
is estimated from its own mean square. Two seeds that get the same number right say nothing of images, so no interval is of width
zero. Degrees of freedom after Satterthwaite (1946). What seeds do is learned from all variants of a table together: the spread of
one difference is moderated by the pooled one as in Smyth (2004), by as much as the variants' spreads are alike. Sources and
simulated coverage: references.md 9.

**Two variants with two seeds** have no others to learn from, and no interval of theirs is always within 1.5 times that of an
oracle who knows the variances. The two differences by seed give one degree of freedom: where images matter little, t = 12.7
makes the mean width 5.2 times the oracle's. The variants' own spreads give two and are not too small as long as a seed moves
both the same way if at all, so of accuracies these are taken up to three seeds: t = 4.30 and, in simulations of 359 images, 1.6
to 1.9 times the oracle's in the mean (paired: 3.0 to 4.6), 1.2 to 1.7 in the median, at most 1.4 with three seeds; a seed that
moves both alike makes them wider than need be. Less cannot be had: as images matter less the problem becomes that of a mean
with unknown scale, where of all intervals that cover at every scale none is, at its worst, narrower in the mean than a multiple
of the estimated spread (Hunt and Stein): with two degrees of freedom 1.94 oracles for 95 %, and still 1.62 for 93 %. Simulated
coverage is 94 to 99 % (paired: 90 to 99), 92 % at an accuracy of 98 % that seeds move much, and 91 % where they move one of the
two six times as much as the other. Numbers without images keep their pairs: unequal spreads would cover 87 % there.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from statistics import fmean
from typing import Any

from spikebench.derived.moderation import Prior, sample_variance, weight_of
from spikebench.derived.statistics import Interval, t_quantile

Values = Mapping[int, float]
Answers = Mapping[int, Sequence[int | float]]
"""seed -> for every test image 1 (right) or 0."""
FEW = 3
"""Seeds up to which the differences of two variants alone say less of seeds than the variants' own spreads."""
MOST = 8
"""Degrees of freedom at most, for each that the spread between seeds has: by chance it looks like none."""
Name = Hashable
"""Of a variant."""
SETTLED = 200
"""Seeds that nobody trains: more than this and it is the images that are too few."""


@dataclasses.dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of variants' means with what its spread is made of. ``variance``: of the estimate, with ``degrees`` of
    freedom; None where there is none. ``images``: the part of it that more seeds do not make smaller; ``seeds``: the rest times
    ``n``; ``between``: the part that more images do not make smaller. ``own``: it speaks of other images alone, since one seed
    says nothing of others.
    """

    estimate: float
    n: int
    variance: float | None
    degrees: float
    images: float = 0.0
    seeds: float = 0.0
    between: float = 0.0
    own: bool = False

    def interval(self, confidence: float = 0.95) -> Interval:
        if self.variance is None:
            return Interval(self.estimate, None, None, self.n, confidence)
        half = t_quantile((1 + confidence) / 2, self.degrees) * math.sqrt(self.variance)
        return Interval(self.estimate, self.estimate - half, self.estimate + half, self.n, confidence)

    @property
    def p(self) -> float | None:
        """Two-sided p value that the true contrast is 0; None without an interval. A difference without any spread has 0."""
        from scipy.special import stdtr

        if self.variance is None:
            return None
        if not self.variance:
            return 0.0 if self.estimate else 1.0
        return float(2 * stdtr(self.degrees, -abs(self.estimate) / math.sqrt(self.variance)))

    def seeds_for(self, half_width: float, confidence: float = 0.95) -> int | None:
        """How many seeds would give an interval of at most this half width; None if no number of them would, on these images."""
        if self.variance is None or self.own:
            return None
        for n in range(2, SETTLED + 1):
            degrees = max(self.degrees, self.degrees * (n - 1) / max(1, self.n - 1))
            if t_quantile((1 + confidence) / 2, degrees) * math.sqrt(self.images + self.seeds / n) <= half_width:
                return n
        return None


class Crossed:
    """The variants of one table. ``values``: variant -> seed -> number. ``answers``: of accuracies, what they are the mean of.

    A contrast uses the seeds that all its variants have; images count where each of those seeds has its answers, equally many.
    What was asked for once is kept: the mean of a variant stands in a table, in a sentence and on a plot.
    """

    def __init__(self, values: Mapping[Any, Values], answers: Mapping[Any, Answers] | None = None) -> None:
        import numpy as np

        self.values = values
        self._answers: dict[Name, dict[int, Any]] = {
            name: {seed: np.asarray(own, dtype=np.float64) for seed, own in seeds.items() if seed in values.get(name, ())}
            for name, seeds in (answers or {}).items()
        }
        self._stacks: dict[tuple[Name, tuple[int, ...]], Any] = {}
        self._contrasts: dict[tuple[tuple[Name, float], ...], Contrast] = {}
        self._spreads: dict[tuple[tuple[tuple[Name, float], ...], tuple[int, ...]], tuple[float, float, int]] = {}

    def mean(self, name: str) -> Contrast:
        return self.contrast({name: 1.0})

    def difference(self, new: Name, old: Name) -> Contrast:
        return self.contrast({new: 1.0, old: -1.0})

    def draws(self, names: Sequence[Name], count: int) -> Any:
        """(count, variants) means as other images and other seeds might have given them, the same numbers each time: the images
        move all variants together, each seed its own alone, by Student's t, since its spread is known from few.
        """
        import numpy as np

        rng = np.random.default_rng(0)
        means = {name: self.contrast({name: 1.0}) for name in names}
        found = np.tile([means[name].estimate for name in names], (count, 1))
        degrees = [means[name].degrees for name in names]
        found += rng.standard_t(degrees, found.shape) * [math.sqrt(means[name].between) for name in names]
        rows = [list(self._answers.get(name, {}).values()) for name in names]
        sizes = {len(answers) for row in rows for answers in row}
        if len(sizes) == 1 and all(rows):
            (m,) = sizes
            right = np.array([np.mean(row, axis=0) for row in rows])
            found += rng.standard_normal((count, m)) @ (right - right.mean(axis=1, keepdims=True)).T / m
        return found

    def shared(self, names: Sequence[Name]) -> list[int]:
        """The seeds that all these variants have."""
        return [seed for seed in self.values[names[0]] if all(seed in self.values[name] for name in names)]

    def contrast(self, weights: Mapping[Any, float]) -> Contrast:
        """Raises ValueError where the variants share no seed."""
        key = tuple(weights.items())
        if key not in self._contrasts:
            self._contrasts[key] = self._contrast({name: weight for name, weight in weights.items() if weight})
        return self._contrasts[key]

    def _contrast(self, weights: Mapping[Any, float]) -> Contrast:
        seeds = self.shared(list(weights))
        if not seeds:
            raise ValueError("no shared seeds to pair by")
        by_seed = [sum(weight * self.values[name][seed] for name, weight in weights.items()) for seed in seeds]
        estimate, n = fmean(by_seed), len(seeds)
        images, noise, m = self._images(weights, seeds)
        if n == 1:
            return Contrast(estimate, n, images if m else None, max(1, m - 1), images, own=True)
        raw, degrees = sample_variance(by_seed), float(n - 1)
        if m and n <= FEW and len(self.values) == 2 and math.prod(weights.values()) < 0:
            raw = sum(
                weight**2 * sample_variance([self.values[name][seed] for seed in seeds]) for name, weight in weights.items()
            )
            degrees = 2 * degrees
        elif self._prior is not None:
            raw, degrees = self._prior.moderated(raw, degrees, noise, list(weights.values()))
        beyond = max(0.0, raw - noise)
        whole = images + beyond / n
        if not whole:
            return Contrast(estimate, n, 0.0, degrees)
        parts = (images**2 / (m - 1) if m > 1 else 0.0) + ((raw / n) ** 2 / degrees if beyond else 0.0)
        fixed = max(0.0, images - noise / n)
        return Contrast(estimate, n, whole, min(whole**2 / parts, MOST * degrees), fixed, (whole - fixed) * n, beyond / n)

    def _images(self, weights: Mapping[Any, float], seeds: Sequence[int]) -> tuple[float, float, int]:
        """The variance of the contrast of these very networks over other images; how much of one seed's is drawn anew with the
        next seed; and the number of images, 0 where answers are missing.

        Half an image is added to each way in which an image can be answered, as Agresti and Min (2005) do for one pair; where it
        is a mean and no difference, two images each way, as Agresti and Coull (1998): few errors have a long tail.
        """
        key = (tuple(weights.items()), tuple(seeds))
        if key not in self._spreads:
            self._spreads[key] = self._spread(weights, key[1])
        return self._spreads[key]

    def _spread(self, weights: Mapping[Any, float], seeds: tuple[int, ...]) -> tuple[float, float, int]:
        import numpy as np

        stacks = [self._stack(name, seeds) for name in weights]
        n, m = (0, 0) if stacks[0] is None else stacks[0].shape
        if not m or any(stack is None or stack.shape[1] != m for stack in stacks):
            return 0.0, 0.0, 0
        total = np.add.reduce
        by_seed = stacks[0] if list(weights.values()) == [1.0] else np.tensordot(list(weights.values()), np.stack(stacks), 1)
        mean = total(by_seed, 0) / n
        middle = total(mean) / m
        added = sum(weight**2 for weight in weights.values()) / 2 + 1.5 * sum(weights.values()) ** 2
        images = (float(total((mean - middle) ** 2)) + added) / (m + 2) ** 2
        rest = by_seed - total(by_seed, 1, keepdims=True) / m
        rest -= mean
        rest += middle
        noise = float(total(np.square(rest), None)) / (max(1, n - 1) * max(1, m - 1)) / m
        return images, noise, m

    def _stack(self, name: Name, seeds: tuple[int, ...]) -> Any:
        """(seeds, images) answers of one variant; None where those of a seed are missing, or not as many as another's."""
        import numpy as np

        if (name, seeds) not in self._stacks:
            answers = self._answers.get(name, {})
            own = [answers[seed] for seed in seeds if seed in answers]
            whole = len(own) == len(seeds) and len(set(map(len, own))) == 1
            self._stacks[name, seeds] = np.stack(own) if whole else None
        return self._stacks[name, seeds]

    @cached_property
    def _prior(self) -> Prior | None:
        """What seeds do to variants, from all of them; None where fewer than two variants share two seeds."""
        sets = Counter(frozenset(seeds) for seeds in self.values.values() if len(seeds) > 1)
        if not sets:
            return None
        common = max(sets, key=lambda seeds: (sets[seeds] * (len(seeds) - 1), len(seeds)))
        names = [name for name, seeds in self.values.items() if frozenset(seeds) == common]
        if len(names) < 2:
            return None
        seeds, n, k = sorted(common), len(common), len(names)
        rows = [[self.values[name][seed] for seed in seeds] for name in names]
        noises, size = zip(*(self._images({name: 1.0}, seeds)[1:] for name in names), strict=True)
        columns = [fmean(column) for column in zip(*rows, strict=True)]
        whole = fmean(columns)
        means = [fmean(row) for row in rows]
        rest = sum(
            (value - mean - column + whole) ** 2
            for row, mean in zip(rows, means, strict=True)
            for value, column in zip(row, columns, strict=True)
        )
        degrees = float((k - 1) * (n - 1))
        excess = max(0.0, rest / degrees - fmean(noises))
        shared = sample_variance(columns)
        of_images = self._images(dict.fromkeys(names, 1 / k), seeds)[1]
        step = 1 / max(size) if max(size) else 0.0
        spreads = [sample_variance(row) + step**2 / 12 for row in rows]
        weight = weight_of(spreads, [excess + noise for noise in noises], n - 1) if k > 2 else 0.0
        return Prior(excess, degrees, max(0.0, shared - of_images - excess / k), shared, float(n - 1), weight)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values of Holm (1979): below 0.05 where all such claims together are wrong in at most 5 % of tables."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    most = 0.0
    for rank, (p, index) in enumerate(known):
        most = max(most, min(1.0, p * (len(known) - rank)))
        found[index] = most
    return found
