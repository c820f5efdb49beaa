"""The guess of a plan's time: every variant where they are few, some of them where they are many."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.variant import VariantSpec
from spikebench.running.run import step_times as module
from spikebench.running.run.estimate import estimate
from spikebench.running.run.runner import open_run
from spikebench.running.run.step_times import Guess, Wanted, time_steps
from spikebench.running.verbs._aligned import aligned
from spikebench.running.verbs.plan import differing, label

SUITE = """\
suite: many
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2}, grid: {T: [1, 2, 3], stem: [sps, scs]}}
seeds: [0, 1]
train: {epochs: 2, batch_size: 8}
measure: [accuracy]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "many.yaml"
    path.write_text(SUITE)
    return path


def test_few_variants_are_all_built_and_seeds_share_a_guess(suite: Path, tmp_path: Path) -> None:
    plan = open_run(suite, tmp_path).plan
    found = estimate(plan, 1)
    assert (found.timed, found.variants, len(found.cells)) == (6, 6, 12)
    assert len({guess.parameters for guess in found.cells.values()}) == 2  # one of each stem: T adds none
    assert found.seconds == pytest.approx(sum(guess.seconds or 0 for guess in found.cells.values()))
    by_group: dict[str, set[Guess]] = {}
    for cell, _ in plan.cells:
        by_group.setdefault(cell.group_id, set()).add(found.cells[cell.cell_id])
    assert all(len(guesses) == 1 for guesses in by_group.values())


def test_of_many_variants_those_not_reached_count_as_the_mean_and_say_so(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SURE", 2)
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "_time_cell", lambda cell, device, steps: Guess(7, 1.0 + cell.variant.T))
    plan = open_run(suite, tmp_path).plan
    found = estimate(plan, 1)
    assert (found.timed, found.variants) == (2, 6)
    known = [guess.seconds for guess in found.cells.values() if guess.seconds is not None]
    assert len(known) == 4
    assert found.seconds == pytest.approx(12 * sum(known) / 4)
    assert [guess.spell() for guess in found.cells.values()].count("?") == 8


def test_a_pretraining_that_cells_share_is_timed_and_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.yaml"
    path.write_text(
        SUITE.replace("T: [1, 2, 3], stem: [sps, scs]", "T: [1, 2], head: [mean, tet]").replace("depth: 1", "stem: scs, depth: 1")
        + "pretrain: {epochs: 3, batch_size: 8, T: 1}\n"
    )
    plan = open_run(path, tmp_path).plan
    assert sum(job.is_pretraining for job in plan.pending) == 2  # one a seed, for four variants
    with mock.patch.object(module, "_time_cell", return_value=Guess(7, None)):
        found = estimate(plan, 1)
        with mock.patch.object(module, "_time_pretraining", return_value=5.0):
            mocked = estimate(plan, 1)
    assert (found.seconds, found.pretraining > 0) == (0.0, True)
    assert mocked.pretraining == 10.0


def test_a_second_step_is_taken_where_the_first_one_may_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(T: int, neuron: str = "lif", **training: object) -> Cell:
        variant = VariantSpec(neuron=Choice(neuron), T=T)
        return Cell(variant, Choice("digits"), Choice("train", training), 0)

    asked = [(cell(1), None), (cell(1), "cpu"), (cell(2), "cpu"), (cell(2, "if"), "cpu"), (cell(3), "cpu"), (cell(3), "cuda"),
             (cell(4), "cuda"), (cell(4, amp="bf16"), "cpu"), (cell(5, "if"), "cpu")]  # fmt: skip
    taken: list[int] = []
    monkeypatch.setattr(module, "_time_cell", lambda cell, device, steps: taken.append(steps) or Guess(7, 1.0))
    assert time_steps(Wanted(asked, [], threads=1, share=100.0)) == ([Guess(7, 1.0)] * len(asked), [])
    assert taken[1:] == [2, 1, 2, 1, 2, 2, 2, 1]  # the first trains nothing, and so compiles nothing


def test_a_label_tells_what_differs_and_nothing_else(suite: Path, tmp_path: Path) -> None:
    cells = [cell for cell, _ in open_run(suite, tmp_path).plan.cells if cell.seed == 0]
    fields = differing(cells)
    assert fields == ["stem", "T"]
    labels = [label(cell, fields) for cell in cells]
    assert len(set(labels)) == len(cells) == 6
    assert labels[0].startswith("stem=sps")
    assert label(cells[0], []) == "1-16"


def test_columns_stand_below_one_another() -> None:
    assert aligned([("a", "n"), ("long", "1,234")], [False, True]) == ["a         n", "long  1,234"]
