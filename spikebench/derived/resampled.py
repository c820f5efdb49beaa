"""The paired rule tried on a recorded trace: decisions resampled from contiguous windows of it.

A trace holds the differences ln(second / first) of pairs of processes of the same code, in the order in which they were measured.
Windows keep what a machine does over time (drift, bursts). They overlap, so decisions of one trace are not independent of each
other: a rate from them describes this trace.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

from spikebench.derived.paired_rule import POWER, PairedRule

DECISIONS = 1000
LARGEST = 1.0
"""No slow-down beyond this is looked for."""


def resample(trace: Sequence[float], start: int, pairs: int, slower: float, random: Random) -> list[float]:
    """``pairs`` differences from ``start`` on, half of them with the new side first, the new side slower by ``slower``."""
    signs = [-1 if place % 2 == 0 else 1 for place in range(pairs)]
    random.shuffle(signs)
    window = trace[start : start + pairs]
    return [sign * value + math.log1p(slower) for sign, value in zip(signs, window, strict=True)]


def outcomes(
    trace: Sequence[float], rule: PairedRule, tolerance: float, slower: float = 0.0, decisions: int = DECISIONS, seed: int = 0
) -> Counter[str]:
    """How often the rule says what. Raises ValueError for a trace that is shorter than one decision."""
    if len(trace) < rule.most:
        raise ValueError(f"a decision of {rule.most} pairs needs a trace of so many, got {len(trace)}")
    random = Random(seed)
    starts = [random.randrange(len(trace) - rule.most + 1) for _ in range(decisions)]
    return Counter(rule.decide(resample(trace, start, rule.most, slower, random), tolerance).outcome for start in starts)


def smallest_found(
    trace: Sequence[float], rule: PairedRule, tolerance: float, decisions: int = DECISIONS, seed: int = 0
) -> float | None:
    """The smallest slow-down, to a tenth of a per cent, that POWER of the resampled decisions find; None above LARGEST."""
    low, high = 0, int(LARGEST * 1000)

    def finds(thousandths: int) -> bool:
        found = outcomes(trace, rule, tolerance, thousandths / 1000, decisions, seed)
        return found["fail"] >= POWER * decisions

    if not finds(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high / 1000
