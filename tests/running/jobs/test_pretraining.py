"""A pre-training is one job, whoever shares it: planned once, cached by its own id, and never repeated."""

import json
from pathlib import Path

import pytest

from spikebench.core.cells import Cell
from spikebench.core.errors import InputError
from spikebench.core.registry import is_stage
from spikebench.core.suite_reader import load
from spikebench.core.waiting import Failure, told_once
from spikebench.running.jobs import rules
from spikebench.running.jobs.subject import needed_by
from spikebench.running.run.runner import open_run

ROOT = Path(__file__).parents[3]
SUITE = """
suite: pre
dataset: {random: {channels: 1, size: 8, classes: 4, samples: 24}}
variants:
  base: {preset: spikformer-2-64, stem: scs, depth: 1, dim: 16, num_heads: 2, T: 2}
seeds: [0]
pretrain: {epochs: 1, batch_size: 24, T: 1}
train: {epochs: 1, batch_size: 24}
recipes:
  scratch: {pretrain: none}
  tuned: {}
  longer: {train: {epochs: 2}}
measure: [accuracy]
"""


def write(folder: Path, text: str = SUITE) -> Path:
    path = folder / "pre.yaml"
    path.write_text(text)
    return path


def run(path: Path) -> list[str]:
    """Names of the harnesses that ran, in order."""
    opened = open_run(path, path.parent / "results")
    jobs = {planned.job.job_id: planned.job.harness.name for planned in opened.plan.pending}
    ended = [jobs[event.job_id] for event in opened.events() if type(event).__name__ == "JobEnded"]
    assert opened.failures == {}
    return ended


def test_cells_that_share_a_pre_training_run_it_once_before_all_others(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert run(path) == ["pretrain", *["train", "accuracy"] * 3]
    assert run(path) == []
    weights = list((tmp_path / "results/pre/weights").iterdir())
    assert len(weights) == 4
    stored = [json.loads(file.read_text()) for file in (tmp_path / "results/pre/cells").glob("*.json")]
    (own,) = [cell for cell in stored if cell["pretraining"] and not cell["training"]]
    assert own["cell_id"] in {folder.name for folder in weights}
    assert own["variant"]["T"] == 1


def test_a_second_cell_that_comes_later_starts_from_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE.replace("  longer: {train: {epochs: 2}}\n", ""))
    run(path)
    path.write_text(SUITE)
    assert run(path) == ["train", "accuracy"]


def test_lost_weights_are_pre_trained_again_only_if_somebody_needs_them(tmp_path: Path) -> None:
    path = write(tmp_path)
    run(path)
    suite = load(path, rules)
    folder = tmp_path / "results/pre/weights" / suite.cells[1].pretraining_cell.cell_id
    (folder / "weights.pt").unlink()
    assert run(path) == []
    path.write_text(SUITE.replace("  longer: {train: {epochs: 2}}", "  longer: {train: {epochs: 3}}"))
    assert run(path) == ["pretrain", "train", "accuracy"]


def test_head_steps_and_training_do_not_belong_to_the_pre_training_but_what_it_sees_does(tmp_path: Path) -> None:
    def identity(text: str) -> str:
        return load(write(tmp_path, text), rules).cells[1].pretraining_cell.cell_id

    base = identity(SUITE)
    assert identity(SUITE.replace("T: 2}\nseeds", "T: 4}\nseeds")) == base
    assert identity(SUITE.replace("stem: scs", "stem: scs, head: spiking")) == base
    assert identity(SUITE.replace("train: {epochs: 1, batch_size: 24}", "train: {epochs: 5, batch_size: 24}")) == base
    assert identity(SUITE.replace("T: 1}", "T: 1, position: spikes}")) == base
    for other in ("T: 2}\ntrain", "T: 1, mask_ratio: 0.5}\ntrain", "T: 1, lr: 0.01}\ntrain", "T: 1, position: none}\ntrain"):
        assert identity(SUITE.replace("T: 1}\ntrain", other)) != base
    own = load(write(tmp_path), rules).cells[1].pretraining_cell
    assert own.pretraining_cell == own


def test_a_pre_training_is_part_of_a_cells_identity_and_its_absence_changes_none(tmp_path: Path) -> None:
    cells = load(write(tmp_path), rules).cells
    assert len({cell.cell_id for cell in cells}) == 3
    alone = SUITE[: SUITE.index("recipes")].replace("pretrain: {epochs: 1, batch_size: 24, T: 1}\n", "")
    assert load(write(tmp_path, alone), rules).cells[0].cell_id == cells[0].cell_id
    for path in (ROOT / "results/reference/ci/cells").glob("*.json"):
        stored = json.loads(path.read_text())
        assert Cell.from_plain(stored).cell_id == stored["cell_id"] == path.stem


