"""The timing rules on invented clocks: warm-up, stop rule, interleaving, spoiled rounds."""

import math
from itertools import chain, cycle, repeat
from pathlib import Path
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from spikebench.derived.statistics import median_interval
from spikebench.harnesses._timing import observe
from spikebench.harnesses._timing.race import Race
from spikebench.harnesses._timing.rule import Rule, Sample, Series, warm_up
from spikebench.harnesses._timing.turns import LENGTH, Turns


class World:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now

    def call(self, durations, name: str = "", spoiled=None):
        durations, spoiled = iter(durations), iter(spoiled or repeat(False))

        def run() -> Sample:
            seconds = next(durations)
            self.now += seconds
            self.order.append(name)
            return Sample(seconds, next(spoiled))

        return run


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=400))
def test_median_interval_covers_the_median_with_95_percent_by_the_exact_binomial(values: list[float]) -> None:
    low, high = median_interval(values)
    ordered, n = sorted(values), len(values)
    assert low <= median(values) <= high
    # With distinct values: the chance that the true median lies between the order statistics of these ranks.
    distinct = [index + value * 1e-9 for index, value in enumerate(ordered)]
    low, high = median_interval(distinct)
    i, j = distinct.index(low) + 1, distinct.index(high) + 1
    assert binom.cdf(j - 1, n, 0.5) - binom.cdf(i - 1, n, 0.5) >= 0.945


def test_five_values_have_no_interval() -> None:
    assert median_interval([1.0] * 5) == (-math.inf, math.inf)


