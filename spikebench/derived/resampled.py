"""The paired rule tried on a recorded trace: decisions resampled from contiguous windows of it.

Windows keep what a machine does over time (drift, bursts). They overlap, so decisions of one trace are not independent of each
other: a rate from them describes this trace.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from statistics import stdev

from spikebench.derived.paired_rule import POWER, PairedRule

DECISIONS = 1000
LARGEST = 1.0
"""No slow-down beyond this is looked for."""


def spread_of(medians: Sequence[float]) -> float:
    """Standard deviation of ln(next / this) over neighbours: what a pair's difference does where nothing changed."""
    return stdev(math.log(b / a) for a, b in pairwise(medians))


def differences(medians: Sequence[float], start: int, pairs: int, slower: float, random: Random) -> list[float]:
    """``pairs`` neighbours from ``start`` on, half of them with the new side first, the new side slower by ``slower``."""
    first = [place % 2 == 0 for place in range(pairs)]
    random.shuffle(first)
    logs = [math.log(value) for value in medians[start : start + 2 * pairs]]
    signs = [-1 if new_first else 1 for new_first in first]
    return [sign * (logs[2 * i + 1] - logs[2 * i]) + math.log1p(slower) for i, sign in enumerate(signs)]


def outcomes(
    medians: Sequence[float], rule: PairedRule, tolerance: float, slower: float = 0.0, decisions: int = DECISIONS, seed: int = 0
) -> Counter[str]:
    """How often the rule says what. Raises ValueError for a trace that is shorter than one decision."""
    span = 2 * rule.most
    if len(medians) < span:
        raise ValueError(f"a decision of {rule.most} pairs needs a trace of {span} processes, got {len(medians)}")
    random = Random(seed)
    starts = [random.randrange(len(medians) - span + 1) for _ in range(decisions)]
    return Counter(
        rule.decide(differences(medians, start, rule.most, slower, random), tolerance).outcome for start in starts
    )  # fmt: skip


def smallest_found(
    medians: Sequence[float], rule: PairedRule, tolerance: float, decisions: int = DECISIONS, seed: int = 0
) -> float | None:
    """The smallest slow-down, to a tenth of a per cent, that POWER of the resampled decisions find; None above LARGEST."""
    low, high = 0, int(LARGEST * 1000)

    def finds(thousandths: int) -> bool:
        found = outcomes(medians, rule, tolerance, thousandths / 1000, decisions, seed)
        return found["fail"] >= POWER * decisions

    if not finds(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high / 1000
