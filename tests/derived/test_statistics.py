"""Against scipy.stats, and coverage by simulation."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikebench.derived import statistics as own

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


@given(values, st.sampled_from([0.9, 0.95, 0.99]))
def test_mean_interval_is_scipys_t_interval(sample, confidence):
    interval = own.mean_interval(sample, confidence)
    spread = stats.tstd(sample) / math.sqrt(len(sample))
    low, high = stats.t.interval(confidence, len(sample) - 1, np.mean(sample), spread) if spread else (np.mean(sample),) * 2
    assert interval.low == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert interval.high == pytest.approx(high, rel=1e-9, abs=1e-9)
    assert interval.n == len(sample)


def test_one_value_has_no_interval_and_none_is_an_error():
    assert own.mean_interval([0.5]) == own.Interval(0.5, None, None, 1, 0.95)
    assert own.mean_interval([0.5]).half_width is None
    assert not own.mean_interval([0.5]).excludes(100)
    with pytest.raises(ValueError, match="no values"):
        own.mean_interval([])


@pytest.mark.parametrize("n", [3, 5])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(n):
    samples = np.random.default_rng(0).normal(1.0, 0.3, (4000, n)).tolist()
    covered = sum(not own.mean_interval(sample).excludes(1.0) for sample in samples)
    assert stats.binomtest(covered, 4000, 0.95).pvalue > 1e-3


def test_pairs_are_made_by_key_and_the_rest_is_left_out():
    interval = own.paired_interval({0: 0.9, 2: 0.7, 1: 0.8, 9: 0.0}, {0: 0.8, 1: 0.6, 2: 0.6})
    low, high = stats.ttest_rel([0.9, 0.8, 0.7], [0.8, 0.6, 0.6]).confidence_interval(0.95)
    assert (interval.low, interval.high, interval.n) == (pytest.approx(low), pytest.approx(high), 3)
    with pytest.raises(ValueError, match="no shared keys"):
        own.paired_interval({0: 1.0}, {1: 1.0})


@given(values, values)
def test_welch_is_scipys(a, b):
    if min(stats.tstd(a), stats.tstd(b)) < 1e-6:
        return
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    interval = own.welch_interval(a, b)
    assert (interval.low, interval.high) == (pytest.approx(low, rel=1e-6), pytest.approx(high, rel=1e-6))


def test_welch_without_spread_or_with_one_value():
    assert own.welch_interval([1.0, 1.0], [0.5, 0.5]).half_width == 0
    assert own.welch_interval([1.0], [0.5, 0.4]).half_width is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(b, c):
    expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert own.mcnemar_exact(b, c) == pytest.approx(expected)


@pytest.mark.parametrize(("p_new", "p_old"), [(0.02, 0.02), (0.05, 0.01)])
def test_the_paired_fraction_interval_covers_the_true_difference(p_new, p_old):
    n, rng = 360, np.random.default_rng(2)
    draws = rng.multinomial(n, [p_new, p_old, 1 - p_new - p_old], 4000)
    covered = sum(not own.paired_fraction_interval(int(b), int(c), n).excludes(p_new - p_old) for b, c, _ in draws)
    assert 0.94 < covered / 4000 < 0.975
    assert own.paired_fraction_interval(0, 0, n).half_width > 0


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_of_a_fraction(case):
    successes, n = case
    result = stats.binomtest(successes, n)
    expected = result.proportion_ci(0.95, "wilson")
    interval = own.wilson(successes, n)
    assert (interval.low, interval.high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 4), (5, 4)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        own.wilson(successes, n)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_minimum_detectable_effect_is_found_as_often_as_promised(n):
    effect = own.minimum_detectable_effect(0.3, n, alpha=0.05, power=0.8)
    samples = np.random.default_rng(1).normal(effect, 0.3, (4000, n)).tolist()
    found = int((stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).sum())
    assert stats.binomtest(found, 4000, 0.8).pvalue > 1e-3
    assert own.minimum_detectable_effect(0.3, 1) is None


@pytest.mark.parametrize(
    ("low", "estimate", "high", "expected"),
    [
        (0.01, 0.06, 0.11, "fail"),
        (-0.01, 0.06, 0.11, "inconclusive"),  # could be nothing
        (0.01, 0.02, 0.03, "pass"),  # surely slower, by less than half of the tolerance
        (-0.04, 0.01, 0.06, "inconclusive"),  # could be beyond the tolerance
        (-0.3, -0.2, -0.1, "pass"),
        (None, 0.5, None, "inconclusive"),
    ],
)
def test_three_way(low, estimate, high, expected):
    assert own.three_way(own.Interval(estimate, low, high, 5, 0.95), 0.05) == expected


def test_scipy_stats_stays_unimported():
    code = (
        "import sys\nfrom spikebench.derived.statistics import *\n"
        "mean_interval([1, 2, 3]); mcnemar_exact(3, 4); minimum_detectable_effect(1, 3); wilson(1, 2)\n"
        "sys.exit('scipy.stats' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
