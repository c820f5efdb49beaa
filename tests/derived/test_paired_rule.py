"""The paired rule's promises, by simulation on noise as machines have it; seeds are fixed, so it passes or fails for good."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from spikebench.derived.paired_rule import PairedRule, log_tolerance

RUNS = 1000
FIVE = math.log1p(0.05)
MACHINES = {"quiet": (0.008, 0.0, 0.0), "shared": (0.015, 0.03, 0.1), "noisy": (0.04, 0.06, 0.4)}
"""Spread of the logarithm of process medians; how often one is an outlier; by how much more it takes then, at most."""


def decisions(machine: str, slower: float, seed: int) -> list[str]:
    """Outcomes of RUNS gates on a machine that also drifts by 5 % up and down, each pair in an order of its own."""
    rule = PairedRule()
    spread, outliers, worst = MACHINES[machine]
    rng = np.random.default_rng(seed)
    found = []
    n = rule.most
    for run in range(RUNS):
        noise = rng.normal(0, spread, (n, 2)) + (rng.random((n, 2)) < outliers) * np.log1p(rng.uniform(0, worst, (n, 2)))
        noise += 0.05 * np.sin(2 * np.pi * (np.arange(2 * n).reshape(n, 2) / 90 + run / 17))
        new_first = rng.permutation(np.arange(n) % 2).astype(bool)
        new, base = np.where(new_first, noise.T[0], noise.T[1]), np.where(new_first, noise.T[1], noise.T[0])
        found.append(rule.decide((new - base + math.log1p(slower)).tolist(), FIVE).outcome)
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_equal_code_raises_no_more_false_alarms_than_promised(machine: str) -> None:
    found = decisions(machine, 0.0, seed=1)
    promised = PairedRule().alpha / 2
    assert found.count("fail") <= stats.binom.ppf(0.999, RUNS, promised)
    if machine != "noisy":
        assert found.count("pass") >= 0.95 * RUNS


@pytest.mark.parametrize(("machine", "least"), [("quiet", 0.99), ("shared", 0.95)])
def test_a_slow_down_of_the_tolerance_is_found(machine: str, least: float) -> None:
    found = decisions(machine, 0.05, seed=2)
    assert found.count("fail") >= least * RUNS
    assert found.count("pass") <= 0.01 * RUNS


def test_on_a_noisy_machine_it_cannot_tell_rather_than_pass() -> None:
    found = decisions("noisy", 0.05, seed=3)
    assert found.count("pass") <= 0.05 * RUNS
    assert found.count("inconclusive") > 0


def test_more_cells_share_the_alpha() -> None:
    """Without a tolerance to help, the interval alone keeps the promise: alpha / 2 for all twenty cells together."""
    rule = PairedRule(cells=20, alpha=0.05)
    rng = np.random.default_rng(4)
    alarms = sum(
        any(rule.decide(cell, 1e-9).outcome == "fail" for cell in rng.normal(0, 0.01, (20, 30)).tolist()) for _ in range(600)
    )
    assert alarms <= stats.binom.ppf(0.999, 600, 0.025)
    assert alarms > 0


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.08])
def test_the_detectable_slow_down_is_found_in_95_percent_of_runs(spread: float) -> None:
    """Against a Monte Carlo of the final look alone."""
    rule = PairedRule()
    effect = rule.detectable(spread, FIVE)
    d = np.random.default_rng(5).normal(effect, spread, (6000, rule.most))
    half = stats.t.ppf((1 + rule.confidence) / 2, rule.most - 1) * d.std(1, ddof=1) / math.sqrt(rule.most)
    found = np.mean((d.mean(1) - half > 0) & (d.mean(1) > FIVE / 2))
    assert found == pytest.approx(0.95, abs=0.012)


def test_pairs_for_a_tolerance_are_enough_and_not_one_too_many() -> None:
    rule = PairedRule()
    assert rule.for_tolerance(0.001, FIVE) is rule
    wider = rule.for_tolerance(0.06, FIVE)
    assert wider is not None
    assert wider.detectable(0.06, FIVE) <= FIVE < wider.detectable(0.06, FIVE, wider.most - 1)
    assert wider.first == math.ceil(wider.most / 3)
    assert rule.for_tolerance(3.0, FIVE) is None
    assert rule.for_tolerance(0.01, 0.0) is None


def test_the_second_look_comes_only_where_the_first_cannot_tell() -> None:
    rule = PairedRule(first=4, more=4)
    clear = rule.decide([0.10, 0.11, 0.10, 0.11, -9.0, -9.0, -9.0, -9.0], FIVE)
    assert (clear.outcome, clear.interval.n, clear.final) == ("fail", 4, True)
    open_ = rule.decide([0.2, -0.2, 0.2, -0.2], FIVE)
    assert (open_.outcome, open_.final) == ("inconclusive", False)
    closed = rule.decide([0.2, -0.2, 0.2, -0.2, 0.3, -0.3, 0.3, -0.3, 5.0], FIVE)
    assert (closed.outcome, closed.interval.n, closed.final) == ("inconclusive", 8, True)
    with pytest.raises(ValueError, match="needs 4 pairs"):
        rule.decide([0.1], FIVE)
    with pytest.raises(ValueError, match="first >= 3"):
        PairedRule(first=2)


def test_an_absolute_floor_keeps_tiny_jobs_quiet() -> None:
    assert log_tolerance(0.05, 50e-6, 100e-6) == pytest.approx(math.log(1.5))
    assert log_tolerance(0.05, 50e-6, 1.0) == pytest.approx(math.log(1.05))
