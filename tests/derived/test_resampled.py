"""Decisions resampled from traces whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikebench.derived import resampled
from spikebench.derived.paired_rule import PairedRule

FIVE = math.log1p(0.05)


def trace(spread: float, n: int = 300, drift: float = 0.0) -> list[float]:
    rng = np.random.default_rng(7)
    return list(np.exp(rng.normal(0, spread, n) + drift * np.arange(n) / n))


def test_the_spread_is_that_of_neighbours_whatever_the_drift() -> None:
    for drift in (0.0, 1.0):
        assert resampled.spread_of(trace(0.02, 4000, drift)) == pytest.approx(0.02 * math.sqrt(2), rel=0.05)


def test_equal_code_is_silent_and_the_tolerance_is_found_in_a_quiet_trace() -> None:
    quiet = trace(0.01, drift=0.3)
    assert resampled.outcomes(quiet, PairedRule(), FIVE, decisions=200)["fail"] == 0
    assert resampled.outcomes(quiet, PairedRule(), FIVE, slower=0.05, decisions=200)["fail"] >= 195


def test_the_smallest_slow_down_found_agrees_with_the_formula() -> None:
    rule, noisy = PairedRule(), trace(0.05, 600)
    found = resampled.smallest_found(noisy, rule, FIVE, decisions=200)
    assert found is not None
    assert found == pytest.approx(math.expm1(rule.detectable(resampled.spread_of(noisy), FIVE)), rel=0.3)
    before, at = (resampled.outcomes(noisy, rule, FIVE, slower, 200)["fail"] for slower in (found - 0.02, found))
    assert before < 190 <= at


def test_pairs_are_neighbours_of_one_window_and_half_have_the_new_side_first() -> None:
    from random import Random

    rising = [math.exp(i) for i in range(50)]
    found = resampled.differences(rising, 7, 10, 0.0, Random(1))
    assert sorted(set(map(round, found))) == [-1, 1]
    assert sum(found) == pytest.approx(0)


def test_a_short_trace_and_a_hopeless_one_are_said() -> None:
    with pytest.raises(ValueError, match="60 processes, got 59"):
        resampled.outcomes([1.0] * 59, PairedRule(), FIVE)
    assert resampled.smallest_found(trace(2.0), PairedRule(), FIVE, decisions=20) is None
