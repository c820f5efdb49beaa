"""Change points against brute force, scipy's t test, and series whose levels are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from spikebench.derived.change_points import best_split, change_points, steps, t_test


def noise(levels: list[tuple[int, float]], spread: float, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(level * math.exp(rng.normal(0, spread))) for count, level in levels for _ in range(count)]


def energy(left: list[float], right: list[float]) -> float:
    """Matteson and James (2014), equations 5 and 7, pair by pair."""
    m, n = len(left), len(right)
    between = sum(abs(a - b) for a in left for b in right) * 2 / (m * n)
    within = [sum(abs(a - b) for a, b in itertools.combinations(side, 2)) / math.comb(len(side), 2) for side in (left, right)]
    return m * n / (m + n) * (between - sum(within))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_split_is_that_of_brute_force(seed: int) -> None:
    values = noise([(7, 1.0), (6, 1.1)], 0.05, seed)
    brute = max(range(2, 12), key=lambda split: energy(values[:split], values[split:]))
    assert best_split(values) == brute
    assert best_split(values[:3]) is None


def test_the_t_test_is_scipys_pooled_one() -> None:
    a, b = noise([(9, 1.0)], 0.1, 1), noise([(14, 1.05)], 0.2, 2)
    assert t_test(a, b) == pytest.approx(stats.ttest_ind(a, b).pvalue)
    assert t_test([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert t_test([1.0, 1.0], [2.0, 2.0]) == 0.0
    assert t_test([1.0], [2.0, 2.0]) == 1.0


@pytest.mark.parametrize("where", [15, 60, 130])
def test_a_change_of_level_is_found_where_it_is_in_a_long_series(where: int) -> None:
    values = noise([(where, 10.0), (150 - where, 10.5)], 0.01, where)
    (point,) = change_points(values)
    assert abs(point.index - where) <= 1
    assert point.change == pytest.approx(0.05, abs=0.01)
    assert point.p < 1e-3


def test_several_changes_a_spike_and_a_ramp_back() -> None:
    values = noise([(40, 10.0), (40, 11.0), (40, 10.0)], 0.01, 3)
    values[20] *= 1.5
    assert [round(point.index / 40) for point in change_points(values)] == [1, 2]


def test_noise_alone_is_silent_in_nearly_every_series() -> None:
    alarms = sum(bool(change_points(noise([(60, 1.0)], 0.03, seed))) for seed in range(100))
    # Otava's search picks the best of many splits, so its p value is nominal: 0.001 raises an alarm in some per cent of series.
    assert alarms <= 8


def test_a_change_is_confirmed_some_commits_late() -> None:
    values = noise([(30, 1.0), (6, 1.1)], 0.01, 4)
    found = [bool(change_points(values[: 30 + later])) for later in range(7)]
    assert found[0] is False
    assert found[-1] is True


def test_exact_series_change_at_once() -> None:
    points = steps([5, 5, 5, 6, 6, 4])
    assert [(point.index, point.before, point.after) for point in points] == [(3, 5, 6), (5, 6, 4)]
    assert change_points([5.0] * 20) == []
    assert [point.index for point in change_points([5.0] * 10 + [6.0] * 10)] == [10]