def test_warm_up_waits_for_three_windows_that_agree() -> None:
    world = World()
    falling = chain((2.0 ** -(index // 4) + 1 for index in range(40)), repeat(1.0))
    assert warm_up(world.call(falling), seconds=1e6, clock=world.clock)
    calls = len(world.order)
    assert calls >= 12
    last = [2.0 ** -(index // 4) + 1 for index in range(calls)][-12:]
    assert (max(last) - min(last)) / median(last) <= 0.021
    before = [2.0 ** -(index // 4) + 1 for index in range(calls)][-16:-4]
    assert (max(before) - min(before)) / median(before) > 0.02, "it could have stopped one window earlier"


def test_warm_up_says_when_it_never_settles_but_never_stops_before_twelve_calls() -> None:
    world = World()
    doubling = (1.5**index for index in range(1000))
    assert not warm_up(world.call(doubling), seconds=0.0, clock=world.clock)
    assert len(world.order) == 12
    steady = World()
    assert warm_up(steady.call(repeat(1.0)), seconds=0.0, clock=steady.clock)
    assert len(steady.order) == 12


def test_short_calls_get_windows_of_a_millisecond() -> None:
    world = World()
    warm_up(world.call(repeat(1e-5)), seconds=1.0, clock=world.clock)
    assert len(world.order) == 4 + 100 + 100


def test_each_stops_for_its_own_reason_and_no_one_waits_for_the_noisy() -> None:
    world, random = World(), Random(0)
    noisy = (random.uniform(0.01, 0.03) for _ in range(10_000))
    race = Race(
        {"steady": world.call(repeat(0.01), "steady"), "noisy": world.call(noisy, "noisy")},
        Rule(seconds=2.0, precision=0.01, least=10),
        clock=world.clock,
    )
    race.run()
    assert (race.series["steady"].stopped, len(race.series["steady"].samples)) == ("converged", 10)
    assert race.series["noisy"].stopped == "time"
    assert world.now == pytest.approx(4.0, abs=0.05)  # two contenders, two seconds each
    assert race.series["noisy"].precision > 0.01


def test_the_largest_number_of_calls_ends_a_series() -> None:
    world = World()
    race = Race({"a": world.call(cycle([1.0, 2.0]), "a")}, Rule(math.inf, least=10, most=25), clock=world.clock)
    race.run()
    assert (race.series["a"].stopped, len(race.series["a"].samples)) == ("calls", 25)


def test_at_least_three_calls_however_slow() -> None:
    world = World()
    race = Race({"a": world.call(repeat(100.0), "a")}, Rule(0.001), clock=world.clock)
    race.run()
    assert (race.series["a"].stopped, len(race.series["a"].samples)) == ("time", 3)
    assert math.isinf(race.series["a"].precision)


def test_rounds_are_interleaved_in_changing_order() -> None:
    world = World()
    names = ["a", "b", "c"]
    Race({name: world.call(cycle([1.0, 2.0]), name) for name in names}, Rule(math.inf, most=200), clock=world.clock).run()
    rounds = [tuple(world.order[index : index + 3]) for index in range(0, 600, 3)]
    assert all(sorted(turn) == names for turn in rounds)
    firsts = [turn[0] for turn in rounds]
    assert all(40 < firsts.count(name) < 95 for name in names)


def test_one_that_breaks_leaves_and_the_others_go_on() -> None:
    world = World()

    def breaks() -> Sample:
        raise MemoryError("out of memory")

    race = Race({"good": world.call(repeat(1.0), "good"), "bad": breaks}, Rule(math.inf), clock=world.clock)
    race.run()
    assert list(race.failed) == ["bad"]
    assert race.series["good"].stopped == "converged"


def in_turns(world: World, durations: dict[str, float], seconds: float, others: float = 5.0) -> Race[str]:
    """A race whose every turn comes ``others`` seconds after the last one ended."""

    def hand_over() -> None:
        world.now += others
        world.order.append("others")

    turns = Turns(hand_over, world.clock)
    calls = {name: world.call(repeat(each), name) for name, each in durations.items()}
    race = Race(calls, Rule(seconds, precision=1.0, least=3, most=5), clock=world.clock, turns=turns)
    race.run()
    return race


def test_turns_last_so_long_and_each_begins_with_a_call_that_does_not_count() -> None:
    world = World()
    race = in_turns(world, {"a": 0.011}, seconds=4.5 * LENGTH)
    turns = " ".join(world.order).split("others ")[1:]
    assert [len(turn.split()) for turn in turns] == [4, 4, 4, 4, 2]  # one call, then three that fill the turn
    series = race.series["a"]
    assert series.turns == [0, 3, 6, 9, 12]
    assert len(series.samples) == 13
    assert series.durations == pytest.approx([0.011] * 5)
    assert series.stopped == "time"  # neither the precision of 1.0 nor the five calls at most have ended it


def test_waiting_for_a_turn_is_nobodys_time() -> None:
    counts = {others: len(in_turns(World(), {"a": 0.011}, 0.3, others).series["a"].turns) for others in (0.0, 1.0, 100.0)}
    assert set(counts.values()) == {10}


def test_a_call_that_fills_a_turn_is_not_made_twice_and_three_turns_are_the_least() -> None:
    world = World()
    race = in_turns(world, {"a": 10.0}, seconds=0.5)
    assert race.series["a"].durations == [10.0] * 3
    assert world.order == ["others", "a", "a", "others", "a", "others", "a"]  # how long it takes is not known before the first


def test_all_contenders_of_a_race_share_its_turns() -> None:
    world = World()
    race = in_turns(world, {"a": 0.004, "b": 0.008}, seconds=0.3)
    turns = [turn.split() for turn in " ".join(world.order).split("others ")[1:]]
    assert all({"a", "b"} <= set(turn) for turn in turns)
    assert len(race.series["a"].durations) == len(race.series["b"].durations) == len(turns)
    assert race.series["b"].durations == pytest.approx([0.008] * len(turns))


def test_one_that_breaks_at_the_beginning_of_a_turn_leaves() -> None:
    world = World()
    calls = iter([Sample(0.001), Sample(0.001)])

    def breaks() -> Sample:
        world.now += 0.02
        return next(calls)

    race = Race(
        {"a": breaks, "b": world.call(repeat(0.02), "b")}, Rule(0.2), clock=world.clock, turns=Turns(lambda: None, world.clock)
    )
    race.run()
    assert list(race.failed) == ["a"]
    assert race.series["b"].stopped == "time"


def test_spoiled_rounds_are_kept_but_left_out_of_the_median() -> None:
    series = Series([Sample(1.0), Sample(9.0, spoiled=True), Sample(1.2), Sample(1.1)])
    assert series.median == 1.1
    assert len(series.samples) == 4
    assert not series.busy
    busy = Series([Sample(1.0), Sample(9.0, spoiled=True), Sample(8.0, spoiled=True)])
    assert busy.busy
    assert busy.median == 8.0  # nothing is left out where most is spoiled, and that is said


def test_a_busy_series_never_counts_as_converged() -> None:
    world = World()
    race = Race({"a": world.call(repeat(1.0), "a", spoiled=repeat(True))}, Rule(50.0, least=10), clock=world.clock)
    race.run()
    assert (race.series["a"].stopped, len(race.series["a"].samples)) == ("time", 50)


def test_a_context_switch_spoils_a_short_call_and_not_a_long_one() -> None:
    assert observe.Disturbance(switches=1, steal=0).spoils(0.05)
    assert not observe.Disturbance(switches=1, steal=0).spoils(0.15)
    assert observe.Disturbance(switches=2, steal=0).spoils(0.15)
    assert observe.Disturbance(switches=0, steal=1).spoils(10.0)
    assert not observe.Disturbance(switches=0, steal=None).spoils(0.001)


def test_steal_is_read_from_proc_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(observe, "PROC_STAT", stat)
    with observe.watching() as unknown:
        pass
    assert unknown.steal is None  # no such file on this system
    stat.write_text("cpu  10 1 2 3 4 5 6 77 0 0\ncpu0 0\n")
    with observe.watching() as found:
        stat.write_text("cpu  10 1 2 3 4 5 6 79 0 0\ncpu0 0\n")
    assert found.steal == 2
