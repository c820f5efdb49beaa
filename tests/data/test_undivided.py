"""A folder of classes that nobody has divided: split by a rule, the same everywhere, and refused where it is something else."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spikebench import data
from spikebench.core import suite_reader
from spikebench.core.errors import InputError
from spikebench.core.suite import dataset_of
from spikebench.data import _folders
from spikebench.data._splits import thirds
from spikebench.testing.files import write_images

VALIDATION = [
    "class0/pets10.jpg",
    "class0/pets15.jpg",
    "class1/pets11.jpg",
    "class1/pets6.jpg",
    "class2/pets14.jpg",
    "class2/pets7.jpg",
]


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pets/class0, class1 and class2 with 20 images each."""
    root = tmp_path_factory.mktemp("undivided")
    write_images(root, {"pets": 20})
    return root / "pets"


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    for kept in (_folders._loaded, _folders._shared_of, _folders.list_folder):
        kept.cache_clear()


def opened(root: Path, **options: object) -> data.Dataset:
    return data.load({"folder": {"root": str(root), "size": 16, **options}})


def names(root: Path, **options: object) -> dict[str, list[str]]:
    dataset = opened(root, **options)
    return {split: dataset.files(split).files.tolist() for split in data.SPLITS}


def test_each_class_is_divided_and_every_file_is_in_one_split(pets: Path) -> None:
    found = names(pets)
    everything = sorted(path.relative_to(pets).as_posix() for path in pets.rglob("*.jpg"))
    assert sorted(file for split in found.values() for file in split) == everything
    for label in range(3):
        assert [sum(file.startswith(f"class{label}/") for file in found[split]) for split in data.SPLITS] == [14, 2, 4]
    dataset = opened(pets)
    assert dataset.inputs == data.InputSpec(3, 16, 3)
    assert dataset.split("test").tensors[1].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_the_same_files_on_every_machine(pets: Path, tmp_path: Path) -> None:
    """Written out: a NumPy or a file system that orders otherwise would show."""
    assert names(pets)["validation"] == VALIDATION
    moved = tmp_path / "moved"
    for path in sorted(pets.rglob("*.jpg"), reverse=True):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name)
    _folders.list_folder.cache_clear()
    assert names(moved) == names(pets)


@pytest.mark.parametrize("count", range(3, 40))
def test_no_split_of_a_class_is_empty_however_few_it_has(count: int) -> None:
    labels = np.repeat([0, 1], [count, 100])
    parts = {name: thirds(labels, name) for name in data.SPLITS}
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(count + 100))
    first = {name: int((labels[part] == 0).sum()) for name, part in parts.items()}
    assert min(first.values()) >= 1
    assert abs(first["test"] - 0.2 * count) <= 0.7
    whole = thirds(labels, "train", full_train=True)
    assert np.array_equal(whole, np.union1d(parts["train"], parts["validation"]))


def test_a_suite_stores_how_it_was_divided_and_moving_the_folder_changes_no_cell(pets: Path, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    moved = shutil.copytree(pets, tmp_path / "elsewhere")
    ids = []
    for root in (pets, moved):
        path.write_text(f"suite: mine\ndataset: {{folder: {{root: {root}, size: 16}}}}\nvariants: {{base: spikformer-2-64}}\n")
        suite = suite_reader.load(path)
        assert suite.dataset.options["split"] == "70/10/20"
        assert suite.dataset.options["content"]
        assert len(dataset_of(suite.dataset).split("train")) == 42
        ids.append(suite.cells[0].cell_id)
    assert ids[0] == ids[1]
    path.write_text(path.read_text().replace("size: 16", "size: 16, split: 70/10/20"))
    assert suite_reader.load(path).cells[0].cell_id == ids[0]


def refused(root: Path, name: str = "folder", **options: object) -> str:
    with pytest.raises(InputError) as caught:
        data.load({name: {"root": str(root), **options}}).settle(root)
    return str(caught.value)


def test_what_is_no_folder_of_classes_is_told_with_what_to_do(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"or {tmp_path / 'empty'}/CLASS/* to be divided 70/10/20: there is no folder in it" in refused(tmp_path / "empty")
    assert f"one folder alone, pets, and one class is nothing to learn; is {pets} the root?" in refused(pets.parent)
    for year in ("2019", "2020"):
        shutil.copytree(pets, tmp_path / "years" / year)
    assert "no image lies in the folders 2019, 2020 directly; are the classes one folder deeper?" in refused(tmp_path / "years")
    named = tmp_path / "named"
    shutil.copytree(pets / "class0", named / "Training")
    shutil.copytree(pets / "class0", named / "Test")
    assert "there is no train; did you mean 'Training'?" in refused(named)
    few = shutil.copytree(pets, tmp_path / "few")
    for path in sorted((few / "class1").iterdir())[2:]:
        path.unlink()
    assert f"{few}: it is divided into three splits, and class class1 has 2 images" in refused(few)
    for path in (few / "class1").iterdir():
        path.unlink()
    _folders.list_folder.cache_clear()
    assert f"{few}: no files for the class class1" in refused(few)


def test_folders_that_are_divided_and_imagenet_take_no_rule(pets: Path, tmp_path: Path) -> None:
    root = write_images(tmp_path, {"train": 4, "val": 2})
    assert "split" not in opened(root).settle(root)
    assert "its folders say what is for which split; leave split out" in refused(root, split="70/10/20")
    assert "there is no train" in refused(pets, "imagenet")
