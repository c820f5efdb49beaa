"""The contract of data sets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from spikebench.core.errors import InputError
from spikebench.data import SPLITS, Dataset, load
from spikebench.testing._members import TorchFreeContract


class DatasetContract(TorchFreeContract):
    """Three fixed, disjoint splits of float32 samples with int64 labels, in the shape that ``inputs`` says."""

    registry = "datasets"

    @pytest.fixture
    def dataset(self) -> Dataset:
        return load(self.choice)

    def test_is_a_dataset_with_a_version(self, dataset: Dataset) -> None:
        assert isinstance(dataset, Dataset)
        assert isinstance(dataset.version, int)

    def test_splits_are_as_large_as_sizes_says(self, dataset: Dataset) -> None:
        for name, size in getattr(dataset, "sizes", {}).items():
            split: Any = dataset.split(name)
            assert len(split) == size, name

    def test_samples_have_the_declared_shape_and_types(self, dataset: Dataset) -> None:
        inputs = dataset.inputs
        for name in SPLITS:
            split: Any = dataset.split(name)
            for index in {0, len(split) - 1}:
                x, y = split[index]
                assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
                assert x.shape[-3:] == (inputs.channels, inputs.size, inputs.size)
                assert x.dim() == (4 if inputs.events else 3)
                assert 0 <= int(y) < inputs.classes
                assert x.isfinite().all()

    def test_two_loads_give_the_same_samples_whatever_the_global_seed(self, dataset: Dataset) -> None:
        for name in SPLITS:
            torch.manual_seed(1)
            one: Any = dataset.split(name)
            torch.manual_seed(2)
            other: Any = load(self.choice).split(name)
            assert len(one) == len(other) > 0
            for index in {0, len(one) // 2, len(one) - 1}:
                assert torch.equal(one[index][0], other[index][0])
                assert torch.equal(one[index][1], other[index][1])

    def test_splits_share_no_sample(self, dataset: Dataset) -> None:
        seen: dict[str, set[bytes]] = {}
        for name in SPLITS:
            split: Any = dataset.split(name)
            seen[name] = {split[index][0].numpy().tobytes() for index in range(min(len(split), 2000))}
        for one, other in itertools.combinations(SPLITS, 2):
            assert not seen[one] & seen[other], f"{one} and {other} share samples"

    def test_an_unknown_split_is_refused(self, dataset: Dataset) -> None:
        with pytest.raises(InputError, match="dev"):
            dataset.split("dev")  # type: ignore[arg-type]
