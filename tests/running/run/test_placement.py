"""The longest chains begin first: what that is worth, on recorded times, and what is asked for it."""

from __future__ import annotations

import csv
import itertools
import random
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from spikebench.core.cells import Job
from spikebench.core.suite_reader import load
from spikebench.running.jobs import rules
from spikebench.running.launchers import processes
from spikebench.running.run import step_times
from spikebench.running.run import survey as surveys
from spikebench.running.run.placement import longest_first
from spikebench.running.run.runner import open_run
from spikebench.running.run.step_times import Guess
from tests.running.run.simulation import Cluster, course, makespan

SUITE = """\
suite: mixed
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2}, grid: {T: [1, 3, 2]}}
seeds: [0, 1]
train: {epochs: 1, batch_size: 256}
measure: [accuracy]
launcher: {processes: {workers: 2}}
"""
TIMES = Path(__file__).with_name("cell_times.csv")


def chains_of(tmp_path: Path, text: str = SUITE) -> list[list[Job]]:
    path = tmp_path / "mixed.yaml"
    path.write_text(text)
    suite = load(path, rules)
    return [suite.jobs(cell, "cpu") for cell in suite.cells]  # type: ignore[misc]


def in_order(chains: list[list[Job]], seconds: list[float]) -> list[float]:
    """What the chains take, longest first by what is expected of them."""
    expected = {chain[0].cell.cell_id: length for chain, length in zip(chains, seconds, strict=True)}
    return [expected[chain[0].cell.cell_id] for chain in longest_first(chains, expected)]


# -- the order ---------------------------------------------------------------------------------------------------------------


def test_the_longest_comes_first_and_equals_keep_their_order(tmp_path: Path) -> None:
    chains = chains_of(tmp_path)
    cells = [chain[0].cell.cell_id for chain in chains]
    lengths = dict(zip(cells, [1.0, 1.0, 3.0, 3.0, 2.0, 2.0], strict=True))
    assert longest_first(chains, lengths) == [chains[index] for index in (2, 3, 4, 5, 0, 1)]
    assert longest_first(chains, {}) == chains


def test_the_unknown_count_as_the_mean_and_what_trains_nothing_comes_last(tmp_path: Path) -> None:
    chains = chains_of(tmp_path)
    cells = [chain[0].cell.cell_id for chain in chains]
    measured = [chains[2][1:], *chains[:2], *chains[3:]]  # the longest cell is trained already
    lengths = {cells[0]: 1.0, cells[2]: 9.0, cells[3]: 2.5}
    found = longest_first(measured, lengths)
    assert [chain[0].cell.cell_id for chain in found] == [cells[index] for index in (1, 4, 5, 3, 0, 2)]


def test_never_worse_than_four_thirds_of_the_best_of_all_orders(tmp_path: Path) -> None:
    chains, rng, improved = chains_of(tmp_path), random.Random(0), 0
    for workers in (2, 3) * 3:
        seconds = [rng.uniform(1, 9) for _ in chains]
        best = min(makespan(order, workers) for order in itertools.permutations(seconds))
        found = makespan(in_order(chains, seconds), workers)
        assert best <= found <= best * (4 / 3 - 1 / (3 * workers)) * (1 + 1e-9)
        improved += found < makespan(seconds, workers)
    assert improved > 3


def test_a_run_begins_what_is_expected_to_take_longest(tmp_path: Path) -> None:
    path = tmp_path / "mixed.yaml"
    path.write_text(SUITE)
    given: list[list[Job]] = []

    def run(self: Any, chains: Any, work: Any, care: Any) -> Any:
        given.extend(chains)
        return iter(())

    guess = mock.patch.object(step_times, "_time_cell", lambda cell, device, steps: Guess(7, float(cell.variant.T)))
    here = mock.patch.object(surveys, "_runs_elsewhere", return_value=False)
    with guess, here, mock.patch.object(processes.Launcher, "run", run):
        list(open_run(path, tmp_path / "results").events())
    assert [chain[0].cell.variant.T for chain in given] == [3, 3, 2, 2, 1, 1]


