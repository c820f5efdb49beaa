"""An accuracy that guessing reaches too, and neurons that never fire, against brute force and by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest
from scipy import stats

from spikebench.core.records import Record
from spikebench.reading.model.chance import Signs
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Label, Table
from spikebench.reading.reports.sections import comparison, firing, timesteps

GUESSED = "No better than chance: the 95 % interval reaches down to 10 %, as guessing among 10 classes."


def answers(right: int, n: int) -> list[int]:
    return [1] * right + [0] * (n - right)


def frame_of(make_cell: Callable[..., dict], accuracies: Sequence[float | list[int]], name: str = "accuracy") -> Frame:
    """A seed for each accuracy: a number without samples, or the samples."""
    cells = [make_cell(seed) for seed in range(len(accuracies))]
    records = []
    for cell, given in zip(cells, accuracies, strict=True):
        samples = given if isinstance(given, list) else None
        value = given if samples is None else sum(samples) / len(samples)
        conditions = {"epoch": 1} if name == "epoch_accuracy" else {"T": 4, "split": "test"}
        records.append(Record(name, value, "1", conditions=conditions, samples=samples, cell_id=cell["cell_id"]))
    return Frame(records, {cell["cell_id"]: cell for cell in cells})


@pytest.mark.parametrize("right", range(25, 61, 5))
def test_one_seed_is_held_against_the_exact_interval_of_its_samples(make_cell: Callable[..., dict], right: int) -> None:
    frame = frame_of(make_cell, [answers(right, 359)])
    low = stats.binomtest(right, 359).proportion_ci(0.95, "wilson").low
    assert bool(Signs(frame).chance(frame.records)) == (low <= 0.1), right


@pytest.mark.parametrize("values", [[0.1, 0.12, 0.11], [0.3, 0.31, 0.32], [0.2, 0.9], [0.05, 0.05, 0.05]])
def test_several_seeds_are_held_against_the_interval_that_is_printed(make_cell: Callable[..., dict], values: list[float]) -> None:
    frame = frame_of(make_cell, values)
    mean, scale = sum(values) / len(values), stats.sem(values)
    low = stats.t.interval(0.95, len(values) - 1, mean, scale)[0] if scale else mean
    assert bool(Signs(frame).chance(frame.records)) == (low <= 0.1)


def test_a_validation_accuracy_counts_as_many_samples_as_its_split_has(make_cell: Callable[..., dict]) -> None:
    # 180 validation images of digits: 25 right are chance, 40 are not.
    for right, dead in ((25, True), (40, False)):
        frame = frame_of(make_cell, [right / 180], "epoch_accuracy")
        low = stats.binomtest(right, 180).proportion_ci(0.95, "wilson").low
        assert (low <= 0.1) == dead
        (cell_id,) = frame.cells
        assert Signs(frame).trial(cell_id) == (GUESSED if dead else "")


def test_what_is_not_known_here_is_not_judged(make_cell: Callable[..., dict]) -> None:
    cell = make_cell(0, dataset="of-a-package-that-is-not-here")
    record = Record("accuracy", 0.0, "1", cell_id=cell["cell_id"])
    assert Signs(Frame([record], {cell["cell_id"]: cell})).chance([record]) == ""
    assert Signs(Frame([], {})).chance([]) == ""


def cells_with(table: Table, text: str) -> list[tuple[int, int]]:
    return [
        (r, c)
        for r, row in enumerate(table.rows)
        for c, cell in enumerate(row.cells)
        if any(table.footnotes[index] == text for index in getattr(cell, "notes", ()))
    ]


def test_tables_carry_the_footnote_at_the_cell(grid: list[dict], make_frame: Callable[..., Frame]) -> None:
    dead = {"stem": "scs", "attention": "softmax"}

    def alter(cell: dict, record: Record) -> Record:
        if record.metric == "accuracy" and dead.items() <= cell["variant"].items():
            return dataclasses.replace(record, value=35 / 359, samples=answers(35, 359))
        return record

    frame = make_frame(grid, alter)
    (table,) = comparison.Section()(frame)
    column = next(i for i, head in enumerate(table.columns) if head.key == "accuracy")
    assert cells_with(table, GUESSED) == [(3, column)]
    (by_steps,) = timesteps.Section()(frame)
    assert {row for row, _ in cells_with(by_steps, GUESSED)} == {3}
    assert not any(GUESSED in note for found in comparison.Section()(make_frame(grid)) for note in found.footnotes)


def test_a_layer_that_never_fires_is_named_at_its_network(grid: list[dict], make_frame: Callable[..., Frame]) -> None:
    def alter(cell: dict, record: Record) -> Record:
        silent = record.metric == "firing_rate" and record.scope.startswith("blocks.0") and cell["variant"]["stem"] == "scs"
        one_seed = cell["variant"]["attention"] == "ssa" or cell["seed"] == 1
        return dataclasses.replace(record, value=0.0) if silent and one_seed else record

    frame = make_frame(grid, alter)
    (table,) = comparison.Section()(frame)
    said = [" ".join(table.footnotes[index] for index in row.cells[0].notes) for row in table.rows]
    names = "blocks.0.attention.q, blocks.0.mlp.fc1; nothing passes there."
    assert said == ["", "", f"Neuron layers that never fire: {names}", f"Neuron layers that never fire with some seed: {names}"]
    assert all(isinstance(row.cells[0], Label) for row in table.rows)
    figure = firing.Section()(frame)[0]
    marked = cells_with(figure.data, "This layer never fires: nothing passes there.")
    assert len(marked) == 2
