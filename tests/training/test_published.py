"""What papers report, and the suites that re-run it: planned on files in the published formats, and one step of each taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from spikebench import data
from spikebench.core import suite_reader, yaml_nodes
from spikebench.core.choice import Choice
from spikebench.core.published import load_all
from spikebench.core.records import Selector
from spikebench.core.suite import Suite
from spikebench.harnesses.accuracy import Harness
from spikebench.networks import build
from spikebench.reading.model.factors import flatten
from spikebench.reading.reports.document import Footnotes
from spikebench.reading.reports.sections.published import _verdict, fits
from spikebench.running.jobs import rules
from spikebench.running.run import step_times
from spikebench.running.run.step_times import Guess
from spikebench.running.verbs.plan import show_plan
from spikebench.testing import make_subject
from spikebench.testing.files import write_cifar, write_cifar10_dvs, write_images
from spikebench.training import checkpoints
from spikebench.training.evaluation import evaluate
from spikebench.training.loop import Training
from spikebench.training.whole import train

SUITES = sorted((Path(__file__).parents[2] / "suites" / "published").glob("*.yaml"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_cifar(folder, 10)
    write_cifar(folder, 100, count=200)
    write_cifar10_dvs(folder)
    write_images(folder / "imagenet", {"train": 3, "val": 1}, size=(260, 250))
    return folder


@pytest.fixture
def _found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEBENCH_DATA", str(root))


def load(path: Path) -> Suite:
    return suite_reader.load(path, rules)


@pytest.mark.usefixtures("_found")
@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_each_published_suite_is_planned_and_takes_a_step(path: Path, root: Path) -> None:
    """Batches of the papers are more than the few files; shapes, recipe and network are theirs, less deep on large images."""
    plain = yaml_nodes.read(path).data
    plain["train"]["batch_size"], plain["train"]["accumulate"] = 2, 1
    suite = suite_reader.from_document(yaml_nodes.parse(yaml.safe_dump(plain), str(path)), rules)
    assert suite.training is not None
    for cell in suite.cells:
        assert cell.training is not None
        assert cell.training.options["test_epochs"] is True
        assert [job.harness.name for job in suite.jobs(cell, "cpu")] == ["train", "accuracy", "activity"]
    fitting = [row for cell in suite.cells for row in load_all() if fits(row, flatten(cell.facts()))]
    wanted = [row for row in fitting if any(record.metric == "accuracy" for record in row.records)]
    assert len(wanted) >= len(suite.cells), "each network has its published number beside it"
    variant = suite.cells[0].variant
    if suite.inputs.size == 224:
        few = {"family": {"name": "qkformer", "blocks": [1, 1], "first_patch": 4}} if variant.family.name == "qkformer" else {}
        variant = variant.replace(depth=3 if few else 1, dim=96, num_heads=8, **few)
    dataset = data.load(suite.dataset)
    torch.manual_seed(0)
    options = replace(suite.training.resolve("harnesses"), amp="off")
    training = Training(build(variant, suite.inputs), dataset, options, seed=0, device=CPU)
    before = [parameter.clone() for parameter in training.model.parameters()]
    assert len(training.time_steps(1)) == 1
    assert any(not torch.equal(old, new) for old, new in zip(before, training.model.parameters(), strict=True))
    assert all(bool(torch.isfinite(parameter).all()) for parameter in training.model.parameters())


@pytest.mark.usefixtures("_found")
@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_each_published_suite_passes_plan_as_it_stands(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verb itself; only the clock is not asked, as steps of these networks take minutes on a CPU."""
    asked = []
    monkeypatch.setattr(
        step_times, "_time_cell", lambda cell, device, steps: (asked.append(cell.cell_id), Guess(7_654_321, 60.0))[1]
    )
    show_plan(path, tmp_path / "results", fresh=False)
    cells = load(path).cells
    told = capsys.readouterr().out
    assert f"{path.stem}: {len(cells)} cells, {3 * len(cells)} jobs" in told
    assert told.count("train accuracy activity") == len(cells) == len(asked)
    assert "7,654,321" in told
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_papers_batches_stand_in_the_suite(path: Path) -> None:
    assert set(yaml_nodes.read(path).data["train"]) == {"recipe"}


