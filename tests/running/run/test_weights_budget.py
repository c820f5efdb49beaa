"""Weights within bounds: what is finished gives way, what is still needed stays, and both are said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikebench.core.cells import Job
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.store import ResultsFolder
from spikebench.running.jobs.events import JobEnded, Notice
from spikebench.running.run.runner import Run, open_run
from spikebench.running.run.weights_budget import WeightsBudget, parse, size_of
from spikebench.testing import make_subject

SUITE = """
suite: tiny
dataset: {random: {channels: 1, size: 8, classes: 4, samples: 24}}
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2}, grid: {T: [1, 2]}}
pretrain: {epochs: 1, batch_size: 12}
train: {epochs: 2, batch_size: 12, best_epoch: keep}
measure: [MEASURE]
"""


def job_of(tmp_path: Path) -> Job:
    return make_subject(tmp_path, Choice("accuracy"), training=Choice("train")).job


def fill(folder: Path, files: dict[str, int]) -> None:
    """Each of this many bytes, each a second younger than the one before."""
    for age, (name, size) in enumerate(files.items()):
        path = folder / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (1000 + age, 1000 + age))


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder / "weights")) for path in (folder / "weights").rglob("*") if path.is_file())


FILES = {"old/weights.pt": 100, "new/weights.pt": 100, "new/best.pt": 100, "old/last.pt": 100}


@pytest.mark.parametrize(
    ("limit", "gone"),
    [
        (400, []),
        (399, ["new/best.pt"]),  # of the spare ones the older
        (200, ["new/best.pt", "old/last.pt"]),
        (199, ["new/best.pt", "old/last.pt", "old/weights.pt"]),
        (0, ["new/best.pt", "old/last.pt", "old/weights.pt", "new/weights.pt"]),
    ],
)
def test_spare_weights_go_first_and_the_oldest_of_each_kind(tmp_path: Path, limit: int, gone: list[str]) -> None:
    fill(tmp_path, FILES)
    said = list(WeightsBudget(ResultsFolder(tmp_path), limit).keep([]))
    assert left(tmp_path) == sorted(set(FILES) - set(gone))
    assert len(said) == bool(gone)
    assert all(f"{size_of(100 * len(gone))}: {gone[0]}" in text for text in said)


def test_what_a_job_or_a_resume_needs_stays_and_that_it_is_too_much_is_said_once(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    mine = job.cell.cell_id
    kept = {f"{mine}/weights.pt": 100, f"{mine}/best.pt": 50, "begun/checkpoint-1-2.pt": 1000, "old/test-epochs.pt": 1}
    fill(tmp_path, {**kept, "old/weights.pt": 100})
    fill(tmp_path, {"old/tensorboard/events": 10_000})
    budget = WeightsBudget(ResultsFolder(tmp_path), 10)
    dropped, too_much = budget.keep([job])
    assert left(tmp_path) == sorted([*kept, "old/tensorboard/events"])
    assert "old/weights.pt" in dropped
    assert "weights take 1.1 KiB, more than --max-weights 10 B: what is left is needed" in too_much
    assert list(budget.keep([job])) == []
    (said,) = budget.keep([])
    assert f"{mine[:8]}/best.pt, {mine[:8]}/weights.pt" in said
    assert "begun/checkpoint-1-2.pt" in left(tmp_path)


def run(folder: Path, measure: str, limit: int | None) -> tuple[Run, list[str], list[list[str]]]:
    (folder / "suite.yaml").write_text(SUITE.replace("MEASURE", measure))
    made = open_run(folder / "suite.yaml", folder)
    made.max_weights = limit
    said, seen = [], []
    for event in made.events():
        if isinstance(event, Notice):
            said.append(event.text)
        elif isinstance(event, JobEnded):
            assert not event.failure
            seen.append(left(folder / "tiny"))
    return made, said, seen


def test_a_run_drops_a_networks_weights_when_its_last_job_has_ended(tmp_path: Path) -> None:
    """A pre-training's when nobody starts from it any more; and a training whose weights are gone counts as done until then."""
    made, said, seen = run(tmp_path, "accuracy", 0)
    assert [planned.job.harness.name for planned in made.plan.jobs].count("train") == 2
    assert left(tmp_path / "tiny") == []
    assert len([text for text in said if "dropped" in text]) >= 2
    assert sum("more than --max-weights" in text for text in said) == 1
    assert max(sum(name.endswith("weights.pt") for name in names) for names in seen) >= 2
    again, _, _ = run(tmp_path, "accuracy", 0)
    assert again.plan.pending == []
    more, _, _ = run(tmp_path, "activity", None)
    assert [planned.job.harness.name for planned in more.plan.pending].count("train") == 2


@pytest.mark.parametrize(("text", "size"), [("20 GiB", 20 * 2**30), ("1.5MB", 1_500_000), ("0 B", 0)])
def test_sizes(text: str, size: int) -> None:
    assert parse(text) == size


@pytest.mark.parametrize("text", ["20", "a lot", "-1 GB", "3 h"])
def test_what_is_no_size_is_told_with_the_option(text: str) -> None:
    with pytest.raises(InputError, match="--max-weights: "):
        parse(text)
