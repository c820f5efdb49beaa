"""Random parts of images: cut out of the original files as the papers' loaders do, whatever reads them when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from spikebench import data
from spikebench.core.recipe_files import recipe_file
from spikebench.data import _folders
from spikebench.data._images import Crop, Reading
from spikebench.testing.files import write_images
from spikebench.training.group import Group
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions
from spikebench.training.samples import Samples
from spikebench.training.whole import train

CPU = torch.device("cpu")
CROPPED = TrainingOptions(epochs=2, batch_size=8, crop_scale=(0.1, 0.6), warmup_epochs=0, lr=0.01)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("pets"), {"train": 7, "val": 2}, size=(60, 44))


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    _folders._loaded.cache_clear()


def opened(root: Path, **options: object) -> data.Dataset:
    return data.load({"folder": {"root": str(root), "size": 16, "normalise": "none", "full_train": True, **options}})


def training_of(root: Path, options: TrainingOptions = CROPPED) -> Training:
    torch.manual_seed(0)
    return Training(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), opened(root), options, seed=3, device=CPU)


def images_of(samples: Samples, epoch: int = 0, done: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.cat([batch.x for batch in samples.batches(epoch, generator, done)])


@pytest.mark.parametrize("size", [(60, 44), (44, 60), (200, 60), (60, 200), (64, 64), (90, 120)])
def test_what_does_not_fit_is_torchvisions_middle(size: tuple[int, int]) -> None:
    """With the whole area only an image's own sides fit, which ten draws do not meet."""
    left, top, right, bottom = Reading(8, random=Crop((1.0, 1.0), (3 / 4, 4 / 3), (5,)))._box(*size, 0)
    theirs = RandomResizedCrop.get_params(Image.new("L", size), [1.0, 1.0], [3 / 4, 4 / 3])
    assert (top, left, bottom - top, right - left) == theirs


def test_parts_are_distributed_as_torchvisions() -> None:
    from scipy.stats import ks_2samp

    crop, image = Crop((0.08, 1.0), (3 / 4, 4 / 3), (7, 0)), Image.new("L", (300, 200))
    boxes = np.array([Reading(8, random=crop)._box(300, 200, number) for number in range(2000)])
    ours = np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], 1)
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_training_sees_parts_of_the_original_images_where_the_data_fit_into_memory_too(pets: Path) -> None:
    samples = training_of(pets, replace(CROPPED, batch_size=21)).examples
    (batch,) = samples.batches(4, torch.Generator().manual_seed(1), 0)
    order = torch.randperm(21, generator=torch.Generator().manual_seed(1)).tolist()
    reading = Reading(16, random=Crop((0.1, 0.6), (3 / 4, 4 / 3), (3, 4)))
    files = sorted((pets / "train").rglob("*.jpg"))
    for place, number in enumerate(order):
        left, top, right, bottom = map(int, reading._box(60, 44, number))
        with Image.open(files[number]) as image:
            expected = resized_crop(image, top, left, bottom - top, right - left, [16, 16], interpolation=3)
        assert np.array_equal((batch.x[place] * 255).round().byte().permute(1, 2, 0).numpy(), np.asarray(expected))
        assert batch.y[place] == number // 7


def test_spikformers_recipe_on_imagenet_squeezes_the_whole_image(pets: Path) -> None:
    recipe = recipe_file("spikformer-imagenet").train
    options = TrainingOptions(batch_size=21, crop_scale=tuple(recipe["crop_scale"]), crop_ratio=tuple(recipe["crop_ratio"]))
    wide = write_images(pets.parent / "wide", {"train": 1, "val": 1}, size=(60, 50))
    found = images_of(training_of(wide, options).examples)
    whole = []
    for file in sorted((wide / "train").rglob("*.jpg")):
        with Image.open(file) as image:
            whole.append(np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC)).transpose(2, 0, 1))
    order = torch.randperm(3, generator=torch.Generator().manual_seed(1)).tolist()
    assert np.array_equal((found * 255).round().byte().numpy(), np.stack(whole)[order])


@pytest.mark.parametrize("workers", [0, 2])
def test_parts_are_others_in_each_epoch_and_for_each_repetition_and_the_same_for_whoever_reads_them(
    pets: Path, workers: int
) -> None:
    options = replace(CROPPED, repeats=3, batch_size=6, workers=workers)
    samples = training_of(pets, options).examples
    first, again, next_one = images_of(samples), images_of(samples), images_of(samples, epoch=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, next_one)
    assert torch.equal(images_of(samples, done=2), first[12:])
    assert len({bytes(image.numpy()) for image in first}) == 21, "three parts of each of seven files"
    order = torch.randperm(21, generator=torch.Generator().manual_seed(1))[:7]
    labels = [y for batch in samples.batches(0, torch.Generator().manual_seed(1), 0) for y in batch.y.tolist()]
    assert labels == (order // 7).repeat_interleave(3).tolist()


def test_several_devices_cut_what_one_does(pets: Path) -> None:
    options = replace(CROPPED, repeats=2)
    alone = images_of(Samples(opened(pets), options, 3, CPU, Group()))
    parts = [list(Samples(opened(pets), options, 3, CPU, Group(rank, 2)).batches(0, torch.Generator().manual_seed(1), 0))
             for rank in range(2)]  # fmt: skip
    assert torch.equal(alone, torch.cat([batch.x for step in zip(*parts, strict=True) for batch in step]))


def test_part_of_the_labels_is_taken_of_files_too(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folders, "RESIDENT_BYTES", 0)
    few = replace(CROPPED, labels=6)
    samples = training_of(pets, few).examples
    assert images_of(samples).shape == (6, 3, 16, 16)
    plain = training_of(pets, replace(few, crop_scale=(1.0, 1.0))).examples
    _folders._loaded.cache_clear()
    monkeypatch.undo()
    assert torch.equal(images_of(plain), images_of(training_of(pets, replace(few, crop_scale=(1.0, 1.0))).examples))
    own = [y for batch in samples.batches(0, torch.Generator().manual_seed(1), 0) for y in batch.y.tolist()]
    assert sorted(own) == [0, 0, 1, 1, 2, 2]


MIXED = replace(
    CROPPED, epochs=3, mixup=0.5, cutmix=1.0, mixup_off_epoch=2, hflip=0.5, rand_augment="m5-n1", erase=0.5, repeats=2, ema=0.9
)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("epoch", [0, 2])
def test_killed_in_the_middle_of_an_epoch_it_goes_on_with_the_same_parts_mixed_with_the_same(
    undisturbed: Training, pets: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    stopped = training_of(pets, replace(MIXED, checkpoint_minutes=0.0))

    def stop() -> None:
        if len(stopped.history) == epoch and stopped.progress.step == step:
            raise KeyboardInterrupt

    own = stopped._step
    stopped._step = lambda batch, rate: (stop(), own(batch, rate))[1]
    with pytest.raises(KeyboardInterrupt):
        list(train(stopped, tmp_path, "me"))
    resumed = training_of(pets, MIXED)
    list(train(resumed, tmp_path, "me"))
    for name, value in undisturbed.kept.state_dict().items():
        assert torch.equal(resumed.kept.state_dict()[name], value)
        assert torch.equal(resumed.model.state_dict()[name], undisturbed.model.state_dict()[name])


@pytest.fixture(scope="module")
def undisturbed(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    training = training_of(pets, MIXED)
    list(train(training, tmp_path_factory.mktemp("undisturbed"), "me"))
    return training