SUITE = """
suite: rule
dataset: {random: {channels: 1, size: 8, classes: 4, samples: 24}}
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}}
train: TRAIN
measure: [MEASURE]
"""


def small(measure: str, training: str = "{epochs: 4, batch_size: 8, lr: 2.0e-2}") -> Suite:
    text = SUITE.replace("MEASURE", measure).replace("TRAIN", training)
    return suite_reader.from_document(yaml_nodes.parse(text, "s.yaml"), rules)


def test_the_published_rule_is_the_best_of_all_test_epochs_and_the_accuracy_stays_the_lasts(tmp_path: Path) -> None:
    suite = small("{accuracy: {published_rule: true}}")
    (cell,) = suite.cells
    assert cell.cell_id != small("accuracy").cells[0].cell_id
    subject = make_subject(tmp_path, cell.training, variant=cell.variant, training=cell.training)
    training = Training(subject.model, subject.dataset, cell.training.resolve("harnesses"), seed=0, device=CPU)
    seen = [evaluate(training.model, subject.dataset.split("test"), CPU).accuracy for _ in train(training, tmp_path, "me")]
    records = list(Harness().run(subject, suite.measure[0].resolve("harnesses")))
    best = Selector.parse("accuracy_best_test_epoch").one(records)
    assert checkpoints.read(tmp_path / checkpoints.TEST_EPOCHS) == seen
    assert best.value == max(seen)
    assert best.conditions == {"T": 2, "split": "test"}
    assert Selector.parse("accuracy").one(records).value == seen[-1]
    checkpoints.write(tmp_path / checkpoints.TEST_EPOCHS, [0.2, 0.9, 0.4])  # an epoch in the middle was the best
    records = list(Harness().run(subject, suite.measure[0].resolve("harnesses")))
    assert Selector.parse("accuracy_best_test_epoch").one(records).value == 0.9


def test_without_a_training_there_are_no_epochs_to_choose_from(tmp_path: Path) -> None:
    suite = small("{accuracy: {published_rule: true}}", "none")
    assert suite.cells[0].training is None
    records = list(Harness().run(make_subject(tmp_path, Choice("accuracy")), suite.measure[0].resolve("harnesses")))
    best = Selector.parse("accuracy_best_test_epoch").one(records)
    assert best.value is None
    assert "nothing was trained" in best.reason


@pytest.mark.parametrize(
    ("values", "dataset", "word"),
    [
        ({"accuracy": [0.9519 + 0.0029]}, "cifar10", "within seed noise"),
        ({"accuracy": [0.9519 - 0.0031]}, "cifar10", "below"),
        ({"accuracy": [0.96]}, "cifar10", "above"),
        ({"accuracy": [0.96]}, "imagenet", "one seed cannot tell"),
        ({"accuracy": [0.940, 0.944, 0.948], "accuracy_best_test_epoch": [0.951, 0.9515, 0.953]}, "cifar10", "within seed noise"),
        ({"accuracy": [0.940, 0.944, 0.948]}, "cifar10", "within seed noise"),  # 0.944 +- 4.30 x 0.004 x sqrt(4 / 3)
        ({"accuracy": [0.940, 0.941, 0.942]}, "cifar10", "below"),
        ({"accuracy": []}, "cifar10", ""),
    ],
)
def test_verdicts(values: dict[str, list[float]], dataset: str, word: str) -> None:
    from spikebench.core.records import Record

    ours = [(metric, [Record(metric, value, "1") for value in found]) for metric, found in values.items()]
    assert _verdict(0.9519, dataset, ours, Footnotes()).text == word
