"""Rounds of the gate on speed, with invented processes: order, looks, control, time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from spikebench.derived.paired_rule import PairedRule
from spikebench.reading.gate.timed import Key, Medians, Timed
from spikebench.running.pairs.rounds import Comparison, orders

SMALL, LARGE = Key(0, "latency", (("batch_size", "1"),)), Key(0, "latency", (("batch_size", "32"),))
FIVE = math.log1p(0.05)
SIDES = ("base", "new", "again")


def machine(
    slower: dict[tuple[str, Key], float], noise: float = 0.005, restless: float = 1.0, seed: int = 0
) -> tuple[Callable, list]:
    """A stub of processes: 10 ms with lognormal noise, ``restless`` times more of LARGE; ``slower``: side and quantity ->
    relative."""
    rng = np.random.default_rng(seed)
    asked: list[tuple[str, tuple[Key, ...]]] = []

    def process(side: str, keys: Sequence[Key]) -> Timed:
        asked.append((side, tuple(keys)))
        found = keys or (SMALL, LARGE)
        spread = {SMALL: noise, LARGE: noise * restless}
        return {key: [0.01 * (1 + slower.get((side, key), 0.0)) * math.exp(rng.normal(0, spread[key]))] for key in found}

    return rounds_of(process), asked


def rounds_of(process: Callable[[str, Sequence[Key]], Timed]) -> Callable[[Sequence[str], Sequence[Key]], Mapping[str, Timed]]:
    """A round, side by side as they come."""
    return lambda sides, keys: {side: process(side, keys) for side in sides}


def compare(measure: Callable, sides: Sequence[str] = SIDES, **more: object) -> Comparison:
    found = Comparison(tuple(sides), measure, PairedRule(), lambda key, base: FIVE, **more)  # type: ignore[arg-type]
    found.run()
    return found


def test_every_order_comes_equally_often_and_differs_by_seed() -> None:
    first = list(itertools.islice(orders(SIDES, 1), 12))
    assert Counter(first) == dict.fromkeys(itertools.permutations(SIDES), 2)
    assert first[:6] != list(itertools.islice(orders(SIDES, 2), 6))
    pairs = list(itertools.islice(orders(("a", "b"), 0), 10))
    assert sum(order[0] == "a" for order in pairs) == 5


def test_equal_sides_pass_at_the_first_look_with_one_process_a_side_and_round() -> None:
    measure, asked = machine({})
    found = compare(measure)
    assert {decision.outcome for decision in found.decisions.values()} == {"pass"}
    assert {decision.outcome for decision in found.controls.values()} == {"pass"}
    assert (found.rounds, len(asked)) == (10, 30)
    assert found.rule.cells == 2


def test_what_is_slower_fails_and_what_is_open_alone_is_measured_on() -> None:
    measure, asked = machine({("new", SMALL): 0.1, ("again", SMALL): 0.1}, restless=40)
    found = compare(measure)
    assert found.decisions[SMALL].outcome == "fail"
    assert found.decisions[SMALL].interval.n == 10
    assert found.decisions[LARGE].interval.n == 30
    assert {keys for _, keys in asked[30:]} == {(LARGE,)}
    assert len(asked) == 90


def test_the_control_sees_a_change_of_either_sign_between_equal_code() -> None:
    for size in (0.2, -0.2):
        measure, _ = machine({("again", SMALL): size})
        found = compare(measure)
        assert found.controls[SMALL].outcome == "fail"
        assert found.controls[LARGE].outcome == "pass"


def test_drift_over_the_session_is_no_slow_down() -> None:
    calls = itertools.count()

    def process(side: str, keys: Sequence[Key]) -> Timed:
        return {SMALL: [0.01 * (1 + 0.004 * next(calls))]}

    assert compare(rounds_of(process), ("base", "new")).decisions[SMALL].outcome == "pass"


def test_time_that_is_up_ends_with_what_is_known() -> None:
    clock = itertools.count(step=10)
    measure, _ = machine({}, noise=0.05)
    found = compare(measure, most_seconds=100, clock=lambda: next(clock))
    assert found.out_of_time
    assert 0 < found.rounds < 10
    assert not found.decisions
    assert found.medians.quantities() == [SMALL, LARGE]


def test_higher_is_better_turns_the_sign() -> None:
    measure, _ = machine({("new", SMALL): -0.2}, noise=0.001)
    found = Comparison(("base", "new"), measure, PairedRule(), lambda key, base: FIVE)
    found.medians.worse = {"latency": -1.0}
    found.run()
    assert found.decisions[SMALL].outcome == "fail"


def test_a_quantity_that_one_side_cannot_measure_is_not_decided() -> None:
    def process(side: str, keys: Sequence[Key]) -> Timed:
        return {SMALL: [0.01]} if side == "base" else {SMALL: [0.01], LARGE: [0.02]}

    found = compare(rounds_of(process))
    assert set(found.decisions) == {SMALL}
    assert found.lost == {LARGE}
    assert found.rounds == 10
    with pytest.raises(ValueError, match="needs 10"):
        found.rule.decide(found.medians.differences(LARGE), FIVE)


def test_turns_are_compared_place_by_place_so_that_what_the_machine_does_cancels() -> None:
    """The machine halves its speed in the middle, at a moment that differs from round to round."""
    rng = np.random.default_rng(1)
    medians = Medians()
    for _ in range(10):
        halved = rng.integers(3, 12)
        machine = np.where(np.arange(15) < halved, 1.0, 2.0)
        medians.add({
            "base": {SMALL: list(0.01 * machine * np.exp(rng.normal(0, 0.01, 15)))},
            "new": {SMALL: list(0.0105 * machine[:14] * np.exp(rng.normal(0, 0.01, 14)))},  # one of them may take a turn less
        })  # fmt: skip
    assert np.allclose(medians.differences(SMALL), math.log(1.05), atol=0.015)
    apart = [math.log(b / a) for a, b in zip(medians.values(0, SMALL), medians.values(1, SMALL), strict=True)]
    assert np.std(apart) > 3 * np.std(medians.differences(SMALL))


def test_a_side_that_knows_no_turns_is_compared_by_its_median() -> None:
    medians = Medians()
    medians.add({"base": {SMALL: [0.01]}, "new": {SMALL: [0.5, 0.02, 0.02]}})
    assert medians.differences(SMALL) == pytest.approx([math.log(2)])
