"""Folders of images as people have them: every kind of pixel, files that are none, classes that are missing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikebench import data
from spikebench.core import suite_reader
from spikebench.core.errors import InputError
from spikebench.data import _folders
from spikebench.data._folders import FIGURES
from spikebench.data._images import Crop, ImageFiles, Reading
from spikebench.data._streams import Unreadable
from spikebench.testing.files import write_images

SUITE = "suite: mine\ndataset:\n  folder:\n    root: {root}\n    size: 16\n{more}variants: {{base: spikformer-2-64}}\n"


def opened(root: Path, **options: object) -> data.Dataset:
    return data.load({"folder": {"root": str(root), "size": 16, **options}})


def problems(root: Path, tmp_path: Path, more: str = "") -> list[str]:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(root=root, more=more))
    with pytest.raises(InputError) as caught:
        suite_reader.load(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("pets"), {"train": 10, "val": 4})


def streamed(root: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> data.Dataset:
    """As if it did not fit into memory."""
    monkeypatch.setattr(_folders, "RESIDENT_BYTES", 0)
    _folders._loaded.cache_clear()
    return opened(root, **options)


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    for kept in (_folders._loaded, _folders._shared_of, _folders.list_folder):
        kept.cache_clear()


def test_an_image_is_resized_by_its_shorter_side_and_cropped_in_the_middle(pets: Path) -> None:
    split = opened(pets, normalise="none").split("test")
    assert split.tensors[1].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    with Image.open(pets / "val" / "class1" / "val2.jpg") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC, box=(2, 0, 22, 20)))
    found = (split[6][0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1
    centre = opened(pets, normalise="none", crop=0.5).split("test")[6][0]
    with Image.open(pets / "val" / "class1" / "val2.jpg") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC, box=(7, 5, 17, 15)))
    assert np.abs((centre * 255).permute(1, 2, 0).numpy() - expected).max() <= 1


def test_in_memory_and_file_by_file_are_the_same_samples(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = opened(pets).split("train")
    other = streamed(pets, monkeypatch).split("train")
    assert isinstance(one, torch.utils.data.TensorDataset)
    assert isinstance(other, ImageFiles)
    chosen = [torch.tensor([3, 0, 8]), torch.tensor([20])]
    for (x, y), (x2, y2) in zip(
        data.batches(one, 4, chosen=chosen), data.batches(other, 4, chosen=chosen, workers=2), strict=True
    ):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
    mean, std = (torch.tensor(part)[:, None, None] for part in FIGURES)
    torch.testing.assert_close(one[0][0], (one.tensors[0][0] / 255 - mean) / std)


def test_validation_is_cut_from_train_unless_there_is_a_test(pets: Path, tmp_path: Path) -> None:
    two = opened(pets)
    assert [len(two.split(name)) for name in data.SPLITS] == [27, 3, 12]
    assert [len(opened(pets, full_train=True).split(name)) for name in data.SPLITS] == [30, 3, 12]
    three = opened(write_images(tmp_path, {"train": 3, "val": 2, "test": 1}))
    assert [len(three.split(name)) for name in data.SPLITS] == [9, 6, 3]


KINDS = {
    "rgb.png": lambda pixels: Image.fromarray(pixels),
    "grey.png": lambda pixels: Image.fromarray(pixels).convert("L"),
    "palette.png": lambda pixels: Image.fromarray(pixels).quantize(256),
    "alpha.png": lambda pixels: Image.fromarray(pixels).convert("RGBA"),
    "deep.png": lambda pixels: Image.fromarray(pixels.mean(2).astype(np.uint16) * 257),
    "deep.tif": lambda pixels: Image.fromarray(pixels.mean(2).astype(np.uint16) * 257),
    "cmyk.jpg": lambda pixels: Image.fromarray(pixels).convert("CMYK"),
    "one_bit.png": lambda pixels: Image.fromarray(pixels).convert("1"),
    "small.webp": lambda pixels: Image.fromarray(pixels),
    "CAPITALS.JPEG": lambda pixels: Image.fromarray(pixels),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_pixel_becomes_eight_bits(name: str, tmp_path: Path) -> None:
    smooth = np.stack([np.add.outer(np.arange(16), np.arange(16)) * 8] * 3, -1).astype(np.uint8)
    KINDS[name](smooth).save(tmp_path / name)
    found = Reading(16).read(tmp_path / name).astype(int)
    assert found.shape == (3, 16, 16)
    if name == "one_bit.png":
        assert set(np.unique(found)) <= {0, 255}
    else:
        # 16 bits cut off at 255 would be white all over.
        assert np.abs(found - smooth.transpose(2, 0, 1)).max() <= 12
    assert Reading(16, channels=1).read(tmp_path / name).shape == (1, 16, 16)


def test_floating_point_pixels_are_refused_as_nobody_knows_their_range(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(Unreadable, match="floating-point"):
        Reading(8).read(tmp_path / "float.tif")


def damaged(root: Path) -> Path:
    """A third of a JPEG, an empty file, and text, among good ones."""
    write_images(root, {"train": 20, "val": 4})
    path = root / "train" / "class1" / "train3.jpg"
    path.write_bytes(path.read_bytes()[:300])
    (root / "train" / "class0" / "train9.jpg").write_bytes(b"")
    (root / "val" / "class2" / "val0.jpg").write_text("not an image")
    return root


@pytest.mark.parametrize("memory", [True, False])
def test_files_that_cannot_be_read_are_left_out_and_named(memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = damaged(tmp_path)
    dataset = opened(root, skip=0.1, full_train=True) if memory else streamed(root, monkeypatch, skip=0.1, full_train=True)
    split = dataset.split("train")
    found = list(data.batches(split, 16, workers=0 if memory else 1))
    assert sum(len(y) for _, y in found) == 58
    assert sorted(Path(file).name for file in split.unreadable) == ["train3.jpg", "train9.jpg"]
    assert len(next(iter(data.batches(dataset.split("test"), 16)))[1]) == 11


@pytest.mark.parametrize("memory", [True, False])
def test_too_many_of_them_end_the_job(memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = damaged(tmp_path)
    dataset = opened(root, skip=0.02, full_train=True) if memory else streamed(root, monkeypatch, skip=0.02, full_train=True)

    def read() -> None:
        list(data.batches(dataset.split("train"), 16))

    with pytest.raises(InputError, match=r"2 files cannot be read, more than 2\.00% of 60 \(option skip\)") as caught:
        read()
    assert "train9.jpg: " in str(caught.value)


def test_a_random_part_is_of_the_image_and_the_seed_whoever_reads_it_when(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = streamed(pets, monkeypatch, normalise="none").split("train")
    one, same, other = (split.cropped((0.2, 0.9), (0.75, 1.33), seed) for seed in ((5, 1), (5, 1), (6, 1)))
    in_order = torch.cat([x for x, _ in data.batches(one, 8)])
    backwards = torch.cat([x for x, _ in data.batches(same, 8, chosen=torch.arange(27).flip(0).split(5), workers=2)]).flip(0)
    assert torch.equal(in_order, backwards)
    assert not torch.equal(in_order, torch.cat([x for x, _ in data.batches(other, 8)]))


def test_random_parts_have_the_areas_and_ratios_that_were_asked() -> None:
    reading = Reading(8, random=Crop((0.25, 0.5), (0.5, 2.0), seed=(1,)))
    boxes = np.array([reading._box(200, 100, index) for index in range(400)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= 200).all()
    assert (boxes[:, 3] <= 100).all()
    assert 0.24 < (width * height / 20_000).min() < 0.27
    assert 0.47 < (width * height / 20_000).max() < 0.51
    assert 0.48 < (width / height).min() < 0.6 < 1.7 < (width / height).max() < 2.1
    narrow = Reading(8, random=Crop((1.0, 1.0), (1.0, 1.0), seed=(1,)))._box(200, 100, 0)
    assert narrow == (50, 0, 150, 100)


def test_what_is_missing_is_told_with_line_and_key(pets: Path, tmp_path: Path) -> None:
    def changed(name: str) -> Path:
        return Path(shutil.copytree(pets, tmp_path / name))

    lacks = changed("lacks")
    shutil.rmtree(lacks / "val" / "class2")
    (lacks / "val" / "clas2").mkdir()
    (found, unknown, empty) = sorted(problems(lacks, tmp_path), key=lambda text: "lacks the" not in text)
    assert f"{tmp_path / 'suite.yaml'}:4:5: dataset.folder.root: {lacks / 'val'} lacks the class class2 of train" in found
    assert "clas2" in unknown + empty
    assert "did you mean 'class2'" in unknown + empty
    assert "no files for the class clas2" in unknown + empty
    single = changed("single")
    for path in sorted((single / "train" / "class0").iterdir())[1:]:
        path.unlink()
    (found,) = problems(single, tmp_path)
    assert "class class0 has a single image" in found
    renamed = changed("renamed")
    (renamed / "train").rename(renamed / "training")
    (found,) = problems(renamed, tmp_path)
    assert "there is no train; did you mean 'training'?" in found
    without = changed("without")
    shutil.rmtree(without / "val")
    (found,) = problems(without, tmp_path)
    assert f"expected {without / 'val'}/CLASS/*: there is no val" in found


def test_a_size_that_no_patch_divides_is_told(pets: Path, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(root=pets, more="").replace("size: 16", "size: 18"))
    from spikebench.running.jobs import rules

    with pytest.raises(InputError, match="18 x 18 cannot be divided into patches of 4"):
        suite_reader.load(path, rules)


def test_content_is_what_the_files_are_and_not_where(pets: Path, tmp_path: Path) -> None:
    def content(root: Path) -> str:
        _folders.list_folder.cache_clear()
        return str(opened(root).settle(root)["content"])

    moved = Path(shutil.copytree(pets, tmp_path / "moved"))
    assert content(moved) == content(pets)
    (moved / "train" / "class0" / "train0.jpg").rename(moved / "train" / "class1" / "train77.jpg")
    assert content(moved) != content(pets)


def test_test_images_that_are_in_train_too_are_found_whatever_their_names(pets: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pets, tmp_path / "shared"))
    assert opened(root).shared("test") == []
    _folders._shared_of.cache_clear()
    _folders.list_folder.cache_clear()
    shutil.copy(root / "val" / "class0" / "val1.jpg", root / "train" / "class2" / "another.jpg")
    assert opened(root).shared("test") == [str(root / "val" / "class0" / "val1.jpg")]
    assert opened(root).shared("train") is None


def test_imagenet_is_looked_for_in_its_own_folder_too(tmp_path: Path) -> None:
    root = write_images(tmp_path / "imagenet", {"train": 4, "val": 2}, size=(40, 30))
    dataset = data.load({"imagenet": {"root": str(tmp_path), "size": 32}})
    assert dataset.inputs == data.InputSpec(3, 32, 3)
    assert dataset.settle(tmp_path)["root"] == str(root)
    assert [len(dataset.split(name)) for name in data.SPLITS] == [9, 3, 6]
    with Image.open(root / "val" / "class0" / "val0.jpg") as image:
        side = 30 * 0.875
        box = (20 - side / 2, 15 - side / 2, 20 + side / 2, 15 + side / 2)
        expected = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC, box=box))
    plain = data.load({"imagenet": {"root": str(tmp_path), "size": 32, "normalise": "none"}})
    assert np.abs((plain.split("test")[0][0] * 255).permute(1, 2, 0).numpy() - expected).max() <= 1
