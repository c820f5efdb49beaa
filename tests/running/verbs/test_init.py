"""``spikebench init``: whatever it is asked about, the suite that it writes can be run as it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, StorageError
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document, load
from spikebench.running.jobs import rules
from spikebench.running.verbs.init import suite_text, write_suite


@pytest.mark.parametrize("preset", REGISTRIES["presets"].names())
def test_a_suite_about_any_preset_is_valid_at_once(preset: str) -> None:
    suite = from_document(yaml_nodes.parse(suite_text(preset, None, Path())), rules)
    assert suite.name == preset
    assert suite.cells
    assert (suite.training is None) == (suite.dataset.name == "random")


def read(path: Path) -> Suite:
    return load(path, rules)


def test_without_a_word_it_is_about_the_bundled_digits(tmp_path: Path) -> None:
    said = write_suite([], tmp_path / "suite.yaml")
    assert said.startswith(f"{tmp_path / 'suite.yaml'}: written.")
    assert len(read(tmp_path / "suite.yaml").cells) == 12
    assert read(tmp_path / "suite.yaml").report["baseline"] == {"stem": "sps", "attention": "ssa"}


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("mine")
    with pytest.raises(StorageError, match="is there already: give another --out"):
        write_suite([], tmp_path / "suite.yaml")
    assert (tmp_path / "suite.yaml").read_text() == "mine"


def image(path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (200, 100, 50)).save(path)


def test_it_is_about_a_folder_of_images_wherever_the_suite_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        for split in ("train", "val"):
            image(tmp_path / "my photos" / split / f"class{number % 2}" / f"{number}.png")
    (tmp_path / "suites").mkdir()
    write_suite(["my photos"], Path("suites", "photos.yaml"))
    suite = read(tmp_path / "suites" / "photos.yaml")
    assert suite.name == "my-photos"
    assert (suite.inputs.size, suite.inputs.classes) == (32, 2)
    assert suite.training is not None
    steps = suite.training.options["epochs"] * 20 / suite.training.options["batch_size"]
    assert steps >= 240  # however few the images are


def test_a_folder_of_classes_alone_is_divided_and_the_suite_says_how(tmp_path: Path) -> None:
    for number in range(40):
        image(tmp_path / "photos" / ("day", "night")[number % 2] / f"{number}.png")
    write_suite([str(tmp_path / "photos")], tmp_path / "suite.yaml")
    suite = read(tmp_path / "suite.yaml")
    assert suite.inputs.classes == 2
    assert "# Of each class about 70 % are trained on, 10 % are for validation and 20 % for test" in (
        tmp_path / "suite.yaml"
    ).read_text(encoding="utf-8")
    assert suite.training is not None
    assert suite.training.options["epochs"] * 28 / suite.training.options["batch_size"] >= 240


def test_a_folder_that_is_no_data_set_is_told_where_it_says_how(tmp_path: Path) -> None:
    image(tmp_path / "photos" / "day" / "1.png")
    with pytest.raises(
        InputError, match=r"(?s)one folder alone, day, and one class is nothing to learn\n.*spikebench guide data"
    ):
        write_suite([str(tmp_path / "photos")], tmp_path / "suite.yaml")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (["spikformer-4-385"], "neither a folder nor a preset; did you mean 'spikformer-4-384'"),
        (["spikformer-4-384", "spikformer-2-64"], "one folder of images, one preset, or one of each"),
    ],
)
def test_what_it_cannot_be_about_is_told(tmp_path: Path, about: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_suite(about, tmp_path / "suite.yaml")
    assert not os.listdir(tmp_path)
