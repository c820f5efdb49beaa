"""Decisions resampled from traces whose truth is known."""

from __future__ import annotations

import math
from random import Random
from statistics import stdev

import numpy as np
import pytest

from spikebench.derived import resampled
from spikebench.derived.paired_rule import PairedRule

FIVE = math.log1p(0.05)


def trace(spread: float, n: int = 300) -> list[float]:
    return list(np.random.default_rng(7).normal(0, spread, n))


def test_equal_code_is_silent_and_the_tolerance_is_found_in_a_quiet_trace() -> None:
    quiet = trace(0.014)
    assert resampled.outcomes(quiet, PairedRule(), FIVE, decisions=200)["fail"] == 0
    assert resampled.outcomes(quiet, PairedRule(), FIVE, slower=0.05, decisions=200)["fail"] >= 195


def test_the_smallest_slow_down_found_agrees_with_the_formula() -> None:
    rule, noisy = PairedRule(), trace(0.07)
    found = resampled.smallest_found(noisy, rule, FIVE, decisions=200)
    assert found is not None
    assert found == pytest.approx(math.expm1(rule.detectable(stdev(noisy), FIVE)), rel=0.3)
    before, at = (resampled.outcomes(noisy, rule, FIVE, slower, 200)["fail"] for slower in (found - 0.02, found))
    assert before < 190 <= at


def test_pairs_are_of_one_window_and_half_have_the_new_side_first() -> None:
    """A trace in which the second process always is the slower one says nothing of either side."""
    found = resampled.resample([float(i) for i in range(50)], 7, 10, 0.5, Random(1))
    apart = [value - math.log1p(0.5) for value in found]
    assert [abs(value) for value in apart] == pytest.approx(range(7, 17))
    assert sum(value > 0 for value in apart) == 5


def test_a_short_trace_and_a_hopeless_one_are_said() -> None:
    with pytest.raises(ValueError, match=r"30 pairs .*got 29"):
        resampled.outcomes([0.0] * 29, PairedRule(), FIVE)
    assert resampled.smallest_found(trace(2.0), PairedRule(), FIVE, decisions=20) is None
