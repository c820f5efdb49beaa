"""A user's own folder of images, as the README has it: from files to a finished comparison, with what is wrong with them told."""

from pathlib import Path

from spikebench.core.records import Record
from spikebench.testing.files import write_images
from tests.cli.conftest import Command

SUITE = """\
suite: pets
dataset: {folder: {root: images, size: 16, skip: 0.1}}
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 32, T: 2}
  grid: {stem: [sps, scs]}
train: {epochs: 10, batch_size: 8, lr: 8.0e-3}
measure: [accuracy]
"""


def test_two_stems_are_compared_on_a_folder_with_damage(command: Command, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", {"train": 12, "val": 6})
    (images / "train" / "class1" / "train5.jpg").write_bytes(b"\xff\xd8\xff")
    (images / "val" / "class0" / "val3.jpg").write_bytes((images / "train" / "class0" / "train0.jpg").read_bytes())
    (tmp_path / "suite.yaml").write_text(SUITE)
    done = command("run", "suite.yaml")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results" / "pets" / "report" / "report.md").read_text()
    assert "Files of the data set" in report
    assert "train5.jpg" in report
    records = [
        Record.from_json(line)
        for path in (tmp_path / "results" / "pets" / "jobs").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if '"metric"' in line
    ]
    found = {(r.metric, r.conditions["split"]): r.value for r in records if r.metric.endswith("_samples") and r.value is not None}
    assert found == {
        ("unreadable_samples", "train"): 1,
        ("unreadable_samples", "validation"): 0,
        ("unreadable_samples", "test"): 0,
        ("shared_samples", "validation"): 0,
        ("shared_samples", "test"): 1,
    }
    accuracies = [record.value for record in records if record.metric == "accuracy"]
    assert len(accuracies) == 2
    assert max(accuracies) > 0.5, "three classes that differ in where a square is"


def test_a_wrong_root_is_one_message_and_exit_code_two(command: Command, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    done = command("run", "suite.yaml")
    assert done.returncode == 2
    assert "suite.yaml:2:20: dataset.folder.root: no such folder: " in done.stderr
    assert "Traceback" not in done.stderr
