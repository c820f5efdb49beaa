"""What is wrong with a data set of one's own is told of the data, before a network meets them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from spikebench.core.errors import InputError
from spikebench.core.variant import InputSpec
from spikebench.data._checked import Checked, wrong_with
from spikebench.data._streams import Unreadable

INPUTS = InputSpec(3, 8, 4)
X, Y = torch.zeros(3, 8, 8), torch.tensor(1)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (X, "a sample is a Tensor; expected a pair (x, y)"),
        ((X, Y, Y), "a sample is 3 things; expected a pair"),
        ((Image.new("RGB", (8, 8)), 1), "x is of the type Image; expected a tensor, x float32 (3, 8, 8)"),
        (("a.png", 1), "x is of the type str; expected a tensor"),
        ((torch.zeros(8, 8, 3), Y), "x has the shape (8, 8, 3); expected x float32 (3, 8, 8); channels come first"),
        ((torch.zeros(3, 8, 16), Y), "x has the shape (3, 8, 16); expected x float32 (3, 8, 8), as `inputs` says"),
        ((torch.zeros(8), Y), "x has the shape (8,)"),
        ((X.byte(), Y), "x is uint8; expected float32, in 0..1 or of mean 0 and deviation 1 (divide by 255)"),
        ((np.zeros((3, 8, 8)), 1), "x is float64; expected float32"),
        ((X / 0, Y), "x of the first sample holds NaN"),
        ((X, torch.eye(4)[1]), "y is float32 of shape (4,); expected the number of a class, int64 without dimensions (one-hot"),
        ((X, "cat"), "y is 'cat'; expected the number of a class"),
        ((X, Y.int()), "y is int32 of shape ()"),
        ((X, 4), "y is 4; expected class numbers from 0 to 3, as `inputs` has 4 classes"),
        ((X, -1), "y is -1; expected class numbers from 0 to 3"),
    ],
)
def test_a_sample_that_is_something_else(sample: object, expected: str) -> None:
    assert expected in wrong_with(sample, INPUTS)


@pytest.mark.parametrize("sample", [(X, Y), [X, 3], (np.zeros((3, 8, 8), np.float32), np.int64(0))])
def test_a_sample_as_it_should_be(sample: object) -> None:
    assert wrong_with(sample, INPUTS) == ""


def test_events_have_time_steps_before_channels() -> None:
    events = InputSpec(2, 8, 4, events=True, T=5)
    assert wrong_with((torch.zeros(5, 2, 8, 8), Y), events) == ""
    assert "expected x float32 (T, 2, 8, 8)" in wrong_with((torch.zeros(2, 8, 8), Y), events)
    assert "x has the shape (4, 2, 8, 8)" in wrong_with((torch.zeros(4, 2, 8, 8), Y), events)


class Damaged:
    inputs = INPUTS

    def split(self, name: str) -> Any:
        return self

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        raise Unreadable("0.jpg", "cut off") if index == 0 else OSError("no such disk")


def test_a_first_sample_that_cannot_be_read_is_whoever_reads_it_to_count() -> None:
    damaged = Checked(Damaged(), "mine.py:Damaged").split("train")
    assert isinstance(damaged, Damaged)


class Mine:
    inputs = INPUTS
    version = 3

    def split(self, name: str) -> object:
        if name == "validation":
            return TensorDataset(X.expand(5, 3, 8, 8), torch.tensor([0, 1, 4, 2, 0]))
        return {"train": [(X, 0), (X, 1)], "none": [], "number": 7}[name]


def test_all_else_of_the_data_set_is_as_it_was() -> None:
    mine = Checked(Mine(), "mine.py:Mine")
    assert (mine.inputs, mine.version, hasattr(mine, "sizes")) == (INPUTS, 3, False)
    assert len(mine.split("train")) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("validation", "mine.py:Mine: split('validation'): y is 4; expected class numbers from 0 to 3"),
        ("test", r"mine.py:Mine: split\('test'\) raised KeyError: 'test' \(test_checked.py:\d+\)"),
        ("none", "has no samples"),
        ("number", "expected a torch Dataset with a length, got int"),
    ],
)
def test_a_split_that_is_no_use(name: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected.replace("split('validation')", r"split\('validation'\)")):
        Checked(Mine(), "mine.py:Mine").split(name)  # type: ignore[arg-type]