def test_without_training_what_was_pre_trained_is_measured(tmp_path: Path) -> None:
    text = SUITE[: SUITE.index("recipes")].replace("train: {epochs: 1, batch_size: 24}", "train: none")
    path = write(tmp_path, text + "measure: [accuracy]\n")
    assert run(path) == ["pretrain", "accuracy"]


def test_a_failed_pre_training_is_the_reason_of_those_that_needed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("spikebench.training.pretraining.masked_model", broken)
    opened = open_run(write(tmp_path), tmp_path / "results")
    list(opened.events())
    reasons = sorted(opened.failures.values())
    assert sum("no room" in reason for reason in reasons) == 1
    assert sum("no pre-trained weights" in reason for reason in reasons) == 2
    jobs = {planned.job.job_id: planned.job for planned in opened.plan.jobs}
    failures = {
        job_id: Failure(jobs[job_id].cell.cell_id, is_stage(jobs[job_id].harness.name), reason)
        for job_id, reason in opened.failures.items()
    }
    assert list(told_once(failures).values()) == [4]
    waited = [len(needed_by(jobs[job_id])) for job_id, reason in opened.failures.items() if "no room" not in reason]
    assert sorted(waited) == [1, 1, 2, 2]  # a training needs the pre-training, its accuracy both


PLACE = r"pre.yaml:{line}:\d+: "


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("T: 1}", "T: 1, mask_ratio: 1.5}", 7, r"pretrain.mask_ratio: must be below 1.0, got 1.5"),
        ("T: 1}", "T: 1, mask_ratio: 0}", 7, r"pretrain.mask_ratio: must be above 0.0, got 0"),
        ("T: 1}", "T: 1, mask_ratio: 0.99}", 7, r"pretrain.mask_ratio: hides all 16 tokens: at least one must stay visible"),
        ("T: 1}", "T: 1, mask_ratoi: 0.5}", 7, r"pretrain.mask_ratoi: .*did you mean 'mask_ratio'"),
        (
            "longer: {train",
            "longer: {pretrain: {mask_ratio: 2.0}, train",
            12,
            "recipes.longer.pretrain.mask_ratio: must be below",
        ),
        ("longer: {train: {epochs: 2}}", "longer: {train: {epochs: -2}}", 12, "recipes.longer.train"),
        ("tuned: {}", "tuned: {train: often}", 11, "expected a mapping of options, or none, got 'often'"),
        (
            "stem: scs, depth: 1",
            "family: qkformer, depth: 3",
            7,
            "family: family 'qkformer' cannot be pre-trained on visible tokens: it is hierarchical",
        ),
        ("stem: scs", "stem: {name: scs, patch_size: 16}", 5, r"8 x 8 cannot be divided into patches of 16"),
        ("T: 1}", "T: 1, position: nowhere}", 7, "pretrain"),
        (
            "stem: scs",
            "stem: scs, neuron: psn",
            7,
            r"pretrain.T: weights that belong to single time steps cannot go from T = 1 to T = 2",
        ),
        ("T: 1}", "T: 1, decoder_heads: 3}", 7, "pretrain: decoder_width 64 cannot be divided among 3 heads"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in SUITE
    with pytest.raises(InputError, match=PLACE.format(line=line) + ".*" + said):
        load(write(tmp_path, SUITE.replace(old, new)), rules)


def test_a_checkpoint_of_another_stem_or_width_is_refused_at_its_place(tmp_path: Path) -> None:
    path = write(tmp_path)
    run(path)
    own = load(path, rules).cells[1].pretraining_cell
    weights = f"results/pre/weights/{own.cell_id}/weights.pt"
    from_it = SUITE[: SUITE.index("recipes")].replace(
        "pretrain: {epochs: 1, batch_size: 24, T: 1}", f"weights: {{path: {weights}, layout: masked}}"
    )
    from_it = (
        from_it.replace("stem: scs", "stem: scs, position: spikes").replace("suite: pre", "suite: from-it")
        + "measure: [accuracy]\n"
    )
    assert run(write(tmp_path, from_it)) == ["train", "accuracy"]
    for old, new in (("stem: scs", "stem: sps"), ("dim: 16", "dim: 32"), ("position: spikes", "position: none")):
        with pytest.raises(InputError, match=r"pre.yaml:7:\d+: weights.path: .*pre-trained with another stem, width or depth"):
            load(write(tmp_path, from_it.replace(old, new)), rules)


@pytest.mark.parametrize(
    "more", ["weights: {path: pre.yaml, layout: masked}\n", "search: {space: {depth: {int: [1, 2]}}, objectives: [accuracy]}\n"]
)
def test_what_does_not_go_with_a_pre_training_is_refused(tmp_path: Path, more: str) -> None:
    with pytest.raises(InputError, match=r"not from both|without pre-training"):
        load(write(tmp_path, SUITE + more), rules)
