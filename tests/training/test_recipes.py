"""The papers' recipes: held against the table of references.md, taken by suites, changed field by field."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import spikebench
from spikebench.core import suite_reader, yaml_nodes
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.recipe_files import based_on, effective_batch, recipe_file
from spikebench.core.registry import REGISTRIES
from spikebench.core.schema import suite_schema
from spikebench.core.suite import Suite
from spikebench.reading.model.frame import Frame
from spikebench.running.verbs.show_recipe import show_recipe
from spikebench.testing._reports import CELL
from spikebench.training.options import TrainingOptions

SUITE = """
suite: recipes
dataset: {{random: {{channels: 3, size: 32, classes: 10, samples: 512}}}}
variants: {{base: spikformer-4-256}}
train: {train}
"""


def table() -> dict[str, dict[str, str]]:
    text = (Path(spikebench.__file__).parent / "references.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines() if line.startswith("|")]
    heads = next(row for row in rows if row[0] == "recipe")
    return {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows if row[0] in REGISTRIES["recipes"].names()}


def meant(text: str) -> object:
    """``300 + 10``, ``24 x 8``, ``5e-4``, ``m9-n1``, ``none``."""
    if "+" in text:
        return sum(map(int, text.split("+")))
    if " x " in text:
        return math.prod(map(int, text.split("x")))
    return {"none": None}.get(text, float(text) if re.fullmatch(r"[\d.e-]+", text) else text)


def load(train: str, more: str = "") -> Suite:
    return suite_reader.from_document(yaml_nodes.parse(SUITE.format(train=train) + more, "s.yaml"))


@pytest.mark.parametrize("name", REGISTRIES["recipes"].names())
def test_recipes_are_those_of_the_table_and_say_what_was_not_read(name: str) -> None:
    found = recipe_file(name)
    options = Choice("train", dict(found.train)).resolve("harnesses")
    unread = set()
    for field, text in table()[name].items():
        if text:
            assert getattr(options, field) == meant(text), field
        else:
            unread.add(field)
    assert unread <= set(found.unverified)
    assert set(found.unverified) <= set(TrainingOptions.__dataclass_fields__)
    assert options.schedule == "timm-cosine"
    assert options.clip_norm is None
    assert "references.md" in found.source
    assert all(isinstance(note, str) and note for note in found.notes)


def test_all_that_the_issue_names_are_there() -> None:
    assert set(table()) == set(REGISTRIES["recipes"].names())
    assert len(table()) == 10


def test_a_suite_takes_a_recipe_and_changes_single_fields_and_the_cell_is_what_comes_out() -> None:
    taken = load("{recipe: spikformer-cifar10, lr: 1.0e-3}")
    assert taken.training is not None
    options = taken.training.resolve("harnesses")
    assert (options.lr, options.batch_size, options.mixup_off_epoch, options.epochs) == (1e-3, 128, 200, 310)
    spelled = {**recipe_file("spikformer-cifar10").train, "lr": 1e-3}
    assert taken.training == Choice("train", spelled)
    assert taken.data["train"] == {"recipe": "spikformer-cifar10", "lr": 1e-3}


def test_ways_to_train_within_a_suite_name_recipes_too() -> None:
    listed = "recipes:\n  theirs: {train: {recipe: qkformer-cifar10}}\n  ours: {train: {lr: 2.0e-3}}\n"
    theirs, ours = load("{recipe: spikformer-cifar10, erase: 0.1}", listed).listed_recipes
    first, second = (way.training.resolve("harnesses") for way in (theirs, ours))
    assert (first.lr, first.batch_size, first.erase) == (1e-3, 64, 0.1)  # what the suite itself says still holds
    assert (second.lr, second.batch_size, second.erase) == (2e-3, 128, 0.1)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("{recipe: spikformer-cifar}", r"s.yaml:5:\d+: train.recipe: unknown recipe 'spikformer-cifar'; did you mean"),
        ("{recipe: [a]}", r"train.recipe: expected the name of a recipe, got"),
        (
            "{recipe: spikformer-cifar10, epochs: 5}",
            r"train.recipe: warmup_epochs must be at most epochs \(5\), got 20.* has it\)",
        ),
        ("{recipe: spikformer-cifar10, lrr: 5}", r"train.lrr: train has no option 'lrr'; did you mean 'lr'"),
        ("{recipe: spikformer-cifar10, lr: -1.0}", r"train.lr: lr must be above 0"),
    ],
)
def test_what_is_wrong_stands_where_it_was_written(train: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(train)


def test_editors_know_the_recipes() -> None:
    choices = suite_schema()["properties"]["train"]["anyOf"]
    assert choices[1]["properties"]["recipe"]["enum"] == REGISTRIES["recipes"].names()


def test_show_prints_what_comes_out_and_what_is_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    show_recipe("qkformer-imagenet", ["lr=0.002"])
    words = " ".join(capsys.readouterr().out.split())
    assert "lr 0.002 0.001 changed" in words
    assert "hflip 0.5 0.0 not read in the source" in words
    assert "effective batch: 512 = 16 passes of 32; lr is taken as it stands" in words
    with pytest.raises(InputError, match=r"--set.*lr must be above 0"):
        show_recipe("qkformer-imagenet", ["lr=-1.0"])


def test_the_report_names_the_recipe_and_what_was_changed() -> None:
    train = {**recipe_file("qkformer-imagenet").train, "epochs": 60}
    plain = {**CELL, "cell_id": "c1", "group_id": "g1", "training": {"name": "train", "epochs": 3}}
    frame = Frame([], {"c0": {**CELL, "training": {"name": "train", **train}}, "c1": plain}, {}, {})
    (table,) = REGISTRIES["sections"].get("recipe")()(frame)
    rows = {row.cells[0].text: (row.cells[1].text, row.cells[2].text) for row in table.rows}
    assert rows["recipe"] == ("qkformer-imagenet", "but for epochs")
    assert rows["effective batch"] == ("512 = 16 passes of 32", "")
    assert rows["epochs"] == ("60", "changed here")
    assert rows["hflip"] == ("0.5", "not read in the source")
    assert based_on({"epochs": 12, "lr": 4e-3}) is None


@pytest.mark.parametrize(
    ("batch", "words"), [((64, 1), "64"), ((10, 4), "10 = 4 passes of 2 or 3"), ((1024, 8), "1,024 = 8 passes of 128")]
)
def test_effective_batch(batch: tuple[int, int], words: str) -> None:
    assert effective_batch(*batch) == words