# -- when it is asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        ("launcher: {processes: {workers: 2}}", ""),  # one after the other
        ("workers: 2", "workers: 1"),
        ("workers: 2", "workers: 6"),  # all begin at once
        ("T: [1, 3, 2]", "T: [2]"),  # seeds take as long as one another
        ("train: {epochs: 1, batch_size: 256}", "train: none"),
    ],
)
def test_no_network_is_timed_where_the_order_makes_no_difference(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "mixed.yaml"
    path.write_text(SUITE.replace(*change))
    with mock.patch.object(step_times, "_time_cell", side_effect=AssertionError("timed")):
        assert not surveys._survey(path, results=tmp_path / "results").expected


def test_a_network_that_cannot_be_timed_leaves_the_order(tmp_path: Path) -> None:
    path = tmp_path / "mixed.yaml"
    path.write_text(SUITE)
    with mock.patch.object(step_times, "_time_cell", side_effect=MemoryError("no room")):
        assert surveys._survey(path, results=tmp_path / "results").expected == {}


def test_it_takes_a_hundredth_of_what_it_foresees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network here takes a second to time, the first not counted: of trainings of 30 s two are reached, of an hour all."""
    path = tmp_path / "mixed.yaml"
    path.write_text(SUITE.replace("T: [1, 3, 2]", "T: [1, 2, 3, 4, 5, 6]"))
    clock = itertools.count()
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: float(next(clock)))
    for seconds, reached in ((30.0, 4), (3600.0, 12)):
        monkeypatch.setattr(step_times, "_time_cell", lambda cell, device, steps, seconds=seconds: Guess(7, seconds))
        assert len(surveys._survey(path, results=tmp_path / "results").expected) == reached


# -- what it is worth --------------------------------------------------------------------------------------------------------


def recorded() -> tuple[list[float], list[float]]:
    """What each cell of a grid was expected to take, and what it took: ``python -m tests.benchmarks.cell_times``."""
    with TIMES.open() as stream:
        rows = list(csv.DictReader(stream))
    return [float(row["expected_s"]) for row in rows], [float(row["took_s"]) for row in rows]


def by_expectation(expected: list[float], took: list[float]) -> list[float]:
    order = sorted(range(len(took)), key=lambda index: expected[index], reverse=True)
    return [took[index] for index in order]


@pytest.mark.parametrize("workers", [2, 4, 8, 16])
def test_recorded_cells_end_earlier_than_in_arrival_order(workers: int) -> None:
    expected, took = recorded()
    longest = makespan(by_expectation(expected, took), workers)
    arrival = makespan(took, workers)
    best = max(sum(took) / workers, max(took))
    print(f"{workers} workers: {longest / arrival:.3f} of arrival order, {longest / best:.3f} of the bound")
    assert longest <= arrival
    assert longest <= 1.1 * best


def test_a_thousand_cells_on_64_workers_whose_nodes_fail_lose_less_than_a_tenth() -> None:
    """Recorded times, stretched to an hour in the mean; each of 8 nodes is lost once a day, for ten minutes; what its trainings
    did since their last checkpoint, ten minutes at most, is done again."""
    expected, took = recorded()
    scale, rng = 3600.0 * len(took) / sum(took), random.Random(0)
    draws = [rng.randrange(len(took)) for _ in range(1000)]
    foreseen, seconds = [scale * expected[i] for i in draws], [scale * took[i] * rng.uniform(0.95, 1.05) for i in draws]
    cluster = Cluster(nodes=8, workers=8, overhead=0.05, failure=24 * 3600.0, repair=600.0)
    for seed in range(5):
        found = course(by_expectation(foreseen, seconds), cluster, seed)
        arrival = course(seconds, cluster, seed)
        assert sorted(found.ended) == list(range(1000))
        efficiency, before = (sum(seconds) / (cluster.width * one.makespan) for one in (found, arrival))
        print(f"{found.retried} chains lost their node; efficiency {efficiency:.3f}, in arrival order {before:.3f}")
        assert found.retried > 10
        assert efficiency > 0.9


# -- the simulation itself ---------------------------------------------------------------------------------------------------


def test_the_simulation_against_what_can_be_worked_out_by_hand() -> None:
    assert makespan([3, 2, 2], 2) == 4  # 3 beside 2 + 2
    assert course([5.0], Cluster(overhead=1.0)).makespan == 6
    lost = Cluster(nodes=1, workers=1, checkpoint=10, failure=1e-9, repair=0)  # fails all the time: nothing is ever done
    with mock.patch("tests.running.run.simulation._failures", return_value=[(25.0, 30.0)]):
        found = course([40.0, 1.0], lost)
    # 25 s done, 20 of them saved; down until 30; 20 s more, then the other one.
    assert (found.makespan, found.ended, found.retried) == (51.0, (0, 1), 1)
