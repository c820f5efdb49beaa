"""ImageNet's own archives, written small: read where they lie, the same samples as unpacked, damage told before anything runs."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from spikebench import data
from spikebench.core import suite_reader
from spikebench.core.errors import InputError
from spikebench.data import _folders, _imagenet
from spikebench.data._imagenet import DEVKIT, TRAIN, VAL
from spikebench.testing.files import write_imagenet_archives, write_images

SUITE = "suite: big\ndataset:\n  imagenet:\n    root: {root}\n    size: 32\nvariants: {{base: spikformer-2-64}}\n"


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    for kept in (_folders._loaded, _folders._shared_of, _folders.list_folder, _imagenet.classes_in, _imagenet.train_listing):
        kept.cache_clear()
    _imagenet.val_listing.cache_clear()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unpacked")
    images = write_images(root / "images", {"train": 6, "val": 3}, size=(40, 32))
    number = 0
    for index in range(3):  # as the published files are called, the validation images in an order that is not by class
        for label in range(3):
            for part in ("train", "val"):
                (root / part / f"n0000000{label}").mkdir(parents=True, exist_ok=True)
            number += 1
            source = images / "val" / f"class{label}" / f"val{index}.jpg"
            shutil.copy(source, root / "val" / f"n0000000{label}" / f"ILSVRC2012_val_{number:08}.JPEG")
    for label in range(3):
        for index in range(6):
            source = images / "train" / f"class{label}" / f"train{index}.jpg"
            shutil.copy(source, root / "train" / f"n0000000{label}" / f"n0000000{label}_{index}.JPEG")
    shutil.rmtree(images)
    return root


@pytest.fixture
def packed(unpacked: Path, tmp_path: Path) -> Path:
    return write_imagenet_archives(unpacked, tmp_path / "packed")


def opened(root: Path, **options: object) -> data.Dataset:
    return data.load({"imagenet": {"root": str(root), "size": 32, **options}})


@pytest.mark.parametrize("memory", [True, False])
def test_archives_give_the_samples_of_the_unpacked_files(
    unpacked: Path, packed: Path, memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not memory:
        monkeypatch.setattr(_folders, "RESIDENT_BYTES", 0)
    one, other = opened(unpacked), opened(packed)
    assert one.inputs == other.inputs == data.InputSpec(3, 32, 3)
    assert one.settle(unpacked)["content"] == other.settle(packed)["content"]
    for name in data.SPLITS:
        forget()
        workers = int(not memory)
        expected, found = (list(data.batches(dataset.split(name), 4, workers=workers)) for dataset in (one, other))
        assert len(expected) == len(found)
        for (x, y), (x2, y2) in zip(expected, found, strict=True):
            assert torch.equal(x, x2)
            assert torch.equal(y, y2)
    cropped = [dataset.files("train").cropped((0.2, 0.8), (0.75, 1.33), (1,))[20][0] for dataset in (one, other)]
    assert torch.equal(*cropped)


def test_nothing_is_unpacked_and_the_headers_are_read_once(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(packed).settle(packed)
    assert sorted(path.name for path in packed.iterdir()) == [f".{TRAIN}.index.npz", DEVKIT, TRAIN, VAL]
    forget()
    asked = []
    real = _imagenet.members
    monkeypatch.setattr(_imagenet, "members", lambda *given: (asked.append(given[4:]), real(*given))[1])
    assert len(opened(packed).split("train")) == 15
    assert asked.count(("n00000000.tar",)) == 0
    forget()
    with (packed / TRAIN).open("ab") as archive:
        archive.write(bytes(10240))  # another file, though it holds the same
    opened(packed).settle(packed)
    assert asked.count(("n00000000.tar",)) == 1


def problems(root: Path, tmp_path: Path) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(root=root))
    forget()
    with pytest.raises(InputError) as caught:
        suite_reader.load(path)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{path}:4:5: dataset.imagenet.root: ")
    return str(problem)


@pytest.mark.parametrize("name", [TRAIN, VAL, DEVKIT])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_half_downloaded_archive_is_told_before_anything_runs(packed: Path, tmp_path: Path, name: str, share: float) -> None:
    path = packed / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert f"{path}" in problems(packed, tmp_path)
    assert "ends early or is damaged" in problems(packed, tmp_path)


def test_one_that_ends_between_two_files_is_told_too(packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed / VAL) as archive:
        third = archive.getmembers()[3].offset
    path = packed / VAL
    path.write_bytes(path.read_bytes()[:third])
    assert "ends early or is damaged" in problems(packed, tmp_path)


def test_a_hole_that_a_download_has_left_is_told(packed: Path, tmp_path: Path) -> None:
    """As many bytes as there shall be, and zeros where some are missing: a header of zeros would be the end."""
    path = packed / TRAIN
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        second = archive.getmembers()[1].offset
    content[second : second + 4096] = bytes(4096)
    path.write_bytes(content)
    assert "ends early or is damaged" in problems(packed, tmp_path)


def test_a_missing_archive_and_an_image_that_the_kit_does_not_know_are_named(packed: Path, tmp_path: Path) -> None:
    kept = (packed / DEVKIT).read_bytes()
    (packed / DEVKIT).unlink()
    assert f"has {TRAIN}, but no {DEVKIT}" in problems(packed, tmp_path)
    (packed / DEVKIT).write_bytes(kept)
    with tarfile.open(packed / VAL, "a") as archive:
        info = tarfile.TarInfo("ILSVRC2012_val_00000099.JPEG")
        archive.addfile(info, io.BytesIO())
    assert "ILSVRC2012_val_00000099.JPEG is none of the 9 images" in problems(packed, tmp_path)


def test_a_kit_without_its_tables_is_told(packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed / DEVKIT, "w:gz") as kit:
        table = io.BytesIO()
        savemat(table, {"other": np.zeros(3)})
        info = tarfile.TarInfo("ILSVRC2012_devkit_t12/data/meta.mat")
        info.size = len(table.getvalue())
        kit.addfile(info, io.BytesIO(table.getvalue()))
    assert "KeyError" in problems(packed, tmp_path)


@pytest.mark.parametrize("archives", [True, False])
def test_test_images_that_are_in_train_too_are_found(unpacked: Path, tmp_path: Path, archives: bool) -> None:
    root = Path(shutil.copytree(unpacked, tmp_path / "shared"))
    both = root / "val" / "n00000001" / "ILSVRC2012_val_00000002.JPEG"
    shutil.copy(both, root / "train" / "n00000002" / "n00000002_77.JPEG")
    other = root / "val" / "n00000000" / "ILSVRC2012_val_00000001.JPEG"
    content = bytearray(other.read_bytes())
    content[5] ^= 1  # as large and alike in the middle, and yet another file
    (root / "train" / "n00000000" / "n00000000_78.JPEG").write_bytes(content)
    if archives:
        root = write_imagenet_archives(root, tmp_path / "packed")
    (found,) = opened(root).shared("test") or ()
    assert found.endswith("n00000001/ILSVRC2012_val_00000002.JPEG")
    assert opened(root).shared("train") is None
    assert opened(unpacked).shared("test") == []


def test_the_published_data_set_is_not_read_through_for_that(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikebench.data.imagenet.Dataset.published", (3, 18, 9))
    assert opened(unpacked).settle(unpacked) == {"root": str(unpacked)}
    assert opened(unpacked).shared("test") is None
